"""The figures `basin` and `alternating`: their numbers against plain loops and mpmath."""

import jax
import mpmath
import numpy as np
import pytest

import gda_theory as gt
from tests.figure_checks import assert_claims_complete, assert_drawn_legibly, made

pytestmark = pytest.mark.slow  # the data of the figure take 10 to 20 seconds

NAMES = ("alternating", "basin")


@pytest.mark.parametrize("name", NAMES)
def test_the_picture_is_legible_and_the_claims_are_complete(name):
    module, data = made(name)
    assert_drawn_legibly(module, data)
    assert_claims_complete(module, data)


def plain_run(types, masses, ridge, weights, step, steps):
    """Descent-ascent in a plain loop, until it has gone far out."""
    for _ in range(steps):
        weights = weights - step * (ridge * weights - types.T @ (masses * np.exp(-types @ weights)))
        if types[1] @ weights < -30:
            return None
    return weights


def test_the_sides_of_the_separatrix_are_those_of_a_plain_loop():
    module, data = made("basin")
    starts = data["starts"]
    types, masses = np.array([[1, 0.5], [0.5, 1]]), np.array([8 / 80, -1 / 20])
    for index in range(0, 1000, 50):
        start = np.linalg.solve(types, [starts["x"][index], starts["y"][index]])
        end = plain_run(types, masses, 0.1, start, 0.1, 3000)
        assert (end is not None) == starts["inside"][index], index
    wrong = module.disagreements(starts)
    assert np.all(wrong[:3] == 0)
    # The count grows with the step, and the claims quote it.
    assert 0 < wrong[-2] < 20 < wrong[-1]
    assert f"{wrong[-1]} of 1000 at η = 0.9" in next(module.claims(data))[-1]


def test_points_and_runs():
    _, data = made("basin")
    points, runs = data["points"], data["runs"]
    assert np.all(np.diff(points["p"]) > 0)
    # From pretraining, the oracle and above the separatrix to the minimum; from below it away.
    for name in ("x", "y", "p"):
        np.testing.assert_allclose(runs[name][:3, -1], points[name][2], atol=1e-6)
    assert runs["y"][3, -1] < -30


def test_the_flow_from_pretraining_arrives_and_large_steps_need_not():
    module, data = made("basin")
    found = data["random"]
    assert found["p"].shape == (4, module.BATCH)
    assert np.all(np.diff(found["p"], axis=0) > 0)
    assert np.all(found["above_separatrix"] > 0)
    assert np.sum(found["above_saddle"] < 0) >= 10  # those without a proof are among them
    lost = found["lost"]
    assert not np.any(lost[0])
    assert 0 < np.sum(lost[1]) < 20
    # A counterexample to "never with steps up to 2/|H|", in a plain loop.
    pair = module.below_fold(np.random.default_rng([module.SEED, 0]))
    one = jax.tree.map(lambda leaf: leaf[np.flatnonzero(lost[1])[0]], pair)
    start, minimum = (
        np.asarray(gt.pair.pretrain(one).weights),
        np.asarray(gt.pair.descent_ascent(one).weights),
    )
    types, ridge, masses = (
        np.asarray(one.types),
        float(one.ridge),
        np.array(one.ascent_masses) * [1, -1],
    )

    def size(weights):
        return np.linalg.norm(
            ridge * np.eye(2) + types.T @ np.diag(masses * np.exp(-types @ weights)) @ types, 2
        )

    assert np.linalg.norm(ridge * minimum - types.T @ (masses * np.exp(-types @ minimum))) < 1e-12
    largest = 2 / max(size(start), size(minimum))
    assert plain_run(types, masses, ridge, start, 0.95 * largest, 20_000) is None
    assert plain_run(types, masses, ridge, start, 0.5 * largest, 20_000) is not None


def epoch(scheme, weight, ratio, step, ridge):
    """One epoch of a scheme on one coordinate with a = 1, in mpmath."""

    def descend(w):
        return w - step * (ridge * w - mpmath.exp(-w))

    def ascend(w):
        return w - step * (ridge * w + ratio * mpmath.exp(-w))

    return ascend(descend(weight)) if scheme == "retain_first" else descend(ascend(weight))


def test_resting_points_are_those_of_mpmath():
    module, data = made("alternating")
    rest, limit = data["rest"], data["limit"]
    for scheme in module.SCHEMES:
        assert np.all(
            np.isfinite(rest["weights"][scheme])
        )  # it rests, also where descent-ascent has no minimum
        for row, column in ((0, 0), (0, 20), (1, 9), (1, 29)):
            step, ratio, found = (
                module.STEPS[row],
                rest["ratio"][column],
                rest["weights"][scheme][row, column],
            )
            root = mpmath.findroot(
                lambda w, at=(scheme, ratio, step): epoch(at[0], w, at[1], at[2], module.RIDGE) - w,
                found,
            )
            # At most the tolerance over the slowest rate is left, 4096 eps/(1e-3 * 0.02).
            assert abs(root - found) < 1e-7
        # The limit of small ridge is met linearly in the ridge.
        off = limit["off"][scheme].max((1, 2))
        np.testing.assert_allclose(off[:-1] / off[1:], 100, rtol=0.05)
    # The multiplier by mpmath's derivative of the exact map.
    for column, ratio in enumerate(limit["ratio"]):
        at = np.log(0.1 / np.log(ratio))
        slope = mpmath.diff(lambda w, ratio=ratio: epoch("retain_first", w, ratio, 0.1, 0), at)
        assert slope == pytest.approx(1 - np.log(ratio) ** 2, abs=1e-12)
        assert limit["multiplier"][-1, 1, column] == pytest.approx(float(slope), abs=1e-5)


def test_period_doubling_and_what_follows():
    _, data = made("alternating")
    near, fine, coarse = data["doubling"], data["last"]["0.1"], data["last"]["0.001"]
    before = near["ratio"] < np.exp(np.sqrt(2))
    assert before.sum() == 3
    np.testing.assert_array_equal(near["rests"], np.broadcast_to(before, (2, 6)))
    np.testing.assert_array_equal(near["period"], np.broadcast_to(np.where(before, 0, 2), (2, 6)))
    # In units of the step both steps do the same; the periods up to the onset of chaos.
    regular = coarse["ratio"] < 5
    np.testing.assert_array_equal(coarse["period"][regular], fine["period"][::8][regular])
    np.testing.assert_allclose(coarse["lowest"][regular], fine["lowest"][::8][regular], atol=1e-3)
    resting = fine["ratio"] < 4.1
    np.testing.assert_allclose(
        fine["growth"][resting], np.log(np.abs(1 - np.log(fine["ratio"][resting]) ** 2)), atol=0.01
    )
    assert np.all(fine["lowest"] > 1 - fine["ratio"] / np.e)
    # A plain loop at one chaotic and one periodic place, without a ridge.
    for ratio, chaotic in ((5.3, True), (4.9, False)):
        u, total = 0.5, 0.0
        for _ in range(20_000):
            middle = u + np.exp(-u)
            total += np.log(abs((1 - np.exp(-u)) * (1 + ratio * np.exp(-middle))))
            u = middle - ratio * np.exp(-middle)
        index = np.argmin(np.abs(fine["ratio"] - ratio))
        assert (total > 0) == chaotic == (fine["growth"][index] > 0.01)


def test_only_high_correlation_lets_the_pair_rest_past_the_fold():
    _, data = made("alternating")
    pair = data["pair"]
    past = pair["ratio"] > 1.02 * pair["doubled_fold"][:, None]
    below = pair["ratio"] < 0.98 * pair["doubled_fold"][:, None]
    rests = pair["outcome"] == gt.Outcome.CONVERGED
    assert np.mean(rests[below]) > 0.99
    assert not np.any((rests & past)[pair["correlation"] < 0.3])
    high = pair["correlation"] > 0.98
    assert np.all(rests[high][:, (pair["ratio"] > 1.5) & (pair["ratio"] < 3.5)])
    ran = pair["outcome"] == gt.Outcome.LEFT_RANGE
    assert np.mean(ran[pair["correlation"] < 0.2][past[pair["correlation"] < 0.2]]) > 0.9
    assert not np.any(ran[pair["correlation"] > 0.7])
