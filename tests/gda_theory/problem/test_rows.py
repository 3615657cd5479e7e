"""Which rows are selected. An identity is never a float."""

import datetime

import numpy as np
import polars as pl
import pytest

from gda_theory.problem import tables as data
from gda_theory.problem.reading import Format, Table
from gda_theory.problem.rows import select, typed_for_sql

ROWS = (
    "age,city,score,label\n"
    "31,Rome,0.5,no\n"
    "45,Oslo,1.5,yes\n"
    "27,Rome,-2,yes\n"
    "60,Bonn,4,no\n"
    "33,Oslo,1e-3,yes\n"
)


def selected(cells, forget, decimal="."):
    """The rows of a table of text that ``forget`` selects."""
    table = Table("the table", pl.DataFrame(cells), decimal)
    found = select("the table", table.frame.height, forget, seed=0, table=lambda: table)
    return np.flatnonzero(found.mask).tolist()


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text(ROWS)
    return str(path)


IDENTITIES = {
    "user": [str(1600000000000000000 + 37 * row) for row in range(8)],
    "zip": ["007", "07", "7", "100000"] * 2,
    "version": ["1.1", "1.10", "1e5", "2.0"] * 2,
    "site": ["3", "30", "1", "2"] * 2,
}


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("user==1600000000000000037", [1]),
        ("user = 1600000000000000037", [1]),
        ("user = '1600000000000000037'", [1]),
        ("user in (1600000000000000037, 1600000000000000000)", [0, 1]),
        ("zip==007", [0, 4]),
        ("zip = 007", [0, 4]),
        ("zip = 7", [2, 6]),
        ("zip==100000", [3, 7]),
        ("zip in (7, 07)", [1, 2, 5, 6]),
        ("zip not in (7, 07, 007)", [3, 7]),
        ("version==1.1", [0, 4]),
        ("version = 1.10", [1, 5]),
        ("1.1 = version", [0, 4]),
        ("version = 1e5", [2, 6]),
        ("version==100000", None),
        ("version = 100000", None),
        ("version <> 1.1 and version != 1e5", [1, 3, 5, 7]),
        ("site==3", [0, 4]),
        ("site = 3.0", [0, 4]),
    ],
)
def test_an_identity_is_compared_as_it_is_written(condition, rows):
    if rows is None:
        with pytest.raises(ValueError, match="no row of the table"):
            selected(IDENTITIES, condition)
    else:
        assert selected(IDENTITIES, condition) == rows


MIXED = {
    "branch": ["7", "8", "7", None, "7"],
    "opened": ["2019-05-01", "2019-06-01", "2020-01-01", "2018-01-01", "2021-01-01"],
    "score": ["0.50", "10.5", "9.25", "-2", "3"],
    "open now": ["true", "false", "True", "false", "true"],
    "name": ["a'b", "x = 3", "in (1)", "=", ""],
}


@pytest.mark.parametrize(
    ("condition", "rows"),
    [
        ("branch = 7 and opened < '2020-01-01'", [0]),
        ("branch == 7 AND opened >= DATE '2020-01-01'", [2, 4]),
        ("opened between '2019-05-01' and '2019-12-31' and branch = 7", [0]),
        ("opened in ('2020-01-01', '2018-01-01')", [2, 3]),
        ("score > 9", [1, 2]),
        ("score between -3 and 1", [0, 3]),
        ("score < -1.5", [3]),
        ("score = 0.50", [0]),
        ("score = -2", [3]),
        ("branch is null", [3]),
        ("not branch = 7", [1]),
        ('"open now" = true and branch = 7', [0, 2, 4]),
        ('"open now"', [0, 2, 4]),
        ("name = 'a''b' or name = 'x = 3' or name = '='", [0, 1, 3]),
        ("name like 'in %'", [2]),
        ("branch + 1 = 9", [1]),
        ("opened==2020-01-01", [2]),
    ],
)
def test_a_condition_in_sql(condition, rows):
    assert selected(MIXED, condition) == rows


def test_a_condition_on_decimal_commas():
    assert selected({"x": ["-1,5", "2,5", "-3"]}, "x < -1", ",") == [0, 2]
    assert selected({"x": ["1,5", "2,5", "3"]}, "x = 2.5", ",") == [1]


def test_a_condition_on_typed_columns():
    day = datetime.date(2020, 1, 1)
    typed = {
        "id": [1600000000000000037, 1600000000000000038, 5],
        "day": [day, day.replace(year=2021), None],
        "time": [datetime.datetime(2020, 1, 1, hour) for hour in (0, 9, 18)],
        "float": [7.0, None, 3.5],
        "flag": [True, False, None],
    }
    assert selected(typed, "id = 1600000000000000037") == [0]
    assert selected(typed, "id==1600000000000000038") == [1]
    assert selected(typed, "day > '2020-06-01'") == [1]
    assert selected(typed, "time > '2020-01-01 10:00:00'") == [2]
    assert selected(typed, "float==7") == [0]
    assert selected(typed, "float = 3.5") == [2]
    assert selected(typed, "flag==True") == [0]
    with pytest.raises(ValueError, match="'float' holds floats, which cannot tell 16000000000"):
        selected(typed, "float = 1600000000000000037")


def test_a_column_has_a_type_only_if_it_writes_every_cell_as_it_stands():
    cells = {
        "whole": ["1", "-2", None],
        "padded": ["01", "2", "3"],
        "huge": ["1", "2", "9" * 25],
        "float": ["1.5", "2", "-0.25"],
        "same": ["2", "2.0", "1"],
        "power": ["1e5", "2", "3"],
        "day": ["2020-01-01", None, "2020-02-01"],
        "short": ["2020-1-1", "2020-01-01", "2020-02-01"],
        "flag": ["true", "FALSE", "True"],
        "infinite": ["inf", "1.5", "2.5"],
        "empty": [None, None, None],
    }
    frame = pl.DataFrame(cells, schema=dict.fromkeys(cells, pl.String))
    types = typed_for_sql(Table("the table", frame), frame.columns).schema
    assert types == {
        "whole": pl.Int64,
        "padded": pl.String,
        "huge": pl.String,
        "float": pl.Float64,
        "same": pl.String,
        "power": pl.String,
        "day": pl.Date,
        "short": pl.String,
        "flag": pl.Boolean,
        "infinite": pl.String,
        "empty": pl.String,
    }


@pytest.mark.parametrize("forget", ["0,3-4", "rows 0,3-4", " rows 0, 3 - 4 "])
def test_rows_by_number(table, forget):
    found = data.load(table, label="label", forget=forget)
    np.testing.assert_array_equal(np.flatnonzero(found.forget), [0, 3, 4])


@pytest.mark.parametrize(
    ("forget", "message"),
    [
        ("5", r"row numbers must be from 0 to 4 and ranges must ascend, got '5'"),
        ("rows 5", r"row numbers must be from 0 to 4 and ranges must ascend, got '5'"),
        ("1,3-2", r"row numbers must be from 0 to 4 and ranges must ascend, got '3-2'"),
        ("1,-2", r"forget must be rows such as 3,17,20-25, or random:N, .* got '-2'"),
        ("", r"got '' in ''"),
        ("0-4", r"forget must leave both rows to keep and rows to forget, got 5 of 5"),
        ("random:5", r"random:N with 1 <= N < 5, the number of rows, got 'random:5'"),
        ("random:0", r"random:N with 1 <= N"),
        ("random:x", r"random:N with 1 <= N"),
        ("town==Rome", r"forget: .* has no column 'town'; it has 'age', 'city'"),
        ("cty==Rome", r"has no column 'cty'; did you mean 'city'\?"),
        (
            "city==Paris",
            r"no row of .* has 'Paris' in column 'city'; it has 'Bonn', 'Oslo', 'Rome'",
        ),
        ("score==0.50", r"has '0.50' in column 'score'; it has '-2', '0.5'"),
        ("city = Rome", r"has no column 'Rome'; .* text stands in single quotes"),
        ("town = 'Rome' or age = 3", r"has no column 'town'"),
        ("age >", r"'age >' is no SQL condition"),
        ("age + 1", r"'age \+ 1' must be true or false for each row"),
        ("age > 200", r"no row of .* meets 'age > 200'"),
        ("age > 0", r"rows to keep and rows to forget, got 5 of 5"),
        ("age > 'x'", r"cannot be decided"),
    ],
)
def test_a_bad_forget_specification_is_refused(table, forget, message):
    with pytest.raises(ValueError, match=message):
        data.load(table, label="label", forget=forget, drop=["city"])


def test_the_notes_count_the_rows_and_show_three(table):
    notes = data.load(table, label="label", forget="age < 50").notes
    place = notes.index("to forget: 4 rows where age < 50")
    assert notes[place + 1] == "  row 0: age 31, city Rome, score 0.5, label no"
    assert [line.split(":")[0] for line in notes[place + 1 : place + 5]] == [
        "  row 0",
        "  row 1",
        "  row 2",
        "no feature, since rows were selected by it",
    ]


@pytest.mark.parametrize("forget", ["age==31", "age < 40", "city==Rome"])
def test_the_column_that_selects_is_no_feature(table, forget):
    column = forget[:4].strip("=< ")
    found = data.load(table, label="label", forget=forget)
    assert column not in [name.partition("=")[0] for name in found.names]
    kept = data.load(table, label="label", forget=forget, keep_selector=True)
    assert column in [name.partition("=")[0] for name in kept.names]


def test_a_file_of_ids(tmp_path):
    path = tmp_path / "rows.csv"
    lines = [f"{100 + row:04d},{row % 3},{row % 2}" for row in range(6)]
    path.write_text("\n".join(["customer,x,y", *lines]))
    ids = tmp_path / "ids.txt"
    ids.write_bytes('customer\r\n0101 \r\n"0104"\r\n\r\n0101\r\n'.encode("utf-16"))
    found = data.load(str(path), label="y", forget_ids=str(ids), id="customer")
    assert np.flatnonzero(found.forget).tolist() == [1, 4]
    assert "to forget: 2 rows whose customer is among 2 ids" in found.notes
    assert found.names == ("x",)
    ids.write_text("0101\n101\nnobody\n")
    with pytest.raises(ValueError, match=r"2 of 3 ids match no row .*: '101', 'nobody'; --allow"):
        data.load(str(path), label="y", forget_ids=str(ids), id="customer")
    found = data.load(str(path), label="y", forget_ids=str(ids), id="customer", allow_missing=True)
    assert np.flatnonzero(found.forget).tolist() == [1]
    with pytest.raises(ValueError, match=r"id: .* has no column 'client'"):
        data.load(str(path), label="y", forget_ids=str(ids), id="client")
    with pytest.raises(ValueError, match="forget_ids needs id"):
        data.load(str(path), label="y", forget_ids=str(ids))
    with pytest.raises(ValueError, match="give one of forget, forget_ids"):
        data.load(str(path), label="y", forget="0", forget_ids=str(ids), id="customer")
    ids.write_text("nobody\n")
    with pytest.raises(ValueError, match=r"no id in .* matches a row"):
        data.load(str(path), label="y", forget_ids=str(ids), id="customer", allow_missing=True)
    ids.write_text("\n")
    with pytest.raises(ValueError, match="holds no id"):
        data.load(str(path), label="y", forget_ids=str(ids), id="customer")


def test_a_condition_on_a_file_with_decimal_commas(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("x;z;y\n1,5;1;0\n-2,5;2;1\n3;2;1\n4;4;0\n")
    settings = Format(decimal=",")
    found = data.load(str(path), label="y", forget="x < 0", settings=settings)
    assert np.flatnonzero(found.forget).tolist() == [1]
