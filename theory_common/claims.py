"""Which claims of the ledger a function rests on, as data.

A claim is a statement that ``python -m derivations`` checks. Docstrings name the claims for
people. :func:`backed_by` names them for programs, which have no docstrings under ``python -OO``.
"""

import functools
from collections.abc import Callable
from typing import TypeVar

Decorated = TypeVar("Decorated")

ATTRIBUTE = "__claims__"


def backed_by(*identifiers: str) -> Callable[[Decorated], Decorated]:
    """Decorator that records the ids of the claims a function or class rests on.

    Write it directly above ``def`` or ``class``, below other decorators such as ``@jax.jit``.

    Args:
        identifiers: ids of the ledger, each once, such as ``"lemma-3-order"``.

    Returns: a decorator that sets ``__claims__``, a tuple, and returns the object itself.
    Raises: ``ValueError`` if there is no id, or an id comes twice.
        ``TypeError`` if one is no string.
    """
    for identifier in identifiers:
        if not isinstance(identifier, str):
            raise TypeError(
                f"backed_by: identifiers must be strings, got {identifier!r}; "
                "write @backed_by(...) with parentheses"
            )
    if not identifiers or len(set(identifiers)) < len(identifiers):
        raise ValueError(f"backed_by: at least one id, each once, expected; got {identifiers}")

    def record(decorated: Decorated) -> Decorated:
        setattr(decorated, ATTRIBUTE, identifiers)
        return decorated

    return record


def claims_of(function: object) -> tuple[str, ...]:
    """The ids that :func:`backed_by` recorded, ``()`` if there are none.

    The function may be wrapped: by ``jax.jit``, ``functools.partial``, a method, a property.
    A subclass does not inherit the claims of its base class.
    """
    while ATTRIBUTE not in getattr(function, "__dict__", ()):
        wrapped = _wrapped(function)
        if wrapped is None:
            return ()
        function = wrapped
    return vars(function)[ATTRIBUTE]


def _wrapped(function: object) -> object | None:
    """What ``function`` is a thin layer around, None if it is a function or class itself."""
    if isinstance(function, type):
        return None
    if isinstance(function, property):
        return function.fget
    if isinstance(function, functools.partial | functools.cached_property):
        return function.func
    return getattr(function, "__wrapped__", None) or getattr(function, "__func__", None)
