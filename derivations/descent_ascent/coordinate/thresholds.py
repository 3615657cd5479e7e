"""One orthogonal coordinate: the end of existence, and the ends of Lemma 3's range."""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import mpmath
import sympy as sp

from derivations.descent_ascent import measures, scalar_measures
from derivations.descent_ascent.coordinate.basics import (
    COUNTS,
    descent_ascent_mass,
    exponential,
    loss,
    masses_by_eq_1,
    phi_w,
    positive_weight,
    pretrain_mass,
    retrain_mass,
    rise,
    w_D,
    w_DA,
    w_R,
    z,
)
from derivations.ledger.domains import (
    Integers,
    OneOf,
    positive,
    positive_within,
    real,
)
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import (
    alpha,
    forget,
    mass,
    on_coordinate,
    phi,
    retain,
    ridge,
    total,
    w,
)
from derivations.ledger.theorems import (
    Eq,
    Ge,
    Gt,
    Iff,
    Lt,
    Theorem,
    limit,
)

excess, kappa_mass = sp.symbols("delta kappa", positive=True)


lowered, lowered_once = sp.symbols("lowered lowered_once", real=True)
time, near_zero = sp.symbols("time delta_0", real=True)
step_size = sp.Symbol("eta", positive=True)
steps_done = sp.Symbol("n_steps", integer=True, positive=True)
start_above = sp.Symbol("start_above", positive=True)  # w + 1 at the start of the long way
time_above, time_farther = sp.symbols("time_above time_farther", real=True)
delta_there = sp.Symbol("delta_there", real=True)
SLOW_RATE = ridge * sp.sqrt(delta_there) / (sp.pi * sp.sqrt(2))


def _running_away(ridge, delta, weight, eta, n_steps, start_above, delta_0=None):
    """What gradient steps do, and the flow's times by quadrature."""
    if delta_0 is not None:
        small = delta_0 * min(1, start_above) ** 2  # the passage is as wide as the root of δ
        times = (
            scalar_measures.time_to_minus_infinity(factor * start_above - 1, small - 1) / ridge
            for factor in (1, 3)
        )
        return {delta_there: small} | dict(zip((time_above, time_farther), times, strict=True))
    mass = -ridge * mpmath.exp(delta - 1)
    end = scalar_measures.steps_down(mass, ridge, weight, eta, int(n_steps))
    return {
        lowered: weight - end,
        lowered_once: weight - scalar_measures.steps_down(mass, ridge, weight, eta, 1),
        time: scalar_measures.time_to_minus_infinity(weight, delta - 1) / ridge,
    }


@claim(
    "coordinate-runs-away",
    statement=(
        "Let K/λ = −κ < −1/e, and δ = 1 + ln κ. Each step lowers w by at least ηλδ, whatever its "
        "size η. Equality holds exactly at w = ln κ. The flow reaches −∞ before the time max(w − "
        "ln κ, 0)/(λδ) + π/(λ√(2δ)). As δ → 0 this time is π√2/(λ√δ) to leading order, from every "
        "start above −1."
    ),
    explanation=(
        "K/λ < −1/e means α > f/r + λf/(e r_j). J'(w)/λ = w + κ e^{-w} is convex, and its least "
        "value δ is at w = ln κ. To the left of ln κ it is at least δ + (w - ln κ)²/2, so the "
        "time, the integral of 1/J', is finite. Near ln κ it is δ + (w - ln κ)²/2 up to a cubic "
        "term."
    ),
    where="App. H: where w_DA -> -infinity is true",
    domain="exponential loss, K/λ = -κ < -1/e; simultaneous steps of any size η > 0, and the flow",
    origin="corrected",
    evidence="proved",
    backs=["gda_theory.pair.coordinate.descent_ascent", "gda_theory.dynamics.outcomes.explain"],
    theorem=Theorem(
        domain={
            ridge: positive,
            excess: positive,
            w: real,
            step_size: positive,
            steps_done: Integers(1, 4),
            start_above: positive,
        },
        conclusions={
            "steps": Ge(lowered / (step_size * ridge), steps_done * excess),
            "equality": Iff(Eq(lowered_once / (step_size * ridge), excess), Eq(w, excess - 1)),
            "time": Lt(
                time,
                (sp.Max(w - excess + 1, 0) / excess + sp.pi / sp.sqrt(2 * excess)) / ridge,
            ),
            # The sum of two starts' errors: one alone may vanish at the first scale.
            "slow passage": limit(
                sp.Abs(time_above * SLOW_RATE - 1) + sp.Abs(time_farther * SLOW_RATE - 1),
                0,
                near_zero,
                power=sp.Rational(1, 2),
                at=("1e-8", "1e-10"),
            ),
        },
        measure=_running_away,
        digits=90,  # w - (its next) cancels
    ),
    joins=[
        join(
            "convexity",
            "J'/λ >= δ, with equality only at ln κ",
            convex=("it is convex", "least value", "J'/λ turns at ln κ"),
            coercive="J'/λ grows like e^{-w}",
        ),
        join(
            "induction",
            ("steps", "equality"),
            base="J'/λ >= δ, with equality only at ln κ",
            step="J'/λ >= δ, with equality only at ln κ",
        ),
        join(
            "sign",
            "J'/λ >= δ + u²/2 for u < 0",
            sign=(
                "the excess over δ + u²/2 at u = -z",
                "known:e^z > 1 + z + z²/2 for z > 0",
            ),
        ),
        join(
            "sign",
            "time",
            sign=(
                "J'/λ >= δ, with equality only at ln κ",
                "J'/λ >= δ + u²/2 for u < 0",
                "half of the passage time",
            ),
        ),
        join(
            "Taylor",
            "slow passage",
            second_derivative=(
                "near the least value",
                "which is 0 at κ = 1/e",
                "passage time",
                "known:the rest of the integral stays bounded",
            ),
        ),
    ],
    paper_says="w_DA → −∞ for every α > f/r (App. H).",
    counterexample="K/λ < -1/e with a step that raises w, or a flow that exists for all time",
)
def coordinate_runs_away(
    least_drift=1 + sp.log(kappa_mass),
    turning=sp.log(kappa_mass),
    escape=sp.pi * sp.sqrt(2) / (ridge * sp.sqrt(excess)),
):
    slope = (sp.diff(exponential, w) / ridge).subs(mass, -kappa_mass * ridge)
    yield Equal("J'/λ turns at ln κ", sp.diff(slope, w).subs(w, turning), 0)
    yield Positive("it is convex", sp.diff(slope, w, 2))
    yield Equal("least value", slope.subs(w, turning), least_drift)
    yield Equal("which is 0 at κ = 1/e", least_drift.subs(kappa_mass, sp.exp(-1)), 0)
    far = slope.subs(w, -positive_weight)
    yield Equal(
        "J'/λ grows like e^{-w}",
        sp.limit(far * sp.exp(-positive_weight), positive_weight, sp.oo),
        kappa_mass,
    )
    left = slope.subs(w, turning - z) - least_drift - z**2 / 2  # at u = w - ln κ = -z
    yield Equal("the excess over δ + u²/2 at u = -z", left, sp.exp(z) - 1 - z - z**2 / 2)
    local = sp.series(slope.subs(w, turning + z), z, 0, 3).removeO()
    yield Equal("near the least value", sp.expand(local), least_drift + z**2 / 2)
    u = sp.Symbol("u", real=True)
    yield Equal(
        "passage time", sp.integrate(1 / (excess + u**2 / 2), (u, -sp.oo, sp.oo)) / ridge, escape
    )
    yield Equal("half of the passage time", escape / 2, sp.pi / (ridge * sp.sqrt(2 * excess)))


distance = sp.Symbol("distance", positive=True)  # w + 1, or its size below -1
start_distance = sp.Symbol("start_distance", positive=True)
descent, fall_time = sp.symbols("slope_v fall_time", real=True)


def _semistable(ridge, distance, start_distance, weight):
    """Times of the flow at K/λ = -1/e by quadrature, and J'(w) by a difference quotient."""
    mass = -ridge * mpmath.exp(-1)
    return {
        time: scalar_measures.time_between(start_distance, distance) / ridge,
        fall_time: scalar_measures.time_below(distance) / ridge,
        descent: scalar_measures.derivative(
            scalar_measures.one_weight_objective(mass, ridge), weight
        ),
    }


@claim(
    "semistable-approach",
    statement=(
        "At K/λ = −1/e the only stationary point is w = −1. From above, v = w + 1 falls from v₀ "
        "to v in a time t with 2/v − 2/v₀ < λt < 2/v − 2/v₀ + ln(v₀/v). From w = −1 − v the flow "
        "reaches −∞ before the time 2/(λv)."
    ),
    explanation=(
        "With v = w + 1 the flow is v' = -λ(v - 1 + e^{-v}). The bracket lies between v²/(2 + v) "
        "and v²/2 for v > 0, and above v²/2 for v < 0. Both bounds of λt are 2/v to leading "
        "order, so w + 1 ~ 2/(λt)."
    ),
    where="Lemma 2 at its end: K/λ = -1/e",
    domain="exponential loss, gradient flow; 0 < v < v₀",
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.coordinate.stationary_points",
    theorem=Theorem(
        domain={
            ridge: positive,
            distance: positive_within(3),  # quadrature over 6 decades
            start_distance: positive_within(3),
            w: real,
        },
        hypotheses=(Lt(distance, start_distance),),
        conclusions={
            "one stationary point": Iff(Eq(descent / ridge, 0), Eq(w, -1)),
            "from above, at least": Gt(ridge * time, 2 / distance - 2 / start_distance),
            "from above, at most": Lt(
                ridge * time,
                2 / distance - 2 / start_distance + sp.log(start_distance / distance),
            ),
            "from below": Lt(ridge * fall_time, 2 / distance),
        },
        measure=_semistable,
        points=10,
        most_digits=60,
    ),
    joins=[
        join(
            "tangent line",
            "one stationary point",
            use=(
                "flow in v = w + 1",
                "w = -1 is stationary",
                "v' = -λ (e^{-v} - (1 - v)), and e^{-v} > 1 - v",
            ),
        ),
        join(
            "sign",
            "from above, at least",
            sign=(
                "flow in v = w + 1",
                "bracket of the upper bound",
                "it falls from 0",
                "known:the time is the integral of 1/velocity",
            ),
        ),
        join(
            "sign",
            "from above, at most",
            sign=(
                "flow in v = w + 1",
                "slope of e^v (2 - v)/(2 + v)",
                "it falls from 1",
                "integral of the upper bound",
                "known:the time is the integral of 1/velocity",
            ),
        ),
        join(
            "sign",
            "from below",
            sign=(
                "flow in v = w + 1",
                "e^v - 1 - v - v²/2 has the slope e^v - 1 - v",
                "integral of the bound below",
                "known:e^v > 1 + v",
            ),
        ),
    ],
    counterexample="a start w > -1 from which (w(t) + 1) t tends to another number than 2/λ",
)
def semistable_approach(flow=ridge * (1 - z - sp.exp(-z)), upper=(2 + z) / z**2):
    velocity = -sp.diff(exponential, w).subs(mass, -ridge * sp.exp(-1))
    yield Equal("flow in v = w + 1", velocity.subs(w, z - 1), flow)
    yield Equal("w = -1 is stationary", velocity.subs(w, -1), 0)
    yield Equal(
        "v' = -λ (e^{-v} - (1 - v)), and e^{-v} > 1 - v", -flow / ridge, sp.exp(-z) - (1 - z)
    )
    # From above: v²/(2 + v) < v - 1 + e^-v < v²/2.
    excess_over = z - 1 + sp.exp(-z) - z**2 / 2
    yield Equal("bracket of the upper bound", sp.diff(excess_over, z, 2), sp.exp(-z) - 1)
    yield Equal(
        "it falls from 0",
        sp.Matrix([sp.diff(excess_over, z, k).subs(z, 0) for k in range(3)]),
        sp.zeros(3, 1),
    )
    # e^v (2 - v)/(2 + v) < 1 says that e^-v > 1 - v + 1/upper.
    ratio = sp.exp(z) * (1 - z + 1 / upper)
    yield Positive("slope of e^v (2 - v)/(2 + v)", -sp.diff(ratio, z))
    yield Equal("it falls from 1", sp.limit(ratio, z, 0), 1)
    yield Equal("integral of the upper bound", sp.diff(-2 / z + sp.log(z), z), upper)
    # From below, with v = -w - 1: the velocity of v is λ(e^v - 1 - v) > λ v²/2.
    falling = velocity.subs(w, -1 - z) / -ridge
    yield Equal(
        "e^v - 1 - v - v²/2 has the slope e^v - 1 - v",
        sp.diff(falling - z**2 / 2, z),
        sp.exp(z) - 1 - z,
    )
    yield Equal("integral of the bound below", sp.diff(-2 / z, z), 2 / z**2)


shift = sp.Symbol("h", positive=True)
D_at_lower, DA_at_lower, D_at_upper = sp.symbols("D_at_lower DA_at_lower D_at_upper", real=True)
D_before, DA_before, D_after = sp.symbols("D_before DA_before D_after", real=True)
slope_lower, slope_upper = sp.symbols("slope_lower slope_upper", real=True)


def _ends_of_the_range(ridge, h, loss, **counts):
    """Minima at the ends of Lemma 3's range and beyond, and slopes by difference quotients."""
    retain_size, forget_size = counts["retain_size"], counts["forget_size"]
    lower = forget_size**2 / (retain_size * (2 * forget_size + retain_size))
    upper = forget_size / retain_size

    def minimum_of(name, alpha):
        masses = dict(masses_by_eq_1(alpha=alpha, **counts))
        return measures.weight(masses[name], ridge, loss)

    def first_gap(alpha):
        return minimum_of(w_D, alpha) - minimum_of(w_DA, alpha)

    return {
        w_R: minimum_of(w_R, upper),
        D_at_lower: minimum_of(w_D, lower),
        DA_at_lower: minimum_of(w_DA, lower),
        D_at_upper: minimum_of(w_D, upper),
        D_before: minimum_of(w_D, lower / (1 + h)),
        DA_before: minimum_of(w_DA, lower / (1 + h)),
        D_after: minimum_of(w_D, upper * (1 + h)),
        slope_lower: lower * scalar_measures.derivative(first_gap, lower),
        slope_upper: upper * scalar_measures.derivative(lambda a: -minimum_of(w_D, a), upper),
    }


@claim(
    "order-range-sharp",
    statement=(
        "Both ends of Lemma 3's range are attained: w_D = w_DA at f²/(r(f+n)), and w_D = w_R at "
        "f/r. There w_D − w_DA rises and w_R − w_D falls in α, each with nonzero slope. Beyond "
        "either end, however near, the order is lost."
    ),
    explanation=(
        "The differences of the masses are linear in α. At the lower end K_D = K_DA = r_j "
        "n/(r(n+f)); at the upper end w_DA = 0."
    ),
    where="Lemma 3, its sharpness",
    domain="λ, r_j > 0; any margin loss with φ decreasing",
    origin="new",
    evidence="proved",
    backs="gda_theory.pair.coordinate.order_range",
    theorem=Theorem(
        domain={
            **{symbol: ranged for symbol, ranged in COUNTS.items() if symbol != alpha},
            shift: positive,
            loss: OneOf(measures.DECREASING, others=(measures.WAVY,)),
        },
        conclusions={
            "lower end": Eq(D_at_lower, DA_at_lower),
            "upper end": Eq(D_at_upper, w_R),
            "slope at the lower end": Gt(slope_lower / D_at_lower, 0),
            "slope at the upper end": Lt(slope_upper / D_at_upper, 0),
            "beyond the lower end": Lt(D_before, DA_before),
            "beyond the upper end": Gt(D_after, w_R),
        },
        measure=_ends_of_the_range,
        points=10,
    ),
    joins=[
        join(
            "identity",
            ("lower end", "upper end"),
            equation=(
                "K_D at the lower end",
                "K_DA at the lower end",
                "K_DA at the upper end",
                "claim:lemma-3-order",
            ),
        ),
        join(
            "implicit function",
            "weights rise with masses, with positive slope",
            jacobian="z = w/φ(w) has a positive slope, as φ' = -e < 0",
            smooth="known:φ is smooth",
        ),
        join(
            "sign",
            ("slope at the lower end", "slope at the upper end"),
            sign=(
                "slope of K_D - K_DA",
                "slope of K_R - K_D",
                "lower slope",
                "upper slope",
                "weights rise with masses, with positive slope",
            ),
        ),
        join(
            "sign",
            ("beyond the lower end", "beyond the upper end"),
            sign="claim:lemma-3-order",
        ),
    ],
    counterexample="an α outside the range, however near, with w_DA <= w_D <= w_R",
)
def lemma_3_sharp(
    lower_slope=on_coordinate * (total + forget) / (forget * total),
    upper_slope=-on_coordinate / total,
    at_lower=on_coordinate * total / (retain * (total + forget)),
):
    lower, upper = forget**2 / (retain * (forget + total)), forget / retain
    yield Equal(
        "slope of K_D - K_DA", sp.diff(pretrain_mass - descent_ascent_mass, alpha), lower_slope
    )
    yield Equal("slope of K_R - K_D", sp.diff(retrain_mass - pretrain_mass, alpha), upper_slope)
    yield Equal("K_D at the lower end", pretrain_mass.subs(alpha, lower), at_lower)
    yield Equal("K_DA at the lower end", descent_ascent_mass.subs(alpha, lower), at_lower)
    yield Equal("K_DA at the upper end", descent_ascent_mass.subs(alpha, upper), 0)
    yield Positive("lower slope", lower_slope)
    yield Positive("upper slope", -upper_slope)
    slope = sp.diff(w / phi(w), w).subs(sp.diff(phi(w), w), -rise).subs(phi(w), phi_w)
    yield Positive(
        "z = w/φ(w) has a positive slope, as φ' = -e < 0", slope.subs(w, positive_weight)
    )
