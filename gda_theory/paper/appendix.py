r"""App. J's intuition: a retained and a forgotten sample that become one and the same.

``d`` samples in ``d`` dimensions: :math:`x_1 = (1, \varepsilon, 0, \dots)` is retained, :math:`x_2 = (\varepsilon, 1, 0, \dots)`
forgotten, and the other d - 2, orthogonal unit vectors, are retained. Only the first two share coordinates, so they are a correlated
pair with r = d - 1, f = 1 and one sample of each type (alpha = 1): pretraining has the masses (1/d, 1/d), descent-ascent (1/(d-1), -1).
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array as AnyArray
from jaxtyping import Bool, Float

from gda_theory.pair import coordinate
from gda_theory.pair.model import CorrelatedPair
from gda_theory.problem import losses
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.printing.display import readable


@readable()
class AlignedLimits(NamedTuple):
    """What ``w_1`` and ``w_2`` both tend to as the correlation tends to 1. ``exists``: descent-ascent has a minimum there, which is so
    from ``least_ridge`` on; below it ``descent_ascent`` is NaN. ``least_ridge`` is 0 if the loss is bounded from running away."""

    pretrain: Float[AnyArray, "*batch"]
    retrain: Float[AnyArray, "*batch"]
    descent_ascent: Float[AnyArray, "*batch"]
    exists: Bool[AnyArray, "*batch"]
    least_ridge: Float[AnyArray, "*batch"]


@backed_by("appendix-j-limits")
def aligned_pair(correlation, *, dimension, ridge, loss="exponential") -> CorrelatedPair:
    """The two samples that share coordinates, as a :class:`CorrelatedPair`; every argument may be an array.

    Args: correlation: in [0, 1). dimension: ``d >= 2``, the number of samples. ridge: > 0.
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
def aligned_limits(*, dimension, ridge, loss="exponential") -> AlignedLimits:
    r"""The limits of both weights as the correlation tends to 1.

    .. math:: w_D = \tfrac12 W\!\left(\tfrac{4}{d\lambda}\right), \qquad w_R = \tfrac12 W\!\left(\tfrac{2}{(d-1)\lambda}\right), \qquad
              w_{DA} = \tfrac12 W_0\!\left(-\tfrac{2(d-2)}{(d-1)\lambda}\right) \text{ for } \lambda \ge \tfrac{2e(d-2)}{d-1},

    with ``W(z)`` the root of ``w = z phi(w)`` of the given loss: Lambert's for the exponential one, for the logistic one the
    r-Lambert function, for which descent-ascent has its limit at every ridge.

    Args: dimension: ``d >= 2``. ridge: > 0. loss: ``"exponential"``, ``"logistic"`` or a :class:`gda_theory.Loss`; ``least_ridge`` is
        known for the first and for losses of bounded slope, NaN otherwise.
    Accuracy: that of :func:`gda_theory.pair.coordinate.stationary_points`. Errors: ``ValueError`` naming the argument.
    Source: App. J; logistic: new. Claim: ``appendix-j-limits``.
    """
    loss = losses.resolve(loss)
    values = checks.broadcast("aligned_limits", dimension=dimension, ridge=ridge)
    size, ridge = _dimension(values["dimension"]), checks.positive("ridge", values["ridge"])
    push = 2 * (size - 2) / (size - 1)

    def half(mass):
        return coordinate.stationary_points(mass, ridge=ridge, loss=loss)

    ascended = half(-push)
    unknown = jnp.nan if np.isinf(loss.slope_at_minus_infinity) else 0.0
    least = jnp.e * push if loss.name == "exponential" else jnp.full_like(push, unknown)
    return AlignedLimits(
        half(4 / size).minimum / 2,
        half(2 / (size - 1)).minimum / 2,
        ascended.minimum / 2,
        ascended.exists,
        least,
    )


def _dimension(size):
    return checks.require("dimension", size, lambda d: np.isfinite(d) & (d >= 2), "finite and >= 2")
