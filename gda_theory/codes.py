"""Result codes: integers that compiled code (``jax.jit``) can return, each with its sentence.

A code says what a stationary point is, what a run did and why, or why an answer does not exist.
"""

from enum import IntEnum


class Kind(IntEnum):
    """What a stationary point is.

    The codes 0 to 2 are the number of negative eigenvalues of a 2 x 2 Hessian.
    """

    NONE = -1
    MINIMUM = 0
    SADDLE = 1
    MAXIMUM = 2
    DEGENERATE = 3


class Reason(IntEnum):
    """Whether the minimum of descent-ascent was found, and if not, why.

    It is the minimum that continues the retrained model (the *oracle*) as the strength grows.
    """

    FOUND = 0
    PAST_FOLD = 1
    NOT_CONVERGED = 2
    UNBOUNDED = 3


class Outcome(IntEnum):
    """What a run did, as observed. :class:`Cause` says why."""

    MOVING = 0
    CONVERGED = 1
    CYCLE = 2
    LEFT_RANGE = 3


class RunEnd(IntEnum):
    """Where descent-ascent with small steps from the pretrained model ends.

    It is followed, not concluded from the minimum that continues the retrained model.
    """

    NOT_FOLLOWED = -1
    UNDECIDED = 0
    CONTINUED = 1
    ELSEWHERE = 2
    DIVERGES = 3


class Cause(IntEnum):
    """Why a run did what it did, according to the theory (:mod:`gda_theory.dynamics.outcomes`)."""

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
    ASCENT_ALONE = 17
    UNDECIDED = 18


SENTENCES: dict[type[IntEnum], dict[IntEnum, str]] = {
    Reason: {
        Reason.FOUND: "found",
        Reason.PAST_FOLD: (
            "the minimum that continues the retrained model met a saddle at a smaller strength "
            "(the fold) and disappeared"
        ),
        Reason.NOT_CONVERGED: "the iteration did not reach its tolerance",
        Reason.UNBOUNDED: (
            "the minimum has disappeared, and the objective has no lower bound along a "
            "coordinate without ridge"
        ),
    },
    RunEnd: {
        RunEnd.NOT_FOLLOWED: "not followed",
        RunEnd.UNDECIDED: "where it was not decided: it was still moving after the last step",
        RunEnd.CONTINUED: "at the minimum that continues the retrained model",
        RunEnd.ELSEWHERE: "at another minimum than the one that continues the retrained model",
        RunEnd.DIVERGES: "nowhere: the weights grow without end",
    },
    Outcome: {
        Outcome.MOVING: "still moving when the epochs were used up",
        Outcome.CONVERGED: "converged",
        Outcome.CYCLE: "went into a cycle",
        Outcome.LEFT_RANGE: "left the range of finite numbers",
    },
    Cause: {
        Cause.UNKNOWN: "unknown: the minimum was not found, or no rule of the theory applies",
        Cause.REACHED_MINIMUM: (
            "the run reached the minimum of descent-ascent that continues the retrained model"
        ),
        Cause.REACHED_ORACLE: (
            "this scheme ends with descent alone, which came back to the retrained model"
        ),
        Cause.OTHER_MINIMUM: (
            "the minimum that continues the retrained model has disappeared (past a fold), and "
            "the run settled in another one far away"
        ),
        Cause.OUTSIDE_BASIN: (
            "a minimum exists, but this start lies outside its basin of attraction"
        ),
        Cause.NO_MINIMUM: (
            "the minimum has disappeared at this strength (past the fold), and nothing stops "
            "the ascent"
        ),
        Cause.UNBOUNDED: (
            "the objective has no lower bound along a coordinate without ridge, and the ascent "
            "diverges along it"
        ),
        Cause.STEP_TOO_LARGE: (
            "a minimum exists, but the step size exceeds 2 over the largest curvature met, too "
            "large for the run to settle there"
        ),
        Cause.CYCLE_PAST_FOLD: (
            "the minimum has disappeared (past the fold), and only the large step size keeps "
            "the run bounded, in a cycle"
        ),
        Cause.DISORDER_PAST_FOLD: (
            "the minimum has disappeared (past the fold), and only the large step size keeps "
            "the run bounded, in an irregular motion"
        ),
        Cause.ALTERNATING_MINIMUM: (
            "alternating steps end at a point of their own, near the minimum of descent-ascent "
            "with twice the ridge"
        ),
        Cause.ALTERNATING_OWN: (
            "alternating steps end at a point that depends on the step size; the objective that "
            "they follow for small steps has no minimum"
        ),
        Cause.PERIOD_DOUBLING: (
            "the point at which alternating steps could end is unstable, and they jump between "
            "points around it"
        ),
        Cause.BOTTLENECK: (
            "the minimum has disappeared (just past the fold), but the run is very slow where it "
            "was; it looks converged and will still leave"
        ),
        Cause.ESCAPING: (
            "the minimum has disappeared at this strength (past the fold), and the run is moving "
            "away"
        ),
        Cause.TOO_FEW_EPOCHS: (
            "the run is still on its way to a minimum: the objective is convex as far around it as "
            "the run is away, and the step size is small enough there"
        ),
        Cause.UNDECIDED: (
            "a minimum exists and the step size is small enough there, but it is not known whether "
            "this run leads to it"
        ),
        Cause.ASCENT_ALONE: (
            "nothing descends on the kept rows, so the run ends, or will end, where the ridge "
            "alone stops the ascent"
        ),
        Cause.NOISE: "random minibatches keep the run moving; only its average can settle",
    },
}


def sentence(code: IntEnum) -> str:
    """The sentence of a member of one of these enumerations."""
    return SENTENCES[type(code)][code]
