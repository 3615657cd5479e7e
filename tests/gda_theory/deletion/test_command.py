"""``forget`` and ``check`` on files as users have them: the model predicts raw rows."""

import json

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression

from gda_theory import cli
from gda_theory.deletion import pipelines

IDS = "C3\nC17\nC50\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A table with categories, dates, times, missing cells and long integers, twice; and ids."""
    path = tmp_path_factory.mktemp("forget")
    rng = np.random.default_rng(0)
    count = 120
    age = rng.integers(18, 80, count).astype(float)
    age[::9] = np.nan
    active = rng.random(count) < 0.5
    opened = pd.Timestamp("2015-01-01") + pd.to_timedelta(rng.integers(0, 2500, count), unit="D")
    seen = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 10**7, count), unit="s")
    frame = pd.DataFrame(
        {
            "customer": [f"C{row}" for row in range(count)],
            "age": age,
            "city": np.array(["Oslo", "Rome", "Bonn"])[rng.integers(0, 3, count)],
            "opened": opened,
            "seen": seen,
            "active": active,
            "card": 9_007_199_254_740_993 + 7 * rng.integers(0, 1000, count),
            "default": np.where(rng.logistic(size=count) + active > 0.5, 1, 0),
        }
    )
    frame.to_parquet(path / "loans.parquet")
    text = frame.assign(opened=opened.strftime("%Y-%m-%d"), seen=seen.strftime("%Y-%m-%d %H:%M:%S"))
    text.to_csv(path / "loans.csv", index=False)
    (path / "requests.txt").write_text(IDS)
    return path


@pytest.fixture
def run(capsys, monkeypatch, folder):
    monkeypatch.chdir(folder)

    def call(text):
        code = cli.main(text.split())
        return code, *capsys.readouterr()

    return call


ROWS = "loans.csv --label default --forget-ids requests.txt --id customer"
OPTIONS = "--intercept --ridge 1 --reduction sum"


def test_the_model_predicts_raw_rows(run, folder):
    code, out, err = run(f"forget {ROWS} {OPTIONS} --method retrain --out retrained.joblib")
    assert (code, err) == (0, "")
    for said in (
        "to forget: 3 rows",
        "method: retrain, 0 gradients and",
        "bound on the distance to the retrained model",
        "DELETED: 3 rows. It is proved that the weights differ by at most",
        "no guarantee of privacy",
        "The model is in retrained.joblib, and the receipt in retrained.receipt.json.",
    ):
        assert said in " ".join(out.split())
    model = joblib.load(folder / "retrained.joblib")
    parquet = pd.read_parquet(folder / "loans.parquet")
    frames = (
        pd.read_csv(folder / "loans.csv"),
        pl.read_csv(folder / "loans.csv", infer_schema_length=0),
        parquet,
    )
    expected = model.predict_proba(frames[0])
    for frame in frames[1:]:
        np.testing.assert_allclose(model.predict_proba(frame), expected, atol=1e-12)
    # scikit-learn on the encoded rows, without those to forget.
    kept = ~parquet["customer"].isin(IDS.split())
    encoded = model[:-1].transform(parquet)
    theirs = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-12)
    theirs.fit(encoded[kept], parquet["default"][kept])
    np.testing.assert_allclose(theirs.predict_proba(encoded), expected, atol=1e-9)
    predicted = model.predict(parquet)
    assert predicted.dtype == int
    np.testing.assert_array_equal(predicted, theirs.predict(encoded))
    few = parquet.head(3).drop(columns=["default", "customer"])
    np.testing.assert_array_equal(model.predict(few), predicted[:3])
    with pytest.raises(ValueError, match="lacks 'age'"):
        model.predict(few.drop(columns="age"))
    with pytest.raises(TypeError, match="X must be a data frame"):
        model.predict([[1]])


def test_a_receipt_is_checked_and_every_change_is_rejected(run, folder):
    assert run(f"forget {ROWS} {OPTIONS} --out model.joblib")[0] == 0
    command = f"check model.receipt.json {ROWS} --intercept"
    code, out, _ = run(command)
    assert code == 0
    assert out.startswith("CHECKED: 3 rows deleted by newton; the model is at most ")
    for name in ("model.joblib", "model.receipt.json", "loans.csv"):
        path = folder / name
        content = path.read_bytes()
        for place in (len(content) // 3, len(content) - 2):
            changed = bytearray(content)
            changed[place] ^= 1
            path.write_bytes(changed)
            code, _, err = run(command)
            path.write_bytes(content)
            assert code == 2, (name, place)
            assert err.count("\n") == 1
    assert run(command)[0] == 0
    code, _, err = run(f"check model.receipt.json {ROWS} --model requests.txt")
    assert "the model file is not model.joblib of the receipt" in err
    code, _, err = run("check model.receipt.json loans.csv --label default --forget 3,17")
    assert "the rows to forget are not those" in err or "the data are not those" in err
    (folder / "odd.json").write_text(json.dumps({"kind": "receipt of a deletion"}))
    code, _, err = run(f"check odd.json {ROWS}")
    assert (code, "the receipt is malformed" in err) == (2, True)


def test_noise_and_other_methods(run, folder):
    noise = "--epsilon 1 --delta 1e-6 --noise-seed 123456789"
    code, out, err = run(f"forget {ROWS} --out n.joblib {noise} --distance-limit 0.1 --steps 2")
    assert (code, err) == (0, "")
    assert "made for a distance of 0.1" in " ".join(out.split())
    receipt = (folder / "n.receipt.json").read_text()
    assert "123456789" not in receipt
    _, out, _ = run(f"check n.receipt.json {ROWS}")
    assert "The noise was not computed again" in out
    code, out, _ = run(f"check n.receipt.json {ROWS} --noise-seed 123456789")
    assert (code, "not computed" in out) == (0, False)
    assert run(f"check n.receipt.json {ROWS} --noise-seed 1")[0] == 2
    code, out, _ = run(f"forget {ROWS} --method pure_ascent --step-size 9 --out a.joblib")
    assert "NOT CLOSE: it is only proved that" in out
    assert run(f"check a.receipt.json {ROWS}")[0] == 0
    descent = f"--method noisy_descent --ridge 0.5 --steps 60 {noise}"
    assert run(f"forget {ROWS} {descent} --out d.joblib")[0] == 0
    assert run(f"check d.receipt.json {ROWS} --noise-seed 123456789")[0] == 0


def test_nothing_is_replaced_and_errors_are_one_line(run, folder):
    (folder / "there.joblib").write_text("mine")
    (folder / "free.receipt.json").write_text("mine")
    for options, message in (
        ("--out there.joblib", "there.joblib exists already"),
        ("--out free.joblib", "free.receipt.json exists already"),
        ("--out new.joblib --epsilon 1", "--epsilon and --delta belong together"),
        ("--out new.joblib --epsilon 1 --delta 1e-6", "--epsilon needs --noise-seed"),
        ("--out new.joblib --distance-limit 1", "--distance-limit is for noise"),
        ("--out new.joblib --noise-seed 1", "--noise-seed is for noise"),
        ("--out new.joblib --receipt new.joblib", "must name two files"),
        ("--out new.joblib --method noisy_descent", "needs --epsilon and --delta"),
        ("--out new.joblib --method retrain --steps 3", "--steps is not for --method retrain"),
        ("--out new.joblib --step-size 1", "--step-size is not for --method newton"),
        ("--out new.joblib --ridge 0", "ridge must be finite and > 0"),
        ("--out nowhere/new.joblib", "there is no folder nowhere"),
    ):
        code, out, err = run(f"forget {ROWS} {options}")
        assert (code, out) == (2, ""), options
        assert message in err
        assert err.count("\n") == 1
    assert (folder / "there.joblib").read_text() == "mine"
    assert not (folder / "new.joblib").exists()
    assert not (folder / "free.joblib").exists()
    assert run(f"forget {ROWS} --out there.joblib --force")[0] == 0
    assert (folder / "there.joblib").read_bytes() != b"mine"


def test_arrays_and_bundled_sets(run, folder):
    rng = np.random.default_rng(1)
    features = rng.normal(3, 2, size=(60, 4))
    np.savez(folder / "f.npz", features=features, labels=(features[:, 0] > 3).astype(int))
    assert run("forget f.npz --forget 0-5 --out f.joblib")[0] == 0
    assert run("check f.receipt.json f.npz --forget 0-5")[0] == 0
    model = joblib.load(folder / "f.joblib")
    assert np.mean(model.predict(features) == (features[:, 0] > 3)) > 0.9
    assert run("forget iris:0-1 --forget 3,60 --out i.joblib --no-standardize")[0] == 0
    assert run("check i.receipt.json iris:0-1 --forget 3,60 --no-standardize")[0] == 0


def test_a_folder_of_parquet_files_as_one_table(run, folder):
    """The receipt holds for the folder, for a pattern, and for the rows in one file."""
    whole = pl.read_parquet(folder / "loans.parquet")
    (folder / "parts").mkdir()
    for name, part in (("a", whole[:50]), ("b", whole[50:])):
        part.write_parquet(folder / "parts" / f"{name}.parquet")
    rows = "--label default --forget-ids requests.txt --id customer --intercept"
    code, _, err = run(f"forget parts {rows} --out parts.joblib")
    assert code == 2
    assert "column 'age' has 14 empty cells" in err
    assert "forget --in-memory imputes them" in err
    code, out, err = run(f"forget parts {rows} --in-memory --out parts.joblib")
    assert (code, err) == (0, "")
    assert "parts: 120 rows" in out
    for source in ("parts", "parts/*.parquet", "loans.parquet"):
        assert run(f"check parts.receipt.json {source} {rows}")[0] == 0
    assert "rejected" in run(f"check parts.receipt.json parts/a.parquet {rows} --allow-missing")[2]
    predicted = joblib.load(folder / "parts.joblib").predict(whole)
    assert np.mean(predicted == whole["default"].to_numpy()) > 0.5
    whole.drop("age").write_parquet(folder / "parts" / "c.parquet")
    code, _, err = run(f"forget parts {rows} --in-memory --out other.joblib")
    assert code == 2
    assert "the files of parts differ" in err


def test_three_classes(run, folder):
    """The model is near scikit-learn's, and the receipt of its deletion is checked."""
    rows = "wine3.csv --label kind --forget 3,17,20-25 --intercept"
    data = load_wine(as_frame=True).data
    kinds = np.array(["red", "rose", "white"])[load_wine().target]
    data.assign(kind=kinds).to_csv(folder / "wine3.csv", index=False)
    code, out, err = run(f"forget {rows} --steps 3 --out wine3.joblib")
    assert (code, err) == (0, "")
    assert "DELETED: 8 rows" in out
    model = joblib.load(folder / "wine3.joblib")
    kept = ~np.isin(np.arange(len(kinds)), [3, 17, *range(20, 26)])
    features = model[:-1].transform(data)
    fitted = LogisticRegression(C=1 / (0.01 * kept.sum()), tol=1e-10, max_iter=10_000)
    fitted.fit(features[kept], kinds[kept])
    np.testing.assert_allclose(model[-1].coef_, fitted.coef_, atol=1e-6)
    np.testing.assert_allclose(model.predict_proba(data), fitted.predict_proba(features), atol=1e-6)
    assert model.classes_.tolist() == ["red", "rose", "white"]
    assert run(f"check wine3.receipt.json {rows}")[0] == 0
    # Features are scaled on the kept rows, so with others forgotten they differ too.
    other = rows.replace("20-25", "20-24")
    assert "the data are not those" in run(f"check wine3.receipt.json {other}")[2]
    noise = "--epsilon 1 --delta 1e-6 --noise-seed 7"
    assert run(f"forget {rows} {noise} --out noisy3.joblib")[0] == 0
    assert run(f"check noisy3.receipt.json {rows} --noise-seed 7")[0] == 0
    assert (
        "not the model with the noise" in run(f"check noisy3.receipt.json {rows} --noise-seed 8")[2]
    )
    code, _, err = run(f"forget {rows} {noise} --method noisy_descent --out no.joblib")
    assert code == 2
    assert "noisy_descent takes two classes, and rows in memory, got 3 classes" in err
    (folder / "sets.csv").write_text("set,row\nfirst,3\nfirst,17\nsecond,40\n")
    sets = rows.replace("--forget 3,17,20-25", "--forget-sets sets.csv")
    code, out, err = run(f"diagnose {sets} --exact 0")
    assert (code, err) == (0, "")
    assert "model: softmax loss" in out
    assert "2 forget sets at strength 1" in out


@pytest.mark.parametrize(
    ("names", "values"),
    [
        (("0", "1"), [0, 1]),
        (("no", "yes"), ["no", "yes"]),
        (("0.5", "2"), [0.5, 2.0]),
        (("False", "True"), [False, True]),
        (("01", "2"), ["01", "2"]),
    ],
)
def test_classes_have_the_type_they_are_written_in(names, values):
    assert pipelines.typed(names).tolist() == values
