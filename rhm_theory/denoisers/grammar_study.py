"""The whole measurement of a model of a grammar, beside Bayes and beside controls.

The protocol was fixed before any run.

* *Starts* are fresh sequences of the grammar that the model was trained on. Each is a group of its
  own, so errors are over starts. They say nothing about other grammars, nor other seeds.
* *Laws* with the same starts, masks and columns: the model; the exact posterior of the grammar
  (Bayes); controls without a hierarchy (:mod:`rhm_theory.denoisers.grammar_controls`). The model
  and Bayes are also measured by samples of one sampler, so that its errors are seen apart.
* *Primary number*: the model's susceptibility minus that of Bayes, at each level, teacher-forced.
* *By level of the tree*: the share of the information that each law uses
  (:func:`rhm_theory.denoisers.grammars.level_gaps`), the covariance of two leaves by the level of
  their lowest common ancestor, and the share of nodes that change in samples.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from rhm_theory.denoisers import grammar_controls, grammars, parts, sampling
from rhm_theory.denoisers.grammars import Gaps
from rhm_theory.denoisers.masked import MaskedDiffusion, read_notes
from rhm_theory.denoisers.sampling import Conditional
from rhm_theory.denoisers.sequences import backward, measurement
from rhm_theory.denoisers.sequences.measurement import (
    BY_SAMPLES,
    MODEL,
    Changes,
    Effort,
    Law,
    checked_effort,
    checked_levels,
)
from rhm_theory.inference.moments import change_moments
from rhm_theory.models.grammar import Grammar
from rhm_theory.noise.processes import Mask
from theory_common import checks

KIND = "grammar"
EXACT = "exact posterior"
MASKS_OF_NODES = 2  # of each start, where changes of nodes are counted


class GrammarModel(NamedTuple):
    """A trained model of a grammar.

    Attributes:
        model: the network.
        grammar: that it was trained on.
        notes: what else was saved.
    """

    model: MaskedDiffusion
    grammar: Grammar
    notes: dict[str, Any]


class NodeChanges(NamedTuple):
    """The nodes of a start that change, a mean over masks; levels begin with the leaves.

    Attributes:
        changed: the share of nodes whose symbol is another, or which have none.
        without_symbol: the share of nodes whose children no rule gives.
    """

    changed: Float[np.ndarray, "starts levels"]
    without_symbol: Float[np.ndarray, "starts levels"]


class GrammarStudy(NamedTuple):
    """The raw data of a measurement.

    Attributes:
        changes: the covariances. Each start is a group.
        gaps: of the model and of the controls, by level of the tree.
        nodes: of the model and of Bayes, one entry a noise level; empty without trajectories.
    """

    changes: Changes
    gaps: dict[str, Gaps]
    nodes: dict[str, list[NodeChanges]]


def notes_of(grammar: Grammar) -> dict[str, Any]:
    """What a saved model must say about its grammar."""
    return {
        "kind": KIND,
        "grammar": {
            "depth": grammar.depth,
            "vocabulary": grammar.vocabulary,
            "rules_per_symbol": grammar.rules_per_symbol,
            "branching": grammar.branching,
            "rules": np.asarray(grammar.rules).tolist(),
        },
    }


def load(path: str | Path) -> GrammarModel:
    """A model of a grammar, with its grammar.

    Raises: ``OSError`` or ``ValueError`` as :meth:`MaskedDiffusion.load`; ``ValueError`` for a
        model of something else.
    """
    notes = read_notes(path)
    if notes.get("kind") != KIND:
        raise ValueError(f"{path} must hold a model of a grammar, got one of {notes.get('kind')!r}")
    model = MaskedDiffusion.load(path)
    grammar = Grammar(np.array(notes["grammar"]["rules"]))
    if (model.length, model.vocabulary) != (grammar.length, grammar.vocabulary):
        raise ValueError(
            f"{path} is broken: its model has {model.length} sites and {model.vocabulary} symbols, "
            f"its grammar {grammar.length} and {grammar.vocabulary}"
        )
    return GrammarModel(model=model, grammar=grammar, notes=notes)


def study(
    seed: int,
    model: Conditional,
    grammar: Grammar,
    levels: Sequence[float],
    effort: Effort,
    *,
    controls: Sequence[str] = grammar_controls.CONTROLS,
    folder: str | Path | None = None,
    shown: Callable[[str], None] = lambda text: None,
) -> GrammarStudy:
    """Measure a model, Bayes and controls at every level.

    Args:
        seed: of the starts, the masks and the sampler.
        model: a conditional of the grammar's leaves.
        grammar: the law of the starts.
        levels: of the noise, each in (0, 1].
        effort: how much.
        controls: names of :data:`rhm_theory.denoisers.grammar_controls.CONTROLS`.
        folder: keeps the parts, so that a stopped measurement goes on.
        shown: is called with a text about each part before it is computed.

    Raises: ``TypeError`` or ``ValueError`` that names the argument; ``OSError`` if a part cannot be
        written.
    """
    effort = checked_effort(effort)
    level_of = checked_levels(levels)
    for name in controls:
        checks.choice("controls", name, grammar_controls.CONTROLS)
    # The starts come from a stream of their own: no mask has the number of a level.
    key = jax.random.fold_in(jax.random.key(checks.whole("seed", seed)), measurement.FINEST + 1)
    starts = np.asarray(grammar.sample(key, (effort.starts,)).leaves)
    laws = _laws(model, grammar, effort, controls)
    about = str(np.asarray(grammar.rules).tolist())
    changes = measurement.measured(
        seed,
        laws,
        starts,
        np.arange(len(starts)),
        level_of,
        vocabulary=grammar.vocabulary,
        about=about,
        folder=folder,
        shown=shown,
    )
    gaps = {
        name: _gaps(seed, name, laws[name], grammar, starts, folder) for name in (MODEL, *controls)
    }
    nodes: dict[str, list[NodeChanges]] = {}
    if effort.trajectories:
        by_level = [
            _nodes(key, level, laws[MODEL + BY_SAMPLES], grammar, starts, folder, shown)
            for level in level_of
        ]
        nodes = {MODEL: [model for model, _ in by_level], EXACT: [exact for _, exact in by_level]}
    return GrammarStudy(changes=changes, gaps=gaps, nodes=nodes)


def arrays(found: GrammarStudy) -> Iterator[tuple[str, np.ndarray]]:
    """The raw data under the names of an ``.npz`` file."""
    yield from measurement.arrays(found.changes)
    for name, gaps in found.gaps.items():
        for field, value in gaps._asdict().items():
            yield f"gaps/{name}/{field}", value
    for name, by_level in found.nodes.items():
        for level, part in zip(found.changes.levels, by_level, strict=True):
            for field, value in part._asdict().items():
                yield f"nodes/{name}/{level:g}/{field}", value


def sampled_nodes(
    key: jax.Array,
    conditional: Conditional,
    grammar: Grammar,
    starts: Int[np.ndarray, "starts length"],
    hidden: np.ndarray,
    steps: int | None,
) -> NodeChanges:
    """Changes of nodes in one sample of each mask.

    Args:
        key: of the sampler.
        conditional: what is sampled.
        grammar: which parses the samples.
        starts: of the language.
        hidden: masks ``(starts, masks, length)``.
        steps: of the ancestral sampler; None reveals one token at a time.
    """
    tokens = backward.sampled_tokens(
        key,
        conditional,
        starts,
        hidden,
        vocabulary=grammar.vocabulary,
        trajectories=1,
        steps=steps,
    )[:, :, 0]
    parse = jax.jit(grammar.parse)  # traced, it gives -1 where there is no symbol
    own = parse(starts).symbols
    drawn = parse(tokens).symbols
    changed = [
        np.asarray(new != old[:, None]).mean((1, 2)) for new, old in zip(drawn, own, strict=True)
    ]
    without = [np.asarray(new < 0).mean((1, 2)) for new in drawn]
    return NodeChanges(changed=np.stack(changed, -1), without_symbol=np.stack(without, -1))


def exact_nodes(
    grammar: Grammar, starts: Int[np.ndarray, "starts length"], hidden: np.ndarray
) -> NodeChanges:
    """The exact probabilities of the same, under Bayes. Every node has a symbol."""
    tokens = np.where(hidden, grammar.vocabulary, starts[:, None])
    likelihood = Mask(0.5).likelihood(tokens, vocabulary=grammar.vocabulary)
    moments = change_moments(grammar, likelihood, np.broadcast_to(starts[:, None], tokens.shape))
    changed = np.stack([np.asarray(level).mean((1, 2)) for level in moments.changed], -1)
    return NodeChanges(changed=changed, without_symbol=np.zeros_like(changed))


def ancestor_levels(grammar: Grammar) -> Int[np.ndarray, "length length"]:
    """The level of the lowest common ancestor of two leaves; 0 for a leaf and itself."""
    leaf = np.arange(grammar.length)
    found = np.zeros((len(leaf), len(leaf)), int)
    for height in range(grammar.depth):
        block = leaf // grammar.branching**height
        found += block[:, None] != block
    return found


def _laws(
    model: Conditional, grammar: Grammar, effort: Effort, controls: Sequence[str]
) -> dict[str, Law]:
    exact = sampling.exact_conditional(grammar)
    forced = effort._replace(trajectories=0)
    few = effort._replace(starts=max(effort.starts // 2, 2), masks=2, columns=0)
    weights = measurement.weights_of(model)
    laws = {MODEL: Law(lambda: model, forced, weights), EXACT: Law(lambda: exact, forced)}
    if effort.trajectories:
        laws[MODEL + BY_SAMPLES] = Law(lambda: model, few, weights)
        laws[EXACT + BY_SAMPLES] = Law(lambda: exact, few)
    for name in controls:
        found = grammar_controls.conditional(grammar_controls.chains(grammar, name))
        laws[name] = Law(functools.partial(_same, found), forced)
    return laws


def _same(conditional: Conditional) -> Conditional:
    return conditional


def _gaps(
    seed: int,
    name: str,
    law: Law,
    grammar: Grammar,
    starts: np.ndarray,
    folder: str | Path | None,
) -> Gaps:
    """The gaps to Bayes of one law, from the folder if they are there."""
    about = f"gaps {seed} {name} {np.asarray(grammar.rules).tolist()}"
    return parts.kept(
        folder,
        parts.digest_of(about, (starts, *law.weights)),
        Gaps,
        lambda: grammars.level_gaps(grammar, law.conditional(), starts),
    )


def _nodes(
    key: jax.Array,
    level: float,
    law: Law,
    grammar: Grammar,
    starts: np.ndarray,
    folder: str | Path | None,
    shown: Callable[[str], None],
) -> tuple[NodeChanges, NodeChanges]:
    """Changes of nodes in samples of the model, and under Bayes, with the same masks."""
    at_level = jax.random.fold_in(key, round(level * measurement.FINEST))
    for_masks, for_samples = jax.random.split(at_level)
    count, length = starts.shape
    at = backward.masks(for_masks, count, length, level, masks=MASKS_OF_NODES, columns=1)
    steps = law.effort.steps

    def compute() -> NodeChanges:
        shown(f"changes of nodes, {level:g} hidden")
        return sampled_nodes(for_samples, law.conditional(), grammar, starts, at.hidden, steps)

    about = f"nodes {jax.random.key_data(at_level)} {steps} {np.asarray(grammar.rules).tolist()}"
    place = parts.digest_of(about, (starts, *law.weights))
    return (
        parts.kept(folder, place, NodeChanges, compute),
        exact_nodes(grammar, starts, at.hidden),
    )
