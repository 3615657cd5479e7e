"""The figures `basin` and `alternating`: their numbers against plain loops, mpmath and what their captions say; legible."""

import functools
import importlib

import jax
import numpy as np
import pytest

import gda_theory as gt
from figures import style
from theory_common import tables

NAMES = ("basin",)


@functools.cache
def made(name):
    """The module and its quick data, as the runner stores them: computed once, since compiling is what costs."""
    module = importlib.import_module(f"figures.{name}")
    return module, tables.loads(tables.dumps(module.compute("quick")))


@pytest.mark.parametrize("name", NAMES)
def test_drawn_legible_and_claimed(name):
    module, data = made(name)
    sizes = {}

    def draw(figure, data):
        module.draw(figure, data)
        figure.canvas.draw()
        for text in figure.findobj(lambda artist: hasattr(artist, "get_fontsize") and artist.get_text()):
            sizes[text.get_text()] = text.get_fontsize()
        assert all(axes.get_xlabel() and axes.get_ylabel() for axes in figure.axes)

    images = style.images(draw, data, module.SIZE)
    assert images["png"].startswith(b"\x89PNG")
    assert images["pdf"].startswith(b"%PDF")
    assert min(sizes.values()) >= 9
    rows = module.claims(data)
    assert rows
    assert all(set(row) == {"claim", "paper", "here"} and "nan" not in f"{row['here']}{row['paper']}" for row in rows)


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
    assert f"{wrong[-1]} of 1000 at η = 0.9" in module.claims(data)[0]["here"]


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
    lost = module.missed(found)
    assert not np.any(lost[0])
    assert 0 < np.sum(lost[1]) < 20
    # A counterexample to "never with steps up to 2/|H|", in a plain loop.
    pair, _ = module.below_fold(np.random.default_rng([module.SEED, 0]))
    one = jax.tree.map(lambda leaf: leaf[np.flatnonzero(lost[1])[0]], pair)
    start, minimum = np.asarray(gt.pair.pretrain(one).weights), np.asarray(gt.pair.descent_ascent(one).weights)
    types, ridge, masses = np.asarray(one.types), float(one.ridge), np.array(one.ascent_masses) * [1, -1]

    def size(weights):
        return np.linalg.norm(ridge * np.eye(2) + types.T @ np.diag(masses * np.exp(-types @ weights)) @ types, 2)

    assert np.linalg.norm(ridge * minimum - types.T @ (masses * np.exp(-types @ minimum))) < 1e-12
    largest = 2 / max(size(start), size(minimum))
    assert plain_run(types, masses, ridge, start, 0.95 * largest, 20_000) is None
    assert plain_run(types, masses, ridge, start, 0.5 * largest, 20_000) is not None
