"""What the claims about brackets are compared with: the roots, found without the brackets.

Stationary points come from gradients or from a grid over ln Q (:mod:`fold_numbers`), and the bend
h from a difference quotient of ln B along the curve.
"""

import mpmath
import sympy as sp
from mpmath import mpf

from derivations.descent_ascent import fold_numbers, measures
from derivations.descent_ascent.fold_numbers import LINEAR, ROOT_LOGISTIC, SLOW, pair_of
from derivations.descent_ascent.measures import EXPONENTIAL, HEAVY, LOGISTIC, RAISED, MarginLoss
from derivations.ledger.domains import OneOf
from derivations.ledger.theorems import Given, NoValue

loss = fold_numbers.loss
determinant = fold_numbers.determinant
log_mass = fold_numbers.log_steepness  # ln(A/λ)
# Decreasing in the weak sense: the linear loss attains the bounds.
NOT_RISING = OneOf((*measures.DECREASING, LINEAR), others=(measures.WAVY,))
ANY_DECREASING = OneOf((*measures.DECREASING, ROOT_LOGISTIC, LINEAR))
LOG_SUPREMA = {LOGISTIC.name: 0, ROOT_LOGISTIC.name: 0, LINEAR.name: 0, HEAVY.name: sp.log(sp.pi)}

root = sp.Symbol("root", real=True)

# shifted-dual-bracket

log_z, c = sp.symbols("log_z c", real=True)
log_phi_first, log_phi_high = sp.symbols("log_phi_first log_phi_high", real=True)


def shifted_dual(log_z, c, loss) -> dict:
    """The root u = ln t of t = zφ(t - c) by Newton's method, and ln φ at both places of F(u₁)."""
    first = fold_numbers.log_phi(loss, -c)
    high = log_z + first

    def miss(u):
        return u - fold_numbers.log_phi(loss, mpmath.exp(u) - c) - log_z

    low = high
    step = mpf(1)
    while miss(low) > 0:
        low, step = low - step, 2 * step
    return {
        root: high if low == high else fold_numbers.root(miss, low, high + mpf(1) / 2),
        log_phi_first: first,
        log_phi_high: fold_numbers.log_phi(loss, mpmath.exp(high) - c),
    }


# pretrain-bracket

start, start_there = sp.symbols("start q_0", real=True)
where = sp.Symbol("at")
level_there = sp.Symbol("level_at_start", real=True)


def pretrained_dual(
    start, at, retain_mass, forget_mass, ridge, k12, k22, determinant, loss
) -> dict:
    """ln Q of the pretrained model, by Newton's method on its margins; the level at the start.

    The start is ``start``, or the root itself.
    """
    pair = pair_of(k12, k22, determinant, fold_numbers.log_ratio(retain_mass, ridge), loss, sign=1)
    fold_numbers.log_ratio(forget_mass, ridge)
    _, y = measures.margins((retain_mass, forget_mass), pair.gram, ridge, loss)
    solution = mpmath.log(forget_mass * loss.phi(y) / ridge)
    begun = solution if at == "the root" else start
    return {
        root: solution,
        start_there: begun,
        level_there: fold_numbers.level(pair, begun),
    }


# bend-bounds, bounded-fold-bracket

m = sp.Symbol("m", nonnegative=True)
bend_there, sigma_there = sp.symbols("h sigma", real=True)


def bend_at(forget_dual, m, log_ratio, k12, k22, determinant, loss) -> dict:
    """h = 1 - d ln B/d ln Q by a difference quotient, and the decay at y."""
    if not (forget_dual > 0 and m >= 0 and determinant > 0):
        raise NoValue("Q and the determinant must be > 0, m >= 0")
    pair = pair_of(k12, k22, determinant, log_ratio, loss)
    q = mpmath.log(forget_dual)
    return {
        bend_there: 1 - fold_numbers.level_slope(pair, q),
        sigma_there: fold_numbers.decay(loss, fold_numbers.point_at(pair, q).y),
        sp.Symbol("k11", positive=True): pair.gram.uu,
    }


beyond = sp.Symbol("beyond", positive=True)
P_R, h_low, h_high = sp.symbols("P_R h_low h_high", real=True)
Q_first, Q_last = sp.symbols("Q_first Q_last", positive=True)
SMALL_DECAY = Given(
    "the decay is at most min(1, e^y)",
    lambda loss, **_: loss.name in (LOGISTIC.name, ROOT_LOGISTIC.name, LINEAR.name),
)


def bends_outside(beyond, log_ratio, k12, k22, determinant, loss) -> dict:
    """h at both ends, a factor ``beyond`` farther out; the first and the last fold."""
    if not (beyond > 0 and determinant > 0):
        raise NoValue("the factor and the determinant must be > 0")
    pair = pair_of(k12, k22, determinant, log_ratio, loss)
    own = pair.gram.uu
    x, _ = measures.oracle(mpmath.exp(log_ratio), pair.gram, mpf(1), loss)
    dual = x / own
    reach = 2 * own / determinant
    depth = abs(mpmath.log(k22)) + abs(k12) * dual + abs(mpmath.log(reach)) + 2
    low = -30 - mpmath.log(k22) - mpmath.log(beyond)
    high = mpmath.log(reach * depth * beyond)
    found = fold_numbers.folds(pair, float(high) + 3)
    values = {
        P_R: dual,
        h_low: 1 - fold_numbers.level_slope(pair, low),
        h_high: 1 - fold_numbers.level_slope(pair, high),
        fold_numbers.count: len(found),
        sp.Symbol("k11", positive=True): own,
    }
    if found:
        values |= {Q_first: found[0].forget_dual, Q_last: found[-1].forget_dual}
    return values


# branch-bracket

q_least, q_most, q_continued, q_fold = sp.symbols("q_least q_most q_min q_fold", real=True)
log_phi_R, log_supremum = sp.symbols("log_phi_R log_sup", real=True)
bounded, continued = sp.symbols("bounded continued")


def branches(retain_mass, forget_mass, ridge, k12, k22, determinant, loss) -> dict:
    """ln Q of all stationary points, of the continued minimum, and of the first fold."""
    if not (determinant > 0 and loss.decreases):
        raise NoValue("the determinant must be > 0, and φ must decrease: else P has several values")
    pair = pair_of(k12, k22, determinant, fold_numbers.log_ratio(retain_mass, ridge), loss)
    target = fold_numbers.log_ratio(forget_mass, ridge)
    _, y = measures.oracle(retain_mass, pair.gram, ridge, loss)
    at_oracle = fold_numbers.log_phi(loss, y)
    found = list(fold_numbers.crossings(pair, target, lowest=float(target + at_oracle) - 3))
    if not found:
        raise NoValue("there is no stationary point")
    values = {
        q_least: found[0].log_forget,
        q_most: found[-1].log_forget,
        log_phi_R: at_oracle,
        bounded: int(loss.name in LOG_SUPREMA),
        log_supremum: LOG_SUPREMA.get(loss.name, 0),
        continued: 0,
    }
    tops = fold_numbers.folds(pair)
    margin = _raised(retain_mass, forget_mass, ridge, pair)
    if tops and margin is not None:
        values |= {
            continued: 1,
            q_continued: target + fold_numbers.log_phi(loss, margin),
            q_fold: tops[0].log_forget,
        }
    return values


def _raised(retain_mass, forget_mass, ridge, pair: fold_numbers.PairOfTypes):
    """y of the minimum that Newton's method keeps as the forget mass is raised from 0, or None.

    A step is given up where det H is not positive, or where the margins jump.
    """
    point = measures.oracle(retain_mass, pair.gram, ridge, pair.loss)
    for step in range(1, 13):
        mass = forget_mass * step / 12
        try:
            new = measures.margins((retain_mass, -mass), pair.gram, ridge, pair.loss, point)
        except NoValue:
            return None
        far = max(abs(one - other) for one, other in zip(new, point, strict=True))
        if far > mpf(1) / 2 or not _is_minimum(retain_mass, mass, ridge, pair, new):
            return None
        point = new
    return point[1]


def _is_minimum(retain_mass, mass, ridge, pair: fold_numbers.PairOfTypes, point) -> bool:
    loss = pair.loss
    return measures.reduced_determinant(retain_mass, mass, pair.gram, ridge, loss, *point) > 0


# saddle-bracket

drop = sp.Symbol("drop", nonnegative=True)
ease, gone = sp.symbols("a gone", real=True)
UNBOUNDED = OneOf((EXPONENTIAL, SLOW, RAISED), others=(LOGISTIC,))


def fallen(drop, log_ratio, k12, k22, determinant, loss) -> dict:
    """ln(Q/Q_f) where ln B has fallen by ``drop`` from the last fold, and a."""
    if not (drop >= 0 and determinant > 0):
        raise NoValue("the drop must be >= 0, the determinant > 0")
    pair = pair_of(k12, k22, determinant, log_ratio, loss)
    found = fold_numbers.folds(pair)
    if not found:
        raise NoValue("there is no fold")
    fold = found[-1]
    least_decay = min(fold_numbers.decay(loss, fold.y), _decay_far_left(loss))
    return {
        ease: least_decay * fold.forget_dual * determinant / pair.gram.uu,
        gone: _distance(pair, fold, drop),
    }


def _decay_far_left(loss: MarginLoss):
    """The decay at y = -1000. It is monotone in y for the losses that are tried."""
    return fold_numbers.decay(loss, mpf(-1000))


def _distance(pair, fold, drop):
    def left(distance):
        return fold.level - drop - fold_numbers.level(pair, fold.log_forget + distance)

    if drop == 0:
        return mpf(0)
    reach = mpf(1)
    while left(reach) < 0:
        reach *= 2
        if reach > 2000:
            raise NoValue("the forget mass does not fall as far")
    return fold_numbers.root(left, mpf(0), reach)
