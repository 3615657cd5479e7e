r"""Controls without a hierarchy for text: chains of n-grams and flat mixtures, as conditionals.

Each is a law of whole sequences whose conditionals are exact, so it enters every measurement in the
place of a trained model. Probabilities are smoothed after Witten and Bell: with n(abc) counts and
d(ab) different successors of ab,

.. math:: P(c\mid ab) = \frac{n(abc) + d(ab)\,P(c\mid b)}{n(ab) + d(ab)}, \qquad
          P(c\mid b) = \frac{n(bc) + d(b)\,P(c)}{n(b) + d(b)} .

The posterior of a chain of trigrams needs the law of two neighbouring tokens. One message over all
:math:`V^2` pairs costs :math:`O(V^2 + \text{different trigrams})`, not :math:`V^3`, since the
smoothed part is a product.

A *flat mixture* draws one component for the whole sequence, and then its tokens from the
component's law. It has one level, and no hierarchy.

Source: Witten and Bell, *The zero-frequency problem* (1991).
"""

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import ArrayLike, Float, Int

from rhm_theory.denoisers.sampling import Conditional
from rhm_theory.models.grammar import symbols_in
from theory_common import checks

if TYPE_CHECKING:
    import scipy.sparse

PRIOR = 500.0  # tokens of the whole corpus that are added to each component of a mixture
BLOCK = 32  # sequences at once
Chapters = Sequence[Int[np.ndarray, " _"]]


class Trigrams(NamedTuple):
    """P(c | a b) in two parts: what was counted, and the share that falls back to bigrams.

    Attributes:
        counted: a sparse matrix from pairs ``a * V + b`` to pairs ``b * V + c``.
        rest: the weight of P(c | b) after ``a b``.
    """

    counted: "scipy.sparse.csr_matrix"
    rest: Float[np.ndarray, "vocabulary vocabulary"]


class NGrams(NamedTuple):
    """Smoothed laws of tokens, float32.

    Attributes:
        unigram: P(c).
        bigram: P(c | b), with b in the first axis.
        trigrams: P(c | a b).
    """

    unigram: Float[np.ndarray, " vocabulary"]
    bigram: Float[np.ndarray, "vocabulary vocabulary"]
    trigrams: Trigrams


def fit(chapters: Chapters, vocabulary: int) -> NGrams:
    """Count and smooth.

    Args:
        chapters: tokens below ``vocabulary``. No n-gram reaches over the end of a chapter.
        vocabulary: V.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    """
    vocabulary = checks.whole("vocabulary", vocabulary, least=2)
    parts = [np.asarray(symbols_in("chapters", one, vocabulary), np.int64) for one in chapters]
    if not sum(map(len, parts)):
        raise ValueError("chapters must have at least one token")
    unigram = _unigram(parts, vocabulary)
    bigram = _bigram(parts, unigram)
    return NGrams(
        unigram=unigram.astype(np.float32),
        bigram=bigram.astype(np.float32),
        trigrams=_trigrams(parts, vocabulary),
    )


def unigram_conditional(found: NGrams) -> Conditional:
    """Each token is independent of all others."""
    laws = np.log(found.unigram)[None]
    return functools.partial(_mixture_of_unigrams, laws, np.zeros(1))


def bigram_conditional(found: NGrams) -> Conditional:
    """The exact posterior of the chain whose first token has the law P(c)."""
    return functools.partial(_mixture_of_bigrams, [(found.unigram, found.bigram)], np.zeros(1))


def trigram_conditional(found: NGrams) -> Conditional:
    """The exact posterior of the chain of trigrams; its first two tokens are a bigram.

    It takes up to half a second for each different sequence of 64 tokens out of 1,024. The more
    tokens are shown, the less.
    """
    return functools.partial(_trigram_log_probabilities, found)


def mixture_of_unigrams(groups: Sequence[Chapters], vocabulary: int) -> Conditional:
    """A flat mixture: one law of tokens for each group of chapters, weighted by its length.

    Args:
        groups: of chapters; a group may be one chapter.
        vocabulary: V.
    """
    whole = _unigram([one for group in groups for one in group], vocabulary)
    laws = [_component(group, whole) for group in groups]
    return functools.partial(_mixture_of_unigrams, np.log(np.stack(laws)), _log_weights(groups))


def mixture_of_bigrams(groups: Sequence[Chapters], vocabulary: int) -> Conditional:
    """A flat mixture: one chain of bigrams for each group of chapters, weighted by its length.

    The bigrams of a group fall back to those of all chapters.

    Args:
        groups: of chapters.
        vocabulary: V.
    """
    chapters = [one for group in groups for one in group]
    whole = _bigram(chapters, _unigram(chapters, vocabulary))
    chains = []
    for group in groups:
        law = _component(group, _unigram(chapters, vocabulary)).astype(np.float32)
        chains.append((law, _smoothed(_pair_counts(group, vocabulary), whole).astype(np.float32)))
    return functools.partial(_mixture_of_bigrams, chains, _log_weights(groups))


# --- counts


def _unigram(chapters: Chapters, vocabulary: int) -> np.ndarray:
    counts = np.bincount(np.concatenate(chapters), minlength=vocabulary) + 0.5
    return counts / counts.sum()


def _component(group: Chapters, whole: np.ndarray) -> np.ndarray:
    counts = np.bincount(np.concatenate(group), minlength=len(whole)) + PRIOR * whole
    return counts / counts.sum()


def _log_weights(groups: Sequence[Chapters]) -> np.ndarray:
    sizes = np.array([sum(map(len, group)) for group in groups], float)
    return np.log(sizes / sizes.sum())


def _pair_counts(chapters: Chapters, vocabulary: int) -> np.ndarray:
    codes = [one[:-1].astype(np.int64) * vocabulary + one[1:] for one in chapters]
    return np.bincount(np.concatenate(codes), minlength=vocabulary**2).reshape(-1, vocabulary)


def _bigram(chapters: Chapters, unigram: np.ndarray) -> np.ndarray:
    return _smoothed(_pair_counts(chapters, len(unigram)), np.tile(unigram, (len(unigram), 1)))


def _smoothed(counts: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Witten and Bell's law of each row, with the rows of ``lower`` for what was not seen."""
    kinds = np.maximum((counts > 0).sum(-1, keepdims=True), 1)
    return (counts + kinds * lower) / (counts.sum(-1, keepdims=True) + kinds)


def _trigrams(chapters: Chapters, vocabulary: int) -> Trigrams:
    from scipy import sparse

    codes = [
        (one[:-2].astype(np.int64) * vocabulary + one[1:-1]) * vocabulary + one[2:]
        for one in chapters
    ]
    triples, counts = np.unique(np.concatenate(codes), return_counts=True)
    before = triples // vocabulary
    after = triples % vocabulary**2
    size = vocabulary**2
    total = np.bincount(before, weights=counts, minlength=size)
    kinds = np.bincount(before, minlength=size)
    share = counts / (total + kinds)[before]
    return Trigrams(
        counted=sparse.csr_matrix((share.astype(np.float32), (before, after)), (size, size)),
        rest=np.where(total > 0, kinds / np.maximum(total + kinds, 1), 1)
        .reshape(vocabulary, vocabulary)
        .astype(np.float32),
    )


# --- exact conditionals


def _shaped(tokens, vocabulary: int) -> tuple[np.ndarray, tuple[int, ...]]:
    seen = np.asarray(symbols_in("tokens", tokens, vocabulary + 1))
    return seen.reshape(-1, seen.shape[-1]), (*seen.shape, vocabulary)


def _mixture_of_unigrams(
    log_laws: Float[np.ndarray, "components vocabulary"],
    log_weights: Float[np.ndarray, " components"],
    tokens: Int[ArrayLike, "*batch length"],
) -> Float[np.ndarray, "*batch length vocabulary"]:
    components, vocabulary = log_laws.shape
    seen, shape = _shaped(tokens, vocabulary)
    # A hidden token says nothing of the component.
    evidence = np.concatenate([log_laws, np.zeros((components, 1))], 1)[:, seen].sum(-1)
    weights = jax.nn.softmax(log_weights[:, None] + evidence, 0)
    law = np.log(np.einsum("ks,kv->sv", weights, np.exp(log_laws)))
    return _with_shown(np.broadcast_to(law[:, None], (*seen.shape, vocabulary)), seen).reshape(
        shape
    )


def _mixture_of_bigrams(
    chains: Sequence[tuple[np.ndarray, np.ndarray]],
    log_weights: Float[np.ndarray, " components"],
    tokens: Int[ArrayLike, "*batch length"],
) -> Float[np.ndarray, "*batch length vocabulary"]:
    vocabulary = len(chains[0][0])
    seen, shape = _shaped(tokens, vocabulary)
    size = min(BLOCK, 1 << (len(seen) - 1).bit_length())
    padded = np.pad(seen, ((0, -len(seen) % size), (0, 0))).astype(np.int32)
    found = np.empty((len(padded), *shape[-2:]), np.float32)
    for begin in range(0, len(padded), size):
        block = padded[begin : begin + size]
        passes = [_chain_pass(*chain, block) for chain in chains]
        evidence = np.stack([one[0] for one in passes]) + log_weights[:, None]
        weights = np.asarray(jax.nn.softmax(evidence, 0), np.float32)
        sums = sum(
            w[:, None, None] * np.asarray(one[1]) for w, one in zip(weights, passes, strict=True)
        )
        with np.errstate(divide="ignore"):
            found[begin : begin + size] = np.log(sums)
    return _with_shown(found[: len(seen)], seen).reshape(shape)


@jax.jit
def _chain_pass(
    initial: Array, transition: Array, tokens: Int[Array, "batch length"]
) -> tuple[Float[Array, " batch"], Float[Array, "batch length vocabulary"]]:
    """The log evidence of each sequence and its marginals, by messages in both directions."""
    vocabulary = len(initial)
    seen = jnp.concatenate(
        [jnp.eye(vocabulary, dtype=jnp.float32), jnp.ones((1, vocabulary), jnp.float32)]
    )
    likelihood = jnp.moveaxis(seen[tokens], 1, 0)

    def normalised(message):
        total = message.sum(-1, keepdims=True)
        return message / total, jnp.log(total[..., 0])

    def forward(message, here):
        message, log_total = normalised((message @ transition) * here)
        return message, (message, log_total)

    def backward(message, after):
        message, _ = normalised((message * after) @ transition.T)
        return message, message

    first, log_first = normalised(initial * likelihood[0])
    _, (messages, logs) = jax.lax.scan(forward, first, likelihood[1:])
    last = jnp.full_like(first, 1 / vocabulary)
    _, back = jax.lax.scan(backward, last, likelihood[1:], reverse=True)
    joint = jnp.concatenate([first[None], messages]) * jnp.concatenate([back, last[None]])
    marginals = jnp.moveaxis(joint / joint.sum(-1, keepdims=True), 0, 1)
    return log_first + logs.sum(0), marginals


def _trigram_log_probabilities(
    found: NGrams, tokens: Int[ArrayLike, "*batch length"]
) -> Float[np.ndarray, "*batch length vocabulary"]:
    vocabulary = len(found.unigram)
    seen, shape = _shaped(tokens, vocabulary)
    different, which = np.unique(seen, axis=0, return_inverse=True)
    laws = np.stack([_trigram_marginals(found, one) for one in different])[which.ravel()]
    with np.errstate(divide="ignore"):
        return _with_shown(np.log(laws), seen).reshape(shape)


def _trigram_marginals(found: NGrams, tokens: Int[np.ndarray, " length"]) -> np.ndarray:
    """The marginals of one sequence, by messages over pairs of neighbouring tokens.

    The message of a pair has a row for each value of its first token, and a column for each of its
    second one. A shown token has one value, and a hidden one has all V.
    """
    vocabulary = len(found.unigram)
    every = slice(0, vocabulary)
    allowed = [every if one == vocabulary else slice(one, one + 1) for one in tokens.tolist()]
    marginals = np.zeros((len(tokens), vocabulary), np.float32)
    if len(tokens) == 1:
        marginals[0, allowed[0]] = _normalised(found.unigram[allowed[0]])
        return marginals
    first, second = allowed[:2]
    forward = [_normalised(found.unigram[first, None] * found.bigram[first, second])]
    for before, here, after in zip(allowed, allowed[1:], allowed[2:], strict=False):
        forward.append(_normalised(_passed_on(found, forward[-1], before, here, after)))
    back = np.ones_like(forward[-1])
    for site in range(len(tokens) - 1, 0, -1):
        joint = forward[site - 1] * back
        marginals[site, allowed[site]] = _normalised(joint.sum(0))
        if site == 1:
            marginals[0, allowed[0]] = _normalised(joint.sum(1))
        else:
            back = _normalised(_passed_back(found, back, *allowed[site - 2 : site + 1]))
    return marginals


def _passed_on(found: NGrams, message, first: slice, second: slice, third: slice) -> np.ndarray:
    """From the law of a pair a b to that of b c, where a slice names the allowed tokens."""
    falling = np.einsum("ab,ab->b", found.trigrams.rest[first, second], message)
    steps = _counted_steps(found, first, second)
    seen = (steps.T @ message.ravel()).reshape(-1, len(found.unigram))
    return seen[:, third] + falling[:, None] * found.bigram[second, third]


def _passed_back(found: NGrams, message, first: slice, second: slice, third: slice) -> np.ndarray:
    """From the evidence after a pair b c to that after a b."""
    falling = np.einsum("bc,bc->b", found.bigram[second, third], message)
    steps = _counted_steps(found, first, second)
    wide = np.zeros((len(message), len(found.unigram)), np.float32)
    wide[:, third] = message
    seen = (steps @ wide.ravel()).reshape(-1, len(message))
    return seen + found.trigrams.rest[first, second] * falling


def _counted_steps(found: NGrams, first: slice, second: slice) -> "scipy.sparse.csr_matrix":
    """The counted part of P(c | a b): rows for the allowed a b, columns for the allowed b and c."""
    counted, rest = found.trigrams
    rows = np.arange(rest.size).reshape(rest.shape)[first, second].ravel()
    if len(rows) < rest.size:
        counted = counted[rows]
    columns = slice(second.start * len(rest), second.stop * len(rest))
    return counted if second.stop - second.start == len(rest) else counted[:, columns]


def _normalised(law: np.ndarray) -> np.ndarray:
    return law / law.sum()


def _with_shown(laws: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Log probabilities in which a token that is shown is certain."""
    vocabulary = laws.shape[-1]
    shown = tokens < vocabulary
    own = tokens[..., None] == np.arange(vocabulary)
    return np.where(shown[..., None], np.where(own, 0.0, -np.inf), laws).astype(np.float32)
