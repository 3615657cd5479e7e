"""Tables of docs pages as Markdown."""

from collections.abc import Iterable, Sequence


def markdown(heads: Sequence, rows: Iterable[Sequence]) -> str:
    """A table: heads, a line of dashes, and the rows."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
