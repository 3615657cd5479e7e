r"""Checks a certificate of :mod:`gda_theory.verdict.certificates` against the data, trusting nothing but ball arithmetic (python-flint).

A certificate claims boxes :math:`|w - c|_\infty \le r`, each with exactly one stationary point of
:math:`J(w) = \sum_i c_i \ell(m_i) + \tfrac12 w^\top\Lambda w`, and a lower bound on a ratio of distances. What is checked here, from
the data and the centres alone:

* the data are those of the certificate (SHA-256 of the arrays);
* *Krawczyk's test*: with :math:`Y \approx H(c)^{-1}` any matrix and H(box) an enclosure of the Hessian on the box,
  :math:`-Y\nabla J(c) + (I - Y H(\text{box}))(\text{box} - c)` lies in the interior of :math:`\text{box} - c`: then the box has one
  stationary point and no more (Krawczyk 1969; Rump 2010, theorem 13.2);
* H(box) is positive definite (pivots of its elimination are positive balls), so that it is a minimum;
* the ratio follows from the boxes.

This file imports no JAX and none of the solvers. Every number is an enclosure: an error can make it refuse, never accept.
"""

import hashlib

import numpy as np
from flint import arb, arb_mat, ctx

DIGITS = 40
NAMES = ("pretrained", "retrained", "ascent")


def fingerprint(features, signs, forget) -> str:
    """SHA-256 of the data as the certificate means them: float64 features, signs, and the mask."""
    digest = hashlib.sha256()
    for array, kind in ((features, "<f8"), (signs, "<f8"), (forget, "u1")):
        array = np.ascontiguousarray(array, kind)
        digest.update(f"{array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def coefficients(name: str, forget, reduction: str, strength: float) -> list[arb]:
    """The signed weights of the losses, as exact fractions: all rows, the retained ones, or retained minus strength times forgotten."""
    forget = np.asarray(forget, bool)
    n, f = len(forget), int(forget.sum())
    one = {
        "mean": (arb(1) / n, arb(1) / (n - f), -arb(strength) / f),
        "sum": (arb(1), arb(1), -arb(strength)),
    }[reduction]
    kept, dropped = {
        "pretrained": (one[0], one[0]),
        "retrained": (one[1], arb(0)),
        "ascent": (one[1], one[2]),
    }[name]
    return [dropped if out else kept for out in forget]


def slopes(loss: str, margin: arb) -> tuple[arb, arb]:
    """``phi = -loss'`` and ``loss''``."""
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


def has_one_minimum(
    types: arb_mat,
    weights: list[arb],
    ridge: list[arb],
    loss: str,
    centre: list[float],
    radius: float,
) -> bool:
    """Krawczyk's test on the box, and a positive definite Hessian there."""
    size = len(ridge)
    middle = arb_mat([[arb(value)] for value in centre])
    offset = arb_mat([[arb(0, radius)]] * size)
    gradient, at_centre = local(types, weights, ridge, loss, middle)
    _, hessian = local(types, weights, ridge, loss, middle + offset)
    floats = np.array([[float(at_centre[i, j].mid()) for j in range(size)] for i in range(size)])
    if not np.all(np.isfinite(floats)) or np.linalg.cond(floats) > 1e14:
        return False
    inverse = np.linalg.inv(floats)
    near = arb_mat([[arb(float(value)) for value in row] for row in inverse])
    identity = arb_mat(size, size, [int(i == j) for i in range(size) for j in range(size)])
    image = (identity - near * hessian) * offset - near * gradient
    return all(abs(image[i, 0]) < arb(radius) for i in range(size)) and positive_definite(hessian)


def positive_definite(matrix: arb_mat) -> bool:
    """Whether every symmetric matrix in the enclosure is: all pivots of Gaussian elimination are positive balls."""
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


def distance(first: dict, second: dict) -> arb:
    """An enclosure of the Euclidean distance between points of two boxes."""
    parts = [
        arb(a, first["radius"]) - arb(b, second["radius"])
        for a, b in zip(first["centre"], second["centre"], strict=True)
    ]
    return sum((part * part for part in parts), arb(0)).sqrt()


def failures(certificate: dict, features, signs, forget) -> list[str]:
    """What is wrong with a certificate for these data; an empty list means: everything that it claims is proved."""
    before = ctx.dps
    ctx.dps = DIGITS
    try:
        return list(
            _failures(
                certificate,
                np.asarray(features, float),
                np.asarray(signs, float),
                np.asarray(forget, bool),
            )
        )
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        return [f"the certificate is malformed: {type(error).__name__}: {error}"]
    finally:
        ctx.dps = before


def statement(strength: float, low: float) -> str:
    """What a certificate says in words."""
    return f"descent-ascent at strength {strength:g} has a minimum at least {low:.6g} times as far from the retrained model as doing nothing"


def _failures(certificate, features, signs, forget):
    if certificate["data"] != fingerprint(features, signs, forget):
        yield "the data are not those of the certificate"
        return
    if certificate["rows"] != [int(np.sum(~forget)), int(np.sum(forget))]:
        yield f"rows must be how many are retained and forgotten, got {certificate['rows']}"
    # Numbers only: a text could pass for a ball.
    loss, reduction, strength = (
        certificate["loss"],
        certificate["reduction"],
        float(certificate["strength"]),
    )
    boxes = {
        name: {"centre": [float(value) for value in box["centre"]], "radius": float(box["radius"])}
        for name, box in certificate["boxes"].items()
    }
    low, high = map(float, certificate["times_as_far"])
    if loss not in ("logistic", "exponential") or not strength > 0:
        yield f"loss must be logistic or exponential and strength > 0, got {loss!r} and {strength!r}"
        return
    types = arb_mat(
        [[arb(float(s * value)) for value in row] for s, row in zip(signs, features, strict=True)]
    )
    ridge = [arb(float(value)) for value in certificate["ridge"]]
    if len(ridge) != features.shape[1] or not all(value >= 0 for value in ridge):
        yield "ridge must have one number >= 0 a coordinate"
        return
    for name in NAMES:
        box = boxes[name]
        if len(box["centre"]) != len(ridge) or not box["radius"] > 0:
            yield f"the box of {name} has the wrong size"
            return
        if not has_one_minimum(
            types,
            coefficients(name, forget, reduction, strength),
            ridge,
            loss,
            box["centre"],
            box["radius"],
        ):
            yield f"the box of {name} is not proved to hold one minimum"
    ratio = distance(boxes["ascent"], boxes["retrained"]) / distance(
        boxes["pretrained"], boxes["retrained"]
    )
    if not (ratio > arb(low) and ratio < arb(high)):
        yield f"times_as_far = [{low}, {high}] does not hold the ratio of the distances, {ratio}"
    if certificate["claim"] != statement(strength, low):
        yield "the claim in words is not what the numbers say"
