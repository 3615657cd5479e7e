"""What each column becomes. Every decision is listed, and every fault is in one error."""

import datetime

import numpy as np
import polars as pl
import pytest
from sklearn.preprocessing import StandardScaler

from gda_theory.problem import columns
from gda_theory.problem.reading import Table


def table(cells, decimal="."):
    return Table("the table", pl.DataFrame(cells, strict=False), decimal)


def encode(cells, kept=None, **options):
    given = table(cells, options.pop("decimal", "."))
    fitted_on = np.ones(given.frame.height, bool) if kept is None else np.asarray(kept)
    return columns.encode(given, given.frame.columns, fitted_on, **options)


def plain(cells, **options):
    """The features without scaling, by name."""
    found = encode(cells, standardize=False, **options)
    return dict(zip(found.names, found.features.T.tolist(), strict=True))


COUNT = 24
CITIES = ["Oslo", "Bergen", None, "Tromso"] * 6
AGES = [None if row % 7 == 0 else str(20 + row) for row in range(COUNT)]


def test_every_column_that_needs_a_decision_is_listed():
    found = encode(
        {
            "age": AGES,
            "city": CITIES,
            "opened": [f"2019-{row % 12 + 1:02d}-03" for row in range(COUNT)],
            "member": ["yes", "no", "no"] * 8,
            "open": ["True", "false"] * 12,
            "customer": [f"C{row:05d}" for row in range(COUNT)],
            "nothing": pl.Series([None] * COUNT, dtype=pl.String),
            "x": [f"{row / 7:.3f}" for row in range(COUNT)],
        },
        standardize=False,
    )
    assert found.names == (
        "age",
        "city=Bergen",
        "city=Oslo",
        "city=Tromso",
        "opened",
        "member=yes",
        "open",
        "x",
    )
    assert found.notes == (
        "7 columns needed a decision:",
        "  age: number; 4 empty cells imputed by the median 31.5",
        "  city: text, 3 values, one-hot; 6 empty cells imputed by the most frequent value",
        "  opened: date, as days from its mean",
        "  member: text, 2 values, one-hot",
        "  open: boolean, true became 1 and false 0",
        "  customer: dropped as an identifier, since its 24 texts are distinct (--keep)",
        "  nothing: dropped, since all its cells are empty",
        "features as they are, not standardised",
    )


def test_categories_dates_and_booleans_have_the_right_values():
    found = plain(
        {
            "city": ["b", "a", "c", "b"],
            "day": ["2020-02-28", "2020-03-01", "2020-03-02", "2020-02-29"],
            "flag": ["true", "false", None, "true"],
            "x": ["1", "NA", "3", "8"],
        }
    )
    assert found["city=a"] == [0, 1, 0, 0]
    assert found["city=b"] == [1, 0, 0, 1]
    assert found["city=c"] == [0, 0, 1, 0]
    assert found["day"] == [-1.5, 0.5, 1.5, -0.5]
    assert found["flag"] == [1, 0, 1, 1]
    assert found["x"] == [1, 3, 3, 8]


def test_everything_is_fitted_on_the_kept_rows_alone():
    cells = {"x": ["1", "3", None, "100"], "city": ["a", "b", "b", "c"]}
    kept = np.array([True, True, True, False])
    found = encode(cells, kept)
    numbers = np.array([1, 3, 2, 100.0])
    np.testing.assert_allclose(
        found.features[:, 0], (numbers - numbers[:3].mean()) / numbers[:3].std(), rtol=1e-15
    )
    assert found.names == ("x", "city=b")
    np.testing.assert_allclose(found.features[kept].mean(axis=0), 0, atol=1e-15)
    np.testing.assert_allclose(found.features[kept].var(axis=0), 1, rtol=1e-14)
    assert any("1 value of other rows became zeros" in note for note in found.notes)
    plain_city = encode(cells, kept, standardize=False)
    assert plain_city.features[:, 1].tolist() == [0, 1, 1, 0]


def test_scaling_is_scikit_learns():
    """To the last digit, for columns that lie in memory one after the other."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(101, 3)) * [1, 1e9, 1e-9] + [3, 1e6, 0]
    numbers = np.asfortranarray(numbers)
    kept = np.arange(101) % 3 > 0
    found = encode({name: numbers[:, place] for place, name in enumerate("abc")}, kept)
    expected = StandardScaler().fit(np.asfortranarray(numbers[kept])).transform(numbers)
    np.testing.assert_array_equal(found.features, expected)


def test_the_notes_measure_what_they_say():
    found = encode({"tiny": ["1e-200", "-3e-200", "2e-200"], "x": ["1", "2", "4"]})
    said = " ".join(found.notes)
    assert "not scaled: tiny, whose variance is 0" in said
    assert "features standardised on 3 kept rows: " in said
    spread = abs(found.features[:, 1].var() - 1)
    assert f"|variance-1| <= {spread:.1g}" in said
    mean = np.max(np.abs(found.features.mean(axis=0)))
    assert f"|mean| <= {mean:.1g}" in said


def test_constant_columns_become_exactly_0():
    # 0.1 three times has a rounded mean. Scaled, the rounding would be a feature.
    found = encode({"a": ["1", "2", "6"], "b": ["0.1"] * 3})
    np.testing.assert_array_equal(found.features[:, 1], 0)
    assert "  1 constant column became 0" in found.notes
    found = encode({"a": ["1", "2", "6"], "b": ["5", "5", "7"]}, [True, True, False])
    np.testing.assert_array_equal(found.features[:, 1], [0, 0, 2])
    assert "  1 constant column became 0 in those rows" in found.notes


def test_large_integers_are_centred_while_they_are_exact():
    ids = [str(1600000000000000000 + 37 * row) for row in range(30)]
    found = encode({"user": ids, "x": [str(row % 4) for row in range(30)]})
    assert found.names == ("x",)
    assert "  user: dropped as an identifier, since its 30 integers are distinct (--keep)" in (
        found.notes
    )
    found = encode({"user": ids}, keep=["user"])
    steps = np.arange(30.0)
    np.testing.assert_allclose(found.features[:, 0], (steps - 14.5) / steps.std(), rtol=1e-13)


def test_integers_that_are_too_far_apart_lose_values_and_it_is_said():
    cells = pl.Series([2**63, 2**63 + 5, 1] * 2, dtype=pl.UInt64)
    found = encode({"hash": cells}, standardize=False)
    assert found.notes[1].endswith("exact; as floats they keep 2 of 3 values")


def test_integers_are_identifiers_only_with_a_reason():
    def kept(name, cells):
        cells = {name: cells, "x": [str(row % 4) for row in range(len(cells))]}
        return name in encode(cells).names

    spread = [str(row * row + 60) for row in range(30)]
    assert kept("income", spread)
    assert not kept("customer_id", spread)
    assert not kept("customerId", spread)
    assert kept("paid", spread)
    assert not kept("nr", [str(row + 5) for row in range(30)])  # consecutive
    assert kept("nr", [str(row + 5) for row in range(10)])  # too few to tell
    assert kept("nr", [str(row // 2) for row in range(30)])
    notes = encode({"at": spread}).notes
    assert "  at: a number; its integers are distinct (--drop it if it is an id)" in notes


def test_typed_columns():
    day = datetime.date(2020, 1, 1)
    cells = {
        "flag": [True, False, None, True],
        "small": pl.Series([1, 2, None, 2], dtype=pl.Int8),
        "real": [0.5, float("nan"), 2.5, 3.5],
        "day": [day, day + datetime.timedelta(3), day, day],
        "time": [datetime.datetime(2020, 1, 1, 0, 0, second) for second in (0, 2, 4, 6)],
        "kind": pl.Series(["u", "v", "u", "w"], dtype=pl.Categorical),
        "list": [[1], [2], [3], [4]],
    }
    found = encode(cells, standardize=False)
    assert found.names == ("flag", "small", "real", "day", "time", "kind=u", "kind=v", "kind=w")
    assert found.features.tolist() == [
        [1, 1, 0.5, -0.75, -3, 1, 0, 0],
        [0, 2, 2.5, 2.25, -1, 0, 1, 0],
        [1, 2, 2.5, -0.75, 1, 1, 0, 0],
        [1, 2, 3.5, -0.75, 3, 0, 0, 1],
    ]
    assert any(note.startswith("  list: dropped, since it holds List") for note in found.notes)


def test_times_are_read_in_seconds():
    found = plain({"at": ["2020-01-01 00:00", "2020-01-01 00:01", "2020-01-01 00:02"] * 2})
    assert found["at"] == [-60, 0, 60] * 2
    found = plain({"at": ["2020-01-01T00:00:00Z", "2020-01-01T00:00:00.5Z"] * 2})
    assert found["at"] == [-0.25, 0.25] * 2


def test_numbers_and_few_texts_are_a_category():
    cells = {"dependents": ["0", "1", "2", "3+"] * 3}
    assert encode(cells).names == tuple(f"dependents={value}" for value in ("0", "1", "2", "3+"))


def test_all_faults_are_in_one_error():
    with pytest.raises(ValueError, match="the table: ") as error:
        encode(
            {
                "price": ["1,5", "2,25", "3"],
                "score": ["1", "oops", "3"],
                "ratio": ["1", "inf", "2"],
                "fine": ["1", "2", "3"],
            }
        )
    said = str(error.value)
    assert "column 'price' looks like numbers with a decimal comma: say --decimal ," in said
    assert "column 'score' has numbers and the text 'oops' (row 1, counted from 0)" in said
    assert "column 'ratio' has inf (row 1, counted from 0), which is not a finite number" in said
    assert "fine" not in said
    assert plain({"price": ["1,5", "2,25", "3"]}, decimal=",") == {"price": [1.5, 2.25, 3]}


def test_an_overflowing_variance_and_an_empty_table_are_refused():
    with pytest.raises(ValueError, match="'b' too large to be standardised: the variance overfl"):
        encode({"a": ["1", "2"], "b": ["1e308", "-1e308"]})
    with pytest.raises(ValueError, match="no column is left as a feature: name: dropped as an id"):
        encode({"name": ["u", "v", "w"]})


@pytest.mark.parametrize(
    ("cells", "signs", "classes"),
    [
        (["no", "yes", "no"], [-1, 1, -1], ("no", "yes")),
        (["True", "False", "True"], [1, -1, 1], ("False", "True")),
        ([True, False, True], [1, -1, 1], ("false", "true")),
        (["10", "9", "10.0"], [1, -1, 1], ("9", "10")),
        (["-1", "1", "1"], [-1, 1, 1], ("-1", "1")),
        ([2.0, 1.0, 2.0], [1, -1, 1], ("1", "2")),
        (["1600000000000000037", "1600000000000000038"], [-1, 1], None),
        (["owl", "cat", "dog", "cat"], [2, 0, 1, 0], ("cat", "dog", "owl")),
        (["10", "9", "11", "9.0"], [1, 0, 2, 0], ("9", "10", "11")),
    ],
)
def test_labels_are_values_of_any_type(cells, signs, classes):
    found, names = columns.labels(table({"y": cells}), "y")
    assert found.tolist() == signs
    assert classes is None or names == classes


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["1", None, "1"], r"the label 'y' is missing in 1 row: 1 \(counted from 0\)"),
        ([1.0, float("nan"), None, 0.0], r"missing in 2 rows: 1, 2 \(counted"),
        (["1"] + ["NA"] * 9, r"missing in 9 rows: 1, 2, 3, 4, 5, 6, 7, 8, \.\.\. \(counted"),
        (["0", "1", "2.5"], "whole numbers or texts for more than two classes, got 0, 1, 2.5"),
        (["0", "0"], "must have two values, or up to 100 classes, got 1: 0"),
        ([f"c{i:03}" for i in range(101)], "got 101: 'c000', 'c001', 'c002', 'c003', 'c004', ..."),
    ],
)
def test_labels_that_are_missing_or_not_two(cells, message):
    with pytest.raises(ValueError, match=message):
        columns.labels(table({"y": cells}), "y")
