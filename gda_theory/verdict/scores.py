r"""How a row depends on the weights, alike for a margin loss and for the softmax loss of K classes.

The weights are one vector w, of several classes their coordinates
(:mod:`gda_theory.problem.classes`). A row x has c *scores*, which are linear in w:
:math:`z = (x \otimes 1)^\top w`. There is one score for two classes, and there are K - 1 for K
classes. Everything that a report needs of a row is a derivative by its scores:

* the *slope* :math:`\nabla_z \ell`, so that the gradient of the row's loss is its product with x;
* the *bend* :math:`\nabla_z^2 \ell`, a c x c matrix, and the third derivative in one direction;
* the *margin* m, and its own derivative, the *turn* :math:`\nabla_z m`.

Of two classes the margin is :math:`y \langle w, x\rangle`. Of K classes it is the own score less
the logarithm of the sum of exponentials of the others, so that the loss is
:math:`\log(1 + e^{-m})` and the probability of the own class :math:`1/(1 + e^{-m})`, as for two.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import scipy  # its modules load at first use
from jax import Array
from jaxtyping import Bool, Float

from gda_theory.problem.classes import contrasts
from gda_theory.problem.losses import Elementwise, Loss
from gda_theory.problem.multinomial import MultinomialProblem
from gda_theory.problem.problem import Problem
from theory_common.numerics.matrices import weighted_square

ENTRIES = 1 << 22  # of the features of one block


@dataclasses.dataclass(frozen=True, eq=False)
class MarginScores:
    """Rows of two classes, with signs -1 and 1."""

    features: Float[np.ndarray, "n d"]
    signs: Float[np.ndarray, " n"]
    loss: Loss

    @property
    def count(self) -> int:
        """Scores of a row."""
        return 1

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return 2

    def part(self, rows: slice | np.ndarray) -> "MarginScores":
        """Some of the rows."""
        return dataclasses.replace(self, features=self.features[rows], signs=self.signs[rows])

    def margins(self, weights: Float[np.ndarray, " d"]) -> Float[np.ndarray, " n"]:
        """``y_i <w, x_i>``."""
        return self.signs * (self.features @ weights)

    def right(self, weights: Float[np.ndarray, " d"]) -> Bool[np.ndarray, " n"]:
        """Whether the class is predicted. A score of exactly 0 counts as wrong."""
        return self.margins(weights) > 0

    def losses(self, weights: Float[np.ndarray, " d"]) -> Float[np.ndarray, " n"]:
        """The loss of each row."""
        return np.asarray(_once(self.loss.value, self.margins(weights)))

    def slopes(self, weights: Float[np.ndarray, " d"]) -> Float[np.ndarray, "n c"]:
        """The derivative of the loss by the score."""
        phi = np.asarray(_once(self.loss.phi, self.margins(weights)))
        return -(self.signs * phi)[:, None]

    def turns(self, weights: Float[np.ndarray, " d"]) -> Float[np.ndarray, "n c"]:
        """The derivative of the margin by the score."""
        return self.signs[:, None]

    def bends(self, weights: Float[np.ndarray, " d"]) -> Float[np.ndarray, "n c c"]:
        """The second derivative of the loss."""
        curvature = np.asarray(_once(self.loss.curvature, self.margins(weights)))
        return curvature[:, None, None]

    def thirds(
        self, weights: Float[np.ndarray, " d"], direction: Float[np.ndarray, " d"]
    ) -> Float[np.ndarray, " n"]:
        """The third derivative of the loss along a direction of the weights."""
        margins = jnp.asarray(self.margins(weights))
        third = jax.jvp(self.loss.curvature, (margins,), (jnp.ones_like(margins),))[1]
        return np.asarray(third) * self.margins(direction) ** 3

    def chances(self, weights: Float[np.ndarray, " d"]) -> Float[np.ndarray, "n classes"]:
        r"""The probabilities of -1 and +1 that make a score z the best one.

        .. math:: p \varphi(z) = (1 - p) \varphi(-z)

        For the logistic loss p is the logistic function of z, for the exponential loss that of 2 z.
        """
        at = self.features @ weights
        odds = np.asarray(_once(self.loss.log_phi, -at) - _once(self.loss.log_phi, at))
        return np.stack([scipy.special.expit(-odds), scipy.special.expit(odds)], axis=1)

    @property
    def own(self) -> Bool[np.ndarray, "n classes"]:
        """Which class each row has."""
        return np.stack([self.signs < 0, self.signs > 0], axis=1)


@dataclasses.dataclass(frozen=True, eq=False)
class ClassScores:
    """Rows of K classes. ``own`` is 1 at the class of a row, else 0."""

    features: Float[np.ndarray, "n d"]
    own: Float[np.ndarray, "n classes"]

    @property
    def count(self) -> int:
        """Scores of a row."""
        return self.classes - 1

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.own.shape[1]

    @property
    def _basis(self) -> Float[np.ndarray, "c classes"]:
        return contrasts(self.classes)

    def part(self, rows: slice | np.ndarray) -> "ClassScores":
        """Some of the rows."""
        return ClassScores(self.features[rows], self.own[rows])

    def _of_classes(self, weights: Float[np.ndarray, " m"]) -> Float[np.ndarray, "n classes"]:
        """``W x``, one number a class."""
        return self.features @ (self._basis.T @ weights.reshape(self.count, -1)).T

    def margins(self, weights: Float[np.ndarray, " m"]) -> Float[np.ndarray, " n"]:
        """The own score less the log-sum-exp of the others."""
        scores = self._of_classes(weights)
        others = scipy.special.logsumexp(np.where(self.own > 0, -np.inf, scores), axis=1)
        return np.sum(scores * self.own, axis=1) - others

    def right(self, weights: Float[np.ndarray, " m"]) -> Bool[np.ndarray, " n"]:
        """Whether the class is predicted. A tie of two classes counts as wrong."""
        scores = self._of_classes(weights)
        others = np.max(np.where(self.own > 0, -np.inf, scores), axis=1)
        return np.sum(scores * self.own, axis=1) > others

    def losses(self, weights: Float[np.ndarray, " m"]) -> Float[np.ndarray, " n"]:
        """The loss of each row."""
        return np.logaddexp(0, -self.margins(weights))

    def slopes(self, weights: Float[np.ndarray, " m"]) -> Float[np.ndarray, "n c"]:
        """The derivative of the loss by the scores."""
        return -scipy.special.expit(-self.margins(weights))[:, None] * self.turns(weights)

    def turns(self, weights: Float[np.ndarray, " m"]) -> Float[np.ndarray, "n c"]:
        """The derivative of the margin by the scores: own class less the mean of the others."""
        scores = np.where(self.own > 0, -np.inf, self._of_classes(weights))
        return (self.own - scipy.special.softmax(scores, axis=1)) @ self._basis.T

    def bends(self, weights: Float[np.ndarray, " m"]) -> Float[np.ndarray, "n c c"]:
        """The second derivative of the loss: the covariance of the basis under p."""
        chance = self.chances(weights)
        mean = chance @ self._basis.T
        square = np.einsum("nk,ak,bk->nab", chance, self._basis, self._basis, optimize=True)
        return square - mean[:, :, None] * mean[:, None, :]

    def thirds(
        self, weights: Float[np.ndarray, " m"], direction: Float[np.ndarray, " m"]
    ) -> Float[np.ndarray, " n"]:
        """The third derivative of the loss along a direction: a third central moment under p."""
        chance, along = self.chances(weights), self._of_classes(direction)
        centred = along - np.sum(chance * along, axis=1, keepdims=True)
        return np.sum(chance * centred**3, axis=1)

    def chances(self, weights: Float[np.ndarray, " m"]) -> Float[np.ndarray, "n classes"]:
        """The probability of each class."""
        return scipy.special.softmax(self._of_classes(weights), axis=1)


Scores: TypeAlias = MarginScores | ClassScores


def scores_of(problem: Problem | MultinomialProblem) -> Scores:
    """The rows of a problem, in float64."""
    features = np.asarray(problem.features, np.float64)
    if isinstance(problem, MultinomialProblem):
        own = np.asarray(problem.labels)[:, None] == np.arange(len(problem.classes))
        return ClassScores(features, own.astype(float))
    return MarginScores(features, np.asarray(problem.signs, np.float64), problem.loss)


# Sums over rows ----------------------------------------------------------------------------------


@functools.partial(jax.jit, static_argnums=0)
def _once(function: Elementwise, values: Float[np.ndarray, " n"]) -> Array:
    """``function(values)``, compiled as one function instead of one for each operation."""
    return function(jnp.asarray(values))


def blocks(rows: Scores) -> Iterator[slice]:
    """The rows in blocks, so that no second copy of the features is made."""
    size = max(ENTRIES // (rows.features.shape[1] * rows.count**2), 1)
    for first in range(0, len(rows.features), size):
        yield slice(first, first + size)


def gradients(rows: Scores, slopes: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n m"]:
    """The product of each slope with its row: a gradient by the weights, row by row."""
    return np.einsum("nc,nd->ncd", slopes, rows.features).reshape(len(slopes), -1)


def total(rows: Scores, slopes: Float[np.ndarray, "n c"]) -> Float[np.ndarray, " m"]:
    """The sum of :func:`gradients`."""
    return (slopes.T @ rows.features).reshape(-1)


def gram(rows: Scores, bends: Float[np.ndarray, "n c c"]) -> Float[np.ndarray, "m m"]:
    """``sum_i bend_i (x) x_i x_i'``, for symmetric bends."""
    count, width = rows.count, rows.features.shape[1]
    found = np.zeros((count, width, count, width))
    for part in blocks(rows):
        features = rows.features[part]
        for first in range(count):
            found[first, :, first] += weighted_square(features, bends[part, first, first])
            for second in range(first):
                block = (features * bends[part, first, second, None]).T @ features
                found[first, :, second] += block
    for first in range(count):
        for second in range(first):
            found[second, :, first] = found[first, :, second].T
    return found.reshape(count * width, count * width)


def squared(slopes: Float[np.ndarray, "n c"]) -> Float[np.ndarray, "n c c"]:
    """The product of each slope with itself."""
    return slopes[:, :, None] * slopes[:, None, :]
