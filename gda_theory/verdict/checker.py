r"""Check a certificate of :mod:`gda_theory.verdict.certificates` against the data.

A certificate claims boxes :math:`|w - c|_\infty \le r`, and bounds on a ratio of distances. Each
box is claimed to hold exactly one stationary point of
:math:`J(w) = \sum_i c_i \ell(m_i) + \tfrac12 w^\top\Lambda w`. From the data and the centres alone,
it is checked here that

* the data are those of the certificate (SHA-256 of the arrays);
* *Krawczyk's test* holds: the box has exactly one stationary point if
  :math:`-Y\nabla J(c) + (I - Y H(\text{box}))(\text{box} - c)` lies in the interior of
  :math:`\text{box} - c`. Here :math:`Y \approx H(c)^{-1}` is any matrix, and H(box) is an enclosure
  of the Hessian on the box (Krawczyk 1969; Rump 2010, theorem 13.2);
* H(box) is positive definite, so that the point is a minimum: the pivots of its elimination are
  positive balls;
* the ratio follows from the boxes.

With K classes the loss is the softmax loss, and a box is one of the coordinates of
:mod:`gda_theory.verdict.class_checker`, whose lengths are those of the weights.

This file trusts nothing but ball arithmetic (python-flint): it imports no JAX and none of the
solvers. Every number is an enclosure, so rounding can make it refuse a certificate, never accept.
"""

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from flint import arb, arb_mat, ctx
from numpy.typing import ArrayLike

from gda_theory.verdict import class_checker

DIGITS = 40
NAMES = ("pretrained", "retrained", "ascent")
LOSSES = ("logistic", "exponential", "softmax")
# From a box to enclosures of gradient and Hessian on it.
Derivatives = Callable[[arb_mat], tuple[arb_mat, arb_mat]]


def fingerprint(features: ArrayLike, labels: ArrayLike, forget: ArrayLike) -> str:
    """SHA-256 of the data: features and labels in float64, and the mask of the forget set."""
    digest = hashlib.sha256()
    for array, kind in ((features, "<f8"), (labels, "<f8"), (forget, "u1")):
        data = np.ascontiguousarray(array, kind)
        digest.update(f"{data.shape}".encode() + data.tobytes())
    return digest.hexdigest()


def coefficients(name: str, forget: ArrayLike, reduction: str, strength: float) -> list[arb]:
    """The signed weight of each row's loss in the objective of the model ``name``, as a ball.

    ``pretrained`` weighs all rows, ``retrained`` the retained ones, and ``ascent`` the retained
    rows minus ``strength`` times the forgotten ones.

    Raises: ``KeyError`` if ``name`` or ``reduction`` is unknown.
    """
    mask = np.asarray(forget, bool)
    n = len(mask)
    f = int(mask.sum())
    one = {
        "mean": (arb(1) / n, arb(1) / (n - f), -arb(strength) / f),
        "sum": (arb(1), arb(1), -arb(strength)),
    }[reduction]
    kept, dropped = {
        "pretrained": (one[0], one[0]),
        "retrained": (one[1], arb(0)),
        "ascent": (one[1], one[2]),
    }[name]
    return [dropped if out else kept for out in mask]


def slopes(loss: str, margin: arb) -> tuple[arb, arb]:
    """``phi = -loss'`` and ``loss''`` at a margin, for the logistic or the exponential loss."""
    if loss == "exponential":
        return (-margin).exp(), (-margin).exp()
    odds = 1 / (1 + margin.exp())
    return odds, odds * (1 - odds)


def local(
    types: arb_mat, weights: list[arb], ridge: list[arb], loss: str, point: arb_mat
) -> tuple[arb_mat, arb_mat]:
    """Enclosures of gradient and Hessian on the box ``point``."""
    size = len(ridge)
    margins = types * point
    both = [slopes(loss, margins[i, 0]) for i in range(len(weights))]
    first = arb_mat([[c * phi] for c, (phi, _) in zip(weights, both, strict=True)])
    bent = arb_mat(
        [
            [c * bend * types[i, j] for j in range(size)]
            for i, (c, (_, bend)) in enumerate(zip(weights, both, strict=True))
        ]
    )
    decay = arb_mat(
        size, size, [ridge[i] if i == j else arb(0) for i in range(size) for j in range(size)]
    )
    return decay * point - types.transpose() * first, types.transpose() * bent + decay


def derivatives_of(
    features: np.ndarray,
    labels: np.ndarray,
    weights: list[arb],
    ridge: list[float],
    loss: str,
    classes: int = 2,
) -> Derivatives:
    """Gradient and Hessian of an objective, as functions of a box.

    Args:
        features: ``(n, d)``.
        labels: ``(n,)``, -1 and 1, or with the softmax loss 0 to K-1.
        weights: of the rows' losses, as :func:`coefficients` returns them.
        ridge: one for each column.
        loss: one of ``LOSSES``.
        classes: K.
    """
    balls = [arb(value) for value in ridge]
    if loss == "softmax":
        table = arb_mat([[arb(float(value)) for value in row] for row in features])
        numbers = [int(label) for label in labels]
        return functools.partial(class_checker.local, table, numbers, weights, balls, classes)
    types = arb_mat(
        [[arb(float(s * value)) for value in row] for s, row in zip(labels, features, strict=True)]
    )
    return functools.partial(local, types, weights, balls, loss)


def has_one_minimum(derivatives: Derivatives, centre: Sequence[float], radius: float) -> bool:
    """Whether the box is proved to hold exactly one stationary point, which is a minimum.

    This is Krawczyk's test, with a positive definite Hessian on the box.

    Args:
        derivatives: of the objective, see :func:`derivatives_of`.
        centre: of the box.
        radius: of the box, in every coordinate.
    """
    size = len(centre)
    middle = arb_mat([[arb(value)] for value in centre])
    offset = arb_mat([[arb(0, radius)]] * size)
    gradient, at_centre = derivatives(middle)
    _, hessian = derivatives(middle + offset)
    floats = np.array([[float(at_centre[i, j].mid()) for j in range(size)] for i in range(size)])
    if not np.all(np.isfinite(floats)) or np.linalg.cond(floats) > 1e14:
        return False
    inverse = np.linalg.inv(floats)
    near = arb_mat([[arb(float(value)) for value in row] for row in inverse])
    identity = arb_mat(size, size, [int(i == j) for i in range(size) for j in range(size)])
    image = (identity - near * hessian) * offset - near * gradient
    return all(abs(image[i, 0]) < arb(radius) for i in range(size)) and positive_definite(hessian)


def positive_definite(matrix: arb_mat) -> bool:
    """Whether every symmetric matrix in the enclosure is proved to be positive definite.

    It is if all pivots of Gaussian elimination are positive balls.
    """
    size = matrix.nrows()
    rows = [[matrix[i, j] for j in range(size)] for i in range(size)]
    for k in range(size):
        if not rows[k][k] > 0:
            return False
        for i in range(k + 1, size):
            factor = rows[i][k] / rows[k][k]
            rows[i][k + 1 :] = [
                a - factor * b for a, b in zip(rows[i][k + 1 :], rows[k][k + 1 :], strict=True)
            ]
    return True


def distance(first: Mapping[str, Any], second: Mapping[str, Any]) -> arb:
    """An enclosure of the Euclidean distance between points of two boxes."""
    parts = [
        arb(a, first["radius"]) - arb(b, second["radius"])
        for a, b in zip(first["centre"], second["centre"], strict=True)
    ]
    return sum((part * part for part in parts), arb(0)).sqrt()


def failures(
    certificate: Mapping[str, Any], features: ArrayLike, labels: ArrayLike, forget: ArrayLike
) -> list[str]:
    """What is wrong with a certificate for these data.

    Args:
        certificate: what ``certify`` returned, as JSON gives it back.
        features: ``(n, d)``.
        labels: ``(n,)``, -1 and 1, or of K > 2 classes 0 to K-1.
        forget: ``(n,)``, the mask of the forget set.

    Returns: one sentence for each failure. If the list is empty, all that the certificate claims
    is proved.
    """
    before = ctx.dps
    ctx.dps = DIGITS
    try:
        return list(
            _failures(
                certificate,
                np.asarray(features, float),
                np.asarray(labels, float),
                np.asarray(forget, bool),
            )
        )
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        return [f"the certificate is malformed: {type(error).__name__}: {error}"]
    finally:
        ctx.dps = before


def statement(strength: float, low: float) -> str:
    """The claim of a certificate in words."""
    return (
        f"descent-ascent at strength {strength:g} has a minimum at least {low:.6g} times as far "
        "from the retrained model as doing nothing"
    )


def _failures(
    certificate: Mapping[str, Any], features: np.ndarray, labels: np.ndarray, forget: np.ndarray
) -> Iterator[str]:
    """The failures, up to the first that leaves nothing more to check."""
    if certificate["data"] != fingerprint(features, labels, forget):
        yield "the data are not those of the certificate"
        return
    if certificate["rows"] != [int(np.sum(~forget)), int(np.sum(forget))]:
        yield f"rows must be how many are retained and forgotten, got {certificate['rows']}"
    loss = certificate["loss"]
    # Only numbers become balls: flint would read a string as a ball of any radius.
    strength = float(certificate["strength"])
    if loss not in LOSSES or not strength > 0:
        yield (
            f"loss must be one of {', '.join(LOSSES)} and strength > 0, got {loss!r} and"
            f" {strength!r}"
        )
        return
    classes = _classes(certificate, labels)
    if classes is None:
        yield f"with the {loss} loss the labels must be those of its classes"
        return
    ridge = [float(value) for value in certificate["ridge"]]
    if len(ridge) != features.shape[1] or not all(value >= 0 for value in ridge):
        yield "ridge must have one number >= 0 for each coordinate"
        return
    boxes: dict[str, dict[str, Any]] = {
        name: {"centre": [float(value) for value in box["centre"]], "radius": float(box["radius"])}
        for name, box in certificate["boxes"].items()
    }
    for name in NAMES:
        box = boxes[name]
        if len(box["centre"]) != len(ridge) * (classes - 1) or not box["radius"] > 0:
            yield f"the box of {name} has the wrong size"
            return
        weights = coefficients(name, forget, certificate["reduction"], strength)
        derivatives = derivatives_of(features, labels, weights, ridge, loss, classes)
        if not has_one_minimum(derivatives, box["centre"], box["radius"]):
            yield f"the box of {name} is not proved to hold one minimum"
    low, high = map(float, certificate["times_as_far"])
    ratio = distance(boxes["ascent"], boxes["retrained"]) / distance(
        boxes["pretrained"], boxes["retrained"]
    )
    if not (ratio > arb(low) and ratio < arb(high)):
        yield f"times_as_far = [{low}, {high}] does not hold the ratio of the distances, {ratio}"
    if certificate["claim"] != statement(strength, low):
        yield "the claim in words is not what the numbers say"


def _classes(certificate: Mapping[str, Any], labels: np.ndarray) -> int | None:
    """The number of classes, or None where the labels are not those of the loss."""
    classes = int(certificate["classes"])
    if certificate["loss"] != "softmax":
        return 2 if classes == 2 and np.all(np.abs(labels) == 1) else None
    whole = np.all((labels >= 0) & (labels < classes) & (labels == np.floor(labels)))
    return classes if classes >= 2 and whole else None
