"""A path of 100 strengths against SciPy's trust-region Newton method.

SciPy solves its subproblems nearly exactly, and each solve starts at the last solution.
"""

import time
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from scipy import optimize, special
from threadpoolctl import threadpool_limits

from benchmarks import timing
from gda_theory.problem.problem import Problem
from gda_theory.solve import continuation, minimise, path

SAMPLES, DIMENSION, STRENGTHS, RIDGE, LARGEST = 5000, 30, 100, 1e-2, 0.5
# SciPy stops at this gradient norm; ours goes on to rounding (about 1e-16), so it is not the easier
# task.
GRADIENT_TOLERANCE = 1e-10


def problem(samples: int = SAMPLES) -> Problem:
    """Logistic labels that no plane separates, one sample in twenty to be forgotten."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(samples, DIMENSION))
    labels = np.where(
        features @ rng.normal(size=DIMENSION) / 2 + rng.logistic(size=samples) > 0, 1, -1
    )
    return Problem(features, labels, rng.random(samples) < 0.05, ridge=RIDGE)


def scipy_path(objective, strengths) -> np.ndarray:
    """The last of the minima, one after the other, in NumPy and SciPy.

    On one thread: its small products gain nothing from two, and on a busy machine a second thread
    costs it a factor of five.
    """
    types, retain, forget = (
        np.asarray(array)
        for array in (objective.types, objective.retain_weight, objective.forget_weight)
    )
    weights = np.zeros(types.shape[1])
    for strength in strengths:
        coefficients = retain - strength * forget

        def value(w, c=coefficients):
            return c @ np.logaddexp(0, -(types @ w)) + RIDGE / 2 * w @ w

        def gradient(w, c=coefficients):
            return RIDGE * w - (c * special.expit(-(types @ w))) @ types

        def hessian(w, c=coefficients):
            odds = special.expit(-(types @ w))
            return (types.T * (c * odds * (1 - odds))) @ types + RIDGE * np.eye(len(w))

        options = {"gtol": GRADIENT_TOLERANCE}
        with threadpool_limits(1):
            weights = optimize.minimize(
                value, weights, method="trust-exact", jac=gradient, hess=hessian, options=options
            ).x
    return weights


def median_seconds(call, turns: int = 5) -> float:
    """Median time of a call that is compiled already."""
    jax.block_until_ready(call())
    return float(np.median([timing.seconds(call) for _ in range(turns)]))


def bare_products(objective, anchors: int) -> float:
    """Seconds of the matrix products alone.

    There is a Hessian for each anchor and some nine Newton steps, and five passes over all
    strengths.

    Four of these are gradients, one is their scale.
    """
    types, batch = objective.types, jnp.ones((STRENGTHS, DIMENSION))
    hessian = jax.jit(lambda matrix: matrix.T @ (matrix * 2))
    both = jax.jit(lambda matrix, weights: (weights @ matrix.T) @ matrix)
    return (anchors + 9) * median_seconds(lambda: hessian(types)) + 5 * median_seconds(
        lambda: both(types, batch)
    )


def growth() -> str:
    """How the time grows with the number of strengths and of samples."""
    base, counts, sizes = problem(), (10, 100, 1000), (1250, 5000, 20000)
    by_count = [
        median_seconds(
            lambda q=q: path.ascent_path(base, np.linspace(0, LARGEST, q), search_to=LARGEST)
        )
        for q in counts
    ]
    grid = np.linspace(0, LARGEST, STRENGTHS)
    problems = [problem(size) for size in sizes]
    by_size = [
        median_seconds(lambda one=one: path.ascent_path(one, grid, search_to=LARGEST))
        for one in problems
    ]

    def listed(keys, seconds):
        return ", ".join(
            f"{key} in {1e3 * value:.0f} ms" for key, value in zip(keys, seconds, strict=True)
        )

    return (
        f"Time by number of strengths: {listed(counts, by_count)}. "
        f"Time by number of rows: {listed(sizes, by_size)}"
    )


def rows() -> Iterator[dict]:
    """Two rows: up to the largest strength, and on to the fold (which SciPy does not look for)."""
    base, grid = problem(), np.linspace(0, LARGEST, STRENGTHS)
    objective = base.objective()
    for name, options in (
        (f"up to {LARGEST}", {"search_to": LARGEST}),
        (f"up to {LARGEST}, and the fold", {}),
    ):

        def ours(options=options):
            return path.ascent_path(base, grid, **options)

        start = time.perf_counter()
        found = jax.block_until_ready(ours())
        first = time.perf_counter() - start
        difference = np.abs(scipy_path(objective, grid) - found.weights[-1]).max()
        if not (
            found.exists.all()
            and found.gradient_norm.max() < GRADIENT_TOLERANCE
            and difference < 1e-6
        ):
            raise RuntimeError(f"the two paths differ by {difference:.1e}")
        comparison = timing.interleaved(ours, lambda: scipy_path(objective, grid), turns=5)
        line = continuation.upward(objective)
        trace, *_ = continuation.trace_of(
            objective.loss, line, minimise.retrain(objective).weights, found.searched_to
        )
        bare = bare_products(objective, int(trace.anchors))
        yield {
            "work": f"ascent_path, {STRENGTHS} strengths {name}, n={SAMPLES}, d={DIMENSION}",
            "against": f"{STRENGTHS} warm-started scipy minimize(trust-exact)",
            **comparison._asdict(),
            "compile_seconds": max(0.0, first - comparison.ours_seconds),
            "target": 20,
            "limit": f"The matrix products alone take {1e3 * bare:.0f} ms, and ours takes "
            f"{comparison.ours_seconds / bare:.1f} times that",
            "growth": growth() if options else None,
        }
