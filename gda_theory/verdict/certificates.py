r"""A proof, on the user's own data, of how far descent-ascent ends from the retrained model.

The pretrained model, the retrained one and the minimum at an ascent strength are enclosed in boxes
by interval Newton (Krawczyk's test in ball arithmetic). The boxes give bounds on

.. math:: k = \frac{|w(\gamma) - w_R|}{|w_D - w_R|}.

In words: "descent-ascent ends k times as far from the retrained model as doing nothing".

The certificate is a JSON object. :mod:`gda_theory.verdict.checker` verifies it against the data
without trusting this module. It proves that the box at strength :math:`\gamma` holds one minimum.
It does not prove that this minimum is the one continued from the oracle; that is computed by
:func:`gda_theory.descent_ascent`. Source: new; Krawczyk (1969).
"""

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from jax import Array
from jaxtyping import Float
from numpy.typing import ArrayLike

from gda_theory.codes import Reason, sentence
from gda_theory.problem.problem import Problem
from gda_theory.solve import minimise, path
from theory_common import checks

ROWS = 10_000
DIMENSION = 30
# The radii of a box that are tried, over the largest entry of its centre.
RADII = (1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6)


def certify(problem: Problem, strength: ArrayLike = 1.0) -> dict[str, Any]:
    """The certificate for descent-ascent at ``strength``, as a dictionary that JSON can hold.

    It takes some seconds for 569 rows and 30 columns.

    Args:
        problem: at most 30 columns and 10,000 rows, sample weights 1, in float64, with the logistic
            or the exponential loss.
        strength: > 0, below the critical strength.

    Returns: a dictionary; ``claim`` says in words what is proved.
    Raises: ``ValueError`` if the problem is too large, weighted or in float32, if there is no
    minimum at this strength (the error says why), or if no box could be proved. ``TypeError`` if
    ``problem`` is no Problem. ``ModuleNotFoundError`` without python-flint (extra ``certify``).
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
    return certificate_of(
        {
            "pretrained": minimise.pretrain(problem).weights,
            "retrained": minimise.retrain(problem).weights,
            "ascent": found.weights,
        },
        problem,
        np.asarray(problem.features),
        np.asarray(problem.signs),
        np.asarray(problem.forget),
        at_strength,
    )


def certificate_of(
    points: Mapping[str, Float[Array, " d"]],
    problem: Problem,
    features: np.ndarray,
    signs: np.ndarray,
    forget: np.ndarray,
    strength: float,
) -> dict[str, Any]:
    """The certificate with the smallest boxes around computed points that pass the checker.

    Args:
        points: the weights of each model in ``checker.NAMES``.
        problem: supplies the ridge, the loss and the reduction.
        features: of the problem, as are ``signs`` and ``forget``.
        strength: of the ascent.

    Raises: ``ValueError`` if no box passes, or if the ratio of the distances has no finite bound.
    """
    from flint import arb, arb_mat, ctx

    from gda_theory.verdict import checker

    before = ctx.dps
    ctx.dps = checker.DIGITS
    try:
        types = arb_mat(
            [
                [arb(float(s * value)) for value in row]
                for s, row in zip(signs, features, strict=True)
            ]
        )
        ridge = [float(value) for value in problem.ridge]
        balls = [arb(value) for value in ridge]
        boxes = {}
        for name, point in points.items():
            weights = checker.coefficients(name, forget, problem.reduction, strength)
            boxes[name] = _box(
                name, types, weights, balls, problem.loss.name, [float(value) for value in point]
            )
        ratio = checker.distance(boxes["ascent"], boxes["retrained"]) / checker.distance(
            boxes["pretrained"], boxes["retrained"]
        )
        if not ratio.is_finite():
            raise ValueError(
                "the pretrained and the retrained model are too close to tell "
                "how many times as far ascent ends"
            )
        low = _outward(float(ratio.lower()), -1)
        high = _outward(float(ratio.upper()), 1)
    finally:
        ctx.dps = before
    return {
        "claim": checker.statement(strength, low),
        "times_as_far": [low, high],
        "strength": strength,
        "loss": problem.loss.name,
        "reduction": problem.reduction,
        "ridge": ridge,
        "boxes": boxes,
        "data": checker.fingerprint(features, signs, forget),
        "rows": [int(np.sum(~forget)), int(np.sum(forget))],
        "checked_by": "gda_theory.verdict.checker.failures(certificate, features, signs, forget)",
    }


def _small_enough(problem: Problem) -> None:
    """Raise an error unless the problem is of the kind that can be certified."""
    if not isinstance(problem, Problem):
        raise TypeError(f"problem must be a Problem, got {type(problem).__name__}")
    rows, columns = problem.features.shape
    if rows > ROWS or columns > DIMENSION:
        raise ValueError(
            f"problem must have at most {ROWS} rows and {DIMENSION} columns to be certified, "
            f"got {rows} x {columns}"
        )
    if problem.features.dtype != np.float64:
        raise ValueError(
            "problem must be in float64 to be certified: jax.config.update('jax_enable_x64', True)"
        )
    if not np.all(np.asarray(problem.sample_weight) == 1):
        raise ValueError("sample_weight must be 1 everywhere to be certified")
    if problem.loss.name not in ("logistic", "exponential"):
        raise ValueError(
            f"loss must be 'logistic' or 'exponential' to be certified, got {problem.loss.name!r}"
        )


def _box(
    name: str, types: Any, weights: list[Any], ridge: list[Any], loss: str, centre: list[float]
) -> dict[str, Any]:
    """The smallest box around ``centre`` that is proved to hold one minimum."""
    from gda_theory.verdict import checker

    size = max(max(map(abs, centre)), np.finfo(float).tiny)
    for part in RADII:
        if checker.has_one_minimum(types, weights, ridge, loss, centre, part * size):
            return {"centre": centre, "radius": part * size}
    raise ValueError(
        f"no box around the {name} model could be proved to hold one minimum: "
        "its Hessian is too nearly singular"
    )


def _outward(value: float, direction: int) -> float:
    """``value`` moved outward by one part in 10^12, so that its decimal digits remain a bound."""
    return value + direction * 1e-12 * abs(value)
