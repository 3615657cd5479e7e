"""The simulator, tested against closed forms, maps composed by hand and plain loops.

Further tests check what theory says about finite steps.
"""

import functools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import gda_theory as gt
from gda_theory.codes import Outcome
from gda_theory.dynamics import blocks, simulation
from tests.pair_blocks import in_blocks

HALVES = {
    "simultaneous": [(1, 1)],
    "retain_first": [(1, 0), (0, 1)],
    "forget_first": [(0, 1), (1, 0)],
    "pure_ascent": [(0, 1)],
}
PHI = {"exponential": lambda m: np.exp(-m), "logistic": lambda m: 1 / (1 + np.exp(m))}


def by_hand(objective, weights, step, scheme, strength=1.0, loss="exponential"):
    """One epoch in NumPy, written from App. D.3, for any batch."""
    types, retain, forget, ridge = (np.asarray(leaf) for leaf in jax.tree.leaves(objective)[:4])
    for kept, dropped in HALVES[scheme]:
        margins = np.einsum("...kd,...d->...k", types, weights)
        slopes = (kept * retain - dropped * np.asarray(strength)[..., None] * forget) * PHI[loss](
            margins
        )
        weights = weights - np.asarray(step)[..., None] * (
            ridge * weights - np.einsum("...kd,...k->...d", types, slopes)
        )
    return weights


def random_pairs(loss, count=200):
    """Pairs with a minimum, at least a quarter below the fold.

    Their ridges are so large that a few thousand epochs settle.
    """
    keys = jax.random.split(jax.random.key(7), 3)
    correlation = jax.random.uniform(keys[0], count, minval=0.01, maxval=0.95)
    ridge = 10 ** jax.random.uniform(keys[1], count, minval=-2, maxval=0.5)
    pair = gt.CorrelatedPair(
        correlation, ridge=ridge, retain_size=80, forget_size=20, retain_in_pair=8, loss=loss
    )
    folds = in_blocks(gt.pair.folds, pair).alpha
    fold = np.where(np.isnan(folds[:, 0]), 2.5, np.minimum(folds[:, 0], 2.5))
    return pair.replace(forget_in_pair=8 * fold * jax.random.uniform(keys[2], count, maxval=0.75))


@pytest.fixture(
    scope="module", params=["exponential", pytest.param("logistic", marks=pytest.mark.slow)]
)
def pairs(request):
    pair = random_pairs(request.param)
    # No curvature between the oracle and the minimum exceeds this: half-steps settle one by one.
    ends = [
        pair.objective().margins(in_blocks(found, pair).weights)
        for found in (gt.pair.retrain, gt.pair.descent_ascent)
    ]
    bend = (
        np.maximum(*(pair.loss.curvature(margins) for margins in ends))
        if request.param == "exponential"
        else 0.25
    )
    masses = np.stack(pair.ascent_masses, -1)
    curvature = np.asarray(pair.ridge) + np.asarray(pair.gram.first) * np.sum(masses * bend, -1)
    return request.param, pair, 0.5 / curvature


def test_the_simulator_ends_where_the_closed_form_is(pairs):
    _, pair, step = pairs
    start = in_blocks(gt.pair.retrain, pair).weights
    run = gt.simulate(pair, start, step_size=step, epochs=200_000)
    assert np.all(run.outcome == Outcome.CONVERGED)
    exact = in_blocks(gt.pair.descent_ascent, pair)
    assert np.all(exact.exists)
    scale = np.max(np.abs(exact.weights), -1, keepdims=True)
    assert np.all(np.abs(run.weights - exact.weights) <= 1e-10 * scale)
    assert np.all(run.period == 0)
    assert np.all(run.epochs <= 200_000)


@pytest.mark.slow
def test_the_simulator_ends_where_the_continuation_is(pairs):
    _, pair, step = pairs
    run = gt.simulate(
        pair, in_blocks(gt.pair.retrain, pair).weights, step_size=step, epochs=200_000
    )
    assert np.all(run.outcome == Outcome.CONVERGED)
    continued = np.asarray(in_blocks(gt.descent_ascent, pair).weights)
    scale = np.max(np.abs(continued), -1, keepdims=True)
    assert np.all(np.abs(run.weights - continued) <= 1e-10 * scale)


@pytest.mark.parametrize("scheme", ["retain_first", "forget_first"])
def test_alternating_ends_at_the_fixed_point_of_its_own_map(pairs, scheme):
    """The fixed point is found by Newton's method on the map composed by hand.

    The Jacobian is taken by differences. The start is the minimum with the ridge doubled.
    """
    loss, pair, step = pairs
    objective = pair.objective()
    start = in_blocks(gt.pair.retrain, pair).weights
    run = gt.simulate(pair, start, step_size=step, epochs=200_000, scheme=scheme)
    assert np.all(run.outcome == Outcome.CONVERGED)
    root = in_blocks(gt.pair.descent_ascent, pair.replace(ridge=2 * pair.ridge)).weights
    step = np.asarray(step)
    for _ in range(20):
        miss = by_hand(objective, root, step, scheme, 1.0, loss) - root
        width = 1e-6
        columns = [
            (
                by_hand(objective, root + width * unit, step, scheme, 1.0, loss)
                - by_hand(objective, root - width * unit, step, scheme, 1.0, loss)
            )
            / (2 * width)
            for unit in np.eye(2)
        ]
        root = root - np.linalg.solve(np.stack(columns, -1) - np.eye(2), miss[..., None])[..., 0]
    scale = np.max(np.abs(root), -1, keepdims=True)
    assert np.all(np.abs(run.weights - root) <= 1e-10 * scale)
    # It is no stationary point of descent-ascent, since it depends on the step size.
    assert np.mean(run.gradient_norm > 1e-6) > 0.9


def coordinate(a, b, ridge, loss=gt.exponential):
    """One coordinate: ``a exp(-w)`` retained, ``b exp(-w)`` forgotten; a batch if ``b`` is one."""
    b = jnp.asarray(b, float)
    shape = b.shape

    def full(value):
        return jnp.broadcast_to(jnp.asarray(value, float), shape)[..., None]

    return gt.Objective(
        jnp.ones((*shape, 1, 1)), full(a), full(b), full(ridge), jnp.full(shape, 0.25), loss, "mean"
    )


@pytest.mark.parametrize("scheme", ["retain_first", "forget_first"])
def test_the_exact_alternating_maps_to_four_ulp(scheme):
    """The maps against the composed map of App. D.3 at 50 digits.

    An ulp is that of the largest term that is added, since terms may cancel.
    """
    rng = np.random.default_rng(0)
    a, b, ridge, step = (10 ** rng.uniform(-2, 0.5, 100) for _ in range(4))
    w = rng.uniform(-2, 3, 100)
    found = gt.simulation.epoch(
        gt.Objective(
            jnp.ones((100, 1, 1)),
            a[:, None],
            b[:, None],
            ridge[:, None],
            jnp.ones(100),
            gt.exponential,
            "mean",
        ),
        w[:, None],
        step_size=step,
        scheme=scheme,
    )[:, 0]
    with mpmath.workdps(50):
        for i in range(100):
            ai, bi, li, ei, wi = (mpmath.mpf(float(array[i])) for array in (a, b, ridge, step, w))
            if scheme == "retain_first":
                d = li * wi - ai * mpmath.exp(-wi)
                middle = wi - ei * d
                exact = (
                    wi
                    - ei * d
                    - ei * li * (wi - ei * d)
                    - ei * bi * mpmath.exp(-wi) * mpmath.exp(ei * d)
                )
                push = ei * bi * mpmath.exp(-middle)
            else:
                g = li * wi + bi * mpmath.exp(-wi)
                middle = wi - ei * g
                exact = (
                    wi
                    - ei * g
                    - ei * li * (wi - ei * g)
                    + ei * ai * mpmath.exp(-wi) * mpmath.exp(ei * g)
                )
                push = ei * ai * mpmath.exp(-middle)
            # The exponential passes on an error of the middle point, with its own size as the
            # condition number.
            terms = max(
                abs(wi),
                abs(ei * li * wi),
                ei * ai * mpmath.exp(-wi),
                ei * bi * mpmath.exp(-wi),
                abs(middle),
            )
            size = max(terms * (1 + push), push, abs(exact))
            assert abs(mpmath.mpf(float(found[i])) - exact) <= 4 * np.spacing(float(size))


@pytest.mark.parametrize(("scheme", "sign"), [("retain_first", -1), ("forget_first", 1)])
def test_the_expansion_in_the_step_and_its_remainder(scheme, sign):
    """App. D.3 has the terms in eta, eta^2 and eta^3. The remainder falls like eta^4."""
    a, b, ridge, w = 0.7, 0.9, 0.3, 0.4
    objective = coordinate(a, b, ridge)
    force, back = (a, b) if sign < 0 else (-b, -a)
    d = ridge * w - force * np.exp(-w)
    steps = np.array([0.1, 0.05, 0.025, 0.0125])
    left = []
    for step in steps:
        found = float(gt.simulation.epoch(objective, [w], step_size=step, scheme=scheme)[0])
        linear = -step * (2 * ridge * w - (a - b) * np.exp(-w))
        square = step**2 * d * (ridge - back * np.exp(-w))
        cube = -(step**3) * back * np.exp(-w) * d**2 / 2
        left.append(found - (w + linear + square + cube))
    slopes = np.diff(np.log(np.abs(left))) / np.diff(np.log(steps))
    np.testing.assert_allclose(slopes, 4, atol=0.1)


@pytest.mark.parametrize("step", [1e-3, 0.1])
def test_alternating_rests_where_simultaneous_has_no_limit(step):
    """With the ridge to 0, w* = ln(eta a/ln(b/a)) or ln(eta b/ln(b/a)).

    It is stable below b/a = exp(sqrt 2) = 4.1133. Above, there is a 2-cycle.
    """
    ratio = np.array([1.5, 3.0, 4.0, 4.2])
    objective = coordinate(1.0, ratio, 1e-12)
    counts = {
        "retain_size": 4,
        "forget_size": 1,
        "retain_in_coordinate": 4,
        "forget_in_coordinate": ratio,
        "allow_unrealisable": True,
    }
    for scheme, numerator in (("retain_first", 1.0), ("forget_first", ratio)):
        rest = np.log(step * numerator / np.log(ratio))
        known = gt.coordinate.alternating_rest(
            gt.Coordinate(ridge=1e-12, **counts), step_size=step, scheme=scheme
        )
        np.testing.assert_allclose(known.weight, rest, rtol=1e-14)
        run = gt.simulate(
            objective, rest[:, None] + 1e-3, step_size=step, epochs=40_000, scheme=scheme
        )
        np.testing.assert_array_equal(run.outcome, [Outcome.CONVERGED] * 3 + [Outcome.CYCLE])
        np.testing.assert_array_equal(run.period, [0, 0, 0, 2])
        # The ridge moves the point by about ridge/step.
        np.testing.assert_allclose(run.weights[:3, 0], rest[:3], atol=1e-8)
        slope = gt.simulation.epoch_jacobian(
            objective, rest[:, None], step_size=step, scheme=scheme
        )
        np.testing.assert_allclose(slope[:, 0, 0], known.multiplier, atol=1e-8)
        np.testing.assert_allclose(known.multiplier, 1 - np.log(ratio) ** 2, rtol=1e-14)
    gone = gt.simulate(objective, np.zeros(1), step_size=step, epochs=40_000)
    assert np.all(gone.outcome == Outcome.LEFT_RANGE)


def test_the_two_cycle_above_the_fold():
    pair = gt.CorrelatedPair(
        0.5, ridge=0.01, retain_size=80, forget_size=20, retain_in_pair=80, forget_in_pair=0
    )
    pair = pair.replace(forget_in_pair=80 * 1.01 * in_blocks(gt.pair.folds, pair).alpha[0])
    start = np.linalg.solve(pair.types, [2.7, 1.7])
    run = gt.simulate(pair, start, step_size=50.0, epochs=20_000)
    assert (run.outcome, run.period) == (Outcome.CYCLE, 2)
    both = [run.weights, gt.simulation.epoch(pair, run.weights, step_size=50.0)]
    margins = np.array(sorted(pair.objective().margins(w).tolist() for w in both))
    # Moves shrink by a fixed factor each epoch. The cycle is seen when it closes to 1e-6, and is
    # followed to the end of its block.
    np.testing.assert_allclose(
        margins, [[2.67902179985, 1.71055360311], [4.67015294613, 3.08835342462]], rtol=1e-6
    )
    # Two epochs shrink a deviation, by Hessians written out by hand, so the cycle attracts.
    types, masses = np.asarray(pair.types), np.array([1, -float(pair.forget_in_pair) / 20])
    hand = [
        np.eye(2) - 50 * (0.01 * np.eye(2) + types.T @ np.diag(masses * np.exp(-types @ w)) @ types)
        for w in both
    ]
    found = [gt.simulation.epoch_jacobian(pair, w, step_size=50.0) for w in both]
    np.testing.assert_allclose(found, hand, rtol=1e-12)
    assert np.all(np.abs(np.linalg.eigvals(found[1] @ found[0])) < 1)
    longer = gt.simulate(
        pair,
        run.weights,
        step_size=50.0,
        epochs=3000,
        observe=gt.recorded_weights,
        observe_every=3000,
    )
    margins = np.asarray(pair.objective().margins(longer.weights))
    nearest = min(
        ([2.67902179985, 1.71055360311], [4.67015294613, 3.08835342462]),
        key=lambda c: np.abs(margins - c).max(),
    )
    np.testing.assert_allclose(margins, nearest, rtol=1e-11)


def test_the_escape_time_just_above_the_fold():
    """For small steps, the escape time is pi/(ridge kappa sqrt(delta)) up to a constant.

    kappa follows from the rates near the fold.
    """
    pair = gt.CorrelatedPair(
        0.5, ridge=0.1, retain_size=80, forget_size=20, retain_in_pair=8, forget_in_pair=0
    )
    folds = in_blocks(gt.pair.folds, pair)
    fold = float(folds.alpha[0])
    delta = np.array([1e-3, 2.5e-4, 6.25e-5])
    above = gt.grid(pair, alpha=fold * (1 + delta))
    step = 0.05
    run = gt.simulate(
        above, in_blocks(gt.pair.retrain, above).weights, step_size=step, epochs=1_000_000
    )
    assert np.all(run.outcome == Outcome.LEFT_RANGE)
    k11, k12, k22, det = (float(entry) for entry in pair.gram)
    x = float(folds.x[0])
    y = float(folds.y[0])
    p = 0.1 / 0.1 * np.exp(-x)
    q = fold * 8 / 20 / 0.1 * np.exp(-y)
    np.testing.assert_allclose([k11 * p - k12 * q, k12 * p - k22 * q], [x, y], rtol=1e-12)
    theta = k12 / (k22 + det * p)
    kappa = np.sqrt(q * (q - p * theta**3) / 2) / (q - p * theta**2)
    times = step * np.asarray(run.seen_at)
    predicted = np.pi / (0.1 * kappa * np.sqrt(delta))
    # The difference is a constant, so the slope of measured against predicted is 1.
    np.testing.assert_allclose(np.diff(times) / np.diff(predicted), 1, atol=0.02)


def test_observations_on_the_way_equal_a_plain_loop():
    pair = random_pairs("exponential", 5)
    start = in_blocks(gt.pair.pretrain, pair).weights
    step = np.full(5, 0.3)
    objective = pair.objective()
    target = in_blocks(gt.pair.retrain, pair).weights
    for scheme in HALVES:
        run = gt.simulate(
            pair,
            start,
            step_size=0.3,
            epochs=10,
            scheme=scheme,
            observe=gt.recorded_weights,
            observe_every=3,
        )
        loop = [start]
        for _ in range(10):
            loop.append(by_hand(objective, loop[-1], step, scheme))
        np.testing.assert_array_equal(run.observed_epochs, [0, 3, 6, 9])
        np.testing.assert_allclose(run.observed, np.stack(loop[:10:3], 1), rtol=1e-13)
        np.testing.assert_allclose(run.weights, loop[-1], rtol=1e-13)
        np.testing.assert_array_equal(run.epochs, 10)
    apart = gt.simulate(
        pair, start, step_size=0.3, epochs=10, observe=gt.distances_to(target[:, None, :])
    )
    loop = [start]
    for _ in range(10):
        loop.append(by_hand(objective, loop[-1], step, "simultaneous"))
    np.testing.assert_allclose(
        apart.observed[..., 0],
        np.linalg.norm(np.stack(loop, 1) - target[:, None], axis=-1),
        rtol=1e-12,
    )


def test_starts_steps_and_strengths_broadcast():
    pair = random_pairs("exponential", 5)
    starts = np.array([[0.0, 0.0], [1.0, -0.5]])
    steps = np.array([0.1, 0.4])
    strengths = np.linspace(0, 1, 3)
    run = gt.simulate(
        pair,
        starts[:, None, None, None],
        step_size=steps[:, None, None],
        strength=strengths[:, None],
        epochs=7,
    )
    assert run.weights.shape == (2, 2, 3, 5, 2)
    assert (
        run.outcome.shape
        == run.move.shape
        == run.gradient_norm.shape
        == run.step_size.shape
        == (2, 2, 3, 5)
    )
    expected = np.broadcast_to(starts[:, None, None, None], run.weights.shape)
    for _ in range(7):
        expected = by_hand(
            pair.objective(), expected, steps[:, None, None], "simultaneous", strengths[:, None]
        )
    np.testing.assert_allclose(run.weights, expected, rtol=1e-12)


def test_schedules_and_ascent_first():
    pair = random_pairs("exponential", 1)
    pair = jax.tree.map(lambda leaf: leaf[0], pair)
    objective, start = pair.objective(), np.zeros(2)
    factors = 1 / (1 + np.arange(12.0))
    expected = start
    for factor in factors:
        expected = by_hand(objective, expected, 0.4 * factor, "simultaneous")
    for schedule in (factors, lambda epoch: 1 / (1 + epoch)):
        run = gt.simulate(pair, start, step_size=0.4, epochs=12, schedule=schedule)
        np.testing.assert_allclose(run.weights, expected, rtol=1e-13)
    types, retain, forget, ridge = (np.asarray(leaf) for leaf in jax.tree.leaves(objective)[:4])
    expected = start
    for epoch in range(12):
        weights = -forget if epoch < 4 else retain
        expected = expected - 0.4 * (
            ridge * expected - types.T @ (weights * np.exp(-types @ expected))
        )
    run = gt.simulate(pair, start, step_size=0.4, epochs=12, scheme=gt.ascent_then_descent(4))
    np.testing.assert_allclose(run.weights, expected, rtol=1e-13)


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(30, 4))
    labels = np.where(features @ [1.0, -1, 0.5, 0] + rng.logistic(size=30) > 0, 1, -1)
    return gt.Problem(features, labels, np.arange(30) < 6, ridge=0.1)


def test_data_run_as_they_do_in_a_plain_loop(problem):
    objective, start = problem.objective(), np.linspace(-1, 1, 4)
    steps, strengths = np.array([0.1, 0.5, 0.5]), np.array([1.0, 1.0, 0.2])
    run = gt.simulate(
        problem, start, step_size=steps, strength=strengths, epochs=50, scheme="forget_first"
    )
    for i in range(3):
        expected = start
        for _ in range(50):
            expected = by_hand(
                objective, expected, steps[i], "forget_first", strengths[i], "logistic"
            )
        np.testing.assert_allclose(run.weights[i], expected, rtol=1e-12)
    # jit and vmap change nothing.
    again = jax.jit(
        jax.vmap(
            lambda step, strength: gt.simulate(
                problem, start, step_size=step, strength=strength, epochs=50, scheme="forget_first"
            )
        )
    )
    np.testing.assert_allclose(again(steps, strengths).weights, run.weights, rtol=1e-13)


def test_the_minibatches_of_a_shuffle_average_to_the_full_gradient(problem):
    """A schedule lets one minibatch act at a time, so each acts on the same weights.

    Every row is in exactly one of the minibatches of a shuffle.
    """
    objective, start = problem.objective(), np.linspace(-1, 1, 4)
    moves = [
        start
        - gt.simulate(
            problem,
            start,
            step_size=1.0,
            epochs=6,
            batch_size=5,
            key=jax.random.key(3),
            schedule=only,
        ).weights
        for only in np.eye(6)
    ]
    np.testing.assert_allclose(np.mean(moves, 0), objective.gradient(start), rtol=1e-13, atol=1e-14)
    # One coordinate for each row: the weights show which rows have acted, and how often.
    rows = gt.Objective(
        jnp.eye(12),
        jnp.ones(12),
        jnp.zeros(12),
        jnp.zeros(12),
        jnp.asarray(0.25),
        gt.logistic,
        "mean",
    )
    lap = gt.simulate(
        rows,
        np.zeros(12),
        step_size=1.0,
        epochs=4,
        batch_size=3,
        key=jax.random.key(0),
        observe=gt.recorded_weights,
    )
    acted = np.diff(lap.observed, axis=0) > 0
    np.testing.assert_array_equal(np.sum(acted, 1), [3] * 4)
    np.testing.assert_array_equal(np.sum(acted, 0), [1] * 12)
    np.testing.assert_allclose(lap.weights, 4 * 0.5)  # 12/3 times phi(0)


def test_minibatches_are_right_on_average_and_use_every_row_once(problem):
    objective, start = problem.objective(), np.linspace(-1, 1, 4)

    def first(key):
        return gt.simulate(problem, start, step_size=1.0, epochs=1, batch_size=5, key=key).weights

    moves = start - jax.vmap(first)(jax.random.split(jax.random.key(0), 2000))
    error = np.std(moves, 0) / np.sqrt(2000)
    assert np.all(np.abs(np.mean(moves, 0) - objective.gradient(start)) < 4 * error)
    # With tiny steps, the minibatches of one shuffle add up to one epoch on all rows.
    many = gt.simulate(
        problem, start, step_size=1e-7, epochs=6, batch_size=5, key=jax.random.key(3)
    )
    np.testing.assert_allclose(
        (start - many.weights) / 6e-7, objective.gradient(start), rtol=1e-5, atol=1e-6
    )
    again = gt.simulate(
        problem, start, step_size=1e-7, epochs=6, batch_size=5, key=jax.random.key(3)
    )
    np.testing.assert_array_equal(many.weights, again.weights)
    long = gt.simulate(
        problem, start, step_size=0.1, epochs=500, batch_size=7, key=jax.random.key(3)
    )
    assert long.outcome == Outcome.MOVING
    assert long.scheme.batch_size == 7


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_no_nan_leaves_and_the_step_is_right(dtype):
    """The exponential loss past its fold, also at very large steps.

    The run ends at the last finite iterate, after as many epochs as a plain loop makes.
    """
    with jax.enable_x64(dtype == np.float64):
        pair = gt.CorrelatedPair(
            0.5, ridge=0.1, retain_size=80, forget_size=20, retain_in_pair=8, forget_in_pair=4
        )
        steps = np.array([0.3, 1.0, 1e4, 1e30])
        run = gt.simulate(pair, np.zeros(2), step_size=steps, epochs=1000)
        assert run.weights.dtype == dtype
        assert np.all(np.isfinite(run.weights))
        assert np.all(np.isfinite(run.move))
        assert not np.any(np.isnan(run.gradient_norm))  # infinite where terms overflow
        assert np.all(run.outcome == Outcome.LEFT_RANGE)
        assert np.all(run.epochs == run.seen_at)
        objective, limit = pair.objective(), np.sqrt(np.finfo(dtype).max)
        for i, step in enumerate(steps.astype(dtype)):
            weights, before, taken = np.zeros(2, dtype), np.zeros(2, dtype), 0
            with np.errstate(all="ignore"):
                while np.all(
                    np.abs(moved := by_hand(objective, weights, step, "simultaneous", dtype(1)))
                    <= limit
                ):
                    weights, before, taken = moved, weights, taken + 1
            assert run.seen_at[i] == taken
            # The exponential of the margin magnifies errors of the last epochs, so logarithms are
            # compared.
            tolerance = 1e-9 if dtype == np.float64 else 1e-3
            np.testing.assert_allclose(
                np.log1p(np.abs(run.weights[i])), np.log1p(np.abs(weights)), rtol=tolerance
            )
            np.testing.assert_allclose(
                np.log1p(run.move[i]), np.log1p(np.max(np.abs(weights - before))), rtol=tolerance
            )


def test_a_set_that_takes_no_part_may_be_hopelessly_wrong():
    """A forget margin of -800, whose loss is infinite.

    Without ascent the run ends at the minimum of the retain set.
    """
    pair = gt.CorrelatedPair(
        0.5, ridge=0.1, retain_size=80, forget_size=20, retain_in_pair=8, forget_in_pair=1
    )
    start = np.linalg.solve(pair.types, [1.0, -800.0])
    run = gt.simulate(pair, start, step_size=1.0, epochs=2000, strength=[0.0, 1.0])
    np.testing.assert_array_equal(run.outcome, [Outcome.CONVERGED, Outcome.LEFT_RANGE])
    retrained = in_blocks(gt.pair.retrain, pair).weights
    np.testing.assert_allclose(run.weights[0], retrained, rtol=1e-10)
    np.testing.assert_array_equal(run.weights[1], start)
    assert np.isfinite(run.gradient_norm[0])
    # At strength 0 the derivative in the strength is still the step size times the gradient of the
    # forget loss.
    _, slope = jax.jvp(
        lambda strength: simulation.epoch(pair, np.zeros(2), step_size=0.3, strength=strength),
        (0.0,),
        (1.0,),
    )
    np.testing.assert_allclose(
        slope, 0.3 * pair.objective().forget_gradient(np.zeros(2)), rtol=1e-14
    )


def test_epochs_without_a_step_show_nothing():
    """A run that stands still because of its schedule has neither converged nor cycled.

    Its ``move`` is that of the last epoch with a step.
    """
    pair = gt.CorrelatedPair(
        0.5, ridge=0.1, retain_size=80, forget_size=20, retain_in_pair=8, forget_in_pair=1
    )
    awake = gt.simulate(
        pair,
        np.zeros(2),
        step_size=1.0,
        epochs=blocks.WATCH,
        schedule=np.ones(blocks.WATCH),
    )
    asleep = np.concatenate([np.ones(blocks.WATCH), np.zeros(9 * blocks.WATCH)])
    run = gt.simulate(pair, np.zeros(2), step_size=1.0, epochs=asleep.size, schedule=asleep)
    assert (run.outcome, run.epochs) == (Outcome.MOVING, asleep.size)
    np.testing.assert_array_equal(run.weights, awake.weights)
    np.testing.assert_array_equal(run.move, awake.move)
    assert run.move > 0
    never = gt.simulate(pair, np.zeros(2), step_size=1.0, epochs=asleep.size, schedule=0 * asleep)
    assert (never.outcome, never.move) == (Outcome.MOVING, 0)


def test_longer_cycles_have_their_period():
    """Beyond e^sqrt(2) the period of alternating steps doubles again and again.

    This happens at b/a = 4.2, 5.0, 5.15 and so on. Beyond, runs have no period, except in windows.
    Near b/a = 5.72 the period is three, which implies all others.
    """
    ratio = np.array([3.8, 4.5, 5.0, 5.72, 5.1, 5.15, 8.0])
    rest = np.log(0.1 / np.log(ratio))
    run = gt.simulate(
        coordinate(1.0, ratio, 1e-9),
        rest[:, None] + 1e-3,
        step_size=0.1,
        epochs=30_000,
        scheme="retain_first",
    )
    for i, b in enumerate(ratio):
        orbit = [float(run.weights[i, 0])]
        for _ in range(64):
            w = orbit[-1] - 0.1 * (1e-9 * orbit[-1] - np.exp(-orbit[-1]))
            orbit.append(w - 0.1 * (1e-9 * w + b * np.exp(-w)))
        move = max(np.abs(np.diff(orbit)))
        returns = [
            period for period in range(1, 65) if abs(orbit[period] - orbit[0]) <= 1e-5 * move
        ]
        if run.outcome[i] == Outcome.CYCLE:
            assert run.period[i] == returns[0]
        else:
            assert (run.outcome[i] == Outcome.CONVERGED) == (move < 1e-9)
    np.testing.assert_array_equal(run.period[:4], [0, 2, 4, 3])
    assert run.outcome[-1] == Outcome.MOVING


BAD = [
    ({"scheme": "sideways"}, "scheme must be one of 'simultaneous'"),
    ({"observe": 5}, "observe must be a function of the weights"),
    (
        {"observe": lambda weights: "text"},
        r"observe must be a function of the weights \(2,\) that JAX can trace .*: .*str",
    ),
    (
        {"observe": lambda weights: float(weights[0])},
        r"observe must be a function of the weights .*: Abstract tracer",
    ),
    (
        {"observe": gt.distances_to([1.0, 2.0, 3.0])},
        "observe must be a function of the weights .*: sub got incompatible shapes",
    ),
    (
        {"observe": jnp.sum, "start": np.zeros((3, 2))},
        r"observe must return arrays that begin with the batch \(3,\) .*, got \(\)",
    ),
    (
        {"schedule": lambda epoch: 1.0 if epoch < 3 else 0.5},
        r"schedule must be a function of the epoch that JAX can trace, or an array",
    ),
    ({"epochs": 2**31}, "epochs must be <= 2147483647, got 2147483648"),
    ({"tolerance": [1e-3, 1e-4]}, "tolerance must be one number"),
    ({"step_size": 0.0}, "step_size must be finite and > 0"),
    ({"scheme": None}, "scheme must be one of 'simultaneous'"),
    ({"step_size": np.inf}, "step_size must be finite and > 0"),
    ({"step_size": [0.1, np.nan]}, r"step_size must be finite and > 0, got nan at index \(1,\)"),
    ({"epochs": True}, "epochs must be an integer"),
    ({"epochs": 0}, "epochs must be >= 1"),
    ({"epochs": 2.5}, "epochs must be an integer"),
    (
        {"schedule": np.ones(9)},
        r"schedule must have shape \(10,\), one factor an epoch, got \(9,\)",
    ),
    ({"schedule": -np.ones(10)}, "schedule must be finite and >= 0"),
    ({"start": np.zeros(3)}, r"start must have shape \(\*batch, 2\)"),
    ({"start": [0.0, np.nan]}, "start must be finite"),
    ({"strength": -2.0}, "strength must be >= "),
    ({"tolerance": 0.0}, "tolerance must be finite and > 0"),
    ({"batch_size": 1}, "key must be given"),
    ({"batch_size": 3, "key": 0}, "batch_size must be <= the number of rows = 2"),
    ({"key": 0}, "batch_size must be given"),
    ({"observe": gt.recorded_weights, "observe_every": 11}, "observe_every must be <= epochs = 10"),
    ({"start": np.zeros((2, 2)), "step_size": np.ones(3)}, "must broadcast to one shape"),
]


@pytest.mark.parametrize(("changes", "message"), BAD)
def test_bad_input_names_the_argument(changes, message):
    pair = gt.CorrelatedPair(
        0.5, ridge=0.1, retain_size=80, forget_size=20, retain_in_pair=8, forget_in_pair=1
    )
    given = {"start": np.zeros(2), "step_size": 0.1, "epochs": 10, **changes}
    with pytest.raises((ValueError, TypeError), match=message):
        gt.simulate(pair, given.pop("start"), **given)


def test_ascent_epochs_are_whole():
    with pytest.raises(ValueError, match="epochs must be >= 1"):
        gt.ascent_then_descent(0)


@pytest.mark.parametrize(
    "half_steps",
    [
        (),
        ((1,),),
        ((1, 1, 1),),
        (("a", 1),),
        ((0, 0),),
        ((0, -1),),
        ((-1, 0),),
        ((np.nan, 1),),
        ((0, np.nan),),
        3,
        ((True, False),),
    ],
)
def test_a_scheme_of_ones_own_is_checked(half_steps):
    with pytest.raises(ValueError, match="half_steps must be pairs"):
        gt.Scheme("own", half_steps)


def test_a_scheme_of_ones_own_runs():
    pair = gt.CorrelatedPair(
        0.5, ridge=0.1, retain_size=80, forget_size=20, retain_in_pair=8, forget_in_pair=1
    )
    run = functools.partial(gt.simulate, pair, np.zeros(2), step_size=0.1, epochs=10)
    np.testing.assert_array_equal(
        run(scheme=gt.Scheme("own", [[1, 0], [0, 1]])).weights, run(scheme="retain_first").weights
    )


def test_a_constant_is_seen_and_an_empty_batch_gives_nothing():
    pair = gt.CorrelatedPair(
        0.5, ridge=0.1, retain_size=80, forget_size=20, retain_in_pair=8, forget_in_pair=1
    )
    seen = gt.simulate(
        pair, np.zeros(2), step_size=0.1, epochs=4, observe=lambda weights: 3.0
    ).observed
    np.testing.assert_array_equal(seen, [3.0] * 5)
    none = gt.simulate(pair, np.zeros((0, 2)), step_size=0.1, epochs=4, observe=gt.recorded_weights)
    assert none.observed.shape == (0, 5, 2)
    assert none.outcome.shape == (0,)


def test_thousands_of_lanes_that_leave_are_seen_to_leave():
    """A lane that left the range must not be called converged.

    XLA's maximum of many lanes on a CPU can lose a NaN.
    """
    pair = gt.CorrelatedPair(
        0.5, ridge=0.01, retain_size=80, forget_size=20, retain_in_pair=80, forget_in_pair=4
    )
    run = gt.simulate(pair, np.zeros((2048, 2)), step_size=np.geomspace(2, 20, 2048), epochs=2000)
    assert np.all(np.isfinite(run.weights))
    few = gt.simulate(
        pair, np.zeros((64, 2)), step_size=np.geomspace(2, 20, 2048)[::32], epochs=2000
    )
    np.testing.assert_array_equal(run.outcome[::32], few.outcome)
    assert not np.any(run.outcome == Outcome.CONVERGED)
