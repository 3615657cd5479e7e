"""All stationary points of many correlated pairs, against SciPy's root finder in a loop."""

import functools
import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

import gda_theory as gt
from benchmarks import timing

PAIRS, SAMPLE = 100_000, 200
# Where SciPy starts beside the oracle; chosen among a dozen heights, in the order of what each
# still adds.
ALL_BUT_A_PERCENT, SINGLE = (-10.0, -15.0, -4.0, -6.0), (-10.0,)


def draw(count: int) -> gt.CorrelatedPair:
    """Correlations, shares and ridges log-uniform over the ranges of the theory's figures."""
    keys = jax.random.split(jax.random.key(0), 3)
    correlation = 10 ** jax.random.uniform(keys[0], count, minval=-4, maxval=math.log10(0.999))
    ridge = 10 ** jax.random.uniform(keys[1], count, minval=-6, maxval=2)
    alpha = 10 ** jax.random.uniform(keys[2], count, minval=-3, maxval=math.log10(2.5))
    return gt.CorrelatedPair(
        correlation,
        ridge=ridge,
        retain_size=80,
        forget_size=20,
        retain_in_pair=8,
        forget_in_pair=8 * alpha,
    )


def scipy_points(
    correlation: float, ridge: float, descent: float, ascent: float, heights: tuple[float, ...]
) -> list[np.ndarray]:
    """Stationary points by ``scipy.optimize.root`` with the exact Jacobian.

    The first start is the oracle; then come ``heights`` of y below it, until all points are found.
    """
    diagonal, cross = 1 + correlation**2, 2 * correlation

    def equations(point):
        x, y = point
        retain_dual, forget_dual = (
            descent / ridge * math.exp(-min(max(x, -600), 600)),
            ascent / ridge * math.exp(-min(max(y, -600), 600)),
        )
        return [
            x - diagonal * retain_dual + cross * forget_dual,
            y - cross * retain_dual + diagonal * forget_dual,
        ]

    def jacobian(point):
        x, y = point
        retain_dual, forget_dual = (
            descent / ridge * math.exp(-min(max(x, -600), 600)),
            ascent / ridge * math.exp(-min(max(y, -600), 600)),
        )
        return [
            [1 + diagonal * retain_dual, -cross * forget_dual],
            [cross * retain_dual, 1 - diagonal * forget_dual],
        ]

    oracle, found = math.log1p(descent / ridge), []
    for height in (correlation * oracle, *heights):
        solution = scipy.optimize.root(equations, (oracle, height), jac=jacobian)
        if solution.success and not any(same(solution.x, other) for other in found):
            found.append(solution.x)
        if len(found) == 2:
            break
    return found


def same(point: np.ndarray, other: np.ndarray) -> bool:
    """Whether two searches ended at one point: SciPy stops at a relative step of 1e-8."""
    return bool(np.abs(point - other).max() < 1e-5 * (1 + np.abs(other).max()))


def share_found(ours: gt.pair.StationaryPoints, theirs: list[list[np.ndarray]]) -> float:
    """The share of our points that SciPy has too."""
    points = [
        [point for point in zip(*xy, strict=True) if np.isfinite(point).all()]
        for xy in zip(ours.x, ours.y, strict=True)
    ]
    hits = [
        any(same(np.array(point), other) for other in found)
        for mine, found in zip(points, theirs, strict=True)
        for point in mine
    ]
    return float(np.mean(hits))


def rows() -> Iterator[dict]:
    """100,000 pairs at once against a sample of SciPy's loop, scaled up.

    SciPy finds what its starts lead to. With all starts these are all points but for a percent,
    with the single one beside the oracle fewer.
    """
    pairs = draw(PAIRS)
    chosen = slice(None, None, PAIRS // SAMPLE)
    numbers = (pairs.correlation, pairs.ridge, *pairs.ascent_masses)
    sample = list(zip(*(np.asarray(value)[chosen].tolist() for value in numbers), strict=True))
    compiling = timing.compile_seconds(lambda: gt.pair.stationary_points(pairs))
    ours = jax.tree.map(lambda values: np.asarray(values)[chosen], gt.pair.stationary_points(pairs))
    q = jnp.linspace(-20.0, 20.0, PAIRS)
    omega = jax.jit(gt.wright_omega)
    floor = min(timing.seconds(lambda: omega(q)) for _ in range(9))
    # For minimum and saddle: a start, four evaluations and the solution, one Wright omega each.
    # This method cannot do with less.
    limit = 12 * floor
    small = draw(PAIRS // 10)
    gt.pair.stationary_points(small)
    tenth = min(timing.seconds(lambda: gt.pair.stationary_points(small)) for _ in range(5))
    for heights, target in (ALL_BUT_A_PERCENT, 1000), (SINGLE, None):
        work = [functools.partial(scipy_points, *one, heights) for one in sample]
        measured = timing.interleaved(
            lambda: gt.pair.stationary_points(pairs),
            lambda work=work: [one() for one in work],
            turns=5,
        )
        theirs = measured.theirs_seconds * PAIRS / len(sample)
        recall = share_found(ours, [one() for one in work])
        yield {
            "work": f"all stationary points of {PAIRS:,} pairs, float64",
            "against": f"scipy.optimize.root in a loop (sample of {len(sample)}), "
            f"{1 + len(heights)} starts, which find {recall:.1%}",
            "ratio": theirs / measured.ours_seconds,
            **({"target": target} if target else {}),
            "ours_seconds": measured.ours_seconds,
            "theirs_seconds": theirs,
            "compile_seconds": compiling,
            "limit": "Each pair needs about 12 values of the Wright omega function. These alone "
            f"take {limit:.3f} s, and ours takes {measured.ours_seconds / limit:.1f} times that",
            "growth": f"Ten times as many pairs take {measured.ours_seconds / tenth:.1f} times as "
            "long",
        }
