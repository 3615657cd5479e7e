"""Validation of arguments: each error names the argument, the rule, what came and where.

Values are checked *after* conversion to the working dtype, because the computation uses the
converted values. For example, float32 turns a ridge of 1e-300 into 0. A traced value cannot raise
an error. It passes, and the result of the computation is NaN.
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from theory_common import precision

Option = TypeVar("Option")
if TYPE_CHECKING:
    # NumPy's arrays and JAX's have the operations used here in common, but no type that says so.
    Numbers: TypeAlias = Any
else:
    Numbers = Array | np.ndarray | np.generic
# NumPy compares a single number to np.bool_ and not to an array.
Truth: TypeAlias = Array | np.ndarray | np.bool_


def is_traced(value: object) -> TypeGuard[Array]:
    """Whether ``value`` is abstract, inside jit, vmap or grad, so that its number is not known."""
    return isinstance(value, jax.core.Tracer)


def unless_traced(value: precision.ArrayLike) -> Numbers:
    """``value`` as a NumPy array; a traced one as it is."""
    return value if is_traced(value) else np.asarray(value)


def real(name: str, value: Any, dtype: np.dtype | None = None) -> Array:
    """``value`` in the working float dtype.

    Raises: ``TypeError`` unless it is a real number, list or array. ``True`` is not a number.
    """
    if is_traced(value) or isinstance(value, jax.Array):
        kind = np.dtype(value.dtype).kind if not jnp.issubdtype(value.dtype, jnp.floating) else "f"
    else:
        try:
            value = np.asarray(value)
        except ValueError as error:
            raise TypeError(
                f"{name} must be a real number or a rectangular array of them: {error}"
            ) from None
        kind = value.dtype.kind
    if kind not in "fiu":
        raise TypeError(f"{name} must be a real number or an array of them, got {_describe(value)}")
    # A float64 scalar of NumPy or Python is weak: it takes the working dtype.
    return precision.working(value, dtype)


def reals(**named: Any) -> dict[str, Array]:
    """Every argument in one common working dtype."""
    arrays = [value for value in named.values() if hasattr(value, "dtype")]
    dtype = precision.dtype(*arrays)
    return {name: real(name, value, dtype) for name, value in named.items()}


def require(name: str, value: Any, holds: Callable[[Any], Any], rule: str) -> Array:
    """``value`` in the working dtype.

    Raises: ``ValueError`` where ``holds`` is False. It quotes ``rule`` and the first offender.
    """
    array = real(name, value)
    if is_traced(array):
        return array
    concrete = np.asarray(array)
    bad = np.argwhere(~np.asarray(holds(concrete)))
    if len(bad):
        index = tuple(bad[0].tolist())
        hint = ""
        # What an array in float32 was before is not known, so the remedy is offered there too.
        lost = isinstance(value, jax.Array) or bool(np.all(holds(np.asarray(value, np.float64))))
        if concrete.dtype == np.float32 and concrete[index] in (0, np.inf) and lost:
            hint = f" (float32 rounds it there: enable float64 with {precision.ENABLE_FLOAT64})"
        place = f" at index {index}" if index else ""
        raise ValueError(
            f"{name} must be {rule}, got {concrete[index]:g}{place} in {concrete.dtype}{hint}"
        )
    return array


def finite(name: str, value: Any) -> Array:
    """``value`` finite everywhere, else ``ValueError``."""
    return require(name, value, np.isfinite, "finite")


def positive(name: str, value: Any) -> Array:
    """``value`` finite and > 0 everywhere, else ``ValueError``."""
    return require(name, value, lambda x: np.isfinite(x) & (x > 0), "finite and > 0")


def nonnegative(name: str, value: Any) -> Array:
    """``value`` finite and >= 0 everywhere, else ``ValueError``."""
    return require(name, value, lambda x: np.isfinite(x) & (x >= 0), "finite and >= 0")


def one(name: str, value: Any) -> Array:
    """``value`` in the working dtype if it is a single number, else ``ValueError``."""
    array = real(name, value)
    if array.ndim:
        raise ValueError(f"{name} must be one number, got shape {array.shape}")
    return array


def known(array: Array, holds: Callable[[Array], Truth]) -> Array:
    """A concrete ``array`` as it is, a traced one with NaN where ``holds`` is False.

    No check has seen the traced one.
    """
    return jnp.where(holds(array), array, jnp.nan) if is_traced(array) else array


def concrete(owner: str, *trees: Any, hint: str = "") -> None:
    """``TypeError`` if anything in ``trees`` is traced.

    For a function ``owner`` that computes with NumPy, or whose shapes depend on numbers.
    """
    if any(is_traced(leaf) for leaf in jax.tree.leaves(trees)):
        raise TypeError(
            f"the arguments of {owner} must be concrete: "
            f"it does not run under jit, vmap or grad{hint}"
        )


def choice(name: str, value: Any, options: Iterable[Option]) -> Option:
    """``value`` if it is one of ``options``, else a ``ValueError`` that lists them."""
    options = list(options)
    # The type is compared too: True == 1, but a flag is not the number of a branch.
    if not any(type(value) is type(option) and value == option for option in options):
        raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}, got {value!r}")
    return value


def key(name: str, value: Any) -> Array:
    """``value`` if it is one JAX random key, else ``TypeError``.

    Both kinds are accepted: ``jax.random.key(0)`` and the older pair of uint32.
    """
    dtype, shape = getattr(value, "dtype", None), getattr(value, "shape", None)
    typed = isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
    if not (shape == () if typed else dtype == np.uint32 and shape == (2,)):
        raise TypeError(
            f"{name} must be a JAX random key such as jax.random.key(0), got {_describe(value)}"
        )
    return value


def sizes(name: str, value: Any) -> tuple[int, ...]:
    """``value``, the shape of a batch, as a tuple of whole numbers >= 0.

    Raises: ``TypeError`` if it is no tuple or list of integers, ``ValueError`` for a negative one.
    """
    if not isinstance(value, (tuple, list)):
        raise TypeError(f"{name} must be a tuple of integers such as (5,), got {_describe(value)}")
    return tuple(whole(f"{name}[{index}]", size) for index, size in enumerate(value))


def whole(name: str, value: Any, *, least: int = 0) -> int:
    """``value`` as a Python int >= ``least``, else ``TypeError`` or ``ValueError``."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} must be an integer, got {_describe(value)}")
    if value < least:
        raise ValueError(f"{name} must be >= {least}, got {value}")
    return int(value)


def _describe(value: Any) -> str:
    """What came, for an error."""
    if hasattr(value, "dtype") and getattr(value, "shape", ()) != ():
        return f"an array of {value.dtype} with shape {value.shape}"
    if isinstance(value, np.ndarray):
        value = value.item()
    return f"{value!r} ({type(value).__name__})"


def broadcast(owner: str, **named: Any) -> dict[str, Array]:
    """Every argument of ``owner`` in one common working dtype and one common shape.

    Raises: ``ValueError`` that names the shapes where they do not broadcast.
    """
    arrays = reals(**named)
    if len({array.shape for array in arrays.values()}) == 1:
        return arrays
    try:
        return dict(zip(arrays, _broadcast(*arrays.values()), strict=True))
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items() if array.ndim)
        raise ValueError(
            f"the arguments of {owner} must broadcast to one shape, got {shapes}"
        ) from None


@jax.jit
def _broadcast(*arrays: Array) -> list[Array]:
    return jnp.broadcast_arrays(*arrays)


def common_shape(**shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape to which all broadcast.

    Raises: ``ValueError`` that names the shapes where they do not broadcast.
    """
    try:
        return np.broadcast_shapes(*shapes.values())
    except ValueError:
        got = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"batch dimensions must broadcast to one shape, got {got}") from None


def at_most(name: str, value: Array, bound_name: str, bound: Array, hint: str = "") -> None:
    """``ValueError`` where a concrete ``value`` exceeds ``bound``, an array of the same shape."""
    if is_traced(value) or is_traced(bound):
        return
    excess = np.argwhere(np.asarray(value) > np.asarray(bound))
    if len(excess):
        index = tuple(excess[0].tolist())
        place = f" at index {index}" if index else ""
        raise ValueError(
            f"{name} must be <= {bound_name} = {np.asarray(bound)[index]:g}, "
            f"got {np.asarray(value)[index]:g}{place}{hint}"
        )
