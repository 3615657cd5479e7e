"""Errors about names: the nearest one that exists, and lists that are cut short."""

import difflib
from collections.abc import Iterable, Sequence

SHOWN = 8


def no_column(source: str, name: str, columns: Sequence[str]) -> str:
    """What to say of a column that a source does not have: the nearest names, and some others.

    Args:
        source: the name of the source.
        name: the column that was asked for.
        columns: those that there are.
    """
    lowered = {column.lower(): column for column in columns}
    near = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.7)
    begins = [key for key in lowered if name and key.startswith(name.lower())]
    best = [lowered[key] for key in (near or begins)[:1]]
    hint = f"; did you mean {best[0]!r}?" if best else ""
    return f"{source} has no column {name!r}{hint}; it has {listed(columns)}"


def listed(names: Iterable[object], shown: int = SHOWN) -> str:
    """The first few names, in quotes, and how many more there are."""
    every = list(names)
    rest = f" and {len(every) - shown} more" if len(every) > shown else ""
    return ", ".join(repr(name) for name in every[:shown]) + rest
