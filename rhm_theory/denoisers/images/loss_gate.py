"""Whether a model knows the pictures better than every flat mixture does, by its denoising loss."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

MODEL = "diffusion model"
EXACT = "exact posterior"
STANDARD_ERRORS = 2.0  # by which the model's loss must be below that of the best mixture


class Gate(NamedTuple):
    """Whether a posterior's denoising loss is below that of every flat mixture.

    Attributes:
        losses: the mean of each posterior over seeds, times and pictures.
        difference: of each seed, the loss minus that of the best flat mixture.
        error: its standard error over pictures.
        beats: whether the difference is below -2 errors for every seed.
    """

    losses: dict[str, float]
    difference: Float[np.ndarray, " seeds"]
    error: Float[np.ndarray, " seeds"]
    beats: bool


def flat_places(names: Sequence[str]) -> list[int]:
    """Which of the posteriors are flat."""
    return [number for number, name in enumerate(names) if name not in (MODEL, EXACT)]


def compared(
    names: Sequence[str],
    losses: Sequence[Float[np.ndarray, "posteriors pictures"]],
    of: str = MODEL,
) -> Gate:
    """The gate of the posterior ``of``.

    Args:
        names: of the posteriors.
        losses: of each seed, the mean over noises for each picture.
        of: one of ``names``.
    """
    own = list(names).index(of)
    flat = flat_places(names)
    gaps = []
    for one in losses:
        best = flat[int(one[flat].mean(-1).argmin())]
        gaps.append(one[own] - one[best])
    difference = np.mean(gaps, -1)
    error = np.std(gaps, -1, ddof=1) / np.sqrt(len(gaps[0]))
    mean = np.mean(losses, (0, 2))
    return Gate(
        losses={name: float(value) for name, value in zip(names, mean, strict=True)},
        difference=difference,
        error=error,
        beats=bool((difference < -STANDARD_ERRORS * error).all()),
    )
