"""Denoisers trained on grammars, beside Bayes: what is learned when, and what sampling costs."""

import numpy as np
from matplotlib.ticker import NullFormatter

from figures.style import COLOURS
from rhm_theory.studies import grammar_summary
from rhm_theory.studies import grammars as study

TITLE = "A denoiser learns a grammar from the leaves up, and its changes stay local until then"
CAPTION = """
In (a), each level of the tree is learned after the one below it: the curves rise one after the
other. In (b), sequences are coherent up to a level of the tree that rises with training. In (d),
the blocks that change together grow with training towards those of exact Bayes (black).

The Random Hierarchy Model has 8 symbols and branching 2. Small transformers of 165,000 weights see
fresh sequences of a random grammar. All panels but (c) are for depth 4 (quick preset: 3) and 2
rules for each symbol. If --set leaves these out, the panels show the first ones that are left, and
(f) is missing. Thick lines are means over grammars, thin lines are single runs. The table has
intervals.

(a) The share of the information that is used, 1 − gap/information, against the sequences seen. In
the task of level ℓ, the block of leaves below a node of level ℓ − 1 is hidden, and all others are
shown. The gap is the divergence of the denoiser's law of a leaf from the exact one. Below 0 the
denoiser is worse than the law of the leaf with nothing shown.

(b) The share of nodes that have a symbol, in sequences that are sampled from nothing, one token at
a time. A node has none if no rule gives its children. The dotted line is exact sampling.

(c) The sequences after which half of the information of a level is used, for all grammars that were
trained on. A level that was never half learned is left out. The quick preset half learns level 1
only.

(d) The backward part of the susceptibility, given the mask and teacher-forced, against the share of
hidden leaves. The colours are those of (e).

(e) The correlation C(r) of changes at distance r over C(0), at a share of 0.7 hidden leaves.

(f) The error of the sampler. The ancestral sampler reveals several tokens at one step, and then
leaves the language even with the exact posterior (black). So the errors of a denoiser itself are
those at one token at a time (dashed).
"""
LEMMAS = ["Sec. 3.2", "arXiv:2410.13770", "arXiv:2502.12089", "arXiv:2602.19619"]
SIZE = (10.5, 7.4)
# Which cells of the preset are made, and at most how many seeds of each grammar.
PARAMETERS = {"depths": [2, 3, 4, 5], "rules": [2, 3, 4], "seeds": 2}
HUES = ("vermillion", "orange", "green", "blue", "purple")
TIMES = ("sky", "green", "vermillion")


def compute(preset, depths, rules, seeds, folder=None):
    setting = study.chosen(study.SETTINGS[preset], depths, rules, seeds)
    runs = study.studied(setting, folder)
    seen = np.array(study.KEPT) * setting.steps * setting.batch
    cells = {}
    for cell in setting.cells:
        mine = [run for run in runs if (run["depth"], run["rules"]) == cell[:2]]
        cells[_name(*cell[:2])] = grammar_summary.of_cell(mine)
    return {
        "cell": _name(*shown(setting)),
        "seen": seen,
        "measured": seen[list(study.SHOWN)],
        "noise": np.array(study.NOISE),
        "steps": np.array(study.STEPS),
        "cells": cells,
    }


def shown(setting):
    """The cell of the panels: the one in which samplers are compared, or the first one."""
    cells = [cell[:2] for cell in setting.cells]
    return setting.sampled if setting.sampled in cells else cells[0]


def _name(depth, rules):
    return f"depth {depth}, {rules} rules"


def at(estimate, *place):
    """The entry of an estimate at a place of its axes; None stands for a whole axis."""
    index = tuple(slice(None) if one is None else one for one in place)
    return {name: np.asarray(values)[index] for name, values in estimate.items()}


def lines(panel, x, cell, name, place, colour, **line):
    """The mean over grammars as a thick line, and each run as a thin one."""
    for one in cell["each"][name]:
        panel.plot(x, one[place], color=colour, lw=0.7, alpha=0.6)
    panel.plot(x, cell[name]["value"][place], color=colour, marker="o", ms=3, **line)


def draw(figure, data):
    panels = figure.subplots(2, 3)
    cell = data["cells"][data["cell"]]
    levels = len(cell["information"]["value"])
    draw_levels(panels[0, 0], data["seen"], cell, levels)
    draw_valid(panels[0, 1], data["measured"], cell, levels)
    draw_half(panels[0, 2], data)
    draw_chi(panels[1, 0], data, cell)
    draw_distance(panels[1, 1], data, cell)
    if "sampler_root" in cell:
        draw_samplers(panels[1, 2], data, cell)
    else:
        panels[1, 2].remove()


def draw_levels(panel, seen, cell, levels):
    for level in range(levels):
        place = (slice(None), level)
        lines(panel, seen, cell, "used", place, COLOURS[HUES[level]], label=f"level {level + 1}")
    panel.axhline(1, color="black", ls=":", lw=1.2)
    panel.set(
        xscale="log",
        xlabel="sequences seen",
        ylabel="share of the information used",
        title="(a) level by level",
        ylim=(-0.6, 1.5),
    )
    panel.legend(loc="upper left", ncols=2)


def draw_valid(panel, seen, cell, levels):
    for level in range(levels):
        lines(panel, seen, cell, "valid", (slice(1, None), level), COLOURS[HUES[level]])
    panel.axhline(1, color="black", ls=":", lw=1.2)
    panel.set(
        xscale="log",
        xlabel="sequences seen",
        ylabel="nodes that have a symbol",
        title="(b) coherence of samples",
        ylim=(0, 1.08),
    )
    panel.set_xticks(seen, [f"{one:,.0f}" for one in seen])
    panel.xaxis.set_minor_formatter(NullFormatter())  # these labels would overlap


def draw_half(panel, data):
    marks = "osD^v"
    levels = max(len(cell["information"]["value"]) for cell in data["cells"].values())
    for place, (name, cell) in enumerate(data["cells"].items()):
        times = half_times(data["seen"], cell)
        panel.plot(
            np.arange(1, len(times) + 1),
            times,
            marker=marks[place],
            color=COLOURS[HUES[place]],
            mfc="none",
            label=name,
        )
    panel.set(
        yscale="log",
        xlabel="level of the tree",
        ylabel="sequences until half is used",
        title="(c) levels that get half learned",
        xlim=(0.7, levels + 0.3),
        xticks=range(1, 1 + levels),
    )
    panel.legend(loc="lower right")


def half_times(seen, cell):
    """Sequences at which half of the information of each level is used; NaN for never.

    It is interpolated in the logarithm of the sequences, for the mean over the grammars.
    """
    used = np.asarray(cell["used"]["value"])
    found = []
    for level in used.T:
        after = np.flatnonzero(level >= 0.5)
        if not len(after) or not after[0]:
            found.append(np.nan if not len(after) else seen[0])
            continue
        last, first = after[0] - 1, after[0]
        part = (0.5 - level[last]) / (level[first] - level[last])
        found.append(np.exp(np.interp(part, [0, 1], np.log(seen[[last, first]]))))
    return np.array(found)


def draw_chi(panel, data, cell):
    for place, colour in enumerate(("black", *(COLOURS[hue] for hue in TIMES))):
        lines(panel, data["noise"], cell, "chi", place, colour)
    panel.set(
        xlabel="share of hidden leaves t/T",
        ylabel="backward susceptibility χ",
        title="(d) blocks that change together",
    )


def draw_distance(panel, data, cell):
    whole = cell["correlation"]["value"]
    count = whole.shape[-1]
    r = np.arange(1, count)
    # Sums over ordered pairs become means: there are fewer pairs at larger distances.
    share = np.append(1, count / (count - r) / 2)
    scaled = {
        "correlation": {"value": whole * share},
        "each": {"correlation": cell["each"]["correlation"] * share},
    }
    for place, colour in enumerate(("black", *(COLOURS[hue] for hue in TIMES))):
        name = "exact Bayes" if not place else f"{data['measured'][place - 1]:,.0f} sequences"
        lines(panel, r, scaled, "correlation", (place, 2, slice(1, None)), colour, label=name)
    panel.axhline(0, color="black", ls=":", lw=1.2)
    panel.set(xlabel="distance r", ylabel="C(r)/C(0)", title="(e) correlation of changes")
    panel.legend(loc="upper right")


def draw_samplers(panel, data, cell):
    count = len(data["steps"])
    for place, (name, colour) in enumerate(
        (("exact posterior", "black"), ("trained denoiser", COLOURS["vermillion"]))
    ):
        ancestral = (place, slice(None, count))
        lines(panel, data["steps"], cell, "sampler_root", ancestral, colour, label=name)
        panel.axhline(cell["sampler_root"]["value"][place, count], color=colour, ls="--", lw=1)
    panel.set(
        xscale="log",
        xlabel="steps of the ancestral sampler",
        ylabel="sequences of the language",
        title="(f) error of the sampler",
        ylim=(0, 1.08),
    )
    panel.legend(loc="upper left", bbox_to_anchor=(0, 0.9))


def shortly(estimate, *place):
    """A value with its 95 % interval."""
    one = at(estimate, *place)
    return f"{one['value']:.3f} ({one['low']:.3f} to {one['high']:.3f})"


def claims(data):
    noise = data["noise"]
    for name, cell in data["cells"].items():
        yield from gap_rows(name, cell, data["seen"])
    for name, cell in data["cells"].items():
        few = f"{name} ({cell['grammars']} grammars, {cell['runs']} runs)"
        final = "; ".join(
            f"{shortly(cell['noise_gap'], -1, place)} of "
            f"{cell['noise_information']['value'][place]:.3f} at t/T = {noise[place]:g}"
            for place in range(len(noise))
        )
        yield f"{few}: final gap in nats for each hidden leaf, random masks", "not treated", final
        nodes = "; ".join(
            f"level {level}: {shortly(cell['node_gap'], -1, level)}"
            for level in range(cell["node_gap"]["value"].shape[-1])
        )
        yield f"{few}: final gap of nodes by samples, order 24, t/T = 0.7", "not treated", nodes
        chi = ", ".join(
            f"{shortly(cell['chi'], 1 + place, 2)} after {seen:,.0f}"
            for place, seen in enumerate(data["measured"])
        )
        yield (
            f"{few}: backward susceptibility at t/T = 0.7, teacher-forced",
            "texts and images are coherent over longer distances with training",
            f"{chi} sequences; Bayes {shortly(cell['chi'], 0, 2)}; at the end minus Bayes "
            f"{shortly(cell['chi_minus_bayes'], -1, 2)}",
        )
        yield (
            f"{few}: sampled minus teacher-forced susceptibility, trained",
            "not treated",
            f"{shortly(cell['sampled_minus_forced'])}; asymmetry of covariances "
            f"{shortly(cell['asymmetry'], -1, 2)}, of Bayes 0",
        )
    cell = data["cells"][data["cell"]]
    if "sampler_root" in cell:
        yield from sampler_rows(data["cell"], cell, data["steps"])


def gap_rows(name, cell, seen):
    """The table level x training time x gap to Bayes."""
    shown = (0, 2, 4, 6)
    for level, information in enumerate(cell["information"]["value"]):
        here = "; ".join(
            f"{seen[time]:,.0f}: {shortly(cell['gap'], time, level)}" for time in shown
        )
        used = 100 * cell["used"]["value"][-1, level]
        yield (
            f"{name}, level {level + 1} (information {information:.3f} nats): gap by sequences",
            "higher levels need more data",
            f"{here}; {used:.0f} % used at the end",
        )


def sampler_rows(name, cell, steps):
    """What each sampler does with the exact posterior and with the trained denoiser."""
    names = [*(f"{count} steps" for count in steps), "one at a time", "most confident first"]
    for place, sampler in enumerate(names):
        yield (
            f"{name}, {sampler}: sequences of the language; backward susceptibility at t/T = 0.7",
            "few-step samplers are not exact" if place < len(steps) else "exact in theory",
            f"Bayes {shortly(cell['sampler_root'], 0, place)}, χ "
            f"{shortly(cell['sampler_chi'], 0, place)}; trained "
            f"{shortly(cell['sampler_root'], 1, place)}, χ "
            f"{shortly(cell['sampler_chi'], 1, place)}",
        )
