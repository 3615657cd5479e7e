"""Integers that survive jit, each with its sentence: what a stationary point is, and why an answer does not exist."""

from enum import IntEnum


class Kind(IntEnum):
    """What a stationary point is; 0 to 2 count the negative eigenvalues of a Hessian in two dimensions."""

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


SENTENCES = {
    Reason.FOUND: "found",
    Reason.PAST_FOLD: "the minimum that starts at the oracle has merged with a saddle at a smaller strength and is gone",
    Reason.NOT_CONVERGED: "the iteration did not reach its tolerance",
    Reason.UNBOUNDED: "the minimum is gone, and the objective is unbounded below along an unpenalised coordinate",
}


def sentence(reason) -> str:
    """The sentence of one integer ``reason``."""
    return SENTENCES[Reason(int(reason))]
