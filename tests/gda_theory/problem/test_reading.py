"""Files of every kind, and that what is wrong is named with its line."""

import csv
import gzip
import random

import numpy as np
import polars as pl
import pytest

from gda_theory.problem import tables as data
from gda_theory.problem.reading import Format, read

PLAIN = "x1,x2,y\n1.5,-2,0\n3,4.25,1\n5,7,0\n"
FEATURES = [[1.5, -2], [3, 4.25], [5, 7]]


@pytest.fixture
def table(tmp_path):
    def write(content, name="people.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return write


def loaded(path, **settings):
    return data.load(path, label="y", forget="2", standardize=False, settings=Format(**settings))


@pytest.mark.parametrize(
    ("content", "settings"),
    [
        (PLAIN, {}),
        (PLAIN.replace(",", ";"), {}),
        (PLAIN.replace(",", "\t").replace("\n", "\r\n"), {}),
        (PLAIN.replace(",", "|"), {}),
        (PLAIN.replace(",", "^"), {"delimiter": "^"}),
        ('\ufeffx1,"x2",y\n1.5,"-2",0\n\n3,4.25,1\n,,\n5,7,0', {}),
        ("# exported from the ward\n" + PLAIN.replace("3,", "# a note, too\n3,"), {}),
        (PLAIN.replace("x1", "%x1").replace("%x1", "% x1\nx1"), {"comment": "%"}),
        (PLAIN.encode("utf-16"), {}),
        (PLAIN.encode("utf-16-le"), {"encoding": "utf-16-le"}),
        (gzip.compress(PLAIN.encode(), mtime=0), {}),
        ("x1;x2;y\n1,5;-2;0\n3;4,25;1\n5;7;0\n", {"decimal": ","}),
        ('x1,x2,y\n"1,5",-2,0\n3,"4,25",1\n5,7,0\n', {"decimal": ","}),
        (" x1 , x2,y\n 1.5,-2 ,0\n3, 4.25,1\n5,7,0\n", {}),
    ],
)
def test_text_is_read_however_it_is_written(table, content, settings):
    found = loaded(table(content), **settings)
    np.testing.assert_array_equal(found.features, FEATURES)
    np.testing.assert_array_equal(found.labels, [-1, 1, -1])
    assert found.names == ("x1", "x2")


def test_delimiters_inside_quotes_decide_nothing(table):
    found = loaded(table(PLAIN.replace("x1", '"a;b;c;d;e"')))
    assert found.names == ("a;b;c;d;e", "x2")
    found = loaded(table(PLAIN.replace(",", ";").replace("x1", "Length, m").replace("x2", "W, m")))
    assert found.names == ("Length, m", "W, m")
    np.testing.assert_array_equal(found.features, FEATURES)


def test_a_space_before_a_quote_is_no_part_of_the_cell(table):
    frame = read(table('name,y\n "row 0, ""kept""",1\n"x, y",0\n')).frame
    assert frame["name"].to_list() == ['row 0, "kept"', "x, y"]


def test_a_cell_of_140_kB_is_read_and_no_setting_changes(table):
    limit = csv.field_size_limit()
    long = "ab " * 47_000
    frame = read(table(f'text,x1,y\n"{long}",1,0\nshort,2,1\n')).frame
    assert frame["text"].to_list() == [long.strip(), "short"]
    assert frame["x1"].to_list() == ["1", "2"]
    assert csv.field_size_limit() == limit


def test_only_line_breaks_end_a_line(table):
    frame = read(table("\r\na;city;y\r\n1;Oslo\x0c\u2028North;0\r\n2;Rome;1\r\n")).frame
    assert frame["city"].to_list() == ["Oslo\x0c\u2028North", "Rome"]


def test_without_a_header_columns_are_numbered(table):
    path = table("".join(PLAIN.splitlines(keepends=True)[1:]))
    with pytest.raises(ValueError, match=r"got the number '1.5'; say --no-header if it is a row"):
        loaded(path)
    found = data.load(
        path, label="column_3", forget="2", standardize=False, settings=Format(header=False)
    )
    np.testing.assert_array_equal(found.features, FEATURES)
    years = table("2019,2020,y\n1,2,0\n3,5,1\n4,5,0\n")
    assert loaded(years, header=True).names == ("2019", "2020")


def test_one_number_in_the_header_is_enough_to_doubt_it(table):
    with pytest.raises(ValueError, match="--no-header"):
        loaded(table("0.5,low,R\n0.7,high,M\n"))


def test_a_header_that_is_a_comment_is_named(table):
    with pytest.raises(ValueError, match="a line with # was skipped"):
        loaded(table("#x1,x2,y\n1,2,0\n3,4,1\n"))
    assert loaded(table("#x1,x2,y\n1,2,0\n3,4,1\n2,2,0\n"), comment="").names == ("#x1", "x2")


def test_an_unnamed_first_column_is_an_index(table):
    found = loaded(table(",x1,x2,y\n0,1.5,-2,0\n1,3,4.25,1\n2,5,7,0\n"))
    np.testing.assert_array_equal(found.features, FEATURES)
    assert "the unnamed first column is an index: dropped" in found.notes


@pytest.mark.parametrize("kind", ["parquet", "arrow", "jsonl"])
@pytest.mark.parametrize("packed", [False, True])
def test_other_formats_are_known_by_their_first_bytes(tmp_path, kind, packed):
    frame = pl.DataFrame({"x1": [1.5, 3.0, 5.0], "x2": [-2.0, 4.25, 7.0], "y": ["a", "b", "a"]})
    path = tmp_path / "data.bin"
    {"parquet": frame.write_parquet, "arrow": frame.write_ipc, "jsonl": frame.write_ndjson}[kind](
        path
    )
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    found = loaded(str(path))
    np.testing.assert_array_equal(found.features, FEATURES)
    assert found.classes == ("a", "b")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "a,b,y\n1,2,0\n3,1\n5,6,1\n",
            "csv, line 3: expected 3 cells, as in the first line, got 2",
        ),
        ("a,b,y\n1,2,0\n\n3,1,1,9\n", "line 4: expected 3 cells, as in the first line, got 4"),
        ("# note\na,b,y\n1,2,0\n# note\n3,1\n", "line 5: expected 3 cells"),
        ('a,b,y\n"1\n",2,0\n3,1\n', "line 4: expected 3 cells"),
        ("a,a,y\n1,2,0\n", "each column needs a name of its own, got 'a' more than once"),
        ("a,,y\n1,2,0\n", "each column needs a name of its own, got nothing for column 2"),
        ("a,b,y\n", "has no rows after its header"),
        ("", "is empty"),
        (b"a,b,y\n1,2,0\n3,\xff,1\n", r"line 3: not UTF-8 text \(byte 0xff\); name the encoding"),
        ('a,b,y\n1,2,0\n3,"4,1\n', "line 3: unexpected end of data"),
        (b"PK\x03\x04rest", "is a ZIP archive or an Excel workbook; give CSV, Parquet"),
        (b"a\x00,\x00b\x00", "not a text file"),
        (b"\x1f\x8bbroken", "broken gzip file"),
        (b"PAR1broken", "people.csv cannot be read"),
        (b'{"a": 1}\n{"a" 2}\n', "people.csv cannot be read"),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(table, content, message):
    with pytest.raises(ValueError, match=message):
        loaded(table(content))


def test_random_tables_are_read_as_the_csv_module_reads_them(tmp_path):
    """Every mix of quotes, delimiters, blanks and line breaks in cells, seeded."""
    chance = random.Random(0)
    letters = ["a", '"', ",", ";", "\n", " ", "1", ".", "é", "#", "'", "|", "\t", ""]
    path = tmp_path / "random.csv"
    for _ in range(300):
        width, delimiter = chance.randint(2, 4), chance.choice(",;\t|")
        rows = [
            ["".join(chance.choices(letters, k=chance.randint(0, 5))) for _ in range(width)]
            for _ in range(chance.randint(1, 6))
        ]
        with path.open("w", newline="") as file:
            quoting = chance.choice([csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
            writer = csv.writer(file, delimiter=delimiter, quoting=quoting)
            writer.writerows([[f"c{place}" for place in range(width)], *rows])
        expected = [tuple(cell.strip() or None for cell in row) for row in rows]
        expected = [row for row in expected if any(row)]
        if expected:
            settings = Format(delimiter=delimiter, comment="")
            assert read(str(path), settings).frame.rows() == expected, path.read_text()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"delimiter": "::"}, "delimiter must be one ASCII character, got '::'"),
        ({"decimal": "x"}, "decimal must be '.' or ',', got 'x'"),
        ({"encoding": "klingon"}, "encoding must be one that Python knows, got 'klingon'"),
    ],
)
def test_a_wrong_setting_is_named(table, settings, message):
    with pytest.raises(ValueError, match=message):
        loaded(table(PLAIN), **settings)
