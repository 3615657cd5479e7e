"""Fig. 4 and what is behind it: the paper's sufficient windows, the exact ones, the fold, and what descent-ascent does everywhere."""

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

import gda_theory as gt
from figures.parts import categories, key, nearest
from figures.style import COLOURS

TITLE = "Correlated samples: when descent-ascent moves away from the oracle, and when it has no minimum at all"
CAPTION = (
    "A retained type (1, ε) and a forgotten type (ε, 1), exponential loss, mean losses, n = 100, a tenth of the retained samples in the "
    "pair; one column a ridge λ. The paper's own counts and ridge could not be seen, so these are ours. "
    "Top: the windows that Lemma 9 (lower edge, dashed) and Lemma 10 (upper edge, solid) guarantee, shaded where they are not empty: there "
    "both margins have pretraining between the oracle and descent-ascent. "
    "Middle: where that order really holds; it ends at the fold (dotted), beyond which descent-ascent has no stationary point. "
    "Bottom, for f/n = 0.2: what the weights do. Benign: descent-ascent ends at least as near to the oracle as doing nothing; detrimental: "
    "farther; divergent: nowhere. The hatched region, α > f/r_p, belongs to no data. The exact windows are wider than the sufficient "
    "ones, and at small ridge the sufficient windows vanish where the exact ones do not."
)
LEMMAS = ["Fig. 4", "Lemma 9", "Lemma 10", "Sec. 5.1.2"]
SIZE = (10.5, 10.5)
RIDGES, FRACTIONS, SAMPLES, SHOWN = (1.0, 0.1, 0.01), (0.05, 0.1, 0.2), 100, 2
HUES, LIMITS = ("green", "vermillion", "blue"), (1e-3, 10.0)
FILLS = {
    "benign": "#CFE8DC",
    "detrimental": "#F7D9A8",
    "divergent": "#C9C9C9",
}  # in the order of gt.pair.RegimeCode


def compute(preset):
    across, up = {"quick": (49, 160), "paper": (193, 400)}[preset]
    correlation, alpha = np.linspace(0.02, 0.98, across), np.geomspace(*LIMITS, up)
    forget = SAMPLES * np.array(FRACTIONS)[:, None]
    sizes = {
        "retain_size": SAMPLES - forget,
        "forget_size": forget,
        "retain_in_pair": (SAMPLES - forget) / 10,
    }
    ridge = np.array(RIDGES)[:, None, None]
    pair = gt.CorrelatedPair(correlation, ridge=ridge, **sizes)
    sufficient, exact = gt.pair.sufficient_window(pair), gt.pair.ordering_windows(pair)
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
        "ridge": np.array(RIDGES),
        "forget_fraction": np.array(FRACTIONS),
        "sufficient": sufficient._asdict(),
        "exact": {
            name: getattr(exact, name) for name in ("lower", "upper", "exists", "realisable")
        },
        "fold": exact.fold.alpha,
        "regime": gt.pair.regime(plane).code,
    }


def draw(figure, data):
    rows = figure.subplots(3, len(RIDGES), sharex=True, sharey=True)
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
        ("sufficient (Lemmas 9, 10)", "exact", f"exact, f/n = {FRACTIONS[SHOWN]:g}"),
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
    figure.suptitle("n = 100, r_p = r/10, exponential loss, mean losses")


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
        claim = f"order R ≥ D ≥ DA at ε = 0.5, λ = {ridge:g}, f/n = {data['forget_fraction'][SHOWN]:g}: α from, to"
        yield (
            claim,
            span(sufficient, at, "Lemmas 9, 10"),
            f"{span(exact, at, 'exact')}; fold at {fold[at]:.5g}",
        )
    held = sufficient["exists"] & (sufficient["lower"] < fold)
    inside = (exact["lower"] <= sufficient["lower"]) & (
        np.minimum(sufficient["upper"], fold) <= exact["upper"] * (1 + 1e-12)
    )
    here = f"{np.sum(held & inside)} of {np.sum(held)} sufficient windows lie in the exact one; {np.sum(exact['exists'])} exact ones exist"
    yield "the sufficient windows imply the order", "at every correlation", here


def span(edges, at, name):
    return (
        f"{name}: {edges['lower'][at]:.5g} to {edges['upper'][at]:.5g}"
        if edges["exists"][at]
        else f"{name}: empty"
    )
