r"""The noise of the diffusion model: a cosine schedule, and the conversions between its targets.

At time t in [0, 1] a picture x becomes
:math:`x_t = a x + \sigma z` with :math:`a = \cos(\pi t/2)`, :math:`\sigma = \sin(\pi t/2)` and
white noise z. The network predicts the *velocity* :math:`v = a z - \sigma x`. Since
:math:`a^2 + \sigma^2 = 1`,

.. math:: x = a x_t - \sigma v, \qquad z = \sigma x_t + a v .

Sources: Nichol & Dhariwal, arXiv:2102.09672 (the schedule, here without its offset); Salimans & Ho,
arXiv:2202.00512 (the velocity).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float


class ReverseStep(NamedTuple):
    r"""The law of :math:`x_s` given :math:`x_t` and the clean picture x, for s < t.

    It is normal with mean ``noised`` :math:`x_t` + ``clean`` x and standard deviation ``spread``.
    """

    noised: Float[Array, "*batch"]
    clean: Float[Array, "*batch"]
    spread: Float[Array, "*batch"]


def signal(time: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """a, what the noise leaves of the picture."""
    return jnp.cos(jnp.pi / 2 * time)


def noise(time: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    r"""The standard deviation of the noise, :math:`\sigma`."""
    return jnp.sin(jnp.pi / 2 * time)


def noised(
    clean: Float[Array, "*batch"], white: Float[Array, "*batch"], time: Float[Array, "*#batch"]
) -> Float[Array, "*batch"]:
    """The picture at ``time``."""
    return signal(time) * clean + noise(time) * white


def velocity(
    clean: Float[Array, "*batch"], white: Float[Array, "*batch"], time: Float[Array, "*#batch"]
) -> Float[Array, "*batch"]:
    """What the network predicts."""
    return signal(time) * white - noise(time) * clean


def clean_of(
    noised: Float[Array, "*batch"], velocity: Float[Array, "*batch"], time: Float[Array, "*#batch"]
) -> Float[Array, "*batch"]:
    """The clean picture, from the noised one and the velocity."""
    return signal(time) * noised - noise(time) * velocity


def reverse_step(later: Float[Array, "*batch"], earlier: Float[Array, "*batch"]) -> ReverseStep:
    r"""The reverse step from time t = ``later`` to s = ``earlier``.

    With :math:`a_{ts} = a_t/a_s` and :math:`\sigma_{ts}^2 = \sigma_t^2 - a_{ts}^2 \sigma_s^2`:

    .. math:: \text{mean} = a_{ts} \frac{\sigma_s^2}{\sigma_t^2} x_t
        + a_s \frac{\sigma_{ts}^2}{\sigma_t^2} x, \qquad
        \text{variance} = \frac{\sigma_{ts}^2 \sigma_s^2}{\sigma_t^2} .

    Args:
        later: t in (0, 1].
        earlier: s in [0, t).

    Source: Kingma et al., arXiv:2107.00630, App. A.
    """
    ratio = signal(later) / signal(earlier)
    late, early = noise(later) ** 2, noise(earlier) ** 2
    added = late - ratio**2 * early
    return ReverseStep(
        noised=ratio * early / late,
        clean=signal(earlier) * added / late,
        spread=jnp.sqrt(jnp.maximum(added * early / late, 0)),
    )
