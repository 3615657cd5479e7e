"""The figures of the hierarchy: what they draw is recomputed by another route; they are legible and their claims are computed."""

import functools
import importlib
import itertools
import math

import numpy as np
import pytest

import rhm_theory as rt
from figures import style
from theory_common import tables

NAMES = ("rhm_tree", "rhm_masking")


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


def test_enumerated_masks_by_the_whole_law_and_samples_around_them():
    module, data = made("rhm_masking")
    grammar, starts = module.drawn(0, 3, 24)
    hidden = np.array(list(itertools.product([False, True], repeat=8)))
    seen = rt.likelihood.masked(starts, hidden, vocabulary=16)
    law = np.asarray(rt.change_distribution(grammar, seen, starts))
    kept = np.take_along_axis(np.asarray(rt.marginals(grammar, seen)[0]), np.asarray(starts)[..., None], -1)[..., 0]
    number = np.arange(9)
    for index, share in enumerate(data["eighths"]):
        for name, chance in {
            "independent": share ** hidden.sum(-1) * (1 - share) ** (~hidden).sum(-1),
            "fixed_number": (hidden.sum(-1) == 8 * share) / math.comb(8, int(8 * share)),
        }.items():
            mean, square = (np.einsum("m,smk,k->s", chance, law, number**power) for power in (1, 2))
            changed = 1 - np.einsum("m,smi->si", chance, kept)
            exact = (square - mean**2).sum() / (changed * (1 - changed)).sum()
            assert data["enumerated"][name]["susceptibility"][index] == pytest.approx(exact, rel=1e-10)
            found = data["small"][name]["plain"]
            # 14 points, the same starts on both sides: an error over starts is generous.
            assert abs(found["value"][index] - exact) < 4 * found["error"][index]


def test_masking_at_depth_7_agrees_with_the_table_of_an_independent_run():
    """8 other grammars x 3 starts x 64 masks: chi and its part from the mask, errors of about the same size as here."""
    _, data = made("rhm_masking")
    table = {
        "fixed_number": {0.3: (1.18, 0.64), 0.5: (0.99, 0.42), 0.7: (0.59, 0.12), 0.9: (0.65, 0.04)},
        "independent": {0.3: (2.23, 1.68), 0.5: (2.73, 2.17), 0.7: (1.93, 1.46), 0.9: (1.47, 0.86)},
    }
    for law, rows in table.items():
        found = data["large"][law]
        for share, (chi, mask) in rows.items():
            at = int(np.argmin(np.abs(data["noise"] - share)))
            for part, value in (("conditional", chi), ("plain", chi), ("mask", mask)):
                assert abs(found[part]["value"][at] - value) < 4 * np.hypot(found[part]["error"][at], found[part]["error"][at]) + 0.02
    # What the figure says: a peak inside for independent masks, none that stands out for a fixed number; sampling does the same in both.
    rest = [data["large"][law]["conditional"]["value"] - data["large"][law]["mask"]["value"] for law in table]
    np.testing.assert_allclose(rest[0], rest[1], rtol=0.15)
    top = data["large"]["independent"]["conditional"]
    assert 2 <= np.argmax(top["value"]) <= 6
    assert top["low"].max() > 1.5 * data["large"]["fixed_number"]["conditional"]["high"].max()
