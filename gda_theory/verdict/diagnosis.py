"""A diagnosis of data: does gradient ascent on the forget set help or harm?

The parts: :mod:`~gda_theory.verdict.measure` (numbers), :mod:`~gda_theory.verdict.decide` (rules),
:mod:`~gda_theory.verdict.words` (sentences), :mod:`~gda_theory.verdict.report` (tables and JSON).
"""

import jax
import numpy as np
from jaxtyping import ArrayLike

from gda_theory.problem.partitions import PartitionedProblem
from gda_theory.problem.problem import Problem
from gda_theory.solve.path import ascent_path
from gda_theory.verdict import measure, partitioned
from gda_theory.verdict.report import Diagnosis
from theory_common import checks


def diagnose(problem: Problem | PartitionedProblem, strength: ArrayLike = 1.0) -> Diagnosis:
    """What gradient ascent would do to this problem's model, in numbers and in words.

    The function finds the retrained model (the *oracle*). It follows this minimum as the ascent
    strength grows, up to the *fold*, where the minimum disappears. Then it runs every scheme from
    the pretrained model at several step sizes, and measures the best epoch
    (:func:`gda_theory.dynamics.trials.trials`). The minima are measured for both reductions, means
    and sums. :class:`gda_theory.Verdict` lists the possible verdicts.

    Everything is computed in float64, even if JAX is set to float32. The arrays of the problem are
    converted, and the results are Python floats.

    Args:
        problem: a :class:`gda_theory.Problem` with concrete arrays, or a
            :class:`gda_theory.PartitionedProblem`, whose runs of ascent are not followed.
        strength: of the ascent, finite and > 0; 1 is the paper's.

    Returns: :class:`Diagnosis`; its ``verdict`` says what will happen, why, and what to do.
    Raises: ``TypeError`` for anything that is not a concrete Problem (inside ``jax.jit``, for
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
    if not isinstance(problem, Problem):
        raise TypeError(
            f"problem must be a Problem, got {type(problem).__name__}; "
            "for a CorrelatedPair use gda_theory.pair.regime"
        )
    checks.concrete("diagnose", problem, strength)
    with jax.enable_x64(True):
        strength = float(checks.positive("strength", checks.one("strength", strength)))
        return _diagnosed(jax.tree.map(_widened, problem), strength)


def _diagnosed(problem: Problem, strength: float) -> Diagnosis:
    other = measure.other_reduction(problem)
    solved = []
    for one in (problem, other):
        objective = measure.objective_of(one)
        solved.append((one, objective, ascent_path(objective, np.array([strength]))))
    (_, objective, path), _ = solved
    given_numbers = measure.measure(*solved[0])
    other_numbers = measure.measure(*solved[1], follow=False)
    return Diagnosis(
        strength=strength,
        given=given_numbers,
        other=other_numbers,
        stops=measure.stops(objective, path, strength),
        problem=problem,
        path=jax.tree.map(np.asarray, path),
    )


def _widened(leaf):
    """Real numbers in float64; anything else as it is."""
    array = np.asarray(leaf)
    return array.astype(np.float64) if array.dtype.kind == "f" else array
