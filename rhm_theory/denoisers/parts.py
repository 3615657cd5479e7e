"""Parts of a measurement, each kept in a file, so that a stopped measurement goes on."""

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from theory_common.printing import files

Part = TypeVar("Part", bound=tuple)


def digest_of(about: str, arrays: Iterable[Any]) -> str:
    """A name that tells all parts apart: of a text, and of arrays that the part depends on."""
    found = hashlib.sha256(about.encode())
    for array in arrays:
        found.update(np.asarray(array).tobytes())
    return found.hexdigest()[:24]


def kept(
    folder: str | Path | None, name: str, kind: type[Part], compute: Callable[[], Part]
) -> Part:
    """A part from the folder. If it is not there, it is computed and written whole.

    Args:
        folder: where parts are kept; made if it is not there. None computes each part.
        name: of the file, without its ending.
        kind: the NamedTuple of arrays that a part is.
        compute: makes the part.

    Raises: ``OSError`` if a part cannot be read or written; ``ValueError`` if a file is no part.
    """
    if folder is None:
        return compute()
    Path(folder).mkdir(parents=True, exist_ok=True)
    place = Path(folder) / f"{name}.npz"
    if place.exists():
        return _read(place, kind)
    found = compute()
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **dict(zip(_fields(kind), found, strict=True)))
    files.write_whole(place, content.getvalue(), force=True)
    return found


def _read(place: Path, kind: type[Part]) -> Part:
    try:
        with place.open("rb") as file, np.load(file) as held:
            return kind(**{name: held[name] for name in _fields(kind)})
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"folder holds {place.name}, which is no part; delete it") from error


def _fields(kind: type[tuple]) -> tuple[str, ...]:
    return getattr(kind, "_fields")  # noqa: B009  mypy does not know that it is a NamedTuple
