"""What the claims about flows and steps of a pair are compared with: integrated flows, iterations.

Velocities come from the gradient in the weights, flows from Runge and Kutta's steps or from SciPy,
stationary points from the sign changes along a curve (:mod:`measures`). Each public function with
named parameters is the ``measure`` of a theorem.
"""

import itertools
from fractions import Fraction

import mpmath
import numpy as np
import sympy as sp
from mpmath import mpf

from derivations.descent_ascent import data_measures, measures, scalar_measures
from derivations.descent_ascent.measures import EXPONENTIAL, Gram, MarginLoss
from derivations.descent_ascent.pair_numbers import (
    count,
    require_positive,
    x_A,
    x_R,
    y_A,
    y_R,
)
from derivations.ledger.theorems import NoValue

LONG = 1e6  # time, in units of 1/λ, after which a flow counts as at its end
RAN_AWAY = -300.0  # y at which it counts as run away: e^-y is near the largest float
VISIBLE = mpf("1e-8")  # smaller relative effects are lost beside rounding

x_at, y_at, phi_x, phi_y = sp.symbols("x_at y_at phi_at_x phi_at_y", real=True)
p_speed, y_speed, p_across, y_across = sp.symbols("p_dot y_dot dp_dot/dy dy_dot/dp", real=True)
dual_product = sp.Symbol("product", real=True)
y_later, y_later_other = sp.symbols("y_later y_later_other", real=True)
p_later, p_later_other = sp.symbols("p_later p_later_other", real=True)


def rows_of(gram: Gram) -> mpmath.matrix:
    """Two vectors in the plane with these products. :class:`NoValue` if they are dependent."""
    if not (gram.uu > 0 and gram.uu * gram.vv > gram.uv**2):
        raise NoValue("the two types must be independent")
    side = mpmath.sqrt(gram.uu)
    rest = mpmath.sqrt(gram.vv - gram.uv**2 / gram.uu)
    return mpmath.matrix([[side, 0], [gram.uv / side, rest]])


def weights_at(rows: mpmath.matrix, p, y) -> mpmath.matrix:
    """The weights ``p u - q v`` whose margin on v is ``y``."""
    u, v = rows[0, :].T, rows[1, :].T
    q = (p * data_measures.dot(u, v) - y) / data_measures.dot(v, v)
    return p * u - q * v


def order_coordinates(rows: mpmath.matrix, w: mpmath.matrix) -> tuple:
    """(p, y) of weights: p is the share of u, by the part that is orthogonal to v."""
    u, v = rows[0, :].T, rows[1, :].T
    across = u - data_measures.dot(u, v) / data_measures.dot(v, v) * v
    return (
        data_measures.dot(w, across) / data_measures.dot(u, across),
        data_measures.dot(w, v),
    )


# flow-preserves-order


def ordered_flows(
    k11, k12, k22, ridge, retain_mass, forget_mass, p, y, p_gap, y_gap, loss: MarginLoss
) -> dict:
    """Velocities in (p, y) from the gradient, and two flows whose starts are ordered."""
    require_positive(ridge=ridge, A=retain_mass, B=forget_mass)
    rows, signed = rows_of(Gram(k11, k12, k22)), (retain_mass, -forget_mass)

    def velocity(p, y):
        w = weights_at(rows, p, y)
        slope = data_measures.gradient(rows, signed, ridge, w, loss)
        return order_coordinates(rows, -slope / ridge)

    starts = weights_at(rows, p, y), weights_at(rows, p + p_gap, y - y_gap)
    x = rows[0, 0] * starts[0][0]
    # The steps resolve both flows: the larger curvature counts.
    bends = [_bends(rows, (retain_mass, forget_mass), w, loss) for w in starts]
    largest = max(ridge + k11 * on_u + k22 * on_v for on_u, on_v in bends)
    if not bends[0][0] * min(k11, k12) > VISIBLE * largest:
        raise NoValue("the coordinates have no visible effect on each other")
    time = 1 / (2 * largest)
    later = [
        order_coordinates(rows, data_measures.flow(rows, signed, ridge, w, time, loss, steps=15))
        for w in starts
    ]
    p_now, y_now = velocity(p, y)
    return {
        phi_x: loss.phi(x),
        phi_y: loss.phi(y),
        p_speed: p_now,
        y_speed: y_now,
        p_across: mpmath.diff(lambda other: velocity(p, other)[0], y),
        y_across: mpmath.diff(lambda other: velocity(other, y)[1], p),
        dual_product: _product_in_duals(rows, signed, ridge, x, y, loss),
        p_later: later[0][0],
        y_later: later[0][1],
        p_later_other: later[1][0],
        y_later_other: later[1][1],
    }


def _bends(rows, masses, w, loss: MarginLoss) -> list:
    """Mass times |φ'| at both margins."""
    return [mass * abs(loss.slope(m)) for mass, m in zip(masses, rows * w, strict=True)]


def _product_in_duals(rows, signed, ridge, x, y, loss: MarginLoss):
    """∂P'/∂y times ∂y'/∂P, where (y, P) are the coordinates and P = Aφ(x)/λ."""

    def velocity(x, y):
        w = mpmath.lu_solve(rows, mpmath.matrix([x, y]))
        change = rows * (-data_measures.gradient(rows, signed, ridge, w, loss) / ridge)
        return signed[0] / ridge * loss.slope(x) * change[0], change[1]

    by_y = mpmath.diff(lambda other: velocity(x, other)[0], y)
    by_x = mpmath.diff(lambda other: velocity(other, y)[1], x)
    return by_y * by_x / (signed[0] / ridge * loss.slope(x))


# mass-order

p_D, p_R, p_A, p_S, y_S = sp.symbols("p_D p_R p_DA p_saddle y_saddle", real=True)
p_rise, y_fall = sp.symbols("p_rise y_fall", real=True)


def ordered_points(
    k11, k12, k22, ridge, alpha, a, retain_mass, forget_mass, loss: MarginLoss
) -> dict:
    """p of pretraining and the oracle, and all stationary points by falling x.

    ``p_rise`` and ``y_fall`` are the least changes from one point to the next.
    """
    require_positive(k11=k11, k22=k22, ridge=ridge, alpha=alpha, a=a, A=retain_mass, B=forget_mass)
    gram = Gram(k11, k12, k22)
    oracle = measures.oracle(retain_mass, gram, ridge, loss)
    x_D, y_D = measures.pretrained(a, alpha, gram, ridge, loss)
    if not k12 * alpha * a * loss.phi(y_D) > VISIBLE * k11 * a * loss.phi(x_D):
        raise NoValue("what is forgotten has no visible effect on pretraining")
    if any(not abs(loss.slope(x)) > VISIBLE * loss.phi(x) for x in (x_D, oracle[0])):
        raise NoValue("φ is the same number at different margins")
    found = {
        p_D: a * loss.phi(x_D) / ridge,
        p_R: retain_mass * loss.phi(oracle[0]) / ridge,
        x_R: oracle[0],
        y_R: oracle[1],
    }
    points = measures.stationary_points(retain_mass, forget_mass, gram, ridge, loss)
    points = sorted(points, key=lambda point: -point[0])
    if any(abs(one[0] - other[0]) < VISIBLE for one, other in itertools.pairwise(points)):
        raise NoValue("Newton's steps lead from two sign changes to one point")
    masses = [retain_mass * loss.phi(x) / ridge for x, _ in points]
    found[count] = len(points)
    if points:
        if not k12 * forget_mass * loss.phi(points[0][1]) > VISIBLE * k11 * ridge * masses[0]:
            raise NoValue("ascent has no visible effect on the first point")
        found |= {x_A: points[0][0], y_A: points[0][1], p_A: masses[0]}
    if len(points) > 1:
        found[p_rise] = min(after - before for before, after in itertools.pairwise(masses))
        found[y_fall] = min(one[1] - other[1] for one, other in itertools.pairwise(points))
    return found


# basin-theorem

off_start, off_oracle, off_pretrained, y_D = sp.symbols("off off_R off_D y_D", real=True)


def ends_of_flows(
    k11, k12, k22, ridge, alpha, a, retain_mass, forget_mass, p_gap, y_gap, loss: MarginLoss
) -> dict:
    """Relative distances from w_DA at the ends of three flows, in double precision.

    They start above the saddle, at the oracle and at the pretrained model.
    """
    require_positive(ridge=ridge, alpha=alpha, a=a, A=retain_mass, B=forget_mass)
    gram = Gram(k11, k12, k22)
    rows = rows_of(gram)
    points = measures.stationary_points(retain_mass, forget_mass, gram, ridge, loss)
    if len(points) < 2:
        raise NoValue("there is no saddle")
    minimum, saddle = (mpmath.lu_solve(rows, mpmath.matrix(point)) for point in points[:2])
    p_saddle, y_saddle = order_coordinates(rows, saddle)
    oracle = measures.oracle(retain_mass, gram, ridge, loss)
    pretrained = measures.pretrained(a, alpha, gram, ridge, loss)
    starts = {
        off_start: weights_at(rows, p_saddle - p_gap, y_saddle + y_gap),
        off_oracle: mpmath.lu_solve(rows, mpmath.matrix(oracle)),
        off_pretrained: mpmath.lu_solve(rows, mpmath.matrix(pretrained)),
    }
    flow = Flow(rows, (retain_mass, -forget_mass), ridge, loss)
    ends = {name: flow.distance(start, minimum) for name, start in starts.items()}
    return ends | {y_S: y_saddle, y_D: pretrained[1]}


MOST_VELOCITIES = 100_000  # about a second


class Flow:
    """The orbits of the gradient flow of a pair, in weights and floats.

    Time is in units of 1/λ for y >= 0. It is e^-y times slower for y < 0, so that floats resolve
    the way to y = -oo.
    """

    def __init__(self, rows, signed, ridge, loss: MarginLoss = EXPONENTIAL) -> None:
        self.rows = np.array(rows.tolist(), float)
        self.scale = np.array([float(mass / ridge) for mass in signed])
        self.loss = loss

    def velocity(self, _, w: np.ndarray) -> np.ndarray:
        """-∇J/λ, for y < 0 times e^y."""
        margins = self.rows @ w
        slopes = np.exp(np.minimum(self.loss.log_phi(margins), 700.0))
        return np.exp(min(margins[1], 0.0)) * (-w + (self.scale * slopes) @ self.rows)

    def run(self, start, *events):
        """SciPy's solution from ``start`` until the first event.

        :class:`NoValue` if that takes more than ``MOST_VELOCITIES`` evaluations: steps so short
        say that floats do not resolve the flow.
        """
        from scipy.integrate import solve_ivp

        begin = np.array([float(value) for value in start])
        counted = itertools.count(1)

        def velocity(time, w):
            if next(counted) > MOST_VELOCITIES:
                raise NoValue("the flow takes too many steps")
            return self.velocity(time, w)

        return solve_ivp(
            velocity, (0, LONG), begin, method="LSODA", rtol=1e-9, atol=1e-12, events=events
        )

    def runs_away(self, _, w: np.ndarray) -> float:
        """An event: y falls below every level that floats can hold."""
        return self.rows[1] @ w - RAN_AWAY

    runs_away.terminal = True

    def distance(self, start, goal) -> float:
        """How far from ``goal`` the flow ends, relative to its size."""
        goal = np.array([float(value) for value in goal])
        size = 1 + np.linalg.norm(goal)

        def arrives(_, w):
            return np.linalg.norm(w - goal) - 1e-7 * size

        arrives.terminal = True
        end = self.run(start, self.runs_away, arrives).y[:, -1]
        return float(np.linalg.norm(end - goal) / size)


# basin-from-pretraining


class Pair:
    """The exponential pair in units of λ: masses A/λ and B/λ, f/n, Gram entries.

    Its stationary points are found by bisection in Q, in floats.
    """

    def __init__(self, correlation, log_retain, log_forget, forgotten_share):
        self.own, self.cross = 1 + correlation**2, 2 * correlation
        self.log_retain = log_retain
        self.log_forget = log_forget
        self.share = forgotten_share

    def descent(self, dual, log_mass=None):
        """The p of mass-order at Q = ``dual``: own p + ln p = ln A + cross Q."""
        from scipy.special import wrightomega

        mass = self.log_retain if log_mass is None else log_mass
        return float(np.real(wrightomega(np.log(self.own) + mass + self.cross * dual))) / self.own

    def y(self, dual, log_mass=None):
        return self.cross * self.descent(dual, log_mass) - self.own * dual

    def saddle(self, fold_dual):
        """(p, y) of the saddle, Q above the fold's."""
        low = fold_dual
        high = 2 * fold_dual
        level = self.log_forget
        while np.log(high) + self.y(high) > level:
            high *= 2
        dual = _bisect(lambda value: level - np.log(value) - self.y(value), low, high)
        return self.descent(dual), self.y(dual)

    def pretrain(self):
        """(p, y) of the pretrained model: masses (1 - f/n) A and (f/n) B."""
        log_retain = self.log_retain + np.log1p(-self.share)
        log_forget = self.log_forget + np.log(self.share)
        dual = np.exp(
            _bisect(
                lambda logarithm: logarithm + self.y(-np.exp(logarithm), log_retain) - log_forget,
                -700.0,
                max(log_forget, 1.0) + 1.0,
            )
        )
        return self.descent(-dual, log_retain), self.y(-dual, log_retain)

    def velocity(self, _, point):
        descent, y = point
        determinant = self.own**2 - self.cross**2
        retain_dual = np.exp(
            min(self.log_retain - (determinant * descent + self.cross * y) / self.own, 600.0)
        )
        forget_dual = np.exp(min(self.log_forget - y, 600.0))
        return [-descent + retain_dual, -y + self.cross * retain_dual - self.own * forget_dual]


def _bisect(increasing, low, high, halvings=100):
    for _ in range(halvings):
        middle = (low + high) / 2
        low, high = (low, middle) if increasing(middle) > 0 else (middle, high)
    return (low + high) / 2


def random_pair(generator):
    """(pair, Q at the fold) of a random pair just below or far below its fold.

    The pairs are spread over the locus of the fold.
    """
    correlation = float(
        generator.choice(
            [
                generator.uniform(0, 1),
                10 ** generator.uniform(-3, 0),
                1 - 10 ** generator.uniform(-3, 0),
            ]
        )
    )
    correlation = min(max(correlation, 1e-3), 0.999)
    own = 1 + correlation**2
    cross = 2 * correlation
    determinant = (1 - correlation**2) ** 2
    retain_dual = 10 ** generator.uniform(-3, 2)
    fold_dual = (1 + own * retain_dual) / (own + determinant * retain_dual)
    log_retain = np.log(retain_dual) + own * retain_dual - cross * fold_dual
    log_fold = np.log(fold_dual) + cross * retain_dual - own * fold_dual
    below = 10 ** generator.uniform(-6, 0)
    share = float(
        generator.choice(
            [
                generator.uniform(0, 1),
                10 ** generator.uniform(-4, 0),
                1 - 10 ** generator.uniform(-4, 0),
            ]
        )
    )
    return Pair(
        correlation,
        log_retain,
        log_fold + np.log1p(-min(below, 0.999)),
        min(max(share, 1e-4), 0.9999),
    ), fold_dual


def reaches_minimum(pair, start, saddle):
    """Whether the flow from ``start`` gets above the saddle in the order, rather than below it.

    Above it basin-theorem applies. From below the saddle it never ends in the minimum.
    """
    from scipy.integrate import solve_ivp

    def above(_, point):
        return min(point[1] - saddle[1], saddle[0] - point[0])

    def below(_, point):
        return max(point[1] - saddle[1], saddle[0] - point[0])

    above.terminal = below.terminal = True
    if above(0, start) > 0:
        return True
    run = solve_ivp(
        pair.velocity, (0, 1e6), start, method="LSODA", rtol=1e-9, atol=1e-12, events=(above, below)
    )
    return len(run.t_events[0]) > 0


p_start, ends_well = sp.symbols("p_start ends_well", real=True)


class System(tuple):
    """A pair, and Q at its fold."""

    __slots__ = ()

    @property
    def name(self) -> str:
        pair, fold_dual = self
        return (
            f"1 + ε² = {pair.own:.17g}, ln A/λ = {pair.log_retain:.17g}, "
            f"ln B/λ = {pair.log_forget:.17g}, f/n = {pair.share:.17g}, "
            f"Q = {fold_dual:.17g} at the fold"
        )


def some_system(generator) -> System:
    """A random pair below its fold. Every second one has y_D < y_saddle."""
    numbers = np.random.default_rng(generator.getrandbits(64))
    system = System(random_pair(numbers))
    if generator.random() < 0.5:
        return system
    return next(hard_systems(numbers))


def hard_systems(numbers):
    """Random pairs with y_D < y_saddle, where basin-theorem says nothing."""
    while True:
        pair, fold_dual = random_pair(numbers)
        if pair.pretrain()[1] < pair.saddle(fold_dual)[1]:
            yield System((pair, fold_dual))


def from_pretraining(system) -> dict:
    """p at w_D and at the saddle, and whether the flow from w_D gets above the saddle."""
    pair, fold_dual = system
    saddle, start = pair.saddle(fold_dual), pair.pretrain()
    return {
        p_start: start[0],
        p_S: saddle[0],
        ends_well: int(reaches_minimum(pair, start, saddle)),
    }


def basin_escapes(*, systems=10, seed=0):
    """(flows from w_D that miss w_DA, 0), over random pairs below their fold.

    They all have y_D < y_saddle, where basin-theorem says nothing.
    """
    drawn = itertools.islice(hard_systems(np.random.default_rng(seed)), systems)
    return sum(1 - from_pretraining(system)[ends_well] for system in drawn), 0


# flow-blow-up

LARGEST_EXPONENT = 300  # of e^-margin in floats
time_left, gets_there = sp.symbols("time gets_there")


def remaining_time(gram: Gram, retain_mass, forget_mass, ridge, p, y) -> float:
    """The time until y = -oo from (p, y), in floats.

    The integration is over z = e^y, in which the time is regular.
    """
    from scipy.integrate import solve_ivp

    uu, uv, vv = (float(entry) for entry in gram)
    retain_scale, forget_scale = float(retain_mass / ridge), float(forget_mass / ridge)

    def change(z, state):
        descent, _ = state
        at = np.log(z)
        retain_dual = retain_scale * np.exp(-((uu * vv - uv**2) * descent + uv * at) / vv)
        speed = z * (-at + uv * retain_dual) - vv * forget_scale  # dz/dt
        return [(retain_dual - descent) / speed, 1 / speed]

    start = np.exp(float(y))
    run = solve_ivp(change, (start, start * 1e-12), [float(p), 0.0], rtol=1e-10, atol=1e-14 * start)
    return float(run.y[1, -1]) / float(ridge)


def blow_ups(k11, k12, k22, ridge, retain_mass, forget_mass, p, y, y_gap, m) -> dict:
    """The time from (p, y) to blow-up, where it is bounded.

    If nothing is stationary, also whether the flow from (p, y + y_gap) gets to such a point.
    """
    require_positive(ridge=ridge, A=retain_mass, B=forget_mass)
    gram = Gram(k11, k12, k22)
    rows = rows_of(gram)
    x = ((k11 * k22 - k12**2) * p + k12 * y) / k22
    if max(-x, -y) > LARGEST_EXPONENT:
        raise NoValue("e^-margin is too large for floats")
    points = measures.stationary_points(retain_mass, forget_mass, gram, ridge)
    found = {count: len(points)}
    if p >= -m and _excess_of_ascent(gram, retain_mass, forget_mass, ridge, m)(y) >= 0:
        found[time_left] = remaining_time(gram, retain_mass, forget_mass, ridge, p, y)
    if not points and k12 < k22:
        excess = _excess_of_ascent(gram, retain_mass, forget_mass, ridge, abs(p))
        flow = Flow(rows, (retain_mass, -forget_mass), ridge)

        def reached(w):
            at = flow.rows[1] @ w
            return min(excess(at), -1 - at)

        def event(_, w):
            return reached(w)

        event.terminal = True
        run = flow.run(weights_at(rows, p, y + y_gap), event, flow.runs_away)
        if len(run.t_events[1]):
            raise NoValue("such a point lies beyond floats")
        found[gets_there] = len(run.t_events[0])
    return found


def _excess_of_ascent(gram: Gram, retain_mass, forget_mass, ridge, least_p):
    """The function of y that is >= 0 where ascent is half of y' for all p >= -least_p."""
    uu, uv, vv = (float(entry) for entry in gram)
    on_u, on_v, decay, least = (float(v) for v in (retain_mass, forget_mass, ridge, least_p))

    def excess(y):
        y = float(y)
        rest = uv * on_u * np.exp(((uu * vv - uv**2) * least - uv * y) / vv) - decay * y
        return 1 - 2 * rest / (vv * on_v * np.exp(-y))

    return excess


# short-steps-descend

fall, bound_of_fall, falls_of_n, bound_of_n = sp.symbols("fall bound fall_n bound_n", real=True)
gradient_size, moved_by, step_times_curvature = sp.symbols("gradient moved eta_L", real=True)


NO_DATA = data_measures.Data(
    rows=((Fraction(0), Fraction(0)),),
    signed=(Fraction(1),),
    point=(Fraction(1), Fraction(2)),
)  # J is quadratic


def descending(data, ridge, share, n) -> dict:
    """``n`` steps on logistic losses with signed weights. ``share`` is η times a bound L of H."""
    require_positive(ridge=ridge, share=share, n=n)
    rows, signed = data_measures.matrix(data.rows), data_measures.numbers(data.signed)
    w = data_measures.vector(data.point)
    # -φ' is at most 1/4, and samples of negative weight bend downwards.
    sizes = [sum(rows[i, j] ** 2 for j in range(rows.cols)) for i in range(rows.rows)]
    largest = ridge + sum(max(c, 0) * size / 4 for c, size in zip(signed, sizes, strict=True))
    step = share / largest

    def objective(w):
        losses = [
            c * scalar_measures.logistic_loss(m) for c, m in zip(signed, rows * w, strict=True)
        ]
        return sum(losses) + ridge * data_measures.dot(w, w) / 2

    orbit, slopes = [w], []
    for _ in range(int(n)):
        slope = data_measures.gradient(rows, signed, ridge, orbit[-1])
        slopes.append(data_measures.dot(slope, slope))
        orbit.append(orbit[-1] - step * slope)
    by_slope = step * (1 - share / 2)
    return {
        fall: objective(w) - objective(orbit[1]),
        bound_of_fall: by_slope * slopes[0],
        falls_of_n: objective(w) - objective(orbit[-1]),
        bound_of_n: by_slope * sum(slopes),
        gradient_size: mpmath.sqrt(slopes[0]),
        moved_by: data_measures.norm(orbit[-1] - w),
        step_times_curvature: share,
    }


# large-step-two-cycle

CYCLE_SYSTEM = {
    "correlation": "0.5",
    "ridge": "0.01",
    "excess": "1.01",
    "step": "50",
}  # A = r_p/r = 1, B = 1.01 times the fold's
seen = dict(zip(("x1", "y1", "x2", "y2"), sp.symbols("x_1 y_1 x_2 y_2", real=True), strict=True))
radius, stationary = sp.symbols("radius stationary")


def iterated_cycle() -> dict:
    """Where an orbit ends that starts near the cycle, and the multipliers of two steps there.

    The fold is the largest forget mass along the curve of stationary points.
    """
    correlation, ridge, excess, step = (mpf(value) for value in CYCLE_SYSTEM.values())
    gram = measures.papers_gram(correlation)
    retain_mass, forget_mass = mpf(1), excess * _fold_mass(mpf(1), gram, ridge)

    def after(x, y):
        on_u, on_v = retain_mass * mpmath.exp(-x), -forget_mass * mpmath.exp(-y)
        return (
            x - step * (ridge * x - gram.uu * on_u - gram.uv * on_v),
            y - step * (ridge * y - gram.uv * on_u - gram.vv * on_v),
        )

    def twice(x, y):
        return after(*after(x, y))

    point = mpf("2.7"), mpf("1.7")
    for _ in range(3000):
        new = twice(*point)
        off = max(abs(one - other) for one, other in zip(new, point, strict=True))
        point = new
        if off < mpf(10) ** (5 - mpmath.mp.dps):
            break
    other = after(*point)
    return dict(zip(seen.values(), (*point, *other), strict=True)) | {
        radius: _spectral_radius(twice, point),
        stationary: len(measures.stationary_points(retain_mass, forget_mass, gram, ridge)),
    }


def _fold_mass(retain_mass, gram: Gram, ridge):
    """The largest B/A-mass at which descent-ascent has a stationary point."""

    def level(forget_dual):
        dual = mpmath.findroot(
            lambda p: (
                mpmath.log(p)
                + gram.uu * p
                - gram.uv * forget_dual
                - mpmath.log(retain_mass / ridge)
            ),
            mpf(4),
        )
        return mpmath.log(forget_dual) + gram.uv * dual - gram.vv * forget_dual

    top = mpmath.findroot(lambda forget_dual: mpmath.diff(level, forget_dual), mpf(2))
    return ridge * mpmath.exp(level(top))


def _spectral_radius(mapped, point):
    jacobian = mpmath.matrix(
        [
            [
                mpmath.diff(lambda x, y, i=i: mapped(x, y)[i], point, order)
                for order in ((1, 0), (0, 1))
            ]
            for i in range(2)
        ]
    )
    return max(abs(value) for value in mpmath.eig(jacobian, left=False, right=False))
