"""Arrays as input: npz, npy, sparse matrices and svmlight, as people save them."""

import gzip

import numpy as np
import pytest
from scipy import sparse
from sklearn.datasets import dump_svmlight_file
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import StandardScaler

from gda_theory.problem import tables as data
from gda_theory.problem.multinomial import MultinomialProblem

COUNT = 12
RNG = np.random.default_rng(0)
FEATURES = RNG.normal(3, 2, size=(COUNT, 3))
CLASSES = np.array(["cat", "dog"])[np.arange(COUNT) % 2]
SIGNS = np.where(CLASSES == "dog", 1, -1)
SITES = np.arange(COUNT) // 4
MASK = np.arange(COUNT) < 2


@pytest.fixture
def saved(tmp_path):
    def save(name="features.npz", **arrays):
        path = tmp_path / name
        np.savez(path, **arrays)
        return str(path)

    return save


@pytest.mark.parametrize("names", [("features", "labels"), ("X", "y")])
def test_an_npz_holds_features_labels_and_the_rows_to_forget(saved, names):
    features, labels = names
    path = saved(**{features: FEATURES.astype(np.float32), labels: CLASSES, "forget": MASK})
    found = data.load(path)
    kept = FEATURES.astype(np.float32).astype(float)
    expected = StandardScaler().fit(kept[~MASK]).transform(kept)
    np.testing.assert_array_equal(found.features, expected)
    np.testing.assert_array_equal(found.labels, SIGNS)
    np.testing.assert_array_equal(found.forget, MASK)
    assert found.classes == ("cat", "dog")
    assert found.names == ("x0", "x1", "x2")
    assert found.notes[1] == "to forget: 2 rows of the array 'forget'"
    first = kept[0]
    assert found.notes[2] == (
        f"  row 0: {labels} cat, x0 {first[0]:.4g}, x1 {first[1]:.4g}, x2 {first[2]:.4g}"
    )
    np.testing.assert_array_equal(data.load(path, forget="rows 4").forget, np.arange(COUNT) == 4)


def test_an_array_with_one_entry_a_row_selects_rows(saved, tmp_path):
    path = saved(X=FEATURES, y=CLASSES, site=SITES, user=np.arange(COUNT) + 2**60)
    found = data.load(path, forget="site = 1 and y = 'dog'")
    np.testing.assert_array_equal(found.forget, (SITES == 1) & (SIGNS == 1))
    assert not any("no feature" in note for note in found.notes)
    ids = tmp_path / "ids.txt"
    ids.write_text(f"{2**60 + 3}\n")
    found = data.load(path, forget_ids=str(ids), id="user")
    np.testing.assert_array_equal(found.forget, np.arange(COUNT) == 3)


def test_a_feature_that_selects_is_no_feature(saved):
    names = np.array(["age", "height", "weight"])
    path = saved(X=FEATURES, y=CLASSES, feature_names=names)
    found = data.load(path, forget="height > 4")
    assert found.names == ("age", "weight")
    np.testing.assert_array_equal(found.forget, FEATURES[:, 1] > 4)
    assert data.load(path, forget="1", drop=["age"]).names == ("height", "weight")


def test_rows_to_forget_may_be_numbers(saved):
    for forget in (np.array([0, 1]), MASK.astype(int)):
        found = data.load(saved(X=FEATURES, y=CLASSES, forget=forget))
        np.testing.assert_array_equal(found.forget, MASK)


def words():
    texts = [f"word{i % 5} word{i % 7} alone{i} again{i}" for i in range(COUNT)]
    return TfidfVectorizer().fit_transform(texts)


@pytest.mark.parametrize("kind", ["npy", "text"])
def test_a_sparse_matrix_and_its_labels(tmp_path, kind):
    matrix = words()
    assert matrix.shape[1] > COUNT
    path, labels = str(tmp_path / "words.npz"), str(tmp_path / "labels")
    sparse.save_npz(path, matrix)
    if kind == "npy":
        with open(labels, "wb") as file:
            np.save(file, SIGNS)
    else:
        (tmp_path / "labels").write_text("\n".join(map(str, SIGNS)) + "\n")
    found = data.load(path, labels=labels, forget="0-1")
    np.testing.assert_array_equal(found.labels, SIGNS)
    expected = (matrix @ matrix.T).toarray()
    np.testing.assert_allclose(found.features @ found.features.T, expected, atol=1e-14)
    assert any("as they are, not standardised" in note for note in found.notes)
    assert any(f"exactly in the {found.features.shape[1]} directions" in n for n in found.notes)
    assert any(note.startswith("  row 1: label ") for note in found.notes)
    weights = RNG.normal(size=found.features.shape[1])
    np.testing.assert_allclose(
        matrix @ found.span.lift(weights), found.features @ weights, atol=1e-13
    )
    problem = found.problem(ridge=0.1, intercept=True)
    assert problem.features.shape == (COUNT, found.features.shape[1] + 1)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("zero_based", [False, True])
def test_an_svmlight_file(tmp_path, packed, zero_based):
    path = tmp_path / "data.svm"
    dump_svmlight_file(FEATURES, SIGNS, str(path), zero_based=zero_based, comment="ours")
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    found = data.load(str(path), forget="random:3")
    np.testing.assert_allclose(found.features, FEATURES, rtol=1e-15)
    np.testing.assert_array_equal(found.labels, SIGNS)
    assert found.classes == ("-1", "1")


def test_a_npy_of_features(tmp_path):
    np.save(tmp_path / "X.npy", FEATURES)
    np.save(tmp_path / "y.npy", np.array([True, False] * 6))
    found = data.load(str(tmp_path / "X.npy"), labels=str(tmp_path / "y.npy"), forget="3")
    np.testing.assert_array_equal(found.labels, -SIGNS)


def test_dates_before_times_are_no_svmlight(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("2020-01-01 12:30,1\n")
    with pytest.raises(ValueError, match="label must name the column"):
        data.load(str(path), forget="0", settings=data.Format(header=False))


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"a": FEATURES}, {}, "no features: expected an array called 'features' or 'X', got 'a'"),
        ({"X": FEATURES}, {}, "no labels: .* got 'X'; name them with --label or --labels"),
        ({"X": FEATURES, "y": CLASSES}, {"label": "Y"}, "no column 'Y'; did you mean 'y'"),
        ({"X": FEATURES, "y": CLASSES[:5]}, {}, r"shape \(12,\), one per row of 'X', got \(5,\)"),
        ({"X": FEATURES[0], "y": CLASSES}, {}, r"'X' must be numbers of shape \(n, d\)"),
        (
            {"X": np.where(FEATURES > 4, np.nan, FEATURES), "y": CLASSES},
            {},
            "X' must be finite, got .* entries that are not, the first in row 0",
        ),
        ({"X": FEATURES, "y": SITES + 0.5}, {}, "whole numbers or texts .* got 0.5, 1.5, 2.5"),
        ({"X": FEATURES, "y": np.where(MASK, "", CLASSES)}, {}, "'y' is missing in 2 rows: 0, 1"),
        (
            {"X": FEATURES, "y": CLASSES},
            {"forget": None},
            "which rows to forget",
        ),
        ({"X": FEATURES, "y": CLASSES, "forget": ~MASK & False}, {"forget": None}, "got 0 of 12"),
        ({"X": FEATURES, "y": CLASSES, "forget": [99]}, {}, "'forget' must be a boolean mask"),
        ({"X": FEATURES, "y": CLASSES, "names": ["a"]}, {}, r"names must have shape \(3,\)"),
    ],
)
def test_arrays_that_do_not_fit_are_named(saved, arrays, options, message):
    with pytest.raises(ValueError, match=message):
        data.load(saved(**arrays), **({"forget": "0"} | options))


def test_objects_and_broken_files_are_refused(saved, tmp_path):
    path = saved(X=FEATURES, y=CLASSES.astype(object))
    with pytest.raises(ValueError, match=r"allow_pickle.*save text with numpy.array"):
        data.load(path, forget="0")
    cut = tmp_path / "cut.npz"
    cut.write_bytes((tmp_path / "features.npz").read_bytes()[:400])
    with pytest.raises(ValueError, match=r"cut\.npz cannot be read"):
        data.load(str(cut), forget="0")
    table = tmp_path / "table.csv"
    table.write_text("a,b\n1,0\n2,1\n")
    with pytest.raises(ValueError, match="labels is only for arrays"):
        data.load(str(table), labels="y.npy", forget="0")


def test_more_than_two_classes_become_a_multinomial_problem(saved):
    names = np.array(["cat", "dog", "owl"])[SITES]
    found = data.load(saved(X=FEATURES, y=names), forget="0,1")
    assert found.classes == ("cat", "dog", "owl")
    assert "label y: 3 classes (cat, dog, owl), so the loss is softmax" in found.notes
    problem = found.problem(ridge=0.1, intercept=True)
    assert isinstance(problem, MultinomialProblem)
    np.testing.assert_array_equal(problem.labels, SITES)
    np.testing.assert_allclose(problem.ridge, [*[0.1] * FEATURES.shape[1], 0])
    with pytest.raises(ValueError, match="loss must be 'logistic' for 3 classes"):
        found.problem(ridge=0.1, loss="exponential")
