"""A Dask cluster as an executor. The package ``distributed`` is imported only if one is used."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import Executor

SECONDS = 20  # to wait for a scheduler


@contextlib.contextmanager
def executor_at(address: str | None) -> Iterator[Executor | None]:
    """The executor of the Dask cluster whose scheduler has this address; None without an address.

    A worker that is lost is no error: the scheduler gives its work to another one.

    Args:
        address: such as ``"tcp://10.0.0.1:8786"``.
    Raises: ``ValueError`` if ``distributed`` is not installed, or no scheduler answers.
    """
    if address is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError:
        raise ValueError(
            "scheduler needs the package distributed: pip install 'gda-theory[cluster]'"
        ) from None
    try:
        client = Client(address, timeout=SECONDS)
    except (OSError, ValueError) as error:
        raise ValueError(f"scheduler: no Dask scheduler answers at {address!r}: {error}") from None
    with client:
        yield client.get_executor()
