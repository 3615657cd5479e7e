"""Descent-ascent on many pairs: the sweep against Numba, against NumPy, and on eight devices.

Both run the same plain epochs; ours also watches every lane (converged, cycle, left its range),
which they do not.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import gda_theory as gt
from benchmarks import timing
from theory_common import entry
from theory_common.batching import chunks

CORRELATIONS, EPOCHS, STEP_SIZE, RIDGE, RETAIN_MASS = 20_000, 2000, 0.01, 0.1, 0.1
# Ascent 0.04 is below every fold: no lane ends early or overflows. At an overflow NumPy would warn
# and Numba's fastmath may do anything.
ASCENT, ASCENT_OF_RUNAWAYS = 0.04, 0.084  # at the second a tenth of the lanes leaves its range
TARGETS = {"Numba": 2.5, "NumPy": 5}
TURNS, BLOCK = 9, 64


def correlations(count: int = CORRELATIONS) -> np.ndarray:
    """Shuffled, so that lanes which run away are in every chunk."""
    return np.random.default_rng(0).permutation(np.linspace(0.01, 0.9, count))


def pair(ascent: float = ASCENT) -> gt.CorrelatedPair:
    return gt.CorrelatedPair(
        0.5,
        ridge=RIDGE,
        retain_size=80,
        forget_size=20,
        retain_in_pair=80 * RETAIN_MASS,
        forget_in_pair=20 * ascent,
    )


def ours(correlation: np.ndarray, epochs: int = EPOCHS, ascent: float = ASCENT) -> gt.Trajectory:
    return gt.sweep(
        pair(ascent), (0.0, 0.0), epochs=epochs, step_size=STEP_SIZE, correlation=correlation
    )


def numpy_epochs(correlation: np.ndarray, epochs: int = EPOCHS) -> np.ndarray:
    """All lanes at once, as one writes it."""
    first, second = np.zeros((2, len(correlation)))
    for _ in range(epochs):
        retain_force = RETAIN_MASS * np.exp(-(first + correlation * second))
        forget_force = ASCENT * np.exp(-(correlation * first + second))
        first, second = (
            first - STEP_SIZE * (RIDGE * first - retain_force + correlation * forget_force),
            second - STEP_SIZE * (RIDGE * second - correlation * retain_force + forget_force),
        )
    return np.stack([first, second], -1)


def numba_loops() -> dict:
    """Two loops that Numba compiles, by name.

    One takes a lane after the other, one takes blocks of lanes, whose inner loop LLVM vectorises.
    """
    try:
        import numba
    except ImportError:
        raise RuntimeError("numba is not installed: pip install 'gda-theory[bench]'") from None

    @numba.njit(parallel=True, fastmath=True)
    def plain(correlation, epochs):
        found = np.empty((len(correlation), 2))
        for lane in numba.prange(len(correlation)):
            epsilon, first, second = correlation[lane], 0.0, 0.0
            for _ in range(epochs):
                retain_force = RETAIN_MASS * np.exp(-(first + epsilon * second))
                forget_force = ASCENT * np.exp(-(epsilon * first + second))
                first, second = (
                    first - STEP_SIZE * (RIDGE * first - retain_force + epsilon * forget_force),
                    second - STEP_SIZE * (RIDGE * second - epsilon * retain_force + forget_force),
                )
            found[lane, 0], found[lane, 1] = first, second
        return found

    @numba.njit(parallel=True, fastmath=True)
    def blocked(correlation, epochs):
        found = np.empty((len(correlation), 2))
        for block in numba.prange((len(correlation) + BLOCK - 1) // BLOCK):
            epsilon = correlation[block * BLOCK : (block + 1) * BLOCK]
            lanes = len(epsilon)
            first, second = np.zeros(BLOCK), np.zeros(BLOCK)
            for _ in range(epochs):
                for lane in range(lanes):
                    retain_force = RETAIN_MASS * np.exp(
                        -(first[lane] + epsilon[lane] * second[lane])
                    )
                    forget_force = ASCENT * np.exp(-(epsilon[lane] * first[lane] + second[lane]))
                    gradient = RIDGE * first[lane] - retain_force + epsilon[lane] * forget_force
                    second[lane] -= STEP_SIZE * (
                        RIDGE * second[lane] - epsilon[lane] * retain_force + forget_force
                    )
                    first[lane] -= STEP_SIZE * gradient
            for lane in range(lanes):
                found[block * BLOCK + lane, 0], found[block * BLOCK + lane, 1] = (
                    first[lane],
                    second[lane],
                )
        return found

    return {"plain": plain, "blocked": blocked}


@jax.jit
def bare(epochs: int, lanes: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Nothing but two exponentials a step."""
    return jax.lax.fori_loop(
        0, epochs, lambda _, both: (jnp.exp(-both[0]), jnp.exp(-both[1])), (lanes, lanes)
    )


def two_exponentials() -> tuple[np.ndarray, np.ndarray]:
    """The two exponentials of every epoch and lane, on all cores."""
    return chunks.mapped(bare, EPOCHS, np.linspace(0.1, 1, CORRELATIONS), chunk=CORRELATIONS // 10)


def median_seconds(call) -> float:
    call()
    return statistics.median(timing.seconds(call) for _ in range(5))


def growth() -> str:
    """Growth with epochs and correlations, and where lanes run away.

    A lane that runs away costs the blocks of its chunk a second run.
    """
    lanes = correlations()
    whole = median_seconds(lambda: ours(lanes))
    cases = {
        "4x the epochs": median_seconds(lambda: ours(lanes, 4 * EPOCHS)),
        "4x the correlations": median_seconds(lambda: ours(correlations(4 * CORRELATIONS))),
        "runs of which a tenth diverges": median_seconds(
            lambda: ours(lanes, ascent=ASCENT_OF_RUNAWAYS)
        ),
    }
    return "Time for other sizes: " + ", ".join(
        f"{name} {seconds / whole:.1f}x" for name, seconds in cases.items()
    )


def agree(name: str, found: np.ndarray, expected: np.ndarray) -> None:
    """Fast math may round otherwise in every epoch, and epochs contract here."""
    difference = np.abs(found - expected).max()
    if not difference < 1e-10:
        raise RuntimeError(
            f"{name} ends {difference:.1e} from our sweep: "
            "they must do the same work to be compared"
        )


def loops() -> Iterator[tuple[str, str, Callable]]:
    """``(whose target, against what, the loop)``; NumPy's first, for Numba may be missing."""
    yield "NumPy", "NumPy, all lanes at once", numpy_epochs
    for name, loop in numba_loops().items():
        yield "Numba", f"Numba parallel, fastmath, {name}", loop


def against_loops() -> Iterator[dict]:
    """One row for NumPy and each of Numba's loops."""
    lanes = correlations()
    compiling = timing.compile_seconds(lambda: ours(lanes))
    expected = ours(lanes).weights
    escaped = float(
        np.mean(ours(lanes, ascent=ASCENT_OF_RUNAWAYS).outcome == gt.Outcome.LEFT_RANGE)
    )
    if not 0.05 < escaped < 0.15:
        raise RuntimeError(f"{escaped:.0%} of the lanes run away, and a tenth was meant")
    limit = timing.interleaved(two_exponentials, lambda: ours(lanes), turns=TURNS)
    shared = {"work": f"pair dynamics, {CORRELATIONS:,} correlations x {EPOCHS:,} epochs, float64"}
    for kind, against, theirs in loops():
        agree(against, theirs(lanes, EPOCHS), expected)
        found = timing.interleaved(lambda: ours(lanes), lambda: theirs(lanes, EPOCHS), turns=TURNS)  # noqa: B023
        yield shared | {
            "against": against,
            "ours_seconds": found.ours_seconds,
            "theirs_seconds": found.theirs_seconds,
            "ratio": found.ratio,
            "target": TARGETS[kind],
            "compile_seconds": compiling,
            "limit": "Each correlation needs two exponentials an epoch. These alone take "
            f"{1e3 * limit.ours_seconds:.0f} ms, and ours takes {limit.ratio:.1f} times that",
            "growth": growth() if kind == "NumPy" else None,
        }


def devices(count: int) -> dict:
    """What :func:`report` prints in a process that sees so many CPU devices."""
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={count}",
    }
    command = [sys.executable, "-c", "from benchmarks import dynamics\ndynamics.report()"]
    done = subprocess.run(
        command,
        cwd=Path(__file__).parents[1],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def report() -> None:
    """In that process: seconds of a sweep, of compiling it, and what it found."""
    entry.enable_float64()
    lanes = correlations()
    compiling = timing.compile_seconds(lambda: ours(lanes))
    print(
        json.dumps(
            {
                "seconds": median_seconds(lambda: ours(lanes)),
                "compiling": compiling,
                "weights": ours(lanes).weights.tolist(),
            }
        )
    )


def against_one_device() -> Iterator[dict]:
    """Eight host devices and one take turns, a process each time."""
    one, eight = [], []
    for turn in range(3):
        for count, found in ((1, one), (8, eight)) if turn % 2 == 0 else ((8, eight), (1, one)):
            found.append(devices(count))
    if any(other["weights"] != one[0]["weights"] for other in (*one, *eight)):
        raise RuntimeError("the numbers depend on the devices")
    theirs, mine = (
        statistics.median(entry["seconds"] for entry in found) for found in (one, eight)
    )
    yield {
        "work": f"pair dynamics on 8 host devices of these {os.cpu_count()} cores",
        "against": "1 device, the same numbers bit for bit",
        "ours_seconds": mine,
        "theirs_seconds": theirs,
        "ratio": theirs / mine,
        "target": "no slower (0.9x, their noise)",
        "met": theirs / mine >= 0.9,
        "compile_seconds": statistics.median(entry["compiling"] for entry in eight),
    }


def rows() -> Iterator[dict]:
    """The devices, NumPy and Numba's two loops."""
    yield from against_one_device()
    yield from against_loops()
