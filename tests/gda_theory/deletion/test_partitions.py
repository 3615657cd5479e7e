"""Deletion of rows that come in partitions, against the same rows in memory and NumPy."""

import json

import joblib
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

import gda_theory as gt
from gda_theory import cli
from gda_theory.deletion import partitioned

ROWS, RIDGE = 90, 0.05


def table():
    rng = np.random.default_rng(4)
    age = rng.normal(50, 10, ROWS)
    return pd.DataFrame(
        {
            "age": age,
            "income": rng.normal(size=ROWS) + age / 20,
            "city": rng.choice(["Oslo", "Rome", "Bonn"], ROWS),
            "opened": pd.Timestamp("2015-01-01") + pd.to_timedelta(np.arange(ROWS) % 37, unit="D"),
            "default": (rng.logistic(size=ROWS) + age / 20 > 2.5).astype(int),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("partitions")
    (path / "parts").mkdir()
    frame = table()
    for number, (first, last) in enumerate(((0, 20), (20, 21), (21, ROWS))):
        frame[first:last].to_parquet(path / "parts" / f"part-{number}.parquet")
    frame.to_parquet(path / "whole.parquet")
    return path


@pytest.fixture
def run(capsys, monkeypatch, folder):
    monkeypatch.chdir(folder)

    def call(text):
        code = cli.main(text.split())
        return code, *capsys.readouterr()

    return call


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    features = np.column_stack([rng.normal(size=(ROWS, 3)), np.ones(ROWS)])
    labels = np.where(features[:, 0] + rng.logistic(size=ROWS) > 0, 1, -1)
    return gt.Problem(
        features,
        labels,
        np.arange(ROWS) % 11 == 3,
        ridge=[RIDGE, RIDGE, RIDGE, 0],
        sample_weight=rng.integers(0, 3, ROWS).astype(float),
    )


@pytest.fixture(scope="module")
def parts(problem):
    return gt.PartitionedProblem.split(problem, 4)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("newton", {}),
        ("newton", {"steps": 3}),
        ("retrain", {}),
        ("fine_tune", {"steps": 5}),
        ("pure_ascent", {"steps": 2}),
    ],
)
def test_each_method_gives_the_numbers_of_rows_in_memory(problem, parts, method, options):
    start = np.array([0.8, -0.1, 0.2, 0.3])
    expected = getattr(gt.deletion, method)(problem, start, **options)
    found = getattr(gt.deletion, method)(parts, start, **options)
    np.testing.assert_allclose(found.weights, expected.weights, rtol=1e-12, atol=1e-14)
    assert found.cost[:2] == expected.cost[:2]
    assert found.certificate.reason == expected.certificate.reason
    if method == "retrain":  # nothing but rounding is left
        assert found.distance_bound < 1e-11
    else:
        np.testing.assert_allclose(
            found.certificate[:4], expected.certificate[:4], rtol=1e-11, atol=1e-15
        )


def test_a_newton_step_is_that_of_numpy(problem, parts):
    start = np.array([0.5, 0.1, -0.2, 0.0])
    kept = ~np.asarray(problem.forget)
    X = np.asarray(problem.features)[kept]
    signs = np.asarray(problem.signs)[kept]
    weight = np.asarray(problem.sample_weight)[kept]
    weight = weight / weight.sum()
    odds = expit(-signs * (X @ start))
    ridge = np.asarray(problem.ridge)
    gradient = ridge * start - X.T @ (weight * signs * odds)
    hessian = (X.T * (weight * odds * (1 - odds))) @ X + np.diag(ridge)
    found = gt.deletion.newton(parts, start).weights
    np.testing.assert_allclose(found, start - np.linalg.solve(hessian, gradient), rtol=1e-12)


def test_the_digest_is_that_of_the_whole_rows(problem, parts, monkeypatch):
    rows = gt.deletion.receipt_rows.Rows(
        np.asarray(problem.features), np.asarray(problem.signs), np.asarray(problem.sample_weight)
    )
    assert partitioned.digest(parts) == rows.digest()
    np.testing.assert_array_equal(partitioned.forget_mask(parts), problem.forget)
    start = np.zeros(4)
    before = gt.deletion.newton(parts, start)
    monkeypatch.setattr(partitioned, "ENTRIES", 4 * 5)  # blocks of five rows
    after = gt.deletion.newton(parts, start)
    np.testing.assert_allclose(after.weights, before.weights, rtol=1e-13)


def test_noise_is_that_of_rows_in_memory(problem, parts):
    start = np.array([0.8, -0.1, 0.2, 0.3])
    budget = {"epsilon": 1.0, "delta": 1e-6, "seed": 7, "distance_limit": 10.0}
    one, other = (
        gt.deletion.noisy.published(given, gt.deletion.newton(given, start), **budget)
        for given in (problem, parts)
    )
    np.testing.assert_allclose(other.weights, one.weights, rtol=1e-11)
    with pytest.raises(TypeError, match="two classes, and rows in memory, for noisy_descent"):
        gt.deletion.noisy_descent(parts, start, epsilon=1.0, delta=1e-6, seed=7)


ASKED = "--label default --forget 3,19-24,70 --intercept --ridge 1 --reduction sum"


def test_the_commands_on_a_folder(run, folder):
    """The model and the receipt of a folder are those of one file, and check accepts them."""
    assert run(f"forget whole.parquet {ASKED} --out whole.joblib")[0] == 0
    code, out, err = run(f"forget parts {ASKED} --out parts.joblib")
    assert (code, err) == (0, "")
    assert "90 rows in 3 files and 3 partitions" in out
    assert "DELETED: 8 rows. It is proved that" in out
    one, other = (
        json.loads((folder / f"{name}.receipt.json").read_text()) for name in ("whole", "parts")
    )
    for name in ("start", "result"):
        np.testing.assert_allclose(other[name], one[name], rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(other["distance_bound"], one["distance_bound"], rtol=1e-9)
    assert other["rows"] == one["rows"]
    assert sorted(other["files"]) == [f"data/part-{n}.parquet" for n in range(3)] + ["model"]
    whole, parts = (joblib.load(folder / f"{name}.joblib") for name in ("whole", "parts"))
    for raw in (table(), pd.read_parquet(folder / "parts")):
        np.testing.assert_allclose(
            parts.predict_proba(raw), whole.predict_proba(table()), rtol=1e-10
        )
    rows = ASKED.partition(" --ridge")[0]
    code, out, err = run(f"check parts.receipt.json parts {rows}")
    assert (code, err) == (0, "")
    assert "CHECKED: 8 rows deleted by newton" in out
    assert (
        "the data are not those of the receipt"
        in run(f"check parts.receipt.json parts {rows.replace('70', '71')}")[2]
    )
    changed = table()[20:21].assign(age=49.0)
    kept = (folder / "parts" / "part-1.parquet").read_bytes()
    changed.to_parquet(folder / "parts" / "part-1.parquet")
    code, _, err = run(f"check parts.receipt.json parts {rows}")
    (folder / "parts" / "part-1.parquet").write_bytes(kept)
    assert code == 2
    assert "the data/part-1.parquet file is not part-1.parquet of the receipt" in err
    assert "the data are not those of the receipt" in err


def test_what_needs_memory_is_said(run):
    code, _, err = run(
        f"forget parts {ASKED} --out x.joblib --method noisy_descent --epsilon 1 --delta 1e-6"
        " --noise-seed 5"
    )
    assert code == 2
    assert "takes two classes, and rows in memory, got 2 classes and rows in partitions" in err
    code, _, err = run(f"forget parts {ASKED} --in-memory --out memory.joblib")
    assert (code, err) == (0, "")
    rows = ASKED.partition(" --ridge")[0]
    assert run(f"check memory.receipt.json parts {rows}")[0] == 0
