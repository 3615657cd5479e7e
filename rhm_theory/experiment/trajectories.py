r"""The paper's experiment: noise a start, denoise it, and see which leaves changed together; many starts, noise levels and trajectories.

Two estimators side by side, for N the number of changed leaves and n_i the change of leaf i. *Plain*: one posterior sample a noise draw,
and what :mod:`rhm_theory.experiment.measure` makes of it. *Conditional* (Rao-Blackwell): the exact moments given the noise and, by the law of total
variance,

.. math:: \operatorname{Var} N = E\,[\operatorname{Var}(N \mid \text{noise})] + \operatorname{Var}(E\,[N \mid \text{noise}]),

the first part being due to the backward sampling, the second to the noise; likewise for each leaf. The epsilon-process has no second
part, so that there the conditional estimator is exact for each start. For masks most of the variance is the second part, and little is
gained. The law of the mask is decisive and therefore part of every result (:func:`rhm_theory.noise.likelihood.random_mask`).
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import Float, Int

from rhm_theory.experiment import measure
from rhm_theory.experiment.measure import Estimate, Measurement, Sums
from rhm_theory.inference import evidence as inference
from rhm_theory.inference import moments, sampling
from rhm_theory.models.grammar import Grammar, Tree, require_grammar, symbols_in
from rhm_theory.noise import likelihood
from theory_common import checks
from theory_common.batching import chunks as sweep
from theory_common.claims import backed_by
from theory_common.printing.display import readable

NOISES = ("epsilon", "mask", "flips")
CHUNK_BYTES = 2**26  # of the likelihoods of one chunk
ENUMERATED = 16  # leaves; there are 2 to that power of masks


@readable()
class Experiment(NamedTuple):
    """What was seen, for each noise level and start; :func:`susceptibility` and :func:`measurements` are made of it.

    ``process`` names the noise and its law. ``sums``: the plain estimator's (None for a likelihood alone). ``variance_within`` is
    E[Var(N | noise)], ``variance_between`` the unbiased Var(E[N | noise]); ``leaf_within``, ``leaf_between`` the same summed over single
    leaves, ``tree_sums`` E[C_l | noise] over pairs of leaves by the level of their common ancestor, from 1 (all NaN with a denoiser,
    whose posterior is unknown). ``changed``: share of the nodes of each level (leaves first) that differ
    from the start's, ``root_kept``: share of trajectories with the start's class, both from samples.
    """

    process: str
    noise_levels: Float[np.ndarray, " levels"]
    sums: Sums
    variance_within: Float[np.ndarray, "levels starts"]
    variance_between: Float[np.ndarray, "levels starts"]
    leaf_within: Float[np.ndarray, "levels starts"]
    leaf_between: Float[np.ndarray, "levels starts"]
    tree_sums: Float[np.ndarray, "levels starts depth"]
    changed: Float[np.ndarray, "levels starts tree_levels"]
    root_kept: Float[np.ndarray, "levels starts"]
    groups: Any


@readable()
class Variances(NamedTuple):
    """Var N by the law of total variance: ``within`` the noise draws and ``between`` them; the same summed over single leaves."""

    within: Float[AnyArray, "*batch"]
    between: Float[AnyArray, "*batch"]
    leaf_within: Float[AnyArray, "*batch"]
    leaf_between: Float[AnyArray, "*batch"]


@readable()
class EnumeratedMasks(NamedTuple):
    """The exact ``susceptibility`` under random masks, over all of them, and its part that the ``mask`` makes."""

    susceptibility: Float[np.ndarray, " levels"]
    mask: Float[np.ndarray, " levels"]


def grammar_and_starts(
    key, starts: int, *, depth: int, vocabulary: int, rules_per_symbol: int, branching: int
) -> tuple[Grammar, Tree]:
    """A random grammar and ``starts`` derivations of it: what errors are clustered by in averages over grammars. May be traced."""
    for_rules, for_starts = jax.random.split(checks.key("key", key))
    grammar = Grammar.random(
        for_rules,
        depth=depth,
        vocabulary=vocabulary,
        rules_per_symbol=rules_per_symbol,
        branching=branching,
    )
    return grammar, grammar.sample(for_starts, (checks.whole("starts", starts, least=1),))


@backed_by("rhm-unbiased", "rhm-two-parts")
def forward_backward(
    key,
    grammar: Grammar,
    *,
    noise: str = "mask",
    noise_levels,
    starts,
    trajectories: int,
    law: str = "independent",
    denoiser: Callable | None = None,
    groups=None,
    folder=None,
    progress: bool = False,
) -> Experiment:
    """Starts x noise levels x trajectories.

    Args:
        key: the only source of chance; each start and level has its own stream, whatever the chunks.
        noise: ``"mask"`` (``law`` as in :func:`rhm_theory.noise.likelihood.random_mask`), ``"epsilon"`` or ``"flips"``.
        noise_levels: in [0, 1], ``(levels,)``. starts: sequences of the language ``(starts, length)`` or their trees, or how many to draw.
        trajectories: noise draws for each start and level (posterior samples of the one likelihood for ``"epsilon"``), at least 2.
        denoiser: from noised sequences ``(batch, length)`` of integers (masked leaves are ``vocabulary``) to samples of the same shape;
            the exact posterior by default. NumPy, JAX or anything that NumPy reads. A sample outside the language has no tree: its inner
            nodes count as changed.
        groups: a label for each start that errors are clustered by; each start alone by default.
        folder: keeps finished chunks, so that a stopped experiment goes on (exact posterior only). progress: show a bar.
    Raises: ``TypeError`` or ``ValueError`` naming the argument; ``denoiser`` for a wrong shape, no integers, or a symbol out of range (a
    mask that was left).
    Claims: ``rhm-unbiased``, ``rhm-two-parts``.
    """
    checks.choice("noise", noise, NOISES)
    checks.choice("law", law, likelihood.MASK_LAWS)
    trajectories = checks.whole("trajectories", trajectories, least=2)
    levels = levels_of(noise_levels)
    if denoiser is not None and noise == "epsilon":
        raise ValueError(
            "denoiser needs noised sequences, which the epsilon-process does not have: use noise='mask' or 'flips'"
        )
    if denoiser is not None:
        require_denoiser(denoiser)
    start_key, run_key = jax.random.split(checks.key("key", key))
    starts = starts_of(start_key, grammar, starts)
    count, length = starts.shape
    groups = measure.labels(groups, count)
    keys = jax.random.key_data(jax.random.split(run_key, (len(levels), count))).reshape(
        len(levels) * count, -1
    )
    rows = (np.repeat(levels, count), np.tile(starts, (len(levels), 1)), np.asarray(keys))
    process = f"mask, {law}" if noise == "mask" else noise
    if denoiser is None:
        bytes_a_row = trajectories * length * grammar.vocabulary * rows[0].dtype.itemsize
        chunk = int(np.clip(CHUNK_BYTES // bytes_a_row, 1, len(rows[0])))
        run = functools.partial(_exact, noise=noise, law=law, trajectories=trajectories)
        name = f"{process} {trajectories} {np.asarray(grammar.rules).tobytes().hex() if folder is not None else ''}"
        found = sweep.mapped(
            run, grammar, rows, chunk=chunk, folder=folder, name=name, progress=progress
        )
    else:
        found = _by_denoiser(denoiser, grammar, rows, noise, law, trajectories)
    shaped = jax.tree.map(
        lambda leaf: np.asarray(leaf).reshape(len(levels), count, *leaf.shape[1:]), found
    )
    return Experiment(process, np.asarray(levels), *(*shaped, groups))


def levels_of(noise_levels) -> Float[np.ndarray, " levels"]:
    """``noise_levels``, one or more in [0, 1]."""
    levels = np.atleast_1d(likelihood._noise(noise_levels, "noise_levels"))
    if levels.ndim != 1 or not levels.size:
        raise ValueError(
            f"noise_levels must have shape (levels,) with at least one, got {levels.shape}"
        )
    return levels


def starts_of(key, grammar: Grammar, starts) -> Int[np.ndarray, "starts length"]:
    """``starts``, sequences of the language, or as many as it says, drawn by the ``key``."""
    require_grammar(grammar)
    if isinstance(starts, (int, np.integer)):
        starts = grammar.sample(key, (checks.whole("starts", starts, least=1),)).leaves
    starts = grammar.sequences("starts", starts)
    if starts.ndim != 2 or not len(starts):
        raise ValueError(
            f"starts must have shape (starts, {grammar.length}) with at least one, or be how many to draw, got {starts.shape}"
        )
    return np.asarray(grammar.parse(starts).leaves)


def require_denoiser(denoiser) -> None:
    """``TypeError`` unless it can be called."""
    if not callable(denoiser):
        raise TypeError(
            f"denoiser must be a function from noised sequences to samples, got {denoiser!r}"
        )


def denoised(
    denoiser: Callable, grammar: Grammar, noised: np.ndarray
) -> Int[np.ndarray, "batch length"]:
    """What ``denoiser`` returns, checked: anything that NumPy reads as symbols of the grammar, of the shape of ``noised``."""
    answer = denoiser(noised)
    try:
        samples = np.asarray(answer)
    except (
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:  # what a tensor that has a gradient, or is on a GPU, or a ragged list raises
        raise TypeError(
            f"denoiser must return what NumPy reads, got {type(answer).__name__}: {error}"
        ) from error
    if samples.shape != noised.shape or samples.dtype.kind not in "iu":
        raise ValueError(
            f"denoiser must return integers of shape {noised.shape}, got {samples.dtype} of shape {samples.shape}"
        )
    return np.asarray(symbols_in("what denoiser returns", samples, grammar.vocabulary))


@backed_by("rhm-two-parts")
def susceptibility(found: Experiment) -> tuple[Estimate, Estimate]:
    """The plain and the conditional estimate of chi at each noise level, with errors clustered by the groups. Claim: ``rhm-two-parts``."""
    plain = measurements(found)
    within = found.variance_within + found.variance_between, found.leaf_within + found.leaf_between
    conditional = [measure.ratio(a, b, found.groups) for a, b in zip(*within, strict=True)]
    return _stacked([one.susceptibility for one in plain]), _stacked(conditional)


@backed_by("rhm-two-parts")
def noise_part(found: Experiment) -> Estimate:
    """The part of chi that is due to the noise, ``Var(E[N | noise]) / sum_i Var n_i``; the rest is due to the backward sampling.

    Claim: ``rhm-two-parts``.
    """
    leaves = found.leaf_within + found.leaf_between
    return _stacked(
        [
            measure.ratio(a, b, found.groups)
            for a, b in zip(found.variance_between, leaves, strict=True)
        ]
    )


def measurements(found: Experiment, *, r_max: int | None = None) -> list[Measurement]:
    """C(r), chi and lengths of the plain estimator, one :class:`rhm_theory.experiment.measure.Measurement` a noise level."""
    return [
        measure.measurement(Sums(pairs, mean), r_max=r_max, groups=found.groups)
        for pairs, mean in zip(found.sums.pair_sums, found.sums.mean, strict=True)
    ]


def joined(experiments: Sequence[Experiment]) -> Experiment:
    """Experiments on several grammars as one, whose errors are clustered by grammar: all starts of one experiment are one group.

    Raises: ``ValueError`` if there is none, or if they differ in noise or in its levels.
    """
    if not experiments:
        raise ValueError("experiments must be at least one")
    first = experiments[0]
    for index, one in enumerate(experiments):
        if one.process != first.process or not np.array_equal(one.noise_levels, first.noise_levels):
            raise ValueError(
                f"experiments must agree in process and noise_levels, number {index} differs from the first"
            )
    observed = [one[2:-1] for one in experiments]  # all but the process, its levels and the groups
    whole = jax.tree.map(lambda *parts: np.concatenate(parts, 1), *observed)
    groups = np.repeat(np.arange(len(observed)), [one.root_kept.shape[1] for one in experiments])
    return Experiment(first.process, first.noise_levels, *(*whole, groups))


@backed_by("rhm-change-moments")
def average_susceptibility(
    keys, starts: int, noise, *, depth: int, vocabulary: int, rules_per_symbol: int, branching: int
) -> Estimate:
    """The epsilon-process's susceptibility over random grammars, one a key, and ``starts`` of each: exact but for their choice.

    ``noise`` is one number or more, any shape; errors are clustered by grammar. Claim: ``rhm-change-moments``.
    """
    noise, parts = likelihood._noise(noise), []
    numbers = {
        "depth": depth,
        "vocabulary": vocabulary,
        "rules_per_symbol": rules_per_symbol,
        "branching": branching,
    }
    for key in keys:
        grammar, tree = grammar_and_starts(key, starts, **numbers)
        seen = likelihood.epsilon_process(tree.leaves, noise[..., None], vocabulary=vocabulary)
        exact = moments.change_moments(grammar, seen, tree)
        parts.append((exact.variance.sum(-1), exact.leaf_variance.sum(-1)))
    if not parts:
        raise ValueError("keys must be at least one")
    return measure.ratio(*(np.stack(sums) for sums in zip(*parts, strict=True)))


@backed_by("rhm-root-slope")
def root_slope(grammar: Grammar, start, noise) -> Float[Array, ""]:
    r"""How fast the class is lost: :math:`-\mathrm d/\mathrm d\varepsilon` of the probability to keep the root, a mean over the starts.

    Exact, for the epsilon-process. At the critical noise it grows like :math:`d^{1/\nu}` with the number of leaves d, as the mean field's
    :math:`(1 - 1/v)\,F'(p^*)^{\text{depth}}` does.

    Args: start: a :class:`Tree` or sequences of the language, any batch. noise: one number in [0, 1].
    Raises: ``ValueError`` naming the argument. Source: new. Claim: ``rhm-root-slope`` (of the mean field).
    """
    noise = likelihood._noise(noise)
    if noise.ndim:
        raise ValueError(f"noise must be one number, got shape {noise.shape}")
    return _root_slope(grammar, start if isinstance(start, Tree) else grammar.parse(start), noise)


def average_root_slope(
    keys, starts: int, noise, *, depth: int, vocabulary: int, rules_per_symbol: int, branching: int
) -> Estimate:
    """:func:`root_slope` over random grammars, one a key, and ``starts`` of each; errors over grammars."""
    numbers = {
        "depth": depth,
        "vocabulary": vocabulary,
        "rules_per_symbol": rules_per_symbol,
        "branching": branching,
    }
    drawn = jax.jit(lambda key: grammar_and_starts(key, starts, **numbers))
    slopes = [root_slope(grammar, tree, noise) for grammar, tree in map(drawn, keys)]
    if not slopes:
        raise ValueError("keys must be at least one")
    return measure.ratio(slopes, np.ones(len(slopes)))


@jax.jit
def _root_slope(grammar: Grammar, start: Tree, noise: Array) -> Array:
    def kept(noise):
        seen = likelihood.epsilon_process(start.leaves, noise, vocabulary=grammar.vocabulary)
        root = inference.marginals(grammar, seen)[-1][..., 0, :]
        return jnp.take_along_axis(root, start.root[..., None], -1).mean()

    return -jax.jvp(kept, (noise,), (jnp.ones_like(noise),))[1]


@backed_by("rhm-two-parts")
def total_variance(exact: moments.ChangeMoments) -> Variances:
    """Of moments given noise draws (last batch axis): the variances within, and the unbiased ones between draws (0 of a single draw).

    Source: the law of total variance, in the module's docstring. Claim: ``rhm-two-parts``.
    """
    leaves = exact.changed[0]
    draws = leaves.shape[-2]

    def between(values, axis):
        return (
            jnp.var(values, axis=axis, ddof=1)
            if draws > 1
            else jnp.zeros_like(values.take(0, axis))
        )

    return Variances(
        exact.variance.mean(-1),
        between(exact.mean, -1),
        exact.leaf_variance.mean(-1),
        between(leaves, -2).sum(-1),
    )


@backed_by("rhm-two-parts", "rhm-mask-laws")
def enumerated_masks(
    grammar: Grammar, starts, noise_levels, law: str = "independent"
) -> EnumeratedMasks:
    r"""The masking experiment without chance: all :math:`2^d` masks, each with its probability, averaged over ``starts``.

    Args: starts: sequences ``(starts, length)``, of at most 16 leaves. noise_levels: ``(levels,)``. law: as in
            :func:`rhm_theory.noise.likelihood.random_mask`.
    Raises: ``ValueError`` naming the argument. Source: the law of total variance, term by term.
    Claims: ``rhm-two-parts``, ``rhm-mask-laws``.
    """
    checks.choice("law", law, likelihood.MASK_LAWS)
    noise, length = levels_of(noise_levels)[:, None], grammar.length
    if length > ENUMERATED:
        raise ValueError(
            f"grammar must have at most {ENUMERATED} leaves, for 2^{ENUMERATED} masks, got {length}"
        )
    starts = grammar.sequences("starts", starts)[:, None]
    hidden = np.array(list(itertools.product([False, True], repeat=length)))
    exact = moments.change_moments(
        grammar, likelihood.masked(starts, hidden, vocabulary=grammar.vocabulary), starts
    )
    number = hidden.sum(-1)
    weights = (
        noise**number * (1 - noise) ** (length - number)
        if law == "independent"
        else number == np.round(noise * length)
    )
    weights = weights / weights.sum(-1, keepdims=True)

    def mean(values):
        return np.einsum("nm,sm...->ns...", weights, values)

    def variance(values):
        return mean(values**2) - mean(values) ** 2

    within, leaf_within = (
        mean(np.asarray(part)).sum(-1) for part in (exact.variance, exact.leaf_variance)
    )
    between, leaf_between = (
        variance(np.asarray(exact.mean)).sum(-1),
        variance(np.asarray(exact.changed[0])).sum((-2, -1)),
    )
    return EnumeratedMasks(
        (within + between) / (leaf_within + leaf_between), between / (leaf_within + leaf_between)
    )


def _stacked(estimates: list[Estimate]) -> Estimate:
    return Estimate(*(np.stack(part) for part in zip(*estimates, strict=True)))


# One chunk -------------------------------------------------------------------------------------------------------------------


@functools.partial(jax.jit, static_argnames=("noise", "law", "trajectories"))
def _exact(grammar: Grammar, rows, *, noise: str, law: str, trajectories: int):
    levels, starts, keys = rows
    both = jax.vmap(jax.random.split)(jax.vmap(jax.random.wrap_key_data)(keys))
    # The epsilon-process has one likelihood a start, all others one a trajectory.
    draws, samples = (1, (trajectories,)) if noise == "epsilon" else (trajectories, ())
    repeated = jnp.broadcast_to(starts[:, None], (len(starts), draws, starts.shape[-1]))
    seen = jax.vmap(functools.partial(_likelihood, noise, law, grammar.vocabulary))(
        both[:, 0], repeated, levels
    )
    tree = jax.vmap(lambda key, seen: sampling.sample_posterior(key, grammar, seen, samples))(
        both[:, 1], seen
    )
    symbols = tuple(level.reshape(len(starts), trajectories, -1) for level in tree.symbols)
    original = grammar.parse(starts)
    exact = moments.change_moments(
        grammar, seen, jax.tree.map(lambda leaf: leaf[:, None], original)
    )
    variances = total_variance(exact)
    return (
        *_observed(symbols, original.symbols),
        *variances,
        exact.pair_sums.mean(1),
        *_shares(symbols, original.symbols),
    )


def _likelihood(
    noise: str, law: str, vocabulary: int, key: Array, starts: Array, level: Array
) -> Array:
    if noise == "epsilon":
        return likelihood.epsilon_process(starts, level, vocabulary=vocabulary)
    if noise == "flips":
        return likelihood.uniform_flips(key, starts, level, vocabulary=vocabulary)
    return likelihood.mask(key, starts, level, law, vocabulary=vocabulary)


def _observed(symbols, original) -> tuple[Sums]:
    return (measure._change_sums(symbols[0] != original[0][:, None]),)


def _shares(symbols, original):
    """Share of changed nodes of each level, and of kept roots."""
    dtype = jnp.zeros(()).dtype
    changed = [
        (now != then[:, None]).astype(dtype).mean((1, 2))
        for now, then in zip(symbols, original, strict=True)
    ]
    return jnp.stack(changed, -1), 1 - changed[-1]


def _by_denoiser(denoiser, grammar: Grammar, rows, noise: str, law: str, trajectories: int):
    """One row after the other, outside jit: the denoiser is anybody's code."""
    found = []
    for level, start, key in zip(*rows, strict=True):
        key, repeated = jax.random.wrap_key_data(key), np.tile(start, (trajectories, 1))
        if noise == "mask":
            noised = np.where(
                likelihood.random_mask(key, repeated.shape, level, law),
                grammar.vocabulary,
                repeated,
            )
        else:
            noised = np.asarray(
                likelihood.flipped(key, repeated, level, vocabulary=grammar.vocabulary)
            )
        samples = denoised(denoiser, grammar, noised)
        tree = jax.jit(type(grammar).parse)(
            grammar, samples
        )  # traced: a sample outside the language does not raise
        symbols, original = (
            tuple(level[None] for level in one.symbols) for one in (tree, grammar.parse(start))
        )
        unknown = jnp.full(1, jnp.nan)
        found.append(
            (
                *_observed(symbols, original),
                *(unknown,) * 4,
                jnp.full((1, grammar.depth), jnp.nan),
                *_shares(symbols, original),
            )
        )
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *found)
