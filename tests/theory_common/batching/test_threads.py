"""The number of threads of BLAS is as before, whatever the order in which contexts end."""

import contextlib

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from theory_common.batching.threads import one_thread_of_blas


def of_blas() -> set[int]:
    """The numbers of threads of the BLAS libraries."""
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


def test_contexts_that_overlap_leave_the_setting_as_it_was():
    assert np.ones((2, 2)).sum() == 4  # so that NumPy's BLAS is loaded
    with threadpool_limits(2, "blas"):
        first, second = contextlib.ExitStack(), contextlib.ExitStack()
        first.enter_context(one_thread_of_blas())
        second.enter_context(one_thread_of_blas())
        assert of_blas() == {1}
        first.close()  # before the second, as two threads may do
        assert of_blas() == {1}
        second.close()
        assert of_blas() == {2}
        with one_thread_of_blas():
            assert of_blas() == {1}
        assert of_blas() == {2}
