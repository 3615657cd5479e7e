"""A figure on disk: NAME.pdf, NAME.png, NAME.csv, and NAME.json with the numbers and the claims.

NAME.json is written last. It holds digests of the other files, of itself, and of all inputs. Where
one of them does not match, the reader gets nothing and the figure is computed again. So an
interrupted run, a damaged or edited file and a changed input need no separate treatment.
"""

import csv
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax

from figures import sources
from theory_common.printing import tables

PACKAGES = ("jax", "jaxlib", "numpy", "scipy", "matplotlib", "scikit-learn")


class WriteError(OSError):
    """A file could not be written; the message says which and why."""


class Record(NamedTuple):
    """All about one figure except its pictures.

    It holds JSON's own types, and what ``theory_common.printing.tables.from_json`` makes of them.
    """

    name: str
    title: str
    caption: str
    lemmas: list[str]
    preset: str
    changed: dict[str, str]  # parameters that are not at their defaults
    fingerprint: str  # of everything that the numbers and the pictures depend on
    versions: dict[str, str]
    device: str
    seconds: float  # to compute and to draw
    claims: list[dict[str, Any]]  # claim, paper, here
    data: dict[str, Any]  # exactly the numbers drawn
    files: dict[str, str]  # suffix -> SHA-256 of the file beside


def versions() -> dict[str, str]:
    """Python's version and those of the packages that numbers and pictures depend on."""
    return {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in PACKAGES
    }


def device() -> str:
    """The kind of device that JAX computes on."""
    return str(jax.devices()[0].device_kind)


def fingerprint(module: str, preset: str, parameters: dict[str, Any]) -> str:
    """SHA-256 of everything that the figure in ``module`` (a dotted name) depends on.

    These are the preset, the parameters, the source files that it imports from the project
    (directly or through others), how figures are drawn, the packages' versions, and the device.
    """
    paths = {path for name in (module, "figures.style") for path in sources.of(name)}
    digests = sorted((path.name, _digest(path.read_bytes())) for path in paths)
    inputs = [preset, parameters, digests, versions(), device()]
    return _digest(json.dumps(inputs).encode())


def write(folder: Path, record: Record, images: dict[str, bytes]) -> Record:
    """Write the pictures, the CSV and, last, the JSON. Each appears whole or not at all.

    Returns: the record with the digests of the files.
    Raises: :class:`WriteError`.
    """
    contents = images | {"csv": csv_text(record.data).encode()}
    for suffix, content in contents.items():
        replace(folder / f"{record.name}.{suffix}", content)
    record = record._replace(
        files={suffix: _digest(content) for suffix, content in contents.items()}
    )
    replace(json_path(folder, record.name), _text(record).encode())
    return record


def json_path(folder: Path, name: str) -> Path:
    """The file that is written last."""
    return folder / f"{name}.json"


def read(folder: Path, name: str, expected_fingerprint: str) -> Record | None:
    """The record of ``name``.

    ``None`` where it has to be made: if it is absent, damaged, edited, or made from other inputs.
    """
    try:
        text = json_path(folder, name).read_text(encoding="utf-8")
        fields = tables.loads(text)
        record = Record(**{field: fields[field] for field in Record._fields})
        # A list of texts or an empty one must come back as the list that it was, not as an array.
        record = record._replace(lemmas=list(record.lemmas), claims=list(record.claims))
        whole = text == _text(record) and all(
            _digest((folder / f"{name}.{suffix}").read_bytes()) == digest
            for suffix, digest in record.files.items()
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return record if whole and record.fingerprint == expected_fingerprint else None


def csv_text(data: dict) -> str:
    """``data`` as CSV.

    If all series are one-dimensional and equally long, each is a column. Otherwise each number is a
    row ``name, index, value``. A nested series is named ``outer/inner``. An index has one number
    for each dimension, ``3 0``. Floats read back to the same float64.
    """
    series = dict(flat(data))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    shapes = {getattr(values, "shape", None) for values in series.values()}
    if len(shapes) == 1 and len(next(iter(shapes)) or ()) == 1:
        writer.writerow(series)
        writer.writerows(zip(*(values.tolist() for values in series.values()), strict=True))
        return stream.getvalue()
    writer.writerow(["name", "index", "value"])
    for name, values in series.items():
        for index, value in _items(values):
            writer.writerow([name, " ".join(map(str, index)), value])
    return stream.getvalue()


def flat(data: dict, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Pairs of a name ``outer/inner`` and a value that is no dict."""
    for key, value in data.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}/")
        else:
            yield prefix + key, value


def _items(value, index=()):
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, list):
        for position, item in enumerate(value):
            yield from _items(item, (*index, position))
    elif isinstance(value, dict):  # a list of dicts
        for key, item in value.items():
            yield from _items(item, (*index, key))
    else:
        yield index, value


def _text(record: Record) -> str:
    """The JSON text: a field a line, so that one can look at the file, then their digest."""
    fields = [
        f"{json.dumps(key)}: {tables.dumps(value)}" for key, value in record._asdict().items()
    ]
    body = ",\n".join(fields)
    return f'{{\n{body},\n"digest": "{_digest(body.encode())}"\n}}\n'


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def replace(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all.

    Raises: :class:`WriteError` where it cannot be written. What was at ``path`` before stays.
    """
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.chmod(temporary, 0o644)  # mkstemp's 0600 would keep a web server out
        os.replace(temporary, path)
    except BaseException as error:
        if temporary:
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise WriteError(f"cannot write {path}: {error.strerror}") from error
        raise
