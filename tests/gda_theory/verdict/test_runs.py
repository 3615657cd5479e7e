"""Where the run from the pretrained model ends, against plain gradient descent in NumPy.

Two small tables have a second minimum. There the run from the pretrained model settles in another
minimum than the one that continues the retrained model.
"""

import numpy as np
import pytest

import gda_theory as gt
from gda_theory.codes import RunEnd
from gda_theory.dynamics import endings
from gda_theory.problem.set_losses import set_losses_of
from gda_theory.verdict.decide import Verdict


def rare_class(seed: int, strength: float) -> tuple[gt.Problem, float]:
    """Eighty rows with a rare class, most of it forgotten; sums, an intercept without ridge."""
    choice = np.random.default_rng(seed)
    rare, apart, part = choice.uniform((0.08, 0.5, 0.08), (0.2, 2.5, 0.3))
    ridge = 10 ** choice.uniform(-1.5, 0.5)
    rng = np.random.default_rng(seed % 10_000)
    labels = np.where(rng.random(80) < rare, 1.0, -1.0)
    features = rng.normal(size=(80, 2))
    features[labels > 0, 0] += apart
    score = features[:, 1] + (labels > 0) + 0.5 * rng.normal(size=80)
    forget = np.zeros(80, bool)
    forget[np.argsort(-score)[: int(part * 80)]] = True
    problem = gt.Problem(
        np.column_stack([features, np.ones(80)]),
        labels,
        forget,
        ridge=[ridge, ridge, 0],
        reduction="sum",
    )
    return problem, strength


# seed, strength, the intercepts of the continued minimum and of the run's end, and the epochs
SECOND = [(25_684, 0.7, -9.97, -4.83, 60_000), (11_315, 1.0, -10.27, 3.01, 6_000)]


def descended(problem: gt.Problem, start: np.ndarray, strength: float, epochs: int) -> np.ndarray:
    """The end of plain descent-ascent in NumPy, with a small step."""
    types = np.asarray(problem.signs)[:, None] * np.asarray(problem.features)
    weight = np.where(problem.forget, -strength, 1.0)
    step = 0.4 / np.linalg.eigvalsh(types.T @ types / 4)[-1]
    ridge = np.asarray(problem.ridge)  # of JAX, it would make JAX compute every epoch
    w = start
    for _ in range(epochs):
        w = w - step * (ridge * w - types.T @ (weight / (1 + np.exp(types @ w))))
    return np.asarray(w)


@pytest.mark.parametrize(("seed", "strength", "continued", "reached", "epochs"), SECOND)
def test_the_run_ends_in_another_minimum(seed, strength, continued, reached, epochs):
    problem, strength = rare_class(seed, strength)
    found = gt.diagnose(problem, strength)
    numbers = found.given
    assert numbers.run_end == RunEnd.ELSEWHERE
    assert found.code == Verdict.FARTHER
    oracle = np.asarray(gt.retrain(problem).weights)
    minimum = np.asarray(gt.descent_ascent(problem, strength).weights)
    np.testing.assert_allclose(minimum[-1], continued, atol=0.01)
    end = descended(problem, np.asarray(gt.pretrain(problem).weights), strength, epochs)
    np.testing.assert_allclose(end[-1], reached, atol=0.01)
    np.testing.assert_allclose(numbers.run_distance, np.linalg.norm(end - oracle), rtol=1e-6)
    assert len(numbers.minima) == 2
    np.testing.assert_allclose(
        [minimum.distance for minimum in numbers.minima],
        [np.linalg.norm(minimum - oracle), numbers.run_distance],
        rtol=1e-8,
    )
    assert "the pretrained model" in numbers.minima[1].found_from
    times = [m.distance / numbers.pretrain_distance for m in numbers.minima]
    assert f"The run from your model ends {times[1]:.3g} times as far" in found.verdict
    assert f"continues the retrained one lies {times[0]:.3g} times as far" in found.verdict
    assert "would reach" not in str(found)


def test_where_there_is_one_minimum_the_run_reaches_it():
    rng = np.random.default_rng(5)
    features = rng.normal(size=(80, 3))
    labels = features[:, 0] + rng.logistic(size=80) > 0
    problem = gt.Problem(features, labels, np.arange(80) < 6, ridge=1.0, reduction="sum")
    numbers = gt.diagnose(problem, 0.5).given
    assert numbers.run_end == RunEnd.CONTINUED
    assert len(numbers.minima) == 1
    assert len(numbers.minima[0].found_from) == 4
    np.testing.assert_allclose(numbers.run_distance, numbers.descent_ascent_distance, rtol=1e-9)


def quadratic(curvatures, slope):
    """A losses whose flow is known: w_i(t) = (s_i/c_i)(exp(-c_i t) - 1) from the origin."""
    from gda_theory.problem.set_losses import SetLosses

    return SetLosses(
        gradient=lambda w, retain, forget: retain * (curvatures * w + slope),
        hessian=lambda w, retain, forget: retain * np.diag(curvatures),
        ridge=np.zeros(len(curvatures)),
        rate=0.0,
    )


def test_the_method_is_exact_where_the_objective_is_quadratic():
    curvatures, slope = np.array([1e-3, 1.0, 50.0]), np.array([1.0, -2.0, 3.0])
    end = endings.ending(quadratic(curvatures, slope), np.zeros(3), strength=0.0)
    assert end.end == endings.End.MINIMUM
    np.testing.assert_allclose(end.weights, -slope / curvatures, rtol=1e-10)
    short = endings.ending(quadratic(curvatures, slope), np.zeros(3), strength=0.0, most_steps=2)
    assert short.end == endings.End.UNDECIDED
    np.testing.assert_allclose(
        short.weights, slope / curvatures * np.expm1(-curvatures * short.time), rtol=1e-12
    )


@pytest.mark.parametrize("error", [1e-5, 10.0])  # below and above the smallest curvature
def test_a_hessian_that_only_steers_leads_to_the_same_minimum(error):
    curvatures, slope = np.array([1e-3, 1.0, 50.0]), np.array([1.0, -2.0, 3.0])
    exact = quadratic(curvatures, slope)
    asked = []

    def steering_hessian(weights, retain, forget):
        asked.append(weights)
        return retain * (
            np.diag(curvatures) + 5e-6 * np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])
        ), error

    end = endings.ending(
        exact._replace(steering_hessian=steering_hessian), np.zeros(3), strength=0.0
    )
    assert end.end == endings.End.MINIMUM
    assert asked
    np.testing.assert_allclose(end.weights, -slope / curvatures, rtol=1e-9)


def test_the_error_of_a_steering_hessian_is_within_its_bound():
    rng = np.random.default_rng(3)
    features, labels = rng.normal(size=(20_000, 8)), rng.normal(size=20_000) > 0
    problem = gt.Problem(features, labels, np.arange(20_000) < 900, ridge=1e-2)
    losses = set_losses_of(problem.objective())
    weights = rng.normal(size=8)
    found, error = losses.steering_hessian(weights, 1.0, -0.7)
    exact = losses.hessian(weights, 1.0, -0.7)
    missed = np.max(np.abs(np.linalg.eigvalsh(found - exact)))
    assert 0 < missed < error < 1e-3 * np.linalg.norm(exact)
    # A small product is not worth it: it is exact.
    small = gt.Problem(features[:100], labels[:100], np.arange(100) < 9, ridge=1e-2)
    assert set_losses_of(small.objective()).steering_hessian(weights, 1.0, -0.7)[1] == 0


def test_where_float32_overflows_the_exact_hessian_is_taken():
    """Rows of length 1e20 have squares of 1e40, which float32 does not hold."""
    rng = np.random.default_rng(4)
    features, labels = 1e20 * rng.normal(size=(20_000, 8)), rng.normal(size=20_000) > 0
    problem = gt.Problem(features, labels, np.arange(20_000) < 900, ridge=1e38)
    losses = set_losses_of(problem.objective())
    assert not np.all(np.isfinite(losses.steering_hessian(np.zeros(8), 1.0, -0.7)[0]))
    found = endings.ending(losses, np.zeros(8), strength=0.3, bounded=True)
    exact = endings.ending(losses._replace(steering_hessian=None), np.zeros(8), strength=0.3)
    assert found.end == exact.end == endings.End.MINIMUM
    np.testing.assert_allclose(found.weights, exact.weights, rtol=1e-9)


def test_a_flow_without_end_is_said_to_leave():
    downhill = endings.ending(quadratic(np.zeros(2), np.ones(2)), np.zeros(2), strength=0.0)
    assert downhill.end == endings.End.LEFT
    # One coordinate with the exponential loss past its fold: the flow leaves in finite time.
    objective = gt.Objective(
        *map(np.asarray, ([[1.0]], [1.0], [5.0], [0.1], 0.25)), gt.exponential, "mean"
    )
    blown = endings.ending(set_losses_of(objective), np.zeros(1), strength=1.0)
    assert blown.end == endings.End.LEFT
    assert blown.weights[0] < -10


def test_convexity_around_a_point_is_never_claimed_wrongly():
    problem, _ = rare_class(*SECOND[1][:2])
    losses, strength = set_losses_of(problem.objective()), 0.3
    rng = np.random.default_rng(0)
    centre = np.asarray(gt.retrain(problem).weights)
    claimed = 0
    for radius in 10 ** rng.uniform(-3, 1, 40):
        if losses.is_convex_around(centre, radius, strength):
            claimed += 1
            for direction in rng.normal(size=(20, 3)):
                point = centre + radius * direction / np.linalg.norm(direction)
                assert np.linalg.eigvalsh(losses.curvature(point, strength))[0] > 0
    assert 0 < claimed < 40
