r"""The example of App. J: a retained and a forgotten sample that become equal.

There are ``d`` samples in ``d`` dimensions. :math:`x_1 = (1, \varepsilon, 0, \dots)` is retained,
:math:`x_2 = (\varepsilon, 1, 0, \dots)` is forgotten. The other d - 2 are orthogonal unit vectors
and are retained. Only the first two share coordinates, so they are a correlated pair. It has
r = d - 1, f = 1, and one sample of each type (alpha = 1). Its retain and forget mass are 1/d and
1/d in pretraining, 1/(d-1) and 1 in descent-ascent.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import Bool, Float

from gda_theory.pair import coordinate
from gda_theory.pair.model import CorrelatedPair
from gda_theory.problem import losses
from gda_theory.problem.losses import Loss
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.precision import ArrayLike
from theory_common.printing.display import readable


@readable()
class AlignedLimits(NamedTuple):
    """The common limit of ``w_1`` and ``w_2`` as the correlation tends to 1.

    ``exists`` says whether descent-ascent has a minimum in the limit. It has one for every ridge
    >= ``least_ridge``. Below that ``descent_ascent`` is NaN. ``least_ridge`` is 0 for a loss of
    bounded slope.
    """

    pretrain: Float[AnyArray, "*batch"]
    retrain: Float[AnyArray, "*batch"]
    descent_ascent: Float[AnyArray, "*batch"]
    exists: Bool[AnyArray, "*batch"]
    least_ridge: Float[AnyArray, "*batch"]


@backed_by("appendix-j-limits")
def aligned_pair(
    correlation: ArrayLike,
    *,
    dimension: ArrayLike,
    ridge: ArrayLike,
    loss: str | Loss = "exponential",
) -> CorrelatedPair:
    r"""The two samples that share coordinates, as a :class:`CorrelatedPair`.

    .. math:: u = (1, \varepsilon), \quad v = (\varepsilon, 1), \qquad r = d - 1, \quad f = 1

    Args:
        correlation: ``epsilon`` in [0, 1).
        dimension: ``d >= 2``, the number of samples.
        ridge: finite and > 0. All broadcast.
        loss: ``"exponential"``, ``"logistic"`` or a :class:`gda_theory.Loss`.
    Returns: the pair.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Source: App. J. Claim: ``appendix-j-limits``.
    """
    values = checks.broadcast(
        "aligned_pair", correlation=correlation, dimension=dimension, ridge=ridge
    )
    size = _dimension(values["dimension"])
    return CorrelatedPair(
        values["correlation"],
        ridge=values["ridge"],
        retain_size=size - 1,
        forget_size=1,
        retain_in_pair=1,
        forget_in_pair=1,
        loss=loss,
    )


@backed_by("appendix-j-limits")
def aligned_limits(
    *, dimension: ArrayLike, ridge: ArrayLike, loss: str | Loss = "exponential"
) -> AlignedLimits:
    r"""The limits of both weights as the correlation tends to 1.

    .. math:: w_D = \tfrac12 W\!\left(\tfrac{4}{d\lambda}\right), \qquad
              w_R = \tfrac12 W\!\left(\tfrac{2}{(d-1)\lambda}\right), \qquad
              w_{DA} = \tfrac12 W_0\!\left(-\tfrac{2(d-2)}{(d-1)\lambda}\right)
              \text{ for } \lambda \ge \tfrac{2e(d-2)}{d-1}

    ``W(z)`` is the root of ``w = z phi(w)`` of the given loss: Lambert's function for the
    exponential loss, the r-Lambert function for the logistic one. With the latter descent-ascent
    has its limit at every ridge.

    Args:
        dimension: ``d >= 2``.
        ridge: finite and > 0.
        loss: ``"exponential"``, ``"logistic"`` or a :class:`gda_theory.Loss`.
    Returns: :class:`AlignedLimits`. ``least_ridge`` is known for the exponential loss and for
        losses of bounded slope, NaN otherwise.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Accuracy: that of :func:`gda_theory.pair.coordinate.stationary_points`.
    Source: App. J; logistic: new. Claim: ``appendix-j-limits``.
    """
    loss = losses.resolve(loss)
    values = checks.broadcast("aligned_limits", dimension=dimension, ridge=ridge)
    size = _dimension(values["dimension"])
    ridge = checks.positive("ridge", values["ridge"])
    excess = 2 * (size - 2) / (size - 1)

    def solve(mass: Array) -> coordinate.Stationary:
        return coordinate.stationary_points(mass, ridge=ridge, loss=loss)

    ascended = solve(-excess)
    unknown = jnp.nan if np.isinf(loss.slope_at_minus_infinity) else 0.0
    least = jnp.e * excess if loss.name == "exponential" else jnp.full_like(excess, unknown)
    return AlignedLimits(
        pretrain=solve(4 / size).minimum / 2,
        retrain=solve(2 / (size - 1)).minimum / 2,
        descent_ascent=ascended.minimum / 2,
        exists=ascended.exists,
        least_ridge=least,
    )


def _dimension(size: Array) -> Array:
    return checks.require("dimension", size, lambda d: np.isfinite(d) & (d >= 2), "finite and >= 2")
