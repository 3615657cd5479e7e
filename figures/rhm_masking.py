"""Masking under both laws of the mask: the susceptibility, and which part of it the mask itself makes."""

import itertools

import jax
import numpy as np

import rhm_theory as rt
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
LAWS = {"independent": ("vermillion", "o"), "fixed_number": ("blue", "s")}
NUMBERS, DEPTH = {"vocabulary": 16, "rules_per_symbol": 4, "branching": 2}, 7


def compute(preset):
    grammars, starts, masks = {"quick": (6, 4, 24), "paper": (64, 4, 64)}[preset]
    noise, eighths = np.linspace(0.1, 0.9, 9).round(1), np.arange(1, 8) / 8
    grammar, leaves = drawn(0, 3, 24)
    few = masked(0, grammar, leaves, eighths, 4 * masks)
    many = []
    for index in range(grammars):
        case = drawn(index, DEPTH, starts)
        seen = masked(index, *case, noise, masks)
        many.append(plain(index, *case, seen) | conditional(*case, seen))
    return {
        "noise": noise,
        "eighths": eighths,
        "small": by_law(plain(0, grammar, leaves, few), {"plain": ("plain", "leaf_plain")}),
        "enumerated": {law: enumerated(grammar, leaves, eighths, law) for law in LAWS},
        "large": by_law(
            {name: np.stack([part[name].sum(-1) for part in many], -1) for name in many[0]},
            {"plain": ("plain", "leaf_plain"), "conditional": ("all", "leaf_all"), "mask": ("mask", "leaf_all")},
        ),
    }


def drawn(index, depth, starts):
    """A random grammar and its starts, with an axis for the masks."""
    keys = jax.random.split(jax.random.key(index))
    grammar = rt.Grammar.random(keys[0], depth=depth, **NUMBERS)
    return grammar, grammar.sample(keys[1], (starts,)).leaves[:, None]


def masked(index, grammar, starts, noise, masks):
    """Likelihoods under random masks ``(laws, noise, starts, masks, length, vocabulary)``: both laws at once compile once."""
    shape, keys = (len(noise), len(starts), masks, grammar.length), jax.random.split(jax.random.key(100 + index))
    hidden = [rt.likelihood.random_mask(key, shape, noise[:, None, None], law) for key, law in zip(keys, LAWS, strict=True)]
    return rt.likelihood.masked(starts, np.stack(hidden), vocabulary=grammar.vocabulary)


def plain(index, grammar, starts, seen):
    """Var N and the sum of Var n_i of one posterior sample a mask, ``(laws, noise, starts)``."""
    changed = np.asarray(rt.sample_posterior(jax.random.key(200 + index), grammar, seen).leaves != starts)
    return {"plain": np.var(changed.sum(-1), -1, ddof=1), "leaf_plain": np.var(changed, -2, ddof=1).sum(-1)}


def conditional(grammar, starts, seen):
    """The same from exact moments given each mask, by the law of total variance; ``mask``: the part of Var N between masks."""
    exact = rt.change_moments(grammar, seen, starts)
    mask, leaf_mask = np.var(exact.mean, -1, ddof=1), np.var(exact.changed[0], -2, ddof=1).sum(-1)
    return {"mask": mask, "all": mask + np.mean(exact.variance, -1), "leaf_all": leaf_mask + np.mean(exact.leaf_variance, -1)}


def by_law(parts, ratios):
    """Ratios of sums over the last axis, with errors over it, for each law."""
    moved = {name: np.moveaxis(part, -1, 0) for name, part in parts.items()}
    return {
        law: {name: rt.measure.ratio(*(moved[part][:, index] for part in pair))._asdict() for name, pair in ratios.items()}
        for index, law in enumerate(LAWS)
    }


def enumerated(grammar, starts, noise, law):
    """The same over all masks, each with its probability: the susceptibility and its part from the mask, exactly."""
    hidden = np.array(list(itertools.product([False, True], repeat=grammar.length)))
    seen = rt.likelihood.masked(starts, hidden, vocabulary=grammar.vocabulary)
    moments = rt.change_moments(grammar, seen, starts)
    number, length = hidden.sum(-1), grammar.length
    at = noise[:, None]
    weights = at**number * (1 - at) ** (length - number) if law == "independent" else number == np.round(at * length)
    weights = weights / weights.sum(-1, keepdims=True)

    def between(values):
        """Variance over the masks, ``(noise, starts, ...)``, of ``(starts, masks, ...)``."""
        mean, square = (np.einsum("nm,sm...->ns...", weights, power) for power in (values, values**2))
        return square - mean**2

    within, leaf_within = (np.einsum("nm,sm->n", weights, np.asarray(part)) for part in (moments.variance, moments.leaf_variance))
    mask, leaf_mask = between(np.asarray(moments.mean)).sum(-1), between(np.asarray(moments.changed[0])).sum((-2, -1))
    return {"susceptibility": (within + mask) / (leaf_within + leaf_mask), "mask": mask / (leaf_within + leaf_mask)}


def draw(figure, data):
    small, large, parts = figure.subplots(1, 3)
    for law, (hue, mark) in LAWS.items():
        name, colour = law.replace("_", " "), COLOURS[hue]
        exact, found = data["enumerated"][law], data["large"][law]
        small.plot(data["eighths"], exact["susceptibility"], color=colour, label=f"{name}: all masks")
        dots(small, data["eighths"], data["small"][law]["plain"], fmt=mark, color=colour, label="sampled")
        large.fill_between(data["noise"], found["conditional"]["low"], found["conditional"]["high"], color=colour, alpha=0.25, lw=0)
        large.plot(data["noise"], found["conditional"]["value"], color=colour, label=f"{name}: exact given masks")
        dots(large, data["noise"], found["plain"], fmt=mark, color=colour, label="sampled")
        dots(parts, data["noise"], found["mask"], fmt=f"{mark}-", color=colour, label=f"{name}: from the mask")
        rest = found["conditional"]["value"] - found["mask"]["value"]
        # The laws agree here: open marks of different sizes keep both in sight.
        parts.plot(
            data["noise"], rest, f"{mark}--", ms=8 if law == "fixed_number" else 3.5, mfc="none", lw=1, color=colour, label="from sampling"
        )
    for panel, title, top in ((small, "(a) depth 3", 3), (large, "(b) depth 7", 4.6), (parts, "(c) depth 7, the parts of χ", 3.7)):
        panel.set(xlabel="masked share t/T", ylabel="susceptibility χ", title=title, ylim=(0, top), xlim=(0, 1))
        panel.legend(loc="upper left")


def dots(panel, x, estimate, **style):
    bars = estimate["value"] - estimate["low"], estimate["high"] - estimate["value"]
    panel.errorbar(x, estimate["value"], bars, ms=3.5, lw=0.9, mec="black", mew=0.4, **style)


def claims(data):
    rows = []
    for law, found in data["large"].items():
        value, error = (found["conditional"][part] for part in ("value", "error"))
        top = int(np.argmax(value))
        gain = (found["plain"]["error"] / found["conditional"]["error"]) ** 2
        rows += [
            (
                f"{law.replace('_', ' ')} masks: largest χ at depth 7",
                "largest chunks at t/T in [0.5, 0.7]",
                (
                    f"{value[top]:.3g} ± {error[top]:.2g} at t/T = {data['noise'][top]:g}; "
                    f"the mask's part {found['mask']['value'][top]:.3g}; at 0.9: {value[-1]:.3g} ± {error[-1]:.2g}"
                ),
            ),
            (
                f"{law.replace('_', ' ')} masks: variance saved by exact moments given the mask",
                "not treated",
                f"a factor {np.median(gain):.2g} (median over t/T)",
            ),
        ]
    return rows
