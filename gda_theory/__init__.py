"""When can a model unlearn? Closed forms, solvers and verdicts for descent-ascent in logistic regression."""

from gda_theory import basins, coordinate, losses, pair, random_sets, trap
from gda_theory.codes import Cause, Kind, Outcome, Reason
from gda_theory.coordinate import Coordinate
from gda_theory.diagnosis import Diagnosis, diagnose
from gda_theory.flows import Flow, flow
from gda_theory.losses import Loss, exponential, logistic, margin_loss
from gda_theory.many import Oracles, retrain_many
from gda_theory.newton import Solution, newton_step, pretrain, retrain
from gda_theory.objective import Objective
from gda_theory.outcomes import Explanation, explain
from gda_theory.pair import CorrelatedPair
from gda_theory.path import DescentAscent, Path, ascent_path, descent_ascent
from gda_theory.problem import Problem
from gda_theory.simulation import Scheme, Trajectory, ascent_then_descent, distances_to, recorded_weights, simulate
from gda_theory.special import lambertw, lambertw_exp, r_lambertw, r_lambertw_exp, wright_omega
from gda_theory.sweeps import grid, sweep

__all__ = [
    "Cause",
    "Coordinate",
    "CorrelatedPair",
    "DescentAscent",
    "Diagnosis",
    "Explanation",
    "Flow",
    "Kind",
    "Loss",
    "Objective",
    "Oracles",
    "Outcome",
    "Path",
    "Problem",
    "Reason",
    "Scheme",
    "Solution",
    "Trajectory",
    "ascent_path",
    "ascent_then_descent",
    "basins",
    "coordinate",
    "descent_ascent",
    "diagnose",
    "distances_to",
    "explain",
    "exponential",
    "flow",
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
    "recorded_weights",
    "retrain",
    "retrain_many",
    "simulate",
    "sweep",
    "trap",
    "wright_omega",
]
