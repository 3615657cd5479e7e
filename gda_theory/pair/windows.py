r"""Windows: the ratios :math:`\alpha` at which descent-ascent moves away from the oracle.

Here alpha is ``forget_in_pair / retain_in_pair``. The module has the paper's windows and the exact
ones. Their unknown is alpha, so they ignore the pair's own ``forget_in_pair``. The bounds of Lemmas
7 and 8, and :func:`regime`, use it.
"""

from enum import IntEnum
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import Bool, Float, Int

from gda_theory.codes import Reason
from gda_theory.pair import bifurcations, coordinate, curve, points
from gda_theory.pair.curve import ASCENT, PRETRAIN
from gda_theory.pair.model import CorrelatedPair, require_pair, with_arrays
from gda_theory.solve import newton
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.numerics import roots, special
from theory_common.precision import ArrayLike
from theory_common.printing.display import readable


class ExplicitCurve(NamedTuple):
    """The other margin ``y`` and the share ``alpha`` that belong to a given margin x."""

    y: Float[AnyArray, "*batch"]
    alpha: Float[AnyArray, "*batch"]
    log_alpha: Float[AnyArray, "*batch"]


@backed_by("explicit-curves", "bijections")
def pretrain_curve(pair: CorrelatedPair, x: ArrayLike) -> ExplicitCurve:
    r"""All pretrained solutions, with the margin x as the parameter.

    .. math:: y_D(x) = \frac{k_{22} x - a \det k\, \varphi(x)/\lambda}{k_{12}}, \qquad
              \alpha_D(x) = \frac{\lambda x - a k_{11}\varphi(x)}{k_{12}\, a\, \varphi(y_D)}, \qquad
              x \ge x_D|_{\alpha=0}

    with a = r_p/n for means and r_p for sums. Any margin loss and any Gram matrix with
    ``k12 > 0``. It loses digits at small correlation, since it divides by k12: the solvers do not
    use it.

    Args:
        pair: any :class:`CorrelatedPair`; its ``forget_in_pair`` is not used.
        x: the margin; it broadcasts against the pair.
    Returns: :class:`ExplicitCurve`.
    Raises: ``TypeError`` if ``pair`` is no :class:`CorrelatedPair` or ``x`` no real number.
    Source: new; the paper says that no such form is known. Claims: ``explicit-curves``,
        ``bijections``.
    """
    require_pair(pair)
    retain_mass = pair.pretrain_masses[0]
    return _explicit(pair, retain_mass, retain_mass, x, PRETRAIN)


@backed_by("explicit-curves", "fold-hessian")
def descent_ascent_curve(pair: CorrelatedPair, x: ArrayLike) -> ExplicitCurve:
    r"""All stationary points of descent-ascent, with the margin x as the parameter.

    .. math:: y_A(x) = \frac{k_{22} x - A \det k\, \varphi(x)/\lambda}{k_{12}}, \qquad
              \alpha_{DA}(x) = \frac{f}{k_{12} r_p} \frac{A k_{11}\varphi(x) - \lambda
              x}{\varphi(y_A)},
              \qquad x \le x_R

    (for sums 1 stands for f). Any margin loss and any Gram matrix with ``k12 > 0``.

    Args:
        pair: any :class:`CorrelatedPair`; its ``forget_in_pair`` is not used.
        x: the margin; it broadcasts against the pair.
    Returns: :class:`ExplicitCurve`.
    Raises: ``TypeError`` if ``pair`` is no :class:`CorrelatedPair` or ``x`` no real number.
    Source: new. Claims: ``explicit-curves``, ``fold-hessian``.
    """
    require_pair(pair)
    retain_mass = pair.ascent_masses[0]
    return _explicit(pair, retain_mass, bifurcations.unit_forget_mass(pair), x, ASCENT)


def _explicit(
    pair: CorrelatedPair, retain_mass: Array, unit_mass: Array, x: ArrayLike, side: int
) -> ExplicitCurve:
    """The curve of this side; ``unit_mass`` is the forget mass at alpha = 1."""
    gram, loss = pair.gram, pair.loss
    margin = checks.real("x", x, pair.ridge.dtype)
    x = jnp.broadcast_to(margin, jnp.broadcast_shapes(margin.shape, pair.ridge.shape))
    retain_dual = retain_mass / pair.ridge * loss.phi(x)
    y = (gram.second * x - gram.determinant * retain_dual) / gram.cross
    forget_dual = side * (x - gram.first * retain_dual) / gram.cross
    unit_level = special.log_ratio(unit_mass, pair.ridge)
    return ExplicitCurve(
        y=y,
        alpha=forget_dual / loss.phi(y) * (pair.ridge / unit_mass),
        log_alpha=jnp.log(forget_dual) - loss.log_phi(y) - unit_level,
    )


@readable()
class Edge(NamedTuple):
    """The ``alpha`` at which an order changes, and its logarithm; NaN if it never changes."""

    alpha: Float[AnyArray, "*batch"]
    log_alpha: Float[AnyArray, "*batch"]


@readable()
class OrderingWindows(NamedTuple):
    r"""The exact ranges of alpha in which pretraining lies between descent-ascent and the oracle.

    ``x_DA <= x_D`` iff alpha >= ``x_lower``, and ``x_D <= x_R`` iff alpha <= ``x_upper``; likewise
    y. All four hold for ``lower <= alpha <= upper`` if ``exists``. ``upper`` is at most ``fold``,
    where descent-ascent loses its minimum. Only alpha <= ``realisable`` = f/r_p belongs to data.
    """

    x_lower: Edge
    x_upper: Edge
    y_lower: Edge
    y_upper: Edge
    fold: Edge
    lower: Float[AnyArray, "*batch"]
    upper: Float[AnyArray, "*batch"]
    exists: Bool[AnyArray, "*batch"]
    realisable: Float[AnyArray, "*batch"]


@jax.jit
@backed_by("bijections", "exact-windows", "exact-lower-edge", "path-monotone")
def ordering_windows(pair: CorrelatedPair) -> OrderingWindows:
    r"""Exact windows of the order *oracle, pretraining, descent-ascent* in each margin.

    .. math:: x_{DA} \le x_D \le x_R, \qquad y_{DA} \le y_D \le y_R

    They hold for any margin loss. The upper edges are closed forms: pretraining's margins increase
    with alpha, so ``x_D <= x_R`` holds up to the alpha at equality. A lower edge is the only
    crossing of an increasing and a decreasing curve below the fold. It is NaN if the curves do not
    cross below the fold.

    For sums all edges are 0 and there is no window. The order is then ``y_D >= y_R >= y_DA`` for
    every alpha. The same holds for x if ``k12 >= 0``. Otherwise the edges of x are NaN.

    Args:
        pair: any :class:`CorrelatedPair`; its ``forget_in_pair`` is not used.
    Returns: :class:`OrderingWindows`.
    Raises: ``TypeError`` if ``pair`` is no :class:`CorrelatedPair`.
    Source: sharpens Lemmas 9 and 10; new.
    Claims: ``bijections``, ``exact-windows``, ``exact-lower-edge``, ``path-monotone``.
    """
    require_pair(pair)
    pair = with_arrays(pair, forget_in_pair=pair.retain_in_pair)
    found = bifurcations.folds(pair)
    fold = Edge(alpha=found.critical_alpha, log_alpha=found.critical_log_alpha)
    end = jnp.where(jnp.isnan(fold.log_alpha), jnp.inf, fold.log_alpha)
    if pair.reduction == "sum":
        x_upper, y_upper = _edges_of_sums(pair)
        x_lower, y_lower = x_upper, y_upper
    else:
        x_upper, y_upper = _upper_edges(pair)
        x_lower, y_lower = _lower_edges(pair, end)
    lower = jnp.maximum(x_lower.alpha, y_lower.alpha)
    upper = jnp.minimum(jnp.minimum(x_upper.alpha, y_upper.alpha), jnp.exp(end))
    return OrderingWindows(
        x_lower=x_lower,
        x_upper=x_upper,
        y_lower=y_lower,
        y_upper=y_upper,
        fold=fold,
        lower=lower,
        upper=upper,
        exists=lower < upper,
        realisable=pair.forget_size / pair.retain_in_pair,
    )


def _edge(log_alpha: Array) -> Edge:
    return Edge(alpha=jnp.exp(log_alpha), log_alpha=log_alpha)


def _edges_of_sums(pair: CorrelatedPair) -> tuple[Edge, Edge]:
    """alpha = 0: descent-ascent at strength -1 is pretraining, so one path joins all three."""
    zero = jnp.full_like(pair.ridge, -jnp.inf)
    return _edge(jnp.where(pair.gram.cross >= 0, zero, jnp.nan)), _edge(zero)


def _upper_edges(pair: CorrelatedPair) -> tuple[Edge, Edge]:
    """alpha at ``x_D = x_R`` and at ``y_D = y_R``."""
    gram, loss = pair.gram, pair.loss
    oracle = points.retrain(pair).duals.retain_dual
    unit_level = special.log_ratio(pair.pretrain_masses[0], pair.ridge)
    shares = _shares(pair)
    # x_D = x_R: the retain dual falls by the factor r/n, and the forget dual makes up for the rest.
    forget_dual = gram.first * oracle * shares.lost / gram.cross
    y = gram.cross * oracle * shares.kept + gram.second * forget_dual
    x_edge = jnp.log(forget_dual) - loss.log_phi(y) - unit_level
    # y_D = y_R: k22 Q = k12 (P_R - P), which leaves one equation for P.
    slope = gram.determinant / gram.second
    shift = -(gram.cross**2) / gram.second * oracle
    retain_dual = curve.shifted_dual(loss, unit_level + jnp.log(slope), shift) / slope
    forget_dual = gram.cross * (oracle - retain_dual) / gram.second
    y_edge = jnp.log(forget_dual) - loss.log_phi(gram.cross * oracle) - unit_level
    return _edge(x_edge), _edge(y_edge)


class _Shares(NamedTuple):
    """Shares of the oracle's retain mass A.

    ``kept`` is what pretraining keeps of it, ``lost`` what it loses. ``forgotten`` is
    descent-ascent's forget mass at alpha = 1.
    """

    kept: Float[Array, "*batch"]
    lost: Float[Array, "*batch"]
    forgotten: Float[Array, "*batch"]


def _shares(pair: CorrelatedPair) -> _Shares:
    if pair.reduction == "sum":
        one = jnp.ones_like(pair.ridge)
        return _Shares(kept=one, lost=0 * one, forgotten=one)
    size = pair.retain_size + pair.forget_size
    return _Shares(
        kept=pair.retain_size / size,
        lost=pair.forget_size / size,
        forgotten=pair.retain_size / pair.forget_size,
    )


def _lower_edges(pair: CorrelatedPair, end: Array) -> tuple[Edge, Edge]:
    """alpha where pretraining's x, and its y, meets that of descent-ascent.

    Both are searched below the fold, which is at ``log alpha = end``, and in one search along a
    leading axis: that compiles in half the time of two.
    """
    both = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), pair)
    fold = points.upper_fold(pair)
    folds = jnp.stack([fold, fold])

    def gap(log_alpha: Array) -> Array:
        at = with_arrays(both, forget_in_pair=both.retain_in_pair * jnp.exp(log_alpha))
        trained = points.pretrain(at)
        ascended = points.continued(at, folds)
        return jnp.stack([trained.x[0] - ascended.x[0], trained.y[1] - ascended.y[1]])

    # Lemma 9's sufficient edge is close to the root. The search ends a factor of e^40 beside it.
    sufficient = _lemma_9(pair)
    guess = jnp.log(jnp.stack([sufficient.x, sufficient.y]))
    inside = end - 4 * jnp.sqrt(jnp.finfo(end.dtype).eps)
    high = jnp.minimum(inside, guess + 40)
    start = jnp.minimum(guess, high)
    crossing = roots.bracketed(gap, start - 40, high, start, noise=1.0)
    x, y = jnp.where(gap(high) >= 0, crossing, jnp.nan)
    return _edge(x), _edge(y)


class PerMargin(NamedTuple):
    """One number for each of the two margins: an edge in alpha, or a bound."""

    x: Float[AnyArray, "*batch"]
    y: Float[AnyArray, "*batch"]


@backed_by("lemma-12-order")
def order_limit(pair: CorrelatedPair) -> Float[Array, "*batch"]:
    r"""The largest alpha at which pretraining is sure to have ``y_D <= x_D``; 1 in the paper.

    .. math:: \alpha = \frac{k_{11} - k_{12}}{k_{22} - k_{12}}

    This order is a condition of Lemma 7 (lower bound on x, upper bound on y) and Lemma 10 (y).

    Args:
        pair: any :class:`CorrelatedPair`; only its Gram matrix is used.
    Returns: alpha; infinite for ``k12 = k22``.
    Raises: ``TypeError`` if ``pair`` is no :class:`CorrelatedPair`.
    Source: Lemma 12; any Gram matrix: new. Claim: ``lemma-12-order``.
    """
    require_pair(pair)
    excess = pair.gram.second - pair.gram.cross
    positive = excess > 0
    limit = (pair.gram.first - pair.gram.cross) / jnp.where(positive, excess, 1)
    return jnp.where(positive, limit, jnp.inf)


@backed_by("lemma-9-window", "lemma-9-any-share")
def lemma_9_edges(pair: CorrelatedPair) -> PerMargin:
    r"""Lemma 9: from these alpha on, ``x_D >= x_DA`` and ``y_D >= y_DA``.

    .. math:: \alpha \ge \frac{k_{11}}{k_{12}} \frac{f^2}{r(n+f)} \;(x), \qquad
              \alpha \ge \frac{k_{12}}{k_{22}} \frac{f n}{r (n+f)} \;(y)

    This holds at every stationary point of descent-ascent. The edge of x is proved for the
    exponential and the logistic loss; for other losses only up to :func:`order_limit`. For sums the
    edges are 0 and :math:`k_{12}/2k_{22}`, for any margin loss.

    Args:
        pair: any :class:`CorrelatedPair`; its ``forget_in_pair`` is not used.
    Returns: :class:`PerMargin`. It is NaN unless ``0 <= k12 <= k11``, because the lemma need not
        hold otherwise.
    Raises: ``TypeError`` if ``pair`` is no :class:`CorrelatedPair`.
    Source: Lemma 9; sums and the logistic loss: new.
    Claims: ``lemma-9-window``, ``lemma-9-any-share``.
    """
    require_pair(pair)
    return _where((pair.gram.cross >= 0) & (pair.gram.cross <= pair.gram.first), _lemma_9(pair))


def _where(holds: Array, numbers: PerMargin) -> PerMargin:
    """The numbers; NaN for pairs of which a lemma does not hold."""
    return PerMargin(x=jnp.where(holds, numbers.x, jnp.nan), y=jnp.where(holds, numbers.y, jnp.nan))


def _lemma_9(pair: CorrelatedPair) -> PerMargin:
    gram = pair.gram
    kept, lost, forgotten = _shares(pair)
    return PerMargin(
        x=gram.first / gram.cross * (lost / (kept + forgotten)),
        y=gram.cross / gram.second / (kept + forgotten),
    )


@backed_by("lemma-10-x", "lemma-10-y")
def lemma_10_edges(pair: CorrelatedPair) -> PerMargin:
    r"""Lemma 10: up to these alpha, ``x_D <= x_R`` and ``y_D <= y_R``.

    .. math:: \alpha_x = \frac{\lambda z}{a k_{22} \varphi(z)},\;
              z = \frac{k_{22}}{k_{12}}\bigl(x_R - x_D|_{\alpha=0}\bigr), \qquad
              \alpha_y = \frac{k_{12}}{k_{22}}\Bigl[\frac nr \frac{\varphi(x_R)}{\varphi(y_R)} -
              1\Bigr]

    The y part needs alpha <= 1, which the paper leaves out. For types other than the paper's it
    needs alpha <= :func:`order_limit`. If ``alpha_y`` is negative, there is no window. For sums n/r
    is replaced by 1, and there is no window.

    Args:
        pair: any :class:`CorrelatedPair`; its ``forget_in_pair`` is not used.
    Returns: :class:`PerMargin`; NaN for ``k12 < 0``, where it need not hold.
    Raises: ``TypeError`` if ``pair`` is no :class:`CorrelatedPair`.
    Source: Lemma 10, reconstructed; sums: new. Claims: ``lemma-10-x``, ``lemma-10-y``.
    """
    require_pair(pair)
    gram, loss = pair.gram, pair.loss
    retain_mass = pair.pretrain_masses[0]
    oracle = points.retrain(pair)
    unit_level = special.log_ratio(retain_mass, pair.ridge)
    log_mass = curve.log_retain_mass(gram, retain_mass, pair.ridge)
    alone = gram.first * curve.oracle_dual(loss, gram, log_mass)
    scaled_dual = gram.second / gram.cross * jnp.maximum(oracle.x - alone, 0)
    log_forget_dual = jnp.log(scaled_dual) - jnp.log(gram.second)
    ratio = jnp.exp(loss.log_phi(oracle.x) - loss.log_phi(oracle.y))
    edges = PerMargin(
        x=jnp.exp(log_forget_dual - loss.log_phi(scaled_dual) - unit_level),
        y=gram.cross / gram.second * (ratio / _shares(pair).kept - 1),
    )
    return _where(gram.cross >= 0, edges)


@readable()
class SufficientWindow(NamedTuple):
    """The paper's window: ``lower <= alpha <= upper`` implies the order in both margins.

    If ``exists`` is False, the window is empty.
    """

    lower: Float[AnyArray, "*batch"]
    upper: Float[AnyArray, "*batch"]
    exists: Bool[AnyArray, "*batch"]


@backed_by("lemma-9-window", "lemma-10-x", "lemma-10-y")
def sufficient_window(pair: CorrelatedPair) -> SufficientWindow:
    r"""Lemmas 9 and 10 together, as Fig. 4 draws them.

    .. math:: \max(\text{edges of Lemma 9}) \le \alpha \le \min(\text{edges of Lemma 10}, 1)

    It ends at alpha = 1 (:func:`order_limit`), where Lemma 10's proof ends.

    Args:
        pair: any :class:`CorrelatedPair`; its ``forget_in_pair`` is not used.
    Returns: :class:`SufficientWindow`; for sums there is none.
    Raises: ``TypeError`` if ``pair`` is no :class:`CorrelatedPair`.
    Source: Lemmas 9, 10, Fig. 4. Claims: ``lemma-9-window``, ``lemma-10-x``, ``lemma-10-y``.
    """
    below = lemma_9_edges(pair)
    above = lemma_10_edges(pair)
    lower = jnp.maximum(below.x, below.y)
    upper = jnp.minimum(jnp.minimum(above.x, above.y), order_limit(pair))
    return SufficientWindow(lower=lower, upper=upper, exists=lower <= upper)


@readable()
class Bounds(NamedTuple):
    """Two-sided bounds on a margin."""

    lower: Float[AnyArray, "*batch"]
    upper: Float[AnyArray, "*batch"]


@backed_by("lemma-7-bounds", "lemma-12-order")
def lemma_7_bounds(pair: CorrelatedPair) -> tuple[Bounds, Bounds]:
    r"""Bounds on the pretrained margins, any margin loss.

    .. math::
        W(\tfrac{(k_{11} + \alpha k_{12})a}\lambda) &\le x_D \le W(\tfrac{k_{11}a}\lambda)
            + \tfrac{k_{12}}{k_{22}} W(\tfrac{\alpha k_{22} a}\lambda), \\
        W(\tfrac{\alpha k_{22}a}\lambda) &\le y_D \le W(\tfrac{(k_{12} + \alpha k_{22})a}\lambda)

    W(z) stands for the root of ``w = z phi(w)``.

    Args:
        pair: any :class:`CorrelatedPair`.
    Returns: the :class:`Bounds` on x and on y. The lower bound on x and the upper bound on y are
        NaN for alpha beyond :func:`order_limit` (1 in the paper). All are NaN for ``k12 < 0``,
        because none need hold there.
    Raises: ``TypeError`` if ``pair`` is no :class:`CorrelatedPair`.
    Source: Lemma 7. Claims: ``lemma-7-bounds``, ``lemma-12-order``.
    """
    require_pair(pair)
    gram, alpha = pair.gram, pair.alpha
    retain_mass = pair.pretrain_masses[0]
    acute = gram.cross >= 0
    ordered = alpha <= order_limit(pair)

    def root(factor: Array, holds: Array | bool = True) -> Array:
        return jnp.where(acute & holds, _lambert(pair, factor * retain_mass), jnp.nan)

    x = Bounds(
        lower=root(gram.first + alpha * gram.cross, ordered),
        upper=root(gram.first) + gram.cross / gram.second * root(alpha * gram.second),
    )
    y = Bounds(
        lower=root(alpha * gram.second), upper=root(gram.cross + alpha * gram.second, ordered)
    )
    return x, y


@backed_by("lemma-8-bounds")
def lemma_8_bounds(pair: CorrelatedPair) -> PerMargin:
    r"""Upper bounds on the margins of every stationary point of descent-ascent.

    .. math:: x_{DA} \le W\bigl(\tfrac{k_{11}A - k_{12}B}\lambda\bigr), \qquad
              y_{DA} \le W\bigl(\tfrac{k_{12}A - k_{22}B}\lambda\bigr)

    Exponential or logistic loss; W(z) stands for the root of ``w = z phi(w)``.

    Args:
        pair: any :class:`CorrelatedPair`.
    Returns: :class:`PerMargin`. It is NaN where W has no value for the exponential loss: there
        descent-ascent has no stationary point. It is also NaN unless ``0 <= k12 <= k11``, because
        neither need be a bound otherwise.
    Raises: ``TypeError`` if ``pair`` is no :class:`CorrelatedPair`.
    Source: Lemma 8. Claim: ``lemma-8-bounds``.
    """
    require_pair(pair)
    gram = pair.gram
    retain_mass, forget_mass = pair.ascent_masses
    bounds = PerMargin(
        x=_lambert(pair, gram.first * retain_mass - gram.cross * forget_mass),
        y=_lambert(pair, gram.cross * retain_mass - gram.second * forget_mass),
    )
    return _where((gram.cross >= 0) & (gram.cross <= gram.first), bounds)


def _lambert(pair: CorrelatedPair, mass: Array) -> Array:
    """The minimum of one coordinate with this mass: ``w = mass phi(w) / ridge``."""
    return coordinate.stationary_points(mass, ridge=pair.ridge, loss=pair.loss).minimum


class RegimeCode(IntEnum):
    """What descent-ascent does to a pair; see :func:`regime`."""

    UNKNOWN = -1
    BENIGN = 0
    DETRIMENTAL = 1
    DIVERGENT = 2
    FAR_MINIMUM = 3


REGIME_SENTENCES = {
    RegimeCode.UNKNOWN: "unknown: no data have these counts, or a number is out of the float range",
    RegimeCode.BENIGN: (
        "descent-ascent ends at least as near to the retrained model as doing nothing"
    ),
    RegimeCode.DETRIMENTAL: (
        "descent-ascent ends farther from the retrained model than doing nothing"
    ),
    RegimeCode.DIVERGENT: "descent-ascent has no stationary point, so it diverges",
    RegimeCode.FAR_MINIMUM: (
        "the minimum near the retrained model has disappeared, "
        "and descent-ascent ends in another one far away"
    ),
}


@readable(code=RegimeCode)
class Regime(NamedTuple):
    """``code`` (a :class:`RegimeCode`) and what it rests on.

    The distances are Euclidean, from the weights to the oracle's. ``ordered`` says whether the
    margins are in the order oracle >= pretraining >= descent-ascent, which does not imply an order
    of the distances. ``fold_alpha`` is the threshold of ``alpha``.
    """

    code: Int[AnyArray, "*batch"]
    pretrain_distance: Float[AnyArray, "*batch"]
    descent_ascent_distance: Float[AnyArray, "*batch"]
    ordered: Bool[AnyArray, "*batch"]
    alpha: Float[AnyArray, "*batch"]
    fold_alpha: Float[AnyArray, "*batch"]


@jax.jit
@backed_by("exact-windows", "two-points-below-fold")
def regime(pair: CorrelatedPair) -> Regime:
    r"""What descent-ascent does to this pair: helps, harms, diverges or goes to a far minimum.

    .. math:: |w_{DA} - w_R| \le |w_D - w_R| \text{: benign, else detrimental}

    Past the fold the minimum no longer exists. Descent-ascent then diverges (exponential loss) or
    goes to the far minimum (logistic loss).

    Args:
        pair: any :class:`CorrelatedPair`.
    Returns: :class:`Regime`; ``code`` is ``UNKNOWN`` where the distances are NaN, as for a traced
        pair that no data have.
    Raises: ``TypeError`` if ``pair`` is no :class:`CorrelatedPair`.
    Source: the phase diagram of Sec. 5.1.2, exact; new.
    Claims: ``exact-windows``, ``two-points-below-fold``.
    """
    require_pair(pair)
    oracle = points.retrain(pair)
    trained = points.pretrain(pair)
    ascended = points.descent_ascent(pair)
    nothing = newton.norm(trained.weights - oracle.weights)
    ascent = newton.norm(ascended.weights - oracle.weights)
    ordered_x = (oracle.x >= trained.x) & (trained.x >= ascended.x)
    ordered_y = (oracle.y >= trained.y) & (trained.y >= ascended.y)
    return Regime(
        code=_regime_code(pair, nothing, ascent, ascended.reason == Reason.PAST_FOLD),
        pretrain_distance=nothing,
        descent_ascent_distance=ascent,
        ordered=ordered_x & ordered_y,
        alpha=pair.alpha,
        fold_alpha=bifurcations.folds(pair).critical_alpha,
    )


def _regime_code(pair: CorrelatedPair, nothing: Array, ascent: Array, past_fold: Array) -> Array:
    """The code for the distances to the oracle of doing nothing and of descent-ascent."""
    bounded = bool(np.isfinite(pair.loss.slope_at_minus_infinity))
    gone = RegimeCode.FAR_MINIMUM if bounded else RegimeCode.DIVERGENT
    code = jnp.where(ascent <= nothing, RegimeCode.BENIGN, RegimeCode.DETRIMENTAL)
    code = jnp.where(jnp.isnan(ascent), RegimeCode.UNKNOWN, code)
    code = jnp.where(past_fold, gone, code)
    return jnp.where(jnp.isnan(nothing), RegimeCode.UNKNOWN, code)
