"""Results for people and for programs: readable numbers, terminal tables, and strict JSON.

The JSON follows the standard, RFC 8259, which has no NaN. NaN is written as ``null``, and the
infinities as the strings ``"inf"`` and ``"-inf"``, which Python's ``float`` and NumPy read. Floats
are written with the shortest digits that read back to the same float64. So
``from_json(to_json(x))`` is bitwise ``x`` in float64. float32 is widened, which is exact.
"""

import dataclasses
import io
import json
import math
import numbers
import os
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import rich.console

# A file in memory has no name and no mode, which the runtime checker asks of IO.
Output: TypeAlias = IO[str] | io.StringIO
NO_VALUE = "–"
PIPE_WIDTH = 120  # columns of a table that goes to a file or a pipe
LINE = 80  # characters of a line of sentences


def wrapped(text: str) -> str:
    """Sentences in lines of at most 80 characters."""
    return textwrap.fill(text, LINE)


def number(value: Any, digits: int = 4) -> str:
    """A real number as a person would write it, rounded to ``digits`` significant digits.

    From 0.0001 to 1e6 it is a plain decimal, outside it has an exponent. Digits before the point
    are never rounded away: 123456.7 gives ``123,457``. Integers are written in full, flags as
    ``yes`` or ``no``, NaN and ``None`` as a dash.
    """
    if value is None:
        return NO_VALUE
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, numbers.Integral):
        return f"{value:,}"
    value = float(value)
    if math.isnan(value):
        return NO_VALUE
    if math.isinf(value) or value == 0:
        return f"{value:g}".lstrip("-") if value == 0 else f"{value:g}"
    # This rounds first, so that 0.99996 has the exponent of 1.
    mantissa, power = f"{value:.{digits - 1}e}".split("e")
    exponent = int(power)
    if not -4 <= exponent < 6:
        return f"{_trimmed(mantissa)}e{exponent}"
    return _trimmed(f"{value:,.{max(0, digits - 1 - exponent)}f}")


def cell(value: Any, digits: int = 4) -> str:
    """The text of one table cell.

    Text stays as it is, a number is written by :func:`number`, a sequence or array item by item.
    """
    if isinstance(value, str):
        return value
    if getattr(value, "ndim", 0) or isinstance(value, (list, tuple)):
        return "(" + ", ".join(cell(item, digits) for item in value) + ")"
    return number(value, digits)


def print_table(
    rows: Iterable[Mapping | Sequence],
    columns: Sequence[str],
    title: str = "",
    *,
    digits: int = 4,
    file: Output | None = None,
) -> None:
    """Print a table. Long cells wrap, nothing is cut off, and numbers are set flush right.

    Args:
        rows: a row is a sequence as long as ``columns``, or a mapping with some of them as keys.
            A missing key prints as a dash.
        columns: the names at the top.
        title: a line above the table.
        digits: significant digits of numbers.
        file: where to print, by default standard output. A terminal has its own width; a file or
            pipe has ``COLUMNS`` characters, by default :data:`PIPE_WIDTH`.
    Raises: ``ValueError`` if a row does not fit the columns.
    """
    import rich.box
    import rich.console
    import rich.table
    import rich.text

    cells = [_cells(row, columns) for row in rows]
    table = rich.table.Table(
        title=rich.text.Text(title) if title else None,
        title_justify="left",
        box=rich.box.SIMPLE_HEAD,
    )
    for index, name in enumerate(columns):
        numeric = bool(cells) and all(_is_numeric(row[index]) for row in cells)
        table.add_column(
            rich.text.Text(name), justify="right" if numeric else "left", overflow="fold"
        )
    for row in cells:
        # As Text, so that a bracket in a cell is not taken for markup.
        table.add_row(*(rich.text.Text(cell(value, digits)) for value in row))
    console(file).print(table)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of text in columns, as lines; the first row is the heading, with a line below it."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines.insert(1, "-" * (sum(widths) + 2 * (len(widths) - 1)))
    return lines


def console(file: Output | None = None) -> "rich.console.Console":
    """A rich console on ``file``, by default standard output.

    On a terminal it has the terminal's width and colours. In a pipe it writes plain text, with
    ``COLUMNS`` characters a line or :data:`PIPE_WIDTH`.
    """
    import rich.console

    file = file or sys.stdout
    width = None if file.isatty() or os.environ.get("COLUMNS") else PIPE_WIDTH
    return rich.console.Console(file=file, width=width, highlight=False)


def to_json(value: Any) -> Any:
    """``value`` in the form that ``json.dumps(..., allow_nan=False)`` accepts.

    Mappings with text keys, NamedTuples and dataclasses become objects. Arrays of NumPy or JAX and
    other sequences become lists.

    Raises: ``TypeError`` for anything else, complex numbers included.
    """
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, np.generic) or hasattr(value, "__array__"):
        return to_json(_real_array(value).tolist())
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return _finite_or_name(float(value))
    if hasattr(value, "_asdict"):
        return to_json(value._asdict())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"the keys of a JSON object must be text, got {list(value)!r}")
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no JSON form here: {value!r}")


def from_json(value: Any) -> Any:
    """The inverse of :func:`to_json`, as far as JSON allows.

    A rectangular list of numbers, ``null`` and ``"inf"`` becomes an array of int64, float64 or
    bool, and ``null`` becomes NaN. Other lists stay lists. Four things do not survive: classes (an
    object becomes a ``dict``), ``None`` (it becomes NaN), the lengths of axes behind an empty one,
    and a text ``"inf"`` that was meant as text.
    """
    if isinstance(value, Mapping):
        return {key: from_json(item) for key, item in value.items()}
    if not isinstance(value, list):
        return _from_name(value)
    leaves = list(_leaves(value))
    if (
        all(_is_number(leaf) for leaf in leaves)
        and len({isinstance(leaf, bool) for leaf in leaves}) <= 1
    ):
        try:
            array = np.asarray(_each(value, _from_name))
        except (ValueError, OverflowError):  # ragged
            array = None
        if array is not None and array.dtype.kind in "bif":
            return array
    return [from_json(item) for item in value]


def dumps(value: Any, *, indent: int | None = None) -> str:
    """``value`` as strict JSON text, by :func:`to_json`."""
    return json.dumps(to_json(value), allow_nan=False, ensure_ascii=False, indent=indent)


def loads(text: str) -> Any:
    """What :func:`dumps` wrote, read by :func:`from_json`.

    Raises: ``ValueError`` if ``text`` is not strict JSON.
    """

    def refuse(constant):
        raise ValueError(f"{constant} is not JSON")

    return from_json(json.loads(text, parse_constant=refuse))


def _trimmed(digits: str) -> str:
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _cells(row, columns) -> list:
    if isinstance(row, Mapping):
        unknown = [key for key in row if key not in columns]
        if unknown:
            raise ValueError(
                f"row has {unknown[0]!r}, which is none of the columns {list(columns)}"
            )
        return [row.get(name) for name in columns]
    if len(row) != len(columns):
        raise ValueError(
            f"row must have {len(columns)} cells, one a column, got {len(row)}: {row!r}"
        )
    return list(row)


def _is_numeric(value) -> bool:
    return (
        value is None
        or (isinstance(value, numbers.Real) and not isinstance(value, bool))
        or getattr(value, "shape", None) == ()
    )


def _real_array(value) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind == "V":  # bfloat16 and its kin, which NumPy does not know
        array = array.astype(np.float32)
    if array.dtype.kind not in "biufU":
        raise TypeError(f"an array of {array.dtype} has no JSON form here")
    return array


def _finite_or_name(value: float):
    if math.isnan(value):
        return None
    return value if math.isfinite(value) else ("inf" if value > 0 else "-inf")


def _from_name(value):
    if value is None:
        return math.nan
    return float(value) if value in ("inf", "-inf") else value


def _is_number(leaf) -> bool:
    return leaf is None or isinstance(leaf, (bool, int, float)) or leaf in ("inf", "-inf")


def _leaves(value):
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _each(value, function):
    return [_each(item, function) for item in value] if isinstance(value, list) else function(value)
