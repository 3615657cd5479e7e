r"""The margin of a classifier at a point, and the checks that every score of margins needs.

.. math:: \varphi(x) = f_y(x) - \log\sum_{c \ne y} e^{f_c(x)},

where :math:`f_c` are the *logits*. It is the logit of the probability of the right class. With two
classes it is the difference of their logits. Source: LiRA (arXiv:2112.03570) and the paper, Sec. 3.
"""

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

FEWEST_MODELS = 20


def margins(logits: ArrayLike, labels: ArrayLike) -> Float[np.ndarray, "*models points"]:
    r"""The margins :math:`f_y - \log\sum_{c \ne y} e^{f_c}` of logits.

    Args:
        logits: finite, ``(..., points, classes)`` with two classes or more. Leading axes are
            models, runs, or nothing.
        labels: ``(points,)``, whole numbers from 0 to classes - 1.

    Returns: ``(..., points)`` in float64.
    Raises: ``ValueError`` or ``TypeError`` that names the argument, what was expected and what
        came.
    """
    from scipy.special import logsumexp

    values = finite("logits", logits)
    if values.ndim < 2:
        raise ValueError(f"logits must have shape (..., points, classes), got {values.shape}")
    points, classes = values.shape[-2:]
    if classes < 2:
        raise ValueError(
            "logits must have two classes or more on the last axis, got 1; "
            "of one score z per point, the margins are z where the label is 1 and -z elsewhere"
        )
    of_right = labels_of(labels, points, classes)
    right = np.take_along_axis(
        values, np.broadcast_to(of_right[:, None], (*values.shape[:-1], 1)), axis=-1
    )
    others = np.where(np.arange(classes) == of_right[:, None], -np.inf, values)
    return right[..., 0] - logsumexp(others, axis=-1)


def labels_of(labels: ArrayLike, points: int, classes: int) -> Int[np.ndarray, " points"]:
    """The labels as whole numbers.

    Raises: ``TypeError`` unless they are whole numbers. ``ValueError`` if one is not a class, or if
        there is not one label for each point.
    """
    array = np.asarray(labels)
    if array.dtype.kind not in "biu":
        raise TypeError(f"labels must be whole numbers, got dtype {array.dtype}")
    if array.shape != (points,):
        raise ValueError(f"labels must have shape ({points},), one per point, got {array.shape}")
    wrong = np.flatnonzero((array < 0) | (array >= classes))
    if len(wrong):
        raise ValueError(
            f"labels must lie between 0 and {classes - 1}, the classes of the logits; "
            f"got {array[wrong[0]]} at point {wrong[0]}"
        )
    return array.astype(np.int64)


def finite(name: str, values: ArrayLike) -> Float[np.ndarray, "..."]:
    """``values`` in float64.

    Raises: ``TypeError`` unless they are real numbers. ``ValueError`` if one is NaN or infinite.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be real numbers, got dtype {array.dtype}")
    array = array.astype(np.float64)
    bad = ~np.isfinite(array)
    if bad.any():
        first = tuple(int(index) for index in np.argwhere(bad)[0])
        raise ValueError(
            f"{name} must be finite; {int(bad.sum())} of {array.size} are not, "
            f"the first is {array[first]} at index {first}"
        )
    return array


def of_models(name: str, values: ArrayLike, fewest: int = 2) -> Float[np.ndarray, "models points"]:
    """Margins of ``fewest`` models or more as a finite array ``(models, points)``.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    """
    array = finite(name, values)
    if array.ndim != 2 or 0 in array.shape:
        raise ValueError(
            f"{name} must be margins of shape (models, points), got shape {array.shape}"
        )
    if len(array) < fewest:
        raise ValueError(f"{name} must hold at least {fewest} models, got {len(array)}")
    return array


def same_points(**named: Float[np.ndarray, "models points"]) -> None:
    """Raise ``ValueError`` unless all arrays have the same number of points."""
    counts = {name: array.shape[1] for name, array in named.items()}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{name} has {count}" for name, count in counts.items())
        raise ValueError(f"all arrays must have the same points on the last axis: {found}")
