"""Files of models and of training: arrays and a header, written whole, with a format version."""

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from theory_common.printing import files

VERSION = 1


def write(
    path: str | Path, kind: str, header: Mapping, arrays: Sequence, *, force: bool = False
) -> None:
    """Write arrays and a header to a file, whole or not at all.

    If the disk is full midway, a file that was there before is kept as it was.

    Args:
        path: the file.
        kind: what the file holds, such as ``"model"``; :func:`read` asks for it.
        header: anything that JSON holds.
        arrays: of any shapes and dtypes.
        force: whether a file of that name may be replaced.

    Raises: ``OSError`` as :func:`theory_common.printing.files.write_whole` does.
    """
    text = json.dumps({"kind": kind, "version": VERSION, "header": dict(header)})
    named = {"header": np.frombuffer(text.encode(), np.uint8)}
    named |= {f"array_{index}": np.asarray(array) for index, array in enumerate(arrays)}
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **named)
    files.write_whole(path, content.getvalue(), force)


def kind_of(path: str | Path) -> str:
    """What a file that :func:`write` wrote holds; errors as :func:`read` has them."""
    return _checked(path, "model")[0]


def read(path: str | Path, kind: str) -> tuple[dict[str, Any], list[np.ndarray]]:
    """The header and the arrays that :func:`write` wrote.

    Raises: ``OSError`` if the file cannot be read. ``ValueError`` if it holds something else, is
        broken, or has another version of the format.
    """
    found, header, listed = _checked(path, kind)
    if found != kind:
        raise ValueError(f"{path} must hold a {kind}, got a {found}")
    return header, listed


def _checked(path: str | Path, kind: str) -> tuple[str, dict[str, Any], list[np.ndarray]]:
    """Kind, header and arrays of a file that should hold a ``kind``."""
    try:
        with Path(path).open("rb") as file, np.load(file) as arrays:
            held = {name: arrays[name] for name in arrays.files}
        about = json.loads(held.pop("header").tobytes())
        found = about["kind"]
        version = about["version"]
        header = about["header"]
        listed = [held[f"array_{index}"] for index in range(len(held))]
    except (AttributeError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} is no file of rhm_theory.denoisers, or it is broken: it must hold a {kind}"
        ) from error
    if version != VERSION:
        raise ValueError(
            f"{path} must have version {VERSION} of the format, got version {version!r}. "
            "Train the model again"
        )
    return found, header, listed
