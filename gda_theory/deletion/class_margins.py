r"""The softmax loss with K classes for deletion, in NumPy and float64.

It works with the coordinates of :mod:`gda_theory.problem.classes`, which leave out what all classes
have in common. Lengths of coordinates and of weights are equal. The third derivative along v is at
most ``max_k v_k - min_k v_k`` times the second, since it is a third central moment. So the bounds
hold as for margins, with the largest range of a row's scores in place of its margin.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from gda_theory.deletion.margins import AtPoint, Floats, RowSizes, rounding_size
from gda_theory.problem.classes import contrasts


class ClassMargins(NamedTuple):
    """Softmax losses with weights ``a_i >= 0``, and a ridge for each coordinate.

    ``own`` is 1 at the class of a row, else 0. Rows of weight 0 take no part in any result.
    """

    features: Float[Floats, "n d"]
    own: Float[Floats, "n classes"]
    weight: Float[Floats, " n"]
    ridge: Float[Floats, " m"]

    @property
    def steady(self) -> bool:
        """The third derivative is bounded by the second."""
        return True

    @property
    def unit(self) -> float:
        """The unit of rounding."""
        return float(np.finfo(np.float64).eps) / 2

    @property
    def doubt(self) -> float:
        """How much more a probability errs than a score, at most."""
        return 2 * math.sqrt(self.own.shape[1])

    def scores(self, weights: Float[Floats, " m"]) -> Float[Floats, "n classes"]:
        """The score of each class."""
        inner = weights.reshape(self.own.shape[1] - 1, -1)
        return self.features @ (contrasts(self.own.shape[1]).T @ inner).T

    def gradient(self, weights: Float[Floats, " m"]) -> Float[Floats, " m"]:
        """The gradient."""
        return self._slope(weights, self._residual(self._probability(weights)))

    def local(self, weights: Float[Floats, " m"]) -> AtPoint:
        """Gradient and Hessian, which share the probabilities."""
        probability = self._probability(weights)
        residual = self._residual(probability)
        # The trace of diag(p) - p p' is at least its largest eigenvalue.
        spread = 1 - np.einsum("ik,ik->i", probability, probability)
        return AtPoint(
            gradient=self._slope(weights, residual),
            hessian=self._hessian(probability),
            forces=np.linalg.norm(residual, axis=1),
            bend=self.weight * np.maximum(spread, 0),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and columns."""
        return self.features.shape

    def sizes_at(self, local: AtPoint) -> RowSizes:
        """The sums that bound rounding at a point."""
        return local.sizes(self.lengths())

    def rounding_size(self, local: AtPoint) -> float:
        """The length of the forces times that of the lengths of their rows."""
        return rounding_size(local.forces, self.lengths())

    def lengths(self) -> Float[Floats, " n"]:
        """``sqrt(2) |x_i|``: a step d changes the range of the scores by at most this times |d|."""
        squares = np.einsum("ij,ij->i", self.features, self.features)
        return np.where(self.weight > 0, np.sqrt(2 * squares), 0.0)

    def change(self, step: Float[Floats, " m"]) -> float:
        """The largest range of the scores of a step."""
        return float(np.max(np.ptp(self.scores(step), axis=1)))

    def reach_in(self, inverse: Float[Floats, "m m"]) -> float:
        """``max_i |A z_i|``, over all rows and differences of two scores ``<z_i, v>`` of a row."""
        count = self.own.shape[1]
        basis = contrasts(count)
        blocks = inverse.reshape(len(inverse), count - 1, -1)
        present = self.features[self.weight > 0]
        largest = 0.0
        for first, second in itertools.combinations(range(count), 2):
            difference = basis[:, first] - basis[:, second]
            turned = present @ np.einsum("mad,a->dm", blocks, difference)
            largest = max(largest, float(np.max(np.einsum("im,im->i", turned, turned))))
        return math.sqrt(largest)

    def largest_curvature(self, weights: Float[Floats, " m"]) -> float:
        """A bound on the Hessian's eigenvalues: those of diag(p) - p p' are at most 1/2."""
        rooted = np.sqrt(self.weight)[:, None] * self.features
        return float(np.linalg.eigvalsh(rooted.T @ rooted)[-1] / 2 + np.max(self.ridge))

    def _probability(self, weights: Float[Floats, " m"]) -> Float[Floats, "n classes"]:
        scores = self.scores(weights)
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    def _residual(self, probability: Float[Floats, "n classes"]) -> Float[Floats, "n classes"]:
        """``a_i (p_i - own_i)``, without cancellation at the own class."""
        wrong = probability * (1 - self.own)
        return self.weight[:, None] * (wrong - self.own * wrong.sum(axis=1, keepdims=True))

    def _slope(
        self, weights: Float[Floats, " m"], residual: Float[Floats, "n classes"]
    ) -> Float[Floats, " m"]:
        basis = contrasts(self.own.shape[1])
        return self.ridge * weights + (basis @ (residual.T @ self.features)).ravel()

    def _hessian(self, probability: Float[Floats, "n classes"]) -> Float[Floats, "m m"]:
        basis = contrasts(self.own.shape[1])
        mean = probability @ basis.T
        count = len(basis)
        width = self.features.shape[1]
        found = np.empty((count, width, count, width))
        for first in range(count):
            for second in range(first + 1):
                both = probability @ (basis[first] * basis[second])
                bend = self.weight * (both - mean[:, first] * mean[:, second])
                block = (self.features.T * bend) @ self.features
                found[first, :, second] = block
                found[second, :, first] = block.T
        return found.reshape(count * width, count * width) + np.diag(self.ridge)


def coordinates(weights: Float[Floats, "classes d"]) -> Float[Floats, " m"]:
    """The coordinates of weights. What all classes have in common is dropped."""
    return (contrasts(len(weights)) @ weights).ravel()


def weights_of(coordinates: Float[Floats, " m"], classes: int) -> Float[Floats, "classes d"]:
    """The weights with these coordinates."""
    return contrasts(classes).T @ coordinates.reshape(classes - 1, -1)


def common_length(weights: Float[Floats, "classes d"]) -> float:
    """The length of what all classes have in common, which is 0 at the oracle."""
    return float(np.linalg.norm(weights.mean(axis=0)) * math.sqrt(len(weights)))
