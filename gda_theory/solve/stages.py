"""One algorithm, run in two ways: inside one compiled program, or stage by stage.

A program of nested loops compiles slowly. For a single problem the outer loops therefore run in
Python, over a few compiled functions (the *stages*). A batch, or a problem inside jit, needs one
program. The algorithm takes a :class:`Runner`, which says how loops run and what a stage is.

Stages see arrays of a few sizes only, so that other data sets reuse the compiled functions. Rows of
weight 0, and columns of zeros with a ridge, are added up to these sizes. Neither changes a minimum.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from gda_theory.problem.objective import Objective, pretraining
from gda_theory.solve.span import Span, into_span
from theory_common import checks
from theory_common.checks import Numbers

ROWS = 640  # the least number of rows in a stage
COLUMNS = 32  # the least number of columns
NARROW = 128  # with more columns than this, few rows are not made ROWS of them
LARGEST = 2**17  # the largest number of entries that is padded


class Runner(NamedTuple):
    """How an algorithm runs.

    ``loop(condition, body, state)`` repeats ``body`` while ``condition(state)`` holds.
    ``stage(function, donate=...)`` gives the function to call. The first argument of a stage
    selects code. ``donate`` numbers an argument whose memory the stage may take.
    """

    loop: Callable
    stage: Callable


def _as_it_is(function: Callable, donate: int | None = None) -> Callable:
    return function


def _python_loop(condition: Callable, body: Callable, state):
    while condition(state):
        state = body(state)
    return state


@functools.cache
def _compiled(function: Callable, donate: int | None = None) -> Callable:
    return jax.jit(function, static_argnums=0, donate_argnums=donate)


INSIDE = Runner(loop=jax.lax.while_loop, stage=_as_it_is)
BY_STAGE = Runner(loop=_python_loop, stage=_compiled)


def runs_by_stage(*trees) -> bool:
    """Whether all numbers are known and nothing is being traced around them."""
    if any(checks.is_traced(leaf) for leaf in jax.tree.leaves(trees)):
        return False
    # Inside jit even an operation on known numbers gives a traced one.
    return not checks.is_traced(jax.device_put(np.float32(0)))


def size(count: int, least: int = 1) -> int:
    """The size to which ``count`` entries are padded: ``least``, or at most an eighth more.

    Above ``LARGEST`` entries nothing is padded, to save memory.
    """
    if count <= least:
        return least
    if count > LARGEST:
        return count
    grain = 2 ** max(0, (count - 1).bit_length() - 4)
    return -(-count // grain) * grain


def padded(array: Numbers, shape: tuple[int, ...], fill: float = 0.0) -> Float[np.ndarray, "..."]:
    """The array at the beginning of one of that ``shape``; the other entries are ``fill``."""
    array = np.asarray(array)
    if array.shape == shape:
        return array
    wide = np.full(shape, fill, array.dtype)
    wide[tuple(slice(length) for length in array.shape)] = array
    return wide


def widened(objective: Objective) -> Objective:
    """The objective with rows of weight 0, and columns of zeros without ridge, as NumPy arrays.

    Where the weights of these columns are 0 they stay 0, and they add a curvature of 0.
    """
    given = jax.tree.map(np.asarray, objective)
    count = len(given.retain_weight)
    rows = size(count, ROWS if len(given.ridge) <= NARROW else 1)
    columns = _columns(given)
    return dataclasses.replace(
        given,
        types=_padded_types(given.types, rows, columns),
        retain_weight=padded(given.retain_weight, (rows,)),
        forget_weight=padded(given.forget_weight, (rows,)),
        ridge=padded(given.ridge, (columns,)),
    )


def _columns(objective: Objective) -> int:
    """The padded number of weights. That of several classes, or of many rows, is not padded."""
    count = len(objective.ridge)
    few = len(objective.retain_weight) * count <= LARGEST
    return size(count, COLUMNS) if objective.has_margins and few else count


def _padded_types(types: Any, rows: int, columns: int) -> Any:
    """The types with rows of zeros, and an array of types also with columns of zeros."""
    if hasattr(types, "shape"):
        return padded(types, (rows, columns))
    return jax.tree.map(lambda leaf: padded(leaf, (rows, *leaf.shape[1:])), types)


class Staged(NamedTuple):
    """An objective as stages see it: in the span of its types, and padded.

    All its arrays but the types are NumPy's, since what is made of them is made at once.

    ``given`` is the same objective without the padding, in the original coordinates.
    """

    objective: Objective
    given: Objective
    span: Span

    @classmethod
    def of(cls, objective: Objective, pattern: tuple[int, ...] | None) -> "Staged":
        """The objective of known numbers, without batch dimensions."""
        given = jax.tree.map(np.asarray, objective)
        if pattern is None:
            span = Span(types=given.types, ridge=given.ridge, basis=None, drop=np.empty((0, 0)))
        else:
            span = jax.tree.map(np.asarray, _into_span(given.types, given.ridge, pattern))
        rows = size(len(given.retain_weight), ROWS)
        columns = _columns(dataclasses.replace(given, types=span.types, ridge=span.ridge))
        highest = float(np.max(span.ridge))
        inside = dataclasses.replace(
            given,
            # Sent to the device once, not by each stage.
            types=jax.device_put(_padded_types(span.types, rows, columns)),
            retain_weight=padded(given.retain_weight, (rows,)),
            forget_weight=padded(given.forget_weight, (rows,)),
            ridge=padded(span.ridge, (columns,), highest if highest > 0 else 1.0),
        )
        return cls(objective=inside, given=given, span=span)

    def pretraining(self) -> "Staged":
        """Pretraining, in the same coordinates."""
        return self._replace(objective=pretraining(self.objective), given=pretraining(self.given))

    @property
    def basis(self) -> Float[np.ndarray, "d m"] | None:
        """The span's basis, padded; None without a reduction."""
        if self.span.basis is None:
            return None
        columns = len(self.objective.ridge)
        return padded(self.span.basis, (size(len(self.span.basis), COLUMNS), columns))

    def enter(self, weights: Numbers) -> Float[np.ndarray, " m"]:
        """Weights in the coordinates of the stages."""
        weights = np.asarray(weights)
        if self.span.basis is not None:
            weights = self.span.drop @ weights
        return padded(weights, (len(self.objective.ridge),))

    def leave(self, weights: Numbers) -> Float[Numbers, "*batch d"]:
        """Weights in the original coordinates."""
        return self.span.lift(np.asarray(weights)[..., : len(self.span.ridge)])


_into_span = jax.jit(into_span, static_argnums=2)
