"""Data sets by name, by path and from data frames."""

import subprocess
import sys

import jax
import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import sklearn.datasets
from sklearn.preprocessing import StandardScaler

import gda_theory as gt
from gda_theory.problem import bundled
from gda_theory.problem import tables as data

ROWS = (
    "age,city,score,label\n"
    "31,Rome,0.5,no\n"
    "45,Oslo,1.5,yes\n"
    "27,Rome,-2,yes\n"
    "60,Bonn,4,no\n"
    "33,Oslo,1e-3,yes\n"
)


@pytest.fixture
def table(tmp_path):
    def write(text, name="people.csv"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


def test_a_file_is_read_as_it_stands(table):
    found = data.load(table(ROWS), label="label", forget="0,3-4", standardize=False, drop=["city"])
    np.testing.assert_array_equal(
        found.features, [[31, 0.5], [45, 1.5], [27, -2], [60, 4], [33, 1e-3]]
    )
    np.testing.assert_array_equal(found.labels, [-1, 1, 1, -1, 1])
    np.testing.assert_array_equal(found.forget, [True, False, False, True, True])
    assert found.names == ("age", "score")
    assert found.classes == ("no", "yes")
    assert "features as they are, not standardised" in found.notes


def test_the_scaling_is_fitted_on_the_kept_rows_or_on_all(table):
    path = table(ROWS)
    numbers = np.array([[31, 0.5], [45, 1.5], [27, -2], [60, 4], [33, 1e-3]])
    options = {"label": "label", "forget": "1,3", "drop": ["city"]}
    found = data.load(path, **options)
    expected = StandardScaler().fit(numbers[[0, 2, 4]]).transform(numbers)
    np.testing.assert_array_equal(found.features, expected)
    np.testing.assert_array_equal(
        found.transformer.transform(pl.DataFrame(numbers, schema=["age", "score"])), expected
    )
    found = data.load(path, **options, scale_on="all")
    np.testing.assert_array_equal(found.features, StandardScaler().fit_transform(numbers))
    assert any("standardised on 5 rows, which are all: " in note for note in found.notes)
    with pytest.raises(ValueError, match="scale_on must be"):
        data.load(path, **options, scale_on="none")


def test_files_that_cannot_be_opened(table, tmp_path):
    with pytest.raises(
        FileNotFoundError,
        match=r"no file 'nowhere.csv', and no data set of that name \(there are breast_cancer",
    ):
        data.load("nowhere.csv", label="y", forget="0")
    with pytest.raises(FileNotFoundError, match=r"no file in .* ends with \.parquet"):
        data.load(str(tmp_path), label="y", forget="0")
    with pytest.raises(
        ValueError, match="label must name the column with the classes, one of 'age'"
    ):
        data.load(table(ROWS), forget="0")
    with pytest.raises(ValueError, match=r"label: .* has no column 'lable'; did you mean 'label'"):
        data.load(table(ROWS), label="lable", forget="0")
    with pytest.raises(ValueError, match=r"drop: .* has no column 'zip'"):
        data.load(table(ROWS), label="label", forget="0", drop=["zip"])
    with pytest.raises(ValueError, match=r"keep: .* has no column 'zip'"):
        data.load(table(ROWS), label="label", forget="0", keep=["zip"])
    with pytest.raises(ValueError, match="no column is left as a feature"):
        data.load(table("y\n1\n0\n"), label="y", forget="0")


def test_the_nearest_name_is_offered_among_many_columns(table):
    names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "churned"]
    path = table(",".join(names) + "\n" + ",".join("1" * 10) + "\n")
    with pytest.raises(ValueError, match="no column 'churn'; did you mean 'churned'"):
        data.load(path, label="churn", forget="0")


# Data sets of scikit-learn ----------------------------------------------------------------------


def test_breast_cancer_is_scikit_learns():
    found = data.load("breast_cancer", forget="random:28", seed=3, standardize=False)
    features, target = sklearn.datasets.load_breast_cancer(return_X_y=True)
    np.testing.assert_array_equal(found.features, features)
    np.testing.assert_array_equal(found.labels, 2 * target - 1)
    assert found.forget.sum() == 28
    np.testing.assert_array_equal(
        found.forget, data.load("breast_cancer", forget="random:28", seed=3).forget
    )
    assert np.any(found.forget != data.load("breast_cancer", forget="random:28", seed=4).forget)


@pytest.mark.parametrize("scale_on", ["kept", "all"])
def test_bundled_features_are_scaled_as_scikit_learn_does(scale_on):
    found = data.load("breast_cancer", forget="random:28", seed=3, scale_on=scale_on)
    features, _ = sklearn.datasets.load_breast_cancer(return_X_y=True)
    fitted = features[~found.forget] if scale_on == "kept" else features
    np.testing.assert_array_equal(found.features, StandardScaler().fit(fitted).transform(features))


def test_two_digits_are_a_data_set():
    found = data.load("digits:3-8", forget="target==8", standardize=False)
    features, target = sklearn.datasets.load_digits(return_X_y=True)
    chosen = (target == 3) | (target == 8)
    np.testing.assert_array_equal(found.features, features[chosen])
    np.testing.assert_array_equal(found.labels, np.where(target[chosen] == 8, 1, -1))
    np.testing.assert_array_equal(found.forget, target[chosen] == 8)
    for source in ("digits", "digits:3", "digits:3-3", "digits:3-11", "breast_cancer:0-2"):
        with pytest.raises(ValueError, match="needs two of its classes"):
            data.load(source, forget="0")
    with pytest.raises(ValueError, match="label is only for files"):
        data.load("digits:3-8", forget="0", label="target")


def test_a_condition_selects_rows_of_a_bundled_set():
    found = data.load("iris:0-1", forget='"sepal length (cm)" > 6')
    features, target = sklearn.datasets.load_iris(return_X_y=True)
    np.testing.assert_array_equal(found.forget, features[target < 2, 0] > 6)
    assert found.names == tuple(bundled.read("iris").names[1:])
    assert data.load("iris:0-1", forget="3", drop=["petal width (cm)"]).features.shape == (100, 3)
    with pytest.raises(ValueError, match="has no column 'petal'; did you mean 'petal "):
        data.load("iris:0-1", forget="3", drop=["petal"])


def test_the_intercept_is_a_column_of_ones_without_ridge():
    problem = data.load("iris:0-1", forget="0,60").problem(ridge=0.1, intercept=True)
    np.testing.assert_array_equal(problem.features[:, -1], 1)
    np.testing.assert_array_equal(problem.ridge, [0.1] * 4 + [0])
    with pytest.raises(ValueError, match="ridge must be finite and > 0"):
        data.load("iris:0-1", forget="0,60").problem(ridge=0, intercept=True)


@pytest.mark.parametrize("name", bundled.BUILT_IN)
def test_bundled_data_are_those_of_scikit_learn(name):
    expected = getattr(sklearn.datasets, f"load_{name}")()
    found = bundled.read(name)
    np.testing.assert_array_equal(found.features, expected.data)
    np.testing.assert_array_equal(found.targets, expected.target)
    assert list(found.names) == [str(key) for key in expected.feature_names]


def test_bundled_data_are_read_without_importing_scikit_learn_or_polars():
    code = "import sys; from gda_theory.problem import tables; "
    code += "tables.load('iris:0-1', forget='3'); "
    code += "sys.exit('sklearn' in sys.modules or 'polars' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# Data frames ------------------------------------------------------------------------------------

COLUMNS = {
    "branch": [7, 7, 8, 8, 9, 9],
    "member": [True, False, True, True, False, True],
    "income": [1.5, 2.5, None, 4.0, 2.0, 1.0],
    "city": ["a", "b", "c", "a", "b", "a"],
    "default": [False, True, False, True, True, False],
}
MASK = [True, True, False, False, False, False]


def frames():
    polars = pl.DataFrame(COLUMNS)
    pandas = pd.DataFrame(COLUMNS)
    typed = pandas.convert_dtypes()
    arrow = pa.table(COLUMNS)
    return [
        pytest.param(polars, pl.col("branch") == 7, id="polars"),
        pytest.param(polars.lazy(), nw.col("branch") == 7, id="polars-lazy"),
        pytest.param(polars, polars["branch"] == 7, id="polars-mask"),
        pytest.param(pandas, pandas["branch"] == 7, id="pandas"),
        pytest.param(typed, typed["branch"] == 7, id="pandas-typed"),
        pytest.param(pandas, nw.col("branch") == 7, id="pandas-narwhals"),
        pytest.param(arrow, pc.field("branch") == 7, id="arrow"),
        pytest.param(arrow, pc.equal(arrow["branch"], 7), id="arrow-mask"),
        pytest.param(polars, np.array(MASK), id="numpy-mask"),
        pytest.param(pandas, MASK, id="list"),
        pytest.param(pandas, "branch==7", id="text"),
        pytest.param(polars, "branch = 7 and income > 1", id="condition"),
    ]


@pytest.mark.parametrize(("frame", "forget"), frames())
def test_a_data_frame_of_any_library_is_a_problem(frame, forget):
    problem = gt.Problem.from_frame(
        frame, label="default", forget=forget, drop=["branch", "income"], standardize=False
    )
    np.testing.assert_array_equal(problem.forget, MASK)
    np.testing.assert_array_equal(problem.signs, [-1, 1, -1, 1, 1, -1])
    np.testing.assert_array_equal(problem.features[:, 0], [1, 0, 1, 1, 0, 1])
    np.testing.assert_array_equal(problem.features[:, 1], [1, 0, 0, 1, 0, 1])
    found = data.from_frame(frame, label="default", forget=MASK)
    assert found.names[:3] == ("branch", "member", "income")
    kept = np.array([1.5, 2.5, 2.0, 4.0, 2.0, 1.0])
    scaled = (kept - kept[2:].mean()) / kept[2:].std()
    np.testing.assert_allclose(found.features[:, 2], scaled, rtol=1e-14)


def test_the_column_of_an_expression_is_no_feature():
    frame = pl.DataFrame(COLUMNS)
    found = data.from_frame(frame, label="default", forget=pl.col("branch") == 7)
    assert "branch" not in found.names
    problem = gt.Problem.from_frame(
        frame, label="default", forget=pl.col("branch") == 7, intercept=True, ridge=0.5
    )
    np.testing.assert_array_equal(problem.features[:, -1], 1)
    np.testing.assert_array_equal(problem.ridge[-2:], [0.5, 0])


def test_a_missing_answer_keeps_the_row():
    frame = pl.DataFrame(COLUMNS)
    found = data.from_frame(frame, label="default", forget=pl.col("income") > 2)
    assert found.forget.tolist() == [False, True, False, True, False, False]


@pytest.mark.parametrize(
    ("forget", "message"),
    [
        ([0, 1], "one entry for each of 6 rows"),
        ([1, 0, 0, 0, 0, 0], "got 6 entries, such as 1"),
        ([False] * 6, "must leave both rows to keep and rows to forget, got 0 of 6"),
        (pd.Series(MASK, index=range(1, 7)), "must have the index of the frame"),
    ],
)
def test_a_wrong_mask_is_refused(forget, message):
    with pytest.raises(ValueError, match=message):
        data.from_frame(pd.DataFrame(COLUMNS), label="default", forget=forget)


def test_what_is_no_frame_is_refused():
    with pytest.raises(TypeError, match="frame must be a data frame that narwhals knows, got dict"):
        gt.Problem.from_frame(COLUMNS, label="default", forget="0")


def test_a_frame_loses_no_column_without_a_word():
    frame = pl.DataFrame(COLUMNS).with_columns(name=pl.Series(list("uvwxyz")))
    with pytest.warns(UserWarning, match="name: dropped as an identifier, since its 6 texts"):
        problem = gt.Problem.from_frame(frame, label="default", forget=MASK)
    assert problem.features.shape == (6, 6)
    gt.Problem.from_frame(frame, label="default", forget=MASK, drop=["name"])


def test_a_column_of_several_types_is_named():
    frame = pd.DataFrame({**COLUMNS, "mixed": [1, "a", 2.5, 1, "a", 2.5]})
    with pytest.raises(ValueError, match="frame: 'mixed' of its columns hold values of several"):
        gt.Problem.from_frame(frame, label="default", forget=MASK)


def test_missing_labels_of_a_frame_are_no_class():
    frame = pd.DataFrame({"x": [1.0, 2, 3], "y": [1.0, np.nan, 1.0]})
    with pytest.raises(ValueError, match="the label 'y' is missing in 1 row: 1"):
        data.from_frame(frame, label="y", forget=[True, False, False])


def test_float32_warns_of_lost_values_unless_they_are_scaled(table):
    rows = [f"{1700000000 + 60 * row},{row % 5},{row % 2}" for row in range(60)]
    path = table("\n".join(["at,x1,y", *rows]))
    raw = data.load(path, label="y", forget="3", standardize=False)
    scaled = data.load(path, label="y", forget="3")
    with jax.enable_x64(False):
        with pytest.warns(UserWarning, match=r"float32 .*'at' keeps 29 of 60 values"):
            raw.problem(ridge=1.0)
        assert len(np.unique(scaled.problem(ridge=1.0).features[:, 0])) == 60
    with jax.enable_x64(True):
        assert len(np.unique(raw.problem(ridge=1.0).features[:, 0])) == 60


@pytest.mark.parametrize(
    ("forget", "said"),
    [
        ("cty==Rome", "has no column 'cty'; did you mean 'city'?"),
        ("99", "row numbers must be from 0 to 4"),
        ("0", None),
    ],
)
def test_one_error_names_rows_label_options_and_columns(table, forget, said):
    """So that a user mends all at once. The frame of a data frame library is treated alike."""
    text = ROWS.replace("-2", "1e400")
    path = table(text)
    wanted = [said] if said else []
    wanted += ["no column 'scroe'; did you mean 'score'?", "column 'score' has inf"]
    with pytest.raises(ValueError, match="drop: ") as error:
        data.load(path, label="label", forget=forget, drop=["scroe"])
    assert all(part in str(error.value) for part in wanted)
    with pytest.raises(ValueError, match="label: ") as error:
        data.load(path, label="labl", forget=forget, drop=["scroe"])
    wanted.append("no column 'labl'; did you mean 'label'?")
    assert all(part in str(error.value) for part in wanted)
    assert str(error.value).count("\n") == 0
    frame = pl.read_csv(path)
    with pytest.raises(ValueError, match="label: ") as error:
        gt.Problem.from_frame(frame, label="labl", forget=forget, drop=["scroe"])
    assert all(part in str(error.value) for part in wanted)
