r"""Sparse and wide features in as few coordinates as give the same margins and the same penalty.

The weights of every minimum are combinations of the rows, :math:`w = X^\top p`. So a matrix with
more columns than rows needs one coordinate a row. With the Gram matrix
:math:`XX^\top = ZZ^\top` the rows of Z have the same inner products as those of X. Distances
between models, margins and the ridge are those of X. Source: the representer theorem (Schoelkopf,
Herbrich and Smola, 2001).
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from theory_common.precision import ArrayLike

MOST = 5_000  # rows or columns of an exact computation
MOST_NUMBERS = 2**29  # of a dense matrix: 4 GiB in float64


class RowSpan(NamedTuple):
    """Coordinates of the rows of a matrix in an orthonormal basis of their span.

    ``coordinates`` are the features to compute with. ``rows`` are the rows whose span it is, and
    ``triangle`` their coordinates.
    """

    coordinates: Float[np.ndarray, "n m"]
    rows: Any
    triangle: Float[np.ndarray, "m m"]

    def lift(self, weights: ArrayLike) -> Float[np.ndarray, "*batch d"]:
        """The weights of the original columns.

        Args:
            weights: of the coordinates, ``(..., m)``.
        """
        from scipy.linalg import solve_triangular

        given = np.asarray(weights, float)
        if given.shape[-1:] != self.triangle.shape[:1]:
            raise ValueError(
                f"weights must have shape (..., {len(self.triangle)}), one per coordinate,"
                f" got {given.shape}"
            )
        flat = given.reshape(-1, len(self.triangle))
        parts = solve_triangular(self.triangle, flat.T, lower=True, trans="T")
        return np.asarray(self.rows.T @ parts).T.reshape(*given.shape[:-1], -1)


def row_span(features: Any) -> RowSpan:
    """The rows of a dense or sparse matrix in coordinates of their span.

    Args:
        features: finite, ``(n, d)``: an array, or a sparse matrix of SciPy.
    Returns: the coordinates, and what leads back from them.
    Raises: ``ValueError`` for more than 5,000 rows, or entries that are not finite.
    Accuracy: the margins are right to about ``n`` times machine epsilon times the largest squared
        length of a row.
    """
    from scipy.linalg.lapack import dpstrf

    matrix = _checked(features)
    if matrix.shape[0] > MOST:
        raise ValueError(_too_large(matrix.shape))
    products = matrix @ matrix.T
    gram = np.array(products.toarray() if is_sparse(products) else products, order="F")
    if not np.any(gram):
        raise ValueError("features must not all be 0")
    factor, pivots, rank, _ = dpstrf(gram, lower=1)
    order: Int[np.ndarray, " n"] = pivots - 1
    coordinates = np.empty((len(gram), rank))
    coordinates[order] = np.tril(factor)[:, :rank]
    return RowSpan(
        coordinates=coordinates,
        rows=matrix[order[:rank]],
        triangle=np.tril(factor)[:rank, :rank],
    )


def is_sparse(features: Any) -> bool:
    """Whether it is a sparse matrix or array of SciPy."""
    return type(features).__module__.startswith("scipy.sparse")


def dense_features(features: Any, ridge: Any) -> tuple[Any, Any]:
    """Sparse features as a dense array, and the ridge of its columns.

    A matrix with more columns than rows is replaced by the coordinates of its :func:`row_span`. Its
    columns without a ridge, such as an intercept, are kept as they are and come last.

    Args:
        features: ``(n, d)``. What is not sparse is returned as it is.
        ridge: one number, or one per column. It must be the same wherever it is not 0 if there are
            more columns than rows.
    Raises: ``ValueError`` if more than 5,000 rows and columns are left, or for unequal ridges.
    """
    if not is_sparse(features):
        return features, ridge
    count, dimension = features.shape
    if min(count, dimension) > MOST or count * min(count, dimension) > MOST_NUMBERS:
        raise ValueError(_too_large(features.shape))
    matrix = _checked(features)
    if dimension <= count:
        return matrix.toarray(), ridge
    ridges = np.asarray(ridge, float)
    if ridges.ndim == 0:
        return row_span(matrix).coordinates, ridge
    if ridges.shape != (dimension,):
        raise ValueError(
            f"ridge must be one number or have shape ({dimension},), one per column of features,"
            f" got {ridges.shape}"
        )
    free = ridges == 0
    different = np.unique(ridges[~free])
    if len(different) != 1:
        raise ValueError(
            "ridge must be one number for sparse features with more columns than rows, apart from"
            f" columns without a ridge; got {len(different)} different ones"
        )
    held = row_span(matrix[:, ~free]).coordinates
    ridges = np.append(np.full(held.shape[1], different[0]), np.zeros(int(np.sum(free))))
    return np.column_stack([held, matrix[:, free].toarray()]), ridges


def _checked(features: Any) -> Any:
    """A matrix of floats, compressed by rows if it is sparse, with finite entries."""
    if is_sparse(features):
        matrix = features.tocsr().astype(float)
        entries = matrix.data
    else:
        matrix = np.asarray(features, float)
        entries = matrix
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(f"features must have shape (n, d) with n, d >= 1, got {matrix.shape}")
    if not np.all(np.isfinite(entries)):
        raise ValueError("features must be finite, got NaN or infinity")
    return matrix


def _too_large(shape: tuple[int, ...]) -> str:
    count, dimension = shape
    return (
        f"features of {count:,} rows and {dimension:,} columns are too large for exact results,"
        f" which need at most {MOST:,} rows or columns, and 4 GiB; reduce the columns first, for"
        " example by sklearn.decomposition.TruncatedSVD(300).fit_transform(features)"
    )
