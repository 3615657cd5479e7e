"""Reading, measuring and drawing files of starts and their samples from *any* model.

Starts and samples are sequences of symbols: integers >= 0, booleans, or strings (*tokens*).

There are four formats. Each may be compressed by gzip, and endings may be in capitals.

* ``.npz``: ``starts`` (S, d), ``samples`` (S, K, d), and optionally ``groups`` (S,), a label for
  each start, ``levels`` (S,), its noise level, and ``classes`` (S, K), a label for each sample;
* ``.npy``: one array (S, 1 + K, d), the start first;
* ``.jsonl`` or ``.ndjson``: one JSON object a line. It has ``start`` and ``samples``, and
  optionally ``group``, ``level`` and ``classes``. Or it has ``label`` and ``sequence``, which stand
  for a line of delimited text;
* anything else is text, delimited by commas, semicolons or tabs: one sequence a line, its first
  cell the label of its start. The first line of a label is the start itself.

Blanks around a label are dropped. Tokens are compared as they are, blanks included. Text is a file
of integers if all its symbols are integers, otherwise of tokens.
"""

import csv
import gzip
import io
import json
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from rhm_theory.experiment import by_level as level_numbers
from rhm_theory.experiment import measure, structure
from rhm_theory.experiment import reading as tree_reading
from rhm_theory.experiment import within as within_groups
from rhm_theory.experiment.measure import Measurement

DELIMITERS = ",;\t"
GZIP = b"\x1f\x8b"
UTF16 = (b"\xff\xfe", b"\xfe\xff")
INTEGER = re.compile(r"\s*[+-]?\d+(\.0*)?\s*", re.ASCII)
NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)


class Sequences(NamedTuple):
    """Starts, their samples, and the group of each start.

    Attributes:
        starts, samples: symbols as integers; a token is its number among the sorted tokens.
        groups: a label for each start.
        inside: where a start has no padding; None without padding.
        classes: a number for the class of each sample, -1 where it is unknown; None without any.
        levels: the noise level of each start; None without any.
    """

    starts: Int[np.ndarray, "starts length"]
    samples: Int[np.ndarray, "starts trajectories length"]
    groups: np.ndarray
    inside: Bool[np.ndarray, "starts length"] | None = None
    classes: Int[np.ndarray, "starts trajectories"] | None = None
    levels: Float[np.ndarray, " starts"] | None = None


def load(
    path: str | os.PathLike, *, pad: str | int | None = None, delimiter: str | None = None
) -> Sequences:
    """The sequences of a file.

    Args:
        path: the file.
        pad: the symbol that fills sequences up to one length. What lies where a *start* has it is
            not counted. A sample that has it elsewhere differs from its start there.
        delimiter: of text, one character. By default ``csv.Sniffer`` finds it among comma,
            semicolon and tab.

    Raises: ``OSError`` if the file cannot be opened. ``ValueError`` that names the file, and the
        line or array, if the file is damaged, rows have different lengths or shapes disagree. Also
        if a symbol is a number but no integer >= 0, ``pad`` does not occur, there is no start, or a
        start has fewer than two samples.
    """
    path = Path(path)
    raw = _uncompressed(path)
    classes = None
    levels = None
    kind = PurePath(path.name.lower().removesuffix(".gz")).suffix
    if kind == ".npz":
        arrays = _undamaged(path, kind, raw, _named_arrays)
        missing = [name for name in ("starts", "samples") if name not in arrays]
        if missing:
            raise ValueError(
                f"{path}: must have arrays named starts and samples, "
                f"has {', '.join(arrays) or 'none'}"
            )
        starts = arrays["starts"]
        samples = arrays["samples"]
        groups = arrays.get("groups", np.arange(len(starts)) if starts.ndim else starts)
        if groups.dtype.kind in "US":
            groups = np.strings.strip(groups)
        classes = arrays.get("classes")
        levels = arrays.get("levels")
    elif kind == ".npy":
        array = _undamaged(path, kind, raw, np.lib.format.read_array)
        if array.ndim != 3 or not array.shape[1]:
            raise ValueError(
                f"{path}: must have shape (starts, 1 + samples, length), got {array.shape}"
            )
        starts = array[:, 0]
        samples = array[:, 1:]
        groups = np.arange(len(array))
    elif kind in (".jsonl", ".ndjson"):
        starts, samples, groups, classes, levels = _from_json_lines(path, _decoded(path, raw))
    else:
        rows = _delimited_rows(path, _decoded(path, raw), delimiter)
        starts, samples, groups = _by_label(path, rows)
    _check_shapes(path, starts, samples, groups)
    found = _numbered(path, starts, samples, groups, pad)
    if classes is not None:
        found = found._replace(classes=_class_numbers(path, classes, found))
    if levels is not None:
        found = found._replace(levels=_noise_levels(path, levels, found))
    return found


def _noise_levels(path: Path, levels: np.ndarray, found: Sequences) -> np.ndarray:
    """One finite number for each start."""
    count = len(found.starts)
    if levels.shape != (count,) or levels.dtype.kind not in "iuf" or not np.isfinite(levels).all():
        raise ValueError(
            f"{path}: levels must be {count} finite numbers, one a start, "
            f"got {levels.dtype} of shape {levels.shape}"
        )
    return levels.astype(float)


def _class_numbers(path: Path, classes: np.ndarray, found: Sequences) -> np.ndarray:
    """Classes as numbers from 0; -1 and None stay unknown."""
    if classes.shape != found.samples.shape[:2]:
        raise ValueError(
            f"{path}: classes must have shape {found.samples.shape[:2]}, one label a sample, "
            f"got {classes.shape}"
        )
    texts = np.array([str(label) for label in classes.ravel().tolist()])
    _, numbers = np.unique(texts, return_inverse=True)
    return np.where(np.isin(texts, ("-1", "None")), -1, numbers).reshape(classes.shape)


def _uncompressed(path: Path) -> bytes:
    raw = path.read_bytes()
    if not raw.startswith(GZIP):
        return raw
    try:
        return gzip.decompress(raw)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path}: damaged gzip file: {error}") from None


def _named_arrays(file: io.BytesIO) -> dict[str, np.ndarray]:
    with np.lib.npyio.NpzFile(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _undamaged(path: Path, kind: str, raw: bytes, read: Callable) -> Any:
    """What ``read`` makes of the file: NumPy's errors, of many types, name no file."""
    try:
        return read(io.BytesIO(raw))
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: not a {kind} file of numbers or strings: {error}") from None


def _decoded(path: Path, raw: bytes) -> str:
    """The text: UTF-8, or UTF-16 with a byte order mark."""
    try:
        # A byte order mark would make another label of the first one.
        return raw.decode("utf-16" if raw.startswith(UTF16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path}, line {line}: not {error.encoding.upper()} text (byte {raw[error.start]:#04x})"
        ) from None


# Text --------------------------------------------------------------------------------------------


class _Row(NamedTuple):
    """One sequence: its line, the label of its start, and its symbols."""

    line: int
    label: str
    symbols: list


def _delimited_rows(path: Path, text: str, delimiter: str | None) -> list[_Row]:
    if delimiter is not None and len(delimiter) != 1:
        raise ValueError(f"delimiter must be one character, got {delimiter!r}")
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=_sniffed(text) if delimiter is None else delimiter,
    )
    rows = []
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                rows.append(_Row(reader.line_num, cells[0].strip(), cells[1:]))
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}") from None
    return rows


def _sniffed(text: str) -> str:
    """The delimiter that Python's sniffer finds, a comma where it finds none."""
    try:
        return csv.Sniffer().sniff(text[:8192], DELIMITERS).delimiter
    except csv.Error:
        return ","


def _from_json_lines(
    path: Path, text: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Starts, samples, groups and, if all starts have them, classes and levels of JSON lines."""
    rows = []
    groups: dict[str, str] = {}
    classes: dict[str, list] = {}
    levels: dict[str, Any] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number}: not JSON: {error}") from None
        match found:
            case {"start": list(start), "samples": list(several)}:
                label = str(number)
                groups[label] = str(found.get("group", number)).strip()
                levels[label] = found.get("level")
                if "classes" in found:
                    classes[label] = _classes_of_line(path, number, found["classes"], len(several))
                rows += [_Row(number, label, sequence) for sequence in (start, *several)]
            case {"label": label, "sequence": list(sequence)}:
                rows.append(_Row(number, str(label).strip(), sequence))
            case _:
                raise ValueError(
                    f"{path}, line {number}: must be an object with the lists start and samples, "
                    f"or with label and the list sequence, got {line.strip()[:60]}"
                )
    starts, samples, labels = _by_label(path, [_as_text(path, row) for row in rows])
    names = labels.tolist()
    by_start = [classes.get(label) for label in names]
    level_of = [levels.get(label) for label in names]
    return (
        starts,
        samples,
        np.array([groups.get(label, label) for label in names]),
        None if None in by_start else np.array(by_start, object),
        None if None in level_of else np.array(level_of),
    )


def _classes_of_line(path: Path, line: int, classes: Any, count: int) -> list[str]:
    if not isinstance(classes, list) or len(classes) != count:
        raise ValueError(
            f"{path}, line {line}: classes must be a list of {count} labels, one a sample, "
            f"got {classes!r}"
        )
    return [str(label) for label in classes]


def _as_text(path: Path, row: _Row) -> _Row:
    """The row with its symbols as text, as delimited text has them."""
    if not isinstance(row.symbols, list):
        raise ValueError(
            f"{path}, line {row.line}: a sequence must be a list of symbols, got {row.symbols!r}"
        )
    for symbol in row.symbols:
        if not isinstance(symbol, str | int | float):
            raise ValueError(
                f"{path}, line {row.line}: symbols must be integers or strings, got {symbol!r}"
            )
    texts = [str(int(s)) if isinstance(s, bool) else str(s) for s in row.symbols]
    return row._replace(symbols=texts)


def _by_label(path: Path, rows: Iterable[_Row]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts, samples and labels; the first row of a label is its start."""
    sequences: dict[str, list[list[str]]] = {}
    length = None
    for line, label, symbols in rows:
        if length is None:
            length = len(symbols)
        if len(symbols) != length or not symbols:
            raise ValueError(
                f"{path}, line {line}: expected a label and {length or 'some'} symbols, "
                f"got {len(symbols)} symbols"
            )
        if "" in symbols:
            raise ValueError(f"{path}, line {line}: symbol {symbols.index('') + 1} is empty")
        sequences.setdefault(label, []).append(symbols)
    if not sequences:
        raise ValueError(f"{path}: no sequences")
    counts = {label: len(rows) - 1 for label, rows in sequences.items()}
    if len(set(counts.values())) > 1:
        few = min(counts, key=counts.__getitem__)
        many = max(counts, key=counts.__getitem__)
        raise ValueError(
            f"{path}: every start needs as many samples: {few!r} has {counts[few]}, "
            f"{many!r} has {counts[many]}"
        )
    array = _integers_or_texts(np.array(list(sequences.values()), dtype=np.dtypes.StringDType()))
    return array[:, 0], array[:, 1:], np.array(list(sequences))


def _integers_or_texts(texts: np.ndarray) -> np.ndarray:
    """Integers if all texts are integers that fit 64 bits, the texts otherwise."""
    distinct, index = np.unique(texts, return_inverse=True)
    if all(INTEGER.fullmatch(text) for text in distinct):
        numbers = [int(text.partition(".")[0]) for text in distinct]
        if min(numbers) >= -(2**63) and max(numbers) < 2**63:
            return np.array(numbers, np.int64)[index]
    elif all(NUMBER.fullmatch(text) for text in distinct):
        return distinct.astype(float)[index]
    return texts


# Symbols -----------------------------------------------------------------------------------------


def _check_shapes(path: Path, starts: np.ndarray, samples: np.ndarray, groups: np.ndarray) -> None:
    if (
        starts.ndim != 2
        or samples.ndim != 3
        or samples.shape[::2] != starts.shape
        or groups.shape != starts.shape[:1]
    ):
        raise ValueError(
            f"{path}: starts (S, d), samples (S, K, d) and groups (S,) must agree, "
            f"got {starts.shape}, {samples.shape}, {groups.shape}"
        )
    if not starts.size:
        raise ValueError(
            f"{path}: needs at least one start of at least one symbol, "
            f"got starts of shape {starts.shape}"
        )
    if samples.shape[1] < 2:
        raise ValueError(
            f"{path}: needs at least 2 samples (trajectories) of each start to tell how they vary, "
            f"got {samples.shape[1]}"
        )


def _numbered(
    path: Path, starts: np.ndarray, samples: np.ndarray, groups: np.ndarray, pad: str | int | None
) -> Sequences:
    """The sequences with integers for symbols, and where their starts have no padding."""
    texts = [array.dtype.kind in "UST" for array in (starts, samples)]
    if any(texts):
        if not all(texts):
            raise ValueError(
                f"{path}: starts and samples must both be strings or both be integers, "
                f"got {starts.dtype} and {samples.dtype}"
            )
        tokens, index = np.unique(
            np.concatenate([starts[:, None], samples], 1), return_inverse=True
        )
        wanted = np.flatnonzero([_text(token) == str(pad) for token in tokens])
        padding = int(wanted[0]) if len(wanted) else None
        starts, samples = index[:, 0], index[:, 1:]
    else:
        starts = _integers(path, "starts", starts)
        samples = _integers(path, "samples", samples)
        padding = int(str(pad)) if INTEGER.fullmatch(str(pad)) else None
    if pad is None:
        padding = None
    elif padding is None or not (np.any(starts == padding) or np.any(samples == padding)):
        raise ValueError(f"{path}: pad must be a symbol of the file, got {str(pad)!r}")
    for name, array in (("starts", starts), ("samples", samples)):
        bad = np.argwhere((array < 0) & (array != padding if padding is not None else True))
        if len(bad):
            place = tuple(bad[0].tolist())
            raise ValueError(
                f"{path}: {name} must be >= 0, got {array[place]} at index {place}; "
                "if it fills sequences up, it is the padding symbol (pad)"
            )
    inside = None if padding is None else starts != padding
    if inside is not None and not inside.any(1).all():
        empty = int(np.flatnonzero(~inside.any(1))[0])
        raise ValueError(f"{path}: start {empty} holds nothing but padding")
    return Sequences(starts=starts, samples=samples, groups=groups, inside=inside)


def _text(token: Any) -> str:
    return token.decode(errors="replace") if isinstance(token, bytes) else str(token)


def _integers(path: Path, name: str, array: np.ndarray) -> np.ndarray:
    """The array as integers: of booleans and whole floats too, if none is rounded."""
    if array.dtype.kind in "iu":
        return array
    if array.dtype.kind == "b":
        return array.astype(np.int64)
    if array.dtype.kind != "f":
        raise ValueError(f"{path}: {name} must be integers or strings, got {array.dtype}")
    bad = np.argwhere(~(np.isfinite(array) & (array == np.round(array)) & (abs(array) < 2**53)))
    if len(bad):
        place = tuple(bad[0].tolist())
        raise ValueError(
            f"{path}: {name} must be integers or strings, got {array[place]:g} at index {place}"
        )
    return array.astype(np.int64)


def probe(sequences: Sequences, *, r_max: int | None = None) -> Measurement:
    """C(r), susceptibility and correlation lengths of the changes, with 95 % intervals.

    See :mod:`rhm_theory.experiment.measure`.

    Args:
        sequences: starts and their samples.
        r_max: the largest distance that counts; by default all within the longest start.

    Raises: ``TypeError`` or ``ValueError`` that names ``r_max``.
    """
    changed = sequences.samples != sequences.starts[:, None]
    return measure.measure(changed, r_max=r_max, groups=sequences.groups, inside=sequences.inside)


def verdict(sequences: Sequences, *, aligned: bool = False) -> structure.Structure:
    """Whether the samples look hierarchical or flat, if they say so at all.

    See :mod:`rhm_theory.experiment.structure`.

    Args:
        sequences: starts and their samples.
        aligned: whether site i has the same place in every start.
    """
    return structure.structure(
        sequences.samples != sequences.starts[:, None],
        groups=sequences.groups,
        inside=sequences.inside,
        aligned=aligned,
    )


def reading(sequences: Sequences) -> tree_reading.Reading:
    """Branching and levels that fit C(r) alone, if the samples are those of a tree.

    See :mod:`rhm_theory.experiment.reading`. Only sites that all starts have are used.

    Args: sequences: at least two starts and their samples.
    """
    changed = sequences.samples != sequences.starts[:, None]
    if sequences.inside is not None:
        changed = changed[..., sequences.inside.all(0)]
    return tree_reading.reading(tree_reading.correlation_rows(changed), sequences.groups)


def within(sequences: Sequences, *, r_max: int | None = None) -> within_groups.Within | None:
    """The susceptibility among samples of one class; None if the file has no classes.

    Args:
        sequences: starts and their samples.
        r_max: the largest distance that counts; by default all.
    """
    if sequences.classes is None:
        return None
    changed = _changed(sequences)
    return within_groups.within(changed, sequences.classes, r_max=r_max, groups=sequences.groups)


def by_level(sequences: Sequences, *, r_max: int | None = None) -> level_numbers.ByLevel | None:
    """The susceptibility at each noise level; None if the file has no levels.

    Args:
        sequences: starts and their samples.
        r_max: the largest distance that counts; by default all.
    """
    if sequences.levels is None:
        return None
    return level_numbers.by_level(
        _changed(sequences),
        sequences.levels,
        classes=sequences.classes,
        groups=sequences.groups,
        r_max=r_max,
    )


def _changed(sequences: Sequences) -> np.ndarray:
    """Which sites of each sample changed; none does where the start is padded."""
    changed = sequences.samples != sequences.starts[:, None]
    return changed if sequences.inside is None else changed & sequences.inside[:, None]


def draw(found: Measurement, path: str | os.PathLike) -> None:
    """Draw C(r) with its 95 % interval into ``path``, a PNG or PDF; ``OSError`` if that fails."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.2), constrained_layout=True)
    FigureCanvasAgg(figure)
    panel = figure.subplots()
    distance = np.arange(len(found.correlation.value))
    panel.fill_between(
        distance,
        found.correlation.low,
        found.correlation.high,
        color="#0072B2",
        alpha=0.25,
        lw=0,
        label="95 % interval",
    )
    panel.plot(distance, found.correlation.value, "o-", color="#0072B2", ms=4, label="C(r)")
    panel.axhline(0, color="black", lw=0.8)
    half_length = float(found.half_length.value)
    if half_length == half_length:
        panel.axvline(half_length, color="#D55E00", ls="--", label="C falls below half")
    panel.set(xlabel="distance r (leaves)", ylabel="correlation of changes C(r)")
    chi = found.susceptibility
    panel.set_title(f"susceptibility χ = {chi.value:.3g} ± {chi.error:.2g}", loc="left")
    panel.legend()
    figure.savefig(path, dpi=200)
