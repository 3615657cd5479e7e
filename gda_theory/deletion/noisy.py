"""Deletion with a guarantee: Gaussian noise on the weights, and Descent-to-Delete."""

import functools
import math
from typing import NamedTuple

import numpy as np

from gda_theory.deletion import rows
from gda_theory.deletion.bounds import certified_at
from gda_theory.deletion.margins import Margins
from gda_theory.deletion.methods import STEPS, Deleted, deleted_by, descent
from gda_theory.deletion.noise import Noise, checked_budget, drawn, gaussian_noise
from gda_theory.deletion.rows import AnyProblem
from gda_theory.problem import losses
from gda_theory.problem.problem import Problem
from theory_common import checks
from theory_common.precision import ArrayLike

LEAST_ERROR = 1e-9  # of the shift of the minimum: far above rounding


def noisy_descent(
    problem: AnyProblem,
    start: ArrayLike,
    *,
    epsilon: float,
    delta: float,
    seed: int,
    steps: int = STEPS,
    row_bound: float | None = None,
) -> Deleted:
    r"""*Descent-to-Delete*: gradient descent on the kept rows, then Gaussian noise.

    The size of its noise is known before the data are seen. It depends on the number of rows, the
    ridge, the largest length G of a row and the number of steps. With m the ridge and
    :math:`M = m + \tfrac14 G^2 \sum_i a_i`, each step of size 2/(M + m) contracts by
    :math:`\gamma = (M-m)/(M+m)`. Deleting k rows moves the minimum by at most :math:`s = 2kG/(mr)`
    for means and :math:`kG/m` for sums. So the error stays below
    :math:`e = \gamma^I s/(1 - \gamma^I)` through a sequence of such requests. The results of
    deleting and of retraining with the same accuracy are at most :math:`2e` apart. The noise is
    :func:`gda_theory.deletion.gaussian_noise` for this distance. If e is below 1e-9 s, 1e-9 s is
    used, which is far above rounding.

    The premise, that ``start`` is within e of the pretrained model, is checked.

    Args:
        problem: with the logistic loss, a ridge on every coordinate and no ``sample_weight``.
        start: the pretrained weights, before any noise.
        epsilon, delta: of the guarantee.
        seed: of the noise; a secret.
        steps: I, gradient steps for this request, at least 1.
        row_bound: G. By default the longest row of the data. Then the noise depends on the data a
            little, so give a bound that holds for any data.
    Returns: :class:`Deleted`. Its bound is that of the weights with the noise.
    Raises: ``ValueError`` where a premise fails.
    Source: Neel, Roth and Sharifi-Malvajerdi, ALT 2021, Theorem 3.1; the constants derived again,
        and the noise calibrated exactly, see :func:`gda_theory.deletion.descent_to_delete_scale`.
    """
    checks.whole("steps", steps, least=1)
    checked_budget(epsilon, delta)
    constants = descent_constants(problem, row_bound)
    part = constants.contraction**steps
    error = max(part / (1 - part), LEAST_ERROR) * constants.shift
    everything = rows.everything(problem)
    point = rows.vector("start", problem, start)
    away = certified_at(everything, point, everything.local(point)).distance_bound
    if away > error:
        raise ValueError(
            "start must be the pretrained model for noisy_descent: it is known to be within"
            f" {away:.2g} of it, and {error:.2g} is needed; use fewer steps or a better start"
        )

    run = functools.partial(descent, steps=steps, step_size=constants.step_size)
    found = deleted_by("noisy_descent", problem, start, run)
    return noised(problem, found, gaussian_noise(2 * error, epsilon, delta), seed)


class DescentConstants(NamedTuple):
    """What Descent-to-Delete knows of a problem: see :func:`noisy_descent`."""

    step_size: float
    contraction: float
    shift: float


def descent_constants(problem: AnyProblem, row_bound: float | None = None) -> DescentConstants:
    """The constants of :func:`noisy_descent`, from its premises.

    Raises: ``ValueError`` where a premise fails.
    """
    kept = rows.kept(problem)
    everything = rows.everything(problem)
    if (
        not isinstance(problem, Problem)
        or not isinstance(kept, Margins)
        or not isinstance(everything, Margins)
    ):
        raise TypeError(
            "problem must have two classes, and rows in memory, for noisy_descent, got a"
            f" {type(problem).__name__}"
        )
    _require_premises(kept)
    if not np.all(np.asarray(problem.sample_weight) == 1):
        raise ValueError("sample_weight must be 1 for noisy_descent")
    longest = float(np.max(everything.lengths()))
    bound = longest if row_bound is None else float(checks.positive("row_bound", row_bound))
    if bound < longest:
        raise ValueError(f"row_bound must be at least the longest row, {longest:g}, got {bound:g}")
    convexity = float(np.min(kept.ridge))
    smoothness = float(np.max(kept.ridge)) + bound**2 * float(np.sum(kept.weight)) / 4
    number = int(np.sum(np.asarray(problem.forget)))
    if problem.reduction == "mean":
        shift = 2 * number * bound / (convexity * (len(kept.weight) - number))
    else:
        shift = number * bound / convexity
    return DescentConstants(
        step_size=2 / (smoothness + convexity),
        contraction=(smoothness - convexity) / (smoothness + convexity),
        shift=shift,
    )


def _require_premises(kept: Margins) -> None:
    if kept.loss != losses.logistic:
        raise ValueError(
            f"loss must be 'logistic' for noisy_descent, whose slope is at most 1,"
            f" got {kept.loss.name!r}"
        )
    if not np.all(kept.ridge == kept.ridge[0]) or not kept.ridge[0] > 0:
        raise ValueError(
            "ridge must be one number > 0 for noisy_descent, also for an intercept: without it"
            " the objective is not strongly convex"
        )


def noised(problem: AnyProblem, deleted: Deleted, noise: Noise, seed: int) -> Deleted:
    """``deleted`` with this noise on its weights, certified again.

    Args:
        problem: of which ``deleted`` is a model.
        deleted: without noise.
        noise: its ``distance`` must bound the distance of ``deleted`` to the oracle, or the
            guarantee does not hold.
        seed: a secret.
    """
    before = rows.vector("deleted", problem, deleted.weights)
    weights = before + drawn(noise, len(before), seed, rows.forget_mask(problem))
    objective = rows.kept(problem)
    certificate = certified_at(objective, weights, objective.local(weights))
    return deleted._replace(
        weights=rows.lifted(problem, weights), certificate=certificate, noise=noise
    )


def published(
    problem: AnyProblem,
    deleted: Deleted,
    *,
    epsilon: float,
    delta: float,
    seed: int,
    distance_limit: float | None = None,
) -> Deleted:
    """A model after deletion with added noise, which hides how far it is from a retrained one.

    The guarantee is for *these* data and this request. The published weights and the oracle's
    weights with noise of the same scale are indistinguishable up to ``(epsilon, delta)``. It is not
    differential privacy. It says nothing about models that were published before.

    Args:
        problem: of which ``deleted`` is a model.
        deleted: without noise, with a finite bound.
        epsilon, delta: of the guarantee.
        seed: a secret: whoever knows it can subtract the noise.
        distance_limit: the distance for which the noise is made. By default the bound of
            ``deleted``. Then the scale depends on the data, forgotten rows included, and the
            guarantee is for a reader who knows the scale. A limit fixed before the data are seen
            makes the scale independent of them.
    Returns: :class:`Deleted`; its certificate is that of the weights with the noise.
    Raises: ``ValueError`` where the bound is infinite or above ``distance_limit``.
    """
    bound = deleted.distance_bound
    limit = bound if distance_limit is None else float(distance_limit)
    if not math.isfinite(bound):
        raise ValueError(f"no noise can be calibrated: {deleted.certificate.reason}")
    if bound > limit:
        raise ValueError(
            f"distance_limit is exceeded: the model is known to be within {bound:.3g} of the"
            f" retrained one, and the limit is {limit:.3g}; retrain"
        )
    return noised(problem, deleted, gaussian_noise(limit, epsilon, delta), seed)
