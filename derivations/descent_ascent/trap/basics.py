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
from collections.abc import Mapping
from fractions import Fraction

import mpmath
import numpy as np
import sympy as sp

from derivations.descent_ascent import landscapes, trap_numbers
from derivations.descent_ascent.landscapes import Clusters, Place
from derivations.descent_ascent.trap_numbers import (
    LITERAL,
    PROBLEMS,
    SHARES,
    SIGNED,
    Rows,
    Samples,
)
from derivations.ledger.certificates import Cover, Enclosed, Root, digits_of
from derivations.ledger.domains import Drawn, Interval, OneOf, positive_within
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
