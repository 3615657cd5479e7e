"""What the claims about folds are compared with: the forget mass along the curve of descent-ascent.

The curve runs over q = ln Q. At each q the retain dual P solves ``λP = A φ(x)``, and the forget
mass follows from ``λQ = B φ(y)``. Folds are places where the forget mass is largest or smallest.
They are found on a grid in double precision. Then the slope of ln B, a difference quotient, is
brought to 0. Hessians are matrices of two sample types with the given products.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import mpmath
import numpy as np
import scipy.integrate
import sympy as sp
from mpmath import mpf

from derivations.descent_ascent import measures
from derivations.descent_ascent.measures import EXPONENTIAL, Gram, MarginLoss
from derivations.ledger.domains import OneOf
from derivations.ledger.theorems import NoValue

GRID = 1600  # places at which a curve is computed first
LONGEST = mpf("1e40")  # margins of larger size are not computed

# φ = 1: it decreases in the weak sense. The bounds are attained for it.
LINEAR = MarginLoss(
    name="linear",
    phi=lambda m: mpf(1),
    slope=lambda m: mpf(0),
    second=lambda m: mpf(0),
    log_phi=lambda m: 0 * m,
)
# φ = (1 + e^m)^(-1/2): half the logistic decay.
ROOT_LOGISTIC = MarginLoss(
    name="root of logistic",
    phi=lambda m: mpmath.sqrt(measures.LOGISTIC.phi(m)),
    slope=lambda m: -mpmath.sqrt(measures.LOGISTIC.phi(m)) * measures.LOGISTIC.phi(-m) / 2,
    second=lambda m: (
        mpmath.sqrt(measures.LOGISTIC.phi(m))
        * measures.LOGISTIC.phi(-m)
        * (measures.LOGISTIC.phi(-m) / 4 - measures.LOGISTIC.phi(m) / 2)
    ),
    log_phi=lambda m: -np.logaddexp(0, m) / 2,
)
# φ = 4 e^(-m/4): unbounded, with the decay 1/4.
SLOW = MarginLoss(
    name="slow exponential",
    phi=lambda m: 4 * mpmath.exp(-m / 4),
    slope=lambda m: -mpmath.exp(-m / 4),
    second=lambda m: mpmath.exp(-m / 4) / 4,
    log_phi=lambda m: np.log(4) - m / 4,
)

DECREASING = OneOf(measures.DECREASING, others=(measures.WAVY,))
ANY_LOSS = OneOf((*measures.DECREASING, measures.WAVY))
BOUNDED = OneOf((measures.LOGISTIC, ROOT_LOGISTIC, measures.HEAVY))


class PairOfTypes(NamedTuple):
    """A pair of sample types, ln(A/λ), and the loss. ``determinant`` is that of the Gram matrix.

    ``sign`` is -1 for descent-ascent and 1 for pretraining.
    """

    gram: Gram
    determinant: mpf
    log_mass: mpf
    loss: MarginLoss
    sign: int = -1


def pair_of(k12, k22, determinant, log_mass, loss=EXPONENTIAL, sign: int = -1) -> PairOfTypes:
    """The pair whose k11 follows from the determinant. It keeps digits of a small determinant."""
    if not (k22 > 0 and determinant >= 0):
        raise NoValue("k22 must be > 0, and the determinant >= 0")
    gram = Gram(uu=(determinant + k12**2) / k22, uv=k12, vv=k22)
    if not gram.uu > 0:
        raise NoValue("the retained type must not be 0")
    return PairOfTypes(gram, determinant, log_mass, loss, sign)


def papers_pair(correlation, log_mass, loss=EXPONENTIAL) -> PairOfTypes:
    """u = (1, ε) and v = (ε, 1)."""
    return PairOfTypes(measures.papers_gram(correlation), (1 - correlation**2) ** 2, log_mass, loss)


def log_ratio(mass, ridge):
    """ln(mass/ridge). :class:`NoValue` unless both are positive."""
    if not (mass > 0 and ridge > 0):
        raise NoValue("masses and the ridge must be positive")
    return mpmath.log(mass / ridge)


def log_phi(loss: MarginLoss, margin):
    """ln φ."""
    if abs(margin) > LONGEST:
        raise NoValue("the margin is too large")
    if loss is EXPONENTIAL:
        return -margin
    return mpmath.log(loss.phi(margin))


def decay(loss: MarginLoss, margin):
    """-φ'/φ."""
    if abs(margin) > LONGEST:
        raise NoValue("the margin is too large")
    return mpf(1) if loss is EXPONENTIAL else -loss.slope(margin) / loss.phi(margin)


class CurvePoint(NamedTuple):
    """A stationary point of the curve: ln Q, ln P, both margins, and ln(B/λ)."""

    log_forget: mpf
    log_retain: mpf
    x: mpf
    y: mpf
    level: mpf

    @property
    def retain_dual(self):
        return mpmath.exp(self.log_retain)

    @property
    def forget_dual(self):
        return mpmath.exp(self.log_forget)


def point_at(pair: PairOfTypes, q) -> CurvePoint:
    """The point of the curve at ln Q = q: Newton's method on ln P, safe by a bracket."""
    own, cross, _ = pair.gram
    loss = pair.loss
    forget_part = pair.sign * cross * mpmath.exp(q)

    highest = mpmath.log(LONGEST) - mpmath.log(own)

    def miss(u):
        if u > highest:  # too large: positive, if φ decreases
            return mpf(1)
        return u - log_phi(loss, own * mpmath.exp(u) + forget_part) - pair.log_mass

    def slope(u):
        if u > highest:
            return mpf(0)
        dual = own * mpmath.exp(u)
        return 1 + dual * decay(loss, dual + forget_part)

    u = root(miss, *_enclosing(miss, pair.log_mass), slope)
    x = own * mpmath.exp(u) + forget_part
    y = (cross * x + pair.sign * pair.determinant * mpmath.exp(q)) / own
    return CurvePoint(q, u, x, y, q - log_phi(loss, y))


def _enclosing(function: Callable, near) -> tuple:
    """Two ends of different signs of an increasing function."""
    low = high = near
    step = mpf(1)
    while function(low) > 0:
        low, step = low - step, 2 * step
    step = mpf(1)
    while function(high) < 0:
        high, step = high + step, 2 * step
    return (low, high) if low < high else (low - 1, high + 1)


def level(pair: PairOfTypes, q):
    """ln(B/λ) of the point at q."""
    return point_at(pair, q).level


def level_slope(pair: PairOfTypes, q):
    """d ln B/dq, by a difference quotient. mpmath doubles the precision for it."""
    return mpmath.diff(lambda at: level(pair, at), q)


def hessian(pair: PairOfTypes, point: CurvePoint) -> mpmath.matrix:
    """H/λ in the plane of u = (√k11, 0) and v = (k12, √Δ)/√k11."""
    own, cross, _ = pair.gram
    first = mpmath.matrix([mpmath.sqrt(own), 0])
    second = mpmath.matrix([cross, mpmath.sqrt(pair.determinant)]) / mpmath.sqrt(own)
    on_u = point.retain_dual * decay(pair.loss, point.x)
    on_v = point.forget_dual * decay(pair.loss, point.y)
    return mpmath.eye(2) + on_u * first * first.T + pair.sign * on_v * second * second.T


def eigenvalues(matrix) -> tuple:
    """Both eigenvalues of a symmetric matrix of order two, the smaller one first."""
    half = (matrix[0, 0] + matrix[1, 1]) / 2
    spread = mpmath.hypot((matrix[0, 0] - matrix[1, 1]) / 2, matrix[0, 1])
    product = matrix[0, 0] * matrix[1, 1] - matrix[0, 1] ** 2
    if half > 0:  # the smaller one by the product, which loses fewer digits
        return product / (half + spread), half + spread
    return half - spread, product / (half - spread) if half - spread else half + spread


class Grid(NamedTuple):
    """ln Q, x and ln(B/λ) along a curve, in double precision."""

    q: np.ndarray
    level: np.ndarray


def grid(pair: PairOfTypes, low: float, high: float) -> Grid:
    """The curve at evenly spread q: bisection in ln P, all at once."""
    own, cross = float(pair.gram.uu), float(pair.gram.uv)
    q = np.linspace(low, high, GRID)
    log_mass = float(pair.log_mass)
    with np.errstate(all="ignore"):
        forget_part = pair.sign * cross * np.exp(q)
        below, above = np.full(q.shape, -800.0), np.full(q.shape, 700.0)
        for _ in range(62):
            middle = (below + above) / 2
            margin = own * np.exp(middle) + forget_part
            less = middle - pair.loss.log_phi(margin) < log_mass
            below, above = np.where(less, middle, below), np.where(less, above, middle)
        x = _margins(pair, below, forget_part, log_mass)
        y = (cross * x + pair.sign * float(pair.determinant) * np.exp(q)) / own
        return Grid(q, q - pair.loss.log_phi(y))


def _margins(pair: PairOfTypes, log_dual, forget_part, log_mass):
    """x: for the exponential loss from the mass, without the difference of large numbers."""
    if pair.loss is EXPONENTIAL:
        return log_mass - log_dual
    return float(pair.gram.uu) * np.exp(log_dual) + forget_part


def whole_range(pair: PairOfTypes) -> tuple[float, float]:
    """Where folds of descent-ascent may lie: from 60 below -ln k22 on, as far as they can be.

    The upper end is 12 above the places where ΔQ outweighs k11 times all logarithms that enter.
    """
    own, _, other = pair.gram
    logs = 100 + abs(pair.log_mass) + abs(mpmath.log(own)) + abs(mpmath.log(other))
    low = -mpmath.log(other) - 60
    if pair.determinant == 0:
        return float(low), float(mpmath.log(logs / other) + 60)
    return float(low), float(mpmath.log(own * logs / pair.determinant) + 6)


def folds(pair: PairOfTypes, highest: float | None = None) -> list[CurvePoint]:
    """All folds of descent-ascent: sign changes of the slope of ln B along the curve.

    ``highest`` is an end of the search in ln Q that replaces a lower one.
    """
    low, high = whole_range(pair)
    found = grid(pair, low, max(high, highest or high))
    rises = np.diff(found.level) > 0
    turns = np.flatnonzero(rises[1:] != rises[:-1])
    step = found.q[1] - found.q[0]
    return [_fold_near(pair, mpf(float(found.q[index + 1])), mpf(float(step))) for index in turns]


def _fold_near(pair: PairOfTypes, centre, step) -> CurvePoint:
    def determinant(q):
        return mpmath.det(hessian(pair, point_at(pair, q)))

    return point_at(pair, root(determinant, centre - 2 * step, centre + 2 * step))


def root(function: Callable, low, high, derivative: Callable | None = None):
    """The root of ``function`` between ``low`` and ``high``: Newton's method inside the bracket.

    Without a derivative, slopes are difference quotients over a half of the digits.
    :class:`NoValue` without a change of sign.
    """
    small = mpmath.sqrt(mpmath.eps)
    rising = function(high) > 0
    if (function(low) > 0) == rising:
        raise NoValue("there is no sign change")
    x = (low + high) / 2
    for _ in range(400):
        value = function(x)
        if (value > 0) == rising:
            high = x
        else:
            low = x
        slope = derivative(x) if derivative else (function(x + small) - value) / small
        new = x - value / slope if slope != 0 else low
        if not low <= new <= high:
            new = (low + high) / 2
        if abs(new - x) <= 2**8 * mpmath.eps * (1 + abs(x)):
            return new
        x = new
    raise NoValue("the root was not reached")


def first_fold(pair: PairOfTypes) -> CurvePoint:
    """The first fold of descent-ascent. :class:`NoValue` if there is none."""
    found = folds(pair)
    if not found:
        raise NoValue("there is no fold")
    return found[0]


def crossings(
    pair: PairOfTypes, target, extra: tuple = (), lowest: float | None = None
) -> Iterator[CurvePoint]:
    """All points of descent-ascent with ln(B/λ) = ``target``, by rising q.

    ``extra`` are further q that are looked at, such as the place of a peak. ``lowest`` is where
    the search begins; without it, 60 below ``target``.
    """
    low, high = whole_range(pair)
    start = float(target) - 60 if lowest is None else lowest
    found = grid(pair, min(low, start), high)
    q = np.concatenate([found.q, [float(at) for at in extra]])
    sides = np.concatenate(
        [found.level - float(target), [float(level(pair, at) - target) for at in extra]]
    )
    order = np.argsort(q)
    q, sides = q[order], sides[order]
    for index in np.flatnonzero(sides[:-1] * sides[1:] < 0):
        yield point_at(
            pair,
            root(
                lambda at: level(pair, at) - target, mpf(float(q[index])), mpf(float(q[index + 1]))
            ),
        )


determinant = sp.Symbol("determinant", positive=True)
count, P_f, Q_f, level_f, slope_f = sp.symbols("folds P_fold Q_fold ln_B_fold slope", real=True)
B_f, alpha_f = sp.symbols("B_fold alpha_fold", positive=True)


def exponential_folds(retain_mass, ridge, k12, k22, determinant) -> dict:
    """How many folds the exponential loss has, and the duals at the first one."""
    pair = pair_of(k12, k22, determinant, log_ratio(retain_mass, ridge))
    found = folds(pair)
    if not found:
        raise NoValue("there is no fold")
    first = found[0]
    return {
        count: len(found),
        P_f: first.retain_dual,
        Q_f: first.forget_dual,
        level_f: first.level,
        sp.Symbol("k11", positive=True): pair.gram.uu,
    }


# two-points-below-fold

share = sp.Symbol("share", positive=True)
points, x_1, x_2 = sp.symbols("points x_1 x_2", real=True)
least_1, least_2, largest_2 = sp.symbols("least_1 least_2 largest_2", real=True)


def points_at_share(correlation, retain_mass, ridge, share) -> dict:
    """All stationary points at ``share`` of the mass at the fold, with the signs of H."""
    if not (0 < correlation < 1 and share > 0):
        raise NoValue("the correlation must be in (0, 1), and the share > 0")
    pair = papers_pair(correlation, log_ratio(retain_mass, ridge))
    top = max(folds(pair), key=lambda point: point.level)
    found = list(crossings(pair, top.level + mpmath.log(share), (top.log_forget,)))
    if share == 1:
        found.append(top)
    values = {points: len(found)}
    if len(found) == 2:
        minimum, saddle = found
        smaller, larger = eigenvalues(hessian(pair, saddle))
        values |= {
            x_1: minimum.x,
            x_2: saddle.x,
            least_1: eigenvalues(hessian(pair, minimum))[0],
            least_2: smaller,
            largest_2: larger,
        }
    return values


# fold-locus


def on_locus(retain_dual, k12, k22, determinant) -> dict:
    """The Q at which H is singular for a given P, and the slope of ln B there."""
    if not retain_dual > 0:
        raise NoValue("P must be > 0")
    own = pair_of(k12, k22, determinant, mpf(0)).gram.uu

    def pair_at(q):
        margin = own * retain_dual - k12 * mpmath.exp(q)
        return pair_of(k12, k22, determinant, mpmath.log(retain_dual) + margin), margin

    def singular(q):
        pair, margin = pair_at(q)
        point = CurvePoint(q, mpmath.log(retain_dual), margin, mpf(0), mpf(0))
        return mpmath.det(hessian(pair, point))

    low = high = -mpmath.log(k22)
    while singular(low) < 0:
        low -= 1
    while singular(high) > 0:
        high += 1
    q = root(singular, low - 1, high + 1)
    pair = pair_at(q)[0]
    point = point_at(pair, q)
    return {
        P_f: point.retain_dual,
        Q_f: point.forget_dual,
        log_A: pair.log_mass,
        level_f: point.level,
        slope_f: level_slope(pair, q),
        sp.Symbol("k11", positive=True): own,
    }


log_A = sp.Symbol("ln_A", real=True)


# fold-locus-bounds, small-correlation-series, fold-power-law, fold-correlation-limits

log_steepness = sp.Symbol("log_ratio", positive=True)  # ln(A/λ)
to_one = sp.Symbol("distance", positive=True)  # 1 - ε
merged_B = sp.Symbol("B_merged", positive=True)
B_near_one = sp.Symbol("B_near_one", positive=True)


def papers_fold(correlation, retain_mass, ridge) -> dict:
    """The mass and the duals at the fold of the paper's pair, exponential loss."""
    if not 0 < correlation < 1:
        raise NoValue("the correlation must be in (0, 1)")
    fold = first_fold(papers_pair(correlation, log_ratio(retain_mass, ridge)))
    return {
        level_f: fold.level,
        B_f: ridge * mpmath.exp(fold.level),
        P_f: fold.retain_dual,
    }


def fold_of_small_ridge(correlation, retain_mass, forget_size, retain_in_pair, log_ratio) -> dict:
    """α at the fold for λ = A e^(-log_ratio)."""
    if not (0 < correlation < 1 and min(retain_mass, forget_size, retain_in_pair) > 0):
        raise NoValue("the correlation must be in (0, 1), mass and sizes positive")
    ridge = retain_mass * mpmath.exp(-log_ratio)
    fold = first_fold(papers_pair(correlation, log_ratio))
    return {
        P_f: fold.retain_dual,
        alpha_f: forget_size / retain_in_pair * ridge * mpmath.exp(fold.level),
        sp.Symbol("lambda", positive=True): ridge,
    }


def fold_at_the_ends(retain_mass, ridge, correlation=None, distance=None) -> dict:
    """B at the fold near ε = 0 or ε = 1; the largest B at which the merged type has a point."""
    if correlation is not None:
        return papers_fold(correlation, retain_mass, ridge)
    if distance is not None:
        return {B_near_one: papers_fold(1 - distance, retain_mass, ridge)[B_f]}

    def forget_mass(margin):  # λu = 2(A - B) e^-u
        return retain_mass - ridge * margin * mpmath.exp(margin) / 2

    log_ratio(retain_mass, ridge)
    top = root(lambda margin: mpmath.diff(forget_mass, margin) / ridge, mpf(-4), mpf(1))
    return {merged_B: forget_mass(top)}


# fold-hessian, fold-condition-any-loss

loss = sp.Symbol("loss")
where = sp.Symbol("at")
decreases = sp.Symbol("decreases")
alpha_there, det_H, least, largest = sp.symbols("alpha_DA det_H least largest", real=True)
relative_slope = sp.Symbol("relative_slope", real=True)  # of α
h_x, h_y, phi_at_y = sp.symbols("h_x h_y phi_y", real=True)
y_of_x, dy_dx, phi_slope_y, dB_dx = sp.symbols("y dy_dx phi_slope_y dB_dx", real=True)


class AlongX(NamedTuple):
    """The curve of descent-ascent over x: y, and the forget mass B."""

    pair: PairOfTypes
    retain_mass: mpf
    ridge: mpf

    def at(self, x) -> tuple:
        """(y, B): the two gradient equations are linear in y and Bφ(y)."""
        own, cross, other = self.pair.gram
        on_retain = self.retain_mass * self.pair.loss.phi(x)
        on_forget = (own * on_retain - self.ridge * x) / cross
        y = (cross * on_retain - other * on_forget) / self.ridge
        return y, on_forget / self.pair.loss.phi(y)

    def hessian(self, x) -> mpmath.matrix:
        """H/λ at x."""
        y, forget_mass = self.at(x)
        loss = self.pair.loss
        log_p = mpmath.log(self.retain_mass * loss.phi(x) / self.ridge)
        on_forget = forget_mass * loss.phi(y)
        if not on_forget > 0:
            raise NoValue("the forget mass must be positive")
        return hessian(
            self.pair, CurvePoint(mpmath.log(on_forget / self.ridge), log_p, x, y, mpf(0))
        )

    def fold_from(self, x):
        """The next x below with a singular H."""
        step = mpf(1) / 8
        for _ in range(60):
            if mpmath.det(self.hessian(x)) * mpmath.det(self.hessian(x - step)) <= 0:
                return root(lambda at: mpmath.det(self.hessian(at)), x - step, x)
            x = x - step
        raise NoValue("no fold was met")


def along_x(x, retain_mass, ridge, k12, k22, determinant, forget_size, retain_in_pair, loss, at):
    """The relative slope of α over x, and the eigenvalues of H. ``at`` says where."""
    if not min(retain_mass, ridge, k12, forget_size, retain_in_pair) > 0:
        raise NoValue("masses, sizes, k12 and the ridge must be positive")
    curve = AlongX(pair_of(k12, k22, determinant, mpf(0), loss), retain_mass, ridge)
    if at == "fold":
        x = curve.fold_from(x)
    matrix = curve.hessian(x)
    y, forget_mass = curve.at(x)
    smaller, larger = eigenvalues(matrix)
    return {
        relative_slope: mpmath.diff(lambda at: curve.at(at)[1] / forget_mass, x),
        alpha_there: forget_size / retain_in_pair * forget_mass,
        det_H: mpmath.det(matrix),
        least: smaller,
        largest: larger,
        h_x: -retain_mass * loss.slope(x) / ridge,
        h_y: -forget_mass * loss.slope(y) / ridge,
        phi_at_y: loss.phi(y),
        decreases: int(loss.decreases),
        sp.Symbol("k11", positive=True): curve.pair.gram.uu,
    }


def along_papers_x(x, retain_mass, ridge, correlation, loss, at) -> dict:
    """The slopes of y and ln B along the curve over x, for the paper's types."""
    if not (retain_mass > 0 and ridge > 0 and 0 < correlation < 1):
        raise NoValue("masses and the ridge must be positive, the correlation in (0, 1)")
    curve = AlongX(papers_pair(correlation, mpf(0), loss), retain_mass, ridge)
    if at == "fold":
        x = curve.fold_from(x)
    matrix = curve.hessian(x)
    y, forget_mass = curve.at(x)
    return {
        where_x: x,
        y_of_x: y,
        dy_dx: mpmath.diff(lambda at: curve.at(at)[0], x),
        dB_dx: mpmath.diff(lambda at: curve.at(at)[1] / forget_mass, x),
        det_H: mpmath.det(matrix),
        phi_at_y: loss.phi(y),
        phi_slope_y: loss.slope(y),
        h_x: -retain_mass * loss.slope(x) / ridge,
    }


where_x = sp.Symbol("x_there", real=True)


# fold-rates

which = sp.Symbol("which")
delta_below, delta_above = sp.symbols("delta_below delta_above", positive=True)
third, least_rate, escape_time = sp.symbols("third least_rate escape_time", real=True)
rho_P, sigma_Q, tau_P, tau_Q = sp.symbols("rho_P sigma_Q tau_P tau_Q", real=True)
LARGEST_TERMS = 1e10  # times δ: the gradient is then known to 1e-6 of what δ changes
FLOW_ENDS = 0.5  # how far in y from the fold the escape starts and ends


def rates_at_fold(
    log_ratio, ridge, k12, k22, determinant, loss, which, delta_below=None, delta_above=None
) -> dict:
    """D³J along the null vector; the slowest rate below the fold; the time to escape above it."""
    if not ridge > 0:
        raise NoValue("the ridge must be positive")
    pair = pair_of(k12, k22, determinant, log_ratio, loss)
    found = folds(pair)
    if not found:
        raise NoValue("there is no fold")
    fold = found[0 if which == "first" else -1]
    null = null_vector(pair, fold)
    values = {
        P_f: fold.retain_dual,
        Q_f: fold.forget_dual,
        rho_P: fold.retain_dual * decay(loss, fold.x),
        sigma_Q: fold.forget_dual * decay(loss, fold.y),
        tau_P: fold.retain_dual * loss.second(fold.x) / loss.phi(fold.x),
        tau_Q: fold.forget_dual * loss.second(fold.y) / loss.phi(fold.y),
    }
    values[third] = values[tau_Q] * null.on_v**3 - values[tau_P] * null.on_u**3
    if delta_below is not None:
        point = point_below(pair, fold, mpmath.log1p(-delta_below))
        values[least_rate] = ridge * eigenvalues(hessian(pair, point))[0]
    if delta_above is not None:
        values[escape_time] = flow_time(pair, fold, null, float(delta_above)) / ridge
    return values


class Null(NamedTuple):
    """The products of the null vector of H with u and v."""

    on_u: mpf
    on_v: mpf


def null_vector(pair: PairOfTypes, fold: CurvePoint) -> Null:
    """The unit eigenvector of H with the smallest eigenvalue, and <n, v> > 0."""
    values, vectors = mpmath.eigsy(hessian(pair, fold))
    own, cross, _ = pair.gram
    index = 0 if abs(values[0]) < abs(values[1]) else 1
    first, second = vectors[0, index], vectors[1, index]
    on_u = mpmath.sqrt(own) * first
    on_v = (cross * first + mpmath.sqrt(pair.determinant) * second) / mpmath.sqrt(own)
    return Null(on_u, on_v) if on_v > 0 else Null(-on_u, -on_v)


def point_below(pair: PairOfTypes, fold: CurvePoint, log_share) -> CurvePoint:
    """The minimum next to the fold at ``log_share`` below its ln B."""

    def excess(q):
        return level(pair, q) - fold.level - log_share

    step = mpf("1e-12")
    while excess(fold.log_forget - step) > 0:
        step *= 2
        if step > 1:
            raise NoValue("the forget mass does not fall on this side")
    q = root(excess, fold.log_forget - step, fold.log_forget)
    return point_at(pair, q)


def flow_time(pair: PairOfTypes, fold: CurvePoint, null: Null, delta: float) -> float:
    """λ times the time of the gradient flow past the fold, for the margins, in double precision."""
    own, cross, other = (float(entry) for entry in pair.gram)
    base = float(pair.log_mass), float(fold.level) + np.log1p(delta)
    span = FLOW_ENDS / float(null.on_v)
    along = np.array([float(null.on_u), float(null.on_v)]) * span
    middle = np.array([float(fold.x), float(fold.y)])
    log_phi = pair.loss.log_phi
    terms = own * fold.retain_dual, abs(cross) * fold.retain_dual, other * fold.forget_dual
    if max(terms) > LARGEST_TERMS * delta:
        raise NoValue("the terms of the gradient are too large for double precision")

    def velocity(_, margins):
        on_retain = np.exp(base[0] + log_phi(margins[0]))
        on_forget = np.exp(base[1] + log_phi(margins[1]))
        return [
            own * on_retain - cross * on_forget - margins[0],
            cross * on_retain - other * on_forget - margins[1],
        ]

    def left(_, margins):
        return margins[1] - (middle[1] - along[1])

    left.terminal = True
    run = scipy.integrate.solve_ivp(
        velocity, (0, 1e9), middle + along, "LSODA", events=left, rtol=1e-9, atol=1e-12
    )
    if run.status != 1:
        raise NoValue("the flow does not escape")
    return float(run.t[-1])


# cusp-condition

phi_xx, phi_yy, forget_B = sp.symbols("phi_xx phi_yy forget_B", real=True)
merging = sp.Symbol("merging")


def at_merging(k12, k22, determinant, loss, at, log_ratio) -> dict:
    """The point where two folds merge, or the first fold; D³J along the null vector there.

    Folds merge where det H has a double zero along the curve.
    """
    pair = pair_of(k12, k22, determinant, log_ratio, loss)
    if at == "merging":
        pair, point = double_zero(pair)
    else:
        point = first_fold(pair)
    null = null_vector(pair, point)
    retain, forget = mpmath.exp(pair.log_mass), mpmath.exp(point.level)
    second_x, second_y = loss.second(point.x), loss.second(point.y)
    return {
        merging: int(at == "merging"),
        det_H: mpmath.det(hessian(pair, point)),
        phi_xx: retain * second_x,
        phi_yy: forget * second_y,
        h_x: point.retain_dual * decay(loss, point.x),
        third: forget * second_y * null.on_v**3 - retain * second_x * null.on_u**3,
    }


def double_zero(pair: PairOfTypes) -> tuple:
    """The pair, with another ln(A/λ), and the point at which det H and its slope are 0."""
    low, high = -30.0, 30.0

    def steepest(log_mass):
        """How far ln B falls on the steepest part of the curve, and where."""
        at = pair._replace(log_mass=mpf(log_mass))
        found = grid(at, *whole_range(at))
        rise = np.diff(found.level)
        index = int(np.argmin(rise))
        return rise[index], found.q[index]

    if steepest(low)[0] < 0 or steepest(high)[0] > 0:
        raise NoValue("no two folds merge")
    for _ in range(14):
        middle = (low + high) / 2
        low, high = (middle, high) if steepest(middle)[0] > 0 else (low, middle)

    def singular(q, log_mass):
        at = pair._replace(log_mass=log_mass)
        return mpmath.det(hessian(at, point_at(at, q)))

    def both(q, log_mass):
        return singular(q, log_mass), mpmath.diff(lambda at: singular(at, log_mass), q)

    start = (mpf(float(steepest(high)[1])), mpf(high))
    try:
        solution = mpmath.findroot(both, start, tol=mpf(10) ** (-mpmath.mp.dps), maxsteps=20)
    except (ValueError, ZeroDivisionError) as error:
        raise NoValue(str(error)) from error
    at = pair._replace(log_mass=solution[1])
    return at, point_at(at, solution[0])
