"""What ``measure`` writes and prints, of a model of any kind."""

import sys
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np


class Outcome(NamedTuple):
    """The result of a measurement.

    Attributes:
        arrays: the raw data, for ``--out``.
        page: makes the page, for ``--html``.
        answer: the numbers, for ``--json``.
        table: makes the text for a terminal.
    """

    arrays: Mapping[str, np.ndarray]
    page: Callable[[], str]
    answer: dict[str, Any]
    table: Callable[[], str]


def shown(text: str) -> None:
    """Say on standard error what is being computed."""
    print(text, file=sys.stderr, flush=True)


def levels_of(text: str) -> list[float]:
    """The numbers of ``FROM:TO:STEP``, or of a list with commas.

    Raises: ``ValueError`` that names ``levels``.
    """
    try:
        if ":" not in text:
            return [float(part) for part in text.split(",")]
        first, last, step = (float(part) for part in text.split(":"))
    except ValueError:
        raise ValueError(
            f"levels must be FROM:TO:STEP or numbers with commas, got {text!r}"
        ) from None
    if not (step > 0 and last >= first):
        raise ValueError(f"levels must rise by a step > 0, got {text!r}")
    return [round(one, 10) for one in np.arange(first, last + step / 2, step).tolist()]
