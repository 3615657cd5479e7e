"""Each method against the same computation in NumPy and scikit-learn; noise against integrals."""

import math

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

import gda_theory as gt
from gda_theory import deletion

RIDGE = 0.05


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(2)
    features = rng.normal(size=(120, 4))
    labels = np.where(features @ [1.0, -1, 0.5, 0] + rng.logistic(size=120) > 0, 1, -1)
    return gt.Problem(features, labels, np.arange(120) < 6, ridge=RIDGE)


@pytest.fixture(scope="module")
def parts(problem):
    """Types of the kept and of the forgotten rows."""
    types = np.asarray(problem.signs)[:, None] * np.asarray(problem.features)
    forget = np.asarray(problem.forget)
    return types[~forget], types[forget]


@pytest.fixture(scope="module")
def start(problem):
    return refit(problem.features, problem.signs)


def refit(features, labels, ridge=RIDGE):
    """scikit-learn's minimum of a mean loss."""
    fitted = LogisticRegression(
        C=1 / (ridge * len(labels)), fit_intercept=False, solver="newton-cholesky", tol=1e-13
    )
    return fitted.fit(np.asarray(features), np.asarray(labels)).coef_[0]


def loss_gradient(types, weights):
    return -expit(-types @ weights) @ types / len(types)


def test_newton_steps_are_those_of_the_formula(problem, parts, start):
    expected = start
    for steps in (1, 2):
        odds = expit(-parts[0] @ expected)
        hessian = (parts[0].T * (odds * (1 - odds))) @ parts[0] / len(parts[0])
        slope = loss_gradient(parts[0], expected) + RIDGE * expected
        expected = expected - np.linalg.solve(hessian + RIDGE * np.eye(4), slope)
        found = deletion.newton(problem, start, steps=steps)
        np.testing.assert_allclose(found.weights, expected, rtol=1e-10)
        assert (found.cost.gradients, found.cost.hessians) == (0, steps)
    np.testing.assert_allclose(
        deletion.newton(problem, start).weights, gt.newton_step(problem, start), rtol=1e-10
    )


def test_retraining_is_scikit_learns(problem, start):
    kept = ~np.asarray(problem.forget)
    expected = refit(np.asarray(problem.features)[kept], np.asarray(problem.signs)[kept])
    for begin in (start, np.zeros(4), 30 * start):
        found = deletion.retrain(problem, begin)
        np.testing.assert_allclose(found.weights, expected, rtol=1e-10)
        assert found.distance_bound < 1e-11
    own = problem.replace(loss=gt.margin_loss("copy", gt.logistic.value))
    np.testing.assert_allclose(deletion.retrain(own, start).weights, expected, rtol=1e-9)


def test_descent_and_ascent_are_loops_over_gradients(problem, parts, start):
    smoothness = np.linalg.eigvalsh(parts[0].T @ parts[0])[-1] / len(parts[0]) / 4 + RIDGE
    down = up = start
    rate = 2 / (smoothness + RIDGE)
    for _ in range(7):
        down = down - rate * (loss_gradient(parts[0], down) + RIDGE * down)
        up = up + rate * (loss_gradient(parts[1], up) - RIDGE * up)
    found = deletion.fine_tune(problem, start, 7)
    np.testing.assert_allclose(found.weights, down, rtol=1e-10)
    assert found.cost.gradients == 7
    assert found.distance_bound < deletion.distance_bound(problem, start)
    np.testing.assert_allclose(deletion.pure_ascent(problem, start, 7).weights, up, rtol=1e-10)
    run = gt.simulate(problem, start, step_size=rate, epochs=7, scheme="pure_ascent")
    np.testing.assert_allclose(run.weights, up, rtol=1e-10)
    with pytest.raises(ValueError, match="steps must be >= 1"):
        deletion.fine_tune(problem, start, 0)
    with pytest.raises(ValueError, match="step_size must be finite and > 0"):
        deletion.pure_ascent(problem, start, 1, step_size=-1)
    lost = deletion.pure_ascent(problem.replace(loss="exponential"), start, 90, step_size=100.0)
    assert lost.distance_bound == np.inf
    assert lost.certificate.reason == "the gradient at the weights overflows"
    assert np.all(np.isfinite(lost.weights))
    assert lost.cost.gradients < 10


def test_the_results_are_float64_whatever_the_settings(problem, start):
    import jax

    with jax.enable_x64(False):
        single = gt.Problem(
            np.asarray(problem.features, np.float32),
            np.asarray(problem.signs),
            np.asarray(problem.forget),
            ridge=0.0625,
        )
        found = deletion.retrain(single, start)
    assert found.weights.dtype == np.float64
    assert found.distance_bound < 1e-11


# Noise ------------------------------------------------------------------------------------------


def least_delta(distance, scale, epsilon):
    """``delta`` of two normal laws from its definition, an integral."""
    first, second = stats.norm(0, scale), stats.norm(distance, scale)

    def excess(x):
        return max(first.pdf(x) - math.exp(epsilon) * second.pdf(x), 0)

    # The integrand is positive left of this point.
    end = distance / 2 - epsilon * scale**2 / distance
    return integrate.quad(excess, end - 40 * scale, end, epsabs=0, limit=500)[0]


@pytest.mark.parametrize(
    ("epsilon", "delta"), [(1.0, 1e-5), (0.1, 1e-3), (8.0, 1e-9), (0.0, 0.1), (30.0, 0.3)]
)
def test_the_noise_is_enough_and_no_more(epsilon, delta):
    noise = deletion.gaussian_noise(0.3, epsilon, delta)
    np.testing.assert_allclose(least_delta(0.3, noise.scale, epsilon), delta, rtol=1e-6)
    assert least_delta(0.3, 0.99 * noise.scale, epsilon) > delta
    assert noise.distance == 0.3
    np.testing.assert_allclose(
        deletion.gaussian_noise(3.0, epsilon, delta).scale, 10 * noise.scale, rtol=1e-12
    )


def test_the_constant_of_descent_to_delete():
    lipschitz, convexity, smoothness, count, steps = 2.0, 0.1, 1.3, 1000, 5
    epsilon, delta = 1.0, 1e-6
    found = deletion.descent_to_delete_scale(
        lipschitz, convexity, smoothness, count, steps, epsilon, delta
    )
    # The steady error solves e = contraction (e + shift), for at least half of the rows.
    contraction = ((smoothness - convexity) / (smoothness + convexity)) ** steps
    shift = 2 * lipschitz / (convexity * count / 2)
    error = contraction * shift / (1 - contraction)
    # The Rényi divergence of order a is a rho; epsilon = rho + 2 sqrt(rho log(1/delta)).
    rho = (2 * error) ** 2 / (2 * found**2)
    np.testing.assert_allclose(rho + 2 * math.sqrt(rho * math.log(1 / delta)), epsilon, rtol=1e-12)
    assert deletion.gaussian_noise(2 * error, epsilon, delta).scale < found


def test_published_weights_carry_their_guarantee(problem, start):
    plain = deletion.newton(problem, start)
    options = {"epsilon": 1.0, "delta": 1e-5, "seed": 7}
    found = deletion.published(problem, plain, **options)
    assert found.noise == deletion.gaussian_noise(plain.distance_bound, 1.0, 1e-5)
    again = deletion.published(problem, plain, **options)
    np.testing.assert_array_equal(again.weights, found.weights)
    drawn = [
        deletion.published(problem, plain, **(options | {"seed": seed})).weights - plain.weights
        for seed in range(60)
    ]
    np.testing.assert_allclose(np.std(drawn), found.noise.scale, rtol=0.2)
    assert abs(np.mean(drawn)) < 0.3 * found.noise.scale
    # The certificate is that of the weights with the noise.
    assert found.certificate == deletion.certified(problem, found.weights)
    wide = deletion.published(problem, plain, distance_limit=0.5, **options)
    assert wide.noise.distance == 0.5
    with pytest.raises(ValueError, match="distance_limit is exceeded"):
        deletion.published(problem, plain, distance_limit=1e-9, **options)
    for bad, message in (
        ({"epsilon": -1.0}, "epsilon must be finite and >= 0"),
        ({"delta": 1.0}, "delta must be > 0 and < 1"),
        ({"delta": 0.0}, "delta must be finite and > 0"),
        ({"seed": -1}, "seed must be >= 0"),
    ):
        with pytest.raises(ValueError, match=message):
            deletion.published(problem, plain, **(options | bad))


def test_noisy_descent_bounds_its_own_error(problem, start):
    options = {"epsilon": 1.0, "delta": 1e-5, "seed": 7}
    found = deletion.noisy_descent(problem, start, steps=40, **options)
    oracle = deletion.retrain(problem, start).weights
    longest = np.linalg.norm(problem.features, axis=1).max()
    rate = 2 / (longest**2 / 4 + 2 * RIDGE)
    before = deletion.fine_tune(problem, start, 40, step_size=rate).weights
    assert 2 * np.linalg.norm(before - oracle) <= found.noise.distance
    assert np.linalg.norm(found.weights - before) < 10 * found.noise.scale
    public = deletion.noisy_descent(problem, start, steps=40, row_bound=8.0, **options)
    assert public.noise.scale > found.noise.scale
    for changed, begin, message in (
        ({"loss": "exponential"}, start, "loss must be 'logistic'"),
        ({"ridge": [0.1, 0.1, 0.1, 0.2]}, start, "ridge must be one number > 0"),
        ({"sample_weight": np.arange(120) + 1.0}, start, "sample_weight must be 1"),
        ({}, start + 100, "start must be the pretrained model"),
    ):
        with pytest.raises(ValueError, match=message):
            deletion.noisy_descent(problem.replace(**changed), begin, **options)
    with pytest.raises(ValueError, match="row_bound must be at least the longest row"):
        deletion.noisy_descent(problem, start, row_bound=0.1, **options)
