"""Do a list of tasks in several processes. The results come in the order in which they end."""

import multiprocessing
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple

PATIENCE = 2.0  # seconds that a process gets to end by itself before it is killed


class Lost(NamedTuple):
    """What a task gives whose process ended without an answer."""

    exit_code: int | None


class Worker(NamedTuple):
    """One process, and our end of the pipe to it."""

    process: BaseProcess
    pipe: Connection


def run(
    function: Callable[[str], Any],
    tasks: Iterable[str],
    *,
    jobs: int,
    prepare: Callable[[], None],
    started: Callable[[str], None],
) -> Iterator[tuple[str, Any]]:
    """Pairs of a task and ``function(task)``, computed by ``jobs`` processes.

    Args:
        function: must be importable by name, as it is sent to the processes.
        tasks: each is sent to the next free process.
        jobs: how many processes, at least 1.
        prepare: called once in each process, before its first task.
        started: called here when a task is sent.

    Returns:
        An iterator. A process that dies gives :class:`Lost` for its task; a new one replaces it.
        When the iterator is closed or an exception passes through it, all processes are ended.
    """
    waiting = deque(tasks)
    busy: dict[Worker, str] = {}
    idle = [_start(function, prepare) for _ in range(min(jobs, len(waiting)))]
    try:
        while waiting or busy:
            while waiting and idle:
                worker = idle.pop()
                busy[worker] = waiting.popleft()
                started(busy[worker])
                worker.pipe.send(busy[worker])
            ready = wait([worker.pipe for worker in busy])
            for worker in [worker for worker in busy if worker.pipe in ready]:
                task = busy.pop(worker)
                try:
                    result = worker.pipe.recv()
                    idle.append(worker)
                except (EOFError, ConnectionError):
                    worker.process.join()
                    result = Lost(worker.process.exitcode)
                    if waiting:
                        idle.append(_start(function, prepare))
                yield task, result
    finally:
        _end([*idle, *busy])


def _start(function: Callable[[str], Any], prepare: Callable[[], None]) -> Worker:
    # A forked copy of a process that runs JAX's threads can hang: start a fresh interpreter.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, function, prepare), daemon=True)
    process.start()
    theirs.close()
    return Worker(process, ours)


def _end(workers: list[Worker]) -> None:
    for worker in workers:
        worker.process.terminate()
    for worker in workers:
        worker.process.join(PATIENCE)
        if worker.process.is_alive():  # inside a long computation in C++
            worker.process.kill()
            worker.process.join()
        worker.pipe.close()


def _work(pipe: Connection, function: Callable[[str], Any], prepare: Callable[[], None]) -> None:
    # A terminal sends Ctrl-C to all processes. The first one decides, and ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # sys.exit lets a half-written temporary file be removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    prepare()
    while True:
        try:
            pipe.send(function(pipe.recv()))
        except (EOFError, BrokenPipeError):  # the first process is gone
            return
