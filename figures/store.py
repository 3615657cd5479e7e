"""A figure on disk: NAME.pdf, NAME.png, NAME.csv, and NAME.json with the numbers drawn, the claims, and what they were made from.

NAME.json is written last and holds the digests of the others and of itself: a run that was interrupted, a file that was damaged or edited,
and inputs that have changed are all the same to a reader, who gets nothing and computes again.
"""

import csv
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import jax

import derivations
import gda_theory
import rhm_theory
import theory_common
from figures import parts, style
from theory_common.printing import tables

PACKAGES = ("jax", "jaxlib", "numpy", "scipy", "matplotlib", "scikit-learn")


class Record(NamedTuple):
    """All about one figure but its pictures; JSON's own types and what :func:`theory_common.printing.tables.from_json` makes of them."""

    name: str
    title: str
    caption: str
    lemmas: list[str]
    preset: str
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


def fingerprint(module: ModuleType, preset: str) -> str:
    """SHA-256 of the preset, the figure's source, what its folder shares, the libraries' sources, the versions and the device."""
    source = Path(str(module.__file__))
    paths = [
        source,
        *sorted(source.parent.glob("_*.py")),
        Path(style.__file__),
        Path(parts.__file__),
    ]
    for library in (gda_theory, rhm_theory, theory_common, derivations):
        paths += sorted(Path(str(library.__file__)).parent.rglob("*.py"))
    digests = [(path.name, _digest(path.read_bytes())) for path in paths]
    return _digest(json.dumps([preset, digests, versions(), device()]).encode())


def write(folder: Path, record: Record, images: dict[str, bytes]) -> Record:
    """Write the pictures, the CSV and, last, the JSON; each appears whole or not at all. Returns the record with the files' digests."""
    contents = images | {"csv": csv_text(record.data).encode()}
    for suffix, content in contents.items():
        replace(folder / f"{record.name}.{suffix}", content)
    record = record._replace(
        files={suffix: _digest(content) for suffix, content in contents.items()}
    )
    replace(folder / f"{record.name}.json", _text(record).encode())
    return record


def read(folder: Path, name: str, expected_fingerprint: str) -> Record | None:
    """The record of ``name``, or ``None`` where it has to be made: absent, damaged, edited, or made from other inputs."""
    try:
        text = (folder / f"{name}.json").read_text(encoding="utf-8")
        fields = tables.loads(text)
        record = Record(**{field: fields[field] for field in Record._fields})
        # A list of one-line texts or an empty one must come back as the list it was, not as an array.
        record = record._replace(lemmas=list(record.lemmas), claims=list(record.claims))
        whole = text == _text(record) and all(
            _digest((folder / f"{name}.{suffix}").read_bytes()) == digest
            for suffix, digest in record.files.items()
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return record if whole and record.fingerprint == expected_fingerprint else None


def csv_text(data: dict) -> str:
    """``data`` as CSV: one column a series where all are one-dimensional and equally long, else ``name, index, value``, a row a number.

    A nested series is named ``outer/inner``; an index has one number a dimension, ``3 0``. Floats read back to the same float64.
    """
    series = dict(flat(data))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    if series and {getattr(values, "shape", None) for values in series.values()} == {
        (_length(next(iter(series.values()))),)
    }:
        writer.writerow(series)
        writer.writerows(zip(*(values.tolist() for values in series.values()), strict=True))
        return stream.getvalue()
    writer.writerow(["name", "index", "value"])
    for name, values in series.items():
        for index, value in _items(values):
            writer.writerow([name, " ".join(map(str, index)), value])
    return stream.getvalue()


def flat(data: dict, prefix: str = ""):
    """Pairs of ``outer/inner`` names and values that are no dicts."""
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


def _length(values) -> int:
    return len(values) if getattr(values, "ndim", 0) == 1 else -1


def _text(record: Record) -> str:
    """One line a field, so that the file can be looked at; the digest of all the others closes it."""
    fields = [
        f"{json.dumps(key)}: {tables.dumps(value)}" for key, value in record._asdict().items()
    ]
    body = ",\n".join(fields)
    return f'{{\n{body},\n"digest": "{_digest(body.encode())}"\n}}\n'


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def replace(path: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        os.chmod(temporary, 0o644)  # mkstemp's 0600 would keep a web server out
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
