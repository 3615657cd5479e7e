"""The special functions against SciPy's at 1e6 points in float64, and against a CPU's limit."""

from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special

from benchmarks import timing
from theory_common.numerics import special

POINTS = 1_000_000
SIZES = (10_000, 100_000, 1_000_000)


def cases() -> Iterator[tuple]:
    """``(work, ours, theirs, arguments, target, logarithms and exponentials a point)``."""
    generator = np.random.default_rng(0)
    positive = np.exp(generator.uniform(-20, 20, POINTS))
    negative = -np.exp(generator.uniform(-30, -1.001, POINTS))
    u, v = generator.uniform(-50, 50, (2, POINTS))
    yield "lambertw, branch 0", special.lambertw, scipy.special.lambertw, (positive,), 5, (2, 0)
    yield (
        "lambertw, branch -1",
        lambda z: special.lambertw(z, -1),
        lambda z: scipy.special.lambertw(z, -1),
        (negative,),
        5,
        (2, 0),
    )
    yield "wright_omega", special.wright_omega, scipy.special.wrightomega, (u,), None, (1, 1)
    yield "r_lambertw_exp", special.r_lambertw_exp, newton, (u, v), None, (3, 7)


def newton(log_z: np.ndarray, log_r: np.ndarray) -> np.ndarray:
    """What one writes in NumPy: Newton steps until all stand still.

    The equation ``y + ln(exp(exp(y)) + r) = ln z`` is convex; ``t = exp(y)``.
    """
    y = np.minimum(
        log_z - log_r, np.log(scipy.special.wrightomega(log_z))
    )  # an upper bound: the steps fall monotonically
    for _ in range(60):
        t = np.exp(y)
        log_sum = np.logaddexp(t, log_r)
        step = (y + log_sum - log_z) / (1 + t * np.exp(t - log_sum))
        y = y - step
        if np.max(np.abs(step)) < 1e-14:
            break
    return np.exp(y)


def bare(logarithms: int, exponentials: int) -> Callable[[jax.Array], jax.Array]:
    """A kernel of so many logarithms and exponentials, and nothing else.

    Ours would be as fast if all the rest were free.
    """

    @jax.jit
    def kernel(x):
        total = x
        for k in range(logarithms):
            total = total + jnp.log(jnp.abs(x) + (k + 1))
        for k in range(exponentials):
            total = total + jnp.exp(-jnp.abs(x) / (k + 1))
        return total

    return kernel


def _seconds(function: Callable, arguments: list[jax.Array], size: int) -> float:
    """Seconds of one call on the first ``size`` points."""
    cut = [argument[:size] for argument in arguments]
    return timing.interleaved(lambda: function(*cut), lambda: None, turns=5).ours_seconds


def rows() -> Iterator[dict]:
    """One row a function: SciPy's (or NumPy's) time over ours, medians of alternating runs."""
    for work, ours, theirs, arguments, target, (logarithms, exponentials) in cases():
        on_device = [jnp.asarray(argument) for argument in arguments]
        compile_seconds = timing.compile_seconds(lambda: ours(*on_device))  # noqa: B023
        found = timing.interleaved(lambda: ours(*on_device), lambda: theirs(*arguments), turns=9)  # noqa: B023
        kernel = bare(logarithms, exponentials)
        limit = timing.interleaved(lambda: kernel(on_device[0]), lambda: ours(*on_device), turns=9)  # noqa: B023
        growth = [(size, _seconds(ours, on_device, size)) for size in SIZES]
        yield {
            "work": f"{work}, {POINTS:.0e} points, float64",
            "against": "NumPy's Newton" if theirs is newton else "SciPy, real arguments",
            "ours_seconds": found.ours_seconds,
            "theirs_seconds": found.theirs_seconds,
            "ratio": found.ratio,
            "target": target,
            "compile_seconds": compile_seconds,
            "limit": f"Logarithms per point: {logarithms}, exponentials: {exponentials}. "
            f"These alone take {limit.ours_seconds * 1e3:.1f} ms, and ours takes "
            f"{limit.ratio:.1f} times that",
            "growth": "Time per point: "
            + ", ".join(
                f"{seconds * 1e9 / size:.0f} ns for {size:,} points" for size, seconds in growth
            ),
        }
