r"""Noise on sequences of symbols (forward processes), as the likelihood of each leaf's symbols.

A *leaf likelihood* is :math:`\pi_i(x) \propto p(\text{what is seen of leaf } i \mid x_i = x)`.
It is an array ``(*batch, length, vocabulary)``. A constant factor for a leaf only shifts the log
evidence. A likelihood is not a posterior, because the model's leaves are not uniform.

A ``start`` is one sequence, many of them, or the :class:`rhm_theory.Tree` that has them as leaves.
A noise ``level`` is in [0, 1]: one number, or an array that broadcasts against the batch of
``start``. So levels ``(levels, 1)`` and starts ``(starts, length)`` give a likelihood
``(levels, starts, length, vocabulary)``. A traced level outside [0, 1] gives what the formula
gives. Likelihoods have the working float dtype of ``level``.

The objects of :mod:`rhm_theory.noise.processes` call these functions.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import ArrayLike, Bool, Float, Int

from rhm_theory.models.grammar import as_array, leaves_of, symbols_in
from theory_common import checks, precision
from theory_common.claims import backed_by

MASK_LAWS = ("independent", "fixed_number")


@backed_by("rhm-upward-map")
def epsilon_process(
    start: Int[ArrayLike, "*#batch length"], level: Float[ArrayLike, "*#batch"], *, vocabulary: int
) -> Float[Array, "*batch length vocabulary"]:
    r"""Each leaf keeps a share :math:`1-\epsilon` of certainty.

    .. math:: \pi_i(x) = (1-\epsilon)\,[x = x^0_i] + \epsilon/v .

    No random number enters. Level 0 leaves the start itself, level 1 leaves nothing.

    Args:
        start: sequences or their :class:`rhm_theory.Tree`.
        level: :math:`\epsilon` in [0, 1].
        vocabulary: :math:`v`, the number of symbols.

    Returns: the leaf likelihood.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Source: *A Phase Transition in Diffusion Models Reveals the Hierarchical Nature of Data*.
    Claim: ``rhm-upward-map``.
    """
    start = checked_start(start, vocabulary)
    level = checked_level(level)
    checks.common_shape(start=start.shape[:-1], level=level.shape)
    return _less_certain(start, level, np.asarray(vocabulary, level.dtype), vocabulary)


@functools.partial(jax.jit, static_argnames="vocabulary")
def _less_certain(start: Array, level: Array, number: Array, vocabulary: int) -> Array:
    # A number that is traced is divided by. XLA multiplies by the inverse of a constant.
    level = level[..., None, None]
    return (1 - level) * _symbol(start, vocabulary).astype(level.dtype) + level / number


def exact(
    start: Int[ArrayLike, "*batch length"], *, vocabulary: int
) -> Bool[Array, "*batch length vocabulary"]:
    """The likelihood of leaves that are seen exactly: True at the symbol of each leaf.

    Args:
        start: sequences or their :class:`rhm_theory.Tree`.
        vocabulary: the number of symbols.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    """
    return _symbol(checked_start(start, vocabulary), vocabulary)


@functools.partial(jax.jit, static_argnames="vocabulary")
def _symbol(start: Array, vocabulary: int) -> Array:
    return start[..., None] == jnp.arange(vocabulary)


def masked(
    start: Int[ArrayLike, "*#batch length"],
    hidden: Bool[ArrayLike, "*#batch length"],
    *,
    vocabulary: int,
) -> Float[Array, "*batch length vocabulary"]:
    """The likelihood under a given mask: 1 for every symbol of a hidden leaf, else 1 for its own.

    Args:
        start: sequences or their :class:`rhm_theory.Tree`.
        hidden: True where a leaf is hidden; it broadcasts against ``start``.
        vocabulary: the number of symbols.

    Raises: ``TypeError`` for a mask that is not boolean (numbers could be row numbers),
        ``ValueError`` for shapes that do not broadcast.
    """
    start = checked_start(start, vocabulary)
    mask = as_array("hidden", hidden, "booleans")
    if mask.dtype != bool:
        raise TypeError(
            f"hidden must be a boolean mask, True where a leaf is hidden, got {mask.dtype}"
        )
    if checks.common_shape(hidden=mask.shape, start=start.shape)[-1] != start.shape[-1]:
        raise ValueError(
            f"hidden must have a last axis of {start.shape[-1]} leaves, as start has, "
            f"got {mask.shape}"
        )
    return _seen(start, mask, vocabulary, jnp.zeros(()).dtype)


@functools.partial(jax.jit, static_argnames=("vocabulary", "dtype"))
def _seen(start: Array, hidden: Array, vocabulary: int, dtype: np.dtype) -> Array:
    return (hidden[..., None] | _symbol(start, vocabulary)).astype(dtype)


def mask(
    key: Array,
    start: Int[ArrayLike, "*#batch length"],
    level: Float[ArrayLike, "*#batch"],
    law: str = "independent",
    *,
    vocabulary: int,
) -> Float[Array, "*batch length vocabulary"]:
    """The likelihood under a random mask that hides a share ``level`` of the leaves.

    Args:
        key: of the mask.
        start: sequences or their :class:`rhm_theory.Tree`.
        level: the share of hidden leaves, in [0, 1].
        law: of the mask, as in :func:`random_mask`.
        vocabulary: the number of symbols.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    """
    start = checked_start(start, vocabulary)
    level = checked_level(level)
    shape = (*checks.common_shape(start=start.shape[:-1], level=level.shape), start.shape[-1])
    hidden = random_mask(key, shape, level, law)
    return masked(start, hidden, vocabulary=vocabulary).astype(level.dtype)


@backed_by("rhm-mask-laws")
def random_mask(
    key: Array, shape: tuple[int, ...], level: Float[ArrayLike, "*#batch"], law: str = "independent"
) -> Bool[Array, "*batch length"]:
    """True where a leaf is hidden.

    The law decides what a susceptibility is, so state it with every result:

    * ``"independent"``: each leaf is hidden with probability ``level`` (masked diffusion);
    * ``"fixed_number"``: ``level * length`` leaves are hidden, rounded to the nearest integer
      (halves to the even one). All subsets of that size are equally likely. This lowers the
      correlation of each of the length² pairs of leaves by an amount of order 1/length. So the
      susceptibility changes by a number of order 1.

    Args:
        key: of the mask.
        shape: ``(*batch, length)`` of the result.
        level: the share of hidden leaves, in [0, 1]; it broadcasts to the batch.
        law: one of the two above.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Claim: ``rhm-mask-laws``.
    """
    checks.key("key", key)
    checks.choice("law", law, MASK_LAWS)
    shape = checks.sizes("shape", shape)
    level = checked_level(level)
    if not shape or checks.common_shape(shape=shape[:-1], level=level.shape) != shape[:-1]:
        raise ValueError(
            f"shape must be (*batch, length) with a batch that level {level.shape} broadcasts to, "
            f"got {shape}"
        )
    return _independent(key, shape, level) if law == "independent" else _some(key, shape, level)


@functools.partial(jax.jit, static_argnames="shape")
def _independent(key: Array, shape: tuple[int, ...], level: Array) -> Array:
    return jax.random.uniform(key, shape, level.dtype) < level[..., None]


@functools.partial(jax.jit, static_argnames="shape")
def _some(key: Array, shape: tuple[int, ...], level: Array) -> Array:
    """A fixed number of places, all sets of them equally likely."""
    places = jnp.broadcast_to(jnp.arange(shape[-1]), shape)
    ranks = jax.random.permutation(key, places, axis=-1, independent=True)
    return ranks < jnp.round(level[..., None] * shape[-1])


@backed_by("rhm-mask-laws")
def uniform_flips(
    key: Array,
    start: Int[ArrayLike, "*#batch length"],
    level: Float[ArrayLike, "*#batch"],
    *,
    vocabulary: int,
) -> Float[Array, "*batch length vocabulary"]:
    r"""The likelihood of :func:`flipped` leaves :math:`y`.

    .. math:: \pi_i(x) = (1-\epsilon)\,[x = y_i] + \epsilon/v .

    Args: as :func:`flipped`.
    Raises: as :func:`flipped`.
    Claim: ``rhm-mask-laws``.
    """
    seen = flipped(key, start, level, vocabulary=vocabulary)
    return epsilon_process(seen, level, vocabulary=vocabulary)


def flipped(
    key: Array,
    start: Int[ArrayLike, "*#batch length"],
    level: Float[ArrayLike, "*#batch"],
    *,
    vocabulary: int,
) -> Int[Array, "*batch length"]:
    """Each leaf, with probability ``level`` and independently, is drawn anew from all symbols.

    So a leaf that is drawn anew may keep its symbol.

    Args:
        key: of the flips.
        start: sequences or their :class:`rhm_theory.Tree`.
        level: the probability that a leaf is drawn anew, in [0, 1].
        vocabulary: the number of symbols.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    """
    start = checked_start(start, vocabulary)
    level = checked_level(level)
    shape = (*checks.common_shape(start=start.shape[:-1], level=level.shape), start.shape[-1])
    which, what = jax.random.split(checks.key("key", key))
    anew = jax.random.randint(what, shape, 0, vocabulary, start.dtype)
    return jnp.where(random_mask(which, shape, level, "independent"), anew, start)


def checked_level(level: precision.ArrayLike) -> Float[Array, "*batch"]:
    """``level`` in the working dtype; ``ValueError`` unless it is in [0, 1]."""
    return checks.require("level", level, lambda value: (value >= 0) & (value <= 1), "in [0, 1]")


def checked_start(
    start: Int[ArrayLike, "*batch length"], vocabulary: int, name: str = "start"
) -> Int[Array, "*batch length"]:
    """The sequences, or those of a tree, as symbols below ``vocabulary``; errors name ``name``."""
    start = symbols_in(name, leaves_of(start), checks.whole("vocabulary", vocabulary, least=1))
    if not start.ndim:
        raise ValueError(f"{name} must have shape (*batch, length), got ()")
    return start
