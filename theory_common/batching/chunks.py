"""Many independent rows through one function, in chunks of one shape, which can be resumed.

A chunk is compiled once and fits the cache; the last one is padded with its own last row. The
chunks are spread over every device. A CPU has a thread for each core, another platform a thread for
each device. One array sharded over the devices would be slower: a while loop over it lets every
device wait for the slowest. The numbers of a row do not depend on how many devices there are.
"""

import concurrent.futures
import hashlib
import inspect
import os
import threading
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from theory_common.batching import threads


def mapped(
    function: Callable[[Any, Any], Any],
    shared: Any,
    rows: Any,
    *,
    chunk: int,
    folder: str | os.PathLike | None = None,
    name: str = "",
    progress: bool = False,
) -> Any:
    """``function(shared, rows)``, computed chunk by chunk, as NumPy arrays.

    Memory on a device grows with ``chunk``, not with the number of rows.

    Args:
        function: a jitted function of the module, so that it is compiled once. It takes ``shared``
            and a pytree of arrays ``(chunk, ...)``, and returns another one. It treats each row by
            itself.
        shared: a pytree that every device gets once.
        rows: a pytree of arrays ``(n, ...)``.
        folder: where finished chunks are kept. The same call, stopped and made again, continues.
        name: with ``folder``, tells this function and what it shares from others. Rows and
            ``chunk`` are told apart without it.
        progress: show a bar.
    Returns: a pytree of NumPy arrays with the rows in their first axis.
    Raises: ``TypeError`` if ``folder`` is no path, ``NotADirectoryError`` if it is a file.
    """
    folder = _directory(folder)
    leaves, structure = jax.tree.flatten(rows)
    leaves = [np.asarray(leaf) for leaf in leaves]
    devices = jax.local_devices()
    everywhere = [jax.device_put(shared, device) for device in devices]
    structures: list = []

    def compute(index: int, part: list[np.ndarray]) -> list[np.ndarray]:
        size = len(part[0])
        padded = [np.concatenate([leaf, np.repeat(leaf[-1:], chunk - size, 0)]) for leaf in part]
        place = index % len(devices)
        there = jax.device_put(jax.tree.unflatten(structure, padded), devices[place])
        computed, form = jax.tree.flatten(function(everywhere[place], there))
        structures.append(form)
        return [np.asarray(leaf)[:size] for leaf in computed]

    def one(index: int) -> list[np.ndarray]:
        part = [leaf[index * chunk : (index + 1) * chunk] for leaf in leaves]
        if folder is None:
            return compute(index, part)
        kept = folder / f"{_fingerprint(name, chunk, structure, part)}.npz"
        found = _load(kept)
        if found is None:
            found = compute(index, part)
            _save(kept, found)
        return found

    total = -(-len(leaves[0]) // chunk)
    workers = min(threads.count(devices), total)
    done = _in_threads(threads.with_precision_of_caller(one), total, workers, name, progress)
    if structures:
        form = structures[0]
    else:  # every chunk was kept
        one_chunk = [jax.ShapeDtypeStruct((chunk, *leaf.shape[1:]), leaf.dtype) for leaf in leaves]
        # Options of the compiler do not nest, so the shape is asked of what is under jit.
        plain = inspect.unwrap(function)
        answer = jax.eval_shape(plain, shared, jax.tree.unflatten(structure, one_chunk))
        form = jax.tree.structure(answer)
    return jax.tree.unflatten(form, [np.concatenate(column) for column in zip(*done, strict=True)])


def _in_threads(
    one: Callable[[int], list[np.ndarray]], total: int, workers: int, name: str, progress: bool
) -> list[list[np.ndarray]]:
    """``one(index)`` for each of ``total`` chunks, in order."""
    done: list[list[np.ndarray]] = [[]] * total
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        waiting = {pool.submit(one, index): index for index in range(total)}
        try:
            for future in _shown(concurrent.futures.as_completed(waiting), total, name, progress):
                done[waiting[future]] = future.result()
        except BaseException:
            # An interruption waits for the chunks that are being computed, not for the others.
            pool.shutdown(cancel_futures=True)
            raise
    return done


def _directory(folder: str | os.PathLike | None) -> Path | None:
    """``folder`` as a path, checked before anything is computed."""
    if folder is None:
        return None
    if not isinstance(folder, (str, os.PathLike)):
        raise TypeError(f"folder must be a path, got {folder!r} ({type(folder).__name__})")
    if Path(folder).exists() and not Path(folder).is_dir():
        raise NotADirectoryError(f"folder must be a directory, got the file {os.fspath(folder)!r}")
    return Path(folder)


def _shown(futures: Iterable, total: int, name: str, progress: bool) -> Iterable:
    """The futures, with a bar on the terminal if there is to be one."""
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
    """A finished chunk, or None if it is not there or broken."""
    try:
        # NumPy would leave open what it cannot read.
        with path.open("rb") as file, np.load(file) as kept:
            return [kept[f"arr_{index}"] for index in range(len(kept.files))]
    except (FileNotFoundError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _save(path: Path, leaves: list[np.ndarray]) -> None:
    """Write beside and rename, so that no half-written file is taken for a chunk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Threads too may meet at one chunk: an axis may repeat itself.
    beside = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.part")
    try:
        with beside.open("wb") as file:
            np.savez(file, *leaves)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
