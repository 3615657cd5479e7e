"""Large files are read and scaled by faster code, which must find what the other code finds."""

import numpy as np
import polars as pl
import pytest
from sklearn.preprocessing import StandardScaler

from gda_theory.problem import columns, reading, scaling
from gda_theory.problem import tables as data

ROWS = 400  # types are judged by the first 200
RNG = np.random.default_rng(0)
NUMBERS = RNG.normal(5, 3, size=ROWS).round(3)


def cells(**columns):
    """A CSV file of these columns, and a label."""
    every = {**columns, "y": [row % 2 for row in range(ROWS)]}
    lines = [
        ",".join(every),
        *(",".join(map(str, row)) for row in zip(*every.values(), strict=True)),
    ]
    return "\n".join(lines) + "\n"


def late(first, last):
    """A column whose last cell differs from all before."""
    return [*first[: ROWS - 1], last]


WHOLE = RNG.integers(0, 50, ROWS).tolist()
FILES = {
    "numbers": cells(a=NUMBERS, b=WHOLE),
    "a float after 399 integers": cells(a=late(WHOLE, 1.5), b=NUMBERS),
    "a text after 399 numbers": cells(a=late((WHOLE * 2), "5+"), b=NUMBERS),
    "NA after 399 numbers": cells(a=late(NUMBERS.tolist(), "NA"), b=WHOLE),
    "NaN": cells(a=late(NUMBERS.tolist(), "NaN"), b=WHOLE),
    "empty cells": cells(a=late(NUMBERS.tolist(), ""), b=["", *WHOLE[1:]]),
    "empty last cells": cells(b=WHOLE).replace("b,y", "y,b").replace("\n3,1\n", "\n1,\n"),
    "ids": cells(id=[f"{row:04d}" for row in range(ROWS)], a=NUMBERS),
    "long ids": cells(id=[1_600_000_000_000_000_000 + row for row in range(ROWS)], a=NUMBERS),
    "integers that are too long": cells(a=[10**20 + row for row in range(ROWS)], b=WHOLE),
    "exponents and signs": cells(a=[f"{v:+.3e}" for v in NUMBERS], b=WHOLE),
    "texts": cells(a=["x y", "z", " w "] * 133 + ["z"], b=NUMBERS),
    "quotes": cells(a=['"x, y"', "z"] * 200, b=NUMBERS),
    "quoted numbers": cells(a=[f'"{v}"' for v in NUMBERS], b=WHOLE),
    "spaces": cells(a=[f" {v}" for v in NUMBERS], b=WHOLE),
    "a space before a quote": cells(a=[' "x, y"', "z"] * 200, b=NUMBERS),
    "dates": cells(a=[f"2020-01-{1 + row % 28:02d}" for row in range(ROWS)], b=NUMBERS),
    "booleans": cells(a=["true", "false"] * 200, b=NUMBERS),
    "blank lines": cells(a=NUMBERS, b=WHOLE).replace("\n", "\n\n"),
    "comments": cells(a=NUMBERS, b=WHOLE).replace("a,b,y\n", "a,b,y\n# a comment\n"),
    "a first comment": "# a comment\n" + cells(a=NUMBERS, b=WHOLE),
    "returns": cells(a=NUMBERS, b=WHOLE).replace("\n", "\r\n"),
    "semicolons": cells(a=NUMBERS, b=WHOLE).replace(",", ";"),
    "an index": cells(**{"": range(ROWS), "a": NUMBERS}),
    "a mark": "\ufeff" + cells(a=NUMBERS, b=WHOLE),
}


@pytest.fixture
def fast(monkeypatch):
    def switch(on):
        for module in (reading, columns):
            monkeypatch.setattr(module, "LARGE", 0 if on else 2**40)

    return switch


@pytest.mark.parametrize("forget", ["3,17", "a = 1", "random:5"])
@pytest.mark.parametrize("name", FILES)
def test_a_large_file_is_read_like_a_small_one(tmp_path, fast, name, forget):
    path = tmp_path / "data.csv"
    path.write_text(FILES[name], newline="")
    if forget == "a = 1" and name not in ("a float after 399 integers", "texts"):
        forget = "y = 0"
    found = []
    for on in (False, True):
        fast(on)
        try:
            found.append(data.load(str(path), label="y", forget=forget))
        except ValueError as error:
            found.append(str(error))
    slow, quick = found
    if isinstance(slow, str):
        assert quick == slow
        return
    assert quick.names == slow.names
    np.testing.assert_array_equal(quick.labels, slow.labels)
    np.testing.assert_array_equal(quick.forget, slow.forget)
    np.testing.assert_allclose(quick.features, slow.features, rtol=1e-13, atol=1e-14)
    assert [note for note in quick.notes if note[:5] not in ("  row", "featu")] == [
        note for note in slow.notes if note[:5] not in ("  row", "featu")
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("", "\n1,2", "line 402: expected 3 cells, as in the first line, got 2"),
        ("", "\n1,2,0,1", "line 402: expected 3 cells, as in the first line, got 4"),
        ("a,b,y", "a,a,y", "a name of its own, got 'a' more than once"),
        ("a,b,y", "a,7,y", "got the number '7'"),
    ],
)
def test_the_errors_of_a_large_file_are_those_of_a_small_one(tmp_path, fast, old, new, message):
    path = tmp_path / "data.csv"
    text = FILES["numbers"].rstrip("\n")
    path.write_text(text.replace(old, new) if old else text + new + "\n")
    fast(True)
    with pytest.raises(ValueError, match=message):
        data.load(str(path), label="y", forget="3")


def test_numbers_of_a_large_file_are_numbers(tmp_path, fast):
    path = tmp_path / "data.csv"
    path.write_text(FILES["numbers"])
    fast(True)
    schema = reading.read(str(path), as_text={"y"}).frame.schema
    assert schema == {"a": pl.Float64, "b": pl.Int64, "y": pl.String}


def test_moments_are_numpys_far_from_0_and_on_some_rows():
    features = RNG.normal([0, 1e6, -3], [1, 1e-2, 0], size=(5000, 3))
    rows = RNG.random(5000) < 0.7
    rows[2100:4200] = True  # whole blocks
    found = scaling.moments(features, rows)
    np.testing.assert_allclose(found.mean, features[rows].mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.variance, features[rows].var(0), rtol=1e-9, atol=1e-30)
    np.testing.assert_array_equal(found.lowest, features[rows].min(0))
    np.testing.assert_array_equal(found.highest, features[rows].max(0))


def test_the_transformer_of_many_numbers_is_fitted_on_all_of_them(tmp_path, fast):
    path = tmp_path / "data.csv"
    path.write_text(FILES["numbers"])
    fast(True)
    found = data.load(str(path), label="y", forget="0-9")
    numbers = np.column_stack([NUMBERS, WHOLE])
    expected = StandardScaler().fit(numbers[10:])
    given = found.transformer.transform(pl.DataFrame(numbers, schema=["a", "b"]))
    np.testing.assert_allclose(given, expected.transform(numbers), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(found.features, given, rtol=1e-12, atol=1e-13)
