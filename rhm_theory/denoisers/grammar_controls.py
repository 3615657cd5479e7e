r"""Controls without a hierarchy for a grammar, with the same pair statistics and exact posteriors.

A *chain* draws the first leaf from its law in the grammar, and each further leaf given the one
before. Its law of each pair of neighbours is the grammar's own, site by site:

.. math:: P(x_1) \prod_i P_{\text{grammar}}(x_{i+1} \mid x_i) .

A *flat mixture* first draws a component, one for each symbol of the grammar's root. Given the root,
leaves are independent, with the grammar's law of each site; or they are a chain, with the grammar's
law of each pair of neighbours. So it knows all that a single hidden variable can know of a site, or
of two neighbours. It has one level, and no hierarchy.

All of them are mixtures of chains whose transition depends on the site. Messages in both directions
give the posterior exactly.

Source: new; the messages are those of a hidden Markov chain.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import ArrayLike, Float, Int

from rhm_theory.denoisers.sampling import Conditional
from rhm_theory.models.grammar import Grammar, require_grammar, symbols_in

CHAIN = "Markov chain"
MIXTURE = "flat mixture"
MIXTURE_OF_CHAINS = "mixture of chains"
CONTROLS = (CHAIN, MIXTURE, MIXTURE_OF_CHAINS)


class Chains(NamedTuple):
    """A mixture of chains of leaves.

    Attributes:
        weights: of the components, with sum 1.
        initial: the law of the first leaf.
        transition: ``transition[k, i, a, b]`` is the probability of symbol b at site i + 1 after
            symbol a at site i, in component k.
    """

    weights: Float[AnyArray, " components"]
    initial: Float[AnyArray, "components vocabulary"]
    transition: Float[AnyArray, "components sites vocabulary vocabulary"]


def chains(grammar: Grammar, name: str) -> Chains:
    """The control of this name.

    Args:
        grammar: whose statistics the control has.
        name: one of :data:`CONTROLS`.
    """
    joint = pair_laws(grammar)
    if name == CHAIN:
        joint = joint.mean(0, keepdims=True)
    first = joint.sum(-1)
    if name == MIXTURE:  # the next leaf does not depend on this one
        transition = np.broadcast_to(joint.sum(-2)[..., None, :], joint.shape)
    else:
        # A symbol that never occurs is followed by all symbols alike.
        uniform = np.full_like(joint, 1 / joint.shape[-1])
        transition = np.divide(joint, first[..., None], out=uniform, where=first[..., None] > 0)
    return Chains(
        weights=jnp.full(len(joint), 1 / len(joint)),
        initial=jnp.asarray(first[:, 0]),
        transition=jnp.asarray(transition),
    )


def conditional(found: Chains) -> Conditional:
    """The exact posterior of a mixture of chains.

    Tokens that no component can have, such as those of another law's samples, have NaN.
    """
    return functools.partial(
        _log_probabilities, Chains(*(jnp.asarray(part, jnp.float32) for part in found))
    )


def pair_laws(grammar: Grammar) -> Float[np.ndarray, "roots pairs vocabulary vocabulary"]:
    """The joint law of each pair of neighbouring leaves, given each symbol of the root.

    Args: grammar: of at least two leaves.
    Raises: ``TypeError`` if it is no grammar.
    """
    require_grammar(grammar)
    size = grammar.vocabulary
    onehot = np.eye(size)
    laws = np.eye(size)[:, None]  # of each node of a level, given the root: (roots, nodes, symbols)
    joint = np.empty((size, 0, size, size))
    for table in np.asarray(grammar.rules)[::-1]:
        children = onehot[table]  # (parents, rules, places, symbols)
        step = children.mean(1)
        # Neighbours in two families: the last child of the left one, the first of the right one.
        across = np.einsum("rpab,ax,by->rpxy", joint, step[:, -1], step[:, 0])
        within = np.einsum("amkx,amky->akxy", children[:, :, :-1], children[:, :, 1:])
        within = np.einsum("rna,akxy->rnkxy", laws, within / table.shape[1])
        laws = np.einsum("rna,akx->rnkx", laws, step).reshape(size, -1, size)
        joint = _interleaved(within, across)
    return joint


def _interleaved(within: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Pairs in the order of the leaves: those of a family, the one to the next, and so on."""
    roots, families, inner, size, _ = within.shape
    last = np.concatenate([across, np.zeros((roots, 1, size, size))], 1)[:, :, None]
    every = np.concatenate([within, last], 2).reshape(roots, families * (inner + 1), size, size)
    return every[:, :-1]


def _log_probabilities(
    found: Chains, tokens: Int[ArrayLike, "*batch length"]
) -> Float[np.ndarray, "*batch length vocabulary"]:
    vocabulary = found.initial.shape[-1]
    seen = np.asarray(symbols_in("tokens", tokens, vocabulary + 1))
    rows = seen.reshape(-1, seen.shape[-1])
    # Few shapes: a power of two.
    size = 1 << max(len(rows) - 1, 0).bit_length()
    padded = np.pad(rows, ((0, size - len(rows)), (0, 0))).astype(np.int32)
    law = np.asarray(_posterior(found, padded))[: len(rows)]
    own = rows[..., None] == np.arange(vocabulary)
    with np.errstate(divide="ignore"):
        answer = np.where((rows == vocabulary)[..., None], np.log(law), np.where(own, 0, -np.inf))
    return answer.reshape(*seen.shape, vocabulary).astype(np.float32)


@jax.jit
def _posterior(
    found: Chains, tokens: Int[Array, "batch length"]
) -> Float[Array, "batch length vocabulary"]:
    vocabulary = found.initial.shape[-1]
    everything = jnp.ones((1, vocabulary), jnp.float32)
    seen = jnp.concatenate([jnp.eye(vocabulary, dtype=jnp.float32), everything])
    likelihood = jnp.moveaxis(seen[tokens], 1, 0)[:, None]  # (length, 1, batch, vocabulary)
    steps = jnp.moveaxis(found.transition, 1, 0)

    def scaled(message, log_scale):
        total = message.sum(-1, keepdims=True)
        return message / jnp.where(total > 0, total, 1), log_scale + jnp.log(total[..., 0])

    def forward(carry, row):
        step, here = row
        carry = scaled(jnp.einsum("kna,kab->knb", carry[0], step) * here, carry[1])
        return carry, carry

    def backward(message, row):
        step, after = row
        message, _ = scaled(jnp.einsum("knb,kab->kna", message * after, step), 0)
        return message, message

    zero = jnp.zeros((len(found.weights), tokens.shape[0]), jnp.float32)
    first = scaled(found.initial[:, None] * likelihood[0], zero)
    (_, log_evidence), (messages, _) = jax.lax.scan(forward, first, (steps, likelihood[1:]))
    last = jnp.ones_like(first[0])
    _, back = jax.lax.scan(backward, last, (steps, likelihood[1:]), reverse=True)
    joint = jnp.concatenate([first[0][None], messages]) * jnp.concatenate([back, last[None]])
    total = joint.sum(-1, keepdims=True)
    each = joint / jnp.where(total > 0, total, 1)
    share = jax.nn.softmax(log_evidence + jnp.log(found.weights)[:, None], 0)
    return jnp.einsum("kn,lknv->nlv", share, each)
