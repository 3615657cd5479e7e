"""Files as people have them, on which identities, headers, dialects and types go wrong."""

import gzip

import numpy as np
import pytest

from gda_theory.problem import tables as data
from gda_theory.problem.reading import Format

COUNT = 60
RNG = np.random.default_rng(0)
X = RNG.normal(size=(COUNT, 2)).round(4)
Y = (RNG.random(COUNT) < 1 / (1 + np.exp(-X @ [1.0, -0.5]))).astype(int)
PLAIN = [[str(a), str(b), str(c)] for (a, b), c in zip(X, Y, strict=True)]


def lines(header, rows, delimiter=","):
    return "".join(delimiter.join(row) + "\n" for row in [header, *rows] if row)


def with_first(name, values):
    """A file whose first column has these values, again and again."""
    rows = [[values[row % len(values)], *PLAIN[row]] for row in range(COUNT)]
    return lines([name, "x1", "x2", "y"], rows)


@pytest.fixture
def load(tmp_path):
    def loaded(content, name="data.csv", **options):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return data.load(str(path), **({"label": "y", "forget": "0-3"} | options))

    return loaded


@pytest.mark.parametrize(
    ("name", "values", "forget", "expected"),
    [
        ("user", [str(16 * 10**17 + 37 * k) for k in range(COUNT)], "user==1600000000000000037", 1),
        ("user", [str(16 * 10**17 + 37 * k) for k in range(COUNT)], "user=1600000000000000037", 1),
        ("zip", ["007", "07", "7", "100000"], "zip==007", 15),
        ("zip", ["007", "07", "7", "100000"], "zip = 100000", 15),
        ("version", ["1.1", "1.10", "1e5"], "version==1.1", 20),
        ("version", ["1.1", "1.10", "1e5"], "version = 1e5", 20),
    ],
)
def test_an_identity_is_never_a_rounded_number(load, name, values, forget, expected):
    found = load(with_first(name, values), forget=forget)
    assert found.forget.sum() == expected
    assert found.notes[1].startswith(f"to forget: {expected} row")
    assert sum(note.startswith("  row ") for note in found.notes) == min(expected, 3)


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (lines(['"a;b;c;d;e"', "w", "y"], PLAIN), {}),
        (lines(["Length, m", "Width, m", "y"], PLAIN, ";"), {}),
        ("# exported from the ward\n" + lines(["x1", "x2", "y"], PLAIN), {}),
        (lines(["x1", "x2", "y"], PLAIN).encode("utf-16"), {}),
        (gzip.compress(lines(["x1", "x2", "y"], PLAIN).encode(), mtime=0), {"name": "data.csv.gz"}),
        (with_first("", [str(row) for row in range(COUNT)]), {}),
        (with_first("name", [f' "row {row}, kept"' for row in range(COUNT)]), {}),
        (with_first("long", ["x" * 140_000]), {"drop": ["long"]}),
        (
            lines(
                ["x1", "x2", "y"], [[cell.replace(".", ",") for cell in row] for row in PLAIN], ";"
            ),
            {"settings": Format(decimal=",")},
        ),
        (lines([], PLAIN), {"settings": Format(header=False), "label": "column_3"}),
    ],
    ids=[
        "quotes",
        "semicolons",
        "comment",
        "utf16",
        "gzip",
        "index",
        "space",
        "140kB",
        "comma",
        "no-header",
    ],
)
def test_the_same_numbers_are_read_however_they_are_written(load, content, options):
    found = load(content, standardize=False, **options)
    np.testing.assert_array_equal(found.features, X)
    np.testing.assert_array_equal(found.labels, 2 * Y - 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lines([], PLAIN), "the first line must name the columns, .* say --no-header"),
        (
            lines(
                ["x1", "x2", "y"], [[cell.replace(".", ",") for cell in row] for row in PLAIN], ";"
            ),
            "'x1' looks like numbers with a decimal comma: say --decimal ,; column 'x2' looks",
        ),
        (
            lines(
                ["x1", "x2", "y"], [[*row[:2], row[2] if row[2] == "1" else ""] for row in PLAIN]
            ),
            f"the label 'y' is missing in {COUNT - Y.sum()} rows: .* .counted from 0",
        ),
        (
            lines(
                ["x1", "x2", "y"], [["a1", "1", "1"], *([f"{row}.5", "1", ""] for row in range(9))]
            ),
            "(?s)label 'y' is missing in 9 rows.*column 'x1' has numbers and the text 'a1' .row 0,",
        ),
    ],
)
def test_an_error_offers_the_remedy_and_names_all_columns(load, content, message):
    with pytest.raises(ValueError, match=message):
        load(content)


def test_a_column_that_selects_is_no_feature_unless_asked_for(load):
    content = with_first("site", list("01234"))
    found = load(content, forget="site==3")
    assert found.names == ("x1", "x2")
    assert any("no feature" in note and "site" in note for note in found.notes)
    assert load(content, forget="site==3", keep_selector=True).names == ("site", "x1", "x2")


def test_true_is_plus_one(load):
    rows = [[a, b, str(c == "1")] for a, b, c in PLAIN]
    found = load(lines(["x1", "x2", "y"], rows))
    np.testing.assert_array_equal(found.labels, 2 * Y - 1)
    assert found.classes == ("False", "True")


def test_every_column_of_a_mixed_table_is_decided_at_once(load):
    header = ["age", "city", "opened", "member", "customer", "y"]
    rows = [
        [
            "" if row % 7 == 0 else str(20 + row % 50),
            ["Oslo", "Bergen", "", "Tromso"][row % 4],
            f"2019-{row % 12 + 1:02d}-03",
            ["yes", "no"][row % 3 > 0],
            f"C{row:05d}",
            PLAIN[row][2],
        ]
        for row in range(COUNT)
    ]
    said = "\n".join(load(lines(header, rows)).notes)
    for part in (
        "5 columns needed a decision:",
        "age: number; 9 empty cells imputed by the median",
        "city: text, 3 values, one-hot; 15 empty cells",
        "opened: date, as days",
        "member: text, 2 values, one-hot",
        "customer: dropped as an identifier",
    ):
        assert part in said


def test_times_in_seconds_keep_all_values_and_tiny_ones_are_named(load):
    found = load(with_first("at", [str(1_700_000_000 + 60 * row**2) for row in range(COUNT)]))
    assert len(np.unique(found.features[:, 0].astype(np.float32))) == COUNT
    found = load(with_first("tiny", [f"{a}e-200" for a in X[:, 0]]))
    assert any("not scaled: tiny, whose variance is" in note for note in found.notes)
