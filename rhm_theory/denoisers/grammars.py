r"""Denoisers of a grammar beside exact Bayes: which level of the tree is learned.

Let p be the exact posterior of a hidden leaf and q the law that a conditional gives it. The *gap to
Bayes* is :math:`KL(p \| q) \ge 0`, in nats for each hidden leaf. It is summed over all symbols, so
no leaf is sampled. It is the excess of the expected log loss over its least possible value. The
*information* is :math:`KL(p \| p_0)`, where :math:`p_0` is the law of the leaf with nothing shown.
A conditional that ignores what is shown has a gap equal to the information.

*The task of level l.* Choose a leaf. Hide the block of leaves below its ancestor of level l - 1,
and show all other leaves. For l = 1 the leaf alone is hidden. At branching 2 half of the sequence
is hidden for the highest level. Everything that is known about the block comes through the rule of
level l or a higher one. So a denoiser that does not know the rules of level l cannot solve the
task. It needs the rules below too.

Source: new. Learning level by level: Favero et al., arXiv:2502.12089.
"""

import io
from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import ArrayLike, Bool, Float, Int

from rhm_theory.denoisers import sampling
from rhm_theory.denoisers.sampling import Conditional
from rhm_theory.denoisers.training import Draw
from rhm_theory.experiment import measure
from rhm_theory.models.grammar import Grammar, require_grammar
from theory_common import checks
from theory_common.printing import tables


class Gaps(NamedTuple):
    """The gap to Bayes, and the information that there was to use.

    Both are sums over the hidden leaves of a sequence, in nats. Gaps of a set of sequences are
    ``gap.sum() / hidden.sum()``.

    Attributes:
        gap: KL(p || q).
        information: KL(p || p_0).
        hidden: how many leaves were hidden.
    """

    gap: Float[np.ndarray, "*batch"]
    information: Float[np.ndarray, "*batch"]
    hidden: Int[np.ndarray, "*batch"]


def fresh(grammar: Grammar) -> Draw:
    """A function that draws new sequences of ``grammar``, as :func:`train` takes it."""
    require_grammar(grammar)
    rules = np.asarray(grammar.rules)

    def draw(generator: np.random.Generator, count: int) -> Int[np.ndarray, "count length"]:
        symbols = generator.integers(grammar.vocabulary, size=(count, 1))
        for table in rules[::-1]:
            chosen = generator.integers(grammar.rules_per_symbol, size=symbols.shape)
            symbols = table[symbols, chosen].reshape(count, -1)
        return symbols

    return draw


def gaps(
    grammar: Grammar,
    conditional: Conditional,
    sequences: Int[ArrayLike, "*batch length"],
    hidden: Bool[ArrayLike, "*batch length"],
) -> Gaps:
    """The gap of a conditional to Bayes, for given masks.

    Args:
        grammar: the law of the sequences.
        conditional: the law of each hidden leaf given the shown ones.
        sequences: of the language.
        hidden: which leaves are hidden.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    """
    require_grammar(grammar)
    sequences = np.asarray(grammar.sequences("sequences", sequences))
    hidden = np.asarray(hidden)
    if hidden.dtype != bool or hidden.shape != sequences.shape:
        raise ValueError(
            f"hidden must be boolean of the shape of sequences, {sequences.shape}, "
            f"got {hidden.dtype} of shape {hidden.shape}"
        )
    exact = sampling.exact_conditional(grammar)
    tokens = np.where(hidden, grammar.vocabulary, sequences)
    log_bayes = np.asarray(exact(tokens), float)
    alone = np.asarray(exact(np.full(grammar.length, grammar.vocabulary)), float)
    found = np.asarray(conditional(tokens), float)
    return Gaps(
        gap=_divergence(log_bayes, found, hidden),
        information=_divergence(log_bayes, alone, hidden),
        hidden=hidden.sum(-1),
    )


def _divergence(log_p: np.ndarray, log_q: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """KL(p || q), summed over the hidden leaves."""
    possible = np.isfinite(log_p)
    ratio = np.where(possible, log_p, 0) - np.where(possible, log_q, 0)
    return np.where(hidden, (np.exp(log_p) * ratio).sum(-1), 0).sum(-1)


def hidden_blocks(grammar: Grammar, count: int) -> Bool[np.ndarray, "depth count length"]:
    """The masks of the tasks of levels 1, 2, .. depth, for ``count`` sequences.

    The leaf of sequence k is k modulo the length, so all leaves come equally often.

    Raises: ``TypeError`` or ``ValueError`` that names ``count``.
    """
    leaf = np.arange(checks.whole("count", count, least=1))[:, None] % grammar.length
    sizes = grammar.branching ** np.arange(grammar.depth)[:, None, None]
    return np.arange(grammar.length) // sizes == leaf // sizes


def level_gaps(
    grammar: Grammar, conditional: Conditional, sequences: Int[ArrayLike, "sequences length"]
) -> Gaps:
    """The gap to Bayes in the task of each level, ``(depth, sequences)``, lowest level first.

    Args:
        grammar: the law of the sequences.
        conditional: the law of each hidden leaf given the shown ones.
        sequences: of the language.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    """
    sequences = np.asarray(grammar.sequences("sequences", sequences))
    if sequences.ndim != 2 or not len(sequences):
        raise ValueError(f"sequences must have shape (sequences, length), got {sequences.shape}")
    hidden = hidden_blocks(grammar, len(sequences))
    return gaps(grammar, conditional, np.broadcast_to(sequences, hidden.shape), hidden)


def valid_nodes(
    grammar: Grammar, sequences: Int[ArrayLike, "sequences length"]
) -> Float[np.ndarray, "sequences depth"]:
    """The share of the nodes of each level 1, 2, .. depth that have a symbol.

    A node has none if no rule gives its children. So this is how far up sequences are coherent.

    Raises: ``TypeError`` or ``ValueError`` that names ``sequences``.
    """
    found = grammar.sequences("sequences", sequences)
    # A traced parse does not raise, but has -1 where there is no symbol.
    tree = jax.jit(grammar.parse)(found)
    return np.stack([(np.asarray(level) >= 0).mean(-1) for level in tree.symbols[1:]], -1)


def table(found: Mapping[str, Gaps]) -> str:
    """A table of level x training time x gap to Bayes, with 95 % intervals over sequences.

    Args: found: what :func:`level_gaps` returns, by a text that says when.
    """
    first = next(iter(found.values()))
    rows = []
    for level in range(len(first.gap)):
        per_leaf = measure.ratio(first.information[level], first.hidden[level])
        cells = [f"{float(per_leaf.value):.3f}"]
        for one in found.values():
            gap = measure.ratio(one.gap[level], one.hidden[level])
            share = 1 - one.gap[level].sum() / one.information[level].sum()
            reach = float(gap.high - gap.value)
            cells.append(f"{float(gap.value):.3f} ± {reach:.3f} ({100 * share:.0f} %)")
        rows.append((level + 1, *cells))
    text = io.StringIO()
    title = (
        "gap to Bayes in nats for each hidden leaf, by level of the tree; in brackets the share of "
        "the information that is used"
    )
    tables.print_table(rows, ["level", "information", *found], title, file=text)
    return text.getvalue().rstrip()
