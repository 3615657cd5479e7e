"""The trap: where unlearning holds and where it fails."""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import functools
from collections.abc import Mapping

import mpmath
import sympy as sp

from derivations.descent_ascent import landscapes, trap_numbers
from derivations.descent_ascent.trap.basics import (
    BAD,
    TIGHT,
    a,
    b,
    beyond,
    c,
    data,
    height_of,
    located,
    loss,
    solved,
    stationary_root,
)
from derivations.descent_ascent.trap.minima import (
    EVERYWHERE,
    SIGNED_FOLDS,
    THRESHOLD_ABOVE,
    along_cover,
    branch_of,
)
from derivations.descent_ascent.trap_numbers import (
    LITERAL,
    PROBLEMS,
    SHARES,
    right,
)
from derivations.ledger.certificates import Cover, Enclosed, Root, digits_of
from derivations.ledger.domains import between
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.theorems import Eq, Printed, Theorem

LITERAL_RANGE = ("0.01", "1")
right_of_retrain = sp.Symbol("right_of_retrain")


def right_of_literal_retrain(c) -> Mapping:
    """How many samples of R its global minimum has right, read literally."""
    best = trap_numbers.minima_of(LITERAL, PROBLEMS["R"], float(c))[0]
    return {right_of_retrain: right(PROBLEMS["R"], best.positive)}


@claim(
    "trap-literal-fails",
    statement=(
        "Read literally, retraining's global minimum is the bad one (10 of 12 right) at every c "
        "∈ [0.01, 1]. No ridge there makes the statement true."
    ),
    explanation=(
        "R has two minima throughout (trap-thresholds). A cover of the ridges encloses two: a bad "
        "one, and one with h(3) > 1/2. The bad one's J is lower on each part."
    ),
    where="Sec. 5.2: 'retraining keeps it', read literally",
    domain="sums, targets ±1 against h in (0, 1), c in [0.01, 1]",
    origin="corrected",
    evidence="certified",
    backs="gda_theory.paper.trap.landscape",
    theorem=Theorem(
        domain={c: between(*LITERAL_RANGE, "[]")},
        conclusions={"retraining": Eq(right_of_retrain, 10)},
        measure=right_of_literal_retrain,
        most_digits=30,
    ),
    joins=[
        join(
            "exhaustion",
            "retraining",
            cover=(
                "the bad minimum is lower",
                "at the end",
                "the other at the end",
                "claim:trap-thresholds",
            ),
        )
    ],
    slow="10 s",
    paper_says="Retraining keeps the minimum that misclassifies only x = 3 (11 right, 1 wrong).",
    counterexample="a ridge of the range at which retraining's global minimum is right at x = 4",
)
def literal_fails(
    bad_at_end=sp.Rational("15.184361093118"), other_at_end=sp.Rational("15.332247462501")
):
    low, high = (branch_of("literal", "R", rank, LITERAL_RANGE) for rank in (0, 1))
    yield Cover(
        "the bad minimum is lower",
        (LITERAL_RANGE,),
        landscapes.lower_along,
        (data("literal", "R"), low, high, BAD),
    )
    for text, rank, value in (
        ("at the end", 0, bad_at_end),
        ("the other at the end", 1, other_at_end),
    ):
        printed = height_of("literal", "R", "1"), digits_of(value, 14)
        yield stationary_root(
            text, "literal", "R", "1", located("literal", "R", "1")[rank], J=printed
        )


TRAP_RANGE = ("0.002", "0.0155")
# From R's saddle, J_R rises in this direction for every ridge of TRAP_RANGE.
# It was found by trying, and is then certified.
BARRIER = (1.0, -0.268)
stays, leaves, started, energy_ridge = sp.symbols("stays leaves started energy_ridge")


def flow_from_descent_ascent(ridge: float) -> tuple[int, int]:
    """How many samples of descent-ascent its minimum has right, and of R the flow's end; 0/1."""
    (bottom,) = trap_numbers.points_of(SHARES, PROBLEMS["DA"], ridge)
    end = trap_numbers.flow_end(SHARES, PROBLEMS["R"], ridge, (bottom.a, bottom.b))
    retrain = PROBLEMS["R"]
    return (
        right(PROBLEMS["DA"], bottom.positive),
        right(retrain, trap_numbers.positive_at(retrain, end)),
    )


def fine_tuning(c, beyond) -> Mapping:
    """Fine-tuning on R below and beyond the threshold, and the ridge at which energies agree."""
    begins, ends = flow_from_descent_ascent(float(c))
    return {
        started: begins,
        stays: ends,
        leaves: flow_from_descent_ascent(float(beyond))[1],
        energy_ridge: ridge_of_equal_energies(mpmath.mp.dps),
    }


@functools.cache
def ridge_of_equal_energies(digits: int) -> object:
    """Where J_R is the same at descent-ascent's minimum and at R's saddle, by secants in c."""
    retrain, ascend = PROBLEMS["R"], PROBLEMS["DA"]

    def excess(ridge):
        bottom = trap_numbers.settle(SHARES, ascend, ridge, (3.66, -1.755))
        saddle = trap_numbers.settle(SHARES, retrain, ridge, (3.42, -1.426))
        values = (trap_numbers.exact(SHARES, retrain, ridge, *at).value for at in (bottom, saddle))
        return next(values) - next(values)

    with mpmath.workdps(digits):
        return mpmath.findroot(excess, (mpmath.mpf("0.0161"), mpmath.mpf("0.0162")))


def energy_root(claimed: sp.Expr) -> Root:
    """Where J_R has one value at descent-ascent's minimum and at R's saddle, with 0/1 targets."""
    unknowns = a1, b1, a2, b2 = sp.symbols("a_1 b_1 a_2 b_2", real=True)

    def height(problem: str, at: tuple) -> sp.Expr:
        whole = loss(data("zero_one", problem)) + c * (a**2 + b**2)
        return whole.subs(dict(zip((a, b), at, strict=True)), simultaneous=True)

    ascend, retrain = height("DA", (a1, b1)), height("R", (a2, b2))
    equations = (
        ascend.diff(a1),
        ascend.diff(b1),
        retrain.diff(a2),
        retrain.diff(b2),
        height("R", (a1, b1)) - retrain,
    )
    start = (3.66, -1.755, 3.42, -1.426, 0.0161)
    centre = solved(equations, (*unknowns, c), start)
    printed = {"c": (c, digits_of(claimed, 15))}
    return Root("where the energies agree", equations, (*unknowns, c), centre, TIGHT, printed)


@claim(
    "trap-holds",
    statement=(
        "Fine-tuning on R from descent-ascent's minimum (10 right of its 10, 2 of R wrong) stays "
        "in R's bad minimum for c ∈ [0.002, 0.0155]. Beyond the threshold R has one stationary "
        "point, the good minimum, and fine-tuning reaches it."
    ),
    explanation=(
        "The minimum of J_DA lies on the bad side of a line through R's saddle. J_R on the line, "
        "and at the saddle, exceeds its value at the start. J_R falls along the flow, and along "
        "every step of at most 1/Λ, so the line is never crossed. On that side the only minimum is "
        "the bad one. A cover of the ridges shows all this. The argument ends where J_R is the "
        "same at the start and at the saddle, at c = 0.0161899930045749 (±1 against 2h - 1: "
        "0.06476)."
    ),
    where="Sec. 5.2: 'fine-tuning on the retain set cannot leave it'",
    domain=(
        "sums; 0/1 targets, c in [0.002, 0.0155] (±1 against 2h - 1: [0.008, 0.062]); false in "
        "[0.0194, 0.4] ([0.0776, 1.6])"
    ),
    origin="corrected",
    evidence="certified",
    backs=["gda_theory.paper.trap.landscape", "gda_theory.paper.trap.fine_tune"],
    theorem=Theorem(
        domain={
            c: between(*TRAP_RANGE, "[]"),
            beyond: between(THRESHOLD_ABOVE["R"], EVERYWHERE[1], "[]"),
        },
        conclusions={
            "the start": Eq(started, 10),
            "it stays": Eq(stays, 10),
            "it leaves": Eq(leaves, 11),
            "where the energies agree": Printed(energy_ridge, "0.0161899930045749"),
        },
        measure=fine_tuning,
        most_digits=30,
        points=10,
    ),
    joins=[
        join(
            "exhaustion",
            "the start",
            cover=("descent-ascent's minimum is bad", "claim:trap-thresholds"),
        ),
        join(
            "exhaustion",
            "the flow stays on one side",
            cover=(
                "a barrier at every ridge",
                "known:J falls along its gradient flow",
                "known:J_R on the line increases with c",
            ),
        ),
        join(
            "gradient flow",
            "it stays",
            gradient=("the flow stays on one side", "the start"),
            bounded=("claim:trap-thresholds", "known:J is coercive, as c > 0"),
        ),
        join(
            "gradient flow",
            "it leaves",
            gradient=("beyond the threshold", "claim:trap-global-minima-hold"),
            bounded=("claim:trap-thresholds", "known:J is coercive, as c > 0"),
        ),
        join("Krawczyk", "where the energies agree", box="where the energies agree: a root"),
    ],
    slow="30 s",
    paper_says=(
        "Descent-ascent's minimum is another one: right on the 10 points it counts, wrong on 2 "
        "retained ones. Fine-tuning stays there."
    ),
    counterexample=(
        "a ridge of the range at which gradient descent on R from descent-ascent's minimum reaches "
        "R's global one"
    ),
)
def trap_holds(energy_end=sp.Rational("0.0161899930045749")):
    trap = landscapes.Trap(
        retrain=data("zero_one", "R"),
        ascend=data("zero_one", "DA"),
        saddle=branch_of("zero_one", "R", 2, TRAP_RANGE),
        good=branch_of("zero_one", "R", 0, TRAP_RANGE),
        bottom=branch_of("zero_one", "DA", 0, TRAP_RANGE),
    )
    yield Cover(
        "a barrier at every ridge", (TRAP_RANGE,), landscapes.barrier_holds, (trap, BARRIER)
    )
    yield along_cover("descent-ascent's minimum is bad", "DA", BAD)
    yield energy_root(energy_end)._replace(text="where the energies agree: a root")
    threshold = sp.Rational(SIGNED_FOLDS["R"]) / 4
    yield Enclosed("beyond the threshold", threshold, "<", sp.Rational(THRESHOLD_ABOVE["R"]))
