"""A diagnosis of data: does gradient ascent on the forget set help or harm?

The parts: :mod:`~gda_theory.verdict.measure` (numbers), :mod:`~gda_theory.verdict.decide` (rules),
:mod:`~gda_theory.verdict.words` (sentences), :mod:`~gda_theory.verdict.report` (tables and JSON).
"""

import contextlib

import jax
import numpy as np
from jaxtyping import ArrayLike

from gda_theory.problem.classes import MOST_ON_PATH
from gda_theory.problem.multinomial import MultinomialProblem
from gda_theory.problem.objective import Objective, in_weights
from gda_theory.problem.partitions import PartitionedProblem
from gda_theory.problem.problem import Problem
from gda_theory.problem.set_losses import SetLosses, set_losses_of
from gda_theory.solve.path import Path, path_and_more
from gda_theory.solve.stages import widened
from gda_theory.verdict import course, measure, partitioned, stopping
from gda_theory.verdict.against_rest import AgainstRest, against_rest
from gda_theory.verdict.report import Diagnosis
from theory_common import checks
from theory_common.batching.threads import one_thread_of_blas
from theory_common.printing.waiting import shown_while

FOLLOWED = 256  # weights of the largest problem with several classes whose run is followed


def diagnose(
    problem: Problem | MultinomialProblem | PartitionedProblem,
    strength: ArrayLike = 1.0,
    *,
    progress: bool = False,
) -> Diagnosis | AgainstRest:
    """What gradient ascent would do to this problem's model, in numbers and in words.

    The function finds the retrained model (the *oracle*). It follows this minimum as the ascent
    strength grows, up to the *fold*, where the minimum disappears. It follows the run from the
    pretrained model to its end (:mod:`gda_theory.verdict.runs`). Then it runs every scheme from
    the pretrained model at several step sizes, and measures the best epoch
    (:mod:`gda_theory.verdict.stopping`). The minima are measured for both reductions, means
    and sums. :class:`gda_theory.Verdict` lists the possible verdicts.

    Everything is computed in float64, even if JAX is set to float32. The arrays of the problem are
    converted, and the results are Python floats.

    A problem with K classes is diagnosed like one with two, up to K d = 2000 weights. The run from
    the pretrained model is followed to its end for up to 256, and the simulated runs are shorter,
    as the table says. Above 2000 weights the answer is :class:`AgainstRest`: verdicts on one binary
    model for each class.

    Args:
        problem: a :class:`gda_theory.Problem` or :class:`gda_theory.MultinomialProblem` with
            concrete arrays, or a :class:`gda_theory.PartitionedProblem`, whose runs of ascent are
            not followed.
        strength: of the ascent, finite and > 0; 1 is the paper's.
        progress: show on standard error, if it is a terminal, what is being computed.

    Returns: :class:`Diagnosis`; its ``verdict`` says what will happen, why, and what to do.
    Raises: ``TypeError`` for anything that is not a concrete problem (inside ``jax.jit``, for
    example), ``ValueError`` for a bad strength.

    Example::

        import numpy as np
        import gda_theory as gt

        rng = np.random.default_rng(0)
        features = rng.normal(size=(100, 3))
        labels = features[:, 0] + rng.normal(size=100) > 0
        forget = np.arange(100) < 5
        found = gt.diagnose(gt.Problem(features, labels, forget, ridge=0.01))
        print(found.verdict)
        found.given.break_even_strength
    """
    if isinstance(problem, PartitionedProblem):
        return partitioned.diagnose(problem, strength)
    if not isinstance(problem, Problem | MultinomialProblem):
        raise TypeError(
            f"problem must be a Problem or a MultinomialProblem, got {type(problem).__name__}; "
            "for a CorrelatedPair use gda_theory.pair.regime"
        )
    checks.concrete("diagnose", problem, strength)
    with jax.enable_x64(True), one_thread_of_blas():
        strength = float(checks.positive("strength", checks.one("strength", strength)))
        wide = jax.tree.map(_widened, problem)
        if isinstance(wide, MultinomialProblem) and wide.size > MOST_ON_PATH:
            return against_rest(wide, strength)
        return _diagnosed(wide, strength, progress)


def _diagnosed(problem: Problem | MultinomialProblem, strength: float, progress: bool) -> Diagnosis:
    def stage(text: str) -> contextlib.AbstractContextManager:
        return shown_while(text) if progress else contextlib.nullcontext()

    other = measure.other_reduction(problem)
    follow = isinstance(problem, Problem) or problem.size <= FOLLOWED
    with stage("1 of 4: the retrained model, and the minimum along the strength"):
        objective, losses, path, followed = _solved(problem, strength)
    with stage("2 of 4: where the run of ascent ends, and other minima"):
        given_numbers = measure.measure(problem, objective, path, losses=losses, follow=follow)
    with stage("3 of 4: early stops"):
        stops = stopping.stops(objective, losses, path, strength)
    with stage("4 of 4: the other reduction"):
        other_objective, other_losses, other_path, _ = _solved(other, strength, objective)
        other_numbers = measure.measure(
            other, other_objective, other_path, losses=other_losses, follow=False
        )
    return Diagnosis(
        strength=strength,
        given=given_numbers,
        other=other_numbers,
        stops=stops,
        problem=problem,
        path=jax.tree.map(np.asarray, in_weights(problem, path)),
        followed=followed,
    )


def _solved(
    problem: Problem | MultinomialProblem, strength: float, like: Objective | None = None
) -> tuple[Objective, SetLosses, Path, Path]:
    """The objective of a problem, its losses, its path, and the path at the course's strengths.

    ``like`` is the objective of another problem with the same rows.
    """
    objective = measure.objective_of(problem, like)
    losses = set_losses_of(objective, widened(objective))
    paths = path_and_more(objective, np.array([strength]), course.strengths_of)
    return objective, losses, *jax.tree.map(np.asarray, paths)


def _widened(leaf):
    """Real numbers in float64; anything else as it is."""
    array = np.asarray(leaf)
    return array.astype(np.float64) if array.dtype.kind == "f" else array
