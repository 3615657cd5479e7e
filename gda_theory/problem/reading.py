"""From a file to a Polars frame. Cells of a text file stay text: no identity is rounded.

Polars reads every format. Python's ``csv`` looks at the first lines of a text file, for the
delimiter and the header, and finds the line of an error.
"""

import contextlib
import csv
import glob
import gzip
import io
import mmap
import re
import sys
import threading
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import polars as pl

DELIMITERS = (",", ";", "\t", "|")
SAMPLE = 200  # lines on which the delimiter is decided
SAMPLE_BYTES = 1 << 20
LARGE = 1 << 22  # bytes of a file whose numbers are read as numbers
NUMBER = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$"
_BYTE_ORDER_MARKS = (
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
    (b"\xef\xbb\xbf", "utf-8-sig"),
)
_NOT_TABLES = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook",
    b"%PDF": "a PDF document",
    b"\x93NUMPY": "a NumPy array",
    b"\x89HDF": "an HDF5 file",
    b"SQLite format 3": "an SQLite database",
}
_limit_lock = threading.Lock()


class Format(NamedTuple):
    """How a text file is written. Other formats need no settings.

    Args:
        delimiter: what separates the cells. ``None``: comma, semicolon, tab or bar, whichever
            splits all rows alike.
        decimal: ``"."`` or ``","``.
        encoding: a name that Python knows. ``None``: by the byte-order mark, else UTF-8.
        comment: lines that begin with it are skipped. Empty: none.
        header: whether the first line names the columns. ``None``: it must, and an error says so
            if it looks like data.
    """

    delimiter: str | None = None
    decimal: str = "."
    encoding: str | None = None
    comment: str = "#"
    header: bool | None = None


class Table(NamedTuple):
    """The columns of a source, and sentences about how they were read.

    The columns of a text file are text, with null for an empty cell; of a large file, columns of
    numbers may be numbers. ``decimal`` is the decimal mark of its numbers.
    """

    source: str
    frame: "pl.DataFrame"
    decimal: str = "."
    notes: tuple[str, ...] = ()


def read(path: str, settings: Format | None = None, as_text: Collection[str] = ()) -> Table:
    """The table in a file: CSV or another delimited text, Parquet, Arrow (Feather) or JSON lines.

    Of a folder or a pattern of Parquet files it has the rows of all files, in order of names.

    Each of them may be packed with gzip. What the file is, is decided by its first bytes; JSON
    lines are known by a first ``{``.

    Args:
        path: of the file, or of a folder.
        settings: of a text file.
        as_text: columns of a text file that must stay text, since rows are known by them. Of a
            large file the other columns of numbers are read as numbers, which is much faster.
    Returns: the table. An unnamed first column of a text file is an index, and is dropped.
    Raises: ``ValueError`` that names file and line; ``OSError`` for a file that cannot be opened.
    """
    import polars as pl

    settings = settings or Format()
    _check(settings)
    if is_partitioned(path):
        return _read_partitions(path)
    table = _read_large(path, settings, as_text)
    if table is not None:
        return table
    raw = content(path)
    try:
        if raw.startswith(b"PAR1"):
            return Table(path, pl.read_parquet(io.BytesIO(raw)))
        if raw.startswith(b"ARROW1"):
            return Table(path, pl.read_ipc(io.BytesIO(raw)))
        if raw.lstrip().startswith(b"{"):
            return Table(path, pl.read_ndjson(io.BytesIO(raw), infer_schema_length=None))
    except (pl.exceptions.PolarsError, OSError, RuntimeError) as error:
        raise ValueError(f"{path} cannot be read: {_one_line(error)}") from None
    return _read_text(path, decode(path, raw, settings.encoding), settings)


def is_partitioned(source: str) -> bool:
    """Whether a source is a folder, or a pattern such as ``sales/*.parquet``."""
    return Path(source).is_dir() or (not Path(source).exists() and glob.has_magic(source))


def partitions(source: str) -> list[str]:
    """The Parquet files of a folder or a pattern, in order of names; else the source itself.

    Raises: ``FileNotFoundError`` for a folder without such a file.
    """
    if Path(source).is_dir():
        paths = sorted(map(str, Path(source).rglob("*.parquet")))
    else:
        paths = sorted(glob.glob(source)) or [source]
    if not paths:
        raise FileNotFoundError(f"no file in {source!r} ends with .parquet")
    return paths


def _read_partitions(source: str) -> Table:
    """All rows of a folder or a pattern in one table."""
    import polars as pl

    frames = [read(path).frame for path in partitions(source)]
    try:
        return Table(source, pl.concat(frames))
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"the files of {source} differ: {_one_line(error)}") from None


def content(path: str) -> bytes:
    """The bytes of a file, unpacked if it is packed with gzip.

    Raises: ``OSError`` if it cannot be opened; ``ValueError`` if it is broken.
    """
    if Path(path).is_dir():
        raise IsADirectoryError(f"{path!r} is a folder, not a file with a table")
    raw = Path(path).read_bytes()
    if not raw.startswith(b"\x1f\x8b"):
        return raw
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError) as error:
        raise ValueError(f"{path} is a broken gzip file: {error}") from None


def decode(path: str, raw: bytes, encoding: str | None = None) -> str:
    """The text of a file: by ``encoding``, else by its byte-order mark, else UTF-8.

    Raises: ``ValueError`` that names the line at fault and the option ``--encoding``.
    """
    for start, kind in _NOT_TABLES.items():
        if raw.startswith(start):
            raise ValueError(
                f"{path} is {kind}; give CSV, Parquet, Arrow (Feather) or JSON lines instead"
            )
    marked = [name for mark, name in _BYTE_ORDER_MARKS if raw.startswith(mark)]
    chosen = encoding or (marked[0] if marked else "utf-8")
    try:
        text = raw.decode(chosen)
    except LookupError:
        raise ValueError(f"encoding must be one that Python knows, got {encoding!r}") from None
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path}, line {line}: not {chosen.upper()} text (byte {raw[error.start]:#04x});"
            " name the encoding, such as --encoding latin-1"
        ) from None
    if "\x00" in text[:SAMPLE_BYTES]:
        raise ValueError(f"{path} is not a text file; of text in UTF-16 say --encoding utf-16-le")
    return text.removeprefix("\ufeff")


def _check(settings: Format) -> None:
    if settings.delimiter is not None and len(settings.delimiter.encode()) != 1:
        raise ValueError(f"delimiter must be one ASCII character, got {settings.delimiter!r}")
    if settings.decimal not in (".", ","):
        raise ValueError(f"decimal must be '.' or ',', got {settings.decimal!r}")


def _one_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


# Delimited text ---------------------------------------------------------------------------------


def _read_text(path: str, text: str, settings: Format) -> Table:
    text = text.lstrip("\r\n")
    delimiter = settings.delimiter or _delimiter(text, settings.comment)
    if _space_before_quote(text, delimiter):
        text = _without_those_spaces(path, text, delimiter, settings.comment)
    first = next(_records(text[:SAMPLE_BYTES], delimiter, settings.comment), None)
    if first is None:
        first = next(_records(text, delimiter, settings.comment), None)
    if first is None:
        raise ValueError(f"{path} is empty; its first line must name the columns")
    header = [name.strip() for name in first[1]]
    comments = bool(settings.comment) and text.startswith(settings.comment)
    names, notes = _names(path, header, settings, comments)
    frame = _cells(path, text, delimiter, len(header), settings.comment)
    frame = frame.slice(0 if settings.header is False else 1)
    if not frame.height:
        raise ValueError(f"{path} has no rows after its header")
    frame.columns = names
    if notes:
        frame = frame.drop(names[0])
    return Table(path, frame, settings.decimal, notes)


def _read_large(path: str, settings: Format, as_text: Collection[str]) -> Table | None:
    """A large file of plain UTF-8 text, its numbers read as numbers.

    None for any other file, and wherever something is unusual: then the cells are read as text, by
    code that says which line is at fault.
    """
    if not Path(path).is_file() or Path(path).stat().st_size < LARGE:
        return None
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as raw:
        sample = raw[:SAMPLE_BYTES].rpartition(b"\n")[0].decode("utf-8", "replace")
        comments = bool(settings.comment) and sample.startswith(settings.comment)
        if settings.encoding or settings.decimal != "." or comments or _unusual(raw):
            return None
        if raw.find(settings.comment.encode()) < 0:
            settings = settings._replace(comment="")  # Polars reads faster without a mark
    if not sample or sample[0] in "\r\n{\ufeff" or "\ufffd" in sample:
        return None
    delimiter = settings.delimiter or _delimiter(sample, settings.comment)
    rows = _sample(sample, delimiter, settings.comment)
    if len(rows) < 2 or any(len(row) != len(rows[0]) for row in rows):
        return None
    if any("\n" in cell for cell in rows[0]):
        return None
    names, notes = _names(path, [name.strip() for name in rows[0]], settings, False)
    kinds = _kinds(names, rows[1:], as_text)
    frame = _typed(path, delimiter, kinds, settings)
    if frame is None or not frame.height:
        return None
    return Table(path, frame.drop(names[0]) if notes else frame, settings.decimal, notes)


def _unusual(raw: mmap.mmap) -> bool:
    """Whether a file begins as no text does, or has a byte 0, or a space before a quote."""
    start = raw[:16]
    known = (
        b"PAR1",
        b"ARROW1",
        b"\x1f\x8b",
        *_NOT_TABLES,
        *(mark for mark, _ in _BYTE_ORDER_MARKS),
    )
    if start.startswith(known) or raw.find(b"\x00") >= 0:
        return True
    # A search for one byte is twenty times as fast, and most files have no quote.
    return raw.find(b'"') >= 0 and any(raw.find(mark) >= 0 for mark in (b' "', b'\t"'))


def _kinds(
    names: Sequence[str], rows: Sequence[Sequence[str]], as_text: Collection[str]
) -> dict[str, Any]:
    """The type of each column, judged by some rows. Long integers stay text."""
    import polars as pl

    kinds: dict[str, Any] = dict.fromkeys(names, pl.String)
    for place, name in enumerate(names):
        cells = [row[place] for row in rows if row[place]]
        if name in as_text or not cells:
            continue
        if all(re.match(r"^-?\d{1,15}$", cell) for cell in cells):
            kinds[name] = pl.Int64
        elif all(re.match(NUMBER, cell) for cell in cells):
            exact = all(len(cell) < 16 for cell in cells if cell.isdecimal())
            kinds[name] = pl.Float64 if exact else pl.String
    return kinds


def _typed(
    path: str, delimiter: str, kinds: dict[str, Any], settings: Format
) -> "pl.DataFrame | None":
    """The cells, each column of its type. A column with other cells becomes text.

    None if the file cannot be read so.
    """
    import polars as pl

    kinds = dict(kinds)
    for _ in range(len(kinds) + 1):
        try:
            frame = pl.read_csv(
                path,
                separator=delimiter,
                has_header=False,
                skip_rows=0 if settings.header is False else 1,
                schema=kinds,
                comment_prefix=settings.comment or None,
            )
            break
        except pl.exceptions.PolarsError as error:
            found = re.search(r"could not parse `.*` as dtype `\w+` at column '(.*?)'", str(error))
            if not found or kinds.get(found[1]) in (None, pl.String):
                return None
            kinds[found[1]] = pl.Float64 if kinds[found[1]] == pl.Int64 else pl.String
    else:
        return None
    if frame[:, -1].null_count() and _ragged(path, delimiter, len(kinds), settings.comment):
        return None
    texts = [name for name, kind in kinds.items() if kind == pl.String]
    frame = frame.with_columns(pl.col(texts).str.strip_chars().replace("", None))
    if all(frame.null_count().row(0)):
        frame = frame.filter(~pl.all_horizontal(pl.all().is_null()))
    return frame


def _ragged(path: str, delimiter: str, width: int, comment: str) -> bool:
    """Whether lines may have fewer cells than the first one. Polars fills short rows silently."""
    import polars as pl

    lines = pl.read_csv(
        path,
        separator="\x1f",
        has_header=False,
        schema={"line": pl.String},
        quote_char=None,
        comment_prefix=comment or None,
    ).filter(pl.col("line").str.strip_chars() != "")
    if lines["line"].str.contains('"', literal=True).any():
        return True
    return bool((lines["line"].str.count_matches(delimiter, literal=True) != width - 1).any())


def _names(
    path: str, header: list[str], settings: Format, comments: bool
) -> tuple[list[str], tuple[str, ...]]:
    """The names of the columns, and a note if the first one has none: then it is an index.

    ``comments`` says whether lines before the header were skipped.
    """
    if settings.header is False:
        return [f"column_{index}" for index in range(1, len(header) + 1)], ()
    numbers = [name for name in header if re.match(NUMBER, name)]
    if numbers and settings.header is None:
        skipped = f"; a line with {settings.comment} was skipped (--comment '' reads it)"
        raise ValueError(
            f"{path}: the first line must name the columns, got the number {numbers[0]!r}; say"
            " --no-header if it is a row of data, or --header if these are names"
            f"{skipped if comments else ''}"
        )
    index = () if header[0] or len(header) == 1 else ("the unnamed first column is an index",)
    named = ["(index)" if index and not place else name for place, name in enumerate(header)]
    repeated = {name for name in named if named.count(name) > 1}
    if repeated or "" in named:
        what = (
            f"{min(repeated)!r} more than once"
            if repeated - {""}
            else f"nothing for column {named.index('') + 1}"
        )
        raise ValueError(f"{path}: each column needs a name of its own, got {what}")
    return named, tuple(f"{note}: dropped" for note in index)


def _cells(path: str, text: str, delimiter: str, width: int, comment: str) -> "pl.DataFrame":
    """All rows that are not blank, the first line among them, as text without outer blanks."""
    import polars as pl

    names = [f"column_{index}" for index in range(width)]
    try:
        frame = pl.read_csv(
            io.BytesIO(text.encode()),
            separator=delimiter,
            has_header=False,
            schema=dict.fromkeys(names, pl.String),
            comment_prefix=comment or None,
        )
    except pl.exceptions.PolarsError as error:
        _check_widths(path, text, delimiter, width, comment)
        raise ValueError(f"{path} cannot be read: {_one_line(error)}") from None
    if frame[names[-1]].null_count():
        _check_widths(path, text, delimiter, width, comment)  # Polars fills short rows silently
    blanks = any(blank in text for blank in ' \t\xa0"')  # a quoted cell may end with a line break
    stripped = pl.all().str.strip_chars() if blanks else pl.all()
    frame = frame.select(stripped.replace("", None))
    return frame.filter(~pl.all_horizontal(pl.all().is_null()))


def _check_widths(path: str, text: str, delimiter: str, width: int, comment: str) -> None:
    """Raises: ``ValueError`` for the first row of another number of cells than ``width``."""
    for line, cells in _records(text, delimiter, comment, path):
        if len(cells) != width:
            raise ValueError(
                f"{path}, line {line}: expected {width} cells, as in the first line,"
                f" got {len(cells)}"
            )


def _delimiter(text: str, comment: str) -> str:
    """The delimiter that splits the first rows alike, and into most cells."""

    def quality(delimiter: str) -> tuple[bool, float, int]:
        rows = _sample(text, delimiter, comment)
        width = len(rows[0]) if rows else 1
        alike = sum(len(row) == width for row in rows) / max(len(rows), 1)
        return width > 1, alike, width

    return max(DELIMITERS, key=quality)


def _sample(text: str, delimiter: str, comment: str) -> list[list[str]]:
    """The first rows, without one that the end of the sample may have cut."""
    rows = []
    with contextlib.suppress(ValueError):
        for _, cells in _records(text[:SAMPLE_BYTES], delimiter, comment):
            rows.append(cells)
            if len(rows) == SAMPLE:
                break
    cut = len(text) > SAMPLE_BYTES and 1 < len(rows) < SAMPLE
    return rows[:-1] if cut else rows


def _records(
    text: str, delimiter: str, comment: str, path: str = "the file"
) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, each with the line it begins on.

    A quoted cell may hold line breaks.
    """
    lines = io.StringIO(text, newline="")
    skipped = 0

    def kept() -> Iterator[str]:
        nonlocal skipped
        for line in lines:
            if comment and line.startswith(comment):
                skipped += 1
            else:
                yield line

    reader = csv.reader(kept(), delimiter=delimiter, skipinitialspace=True, strict=True)
    begins = 1
    while True:
        try:
            with _any_length_of_cell():
                cells = next(reader, None)
        except csv.Error as error:
            raise ValueError(f"{path}, line {begins}: {error}") from None
        if cells is None:
            return
        # Comments directly before this row were skipped while it was read.
        line = reader.line_num + skipped - sum(cell.count("\n") for cell in cells)
        if any(cell.strip() for cell in cells):
            yield line, cells
        begins = reader.line_num + skipped + 1


@contextlib.contextmanager
def _any_length_of_cell() -> Iterator[None]:
    """``csv`` refuses cells of more than 128 kB by a setting of the whole process."""
    with _limit_lock:
        before = csv.field_size_limit(sys.maxsize)
        try:
            yield
        finally:
            csv.field_size_limit(before)


def _space_before_quote(text: str, delimiter: str) -> bool:
    if '"' not in text:
        return False
    return re.search(rf'(?:^|{re.escape(delimiter)})[ \t]+"', text, re.MULTILINE) is not None


def _without_those_spaces(path: str, text: str, delimiter: str, comment: str) -> str:
    """The same rows with no space before a quote. Polars takes such a quote for a letter."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator="\n")
    for _, cells in _records(text, delimiter, comment, path):
        writer.writerow([*cells])
    return out.getvalue()
