r"""Coordinates of the span of the types, for data with fewer rows than columns.

A stationary point reads :math:`w = \Lambda^{-1} T^\top p`, so that it lies in this span.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from gda_theory.problem.objective import Objective
from theory_common import checks
from theory_common.checks import Numbers
from theory_common.claims import backed_by


class Span(NamedTuple):
    """Types and ridge in coordinates of the span.

    ``basis`` leads from there to the original coordinates, ``drop`` leads into the span. Without a
    reduction ``basis`` is None and ``drop`` the identity.
    """

    types: Any
    ridge: Float[Numbers, " m"]
    basis: Float[Numbers, "d m"] | None
    drop: Float[Numbers, "m d"]

    def lift(self, weights: Float[Numbers, "*batch m"]) -> Float[Numbers, "*batch d"]:
        """Weights in the original coordinates."""
        return weights if self.basis is None else weights @ self.basis.T


def span_pattern(objective: Objective) -> tuple[int, ...] | None:
    """The unpenalised coordinates, if working in the span of the types pays, else None.

    It pays where there are more weights than types and unpenalised coordinates. The pattern fixes
    shapes, so it must be known. With a traced ridge the answer is None: the solution is the same,
    and takes longer.
    """
    count = objective.retain_weight.shape[-1]
    dimension = objective.ridge.shape[-1]
    if not objective.has_margins or count >= dimension or checks.is_traced(objective.ridge):
        return None
    free = np.asarray(objective.ridge) == 0
    free = free.reshape(-1, dimension)
    unpenalised = tuple(np.flatnonzero(free[0]).tolist())
    return unpenalised if np.all(free == free[0]) and count + len(unpenalised) < dimension else None


@backed_by("span-coordinates")
def into_span(types: Any, ridge: Float[Numbers, " d"], pattern: tuple[int, ...] | None) -> Span:
    r"""The span of the types; unpenalised coordinates are kept as they are.

    :math:`w = \Lambda^{-1/2} Q z`, with :math:`\Lambda^{-1/2} T^\top = QR`. The ridge on ``z`` is
    one number, and the margins are :math:`R^\top z`. Claim: ``span-coordinates``.
    """
    if pattern is None:
        identity = jnp.eye(ridge.shape[0], dtype=ridge.dtype)
        return Span(types=types, ridge=ridge, basis=None, drop=identity)
    count, dimension = types.shape
    free = np.array(pattern, int)
    held = np.setdiff1d(np.arange(dimension), free)
    last = count + np.arange(len(free))
    top = jnp.max(ridge)
    root = jnp.sqrt(ridge[held] / top)
    orthonormal, triangle = jnp.linalg.qr((types[:, held] / root).T)
    basis = jnp.zeros((dimension, count + len(free)), types.dtype)
    basis = basis.at[held, :count].set(orthonormal / root[:, None]).at[free, last].set(1)
    drop = jnp.zeros((count + len(free), dimension), types.dtype)
    drop = drop.at[:count, held].set((orthonormal * root[:, None]).T).at[last, free].set(1)
    return Span(
        types=jnp.concatenate([triangle.T, types[:, free]], -1),
        ridge=jnp.concatenate([jnp.full(count, top), jnp.zeros(len(free), top.dtype)]),
        basis=basis,
        drop=drop,
    )
