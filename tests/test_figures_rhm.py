"""The figures of the hierarchy: what they draw is recomputed by another route; they are legible and their claims are computed."""

import functools
import importlib

import numpy as np
import pytest

import rhm_theory as rt
from figures import style
from theory_common import tables

NAMES = ("rhm_tree",)


@functools.cache
def made(name):
    """The module and its quick data, as the runner stores them: computed once, since compiling is what costs."""
    module = importlib.import_module(f"figures.{name}")
    return module, tables.loads(tables.dumps(module.compute("quick")))


@pytest.mark.parametrize("name", NAMES)
def test_drawn_legible_and_claimed(name):
    module, data = made(name)
    sizes = {}

    def draw(figure, data):
        module.draw(figure, data)
        figure.canvas.draw()
        for text in figure.findobj(lambda artist: hasattr(artist, "get_fontsize") and artist.get_text()):
            sizes[text.get_text()] = text.get_fontsize()
        for axes in figure.axes:
            place = axes.get_subplotspec()
            assert place is None or not place.is_last_row() or axes.get_xlabel()
            assert place is None or not place.is_first_col() or axes.get_ylabel()

    images = style.images(draw, data, module.SIZE)
    assert images["png"].startswith(b"\x89PNG")
    assert images["pdf"].startswith(b"%PDF")
    assert min(sizes.values()) >= 9
    rows = module.claims(data)
    assert rows
    assert all(set(row) == {"claim", "paper", "here"} and "nan" not in f"{row['here']}{row['paper']}" for row in rows)


def test_tree_probabilities_are_posteriors_and_samples_are_trees():
    _, data = made("rhm_tree")
    grammar = rt.Grammar.affine(5, 16, 4, 2, multiplier=37, offset=11)
    start = grammar.reference_start(0)
    posterior = rt.marginals(grammar, rt.likelihood.epsilon_process(start.leaves, data["noise"], vocabulary=16))
    for level, (law, symbols) in enumerate(zip(posterior, start.symbols, strict=True)):
        kept = np.asarray(law)[:, np.arange(len(symbols)), np.asarray(symbols)]
        np.testing.assert_allclose(data["probability"][str(level)], 1 - kept, atol=1e-14)
        # A changed node has a changed leaf below: rules are unambiguous.
        below = data["sample"]["0"].reshape(4, len(symbols), -1).any(-1)
        assert np.all(below | ~data["sample"][str(level)].astype(bool))
    # Each changed leaf has one topmost changed ancestor: all together they are the mean number, of 4000 samples.
    moments = rt.change_moments(grammar, rt.likelihood.epsilon_process(start.leaves, data["noise"], vocabulary=16), start)
    error = np.sqrt(np.asarray(moments.variance) / 4000)
    np.testing.assert_array_less(np.abs(data["leaves_below"].sum(0) / 4000 - np.asarray(moments.mean)), 4 * error)
    sizes = data["leaves_below"].sum(1) / data["tops"].sum(1)
    assert sizes[0] == 1
    assert np.all(np.diff(sizes) > 0)
    assert np.all(sizes <= 2.0 ** np.arange(6))
