"""Synthetic samples of known structure: what the verdict of ``probe`` is fixed and tested on.

A *family* is a kind of model. Its *truth* says what a verdict may be: ``hierarchical``, ``flat``,
or ``hidden`` for a hierarchy that samples at these places cannot show. For ``hidden``, both
verdicts but ``undecided`` are wrong. Each file draws a model of its family, a noise and a level.

* ``tree``: the Random Hierarchy Model, with 2 to 5 levels;
* ``cut tree``: the same, but each start is cut from a longer text at another place;
* ``uneven tree``: a cut tree of which each start has lost a random third of its sites;
* ``words``: independent words of one level, with nothing above them;
* ``chain``, ``hidden chain``: Markov chains of symbols and of hidden states;
* ``mixture``: a flat mixture of 2 to 10 laws of independent sites, equal at all sites or not;
* ``chains``: a flat mixture of 3 Markov chains;
* ``field``: a Gaussian field with a power-law spectrum, rounded to 4 symbols.

The training files and the held-out files differ in their seeds, in the sizes of the trees and in
the number of symbols.
"""

import functools
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from rhm_theory.inference.sampling import sample_posterior
from rhm_theory.models import controls
from rhm_theory.models.grammar import Grammar, leaves_of
from rhm_theory.noise.processes import Epsilon, Flips, GaussianNoise, Mask

LENGTHS = (16, 27, 32)
SITE_SYMBOLS = {"training": 5, "held out": 8}
# (vocabulary, rules_per_symbol, branching, depth)
TREES = {
    "training": (
        (6, 2, 2, 4),
        (8, 3, 2, 5),
        (6, 3, 3, 3),
        (8, 4, 4, 2),
        (10, 2, 2, 3),
        (12, 4, 2, 5),
    ),
    "held out": (
        (8, 2, 2, 4),
        (10, 4, 2, 5),
        (8, 4, 3, 3),
        (6, 2, 4, 2),
        (7, 3, 2, 3),
        (16, 4, 2, 5),
    ),
}
# (vocabulary, rules_per_symbol, branching), and how many words a sequence has.
WORDS = {
    "training": ((5, 2, 2, 8), (6, 3, 3, 9), (6, 2, 4, 4)),
    "held out": ((7, 2, 2, 16), (5, 3, 3, 9), (5, 4, 4, 8)),
}


class File(NamedTuple):
    """Which symbols changed, ``(starts, trajectories, length)``, and how they were made."""

    changed: np.ndarray
    settings: dict[str, Any]


class _Draw(NamedTuple):
    """What a family draws a file from."""

    rng: np.random.Generator
    key: Array
    split: str
    number: int
    starts: int
    trajectories: int

    @property
    def length(self) -> int:
        return LENGTHS[self.number % len(LENGTHS)]

    @property
    def symbols(self) -> int:
        return SITE_SYMBOLS[self.split]


def file(family: str, split: str, number: int, *, starts: int, trajectories: int) -> File:
    """File ``number`` of a family, the same in every run.

    Args:
        family: a name in :data:`FAMILIES`.
        split: ``training`` or ``held out``.
        number: of the file, from 0.
        starts: how many.
        trajectories: of each start.
    """
    seed = zlib.crc32(repr((family, split, number)).encode())
    rng = np.random.default_rng(seed)
    draw = _Draw(rng, jax.random.key(seed), split, number, starts, trajectories)
    return FAMILIES[family].make(draw)


def _tree(draw: _Draw) -> File:
    shape = TREES[draw.split][draw.number % len(TREES[draw.split])]
    found = _changes(_grammar(draw, shape), draw)
    found.settings.update(branching=shape[2], depth=shape[3])
    return found


def _cut_tree(draw: _Draw) -> File:
    """Two sequences stand one after the other; each start is a window at a place of its own."""
    twice = _tree(draw._replace(starts=2 * draw.starts))
    one, other = np.split(twice.changed, 2)
    both = np.concatenate([one, other], -1)
    length = one.shape[-1]
    places = draw.rng.integers(0, length, draw.starts)
    windows = [rows[:, at : at + length] for rows, at in zip(both, places, strict=True)]
    return File(np.stack(windows), twice.settings)


def _uneven_tree(draw: _Draw) -> File:
    """Sites are left out, other ones in each start, so that no part has a fixed length."""
    whole = _cut_tree(draw)
    length = whole.changed.shape[-1]
    kept = max(length * 2 // 3, 4)
    rows = [one[:, np.sort(draw.rng.permutation(length)[:kept])] for one in whole.changed]
    return File(np.stack(rows), whole.settings)


def _words(draw: _Draw) -> File:
    *shape, words = WORDS[draw.split][draw.number % len(WORDS[draw.split])]
    grammar = _grammar(draw, (*shape, 1))
    found = _changes(grammar, draw._replace(starts=draw.starts * words))
    apart = found.changed.reshape(draw.starts, words, draw.trajectories, -1)
    return File(apart.swapaxes(1, 2).reshape(draw.starts, draw.trajectories, -1), found.settings)


def _grammar(draw: _Draw, shape: tuple[int, ...]) -> Grammar:
    vocabulary, rules, branching, depth = shape
    return Grammar.random(
        jax.random.fold_in(draw.key, 1),
        depth=depth,
        vocabulary=vocabulary,
        rules_per_symbol=rules,
        branching=branching,
    )


def _transition(rng: np.random.Generator, states: int, low: float, high: float) -> np.ndarray:
    stay = rng.uniform(low, high)
    return stay * np.eye(states) + (1 - stay) * rng.dirichlet(np.full(states, 2.0), states)


def _one_chain(draw: _Draw) -> controls.HiddenMarkov:
    transition = _transition(draw.rng, draw.symbols, 0.3, 0.95)
    return controls.markov_chain(transition, length=draw.length)


def _chain(draw: _Draw) -> File:
    return _changes(_one_chain(draw), draw)


def _chains(draw: _Draw) -> File:
    return _changes(controls.mixture([_one_chain(draw) for _ in range(3)]), draw)


def _hidden_chain(draw: _Draw) -> File:
    emission = draw.rng.dirichlet(np.full(draw.symbols, 0.3), 4)
    transition = _transition(draw.rng, 4, 0.6, 0.97)
    return _changes(controls.hidden_markov(transition, emission, length=draw.length), draw)


def _mixture(draw: _Draw) -> File:
    components = (2, 4, 10)[draw.number // len(LENGTHS) % 3]
    spread = draw.rng.choice((0.15, 0.5, 1.5))
    sites = draw.rng.choice((1, draw.length))
    laws = draw.rng.dirichlet(np.full(draw.symbols, spread), (components, sites))
    laws = np.broadcast_to(laws, (components, draw.length, draw.symbols))
    laws = 0.98 * laws + 0.02 / draw.symbols
    weights = draw.rng.dirichlet(np.full(components, 5.0))
    model = controls.mixture([controls.independent_sites(one) for one in laws], weights)
    return _changes(model, draw)


def _field(draw: _Draw) -> File:
    model = controls.gaussian_field(draw.length, draw.rng.choice((0.3, 0.5, 1.0, 1.5, 2.0)))
    level = draw.rng.uniform(0.2, 0.95)
    changed = _field_changes(
        draw.key, model, level, starts=draw.starts, trajectories=draw.trajectories
    )
    return File(np.asarray(changed), {"noise": "Gaussian noise", "level": level})


@functools.partial(jax.jit, static_argnames=("starts", "trajectories"))
def _field_changes(key, model, level, *, starts: int, trajectories: int) -> Array:
    for_starts, for_noise, for_samples = jax.random.split(key, 3)
    noise = GaussianNoise(level)
    start = model.sample(for_starts, (starts,))
    several = jnp.broadcast_to(start[:, None], (starts, trajectories, start.shape[-1]))
    seen = noise.likelihood(noise.sample(for_noise, several))
    sample = model.sample_posterior(for_samples, seen)
    edges = jnp.std(start) * jax.scipy.special.ndtri(jnp.array([0.25, 0.5, 0.75]))
    return jnp.searchsorted(edges, sample) != jnp.searchsorted(edges, start)[:, None]


def _changes(model, draw: _Draw) -> File:
    noise = (Mask, Flips, Epsilon)[draw.rng.integers(3)](draw.rng.uniform(0.3, 0.9))
    for_starts, for_noise, for_samples = jax.random.split(draw.key, 3)
    start = _starts(for_starts, model, count=draw.starts)
    seen = _seen(
        for_noise, noise, start, trajectories=draw.trajectories, vocabulary=model.vocabulary
    )
    samples = _samples(for_samples, model, seen)
    changed = np.asarray(samples) != np.asarray(start)[:, None]
    return File(changed, {"noise": noise.name, "level": float(noise.level)})


@functools.partial(jax.jit, static_argnames="count")
def _starts(key, model, *, count: int) -> Array:
    return jnp.asarray(leaves_of(model.sample(key, (count,))))


@functools.partial(jax.jit, static_argnames=("trajectories", "vocabulary"))
def _seen(key, noise, start, *, trajectories: int, vocabulary: int) -> Array:
    several = jnp.broadcast_to(start[:, None], (len(start), trajectories, start.shape[-1]))
    noised = noise.sample(key, several, vocabulary=vocabulary)
    return noise.likelihood(noised, vocabulary=vocabulary)


@jax.jit
def _samples(key, model, seen) -> Array:
    return jnp.asarray(leaves_of(sample_posterior(key, model, seen)))


class Family(NamedTuple):
    """What a verdict on its files may be, and how they are made."""

    truth: str
    make: Callable[[_Draw], File]


FAMILIES = {
    "tree": Family("hierarchical", _tree),
    "cut tree": Family("hidden", _cut_tree),
    "uneven tree": Family("hidden", _uneven_tree),
    "words": Family("flat", _words),
    "chain": Family("flat", _chain),
    "hidden chain": Family("flat", _hidden_chain),
    "mixture": Family("flat", _mixture),
    "chains": Family("flat", _chains),
    "field": Family("flat", _field),
}
