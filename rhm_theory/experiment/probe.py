"""Reading, measuring and drawing files of starts and their samples from *any* model.

Starts and samples are sequences of integers.

There are three formats:

* ``.npz``: ``starts`` (S, d), ``samples`` (S, K, d), and optionally ``groups`` (S,), a label for
  each start;
* ``.npy``: one array (S, 1 + K, d), the start first;
* anything else is CSV: one sequence a line, its first cell the label of its start. The first line
  of a label is the start itself.
"""

import csv
import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from rhm_theory.experiment import measure
from rhm_theory.experiment.measure import Measurement


class Sequences(NamedTuple):
    """Starts, their samples, and the group of each start."""

    starts: Int[np.ndarray, "starts length"]
    samples: Int[np.ndarray, "starts trajectories length"]
    groups: np.ndarray


def load(path: str | os.PathLike) -> Sequences:
    """The sequences of a file.

    Raises: ``OSError`` if the file cannot be opened. ``ValueError`` that names the file, and the
        line or array, if the file is damaged, rows have different lengths or shapes disagree. Also
        if a symbol is no integer >= 0, there is no start, or a start has fewer than two samples.
    """
    path = Path(path)
    if path.suffix == ".npz":
        arrays = _undamaged(path, _named_arrays)
        missing = [name for name in ("starts", "samples") if name not in arrays]
        if missing:
            raise ValueError(
                f"{path}: must have arrays named starts and samples, "
                f"has {', '.join(arrays) or 'none'}"
            )
        starts = arrays["starts"]
        samples = arrays["samples"]
        groups = arrays.get("groups", np.arange(len(starts)) if starts.ndim else starts)
    elif path.suffix == ".npy":
        array = _undamaged(path, np.lib.format.read_array)
        if array.ndim != 3 or not array.shape[1]:
            raise ValueError(
                f"{path}: must have shape (starts, 1 + samples, length), got {array.shape}"
            )
        starts = array[:, 0]
        samples = array[:, 1:]
        groups = np.arange(len(array))
    else:
        starts, samples, groups = _read_lines(path)
    return _checked_sequences(path, starts, samples, groups)


def _named_arrays(file) -> dict[str, np.ndarray]:
    with np.lib.npyio.NpzFile(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _undamaged(path: Path, read: Callable):
    """What ``read`` makes of the file: NumPy's errors, of many types, name no file."""
    with path.open("rb") as file:
        try:
            return read(file)
        except (ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path}: not a {path.suffix} file of numbers: {error}") from None


def _checked_sequences(path: Path, starts, samples, groups) -> Sequences:
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
    for name, array in (("starts", starts), ("samples", samples)):
        if array.dtype.kind not in "iu":
            raise ValueError(f"{path}: {name} must be integers, got {array.dtype}")
        if array.size and array.min() < 0:
            place = tuple(np.argwhere(array < 0)[0].tolist())
            raise ValueError(f"{path}: {name} must be >= 0, got {array[place]} at index {place}")
    return Sequences(starts=starts, samples=samples, groups=groups)


def _read_lines(path: Path):
    """Starts, samples and labels of a CSV file."""
    sequences: dict[str, list[list[int]]] = {}
    length = None
    raw = path.read_bytes()
    try:
        # A byte order mark would make another label of the first one.
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ValueError(
            f"{path}, line {line}: not UTF-8 text (byte {raw[error.start]:#04x})"
        ) from None
    for number, row in enumerate(csv.reader(io.StringIO(text, newline="")), 1):
        if not any(cell.strip() for cell in row):
            continue
        label, cells = row[0], row[1:]
        if length is None:
            length = len(cells)
        if len(cells) != length or not cells:
            raise ValueError(
                f"{path}, line {number}: expected a label and {length or 'some'} symbols, "
                f"got {len(cells)} symbols"
            )
        try:
            # For Python 1_0 is 10.
            symbols = [int(cell.replace("_", "?")) for cell in cells]
        except ValueError:
            raise ValueError(
                f"{path}, line {number}: symbols must be integers, got {cells}"
            ) from None
        if min(symbols) < 0:
            raise ValueError(f"{path}, line {number}: symbols must be >= 0, got {min(symbols)}")
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
    array = np.array(list(sequences.values()))
    return array[:, 0], array[:, 1:], np.array(list(sequences))


def probe(sequences: Sequences, *, r_max: int | None = None) -> Measurement:
    """C(r), susceptibility and correlation lengths of the changes, with 95 % intervals.

    See :mod:`rhm_theory.experiment.measure`.

    Args:
        sequences: starts and their samples.
        r_max: the largest distance that counts; all by default.

    Raises: ``TypeError`` or ``ValueError`` that names ``r_max``.
    """
    changed = sequences.samples != sequences.starts[:, None]
    return measure.measure(changed, r_max=r_max, groups=sequences.groups)


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
    panel.axvline(
        float(found.half_length.value), color="#D55E00", ls="--", label="C falls below half"
    )
    panel.set(xlabel="distance r (leaves)", ylabel="correlation of changes C(r)")
    chi = found.susceptibility
    panel.set_title(f"susceptibility χ = {chi.value:.3g} ± {chi.error:.2g}", loc="left")
    panel.legend()
    figure.savefig(path, dpi=200)
