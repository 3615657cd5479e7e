"""The numbers of a grammar and of its depth, checked."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import ArrayLike

from theory_common import checks


class Rules(NamedTuple):
    """The vocabulary v and the number m of rules of each symbol."""

    vocabulary: Array
    per_symbol: Array


def checked_rules(
    owner: str, vocabulary: ArrayLike, rules_per_symbol: ArrayLike, branching: int
) -> tuple[Rules, int]:
    """The checked numbers of a grammar; traced values out of range become NaN."""
    branching = checks.whole("branching", branching, least=2)
    values = checks.broadcast(owner, vocabulary=vocabulary, rules_per_symbol=rules_per_symbol)
    rules = Rules(values["vocabulary"], values["rules_per_symbol"])
    _require_rules(rules, branching)
    return _valid(rules, branching, None), branching


def checked_arguments(
    owner: str,
    vocabulary: ArrayLike,
    rules_per_symbol: ArrayLike,
    branching: int,
    **probability: ArrayLike,
) -> tuple[Array, Rules, int]:
    """As :func:`checked_rules`, with one ``probability`` of the same dtype and shape before."""
    branching = checks.whole("branching", branching, least=2)
    values = checks.broadcast(
        owner, vocabulary=vocabulary, rules_per_symbol=rules_per_symbol, **probability
    )
    rules = Rules(values["vocabulary"], values["rules_per_symbol"])
    _require_rules(rules, branching)
    (name,) = probability
    checks.require(name, values[name], lambda x: (x >= 0) & (x <= 1), "between 0 and 1")
    return values[name], _valid(rules, branching, values[name]), branching


def _require_rules(rules: Rules, branching: int) -> None:
    """``ValueError`` that names the number of the grammar which is out of range."""
    vocabulary, per_symbol = rules
    checks.require(
        "vocabulary", vocabulary, lambda v: (v >= 2) & (v < float("inf")), "finite and >= 2"
    )
    checks.require("rules_per_symbol", per_symbol, lambda m: m >= 1, ">= 1")
    # The map has v^s in it.
    power = (
        "such that vocabulary^branching is below the largest "
        f"{vocabulary.dtype} (branching = {branching})"
    )
    checks.require(
        "vocabulary",
        vocabulary,
        lambda v: branching * np.log(v) < np.log(np.finfo(v.dtype).max),
        power,
    )
    most = _most_rules(vocabulary, branching)
    checks.at_most("rules_per_symbol", per_symbol, "vocabulary^(branching - 1)", most)


@functools.partial(jax.jit, static_argnums=1)
def _most_rules(vocabulary: Array, branching: int) -> Array:
    # Four eps more: a power of the vocabulary need not be correctly rounded.
    return vocabulary ** (branching - 1) * (1 + 4 * jnp.finfo(vocabulary.dtype).eps)


@functools.partial(jax.jit, static_argnums=1)
def _valid(rules: Rules, branching: int, probability: Array | None) -> Rules:
    """The rules, NaN where they or the probability are out of range: traced ones are unchecked."""
    valid = (
        (rules.vocabulary >= 2)
        & (rules.per_symbol >= 1)
        & (rules.per_symbol <= _most_rules(rules.vocabulary, branching))
    )
    if probability is not None:
        valid &= (probability >= 0) & (probability <= 1)
    return jax.tree.map(lambda value: jnp.where(valid, value, jnp.nan), rules)


def capacity_of(depth: ArrayLike, *, least: int = 1) -> tuple[int, np.ndarray]:
    """Levels to compile for, and the depths.

    A few capacities serve all depths, so that finite-size scaling compiles once.
    """
    if checks.is_traced(depth):
        raise TypeError("depth must be concrete: it says for how many levels to compile")
    depths = np.asarray(depth)
    if depths.dtype.kind not in "iu":
        raise TypeError(f"depth must be an integer or an array of them, got {depth!r}")
    if not depths.size or np.any(depths < least):
        raise ValueError(f"depth must be >= {least}, got {depths.min() if depths.size else 'none'}")
    return 8 * max(1, -(-int(depths.max()) // 8)), depths.astype(np.int32)


def leaves_of(others: Array, branching: int, depth: ArrayLike) -> tuple[int, np.ndarray]:
    """:func:`capacity_of` of depths that broadcast against ``others``.

    The number of leaves must be in the range of the dtype of ``others``.
    """
    capacity, depths = capacity_of(depth)
    checks.common_shape(arguments=others.shape, depth=depths.shape)
    if capacity * np.log(branching) >= np.log(np.finfo(others.dtype).max):
        raise ValueError(
            "depth must be such that branching^depth leaves are in the range of "
            f"{others.dtype}, got {depths.max()}"
        )
    return capacity, depths
