"""What the claims about exact windows are compared with: points from gradients, edges by bisection.

Each public function is the ``measure`` of a theorem. It takes the parameters by name and returns
the measured symbols (:mod:`derivations.ledger.theorems`).
"""

import mpmath
import numpy as np
import sympy as sp
from mpmath import mpf

from derivations.descent_ascent import measures
from derivations.descent_ascent.measures import EXPONENTIAL, Gram, MarginLoss
from derivations.descent_ascent.pair_numbers import (
    count,
    is_exponential,
    require_positive,
    require_visible,
    x_A,
    x_D,
    x_R,
    y_A,
    y_D,
    y_R,
)
from derivations.ledger.theorems import NoValue

FARTHEST = 60  # |ln α| up to which an edge is looked for
phi_xD, phi_yD, phi_xA, phi_yA = sp.symbols("phi_xD phi_yD phi_xDA phi_yDA", positive=True)
x_more, y_more, x_start, x_at, height = sp.symbols("x_more y_more x_0 x_at height", real=True)
x_b, edge_x, edge_y, phi_edge, phi_xb, phi_yR = sp.symbols("x_b edge_x edge_y phi_e phi_b phi_yR")
x_c, x_Dc, x_Ac, edge, exists = sp.symbols("x_c x_Dc x_DAc edge exists")
level_slope, hessian, rho, sigma = sp.symbols("dL/dq det_H rho sigma", real=True)
count_D, count_R, least = sp.symbols("count_D count_R least_eigenvalue")


def masses_of(retain_size, forget_size, retain_in_pair, alpha) -> tuple:
    """(a, A, B), means of losses."""
    require_positive(r=retain_size, f=forget_size, r_p=retain_in_pair, alpha=alpha)
    pretrain_mass = retain_in_pair / (retain_size + forget_size)
    return pretrain_mass, retain_in_pair / retain_size, alpha * retain_in_pair / forget_size


def both_points(
    ridge, alpha, retain_size, forget_size, retain_in_pair, k11, k12, k22, loss
) -> dict:
    """Pretraining, the first point of descent-ascent if there is one, and φ at both."""
    require_positive(ridge=ridge, k11=k11, k22=k22)
    a, A, B = masses_of(retain_size, forget_size, retain_in_pair, alpha)
    gram = Gram(k11, k12, k22)
    x, y = measures.pretrained(a, alpha, gram, ridge, loss)
    found = {x_D: x, y_D: y, phi_xD: loss.phi(x), phi_yD: loss.phi(y)}
    if alpha * abs(k12) * found[phi_yD] < mpf("1e-30") * k11 * found[phi_xD]:
        raise NoValue("the forget losses have no visible effect on x")
    points = measures.stationary_points(A, B, gram, ridge, loss)
    found[count] = len(points)
    if points:
        x, y = points[0]
        found |= {x_A: x, y_A: y, phi_xA: loss.phi(x), phi_yA: loss.phi(y)}
        if B * abs(k12) * found[phi_yA] < mpf("1e-30") * A * k11 * found[phi_xA]:
            raise NoValue("the forget losses have no visible effect on x")
    return found


def two_shares(ridge, alpha, growth, height, a, k11, k12, k22, loss) -> dict:
    """Pretraining at α and (1 + growth) α, and at the α at which x_D is x₀ + height."""
    require_positive(ridge=ridge, alpha=alpha, a=a, k11=k11, k22=k22)
    gram = Gram(k11, k12, k22)
    x, y = measures.pretrained(a, alpha, gram, ridge, loss)
    on_u, on_v = k11 * loss.phi(x), alpha * k12 * loss.phi(y)
    if not mpf("1e-40") < on_v / on_u < mpf("1e40"):
        raise NoValue("one of the two masses has no visible effect")
    more = measures.pretrained(a, alpha * (1 + growth), gram, ridge, loss)
    start = measures.weight(k11 * a, ridge, loss)
    share, y_there = share_at(start + height, a, gram, ridge, loss)
    near = mpf(9) / 10 * (start + height), mpf(9) / 10 * y_there
    there = measures.margins((a, share * a), gram, ridge, loss, near)
    return {x_D: x, y_D: y, x_more: more[0], y_more: more[1], x_start: start, x_at: there[0]}


def share_at(x, a, gram: Gram, ridge, loss: MarginLoss) -> tuple:
    """(α, y) of pretraining where x_D = ``x``: both equations are linear in αφ(y) and y."""
    share = (ridge * x / a - gram.uu * loss.phi(x)) / gram.uv
    y = a * (gram.uv * loss.phi(x) + gram.vv * share) / ridge
    return share / loss.phi(y), y


def exact_edges(ridge, alpha, a, retain_mass, k11, k12, k22, loss) -> dict:
    """Both points, and the α at which the margins agree, by bisection in ln α."""
    require_positive(ridge=ridge, alpha=alpha, a=a, A=retain_mass, k11=k11, k22=k22)
    gram = Gram(k11, k12, k22)
    oracle = measures.oracle(retain_mass, gram, ridge, loss)
    x, y = measures.pretrained(a, alpha, gram, ridge, loss)
    require_visible(loss, x, y, *oracle)
    edges = [_edge(which, oracle, a, gram, ridge, loss) for which in (0, 1)]
    shift = k12 * oracle[1] / k22
    size = a * (k11 * k22 - k12**2) / (ridge * k22)
    root = shift
    if size > 0:
        root = measures.root_between(
            lambda x: x - shift - size * loss.phi(x),
            lambda x: 1 - size * loss.slope(x),
            shift,
            shift + 2 * size * loss.phi(shift),
        )
    return {
        x_D: x,
        y_D: y,
        x_R: oracle[0],
        y_R: oracle[1],
        edge_x: edges[0][0],
        edge_y: edges[1][0],
        phi_edge: loss.phi(edges[0][2]),
        x_b: root,
        phi_xb: loss.phi(root),
        phi_yR: loss.phi(oracle[1]),
        is_exponential: int(loss is EXPONENTIAL),
    }


def _edge(which: int, oracle, a, gram: Gram, ridge, loss: MarginLoss) -> tuple:
    """(α, x_D, y_D) where a margin of pretraining is the oracle's; margins increase with α."""
    target = oracle[which]
    points = {}

    def apart(log_share):
        start = min(points.items(), key=lambda item: abs(item[0] - log_share), default=(0, (0, 0)))
        points[log_share] = measures.margins(
            (a, mpmath.exp(log_share) * a), gram, ridge, loss, start[1]
        )
        return points[log_share][which] - target

    low, high = mpf(-FARTHEST), mpf(FARTHEST)
    if not apart(low) < 0 < apart(high):
        raise NoValue("no edge within reach")
    while high - low > 1:
        middle = (low + high) / 2
        low, high = (middle, high) if apart(middle) < 0 else (low, middle)
    log_share = mpmath.findroot(apart, (low, high), solver="anderson", maxsteps=60)
    apart(log_share)
    return (mpmath.exp(log_share), *points[log_share])


def lower_edge(ridge, alpha, retain_size, forget_size, retain_in_pair, k11, k12, k22, loss) -> dict:
    """x_D and x_DA, and the share at which both curves have the same x on the stable branch."""
    require_positive(ridge=ridge, k11=k11, k22=k22)
    a, A, B = masses_of(retain_size, forget_size, retain_in_pair, alpha)
    gram = Gram(k11, k12, k22)
    per_share = retain_in_pair / forget_size
    found = {
        x_D: measures.pretrained(a, alpha, gram, ridge, loss)[0],
        x_A: measures.descent_ascent(A, B, gram, ridge, loss)[0],
        x_start: measures.weight(k11 * a, ridge, loss),
        x_R: measures.oracle(A, gram, ridge, loss)[0],
        exists: 0,
        edge: mpmath.inf,
    }

    def difference(x):
        share = (A * gram.uu * loss.phi(x) - ridge * x) / gram.uv
        y = (gram.uv * A * loss.phi(x) - gram.vv * share) / ridge
        of_ascent = share / loss.phi(y) / per_share
        of_pretraining = share_at(x, a, gram, ridge, loss)[0]
        require_positive(of_ascent=of_ascent, of_pretraining=of_pretraining)
        return mpmath.log(of_pretraining) - mpmath.log(of_ascent)

    root = _highest_root(difference, found[x_start], found[x_R])
    share = share_at(root, a, gram, ridge, loss)[0]
    try:
        ascended = measures.descent_ascent(A, share * per_share, gram, ridge, loss)[0]
    except NoValue:
        return found
    if abs(ascended - root) > mpf("1e-10") * abs(root):
        return found
    trained = measures.pretrained(a, share, gram, ridge, loss)[0]
    return found | {exists: 1, edge: share, x_c: root, x_Dc: trained, x_Ac: ascended}


def _highest_root(function, low, high):
    """The sign change nearest to ``high``. The function is positive there, negative at low."""
    shares = [*np.geomspace(1e-9, 0.05, 30), *np.linspace(0.05, 0.95, 60)[1:-1]]
    shares += [1 - share for share in np.geomspace(1e-9, 0.05, 30)[::-1]]
    above = None
    for share in shares:
        x = high - (high - low) * mpf(float(share))
        if function(x) < 0:
            if above is None:
                raise NoValue("the root is too close to the oracle")
            return mpmath.findroot(function, (x, above), solver="anderson", maxsteps=80)
        above = x
    raise NoValue("the root is too close to the start")


def vectors_of(gram: Gram) -> tuple:
    """Two vectors of the plane with these products. :class:`NoValue` if there are none."""
    height = gram.vv - gram.uv**2 / gram.uu
    if height < -mpmath.sqrt(mpmath.eps) * gram.vv:
        raise NoValue("no vectors have these products")
    along = mpmath.sqrt(gram.uu)
    return (along, mpf(0)), (gram.uv / along, mpmath.sqrt(max(height, mpf(0))))


def along_curve(ridge, retain_dual, forget_dual, k11, k12, k22, varsigma, loss) -> dict:
    """Slope of the level and det H, by difference quotients at the point with duals P and Q."""
    require_positive(ridge=ridge, P=retain_dual, Q=forget_dual, k11=k11, k22=k22)
    side = int(varsigma)
    x = k11 * retain_dual + side * k12 * forget_dual
    y = k12 * retain_dual + side * k22 * forget_dual
    masses = ridge * retain_dual / loss.phi(x), side * ridge * forget_dual / loss.phi(y)
    u, v = vectors_of(Gram(k11, k12, k22))

    def gradient(index):
        def entry(first, second):
            on_u, on_v = u[0] * first, v[0] * first + v[1] * second
            weight = (first, second)[index]
            return (
                ridge * weight
                - masses[0] * loss.phi(on_u) * u[index]
                - masses[1] * loss.phi(on_v) * v[index]
            )

        return entry

    weights = [retain_dual * u[i] + side * forget_dual * v[i] for i in (0, 1)]
    entries = [
        mpmath.diff(gradient(index), weights, order)
        for index in (0, 1)
        for order in ((1, 0), (0, 1))
    ]
    return {
        level_slope: _slope_of_level(
            masses[0] / ridge, retain_dual, forget_dual, k11, k12, k22, side, loss
        ),
        hessian: entries[0] * entries[3] - entries[1] * entries[2],
        rho: -loss.slope(x) / loss.phi(x),
        sigma: -loss.slope(y) / loss.phi(y),
    }


def _slope_of_level(ratio, retain_dual, forget_dual, k11, k12, k22, side, loss: MarginLoss):
    """d(ln Q - ln φ(y))/d ln Q while P = ``ratio`` φ(x)."""

    def level(log_dual):
        dual = mpmath.exp(log_dual)
        p = retain_dual
        for _ in range(30):
            x = k11 * p + side * k12 * dual
            step = (p - ratio * loss.phi(x)) / (1 - ratio * k11 * loss.slope(x))
            p -= step
            if abs(step) <= 4 * mpmath.eps * abs(p):
                break
        return log_dual - mpmath.log(loss.phi(k12 * p + side * k22 * dual))

    return mpmath.diff(level, mpmath.log(forget_dual))


def counted_points(ridge, alpha, a, retain_mass, k11, k12, k22, loss) -> dict:
    """How many stationary points pretraining and the oracle have: sign changes along a curve."""
    require_positive(ridge=ridge, alpha=alpha, a=a, A=retain_mass, k11=k11, k22=k22)
    gram = Gram(k11, k12, k22)
    x, y = measures.pretrained(a, alpha, gram, ridge, loss)
    matrix = mpmath.matrix([[ridge, 0], [0, ridge]])
    u, v = (mpmath.matrix(vector) for vector in vectors_of(gram))
    for mass, margin, vector in ((a, x, u), (alpha * a, y, v)):
        matrix -= mass * loss.slope(margin) * vector * vector.T
    P, Q = a * loss.phi(x) / ridge, alpha * a * loss.phi(y) / ridge
    if abs(mpmath.log(Q)) > 70:
        raise NoValue("Q lies beyond the grid")
    return {
        count_D: _points_of_pretraining(a / ridge, alpha * a / ridge, gram, loss),
        count_R: _points_of_oracle(float(retain_mass * k11 / ridge), loss),
        least: min(mpmath.eigsy(matrix, eigvals_only=True)),
        level_slope: _slope_of_level(a / ridge, P, Q, k11, k12, k22, 1, loss),
    }


def _points_of_oracle(scale: float, loss: MarginLoss) -> int:
    """Sign changes of ``ln x - ln(scale φ(x))`` over x > 0: there is no point elsewhere."""
    x = np.geomspace(1e-30, 1e30, 6000)
    return _sign_changes(np.log(x) - np.log(scale) - loss.log_phi(x))


def _points_of_pretraining(on_u, on_v, gram: Gram, loss: MarginLoss) -> int:
    """Sign changes of the equation of Q along the curve on which that of P holds.

    Each x is found by bisection in t, with x = sinh t. y is (k12 x + Δ Q)/k11: so nothing cancels
    for types that are nearly parallel.
    """
    log_q = np.linspace(-80, 80, 4000)
    duals = np.exp(log_q)
    uu, uv = float(gram.uu), float(gram.uv)
    determinant = float(gram.uu * gram.vv - gram.uv**2)
    log_scale = float(mpmath.log(on_u * gram.uu))
    with np.errstate(all="ignore"):
        x = np.sinh(
            measures.bisected(
                lambda t: np.sinh(t) - uv * duals - np.exp(log_scale + loss.log_phi(np.sinh(t))),
                log_q.shape,
            )
        )
        y = uv / uu * x + max(determinant, 0.0) / uu * duals
        return _sign_changes(log_q - float(mpmath.log(on_v)) - loss.log_phi(y))


def _sign_changes(values: np.ndarray) -> int:
    return int(np.sum(np.sign(values[1:]) != np.sign(values[:-1])))
