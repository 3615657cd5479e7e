"""Runs at every point of a grid of parameters, as phase diagrams need them.

Points run in chunks of bounded size, on every device and core. A sweep that was stopped can go on
from the chunks that it finished.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float
from numpy.typing import ArrayLike

from gda_theory.dynamics import simulation
from gda_theory.dynamics.schemes import Scheme, epoch_count, resolve
from gda_theory.dynamics.simulation import Trajectory
from gda_theory.pair import CorrelatedPair
from gda_theory.pair.model import geometry, with_arrays
from gda_theory.problem.objective import HasObjective, Objective, objective_of
from gda_theory.solve import minimise
from theory_common import checks
from theory_common.batching import chunks

# Lanes of a chunk. What a step touches then stays in the cache, and there are enough chunks to keep
# every core busy to the end.
LANES = 512
ELEMENTS = 2**21  # the largest number of margins at once, whatever the number of rows
# By default XLA leaves half of a wide register empty. A step is bound by its loads, and takes a
# quarter less time with the whole register.
WIDE = {"xla_cpu_prefer_vector_width": 512}
PAIR_AXES = ("correlation", "alpha", "ridge")
COMMON_AXES = ("step_size", "strength")


def grid(
    pair: CorrelatedPair, *, allow_unrealisable: bool = False, **axes: ArrayLike
) -> CorrelatedPair:
    """The pair at every point of a grid, as a batch.

    Args:
        pair: without a batch. It supplies the parameters that are not among ``axes``.
        allow_unrealisable: permit an ``alpha`` above forget_size/retain_in_pair.
        axes: any of ``correlation``, ``alpha`` and ``ridge``. An array ``(m,)`` becomes a dimension
            of the batch, in the order given; one number becomes none. ``alpha`` changes
            ``forget_in_pair`` alone.

    Returns: the pair with a batch.
    Raises: ``TypeError`` if ``pair`` is no CorrelatedPair; ``ValueError`` if it has a batch, or
    that names the axis.
    """
    if not isinstance(pair, CorrelatedPair):
        raise TypeError(f"pair must be a CorrelatedPair, got {type(pair).__name__}")
    values, _ = _spread(axes, PAIR_AXES, pair.types.dtype)
    return _pair_with(_unbatched("pair", pair, pair.ridge.shape), values, allow_unrealisable)


def sweep(
    problem: Objective | HasObjective,
    start: ArrayLike | Callable[[Any], ArrayLike],
    *,
    epochs: int,
    step_size: ArrayLike,
    scheme: str | Scheme = "simultaneous",
    strength: ArrayLike = 1.0,
    tolerance: ArrayLike | None = None,
    allow_unrealisable: bool = False,
    folder: str | Path | None = None,
    progress: bool = False,
    executor: Executor | None = None,
    **axes: ArrayLike,
) -> Trajectory:
    """Do what :func:`simulate` does at every point of a grid.

    Chunks of points run on every device that JAX sees. One CPU runs a thread on each core.

    Args:
        problem: a CorrelatedPair, with the axes ``correlation``, ``alpha`` and ``ridge``; or a
            Problem or an Objective, with the axis ``ridge`` (that of the penalised coordinates).
        start: weights ``(d,)``; or a function from the problem at many points (a batch) to their
            weights ``(*batch, d)``, such as ``lambda pair: gt.pair.pretrain(pair).weights``.
        epochs: of each run.
        step_size: one number, or an array ``(m,)``. An array is an axis after those of ``axes``.
        scheme: as for :func:`simulate`.
        strength: as ``step_size``. Its axis comes last.
        tolerance: as for :func:`simulate`.
        allow_unrealisable: permit an ``alpha`` above forget_size/retain_in_pair.
        folder: where finished chunks are kept, so that a sweep that was stopped goes on. A loss of
            your own is known by its name there.
        progress: show how many chunks are finished.
        executor: where chunks are computed: any ``concurrent.futures.Executor``, such as
            ``client.get_executor()`` of a Dask client. None for threads in this process.
        axes: one number or an array ``(m,)`` each. The grid is the product of all arrays.

    Returns: :class:`Trajectory` with arrays of NumPy. Its batch dimensions are the axes of the
    grid, in the order given.
    Raises: as :func:`simulate`; ``ValueError`` for an axis that is no parameter of the problem.
    """
    checks.concrete("sweep", problem, axes, step_size, strength, None if callable(start) else start)
    epochs = epoch_count("epochs", epochs)
    scheme = resolve(scheme)
    base = problem if isinstance(problem, CorrelatedPair) else objective_of(problem)
    objective = objective_of(base)
    _unbatched("problem", problem, objective.types.shape[:-2])
    known = PAIR_AXES if isinstance(base, CorrelatedPair) else ("ridge",)
    values, shape = _spread(
        {**axes, "step_size": step_size, "strength": strength},
        (*known, *COMMON_AXES),
        objective.types.dtype,
    )
    _check(
        base,
        objective,
        {name: value.squeeze() for name, value in values.items()},
        allow_unrealisable,
    )
    if tolerance is not None:
        tolerance = float(checks.positive("tolerance", checks.one("tolerance", tolerance)))
    settings = Settings(epochs, scheme, tolerance)
    count = int(np.prod(shape))
    width = objective.types.shape[-2]
    lanes = max(1, min(LANES, ELEMENTS // width, count))
    rows = {name: np.broadcast_to(value, shape).reshape(count) for name, value in values.items()}
    if callable(start):
        starts = chunks.mapped(
            lambda base, rows: _starts(start, _at(base, rows), lanes), base, rows, chunk=lanes
        )
    else:
        starts = np.broadcast_to(checks.finite("start", start), (count, *np.shape(start)))
    if starts.shape != (count, objective.types.shape[-1]):
        raise ValueError(
            f"start must have shape ({objective.types.shape[-1]},) at each point of a sweep, "
            f"got {starts.shape[1:]}"
        )
    checks.finite("start", starts)
    name = (
        ""
        if folder is None
        else f"{settings} {objective.loss} {objective.reduction} {_digest(objective)}"
    )
    found = chunks.mapped(
        _run,
        (base, settings),
        (rows, starts),
        chunk=lanes,
        folder=folder,
        name=name,
        progress=progress,
        executor=executor,
    )
    return jax.tree.map(lambda leaf: leaf.reshape((*shape, *leaf.shape[1:])), found)


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Settings:
    """What all points of a sweep share, apart from arrays."""

    epochs: int
    scheme: Scheme
    tolerance: float | None


@functools.partial(jax.jit, compiler_options=WIDE)
def _run(shared: tuple[Any, Settings], rows: tuple[dict[str, Array], Array]) -> Trajectory:
    """The runs of one chunk."""
    base, settings = shared
    values, start = rows
    return simulation.simulate(
        _at(base, values),
        start,
        step_size=values["step_size"],
        strength=values["strength"],
        **vars(settings),
    )


def _at(
    base: CorrelatedPair | Objective, values: dict[str, Array], allow_unrealisable: bool = True
) -> CorrelatedPair | Objective:
    """The pair or objective with its parameters replaced by those among ``values``."""
    return (
        _pair_with(base, values, allow_unrealisable)
        if isinstance(base, CorrelatedPair)
        else _objective_with(base, values)
    )


def _starts(
    start: Callable[[Any], ArrayLike], points: CorrelatedPair | Objective, lanes: int
) -> Float[Array, "lanes d"]:
    """What the function ``start`` returns for a chunk of points."""
    weights = checks.finite("start", start(points))
    if weights.shape[:1] != (lanes,):
        raise ValueError(
            f"start must return weights (*batch, d), here for the batch {(lanes,)}, "
            f"got shape {weights.shape}"
        )
    return weights


def _check(
    base: CorrelatedPair | Objective,
    objective: Objective,
    values: dict[str, Array],
    allow_unrealisable: bool,
) -> None:
    """Raise the errors of bad input before anything runs, since all is traced inside a chunk."""
    checks.positive("step_size", values["step_size"])
    minimise.strength_in_range(objective.pretrain_strength, values["strength"])
    for name in values.keys() - COMMON_AXES:
        _at(base, {name: values[name]}, allow_unrealisable)


def _unbatched(name: str, problem: Any, batch: tuple[int, ...]) -> Any:
    """The problem, if its ``batch`` is empty."""
    if batch:
        raise ValueError(
            f"{name} must be unbatched to be put on a grid, got a batch of shape {batch}"
        )
    return problem


def _spread(
    axes: dict[str, ArrayLike], known: Iterable[str], dtype: np.dtype
) -> tuple[dict[str, Array], tuple[int, ...]]:
    """Each array on an axis of its own, in the order given, and the shape of the grid.

    The arrays broadcast to that shape.
    """
    for name in axes:
        if name not in known:
            raise ValueError(f"{name} is no parameter to sweep over: use {', '.join(known)}")
    arrays = {name: checks.real(name, value, dtype) for name, value in axes.items()}
    for name, array in arrays.items():
        if array.ndim > 1 or array.size == 0:
            raise ValueError(
                f"{name} must be one number or an array (m,) with m >= 1, got shape {array.shape}"
            )
    lines = [name for name, array in arrays.items() if array.ndim]
    shape = tuple(arrays[name].shape[0] for name in lines)
    for place, name in enumerate(lines):
        arrays[name] = arrays[name].reshape(
            [-1 if place == other else 1 for other in range(len(lines))]
        )
    return arrays, shape


def _pair_with(
    pair: CorrelatedPair, values: dict[str, Array], allow_unrealisable: bool
) -> CorrelatedPair:
    """The pair with some parameters replaced."""
    replaced: dict[str, Any] = {}
    if "correlation" in values:
        replaced["gram"], replaced["types"] = geometry(values["correlation"])
    if "ridge" in values:
        replaced["ridge"] = checks.positive("ridge", values["ridge"])
    if "alpha" in values:
        replaced["forget_in_pair"] = (
            checks.nonnegative("alpha", values["alpha"]) * pair.retain_in_pair
        )
        if not allow_unrealisable:
            hint = " (allow_unrealisable=True permits more)"
            most = jnp.broadcast_to(pair.forget_size / pair.retain_in_pair, values["alpha"].shape)
            checks.at_most("alpha", values["alpha"], "forget_size/retain_in_pair", most, hint)
    shape = jnp.broadcast_shapes(*(np.shape(value) for value in values.values()))
    return jax.tree.map(
        lambda new, old: jnp.broadcast_to(new, shape + old.shape),
        with_arrays(pair, **replaced),
        pair,
    )


def _objective_with(objective: Objective, values: dict[str, Array]) -> Objective:
    """The objective with another ridge on its penalised coordinates."""
    if "ridge" not in values:
        return objective
    ridge = checks.positive("ridge", values["ridge"])
    return dataclasses.replace(objective, ridge=jnp.where(objective.ridge > 0, ridge[..., None], 0))


def _digest(objective: Objective) -> str:
    """A digest of the data of a problem."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(objective):
        digest.update(f"{leaf.shape} {leaf.dtype}".encode() + np.asarray(leaf).tobytes())
    return digest.hexdigest()
