"""The arguments of a run of descent-ascent, checked, and in the shape that runs take."""

import contextlib
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float
from numpy.typing import ArrayLike

from gda_theory.dynamics.epochs import Lanes
from gda_theory.problem.objective import Objective
from gda_theory.solve import minimise
from theory_common import checks


class RunArguments(NamedTuple):
    """Checked arguments of a run: its lanes, and what the Trajectory reports in the batch's shape.

    ``flat`` is ``start`` with the batch flattened into lanes.
    """

    lanes: Lanes
    flat: Float[Array, "d lanes"]
    start: Float[Array, "*batch d"]
    step_size: Float[Array, "*batch"]
    strength: Float[Array, "*batch"]


def lanes_of(
    objective: Objective, start: ArrayLike, step_size: ArrayLike, strength: ArrayLike
) -> RunArguments:
    """The arguments of a run, checked and broadcast."""
    start = checks.finite("start", start).astype(objective.ridge.dtype)
    dimension = objective.ridge.shape[-1]
    of_types = objective.types.shape[:-2] if objective.has_margins else ()
    if start.ndim < 1 or start.shape[-1] != dimension:
        raise ValueError(
            f"start must have shape (*batch, {dimension}), one entry per coordinate, "
            f"got {start.shape}"
        )
    step_size = checks.positive("step_size", step_size).astype(start.dtype)
    strength = minimise.strength_in_range(objective.pretrain_strength, strength)
    try:
        batch = jnp.broadcast_shapes(of_types, start.shape[:-1], step_size.shape, strength.shape)
    except ValueError:
        raise ValueError(
            "the batch dimensions of problem, start, step_size and strength must broadcast to one "
            f"shape, got {of_types}, {start.shape[:-1]}, {step_size.shape}, "
            f"{strength.shape}"
        ) from None
    return _spread(batch, objective, start, step_size, strength)


@functools.partial(jax.jit, static_argnums=0)
def _spread(
    batch: tuple[int, ...], objective: Objective, start, step_size, strength
) -> RunArguments:
    """Broadcast to the batch and flatten it."""
    start = jnp.broadcast_to(start, (*batch, objective.ridge.shape[-1]))
    step_size, strength = (jnp.broadcast_to(leaf, batch) for leaf in (step_size, strength))

    def spread(leaf, rank):
        return _last(jnp.broadcast_to(leaf, (*batch, *leaf.shape[leaf.ndim - rank :])), rank)

    shared = not objective.has_margins or objective.types.ndim == 2
    lanes = Lanes(
        types=objective.types if shared else spread(objective.types, 2),
        retain=spread(objective.retain_weight, 1),
        forget=spread(strength[..., None] * objective.forget_weight, 1),
        ridge=spread(objective.ridge_at(strength), 1),
        step=step_size.reshape(-1),
    )
    return RunArguments(
        lanes=lanes, flat=_last(start, 1), start=start, step_size=step_size, strength=strength
    )


def _last(leaf: Array, rank: int) -> Array:
    """``(*batch, ...)`` to ``(..., lanes)``."""
    return jnp.moveaxis(leaf.reshape(-1, *leaf.shape[leaf.ndim - rank :]), 0, -1)


def schedule_of(
    schedule: ArrayLike | Callable[[Array], Any] | None, epochs: int, dtype: DTypeLike
) -> Array | None:
    """The factors on the step size, one an epoch."""
    if schedule is None:
        return None
    factors = schedule
    if callable(schedule):
        with _named(
            "schedule must be a function of the epoch that JAX can trace, or an array (epochs,)"
        ):
            factors = jax.vmap(schedule)(jnp.arange(epochs))
    factors = checks.nonnegative("schedule", factors).astype(dtype)
    if factors.shape != (epochs,):
        raise ValueError(
            f"schedule must have shape ({epochs},), one factor an epoch, got {factors.shape}"
        )
    return factors


def batch_size_of(batch_size: int | None, key: Any, rows: int) -> int | None:
    """The checked ``batch_size``, if there is one."""
    if batch_size is None:
        if key is not None:
            raise ValueError(
                "batch_size must be given with a key: without minibatches nothing is random"
            )
        return None
    batch_size = checks.whole("batch_size", batch_size, least=1)
    if batch_size > rows:
        raise ValueError(f"batch_size must be <= the number of rows = {rows}, got {batch_size}")
    if key is None:
        raise ValueError(
            "key must be given for minibatches, since every random choice comes from a key, "
            "e.g. jax.random.key(0)"
        )
    checks.key("key", key)
    return batch_size


def watching(observe: Callable[[Array], Any], start: Array) -> jax.tree_util.Partial:
    """``observe`` as a pytree.

    It must return arrays that begin with the batch of ``start``. This is checked by tracing:
    nothing is computed.
    """
    if not callable(observe):
        raise TypeError(
            "observe must be a function of the weights, such as gt.recorded_weights, "
            f"got {observe!r}"
        )
    with _named(
        f"observe must be a function of the weights {start.shape} that JAX can trace "
        "and that returns arrays"
    ):
        watch = observe if isinstance(observe, jax.tree_util.Partial) else _static(observe)
        seen = jax.eval_shape(watch, jax.ShapeDtypeStruct(start.shape, start.dtype))
    for leaf in jax.tree.leaves(seen):
        if leaf.shape[: start.ndim - 1] != start.shape[:-1]:
            raise ValueError(
                "observe must return arrays that begin with the batch "
                f"{start.shape[:-1]} of the weights, got {leaf.shape}"
            )
    return watch


@functools.cache
def _static(observe: Callable[[Array], Any]) -> jax.tree_util.Partial:
    """A function as a pytree without leaves, so that it selects compiled code."""
    return jax.tree_util.Partial(observe)


@contextlib.contextmanager
def _named(rule: str):
    """Raise JAX's error about a user's function again, with ``rule`` before it."""
    try:
        yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{rule}: {str(error).splitlines()[0]}") from error
