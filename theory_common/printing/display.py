"""How results print: a name, then a line for each field, short whatever the size of the arrays.

``@readable()`` above a NamedTuple or a dataclass changes its ``repr`` and nothing else. So
``print`` shows the result this way, and so do a terminal and a notebook.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable
from enum import IntEnum
from typing import Any, TypeVar

import numpy as np

from theory_common import checks
from theory_common.printing import tables

LISTED = 12  # an array with at most as many entries is shown in full
ROWS = 8  # so is a matrix with at most as many rows
INDENT = "  "

Result = TypeVar("Result", bound=type)


def readable(**codes: type[IntEnum]) -> Callable[[Result], Result]:
    """A class decorator: results print by :func:`summary`.

    Args:
        codes: fields that hold numbers of an enumeration, which print as its names.
    """

    def decorate(cls: Result) -> Result:
        for name, value in {"_codes": codes, "__repr__": summary}.items():
            setattr(cls, name, value)
        return cls

    return decorate


def summary(result: Any) -> str:
    """A NamedTuple or dataclass as text.

    Small arrays are shown in full, to four digits. Of large ones the size, the range and the number
    of missing entries are shown.
    """
    names = getattr(result, "_fields", None) or [field.name for field in dataclasses.fields(result)]
    width = max(map(len, names))
    lines = [type(result).__name__]
    for name in names:
        first, *rest = _shown(getattr(result, name), getattr(result, "_codes", {}).get(name)).split(
            "\n"
        )
        lines.append(f"{INDENT}{name:<{width}}  {first}".rstrip())
        lines += [INDENT * 2 + line for line in rest]
    return "\n".join(lines)


def _shown(value: Any, enumeration: type[IntEnum] | None) -> str:
    if hasattr(value, "_asdict"):
        return summary(value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return tables.cell(value)
    if isinstance(value, (list, tuple)) and value and not all(np.isscalar(item) for item in value):
        return "\n".join(
            [f"{len(value)} in all", *(_shown(item, enumeration).lstrip("\n") for item in value)]
        )
    if (
        not hasattr(value, "dtype")
        or checks.is_traced(value)
        or (not np.issubdtype(value.dtype, np.number) and value.dtype != bool)
    ):
        return repr(value)
    array = np.asarray(value)
    return _named(array, enumeration) if enumeration else _numbers(array)


def _named(array: np.ndarray, enumeration: type[IntEnum]) -> str:
    names = [enumeration(code).name.lower().replace("_", " ") for code in array.ravel().tolist()]
    if array.ndim < 2 and array.size <= LISTED:
        return ", ".join(names)
    return f"{_size(array)}: " + ", ".join(
        f"{count:,} {name}" for name, count in Counter(names).most_common()
    )


def _numbers(array: np.ndarray) -> str:
    if array.ndim < 2 and array.size <= LISTED:
        return tables.cell(array)
    if array.ndim == 2 and array.shape[0] <= ROWS and array.shape[1] <= LISTED:
        return "\n".join(["", *(tables.cell(row) for row in array)])
    if array.dtype == bool:
        return f"{_size(array)}: {np.count_nonzero(array):,} of {array.size:,} yes"
    known = array[~np.isnan(array)] if array.dtype.kind == "f" else array.ravel()
    missing = f", {array.size - known.size:,} missing" if known.size < array.size else ""
    return (
        f"{_size(array)}: "
        + (
            f"{tables.number(known.min())} to {tables.number(known.max())}"
            if known.size
            else "no number"
        )
        + missing
    )


def _size(array: np.ndarray) -> str:
    return " x ".join(f"{length:,}" for length in array.shape)
