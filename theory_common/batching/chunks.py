"""Many independent rows through one function, in chunks of one shape, which can be resumed.

A chunk is compiled once and fits the cache; the last one is padded with its own last row. The
chunks are spread over every device. A CPU has a thread for each core, another platform a thread for
each device. One array sharded over the devices would be slower: a while loop over it lets every
device wait for the slowest. The numbers of a row do not depend on how many devices there are.
"""

import concurrent.futures
import contextlib
import functools
import hashlib
import inspect
import os
import threading
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import jax
import numpy as np

from theory_common.batching import executors, threads


def mapped(
    function: Callable[[Any, Any], Any],
    shared: Any,
    rows: Any,
    *,
    chunk: int,
    folder: str | os.PathLike | None = None,
    name: str = "",
    progress: bool = False,
    executor: Executor | None = None,
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
        executor: where the chunks are computed; None for the devices of this process. Elsewhere
            ``shared`` travels with each chunk.
    Returns: a pytree of NumPy arrays with the rows in their first axis.
    Raises: ``TypeError`` if ``folder`` is no path, or ``executor`` none.
        ``NotADirectoryError`` if ``folder`` is a file.
    """
    folder = _directory(folder)
    executor = executors.checked(executor)
    leaves, structure = jax.tree.flatten(rows)
    leaves = [np.asarray(leaf) for leaf in leaves]
    parts = [[leaf[at : at + chunk] for leaf in leaves] for at in range(0, len(leaves[0]), chunk)]
    kept: list[Path | None] = [None] * len(parts)
    if folder is not None:
        kept = [folder / f"{_fingerprint(name, chunk, structure, part)}.npz" for part in parts]
    done = [None if path is None else _load(path) for path in kept]
    forms: list = []

    def padded(index: int) -> Any:
        full = [np.concatenate([a, np.repeat(a[-1:], chunk - len(a), 0)]) for a in parts[index]]
        return jax.tree.unflatten(structure, full)

    def finish(index: int, result: Any) -> None:
        computed, form = jax.tree.flatten(result)
        forms.append(form)
        found = [leaf[: len(parts[index][0])] for leaf in computed]
        done[index] = found
        path = kept[index]
        if path is not None:
            _save(path, found)

    missing = [index for index in range(len(parts)) if done[index] is None]
    begin = _here(function, shared) if executor is None else _there(executor, function, shared)
    with begin as submit:
        waiting = {submit(index, padded): index for index in missing}
        _finish_all(waiting, finish, name, progress)
    if forms:
        form = forms[0]
    else:  # every chunk was kept
        one_chunk = [jax.ShapeDtypeStruct((chunk, *leaf.shape[1:]), leaf.dtype) for leaf in leaves]
        # Options of the compiler do not nest, so the shape is asked of what is under jit.
        plain = inspect.unwrap(function)
        answer = jax.eval_shape(plain, shared, jax.tree.unflatten(structure, one_chunk))
        form = jax.tree.structure(answer)
    return jax.tree.unflatten(form, [np.concatenate(column) for column in zip(*done, strict=True)])


@contextlib.contextmanager
def _here(function: Callable[[Any, Any], Any], shared: Any) -> Iterator[Callable]:
    """Chunks in threads of this process, over all its devices."""
    devices = jax.local_devices()
    everywhere = [jax.device_put(shared, device) for device in devices]

    def compute(index: int, padded: Callable[[int], Any]) -> Any:
        place = index % len(devices)
        rows = jax.device_put(padded(index), devices[place])
        return jax.tree.map(np.asarray, function(everywhere[place], rows))

    with concurrent.futures.ThreadPoolExecutor(threads.count(devices)) as pool:
        yield functools.partial(pool.submit, threads.with_precision_of_caller(compute))


@contextlib.contextmanager
def _there(
    executor: Executor, function: Callable[[Any, Any], Any], shared: Any
) -> Iterator[Callable]:
    """Chunks on an executor of the caller's."""

    def submit(index: int, padded: Callable[[int], Any]) -> Future:
        return executors.submitted(executor, function, shared, padded(index))

    yield submit


def _finish_all(
    waiting: dict[Future, int], finish: Callable[[int, Any], None], name: str, progress: bool
) -> None:
    """``finish(index, result)`` of each chunk, as soon as it is computed."""
    left = dict(waiting)
    try:
        futures = concurrent.futures.as_completed(waiting)
        for future in _shown(futures, len(waiting), name, progress):
            finish(left.pop(future), future.result())
    except BaseException:
        # An interruption waits for the chunks that are being computed, not for the others.
        executors.cancel(left)
        begun = [future for future in left if not future.cancelled()]
        concurrent.futures.wait(begun)
        for future in begun:
            if future.exception() is None:
                finish(left[future], future.result())
        raise


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
