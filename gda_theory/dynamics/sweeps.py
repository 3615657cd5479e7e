"""The simulator over grids of parameters: phase diagrams, on every device and core, in bounded memory, resumable."""

import dataclasses
import functools
import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gda_theory.dynamics import simulation
from gda_theory.dynamics.simulation import Scheme, Trajectory
from gda_theory.pair import CorrelatedPair
from gda_theory.pair.model import geometry, with_arrays
from gda_theory.problem.objective import Objective, objective_of
from gda_theory.solve import minimise
from theory_common import checks
from theory_common.batching import chunks as chunks

LANES = 512  # what a step touches stays in the cache, and there are chunks enough to keep every core busy to the end
ELEMENTS = 2**21  # at most so many margins at once, whatever the number of rows
# By default XLA leaves half of a wide register empty; a step, bound by its loads, takes a quarter less time with all of it.
WIDE = {"xla_cpu_prefer_vector_width": 512}
PAIR_AXES, COMMON_AXES = ("correlation", "alpha", "ridge"), ("step_size", "strength")


def grid(pair: CorrelatedPair, *, allow_unrealisable: bool = False, **axes) -> CorrelatedPair:
    """The pair at every point of a grid: a batch whose dimensions are those of ``axes``, in the order given.

    ``axes``: any of ``correlation``, ``alpha`` and ``ridge``, each one number (no axis) or an array ``(m,)``. ``pair`` is
    unbatched and supplies the rest; ``alpha`` moves ``forget_in_pair`` and nothing else.
    """
    if not isinstance(pair, CorrelatedPair):
        raise TypeError(f"pair must be a CorrelatedPair, got {type(pair).__name__}")
    values, _ = _spread(axes, PAIR_AXES, pair.types.dtype)
    return _pair_with(_unbatched("pair", pair, pair.ridge.shape), values, allow_unrealisable)


def sweep(
    problem,
    start,
    *,
    epochs: int,
    step_size,
    scheme="simultaneous",
    strength=1.0,
    tolerance: float | None = None,
    allow_unrealisable: bool = False,
    folder=None,
    progress: bool = False,
    **axes,
) -> Trajectory:
    """:func:`simulate` at every point of a grid; the Trajectory's batch dimensions are the grid's axes, in the order given.

    Args:
        problem: a CorrelatedPair, which has the axes ``correlation``, ``alpha``, ``ridge``; or a Problem or Objective, which has ``ridge``
            (of the penalised coordinates).
        start: weights ``(d,)``, or a function from the problem at many points (a batch) to their weights ``(*batch, d)``, such as
            ``lambda pair: gt.pair.pretrain(pair).weights``.
        step_size, strength: one number, or an array ``(m,)``, which is an axis after those of ``axes``.
        axes: one number or an array ``(m,)`` each; two or more make the product of all.
        folder: keeps finished chunks, so that a sweep that was stopped goes on; a loss of your own is known by its name there.
    Chunks of points run on every device that JAX sees, on one CPU a thread a core. Arrays come back as NumPy's.
    Raises: as :func:`simulate`; ``ValueError`` for an axis that is no parameter of the problem.
    """
    checks.concrete("sweep", problem, axes, step_size, strength, None if callable(start) else start)
    epochs, scheme = simulation.epoch_count("epochs", epochs), simulation.resolve(scheme)
    paired = isinstance(problem, CorrelatedPair)
    objective = problem.objective() if paired else objective_of(problem)
    _unbatched("problem", problem, objective.types.shape[:-2])
    known = PAIR_AXES if paired else ("ridge",)
    values, shape = _spread(
        {**axes, "step_size": step_size, "strength": strength},
        (*known, *COMMON_AXES),
        objective.types.dtype,
    )
    base = problem if paired else objective
    _check(
        base,
        objective,
        {name: value.squeeze() for name, value in values.items()},
        allow_unrealisable,
    )
    if tolerance is not None:
        tolerance = float(checks.positive("tolerance", checks.one("tolerance", tolerance)))
    settings = Settings(epochs, scheme, tolerance)
    count, width = int(np.prod(shape)), objective.types.shape[-2]
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
            f"start must have shape ({objective.types.shape[-1]},) at each point of a sweep, got {starts.shape[1:]}"
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
    )
    return jax.tree.map(lambda leaf: leaf.reshape((*shape, *leaf.shape[1:])), found)


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Settings:
    """What all points of a sweep share and no array holds."""

    epochs: int
    scheme: Scheme
    tolerance: float | None


@functools.partial(jax.jit, compiler_options=WIDE)
def _run(shared: tuple[Any, Settings], rows) -> Trajectory:
    """One chunk."""
    (base, settings), (values, start) = shared, rows
    common = {name: values[name] for name in COMMON_AXES}
    return simulation.simulate(_at(base, values), start, **common, **vars(settings))


def _at(base, values: dict, allow_unrealisable: bool = True):
    """The pair or objective with the parameters that ``values`` has for it."""
    return (
        _pair_with(base, values, allow_unrealisable)
        if isinstance(base, CorrelatedPair)
        else _objective_with(base, values)
    )


def _starts(start, points, lanes: int):
    """What the function ``start`` returns for a chunk of points."""
    weights = checks.finite("start", start(points))
    if weights.shape[:1] != (lanes,):
        raise ValueError(
            f"start must return weights (*batch, d), here for the batch {(lanes,)}, got shape {weights.shape}"
        )
    return weights


def _check(base, objective: Objective, values: dict, allow_unrealisable: bool) -> None:
    """Raise the errors of bad input before anything runs: inside a chunk all is traced."""
    checks.positive("step_size", values["step_size"])
    minimise.strength_in_range(objective.pretrain_strength, values["strength"])
    for name in values.keys() - COMMON_AXES:
        _at(base, {name: values[name]}, allow_unrealisable)


def _unbatched(name: str, problem, batch: tuple[int, ...]):
    if batch:
        raise ValueError(
            f"{name} must be unbatched to be put on a grid, got a batch of shape {batch}"
        )
    return problem


def _spread(axes: dict, known, dtype) -> tuple[dict, tuple[int, ...]]:
    """Each array on an axis of its own, in the order given, so that they broadcast to the grid; and the grid's shape."""
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


def _pair_with(pair: CorrelatedPair, values: dict, allow_unrealisable: bool) -> CorrelatedPair:
    """The pair with some parameters exchanged."""
    exchanged: dict[str, Any] = {}
    if "correlation" in values:
        exchanged["gram"], exchanged["types"] = geometry(values["correlation"])
    if "ridge" in values:
        exchanged["ridge"] = checks.positive("ridge", values["ridge"])
    if "alpha" in values:
        exchanged["forget_in_pair"] = (
            checks.nonnegative("alpha", values["alpha"]) * pair.retain_in_pair
        )
        if not allow_unrealisable:
            hint = " (allow_unrealisable=True sweeps beyond)"
            most = jnp.broadcast_to(pair.forget_size / pair.retain_in_pair, values["alpha"].shape)
            checks.at_most("alpha", values["alpha"], "forget_size/retain_in_pair", most, hint)
    shape = jnp.broadcast_shapes(*(np.shape(value) for value in values.values()))
    return jax.tree.map(
        lambda new, old: jnp.broadcast_to(new, shape + old.shape),
        with_arrays(pair, **exchanged),
        pair,
    )


def _objective_with(objective: Objective, values: dict) -> Objective:
    """The objective with another ridge on its penalised coordinates."""
    if "ridge" not in values:
        return objective
    ridge = checks.positive("ridge", values["ridge"])
    return dataclasses.replace(objective, ridge=jnp.where(objective.ridge > 0, ridge[..., None], 0))


def _digest(objective: Objective) -> str:
    """What tells the data of one problem from another's."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(objective):
        digest.update(f"{leaf.shape} {leaf.dtype}".encode() + np.asarray(leaf).tobytes())
    return digest.hexdigest()
