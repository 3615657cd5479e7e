"""Numbers that read well, tables that lose nothing, JSON that reads back bit for bit."""

import dataclasses
import io
import json
from typing import NamedTuple

import hypothesis.extra.numpy as hnp
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theory_common.printing import tables

pytestmark = pytest.mark.smoke


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0, "0"),
        (-0.0, "0"),
        (100_000, "100,000"),
        (np.int32(7), "7"),
        (0.178062078871913, "0.1781"),
        (0.99996, "1"),
        (-2.5, "-2.5"),
        (123456.7, "123,457"),
        (999999.9, "1e6"),
        (1234567.0, "1.235e6"),
        (0.00012345, "0.0001234"),  # 0.00012345 lies below the tie in binary
        (0.000012345, "1.234e-5"),
        (1e-300, "1e-300"),
        (1e100, "1e100"),
        (float("inf"), "inf"),
        (-np.inf, "-inf"),
        (np.nan, "–"),
        (None, "–"),
        (True, "yes"),
        (np.False_, "no"),
        (jnp.asarray(0.25), "0.25"),
    ],
)
def test_number(value, text):
    assert tables.number(value) == text


@given(value=st.floats(-1e308, 1e308, allow_subnormal=False), digits=st.integers(1, 12))
def test_number_is_right_to_its_digits(value, digits):
    shown = float(tables.number(value, digits).replace(",", ""))
    # Half a unit of the last digit is at most half of 10**(1 - digits), relative to the leading
    # digit 1.
    assert abs(shown - value) <= 0.5 * 10.0 ** (1 - digits) * abs(value) * (1 + 1e-12)


def test_cell_writes_arrays_item_by_item():
    assert tables.cell(np.array([1.5, np.nan])) == "(1.5, –)"
    assert tables.cell([1, "a", (2.0, 3.0)]) == "(1, a, (2, 3))"


def printed(*arguments, **named) -> str:
    file = io.StringIO()
    tables.print_table(*arguments, file=file, **named)
    return file.getvalue()


@pytest.mark.parametrize("width", [None, 30, 60])
def test_a_table_in_a_pipe_loses_nothing(width, monkeypatch):
    if width:
        monkeypatch.setenv("COLUMNS", str(width))
    else:
        monkeypatch.delenv("COLUMNS", raising=False)
    long = (
        "every word of this long cell must be there " * 5
        + "[bold]and brackets are text[/bold] "
        + "x" * 200
    )
    text = printed([{"claim": long, "here": 0.5}, [long, 1e-9]], ["claim", "here"], "A title")
    assert "\x1b" not in text  # no colour codes
    assert "…" not in text
    squeezed = "".join(text.split())
    assert text.count("x") >= 400
    assert max(map(len, text.splitlines())) <= (width or tables.PIPE_WIDTH)
    if not width:  # with wider columns no cell is interrupted by its neighbour
        assert squeezed.count("everywordof") == 10
        assert "[bold]and" in squeezed
    assert "A title" in text
    assert "0.5" in text
    assert "1e-9" in text


def test_columns_of_numbers_are_flush_right():
    lines = [
        line.rstrip()
        for line in printed([["a", 1], ["bb", 1000], ["c", None]], ["name", "count"]).splitlines()
        if line.strip()
    ]
    assert lines[-3].endswith("    1")
    assert lines[-2].endswith("1,000")
    assert lines[-1].endswith("–")
    assert len({len(line) for line in lines[-3:]}) == 1


def test_a_row_that_does_not_fit_is_an_error():
    with pytest.raises(ValueError, match="row must have 2 cells"):
        printed([[1]], ["a", "b"])
    with pytest.raises(ValueError, match="row has 'c'"):
        printed([{"c": 1}], ["a", "b"])


class Named(NamedTuple):
    weights: np.ndarray
    exists: bool


@dataclasses.dataclass
class Record:
    inner: Named
    label: str


def test_json_of_records():
    value = Record(Named(jnp.array([1.0, jnp.nan, -jnp.inf]), True), "α")
    assert tables.to_json(value) == {
        "inner": {"weights": [1.0, None, "-inf"], "exists": True},
        "label": "α",
    }
    text = tables.dumps(value)
    assert json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))[
        "inner"
    ]["weights"] == [1.0, None, "-inf"]


@pytest.mark.parametrize("value", [1j, np.array([1j]), {1: 2}, object(), np.array([object()])])
def test_json_refuses(value):
    with pytest.raises(TypeError):
        tables.to_json(value)


@pytest.mark.parametrize("text", ["NaN", "[1, Infinity]", "{", ""])
def test_the_reader_takes_strict_json_only(text):
    with pytest.raises(ValueError):  # noqa: PT011 - the JSON module's own words
        tables.loads(text)


arrays = st.one_of(
    hnp.arrays(np.float64, hnp.array_shapes(max_dims=3, max_side=4), elements=st.floats(width=64)),
    hnp.arrays(np.int64, hnp.array_shapes(max_dims=2, max_side=4)),
    hnp.arrays(np.bool_, hnp.array_shapes(max_dims=2, max_side=4)),
)
leaves = st.one_of(
    arrays,
    st.floats(),
    st.integers(-(2**60), 2**60),
    st.booleans(),
    st.text().filter(lambda text: text not in ("inf", "-inf")),
)


def assert_same_bits(ours, theirs):
    assert type(ours) is type(theirs)
    if isinstance(ours, dict):
        assert list(ours) == list(theirs)
        for key in ours:
            assert_same_bits(ours[key], theirs[key])
    elif isinstance(ours, np.ndarray):
        assert ours.dtype == theirs.dtype
        assert ours.shape == theirs.shape
        # A NaN has one meaning here, whatever its payload; everything else agrees to the bit, the
        # sign of zero included.
        both = [np.where(np.isnan(array), 0, array).tobytes() for array in (ours, theirs)]
        assert both[0] == both[1]
        assert np.array_equal(np.isnan(ours), np.isnan(theirs))
    else:
        assert repr(ours) == repr(theirs)


@given(
    st.dictionaries(st.text(), st.one_of(leaves, st.dictionaries(st.text(), leaves)), max_size=4)
)
def test_json_reads_back_bit_for_bit(value):
    assert_same_bits(tables.loads(tables.dumps(value)), value)


def test_what_the_reader_makes_of_mixed_lists():
    assert tables.from_json([[1, 2], [3]])[1].tolist() == [3]  # ragged: a list of arrays
    assert tables.from_json(["a", "inf"]) == ["a", np.inf]
    assert tables.from_json([True, 1]) == [True, 1]  # a flag is no number
    assert tables.from_json([]).shape == (0,)
    assert tables.from_json([2**70, 1]) == [2**70, 1]  # beyond int64: Python's own
    assert tables.from_json([{"x": [None]}])[0]["x"].dtype == np.float64


def test_float32_is_widened_exactly():
    value = np.float32(0.1)
    assert tables.loads(tables.dumps({"x": np.array([value])}))["x"][0] == np.float64(value)
