"""The low-dimensional trap (Sec. 5.2, Fig. 5): which statements hold, for which loss and ridges.

J(θ) = Σ w_i (h(x_i) - t_i)² + c|θ|² with θ = (a, b), h(x) = σ(1 + ax + bx²) and
σ(z) = 1/(1 + e^{-z/2}), at x = -1, 1, 3, 4 with labels -1, 1, -1, 1. The weights are 5, 4, 1, 4 for
D, 5, 4, 1, 2 for R and 5, 4, 1, 0 for descent-ascent. A *good* minimum is wrong at x = 3 only. The
*bad* minimum is right at -1, 1, 3 and wrong at 4. The proofs search in
:mod:`derivations.descent_ascent.landscapes`. The searches against the statements use
:mod:`derivations.descent_ascent.trap_numbers`.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import functools
import random
from collections.abc import Iterator, Mapping
from fractions import Fraction

import mpmath
import numpy as np
import sympy as sp

from derivations.descent_ascent import landscapes, trap_numbers
from derivations.descent_ascent.landscapes import Box, Branch, Clusters, Place
from derivations.descent_ascent.trap_numbers import (
    LITERAL,
    PROBLEMS,
    SHARES,
    SIGNED,
    Rows,
    Samples,
    right,
)
from derivations.ledger import intervals
from derivations.ledger.certificates import Cover, Enclosed, Root, digits_of
from derivations.ledger.domains import Drawn, Interval, OneOf, between, positive_within
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.theorems import Eq, Iff, Lt, NoValue, Printed, Theorem

a, b = sp.symbols("a b", real=True)
c, count = sp.symbols("c N", positive=True)
h, label = sp.symbols("h y", real=True)
literal_ridge, beyond = sp.symbols("literal_ridge beyond", positive=True)

WEIGHTS = {name: samples.counts for name, samples in PROBLEMS.items()}
TARGETS = {"literal": (-1, 1, -1, 1), "zero_one": (0, 1, 0, 1)}
GOOD, BAD = (False, True, True, True), (False, True, False, False)  # which clusters have h > 1/2
APART = "1/5000"  # half the width of a box in which a stationary point is unique
TIGHT = "1e-20"  # the same, where digits are printed


def data(convention: str, problem: str) -> Clusters:
    """The weights of a problem and the targets of a convention."""
    return Clusters(WEIGHTS[problem], TARGETS[convention])


def loss(of: Clusters) -> sp.Expr:
    """L(a, b)."""
    return sum(
        w * (1 / (1 + sp.exp(-(1 + a * x + b * x**2) / 2)) - t) ** 2
        for x, w, t in zip(landscapes.POINTS, of.weights, of.targets, strict=True)
    )


@functools.cache
def height_of(convention: str, problem: str, ridge: str) -> sp.Expr:
    """J(a, b)."""
    return loss(data(convention, problem)) + sp.Rational(ridge) * (a**2 + b**2)


@functools.cache
def slopes_of(convention: str, problem: str, ridge: str) -> tuple[sp.Expr, sp.Expr]:
    """∂J/∂a and ∂J/∂b."""
    of = height_of(convention, problem, ridge)
    return of.diff(a), of.diff(b)


@functools.cache
def solved(equations: tuple, unknowns: tuple, start: tuple) -> tuple[str, ...]:
    """The root near ``start`` in 34 digits, by Newton's method."""
    with mpmath.workdps(40):
        found = mpmath.findroot(sp.lambdify(unknowns, equations, "mpmath"), start)
        return tuple(mpmath.nstr(coordinate, 34) for coordinate in found)


def stationary_root(
    text: str, convention: str, problem: str, ridge: str, place: Place, **printed: tuple
) -> Root:
    """The certificate of one stationary point near ``place``, with values printed at it."""
    equations = slopes_of(convention, problem, ridge)
    return Root(text, equations, (a, b), solved(equations, (a, b), place), TIGHT, printed)


@functools.cache
def located(convention: str, problem: str, ridge: str) -> tuple[Place, ...]:
    """All stationary points, the lowest first, in floats."""
    return landscapes.places(data(convention, problem), float(Fraction(ridge)))


m, u = sp.symbols("m u", real=True)
far = sp.Symbol("z", positive=True)
norm2, largest, steepest = sp.symbols("norm2 largest steepest", nonnegative=True)
samples_of = sp.Symbol("samples")


def random_samples(generator: random.Random) -> Samples:
    """Three clusters at small integers, with signed counts."""
    return Samples(
        name="three random clusters",
        inputs=tuple(generator.sample(range(-3, 5), 3)),
        labels=tuple(generator.choice((-1, 1)) for _ in range(3)),
        counts=tuple(generator.choice((-2, -1, 1, 2, 5)) for _ in range(3)),
    )


CLUSTERS = Drawn(
    "clusters of samples with signed counts, not all 0",
    random_samples,
    special=(
        *PROBLEMS.values(),
        Samples("one sample", (2,), (1,), (1,)),
        Samples("a sample at 0", (0, 1), (1, -1), (1, 1)),
    ),
    others=(Samples("no sample", (2,), (1,), (0,)),),
)


def distance_of_points(c, samples) -> Mapping:
    """The largest |θ|² of a stationary point, Σ|w| max(|t|, |1 - t|), and the largest |h' m|."""
    places = [
        point.a**2 + point.b**2
        for reading in (LITERAL, SHARES)
        for point in trap_numbers.points_of(reading, samples, float(c))
    ]
    if not places:
        raise NoValue("no stationary point was met")
    grid = np.linspace(-12, 12, 200_001)
    h = 0.5 * (1 + np.tanh((1 + grid) / 4))
    return {
        norm2: max(places),
        # |t| <= 1, so max(|t|, |1 - t|) is 2 at the label -1 and 1 at the others.
        largest: sum(
            abs(n) * (2 if y < 0 else 1)
            for n, y in zip(samples.counts, samples.labels, strict=True)
        ),
        steepest: np.max(np.abs(h * (1 - h) / 2 * grid)),
    }


@claim(
    "trap-bounded",
    statement=(
        "A stationary point at ridge c has |θ|² < 0.303 S/c, with S = Σ|w_i| max(|t_i|, |1 − "
        "t_i|). Here 0.303 bounds |h′m| over all margins m = ax + bx², whose maximum is 0.3029976."
    ),
    explanation=(
        "At a stationary point 2c|θ|² = -<θ, ∇L> = -Σ 2w(h - t) h' m, and |h - t| <= max(|t|, |1 - "
        "t|). With m = 2u - 1, h' m = h(1-h)(2u-1)/2. On |u| <= 4 its bound is covered by balls. "
        "Beyond, h(1-h) < e^{-|u|}, and (2|u| + 1) e^{-|u|}/2 decreases."
    ),
    where="Sec. 5.2: the region that the searches cover",
    domain="any inputs and signed weights, not all 0; targets ±1 or 0/1 against h; any c > 0",
    origin="new",
    evidence="certified",
    theorem=Theorem(
        # Newton's starts reach stationary points of moderate size only.
        domain={c: positive_within(2), samples_of: CLUSTERS},
        conclusions={
            "the region": Lt(norm2, sp.Rational("0.303") * largest / c),
            "the constant": Printed(steepest, "0.3029976"),
        },
        measure=distance_of_points,
        digits=15,
        most_digits=15,
    ),
    joins=[
        join(
            "monotone bijection",
            "the tail",
            continuous=("h(1-h)", "known:e^{-u}/(1 + e^{-u})² < e^{-u}"),
            slope=("(2|u| + 1) e^{-|u|}/2 decreases beyond 4", "it is small at 4"),
        ),
        join(
            "Krawczyk",
            "the constant",
            box=("h' m is stationary", "|h' m| is no larger elsewhere, |u| <= 4", "the tail"),
        ),
        join(
            "triangle inequality",
            "the region",
            terms=(
                "2c|θ|² at a stationary point",
                "|h' m| is no larger elsewhere, |u| <= 4",
                "0.303 is above it",
                "the tail",
                f"given:samples {CLUSTERS.text}",
            ),
        ),
    ],
    counterexample="a stationary point farther out, or an m with |h' m| > 0.303",
)
def trap_bounded(steepest=sp.Rational("0.3029976")):
    sigmoid = 1 / (1 + sp.exp(-u))
    product = sigmoid * (1 - sigmoid) * (1 - 2 * u) / 2  # -h' m, positive for u < 1/2
    norm, slope_along = sp.symbols("n_2 s", real=True)  # |θ|² and <θ, ∇L>
    yield Equal(
        "2c|θ|² at a stationary point",
        (slope_along + 2 * c * norm).subs(slope_along, -2 * c * norm),
        0,
    )
    yield Equal("h(1-h)", sigmoid * (1 - sigmoid), sp.exp(-u) / (1 + sp.exp(-u)) ** 2)
    tail = (2 * far + 1) * sp.exp(-far) / 2
    yield Positive(
        "(2|u| + 1) e^{-|u|}/2 decreases beyond 4", -sp.diff(tail, far).subs(far, far + 4)
    )
    yield Enclosed("it is small at 4", tail.subs(far, 4), "<", steepest)
    digits = digits_of(steepest, 7)
    yield Root(
        "h' m is stationary",
        (product.diff(u),),
        (u,),
        solved((product.diff(u),), (u,), (-1.28,)),
        TIGHT,
        {"|h' m|": (product, digits)},
    )
    just_above = str(Fraction(digits) + Fraction("5e-8"))
    yield Positive("0.303 is above it", sp.Rational(landscapes.RADIAL) - sp.Rational(just_above))
    yield Cover(
        "|h' m| is no larger elsewhere, |u| <= 4",
        (("-4", "4"),),
        landscapes.radial_factor_below,
        (just_above,),
    )


signed_value, mean_value, errors, square = sp.symbols("J_signed J_mean S n_2", real=True)
signed_slope, error_slope = sp.symbols("g_signed g_S", real=True)


def two_readings(c, a, b, samples) -> Mapping:
    """The objectives at one θ: in each reading, and as a mean over the samples one by one."""
    signed = trap_numbers.exact(SIGNED, samples, c, a, b)
    shares = trap_numbers.exact(SHARES, samples, mpmath.mpf(0), a, b)
    clusters = zip(samples.inputs, SHARES.targets(samples), samples.counts, strict=True)
    listed = [(x, t) for x, t, n in clusters for _ in range(n)]
    if not listed:
        raise NoValue("a mean needs samples")
    one_by_one = [(1 / (1 + mpmath.exp(-(1 + a * x + b * x * x) / 2)) - t) ** 2 for x, t in listed]
    return {
        signed_value: signed.value,
        errors: shares.value,
        square: a * a + b * b,
        signed_slope: signed.a,
        error_slope: shares.a,
        mean_value: mpmath.fsum(one_by_one) / len(listed) + c * (a * a + b * b),
        label: mpmath.fsum(one_by_one),
        count: len(listed),
    }


@claim(
    "trap-conventions",
    statement=(
        "Targets ±1 against 2h − 1 at ridge c are 4 times targets 0/1 against h at ridge c/4. "
        "Means of N samples at c are 1/N of sums at Nc. So the slopes vanish at the same θ."
    ),
    explanation=(
        "Each objective is a positive multiple (4 or 1/N) of the other, term by term. So the "
        "minima and thresholds of one reading are those of another, at a known ratio of ridges."
    ),
    where="Sec. 5.2: the loss is not fully specified",
    domain=(
        "any weights, any ridge c; means of N samples for D and R (descent-ascent's means are "
        "a problem of their own)"
    ),
    origin="new",
    evidence="proved",
    backs=["gda_theory.paper.trap.Convention", "gda_theory.paper.trap.landscape"],
    theorem=Theorem(
        # Errors of h near 0 or 1 fall below every precision farther out.
        domain={
            c: Interval(decades=4),
            a: Interval(decades=1),
            b: Interval(decades=1),
            samples_of: OneOf((*PROBLEMS.values(), Samples("one sample", (2,), (1,), (1,)))),
        },
        conclusions={
            "0/1": Eq(signed_value, 4 * (errors + c / 4 * square)),
            "slopes": Eq(signed_slope, 4 * (error_slope + 2 * (c / 4) * a)),
            "means": Eq(mean_value, (label + count * c * square) / count),
        },
        measure=two_readings,
        most_digits=30,
    ),
    joins=[
        join("identity", "0/1", equation=("(2h - 1 - y)²", "signed at c = 4 (0/1 at c/4)")),
        join("identity", "slopes", equation=("0/1", "known:equal functions have equal slopes")),
        join("identity", "means", equation="means at c = (sums at Nc)/N"),
    ],
    counterexample="θ, c at which the two objectives are not in the claimed ratio",
)
def trap_conventions(
    signed_error=4 * (h - (1 + label) / 2) ** 2, share_ridge=c / 4, sum_ridge=count * c
):
    norm, total = sp.symbols("n_2 S", positive=True)  # |θ|², the sum of squared errors
    yield Equal("(2h - 1 - y)²", (2 * h - 1 - label) ** 2, signed_error)
    yield Equal(
        "signed at c = 4 (0/1 at c/4)", 4 * total + c * norm, 4 * (total + share_ridge * norm)
    )
    yield Equal(
        "means at c = (sums at Nc)/N", total / count + c * norm, (total + sum_ridge * norm) / count
    )


H11, H12, H22 = sp.symbols("H_11 H_12 H_22", real=True)
slope_a, slope_b = sp.symbols("g_a g_b", real=True)  # of L
v_a, v_b, ratio_few, ratio_many = sp.symbols("v_a v_b ratio_few ratio_many", real=True)
rows_of = sp.Symbol("rows")


def random_rows(generator: random.Random) -> Rows:
    """Two or three samples with small integer features."""
    number = generator.randint(2, 3)
    return Rows(
        name=f"{number} random samples",
        rows=tuple(
            (generator.randint(-3, 3), generator.choice((-2, -1, 1, 2))) for _ in range(number)
        ),
        weights=tuple(generator.randint(1, 5) for _ in range(number)),
    )


ROWS = Drawn(
    "samples in the plane, with the exponential loss",
    random_rows,
    special=(
        Rows("one sample", ((2, 1),), (3,)),
        Rows("equal samples", ((2, 1), (2, 1)), (3, 1)),
        Rows("one coordinate", ((2, 0), (-1, 0)), (3, 1)),
        Rows("two axes alike", ((1, 0), (0, 1)), (2, 2)),
        Rows("two axes", ((1, 0), (0, 1)), (2, 3)),
        Rows("opposite samples", ((2, 1), (-2, -1)), (3, 1)),
    ),
)


def motion_of_minimum(c, rows) -> Mapping:
    """dθ/dc by differences of the minimum, the Hessian, and a/b in the paper's example."""
    theta, hessian = trap_numbers.exponential_minimum(rows, c)
    step = c * mpmath.mpf(10) ** (-mpmath.mp.dps // 3)
    later, _ = trap_numbers.exponential_minimum(rows, c + step)
    sooner, _ = trap_numbers.exponential_minimum(rows, c - step)
    velocity = (later - sooner) / (2 * step)
    return {
        a: theta[0],
        b: theta[1],
        v_a: velocity[0],
        v_b: velocity[1],
        H11: hessian[0, 0],
        H12: hessian[0, 1],
        H22: hessian[1, 1],
        **papers_ratios(mpmath.mp.dps),
    }


@functools.cache
def papers_ratios(digits: int) -> Mapping:
    """a/b at D's good minimum, ±1 against 2h - 1, at c = 0.02 and 0.1."""
    found = {}
    with mpmath.workdps(digits):
        for name, ridge, start in (
            (ratio_few, "0.02", (4.63, -0.89)),
            (ratio_many, "0.1", (3.55, -0.66)),
        ):
            place = trap_numbers.settle(SIGNED, PROBLEMS["D"], mpmath.mpf(ridge), start)
            found[name] = place[0] / place[1]
    return found


turn_of_theta = a * (H12 * a + H22 * b) - b * (H11 * a + H12 * b)  # θ × Hθ


@claim(
    "ridge-moves-not-radially",
    statement=(
        "The minimiser moves as dθ/dc = −2H⁻¹θ. This is along θ exactly where θ is an eigenvector "
        "of H. In the paper's own example a/b moves from −5.19744432822717 to −5.40804408574175."
    ),
    explanation=(
        "At a stationary θ the ridge is c = -<θ, ∇L>/2|θ|². Differentiate ∇L + 2cθ = 0. θ × H⁻¹θ = "
        "-θ × Hθ / det H vanishes exactly when θ is an eigenvector. For one coordinate, or one "
        "sample, it always is."
    ),
    where="App. B: 'adjusting the ridge moves minimisers radially'",
    domain=(
        "any twice differentiable loss L, det H != 0; searched with the exponential loss; the "
        "example: D, targets ±1 against 2h - 1, c = 0.02 and 0.1"
    ),
    origin="corrected",
    evidence="certified",
    backs=[
        "gda_theory.paper.trap.stationary_points",
        "gda_theory.paper.trap.folds",
        "gda_theory.paper.trap.ridge_through",
    ],
    theorem=Theorem(
        # Differences lose half of the digits; small margins would be lost among them.
        domain={c: Interval(decades=2), rows_of: ROWS},
        conclusions={
            "da/dc": Eq(v_a, -2 * (H22 * a - H12 * b) / (H11 * H22 - H12**2)),
            "db/dc": Eq(v_b, -2 * (H11 * b - H12 * a) / (H11 * H22 - H12**2)),
            "radially": Iff(Eq(a * v_b - b * v_a, 0), Eq(turn_of_theta, 0)),
            "a/b at c = 0.02": Printed(ratio_few, "-5.19744432822717"),
            "a/b at c = 0.1": Printed(ratio_many, "-5.40804408574175"),
        },
        measure=motion_of_minimum,
        most_digits=30,
        points=12,
    ),
    joins=[
        join(
            "implicit function",
            ("da/dc", "db/dc"),
            jacobian=("d/dc of ∇L + 2cθ = 0", "dθ/dc"),
            smooth=("<θ, ∇L + 2cθ>", "known:L is twice differentiable, det H != 0"),
        ),
        join("equivalence", "radially", identity="θ × dθ/dc", factor="known:det H != 0"),
        join("Krawczyk", "a/b at c = 0.02", box="the minimum at c = 0.02"),
        join("Krawczyk", "a/b at c = 0.1", box="the minimum at c = 0.1"),
    ],
    paper_says="Adjusting the ridge moves minimisers radially.",
    counterexample=(
        "a loss whose minimiser moves along θ although θ is no eigenvector of the Hessian"
    ),
)
def ridge_moves_not_radially(
    through=-(a * slope_a + b * slope_b) / (2 * (a**2 + b**2)),
    velocity_a=-2 * (H22 * a - H12 * b) / (H11 * H22 - H12**2),
    turning=2 * turn_of_theta / (H11 * H22 - H12**2),
    ratio_small=sp.Rational("-5.19744432822717"),
    ratio_large=sp.Rational("-5.40804408574175"),
):
    theta, hessian = sp.Matrix([a, b]), sp.Matrix([[H11, H12], [H12, H22]])
    yield Equal("<θ, ∇L + 2cθ>", theta.dot(sp.Matrix([slope_a, slope_b]) + 2 * through * theta), 0)
    of_ridge = [sp.Function(name)(c) for name in ("a", "b")]
    general = sp.Function("L")(a, b)
    gradient = sp.Matrix([general.diff(a) + 2 * c * a, general.diff(b) + 2 * c * b])
    velocity = sp.Matrix([v_a, v_b])
    along = gradient.subs(dict(zip((a, b), of_ridge, strict=True))).diff(c).doit()
    along = (
        along.subs({f.diff(c): v for f, v in zip(of_ridge, velocity, strict=True)})
        .subs(dict(zip(of_ridge, (a, b), strict=True)))
        .doit()
    )
    whole = sp.hessian(general, (a, b)) + 2 * c * sp.eye(2)
    yield Equal("d/dc of ∇L + 2cθ = 0", along, whole * velocity + 2 * theta)
    exchanged = {a: b, b: a, H11: H22, H22: H11}
    yield Equal(
        "dθ/dc",
        hessian * sp.Matrix([velocity_a, velocity_a.subs(exchanged, simultaneous=True)]),
        -2 * theta,
    )
    solution = -2 * hessian.inv() * theta
    yield Equal("θ × dθ/dc", a * solution[1] - b * solution[0], turning)
    for ridge, quarter, ratio in (
        ("0.02", "0.005", ratio_small),
        ("0.1", "0.025", ratio_large),
    ):
        place = located("zero_one", "D", quarter)[0]
        text = f"the minimum at c = {ridge}"
        printed = a / b, digits_of(ratio, 15)
        yield stationary_root(text, "zero_one", "D", quarter, place, ratio=printed)


FOLD_STARTS = {
    ("zero_one", "D"): (4.3051, -1.8595),
    ("zero_one", "R"): (3.3615, -1.4827),
    ("literal", "D"): (0.895, -0.8093),
    ("literal", "R"): (0.5528, -0.5698),
}
ONLY_WITHIN = "1/50000"  # the fold is unique in a box of this radius
SEARCHED = {"zero_one": ("0.002", "0.4"), "literal": ("0.01", "2")}
SIGNED_FOLDS = {"D": "0.0268089304877430", "R": "0.0771966651699514"}
LITERAL_FOLDS = {"D": "1.04458068058843", "R": "1.74430079969197"}


@functools.cache
def fold_equations(convention: str, problem: str) -> tuple[tuple, tuple[str, ...], sp.Expr]:
    """(equations, the fold's place, the ridge): ∇J = 0 and det H = 0, with c eliminated."""
    of = loss(data(convention, problem))
    along_a, along_b = of.diff(a), of.diff(b)
    ridge = -(a * along_a + b * along_b) / (2 * (a**2 + b**2))
    equations = (
        a * along_b - b * along_a,
        (along_a.diff(a) + 2 * ridge) * (along_b.diff(b) + 2 * ridge) - along_a.diff(b) ** 2,
    )
    return equations, solved(equations, (a, b), FOLD_STARTS[convention, problem]), ridge


def fold_root(convention: str, problem: str, factor: int, claimed: sp.Expr) -> Root:
    """The certificate of a fold, with ``factor`` times its ridge in 15 digits."""
    equations, centre, ridge = fold_equations(convention, problem)
    text = f"the fold of {problem}, {convention}"
    printed = {"ridge": (factor * ridge, digits_of(claimed, 15))}
    return Root(text, equations, (a, b), centre, TIGHT, printed)


def fold_cover(convention: str, problem: str) -> Cover:
    """No fold in the range of ridges, but for the box about the certified one."""
    boxes = ()
    if problem != "DA":
        boxes = (Box(fold_equations(convention, problem)[1], ONLY_WITHIN),)
    ridges = SEARCHED[convention]
    return Cover(
        f"no other fold: {problem}, {convention}",
        landscapes.region(data(convention, problem), ridges[0]),
        landscapes.no_fold,
        (data(convention, problem), ridges, boxes),
    )


COUNTED = {
    (reading, problem): sp.Symbol(f"minima_{reading}_{problem}")
    for reading in ("signed", "literal")
    for problem in PROBLEMS
}
FOLDS = {key: sp.Symbol(f"fold_{key[0]}_{key[1]}") for key in COUNTED if key[1] != "DA"}
FOLD_GUESSES = {"signed": {"D": 0.0268, "R": 0.0772}, "literal": {"D": 1.04, "R": 1.74}}


def counts_of_minima(c, literal_ridge) -> Mapping:
    """How many minima each problem has; for descent-ascent, how many stationary points."""
    ridges = {"signed": (SIGNED, float(c)), "literal": (LITERAL, float(literal_ridge))}
    found = {}
    for (name, problem), symbol in COUNTED.items():
        reading, ridge = ridges[name]
        points = trap_numbers.points_of(reading, PROBLEMS[problem], ridge)
        counted = points if problem == "DA" else [point for point in points if point.minimum]
        found[symbol] = len(counted)
    return found | fold_ridges(mpmath.mp.dps)


@functools.cache
def fold_ridges(digits: int) -> Mapping:
    """The ridge of each fold, from ∇J = 0 and det H = 0 in (a, b, c)."""
    with mpmath.workdps(digits):
        return {
            symbol: trap_numbers.fold_ridge(
                SIGNED if name == "signed" else LITERAL,
                PROBLEMS[problem],
                (
                    *FOLD_STARTS["zero_one" if name == "signed" else name, problem],
                    FOLD_GUESSES[name][problem],
                ),
            )
            for (name, problem), symbol in FOLDS.items()
        }


@claim(
    "trap-thresholds",
    statement=(
        "For ±1 against 2h − 1 there are two minima exactly for c < 0.0268089304877430 (D) and "
        "0.0771966651699514 (R), else one. For the literal reading these are 1.04458068058843 (D) "
        "and 1.74430079969197 (R). Descent-ascent has exactly one stationary point."
    ),
    explanation=(
        "On the plane, c = -<θ, ∇L>/2|θ|² is the only ridge at which θ can be stationary. A cover "
        "shows that det H vanishes at no other ridge of the ranges. So the number of stationary "
        "points changes at the thresholds only. It is counted on both sides (trap-minima). For "
        "0/1 targets the thresholds are a quarter of those of ±1 (trap-conventions)."
    ),
    where="Sec. 5.2, Fig. 5",
    domain=(
        "sums of squares; ±1 against 2h - 1: c in [0.008, 1.6] (0/1 targets: [0.002, 0.4]); "
        "literal: c in [0.01, 2]"
    ),
    origin="new",
    evidence="certified",
    backs="gda_theory.paper.trap.folds",
    theorem=Theorem(
        domain={c: between("0.008", "1.6", "[]"), literal_ridge: between("0.01", "2", "[]")},
        conclusions={
            **{
                f"{name}, {problem}": Iff(
                    Eq(COUNTED[name, problem], 2), Lt(ridge, sp.Rational(folds[problem]))
                )
                for name, ridge, folds in (
                    ("signed", c, SIGNED_FOLDS),
                    ("literal", literal_ridge, LITERAL_FOLDS),
                )
                for problem in folds
            },
            **{
                f"fold of {problem}, {name}": Printed(FOLDS[name, problem], folds[problem])
                for name, folds in (("signed", SIGNED_FOLDS), ("literal", LITERAL_FOLDS))
                for problem in folds
            },
            **{
                f"descent-ascent, {name}": Eq(COUNTED[name, "DA"], 1)
                for name in ("signed", "literal")
            },
        },
        measure=counts_of_minima,
        most_digits=30,
    ),
    joins=[
        *(
            join("Krawczyk", f"fold of {problem}, {name}", box=f"the fold of {problem}, {inner}")
            for name, inner in (("signed", "zero_one"), ("literal", "literal"))
            for problem in ("D", "R")
        ),
        *(
            join(
                "exhaustion",
                f"the only fold of {problem}, {inner}",
                cover=(
                    f"no other fold: {problem}, {inner}",
                    f"one fold in a box: {problem}, {inner}",
                    "claim:trap-bounded",
                ),
            )
            for inner in TARGETS
            for problem in ("D", "R")
        ),
        *(
            join(
                "implicit function",
                f"{name}, {problem}",
                jacobian=(
                    f"the only fold of {problem}, {inner}",
                    f"fold of {problem}, {name}",
                    "claim:trap-minima",
                    "claim:trap-conventions",
                ),
                smooth="known:J is analytic",
            )
            for name, inner in (("signed", "zero_one"), ("literal", "literal"))
            for problem in ("D", "R")
        ),
        *(
            join(
                "implicit function",
                f"descent-ascent, {name}",
                jacobian=(
                    f"no other fold: DA, {inner}",
                    "claim:trap-bounded",
                    "claim:trap-minima",
                    "claim:trap-conventions",
                ),
                smooth="known:J is analytic",
            )
            for name, inner in (("signed", "zero_one"), ("literal", "literal"))
        ),
    ],
    slow="10 s",
    counterexample="a ridge of the range at which another minimum appears or vanishes",
)
def trap_thresholds(
    signed_D=sp.Rational(SIGNED_FOLDS["D"]),
    signed_R=sp.Rational(SIGNED_FOLDS["R"]),
    literal_D=sp.Rational(LITERAL_FOLDS["D"]),
    literal_R=sp.Rational(LITERAL_FOLDS["R"]),
):
    yield fold_root("zero_one", "D", 4, signed_D)
    yield fold_root("zero_one", "R", 4, signed_R)
    yield fold_root("literal", "D", 1, literal_D)
    yield fold_root("literal", "R", 1, literal_R)
    for convention in TARGETS:
        for problem in ("D", "R"):
            equations, centre, _ = fold_equations(convention, problem)
            text = f"one fold in a box: {problem}, {convention}"
            yield Root(text, equations, (a, b), centre, ONLY_WITHIN)
        for problem in WEIGHTS:
            yield fold_cover(convention, problem)


# The numbers of stationary points and of minima, and the classes of the global one. A ridge of
# ``signed`` belongs to ±1 against 2h - 1; it is a quarter of that with 0/1 targets. The literal
# 0.1 is the text; 2 and the signed 0.1 lie beyond all thresholds.
CASES = {
    (reading, problem, ridge): (number, 2 if number == 3 else 1, best)
    for reading, ridge, by_problem in (
        ("literal", "0.1", {"D": (3, GOOD), "R": (3, BAD), "DA": (1, BAD)}),
        (
            "literal",
            "2",
            {
                "D": (1, (True, True, True, True)),
                "R": (1, (True, True, True, False)),
                "DA": (1, BAD),
            },
        ),
        ("signed", "0.1", {"D": (1, GOOD), "R": (1, GOOD), "DA": (1, BAD)}),
        ("signed", "0.05", {"D": (1, GOOD), "R": (3, GOOD), "DA": (1, BAD)}),
        ("signed", "0.02", {"D": (3, GOOD), "R": (3, GOOD), "DA": (1, BAD)}),
    )
    for problem, (number, best) in by_problem.items()
}


def inner(reading: str, ridge: str) -> tuple[str, str, int]:
    """(convention, ridge, factor of J) in which a reading is certified."""
    if reading == "literal":
        return "literal", ridge, 1
    return "zero_one", str(Fraction(ridge) / 4), 4


def case_name(key: tuple[str, str, str]) -> str:
    reading, problem, ridge = key
    return f"{problem}, {reading}, c = {ridge}"


def symbol_of(kind: str, key: tuple[str, str, str]) -> sp.Symbol:
    return sp.Symbol(f"{kind}_{'_'.join(key)}")


# J at some minima, in the units of the reading: the case, the rank of the minimum, and the digits.
VALUES = {
    "literal_retrain": (("literal", "R", "0.1"), 0, "10.861228258618"),
    "literal_retrain_other": (("literal", "R", "0.1"), 1, "11.793758771813"),
    "literal_pretrain": (("literal", "D", "0.1"), 0, "11.903980170551"),
    "signed_retrain": (("signed", "R", "0.05"), 0, "5.0376001229433"),
    "signed_retrain_other": (("signed", "R", "0.05"), 1, "9.6152788027572"),
    "signed_pretrain_few": (("signed", "D", "0.02"), 0, "4.5663782319847"),
}


def table_of_minima() -> Mapping:
    """The numbers of all cases, in floats, and J at the minima in 30 digits."""
    found = {}
    for key in CASES:
        reading, problem, ridge = key
        points = trap_numbers.points_of(
            LITERAL if reading == "literal" else SIGNED, PROBLEMS[problem], float(ridge)
        )
        minima = [point for point in points if point.minimum]
        found[symbol_of("stationary", key)] = len(points)
        found[symbol_of("minima", key)] = len(minima)
        for rank, point in enumerate(minima):
            found[symbol_of(f"right{rank}", key)] = right(PROBLEMS[problem], point.positive)
            found[symbol_of(f"value{rank}", key)] = precise_value(reading, problem, ridge, point)
    return found


def precise_value(reading: str, problem: str, ridge: str, point) -> object:
    """J at a stationary point, at the working precision."""
    of = LITERAL if reading == "literal" else SIGNED
    samples = PROBLEMS[problem]
    place = trap_numbers.settle(of, samples, mpmath.mpf(ridge), (point.a, point.b))
    return trap_numbers.exact(of, samples, mpmath.mpf(ridge), *place).value


def case_steps(key: tuple[str, str, str]) -> Iterator:
    """The certificates of one case: each stationary point, its kind, and that there is no other."""
    reading, problem, ridge = key
    convention, within, _ = inner(reading, ridge)
    number, minima, best = CASES[key]
    of, name = data(convention, problem), case_name(key)
    found = located(convention, problem, within)[:number]
    boxes = tuple(Box(tuple(f"{x:.15g}" for x in place), APART) for place in found)
    equations = slopes_of(convention, problem, within)
    for rank, box in enumerate(boxes):
        yield Root(f"{name}: point {rank}", equations, (a, b), box.centre, APART)
        corners = tuple(
            tuple(str(Fraction(x) + sign * Fraction(APART)) for sign in (-1, 1)) for x in box.centre
        )
        if rank >= minima:
            text = f"{name}: point {rank} is a saddle"
            yield Cover(text, corners, landscapes.is_saddle, (of, within))
            continue
        classes = best if rank == 0 else OTHERS[key]
        arguments = (of, within, classes)
        yield Cover(f"{name}: point {rank} is a minimum", corners, landscapes.is_minimum, arguments)
    yield Cover(
        f"{name}: no other point",
        landscapes.region(of, within),
        landscapes.no_point,
        (of, within, boxes),
    )
    if minima == 2:
        yield lower_step(f"{name}: point 0 is lower", convention, problem, within, found)


def lower_step(text: str, convention: str, problem: str, ridge: str, found: tuple) -> Enclosed:
    """J at the first of two points lies below J at the second."""
    others = sp.symbols("a_2 b_2", real=True)
    of = height_of(convention, problem, ridge)
    difference = of - of.subs(dict(zip((a, b), others, strict=True)), simultaneous=True)
    balls = [intervals.ball(f"{x:.15g}", APART) for place in found[:2] for x in place]
    return Enclosed(
        text, difference, "<", sp.Integer(0), dict(zip((a, b, *others), balls, strict=True))
    )


# The classes of the second minimum.
OTHERS = {
    ("literal", "D", "0.1"): BAD,
    ("literal", "R", "0.1"): GOOD,
    ("signed", "R", "0.05"): BAD,
    ("signed", "D", "0.02"): BAD,
    ("signed", "R", "0.02"): BAD,
}


def case_joins(key: tuple[str, str, str]) -> Iterator:
    """What the certificates of a case give."""
    name, (number, minima, _) = case_name(key), CASES[key]
    kinds = [
        f"{name}: point {rank} is a {'minimum' if rank < minima else 'saddle'}"
        for rank in range(number)
    ]
    roots = [f"{name}: point {rank}" for rank in range(number)]
    yield join("Krawczyk", f"{name}: its points", box=roots)
    cover = (f"{name}: its points", f"{name}: no other point", "claim:trap-bounded")
    yield join("exhaustion", f"{name}: stationary points", cover=cover)
    counted = (f"{name}: stationary points", *kinds)
    yield join("exhaustion", f"{name}: minima", cover=counted)
    lower = (f"{name}: point 0 is lower",) if minima == 2 else ()
    yield join("exhaustion", f"{name}: right at the global one", cover=(f"{name}: minima", *lower))
    if minima == 2:
        second = (f"{name}: minima", *lower)
        yield join("exhaustion", f"{name}: right at the second one", cover=second)


@claim(
    "trap-minima",
    statement=(
        "The literal reading at c = 0.1: retraining's global minimum, 10.8612, is the bad one "
        "(wrong at x = 4), and the good one is 11.7938. Pretraining's is good, 11.9040. With ±1 "
        "against 2h − 1 both global minima are good. R has a bad one at c = 0.05, D only at c = "
        "0.02."
    ),
    explanation=(
        "These are all stationary points of 15 problems. A cover shows that no other lies in the "
        "region that holds them all (trap-bounded). Descent-ascent has only one minimum in each, a "
        "bad one."
    ),
    where="Sec. 5.2, Fig. 5",
    domain=(
        "sums of squares; literal at c = 0.1, 2; ±1 against 2h - 1 at c = 0.1, 0.05, 0.02, that "
        "is 0/1 targets at c/4"
    ),
    origin="corrected",
    evidence="certified",
    backs=["gda_theory.paper.trap.stationary_points", "gda_theory.paper.trap.landscape"],
    theorem=Theorem(
        domain={},
        conclusions={
            f"{case_name(key)}: {words}": Eq(symbol_of(kind, key), value)
            for key, (number, minima, best) in CASES.items()
            for kind, words, value in (
                ("stationary", "stationary points", number),
                ("minima", "minima", minima),
                ("right0", "right at the global one", right(PROBLEMS[key[1]], best)),
            )
        }
        | {
            f"{case_name(key)}: right at the second one": Eq(
                symbol_of("right1", key), right(PROBLEMS[key[1]], positive)
            )
            for key, positive in OTHERS.items()
        }
        | {
            name: Printed(symbol_of(f"value{rank}", key), digits)
            for name, (key, rank, digits) in VALUES.items()
        },
        measure=table_of_minima,
        most_digits=30,
    ),
    joins=[
        *(one for key in CASES for one in case_joins(key)),
        *(
            join("Krawczyk", name, box=(f"J at {name}", f"{case_name(key)}: its points"))
            for name, (key, _, _) in VALUES.items()
        ),
    ],
    slow="5 s",
    paper_says=(
        "One landscape, drawn for one ridge. The paper does not say which targets, sums or means, "
        "or which ridge."
    ),
    counterexample="a stationary point that the search missed, or minima in another order",
)
def trap_minima(
    literal_retrain=sp.Rational(VALUES["literal_retrain"][2]),
    literal_retrain_other=sp.Rational(VALUES["literal_retrain_other"][2]),
    literal_pretrain=sp.Rational(VALUES["literal_pretrain"][2]),
    signed_retrain=sp.Rational(VALUES["signed_retrain"][2]),
    signed_retrain_other=sp.Rational(VALUES["signed_retrain_other"][2]),
    signed_pretrain_few=sp.Rational(VALUES["signed_pretrain_few"][2]),
):
    claimed = (
        literal_retrain,
        literal_retrain_other,
        literal_pretrain,
        signed_retrain,
        signed_retrain_other,
        signed_pretrain_few,
    )
    for (name, (key, rank, digits)), value in zip(VALUES.items(), claimed, strict=True):
        reading, problem, ridge = key
        convention, within, factor = inner(reading, ridge)
        place = located(convention, problem, within)[rank]
        significant = len(digits.replace(".", ""))
        printed = factor * height_of(convention, problem, within), digits_of(value, significant)
        yield stationary_root(f"J at {name}", convention, problem, within, place, J=printed)
    for key in CASES:
        yield from case_steps(key)


THRESHOLD_ABOVE = {"D": "0.0068", "R": "0.0194"}
EVERYWHERE = SEARCHED["zero_one"]
RIGHT = {problem: sp.Symbol(f"right_{problem}") for problem in ("D", "R")}


@functools.cache
def branch_of(convention: str, problem: str, rank: int, ridges: tuple[str, str]) -> Branch:
    """A stationary point of the first ridge, by the order of J, followed to the last ridge."""
    start = located(convention, problem, ridges[0])[rank]
    return landscapes.branch(data(convention, problem), ridges, start)


def along_cover(text: str, problem: str, positive: tuple) -> Cover:
    """A minimum of these classes at every ridge of the range; 0/1 targets."""
    arguments = data("zero_one", problem), branch_of("zero_one", problem, 0, EVERYWHERE), positive
    return Cover(text, (EVERYWHERE,), landscapes.minimum_along, arguments)


def right_at_global_minima(c) -> Mapping:
    """How many samples of D and of R the global minimum has right; 0/1 targets."""
    return {
        symbol: right(
            PROBLEMS[problem],
            trap_numbers.minima_of(SHARES, PROBLEMS[problem], float(c))[0].positive,
        )
        for problem, symbol in RIGHT.items()
    }


@claim(
    "trap-global-minima-hold",
    statement=(
        "With 0/1 targets both statements hold at every c ∈ [0.002, 0.4]. The global minimum has "
        "13 of D's 14 points right, and 11 of R's 12 points: all but x = 3."
    ),
    explanation=(
        "A cover of the ridges follows one good minimum through the range. There are at most two "
        "minima, and one beyond the threshold (trap-thresholds). J at a minimum increases with c: "
        "its derivative is |θ|². The other one's value at the beginning of the range exceeds the "
        "good one's just beyond the threshold, hence everywhere between."
    ),
    where="Sec. 5.2: 'pretraining misclassifies only x = 3, retraining keeps it'",
    domain="sums; 0/1 targets, c in [0.002, 0.4], that is ±1 against 2h - 1, c in [0.008, 1.6]",
    origin="corrected",
    evidence="certified",
    backs="gda_theory.paper.trap.landscape",
    theorem=Theorem(
        domain={c: between(*EVERYWHERE, "[]")},
        conclusions={
            "pretraining": Eq(RIGHT["D"], 13),
            "retraining": Eq(RIGHT["R"], 11),
        },
        measure=right_at_global_minima,
        most_digits=30,
    ),
    joins=[
        join("exhaustion", f"{problem}: the good minimum", cover=f"{problem}: a good minimum")
        for problem in RIGHT
    ]
    + [
        join(
            "monotone bijection",
            f"{problem}: below the other up to the threshold",
            continuous=("claim:trap-thresholds", f"{problem}: below its threshold"),
            slope=(
                "dJ/dc at a stationary point",
                f"{problem}: good beyond the threshold",
                f"{problem}: the other at the beginning",
                f"{problem}: good below the other",
            ),
        )
        for problem in RIGHT
    ]
    + [
        join(
            "exhaustion",
            name,
            cover=(
                f"{problem}: the good minimum",
                f"{problem}: below the other up to the threshold",
                "claim:trap-thresholds",
                "claim:trap-conventions",
            ),
        )
        for problem, name in (("D", "pretraining"), ("R", "retraining"))
    ],
    slow="10 s",
    paper_says=(
        "Pretraining misclassifies only x = 3 (13 right, 1 wrong), and retraining keeps it (11, 1)."
    ),
    counterexample=(
        "a ridge of the range at which a global minimum of D or R misclassifies anything but x = 3"
    ),
)
def global_minima_hold(
    good_D=sp.Rational("1.1795873035005"),
    other_D=sp.Rational("4.1352165328102"),
    good_R=sp.Rational("1.3552771979163"),
    other_R=sp.Rational("2.1358813893329"),
):
    theta = [sp.Function(name)(c) for name in ("a", "b")]
    general = sp.Function("L")(*theta)
    height = general + c * sum(coordinate**2 for coordinate in theta)
    stationary = {general.diff(coordinate): -2 * c * coordinate for coordinate in theta}
    yield Equal(
        "dJ/dc at a stationary point",
        height.diff(c).doit().subs(stationary).doit(),
        sum(coordinate**2 for coordinate in theta),
    )
    for problem, good, other in (("D", good_D, other_D), ("R", good_R, other_R)):
        above = THRESHOLD_ABOVE[problem]
        yield along_cover(f"{problem}: a good minimum", problem, GOOD)
        yield Enclosed(
            f"{problem}: below its threshold",
            sp.Rational(SIGNED_FOLDS[problem]) / 4,
            "<",
            sp.Rational(above),
        )
        for text, ridge, rank, value in (
            (f"{problem}: good beyond the threshold", above, 0, good),
            (f"{problem}: the other at the beginning", EVERYWHERE[0], 1, other),
        ):
            printed = height_of("zero_one", problem, ridge), digits_of(value, 14)
            place = located("zero_one", problem, ridge)[rank]
            yield stationary_root(text, "zero_one", problem, ridge, place, J=printed)
        yield Enclosed(f"{problem}: good below the other", good, "<", other)


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
