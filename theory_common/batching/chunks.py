"""Many independent rows through one function: in chunks of one shape, on every device and core, and resumable.

A chunk is compiled once and fits the cache; the last one is padded with its own last row. Chunks, not arrays, are what
devices share: while loops of different devices then never wait for each other, as they do where one sharded array is looped
over, and a row's numbers do not depend on how many devices there are. On a CPU there is a thread for each core, elsewhere for each device.
"""

import concurrent.futures
import hashlib
import inspect
import os
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np


def mapped(
    function: Callable[[Any, Any], Any],
    shared,
    rows,
    *,
    chunk: int,
    folder=None,
    name: str = "",
    progress: bool = False,
):
    """``function(shared, rows)``, computed chunk by chunk; NumPy arrays with the rows in their first axis.

    Args:
        function: from what is shared and a pytree of arrays ``(chunk, ...)`` to a pytree of arrays ``(chunk, ...)``, each row by
            itself; a jitted function of the module, so that it is compiled once.
        shared: pytree that every device gets once.
        rows: pytree of arrays ``(n, ...)``.
        folder: where finished chunks are kept: the same call, stopped and made again, goes on where it was.
        name: with ``folder``, what tells this function and what it shares from others (rows and chunk are told apart by themselves).
        progress: show a bar.
    Memory on a device grows with ``chunk``, not with ``n``.
    """
    folder = _directory(folder)
    leaves, structure = jax.tree.flatten(rows)
    leaves = [np.asarray(leaf) for leaf in leaves]
    count = leaves[0].shape[0]
    wide = jax.config.read("jax_enable_x64")  # a thread does not inherit what was set by a context
    devices = jax.local_devices()
    everywhere = [jax.device_put(shared, device) for device in devices]
    workers = (
        os.cpu_count() or 1 if devices[0].platform == "cpu" else len(devices)
    )  # CPU devices, one or many, share the cores

    structures: list = []

    def one(index: int) -> list[np.ndarray]:
        part = [leaf[index * chunk : (index + 1) * chunk] for leaf in leaves]
        kept = (
            None if folder is None else folder / f"{_fingerprint(name, chunk, structure, part)}.npz"
        )
        found = None if kept is None else _load(kept)
        if found is None:
            size = part[0].shape[0]
            padded = [
                np.concatenate([leaf, np.repeat(leaf[-1:], chunk - size, 0)]) for leaf in part
            ]
            place = index % len(devices)
            with jax.enable_x64(wide):
                there = jax.device_put(jax.tree.unflatten(structure, padded), devices[place])
                computed, form = jax.tree.flatten(function(everywhere[place], there))
            structures.append(form)
            found = [np.asarray(leaf)[:size] for leaf in computed]
            if kept is not None:
                _save(kept, found)
        return found

    total = -(-count // chunk)
    done: list[list[np.ndarray] | None] = [None] * total
    with concurrent.futures.ThreadPoolExecutor(min(workers, total)) as pool:
        waiting = {pool.submit(one, index): index for index in range(total)}
        try:
            for future in _shown(concurrent.futures.as_completed(waiting), total, name, progress):
                done[waiting[future]] = future.result()
        except BaseException:
            # An interruption waits for the chunks that are being computed, not for those that are not.
            pool.shutdown(cancel_futures=True)
            raise
    one_chunk = [jax.ShapeDtypeStruct((chunk, *leaf.shape[1:]), leaf.dtype) for leaf in leaves]
    # Options of the compiler do not nest, so the shape is asked of what is under jit.
    plain = inspect.unwrap(function)
    answer = structures or [
        jax.tree.structure(jax.eval_shape(plain, shared, jax.tree.unflatten(structure, one_chunk)))
    ]
    return jax.tree.unflatten(
        answer[0], [np.concatenate(column) for column in zip(*done, strict=True)]
    )


def _directory(folder) -> Path | None:
    """``folder`` as a path, known before anything is computed not to be a file."""
    if folder is None:
        return None
    if not isinstance(folder, (str, os.PathLike)):
        raise TypeError(f"folder must be a path, got {folder!r} ({type(folder).__name__})")
    if Path(folder).exists() and not Path(folder).is_dir():
        raise NotADirectoryError(f"folder must be a directory, got the file {os.fspath(folder)!r}")
    return Path(folder)


def _shown(futures, total: int, name: str, progress: bool):
    if not progress:
        return futures
    from rich.progress import track

    return track(futures, description=name or "sweep", total=total)


def _fingerprint(name: str, chunk: int, structure, part: list[np.ndarray]) -> str:
    """What a chunk's result depends on."""
    digest = hashlib.sha256(
        f"{name} {chunk} {structure} {[(a.shape, a.dtype) for a in part]}".encode()
    )
    for leaf in part:
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()[:32]


def _load(path: Path) -> list[np.ndarray] | None:
    """A finished chunk; None if it is not there or broken."""
    try:
        # NumPy would leave open what it cannot read.
        with path.open("rb") as file, np.load(file) as kept:
            return [kept[f"arr_{index}"] for index in range(len(kept.files))]
    except (FileNotFoundError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _save(path: Path, leaves: list[np.ndarray]) -> None:
    """All or nothing: written beside, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Threads too may meet at one chunk: an axis may repeat itself.
    beside = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.part")
    try:
        with beside.open("wb") as file:
            np.savez(file, *leaves)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
