r"""Margin losses :math:`\ell(m)`, with the margin ``m = y <w, x>``.

Closed forms, solvers and fold conditions of this package hold for any of them. Only four functions
of one real variable enter:

.. math:: \ell(m), \qquad \varphi = -\ell' > 0, \qquad \ell'' > 0, \qquad \log\varphi .

Where ``phi`` itself would underflow, closed forms use the *decay*
:math:`\ell''/\varphi = -(\log\varphi)'`.
"""

import abc
import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from theory_common.batching.blocks import summed, weighted_gram
from theory_common.checks import Numbers
from theory_common.numerics import special

Elementwise = Callable[[Array], Array]


class RowLoss(abc.ABC):
    """What the solvers ask of a loss: sums over the rows, from what each row *scores*.

    A score is linear in the weights. A margin loss (:class:`Loss`) has one score a row, the margin.
    The softmax loss (:class:`gda_theory.problem.classes.Softmax`) has one score a class. ``types``
    is what turns weights into scores. It is an array or a pytree, of a kind that belongs to the
    loss. ``weight`` holds one number a row, of either sign.

    While the scores of a row move by at most s, its curvature stays within the factors
    ``exp(curvature_rate * s)`` and ``exp(-curvature_rate * s)``.

    An instance is immutable, hashable, and static under jit.
    """

    slope_at_minus_infinity: float
    curvature_rate: float = float("inf")

    @abc.abstractmethod
    def scores(self, types: Any, weights: Float[Numbers, " m"]) -> Float[Numbers, "k *s"]:
        """The scores of each row."""

    @abc.abstractmethod
    def losses(self, types: Any, scores: Float[Numbers, "k *s"]) -> Float[Numbers, " k"]:
        """The loss of each row."""

    @abc.abstractmethod
    def slope(
        self, types: Any, weight: Float[Numbers, " k"], scores: Float[Numbers, "k *s"]
    ) -> Float[Numbers, " m"]:
        """The gradient in the weights of ``sum_i weight_i loss_i``."""

    @abc.abstractmethod
    def bend(self, weight: Float[Numbers, " k"], scores: Float[Numbers, "k *s"]) -> Numbers:
        """``weight`` times the second derivatives in the scores, for :meth:`product`."""

    @abc.abstractmethod
    def product(self, types: Any, bend: Numbers) -> Float[Numbers, "m m"]:
        """The Hessian in the weights, from the second derivatives in the scores."""

    @abc.abstractmethod
    def gram(self, types: Any, weight: Float[Numbers, " k"]) -> Float[Numbers, "m m"]:
        """The matrix of ``sum_i weight_i |scores_i|^2``, a square of the weights' length."""

    @abc.abstractmethod
    def sizes(self, types: Any) -> Any:
        """The absolute values of ``types``, for :meth:`scale`; made once for many calls."""

    @abc.abstractmethod
    def scale(
        self,
        sizes: Any,
        weight: Float[Numbers, " k"],
        scores: Float[Numbers, "k *s"],
        weights: Float[Numbers, " m"],
    ) -> Float[Numbers, " m"]:
        """The sizes of the terms in :meth:`slope`, with an allowance for their rounding.

        A score is known to ``eps`` times the sum of the sizes of its terms. The row's term in the
        gradient inherits that error.
        """

    @abc.abstractmethod
    def force(self, types: Any, weight: Float[Numbers, " k"]) -> Float[Numbers, ""]:
        """A bound on the entries of :meth:`slope` at the origin, up to a factor near 1."""

    @abc.abstractmethod
    def recession_slopes(
        self,
        types: Any,
        retain_weight: Float[Numbers, "*batch k"],
        forget_weight: Float[Numbers, "*batch k"],
        ridge: Float[Numbers, "*batch m"],
        strength: Float[Numbers, "*batch"],
    ) -> Float[Numbers, "*batch p q"]:
        """Slopes of J far out along the unpenalised directions.

        If one is negative, J is unbounded below.
        """


@dataclasses.dataclass(frozen=True)
class Loss(RowLoss):
    r"""A convex, decreasing margin loss.

    It is immutable and hashable, and static under jit: each loss has its own compiled code.

    ``slope_at_minus_infinity`` is the limit of ``phi`` at m = -infinity. It is 1 for the logistic
    loss, which makes descent-ascent coercive in every penalised direction. It is infinite for the
    exponential loss. ``shifted_dual(log_ratio, shift)``, if given, is the closed form of
    :func:`gda_theory.pair.curve.shifted_dual`. ``curvature_rate`` bounds the third derivative,
    :math:`|\ell^{(3)}| \le \mathrm{rate}\, \ell''`; it is infinite if no bound is known.
    """

    name: str
    value: Elementwise
    phi: Elementwise
    curvature: Elementwise
    log_phi: Elementwise
    slope_at_minus_infinity: float
    shifted_dual: Callable[[Array, Array], Array] | None = None
    log_decay_closed: Elementwise | None = None
    curvature_rate: float = float("inf")

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

    def scores(self, types: Any, weights: Float[Numbers, " m"]) -> Float[Numbers, " k"]:
        """The margins of the ``types``, which are rows ``y_i x_i``."""
        # In this order the margins of many weights are one product of whole matrices.
        return weights @ types.T

    def losses(self, types: Any, scores: Float[Numbers, " k"]) -> Float[Numbers, " k"]:
        """The loss of each margin."""
        return self.value(scores)

    def slope(
        self, types: Any, weight: Float[Numbers, " k"], scores: Float[Numbers, " k"]
    ) -> Float[Numbers, " m"]:
        """``-T' (weight * phi)``."""
        return -((weight * self.phi(scores)) @ types)

    def bend(
        self, weight: Float[Numbers, " k"], scores: Float[Numbers, " k"]
    ) -> Float[Numbers, " k"]:
        """``weight`` times the curvature."""
        return weight * self.curvature(scores)

    def product(self, types: Any, bend: Float[Numbers, " k"]) -> Float[Numbers, "m m"]:
        """``T' diag(bend) T``."""
        return weighted_gram(types, bend)

    def gram(self, types: Any, weight: Float[Numbers, " k"]) -> Float[Numbers, "m m"]:
        """``T' diag(weight) T``."""
        return self.product(types, weight)

    def sizes(self, types: Any) -> Float[Numbers, "k m"]:
        """``|T|``."""
        return jnp.abs(types)

    def scale(
        self,
        sizes: Any,
        weight: Float[Numbers, " k"],
        scores: Float[Numbers, " k"],
        weights: Float[Numbers, " m"],
    ) -> Float[Numbers, " m"]:
        """``|T|' |weight| (phi + curvature |T||w|)``."""
        unsure = self.curvature(scores) * (jnp.abs(weights) @ sizes.T)
        return (jnp.abs(weight) * (self.phi(scores) + unsure)) @ sizes

    def force(self, types: Any, weight: Float[Numbers, " k"]) -> Float[Numbers, ""]:
        """The largest entry of ``|T|' |weight|``."""

        def of(types: Numbers, weight: Numbers) -> Numbers:
            return jnp.abs(weight) @ jnp.abs(types)

        return jnp.max(summed(of, types, weight))

    def recession_slopes(
        self,
        types: Any,
        retain_weight: Float[Numbers, "*batch k"],
        forget_weight: Float[Numbers, "*batch k"],
        ridge: Float[Numbers, "*batch m"],
        strength: Float[Numbers, "*batch"],
    ) -> Float[Numbers, "*batch m 2"]:
        """Slopes to both sides along each coordinate; +inf where a ridge acts."""
        return _recession_slopes(self, types, retain_weight, forget_weight, ridge, strength)

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


@functools.partial(jax.jit, static_argnums=0)
def _recession_slopes(
    loss: Loss,
    types: Array,
    retain_weight: Array,
    forget_weight: Array,
    ridge: Array,
    strength: Array,
) -> Array:
    """:meth:`Loss.recession_slopes`, compiled as one function."""

    def sums() -> tuple[Array, Array]:
        sides = jnp.stack([jnp.maximum(-types, 0), jnp.maximum(types, 0)], -1)
        return (
            jnp.einsum("...k,...kds->...ds", retain_weight, sides),
            jnp.einsum("...k,...kds->...ds", forget_weight, sides),
        )

    def zeros() -> tuple[Array, Array]:
        return jax.tree.map(lambda one: jnp.zeros(one.shape, one.dtype), jax.eval_shape(sums))

    # Summed before the strength enters, so that many strengths cost no more than one. With a
    # ridge on every coordinate the sums play no part.
    retain, forget = jax.lax.cond(jnp.all(ridge > 0), zeros, sums)
    total = retain - strength[..., None, None] * forget
    slope = loss.slope_at_minus_infinity
    steep = jnp.where(total == 0, 0.0, total * slope) if math.isinf(slope) else total * slope
    return jnp.where((ridge > 0)[..., None], jnp.inf, steep)


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
    curvature_rate=1.0,
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
    curvature_rate=1.0,
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
