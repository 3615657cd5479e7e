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
deviation = sp.Symbol("z", real=True)  # weight minus the fixed point

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
        "linearly stable exactly when b/a < e^{√2} = 4.1133. At equality the multiplier is −1; the "
        "point still attracts (alternating-doubling)."
    ),
    explanation=(
        "Measure the weight from the fixed point. With L = ln(b/a) the map is then z + L e^{-z} - "
        "L e^{-z} e^{L(1 - e^{-z})} with descent first, and z - L e^{-z} + L e^{-z} e^{L(e^{-z} - "
        "1)} with ascent first. Neither depends on the step size. Differentiate at z = 0. The "
        "multiplier falls from 1, and passes −1 at L = √2."
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
        "a ratio b/a up to e^√2 at which the map leaves its fixed point, or one above at which it "
        "settles there"
    ),
)
def alternating_multiplier(
    multiplier=1 - contrast**2,
    threshold=sp.sqrt(2),
    descent_map=deviation
    + contrast * sp.exp(-deviation) * (1 - sp.exp(contrast * (1 - sp.exp(-deviation)))),
    ascent_map=deviation
    - contrast * sp.exp(-deviation) * (1 - sp.exp(contrast * (sp.exp(-deviation) - 1))),
):
    maps = {"descent": descent_map, "ascent": ascent_map}
    for name, first, second, rest in _orders_at_rest(
        sp.log(eta * a / contrast), sp.log(eta * a * sp.exp(contrast) / contrast)
    ):
        yield Equal(
            f"{name} first, slope of the map",
            sp.diff(composed(first, second, penalty=0), w).subs(w, rest),
            multiplier,
        )
        moved = composed(first, second, penalty=0).subs(w, rest + deviation) - rest
        yield Equal(f"{name} first, the map about its fixed point", moved, maps[name])
    yield Equal("it is -1 at the threshold", multiplier.subs(contrast, threshold), -1)
    yield Positive("ln(b/a) is positive there", threshold)
    yield Positive("it is below 1", 1 - multiplier)
    yield Positive("and falls as b/a grows", -sp.diff(multiplier, contrast))


# Half-steps in the words of alternating-doubling: c = 1 - ηλ, and the slopes c - p and c + r.
kept, down, up = sp.symbols("c p r", positive=True)
slope_sum = kept + up
critical_down = kept + 1 / slope_sum  # p where (c - p)(c + r) = -1
descent_derivatives = (
    (kept - down) * slope_sum,
    -up * (kept - down) ** 2 + slope_sum * down,
    up * (kept - down) ** 3 - 3 * up * (kept - down) * down - slope_sum * down,
)
ascent_derivatives = (
    (kept - down) * slope_sum,
    down * slope_sum**2 - (kept - down) * up,
    -down * slope_sum**3 - 3 * down * slope_sum * up + (kept - down) * up,
)


def bending(derivatives):
    """Half the square of the second derivative plus a third of the third one."""
    return derivatives[1] ** 2 / 2 + derivatives[2] / 3


@claim(
    "alternating-doubling",
    statement=(
        "For 0 ≤ ηλ ≤ 1/2, wherever the multiplier of a fixed point is −1, both orders have ½f″² + "
        "⅓f‴ > 0 there. It passes −1 with nonzero speed as b grows. So the point still attracts, "
        "like n^{−1/2}, and the period doubling is supercritical: beyond it a 2-cycle attracts. At "
        "λ = 0 this is at b/a = e^{√2}, for every η; S = ½f″² + ⅓f‴ is 16 − 8√2 = 4.69 with descent "
        "first and 16 + 8√2 = 27.3 with ascent first."
    ),
    explanation=(
        "Let c = 1 - ηλ. At a fixed point let p = ηa e^{-w} before the descent, and r = ηb e^{-w} "
        "before the ascent. The half-steps have slopes c - p and c + r there. Their second and "
        "third derivatives are p, -p and -r, r. So a multiplier of -1 means p = c + 1/(c+r), and S "
        "is a rational function of c and r. All its coefficients are positive at c = 1/2 + d. S of "
        "ascent first is (c+r)² times that of descent first, as one half-step conjugates the two "
        "maps.\n\n"
        "Two epochs are z - S z³ + O(z⁴), so z² falls like 1/(Sn) after n of the single epochs. "
        "The rest is the theorem on period doubling. Its hypotheses are f' = -1, S ≠ 0 and a "
        "multiplier that moves. For ηλ near 1 the sign of S may change: it is negative at c = r = "
        "1/10. At a fixed point ln(b/a) = ln(r/p) + (p+r)/(1+c), which gives the b/a of the "
        "doubling."
    ),
    where="App. D.3",
    domain="exponential loss, one coordinate, a, b, η > 0, λ >= 0, ηλ <= 1/2",
    origin="new",
    evidence="proved",
    backs=["gda_theory.pair.coordinate.alternating_rest"],
    rules=["implicit function", "Taylor"],
    counterexample="ηλ <= 1/2 and masses with multiplier -1 at which the fixed point repels",
)
def alternating_doubling(
    margin=(slope_sum**2 + 1)
    * (
        3 * kept**2 * slope_sum**4
        + kept**2 * (kept + 3 * up) ** 2
        + 4 * kept * up**3
        + up**2
        - 2 * kept * up
    )
    / (6 * slope_sum**4),
    speed=-up
    * (slope_sum + 1)
    * (kept * up**2 + (2 * kept**2 - kept + 1) * up + kept**3 - kept**2 + 2 * kept)
    / (2 * slope_sum**2),
    descent_at_zero=16 - 8 * sp.sqrt(2),
    ascent_at_zero=16 + 8 * sp.sqrt(2),
    log_ratio=sp.log(up / down) + (down + up) / (1 + kept),
):
    at_doubling = {down: critical_down}
    yield Equal("the multiplier there", descent_derivatives[0].subs(at_doubling), -1)
    orders = (
        ("descent", a, -forgotten_mass, descent_derivatives),
        ("ascent", -forgotten_mass, a, ascent_derivatives),
    )
    for name, first, second, derivatives in orders:
        between = half_step(w, first)
        before_descent, before_ascent = (w, between) if name == "descent" else (between, w)
        slopes = {
            kept: 1 - eta * ridge,
            down: eta * a * sp.exp(-before_descent),
            up: eta * forgotten_mass * sp.exp(-before_ascent),
        }
        for order, derivative in enumerate(derivatives, 1):
            yield Equal(
                f"{name} first, derivative {order}",
                sp.diff(composed(first, second), w, order),
                derivative.subs(slopes, simultaneous=True),
            )
    bent = [bending(derivatives).subs(at_doubling) for *_, derivatives in orders]
    yield Equal("S, descent first", bent[0], margin)
    yield Equal("S, ascent first", bent[1], margin * slope_sum**2)
    from_half = sp.Symbol("d", nonnegative=True)  # c = 1/2 + d
    at_least_half = {kept: sp.Rational(1, 2) + from_half}
    yield Positive("S for c >= 1/2", margin.subs(at_least_half))
    tenth = sp.Rational(1, 10)
    yield Positive("but not for every c", -margin.subs({kept: tenth, up: tenth}))
    z, quadratic, cubic = sp.symbols("z alpha_2 beta_3", real=True)
    once = -z + quadratic * z**2 + cubic * z**3
    twice = sp.series(once.subs(z, once), z, 0, 4).removeO()
    yield Equal("two epochs, f'' = 2α, f''' = 6β", twice, z - (2 * quadratic**2 + 2 * cubic) * z**3)
    # Descent first. As b changes, the fixed point moves by f_b/(1 - f') = f_b/2 per unit.
    by_mass = sp.diff(composed(a, -forgotten_mass), forgotten_mass) * forgotten_mass
    between = half_step(w, a)
    slopes = {
        kept: 1 - eta * ridge,
        down: eta * a * sp.exp(-w),
        up: eta * forgotten_mass * sp.exp(-between),
    }
    yield Equal("the map's slope in ln b", by_mass, -slopes[up])
    yield Equal(
        "the multiplier's, at fixed w",
        sp.diff(by_mass, w),
        ((kept - down) * up).subs(slopes, simultaneous=True),
    )
    total = (kept - down) * up + descent_derivatives[1] * (-up) / 2
    yield Equal("the multiplier's speed in ln b", total.subs(at_doubling), speed)
    yield Positive("it falls", -speed.subs(at_least_half))
    without_ridge = {kept: 1, up: sp.sqrt(2), down: sp.sqrt(2)}
    yield Equal("λ = 0: p = r = √2", critical_down.subs(without_ridge), sp.sqrt(2))
    yield Equal("λ = 0, descent first", margin.subs(without_ridge), descent_at_zero)
    scaled = (margin * slope_sum**2).subs(without_ridge)
    yield Equal("λ = 0, ascent first", scaled, ascent_at_zero)
    yield Equal("λ = 0: ln(b/a)", log_ratio.subs(without_ridge), sp.sqrt(2))
    start, middle = sp.symbols("w_0 w_1", real=True)
    rest = sp.solve(
        (kept * start + down - middle, kept * middle - up - start), (start, middle), dict=True
    )[0]
    # a = p e^{w_0}/η and b = r e^{w_1}/η
    at_rest = sp.log(up / down) + rest[middle] - rest[start]
    yield Equal("ln(b/a) at any fixed point", at_rest, log_ratio)


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
