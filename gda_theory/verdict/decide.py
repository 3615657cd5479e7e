"""From numbers to a verdict: a table of rules."""

from collections.abc import Callable
from enum import IntEnum

from gda_theory.codes import Reason
from gda_theory.verdict.measure import NEGLIGIBLE, Measurement


class Verdict(IntEnum):
    """What the numbers say about gradient ascent at the asked strength.

    * ``UNCERTAIN``: pretraining, retraining or ascent's minimum was not found to its tolerance.
    * ``NOTHING_TO_FORGET``: pretrained and retrained model agree to 1e-9 of the weights' length.
    * ``UNBOUNDED``: the objective has no lower bound along an unpenalised coordinate.
    * ``LOST``: the minimum that continues the oracle disappears at a smaller strength (the fold).
    * ``FARTHER``: ascent's minimum is farther from the oracle than the pretrained model is.
    * ``NEARER``: ascent's minimum is at most as far from the oracle as the pretrained model is.
    """

    UNCERTAIN = 0
    NOTHING_TO_FORGET = 1
    UNBOUNDED = 2
    LOST = 3
    FARTHER = 4
    NEARER = 5


def _unsolved(numbers: Measurement) -> bool:
    return not (numbers.pretrain_converged and numbers.retrain_converged)


def _equal(numbers: Measurement) -> bool:
    return numbers.pretrain_distance <= NEGLIGIBLE * numbers.retrain_norm


def _unbounded(numbers: Measurement) -> bool:
    return not numbers.bounded_below


def _past_fold(numbers: Measurement) -> bool:
    return numbers.reason == Reason.PAST_FOLD


def _not_found(numbers: Measurement) -> bool:
    return numbers.reason != Reason.FOUND


def _farther(numbers: Measurement) -> bool:
    return numbers.descent_ascent_distance > numbers.pretrain_distance


def _always(numbers: Measurement) -> bool:
    return True


# Tried from top to bottom; the first condition that holds decides.
RULES: tuple[tuple[Callable[[Measurement], bool], Verdict], ...] = (
    (_unsolved, Verdict.UNCERTAIN),
    (_equal, Verdict.NOTHING_TO_FORGET),
    (_unbounded, Verdict.UNBOUNDED),
    (_past_fold, Verdict.LOST),
    (_not_found, Verdict.UNCERTAIN),
    (_farther, Verdict.FARTHER),
    (_always, Verdict.NEARER),
)


def decide(numbers: Measurement) -> Verdict:
    """The verdict of the first rule in :data:`RULES` that holds."""
    return next(verdict for holds, verdict in RULES if holds(numbers))
