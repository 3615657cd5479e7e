"""Dataclasses as pytrees: which fields are leaves, and that no constructor runs."""

import dataclasses

import jax
import numpy as np
import pytest

from theory_common.pytrees import pytree, unvalidated


@pytree(static=("kind",))
@dataclasses.dataclass(frozen=True)
class Checked:
    width: object
    kind: str
    depth: object

    def __post_init__(self):
        if not np.isscalar(self.width):
            raise TypeError("width must be a number")


def test_all_fields_but_the_static_ones_are_leaves():
    leaves, structure = jax.tree.flatten(Checked(2.0, "a", 3.0))
    assert leaves == [2.0, 3.0]
    assert structure == jax.tree.structure(Checked(0.0, "a", 0.0))
    assert structure != jax.tree.structure(Checked(2.0, "b", 3.0))
    assert jax.tree.unflatten(structure, [4.0, 5.0]) == Checked(4.0, "a", 5.0)


def test_no_constructor_runs_when_jax_rebuilds():
    with pytest.raises(TypeError, match="width"):
        Checked(np.ones(2), "a", 0.0)
    batch = jax.tree.map(lambda leaf: np.array([leaf, leaf + 1]), Checked(2.0, "a", 3.0))
    np.testing.assert_array_equal(jax.vmap(lambda one: one.width * one.depth)(batch), [6, 12])
    assert unvalidated(Checked, width=None, kind="a", depth=None).width is None
