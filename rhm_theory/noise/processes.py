r"""Noise objects: a forward process together with its level.

Each object offers the same three things, and experiments ask for nothing else:

* ``level``: how strong the noise is, an array in [0, 1] that broadcasts against the batch of the
  sequences. ``at(level)`` is the same process at another level.
* ``sample(key, sequence)``: what is seen of each sequence.
* ``likelihood(seen)``: the likelihood of each symbol given what is seen, as a model's
  ``log_evidence`` takes it.

:class:`Mask`, :class:`Flips` and :class:`Epsilon` noise sequences of symbols. Their methods need to
know the ``vocabulary``. :class:`GaussianNoise` noises real fields. All are frozen pytrees with the
level as their one leaf: ``jit`` and ``vmap`` take them as arguments.
"""

import dataclasses
from typing import ClassVar, NamedTuple, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import ArrayLike, Float, Int

from rhm_theory.noise import likelihood as leaves
from theory_common import checks, precision
from theory_common.pytrees import pytree

Process = TypeVar("Process", bound="_Level")


@runtime_checkable
class Noise(Protocol):
    """The interface of a noise on sequences of symbols. You can write a class of your own.

    Attributes:
        level: in [0, 1], any shape.
        name: the process and its law, for tables and files.
        random: whether ``sample`` draws anything. It is False for the epsilon-process: that has one
            likelihood for each sequence and no noised sequence that a denoiser could be given.
    """

    random: ClassVar[bool]

    @property
    def level(self) -> Float[AnyArray, "*levels"]: ...

    @property
    def name(self) -> str: ...

    def at(self, level: precision.ArrayLike) -> "Noise": ...

    def sample(
        self, key: Array, sequence: Int[ArrayLike, "*#batch length"], *, vocabulary: int
    ) -> Int[Array, "*batch length"]: ...

    def likelihood(
        self, seen: Int[ArrayLike, "*#batch length"], *, vocabulary: int
    ) -> Float[Array, "*batch length vocabulary"]: ...


@dataclasses.dataclass(frozen=True, eq=False, init=False)
class _Level:
    """What all noise objects share: a checked level."""

    level: Float[AnyArray, "*levels"]

    def __init__(self, level: precision.ArrayLike) -> None:
        object.__setattr__(self, "level", leaves.checked_level(level))

    def at(self: Process, level: precision.ArrayLike) -> Process:
        """The same process at another ``level`` in [0, 1]."""
        return dataclasses.replace(self, level=leaves.checked_level(level))


@pytree(static=("law",))
@dataclasses.dataclass(frozen=True, eq=False, init=False)
class Mask(_Level):
    """A mask: a share ``level`` of the leaves is hidden, the others are seen exactly.

    A hidden leaf is shown as the number ``vocabulary``, which is no symbol of the model.

    Args:
        level: the share of hidden leaves, in [0, 1], any shape.
        law: ``"independent"`` or ``"fixed_number"``; see :func:`rhm_theory.likelihood.random_mask`.

    Raises: ``TypeError`` or ``ValueError`` that names ``level`` or ``law``.
    """

    law: str
    random: ClassVar[bool] = True

    def __init__(self, level: precision.ArrayLike, law: str = "independent") -> None:
        super().__init__(level)
        object.__setattr__(self, "law", checks.choice("law", law, leaves.MASK_LAWS))

    @property
    def name(self) -> str:
        """The process and the law of its masks."""
        return f"mask, {self.law}"

    def sample(
        self, key: Array, sequence: Int[ArrayLike, "*#batch length"], *, vocabulary: int
    ) -> Int[Array, "*batch length"]:
        """The sequence with ``vocabulary`` in the place of each hidden leaf."""
        start = leaves.checked_start(sequence, vocabulary)
        hidden = leaves.random_mask(key, _common(start, self.level), self.level, self.law)
        return jnp.where(hidden, vocabulary, start)

    def likelihood(
        self, seen: Int[ArrayLike, "*#batch length"], *, vocabulary: int
    ) -> Float[Array, "*batch length vocabulary"]:
        """1 for every symbol of a leaf that is seen as ``vocabulary``, else 1 for its own.

        The level is not used, because the symbols show which leaves the mask hides.
        """
        seen = leaves.checked_start(seen, vocabulary + 1, "seen")
        hidden = seen == vocabulary
        found = leaves.masked(jnp.where(hidden, 0, seen), hidden, vocabulary=vocabulary)
        return found.astype(self.level.dtype)


@pytree()
@dataclasses.dataclass(frozen=True, eq=False, init=False)
class Flips(_Level):
    """Each leaf, with probability ``level`` and independently, is drawn anew from all symbols.

    Args:
        level: the probability, in [0, 1], any shape.

    Raises: ``TypeError`` or ``ValueError`` that names ``level``.
    """

    random: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The process."""
        return "flips"

    def sample(
        self, key: Array, sequence: Int[ArrayLike, "*#batch length"], *, vocabulary: int
    ) -> Int[Array, "*batch length"]:
        """The sequence with some leaves drawn anew; see :func:`rhm_theory.likelihood.flipped`."""
        return leaves.flipped(key, sequence, self.level, vocabulary=vocabulary)

    def likelihood(
        self, seen: Int[ArrayLike, "*#batch length"], *, vocabulary: int
    ) -> Float[Array, "*batch length vocabulary"]:
        r""":math:`\pi_i(x) = (1-\epsilon)\,[x = y_i] + \epsilon/v` of the seen leaves :math:`y`."""
        return leaves.epsilon_process(seen, self.level, vocabulary=vocabulary)


@pytree()
@dataclasses.dataclass(frozen=True, eq=False, init=False)
class Epsilon(_Level):
    r"""The epsilon-process of the paper: a likelihood between certainty and no knowledge of a leaf.

    It draws no random numbers and makes no noised sequence: ``sample`` returns the sequence itself.

    Args:
        level: :math:`\epsilon` in [0, 1], any shape.

    Raises: ``TypeError`` or ``ValueError`` that names ``level``.
    """

    random: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The process."""
        return "epsilon"

    def sample(
        self, key: Array, sequence: Int[ArrayLike, "*#batch length"], *, vocabulary: int
    ) -> Int[Array, "*batch length"]:
        """The sequence itself; the ``key`` is not used."""
        return leaves.checked_start(sequence, vocabulary)

    def likelihood(
        self, seen: Int[ArrayLike, "*#batch length"], *, vocabulary: int
    ) -> Float[Array, "*batch length vocabulary"]:
        r""":math:`\pi_i(x) = (1-\epsilon)\,[x = x^0_i] + \epsilon/v` of a sequence :math:`x^0`."""
        return leaves.epsilon_process(seen, self.level, vocabulary=vocabulary)


class GaussianLikelihood(NamedTuple):
    """The likelihood after Gaussian noise: the ``noised`` field and the ``level``."""

    noised: Float[AnyArray, "*batch length"]
    level: Float[AnyArray, "*#batch"]


@pytree()
@dataclasses.dataclass(frozen=True, eq=False, init=False)
class GaussianNoise(_Level):
    r"""Gaussian diffusion of a real field: :math:`x_t = \sqrt{1-\sigma^2}\, x_0 + \sigma z`.

    Args:
        level: :math:`\sigma^2 = 1 - \bar\alpha`, the variance of the noise, in [0, 1], any shape.

    Raises: ``TypeError`` or ``ValueError`` that names ``level``.
    """

    random: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """The process."""
        return "Gaussian noise"

    def sample(
        self, key: Array, field: Float[ArrayLike, "*#batch length"]
    ) -> Float[Array, "*batch length"]:
        """The noised ``field``."""
        checks.key("key", key)
        values = checks.reals(level=self.level, field=field)
        level = values["level"]
        start = checks.finite("field", values["field"])
        if not start.ndim:
            raise ValueError("field must have shape (*batch, length), got ()")
        shape = _common(start, level, "field")
        level = level[..., None]
        white = jax.random.normal(key, shape, start.dtype)
        return jnp.sqrt(1 - level) * start + jnp.sqrt(level) * white

    def likelihood(self, noised: Float[ArrayLike, "*#batch length"]) -> GaussianLikelihood:
        """The likelihood of a field given ``noised``, for :class:`rhm_theory.GaussianField`."""
        return GaussianLikelihood(noised=checks.finite("noised", noised), level=self.level)


def require_noise(noise: Noise) -> None:
    """``TypeError`` unless ``noise`` is an object for symbols, as :class:`Noise` describes it."""
    if not isinstance(noise, Noise) or isinstance(noise, GaussianNoise):
        raise TypeError(
            "noise must be a noise object such as Mask(0.5), Flips(0.5) or Epsilon(0.5), "
            f"got {noise!r}"
        )


def _common(start: Array, level: Array, name: str = "sequence") -> tuple[int, ...]:
    batch = checks.common_shape(**{name: start.shape[:-1]}, level=level.shape)
    return (*batch, start.shape[-1])
