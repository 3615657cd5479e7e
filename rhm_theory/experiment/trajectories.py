r"""The paper's experiment: add noise to a start, denoise it, and see which leaves changed together.

It runs for many starts, noise levels and trajectories. N is the number of changed leaves, and n_i
is 1 if leaf i changed. There are two estimators. The *plain* one takes one posterior sample for
each noise draw (:mod:`rhm_theory.experiment.measure`). The *conditional* one (Rao-Blackwell) takes
the exact moments given the noise, and combines them by the law of total variance,

.. math:: \operatorname{Var} N =
          E\,[\operatorname{Var}(N \mid \text{noise})] + \operatorname{Var}(E\,[N \mid
          \text{noise}]).

The first part is due to the backward sampling, the second to the noise; likewise for each leaf. The
epsilon-process has no second part, so there the conditional estimator is exact for each start. For
masks most of the variance is the second part, so the conditional estimator is hardly better. The
result depends on the law of the mask, which the noise object names.

Functions of an experiment take their arguments in one order: key, model, noise, denoiser, and the
rest by keyword. A ``model`` is a :class:`rhm_theory.Grammar` or another model of sequences
(:mod:`rhm_theory.models.interface`).
"""

import functools
import hashlib
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import ArrayLike, Float, Int

from rhm_theory.experiment import measure
from rhm_theory.experiment.measure import Estimate, Measurement, Sums
from rhm_theory.inference import evidence as inference
from rhm_theory.inference import moments, sampling
from rhm_theory.models import interface
from rhm_theory.models.grammar import Grammar, Tree, leaves_of, symbols_in
from rhm_theory.models.interface import Moments, SequenceModel
from rhm_theory.noise import likelihood
from rhm_theory.noise.processes import Epsilon, Mask, Noise, require_noise
from theory_common import checks
from theory_common.batching import chunks as sweep
from theory_common.claims import backed_by
from theory_common.printing.display import readable

CHUNK_BYTES = 2**26  # of the likelihoods of one chunk
ENUMERATED = 16  # leaves; there are 2 to that power of masks


@readable()
class Experiment(NamedTuple):
    """The result of an experiment, for each noise level and start.

    :func:`susceptibility` and :func:`measurements` take it. Numbers that need the exact posterior
    are NaN if a denoiser was given. Numbers that need a tree are NaN or empty for other models.

    Attributes:
        noise: the process and its levels.
        sums: of the plain estimator.
        variance_within: E[Var(N | noise)].
        variance_between: the unbiased Var(E[N | noise]).
        leaf_within: E[Var(n_i | noise)], summed over the leaves.
        leaf_between: Var(E[n_i | noise]), summed over the leaves.
        tree_sums: E[C_l | noise] over pairs of leaves, by the level of their common ancestor, from
            1.
        changed: the share of the nodes of each level, leaves first, that differ from the start's in
            the samples.
        root_kept: the share of samples with the start's class.
        groups: a label for each start that errors are clustered by.
    """

    noise: Noise
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
    """Var N by the law of total variance.

    Attributes:
        within: the part within a noise draw.
        between: the part between noise draws.
        leaf_within: the first part of the variances of the single leaves, summed.
        leaf_between: their second part, summed.
    """

    within: Float[AnyArray, "*batch"]
    between: Float[AnyArray, "*batch"]
    leaf_within: Float[AnyArray, "*batch"]
    leaf_between: Float[AnyArray, "*batch"]


@readable()
class EnumeratedMasks(NamedTuple):
    """The exact ``susceptibility`` over all masks, and the part of it that is due to the mask."""

    susceptibility: Float[np.ndarray, " levels"]
    mask: Float[np.ndarray, " levels"]


class _Rows(NamedTuple):
    """The fields of an :class:`Experiment` that have a row for each noise level and start."""

    sums: Any
    variance_within: Any
    variance_between: Any
    leaf_within: Any
    leaf_between: Any
    tree_sums: Any
    changed: Any
    root_kept: Any


def grammar_and_starts(
    key: Array,
    starts: int,
    *,
    depth: int,
    vocabulary: int,
    rules_per_symbol: int,
    branching: int,
) -> tuple[Grammar, Tree]:
    """A random grammar and ``starts`` derivations of it. It may be traced.

    Averages over grammars cluster their errors by such groups.

    Args:
        key: of the grammar and the derivations.
        starts: how many derivations, at least 1.
        depth: as :meth:`rhm_theory.Grammar.random` takes it, and so the other numbers.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    """
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
    key: Array,
    model: Grammar | SequenceModel,
    noise: Noise,
    denoiser: Callable | None = None,
    *,
    starts: int | Int[ArrayLike, "starts length"] | Tree,
    trajectories: int,
    groups: measure.Groups | None = None,
    folder: Any = None,
    progress: bool = False,
) -> Experiment:
    """Noise and denoise each start ``trajectories`` times at each noise level.

    Args:
        key: the only source of random numbers. Each start and level has its own stream, whatever
            the chunks are.
        model: the law of the sequences, such as a grammar.
        noise: :class:`rhm_theory.Mask`, :class:`rhm_theory.Flips` or :class:`rhm_theory.Epsilon`
            with one level or a vector of them.
        denoiser: a function from noised sequences ``(batch, length)`` of integers to samples of the
            same shape. A hidden leaf has the symbol ``vocabulary``. The default is the exact
            posterior. It may return anything that NumPy reads. A sample outside the language has
            no tree, so its inner nodes count as changed.
        starts: sequences of the language ``(starts, length)`` or their trees, or how many to draw.
        trajectories: noise draws for each start and level, at least 2. The epsilon-process has no
            noise draws: they are posterior samples of its one likelihood.
        groups: a label for each start that errors are clustered by; each start alone by default.
        folder: keeps finished chunks, so that a stopped experiment goes on (exact posterior only).
        progress: show a bar.

    Raises: ``TypeError`` or ``ValueError`` that names the argument. ``denoiser`` is named for a
        wrong shape, for entries that are no integers, and for a symbol out of range (a mask that
        was left).
    Claims: ``rhm-unbiased``, ``rhm-two-parts``.
    """
    trajectories = checks.whole("trajectories", trajectories, least=2)
    levels = levels_of(noise)
    if denoiser is not None:
        require_denoiser(denoiser, noise)
    start_key, run_key = jax.random.split(checks.key("key", key))
    trees = starts_of(start_key, model, starts)
    count = len(trees.leaves)
    groups = measure.labels(groups, count)
    keys = jax.random.key_data(jax.random.split(run_key, (len(levels), count)))
    rows = (
        noise.at(np.repeat(levels, count)),
        jax.tree.map(lambda level: np.tile(level, (len(levels), 1)), trees),
        np.asarray(keys).reshape(len(levels) * count, -1),
    )
    if denoiser is None:
        found = _by_posterior(model, rows, trajectories, folder=folder, progress=progress)
    else:
        found = _by_denoiser(denoiser, model, rows, trajectories)
    shaped = jax.tree.map(
        lambda leaf: np.asarray(leaf).reshape(len(levels), count, *leaf.shape[1:]), found
    )
    return Experiment(noise=noise.at(levels), groups=groups, **shaped._asdict())


def levels_of(noise: Noise) -> Float[np.ndarray, " levels"]:
    """The levels of ``noise``, one or more; the error names ``noise``."""
    require_noise(noise)
    levels = np.atleast_1d(noise.level)
    if levels.ndim != 1 or not levels.size:
        raise ValueError(
            f"noise must have a level of shape (levels,) with at least one, got {levels.shape}"
        )
    return levels


def starts_of(
    key: Array, model: Grammar | SequenceModel, starts: int | Int[ArrayLike, "starts length"] | Tree
) -> Tree:
    """``starts`` with their trees, each parsed once, or as many as it says, drawn by the ``key``.

    A model without trees has trees of one level.
    """
    read = interface.verb(model, "sequences")
    if isinstance(starts, (int, np.integer)):
        starts = model.sample(key, (checks.whole("starts", starts, least=1),))
    leaves = read("starts", leaves_of(starts))
    if leaves.ndim != 2 or not len(leaves):
        raise ValueError(
            f"starts must have shape (starts, {model.length}) with at least one, "
            f"or be how many to draw, got {leaves.shape}"
        )
    if not isinstance(model, Grammar):
        _require_probable(model, leaves)
    return jax.tree.map(np.asarray, tree_of(model, leaves))


def tree_of(model: Grammar | SequenceModel, leaves: Int[Array, "*batch length"]) -> Tree:
    """The tree of each sequence; of a model without trees, the leaves alone."""
    if isinstance(model, Grammar):
        return model.parse(leaves)
    return Tree(symbols=(leaves,), rules=())


def _require_probable(model: SequenceModel, leaves: Array) -> None:
    seen = likelihood.exact(leaves, vocabulary=model.vocabulary).astype(jnp.zeros(()).dtype)
    impossible = np.flatnonzero(np.isneginf(np.asarray(model.log_evidence(seen))))
    if len(impossible):
        raise ValueError(
            f"starts must be sequences that model gives, got one of probability 0 "
            f"at index {int(impossible[0])}"
        )


def require_denoiser(denoiser: Callable, noise: Noise) -> None:
    """``TypeError`` unless it can be called, ``ValueError`` if ``noise`` gives it nothing."""
    if not callable(denoiser):
        raise TypeError(
            f"denoiser must be a function from noised sequences to samples, got {denoiser!r}"
        )
    if not noise.random:
        raise ValueError(
            f"denoiser needs noised sequences, which the noise {noise.name!r} does not have: "
            "use Mask or Flips"
        )


def denoised(
    denoiser: Callable, model: Grammar | SequenceModel, noised: Int[np.ndarray, "batch length"]
) -> Int[np.ndarray, "batch length"]:
    """The samples of ``denoiser``, checked: symbols of the model, with the shape of ``noised``.

    Raises: ``TypeError`` or ``ValueError`` that names ``denoiser``.
    """
    answer = denoiser(noised)
    try:
        samples = np.asarray(answer)
    # A tensor that has a gradient or is on a GPU raises these, and a ragged list.
    except (RuntimeError, TypeError, ValueError) as error:
        raise TypeError(
            f"denoiser must return what NumPy reads, got {type(answer).__name__}: {error}"
        ) from error
    if samples.shape != noised.shape or samples.dtype.kind not in "iu":
        raise ValueError(
            f"denoiser must return integers of shape {noised.shape}, "
            f"got {samples.dtype} of shape {samples.shape}"
        )
    return np.asarray(symbols_in("what denoiser returns", samples, model.vocabulary))


@backed_by("rhm-two-parts")
def susceptibility(found: Experiment) -> tuple[Estimate, Estimate]:
    """The plain and the conditional estimate of chi at each noise level.

    Errors are clustered by the groups. Claim: ``rhm-two-parts``.
    """
    plain = [one.susceptibility for one in measurements(found)]
    whole = found.variance_within + found.variance_between
    leaves = found.leaf_within + found.leaf_between
    conditional = [measure.ratio(a, b, found.groups) for a, b in zip(whole, leaves, strict=True)]
    return _stacked(plain), _stacked(conditional)


@backed_by("rhm-two-parts")
def noise_part(found: Experiment) -> Estimate:
    """The part of chi that is due to the noise, ``Var(E[N | noise]) / sum_i Var n_i``.

    The rest is due to the backward sampling. Claim: ``rhm-two-parts``.
    """
    leaves = found.leaf_within + found.leaf_between
    pairs = zip(found.variance_between, leaves, strict=True)
    return _stacked([measure.ratio(a, b, found.groups) for a, b in pairs])


def measurements(found: Experiment, *, r_max: int | None = None) -> list[Measurement]:
    """C(r), chi and lengths of the plain estimator, one measurement for each noise level.

    Args:
        found: an experiment.
        r_max: the largest distance that enters chi and the lengths; all by default.

    Raises: ``TypeError`` or ``ValueError`` that names ``r_max``.
    """
    return [
        measure.measurement(Sums(pair_sums=pairs, mean=mean), r_max=r_max, groups=found.groups)
        for pairs, mean in zip(found.sums.pair_sums, found.sums.mean, strict=True)
    ]


def joined(experiments: Sequence[Experiment]) -> Experiment:
    """Several experiments, each on its own grammar, joined to one; errors are over the grammars.

    All starts of one experiment are one group.

    Raises: ``ValueError`` if there is none, or if they differ in noise or in its levels.
    """
    if not experiments:
        raise ValueError("experiments must be at least one")
    first = experiments[0].noise
    for index, one in enumerate(experiments):
        same = one.noise.name == first.name and np.array_equal(one.noise.level, first.level)
        if not same:
            raise ValueError(
                f"experiments must agree in noise and its level, number {index} differs "
                "from the first"
            )
    rows = [_Rows(**{name: getattr(one, name) for name in _Rows._fields}) for one in experiments]
    whole = jax.tree.map(lambda *parts: np.concatenate(parts, 1), *rows)
    groups = np.repeat(np.arange(len(rows)), [one.root_kept.shape[1] for one in experiments])
    return Experiment(noise=first, groups=groups, **whole._asdict())


@backed_by("rhm-change-moments")
def average_susceptibility(
    keys: Iterable[Array],
    starts: int,
    level: Float[ArrayLike, "*levels"],
    *,
    depth: int,
    vocabulary: int,
    rules_per_symbol: int,
    branching: int,
) -> Estimate:
    """The mean susceptibility of the epsilon-process over random grammars.

    It is exact for each grammar and start. The errors are those of a finite number of grammars.

    Args:
        keys: one for each grammar.
        starts: of each grammar.
        level: of the noise, one number or more, any shape.
        depth: as :meth:`rhm_theory.Grammar.random` takes it, and so the other numbers.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Claim: ``rhm-change-moments``.
    """
    noise = Epsilon(likelihood.checked_level(level)[..., None])
    numbers = {
        "depth": depth,
        "vocabulary": vocabulary,
        "rules_per_symbol": rules_per_symbol,
        "branching": branching,
    }
    above = []
    below = []
    for key in keys:
        grammar, tree = grammar_and_starts(key, starts, **numbers)
        seen = noise.likelihood(tree.leaves, vocabulary=vocabulary)
        exact = moments.change_moments(grammar, seen, tree)
        above.append(exact.variance.sum(-1))
        below.append(exact.leaf_variance.sum(-1))
    if not above:
        raise ValueError("keys must be at least one")
    return measure.ratio(np.stack(above), np.stack(below))


@backed_by("rhm-root-slope")
def root_slope(
    grammar: Grammar, start: Int[ArrayLike, "*batch length"] | Tree, level: Float[ArrayLike, ""]
) -> Float[Array, ""]:
    r"""The rate of loss of the class: :math:`-\mathrm d/\mathrm d\varepsilon` P(root is kept).

    It is exact for the epsilon-process, and a mean over the starts. At the critical noise it grows
    like :math:`d^{1/\nu}` with the number of leaves d, as the mean field's
    :math:`(1 - 1/v)\,F'(p^*)^{\text{depth}}` does.

    Args:
        grammar: the rules.
        start: a :class:`rhm_theory.Tree` or sequences of the language, any batch.
        level: of the noise, one number in [0, 1].

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Source: new. Claim: ``rhm-root-slope`` (of the mean field).
    """
    level = checks.one("level", likelihood.checked_level(level))
    tree = start if isinstance(start, Tree) else grammar.parse(start)
    if not tree.root.size:
        raise ValueError(f"start must have at least one sequence, got shape {tree.leaves.shape}")
    return _root_slope(grammar, tree, level)


def average_root_slope(
    keys: Iterable[Array],
    starts: int,
    level: Float[ArrayLike, ""],
    *,
    depth: int,
    vocabulary: int,
    rules_per_symbol: int,
    branching: int,
) -> Estimate:
    """:func:`root_slope` over random grammars, with errors over grammars.

    Args:
        keys: one for each grammar.
        starts: of each grammar.
        level: of the noise, one number in [0, 1].
        depth: as :meth:`rhm_theory.Grammar.random` takes it, and so the other numbers.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    """
    numbers = {
        "depth": depth,
        "vocabulary": vocabulary,
        "rules_per_symbol": rules_per_symbol,
        "branching": branching,
    }
    drawn = jax.jit(lambda key: grammar_and_starts(key, starts, **numbers))
    slopes = [root_slope(grammar, tree, level) for grammar, tree in map(drawn, keys)]
    if not slopes:
        raise ValueError("keys must be at least one")
    return measure.ratio(np.stack(slopes), np.ones(len(slopes)))


@jax.jit
def _root_slope(grammar: Grammar, start: Tree, level: Array) -> Array:
    def kept(level):
        seen = likelihood.epsilon_process(start.leaves, level, vocabulary=grammar.vocabulary)
        root = inference.marginals(grammar, seen)[-1][..., 0, :]
        return jnp.take_along_axis(root, start.root[..., None], -1).mean()

    return -jax.jvp(kept, (level,), (jnp.ones_like(level),))[1]


@backed_by("rhm-two-parts")
def total_variance(exact: Moments) -> Variances:
    """The two parts of the variance, from moments given noise draws (the last batch axis).

    The variances between draws are unbiased; they are 0 of a single draw.

    Source: the law of total variance, in the module's docstring. Claim: ``rhm-two-parts``.
    """
    leaves = exact.leaf_changed
    draws = leaves.shape[-2]

    def between(values, axis):
        if draws > 1:
            return jnp.var(values, axis=axis, ddof=1)
        return jnp.zeros_like(values.take(0, axis))

    return Variances(
        within=exact.variance.mean(-1),
        between=between(exact.mean, -1),
        leaf_within=exact.leaf_variance.mean(-1),
        leaf_between=between(leaves, -2).sum(-1),
    )


@backed_by("rhm-two-parts", "rhm-mask-laws")
def enumerated_masks(
    model: Grammar | SequenceModel, noise: Mask, starts: Int[ArrayLike, "starts length"] | Tree
) -> EnumeratedMasks:
    r"""The masking experiment without random numbers: all :math:`2^d` masks with their probability.

    It is averaged over ``starts``.

    Args:
        model: of at most 16 leaves.
        noise: a mask with one level or a vector of them.
        starts: sequences ``(starts, length)``.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Source: the law of total variance, term by term. Claims: ``rhm-two-parts``, ``rhm-mask-laws``.
    """
    if not isinstance(noise, Mask):
        raise TypeError(f"noise must be a Mask, got {noise!r}")
    level = levels_of(noise)[:, None]
    length = model.length
    if length > ENUMERATED:
        raise ValueError(
            f"model must have at most {ENUMERATED} leaves, for 2^{ENUMERATED} masks, got {length}"
        )
    starts = model.sequences("starts", leaves_of(starts))
    if starts.ndim != 2 or not len(starts):
        raise ValueError(
            f"starts must have shape (starts, {length}) with at least one, got {starts.shape}"
        )
    starts = starts[:, None]
    hidden = np.array(list(itertools.product([False, True], repeat=length)))
    seen = likelihood.masked(starts, hidden, vocabulary=model.vocabulary)
    exact = moments.change_moments(model, seen, starts)
    number = hidden.sum(-1)
    if noise.law == "independent":
        weights = level**number * (1 - level) ** (length - number)
    else:
        weights = number == np.round(level * length)
    weights = weights / weights.sum(-1, keepdims=True)

    def mean(values):
        return np.einsum("nm,sm...->ns...", weights, np.asarray(values))

    def variance(values):
        return mean(np.asarray(values) ** 2) - mean(values) ** 2

    within = mean(exact.variance).sum(-1)
    leaf_within = mean(exact.leaf_variance).sum(-1)
    between = variance(exact.mean).sum(-1)
    leaf_between = variance(exact.leaf_changed).sum((-2, -1))
    leaves = leaf_within + leaf_between
    return EnumeratedMasks(susceptibility=(within + between) / leaves, mask=between / leaves)


def _stacked(estimates: list[Estimate]) -> Estimate:
    return jax.tree.map(lambda *parts: np.stack(parts), *estimates)


# --- by the exact posterior, a chunk of rows at a time


def _by_posterior(
    model: Grammar | SequenceModel, rows, trajectories: int, *, folder, progress: bool
) -> _Rows:
    noises, trees, _ = rows
    bytes_a_row = trajectories * model.length * model.vocabulary * noises.level.dtype.itemsize
    chunk = int(np.clip(CHUNK_BYTES // bytes_a_row, 1, len(trees.leaves)))
    name = f"{noises.name} {trajectories}"
    if folder is not None:
        name = f"{name} {_fingerprint(model)}"
    run = functools.partial(_exact, trajectories=trajectories)
    return sweep.mapped(run, model, rows, chunk=chunk, folder=folder, name=name, progress=progress)


def _fingerprint(model: Any) -> str:
    """The numbers that identify this model."""
    leaves, structure = jax.tree.flatten(model)
    digest = hashlib.sha256(str(structure).encode())
    for leaf in leaves:
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()[:32]


@functools.partial(jax.jit, static_argnames="trajectories")
def _exact(model: Grammar | SequenceModel, rows, *, trajectories: int) -> _Rows:
    noises, trees, keys = rows
    both = jax.vmap(jax.random.split)(jax.vmap(jax.random.wrap_key_data)(keys))
    # A noise that draws nothing has one likelihood a start, all others one a trajectory.
    draws, samples = (trajectories, ()) if noises.random else (1, (trajectories,))

    def seen_of(noise, key, leaves):
        repeated = jnp.broadcast_to(leaves, (draws, *leaves.shape))
        seen = noise.sample(key, repeated, vocabulary=model.vocabulary)
        return noise.likelihood(seen, vocabulary=model.vocabulary)

    def sampled(key, seen):
        found = sampling.sample_posterior(key, model, seen, samples)
        return found.symbols if isinstance(found, Tree) else (found,)

    seen = jax.vmap(seen_of)(noises, both[:, 0], trees.leaves)
    drawn = jax.vmap(sampled)(both[:, 1], seen)
    symbols = tuple(level.reshape(len(keys), trajectories, -1) for level in drawn)
    start = jax.tree.map(lambda leaf: leaf[:, None], trees)
    exact = moments.change_moments(
        model, seen, start if isinstance(model, Grammar) else start.leaves
    )
    variances = total_variance(exact)
    if isinstance(model, Grammar):
        tree_sums = exact.pair_sums.mean(1)
    else:
        tree_sums = jnp.zeros((len(keys), 0), exact.variance.dtype)
    return _Rows(
        sums=_sums(symbols, trees.symbols),
        variance_within=variances.within,
        variance_between=variances.between,
        leaf_within=variances.leaf_within,
        leaf_between=variances.leaf_between,
        tree_sums=tree_sums,
        changed=_shares(symbols, trees.symbols),
        root_kept=_root_kept(symbols, trees.symbols),
    )


def _sums(symbols, original) -> Sums:
    return measure.change_sums(symbols[0] != original[0][:, None])


def _shares(symbols, original) -> Array:
    """Share of changed nodes of each level."""
    dtype = jnp.zeros(()).dtype
    changed = [
        (now != then[:, None]).astype(dtype).mean((1, 2))
        for now, then in zip(symbols, original, strict=True)
    ]
    return jnp.stack(changed, -1)


def _root_kept(symbols, original) -> Array:
    """Share of kept roots; NaN without a tree."""
    changed = _shares(symbols[-1:], original[-1:])[:, 0]
    return 1 - changed if len(symbols) > 1 else jnp.full_like(changed, jnp.nan)


# --- by a denoiser


def _by_denoiser(
    denoiser: Callable, model: Grammar | SequenceModel, rows, trajectories: int
) -> _Rows:
    """One row after the other, outside jit: the denoiser is anybody's code."""
    noises, trees, keys = rows
    found = []
    for index, key in enumerate(jax.vmap(jax.random.wrap_key_data)(keys)):
        original = tuple(level[index : index + 1] for level in trees.symbols)
        repeated = np.tile(original[0], (trajectories, 1))
        noise = noises.at(noises.level[index])
        noised = np.asarray(noise.sample(key, repeated, vocabulary=model.vocabulary))
        samples = denoised(denoiser, model, noised)
        # Traced: a sample outside the language does not raise.
        symbols = tuple(level[None] for level in _traced_tree(model, samples).symbols)
        found.append(_seen_by_denoiser(symbols, original))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *found)


_traced_tree = jax.jit(tree_of)


def _seen_by_denoiser(symbols, original) -> _Rows:
    """A row without what needs the exact posterior."""
    unknown = np.full(1, np.nan)
    return _Rows(
        sums=_sums(symbols, original),
        variance_within=unknown,
        variance_between=unknown,
        leaf_within=unknown,
        leaf_between=unknown,
        tree_sums=np.full((1, len(symbols) - 1), np.nan),
        changed=_shares(symbols, original),
        root_kept=_root_kept(symbols, original),
    )
