"""How the susceptibility depends on the depth: its peak."""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import mpmath
import sympy as sp
from mpmath import mpf

from derivations.hierarchy import measures, tree_measures
from derivations.hierarchy.finite_size.critical import (
    above,
    critical,
    digits,
    far_at,
    growing_terms,
    in_measured,
    levels_at,
    nu_star,
    of_size,
    recursive_susceptibility,
    remaining,
    transition_of,
)
from derivations.hierarchy.finite_size.exponents import hierarchy
from derivations.hierarchy.mean_field.maps import PAPER, noise
from derivations.hierarchy.measures import Shape
from derivations.hierarchy.tree_correlations import (
    ascent,
    chi,
    exponent,
    far,
    first,
)
from derivations.ledger import intervals
from derivations.ledger.certificates import Cover, Root
from derivations.ledger.domains import OneOf, between
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.symbols import branching as s
from derivations.ledger.symbols import rules_per_symbol as m
from derivations.ledger.symbols import vocabulary as v
from derivations.ledger.theorems import (
    Lt,
    NoValue,
    Printed,
    Theorem,
    limit,
)


def _peak(system: tuple[int, int, int], depth: int) -> mpmath.mpf:
    """The largest χ near ε*, over p_0 = p* + z F'(p*)^-depth with abs(z) <= 2."""
    found = critical(system)

    def height(place):
        return recursive_susceptibility(
            system, depth, found.belief + place * found.slope ** (-depth)
        )

    grid = [mpmath.mpf(k) / 10 for k in range(-20, 21)]
    place = max(grid, key=height)
    width = mpmath.mpf(1) / 10
    for _ in range(6):  # parabolas through three heights, of ever smaller width
        below, here, beyond = (height(place + way * width) for way in (-1, 0, 1))
        place += width * (below - beyond) / (2 * (below - 2 * here + beyond))
        width = max(width**2, mpmath.mpf(10) ** -30)
    return height(place)


B_fitted = sp.Symbol("B_fitted", real=True)
WITH_TWO_POWERS = ((40, 7, 2), (64, 8, 2))  # (v, m, s) with 4/3 < ν < 2


def fitted_constant(system, depths):
    """B from the largest χ at three depths, given the powers 2/ν - 1 and 3/ν - 2 of d."""
    with mpmath.workdps(60 + digits(system, depths[-1])):
        found = critical(system)
        powers = [2 / found.exponent - 1, 3 / found.exponent - 2, 0]
        sizes = [mpmath.mpf(system[2]) ** depth for depth in depths]
        rows = mpmath.matrix([[size**power for power in powers] for size in sizes])
        heights = mpmath.matrix([_peak(system, depth) for depth in depths])
        return mpmath.lu_solve(rows, heights)[2]


def peaks_of_trees(system, far=None):
    """The constant that the peaks of three depths give, and the numbers at p*."""
    found = transition_of(*map(mpf, system))
    numbers = found.numbers() | {s: system[2]}
    if far is not None:
        levels = levels_at(far)
        numbers[B_fitted] = fitted_constant(system, (levels, 4 * levels // 3, 5 * levels // 3))
    return numbers


def _peak_growth(*, vocabulary=40, rules_per_symbol=7, branching=2):
    """B from the largest χ at three depths, and in closed form: 10 digits of each.

    The two powers are those of the claim. The system must have 4/3 < ν < 2.
    """
    system = (vocabulary, rules_per_symbol, branching)
    depths = (150, 200, 250)
    with mpmath.workdps(80 + digits(system, depths[-1])):
        closed = growing_terms(system, critical(system))[-1][1]
        return round(float(fitted_constant(system, depths)), 10), round(float(closed), 10)


@claim(
    "rhm-peak-growth",
    statement=(
        "Conjectured for ν < 2: the largest χ over the noise grows with the powers d^{a_k} of "
        "rhm-finite-size, and with the same B. Only the amplitudes A_k differ."
    ),
    explanation=(
        "At the peak p₀ = p* + zF′^{−L} to leading order, so the deviation j levels below the root "
        "is a smooth function of zF′^{−j}. Each term of N_L is then κ^{L−j} times a power series "
        "in F′^{−j} and λ^j. Summed, it gives κ^L, or a power series in F′^{−L} and λ^L, or B. A "
        "factor F′^{−L} = d^{−1/ν} makes d^{2/ν−1} vanish. Missing are bounds on these series, and "
        "that the maximum is near ε*. Tried: (40, 7, 2) and (64, 8, 2). The heights at three "
        "depths give B, with an error that falls as the next power does. At depths 150, 200 and "
        "250 they give B to 10 digits."
    ),
    where=f"{PAPER}, the peak of the susceptibility of a finite tree",
    domain="at an interior fixed point p* with ν < 2, d = s^L with L → ∞",
    origin="new",
    evidence="conjecture",
    theorem=Theorem(
        domain={hierarchy: OneOf(WITH_TWO_POWERS)},
        conclusions={
            "B": limit(
                B_fitted,
                in_measured(remaining),
                far,
                of_size(sp.Max(4 / nu_star - 3, 1 / nu_star - 1)),
                at=(far_at(30), far_at(60)),
            )
        },
        measure=peaks_of_trees,
        points=2,
    ),
    joins=[
        join(
            "identity",
            "a factor F'^-L makes κ^L vanish",
            equation=("ln F'^-1", "ln λ", "κ^L F'^-L", "it falls with d, as ν = 1 + a > 1"),
        ),
    ],
    backs=[
        "rhm_theory.theory.scaling.approach",
        "rhm_theory.theory.mean_field.susceptibility_peak",
    ],
    evaluate=_peak_growth,
    counterexample="(v, m, s) with ν < 2 whose peaks, less the growing terms, do not tend to B",
)
def peak_growth(
    shift=-1 / exponent,
    damped_shift=1 / exponent - 1,
    vanishing=1 / exponent - 1,
):
    nu = sp.log(s) / sp.log(ascent)
    yield Equal("ln F'^-1", -sp.log(ascent), shift.subs(exponent, nu) * sp.log(s))
    yield Equal("ln λ", sp.log(ascent / s), damped_shift.subs(exponent, nu) * sp.log(s))
    yield Equal("κ^L F'^-L", 2 / exponent - 1 + shift, vanishing)
    falls = vanishing.subs(exponent, 1 + first)
    yield Positive("it falls with d, as ν = 1 + a > 1", -falls)


# (v, m, s), depth, and a noise far above ε* = 0.40168
ELSEWHERE = ((8, 16, 3), 16, sp.Rational("0.4473"))


def _growth(kept, rules, width):
    """(1 - F(p))/(1 - p) at p = ``kept``."""
    size, per_symbol = rules
    below = (size**width - per_symbol * size) * _power(kept, width) + (per_symbol * size - 1)
    return per_symbol * (size - 1) * _length(kept, width) / below


def _power(base, exponent: int):
    result = base
    for _ in range(exponent - 1):
        result = result * base
    return result


def _length(base, count: int):
    """``sum_{k < count} base^k``."""
    total = 0 * base + 1
    for _ in range(count - 1):
        total = total * base + 1
    return total


def _orbit(changed, rules, width: int, depth: int) -> list:
    orbit = [changed]
    for _ in range(depth):
        orbit.append(orbit[-1] * _growth(1 - orbit[-1], rules, width))
    return orbit


def _within(series, box, order: int):
    """``series`` with its constant term cut to ``box``, which holds it too."""
    flint = intervals.flint()
    terms_of_series = [series[k] for k in range(order)]
    own = terms_of_series[0]
    both = own.is_finite() and own.overlaps(box)
    terms_of_series[0] = own.intersection(box) if both else box
    return flint.arb_series(terms_of_series)


def taylor_susceptibility(low, high, system: tuple[int, int, int], depth: int, order: int):
    """Taylor coefficients of χ in 1 - p_0, each enclosed for all 1 - p_0 in [``low``, ``high``].

    By the recursions of rhm-correlations, everything divided by 1 - p_0 as in the library: so 0 is
    no singular point. The map F increases. So each level's beliefs lie between the orbits of the
    two ends, which keeps the enclosures tight.
    """
    flint = intervals.flint()
    size, per_symbol, width = flint.arb(system[0]), flint.arb(system[1]), system[2]
    rules = (size, per_symbol)
    flint.ctx.cap = order
    orbits = zip(_orbit(low, rules, width, depth), _orbit(high, rules, width, depth), strict=True)
    boxes = [one.union(other) for one, other in orbits]
    leaf = flint.arb_series([boxes[0], 1])
    changed = [leaf]
    ratios = [flint.arb_series([1])]
    for box in boxes[1:]:
        growth = _growth(1 - changed[-1], rules, width)
        ratio = ratios[-1] * growth
        changed.append(_within(changed[-1] * growth, box, order))
        ratios.append(_within(ratio, box / boxes[0], order) if low > 0 else ratio)
    parent = ratios[-1]
    pairs = flint.arb_series([0])
    for ratio, below in zip(ratios[-2::-1], changed[-2::-1], strict=True):
        true = _power(1 - below, width)
        length = _length(1 - below, width)
        total = (size**width - per_symbol) * true + (per_symbol - 1)
        chosen = true * (size**width - 1) / total
        other_rule = ratio * length * (per_symbol - 1) / total  # (1 - w)/(1 - p_0)
        excess = true * length * below * (size**width - per_symbol) / total  # w - p^s
        kept = 1 - leaf * parent
        covariance = kept * other_rule * excess - parent * true + kept * parent * chosen * chosen
        damped = chosen / length
        pairs = pairs * damped * damped * width + (width - 1) * covariance / (length * length)
        parent = other_rule / length + parent * damped
    return 1 + pairs / (parent * (1 - leaf * parent))


def below_bound(bound, system: tuple[int, int, int], depth: int, changed) -> bool | None:
    """Whether χ < ``bound`` for all 1 - p_0 in the ball ``changed``. None if that is undecided.

    Tried are the value, the mean value form, and a Taylor polynomial of second order.
    """
    flint = intervals.flint()
    keep_cap = flint.ctx.cap
    try:
        with flint.ctx.workprec(intervals.PRECISION):
            return _below_bound(intervals.ball(bound), changed, system, depth)
    except (ValueError, ZeroDivisionError):  # a denominator's ball holds 0
        return None
    finally:
        flint.ctx.cap = keep_cap


def _below_bound(bound, changed, system, depth) -> bool | None:
    low, high = changed.lower(), changed.upper()
    if low < 0:  # a ball around [0, x] reaches below 0, where there is no noise
        low = 0 * low
    around = taylor_susceptibility(low, high, system, depth, 3)
    if around[0] < bound:
        return True
    middle = changed.mid()
    centre = taylor_susceptibility(middle, middle, system, depth, 2)
    if centre[0] >= bound:
        return False
    step = (high - low) / 2 * intervals.flint().arb(0, 1)
    mean_value = centre[0] + around[1] * step
    second_order = centre[0] + centre[1] * step + around[2] * step**2
    return True if mean_value < bound or second_order < bound else None


def close_to(value, tolerance, system: tuple[int, int, int], depth: int, changed) -> bool | None:
    """Whether abs(χ - ``value``) < ``tolerance`` for all 1 - p_0 in the ball ``changed``."""
    flint = intervals.flint()
    keep_cap = flint.ctx.cap
    try:
        with flint.ctx.workprec(intervals.PRECISION):
            low, high = changed.lower(), changed.upper()
            found = taylor_susceptibility(low, high, system, depth, 1)[0]
            distance = abs(found - intervals.ball(value))
            if distance < intervals.ball(tolerance):
                return True
            return False if distance > intervals.ball(tolerance) else None
    finally:
        flint.ctx.cap = keep_cap


def _largest():
    """The largest χ on two grids of noises, and χ at ε*, to 4 digits after the point."""
    system, depth, _ = ELSEWHERE
    with mpmath.workdps(30):
        all_lost = 1 - 1 / mpmath.mpf(system[0])

        def chi(changed):
            return recursive_susceptibility(system, depth, 1 - changed)

        best = max((all_lost * k / 200 for k in range(1, 200)), key=chi)
        largest = max(chi(best + all_lost * k / 4000) for k in range(-20, 21))
        at_critical = recursive_susceptibility(system, depth, critical(system).belief)
    return [round(float(value), 4) for value in (largest, at_critical)], [3.3067, 2.5486]


chi_place, chi_star, noise_star = sp.symbols("chi_place chi_star noise_star", real=True)


def largest_and_others(noise):
    """χ of (8, 16, 3) at depth 16: at a noise, at 0.4473 and at ε*, level by level."""
    if not 0 <= noise <= 1:
        raise NoValue("a noise lies in [0, 1]")
    system, depth, place = ELSEWHERE
    share = 1 - 1 / mpf(system[0])
    fixed = measures.the_fixed_point(Shape(*map(mpf, system)))

    def at(level_of_noise):
        start = 1 - level_of_noise * share
        return tree_measures.tree(Shape(*map(mpf, system)), start, depth).susceptibility

    return {
        chi: at(noise) if noise > 0 else mpf(1),  # the limit of rhm-small-noise
        chi_place: at(mpf(place.p) / place.q),
        chi_star: at((1 - fixed) / share),
        noise_star: (1 - fixed) / share,
    }


LAST_DIGIT = sp.Rational("5e-5")
AT_STAR = "0.351472501406228"  # 1 - p* of (8, 16, 3)


@claim(
    "rhm-largest-susceptibility",
    statement=(
        "Where χ settles, its largest value over the noise need not be at ε*. For (8, 16, 3) at "
        "depth 16 it is 3.3067 to 5e-5. At ε = 0.4473 χ is this number to 5e-5, while at ε* = "
        "0.4017 it is 2.5486 to 5e-5."
    ),
    explanation=(
        "The noises [0, 1] are halved into intervals on each of which a Taylor form in Arb balls "
        "proves χ < 3.3067 + 5e-5. At ε = 0.4473 χ is above 3.3067 - 5e-5. A box certainly "
        "holds p*, and χ is enclosed on the box."
    ),
    where=f"{PAPER}, susceptibility at the transition of a finite tree",
    domain="(v, m, s) = (8, 16, 3), depth 16, every noise in [0, 1]",
    origin="new",
    evidence="certified",
    backs="rhm_theory.theory.mean_field.susceptibility_peak",
    theorem=Theorem(
        domain={noise: between(0, 1, "[]")},
        conclusions={
            "no χ is larger": Lt(chi, sp.Rational("3.30675")),
            "at 0.4473": Printed(chi_place, "3.3067"),
            "at ε*": Printed(chi_star, "2.5486"),
            "ε*": Printed(noise_star, "0.4017"),
        },
        measure=largest_and_others,
        points=20,
    ),
    joins=[
        join("exhaustion", "no χ is larger", cover="χ is below the bound at every noise"),
        join("enclosure", "at 0.4473", ball="χ at ε = 0.4473"),
        join("Krawczyk", "ε*", box="p* and ε*"),
        join("enclosure", "at ε*", ball=("χ at ε*", "p* and ε*")),
    ],
    evaluate=_largest,
    counterexample="a noise at which χ is 3.30675 or more; an enclosure that excludes 2.5486",
)
def largest_susceptibility(
    largest=sp.Rational("3.3067"),
    at_transition=sp.Rational("2.5486"),
):
    system, depth, place = ELSEWHERE
    share = 1 - sp.Rational(1, system[0])
    there = str(place * share)
    yield Cover(
        "χ at ε = 0.4473",
        ((there, there),),
        close_to,
        (largest, LAST_DIGIT, system, depth),
    )
    values = dict(zip((v, m, s), map(sp.Integer, system), strict=True))
    polynomial = sum((v**k - m) * (1 - above) ** k for k in range(system[2])).subs(values)
    radius = sp.Rational("1e-12")
    yield Root(
        "p* and ε*",
        (polynomial,),
        (above,),
        (AT_STAR,),
        str(radius),
        {"ε*": (above / share, "0.4017")},
    )
    box = sp.Rational(AT_STAR) - radius, sp.Rational(AT_STAR) + radius
    yield Cover(
        "χ at ε*",
        (tuple(map(str, box)),),
        close_to,
        (at_transition, LAST_DIGIT, system, depth),
    )
    yield Cover(
        "χ is below the bound at every noise",
        (("0", str(share)),),
        below_bound,
        (largest + LAST_DIGIT, system, depth),
        deepest=30,
    )
