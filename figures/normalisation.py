"""Means or sums of losses: which of them puts pretraining and ascent on opposite sides."""

import numpy as np
from matplotlib.patches import Patch

import gda_theory as gt
from figures.parts import key
from figures.style import COLOURS

TITLE = (
    "Means or sums decide whether descent-ascent moves away from the oracle or passes through it"
)
CAPTION = """
Compare the black line (the oracle: the model retrained without the forgotten rows) with the
arrow. The arrow goes from the pretrained model (blue) to where descent-ascent ends (orange). Left,
the losses are averaged over each set, and the arrow points away from the oracle. Right, the losses
are summed, and the arrow crosses the oracle. There, ascent would be perfect if it stopped at the
right moment.

The loss is exponential, and α is the number of forgotten rows over that of retained rows. The
ridges are chosen so that the oracle is the same left and right. Curves of descent-ascent end where
it loses its minimum.

Top: the weight of one coordinate. Bottom: the margins of a correlated pair, of the retained type
(thick) and of the forgotten type (thin).

Shaded: where the pretrained model lies between the oracle and descent-ascent. For one coordinate
this is Lemma 3, and for the pair it is the exact ordering window. With sums the order is DA < R < D
for every α > 0, where DA is descent-ascent, R the oracle and D pretraining.
"""
LEMMAS = ["Lemma 2", "Lemma 3", "Sec. 5.1.2"]
SIZE = (10.0, 8.2)
# The oracle sees mass/ridge alone: r_j/r at ridge 0.01, or r_j at r times that ridge.
SIZES = {"retain_size": 80, "forget_size": 20}
RIDGES = {"mean": 0.01, "sum": 0.8}
REACH = {"mean": 0.32, "sum": 1.2}  # the largest alpha that is drawn
CORRELATION = 0.5
COUNT = 8
MODELS = {
    "pretrain": ("blue", "D: pretraining"),
    "retrain": ("black", "R: oracle"),
    "descent_ascent": ("vermillion", "DA: descent-ascent"),
}


def compute(preset):
    points = {"quick": 161, "paper": 801}[preset]
    return {
        reduction: sweep(reduction, np.linspace(0, REACH[reduction], points))
        for reduction in RIDGES
    }


def sweep(reduction, alpha):
    common = {"ridge": RIDGES[reduction], **SIZES, "reduction": reduction}
    coordinate = gt.Coordinate(
        **common, retain_in_coordinate=COUNT, forget_in_coordinate=COUNT * alpha
    )
    pair = gt.CorrelatedPair(
        CORRELATION, **common, retain_in_pair=COUNT, forget_in_pair=COUNT * alpha
    )
    points = {name: getattr(gt.pair, name)(pair) for name in MODELS}
    windows = gt.pair.ordering_windows(
        gt.CorrelatedPair(CORRELATION, **common, retain_in_pair=COUNT)
    )
    exact = gt.coordinate.order_range(coordinate)
    return {
        "alpha": alpha,
        "coordinate": {name: getattr(gt.coordinate, name)(coordinate).weight for name in MODELS},
        "order_range": {"lower": exact.lower[0], "upper": exact.upper[0]},
        "x": {name: point.x for name, point in points.items()},
        "y": {name: point.y for name, point in points.items()},
        "window": {
            "lower": np.where(windows.exists, windows.lower, np.nan),
            "upper": np.where(windows.exists, windows.upper, np.nan),
        },
    }


def draw(figure, data):
    rows = figure.subplots(2, 2, sharex="col", sharey="row")
    for column, (reduction, found) in enumerate(data.items()):
        single, pair = rows[:, column]
        curves(single, found["alpha"], found["coordinate"], 2)
        curves(pair, found["alpha"], found["x"], 2.4)
        curves(pair, found["alpha"], found["y"], 1)
        for panel, shade in ((single, found["order_range"]), (pair, found["window"])):
            panel.axvspan(shade["lower"], shade["upper"], color=COLOURS["green"], alpha=0.15, lw=0)
        at = len(found["alpha"]) // 2
        start, end = found["coordinate"]["pretrain"][at], found["coordinate"]["descent_ascent"][at]
        arrow = {"arrowstyle": "-|>", "color": "black", "lw": 1.5, "shrinkA": 0, "shrinkB": 0}
        single.annotate(
            "", (found["alpha"][at], end), (found["alpha"][at], start), arrowprops=arrow
        )
        single.set_title(f"{reduction} of the losses, λ = {RIDGES[reduction]:g}")
        pair.set_xlabel("share forgotten per retained α")
    rows[0, 0].set(ylabel="one coordinate: weight w", ylim=(-1.1, 2.4))
    rows[1, 0].set(
        ylabel=f"pair, ε = {CORRELATION:g}: margins x (thick), y (thin)", ylim=(0.4, 2.5)
    )
    lines = [(COLOURS[hue], "-", "", name) for hue, name in MODELS.values()]
    key(
        figure,
        [*lines, Patch(color=COLOURS["green"], alpha=0.3, label="D between R and DA (exact)")],
        ncols=4,
    )
    figure.suptitle(f"r = 80, f = 20, r_j = r_p = {COUNT}, exponential loss")


def curves(panel, alpha, found, width):
    for name, (hue, _) in MODELS.items():
        panel.plot(alpha, np.broadcast_to(found[name], alpha.shape), color=COLOURS[hue], lw=width)


def claims(data):
    lemma = {("mean", "coordinate"): "DA ≤ D ≤ R for f²/(r(f+n)) ≤ α ≤ f/r"}
    for reduction, found in data.items():
        for place, name in (("coordinate", "w"), ("x", "x"), ("y", "y")):
            trained, oracle, ascended = (found[place][model][1:] for model in MODELS)
            between = (ascended <= trained) & (trained <= oracle)
            through = (ascended < oracle) & (oracle < trained)
            here = "; ".join(
                stretch(found["alpha"][1:], holds)
                for holds in (between, through, np.isfinite(ascended))
            )
            paper = lemma.get((reduction, place), "not in the paper")
            yield f"{reduction}, {name}: where DA ≤ D ≤ R; DA < R < D; DA exists", paper, here
    edges = data["mean"]["order_range"]
    yield (
        "mean, w: range of α with DA ≤ D ≤ R",
        "f²/(r(f+n)) to f/r",
        f"{edges['lower']:.6g} to {edges['upper']:.6g}",
    )


def stretch(alpha, holds):
    return f"α in {alpha[holds][0]:.3g}–{alpha[holds][-1]:.3g}" if np.any(holds) else "never"
