r"""A proof, on the user's own data, of how far descent-ascent ends from the retrained model.

The pretrained model, the retrained one and the minimum at an ascent strength are enclosed in boxes
by interval Newton (Krawczyk's test in ball arithmetic). The boxes give bounds on

.. math:: k = \frac{|w(\gamma) - w_R|}{|w_D - w_R|}.

In words: "descent-ascent ends k times as far from the retrained model as doing nothing".

With K classes the weights are boxed in the coordinates of
:mod:`gda_theory.verdict.class_checker`, which have the same lengths.

The certificate is a JSON object. :mod:`gda_theory.verdict.checker` verifies it against the data
without trusting this module. It proves that the box at strength :math:`\gamma` holds one minimum.
It does not prove that this minimum is the one continued from the oracle; that is computed by
:func:`gda_theory.descent_ascent`. Source: new; Krawczyk (1969).
"""

import importlib
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
from jax import Array
from numpy.typing import ArrayLike

from gda_theory.codes import Reason, sentence
from gda_theory.problem.multinomial import MultinomialProblem
from gda_theory.problem.problem import Problem
from gda_theory.solve import minimise, path
from theory_common import checks

ROWS = 10_000
DIMENSION = 30
COORDINATES = 200  # (K - 1) d of several classes
AnyProblem: TypeAlias = Problem | MultinomialProblem
# From a box to enclosures of gradient and Hessian on it; see the checker.
Derivatives: TypeAlias = Callable[[Any], tuple[Any, Any]]
# The radii of a box that are tried, over the largest entry of its centre.
RADII = (1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6)


def certify(problem: AnyProblem, strength: ArrayLike = 1.0) -> dict[str, Any]:
    """The certificate for descent-ascent at ``strength``, as a dictionary that JSON can hold.

    It takes some seconds for 569 rows and 30 columns.

    Args:
        problem: sample weights 1, in float64, and at most 10,000 rows. Of two classes, at most 30
            columns and the logistic or the exponential loss. Of K classes, at most 200 of
            ``(K - 1) d``.
        strength: > 0, below the critical strength.

    Returns: a dictionary; ``claim`` says in words what is proved.
    Raises: ``ValueError`` if the problem is too large, weighted or in float32, if there is no
    minimum at this strength (the error says why), or if no box could be proved. ``TypeError`` if
    ``problem`` is none. ``ModuleNotFoundError`` without python-flint (extra ``certify``).
    """
    try:
        importlib.import_module("flint")
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "certify needs python-flint: pip install 'gda-theory[certify]'"
        ) from None
    _small_enough(problem)
    at_strength = float(checks.positive("strength", strength))
    found = path.descent_ascent(problem, at_strength)
    if found.reason != Reason.FOUND:
        lost = (
            ""
            if np.isnan(found.critical_strength)
            else f" (at strength {float(found.critical_strength):.6g}); choose a smaller strength"
        )
        raise ValueError(
            f"strength {at_strength:g} has no minimum to certify: "
            f"{sentence(Reason(int(found.reason)))}{lost}"
        )
    points = {
        "pretrained": minimise.pretrain(problem).weights,
        "retrained": minimise.retrain(problem).weights,
        "ascent": found.weights,
    }
    return certificate_of(problem, at_strength, points)


def labels_of(problem: AnyProblem) -> np.ndarray:
    """The labels as the checker takes them: -1 and 1, or 0 to K-1 of several classes."""
    if isinstance(problem, MultinomialProblem):
        return np.asarray(problem.labels)
    return np.asarray(problem.signs)


def certificate_of(
    problem: AnyProblem, strength: float, points: Mapping[str, Array]
) -> dict[str, Any]:
    """The certificate with the smallest boxes around computed points that pass the checker.

    Args:
        problem: the data.
        strength: of the ascent.
        points: the weights of each model in ``checker.NAMES``.

    Raises: ``ValueError`` if no box passes, or if the ratio of the distances has no finite bound.
    """
    from flint import ctx

    from gda_theory.verdict import checker

    features, labels = np.asarray(problem.features), labels_of(problem)
    forget = np.asarray(problem.forget)
    loss, classes = "softmax", 2
    if isinstance(problem, MultinomialProblem):
        classes = len(problem.classes)
        points = {name: problem.coordinates_of(point) for name, point in points.items()}
    else:
        loss = problem.loss.name
    ridge = [float(value) for value in problem.ridge]
    before = ctx.dps
    ctx.dps = checker.DIGITS
    try:
        boxes = {}
        for name, point in points.items():
            weights = checker.coefficients(name, forget, problem.reduction, strength)
            derivatives = checker.derivatives_of(features, labels, weights, ridge, loss, classes)
            boxes[name] = _box(name, derivatives, [float(value) for value in point])
        low, high = _times_as_far(boxes)
    finally:
        ctx.dps = before
    return {
        "claim": checker.statement(strength, low),
        "times_as_far": [low, high],
        "strength": strength,
        "loss": loss,
        "classes": classes,
        "reduction": problem.reduction,
        "ridge": ridge,
        "boxes": boxes,
        "data": checker.fingerprint(features, labels, forget),
        "rows": [int(np.sum(~forget)), int(np.sum(forget))],
        "checked_by": "gda_theory.verdict.checker.failures(certificate, features, labels, forget)",
    }


def _times_as_far(boxes: Mapping[str, Mapping[str, Any]]) -> tuple[float, float]:
    """Bounds on the ratio of the distances of ascent and of doing nothing to the oracle."""
    from gda_theory.verdict import checker

    ratio = checker.distance(boxes["ascent"], boxes["retrained"]) / checker.distance(
        boxes["pretrained"], boxes["retrained"]
    )
    if not ratio.is_finite():
        raise ValueError(
            "the pretrained and the retrained model are too close to tell "
            "how many times as far ascent ends"
        )
    return _outward(float(ratio.lower()), -1), _outward(float(ratio.upper()), 1)


def _small_enough(problem: AnyProblem) -> None:
    """Raise an error unless the problem is of the kind that can be certified."""
    if not isinstance(problem, Problem | MultinomialProblem):
        raise TypeError(
            f"problem must be a Problem or a MultinomialProblem, got {type(problem).__name__}"
        )
    rows, columns = problem.features.shape
    if isinstance(problem, MultinomialProblem):
        count = len(problem.classes)
        if rows > ROWS or (count - 1) * columns > COORDINATES:
            raise ValueError(
                f"problem must have at most {ROWS} rows and (K - 1) d <= {COORDINATES} to be"
                f" certified, got {rows} rows and (K - 1) d = {count - 1} x {columns}; the command"
                " forget and gt.deletion.distance_bound bound the distance of one model in float64"
            )
    elif rows > ROWS or columns > DIMENSION:
        raise ValueError(
            f"problem must have at most {ROWS} rows and {DIMENSION} columns to be certified, "
            f"got {rows} x {columns}"
        )
    elif problem.loss.name not in ("logistic", "exponential"):
        raise ValueError(
            f"loss must be 'logistic' or 'exponential' to be certified, got {problem.loss.name!r}"
        )
    if problem.features.dtype != np.float64:
        raise ValueError(
            "problem must be in float64 to be certified: jax.config.update('jax_enable_x64', True)"
        )
    if not np.all(np.asarray(problem.sample_weight) == 1):
        raise ValueError("sample_weight must be 1 everywhere to be certified")


def _box(name: str, derivatives: Derivatives, centre: list[float]) -> dict[str, Any]:
    """The smallest box around ``centre`` that is proved to hold one minimum."""
    from gda_theory.verdict import checker

    size = max(max(map(abs, centre)), np.finfo(float).tiny)
    for part in RADII:
        if checker.has_one_minimum(derivatives, centre, part * size):
            return {"centre": centre, "radius": part * size}
    raise ValueError(
        f"no box around the {name} model could be proved to hold one minimum: "
        "its Hessian is too nearly singular"
    )


def _outward(value: float, direction: int) -> float:
    """``value`` moved outward by one part in 10^12, so that its decimal digits remain a bound."""
    return value + direction * 1e-12 * abs(value)
