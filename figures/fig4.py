"""Fig. 4: the windows that the paper guarantees, the exact ones, and what descent-ascent does."""

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

import gda_theory as gt
from figures.parts import categories, key, listed, nearest
from figures.style import COLOURS

TITLE = (
    "Correlated rows: when descent-ascent moves away from the oracle, and when it has no minimum"
)
CAPTION = """
Look at the coloured bands in the middle panels. There descent-ascent ends on the wrong side: the
pretrained model lies between descent-ascent and the oracle. The top panels show how much of this
the paper guarantees. It does so only where a dashed line is below the solid line of its colour.
That is hardly anywhere, and nowhere at small ridge.

Descent-ascent lowers the loss on the retained rows of the data and raises it on the forgotten ones.
The oracle is the model retrained without the forgotten rows.

There are two types of rows: a retained type (1, ε) and a forgotten type (ε, 1). For each retained
row of the first type, α rows of the second type are forgotten. The data have n = {samples} rows.
The exponential loss is averaged over each set. Each column is one ridge λ.

Top: the lower edge by Lemma 9 (dashed) and the upper edge by Lemma 10 (solid).

Middle: the exact edges, and the fold (dotted). Beyond the fold descent-ascent has no stationary
point.

Bottom: what descent-ascent does, for the largest forget set. Benign means that it ends at least as
near to the oracle as the pretrained model. Detrimental means that it ends farther away. Divergent
means that it has no end. No data have an α in the hatched region.

The counts and ridges of the paper's own figure are not known here. These are examples. Change them
with --set, for instance --set ridges=1,0.1,0.001.
"""
LEMMAS = ["Fig. 4", "Lemma 9", "Lemma 10", "Sec. 5.1.2"]
SIZE = (10.5, 10.5)
PARAMETERS = {
    "samples": 100,
    "forget_sizes": (5.0, 10.0, 20.0),
    "retain_in_pair": (9.5, 9.0, 8.0),  # one for each forget size
    "ridges": (1.0, 0.1, 0.01),
}
SHOWN = 2  # the forget size of the bottom row
HUES = ("green", "vermillion", "blue")  # by forget size
LIMITS = (1e-3, 10.0)  # of alpha
FILLS = {
    "benign": "#CFE8DC",
    "detrimental": "#F7D9A8",
    "divergent": "#C9C9C9",
}  # in the order of gt.pair.RegimeCode


def compute(preset, samples, forget_sizes, retain_in_pair, ridges):
    across, up = {"quick": (49, 160), "paper": (193, 400)}[preset]
    correlation = np.linspace(0.02, 0.98, across)
    alpha = np.geomspace(*LIMITS, up)
    forget = np.array(forget_sizes)[:, None]
    sizes = {
        "retain_size": samples - forget,
        "forget_size": forget,
        "retain_in_pair": np.array(retain_in_pair)[:, None],
    }
    ridge = np.array(ridges)[:, None, None]
    pair = gt.CorrelatedPair(correlation, ridge=ridge, **sizes)
    sufficient = gt.pair.sufficient_window(pair)
    exact = gt.pair.ordering_windows(pair)
    shown = {name: value[SHOWN, 0] for name, value in sizes.items()}
    plane = gt.CorrelatedPair(
        correlation,
        ridge=ridge,
        **shown,
        forget_in_pair=alpha[:, None] * shown["retain_in_pair"],
        allow_unrealisable=True,
    )
    return {
        "correlation": correlation,
        "alpha": alpha,
        "ridge": np.array(ridges),
        "forget_fraction": forget[:, 0] / samples,
        "sufficient": sufficient._asdict(),
        "exact": {
            name: getattr(exact, name) for name in ("lower", "upper", "exists", "realisable")
        },
        "fold": exact.fold.alpha,
        "regime": gt.pair.regime(plane).code,
    }


def draw(figure, data):
    rows = figure.subplots(3, len(data["ridge"]), sharex=True, sharey=True)
    for column, ridge in enumerate(data["ridge"]):
        for index, hue in enumerate(HUES):
            window(rows[0, column], data, data["sufficient"], (column, index), COLOURS[hue])
            window(rows[1, column], data, data["exact"], (column, index), COLOURS[hue])
            rows[1, column].plot(
                data["correlation"], data["fold"][column, index], ":", color=COLOURS[hue]
            )
        phases(rows[2, column], data, column)
        rows[0, column].set_title(f"ridge λ = {ridge:g}")
    for panel, name in zip(
        rows[:, 0],
        ("sufficient (Lemmas 9, 10)", "exact", f"exact, f/n = {data['forget_fraction'][SHOWN]:g}"),
        strict=True,
    ):
        panel.set(
            yscale="log",
            ylim=LIMITS,
            xlim=data["correlation"][[0, -1]],
            ylabel=f"{name}\nshare forgotten per retained α",
        )
    for panel in rows[-1]:
        panel.set_xlabel("correlation ε")
    fractions = [
        Patch(color=COLOURS[hue], alpha=0.6, label=f"f/n = {f:g}")
        for hue, f in zip(HUES, data["forget_fraction"], strict=True)
    ]
    edges = [
        Line2D([], [], color="black", ls=style, label=name)
        for style, name in (("--", "lower"), ("-", "upper"), (":", "fold"))
    ]
    fills = [Patch(color=hue, label=name) for name, hue in FILLS.items()]
    hatch = Patch(facecolor="white", edgecolor="grey", hatch="///", label="no such data")
    key(figure, [*fractions, *edges, *fills, hatch], ncols=5)
    given = data["parameters"]
    figure.suptitle(
        f"n = {given['samples']}, f = {listed(given['forget_sizes'])}, "
        f"r_p = {listed(given['retain_in_pair'])}; exponential loss, mean losses"
    )


def window(panel, data, edges, at, hue):
    lower, upper = (
        np.where(edges[name][at] > 0, edges[name][at], np.nan) for name in ("lower", "upper")
    )
    panel.plot(data["correlation"], lower, "--", color=hue)
    panel.plot(data["correlation"], upper, "-", color=hue)
    panel.fill_between(
        data["correlation"], lower, upper, where=edges["exists"][at], color=hue, alpha=0.18, lw=0
    )


def phases(panel, data, column):
    categories(
        panel, data["correlation"], data["alpha"], data["regime"][column], list(FILLS.values())
    )
    window(panel, data, data["exact"], (column, SHOWN), COLOURS[HUES[SHOWN]])
    panel.plot(data["correlation"], data["fold"][column, SHOWN], ":", color="black")
    realisable = data["exact"]["realisable"][column, SHOWN]
    panel.fill_between(
        data["correlation"],
        realisable,
        LIMITS[1],
        facecolor="none",
        edgecolor="grey",
        hatch="///",
        lw=0.8,
    )


def claims(data):
    sufficient, exact, fold = data["sufficient"], data["exact"], data["fold"]
    for column, ridge in enumerate(data["ridge"]):
        at = column, SHOWN, nearest(data["correlation"], 0.5)
        fraction = data["forget_fraction"][SHOWN]
        claim = f"range of α with R ≥ D ≥ DA at ε = 0.5, λ = {ridge:g}, f/n = {fraction:g}"
        yield (
            claim,
            span(sufficient, at, "Lemmas 9, 10"),
            f"{span(exact, at, 'exact')}; fold at {fold[at]:.5g}",
        )
    held = sufficient["exists"] & (sufficient["lower"] < fold)
    inside = (exact["lower"] <= sufficient["lower"]) & (
        np.minimum(sufficient["upper"], fold) <= exact["upper"] * (1 + 1e-12)
    )
    here = (
        f"{np.sum(held & inside)} of {np.sum(held)} sufficient windows lie in the exact one. "
        f"{np.sum(exact['exists'])} exact windows exist"
    )
    yield "the sufficient windows imply the order", "at every correlation", here


def span(edges, at, name):
    return (
        f"{name}: {edges['lower'][at]:.5g} to {edges['upper'][at]:.5g}"
        if edges["exists"][at]
        else f"{name}: empty"
    )
