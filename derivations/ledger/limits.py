"""A time limit for one call: a measure that hangs must not stop an attack."""

import signal
from collections.abc import Callable
from typing import TypeVar

import mpmath

Result = TypeVar("Result")
AGAIN = 1.0  # seconds between alarms, in case a library swallows the first one


class TookTooLong(BaseException):
    """The call was abandoned at its time limit. It is no Exception, since libraries catch those."""


def within(seconds: float | None, function: Callable[[], Result]) -> Result:
    """``function()``, abandoned after ``seconds``. None sets no limit.

    An alarm signal ends Python code, and calls of mpmath, NumPy or SciPy between two steps of
    Python. A single long call of compiled code runs on: :func:`derivations.ledger.workers.streamed`
    stops the process then. Without alarm signals (Windows) there is no limit here. To be called in
    the main thread.

    Raises: ``TookTooLong``.
    """
    if seconds is None or not hasattr(signal, "setitimer"):
        return function()
    precision = mpmath.mp.prec
    previous = signal.signal(signal.SIGALRM, _abandon)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
        return function()
    except TookTooLong:
        mpmath.mp.prec = precision
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def _abandon(_number, _frame) -> None:
    raise TookTooLong
