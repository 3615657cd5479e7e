"""Claims checked by several processes. Claims are found by id in each of them."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

FEWEST = 8  # with fewer tasks the processes would not pay


def results(function: Callable, tasks: Sequence[tuple], workers: int | None = None) -> Iterator:
    """``function(*task)`` for each task, as they end. One process if there are few tasks.

    ``function`` and its results must be picklable. When the caller stops early, tasks that have not
    begun are dropped.
    """
    number = min(workers or os.cpu_count() or 1, len(tasks))
    if number < 2 or len(tasks) < FEWEST:
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
