"""What the claims about alternating steps are compared with: half-steps from an objective.

A half-step is one gradient step on ``±mass ℓ(w) + λw²/2``. Its slope is a difference quotient, or
uses φ of the loss. Fixed points come from bisection, multipliers from difference quotients of the
whole map. Each public function with named parameters is the ``measure`` of a theorem.
"""

from collections.abc import Callable

import mpmath
import sympy as sp
from mpmath import mpf

from derivations.descent_ascent import measures, scalar_measures
from derivations.descent_ascent.measures import MarginLoss
from derivations.descent_ascent.pair_numbers import require_positive
from derivations.ledger.theorems import NoValue

ORDERS = ("D", "A")  # descent first, ascent first
LARGEST_EXPONENT = 10**5  # e^x counts as infinite beyond, and e^-x as 0
FAR_LEFT, FAR_RIGHT = 5, 30  # decades up to which a fixed point is looked for
NO_RIDGE = 4  # decades up to which it is looked for without ridge
SMALL_EFFECT = mpf("1e-3")
BEYOND = mpf("1e-8")  # ln b beyond a doubling at which a cycle is looked for

small = sp.Symbol("small", positive=True)
end = dict(zip(ORDERS, sp.symbols("w_D w_A", real=True), strict=True))
exact_end = sp.Symbol("w_same", real=True)
fixed_points = dict(zip(ORDERS, sp.symbols("count_D count_A"), strict=True))
rest = dict(zip(ORDERS, sp.symbols("rest_D rest_A", real=True), strict=True))
off_rest = dict(zip(ORDERS, sp.symbols("off_D off_A", real=True), strict=True))
alone = dict(zip(ORDERS, sp.symbols("alone_D alone_A"), strict=True))
multiplier = dict(zip(ORDERS, sp.symbols("m_D m_A", real=True), strict=True))
at_ratio = dict(zip(ORDERS, sp.symbols("edge_D edge_A", real=True), strict=True))
bend = dict(zip(ORDERS, sp.symbols("S_D S_A", real=True), strict=True))
bend_at_zero = dict(zip(ORDERS, sp.symbols("S_D0 S_A0", real=True), strict=True))
multiplier_speed = dict(zip(ORDERS, sp.symbols("speed_D speed_A", real=True), strict=True))
two_epochs = dict(zip(ORDERS, sp.symbols("z_D z_A", real=True), strict=True))
cycle_multiplier = dict(zip(ORDERS, sp.symbols("cycle_D cycle_A", real=True), strict=True))
coefficient = {
    (order, power): sp.Symbol(f"c_{order}{power}", real=True)
    for order in ORDERS
    for power in (2, 3)
}


def _exponential(exponent):
    """e^exponent; infinite or 0 where its digits would not fit into memory."""
    if exponent > LARGEST_EXPONENT:
        return mpf("inf")
    return mpmath.exp(exponent) if exponent > -LARGEST_EXPONENT else mpf(0)


def change(
    order: str, retain_mass, forget_mass, step, ridge=0, phi: Callable | None = None
) -> Callable:
    """By how much one epoch changes a weight: both half-steps, in that order."""
    slope = phi or (lambda margin: _exponential(-margin))
    signed = (retain_mass, -forget_mass)
    first, second = signed if order == "D" else signed[::-1]

    def half(weight, mass):
        return -step * (ridge * weight - mass * slope(weight))

    def both(weight):
        once = half(weight, first)
        return once + half(weight + once, second)

    return both


def epoch(*arguments) -> Callable:
    """One epoch as a function of the weight. The arguments are those of :func:`change`."""
    by = change(*arguments)
    return lambda weight: weight + by(weight)


def _require_small(effect) -> None:
    """:class:`NoValue` where a step of a Taylor series is not small."""
    if effect > SMALL_EFFECT:
        raise NoValue("the step is too large for the series")


def _differenced(weight, mass, step, ridge):
    """One half-step, whose slope is a difference quotient of the objective."""
    objective = scalar_measures.one_weight_objective(mass, ridge)
    return weight - step * scalar_measures.derivative(objective, weight)


# alternating-maps


def one_epoch(weight, ridge, a, b, eta, small=None) -> dict:
    """The weight after both half-steps, with the slopes from difference quotients."""
    require_positive(ridge=ridge, a=a, b=b, eta=eta)
    step = eta if small is None else small
    if small is not None:
        _require_small(small * (ridge * (1 + abs(weight)) + (a + b) * mpmath.exp(-weight)))
    found = {}
    for order, masses in (("D", (a, -b)), ("A", (-b, a))):
        between = _differenced(weight, masses[0], step, ridge)
        found[end[order]] = _differenced(between, masses[1], step, ridge)
    return found


# effective-ridge


def first_order(weight, ridge, a, b, loss: MarginLoss, eta) -> dict:
    """Both orders, and one simultaneous step with twice the ridge."""
    require_positive(ridge=ridge, a=a, b=b)
    _require_small(eta * (ridge * (1 + abs(weight)) + (a + b) * abs(loss.slope(weight))))
    found = {end[order]: epoch(order, a, b, eta, ridge, loss.phi)(weight) for order in ORDERS}
    push = a * loss.phi(weight) - b * loss.phi(weight)
    return found | {exact_end: weight + eta * push - eta * 2 * ridge * weight}


# alternating-fixed-point


def counted_fixed_points(eta, h, a, b, small=0) -> dict:
    """Sign changes of map - w on a grid, at ηλ = h. For b > a also the rest points at λ = 0."""
    require_positive(eta=eta, h=h, a=a, b=b)
    to_the_left = scalar_measures.both_signs(mpf(10) ** FAR_LEFT, 80)[:80]
    grid = [*to_the_left, *scalar_measures.both_signs(mpf(10) ** FAR_RIGHT, 80)[80:]]
    nearer = scalar_measures.both_signs(mpf(10) ** NO_RIDGE, 80)
    found = {}
    for order in ORDERS:
        move = change(order, a, b, eta, h / eta)
        found[fixed_points[order]] = scalar_measures.sign_changes(move, grid)
    if b <= a:  # no rest point without ridge, so nothing is said about it
        return found | dict.fromkeys(off_rest.values(), mpf(0))
    for order in ORDERS:
        move = change(order, a, b, eta)
        found[alone[order]] = scalar_measures.sign_changes(move, nearer)
        found[rest[order]] = _rest(move)
        nearby = change(order, a, b, eta, small * mpmath.log(b / a) ** 2 / eta)
        found[off_rest[order]] = _rest(nearby) - found[rest[order]]
    return found


def _rest(move: Callable):
    """A zero of ``move``, which is positive far to the left and negative far to the right."""
    low, high = mpf(-1), mpf(1)
    while not move(low) > 0:
        low *= 2
        if low < -LARGEST_EXPONENT:
            raise NoValue("no rest to the left")
    while not move(high) < 0:
        high *= 2
        if high > mpf(10) ** FAR_RIGHT:
            raise NoValue("no rest to the right")
    return measures.root_between(move, lambda weight: mpmath.diff(move, weight), low, high)


# alternating-multiplier


def multipliers(eta, a, ratio) -> dict:
    """The slope of both maps where they rest, at b/a = ratio and at b/a = e^√2, without ridge."""
    require_positive(eta=eta, a=a)
    if not ratio > 1:
        raise NoValue("without a ridge there is a fixed point only for b > a")
    edge = mpmath.exp(mpmath.sqrt(2))
    return {multiplier[order]: _multiplier(order, eta, a, ratio * a) for order in ORDERS} | {
        at_ratio[order]: _multiplier(order, eta, a, edge * a) for order in ORDERS
    }


def _multiplier(order, eta, retain_mass, forget_mass):
    by = change(order, retain_mass, forget_mass, eta)
    return 1 + mpmath.diff(by, _rest(by))


# alternating-doubling


@scalar_measures.finely
def doublings(c, rise, eta, z=None) -> dict:
    """Both maps about a fixed point of multiplier -1, by difference quotients and iteration.

    The masses are chosen so that the slopes are c - p with p = c + 1/(c+rise), and c + rise.
    """
    require_positive(c=c, rise=rise, eta=eta, ridge=1 - c)
    down = c + 1 / (c + rise)
    start, middle = (c * down - rise) / (1 - c**2), (down - c * rise) / (1 - c**2)
    retain_mass, forget_mass = down * mpmath.exp(start) / eta, rise * mpmath.exp(middle) / eta
    found = {}
    for order, at in (("D", start), ("A", middle)):
        found |= _doubling(order, at, retain_mass, forget_mass, eta, (1 - c) / eta, z)
    edge = mpmath.exp(mpmath.sqrt(2))
    for order in ORDERS:
        mapped = epoch(order, mpf(1), edge, eta)
        at = _rest(change(order, mpf(1), edge, eta))
        found[at_ratio[order]] = mpmath.diff(mapped, at)
        found[bend_at_zero[order]] = _bend(mapped, at)
    return found


def _bend(mapped: Callable, at):
    return mpmath.diff(mapped, at, 2) ** 2 / 2 + mpmath.diff(mapped, at, 3) / 3


def _doubling(order, at, retain_mass, forget_mass, step, ridge, z) -> dict:
    mapped = epoch(order, retain_mass, forget_mass, step, ridge)
    bending = _bend(mapped, at)
    found = {multiplier[order]: mpmath.diff(mapped, at), bend[order]: bending}
    if z is not None:
        return found | {two_epochs[order]: mapped(mapped(at + z)) - at}
    falls = mpmath.diff(
        lambda log_share: _continued(
            epoch(order, retain_mass, forget_mass * mpmath.exp(log_share), step, ridge), at
        )[1],
        mpf(0),
    )
    # Where S < 0 the cycle is on the other side of the doubling.
    side = mpmath.exp(BEYOND * mpmath.sign(bending))
    beyond = epoch(order, retain_mass, forget_mass * side, step, ridge)
    size = mpmath.sqrt(abs(2 * falls * BEYOND / bending))
    return found | {
        multiplier_speed[order]: falls,
        cycle_multiplier[order]: _cycle_multiplier(beyond, at, size),
    }


def _continued(mapped: Callable, near) -> tuple:
    """The fixed point next to ``near``, by Newton's method, and its multiplier."""
    for _ in range(60):
        slope = mpmath.diff(mapped, near)
        move = (mapped(near) - near) / (slope - 1)
        near = near - move
        if abs(move) < mpmath.sqrt(mpmath.eps) * mpf("1e-3"):
            return near - (mapped(near) - near) / (slope - 1), mpmath.diff(mapped, near)
    raise NoValue("the fixed point was not reached")


def _cycle_multiplier(mapped: Callable, at, size):
    """The multiplier of the cycle of period two at about ``size`` from the fixed point."""
    at, _ = _continued(mapped, at)

    def gap(weight):
        return (mapped(mapped(weight)) - weight) / (weight - at)

    one = mpmath.findroot(gap, (at + 0.99 * size, at + 1.01 * size), tol=mpf("1e-40"))
    return mpmath.diff(mapped, one) * mpmath.diff(mapped, mapped(one))


# alternating-second-order-sign


def taylor_terms(weight, ridge, a, b) -> dict:
    """The coefficients of η² and η³ in one epoch, by difference quotients in η at 0."""
    require_positive(ridge=ridge, a=a, b=b)
    found = {}
    for order in ORDERS:
        terms = mpmath.taylor(
            lambda step, order=order: epoch(order, a, b, step, ridge)(weight), 0, 3
        )
        found |= {coefficient[order, power]: terms[power] for power in (2, 3)}
    return found
