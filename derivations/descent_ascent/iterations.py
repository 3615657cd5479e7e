"""Alternating steps (App. D.3): the exact maps, what they imitate, and where only they rest.

One coordinate has the masses ``a = r_j/r`` (retained) and ``b = α r_j/f`` (forgotten). A half-step
is ``w ← w − η(λw ∓ mass φ(w))``.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import sympy as sp

from derivations.ledger.ledger import claim
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import a, below_one, phi, ridge, w

eta = sp.Symbol("eta", positive=True)
forgotten_mass = sp.Symbol("b_+", positive=True)  # the forgotten mass, positive
contrast = sp.Symbol("L", positive=True)  # ln(b/a) > 0

descent = ridge * w - a * sp.exp(-w)  # d: gradient of the retain half-step
ascent = ridge * w + forgotten_mass * sp.exp(-w)  # g: gradient of the forget half-step


def half_step(weight, signed_mass, slope=lambda margin: sp.exp(-margin), step=eta, penalty=ridge):
    """``w − η(λw − K φ(w))``."""
    return weight - step * (penalty * weight - signed_mass * slope(weight))


def composed(first, second, **options):
    """Two half-steps, one after the other."""
    return half_step(half_step(w, first, **options), second, **options)


@claim(
    "alternating-maps",
    statement=(
        "Descent first: w'' = w − ηd − ηλ(w−ηd) − ηb e^{-w} e^{ηd}. Ascent first: w'' = w − ηg − "
        "ηλ(w−ηg) + ηa e^{-w} e^{ηg}."
    ),
    explanation=(
        "Here d = λw − a e^{-w} and g = λw + b e^{-w}. Composing the half-steps gives the maps. "
        "Taylor's formula at η = 0 gives their terms. The η² terms are d(λ − b e^{-w}) and g(λ + a "
        "e^{-w}); the η³ terms are −½ b e^{-w} d² and +½ a e^{-w} g². So descent first acts "
        "against divergence at second order, and for it at third order."
    ),
    where="App. D.3",
    domain="a, b, λ, η > 0, w real",
    origin="paper",
    evidence="proved",
    backs="gda_theory.dynamics.simulation.epoch",
    counterexample=(
        "a weight and a step at which two half-steps made one after the other end elsewhere"
    ),
)
def alternating_maps(
    descent_first=w
    - eta * descent
    - eta * ridge * (w - eta * descent)
    - eta * forgotten_mass * sp.exp(-w) * sp.exp(eta * descent),
    ascent_first=w
    - eta * ascent
    - eta * ridge * (w - eta * ascent)
    + eta * a * sp.exp(-w) * sp.exp(eta * ascent),
    descent_second_order=descent * (ridge - forgotten_mass * sp.exp(-w)),
    ascent_second_order=ascent * (ridge + a * sp.exp(-w)),
    descent_third_order=-forgotten_mass * sp.exp(-w) * descent**2 / 2,
    ascent_third_order=a * sp.exp(-w) * ascent**2 / 2,
):
    for name, first, second, claimed in (
        ("descent", a, -forgotten_mass, descent_first),
        ("ascent", -forgotten_mass, a, ascent_first),
    ):
        yield Equal(f"{name} first, composed", composed(first, second), claimed)
    orders = (
        (2, descent_second_order, ascent_second_order),
        (3, descent_third_order, ascent_third_order),
    )
    for order, after_descent, after_ascent in orders:
        for name, first, second, claimed in (
            ("descent", a, -forgotten_mass, after_descent),
            ("ascent", -forgotten_mass, a, after_ascent),
        ):
            taylor = sp.diff(composed(first, second), eta, order).subs(eta, 0) / sp.factorial(order)
            yield Equal(f"{name} first, coefficient of η^{order}", taylor, claimed)


@claim(
    "effective-ridge",
    statement=(
        "To first order in η both alternating orders are simultaneous descent-ascent with the "
        "ridge doubled."
    ),
    explanation=(
        "w'' = w − η(2λw − (a − b)φ(w)) + O(η²). Each half-step has the full ridge, and to first "
        "order the half-steps add up."
    ),
    where="App. D.3",
    domain="any margin loss, λ > 0",
    origin="paper",
    evidence="proved",
    backs=["gda_theory.dynamics.outcomes.explain", "gda_theory.dynamics.simulation.simulate"],
    rules=["Taylor"],
    counterexample=(
        "a weight at which the slope of the alternating map in η is not simultaneous "
        "descent-ascent's at ridge 2λ"
    ),
)
def effective_ridge(velocity=-(2 * ridge * w - (a - forgotten_mass) * phi(w))):
    for name, first, second in (("descent", a, -forgotten_mass), ("ascent", -forgotten_mass, a)):
        slope = sp.diff(composed(first, second, slope=phi), eta).subs(eta, 0).doit()
        yield Equal(f"{name} first, slope in η at 0", slope, velocity)
    simultaneous = half_step(w, a - forgotten_mass, slope=phi, penalty=2 * ridge)
    yield Equal("simultaneous at twice the ridge", sp.diff(simultaneous, eta).doit(), velocity)


@claim(
    "alternating-fixed-point",
    statement=(
        "Alternating descent-ascent always has a fixed point. As λ → 0 it is w* = ln(ηa/ln(b/a)) "
        "with descent first, and ln(ηb/ln(b/a)) with ascent first."
    ),
    explanation=(
        "With h = ηλ in (0, 1), the map minus w is continuous and changes sign.\n\n"
        "*Descent first*, with half-way point w₁ = (1−h)w + ηa e^{-w}. At w = ηa/h, e^{-w} < 1 "
        "gives map − w < −(1 − (1−h)²)w + (1−h)ηa < 0. At w = −T with T = ηb + 2/(ηa), e^T > T²/2 "
        "gives w₁ > T(ηaT/2 − 1) > 0. So e^{-w₁} < 1, and map − w > T − ηb > 0.\n\n"
        "*Ascent first*, with w₁ = (1−h)w − ηb e^{-w}. At w = ηb/(1−h) + ηa/h, w₁ > 0, so map − w "
        "< −(1 − (1−h)²)w + ηa < 0. At w = −T with T = 2/(η²ab), S = −w₁ > ηb e^T > ηbT = 2/(ηa). "
        "Then e^S > S²/2 gives map − w > S(ηaS/2 − 1) + T > 0.\n\n"
        "At λ = 0 the fixed point solves a e^{-w} = b e^{-w₁}."
    ),
    where="App. D.3",
    domain="a, b > 0, 0 < ηλ < 1; the closed form as λ → 0 with b > a",
    origin="new",
    evidence="proved",
    backs=[
        "gda_theory.pair.coordinate.alternating_rest",
        "gda_theory.dynamics.simulation.simulate",
    ],
    rules=["intermediate value", "tangent line"],
    counterexample="a step with ηλ < 1 at which one of the two maps has no fixed point",
)
def alternating_fixed_point(
    descent_first=sp.log(eta * a / contrast),
    ascent_first=sp.log(eta * a * sp.exp(contrast) / contrast),
):
    h = below_one
    large = eta * a / below_one
    descent_up = eta * forgotten_mass + 2 / (eta * a)
    ascent_down = eta * forgotten_mass / (1 - h) + eta * a / h
    yield Positive("descent first, down at ηa/h", (1 - (1 - h) ** 2) * large - (1 - h) * eta * a)
    yield Positive("descent first, half-way point at -T", eta * a * descent_up / 2 - 1)
    yield Positive("descent first, up at -T", descent_up - eta * forgotten_mass)
    yield Positive(
        "ascent first, half-way point is positive", (1 - h) * ascent_down - eta * forgotten_mass
    )
    yield Positive("ascent first, down there", (1 - (1 - h) ** 2) * ascent_down - eta * a)
    depth = 2 / (eta**2 * a * forgotten_mass)
    yield Positive(
        "ascent first, up at -T", eta * a * (eta * forgotten_mass * depth) / 2 - 1 + depth
    )
    for name, first, second, rest in _orders_at_rest(descent_first, ascent_first):
        yield Equal(
            f"{name} first, ridge 0: at rest",
            composed(first, second, penalty=0).subs(w, rest),
            rest,
        )


def _orders_at_rest(descent_first, ascent_first):
    """The two orders with b = a e^L, and where they rest."""
    heavier = a * sp.exp(contrast)
    return ("descent", a, -heavier, descent_first), ("ascent", -heavier, a, ascent_first)


@claim(
    "alternating-multiplier",
    statement=(
        "The fixed point's multiplier is 1 − ln²(b/a), for both orders and every step. So it is "
        "stable exactly when b/a < e^{√2} = 4.1133, where a period doubling occurs."
    ),
    explanation=(
        "Differentiate the map at the fixed point. The multiplier falls from 1, and passes −1 at "
        "ln(b/a) = √2."
    ),
    where="App. D.3",
    domain="λ → 0, b > a > 0, any η > 0",
    origin="new",
    evidence="proved",
    backs=[
        "gda_theory.pair.coordinate.alternating_rest",
        "gda_theory.dynamics.simulation.epoch_jacobian",
        "gda_theory.dynamics.simulation.simulate",
    ],
    rules=["monotone bijection"],
    counterexample=(
        "a ratio b/a below e^√2 at which the map leaves its fixed point, or one above at which it "
        "settles there"
    ),
)
def alternating_multiplier(multiplier=1 - contrast**2, threshold=sp.sqrt(2)):
    for name, first, second, rest in _orders_at_rest(
        sp.log(eta * a / contrast), sp.log(eta * a * sp.exp(contrast) / contrast)
    ):
        yield Equal(
            f"{name} first, slope of the map",
            sp.diff(composed(first, second, penalty=0), w).subs(w, rest),
            multiplier,
        )
    yield Equal("it is -1 at the threshold", multiplier.subs(contrast, threshold), -1)
    yield Positive("ln(b/a) is positive there", threshold)
    yield Positive("and falls as b/a grows", -sp.diff(multiplier, contrast))


@claim(
    "alternating-second-order-sign",
    statement=(
        "Where descent-ascent runs away, w → −∞, the η² terms of both orders are positive: they "
        "act against the divergence. The η³ term acts with it if descent comes first (−½b e^{−w}d² "
        "≤ 0), and against it if ascent does (+½a e^{−w}g² ≥ 0)."
    ),
    explanation=(
        "For w <= 0, d = λw - a e^{-w} < 0; and λ - b e^{-w} < 0, so their product is positive. g "
        "= λw + b e^{-w} > 0 where the forget term outweighs the ridge, as it does for w → −∞. The "
        "text of App. D.3 says ascent first, and its formulas are those of descent first; their η² "
        "terms differ."
    ),
    where="App. D.3: do alternating steps act against divergence?",
    domain=(
        "exponential loss, λ, η, a, b > 0; descent first where w <= 0 and b e^{-w} > λ; ascent "
        "first where b e^{-w} > -λw"
    ),
    origin="new",
    evidence="proved",
    backs="gda_theory.dynamics.simulation.simulate",
    rules=["Taylor"],
    counterexample="a weight of the domain at which the η² term points towards -oo",
)
def second_order_sign(
    descent_term=descent * (ridge - forgotten_mass * sp.exp(-w)),
    ascent_term=ascent * (ridge + a * sp.exp(-w)),
    descent_third=-forgotten_mass * sp.exp(-w) * descent**2 / 2,
    ascent_third=a * sp.exp(-w) * ascent**2 / 2,
):
    orders = (
        (a, -forgotten_mass, descent_term, descent_third),
        (-forgotten_mass, a, ascent_term, ascent_third),
    )
    for name, (first, second, quadratic, cubic) in zip(("descent", "ascent"), orders, strict=True):
        for order, term in ((2, quadratic), (3, cubic)):
            taylor = sp.diff(composed(first, second), eta, order).subs(eta, 0) / sp.factorial(order)
            yield Equal(f"{name} first, coefficient of η^{order}", taylor, term)
    low, excess = sp.symbols("u t", positive=True)  # w = -u
    beaten = {forgotten_mass: (ridge + excess) * sp.exp(-low)}  # b e^{-w} = λ + t
    yield Positive("descent first, η²", descent_term.subs(w, -low).subs(beaten))
    outweighed = {forgotten_mass: (ridge * low + excess) * sp.exp(-low)}  # b e^{-w} = -λw + t
    yield Positive("ascent first, η²", ascent_term.subs(w, -low).subs(outweighed))
    yield Positive("descent first, -η³", -descent_third, strict=False)
    yield Positive("ascent first, η³", ascent_third, strict=False)
