r"""The softmax loss with K classes, as an objective like the others.

A row x has the scores :math:`W x`, one a class, and the loss
:math:`\log\sum_k e^{(Wx)_k} - (Wx)_y`. The ridge penalises the weights :math:`w_k` of each class
alike.

The same vector added to all :math:`w_k` changes no loss. At every stationary point the penalised
part of :math:`\sum_k w_k` is 0, since the gradients of the losses add up to 0 over the classes. An
unpenalised intercept is undetermined up to that sum, which is set to 0. So nothing is lost by
:math:`W = E^\top V`, where the rows of E are orthonormal and orthogonal to (1, ..., 1). The solvers
work with the *coordinates* V, of shape (K-1, d), in one vector. Lengths of V and of W are equal.

With K = 2 this is the logistic loss of the margin ``y <w, x>``, ``w = w_1 - w_0``, at half the
ridge, since ``|w_0|^2 + |w_1|^2 = |w|^2/2``. Source: new.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float

from gda_theory.problem.losses import RowLoss
from gda_theory.problem.objective import MarginObjective, Objective
from theory_common.checks import Numbers
from theory_common.printing.display import readable

MOST_ON_PATH = 2000  # weights (K d) of the largest problem whose path is followed


class ClassRows(NamedTuple):
    """Rows with several classes: the features, and 1 at the row's own class, else 0."""

    features: Float[Numbers, "k d"]
    own: Float[Numbers, "k classes"]


@functools.cache
def contrasts(classes: int) -> Float[np.ndarray, "contrasts classes"]:
    """The matrix E: orthonormal rows, each orthogonal to the vector of ones (Helmert's)."""
    lower = np.tril(np.ones((classes - 1, classes)))
    below = np.arange(1, classes)
    lower[below - 1, below] = -below
    return -lower / np.sqrt(below * (below + 1))[:, None]


def weights_of(coordinates: Float[Numbers, "*batch m"], classes: int) -> Numbers:
    """``W = E' V`` of shape (K, d), from the coordinates in one vector."""
    basis = contrasts(classes).astype(coordinates.dtype)
    inner = coordinates.reshape(*coordinates.shape[:-1], classes - 1, -1)
    return jnp.einsum("ak,...ad->...kd", basis, inner)


def coordinates_of(weights: Float[Numbers, "*batch classes d"]) -> Float[Numbers, "*batch m"]:
    """The coordinates in one vector. What all classes have in common is dropped."""
    basis = contrasts(weights.shape[-2]).astype(weights.dtype)
    inner = jnp.einsum("ak,...kd->...ad", basis, weights)
    return inner.reshape(*weights.shape[:-2], -1)


def _pairs(classes: int) -> tuple[np.ndarray, np.ndarray]:
    """The two coordinates of each block on or above the Hessian's diagonal."""
    return np.triu_indices(classes - 1)


@dataclasses.dataclass(frozen=True)
class Softmax(RowLoss):
    """The softmax loss. A row's scores are those of all classes less that of its own class.

    The third derivative along v is at most ``max v - min v <= sqrt(2) |v|`` times the second one,
    since it is a third central moment. So ``curvature_rate`` is sqrt(2).
    """

    name: str = "softmax"
    slope_at_minus_infinity: float = 1.0
    # Along a change u of the scores |d/dt Var_p(v)| <= (max u - min u) Var_p(v), and scores that
    # sum to 0 differ by at most sqrt(2) times their length.
    curvature_rate: float = math.sqrt(2)

    def scores(self, types: ClassRows, weights: Float[Numbers, " m"]) -> Float[Numbers, "k s"]:
        """``(W x)_k - (W x)_y``."""
        scores = types.features @ weights_of(weights, types.own.shape[-1]).T
        return scores - jnp.sum(scores * types.own, -1, keepdims=True)

    def losses(self, types: ClassRows, scores: Float[Numbers, "k s"]) -> Float[Numbers, " k"]:
        """``log(1 + sum_k exp(score_k))`` over the other classes, without cancellation."""
        others = jnp.where(types.own > 0, -jnp.inf, scores)
        return jnp.logaddexp(jax.nn.logsumexp(others, -1), 0)

    def _wrong(self, types: ClassRows, scores: Float[Numbers, "k s"]) -> Float[Numbers, "k s"]:
        """The probabilities of the other classes; 0 at the own one."""
        # The own score is 0, so that this is never above 1.
        return jnp.exp(scores - self.losses(types, scores)[:, None]) * (1 - types.own)

    def slope(
        self, types: ClassRows, weight: Float[Numbers, " k"], scores: Float[Numbers, "k s"]
    ) -> Float[Numbers, " m"]:
        """``sum_i weight_i (p_i - own_i) x_i``, where the own entry is minus the sum of others."""
        wrong = self._wrong(types, scores)
        residual = wrong - types.own * jnp.sum(wrong, -1, keepdims=True)
        return coordinates_of((weight[:, None] * residual).T @ types.features)

    def bend(self, weight: Float[Numbers, " k"], scores: Float[Numbers, "k s"]) -> Numbers:
        """``E (diag(p) - p p') E'`` times ``weight``: a row for each pair of coordinates."""
        classes = scores.shape[-1]
        basis = contrasts(classes).astype(scores.dtype)
        first, second = _pairs(classes)
        probability = jax.nn.softmax(scores, -1).T
        mean = basis @ probability
        both = (basis[first] * basis[second]) @ probability
        return weight * (both - mean[first] * mean[second])

    def product(self, types: ClassRows, bend: Float[Numbers, "pairs k"]) -> Float[Numbers, "m m"]:
        """The blocks ``X' diag(bend) X`` of all pairs of coordinates."""
        features = types.features

        def block(weight):
            return (features.T * weight) @ features

        size = types.own.shape[-1] - 1
        place = np.zeros((size, size), int)
        first, second = _pairs(size + 1)
        place[first, second] = place[second, first] = np.arange(len(first))
        blocks = jax.lax.map(block, bend)[place]
        width = size * features.shape[1]
        return blocks.transpose(0, 2, 1, 3).reshape(width, width)

    def gram(self, types: ClassRows, weight: Float[Numbers, " k"]) -> Float[Numbers, "m m"]:
        """That of the scores less their mean over the classes, whose length is that of ``V x``."""
        features = types.features
        block = (features.T * weight) @ features
        return jnp.kron(jnp.eye(types.own.shape[-1] - 1, dtype=block.dtype), block)

    def sizes(self, types: ClassRows) -> ClassRows:
        """The features' absolute values."""
        return types._replace(features=jnp.abs(types.features))

    def scale(
        self,
        sizes: ClassRows,
        weight: Float[Numbers, " k"],
        scores: Float[Numbers, "k s"],
        weights: Float[Numbers, " m"],
    ) -> Float[Numbers, " m"]:
        """``|E| sum_i |weight_i| (|p_i - own_i| + doubt_i) |x_i|``.

        A score may be wrong by eps times ``|x| max_k |w_k|``, and an entry of p by at most
        ``2 p (1 - p)`` times as much.
        """
        classes = sizes.own.shape[-1]
        basis = np.abs(contrasts(classes)).astype(scores.dtype)
        reach = sizes.features @ jnp.max(jnp.abs(weights_of(weights, classes)), 0)
        wrong = self._wrong(sizes, scores)
        error = jnp.sum(wrong, -1, keepdims=True)
        spread = jnp.where(sizes.own > 0, error * (1 - error), wrong * (1 - wrong))
        terms = wrong + sizes.own * error + 2 * spread * reach[:, None]
        of_classes = (jnp.abs(weight)[:, None] * terms).T @ sizes.features
        return (basis @ of_classes).reshape(-1)

    def force(self, types: ClassRows, weight: Float[Numbers, " k"]) -> Float[Numbers, ""]:
        """The largest entry of ``|X|' |weight|``."""
        return jnp.max(jnp.abs(weight) @ jnp.abs(types.features))

    def recession_slopes(
        self,
        types: ClassRows,
        retain_weight: Float[Numbers, " k"],
        forget_weight: Float[Numbers, " k"],
        ridge: Float[Numbers, " m"],
        strength: Float[Numbers, "*batch"],
    ) -> Float[Numbers, "*batch classes 1"]:
        """The signed weight of each class; +inf without an unpenalised intercept.

        Far out the losses of intercepts b are ``sum_k c_k (max b - b_k)``, where ``c_k`` is the
        weight of class k. This is bounded below if and only if no ``c_k`` is negative.
        """
        retain = retain_weight @ types.own
        forget = forget_weight @ types.own
        total = retain - strength[..., None] * forget
        return jnp.where(jnp.all(ridge > 0), jnp.inf, total)[..., None]


softmax = Softmax()


@readable()
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class ClassObjective(Objective):
    """``sum_i c_i loss_i(W) + 1/2 sum_k w_k' ridge w_k``, a function of the coordinates V.

    It has the methods of :class:`Objective`. Weights are the coordinates in one vector, of length
    ``m = (K - 1) d``, and ``ridge`` has that length. The solvers take it without batch dimensions:
    use ``jax.vmap``. The methods allow them in weights and strengths, and in the weights of rows.
    """

    types: ClassRows
    retain_weight: Float[Numbers, " k"]
    forget_weight: Float[Numbers, " k"]
    ridge: Float[Numbers, " m"]
    size_ratio: Float[Numbers, ""]
    loss: Softmax = dataclasses.field(  # type: ignore[assignment]
        default=softmax, metadata={"static": True}
    )
    reduction: str = dataclasses.field(default="mean", metadata={"static": True})

    @property
    def ranks(self) -> tuple[int, ...]:
        """The ranks of the leaves."""
        return (2, 2, 1, 1, 1, 0)

    def margins(self, weights: Float[Numbers, "*batch m"]) -> Float[Numbers, "*batch k"]:
        """The score of the row's own class less the largest of the others."""

        def one(weights):
            scores = self.loss.scores(self.types, weights)
            return -jnp.max(jnp.where(self.types.own > 0, -jnp.inf, scores), -1)

        return jnp.vectorize(one, signature="(m)->(k)")(weights)

    def value(
        self, weights: Float[Numbers, "*batch m"], strength: ArrayLike = 1.0
    ) -> Float[Numbers, "*batch"]:
        """``J(W)``."""

        def one(fixed, weights):
            return fixed.value(self.loss, weights)

        return self._each("()", one, weights, strength)

    def gradient(
        self, weights: Float[Numbers, "*batch m"], strength: ArrayLike = 1.0
    ) -> Float[Numbers, "*batch m"]:
        """The gradient in the coordinates."""

        def one(fixed, weights):
            return fixed.gradient(self.loss, weights)

        return self._each("(m)", one, weights, strength)

    def hessian(
        self, weights: Float[Numbers, "*batch m"], strength: ArrayLike = 1.0
    ) -> Float[Numbers, "*batch m m"]:
        """The Hessian in the coordinates."""

        def one(fixed, weights):
            return fixed.hessian(self.loss, weights)

        return self._each("(m,m)", one, weights, strength)

    def forget_gradient(self, weights: Float[Numbers, "*batch m"]) -> Float[Numbers, "*batch m"]:
        """The gradient of the forget loss."""

        def one(weights):
            scores = self.loss.scores(self.types, weights)
            return self.loss.slope(self.types, self.forget_weight, scores)

        return jnp.vectorize(one, signature="(m)->(m)")(weights)

    def require_path(self) -> None:
        """``ValueError`` if the problem is too large for its path to be followed."""
        classes = self.types.own.shape[-1]
        count = classes * self.types.features.shape[-1]
        if count > MOST_ON_PATH:
            raise ValueError(
                f"problem must have at most {MOST_ON_PATH} weights for a path, got {classes}"
                f" classes x {self.types.features.shape[-1]} features = {count}; gt.diagnose"
                " judges such a problem by one class against the rest"
            )

    def _each(
        self,
        shape: str,
        function: Callable[[MarginObjective, Numbers], Numbers],
        weights: Numbers,
        strength: ArrayLike,
    ) -> Numbers:
        """``function`` over the leading dimensions of weights, strength and the arrays of sums."""

        def one(weights, strength, retain, forget, ridge):
            changes = {"retain_weight": retain, "forget_weight": forget, "ridge": ridge}
            return function(dataclasses.replace(self, **changes).at(strength), weights)

        return jnp.vectorize(one, signature=f"(m),(),(k),(k),(m)->{shape}")(
            weights,
            self._number(strength),
            self.retain_weight,
            self.forget_weight,
            self.ridge,
        )
