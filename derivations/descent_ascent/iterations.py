"""Alternating steps (App. D.3): the exact maps, what they imitate, and where only they rest.

One coordinate has the masses ``a = r_j/r`` (retained) and ``b = α r_j/f`` (forgotten). A half-step
is ``w ← w − η(λw ∓ mass φ(w))``.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import sympy as sp

from derivations.descent_ascent import alternating_numbers
from derivations.descent_ascent.pair_numbers import ANY_LOSS, loss
from derivations.ledger.domains import between, positive_within
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import a, phi, ridge, w
from derivations.ledger.theorems import (
    Eq,
    Ge,
    Gt,
    Iff,
    Implies,
    Lt,
    Order,
    Printed,
    Theorem,
    limit,
)

eta = sp.Symbol("eta", positive=True)
forgotten_mass = sp.Symbol("b", positive=True)  # the forgotten mass, positive
contrast = sp.Symbol("L", positive=True)  # ln(b/a) > 0
deviation = sp.Symbol("z", real=True)  # weight minus the fixed point
mass_ratio = sp.Symbol("ratio", positive=True)  # b/a
decay_share = sp.Symbol("h", positive=True)  # ηλ

ORDER_NAMES = {"descent": "D", "ascent": "A"}
# Slopes are difference quotients, and e^{ηd} must have a moderate exponent.
MODERATE_MASSES = {
    w: between(None, None, decades=1),
    ridge: positive_within(2),
    a: positive_within(2),
    forgotten_mass: positive_within(2),
}

descent = ridge * w - a * sp.exp(-w)  # d: gradient of the retain half-step
ascent = ridge * w + forgotten_mass * sp.exp(-w)  # g: gradient of the forget half-step


def half_step(weight, signed_mass, slope=lambda margin: sp.exp(-margin), step=eta, penalty=ridge):
    """``w − η(λw − K φ(w))``."""
    return weight - step * (penalty * weight - signed_mass * slope(weight))


def composed(first, second, **options):
    """Two half-steps, one after the other."""
    return half_step(half_step(w, first, **options), second, **options)


MAPS = {
    "D": w
    - eta * descent
    - eta * ridge * (w - eta * descent)
    - eta * forgotten_mass * sp.exp(-w) * sp.exp(eta * descent),
    "A": w
    - eta * ascent
    - eta * ridge * (w - eta * ascent)
    + eta * a * sp.exp(-w) * sp.exp(eta * ascent),
}
# Coefficients of η, η² and η³ in the maps.
FIRST = -descent - ascent
SECOND = {
    "D": descent * (ridge - forgotten_mass * sp.exp(-w)),
    "A": ascent * (ridge + a * sp.exp(-w)),
}
THIRD = {
    "D": -forgotten_mass * sp.exp(-w) * descent**2 / 2,
    "A": a * sp.exp(-w) * ascent**2 / 2,
}


def _up_to_third(order):
    """The map is its terms up to η³, and an error O(η⁴)."""
    small = alternating_numbers.small
    terms = w + small * FIRST + small**2 * SECOND[order] + small**3 * THIRD[order]
    error = alternating_numbers.end[order] - terms
    return Order(error, small, sp.Integer(4), at=("1e-40", "1e-41"))


@claim(
    "alternating-maps",
    statement=(
        "Descent first: w'' = w − ηd − ηλ(w−ηd) − ηb e^{-w} e^{ηd}. Ascent first: w'' = w − ηg − "
        "ηλ(w−ηg) + ηa e^{-w} e^{ηg}. Up to O(η⁴), η² has the factors d(λ − b e^{-w}) and g(λ + a "
        "e^{-w}). The factors of η³ are −½ b e^{-w} d² and ½ a e^{-w} g²."
    ),
    explanation=(
        "Here d = λw − a e^{-w} and g = λw + b e^{-w}. Composing the half-steps gives the maps. "
        "Taylor's formula at η = 0 gives their terms."
    ),
    where="App. D.3",
    domain="a, b, λ, η > 0, w real",
    origin="paper",
    evidence="proved",
    backs="gda_theory.dynamics.simulation.epoch",
    theorem=Theorem(
        domain={**MODERATE_MASSES, eta: positive_within(2)},
        conclusions={
            "descent first": Eq(alternating_numbers.end["D"], MAPS["D"]),
            "ascent first": Eq(alternating_numbers.end["A"], MAPS["A"]),
            "descent first, terms": _up_to_third("D"),
            "ascent first, terms": _up_to_third("A"),
        },
        measure=alternating_numbers.one_epoch,
        digits=250,
        most_digits=250,
        points=8,
    ),
    joins=[
        *(
            join("identity", f"{name} first", equation=f"{name} first, composed")
            for name in ORDER_NAMES
        ),
        *(
            join(
                "Taylor series",
                f"{name} first, terms",
                derivatives=tuple(f"{name} first, coefficient of η^{power}" for power in range(4)),
                smooth=f"{name} first",
            )
            for name in ORDER_NAMES
        ),
    ],
    counterexample=(
        "a weight and a step at which two half-steps made one after the other end elsewhere"
    ),
)
def alternating_maps(
    descent_first=MAPS["D"],
    ascent_first=MAPS["A"],
    descent_second_order=SECOND["D"],
    ascent_second_order=SECOND["A"],
    descent_third_order=THIRD["D"],
    ascent_third_order=THIRD["A"],
):
    for name, first, second, claimed in (
        ("descent", a, -forgotten_mass, descent_first),
        ("ascent", -forgotten_mass, a, ascent_first),
    ):
        yield Equal(f"{name} first, composed", composed(first, second), claimed)
    orders = (
        (0, w, w),
        (1, FIRST, FIRST),
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
        "Both alternating orders are simultaneous descent-ascent with the ridge doubled, up to "
        "O(η²)."
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
    theorem=Theorem(
        domain={**MODERATE_MASSES, loss: ANY_LOSS},
        conclusions={
            name: Order(
                alternating_numbers.end[order] - alternating_numbers.exact_end,
                eta,
                sp.Integer(2),
                at=("1e-20", "1e-21"),
            )
            for name, order in (("descent first", "D"), ("ascent first", "A"))
        },
        measure=alternating_numbers.first_order,
        digits=90,
    ),
    joins=[
        join(
            "Taylor series",
            f"{name} first",
            derivatives=(f"{name} first, slope in η at 0", "simultaneous at twice the ridge"),
            smooth="known:φ is smooth",
        )
        for name in ORDER_NAMES
    ],
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


HEAVIER = Gt(forgotten_mass, a)
SLOW_RIDGE = alternating_numbers.small  # ηλ/ln²(b/a), on its way to 0
REST = {
    "D": sp.log(eta * a / sp.log(forgotten_mass / a)),
    "A": sp.log(eta * forgotten_mass / sp.log(forgotten_mass / a)),
}


@claim(
    "alternating-fixed-point",
    statement=(
        "Alternating descent-ascent has a fixed point for 0 < ηλ ≤ 1. At λ = 0 and b > a it has "
        "exactly one: w* = ln(ηa/ln(b/a)) with descent first, ln(ηb/ln(b/a)) with ascent first. As "
        "λ → 0, a fixed point tends to w*."
    ),
    explanation=(
        "With h = ηλ in (0, 1], the map minus w is continuous and changes sign.\n\n"
        "*Descent first*, with half-way point w₁ = (1−h)w + ηa e^{-w}. At w = ηa/h, e^{-w} < 1 "
        "gives map − w < −(1 − (1−h)²)w + (1−h)ηa < 0. At w = −T with T = ηb + 2/(ηa), e^T > T²/2 "
        "gives w₁ > T(ηaT/2 − 1) > 0. So e^{-w₁} < 1, and map − w > T − ηb > 0.\n\n"
        "*Ascent first*, with w₁ = (1−h)w − ηb e^{-w}. For w > 0, w₁ > −ηb, so map − w < −(1 − "
        "(1−h)²)w + ηa e^{ηb}. This is negative at w = 2ηa e^{ηb}/h. At w = −T with T = 2/(η²ab), "
        "S = −w₁ > ηb e^T > ηbT = 2/(ηa). Then e^S > S²/2 gives map − w > S(ηaS/2 − 1) + T > 0.\n\n"
        "At λ = 0 a fixed point solves a e^{-w} = b e^{-w₁}, which leaves ηa e^{-w} = ln(b/a) with "
        "descent first. There the slope of map − w is −ln²(b/a) (alternating-multiplier). So the "
        "fixed point continues to small λ."
    ),
    where="App. D.3",
    domain="a, b, η > 0, 0 < ηλ <= 1; the closed forms at λ = 0, b > a",
    origin="new",
    evidence="proved",
    backs=[
        "gda_theory.pair.coordinate.alternating_rest",
        "gda_theory.dynamics.simulation.simulate",
    ],
    theorem=Theorem(
        # The grid of weights on which fixed points are counted has its ends at -1e5 and 1e30.
        domain={
            eta: positive_within(4),
            decay_share: between(0, 1, "(]"),
            a: positive_within(4),
            forgotten_mass: positive_within(4),
        },
        conclusions={
            f"{name} first, {what}": conclusion
            for name, order in ORDER_NAMES.items()
            for what, conclusion in (
                ("a fixed point", Ge(alternating_numbers.fixed_points[order], 1)),
                (
                    "one without ridge",
                    Implies(HEAVIER, Eq(alternating_numbers.alone[order], 1)),
                ),
                (
                    "w*",
                    Implies(HEAVIER, Eq(alternating_numbers.rest[order], REST[order])),
                ),
                (
                    "limit",
                    limit(alternating_numbers.off_rest[order], 0, SLOW_RIDGE, at=("1e-8", "1e-9")),
                ),
            )
        },
        measure=alternating_numbers.counted_fixed_points,
        points=10,
    ),
    joins=[
        *(
            join(
                "intermediate value",
                f"{name} first, a fixed point",
                continuous="known:the map is elementary",
                ends=(*ends, "known:e^t > t and e^t > t²/2 for t > 0", "given:h in (0, 1]"),
            )
            for name, ends in (
                (
                    "descent",
                    (
                        "descent first, down at ηa/h",
                        "descent first, half-way point at -T",
                        "descent first, up at -T",
                    ),
                ),
                ("ascent", ("ascent first, down", "ascent first, up at -T")),
            )
        ),
        *(
            join(
                "identity",
                (f"{name} first, w*", f"{name} first, one without ridge"),
                equation=(
                    f"{name} first, ridge 0: at rest",
                    f"{name} first, ridge 0: equal terms have this logarithm",
                    "known:ηa e^{-w} and ηb e^{-w} take each positive value once",
                ),
            )
            for name in ORDER_NAMES
        ),
        *(
            join(
                "implicit function",
                f"{name} first, limit",
                jacobian=(f"{name} first, ridge 0: slope 1 - L² at rest", f"{name} first, w*"),
                smooth="known:the map is elementary",
            )
            for name in ORDER_NAMES
        ),
    ],
    counterexample="a step with ηλ <= 1 at which one of the two maps has no fixed point",
)
def alternating_fixed_point(
    descent_first=sp.log(eta * a / contrast),
    ascent_first=sp.log(eta * a * sp.exp(contrast) / contrast),
):
    h = 1 / (1 + sp.Symbol("t_0", nonnegative=True))
    large = eta * a / h
    descent_up = eta * forgotten_mass + 2 / (eta * a)
    ascent_down = 2 * eta * a * sp.exp(eta * forgotten_mass) / h
    yield Positive("descent first, down at ηa/h", (1 - (1 - h) ** 2) * large - (1 - h) * eta * a)
    yield Positive("descent first, half-way point at -T", eta * a * descent_up / 2 - 1)
    yield Positive("descent first, up at -T", descent_up - eta * forgotten_mass)
    yield Positive(
        "ascent first, down",
        (1 - (1 - h) ** 2) * ascent_down - eta * a * sp.exp(eta * forgotten_mass),
    )
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
        yield Equal(
            f"{name} first, ridge 0: slope 1 - L² at rest",
            sp.diff(composed(first, second, penalty=0), w).subs(w, rest),
            1 - contrast**2,
        )
        # The terms η a e^{-w} and η b e^{-w₁}: the half-way point moves w by the first of them.
        between_steps = half_step(w, first, penalty=0)
        moved = {"descent": between_steps - w, "ascent": w - between_steps}[name]
        terms = eta * a * sp.exp(-w), eta * a * sp.exp(contrast) * sp.exp(-between_steps)
        if name == "ascent":
            terms = eta * a * sp.exp(-between_steps), eta * a * sp.exp(contrast) * sp.exp(-w)
        yield Equal(
            f"{name} first, ridge 0: equal terms have this logarithm",
            sp.expand_log(sp.log(terms[1] / terms[0]), force=False),
            contrast - moved,
        )


def _orders_at_rest(descent_first, ascent_first):
    """The two orders with b = a e^L, and where they rest."""
    heavier = a * sp.exp(contrast)
    return ("descent", a, -heavier, descent_first), ("ascent", -heavier, a, ascent_first)


@claim(
    "alternating-multiplier",
    statement=(
        "At λ = 0 the fixed point's multiplier is 1 − ln²(b/a), for both orders and every step. So "
        "it is linearly stable exactly when b/a < e^{√2} = 4.1133. At equality the multiplier is "
        "−1."
    ),
    explanation=(
        "Measure the weight from the fixed point. Let L = ln(b/a). With descent first the map is "
        "then z + L e^{-z} - L e^{-z} e^{L(1 - e^{-z})}. With ascent first it is z - L e^{-z} + L "
        "e^{-z} e^{L(e^{-z} - 1)}. Neither depends on the step size. Differentiate at z = 0. At "
        "equality the point still attracts (alternating-doubling)."
    ),
    where="App. D.3",
    domain="λ = 0, b > a > 0, any η > 0",
    origin="new",
    evidence="proved",
    backs=[
        "gda_theory.pair.coordinate.alternating_rest",
        "gda_theory.dynamics.simulation.epoch_jacobian",
        "gda_theory.dynamics.simulation.simulate",
    ],
    theorem=Theorem(
        domain={eta: positive_within(6), a: positive_within(6), mass_ratio: between(1, None)},
        conclusions={
            **{
                f"{name} first": Eq(
                    alternating_numbers.multiplier[order], 1 - sp.log(mass_ratio) ** 2
                )
                for name, order in ORDER_NAMES.items()
            },
            **{
                f"{name} first, stability": Iff(
                    Lt(abs(alternating_numbers.multiplier[order]), 1),
                    Lt(mass_ratio, sp.exp(sp.sqrt(2))),
                )
                for name, order in ORDER_NAMES.items()
            },
            **{
                f"{name} first, at e^√2": Eq(alternating_numbers.at_ratio[order], -1)
                for name, order in ORDER_NAMES.items()
            },
            "e^√2": Printed(sp.exp(sp.sqrt(2)), "4.1133"),
        },
        measure=alternating_numbers.multipliers,
        most_digits=60,
        points=8,
    ),
    joins=[
        *(
            join(
                "identity",
                f"{name} first",
                equation=(
                    f"{name} first, slope of the map",
                    f"{name} first, the map about its fixed point",
                    "claim:alternating-fixed-point",
                ),
            )
            for name in ORDER_NAMES
        ),
        *(
            join(
                "identity",
                f"{name} first, at e^√2",
                equation=(
                    f"{name} first",
                    "it is -1 at the threshold",
                    "ln(b/a) is positive there",
                ),
            )
            for name in ORDER_NAMES
        ),
        *(
            join(
                "equivalence",
                f"{name} first, stability",
                identity=(
                    f"{name} first",
                    "1 - m² = L²(2 - L²)",
                    "known:L = ln(b/a) increases with b/a",
                ),
                factor=("L² > 0", "given:ratio in (1, oo)"),
            )
            for name in ORDER_NAMES
        ),
        join("identity", "e^√2", equation="known:the decimals of e^√2"),
    ],
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
    yield Equal("1 - m² = L²(2 - L²)", 1 - multiplier**2, contrast**2 * (2 - contrast**2))
    yield Positive("L² > 0", contrast**2)


# Half-steps in the words of alternating-doubling: c = 1 - ηλ, and the slopes c - p and c + r.
kept, down, up = sp.symbols("c p rise", positive=True)  # "r" is another symbol of the ledger
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


def _doubling_conclusions(name, order, at_zero, digits):
    """What is claimed of one order of the half-steps."""
    bent = alternating_numbers.bend[order]
    z = deviation
    return {
        f"{name} first, multiplier": Eq(alternating_numbers.multiplier[order], -1),
        f"{name} first, S": Gt(bent, 0),
        f"{name} first, passage": Lt(alternating_numbers.multiplier_speed[order], 0),
        f"{name} first, cycle": Lt(abs(alternating_numbers.cycle_multiplier[order]), 1),
        f"{name} first, attraction": Order(
            alternating_numbers.two_epochs[order] - z + bent * z**3,
            z,
            sp.Integer(4),
            at=("1e-9", "1e-10"),
        ),
        f"{name} first, λ = 0": Eq(alternating_numbers.at_ratio[order], -1),
        f"{name} first, S at λ = 0": Eq(alternating_numbers.bend_at_zero[order], at_zero),
        f"{name} first, digits": Printed(alternating_numbers.bend_at_zero[order], digits),
    }


S_AT_ZERO = {"descent": (16 - 8 * sp.sqrt(2), "4.69"), "ascent": (16 + 8 * sp.sqrt(2), "27.3")}


def _doubling_joins(name):
    """How the steps lead to what is claimed of one order."""
    derivatives = tuple(f"{name} first, derivative {n}" for n in (1, 2, 3))
    speed = (
        "the map's slope in ln b",
        "the multiplier's, at fixed w",
        "the multiplier's speed in ln b",
        "it falls",
        "known:maps that are conjugate have the same multipliers",
    )
    return [
        join(
            "identity",
            f"{name} first, multiplier",
            equation=(derivatives[0], "the multiplier there"),
        ),
        join(
            "sign",
            f"{name} first, S",
            sign=(*derivatives, f"S, {name} first", "S for c >= 1/2", "given:c in [1/2, 1)"),
        ),
        join(
            "implicit function",
            f"{name} first, passage",
            jacobian=(f"{name} first, multiplier", *speed),
            smooth="known:the map is elementary",
        ),
        join(
            "Taylor series",
            f"{name} first, attraction",
            derivatives=(f"{name} first, S", "two epochs, f″ = 2α, f‴ = 6β"),
            smooth="known:the map is elementary",
        ),
        join(
            "period doubling",
            f"{name} first, cycle",
            multiplier=f"{name} first, multiplier",
            passage=f"{name} first, passage",
            cubic=f"{name} first, S",
        ),
        join(
            "identity",
            f"{name} first, λ = 0",
            equation=(
                "λ = 0: p = r = √2",
                "ln(b/a) at any fixed point",
                "λ = 0: ln(b/a)",
                "claim:alternating-fixed-point",
                "claim:alternating-multiplier",
            ),
        ),
        join(
            "identity",
            (f"{name} first, S at λ = 0", f"{name} first, digits"),
            equation=(
                f"λ = 0, {name} first",
                f"{name} first, λ = 0",
                f"S, {name} first",
                "known:the decimals of √2",
            ),
        ),
    ]


@claim(
    "alternating-doubling",
    statement=(
        "For 0 ≤ ηλ ≤ 1/2, wherever the multiplier of a fixed point is −1, both orders have S = "
        "½f″² + ⅓f‴ > 0 there. As b grows, the multiplier falls through −1 with nonzero speed. Two "
        "epochs change a deviation z by −Sz³ + O(z⁴), so the point attracts. Beyond the doubling a "
        "2-cycle attracts. At λ = 0 the doubling is at b/a = e^{√2}, for every η. There S is 16 − "
        "8√2 = 4.69 with descent first and 16 + 8√2 = 27.3 with ascent first."
    ),
    explanation=(
        "Let c = 1 - ηλ. At a fixed point let p = ηa e^{-w} before the descent, and r = ηb e^{-w} "
        "before the ascent. The half-steps have slopes c - p and c + r there. Their second and "
        "third derivatives are p, -p and -r, r. So a multiplier of -1 means p = c + 1/(c+r), and S "
        "is a rational function of c and r. All its coefficients are positive at c = 1/2 + d. S of "
        "ascent first is (c+r)² times that of descent first, as one half-step conjugates the two "
        "maps. So they have the same multipliers.\n\n"
        "As two epochs are z - S z³ + O(z⁴), z² falls like 1/(Sn) after n of the single epochs. "
        "The rest is the theorem on period doubling. For ηλ near 1 the sign of S may change: it is "
        "negative at c = r = 1/10. At a fixed point ln(b/a) = ln(r/p) + (p+r)/(1+c), which gives "
        "the b/a of the doubling. At λ = 0 it is p = r = ln(b/a), and p = 1 + 1/(1+r) gives √2."
    ),
    where="App. D.3",
    domain="exponential loss, one coordinate, a, b, η > 0, λ >= 0, ηλ <= 1/2",
    origin="new",
    evidence="proved",
    backs=["gda_theory.pair.coordinate.alternating_rest"],
    theorem=Theorem(
        # c and r (rise) determine p, and with η the masses. Without ridge (c = 1) r is √2.
        # Fixed points are at exponents up to r/(1 - c²): larger ones need more digits.
        domain={
            kept: between("1/2", 1, "[)", decades=3),
            up: positive_within(2),
            eta: positive_within(3),
        },
        conclusions={
            name_of: conclusion
            for name, order in ORDER_NAMES.items()
            for name_of, conclusion in _doubling_conclusions(name, order, *S_AT_ZERO[name]).items()
        },
        measure=alternating_numbers.doublings,
        digits=35,  # z^4 is 1e-40
        most_digits=35,
        points=8,
    ),
    joins=[one for name in ORDER_NAMES for one in _doubling_joins(name)],
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
    z, quadratic, cubic = sp.symbols("z alpha_2 beta_3", real=True)
    once = -z + quadratic * z**2 + cubic * z**3
    twice = sp.series(once.subs(z, once), z, 0, 4).removeO()
    yield Equal("two epochs, f″ = 2α, f‴ = 6β", twice, z - (2 * quadratic**2 + 2 * cubic) * z**3)
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


OUTWEIGHED = Gt(forgotten_mass * sp.exp(-w), -ridge * w)


@claim(
    "alternating-second-order-sign",
    statement=(
        "Let w ≤ 0. With descent first the η² term is positive exactly when b e^{−w} > λ. With "
        "ascent first it is positive exactly when b e^{−w} > −λw, and then the η³ term is positive "
        "too. With descent first the η³ term is negative."
    ),
    explanation=(
        "For w <= 0, d = λw - a e^{-w} < 0. So d(λ - b e^{-w}) > 0 exactly when b e^{-w} > λ. The "
        "sign of g = λw + b e^{-w} is that of g(λ + a e^{-w}).\n\n"
        "Both conditions hold far to the left, where descent-ascent runs away. There a positive "
        "term acts against the divergence. So do both terms of ascent first. With descent first "
        "the η³ term acts for it. The "
        "text of App. D.3 says ascent first, and its formulas are those of descent first; their η² "
        "terms differ."
    ),
    where="App. D.3: do alternating steps act against divergence?",
    domain=("exponential loss, λ, a, b > 0, w <= 0"),
    origin="new",
    evidence="proved",
    backs="gda_theory.dynamics.simulation.simulate",
    theorem=Theorem(
        domain={**MODERATE_MASSES, w: between(None, 0, "(]", decades=1)},
        conclusions={
            "descent first, η²": Iff(
                Gt(alternating_numbers.coefficient["D", 2], 0),
                Gt(forgotten_mass * sp.exp(-w), ridge),
            ),
            "ascent first, η²": Iff(Gt(alternating_numbers.coefficient["A", 2], 0), OUTWEIGHED),
            "descent first, η³": Lt(alternating_numbers.coefficient["D", 3], 0),
            "ascent first, η³": Implies(OUTWEIGHED, Gt(alternating_numbers.coefficient["A", 3], 0)),
        },
        measure=alternating_numbers.taylor_terms,
    ),
    joins=[
        join(
            "equivalence",
            "descent first, η²",
            identity=("claim:alternating-maps", "η² with descent first"),
            factor=("-d > 0", "given:weight in (-oo, 0]"),
        ),
        join(
            "equivalence",
            "ascent first, η²",
            identity=("claim:alternating-maps", "η² with ascent first"),
            factor="λ + a e^{-w} > 0",
        ),
        join(
            "sign",
            "descent first, η³",
            sign=(
                "descent first, coefficient of η³",
                "-η³ with descent first, d = -t",
                "-d > 0",
            ),
        ),
        join(
            "sign",
            "ascent first, η³",
            sign=("ascent first, coefficient of η³", "η³ with ascent first, g = t"),
        ),
    ],
    counterexample="a weight of the domain at which the η² term points towards -oo",
)
def second_order_sign(
    descent_term=SECOND["D"],
    ascent_term=SECOND["A"],
    descent_third=THIRD["D"],
    ascent_third=THIRD["A"],
):
    low = sp.Symbol("u", nonnegative=True)  # w = -u
    gradient = sp.Symbol("t", positive=True)
    yield Equal(
        "η² with descent first", descent_term, -descent * (forgotten_mass * sp.exp(-w) - ridge)
    )
    yield Positive("-d > 0", -descent.subs(w, -low))
    yield Equal("η² with ascent first", ascent_term, ascent * (ridge + a * sp.exp(-w)))
    yield Positive("λ + a e^{-w} > 0", ridge + a * sp.exp(-w))
    for name, first, second, term in (
        ("descent", a, -forgotten_mass, descent_third),
        ("ascent", -forgotten_mass, a, ascent_third),
    ):
        taylor = sp.diff(composed(first, second), eta, 3).subs(eta, 0) / 6
        yield Equal(f"{name} first, coefficient of η³", taylor, term)
    yield Positive("-η³ with descent first, d = -t", -descent_third.subs(descent, -gradient))
    yield Positive("η³ with ascent first, g = t", ascent_third.subs(ascent, gradient))
