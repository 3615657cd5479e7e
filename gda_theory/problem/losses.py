r"""Margin losses :math:`\ell(m)`, with the margin ``m = y <w, x>``.

Closed forms, solvers and fold conditions of this package hold for any of them. Only four functions
of one real variable enter:

.. math:: \ell(m), \qquad \varphi = -\ell' > 0, \qquad \ell'' > 0, \qquad \log\varphi .

Where ``phi`` itself would underflow, closed forms use the *decay*
:math:`\ell''/\varphi = -(\log\varphi)'`.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from theory_common.numerics import special

Elementwise = Callable[[Array], Array]


@dataclasses.dataclass(frozen=True)
class Loss:
    """A convex, decreasing margin loss.

    It is immutable and hashable, and static under jit: each loss has its own compiled code.

    ``slope_at_minus_infinity`` is the limit of ``phi`` at m = -infinity. It is 1 for the logistic
    loss, which makes descent-ascent coercive in every penalised direction. It is infinite for the
    exponential loss. ``shifted_dual(log_ratio, shift)``, if given, is the closed form of
    :func:`gda_theory.pair.curve.shifted_dual`.
    """

    name: str
    value: Elementwise
    phi: Elementwise
    curvature: Elementwise
    log_phi: Elementwise
    slope_at_minus_infinity: float
    shifted_dual: Callable[[Array, Array], Array] | None = None
    log_decay_closed: Elementwise | None = None

    def decay(self, margin: Array) -> Array:
        r""":math:`\ell''(m)/\varphi(m) = -(\log\varphi)'(m)`, without forming the two factors."""
        return -jax.jvp(self.log_phi, (margin,), (jnp.ones_like(margin),))[1]

    def log_decay(self, margin: Array) -> Array:
        """The logarithm of :meth:`decay`; in closed form where the decay itself would underflow."""
        return (
            jnp.log(self.decay(margin))
            if self.log_decay_closed is None
            else self.log_decay_closed(margin)
        )

    def __repr__(self) -> str:
        return f"Loss({self.name!r})"

    def __reduce__(self) -> tuple:
        """Pickled by what made it, so that a process has it, and its compiled code, once."""
        if self is _NAMED.get(self.name):
            return resolve, (self.name,)
        made = _margin_loss, (self.name, self.value, self.slope_at_minus_infinity)
        if self is made[0](*made[1]):
            return made
        return Loss, tuple(getattr(self, field.name) for field in dataclasses.fields(self))


def margin_loss(name: str, value: Elementwise, *, slope_at_minus_infinity: float = jnp.inf) -> Loss:
    """A loss of your own, from its value. Derivatives come from automatic differentiation.

    Args:
        name: how the loss prints.
        value: elementwise, written in JAX, decreasing and strictly convex.
        slope_at_minus_infinity: the limit of ``-value'`` at -infinity.

    Example, a smoothed hinge::

        def softhinge(margin):
            return jnp.logaddexp(0, 4 * (1 - margin)) / 4

        loss = margin_loss("softhinge", softhinge, slope_at_minus_infinity=1)
    """
    return _margin_loss(name, value, float(slope_at_minus_infinity))


@functools.lru_cache(maxsize=64)
def _margin_loss(name: str, value: Elementwise, slope_at_minus_infinity: float) -> Loss:
    def derivative(function: Elementwise) -> Elementwise:
        return lambda margin: jax.jvp(function, (margin,), (jnp.ones_like(margin),))[1]

    slope = derivative(value)
    return Loss(
        name,
        value,
        phi=lambda margin: -slope(margin),
        curvature=derivative(slope),
        log_phi=lambda margin: jnp.log(-slope(margin)),
        slope_at_minus_infinity=slope_at_minus_infinity,
    )


exponential = Loss(
    "exponential",
    value=lambda margin: jnp.exp(-margin),
    phi=lambda margin: jnp.exp(-margin),
    curvature=lambda margin: jnp.exp(-margin),
    log_phi=lambda margin: -margin,
    slope_at_minus_infinity=float("inf"),
    # t = W_0(z e^shift): Lambert W, in the log domain the Wright omega function.
    shifted_dual=lambda log_ratio, shift: special.wright_omega(log_ratio + shift),
    log_decay_closed=jnp.zeros_like,
)

logistic = Loss(
    "logistic",
    value=lambda margin: jnp.logaddexp(-margin, 0.0),
    phi=lambda margin: jax.nn.sigmoid(-margin),
    curvature=lambda margin: jax.nn.sigmoid(margin) * jax.nn.sigmoid(-margin),
    log_phi=lambda margin: -jnp.logaddexp(margin, 0.0),
    slope_at_minus_infinity=1.0,
    # t (e^t + e^shift) = z e^shift: the r-Lambert function at r = e^shift.
    shifted_dual=lambda log_ratio, shift: special.r_lambertw_exp(log_ratio + shift, shift),
    log_decay_closed=lambda margin: -jnp.logaddexp(-margin, 0.0),
)

_NAMED = {loss.name: loss for loss in (exponential, logistic)}


def resolve(loss: str | Loss) -> Loss:
    """The :class:`Loss` of that name, ``"exponential"`` or ``"logistic"``, or the given loss.

    Raises: ``ValueError`` for anything else.
    """
    if isinstance(loss, Loss):
        return loss
    if not isinstance(loss, str) or loss not in _NAMED:
        raise ValueError(
            f"loss must be one of {', '.join(map(repr, _NAMED))} or a gda_theory.Loss, got {loss!r}"
        )
    return _NAMED[loss]
