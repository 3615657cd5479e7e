"""When can a model unlearn?

Closed forms, solvers and verdicts for descent-ascent in logistic regression.
"""

from typing import TYPE_CHECKING

from gda_theory import deletion, evaluation, pair
from gda_theory.codes import Cause, Kind, Outcome, Reason, RunEnd
from gda_theory.dynamics import simulation, trials
from gda_theory.dynamics.flows import Flow, flow
from gda_theory.dynamics.outcomes import Explanation, explain
from gda_theory.dynamics.schemes import Scheme, ascent_then_descent
from gda_theory.dynamics.simulation import (
    Trajectory,
    distances_to,
    recorded_weights,
    simulate,
)
from gda_theory.dynamics.sweeps import grid, sweep
from gda_theory.pair import CorrelatedPair, basins, coordinate
from gda_theory.pair.coordinate import Coordinate
from gda_theory.paper import random_sets, trap
from gda_theory.problem import losses
from gda_theory.problem.losses import Loss, exponential, logistic, margin_loss
from gda_theory.problem.multinomial import MultinomialProblem
from gda_theory.problem.objective import Objective
from gda_theory.problem.parquet import from_parquet
from gda_theory.problem.partitions import PartitionedProblem, PartitionRows
from gda_theory.problem.problem import Problem
from gda_theory.problem.row_span import RowSpan, row_span
from gda_theory.solve.many import Oracles, retrain_many
from gda_theory.solve.minimise import newton_step, pretrain, retrain
from gda_theory.solve.newton import Solution
from gda_theory.solve.path import DescentAscent, Path, ascent_path, descent_ascent
from gda_theory.verdict.against_rest import AgainstRest
from gda_theory.verdict.decide import Verdict
from gda_theory.verdict.diagnosis import Diagnosis, diagnose
from gda_theory.verdict.ranking import Ranking, rank
from theory_common.numerics.special import (
    lambertw,
    lambertw_exp,
    r_lambertw,
    r_lambertw_exp,
    wright_omega,
)

if TYPE_CHECKING:
    from gda_theory.deletion.estimator import ForgettingLogisticRegression

__all__ = [
    "AgainstRest",
    "Cause",
    "Coordinate",
    "CorrelatedPair",
    "DescentAscent",
    "Diagnosis",
    "Explanation",
    "Flow",
    "ForgettingLogisticRegression",
    "Kind",
    "Loss",
    "MultinomialProblem",
    "Objective",
    "Oracles",
    "Outcome",
    "PartitionRows",
    "PartitionedProblem",
    "Path",
    "Problem",
    "Ranking",
    "Reason",
    "RowSpan",
    "RunEnd",
    "Scheme",
    "Solution",
    "Trajectory",
    "Verdict",
    "ascent_path",
    "ascent_then_descent",
    "basins",
    "coordinate",
    "deletion",
    "descent_ascent",
    "diagnose",
    "distances_to",
    "evaluation",
    "explain",
    "exponential",
    "flow",
    "from_parquet",
    "grid",
    "lambertw",
    "lambertw_exp",
    "logistic",
    "losses",
    "margin_loss",
    "newton_step",
    "pair",
    "pretrain",
    "r_lambertw",
    "r_lambertw_exp",
    "random_sets",
    "rank",
    "recorded_weights",
    "retrain",
    "retrain_many",
    "row_span",
    "simulate",
    "simulation",
    "sweep",
    "trap",
    "trials",
    "wright_omega",
]


def __getattr__(name: str) -> object:
    """The estimator, whose import of scikit-learn takes a second."""
    if name == "ForgettingLogisticRegression":
        from gda_theory.deletion.estimator import ForgettingLogisticRegression

        return ForgettingLogisticRegression
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
