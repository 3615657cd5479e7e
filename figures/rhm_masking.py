"""Masking under both laws of the mask: the susceptibility, and which part of it the mask itself makes."""

import jax
import numpy as np

import rhm_theory as rt
from figures.parts import band, dots, plus_minus
from figures.style import COLOURS

TITLE = "With masks the law decides: independent ones show a peak, a fixed number of them hides it, and most of the peak is the mask's own"
CAPTION = (
    "Random Hierarchy Model (16 symbols, 4 rules, branching 2) under masking; a share t/T of the leaves is hidden, each independently, or "
    "exactly that number. (a) Depth 3, 8 leaves: all 256 masks enumerated (lines) against sampled masks and posterior samples (dots, 95 % "
    "intervals over starts). (b) Depth 7, random grammars: from posterior samples as in the paper (dots) and from exact moments given the "
    "mask (lines, band), 95 % intervals over grammars. A fixed number takes a correlation of order 1/d from each of d² pairs. (c) The two "
    "parts of χ at depth 7, by the law of total variance: from the mask (solid) and from the backward sampling (dashed)."
)
LEMMAS = ["Fig. 3", "Sec. 3.2", "arXiv:2410.13770"]
SIZE = (10.5, 3.9)
LAWS = {
    "independent": ("vermillion", "o", 3.5),
    "fixed_number": ("blue", "s", 8),
}  # the last: size of the open marks
NUMBERS, DEPTH = {"vocabulary": 16, "rules_per_symbol": 4, "branching": 2}, 7


def compute(preset):
    grammars, starts, masks = {"quick": (6, 4, 24), "paper": (64, 4, 64)}[preset]
    noise, eighths = np.linspace(0.1, 0.9, 9).round(1), np.arange(1, 8) / 8
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
            law: rt.experiment.enumerated_masks(grammar, few[:, 0], eighths, law)._asdict()
            for law in LAWS
        },
        "large": by_law(
            plain=(variance, leaves),
            conditional=(within + mask, leaf_within + leaf_mask),
            mask=(mask, leaf_within + leaf_mask),
        ),
    }


def masked(index, depth, count, noise, masks):
    """A random grammar, likelihoods ``(laws, noise, starts, masks, ...)`` and starts: both laws at once compile once."""
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
    """Var N and the sum of Var n_i of one posterior sample a mask, as in the paper: ``(2, laws, noise, starts)``."""
    changed = np.asarray(
        rt.sample_posterior(jax.random.key(200 + index), grammar, seen).leaves != starts
    )
    return np.stack([np.var(changed.sum(-1), -1, ddof=1), np.var(changed, -2, ddof=1).sum(-1)])


def by_law(**parts):
    """For each law its estimates: sums over sums of the ``parts``, each two arrays ``(groups, laws, noise)``, errors over groups."""
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
        here = f"{plus_minus(exact, top)} at t/T = {data['noise'][top]:g}; the mask's part {found['mask']['value'][top]:.3g}"
        here += f"; at 0.9: {plus_minus(exact, -1)}"
        yield f"{name} masks: largest χ at depth 7", "largest chunks at t/T in [0.5, 0.7]", here
        gain = np.median((found["plain"]["error"] / exact["error"]) ** 2)
        claim = f"{name} masks: variance saved by exact moments given the mask"
        yield claim, "not treated", f"a factor {gain:.2g} (median over t/T)"
