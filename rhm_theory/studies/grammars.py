"""The study of trained grammars: train, then measure beside exact Bayes. Each run is kept.

Protocol, fixed before the runs:

* A run is one random grammar and one seed of the weights. It sees fresh sequences only. All runs of
  a preset have the same network, batch, steps and learning rate. Nothing is tuned for a grammar.
* Models are kept at fixed shares of the run. They are measured as they are, at the learning rate of
  that moment. No run is left out.
* Errors are over grammars: seeds of one grammar count as one. Three grammars give wide intervals.
* Susceptibilities are of the backward part: covariances given the mask, summed over starts and
  masks, over variances given the mask. Exact, teacher-forced and sampled values have equal masks.
"""

import functools
import hashlib
import io
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

import rhm_theory as rt
from rhm_theory import denoisers
from rhm_theory.denoisers import grammars, sampling
from theory_common.printing import files
from theory_common.printing.waiting import counted

VOCABULARY, BRANCHING = 8, 2
KEPT = tuple(2.0**-power for power in range(6, -1, -1))  # shares of a run
SHOWN = (2, 4, 6)  # of them, where the slow measurements are made
NOISE = (0.3, 0.5, 0.7, 0.9)
COMPARED_AT = 0.7
STEPS = (1, 2, 4, 8, 16, 32, 64)  # of the ancestral sampler
# Runs are made again if one of these modules changes, or this one.
CODE = ("grammars.py", "masked.py", "sampling.py", "training.py", "transformer.py")


class GrammarSetting(NamedTuple):
    """The size of a study.

    Attributes:
        cells: (depth, rules per symbol, grammars, seeds).
        sampled: the cell (depth, rules per symbol) in which samplers are compared.
        steps: of training.
        tests: sequences for gaps.
        starts: for covariances and samples.
        samples: of a start and mask; half as many where samplers are compared.
        compared: starts for the comparison by samples, each with 2 masks and 24 samples.
    """

    cells: tuple[tuple[int, int, int, int], ...]
    sampled: tuple[int, int]
    steps: int
    tests: int
    starts: int
    samples: int
    compared: int
    batch: int = 128
    width: int = 64
    layers: int = 3
    heads: int = 4
    learning_rate: float = 0.02


SETTINGS = {
    "quick": GrammarSetting(
        cells=((3, 2, 2, 1), (2, 4, 2, 1)),
        sampled=(3, 2),
        steps=192,
        tests=256,
        starts=32,
        samples=8,
        compared=6,
    ),
    "paper": GrammarSetting(
        cells=((3, 2, 3, 2), (3, 3, 3, 1), (3, 4, 3, 1), (4, 2, 3, 1), (5, 2, 3, 1)),
        sampled=(4, 2),
        steps=1024,
        tests=512,
        starts=128,
        samples=16,
        compared=16,
    ),
}


def chosen(
    setting: GrammarSetting, depths: Sequence[int], rules: Sequence[int], seeds: int
) -> GrammarSetting:
    """The setting with the cells of these depths and rules, and at most so many seeds.

    Raises: ``ValueError`` if no cell is left.
    """
    cells = tuple(
        (depth, count, drawn, min(seeds, of_cell))
        for depth, count, drawn, of_cell in setting.cells
        if depth in depths and count in rules
    )
    if not cells:
        every = [cell[:2] for cell in setting.cells]
        raise ValueError(f"depths and rules must leave one of {every}, got {depths} and {rules}")
    return setting._replace(cells=cells)


def studied(setting: GrammarSetting, folder: Path | None = None) -> list[dict[str, Any]]:
    """The numbers of all runs, in the order of the cells.

    Args:
        setting: the size of the study.
        folder: keeps finished runs and checkpoints, so that a stopped study goes on.
    """
    runs = [
        (depth, rules, grammar, seed)
        for depth, rules, grammar_count, seeds in setting.cells
        for grammar in range(grammar_count)
        for seed in range(seeds)
    ]
    found = []
    with counted("trained on grammars", len(runs)) as advance:
        for run in runs:
            numbers = _kept(setting, run, folder)
            names = ("depth", "rules", "grammar", "seed")
            found.append(dict(zip(names, run, strict=True)) | numbers)
            advance()
    return found


def _kept(setting: GrammarSetting, run: tuple[int, int, int, int], folder: Path | None) -> dict:
    """The numbers of a run, from the folder if they are there."""
    if folder is None:
        return _run(setting, *run, None)
    own = Path(grammars.__file__).parent
    code = [Path(__file__).read_bytes(), *((own / name).read_bytes() for name in CODE)]
    inputs = hashlib.sha256(b"".join(code) + repr((setting._replace(cells=()), run)).encode())
    path = folder / f"{'-'.join(map(str, run))}-{inputs.hexdigest()[:12]}.npz"
    if not path.exists():
        training = path.with_suffix(".training")
        content = io.BytesIO()
        np.savez(content, **_run(setting, *run, training))
        files.write_whole(path, content.getvalue(), force=True)
        shutil.rmtree(training)
    with np.load(path) as arrays:
        return dict(arrays)


def _run(
    setting: GrammarSetting, depth: int, rules: int, number: int, seed: int, folder: Path | None
) -> dict:
    """Train on one grammar, with checkpoints in the folder, and all measurements."""
    shape = {"depth": depth, "rules_per_symbol": rules, "branching": BRANCHING}
    for_grammar = jax.random.fold_in(jax.random.key(100 * depth + rules), number)
    grammar = rt.Grammar.random(for_grammar, vocabulary=VOCABULARY, **shape)
    for_weights, for_batches, for_data = jax.random.split(jax.random.key(1000 + seed), 3)
    model = denoisers.MaskedDiffusion.create(
        for_weights,
        vocabulary=VOCABULARY,
        length=grammar.length,
        width=setting.width,
        layers=setting.layers,
        heads=setting.heads,
    )
    trained = denoisers.train(
        for_batches,
        model,
        grammars.fresh(grammar),
        batch=setting.batch,
        steps=setting.steps,
        learning_rate=setting.learning_rate,
        keep=KEPT,
        folder=folder,
    )
    kept = [trained.kept[share].log_probabilities for share in KEPT]
    shown = [kept[place] for place in SHOWN]
    exact = sampling.exact_conditional(grammar)
    tests = _sequences(grammar, for_data, 0, setting.tests)
    starts = _sequences(grammar, for_data, 1, setting.starts)
    found = _gaps(grammar, kept, tests)
    found |= _covariances(grammar, [exact, *shown], starts)
    found |= _coherence(grammar, [exact, *shown], 2 * setting.starts)
    found |= _samples(grammar, [exact, shown[-1]], starts, setting.samples)
    found |= _compared(grammar, shown, setting.compared)
    if (depth, rules) == setting.sampled and seed == 0:
        found |= _samplers(grammar, [exact, shown[-1]], starts, setting.samples // 2)
    return found


def _sequences(grammar, key, number, count) -> np.ndarray:
    return np.asarray(grammar.sample(jax.random.fold_in(key, number), (count,)).leaves)


def _gaps(grammar, conditionals, tests) -> dict:
    """Gaps to Bayes, for each hidden leaf: by level, and by the share of hidden leaves."""
    by_level = [grammars.level_gaps(grammar, conditional, tests) for conditional in conditionals]
    draw = np.random.default_rng(0).random((len(NOISE), *tests.shape))
    hidden = draw < np.array(NOISE)[:, None, None]
    all_tests = np.broadcast_to(tests, hidden.shape)
    by_noise = [
        grammars.gaps(grammar, conditional, all_tests, hidden) for conditional in conditionals
    ]

    def mean(found, part):
        return getattr(found, part).sum(-1) / found.hidden.sum(-1)

    return {
        "gap": np.array([mean(one, "gap") for one in by_level]),
        "information": mean(by_level[0], "information"),
        "noise_gap": np.array([mean(one, "gap") for one in by_noise]),
        "noise_information": mean(by_noise[0], "information"),
    }


def _masks(starts) -> np.ndarray:
    """Which tokens are shown, ``(noise, starts, length)``: the same for all measurements."""
    draw = np.random.default_rng(1).random((len(NOISE), *starts.shape))
    return draw >= np.array(NOISE)[:, None, None]


def _covariances(grammar, conditionals, starts) -> dict:
    """Teacher-forced: sums over starts of variances, of covariances at distance r, by tree level.

    The first of ``conditionals`` is the exact one. ``asymmetry`` is the squared norm of the part of
    the covariances that is not symmetric, over that of all covariances of different leaves.
    """
    length = grammar.length
    visible = _masks(starts)
    tokens = np.broadcast_to(starts, visible.shape)
    leaf = np.arange(length)
    distance = np.abs(leaf[:, None] - leaf)
    level = np.zeros((length, length), int)
    for height in range(grammar.depth):
        level += leaf[:, None] // BRANCHING**height != leaf // BRANCHING**height
    rows = []
    for conditional in conditionals:
        found = sampling.pair_covariance(
            conditional, tokens, visible, np.arange(length), vocabulary=VOCABULARY
        )
        matrix = np.asarray(found.covariance, float)
        total = matrix.sum(1)
        apart = np.where(leaf[:, None] == leaf, 0, matrix)
        odd = apart - np.swapaxes(apart, -1, -2)
        rows.append(
            (
                np.stack([total[:, distance == r].sum(-1) for r in range(length)], -1),
                np.stack([total[:, level == at].sum(-1) for at in range(grammar.depth + 1)], -1),
                (odd**2 / 2).sum((-1, -2, -3)) / (apart**2).sum((-1, -2, -3)),
            )
        )
    by_distance, by_level, asymmetry = (np.array(part) for part in zip(*rows, strict=True))
    return {"by_distance": by_distance, "by_level": by_level, "asymmetry": asymmetry}


def _coherence(grammar, conditionals, count) -> dict:
    """How many nodes have a symbol in sequences that are sampled from nothing."""
    nothing = np.full((count, grammar.length), VOCABULARY)
    sampled = [
        sampling.one_at_a_time(jax.random.key(2), conditional, nothing)
        for conditional in conditionals
    ]
    return {"valid": np.array([grammars.valid_nodes(grammar, one).mean(0) for one in sampled])}


def _samples(grammar, conditionals, starts, samples) -> dict:
    """Var N and the sum of Var n_i given the mask, from samples one token at a time."""
    at = NOISE.index(COMPARED_AT)
    found = [
        _within(conditional, sampling.one_at_a_time, starts, _masks(starts)[at], samples)
        for conditional in conditionals
    ]
    return {"sampled": np.array(found)}


def _within(conditional, sampler, starts, visible, samples) -> np.ndarray:
    """Unbiased variances given the mask, summed over starts."""
    tokens = np.where(visible, starts, VOCABULARY)
    drawn = sampler(jax.random.key(3), conditional, np.repeat(tokens, samples, 0))
    changed = np.asarray(drawn).reshape(len(starts), samples, -1) != starts[:, None]
    whole = np.var(changed.sum(-1), axis=1, ddof=1).sum()
    return np.array([whole, np.var(changed, axis=1, ddof=1).sum()])


def _compared(grammar, conditionals, starts) -> dict:
    """The comparison by samples: gaps of order 24 of the nodes of each level, leaves first."""
    found = [
        rt.compare(
            jax.random.key(4),
            grammar,
            rt.Mask([COMPARED_AT]),
            sampling.denoiser(jax.random.key(5), conditional),
            starts=starts,
            draws=2,
            samples=24,
        )
        for conditional in conditionals
    ]
    return {
        "node_gap": np.array([one.log_loss_gap.value[0] for one in found]),
        "node_changed_gap": np.array([one.changed_gap.value[0] for one in found]),
        "node_underivable": np.array([one.underivable.value[0] for one in found]),
    }


def samplers() -> dict[str, sampling.Sampler]:
    """The samplers that are compared, by name."""
    found = {
        f"{steps} steps": functools.partial(sampling.ancestral, steps=steps) for steps in STEPS
    }
    return found | {
        "one at a time": sampling.one_at_a_time,
        "most confident first": sampling.most_confident_first,
    }


def _samplers(grammar, conditionals, starts, samples) -> dict:
    """For each conditional and sampler: variances given the mask, and nodes with a symbol."""
    at = NOISE.index(COMPARED_AT)
    visible = _masks(starts)[at]
    nothing = np.full((2 * len(starts), grammar.length), VOCABULARY)
    variances, valid = [], []
    for conditional in conditionals:
        for sampler in samplers().values():
            variances.append(_within(conditional, sampler, starts, visible, samples))
            drawn = sampler(jax.random.key(6), conditional, nothing)
            valid.append(grammars.valid_nodes(grammar, drawn).mean(0))
    shape = (len(conditionals), len(samplers()), -1)
    return {
        "sampler_variances": np.reshape(variances, shape),
        "sampler_valid": np.reshape(valid, shape),
    }
