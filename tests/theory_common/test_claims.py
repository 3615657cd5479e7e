"""Claims are recorded on the object itself and read through what wraps it."""

import functools
from typing import NamedTuple

import jax
import pytest

from theory_common.claims import backed_by, claims_of


@backed_by("a-b", "c-2")
def plain(number):
    return number


@jax.jit
@backed_by("a-b")
def compiled(number):
    return number


@jax.custom_jvp
@backed_by("a-b")
def with_derivative(number):
    return number


@backed_by("a-b")
class Result(NamedTuple):
    value: float

    @property
    @backed_by("of-property")
    def doubled(self):
        return 2 * self.value

    @backed_by("of-method")
    def plus(self, other):
        return self.value + other

    @classmethod
    @backed_by("of-class-method")
    def zero(cls):
        return cls(0.0)


class Special(Result):
    pass


def test_claims_are_recorded_on_the_same_object():
    def one():
        return 1

    assert backed_by("a-b")(one) is one
    assert one.__claims__ == ("a-b",)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (plain, ("a-b", "c-2")),
        (compiled, ("a-b",)),
        (with_derivative, ("a-b",)),
        (jax.jit(plain), ("a-b", "c-2")),
        (functools.partial(plain, 1), ("a-b", "c-2")),
        (Result, ("a-b",)),
        (Result.doubled, ("of-property",)),
        (Result.plus, ("of-method",)),
        (Result(1.0).plus, ("of-method",)),
        (Result.zero, ("of-class-method",)),
        (Special, ()),
        (len, ()),
        (None, ()),
    ],
)
def test_claims_are_read_through_wrappers(function, expected):
    assert claims_of(function) == expected


def test_a_decorated_result_is_a_pytree_still():
    assert jax.jit(lambda result: result.doubled)(Result(2.0)) == 4


@pytest.mark.parametrize("identifiers", [(), ("a", "a")])
def test_ids_come_once(identifiers):
    with pytest.raises(ValueError, match="each once"):
        backed_by(*identifiers)


def test_parentheses_are_needed():
    with pytest.raises(TypeError, match="with parentheses"):
        backed_by(plain)
