"""Masking under two laws: the susceptibility, and the part of it that the mask itself makes."""

import jax
import numpy as np

import rhm_theory as rt
from figures.parts import band, dots, plus_minus
from figures.style import COLOURS

TITLE = "With independent masks the susceptibility has a peak, and the mask itself makes most of it"
CAPTION = """
The susceptibility says how many leaves change together. In (b), it has a peak if each leaf is
masked independently (orange). It has none if a fixed number of leaves is masked (blue). In (c), the
solid orange curve shows why: the random number of masks makes most of the peak. The part made by
drawing the leaves again (dashed) is the same for both.

The Random Hierarchy Model has 16 symbols, 4 rules for each symbol, and branching 2. A share t/T of
the leaves is hidden, and then drawn again from the posterior.

(a) At depth 3, with 8 leaves, all 256 masks are enumerated (lines). Dots are sampled masks and
posterior samples, with 95 % intervals over starts.

(b) At depth 7 the grammars are random. Dots come from posterior samples, as in the paper. Lines and
bands come from exact moments for each mask. Intervals are 95 %, over grammars. Fixing the number of
masks lowers the correlation of each of the d² pairs of leaves by an amount of order 1/d.

(c) The susceptibility at depth 7 is split into its two parts by the law of total variance.
"""
LEMMAS = ["Fig. 3", "Sec. 3.2", "arXiv:2410.13770"]
SIZE = (10.5, 3.9)
LAWS = {
    "independent": ("vermillion", "o", 3.5),
    "fixed_number": ("blue", "s", 8),
}  # the last: size of the open marks
NUMBERS = {"vocabulary": 16, "rules_per_symbol": 4, "branching": 2}
DEPTH = 7


def compute(preset):
    grammars, starts, masks = {"quick": (6, 4, 24), "paper": (64, 4, 64)}[preset]
    noise = np.linspace(0.1, 0.9, 9).round(1)
    eighths = np.arange(1, 8) / 8
    small = masked(0, 3, 24, eighths, 4 * masks)
    large = [masked(index, DEPTH, starts, noise, masks) for index in range(grammars)]
    variance, leaves = np.stack(
        [sampled(index, *case).sum(-1) for index, case in enumerate(large)], 1
    )
    exact = [np.sum(rt.experiment.total_variance(rt.change_moments(*case)), -1) for case in large]
    within, mask, leaf_within, leaf_mask = np.stack(exact, 1)
    grammar, _, few = small
    return {
        "noise": noise,
        "eighths": eighths,
        "small": by_law(plain=np.moveaxis(sampled(0, *small), -1, 1)),  # errors over starts
        "enumerated": {
            law: rt.experiment.enumerated_masks(grammar, rt.Mask(eighths, law), few[:, 0])._asdict()
            for law in LAWS
        },
        "large": by_law(
            plain=(variance, leaves),
            conditional=(within + mask, leaf_within + leaf_mask),
            mask=(mask, leaf_within + leaf_mask),
        ),
    }


def masked(index, depth, count, noise, masks):
    """A random grammar, likelihoods ``(laws, noise, starts, masks, ...)`` and starts.

    Both laws come together, so that they compile once.
    """
    grammar, tree = rt.experiment.grammar_and_starts(
        jax.random.key(index), count, depth=depth, **NUMBERS
    )
    starts, shape = tree.leaves[:, None], (len(noise), count, masks, grammar.length)
    keys = jax.random.split(jax.random.key(100 + index))
    hidden = [
        rt.likelihood.random_mask(key, shape, noise[:, None, None], law)
        for key, law in zip(keys, LAWS, strict=True)
    ]
    return (
        grammar,
        rt.likelihood.masked(starts, np.stack(hidden), vocabulary=grammar.vocabulary),
        starts,
    )


def sampled(index, grammar, seen, starts):
    """Var N and the sum of Var n_i, from one posterior sample a mask, as in the paper.

    The shape is ``(2, laws, noise, starts)``.
    """
    changed = np.asarray(
        rt.sample_posterior(jax.random.key(200 + index), grammar, seen).leaves != starts
    )
    return np.stack([np.var(changed.sum(-1), -1, ddof=1), np.var(changed, -2, ddof=1).sum(-1)])


def by_law(**parts):
    """For each law its estimates, with errors over groups.

    Each of the ``parts`` is a pair of arrays ``(groups, laws, noise)``. Its estimate is the sum of
    the first over the sum of the second.
    """
    found = {name: rt.measure.ratio(*pair)._asdict() for name, pair in parts.items()}
    return {
        law: {name: {key: values[at] for key, values in one.items()} for name, one in found.items()}
        for at, law in enumerate(LAWS)
    }


def draw(figure, data):
    small, large, parts = figure.subplots(1, 3)
    noise, marks = data["noise"], {"lw": 0.9, "mec": "black", "mew": 0.4, "ms": 3.5}
    for law, (hue, mark, size) in LAWS.items():
        name, colour, found = law.replace("_", " "), COLOURS[hue], data["large"][law]
        small.plot(
            data["eighths"],
            data["enumerated"][law]["susceptibility"],
            color=colour,
            label=f"{name}: all masks",
        )
        dots(
            small,
            data["eighths"],
            data["small"][law]["plain"],
            fmt=mark,
            color=colour,
            label="sampled",
            **marks,
        )
        band(large, noise, found["conditional"], colour, label=f"{name}: exact given masks")
        dots(large, noise, found["plain"], fmt=mark, color=colour, label="sampled", **marks)
        dots(
            parts,
            noise,
            found["mask"],
            fmt=f"{mark}-",
            color=colour,
            label=f"{name}: from the mask",
            **marks,
        )
        rest = found["conditional"]["value"] - found["mask"]["value"]
        # The laws agree here: open marks of different sizes keep both in sight.
        parts.plot(
            noise, rest, f"{mark}--", ms=size, mfc="none", lw=1, color=colour, label="from sampling"
        )
    for panel, title, top in (
        (small, "(a) depth 3", 3),
        (large, "(b) depth 7", 4.6),
        (parts, "(c) depth 7, the parts of χ", 3.7),
    ):
        panel.set(
            xlabel="masked share t/T",
            ylabel="susceptibility χ",
            title=title,
            ylim=(0, top),
            xlim=(0, 1),
        )
        panel.legend(loc="upper left")


def claims(data):
    for law, found in data["large"].items():
        exact, name = found["conditional"], law.replace("_", " ")
        top = int(np.argmax(exact["value"]))
        own = found["mask"]["value"][top]
        here = (
            f"{plus_minus(exact, top)} at t/T = {data['noise'][top]:g}, of which the mask makes "
            f"{own:.3g}; χ at 0.9 is {plus_minus(exact, -1)}"
        )
        yield f"{name} masks: largest χ at depth 7", "largest chunks at t/T in [0.5, 0.7]", here
        gain = np.median((found["plain"]["error"] / exact["error"]) ** 2)
        claim = f"{name} masks: reduction of the variance by exact moments for each mask"
        yield claim, "not treated", f"a factor {gain:.2g} (median over t/T)"
