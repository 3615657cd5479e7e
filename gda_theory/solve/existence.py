r"""Whether convex losses without a ridge on some coordinates have exactly one minimum.

Let T hold the unpenalised columns of the types with a positive weight. The minimum does not exist
if some :math:`d` has :math:`Td \ge 0` and :math:`Td \ne 0`: along it the losses fall for ever (the
data are *separated*). It is not unique if :math:`Td = 0` for some :math:`d \ne 0`. Otherwise there
is exactly one. By Stiemke's lemma the data are not separated if and only if some :math:`y > 0` has
:math:`T^\top y = 0`.

Near a minimum such a y is close to the forces :math:`c_i \varphi(m_i)`, which proves existence for
the price of one Newton step (:func:`is_proved`). Only where that fails, a linear program decides.

Source: Albert and Anderson, Biometrika 71 (1984), 1-10, for the logistic loss; any loss: new.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from gda_theory.problem.losses import Loss

Floats = np.ndarray

# Of the linear program. Rows and columns are scaled to a largest entry of 1.
FEASIBLE = 1e-10
SEPARATED = 1e-7  # a margin above this counts as positive
INVOLVED = 1e-7  # a column with a smaller entry in the direction is not named
# The proof asks that the scaled Hessian is this far from singular, which is far from rounding.
REGULAR = 1e-8


class Existence(NamedTuple):
    """Whether there is exactly one minimum.

    ``columns`` are unpenalised columns that prevent it, empty where ``exists``. ``reason`` is a
    sentence about them, also empty there.
    """

    exists: bool
    columns: tuple[int, ...] = ()
    reason: str = ""


def existence(
    types: Float[Floats, "k d"], weight: Float[Floats, " k"], ridge: Float[Floats, " d"]
) -> Existence:
    """Decide existence by rank and by a linear program, without a solution.

    Args:
        types: rows ``y_i x_i``.
        weight: of the losses; rows of weight 0 do not count.
        ridge: of each coordinate; only those with ridge 0 matter.

    Accuracy: dependence of columns up to rounding. Separation to 1e-10, after rows and columns
        are scaled to a largest entry of 1.
    """
    free = np.flatnonzero(np.asarray(ridge) == 0)
    if not len(free):
        return Existence(exists=True)
    rows = np.asarray(types, float)[np.asarray(weight) > 0][:, free]
    if not len(rows):
        rows = np.zeros((1, len(free)))  # nothing to fit: every column is free
    largest = np.max(np.abs(rows), 0, initial=0)
    rows = rows / np.where(largest > 0, largest, 1)
    dependent = _dependent(rows)
    if np.any(dependent):
        columns = tuple(free[dependent].tolist())
        return Existence(False, columns, f"without a ridge {_named(columns)} linearly dependent")
    separating = _separating(rows)
    if np.any(separating):
        columns = tuple(free[separating].tolist())
        return Existence(
            False, columns, f"without a ridge {_named(columns)} enough to separate the labels"
        )
    return Existence(exists=True)


def is_proved(
    loss: Loss,
    types: Float[Floats, "k d"],
    weight: Float[Floats, " k"],
    ridge: Float[Floats, " d"],
    weights: Float[Floats, " d"],
) -> bool:
    """Whether these ``weights`` prove that there is exactly one minimum.

    The forces there are a y > 0 with ``T'y = g``. The weighted least-squares correction to
    ``T'y = 0`` changes them by the parts ``T H^{-1} g``, with ``H = T' diag(y) T``. If all parts
    are below 1/2, with an allowance for rounding, the corrected y is positive. False proves
    nothing.
    """
    free = np.flatnonzero(np.asarray(ridge) == 0)
    present = np.asarray(weight) > 0
    types = np.asarray(types, float)[present]
    rows = types[:, free]
    forces = np.asarray(weight, float)[present] * np.asarray(loss.phi(types @ weights), float)
    hessian = (rows.T * forces) @ rows
    size = np.diagonal(hessian)
    if not (np.all(forces > 0) and np.all(np.isfinite(hessian)) and np.all(size > 0)):
        return False
    scale = 1 / np.sqrt(size)
    values, vectors = np.linalg.eigh(hessian * scale[:, None] * scale)
    if values[0] < REGULAR:
        return False
    rounding = len(rows) * np.finfo(float).eps * (forces @ np.abs(rows))
    inverse = scale[:, None] * ((vectors / values) @ vectors.T) * scale
    parts = np.abs(rows @ inverse) @ (np.abs(forces @ rows) + rounding)
    return bool(np.max(parts) < 0.5)


def _named(columns: tuple[int, ...]) -> str:
    if len(columns) == 1:
        return f"column {columns[0]} is"
    return f"columns {', '.join(map(str, columns[:-1]))} and {columns[-1]} are"


def _dependent(rows: Float[Floats, "k m"]) -> np.ndarray:
    """Which columns take part in a linear dependence; none if the rank is full."""
    from scipy.linalg import qr

    triangle = qr(rows, mode="r", check_finite=False)[0][: rows.shape[1]]
    _, values, right = np.linalg.svd(triangle, full_matrices=True)
    values = np.pad(values, (0, rows.shape[1] - len(values)))
    null = right[values <= max(rows.shape) * np.finfo(float).eps * values[0]]
    return np.max(np.abs(null), 0, initial=0) > INVOLVED


def _separating(rows: Float[Floats, "k m"]) -> np.ndarray:
    """Which columns a direction ``d`` with ``rows @ d >= 0``, not all 0, needs; none if none is.

    The direction is that of the largest sum of margins within ``|d_j| <= 1``.
    """
    size = np.max(np.abs(rows), 1, initial=0)
    rows = np.unique(rows[size > 0] / size[size > 0, None], axis=0)
    if rows.shape[1] == 1:
        return np.array([not (np.any(rows > 0) and np.any(rows < 0))])
    from scipy.optimize import linprog

    found = linprog(
        -rows.sum(0),
        A_ub=-rows,
        b_ub=np.zeros(len(rows)),
        bounds=(-1, 1),
        method="highs",
        options={"primal_feasibility_tolerance": FEASIBLE, "dual_feasibility_tolerance": FEASIBLE},
    )
    if not found.success:
        raise RuntimeError(f"the linear program of separation failed: {found.message}")
    if np.max(rows @ found.x) <= SEPARATED:
        return np.zeros(rows.shape[1], bool)
    return np.abs(found.x) > INVOLVED
