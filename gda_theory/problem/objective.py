r"""One objective with signed weights: pretraining, the oracle and descent-ascent are the same problem.

.. math:: J_\gamma(w) = \sum_i c_i\, \ell(m_i) + \tfrac12 w^\top \Lambda_\gamma w, \qquad m = T w, \qquad c = a - \gamma b,

with *types* :math:`T` (rows :math:`y_i x_i`), retain weights ``a``, forget weights ``b`` and ascent strength :math:`\gamma`:
0 is the oracle, 1 the paper's descent-ascent. Pretraining lies on the same path: with losses averaged per set (``mean``),
:math:`J_D = \tfrac rn J_{-f/r}` at ridge :math:`\lambda\max(1, 1-\gamma)`; with sums, at strength -1 and the same ridge.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from gda_theory.problem.losses import Loss
from theory_common.claims import backed_by
from theory_common.printing.display import readable


@readable()
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
@backed_by("type-reduction", "logistic-norm-bound", "one-path", "near-the-origin")
class Objective:
    """``sum_i c_i loss(m_i) + w' ridge w / 2``; a pytree whose arrays may carry leading batch dimensions.

    Weights are real, so counts may be fractional and a correlated pair needs no rows. ``size_ratio`` is f/r.
    Claims: ``type-reduction``, ``logistic-norm-bound``, ``one-path``, ``near-the-origin``.
    """

    types: Float[Array, "*batch k d"]
    retain_weight: Float[Array, "*batch k"]
    forget_weight: Float[Array, "*batch k"]
    ridge: Float[Array, "*batch d"]
    size_ratio: Float[Array, "*batch"]
    loss: Loss = dataclasses.field(metadata={"static": True})
    reduction: str = dataclasses.field(metadata={"static": True})

    @property
    def pretrain_strength(self) -> Float[Array, "*batch"]:
        """The strength at which this path is pretraining: -f/r for means, -1 for sums. Lower ones mean nothing."""
        return -self.size_ratio if self.reduction == "mean" else -jnp.ones_like(self.size_ratio)

    def coefficients(self, strength) -> Float[Array, "*batch k"]:
        """The signed weights ``c = retain_weight - strength * forget_weight``."""
        return (
            self.retain_weight
            - jnp.asarray(strength, self.types.dtype)[..., None] * self.forget_weight
        )

    @backed_by("one-path")
    def ridge_at(self, strength) -> Float[Array, "*batch d"]:
        """The ridge on the path: ``ridge * max(1, 1 - strength)`` for means (pretraining's is ridge n/r there), ``ridge`` for sums.

        Claim: ``one-path``.
        """
        strength = jnp.asarray(strength, self.types.dtype)
        # Not a maximum: its derivative at the kink would be the mean of both sides; this one is that of ascent.
        factor = (
            jnp.where(strength < 0, 1 - strength, 1)
            if self.reduction == "mean"
            else jnp.ones_like(strength)
        )
        return factor[..., None] * self.ridge

    def margins(self, weights: Float[Array, "*batch d"]) -> Float[Array, "*batch k"]:
        """``m_i = y_i <w, x_i>``."""
        return jnp.einsum("...kd,...d->...k", self.types, weights)

    def value(self, weights: Float[Array, "*batch d"], strength=1.0) -> Float[Array, "*batch"]:
        """``J(w)``."""
        losses = jnp.sum(self.coefficients(strength) * self.loss.value(self.margins(weights)), -1)
        return losses + jnp.sum(self.ridge_at(strength) * weights**2, -1) / 2

    def gradient(self, weights: Float[Array, "*batch d"], strength=1.0) -> Float[Array, "*batch d"]:
        r""":math:`\nabla J = \Lambda w - T^\top (c \odot \varphi(m))`."""
        pull = self.coefficients(strength) * self.loss.phi(self.margins(weights))
        return self.ridge_at(strength) * weights - jnp.einsum("...kd,...k->...d", self.types, pull)

    def hessian(
        self, weights: Float[Array, "*batch d"], strength=1.0
    ) -> Float[Array, "*batch d d"]:
        r""":math:`\nabla^2 J = \Lambda + T^\top \mathrm{diag}(c \odot \ell''(m))\, T`."""
        bend = self.coefficients(strength) * self.loss.curvature(self.margins(weights))
        weighted = bend[..., None] * self.types
        curvature = jnp.einsum("...kd,...ke->...de", self.types, weighted)
        return curvature + self.ridge_at(strength)[..., None] * jnp.eye(
            self.types.shape[-1], dtype=self.types.dtype
        )

    def curvatures(
        self, weights: Float[Array, "*batch d"], strength=1.0
    ) -> Float[Array, "*batch d"]:
        """Eigenvalues of the Hessian, increasing; infinite where it is not representable. Steps above 2 over the last leave a minimum."""
        hessian = self.hessian(weights, strength)
        fine = jnp.all(jnp.isfinite(hessian), (-2, -1))
        eigenvalues = jnp.linalg.eigvalsh(
            jnp.where(
                fine[..., None, None], hessian, jnp.eye(hessian.shape[-1], dtype=hessian.dtype)
            )
        )
        return jnp.where(fine[..., None], eigenvalues, jnp.inf)

    @backed_by("path-monotone")
    def forget_gradient(self, weights: Float[Array, "*batch d"]) -> Float[Array, "*batch d"]:
        r""":math:`\nabla L_F`, the gradient of the forget loss: the path obeys ``dw/dstrength = H^{-1} grad L_F``.

        Claim: ``path-monotone``.
        """
        return -jnp.einsum(
            "...kd,...k->...d",
            self.types,
            self.forget_weight * self.loss.phi(self.margins(weights)),
        )

    @backed_by("class-share-bound")
    def recession_slopes(self, strength=1.0) -> Float[Array, "*batch d 2"]:
        r"""Slopes of J along each coordinate to +infinity and -infinity; +inf where a ridge acts.

        Along an unpenalised coordinate (an intercept) :math:`J \sim |b| \ell'_\infty \sum_i c_i \max(0, \mp t_{ij})`. For an
        intercept and mean losses this is the share of a class in R minus strength times its share in F, so the logistic
        objective is unbounded below iff ``strength > min_c share_R(c) / share_F(c)``. Source: new. Claim: ``class-share-bound``.
        """
        sides = jnp.stack([jnp.maximum(-self.types, 0), jnp.maximum(self.types, 0)], -1)
        # Summed before the strength enters, so that many strengths cost no more than one.
        retain, forget = (
            jnp.einsum("...k,...kds->...ds", weight, sides)
            for weight in (self.retain_weight, self.forget_weight)
        )
        total = retain - jnp.asarray(strength, self.types.dtype)[..., None, None] * forget
        slope = self.loss.slope_at_minus_infinity
        steep = jnp.where(total == 0, 0.0, total * slope) if math.isinf(slope) else total * slope
        return jnp.where((self.ridge > 0)[..., None], jnp.inf, steep)
