r"""Many oracles at once: retraining without each of B forget sets.

The sets share the passes over the data. Let :math:`c_i` be the sample weights over their total
over *all* rows, and :math:`\rho` the share of the total that a set leaves. The set's oracle
solves, up to a factor,

.. math:: G(w) = \Lambda_\rho w - \sum_{i \in R} c_i\, \varphi(m_i)\, t_i = 0, \qquad
          \Lambda_\rho = \rho\Lambda \ (\texttt{mean}),\
          \Lambda / \textstyle\sum_i s_i \ (\texttt{sum}).

All sets share one *centre* :math:`w_0`, which is pretraining. For means it has the same ridge as
every oracle, whatever the sets' sizes. For sums it is taken at the ridge of an average set. At the
centre the sums over all rows are known, so that a set's gradient and Hessian H only need its own
forgotten rows. The rest of the gradient's Taylor series,
:math:`\sum_{k \ge 2}` of :math:`\varphi^{(k)}(m_i) \Delta_i^k / k!`, is small. Products in float32
give it to the accuracy that float64 asks for, without an exponential. The fixed point

.. math:: w = w_0 - H^{-1}(G(w_0) + \text{rest}(w))

contracts by about the share forgotten. What it finds is then measured on the exact gradient of all
rows, by matrix products of all rows and many sets. Where needed it is corrected by chord steps,
:math:`-H^{-1}G`. Sets that chords do not solve fall back to Newton's method, one by one.

Source: new.
"""

import dataclasses
import functools
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, Int

from gda_theory.problem import losses
from gda_theory.problem.losses import Loss
from gda_theory.problem.objective import Objective
from gda_theory.problem.problem import Problem
from gda_theory.solve import minimise, newton
from gda_theory.solve.span import Span, into_span, span_pattern
from theory_common import checks
from theory_common.batching import executors
from theory_common.checks import Numbers
from theory_common.claims import backed_by
from theory_common.numerics.matrices import one_by_one
from theory_common.printing.display import readable

TOLERANCE = 1e-10  # of the gradient's norm
ERROR = 1e-9  # of the weights, relative: a small gradient is not enough where the ridge is small
# Of the Taylor series. With margins that move by 0.1, what is left out is 1e-7 of the first term.
ORDERS = range(2, 7)
EXPANSIONS = 10  # turns of the fixed point, at most
CHORDS = 30  # at most; one Newton step costs as much as d/2 chords
ROWS = 4096  # of one matrix product: what fits the caches
SETS = 256  # of one matrix product
GATHERED = 128  # forgotten rows that are gathered at a time
NO_ROW = np.iinfo(np.int32).max


@readable()
class Oracles(NamedTuple):
    """The oracles of B forget sets, in the order given.

    ``gradient_norm`` and ``value`` are measured at the ``weights`` on all retained rows, as
    :func:`gda_theory.retrain` does. ``converged`` means one of two things. Either the gradient's
    norm is at most 1e-10, and the next step at most 1e-9 of the weights. Or the gradient is pure
    rounding, which in float32 it always is. ``fell_back`` marks sets solved by Newton's method.
    """

    weights: Float[Numbers, "sets d"]
    value: Float[Numbers, " sets"]
    gradient_norm: Float[Numbers, " sets"]
    converged: Bool[Numbers, " sets"]
    fell_back: Bool[Numbers, " sets"]


class Centre(NamedTuple):
    """All rows, and the objective's expansion about ``weights``; sums are over all rows.

    The rows are in tiles, padded by rows of weight 0.
    """

    types: Float[Numbers, "tiles rows d"]
    single: Float[Numbers, "tiles rows d"]  # the types in float32
    weight: Float[Numbers, "tiles rows"]
    series: Float[Numbers, "tiles orders rows"]  # c_i phi^(k)(m_i) / k!, float32
    ridge: Float[Numbers, " d"]
    weights: Float[Numbers, " d"]
    forces: Float[Numbers, " n"]  # c_i phi(m_i)
    doubts: Float[Numbers, " n"]  # the forces, and what the rounding of the margins makes of them
    bends: Float[Numbers, " n"]  # c_i loss''(m_i)
    force: Float[Numbers, " d"]
    noise: Float[Numbers, " d"]  # the sum of the sizes of the force's terms
    curvature: Float[Numbers, "d d"]


class Sets(NamedTuple):
    """Some forget sets: their rows, padded by ``NO_ROW``, and what they make of the objective."""

    rows: Int[Numbers, "sets most"]
    shrink: Float[Numbers, " sets"]  # Lambda_rho = shrink * Lambda
    unit: Float[Numbers, " sets"]  # the user's gradient is unit * G


class _Best(NamedTuple):
    """The best weights measured so far; ``hopeful``: the last step at least halved the gradient."""

    weights: Float[Numbers, "sets d"]
    value: Float[Numbers, " sets"]
    length: Float[Numbers, " sets"]
    step: Float[Numbers, "sets d"]
    converged: Bool[Numbers, " sets"]
    hopeful: Bool[Numbers, " sets"]


@backed_by("shared-centre")
def retrain_many(
    problem: Problem,
    forget_sets: ArrayLike | Iterable[ArrayLike],
    *,
    progress: bool = False,
    executor: Executor | None = None,
) -> Oracles:
    r"""The oracle of each of many forget sets.

    It finds what ``gt.retrain(problem.replace(forget=forget_set))`` finds one by one.

    Args:
        problem: the data; its own ``forget`` is ignored. Both reductions, any ridge, sample
            weights and any loss are fine.
        forget_sets: boolean ``(B, n)``, True where a row is to be forgotten; or a list of B arrays
            of row numbers (or masks), of any sizes. Sets may overlap each other.
        progress: show a bar on standard error.
        executor: where blocks of up to 256 sets are solved: any ``concurrent.futures.Executor``,
            such as ``client.get_executor()`` of a Dask client. The data travel with each block.
            None for this process.

    Returns: :class:`Oracles`. ``jnp.sum(oracles.fell_back)`` says how many sets needed Newton's
        method.
    Raises: ``TypeError`` or ``ValueError`` that names the set. There must be at least one set. Each
        set must have a row to forget and leave a row of each class to keep. Its row numbers must
        exist and differ. The oracle must have a minimum along every unpenalised coordinate.
    Warns: ``RuntimeWarning`` that names unpenalised columns which together separate the labels of
        a set's retained rows, or depend on each other there. ``converged`` of such a set is False.
    Accuracy: a gradient of at most 1e-10 in float64, or its rounding, which is larger for features
        in the thousands; rounding in float32.
    Cost: per set about four products with all rows in float32, one or two in float64, and
        ``f d^2 + d^3/3`` for f forgotten rows. That is fast while the sets are small. A set of
        half the data takes some 10 to 20 products, or falls back. Memory is some hundred MB beside
        the data, for any B. Ctrl-C stops the run after at most 256 more sets.

    The sets determine the sizes of arrays, so the sets and the data must be concrete. The function
    does not work under jit, vmap or grad. Use ``jax.vmap`` over a traced mask in
    ``gt.retrain(problem.replace(forget=mask))`` there. It has derivatives, and is slower.

    Claim: ``shared-centre``.
    """
    if not isinstance(problem, Problem):
        raise TypeError(f"problem must be a Problem, got {type(problem).__name__}")
    given = _each(forget_sets, len(problem.signs))
    checks.concrete("retrain_many", problem, given, hint="; map gt.retrain there")
    forget = row_numbers(given, len(problem.signs))
    _check_retained(problem, forget)
    return _solve_all(problem, forget, progress, executors.checked(executor))


def _solve_all(
    problem: Problem, forget: list[np.ndarray], progress: bool, executor: Executor | None
) -> Oracles:
    """:func:`retrain_many` of validated sets."""
    weight = np.asarray(problem.sample_weight, np.float64)
    total = float(weight.sum())
    share = np.array([_left(weight, total, rows) for rows in forget]) / total
    mean = problem.reduction == "mean"
    shrink = share if mean else np.full_like(share, 1 / total)
    unit = 1 / share if mean else np.full_like(share, total)
    span, centre = _centre(problem, total, 1.0 if mean else float(1 / (total * share.mean())))
    dtype = centre.weights.dtype

    count = len(problem.signs)
    dimension = len(centre.weights)
    at_once = max(1, min(SETS, 2**24 // dimension**2, 2**27 // count))
    blocks = np.array_split(
        np.argsort([len(rows) for rows in forget], kind="stable"), -(-len(forget) // at_once)
    )
    width = len(blocks[0])  # the largest: one shape, compiled once
    most = GATHERED * 2 ** math.ceil(math.log2(max(1, max(map(len, forget)) / GATHERED)))
    drop = None if span.basis is None else span.drop

    def sets_of(block: np.ndarray) -> Sets:
        rows = np.full((width, most), NO_ROW, np.int32)
        for place, number in enumerate(block):
            rows[place, : len(forget[number])] = forget[number]
        padded = np.resize(block, width)  # a block that is one short solves its first set twice
        rows[len(block) :] = rows[0]
        return Sets(rows=rows, shrink=shrink[padded].astype(dtype), unit=unit[padded].astype(dtype))

    items = ((problem.loss, centre, sets_of(block), drop) for block in blocks)
    solved = (
        _one_by_one(items)
        if executor is None
        else executors.in_order(executor, _solve_block, items)
    )
    found = [
        jax.tree.map(functools.partial(_first, len(block)), one)
        for block, one in zip(_tracked(blocks, progress), solved, strict=True)
    ]
    order = np.argsort(np.concatenate(blocks))
    all_found = jax.tree.map(lambda *arrays: np.concatenate(arrays)[order], *found)
    fell_back = ~all_found.converged
    oracles = Oracles(
        weights=np.array(span.lift(jnp.asarray(all_found.weights))),
        value=all_found.value,
        gradient_norm=all_found.length,
        converged=all_found.converged.copy(),
        fell_back=fell_back,
    )
    for number in np.flatnonzero(fell_back):
        mask = np.zeros(count, bool)
        mask[forget[number]] = True
        # One by one: in a batch, each would wait for the slowest.
        objective = problem.replace(forget=mask).objective()
        one = minimise.solve(objective, 0.0, oracles.weights[number])
        for name in ("weights", "value", "gradient_norm", "converged"):
            getattr(oracles, name)[number] = getattr(one, name)
    _confirm(problem, forget, oracles)
    return jax.tree.map(jnp.asarray, oracles)


def _confirm(problem: Problem, forget: list[np.ndarray], oracles: Oracles) -> None:
    """Take back ``converged`` where an oracle does not exist or is not the only one, and warn.

    With one unpenalised column :func:`_check_retained` has decided.
    """
    ridge = np.asarray(problem.ridge)
    if np.sum(ridge == 0) < 2:
        return
    types = np.asarray(problem.signs[:, None] * problem.features)
    lost = {}
    for number, rows in enumerate(forget):
        weight = np.array(problem.sample_weight)
        weight[rows] = 0
        converged = oracles.converged[number]
        weights = oracles.weights[number] if converged else None
        decided = minimise.unique_minimum(problem.loss, types, weight, ridge, weights)
        if not decided.exists:
            oracles.converged[number] = False
            lost[number] = decided.reason
    if lost:
        first = min(lost)
        warnings.warn(
            f"{len(lost)} of {len(forget)} forget sets have no single oracle; "
            f"forget_sets[{first}]: {lost[first]}",
            RuntimeWarning,
            stacklevel=4,
        )


def _one_by_one(items: Iterable[tuple]) -> Iterator[_Best]:
    """Each block in this process. NumPy waits for it, so that no two are in memory at once."""
    for item in items:
        yield jax.tree.map(np.asarray, _solve_block(*item))


def _first(count: int, array: Numbers) -> np.ndarray:
    return np.asarray(array)[:count]


def _left(weight: np.ndarray, total: float, rows: np.ndarray) -> float:
    """The retained weight.

    It is summed anew where little is left of the total, so that the difference would be rounding.
    """
    left = total - weight[rows].sum()
    return left if left > total / 2 else np.delete(weight, rows).sum()


def _tracked(blocks, progress: bool):
    """The blocks, with a bar on standard error if asked for."""
    if not progress:
        return blocks
    from rich.console import Console
    from rich.progress import track

    return track(blocks, "oracles", console=Console(stderr=True))


# The centre ------------------------------------------------------------------------------------


def _centre(problem: Problem, total: float, ridge_factor: float) -> tuple[Span, Centre]:
    """The coordinates to work in, and the expansion about the minimum over all rows.

    The minimum is taken at ``ridge_factor`` times the problem's ridge.
    """
    # Only the shape and the ridge are looked at.
    pattern = span_pattern(_everything(problem.features, problem, 1.0))
    span, centred = _centred(problem, total, ridge_factor, pattern)
    # Any centre near all oracles will do, since nothing is assumed to vanish there. So single
    # precision is tried first.
    rough = minimise.solve(jax.tree.map(lambda array: array.astype(jnp.float32), centred))
    start = (
        rough.weights.astype(centred.types.dtype)
        if rough.converged
        else minimise.solve(centred).weights
    )
    tiles = -(-len(problem.signs) // ROWS)
    return span, _expand(problem.loss, span.types, centred.retain_weight, span.ridge, start, tiles)


@functools.partial(jax.jit, static_argnames="pattern")
def _centred(
    problem: Problem, total: float, ridge_factor: float, pattern: tuple[int, ...] | None
) -> tuple[Span, Objective]:
    """All rows in the coordinates to work in: their span, and the objective.

    The objective's ridge is ``ridge_factor`` times the problem's.
    """
    types = problem.signs[:, None] * problem.features
    span = into_span(types, problem.ridge, pattern)
    everything = _everything(span.types, problem, total)
    return span, dataclasses.replace(everything, ridge=ridge_factor * span.ridge)


def _everything(types, problem: Problem, total) -> Objective:
    """Pretraining, the weights in units of the total."""
    weight = problem.sample_weight / total
    none = jnp.zeros_like(weight)
    return Objective(types, weight, none, problem.ridge, none[0], problem.loss, "mean")


@functools.partial(jax.jit, static_argnames=("loss", "tiles"))
def _expand(loss: Loss, types, weight, ridge, weights, tiles: int) -> Centre:
    """All sums at the centre, and the rows in ``tiles`` equal tiles."""
    margins = types @ weights
    forces = weight * loss.phi(margins)
    bends = weight * loss.curvature(margins)
    sizes = jnp.abs(types)
    doubts = forces + bends * (sizes @ jnp.abs(weights))

    def tiled(array):
        rows = -(-len(array) // tiles)
        return jnp.pad(
            array, ((0, tiles * rows - len(array)), *((0, 0),) * (array.ndim - 1))
        ).reshape(tiles, rows, *array.shape[1:])

    series = jnp.stack(
        [
            weight * derivative / math.factorial(k)
            for k, derivative in zip(ORDERS, _derivatives(loss, margins), strict=True)
        ]
    )
    return Centre(
        types=tiled(types),
        single=tiled(types).astype(jnp.float32),
        weight=tiled(weight),
        series=tiled(series.T).swapaxes(1, 2).astype(jnp.float32),
        ridge=ridge,
        weights=weights,
        forces=forces,
        doubts=doubts,
        bends=bends,
        force=forces @ types,
        noise=doubts @ sizes,
        curvature=(types.T * bends) @ types,
    )


def _derivatives(loss: Loss, margins: Numbers) -> list[Array]:
    """The derivatives of phi of the ``ORDERS``."""

    def derivative(function):
        return lambda x: jax.jvp(function, (x,), (jnp.ones_like(x),))[1]

    functions = [lambda x: -loss.curvature(x)]  # the first
    for _ in ORDERS:
        functions.append(derivative(functions[-1]))
    return [function(margins) for function in functions[1:]]


# A block of sets -------------------------------------------------------------------------------


@functools.partial(jax.jit, static_argnames="loss")
def _solve_block(loss: Loss, centre: Centre, sets: Sets, drop: Numbers | None) -> _Best:
    """Each set's oracle, in the centre's coordinates; ``drop`` leads out of them."""
    ridge = sets.shrink[:, None] * centre.ridge
    forgotten_force, forgotten_curvature = _forgotten(centre, sets)
    force, curvature = centre.force - forgotten_force, centre.curvature - forgotten_curvature
    whiten, scale = one_by_one(
        newton.inverse_factor,
        curvature + ridge[:, :, None] * jnp.eye(ridge.shape[1], dtype=ridge.dtype),
    )
    forgotten = _forgotten_tiles(centre, sets)
    start = jnp.broadcast_to(centre.weights, ridge.shape)
    gradient = ridge * start - force

    def step(gradient):
        """``-H^{-1} gradient``, for each set."""
        half = jnp.einsum("bij,bj->bi", whiten, scale * gradient)
        return -scale * jnp.einsum("bij,bi->bj", whiten, half)

    def length(gradient):
        return sets.unit * newton.norm(gradient if drop is None else gradient @ drop)

    def measured(weights, best: _Best) -> _Best:
        """The better of ``weights``, measured on the exact gradient, and the best so far."""
        force, value = _pass(loss, centre, forgotten, weights)
        gradient = ridge * weights - force
        proposal, size = step(gradient), length(gradient)
        small = (size <= TOLERANCE) & (newton.norm(proposal) <= ERROR * newton.norm(weights))

        def rounding():
            terms = _noise(centre, sets) + ridge * jnp.abs(weights)
            return jnp.all(jnp.abs(gradient) <= 4 * jnp.finfo(weights.dtype).eps * terms, -1)

        # The terms are only summed where some set needs them.
        converged = jax.lax.cond(jnp.all(small), lambda: small, lambda: small | rounding())
        value = sets.unit * (value + jnp.sum(ridge * weights**2, -1) / 2)
        new = _Best(weights, value, size, proposal, converged, size < best.length / 2)
        better = size < best.length
        chosen = jax.tree.map(
            lambda new, old: jnp.where(better.reshape(-1, *(1,) * (new.ndim - 1)), new, old),
            new,
            best,
        )
        return chosen._replace(hopeful=new.hopeful)

    def unfinished(state):
        best, turn = state
        return jnp.any(best.hopeful & ~best.converged) & (turn < CHORDS)

    def chord(state):
        best, turn = state
        return measured(
            best.weights + jnp.where(best.converged[:, None], 0, best.step), best
        ), turn + 1

    # At the centre the value is not measured, nor returned: nothing has converged there.
    no, unknown = jnp.zeros_like(sets.unit, bool), jnp.full_like(sets.unit, jnp.nan)
    at_centre = _Best(start, unknown, length(gradient), step(gradient), no, no)
    expanded = start + _expanded(centre, forgotten, gradient, step, length)
    first = measured(expanded, at_centre)._replace(hopeful=~no)
    best, _ = jax.lax.while_loop(unfinished, chord, (first, jnp.int32(0)))
    return best


def _over_forgotten(centre: Centre, sets: Sets, term, total):
    """``total`` plus the sum of ``term(types, forces, doubts, bends)`` over the forgotten rows.

    The rows are gathered some at a time.
    """
    types = centre.types.reshape(-1, centre.types.shape[-1])

    def body(turn, total):
        rows = jax.lax.dynamic_slice_in_dim(sets.rows, turn * GATHERED, GATHERED, 1)
        gathered = jnp.take(types, rows, axis=0, mode="clip")
        factors = (
            jnp.take(array, rows, mode="fill", fill_value=0)
            for array in (centre.forces, centre.doubts, centre.bends)
        )
        return jax.tree.map(jnp.add, total, term(gathered, *factors))

    # The end is dynamic: a block of small sets does not pay for the largest of all.
    return jax.lax.fori_loop(
        0, -(-jnp.max(jnp.sum(sets.rows != NO_ROW, 1)) // GATHERED), body, total
    )


def _forgotten(
    centre: Centre, sets: Sets
) -> tuple[Float[Numbers, "sets d"], Float[Numbers, "sets d d"]]:
    """Each set's own part of the centre's force and curvature."""

    def term(types, forces, _, bends):
        return jnp.einsum("bf,bfd->bd", forces, types), jnp.einsum(
            "bfd,bfe->bde", bends[..., None] * types, types
        )

    vectors = jnp.zeros((len(sets.rows), len(centre.ridge)), centre.ridge.dtype)
    return _over_forgotten(
        centre, sets, term, (vectors, jnp.zeros((*vectors.shape, len(centre.ridge)), vectors.dtype))
    )


def _noise(centre: Centre, sets: Sets) -> Float[Numbers, "sets d"]:
    """The sizes of the terms of each set's force at the centre, summed: its rounding scale."""
    zero = jnp.zeros((len(sets.rows), len(centre.ridge)), centre.ridge.dtype)
    forgotten = _over_forgotten(
        centre,
        sets,
        lambda types, _, doubts, __: jnp.einsum("bf,bfd->bd", doubts, jnp.abs(types)),
        zero,
    )
    return jnp.maximum(centre.noise - forgotten, 0)


def _forgotten_tiles(centre: Centre, sets: Sets) -> Bool[Numbers, "tiles rows sets"]:
    """Which rows each set forgets, as the passes read it."""
    tiles, rows, _ = centre.types.shape
    mask = jnp.zeros((tiles * rows, len(sets.rows)), bool)
    return (
        mask.at[sets.rows, jnp.arange(len(sets.rows))[:, None]]
        .set(True, mode="drop")
        .reshape(tiles, rows, -1)
    )


def _expanded(centre: Centre, forgotten, gradient, step, length) -> Float[Numbers, "sets d"]:
    """How far from the centre the gradient's Taylor series vanishes.

    It iterates ``s = -H^{-1} (gradient + rest(s))``.
    """

    def rest(shift):
        def body(total, tile):
            single, series, forgotten = tile
            # Where margins move farther the series is no guide; cut off, it stays harmless.
            moved = jnp.clip(
                jnp.matmul(single, shift.T.astype(jnp.float32), precision="highest"), -1, 1
            )
            terms = functools.reduce(
                lambda sum_, coefficient: sum_ * moved + coefficient[:, None],
                series[::-1],
                jnp.zeros_like(moved),
            )
            forces = jnp.where(forgotten, 0, terms * moved**2)
            return total - jnp.matmul(forces.T, single, precision="highest").astype(
                total.dtype
            ), None

        return jax.lax.scan(
            body, jnp.zeros_like(gradient), (centre.single, centre.series, forgotten)
        )[0]

    def unfinished(state):
        _, _, change, before, turn = state
        # Each turn multiplies the change by about the same; the next one's is what this one leaves.
        wanted = (change < before / 2) & (change**2 > TOLERANCE / 2 * before)
        return jnp.any(wanted) & (turn < EXPANSIONS)

    def body(state):
        shift, last, change, _, turn = state
        new = rest(shift)
        return step(gradient + new), new, length(new - last), change, turn + 1

    first = (
        step(gradient),
        jnp.zeros_like(gradient),
        length(gradient),
        4 * length(gradient),
        jnp.int32(0),
    )
    return jax.lax.while_loop(unfinished, body, first)[0]


def _pass(
    loss: Loss, centre: Centre, forgotten, weights
) -> tuple[Float[Numbers, "sets d"], Float[Numbers, " sets"]]:
    """The exact force and loss of each set's retained rows, at the set's own weights."""
    value_of = softplus if loss is losses.logistic else loss.value

    def body(sums, tile):
        types, weight, forgotten = tile
        margins = jnp.matmul(types, weights.T, precision="highest")
        forces, values = (
            jnp.where(forgotten, 0, weight[:, None] * function(margins))
            for function in (loss.phi, value_of)
        )
        # A product with ones: XLA's own sum would evaluate the losses one by one.
        return (
            sums[0] + jnp.matmul(forces.T, types, precision="highest"),
            sums[1] + jnp.ones_like(weight) @ values,
        ), None

    zero = jnp.zeros_like(weights)
    return jax.lax.scan(body, (zero, zero[:, 0]), (centre.types, centre.weight, forgotten))[0]


def softplus(margin: Numbers) -> Numbers:
    r"""The logistic loss :math:`\log(1 + e^{-m})` to 2 ulp.

    It sums the series of ``log1p(x) = 2 artanh(x / (2 + x))``. XLA's ``log1p`` calls the C library,
    24 ns each. This is a dozen multiplications, in vectors, 2 ns.
    """
    small = jnp.exp(-jnp.abs(margin))
    ratio = small / (2 + small)  # at most 1/3
    square = ratio**2
    series = functools.reduce(
        lambda total, k: total * square + 1 / (2 * k + 1), range(16, -1, -1), jnp.zeros_like(margin)
    )
    return jnp.maximum(-margin, 0) + 2 * ratio * series


# Validation ------------------------------------------------------------------------------------


def _each(forget_sets, count: int) -> list:
    """The sets, one by one."""
    _refuse_names(forget_sets, count)
    if (
        isinstance(forget_sets, (np.ndarray, jax.Array))
        and forget_sets.dtype != object
        and forget_sets.ndim != 2
    ):
        raise ValueError(
            f"forget_sets must have shape (B, {count}), a mask a set, if it is an array, "
            f"got {forget_sets.shape}"
        )
    try:
        known = isinstance(forget_sets, jax.Array) and not checks.is_traced(forget_sets)
        given = list(np.asarray(forget_sets) if known else forget_sets)
    except TypeError:
        raise TypeError(
            "forget_sets must be a boolean array (B, n) or a list of index arrays, "
            f"got {type(forget_sets).__name__}"
        ) from None
    if not given:
        raise ValueError("forget_sets must hold at least one set")
    return given


def _refuse_names(forget_sets, count: int) -> None:
    """``TypeError`` for a mapping or a data frame, which iterates the names of its sets."""
    wanted = f"forget_sets must be a boolean array (B, {count}) or a list of index arrays"
    kind = type(forget_sets).__name__
    if isinstance(forget_sets, Mapping):
        raise TypeError(f"{wanted}, got {kind}; pass list(forget_sets.values())")
    if isinstance(forget_sets, str | bytes):
        raise TypeError(f"{wanted}, got {forget_sets!r}")
    if hasattr(forget_sets, "columns") or hasattr(forget_sets, "column_names"):
        raise TypeError(
            f"{wanted}, got {kind}; of a frame with a boolean column for each set pass"
            " numpy.asarray(forget_sets).T, whose rows are the sets"
        )


def row_numbers(forget_sets, count: int) -> list[np.ndarray]:
    """The row numbers of each set, given as masks or row numbers of ``count`` rows.

    Raises: ``TypeError`` or ``ValueError`` that names the set by its place.
    """
    return [
        _rows_of(f"forget_sets[{number}]", one, count)
        for number, one in enumerate(_each(forget_sets, count))
    ]


def _rows_of(name: str, one, count: int) -> np.ndarray:
    """The row numbers of one set, sorted."""
    try:
        array = np.asarray(one)
    except ValueError as error:
        raise TypeError(f"{name} must be a list of row numbers: {error}") from None
    if array.ndim != 1:
        raise ValueError(
            f"{name} must be one list of row numbers, got shape {array.shape}: "
            "forget_sets is a list of such lists"
        )
    if array.dtype == bool:
        if len(array) != count:
            raise ValueError(
                f"{name} must have shape ({count},) as a mask, one per row of features, "
                f"got {array.shape}"
            )
        array = np.flatnonzero(array)
    if len(array) == 0:
        raise ValueError(
            f"{name} must forget at least one row; "
            "the model that forgets nothing is gt.pretrain(problem)"
        )
    if array.dtype.kind not in "iu":
        raise TypeError(
            f"{name} must hold row numbers or be a boolean mask, got dtype {array.dtype}"
        )
    outside = np.flatnonzero((array < 0) | (array >= count))
    if len(outside):
        raise ValueError(
            f"{name} must hold row numbers from 0 to {count - 1}, "
            f"got {array[outside[0]]} at index ({outside[0]},)"
        )
    array = np.sort(array)
    repeated = array[1:][array[1:] == array[:-1]]
    if len(repeated):
        hint = (
            "; for 0/1 use numpy.asarray(forget_sets) == 1"
            if len(array) == count and array[-1] <= 1
            else ""
        )
        raise ValueError(f"{name} must not repeat a row, got {repeated[0]} more than once{hint}")
    return array.astype(np.int32)


def _check_retained(problem: Problem, forget: list[np.ndarray]) -> None:
    """What :class:`Problem` asks of its sets, for each of many.

    Rows of each kind are counted in all rows and in the forgotten ones.
    """
    present, signs = np.asarray(problem.sample_weight) > 0, np.asarray(problem.signs)
    kinds = [("no row of positive sample_weight is left to retrain on", present)]
    for sign in (-1, 1):
        why = f"every row with label {sign:+d} is in it, and each class must stay in the retain set"
        kinds.append((why, present & (signs == sign)))
    for column in np.flatnonzero(np.asarray(problem.ridge) == 0):
        sides = signs * np.asarray(problem.features[:, column])
        why = (
            f"y_i x_i{column} has one sign only on its retain set, "
            f"so that without a ridge at ({column},) no finite weight is best"
        )
        kinds += [(why, present & (sides > 0)), (why, present & (sides < 0))]
    owner = np.repeat(np.arange(len(forget)), [len(rows) for rows in forget])
    together = np.concatenate(forget)
    for why, kind in kinds:
        taken = np.bincount(owner, kind[together], len(forget))
        bad = np.flatnonzero(taken == kind.sum())
        # A class that is not in the data cannot leave it.
        if len(bad) and np.any(kind):
            raise ValueError(f"forget_sets[{bad[0]}] must leave an oracle: {why}")
    weightless = np.flatnonzero(np.bincount(owner, present[together], len(forget)) == 0)
    if len(weightless):
        raise ValueError(
            f"forget_sets[{weightless[0]}] must forget a row of positive sample_weight"
        )
