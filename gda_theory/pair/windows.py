r"""For which shares :math:`\alpha` of forgotten samples descent-ascent moves away from the oracle: the paper's windows and the exact ones.

The unknown is alpha, so a pair's own ``forget_in_pair`` is ignored, except by :func:`regime`, which classifies it.
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
from gda_theory.pair import bifurcations, coordinate, points
from gda_theory.pair import curve as masses
from gda_theory.pair.curve import ASCENT, PRETRAIN
from gda_theory.pair.model import CorrelatedPair
from gda_theory.solve import newton
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.numerics import roots, special
from theory_common.printing.display import readable


class ExplicitCurve(NamedTuple):
    """The other margin and the share alpha that belong to a given margin x."""

    y: Float[AnyArray, "*batch"]
    alpha: Float[AnyArray, "*batch"]
    log_alpha: Float[AnyArray, "*batch"]


@backed_by("explicit-curves", "bijections")
def pretrain_curve(pair: CorrelatedPair, x) -> ExplicitCurve:
    r"""All pretrained solutions, x the parameter: any margin loss, any Gram matrix, correlation > 0.

    .. math:: y_D(x) = \frac{k_{22} x - a \det k\, \varphi(x)/\lambda}{k_{12}}, \qquad
              \alpha_D(x) = \frac{\lambda x - a k_{11}\varphi(x)}{k_{12}\, a\, \varphi(y_D)}, \qquad x \ge x_D|_{\alpha=0}

    The paper says that none is known. Loses digits at small correlation (it divides by k12): the solvers do not use it.
    Source: new. Claims: ``explicit-curves``, ``bijections``.
    """
    return _explicit(pair, pair.pretrain_masses[0], pair.pretrain_masses[0], x, PRETRAIN)


@backed_by("explicit-curves", "fold-hessian")
def descent_ascent_curve(pair: CorrelatedPair, x) -> ExplicitCurve:
    r"""All stationary points of descent-ascent, x the parameter: any margin loss, any Gram matrix, correlation > 0.

    .. math:: y_A(x) = \frac{k_{22} x - A \det k\, \varphi(x)/\lambda}{k_{12}}, \qquad
              \alpha_{DA}(x) = \frac{f}{k_{12} r_p} \frac{A k_{11}\varphi(x) - \lambda x}{\varphi(y_A)}, \qquad x \le x_R

    Source: new. Claims: ``explicit-curves``, ``fold-hessian``.
    """
    return _explicit(pair, pair.ascent_masses[0], bifurcations.forget_share(pair), x, ASCENT)


def _explicit(pair: CorrelatedPair, descent: Array, share: Array, x, side: int) -> ExplicitCurve:
    gram, loss = pair.gram, pair.loss
    x = jnp.broadcast_to(
        checks.real("x", x, pair.ridge.dtype), jnp.broadcast_shapes(jnp.shape(x), pair.ridge.shape)
    )
    pull = descent / pair.ridge * loss.phi(x)
    y = (gram.second * x - gram.determinant * pull) / gram.cross
    push = side * (x - gram.first * pull) / gram.cross
    log_alpha = jnp.log(push) - loss.log_phi(y) - special.log_ratio(share, pair.ridge)
    return ExplicitCurve(y, push / loss.phi(y) * (pair.ridge / share), log_alpha)


@readable()
class Edge(NamedTuple):
    """A share alpha where an order changes, with its logarithm; NaN where it never does."""

    alpha: Float[AnyArray, "*batch"]
    log_alpha: Float[AnyArray, "*batch"]


@readable()
class OrderingWindows(NamedTuple):
    r"""The exact ranges of alpha in which pretraining lies between descent-ascent and the oracle.

    ``x_DA <= x_D`` iff alpha >= ``x_lower``; ``x_D <= x_R`` iff alpha <= ``x_upper``; likewise y. All four hold for
    ``lower <= alpha <= upper`` if ``exists`` (upper is cut at ``fold``, where descent-ascent loses its minimum).
    Only alpha <= ``realisable`` = f/r_p belongs to data.
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
    r"""Exact windows of the order *oracle, pretraining, descent-ascent* in each margin; any margin loss.

    The upper edges are closed forms: pretraining's margins increase with alpha, so ``x_D <= x_R`` up to the one alpha at equality.
    Lower edges: the only crossing of an increasing and a decreasing curve below the fold, NaN if the fold comes first. For sums all are 0
    and there is no window: y, and x for k12 >= 0 (else NaN), fall all the way from pretraining through the oracle to descent-ascent.
    Source: sharpens Lemmas 9 and 10; new. Claims: ``bijections``, ``exact-windows``, ``exact-lower-edge``, ``path-monotone``.
    """
    pair = pair.replace(forget_in_pair=pair.retain_in_pair)
    found = bifurcations.folds(pair)
    fold = Edge(found.critical_alpha, found.critical_log_alpha)
    end = jnp.where(jnp.isnan(fold.log_alpha), jnp.inf, fold.log_alpha)
    if pair.reduction == "sum":
        x_lower, y_lower = x_upper, y_upper = _edges_of_sums(pair)
    else:
        x_upper, y_upper = _upper_edges(pair)
        x_lower, y_lower = (_lower_edge(pair, end, name) for name in ("x", "y"))
    lower = jnp.maximum(x_lower.alpha, y_lower.alpha)
    upper = jnp.minimum(jnp.minimum(x_upper.alpha, y_upper.alpha), jnp.exp(end))
    return OrderingWindows(
        x_lower,
        x_upper,
        y_lower,
        y_upper,
        fold,
        lower,
        upper,
        lower < upper,
        pair.forget_size / pair.retain_in_pair,
    )


def _edge(log_alpha: Array) -> Edge:
    return Edge(jnp.exp(log_alpha), log_alpha)


def _edges_of_sums(pair: CorrelatedPair) -> tuple[Edge, Edge]:
    """alpha = 0: descent-ascent at strength -1 is pretraining, so one path joins all three."""
    zero = jnp.full_like(pair.ridge, -jnp.inf)
    return _edge(jnp.where(pair.gram.cross >= 0, zero, jnp.nan)), _edge(zero)


def _upper_edges(pair: CorrelatedPair) -> tuple[Edge, Edge]:
    """alpha at ``x_D = x_R`` and at ``y_D = y_R``."""
    gram, loss = pair.gram, pair.loss
    oracle = points.retrain(pair).masses.descent
    retain = pair.pretrain_masses[0]
    unit = special.log_ratio(retain, pair.ridge)
    kept, lost, _ = _shares(pair)
    # x_D = x_R: the retained type's mass falls by the factor r/n, and the forgotten type's makes up for the missing f/n.
    push = gram.first * oracle * lost / gram.cross
    y = gram.cross * oracle * kept + gram.second * push
    x_edge = jnp.log(push) - loss.log_phi(y) - unit
    # y_D = y_R: k22 Q = k12 (P_R - P), which leaves a one-dimensional problem in P.
    slope = gram.determinant / gram.second
    pull = (
        masses.shifted_mass(loss, unit + jnp.log(slope), -(gram.cross**2) / gram.second * oracle)
        / slope
    )
    push = gram.cross * (oracle - pull) / gram.second
    y_edge = jnp.log(push) - loss.log_phi(gram.cross * oracle) - unit
    return _edge(x_edge), _edge(y_edge)


def _shares(pair: CorrelatedPair) -> tuple[Array, Array, Array]:
    """Of the retained type's mass: what pretraining keeps and what it loses, and the forgotten type's mass at alpha = 1 beside it."""
    if pair.reduction == "sum":
        one = jnp.ones_like(pair.ridge)
        return one, 0 * one, one
    size = pair.retain_size + pair.forget_size
    return pair.retain_size / size, pair.forget_size / size, pair.retain_size / pair.forget_size


def _lower_edge(pair: CorrelatedPair, end: Array, margin: str) -> Edge:
    """alpha at which the named margin of pretraining meets that of descent-ascent, below the fold at ``log alpha = end``."""

    def gap(log_alpha):
        at = pair.replace(forget_in_pair=pair.retain_in_pair * jnp.exp(log_alpha))
        return getattr(points.pretrain(at), margin) - getattr(points.descent_ascent(at), margin)

    # Lemma 9's sufficient edge is an excellent guess; e^+-40 around it is as far as one looks.
    guess = jnp.log(getattr(_lemma_9(pair), margin))
    inside = end - 4 * jnp.sqrt(jnp.finfo(end.dtype).eps)
    high = jnp.minimum(inside, guess + 40)
    crossing = roots.bracketed(
        gap, jnp.minimum(guess, high) - 40, high, jnp.minimum(guess, high), noise=1.0
    )
    return _edge(jnp.where(gap(high) >= 0, crossing, jnp.nan))


class Margins(NamedTuple):
    """A quantity for each of the two margins."""

    x: Float[AnyArray, "*batch"]
    y: Float[AnyArray, "*batch"]


@backed_by("lemma-12-order")
def order_limit(pair: CorrelatedPair) -> Array:
    r"""The largest alpha at which pretraining is sure to have ``y_D <= x_D``: :math:`(k_{11} - k_{12})/(k_{22} - k_{12})`, 1 in the paper.

    Lemmas 7 (x from below, y from above) and 10 (y) rest on this order. Source: Lemma 12; any Gram matrix: new. Claim: ``lemma-12-order``.
    """
    room = pair.gram.second - pair.gram.cross
    positive = room > 0
    return jnp.where(
        positive, (pair.gram.first - pair.gram.cross) / jnp.where(positive, room, 1), jnp.inf
    )


@backed_by("lemma-9-window")
def lemma_9_edges(pair: CorrelatedPair) -> Margins:
    r"""Lemma 9: from these alpha on, ``x_D >= x_DA`` and ``y_D >= y_DA`` (where descent-ascent has a minimum).

    .. math:: \alpha \ge \frac{k_{11}}{k_{12}} \frac{f^2}{r(n+f)} \;(x), \qquad \alpha \ge \frac{k_{12}}{k_{22}} \frac{f n}{r (n+f)} \;(y)

    For sums 0 and :math:`k_{12}/2k_{22}`. Any margin loss. NaN unless 0 <= k12 <= k11: else it need not hold.
    Source: Lemma 9; sums: new. Claim: ``lemma-9-window``.
    """
    return _where((pair.gram.cross >= 0) & (pair.gram.cross <= pair.gram.first), _lemma_9(pair))


def _where(holds: Array, margins: Margins) -> Margins:
    """NaN for pairs of which a lemma does not hold."""
    return Margins(*(jnp.where(holds, margin, jnp.nan) for margin in margins))


def _lemma_9(pair: CorrelatedPair) -> Margins:
    kept, lost, forgotten = _shares(pair)
    return Margins(
        pair.gram.first / pair.gram.cross * (lost / (kept + forgotten)),
        pair.gram.cross / pair.gram.second / (kept + forgotten),
    )


@backed_by("lemma-10-x", "lemma-10-y")
def lemma_10_edges(pair: CorrelatedPair) -> Margins:
    r"""Lemma 10: up to these alpha, ``x_D <= x_R`` and ``y_D <= y_R``; the y part needs alpha <= 1 (the paper leaves that out).

    .. math:: \alpha_x = \frac{\lambda Q}{a k_{22} \varphi(Q)},\; Q = \frac{k_{22}}{k_{12}}\bigl(x_R - x_D|_{\alpha=0}\bigr), \qquad
              \alpha_y = \frac{k_{12}}{k_{22}}\Bigl[\frac nr \frac{\varphi(x_R)}{\varphi(y_R)} - 1\Bigr]

    ``alpha_y`` may be negative (no window). Reconstructed; for sums 1 stands for n/r, and there is no window. For other types than the
    paper's :func:`order_limit` stands for alpha <= 1. NaN for k12 < 0, where it need not hold.
    Source: Lemma 10; sums: new. Claims: ``lemma-10-x``, ``lemma-10-y``.
    """
    gram, loss, retain = pair.gram, pair.loss, pair.pretrain_masses[0]
    oracle = points.retrain(pair)
    unit = special.log_ratio(retain, pair.ridge)
    alone = gram.first * masses.oracle_mass(loss, gram, masses.log_pull(gram, retain, pair.ridge))
    q = gram.second / gram.cross * jnp.maximum(oracle.x - alone, 0)
    alpha_x = jnp.exp(jnp.log(q) - jnp.log(gram.second) - loss.log_phi(q) - unit)
    alpha_y = (
        gram.cross
        / gram.second
        * (jnp.exp(loss.log_phi(oracle.x) - loss.log_phi(oracle.y)) / _shares(pair)[0] - 1)
    )
    return _where(gram.cross >= 0, Margins(alpha_x, alpha_y))


@readable()
class SufficientWindow(NamedTuple):
    """The paper's window: ``lower <= alpha <= upper`` implies the order in both margins; empty unless ``exists``."""

    lower: Float[AnyArray, "*batch"]
    upper: Float[AnyArray, "*batch"]
    exists: Bool[AnyArray, "*batch"]


@backed_by("lemma-9-window", "lemma-10-x", "lemma-10-y")
def sufficient_window(pair: CorrelatedPair) -> SufficientWindow:
    """Lemmas 9 and 10 together, as Fig. 4 draws them, cut at alpha = 1 (:func:`order_limit`), where Lemma 10's proof ends. None for sums.

    Source: Lemmas 9, 10, Fig. 4. Claims: ``lemma-9-window``, ``lemma-10-x``, ``lemma-10-y``.
    """
    below, above = lemma_9_edges(pair), lemma_10_edges(pair)
    lower, upper = jnp.maximum(*below), jnp.minimum(jnp.minimum(*above), order_limit(pair))
    return SufficientWindow(lower, upper, lower <= upper)


@readable()
class Bounds(NamedTuple):
    """Two-sided bounds on a margin."""

    lower: Float[AnyArray, "*batch"]
    upper: Float[AnyArray, "*batch"]


@backed_by("lemma-7-bounds", "lemma-12-order")
def lemma_7_bounds(pair: CorrelatedPair) -> tuple[Bounds, Bounds]:
    r"""Bounds on the pretrained margins, any margin loss; W(z) stands for the root of ``w = z phi(w)``.

    .. math::
        W(\tfrac{(k_{11} + \alpha k_{12})a}\lambda) &\le x_D \le W(\tfrac{k_{11}a}\lambda)
            + \tfrac{k_{12}}{k_{22}} W(\tfrac{\alpha k_{22} a}\lambda), \\
        W(\tfrac{\alpha k_{22}a}\lambda) &\le y_D \le W(\tfrac{(k_{12} + \alpha k_{22})a}\lambda)

    The lower bound on x and the upper one on y need alpha <= 1, see :func:`order_limit` (NaN beyond); all are NaN for k12 < 0, where none
    need hold.
    Source: Lemma 7. Claims: ``lemma-7-bounds``, ``lemma-12-order``.
    """
    gram, alpha = pair.gram, pair.alpha
    retain, acute, ordered = pair.pretrain_masses[0], gram.cross >= 0, alpha <= order_limit(pair)

    def root(factor, holds=True):
        return jnp.where(acute & holds, _lambert(pair, factor * retain), jnp.nan)

    x = Bounds(
        root(gram.first + alpha * gram.cross, ordered),
        root(gram.first) + gram.cross / gram.second * root(alpha * gram.second),
    )
    return x, Bounds(root(alpha * gram.second), root(gram.cross + alpha * gram.second, ordered))


@backed_by("lemma-8-bounds")
def lemma_8_bounds(pair: CorrelatedPair) -> Margins:
    r"""Upper bounds on the margins of every stationary point of descent-ascent, exponential or logistic loss.

    .. math:: x_{DA} \le W\bigl(\tfrac{k_{11}A - k_{12}B}\lambda\bigr), \qquad y_{DA} \le W\bigl(\tfrac{k_{12}A - k_{22}B}\lambda\bigr)

    NaN where the exponential loss has no such value: there descent-ascent has no stationary point. NaN also unless 0 <= k12 <= k11: else
    neither need be a bound. Source: Lemma 8. Claim: ``lemma-8-bounds``.
    """
    retain, forget = pair.ascent_masses
    gram = pair.gram
    x, y = (
        _lambert(pair, gram.first * retain - gram.cross * forget),
        _lambert(pair, gram.cross * retain - gram.second * forget),
    )
    return _where((gram.cross >= 0) & (gram.cross <= gram.first), Margins(x, y))


def _lambert(pair: CorrelatedPair, mass: Array) -> Array:
    """The minimum of one coordinate with this mass: ``w = mass phi(w) / ridge``."""
    return coordinate.stationary_points(mass, ridge=pair.ridge, loss=pair.loss).minimum


class RegimeCode(IntEnum):
    """What descent-ascent does at a given alpha."""

    BENIGN = 0
    DETRIMENTAL = 1
    DIVERGENT = 2
    FAR_MINIMUM = 3


REGIME_SENTENCES = {
    RegimeCode.BENIGN: "descent-ascent ends at least as near to the retrained model as doing nothing",
    RegimeCode.DETRIMENTAL: "descent-ascent ends farther from the retrained model than doing nothing",
    RegimeCode.DIVERGENT: "descent-ascent has no stationary point: it runs away",
    RegimeCode.FAR_MINIMUM: "descent-ascent has lost the minimum near the retrained model and jumps to another one far away",
}


@readable(code=RegimeCode)
class Regime(NamedTuple):
    """``code`` (a :class:`RegimeCode`) and what it rests on: Euclidean distances of the weights to the oracle, whether the margins are
    ordered oracle >= pretraining >= descent-ascent (which does not imply an order of the distances), alpha and its threshold."""

    code: Int[AnyArray, "*batch"]
    pretrain_distance: Float[AnyArray, "*batch"]
    descent_ascent_distance: Float[AnyArray, "*batch"]
    ordered: Bool[AnyArray, "*batch"]
    alpha: Float[AnyArray, "*batch"]
    fold_alpha: Float[AnyArray, "*batch"]


@jax.jit
@backed_by("exact-windows", "two-points-below-fold")
def regime(pair: CorrelatedPair) -> Regime:
    """What descent-ascent does to this pair: helps, harms, runs away or jumps, judged by the distance of the weights to the oracle.

    Source: the phase diagram of Sec. 5.1.2, exact; new. Claims: ``exact-windows``, ``two-points-below-fold``.
    """
    oracle, trained, ascended = (
        points.retrain(pair),
        points.pretrain(pair),
        points.descent_ascent(pair),
    )
    nothing, ascent = (newton.norm(point.weights - oracle.weights) for point in (trained, ascended))
    bounded = bool(np.isfinite(pair.loss.slope_at_minus_infinity))
    gone = RegimeCode.FAR_MINIMUM if bounded else RegimeCode.DIVERGENT
    code = jnp.where(ascent <= nothing, RegimeCode.BENIGN, RegimeCode.DETRIMENTAL)
    code = jnp.where(ascended.reason == Reason.PAST_FOLD, gone, code)
    ordered = (
        (oracle.x >= trained.x)
        & (trained.x >= ascended.x)
        & (oracle.y >= trained.y)
        & (trained.y >= ascended.y)
    )
    return Regime(
        code, nothing, ascent, ordered, pair.alpha, bifurcations.folds(pair).critical_alpha
    )
