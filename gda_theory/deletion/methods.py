"""Ways to delete rows from a model: each returns weights, a certified bound, and the cost.

Every method starts at given weights, as a rule the pretrained ones, and aims at the oracle. The
bound is about the weights that are returned. It does not trust the method that found them. All but
``noisy_descent`` take a problem with K classes too, whose weights have the shape (K, d); and a
:class:`gda_theory.PartitionedProblem`, whose rows need not fit in memory.
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
from gda_theory.deletion.class_margins import ClassMargins
from gda_theory.deletion.margins import Floats
from gda_theory.deletion.noise import Noise
from gda_theory.deletion.rows import AnyObjective, AnyPoint, AnyProblem
from gda_theory.problem import losses
from gda_theory.problem.partitions import PartitionedProblem
from gda_theory.solve import by_sums, minimise
from theory_common import checks
from theory_common.precision import ArrayLike
from theory_common.printing.display import readable

STEPS = 10  # of the methods that take gradient steps
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
    return deleted_by("newton", problem, start, functools.partial(newton_steps, steps=steps))


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
        return deleted_by("retrain", problem, start, minimum)

    def run(objective: AnyObjective, weights: Floats) -> Found:
        if isinstance(problem, PartitionedProblem):
            oracle = by_sums.at_strength(problem, 0.0)
            found = by_sums.solve(by_sums.KnownSums(problem), oracle, weights)
        else:
            found = minimise.solve(problem.objective(), 0.0, weights)
        steps = int(found.iterations)
        return Found(np.asarray(found.weights, float), gradients=0, hessians=steps)

    return deleted_by("retrain", problem, start, run)


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
    return deleted_by(
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
    return deleted_by("pure_ascent", problem, start, run)


def _checked_step_size(step_size: float | None) -> float | None:
    return None if step_size is None else float(checks.positive("step_size", step_size))


# How the weights are found ---------------------------------------------------------------------


def deleted_by(
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


def _rounding(objective: AnyObjective, weights: Float[Floats, " d"], local: AnyPoint) -> float:
    """About how large rounding makes the gradient: one unit of each sum's size."""
    size = objective.rounding_size(local)  # type: ignore[arg-type]
    ridge = np.linalg.norm(objective.ridge * weights)
    return float(np.finfo(float).eps * (size + ridge))


def default_step_size(objective: AnyObjective, weights: Float[Floats, " d"]) -> float:
    """The step size of :func:`fine_tune`."""
    largest = objective.largest_curvature(weights)
    least = float(np.min(objective.ridge))
    everywhere = isinstance(objective, ClassMargins) or objective.loss == losses.logistic
    return 2 / (largest + least) if least > 0 and everywhere else 1 / largest
