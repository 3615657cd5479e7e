"""Files and forget specifications: what is read, and that what is wrong is named with its line and
column.
"""

import subprocess
import sys

import jax
import numpy as np
import pytest
import sklearn.datasets
from sklearn.preprocessing import StandardScaler

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
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
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


def test_a_value_selects_rows_and_its_text_column_is_no_feature(table):
    found = data.load(table(ROWS), label="label", forget="city==Rome")
    np.testing.assert_array_equal(found.forget, [True, False, True, False, False])
    assert found.names == ("age", "score")
    by_number = data.load(table(ROWS), label="label", forget="score == 0.50", drop=["city"])
    np.testing.assert_array_equal(np.flatnonzero(by_number.forget), [0])
    assert by_number.names == ("age", "score")


def test_features_are_standardised_by_default_and_constant_ones_become_zero(table):
    # 0.1 three times has a rounded mean: dividing by the rounding noise would make a feature of
    # nothing.
    found = data.load(table("a,b,y\n1,0.1,0\n2,0.1,1\n6,0.1,0\n"), label="y", forget="0")
    np.testing.assert_allclose(
        found.features[:, 0], (np.array([1, 2, 6]) - 3) / np.std([1, 2, 6]), rtol=4e-16
    )
    np.testing.assert_array_equal(found.features[:, 1], 0)
    assert any("1 constant column became 0" in note for note in found.notes)


def test_separators_quotes_blank_lines_and_a_byte_order_mark(table):
    plain = data.load(
        table("a,b,y\n1,2,0\n3,4,1\n5,7,0\n"), label="y", forget="2", standardize=False
    )
    for text in (
        "a;b;y\n1;2;0\n3;4;1\n5;7;0\n",
        "a\tb\ty\r\n1\t2\t0\r\n3\t4\t1\r\n5\t7\t0",
        '\ufeffa,"b",y\n1,"2",0\n\n3,4,1\n,,\n5,7,0\n',
    ):
        other = data.load(table(text), label="y", forget="2", standardize=False)
        np.testing.assert_array_equal(other.features, plain.features)
        np.testing.assert_array_equal(other.labels, plain.labels)


def test_numbers_as_labels_are_compared_by_value(table):
    found = data.load(table("a,y\n1,10\n2,9\n3,10.0\n4,9\n"), label="y", forget="0")
    np.testing.assert_array_equal(found.labels, [1, -1, 1, -1])
    assert found.classes == ("9", "10")


def test_only_line_breaks_end_a_line(table):
    found = data.load(
        table("\r\na;city;y\r\n1;Oslo\x0c\u2028North;0\r\n2;Rome;1\r\n3;Rome;0\r\n"),
        label="y",
        forget="city==Rome",
    )
    np.testing.assert_array_equal(found.forget, [False, True, True])
    assert found.names == ("a",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a,b,y\n1,2,0\n3,1\n5,6,1\n",
            r"people.csv, line 3: expected 3 cells, as in the header, got 2",
        ),
        ("a,b,y\n1,2,0\n\n3,1,1,9\n", r"line 4: expected 3 cells, as in the header, got 4"),
        (
            'a,b,y\n1,2,0\n"3\n4",5,1\n6,x,1\n',
            r"line 3, column 'a': the cell has '3\\n4', which is not a finite",
        ),
        (
            "a,b,y\n1,2,0\n3,oops,1\n",
            r"line 3, column 'b': the cell has 'oops', which is not a finite number",
        ),
        ("a,b,y\n1,2,0\n3,,1\n", r"line 3, column 'b': the cell is empty"),
        (
            "a,b,y\n1,2,0\n3,1_0,1\n",
            r"line 3, column 'b': the cell has '1_0', which is not a finite number",
        ),
        (
            "a,b,y\n1,1e308,0\n3,-1e308,1\n",
            r"column 'b' is too large to be standardised: its variance overflows",
        ),
        ("a,b,y\n1,nan,0\n3,1,1\n", r"line 2, column 'b': the cell has 'nan'"),
        (
            "a,b,y\n1,Rome,0\n3,Oslo,1\n",
            r"line 2, column 'b': 'Rome' is not a number; a column of text must be encoded",
        ),
        ("a,b,y\n1,2,0\n3,4,\n", r"line 3, column 'y': the cell is empty"),
        ("a,b,y\n1,2,0\n3,4,1\n5,6,2\n", r"label column 'y' must have two values, got 3: 0, 1, 2"),
        ("a,b,y\n1,2,0\n3,4,0\n", r"label column 'y' must have two values, got 1: 0"),
        ("a,b,z\n1,2,0\n", r"label: .*people.csv has no column 'y'; it has 'a', 'b', 'z'"),
        ("a,a,y\n1,2,0\n", r"line 1: each column needs a name of its own, got 'a' more than once"),
        ("a,,y\n1,2,0\n", r"line 1: each column needs a name of its own, got nothing for column 2"),
        ("1,2,0\n3,4,1\n", r"line 1: the first line must name the columns, got numbers: 1, 2, 0"),
        ("a,b,y\n", r"has no rows after its header"),
        ("", r"is empty"),
        ("y\n1\n0\n", r"no column is left as a feature"),
        (b"a,b,y\n1,2,0\n3,\xff,1\n", r"line 3: not UTF-8 text \(byte 0xff\)"),
        ('a,b,y\n1,2,0\n3,"4,1\n', r"line 3: unexpected end of data"),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(table, text, message):
    with pytest.raises(ValueError, match=message):
        data.load(table(text), label="y", forget="0")


@pytest.mark.parametrize(
    ("forget", "message"),
    [
        ("5", r"row numbers must be from 0 to 4 and ranges must ascend, got '5'"),
        ("1,3-2", r"row numbers must be from 0 to 4 and ranges must ascend, got '3-2'"),
        ("1,-2", r"forget must be rows such as 3,17,20-25, or random:N, or COL==VALUE, got '-2'"),
        ("", r"got '' in ''"),
        ("0-4", r"forget must leave rows to keep, got all 5"),
        ("random:5", r"random:N with 1 <= N < 5, the number of rows, got 'random:5'"),
        ("random:0", r"random:N with 1 <= N"),
        ("random:x", r"random:N with 1 <= N"),
        ("town==Rome", r"forget: .* has no column 'town'; it has 'age', 'city'"),
        (
            "city==Paris",
            r"no row of .* has 'Paris' in column 'city'; it has 'Bonn', 'Oslo', 'Rome'",
        ),
    ],
)
def test_a_bad_forget_specification_is_refused(table, forget, message):
    with pytest.raises(ValueError, match=message):
        data.load(table(ROWS), label="label", forget=forget, drop=["city"])


def test_a_seed_beyond_64_bits_is_refused(table):
    with pytest.raises(ValueError, match="seed must fit 64 bits, got 9223372036854775808"):
        data.load(table(ROWS), label="label", forget="random:2", seed=2**63, drop=["city"])


def test_files_that_cannot_be_opened(table, tmp_path):
    with pytest.raises(
        FileNotFoundError,
        match=r"no file 'nowhere.csv', and no data set of that name \(there are breast_cancer",
    ):
        data.load("nowhere.csv", label="y", forget="0")
    with pytest.raises(IsADirectoryError, match="is a folder"):
        data.load(str(tmp_path), label="y", forget="0")
    with pytest.raises(
        ValueError, match="label must name the column with the classes, one of 'age'"
    ):
        data.load(table(ROWS), forget="0")
    with pytest.raises(ValueError, match=r"drop: .* has no column 'zip'"):
        data.load(table(ROWS), label="label", forget="0", drop=["zip"])


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


def test_data_are_read_without_importing_scikit_learn():
    code = "import sys; from gda_theory.problem import tables; "
    code += "tables.load('iris:0-1', forget='3'); sys.exit('sklearn' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_features_are_standardised_as_scikit_learn_does(tmp_path):
    """To the last digit, also a column that varies by rounding alone."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(101, 4)) * [1, 1e9, 1e-9, 1e-16] + [3, 1e6, 0, 1]
    rows = [[*row, index % 2] for index, row in enumerate(features.tolist())]
    path = tmp_path / "data.csv"
    path.write_text("\n".join(["a,b,c,d,y", *(",".join(map(repr, row)) for row in rows)]))
    found = data.load(str(path), label="y", forget="3")
    expected = StandardScaler().fit_transform(features)
    np.testing.assert_array_equal(found.features, expected)


@pytest.mark.parametrize("count", [1, 2, 569, 1024, 1626])
def test_random_rows_are_the_first_of_a_permutation(count):
    order = np.asarray(jax.random.permutation(jax.random.key(3), count))
    chosen = np.flatnonzero(data.random_forget_set(count, (count + 1) // 2, 3))
    np.testing.assert_array_equal(chosen, np.sort(order[: (count + 1) // 2]))
