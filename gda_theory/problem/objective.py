r"""One objective with signed weights: pretraining, the oracle and descent-ascent are one problem.

.. math::

    J_\gamma(w) = \sum_i c_i\, \ell(m_i) + \tfrac12 w^\top \Lambda_\gamma w,
    \qquad m = T w, \qquad c = a - \gamma b .

The rows of :math:`T`, the *types*, are :math:`y_i x_i`. The retain weights are ``a``, the forget
weights ``b``, and :math:`\gamma` is the ascent strength: 0 is the oracle, 1 the paper's
descent-ascent.

Pretraining lies on the same path. With losses averaged per set (``mean``),
:math:`J_D = \tfrac rn J_{-f/r}` at ridge :math:`\lambda\max(1, 1-\gamma)`. With sums it is at
strength -1 and the same ridge.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from gda_theory.problem.losses import Loss, RowLoss
from theory_common import checks
from theory_common.batching.blocks import summed, weighted_gram
from theory_common.checks import Numbers
from theory_common.claims import backed_by
from theory_common.numerics.matrices import one_by_one
from theory_common.printing.display import readable

# Fields of results that hold weights, and those that hold a solution of their own.
VECTORS = {"weights", "fold_weights"}
SOLUTIONS = {"oracle", "pretrained"}


@readable()
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
@backed_by("type-reduction", "logistic-norm-bound", "one-path", "near-the-origin")
class Objective:
    """``sum_i c_i loss(m_i) + w' ridge w / 2``, a pytree.

    Its arrays may carry leading batch dimensions. Weights are real, so that counts may be
    fractional and a correlated pair needs no rows. ``size_ratio`` is f/r.

    Claims: ``type-reduction``, ``logistic-norm-bound``, ``one-path``, ``near-the-origin``.
    """

    types: Float[Numbers, "*batch k d"]
    retain_weight: Float[Numbers, "*batch k"]
    forget_weight: Float[Numbers, "*batch k"]
    ridge: Float[Numbers, "*batch d"]
    size_ratio: Float[Numbers, "*batch"]
    loss: Loss = dataclasses.field(metadata={"static": True})
    reduction: str = dataclasses.field(metadata={"static": True})

    @property
    def ranks(self) -> tuple[int, ...]:
        """The ranks of the leaves of one objective, without a batch."""
        return (2, 1, 1, 1, 0)

    @property
    def has_margins(self) -> bool:
        """Whether each row has one score, its margin, so that ``types`` is an array."""
        return hasattr(self.types, "shape")

    @property
    def pretrain_strength(self) -> Float[checks.Numbers, "*batch"]:
        """The strength at which this path is pretraining: -f/r for means, -1 for sums.

        Lower strengths have no meaning.
        """
        if self.reduction == "mean":
            return -self.size_ratio
        return np.full(self.size_ratio.shape, -1, self.size_ratio.dtype)

    def coefficients(self, strength: ArrayLike) -> Float[Numbers, "*batch k"]:
        """The signed weights ``c = retain_weight - strength * forget_weight``."""
        return self.retain_weight - self._number(strength)[..., None] * self.forget_weight

    @backed_by("one-path")
    def ridge_at(self, strength: ArrayLike) -> Float[Numbers, "*batch d"]:
        """The ridge on the path: ``ridge * max(1, 1 - strength)`` for means, ``ridge`` for sums.

        For means, pretraining's ridge on this path is ``ridge * n/r``. Claim: ``one-path``.
        """
        number = self._number(strength)
        xp = number.__array_namespace__()
        # Not a maximum: its derivative at the kink would be the mean of both sides. This one is
        # that of ascent.
        mean = self.reduction == "mean"
        factor = xp.where(number < 0, 1 - number, 1) if mean else xp.ones_like(number)
        return factor[..., None] * self.ridge

    def at(self, strength: ArrayLike) -> "MarginObjective":
        """The objective at one strength: what Newton's method works on."""
        return MarginObjective(
            types=self.types,
            coefficients=self.coefficients(strength),
            ridge=self.ridge_at(strength),
        )

    def _number(self, strength: ArrayLike) -> Numbers:
        """The strength in the dtype of the arrays; of known numbers a NumPy array."""
        if isinstance(strength, Array | np.ndarray):
            return strength.astype(self.ridge.dtype)
        return np.asarray(strength, self.ridge.dtype)

    def margins(self, weights: Float[checks.Numbers, "*batch d"]) -> Float[Numbers, "*batch k"]:
        """``m_i = y_i <w, x_i>``."""
        return jnp.einsum("...kd,...d->...k", self.types, weights)

    def value(
        self, weights: Float[checks.Numbers, "*batch d"], strength: ArrayLike = 1.0
    ) -> Float[Numbers, "*batch"]:
        """``J(w)``."""
        losses = jnp.sum(self.coefficients(strength) * self.loss.value(self.margins(weights)), -1)
        return losses + jnp.sum(self.ridge_at(strength) * weights**2, -1) / 2

    def gradient(
        self, weights: Float[checks.Numbers, "*batch d"], strength: ArrayLike = 1.0
    ) -> Float[Numbers, "*batch d"]:
        r""":math:`\nabla J = \Lambda w - T^\top (c \odot \varphi(m))`."""
        forces = self.coefficients(strength) * self.loss.phi(self.margins(weights))
        return self.ridge_at(strength) * weights - jnp.einsum(
            "...kd,...k->...d", self.types, forces
        )

    def hessian(
        self, weights: Float[checks.Numbers, "*batch d"], strength: ArrayLike = 1.0
    ) -> Float[Numbers, "*batch d d"]:
        r""":math:`\nabla^2 J = \Lambda + T^\top \mathrm{diag}(c \odot \ell''(m))\, T`."""
        bend = self.coefficients(strength) * self.loss.curvature(self.margins(weights))
        weighted = bend[..., None] * self.types
        curvature = jnp.einsum("...kd,...ke->...de", self.types, weighted)
        return curvature + self.ridge_at(strength)[..., None] * jnp.eye(
            self.types.shape[-1], dtype=self.types.dtype
        )

    def curvatures(
        self, weights: Float[checks.Numbers, "*batch d"], strength: ArrayLike = 1.0
    ) -> Float[Numbers, "*batch d"]:
        """Eigenvalues of the Hessian, increasing; infinite where it is not representable.

        Descent with a step size above 2 over the largest leaves a minimum.
        """
        hessian = self.hessian(weights, strength)
        fine = jnp.all(jnp.isfinite(hessian), (-2, -1))
        identity = jnp.eye(hessian.shape[-1], dtype=hessian.dtype)
        eigenvalues = one_by_one(
            jnp.linalg.eigvalsh, jnp.where(fine[..., None, None], hessian, identity)
        )
        return jnp.where(fine[..., None], eigenvalues, jnp.inf)

    def require_path(self) -> None:
        """``ValueError`` if the problem is too large for its path; no limit for one score a row."""

    @backed_by("path-monotone")
    def forget_gradient(
        self, weights: Float[checks.Numbers, "*batch d"]
    ) -> Float[Numbers, "*batch d"]:
        r""":math:`\nabla L_F`, the gradient of the forget loss.

        The path obeys ``dw/dstrength = H^{-1} grad L_F``.

        Claim: ``path-monotone``.
        """
        return -jnp.einsum(
            "...kd,...k->...d",
            self.types,
            self.forget_weight * self.loss.phi(self.margins(weights)),
        )

    @backed_by("class-share-bound")
    def recession_slopes(self, strength: ArrayLike = 1.0) -> Float[Numbers, "*batch p q"]:
        r"""Slopes of J along each coordinate to +infinity and -infinity; +inf where a ridge acts.

        Along an unpenalised coordinate, such as an intercept,
        :math:`J \sim |b| \ell'_\infty \sum_i c_i \max(0, \mp t_{ij})`. For an intercept and mean
        losses this is the share of a class in R minus strength times its share in F. So the
        logistic objective is unbounded below iff ``strength > min_c share_R(c) / share_F(c)``.
        Shape ``(d, 2)``; with K classes ``(K, 1)``, one slope for the intercept of each.

        Source: new. Claim: ``class-share-bound``.
        """
        return self.loss.recession_slopes(
            self.types,
            self.retain_weight,
            self.forget_weight,
            self.ridge,
            jnp.asarray(strength, self.ridge.dtype),
        )


def objective_of(problem: "Objective | HasObjective") -> Objective:
    """The objective of a problem: itself, or what its method ``objective()`` returns.

    Raises: ``TypeError`` for anything else.
    """
    if isinstance(problem, Objective):
        return problem
    if not hasattr(problem, "objective"):
        raise TypeError(
            "problem must be a Problem, a MultinomialProblem, a CorrelatedPair or an Objective, "
            f"got {type(problem).__name__}"
        )
    return problem.objective()


@runtime_checkable
class HasObjective(Protocol):
    """A Problem, a CorrelatedPair or a Coordinate."""

    def objective(self) -> Objective: ...


def in_weights(problem: Any, result: Any) -> Any:
    """A result of the solvers with weights as the problem has them.

    The solvers work with vectors. A problem with several classes has the method ``weights_of``,
    which turns the last dimension of a vector into the shape (K, d).
    """
    convert = getattr(problem, "weights_of", None)
    if convert is None:
        return result
    changes = {name: convert(getattr(result, name)) for name in VECTORS & set(result._fields)}
    changes |= {
        name: in_weights(problem, getattr(result, name)) for name in SOLUTIONS & set(result._fields)
    }
    return result._replace(**changes)


def in_coordinates(problem: Any, weights: Any) -> Any:
    """Weights as the solvers have them, the inverse of :func:`in_weights`."""
    convert = getattr(problem, "coordinates_of", None)
    return weights if convert is None else convert(weights)


def pretraining(objective: Objective) -> Objective:
    """Pretraining as an objective of its own, at strength 0.

    It is the mean over all data, or the sum, at the same ridge.
    """
    forget_part = objective.pretrain_strength[..., None] * objective.forget_weight
    weight = objective.retain_weight - forget_part
    if objective.reduction == "mean":
        weight = weight / (1 + objective.size_ratio[..., None])
    return dataclasses.replace(objective, retain_weight=weight)


# One objective at one strength ---------------------------------------------------------------


class Local(NamedTuple):
    """An objective at one point.

    The scales are the sums of the absolute values of the terms, where rounding starts.
    """

    value: Float[Numbers, ""]
    value_scale: Float[Numbers, ""]
    gradient: Float[Numbers, " d"]
    gradient_scale: Float[Numbers, " d"]

    def backward_error(self) -> Float[Numbers, ""]:
        """``max_j |gradient_j| / gradient_scale_j``; an entry without terms is exact."""
        return jnp.max(
            jnp.where(self.gradient_scale == 0, 0, jnp.abs(self.gradient) / self.gradient_scale)
        )


class Rough(NamedTuple):
    """Types in float32, for Hessians that only steer: a product takes a quarter of the time.

    ``squares`` holds ``|t_i|^2``.
    """

    single: Float[Numbers, "k m"]
    squares: Float[Numbers, " k"]

    @classmethod
    def of(cls, types: Any) -> "Rough | None":
        """The types in float32; None where the product is small, or is in float32 already.

        Also None for types of several scores a row, whose products are many small ones.
        """
        if not hasattr(types, "shape"):
            return None
        count, dimension = types.shape
        if types.dtype == jnp.float32 or count * dimension**2 <= 2**20:
            return None
        return cls(single=types.astype(jnp.float32), squares=jnp.sum(types**2, -1))

    def product(self, bend: Float[Numbers, " k"]) -> Float[Numbers, "m m"]:
        """``T' diag(bend) T``, in float32 and of the type of ``bend``."""
        top = jnp.max(jnp.abs(bend))
        top = jnp.where(top > 0, top, 1)
        weight = (bend / top).astype(jnp.float32)
        return top * weighted_gram(self.single, weight).astype(bend.dtype)

    def rounding(self, bend: Float[Numbers, " k"]) -> Float[Numbers, ""]:
        """A bound on the error of the eigenvalues of :meth:`product`; infinite if it overflows.

        Rounding perturbs them by 6e-8 of the sum of the terms' sizes. The bound is over a hundred
        times that.
        """
        size = jnp.abs(bend) @ self.squares
        return jnp.where(jnp.max(self.squares) < 1e30, 1e-5 * size, jnp.inf)


def steering_hessian(
    loss: RowLoss, types: Any, rough: Rough | None, bend: Numbers, ridge: Float[Numbers, " m"]
) -> Float[Numbers, "m m"]:
    """The Hessian of the losses and the ridge, in float32 where its rounding does not matter.

    That is where the rounding is far below the ridge.
    """

    def double():
        return loss.product(types, bend)

    if rough is None:
        return double() + jnp.diag(ridge)
    # Then the error is at most a hundredth of the smallest eigenvalue of a convex objective. The
    # comparison is False for NaN.
    accurate = rough.rounding(bend) < jnp.min(ridge)
    return jax.lax.cond(accurate, lambda: rough.product(bend), double) + jnp.diag(ridge)


class MarginObjective(NamedTuple):
    """An objective at a fixed strength: ``sum_i coefficients_i loss_i(w) + w' ridge w / 2``.

    The loss selects code, so it is an argument of the methods. It is a margin loss, or the softmax
    loss with the types that belong to it.
    """

    types: Any
    coefficients: Float[Numbers, " k"]
    ridge: Float[Numbers, " d"]

    def value(self, loss: RowLoss, weights: Float[Numbers, " d"]) -> Float[Numbers, ""]:
        """The objective."""
        losses = loss.losses(self.types, loss.scores(self.types, weights))
        return jnp.sum(self.coefficients * losses) + jnp.sum(self.ridge * weights**2) / 2

    def gradient(self, loss: RowLoss, weights: Float[Numbers, " d"]) -> Float[Numbers, " d"]:
        """The gradient."""

        def of(types: Any, weight: Float[Numbers, " k"]) -> Float[Numbers, " d"]:
            return loss.slope(types, weight, loss.scores(types, weights))

        return self.ridge * weights + summed(of, self.types, self.coefficients)

    def hessian(
        self, loss: RowLoss, weights: Float[Numbers, " d"], rough: Rough | None = None
    ) -> Float[Numbers, "d d"]:
        """The Hessian; with ``rough`` one that only steers, see :func:`steering_hessian`."""
        bend = loss.bend(self.coefficients, loss.scores(self.types, weights))
        return steering_hessian(loss, self.types, rough, bend, self.ridge)

    def local(self, loss: RowLoss, weights: Float[Numbers, " d"]) -> Local:
        """Value and gradient."""

        def of(types: Any, weight: Float[Numbers, " k"]) -> Local:
            scores = loss.scores(types, weights)
            values = weight * loss.losses(types, scores)
            return Local(
                value=jnp.sum(values),
                value_scale=jnp.sum(jnp.abs(values)),
                gradient=loss.slope(types, weight, scores),
                gradient_scale=loss.scale(loss.sizes(types), weight, scores, weights),
            )

        losses = summed(of, self.types, self.coefficients)
        decay = self.ridge * weights
        penalty = jnp.sum(decay * weights) / 2
        return Local(
            value=losses.value + penalty,
            value_scale=losses.value_scale + penalty,
            gradient=decay + losses.gradient,
            gradient_scale=jnp.abs(decay) + losses.gradient_scale,
        )

    def scaled(self, loss: RowLoss) -> "tuple[MarginObjective, Numbers]":
        """The objective in a unit in which neither the ridge nor the losses underflow; the unit.

        The unit is a power of 2. At the minimum both parts of the gradient are about
        ``ridge * w``, with w between ``|c t|/ridge`` and a few hundred. So the unit is about the
        smaller of the largest ridge and the largest gradient of the losses at the origin.
        """
        force = loss.force(self.types, self.coefficients)
        ridge = jnp.max(self.ridge)
        small = jnp.minimum(
            jnp.where(ridge > 0, ridge, jnp.inf), jnp.where(force > 0, force, jnp.inf)
        )
        finite = jnp.isfinite(small)
        exponent = jnp.where(finite, jnp.frexp(jnp.where(finite, small, 1))[1], 0)
        unit = jnp.ldexp(jnp.ones_like(small), exponent)
        # A negative ridge can only be a traced one: NaN is the answer.
        ridge = jnp.where(self.ridge >= 0, self.ridge, jnp.nan)
        return MarginObjective(self.types, self.coefficients / unit, ridge / unit), unit


# Batches -------------------------------------------------------------------------------------


def over_batch(
    function: Callable, objective: Objective, *arguments: tuple[Array | None, int]
) -> Any:
    """``function(objective, *arguments)`` over the leading dimensions.

    Each argument is a pair: an array or None, and its rank within one problem.
    """
    ranks = [*objective.ranks, *(rank for _, rank in arguments)]
    leaves, structure = jax.tree.flatten(objective)
    given = [*leaves, *(argument for argument, _ in arguments)]
    pairs = list(zip(given, ranks, strict=True))
    batch = jnp.broadcast_shapes(
        *(leaf.shape[: leaf.ndim - rank] for leaf, rank in pairs if leaf is not None)
    )
    wide = [
        None if leaf is None else jnp.broadcast_to(leaf, batch + leaf.shape[leaf.ndim - rank :])
        for leaf, rank in pairs
    ]
    for _ in batch:
        function = jax.vmap(function)
    return function(jax.tree.unflatten(structure, wide[: len(leaves)]), *wide[len(leaves) :])


def broadcast(objective: Objective, batch: tuple[int, ...]) -> Objective:
    """The objective with all its arrays over the same leading dimensions."""
    leaves, structure = jax.tree.flatten(objective)
    wide = [
        jnp.broadcast_to(leaf, batch + leaf.shape[leaf.ndim - rank :])
        for leaf, rank in zip(leaves, objective.ranks, strict=True)
    ]
    return jax.tree.unflatten(structure, wide)
