"""From numbers to a verdict: a table of rules."""

import math
from collections.abc import Callable
from enum import IntEnum

from gda_theory.codes import Reason, RunEnd
from gda_theory.verdict.measure import NEGLIGIBLE, Measurement


class Verdict(IntEnum):
    """What the numbers say about gradient ascent at the asked strength.

    * ``UNCERTAIN``: pretraining, retraining or ascent's minimum was not found to its tolerance.
    * ``NOTHING_TO_FORGET``: pretrained and retrained model agree to 1e-9 of the weights' length.
    * ``UNBOUNDED``: the run from the pretrained model diverges. Or the objective has no lower bound
      along an unpenalised coordinate, and the run was not seen to end in a minimum.
    * ``LOST``: the minimum that continues the oracle disappears at a smaller strength (the fold).
    * ``FARTHER``: ascent ends farther from the oracle than the pretrained model is.
    * ``NEARER``: ascent ends at most as far from the oracle as the pretrained model is.

    Ascent ends where the run from the pretrained model ends, if it was followed. Otherwise the
    minimum that continues the oracle decides.
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


def _settles_nearer(numbers: Measurement) -> bool:
    return _settles(numbers) and numbers.run_distance <= numbers.pretrain_distance


def _settles(numbers: Measurement) -> bool:
    return numbers.run_end in (RunEnd.CONTINUED, RunEnd.ELSEWHERE)


def _unbounded(numbers: Measurement) -> bool:
    return not numbers.bounded_below and not _settles(numbers)


def _lost(numbers: Measurement) -> bool:
    return numbers.reason in (Reason.PAST_FOLD, Reason.UNBOUNDED)


def _diverges(numbers: Measurement) -> bool:
    return numbers.run_end == RunEnd.DIVERGES


def _not_found(numbers: Measurement) -> bool:
    return math.isnan(numbers.end_distance)


def _farther(numbers: Measurement) -> bool:
    return numbers.end_distance > numbers.pretrain_distance


def _always(numbers: Measurement) -> bool:
    return True


# Tried from top to bottom; the first condition that holds decides.
RULES: tuple[tuple[Callable[[Measurement], bool], Verdict], ...] = (
    (_unsolved, Verdict.UNCERTAIN),
    (_equal, Verdict.NOTHING_TO_FORGET),
    (_settles_nearer, Verdict.NEARER),
    (_unbounded, Verdict.UNBOUNDED),
    (_lost, Verdict.LOST),
    (_diverges, Verdict.UNBOUNDED),
    (_not_found, Verdict.UNCERTAIN),
    (_farther, Verdict.FARTHER),
    (_always, Verdict.NEARER),
)


def decide(numbers: Measurement) -> Verdict:
    """The verdict of the first rule in :data:`RULES` that holds."""
    return next(verdict for holds, verdict in RULES if holds(numbers))
