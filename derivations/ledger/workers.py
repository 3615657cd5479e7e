"""Claims checked by several processes. Claims are found by id in each of them."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed

FEWEST = 8  # with fewer tasks the processes would not pay


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
