r"""The objectives of deletion in NumPy and float64: weighted margin losses and a ridge.

.. math:: J(w) = \sum_i a_i\, \ell(y_i\langle w, x_i\rangle) + \tfrac12 w^\top\Lambda w,
          \qquad a_i \ge 0 .

Deletion needs few gradients and Hessians of one data set. NumPy computes them without compiling,
and in float64 whatever JAX's settings.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from gda_theory.problem import losses
from gda_theory.problem.losses import Loss
from theory_common.numerics.matrices import weighted_square

Floats = np.ndarray
ENTRIES = 1 << 18  # of features that are read together: 2 MiB, which stay in the cache


class RowSizes(NamedTuple):
    """What bounds the rounding of a gradient and a Hessian, with the length L of each row.

    They are the sums of ``forces L``, ``bend L^2`` and ``bend L^3``, and the largest L.

    Where no margin changes by more than ``change``, forces and bends of the logistic and of the
    exponential loss change by a factor of at most ``exp(change)``.
    """

    forces: float
    squares: float
    cubes: float
    longest: float

    def after(self, change: float) -> "RowSizes":
        """Bounds on the sums where each margin has changed by at most ``change``."""
        factor = math.exp(change)
        return RowSizes(
            forces=factor * self.forces,
            squares=factor * self.squares,
            cubes=factor * self.cubes,
            longest=self.longest,
        )


class AtPoint(NamedTuple):
    """An objective at one point.

    ``forces`` are ``a_i phi(m_i)`` and ``bend`` is ``a_i loss''(m_i)``, row by row.
    """

    gradient: Float[Floats, " d"]
    hessian: Float[Floats, "d d"]
    forces: Float[Floats, " n"]
    bend: Float[Floats, " n"]

    def sizes(self, lengths: Float[Floats, " n"]) -> RowSizes:
        """The sums that bound rounding."""
        return row_sizes(self.forces, self.bend, lengths)


class Swept(NamedTuple):
    """The gradient at new weights, and the largest change of a margin from the old ones."""

    gradient: Float[Floats, " d"]
    change: float


class Margins(NamedTuple):
    """Margin losses with weights ``a_i >= 0``, and a ridge for each coordinate.

    ``features`` and ``signs`` may hold rows of weight 0. They take no part in any result.
    """

    features: Float[Floats, "n d"]
    signs: Float[Floats, " n"]
    weight: Float[Floats, " n"]
    ridge: Float[Floats, " d"]
    loss: Loss

    def margins(self, weights: Float[Floats, " d"]) -> Float[Floats, " n"]:
        """``m_i = y_i <w, x_i>``."""
        return self.signs * (self.features @ weights)

    def forces(self, weights: Float[Floats, " d"]) -> tuple[Float[Floats, " n"], Floats]:
        """``a_i phi(m_i)`` and ``a_i loss''(m_i)``."""
        phi, curvature = slopes(self.loss, self.margins(weights))
        if not np.all(np.isfinite(phi)):
            # A row of weight 0 has no force, however large its slope.
            absent = self.weight == 0
            phi, curvature = np.where(absent, 0, phi), np.where(absent, 0, curvature)
        return self.weight * phi, self.weight * curvature

    def gradient(self, weights: Float[Floats, " d"]) -> Float[Floats, " d"]:
        """The gradient, with one reading of the features."""
        gradient = self.ridge * weights
        for rows in self.parts():
            part = self.of(rows)
            # A row of weight 0 has no force, however large its slope.
            phi = np.where(part.weight == 0, 0, slope(self.loss, part.margins(weights)))
            gradient -= (part.signs * part.weight * phi) @ part.features
        return gradient

    def parts(self) -> Iterator[slice]:
        """Parts of the rows that stay in the cache while they are read."""
        count, dimension = self.features.shape
        step = max(ENTRIES // max(dimension, 1), 1)
        return (slice(first, first + step) for first in range(0, count, step))

    def of(self, rows: slice) -> "Margins":
        """The losses of some rows, and the whole ridge."""
        return self._replace(
            features=self.features[rows], signs=self.signs[rows], weight=self.weight[rows]
        )

    def sweep(self, weights: Float[Floats, " d"], before: Float[Floats, " n"]) -> Swept:
        """The gradient and the change of the margins, with one reading of the features.

        Args:
            weights: ``(d,)``.
            before: the margins at the old weights.
        """
        gradient = self.ridge * weights
        change = 0.0
        for rows in self.parts():
            part = self.of(rows)
            margins = part.margins(weights)
            gradient -= (part.signs * part.weight * slope(self.loss, margins)) @ part.features
            moved = (margins - before[rows]) * (part.weight > 0)
            change = max(change, float(moved.max()), -float(moved.min()))
        return Swept(gradient, change)

    def curved(
        self, weights: Float[Floats, " d"], step: Float[Floats, " d"]
    ) -> Float[Floats, " d"]:
        """The Hessian at the weights times a step, with one reading of the features."""
        found = self.ridge * step
        both = np.column_stack([weights, step])
        for rows in self.parts():
            part = self.of(rows)
            scores, changes = (part.features @ both).T
            _, bend = slopes(self.loss, part.signs * scores)
            found += (part.weight * bend * changes) @ part.features
        return found

    def local(self, weights: Float[Floats, " d"]) -> AtPoint:
        """Gradient and Hessian, which share the margins."""
        forces, bend = self.forces(weights)
        gradient = self.ridge * weights - (self.signs * forces) @ self.features
        hessian = self.product(bend) + np.diag(self.ridge)
        return AtPoint(gradient, hessian, forces, bend)

    def product(self, factors: Float[Floats, " n"]) -> Float[Floats, "d d"]:
        """``X' diag(factors) X``."""
        dimension = self.features.shape[1]
        found = np.zeros((dimension, dimension))
        for rows in self.parts():
            found += weighted_square(self.features[rows], factors[rows])
        return found

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
        """``|x_i|``, and 0 for a row of weight 0."""
        squares = np.einsum("ij,ij->i", self.features, self.features)
        return np.where(self.weight > 0, np.sqrt(squares), 0.0)

    @property
    def steady(self) -> bool:
        """Whether ``|loss'''| <= loss''``, which is known of two losses."""
        return self.loss in (losses.logistic, losses.exponential)

    @property
    def unit(self) -> float:
        """The unit of rounding. A loss of your own is computed by JAX, in its working dtype."""
        if self.steady:
            return float(np.finfo(np.float64).eps) / 2
        return float(jnp.finfo(self.loss.phi(jnp.zeros(1)).dtype).eps) / 2

    @property
    def doubt(self) -> float:
        """How much more ``phi`` errs than a margin times ``loss''``."""
        return 1.0

    def change(self, step: Float[Floats, " d"]) -> float:
        """The largest change of a margin by a step."""
        return float(np.max(np.abs(self.features @ step)))

    def reach_in(self, inverse: Float[Floats, "d d"]) -> float:
        """``max_i |A x_i|`` over the rows with a weight, for the inverse A of a Cholesky factor."""
        largest = 0.0
        for rows in self.parts():
            turned = self.features[rows] @ inverse.T
            squares = np.einsum("ij,ij->i", turned, turned)
            largest = max(largest, float(np.max(squares, where=self.weight[rows] > 0, initial=0)))
        return math.sqrt(largest)

    def largest_curvature(self, weights: Float[Floats, " d"]) -> float:
        """A bound on the Hessian's eigenvalues anywhere, or, but for the logistic loss, here."""
        if self.loss != losses.logistic:
            return float(np.linalg.eigvalsh(self.local(weights).hessian)[-1])
        curvature = self.product(self.weight) / 4 + np.diag(self.ridge)
        return float(np.linalg.eigvalsh(curvature)[-1])


def row_sizes(
    forces: Float[Floats, " n"], bend: Float[Floats, " n"], lengths: Float[Floats, " n"]
) -> RowSizes:
    """The sums of :class:`RowSizes`."""
    bent = bend * lengths
    return RowSizes(
        forces=float(forces @ lengths),
        squares=float(bent @ lengths),
        cubes=float(bent @ lengths**2),
        longest=float(np.max(lengths)),
    )


def rounding_size(forces: Float[Floats, " n"], lengths: Float[Floats, " n"]) -> float:
    """The length of ``forces`` times that of the ``lengths`` of rows with a force."""
    return float(np.linalg.norm(forces) * np.linalg.norm(lengths * (forces > 0)))


def slopes(loss: Loss, margins: Float[Floats, " n"]) -> tuple[Floats, Floats]:
    """``phi = -loss'`` and ``loss''`` at these margins.

    A loss of your own is computed by JAX, in its working dtype.
    """
    phi = slope(loss, margins)
    if loss == losses.logistic:
        from scipy.special import expit

        return phi, phi * expit(margins)
    if loss == losses.exponential:
        return phi, phi
    return phi, np.asarray(loss.curvature(jnp.asarray(margins)), float)


def slope(loss: Loss, margins: Float[Floats, " n"]) -> Floats:
    """``phi = -loss'`` at these margins."""
    if loss == losses.logistic:
        with np.errstate(over="ignore"):
            return 1 / (1 + np.exp(margins))
    if loss == losses.exponential:
        with np.errstate(over="ignore"):
            return np.exp(-margins)
    return np.asarray(loss.phi(jnp.asarray(margins)), float)
