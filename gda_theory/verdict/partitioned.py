"""A diagnosis of rows in partitions: its essentials, from sums over the rows.

One pass over the rows gives all sums at one point. So distances, Newton's step, break-even and fold
are computed as for rows in memory, and the verdict follows from the same rules. What needs a pass
for each epoch is left out: the runs of ascent and their early stops. So are the sections of the
report that look at single rows.
"""

import dataclasses
import math
from typing import Any

import jax
import numpy as np
from jaxtyping import ArrayLike, Float

from gda_theory.problem.partitions import PartitionedProblem, Sums
from gda_theory.solve import by_sums
from gda_theory.solve.path import Path, ascent_path
from gda_theory.verdict.measure import Measurement, RunawayClass, norm, solved
from gda_theory.verdict.report import Diagnosis
from theory_common import checks
from theory_common.printing import tables

LEFT_OUT = (
    "not computed for rows in partitions: runs of ascent and their early stops,"
    " and what needs single rows"
)


@dataclasses.dataclass(frozen=True)
class PartitionedDiagnosis(Diagnosis):
    """A :class:`gda_theory.Diagnosis` of a :class:`gda_theory.PartitionedProblem`.

    It has the numbers of both reductions and the verdict, and no further sections.
    """

    def to_dict(self) -> dict[str, Any]:
        """All numbers and sentences in types of JSON."""
        judged = {
            name: dataclasses.asdict(numbers) | {"code": int(code), "verdict": verdict}
            for name, numbers, code, verdict in (
                ("given", self.given, self.code, self.verdict),
                ("other", self.other, self.other_code, self.other_verdict),
            )
        }
        document = {"verdict": self.verdict, "data": list(self.notes), "strength": self.strength}
        return tables.to_json(document | judged)

    def to_html(self, path: Any = None, *, force: bool = False) -> str:
        """There is no page: its sections need single rows.

        Raises: ``ValueError``.
        """
        raise ValueError("the HTML report needs rows in memory; rows in partitions have --json")

    def plot(self) -> Any:
        """There is no figure: it needs single rows.

        Raises: ``ValueError``.
        """
        raise ValueError("the figure needs rows in memory")


def diagnose(problem: PartitionedProblem, strength: ArrayLike = 1.0) -> PartitionedDiagnosis:
    """What gradient ascent would do to the model of these rows; see :func:`gda_theory.diagnose`.

    Args:
        problem: the rows.
        strength: of the ascent, finite and > 0.
    """
    with jax.enable_x64(True):
        strength = float(checks.positive("strength", checks.one("strength", strength)))
    paths = [
        (one, ascent_path(one, np.array([strength]))) for one in (problem, other_reduction(problem))
    ]
    given, other = (measure(one, path) for one, path in paths)
    return PartitionedDiagnosis(
        strength=strength,
        given=given,
        other=other,
        stops=(),
        problem=problem,  # type: ignore[arg-type]
        path=paths[0][1],
        followed=paths[0][1],
        names=problem.names,
        notes=(*problem.notes, LEFT_OUT),
    )


def other_reduction(problem: PartitionedProblem) -> PartitionedProblem:
    """The other reduction, at the ridge that gives the same pretrained model."""
    total = float(np.sum(problem.totals))
    if problem.reduction == "mean":
        return problem.replace(reduction="sum", ridge=problem.ridge * total)
    return problem.replace(reduction="mean", ridge=problem.ridge / total)


def measure(problem: PartitionedProblem, path: Path) -> Measurement:
    """The numbers of one reduction.

    Args:
        problem: the rows.
        path: ``ascent_path(problem, [strength])``.
    """
    strength = float(np.asarray(path.strengths)[0])
    oracle, pretrained = np.asarray(path.oracle.weights), np.asarray(path.pretrained.weights)
    at_oracle, at_pretrained = problem.sums(oracle), problem.sums(pretrained)
    away = pretrained - oracle
    distance = float(norm(away))
    mix = by_sums.at_strength(problem, 0.0)
    lowest = by_sums.at_strength(problem, float(problem.pretrain_strength))
    forced = _force(problem, at_oracle)
    curvature = mix.hessian(at_oracle)
    pushed = solved(curvature, forced)
    pretrain_step = solved(curvature, lowest.local(at_oracle, oracle).gradient)
    stepped = by_sums.stepped(at_pretrained, mix, pretrained)
    newton_distance = float(norm(stepped - oracle))
    first_step = by_sums.at_strength(problem, 1.0).local(at_pretrained, pretrained).gradient
    ridges = np.unique(problem.ridge[problem.ridge > 0])
    bounded = bool(path.bounded_below[0])
    with np.errstate(divide="ignore", invalid="ignore"):
        cosine = float(away @ pushed / (distance * norm(pushed)))
        even = float(norm(pretrain_step) / norm(pushed))
    return Measurement(
        reduction=problem.reduction,
        ridge=float(ridges[0]) if len(ridges) == 1 else math.nan,
        size_ratio=problem.size_ratio,
        retrain_norm=float(norm(oracle)),
        pretrain_distance=distance,
        descent_ascent_distance=float(norm(np.asarray(path.weights)[0] - oracle)),
        reason=int(path.reason[0]),
        bounded_below=bounded,
        runaway_class=None if bounded else _runaway_class(problem, strength),
        break_even_strength=float(path.break_even_strength),
        first_order_break_even=even,
        critical_strength=float(path.critical_strength),
        searched_to=float(path.searched_to),
        opposite_cosine=cosine,
        first_step_towards=bool(first_step @ away > 0),
        newton_distance=newton_distance,
        newton_relative=newton_distance / distance if distance > 0 else math.nan,
        retrain_iterations=int(path.oracle.iterations),
        pretrain_gradient_norm=float(path.pretrained.gradient_norm),
        retrain_gradient_norm=float(path.oracle.gradient_norm),
        descent_ascent_gradient_norm=float(path.gradient_norm[0]),
        pretrain_converged=bool(path.pretrained.converged),
        retrain_converged=bool(path.oracle.converged),
    )


def _force(problem: PartitionedProblem, sums: Sums) -> Float[np.ndarray, " d"]:
    """The gradient of the forget loss."""
    return -by_sums.at_strength(problem, 1.0).factors[1] * sums.gradient[1]


def _runaway_class(problem: PartitionedProblem, strength: float) -> RunawayClass | None:
    """The class that lets an unpenalised intercept run away at this strength, if one does."""
    units = problem.totals if problem.reduction == "mean" else np.ones(2)
    kept, forgotten = problem.survey.weight / units[:, None]
    for label, place in ((1, 1), (-1, 0)):
        if strength * forgotten[place] > kept[place]:
            return RunawayClass(label, float(forgotten[place]), float(kept[place]))
    return None
