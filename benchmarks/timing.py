"""Fair clocks: ours and theirs in turn, so that a busy machine slows both, and medians."""

import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax

BURST = 0.2


class Comparison(NamedTuple):
    """Seconds a call, medians of the same number of turns."""

    ours_seconds: float
    theirs_seconds: float
    ratio: float  # theirs over ours: how many times faster ours is


def seconds(call: Callable[[], object]) -> float:
    """How long one call takes, until the arrays that it returns are there."""
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start


def medians(
    ours: Callable[[], float], theirs: Callable[[], float], *, turns: int = 7
) -> tuple[float, float]:
    """Medians of the seconds that the two measure.

    Each is called once to warm up, then ``turns`` times. Who is first alternates.
    """
    ours(), theirs()
    measured: tuple[list[float], list[float]] = ([], [])
    for turn in range(turns):
        for which in (0, 1) if turn % 2 == 0 else (1, 0):
            measured[which].append((ours, theirs)[which]())
    return statistics.median(measured[0]), statistics.median(measured[1])


def interleaved(
    ours: Callable[[], object], theirs: Callable[[], object], *, turns: int = 7
) -> Comparison:
    """Time two calls against each other by :func:`medians`.

    In each turn a call is repeated until ``BURST`` seconds are over. A single short call would be
    timed with the caches and the memory that the other side left behind.
    """
    mine, other = medians(lambda: burst(ours), lambda: burst(theirs), turns=turns)
    return Comparison(mine, other, other / mine)


def burst(call: Callable[[], object]) -> float:
    """Seconds a call, mean over as many as fit into ``BURST`` seconds, at least one."""
    start, count = time.perf_counter(), 0
    while count == 0 or time.perf_counter() - start < BURST:
        jax.block_until_ready(call())
        count += 1
    return (time.perf_counter() - start) / count


def compile_seconds(call: Callable[[], object]) -> float:
    """How much longer the first call takes than the second, for tracing and compiling.

    The call must not have run in this process before.
    """
    first = seconds(call)
    return max(0.0, first - seconds(call))


def peak_memory() -> float:
    """The most memory that this program has held, in GiB.

    On Linux ``getrusage`` counts what the parent held when it started the program, too.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(one for one in status.read_text().splitlines() if one.startswith("VmHWM"))
        return int(line.split()[1]) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
