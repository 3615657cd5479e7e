"""Dataclasses as pytrees that JAX rebuilds without their constructor."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import jax

Made = TypeVar("Made")


def pytree(static: Sequence[str] = ()) -> Callable[[type[Made]], type[Made]]:
    """A decorator that registers a dataclass with JAX.

    JAX rebuilds a pytree around tracers, None and shape structs. The validation of a constructor
    would raise there, so the constructor is not called.

    Args:
        static: the fields that select code or a shape. All other fields are leaves, in their order.
    """

    def registered(cls: type[Made]) -> type[Made]:
        names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
        arrays = [name for name in names if name not in static]

        def flatten(value: Made) -> tuple[tuple, tuple]:
            return (
                tuple(getattr(value, name) for name in arrays),
                tuple(getattr(value, name) for name in static),
            )

        def unflatten(others: Sequence, leaves: Sequence) -> Made:
            fields = dict(zip(arrays, leaves, strict=True))
            return unvalidated(cls, **fields, **dict(zip(static, others, strict=True)))

        jax.tree_util.register_pytree_node(cls, flatten, unflatten)
        return cls

    return registered


def unvalidated(cls: type[Made], **fields: Any) -> Made:
    """An object with these fields, made without the constructor of its class."""
    new = object.__new__(cls)
    vars(new).update(fields)
    return new
