r"""Forward processes: what the noise leaves of each leaf, as a likelihood.

A *leaf likelihood* is :math:`\pi_i(x) \propto p(\text{what is seen of leaf } i \mid \text{leaf } i = x)`, an array ``(*batch, length,
vocabulary)``; a factor a leaf only shifts the log evidence. It is no posterior: leaves are not uniform.

A ``start`` is a sequence, many of them, or the :class:`rhm_theory.Tree` that has them as leaves. ``noise`` is in [0, 1], one number or an
array that broadcasts against the batch of ``start`` (so noise levels ``(levels, 1)`` and starts ``(starts, length)`` give ``(levels,
starts, length, vocabulary)``); a traced one outside gives what the formula gives. Likelihoods come in the working float dtype of ``noise``.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import ArrayLike, Bool, Float, Int

from rhm_theory.models.grammar import as_array, leaves_of, symbols_in
from theory_common import checks
from theory_common.claims import backed_by

MASK_LAWS = ("independent", "fixed_number")


@backed_by("rhm-upward-map")
def epsilon_process(
    start: Int[ArrayLike, "*#batch length"], noise: Float[ArrayLike, "*#batch"], *, vocabulary: int
) -> Float[Array, "*batch length vocabulary"]:
    r"""Each leaf keeps a share of certainty: :math:`\pi_i(x) = (1-\epsilon)\,[x = x^0_i] + \epsilon/v`. No chance enters.

    Noise 0 leaves zeros, noise 1 leaves nothing. Source: *A Phase Transition in Diffusion Models Reveals the Hierarchical Nature of Data*.
    Claim: ``rhm-upward-map``.
    """
    start, noise = _start(start, vocabulary), _noise(noise)
    checks.common_shape(start=start.shape[:-1], noise=noise.shape)
    noise = noise[..., None, None]
    return (1 - noise) * exact(start, vocabulary=vocabulary).astype(
        noise.dtype
    ) + noise / vocabulary


def exact(
    start: Int[ArrayLike, "*batch length"], *, vocabulary: int
) -> Bool[Array, "*batch length vocabulary"]:
    """True at the symbol of each leaf: the likelihood of leaves that are seen."""
    return _start(start, vocabulary)[..., None] == jnp.arange(vocabulary)


def masked(
    start: Int[ArrayLike, "*#batch length"],
    hidden: Bool[ArrayLike, "*#batch length"],
    *,
    vocabulary: int,
) -> Float[Array, "*batch length vocabulary"]:
    """1 for every symbol of the leaves that are ``hidden``, 1 and 0 for the others: the likelihood under a given mask.

    Raises: ``TypeError`` for a mask that is not boolean (numbers could be rows), ``ValueError`` for shapes that do not broadcast.
    """
    seen = exact(start, vocabulary=vocabulary)
    mask = as_array("hidden", hidden, "booleans")
    if mask.dtype != bool:
        raise TypeError(
            f"hidden must be a boolean mask, True where a leaf is hidden, got {mask.dtype}"
        )
    if checks.common_shape(hidden=mask.shape, start=seen.shape[:-1])[-1] != seen.shape[-2]:
        raise ValueError(
            f"hidden must have a last axis of {seen.shape[-2]} leaves, as start has, got {mask.shape}"
        )
    return (jnp.asarray(mask)[..., None] | seen).astype(jnp.zeros(()).dtype)


def mask(
    key: Array,
    start: Int[ArrayLike, "*#batch length"],
    noise: Float[ArrayLike, "*#batch"],
    law: str = "independent",
    *,
    vocabulary: int,
) -> Float[Array, "*batch length vocabulary"]:
    """A share ``noise`` of the leaves is hidden, by the ``law`` of :func:`random_mask`; the others are seen exactly."""
    start, noise = _start(start, vocabulary), _noise(noise)
    shape = (*checks.common_shape(start=start.shape[:-1], noise=noise.shape), start.shape[-1])
    return masked(start, random_mask(key, shape, noise, law), vocabulary=vocabulary).astype(
        noise.dtype
    )


@backed_by("rhm-mask-laws")
def random_mask(
    key: Array, shape: tuple[int, ...], noise: Float[ArrayLike, "*#batch"], law: str = "independent"
) -> Bool[Array, "*batch length"]:
    """True where a leaf is hidden.

    The law is decisive for susceptibilities, so state it with every result:

    * ``"independent"``: each leaf with probability ``noise`` (masked diffusion);
    * ``"fixed_number"``: ``noise * length`` leaves, rounded to the nearest integer (halves to the even one), all subsets equally likely. It
      takes a correlation of order 1/length from each of length² pairs: the susceptibility changes by a number of order 1.

    Claim: ``rhm-mask-laws``.
    """
    checks.key("key", key)
    checks.choice("law", law, MASK_LAWS)
    shape, noise = checks.sizes("shape", shape), _noise(noise)
    if not shape or checks.common_shape(shape=shape[:-1], noise=noise.shape) != shape[:-1]:
        raise ValueError(
            f"shape must be (*batch, length) with a batch that noise {noise.shape} broadcasts to, got {shape}"
        )
    noise = noise[..., None]
    if law == "independent":
        return jax.random.uniform(key, shape, noise.dtype) < noise
    ranks = jax.random.permutation(
        key, jnp.broadcast_to(jnp.arange(shape[-1]), shape), axis=-1, independent=True
    )
    return ranks < jnp.round(noise * shape[-1])


@backed_by("rhm-mask-laws")
def uniform_flips(
    key: Array,
    start: Int[ArrayLike, "*#batch length"],
    noise: Float[ArrayLike, "*#batch"],
    *,
    vocabulary: int,
) -> Float[Array, "*batch length vocabulary"]:
    r"""The likelihood of :func:`flipped` leaves :math:`y`: :math:`\pi_i(x) = (1-\epsilon)\,[x = y_i] + \epsilon/v`.

    Claim: ``rhm-mask-laws``.
    """
    return epsilon_process(
        flipped(key, start, noise, vocabulary=vocabulary), noise, vocabulary=vocabulary
    )


def flipped(
    key: Array,
    start: Int[ArrayLike, "*#batch length"],
    noise: Float[ArrayLike, "*#batch"],
    *,
    vocabulary: int,
) -> Int[Array, "*batch length"]:
    """Each leaf, with probability ``noise`` and independently, drawn anew from all symbols (so it may stay what it is)."""
    start, noise = _start(start, vocabulary), _noise(noise)
    shape = (*checks.common_shape(start=start.shape[:-1], noise=noise.shape), start.shape[-1])
    which, what = jax.random.split(checks.key("key", key))
    anew = jax.random.randint(what, shape, 0, vocabulary, start.dtype)
    return jnp.where(random_mask(which, shape, noise, "independent"), anew, start)


def _noise(noise, name: str = "noise") -> Float[Array, "*batch"]:
    """``noise`` in the working dtype, in [0, 1]; the error names the argument."""
    return checks.require(name, noise, lambda value: (value >= 0) & (value <= 1), "in [0, 1]")


def _start(start, vocabulary: int) -> Int[Array, "*batch length"]:
    start = symbols_in("start", leaves_of(start), checks.whole("vocabulary", vocabulary, least=1))
    if not start.ndim:
        raise ValueError("start must have shape (*batch, length), got ()")
    return start
