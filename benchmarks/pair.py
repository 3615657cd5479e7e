"""All stationary points of many correlated pairs, against SciPy's root finder in a loop."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

import gda_theory as gt
from benchmarks import timing

PAIRS, SAMPLE = 100_000, 200


def draw(count: int) -> gt.CorrelatedPair:
    """Correlations, shares and ridges log-uniform over the ranges of the theory's figures."""
    keys = jax.random.split(jax.random.key(0), 3)
    correlation = 10 ** jax.random.uniform(keys[0], count, minval=-4, maxval=math.log10(0.999))
    ridge = 10 ** jax.random.uniform(keys[1], count, minval=-6, maxval=2)
    alpha = 10 ** jax.random.uniform(keys[2], count, minval=-3, maxval=math.log10(2.5))
    return gt.CorrelatedPair(correlation, ridge=ridge, retain_size=80, forget_size=20, retain_in_pair=8, forget_in_pair=8 * alpha)


def scipy_points(correlation: float, ridge: float, descent: float, ascent: float) -> list[np.ndarray]:
    """Both stationary points by ``scipy.optimize.root`` with the exact Jacobian, from the oracle and from far along -v."""
    diagonal, cross = 1 + correlation**2, 2 * correlation

    def equations(point):
        x, y = point
        pull, push = descent / ridge * math.exp(-min(max(x, -600), 600)), ascent / ridge * math.exp(-min(max(y, -600), 600))
        return [x - diagonal * pull + cross * push, y - cross * pull + diagonal * push]

    def jacobian(point):
        x, y = point
        pull, push = descent / ridge * math.exp(-min(max(x, -600), 600)), ascent / ridge * math.exp(-min(max(y, -600), 600))
        return [[1 + diagonal * pull, -cross * push], [cross * pull, 1 - diagonal * push]]

    oracle = math.log1p(descent / ridge)
    starts = [(oracle, correlation * oracle), (oracle / 2, -3.0 - math.log1p(1 / ascent))]
    found = [scipy.optimize.root(equations, start, jac=jacobian) for start in starts]
    return [solution.x for solution in found if solution.success]


def rows():
    """The table's row for the pair: 100,000 pairs at once against a sample of SciPy's loop, scaled up."""
    pairs = draw(PAIRS)
    sample = [
        tuple(float(value[i]) for value in (pairs.correlation, pairs.ridge, *pairs.ascent_masses)) for i in range(0, PAIRS, PAIRS // SAMPLE)
    ]
    compiling = timing.compile_seconds(lambda: gt.pair.stationary_points(pairs))
    measured = timing.interleaved(lambda: gt.pair.stationary_points(pairs), lambda: [scipy_points(*one) for one in sample], turns=5)
    theirs = measured.theirs_seconds * PAIRS / len(sample)
    q = jnp.linspace(-20.0, 20.0, PAIRS)
    omega = jax.jit(gt.wright_omega)
    floor = min(timing.seconds(lambda: omega(q)) for _ in range(9))
    # Minimum and saddle: a start, four evaluations and the solution, one Wright omega each; less cannot be done by this method.
    limit = 12 * floor
    small = draw(PAIRS // 10)
    gt.pair.stationary_points(small)
    tenth = min(timing.seconds(lambda: gt.pair.stationary_points(small)) for _ in range(5))
    yield {
        "work": f"all stationary points of {PAIRS:,} pairs, float64",
        "against": f"scipy.optimize.root in a loop (sample of {len(sample)})",
        "ratio": theirs / measured.ours_seconds,
        "target": 1000,
        "ours_seconds": measured.ours_seconds,
        "theirs_seconds": theirs,
        "compile_seconds": compiling,
        "limit": f"12 Wright omegas a pair: {limit:.3f} s; we take {measured.ours_seconds / limit:.1f}x",
        "growth": f"10x the pairs take {measured.ours_seconds / tenth:.1f}x",
    }
