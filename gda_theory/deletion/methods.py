"""Ways to delete rows from a model: each returns weights, a certified bound, and the cost.

Every method starts at given weights, as a rule the pretrained ones, and aims at the oracle. The
bound is about the weights that are returned. It does not trust the method that found them. All but
``noisy_descent`` take a problem with K classes too, whose weights have the shape (K, d).
"""

import functools
import math
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from gda_theory.deletion import rows
from gda_theory.deletion.bounds import Certificate, certified_at, newton_direction
from gda_theory.deletion.margins import AtPoint, Floats, Margins
from gda_theory.deletion.noise import Noise, checked_budget, drawn, gaussian_noise
from gda_theory.deletion.rows import AnyObjective, AnyProblem
from gda_theory.problem import losses
from gda_theory.solve import minimise
from theory_common import checks
from theory_common.precision import ArrayLike
from theory_common.printing.display import readable

STEPS = 10  # of the methods that take gradient steps
LEAST_ERROR = 1e-9  # of the shift of the minimum: far above rounding
MOST_STEPS = 200  # of retraining
AT_REST = 4  # retraining ends where the gradient is this many times its rounding error


class Cost(NamedTuple):
    """What a method evaluated over rows, and how long it took.

    A Hessian comes with a gradient, which is not counted again. The certificate costs one Hessian
    more, which is not counted here.
    """

    gradients: int
    hessians: int
    seconds: float


@readable()
class Deleted(NamedTuple):
    """A model after deletion.

    * ``method``: the name of the function.
    * ``weights``: ``(d,)``, or ``(K, d)`` of several classes, in float64; with noise, if any.
    * ``certificate``: of these weights: a bound on their distance to the oracle.
    * ``cost``: of the method.
    * ``noise``: what was added for a guarantee, or None.
    """

    method: str
    weights: Float[Floats, "*classes d"]
    certificate: Certificate
    cost: Cost
    noise: Noise | None = None

    @property
    def distance_bound(self) -> float:
        """At least the Euclidean distance of the weights to the oracle."""
        return self.certificate.distance_bound

    @property
    def gradient_norm(self) -> float:
        """The measured gradient norm of the oracle's objective at the weights."""
        return self.certificate.gradient_norm


class Found(NamedTuple):
    """Weights, and how many gradients and Hessians they took."""

    weights: Float[Floats, " d"]
    gradients: int
    hessians: int


def newton(problem: AnyProblem, start: ArrayLike, steps: int = 1) -> Deleted:
    r"""Full Newton steps on the oracle's objective, :math:`w - H_R^{-1}\nabla J_R(w)`.

    From the pretrained weights one step is *certified removal* (Guo et al., 2020). Each further
    step about squares what is left.

    Args:
        problem: the data, and the rows to forget.
        start: ``(d,)``, the weights to step from.
        steps: how many, at least 1. Every step computes a new Hessian.
    Returns: :class:`Deleted`.
    Raises: ``ValueError`` where the Hessian is not positive definite.
    Source: Guo, Goldstein, Hannun and van der Maaten, ICML 2020.
    """
    checks.whole("steps", steps, least=1)
    return _deleted("newton", problem, start, functools.partial(newton_steps, steps=steps))


def retrain(problem: AnyProblem, start: ArrayLike) -> Deleted:
    """The oracle itself, by damped Newton steps from ``start``.

    :func:`gda_theory.retrain` computes the same model without a start.

    Args:
        problem: the data, and the rows to forget.
        start: ``(d,)``. Near the oracle fewer steps are needed.
    Returns: :class:`Deleted`. Where the oracle does not exist, its bound is infinite.
    Raises: ``ValueError`` where the Hessian is not positive definite.
    """
    if rows.kept(problem).steady:
        return _deleted("retrain", problem, start, minimum)

    def run(objective: AnyObjective, weights: Floats) -> Found:
        found = minimise.solve(problem.objective(), 0.0, weights)
        steps = int(found.iterations)
        return Found(np.asarray(found.weights, float), gradients=0, hessians=steps)

    return _deleted("retrain", problem, start, run)


def fine_tune(
    problem: AnyProblem, start: ArrayLike, steps: int = STEPS, step_size: float | None = None
) -> Deleted:
    """Gradient descent on the kept rows, from ``start``.

    Args:
        problem: the data, and the rows to forget.
        start: ``(d,)``.
        steps: how many, at least 1. Each takes one pass over the rows.
        step_size: by default 2/(M + m) for the logistic loss, with the largest and smallest
            possible curvature, where m > 0, and 1/M otherwise. For another loss 1 over the largest
            curvature at the start.
    Returns: :class:`Deleted`.
    Raises: ``ValueError`` for a bad argument.
    """
    checks.whole("steps", steps, least=1)
    size = _checked_step_size(step_size)
    return _deleted(
        "fine_tune", problem, start, functools.partial(tuned, steps=steps, step_size=size)
    )


def pure_ascent(
    problem: AnyProblem, start: ArrayLike, steps: int = STEPS, step_size: float | None = None
) -> Deleted:
    """Gradient ascent on the forget loss, from ``start``. The rows to keep play no part.

    The ridge shrinks the weights, as in the scheme ``pure_ascent`` of :func:`gda_theory.simulate`.

    Args:
        problem: the data, and the rows to forget.
        start: ``(d,)``.
        steps: how many, at least 1.
        step_size: by default that of :func:`fine_tune`.
    Returns: :class:`Deleted`. The bound is to the oracle, as for every method.
    Raises: ``ValueError`` for a bad argument.
    """
    checks.whole("steps", steps, least=1)
    size = _checked_step_size(step_size)
    run = functools.partial(ascended, forget=rows.forgotten(problem), steps=steps, step_size=size)
    return _deleted("pure_ascent", problem, start, run)


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

    Its noise is known before the data are: it depends on the number of rows, the ridge, the
    largest length G of a row and the number of steps. With m the ridge and
    :math:`M = m + \tfrac14 G^2 \sum_i a_i`, each step of size 2/(M + m) contracts by
    :math:`\gamma = (M-m)/(M+m)`. Deleting k rows moves the minimum by at most :math:`s = 2kG/(mr)`
    for means and :math:`kG/m` for sums. So the error stays below
    :math:`e = \gamma^I s/(1 - \gamma^I)` through a sequence of such requests, and the results of
    deleting and of retraining with the same accuracy are at most :math:`2e` apart. The noise is
    :func:`gda_theory.deletion.gaussian_noise` for this distance. Of e at least 1e-9 s is taken,
    which is far above rounding.

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

    def run(objective: AnyObjective, weights: Floats) -> Found:
        return descent(objective, weights, steps, constants.step_size)

    found = _deleted("noisy_descent", problem, start, run)
    return noised(problem, found, gaussian_noise(2 * error, epsilon, delta), seed)


class DescentConstants(NamedTuple):
    """What Descent-to-Delete knows of a problem: see :func:`noisy_descent`."""

    step_size: float
    contraction: float
    shift: float


def _checked_step_size(step_size: float | None) -> float | None:
    return None if step_size is None else float(checks.positive("step_size", step_size))


def descent_constants(problem: AnyProblem, row_bound: float | None = None) -> DescentConstants:
    """The constants of :func:`noisy_descent`, from its premises.

    Raises: ``ValueError`` where a premise fails.
    """
    kept = rows.kept(problem)
    if not isinstance(kept, Margins):
        raise TypeError("problem must have two classes for noisy_descent")
    _require_premises(kept)
    if not np.all(np.asarray(problem.sample_weight) == 1):
        raise ValueError("sample_weight must be 1 for noisy_descent")
    longest = float(np.max(rows.everything(problem).lengths()))
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
    weights = before + drawn(noise, len(before), seed, np.asarray(problem.forget))
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
    """A model after deletion, with the noise that makes it as good as a retrained one with noise.

    The guarantee: for *these* data and this request, the published weights and the oracle's
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


# How the weights are found ---------------------------------------------------------------------


def _deleted(
    method: str,
    problem: AnyProblem,
    start: ArrayLike,
    run: Callable[[AnyObjective, Floats], Found],
) -> Deleted:
    """Run a method, clock it, and certify what it found."""
    objective = rows.kept(problem)
    point = rows.vector("start", problem, start)
    begun = time.perf_counter()
    with np.errstate(over="ignore", invalid="ignore"):
        found = run(objective, point)
    cost = Cost(found.gradients, found.hessians, time.perf_counter() - begun)
    with np.errstate(over="ignore", invalid="ignore"):
        certificate = certified_at(objective, found.weights, objective.local(found.weights))
    return Deleted(method, rows.lifted(problem, found.weights), certificate, cost)


def newton_steps(objective: AnyObjective, weights: Float[Floats, " d"], steps: int) -> Found:
    """Full Newton steps."""
    for _ in range(steps):
        weights = weights + newton_direction(objective.local(weights))
    return Found(weights, gradients=0, hessians=steps)


def tuned(
    objective: AnyObjective, weights: Float[Floats, " d"], *, steps: int, step_size: float | None
) -> Found:
    """Gradient steps on the kept rows, by default of the size in :func:`fine_tune`."""
    size = default_step_size(objective, weights) if step_size is None else step_size
    return descent(objective, weights, steps, size)._replace(hessians=int(step_size is None))


def ascended(
    objective: AnyObjective,
    weights: Float[Floats, " d"],
    *,
    forget: AnyObjective,
    steps: int,
    step_size: float | None,
) -> Found:
    """Steps up the forget loss; ``objective`` decides the default size only."""
    size = default_step_size(objective, weights) if step_size is None else step_size
    return descent(forget, weights, steps, -size)._replace(hessians=int(step_size is None))


def descent(
    objective: AnyObjective, weights: Float[Floats, " d"], steps: int, step_size: float
) -> Found:
    """Gradient steps, upwards where ``step_size`` < 0. They end at the last finite weights."""
    for step in range(steps):
        after = weights - step_size * objective.gradient(weights)
        if not np.all(np.isfinite(after)):
            return Found(weights, gradients=step + 1, hessians=0)
        weights = after
    return Found(weights, gradients=steps, hessians=0)


def minimum(objective: AnyObjective, weights: Float[Floats, " d"]) -> Found:
    r"""Newton's method for a loss with :math:`|\ell'''| \le \ell''`, damped so that it descends.

    Along the step the curvature grows at most like :math:`e^{St}`, with S the largest change of a
    margin. So the part :math:`\log(1+S)/S` of the step always descends, and no line search is
    needed. Near the minimum this tends to the full step.

    Source: Sun and Tran-Dinh, Math. Programming 178 (2019), with their nu = 2.
    """
    for step in range(MOST_STEPS):
        local = objective.local(weights)
        if np.linalg.norm(local.gradient) <= AT_REST * _rounding(objective, weights, local):
            return Found(weights, gradients=0, hessians=step + 1)
        direction = newton_direction(local)
        change = objective.change(direction)
        weights = weights + direction * (math.log1p(change) / change if change > 1e-12 else 1.0)
    return Found(weights, gradients=0, hessians=MOST_STEPS)


def _rounding(objective: AnyObjective, weights: Float[Floats, " d"], local: AtPoint) -> float:
    """About how large rounding makes the gradient: one unit of each sum's size."""
    size = np.linalg.norm(local.forces) * np.linalg.norm(objective.lengths() * (local.forces > 0))
    ridge = np.linalg.norm(objective.ridge * weights)
    return float(np.finfo(float).eps * (size + ridge))


def default_step_size(objective: AnyObjective, weights: Float[Floats, " d"]) -> float:
    """The step size of :func:`fine_tune`."""
    largest = objective.largest_curvature(weights)
    least = float(np.min(objective.ridge))
    everywhere = not isinstance(objective, Margins) or objective.loss == losses.logistic
    return 2 / (largest + least) if least > 0 and everywhere else 1 / largest
