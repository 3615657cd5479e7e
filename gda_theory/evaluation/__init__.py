"""Did it work? Scores that compare unlearned models with retrained ones, for any model's outputs.

The input is arrays of margins, so the models may come from any framework.
"""

from gda_theory.evaluation import public
from gda_theory.evaluation.divergence import gaussian, histogram, nearest_neighbour
from gda_theory.evaluation.klom import Klom, Statistic, klom
from gda_theory.evaluation.margins import margins
from gda_theory.evaluation.membership import MembershipTest, membership

__all__ = [
    "Klom",
    "MembershipTest",
    "Statistic",
    "gaussian",
    "histogram",
    "klom",
    "margins",
    "membership",
    "nearest_neighbour",
    "public",
]
