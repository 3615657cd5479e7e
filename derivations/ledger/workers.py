"""Claims checked or attacked by several processes. Claims are found by id in each of them."""

import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

FEWEST = 8  # with fewer tasks the processes would not pay
TICK = 0.5  # seconds: how often a stream is looked at
GRACE = 1.0  # seconds after its end in which a task may send its last state


def results(function: Callable, tasks: Sequence[tuple], workers: int | None = None) -> Iterator:
    """``function(*task)`` for each task, as they end.

    Without a number of ``workers`` there is one for each processor, and only one for few tasks.

    ``function`` and its results must be picklable. When the caller stops early, tasks that have not
    begun are dropped.
    """
    most = 1 if workers is None and len(tasks) < FEWEST else workers or os.cpu_count() or 1
    number = min(most, len(tasks))
    if number < 2:
        for task in tasks:
            yield function(*task)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(number, mp_context=context)
    try:
        for future in as_completed([pool.submit(function, *task) for task in tasks]):
            yield future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class State(NamedTuple):
    """The last state of a task: ``value`` is None before the first.

    ``stopped`` tells that its process had to be stopped, or ended by itself.
    """

    task: tuple
    value: Any
    ended: bool = False
    stopped: bool = False


def streamed(
    function: Callable[..., Iterator],
    tasks: Sequence[tuple],
    number: int,
    seconds: float,
    silence: float,
) -> Iterator[State]:
    """The states that ``function(*task, share)`` yields for each task, as they come.

    The tasks get equal shares of ``seconds``, a ``share`` of seconds each. Each of ``number``
    processes takes the next task when it has finished one. A process that is silent for ``silence``
    seconds is stopped, and a new one takes its place. What still runs a second after the end is
    stopped. Ctrl-C reaches the caller alone. ``function`` and its states must be picklable.
    """
    stream = _Stream(function, list(tasks), number, seconds, silence)
    try:
        yield from stream.states()
    finally:
        for worker in stream.workers.values():
            worker.stop()


class _Worker:
    """A process that waits for tasks, and what is known of its task."""

    def __init__(self, function: Callable[..., Iterator]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(function, other), daemon=True)
        with _ignoring_interrupts():
            self.process.start()
        other.close()
        self.state: State | None = None
        self.heard: float | None = None

    def stop(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


class _Stream:
    """Tasks that wait, and workers by their pipes. The time runs from the first ready worker on."""

    def __init__(
        self,
        function: Callable[..., Iterator],
        waiting: list[tuple],
        number: int,
        seconds: float,
        silence: float,
    ) -> None:
        self.function = function
        self.waiting = waiting
        self.number = number
        self.seconds = seconds
        self.silence = silence
        self.ends: float | None = None
        self.workers: dict[Connection, _Worker] = {}
        for _ in range(min(number, len(waiting))):
            self._start()

    def states(self) -> Iterator[State]:
        while self.workers:
            ready = wait(list(self.workers), TICK)
            for worker in [self.workers[pipe] for pipe in self.workers if pipe in ready]:
                yield from self._received(worker)
            for worker in list(self.workers.values()):
                if self._is_silent(worker):
                    yield from self._replaced(worker)
            if self.ends is not None and time.monotonic() > self.ends + GRACE:
                yield from (
                    worker.state._replace(ended=True)
                    for worker in self.workers.values()
                    if worker.state is not None
                )
                return

    def _start(self) -> None:
        worker = _Worker(self.function)
        self.workers[worker.pipe] = worker

    def _received(self, worker: _Worker) -> Iterator[State]:
        try:
            idle, value = worker.pipe.recv()
        except (EOFError, ConnectionError):
            yield from self._replaced(worker)
            return
        worker.heard = time.monotonic()
        if worker.state is not None:
            worker.state = worker.state._replace(value=value or worker.state.value, ended=idle)
            yield worker.state
        if idle:
            self._next(worker)

    def _next(self, worker: _Worker) -> None:
        now = time.monotonic()
        if self.ends is None:
            self.ends = now + self.seconds
        if not self.waiting:
            del self.workers[worker.pipe]
            worker.stop()
            return
        left = max(self.ends - now, 0.0)
        share = min(left, left * self.number / len(self.waiting))
        task = self.waiting.pop(0)
        worker.state = State(task, None)
        worker.pipe.send((*task, share))

    def _is_silent(self, worker: _Worker) -> bool:
        return worker.heard is not None and time.monotonic() - worker.heard > self.silence

    def _replaced(self, worker: _Worker) -> Iterator[State]:
        """The end of a task whose process hangs or is gone. A new process takes the next one."""
        del self.workers[worker.pipe]
        worker.stop()
        if worker.state is None:
            raise RuntimeError("a worker process ended before its first task")
        yield worker.state._replace(ended=True, stopped=True)
        if self.waiting:
            self._start()


def _serve(function: Callable[..., Iterator], pipe: Connection) -> None:
    """Take tasks from ``pipe`` and send their states, each as ``(idle, value)``."""
    with contextlib.suppress(EOFError, ConnectionError):  # the caller is gone
        while True:
            pipe.send((True, None))
            for value in function(*pipe.recv()):
                pipe.send((False, value))


@contextlib.contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """Processes that are started here inherit that Ctrl-C does nothing."""
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
