"""When can a model unlearn? Closed forms, solvers and verdicts for descent-ascent in logistic regression."""

from gda_theory import coordinate, pair
from gda_theory.codes import Kind, Reason
from gda_theory.coordinate import Coordinate
from gda_theory.losses import Loss, exponential, logistic, margin_loss
from gda_theory.objective import Objective
from gda_theory.pair import CorrelatedPair

__all__ = [
    "CorrelatedPair",
    "Coordinate",
    "Kind",
    "Loss",
    "Objective",
    "Reason",
    "coordinate",
    "exponential",
    "logistic",
    "margin_loss",
    "pair",
]
