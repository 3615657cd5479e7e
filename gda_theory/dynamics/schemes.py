"""Schemes of descent-ascent: the half-steps of one epoch, by name or as data."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float, Int

from theory_common import checks

MOST_EPOCHS = 2**31 - 1  # epochs are counted in 32 bits


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Scheme:
    """The half-steps ``(retain factor, forget factor)`` of one epoch.

    In the first ``ascent_epochs`` epochs every half-step is one of ascent alone, (0, 1).
    ``batch_size`` is the one that :func:`simulate` was given, or None without minibatches.

    Raises: ``ValueError`` if ``half_steps`` are no pairs of numbers, or if an epoch neither
        descends nor ascends.
    """

    name: str
    half_steps: Sequence[Sequence[float]]
    ascent_epochs: int = 0
    batch_size: int | None = None

    def __post_init__(self) -> None:
        factors = np.asarray(self.half_steps)
        pairs = factors.shape[1:] == (2,) and factors.dtype.kind in "iuf"
        if not pairs or not (0 < np.sum(factors[:, 0]) < np.inf or _only_ascends(factors)):
            raise ValueError(
                "half_steps must be pairs (retain factor, forget factor) whose retain factors "
                "have a finite sum > 0, so that an epoch descends, or are all 0 beside forget "
                f"factors with a finite sum > 0, so that it ascends, got {self.half_steps!r}"
            )
        # A scheme selects compiled code, so it must be hashable.
        object.__setattr__(self, "half_steps", tuple(map(tuple, factors.tolist())))

    @property
    def descends(self) -> bool:
        """Whether an epoch lowers the retained losses; False for ascent alone."""
        return not _only_ascends(np.asarray(self.half_steps))

    def ascends_alone(self, time: int | Array) -> bool | Array | None:
        """Whether epoch ``time`` is one of ascent alone; ``None`` if no epoch of the scheme is."""
        return time < self.ascent_epochs if self.ascent_epochs else None


def _only_ascends(factors: np.ndarray) -> bool:
    """Whether no half-step descends, and together they ascend."""
    return bool(np.all(factors[:, 0] == 0) and 0 < np.sum(factors[:, 1]) < np.inf)


class Factors(NamedTuple):
    """Schemes with equally many half-steps as arrays, one scheme a lane.

    They are data and not code, so all such schemes share one compiled function.
    """

    half_steps: Float[Array | np.ndarray, "h 2 #lanes"]
    ascent_epochs: Int[Array | np.ndarray, " #lanes"] | None

    def ascends_alone(self, time: int | Array) -> Array | np.ndarray | None:
        """As :meth:`Scheme.ascends_alone`, for each lane."""
        return None if self.ascent_epochs is None else time < self.ascent_epochs


def factors_of(schemes: Sequence[Scheme], dtype: DTypeLike, repeats: int = 1) -> Factors:
    """The schemes as data, each ``repeats`` times in a row; all have equally many half-steps."""
    half_steps = np.array([scheme.half_steps for scheme in schemes], dtype)
    ascent_epochs = np.array([scheme.ascent_epochs for scheme in schemes], np.int32)
    return Factors(
        half_steps=np.repeat(np.moveaxis(half_steps, 0, -1), repeats, -1),
        ascent_epochs=np.repeat(ascent_epochs, repeats),
    )


SCHEMES = {
    scheme.name: scheme
    for scheme in (
        Scheme("simultaneous", ((1, 1),)),
        Scheme("retain_first", ((1, 0), (0, 1))),
        Scheme("forget_first", ((0, 1), (1, 0))),
        Scheme("pure_ascent", ((0, 1),)),
    )
}


def ascent_then_descent(epochs: int) -> Scheme:
    """The scheme of ``epochs`` epochs of ascent on the forget set, then descent on the retain set.

    Raises: ``ValueError`` or ``TypeError`` unless ``epochs`` is a whole number >= 1.
    """
    return Scheme("ascent_then_descent", ((1, 0),), epoch_count("epochs", epochs))


def epoch_count(name: str, value: Any) -> int:
    """``value`` as a number of epochs, from 1 to 2^31 - 1.

    Raises: ``ValueError`` or ``TypeError`` that names the argument ``name``.
    """
    value = checks.whole(name, value, least=1)
    if value > MOST_EPOCHS:
        raise ValueError(f"{name} must be <= {MOST_EPOCHS}, got {value}")
    return value


def resolve(scheme: str | Scheme) -> Scheme:
    """The :class:`Scheme` of that name, or the given one.

    Raises: ``ValueError`` if ``scheme`` is neither a known name nor a scheme.
    """
    if isinstance(scheme, Scheme):
        return scheme
    if not isinstance(scheme, str) or scheme not in SCHEMES:
        raise ValueError(
            f"scheme must be one of {', '.join(map(repr, SCHEMES))} or "
            f"gt.ascent_then_descent(epochs), got {scheme!r}"
        )
    return SCHEMES[scheme]
