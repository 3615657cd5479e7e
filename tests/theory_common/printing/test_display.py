"""Results print short and readable, whatever their size, and print inside jit too."""

from enum import IntEnum
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import gda_theory as gt
from theory_common.printing.display import readable


class Colour(IntEnum):
    NO_RED = -1
    BLUE = 0


class Inner(NamedTuple):
    name: str


@readable(colour=Colour)
class Result(NamedTuple):
    weights: object
    colour: object = Colour.BLUE
    more: object = None


def test_small_arrays_are_shown_whole_and_codes_by_name():
    shown = repr(Result(jnp.asarray([1.5, np.nan, 1 / 3]), np.array([-1, 0]), Inner("a word")))
    assert shown == (
        "Result\n  weights  (1.5, –, 0.3333)\n  colour   no red, blue\n"
        "  more     Inner\n      name  a word"
    )
    assert str(Result(np.eye(2, dtype=int))).split("\n")[1:4] == [
        "  weights",
        "    (1, 0)",
        "    (0, 1)",
    ]


def test_large_arrays_are_shown_by_size_range_and_what_is_missing():
    values = np.linspace(-1, 2, 4000).reshape(40, 100)
    values[0, :3] = np.nan
    shown = repr(Result(values, np.zeros((5, 3), int), (np.ones(3), np.ones(20, bool)))).split("\n")
    assert shown[1:] == [
        "  weights  40 x 100: -0.9977 to 2, 3 missing",
        "  colour   5 x 3: 15 blue",
        "  more     2 in all",
        "    (1, 1, 1)",
        "    20: 20 of 20 yes",
    ]
    assert "200: no number, 200 missing" in repr(Result(np.full(200, np.nan)))
    assert "0: no number" in repr(Result(np.zeros((0, 20))))


def test_library_results_print_so():
    pair = gt.CorrelatedPair(
        0.5, ridge=0.1, retain_size=80, forget_size=20, retain_in_pair=8, forget_in_pair=1
    )
    shown = repr(gt.pair.stationary_points(pair))
    assert "kind         minimum, saddle" in shown
    assert "x            (0.3962, -0.5778)" in shown
    rows = np.random.default_rng(0).normal(size=(5000, 3))
    problem = gt.Problem(rows, np.where(rows[:, 0] > 0, 1, -1), np.arange(5000) < 9, ridge=0.1)
    assert len(repr(problem)) < 800
    assert "5,000 x 3: -" in repr(problem)


def test_what_is_traced_prints_as_jax_prints_it():
    seen = []
    jax.jit(lambda x: (seen.append(repr(Result(x, x))), x)[1])(jnp.ones(3))
    assert "float64[3]" in seen[0]
