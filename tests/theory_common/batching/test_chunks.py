"""Sweeps: the simulator on a grid, in chunks, on many devices, resumed, and with bad axes."""

import functools
import os
import subprocess
import sys
import threading
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gda_theory as gt
from gda_theory.codes import Outcome
from gda_theory.dynamics import sweeps
from theory_common.batching import chunks as chunks

EPS = np.finfo(float).eps
SEEN = ("weights", "outcome", "seen_at", "epochs", "period", "move")
PAIR = gt.CorrelatedPair(
    0.5, ridge=0.1, retain_size=80, forget_size=20, retain_in_pair=8, forget_in_pair=0.8
)
# 7 x 5 points, of which some run away and none converges: a step takes what is near the minimum a
# thousandth of the way.
AXES = {"alpha": np.linspace(0.02, 2.4, 7), "correlation": np.linspace(0, 0.9, 5)}
SETTINGS = {"epochs": 300, "step_size": 0.7}
START = (0.3, -0.1)


def same(one, other, fields=SEEN) -> None:
    """Equal bit for bit in what the steps decide."""
    for name in fields:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


@functools.cache
def swept() -> gt.Trajectory:
    return gt.sweep(PAIR, START, **SETTINGS, **AXES)


@functools.cache
def problem() -> gt.Problem:
    """Three features and an intercept without a ridge, forgotten rows that are any."""
    rng = np.random.default_rng(0)
    features = np.column_stack([rng.normal(size=(40, 3)), np.ones(40)])
    labels = np.where(features[:, 0] + rng.logistic(size=40) > 0, 1, -1)
    return gt.Problem(features, labels, np.arange(40) < 8, ridge=[0.1, 0.1, 0.1, 0])


# The same as simulate -----------------------------------------------------------------------------


def test_a_sweep_is_simulate_on_the_grid_bit_for_bit():
    """The same elementwise arithmetic on the same numbers, in chunks or not.

    Only the gradient's norm is compiled in two ways.
    """
    found, run = swept(), gt.simulate(gt.grid(PAIR, **AXES), START, **SETTINGS)
    same(found, run)
    assert {Outcome.MOVING, Outcome.LEFT_RANGE} == set(np.unique(found.outcome))
    assert found.weights.shape == (7, 5, 2)
    assert np.all(np.isfinite(found.weights))
    finite = np.isfinite(run.gradient_norm)
    # Sums of terms of either sign, up to the terms' own size times a few roundings.
    np.testing.assert_allclose(
        found.gradient_norm[finite], run.gradient_norm[finite], rtol=1e-12, atol=16 * EPS
    )
    assert np.array_equal(found.step_size, np.full((7, 5), 0.7))
    assert found.observed is None


def test_the_grid_has_the_axes_in_the_order_given():
    grid = gt.grid(PAIR, **AXES)
    np.testing.assert_allclose(
        grid.alpha, np.broadcast_to(AXES["alpha"][:, None], (7, 5)), rtol=2 * EPS
    )
    assert np.array_equal(grid.correlation, np.broadcast_to(AXES["correlation"], (7, 5)))
    turned = gt.grid(PAIR, **dict(reversed(AXES.items())))
    assert np.array_equal(turned.correlation, grid.correlation.T)
    by_hand = gt.CorrelatedPair(
        0.9, ridge=0.1, retain_size=80, forget_size=20, retain_in_pair=8, forget_in_pair=8 * 2.4
    )
    for new, old in zip(jax.tree.leaves(grid), jax.tree.leaves(by_hand), strict=True):
        assert new.shape == (7, 5, *old.shape)
        np.testing.assert_allclose(new[-1, -1], old, rtol=4 * EPS)


def test_step_sizes_and_strengths_are_axes_after_the_others():
    steps, strengths = np.array([0.05, 0.5, 0.7]), np.array([-0.25, 1.0])
    found = gt.sweep(
        PAIR,
        START,
        epochs=300,
        strength=strengths,
        step_size=steps,
        correlation=[0.1, 0.8],
        ridge=0.2,
    )
    assert found.weights.shape == (2, 3, 2, 2)
    assert np.array_equal(found.step_size[1, :, 0], steps)
    assert np.array_equal(found.strength[0, 0], strengths)
    pair = gt.grid(PAIR, correlation=[0.1, 0.8], ridge=0.2)
    pair = jax.tree.map(lambda leaf: leaf[:, None, None], pair)
    same(found, gt.simulate(pair, START, epochs=300, step_size=steps[:, None], strength=strengths))


def test_without_axes_a_sweep_is_one_run():
    found = gt.sweep(
        PAIR, START, alpha=AXES["alpha"][1], correlation=AXES["correlation"][2], **SETTINGS
    )
    assert found.weights.shape == (2,)
    for name in SEEN:
        np.testing.assert_array_equal(
            getattr(found, name), getattr(swept(), name)[1, 2], err_msg=name
        )


def test_an_alternating_scheme():
    """Few epochs, because runs that diverge magnify rounding.

    Compiled for another width of vector, an alternating epoch may round otherwise.
    """
    settings = SETTINGS | {"epochs": 30}
    run = gt.simulate(gt.grid(PAIR, **AXES), START, scheme="retain_first", **settings)
    found = gt.sweep(PAIR, START, scheme="retain_first", **settings, **AXES)
    same(found, run, ("outcome", "seen_at", "epochs", "period"))
    np.testing.assert_allclose(found.weights, run.weights, rtol=1e-9)
    assert not np.array_equal(found.weights, gt.sweep(PAIR, START, **settings, **AXES).weights)


def test_a_start_that_depends_on_the_problem():
    found = gt.sweep(PAIR, lambda pair: gt.pair.pretrain(pair).weights, **SETTINGS, **AXES)
    start = gt.pair.pretrain(gt.grid(PAIR, **AXES)).weights
    # A chunk's closed form is compiled for another shape than the grid's, so it may round
    # otherwise.
    np.testing.assert_allclose(found.start, start, rtol=64 * EPS, atol=64 * EPS)
    same(found, gt.simulate(gt.grid(PAIR, **AXES), found.start, **SETTINGS))


def test_a_problem_over_strength_and_ridge_keeps_its_intercept_free():
    strengths, ridges, start = np.array([-0.25, 0.0, 0.2]), np.array([0.05, 0.3]), np.zeros(4)
    settings = {"epochs": 20_000, "step_size": 0.3, "strength": strengths}
    found = gt.sweep(problem(), start, ridge=ridges, **settings)
    assert found.weights.shape == (2, 3, 4)
    assert np.all(found.outcome == Outcome.CONVERGED)
    for i, ridge in enumerate(ridges):
        run = gt.simulate(
            problem().replace(ridge=jnp.array([ridge, ridge, ridge, 0])), start, **settings
        )
        # A lane that has converged moves on until its neighbours have, within simulate's tolerance,
        # 4096 eps of the distance to go.
        np.testing.assert_allclose(found.weights[i], run.weights, rtol=1e-11)
        assert np.array_equal(found.outcome[i], run.outcome)
    assert np.abs(found.weights[0] - found.weights[1]).max() > 0.01
    same(gt.sweep(problem().objective(), start, ridge=ridges, **settings), found)


# Chunks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", [8, 35])
def test_chunks_and_their_padding_change_no_number(monkeypatch, lanes):
    """35 points: four chunks of 8 and a rest of 3, or one that is full."""
    before = swept()
    monkeypatch.setattr(sweeps, "LANES", lanes)
    calls = recorded(monkeypatch)
    same(gt.sweep(PAIR, START, **SETTINGS, **AXES), before)
    assert calls == [lanes] * -(-35 // lanes)  # and a device never holds more


def recorded(monkeypatch) -> list[int]:
    """How many lanes each chunk has that is run from now on."""
    run, calls = sweeps._run, []

    @functools.wraps(run)
    def counted(shared, rows):
        calls.append(len(rows[1]))
        return run(shared, rows)

    monkeypatch.setattr(sweeps, "_run", counted)
    return calls


def test_the_margins_of_a_chunk_are_bounded(monkeypatch):
    monkeypatch.setattr(sweeps, "ELEMENTS", 40 * 3)
    calls = recorded(monkeypatch)
    found = gt.sweep(
        problem(), np.zeros(4), epochs=100, step_size=0.3, strength=np.linspace(0, 1, 7)
    )
    assert calls == [3, 3, 3]
    assert found.weights.shape == (7, 4)


@pytest.mark.parametrize("count", [1, 7, 8, 9])
def test_mapped_gives_every_row_its_own_answer(count):
    rows = {"a": np.arange(count, dtype=float), "b": np.arange(2 * count).reshape(count, 2)}
    found = chunks.mapped(
        lambda shared, rows: (shared * rows["a"], {"twice": 2 * rows["b"]}), 3.0, rows, chunk=4
    )
    assert np.array_equal(found[0], 3 * rows["a"])
    assert np.array_equal(found[1]["twice"], 2 * rows["b"])


def test_threads_work_in_float64_where_a_context_says_so():
    threads = set()

    def function(shared, rows):
        threads.add(threading.get_ident())
        return shared + jnp.asarray(rows)

    with jax.enable_x64(False):
        assert chunks.mapped(function, 1.0, np.arange(3.0), chunk=1).dtype == np.float32
        with jax.enable_x64(True):
            assert chunks.mapped(function, 1.0, np.arange(3.0), chunk=1).dtype == np.float64
            assert gt.sweep(PAIR, START, **SETTINGS, **AXES).weights.dtype == np.float64
        single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), PAIR)
        assert gt.sweep(single, START, **SETTINGS, **AXES).weights.dtype == np.float32
    assert threading.get_ident() not in threads


DEVICES = """
import jax, numpy as np, runpy, sys
from theory_common import entry
entry.enable_float64()
from gda_theory.dynamics import sweeps
tests = runpy.run_path(sys.argv[2])  # an installed package may be called "tests" too
sweeps.LANES = 4
found = tests["swept"]()
seen = {name: getattr(found, name) for name in tests["SEEN"]}
np.savez(sys.argv[1], devices=len(jax.devices()), **seen)
"""


@pytest.mark.slow
def test_eight_devices_give_the_same_numbers_bit_for_bit(tmp_path):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=8"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", DEVICES, str(tmp_path / "found.npz"), __file__]
    done = subprocess.run(
        command,
        cwd=Path(__file__).parents[3],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "found.npz") as found:
        assert found["devices"] == 8
        for name in SEEN:
            np.testing.assert_array_equal(found[name], getattr(swept(), name), err_msg=name)


# Stopped, and gone on with ------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [KeyboardInterrupt, RuntimeError])
def test_a_sweep_that_was_stopped_goes_on(monkeypatch, tmp_path, stop):
    before = swept()
    monkeypatch.setattr(sweeps, "LANES", 8)
    monkeypatch.setattr(chunks.os, "cpu_count", lambda: 1)  # one chunk after the other
    run, calls = sweeps._run, []

    def stopping(shared, rows):
        calls.append(None)
        if len(calls) == 3:
            raise stop
        return run(shared, rows)

    monkeypatch.setattr(sweeps, "_run", stopping)
    with pytest.raises(stop):
        gt.sweep(PAIR, START, folder=tmp_path / "kept", **SETTINGS, **AXES)
    kept = sorted((tmp_path / "kept").iterdir())
    assert [path.suffix for path in kept] == [".npz"] * len(kept)
    assert 2 <= len(kept) < 5  # what a thread was computing meanwhile is kept too
    monkeypatch.setattr(sweeps, "_run", run)
    calls = recorded(monkeypatch)
    same(gt.sweep(PAIR, START, folder=tmp_path / "kept", progress=True, **SETTINGS, **AXES), before)
    assert len(calls) == 5 - len(kept)
    # All chunks are there: nothing runs, and the answer has the same form.
    monkeypatch.setattr(sweeps, "_run", run)
    calls = recorded(monkeypatch)
    again = gt.sweep(PAIR, START, folder=tmp_path / "kept", **SETTINGS, **AXES)
    assert calls == []
    same(again, before, gt.Trajectory._fields[:7])
    assert again.scheme == before.scheme


def test_a_broken_chunk_is_computed_again(monkeypatch, tmp_path):
    monkeypatch.setattr(sweeps, "LANES", 8)
    gt.sweep(PAIR, START, folder=tmp_path, **SETTINGS, **AXES)
    empty, cut, text, *_ = files = sorted(tmp_path.iterdir())
    assert [path.suffix for path in files] == [".npz"] * 5
    empty.write_bytes(b"")
    cut.write_bytes(cut.read_bytes()[:300])
    text.write_text("no numbers")
    calls = recorded(monkeypatch)
    same(gt.sweep(PAIR, START, folder=tmp_path, **SETTINGS, **AXES), swept())
    assert len(calls) == 3
    assert sorted(tmp_path.iterdir()) == files


def test_another_sweep_reuses_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(
        sweeps, "_run", lambda shared, rows: rows[1]
    )  # what is kept is named before it is known
    counts = {
        "ridge": 0.1,
        "retain_size": 80,
        "forget_size": 20,
        "retain_in_pair": 8,
        "forget_in_pair": 0.8,
    }
    base = {
        "problem": PAIR,
        "start": START,
        "epochs": 20,
        "step_size": 0.1,
        "correlation": [0.1, 0.2],
    }
    others = [
        {},
        {"problem": gt.CorrelatedPair(0.5, **counts | {"retain_size": 90})},
        {"problem": gt.CorrelatedPair(0.5, **counts, loss="logistic")},
        {"problem": gt.CorrelatedPair(0.5, **counts, reduction="sum")},
        {"problem": problem(), "start": np.zeros(4), "correlation": None, "ridge": [0.1, 0.2]},
        {
            "problem": problem().replace(forget=np.arange(40) < 9),
            "start": np.zeros(4),
            "correlation": None,
            "ridge": [0.1, 0.2],
        },
        {"start": (0.3, 0.1)},
        {"epochs": 21},
        {"step_size": 0.2},
        {"scheme": "retain_first"},
        {"scheme": gt.ascent_then_descent(2)},
        {"scheme": gt.ascent_then_descent(3)},
        {"strength": 0.5},
        {"tolerance": 1e-3},
        {"correlation": [0.1, 0.3]},
    ]
    for number, other in enumerate(others, 1):
        arguments = {name: value for name, value in (base | other).items() if value is not None}
        gt.sweep(**arguments, folder=tmp_path)
        assert len(list(tmp_path.iterdir())) == number, other
    gt.sweep(**base, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == len(others)


def test_chunks_of_the_same_numbers_may_meet_at_one_file(tmp_path):
    rows = np.zeros(64)
    for _ in range(5):
        assert np.array_equal(
            chunks.mapped(lambda _, rows: rows + 1, 0.0, rows, chunk=2, folder=tmp_path),
            np.ones(64),
        )
        (path,) = tmp_path.iterdir()
        path.unlink()


# Bad input ----------------------------------------------------------------------------------------

BATCH = gt.CorrelatedPair([0.5, 0.6], ridge=0.1, retain_size=80, forget_size=20, retain_in_pair=8)
BAD = {
    "no parameter": (
        {"epsilon": [0.1]},
        "epsilon is no parameter to sweep over: use correlation, alpha, ridge, step_size, strength",
    ),
    "not of a Problem": (
        {"problem": problem(), "start": np.zeros(4), "alpha": [0.1]},
        "alpha is no parameter .* use ridge, step_size",
    ),
    "a batch": (
        {"problem": BATCH},
        r"problem must be unbatched to be put on a grid, got a batch of shape \(2,\)",
    ),
    "an empty axis": (
        {"alpha": []},
        r"alpha must be one number or an array \(m,\) with m >= 1, got shape \(0,\)",
    ),
    "a 2-D axis": ({"alpha": [[0.1, 0.2]]}, r"alpha must be .* got shape \(1, 2\)"),
    "step 0": (
        {"step_size": [0.1, 0.0]},
        r"step_size must be finite and > 0, got 0 at index \(1,\)",
    ),
    "step infinite": ({"step_size": np.inf}, "step_size must be finite and > 0, got inf"),
    "no steps": ({"epochs": 0}, "epochs must be >= 1"),
    "scheme": ({"scheme": "both"}, "scheme must be one of"),
    "unrealisable": (
        {"alpha": [0.1, 2.6]},
        r"alpha must be <= forget_size/retain_in_pair = 2.5, got 2.6 at index \(1,\) \(allow_unr",
    ),
    "negative alpha": ({"alpha": [-0.1]}, "alpha must be finite and >= 0"),
    "correlation 1": (
        {"correlation": [0.5, 1.0]},
        r"correlation must be in \[0, 1\), got 1 at index \(1,\)",
    ),
    "ridge 0": ({"ridge": 0.0}, "ridge must be finite and > 0, got 0"),
    "ridge of a Problem": (
        {"problem": problem(), "start": np.zeros(4), "ridge": [-1.0]},
        "ridge must be finite and > 0",
    ),
    "below pretraining": (
        {"strength": [0.0, -0.5]},
        "strength must be >= -0.25, where the path is pretraining, got -0.5",
    ),
    "tolerance": ({"tolerance": -1.0}, "tolerance must be finite and > 0"),
    "start too long": (
        {"start": [0.0, 0.0, 0.0]},
        r"start must have shape \(2,\) at each point of a sweep, got \(3,\)",
    ),
    "start a number": (
        {"start": 0.0},
        r"start must have shape \(2,\) at each point of a sweep, got \(\)",
    ),
    "start NaN": ({"start": [np.nan, 0.0]}, "start must be finite, got nan"),
    "start's function": (
        {"start": lambda pair: pair.ridge},
        r"start must have shape \(2,\) .* got \(\)",
    ),
    "start's scalar": (
        {"start": lambda pair: 0.0},
        r"start must return weights \(\*batch, d\), here for the batch \(1,\), got shape \(\)",
    ),
    "a tolerance each": ({"tolerance": [1e-3, 1e-4]}, "tolerance must be one number"),
    "too many steps": ({"epochs": 2**40}, "epochs must be <= 2147483647"),
    "start's NaN": (
        {"start": lambda pair: jnp.full((*pair.ridge.shape, 2), jnp.nan)},
        "start must be finite",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case, monkeypatch):
    calls = recorded(monkeypatch)
    arguments, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        gt.sweep(**({"problem": PAIR, "start": START, "epochs": 20, "step_size": 0.1} | arguments))
    assert calls == []  # before anything runs


def test_a_tolerance():
    """The looser, the sooner."""
    strict, loose = (
        gt.sweep(PAIR, START, alpha=0.1, tolerance=tolerance, **SETTINGS).seen_at
        for tolerance in (1e-8, 1e-2)
    )
    assert loose < strict < 300


def test_what_is_no_number_is_named():
    with pytest.raises(TypeError, match="alpha must be a real number"):
        gt.sweep(PAIR, START, epochs=20, step_size=0.1, alpha=True)
    with pytest.raises(TypeError, match="problem must be a Problem"):
        gt.sweep("pair", START, epochs=20, step_size=0.1)
    with pytest.raises(TypeError, match="start must be a real number"):
        gt.sweep(PAIR, lambda pair: None, epochs=20, step_size=0.1)
    with pytest.raises(TypeError, match="pair must be a CorrelatedPair, got Objective"):
        gt.grid(PAIR.objective(), ridge=[0.1])
    with pytest.raises(TypeError, match="the arguments of sweep must be concrete"):
        jax.jit(lambda alpha: gt.sweep(PAIR, START, epochs=20, step_size=0.1, alpha=alpha))(
            jnp.array([0.1])
        )


def test_a_folder_is_known_to_be_one_before_anything_runs(tmp_path, monkeypatch):
    calls = recorded(monkeypatch)
    (tmp_path / "file").write_text("")
    with pytest.raises(
        NotADirectoryError, match=r"folder must be a directory, got the file '.*file'"
    ):
        gt.sweep(PAIR, START, epochs=20, step_size=0.1, folder=tmp_path / "file")
    with pytest.raises(TypeError, match=r"folder must be a path, got 3 \(int\)"):
        gt.sweep(PAIR, START, epochs=20, step_size=0.1, folder=3)
    assert calls == []


def test_pairs_are_unbatched():
    with pytest.raises(ValueError, match="pair must be unbatched"):
        gt.grid(BATCH, alpha=[0.1])


def test_beyond_what_is_realisable_when_asked():
    assert gt.grid(PAIR, alpha=[0.1, 2.6], allow_unrealisable=True).forget_in_pair[
        1
    ] == pytest.approx(20.8, rel=4 * EPS)
    assert (
        gt.sweep(
            PAIR, START, alpha=2.6, correlation=0.5, allow_unrealisable=True, **SETTINGS
        ).outcome
        == Outcome.LEFT_RANGE
    )
