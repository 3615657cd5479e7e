"""Which text? A corpus is a list of chapters, which are kept apart.

Three sources: any text files, the topics that Python's ``help()`` shows, and the six novels by
Jane Austen in the R package ``janeaustenr`` (Debian: ``r-cran-janeaustenr``), if it is installed.
"""

import re
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

JANEAUSTENR = (
    Path("/usr/lib/R/site-library/janeaustenr"),
    Path("/usr/local/lib/R/site-library/janeaustenr"),
    Path("/usr/lib/R/library/janeaustenr"),
)
HEADING = re.compile(r"(?mi)^(?=\s*(?:chapter|part|volume)\s+[ivxlc\d]+\b)")
PIECE = 20_000  # characters of a chapter, about, where a file has no headings
LEAST = 200  # characters: shorter pieces are titles and headings, and no chapters
CHARS, SYMBOL, PAIRS = 9, 1, 2  # types of R's serialised data
LOGICAL, INTEGERS, REALS, STRINGS, LIST = 10, 13, 14, 16, 19
NOTHING, REFERENCE = 254, 255
GZIP_OR_ZLIB = 47  # zlib finds out which


class Corpus(NamedTuple):
    """Text in chapters.

    Attributes:
        name: of the corpus.
        titles: of the chapters.
        chapters: their texts.
    """

    name: str
    titles: tuple[str, ...]
    chapters: tuple[str, ...]


def python_topics() -> Corpus:
    """The pages of Python's ``help()``: technical English, about 400,000 characters.

    It is part of every Python. The texts of two versions of Python differ a little.
    """
    from pydoc_data.topics import topics

    kept: dict[str, str] = {}
    lines: set[str] = set()
    # Some topics repeat others. The longest come first, and copies are left out.
    for name, text in sorted(topics.items(), key=lambda one: (-len(one[1]), one[0])):
        own = {line for line in text.splitlines() if line.strip()}
        if len(text) >= LEAST and len(own & lines) < len(own) / 2:
            kept[name] = text
            lines |= own
    return Corpus(name="Python topics", titles=tuple(kept), chapters=tuple(kept.values()))


def named(names: Sequence[str | Path]) -> Corpus:
    """The corpus ``["python"]`` or ``["austen"]``, or that of the files that ``names`` lists.

    Raises: as :func:`from_files` and :func:`austen`.
    """
    known = {"python": python_topics, "austen": austen}
    if len(names) == 1 and str(names[0]) in known and not Path(names[0]).exists():
        return known[str(names[0])]()
    return from_files(names)


def from_files(paths: Sequence[str | Path]) -> Corpus:
    """Text files, each cut into chapters.

    A chapter begins at a line such as ``Chapter 7``. A file without such lines is cut at blank
    lines into pieces of about 20,000 characters.

    Args: paths: of UTF-8 text files, at least one.
    Raises: ``OSError`` if a file cannot be read; ``ValueError`` if ``paths`` is empty or a file is
        not text.
    """
    if not paths:
        raise ValueError("paths must have at least one file")
    titles: list[str] = []
    chapters: list[str] = []
    for path in map(Path, paths):
        found = chapters_of(_decoded(path))
        chapters += found
        titles += [f"{path.name}, chapter {number}" for number in range(1, len(found) + 1)]
    names = ", ".join(Path(path).name for path in list(paths)[:3])
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return Corpus(name=names + more, titles=tuple(titles), chapters=tuple(chapters))


def chapters_of(text: str) -> list[str]:
    """The chapters of a text, by its headings or, without any, by its length."""
    pieces = [piece for piece in HEADING.split(text) if len(piece.strip()) >= LEAST]
    if len(pieces) > 1:
        return pieces
    found = [""]
    for paragraph in re.split(r"(?<=\n)(?=\s*\n)", text):
        if len(found[-1]) >= PIECE:
            found.append("")
        found[-1] += paragraph
    return [piece for piece in found if piece.strip()]


def austen(folder: str | Path | None = None) -> Corpus:
    """The six novels by Jane Austen, about 4 million characters.

    Args: folder: of the R package; by default where Debian and R put it.
    Raises: ``FileNotFoundError`` if it is not there; ``ValueError`` if its data cannot be read.
    """
    folders = JANEAUSTENR if folder is None else (Path(folder),)
    data = [place / "data" for place in folders if (place / "data" / "Rdata.rdb").is_file()]
    if not data:
        raise FileNotFoundError(
            "the R package janeaustenr is in none of "
            f"{', '.join(map(str, folders))}: install r-cran-janeaustenr, or give its folder"
        )
    titles: list[str] = []
    chapters: list[str] = []
    for book, lines in _r_data(data[0]).items():
        found = chapters_of("\n".join(lines))
        chapters += found
        titles += [f"{book}, chapter {number}" for number in range(1, len(found) + 1)]
    return Corpus(name="Austen", titles=tuple(titles), chapters=tuple(chapters))


def _decoded(path: Path) -> str:
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be UTF-8 text: {error}") from error
    if "\0" in text:
        raise ValueError(f"{path} must be text, got a zero byte at {text.index(chr(0))}")
    return text


# --- data of R packages


def _r_data(folder: Path) -> dict[str, list[str]]:
    """The vectors of strings in R's database of lazily loaded data."""
    try:
        index = _unserialised(zlib.decompress((folder / "Rdata.rdx").read_bytes(), GZIP_OR_ZLIB))
        content = (folder / "Rdata.rdb").read_bytes()
        places = index["variables"]
        found = {}
        for name in sorted(places):
            begin, size = places[name]
            # Four bytes of length, then the compressed data.
            found[name] = _unserialised(zlib.decompress(content[begin + 4 : begin + size]))
    except (zlib.error, struct.error, KeyError, IndexError, TypeError) as error:
        raise ValueError(f"{folder} holds data of R that cannot be read: {error}") from error
    return {name: value for name, value in found.items() if isinstance(value, list)}


def _unserialised(data: bytes) -> Any:
    """An R object of strings, numbers and named lists, in the XDR format."""
    version = struct.unpack(">i", data[2:6])[0]
    at = 14
    if version >= 3:  # the name of the encoding follows
        at += 4 + struct.unpack(">i", data[14:18])[0]
    return _Reader(data, at).item()


class _Reader:
    """Reads one item after the other. R refers to earlier symbols by their number."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at
        self.symbols: list[str] = []

    def numbers(self, form: str, count: int) -> list:
        whole = f">{count}{form}"
        found = struct.unpack_from(whole, self.data, self.at)
        self.at += struct.calcsize(whole)
        return list(found)

    def item(self) -> Any:
        (flags,) = self.numbers("i", 1)
        kind = flags & 255
        value: Any
        if kind == CHARS:
            (size,) = self.numbers("i", 1)
            self.at += max(size, 0)
            return self.data[self.at - size : self.at].decode() if size >= 0 else ""
        if kind == SYMBOL:
            self.symbols.append(self.item())
            return self.symbols[-1]
        if kind == REFERENCE:
            return self.symbols[(flags >> 8) - 1]
        if kind == NOTHING:
            return None
        if kind == PAIRS:
            attributes = self.item() if flags & 0x200 else None
            name = self.item() if flags & 0x400 else None
            del attributes
            first = {name: self.item()}
            return first | (self.item() or {})
        (count,) = self.numbers("i", 1)
        if kind in (STRINGS, LIST):
            value = [self.item() for _ in range(count)]
        elif kind in (LOGICAL, INTEGERS, REALS):
            value = self.numbers("d" if kind == REALS else "i", count)
        else:
            raise ValueError(f"R data of type {kind} are not supported")
        attributes = self.item() if flags & 0x200 else {}
        names = (attributes or {}).get("names")
        return value if names is None else dict(zip(names, value, strict=True))
