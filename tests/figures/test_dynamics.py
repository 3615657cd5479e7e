"""The figures of what runs do: against plain NumPy loops, SciPy's flow and closed forms."""

import re

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import gda_theory as gt
from figures import critical_slowing, dynamics, large_steps
from tests.figure_checks import assert_claims_complete, assert_drawn_legibly, made

GIVEN = dynamics.PARAMETERS
# Every test that reads the data "slow" or "large" is slow: they take three seconds each.


@pytest.fixture(scope="module")
def way():
    return made("dynamics")[1]


@pytest.fixture(scope="module")
def slow():
    return made("critical_slowing")[1]


@pytest.fixture(scope="module")
def large():
    return made("large_steps")[1]


def types(correlation):
    return np.array([[1, correlation], [correlation, 1]])


# dynamics --------------------------------------------------------------------------------


def logistic(margins):
    return 1 / (1 + np.exp(margins))


def minimum(points, masses, ridge):
    """Newton's method on ``sum masses log(1 + exp(-margin)) + ridge/2 |w|^2``."""
    weights = np.zeros(2)
    for _ in range(50):
        slopes = logistic(points @ weights)
        hessian = ridge * np.eye(2) + (points.T * masses * slopes * (1 - slopes)) @ points
        weights -= np.linalg.solve(hessian, ridge * weights - points.T @ (masses * slopes))
    return weights


def distances(correlation, half_steps, ridge):
    """Distance epoch by epoch, in units of the pretrained model's.

    ``half_steps`` are factors on the retained and on the forgotten loss.
    """
    points, kept, gone = types(correlation), np.array([0.1, 0]), np.array([0, 0.1])
    oracle = minimum(points, kept, GIVEN["ridge"])
    weights = minimum(points, np.array([0.08, 0.02]), GIVEN["ridge"])
    found = [np.linalg.norm(weights - oracle)]
    for _ in range(dynamics.EPOCHS):
        for retain, forget in half_steps:
            slopes = (retain * kept - forget * gone) * logistic(points @ weights)
            weights = weights - GIVEN["step_size"] * (ridge * weights - points.T @ slopes)
        found.append(np.linalg.norm(weights - oracle))
    return np.array(found) / found[0]


ALTERNATING = ((1, 0), (0, 1))
LOOPS = {
    "simultaneous": (((1, 1),), GIVEN["ridge"]),
    "alternating": (ALTERNATING, GIVEN["ridge"]),
    "half_ridge": (ALTERNATING, GIVEN["ridge"] / 2),
    "descent": (((1, 0),), GIVEN["ridge"]),
}


@pytest.mark.parametrize("correlation", [0.05, 0.5])
@pytest.mark.parametrize("name", LOOPS)
def test_best_stop_and_good_window_are_those_of_a_plain_loop(way, name, correlation):
    lane = int(np.argmin(np.abs(way["correlation"] - correlation)))
    expected, found = (
        distances(correlation, *LOOPS[name]),
        {key: value[lane] for key, value in way["runs"][name].items()},
    )
    # Distances to about 1e-13 of the weights, over the smallest pretrained distance shown, 0.1.
    np.testing.assert_allclose(found["distances"], expected[way["epochs"]], rtol=1e-9, atol=1e-11)
    best = int(np.argmin(expected))
    if name != "descent":  # descent ends at rounding, where the least is anywhere
        assert found["best_epoch"] == best
        np.testing.assert_allclose(
            found["descent_distance"], distances(correlation, *LOOPS["descent"])[best], rtol=1e-9
        )
    np.testing.assert_allclose(found["best_distance"], expected[best], rtol=1e-9, atol=1e-11)
    assert found["good_epochs"] == np.sum(expected <= 0.5)


def test_what_the_caption_of_dynamics_says(way):
    runs, correlation = way["runs"], way["correlation"]
    # At the same effective ridge the curves agree up to a factor of 1 + O(step).
    # At the same ridge alternating steps are worse, and turn away earlier.
    before = way["epochs"] <= 100
    ratio = (
        runs["half_ridge"]["distances"][:, before] / runs["simultaneous"]["distances"][:, before]
    )
    assert np.abs(ratio - 1).max() < 0.05
    helped = runs["simultaneous"]["best_epoch"] > 0
    assert np.all(runs["alternating"]["best_distance"] >= runs["simultaneous"]["best_distance"])
    assert np.all(
        runs["alternating"]["best_epoch"][helped] <= runs["simultaneous"]["best_epoch"][helped]
    )
    # Plain descent leaves more at the same step and epoch. At its own step it leaves nearly nothing
    # where ascent has a window, and nothing at last.
    assert np.all(
        runs["simultaneous"]["descent_distance"][helped]
        > runs["simultaneous"]["best_distance"][helped]
    )
    assert np.all(runs["simultaneous"]["swift"][correlation < 0.5] < 0.01)
    assert runs["descent"]["distances"][:, -1].max() < 1e-3
    # The window is a few dozen epochs of 2,000, and closes; descent's does not.
    assert 20 < runs["simultaneous"]["good_epochs"].max() < 50
    windows = [
        correlation[runs[name]["good_epochs"] > 0].max()
        for name in ("alternating", "simultaneous", "descent")
    ]
    assert windows[0] < 0.1 < 0.25 < windows[1] < 0.35 < windows[2] == correlation.max()


# critical_slowing ------------------------------------------------------------------------


def escape_time(alpha):
    """When the exponential flow at ``alpha`` from the pretrained model has fallen to y = -30.

    That is e^-30 before its end.
    """
    points, ridge, kept, gone = types(0.5), 0.1, np.array([0.1, 0]), np.array([0, alpha * 8 / 20])
    masses, weights = np.array([0.08, alpha * 0.08]), np.zeros(2)
    for _ in range(50):
        slopes = masses * np.exp(-points @ weights)
        weights -= np.linalg.solve(
            ridge * np.eye(2) + (points.T * slopes) @ points, ridge * weights - points.T @ slopes
        )

    def along(_, state):
        """Weights and time against a clock that slows down where the flow runs away."""
        velocity = points.T @ ((kept - gone) * np.exp(-points @ state[:2])) - ridge * state[:2]
        pace = 1 + np.linalg.norm(velocity)
        return [*velocity / pace, 1 / pace]

    def fallen(_, state):
        return 0.5 * state[0] + state[1] + 30

    fallen.terminal = True
    return solve_ivp(
        along, (0, 1e5), [*weights, 0], method="LSODA", rtol=1e-10, atol=1e-12, events=fallen
    ).y[2, -1]


@pytest.mark.slow
def test_the_fold_is_the_reference(slow):
    np.testing.assert_allclose(slow["fold_alpha"], 0.178062078871913, rtol=1e-14)
    np.testing.assert_allclose(slow["fold_margin"], -0.554464204320641, rtol=1e-13)


@pytest.mark.slow
def test_small_steps_escape_as_the_flow_does(slow):
    found = slow["escape"]
    for lane in np.flatnonzero((found["distance"] > 9e-5) & (found["distance"] < 0.2))[::4]:
        flow = escape_time(slow["fold_alpha"] * (1 + found["distance"][lane]))
        late = (found["time"][:, lane] - flow) / slow["step_size"]
        # Euler's steps are late by O(step), and some epochs more until the end of the range.
        # Together that is 3.5 to 5.3.
        assert np.all((late > 2) & (late < 8))


@pytest.mark.slow
def test_escape_times_follow_the_law(slow):
    laws, law = critical_slowing.laws(slow), np.pi / (0.1 * slow["coefficient"])
    np.testing.assert_allclose(
        slow["escape"]["law"], law / np.sqrt(slow["escape"]["distance"]), rtol=1e-14
    )
    assert np.all(slow["escape"]["outcome"] == gt.Outcome.LEFT_RANGE)
    # The next term is of the order of sqrt(distance) <= 1e-2 of the constant. Rounding to whole
    # steps adds up to 4, of a time of 36,000.
    np.testing.assert_allclose(laws["coefficient"], law, rtol=2e-4)
    # time = c d^-1/2 - 24.5 has the slope -1/2 - 24.5/(2 time), between 3e-4 and 3e-3.
    assert np.all((laws["slope"] < -0.5) & (laws["slope"] > -0.503))


@pytest.mark.slow
def test_the_rates_below_the_fold(slow):
    below = slow["rate"]
    # A displacement of 1e-3 of the distance to the saddle bends the rate by about as much.
    np.testing.assert_allclose(below["simulated"], below["curvature"], rtol=1e-3)
    # The law is the first term of a series in the square root of the distance.
    assert np.all(np.abs(below["curvature"] / below["law"] - 1) < np.sqrt(below["distance"]))


@pytest.mark.slow
def test_what_the_caption_of_critical_slowing_says(slow):
    crawl = slow["crawl"]
    past, near = crawl["distance"] > 0, crawl["epochs"] >= 0
    assert list(past) == [True] * 4 + [False]
    lowest = np.nanmin(crawl["gradient"], 1)
    np.testing.assert_array_equal(lowest < critical_slowing.RULE, [False, False, False, True, True])
    # At the ghost of the minimum the gradient is proportional to the distance from the fold.
    np.testing.assert_allclose(
        lowest[:4] / crawl["distance"][:4], lowest[3] / crawl["distance"][3], rtol=0.1
    )
    resting = [
        np.sum(
            np.diff(crawl["epochs"], append=6000)[near & (np.abs(row - slow["fold_margin"]) < 0.05)]
        )
        for row in crawl["margin"][:4]
    ]
    assert np.all(np.diff(resting) > 0)
    assert np.all(np.nanmin(crawl["margin"][:4], 1) < -3)
    assert np.ptp(crawl["margin"][4, -10:]) < 1e-6


# large_steps -----------------------------------------------------------------------------


@pytest.mark.slow
def test_the_cycle_is_the_reference(large):
    cycle = np.array(sorted(large["past"]["orbit"][-2:].tolist()))
    np.testing.assert_allclose(cycle, large_steps.REFERENCE, rtol=0, atol=1e-9)
    lane = int(np.argmin(np.abs(large["step_size"] - 50)))
    assert large["past"]["period"][lane] == 2
    # On a cycle of two the moves are opposite: the mean Hessian from one point to the other has
    # exactly the eigenvalue 2/step.
    points, (node, weight) = types(0.5), np.polynomial.legendre.leggauss(20)
    masses = np.array([1, -1.01 * large["fold"]["alpha"] * 80 / 20])
    at = cycle[0] + (node[:, None] + 1) / 2 * (cycle[1] - cycle[0])
    mean = 0.01 * np.eye(2) + (points.T * (weight / 2 @ (masses * np.exp(-at)))) @ points
    np.testing.assert_allclose(50 * np.linalg.eigvalsh(mean)[-1], 2, rtol=1e-9)


@pytest.mark.slow
def test_last_iterates_are_those_of_a_plain_loop(large):
    points, past, steps = types(0.5), large["past"], large["step_size"]
    stayed = np.isfinite(past["curvature"])
    masses = np.array([1, -1.01 * large["fold"]["alpha"] * 80 / 20])
    margins = past["margins"][stayed]
    weights = np.linalg.solve(points, margins[..., None])[..., 0]
    after = weights - steps[stayed, None, None] * (
        0.01 * weights - (masses * np.exp(-margins)) @ points
    )
    np.testing.assert_allclose(after[:, :-1] @ points, margins[:, 1:], rtol=1e-9, atol=1e-9)
    assert np.all((steps * past["curvature"])[stayed] >= 2)


@pytest.mark.slow
def test_what_theory_says_of_each_run(large):
    found, steps = large["map"], large["step_size"]
    above = found["relative_alpha"] > 1
    # Past the fold there is no stationary point, so nothing settles with the exponential loss.
    allowed = [
        gt.Cause.CYCLE_PAST_FOLD,
        gt.Cause.DISORDER_PAST_FOLD,
        gt.Cause.BOTTLENECK,
        gt.Cause.ESCAPING,
        gt.Cause.NO_MINIMUM,
    ]
    assert np.all(np.isin(found["cause"][above], allowed))
    below = found["cause"][~above]
    settles = steps < found["stable_step"][~above, None]
    near = (
        np.abs(steps - found["stable_step"][~above, None]) < 1
    )  # where either may be seen after so many epochs
    assert np.all(np.isin(below[settles & ~near], [gt.Cause.REACHED_MINIMUM]))
    assert np.all(below[~settles & ~near] == gt.Cause.STEP_TOO_LARGE)
    # Past the fold a run that stays has a step that would be too large just below it.
    stays = above[:, None] & ~found["left"]
    assert 0.1 < np.mean(stays[above]) < 0.5
    assert np.all(steps[np.any(stays, 0)] > found["stable_step"][~above][-1])


@pytest.mark.parametrize(
    ("name", "figure"),
    [
        ("way", dynamics),
        pytest.param("slow", critical_slowing, marks=pytest.mark.slow),
        pytest.param("large", large_steps, marks=pytest.mark.slow),
    ],
)
def test_claims_are_computed_and_the_picture_is_drawn(name, figure, request):
    data = request.getfixturevalue(name)
    assert_claims_complete(figure, data)
    assert_drawn_legibly(figure, data)
    if figure is large_steps:
        values = [
            float(value) for value in re.findall(r"\d\.\d{11}", next(figure.claims(data))[-1])
        ]
        np.testing.assert_allclose(values, np.ravel(large_steps.REFERENCE), atol=1e-9)
