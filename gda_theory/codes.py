"""Integers that survive jit, each with its sentence.

They say what a stationary point is, what a run did and why, and why an answer does not exist.
"""

from enum import IntEnum


class Kind(IntEnum):
    """What a stationary point is; 0 to 2 count the negative eigenvalues of a 2 x 2 Hessian."""

    NONE = -1
    MINIMUM = 0
    SADDLE = 1
    MAXIMUM = 2
    DEGENERATE = 3


class Reason(IntEnum):
    """Why the minimum continued from the oracle is or is not there."""

    FOUND = 0
    PAST_FOLD = 1
    NOT_CONVERGED = 2
    UNBOUNDED = 3


class Outcome(IntEnum):
    """What was seen of a run, without a theory."""

    MOVING = 0
    CONVERGED = 1
    CYCLE = 2
    LEFT_RANGE = 3


class Cause(IntEnum):
    """Why a run did what was seen, by theory (:mod:`gda_theory.dynamics.outcomes`)."""

    UNKNOWN = 0
    REACHED_MINIMUM = 1
    REACHED_ORACLE = 2
    OTHER_MINIMUM = 3
    OUTSIDE_BASIN = 4
    NO_MINIMUM = 5
    UNBOUNDED = 6
    STEP_TOO_LARGE = 7
    CYCLE_PAST_FOLD = 8
    ALTERNATING_MINIMUM = 9
    ALTERNATING_OWN = 10
    PERIOD_DOUBLING = 11
    BOTTLENECK = 12
    ESCAPING = 13
    TOO_FEW_EPOCHS = 14
    NOISE = 15
    DISORDER_PAST_FOLD = 16


SENTENCES: dict[type[IntEnum], dict[IntEnum, str]] = {
    Reason: {
        Reason.FOUND: "found",
        Reason.PAST_FOLD: (
            "the minimum that starts at the oracle has merged with a saddle at a smaller "
            "strength and is gone"
        ),
        Reason.NOT_CONVERGED: "the iteration did not reach its tolerance",
        Reason.UNBOUNDED: (
            "the minimum is gone, and the objective is unbounded below along an unpenalised "
            "coordinate"
        ),
    },
    Outcome: {
        Outcome.MOVING: "still moving when the epochs were used up",
        Outcome.CONVERGED: "converged",
        Outcome.CYCLE: "went into a cycle",
        Outcome.LEFT_RANGE: "left the range of finite numbers",
    },
    Cause: {
        Cause.UNKNOWN: "theory does not say: the minimum itself was not found",
        Cause.REACHED_MINIMUM: (
            "the run reached the minimum of descent-ascent that continues the retrained model"
        ),
        Cause.REACHED_ORACLE: (
            "no ascent acts at the end of this scheme: descent came back to the retrained model"
        ),
        Cause.OTHER_MINIMUM: (
            "the minimum that continues the retrained model is gone (past a fold); the run "
            "settled in another, far away"
        ),
        Cause.OUTSIDE_BASIN: (
            "a minimum exists, but this start lies outside its basin of attraction"
        ),
        Cause.NO_MINIMUM: (
            "the minimum is gone at this strength (past the fold) and nothing stops the ascent"
        ),
        Cause.UNBOUNDED: (
            "the objective is unbounded below along an unpenalised coordinate: the ascent "
            "runs away along it"
        ),
        Cause.STEP_TOO_LARGE: (
            "a minimum exists, but the step is larger than 2 over the largest curvature met: "
            "smaller steps would settle"
        ),
        Cause.CYCLE_PAST_FOLD: (
            "the minimum is gone (past the fold); only the large step keeps the run bounded, "
            "in a cycle"
        ),
        Cause.DISORDER_PAST_FOLD: (
            "the minimum is gone (past the fold); only the large step keeps the run bounded, "
            "which goes to and fro"
        ),
        Cause.ALTERNATING_MINIMUM: (
            "alternating steps rest at a point of their own, near the minimum with the ridge "
            "doubled"
        ),
        Cause.ALTERNATING_OWN: (
            "alternating steps rest where only their size lets them: the objective that they "
            "imitate has no minimum"
        ),
        Cause.PERIOD_DOUBLING: (
            "the resting point of the alternating steps is unstable: they jump between points"
            " around it"
        ),
        Cause.BOTTLENECK: (
            "just past the fold the run crawls where the minimum was and seems to work; it "
            "will leave"
        ),
        Cause.ESCAPING: (
            "the minimum is gone at this strength (past the fold); the run is on its way out"
        ),
        Cause.TOO_FEW_EPOCHS: (
            "a minimum exists and the step is small enough: more epochs would reach it"
        ),
        Cause.NOISE: "minibatches keep the run moving; only their average can settle",
    },
}


def sentence(code: IntEnum) -> str:
    """The sentence of a member of one of these enumerations."""
    return SENTENCES[type(code)][code]
