"""The law of opposite sides on real data: pretraining and ascent lie on opposite sides of the retrained model."""

import numpy as np

import gda_theory as gt
from figures.parts import DASHED, DOTTED, boxes, spread
from figures.style import COLOURS
from gda_theory.problem import tables as datasets
from gda_theory.verdict import diagnosis

TITLE = "Pretraining and gradient ascent lie on opposite sides of the retrained model, on real data as in theory"
CAPTION = (
    "breast_cancer (569 rows, 30 standardised features, logistic loss, mean losses, λ = 0.01, no intercept), many random forget sets. "
    "(a) The minima of descent-ascent as the strength γ grows, for 28 forgotten rows, in units of the distance from the pretrained "
    "model (star) to the retrained one (plus): they leave on the side away from the pretrained model, cross the circle of doing nothing "
    "(break-even) and go far out of the picture. (b) Their distance to the retrained model against γ: above the dashed line ascent is "
    "worse than doing nothing, and before the paper's γ = 1 (dotted) nearly every minimum is lost at a fold (dots). (c) Break-even "
    "strength against the ratio of set sizes f/r, somewhat below the first-order law γ = f/r for nearly every set; and the fold. (d) "
    "Cosine between the displacement of pretraining and the first displacement of ascent; −1 is exactly opposite. Boxes hold the middle "
    "half."
)
LEMMAS = ["Lemma 3", "Eq. 1", "Sec. 5.1"]
SIZE = (10.5, 8.5)
SIZES, SHOWN, RIDGE = (7, 14, 28, 57, 114), 28, 1e-2
STRENGTHS = np.geomspace(1e-3, 10, 41)


def compute(preset):
    draws = {"quick": 30, "paper": 200}[preset]
    problem = datasets.load("breast_cancer", forget=f"random:{SHOWN}").problem(ridge=RIDGE)
    count = len(problem.signs)
    sides = {
        size: measured(
            problem, [datasets.random_forget_set(count, size, seed) for seed in range(draws)]
        )
        for size in SIZES
    }
    return {
        "strengths": STRENGTHS,
        "sizes": np.array(SIZES),
        "sets": {str(size): found for size, found in sides.items()},
    }


def measured(problem: gt.Problem, forget_sets):
    found = diagnosis.opposite_sides(problem, forget_sets, STRENGTHS)._asdict()
    # Rounding can make the part along exceed the whole.
    for name in ("", "fold_"):
        found[f"{name}across"] = np.sqrt(
            np.maximum(found[f"{name}distance"] ** 2 - found[f"{name}along"] ** 2, 0)
        )
    return found


def draw(figure, data):
    (plane, distance), (even, cosine) = figure.subplots(2, 2)
    shown, sets = data["sets"][str(SHOWN)], data["sets"].values()
    orbits(plane, shown)
    distance.plot(data["strengths"], shown["distance"].T, color=COLOURS["blue"], lw=0.7, alpha=0.6)
    fold = {"color": COLOURS["vermillion"], "ms": 4, "zorder": 3, "label": "fold: minimum lost"}
    distance.plot(shown["critical_strength"], shown["fold_distance"], "o", **fold)
    distance.axhline(1, **DASHED, label="doing nothing")
    distance.axvline(1, **DOTTED, label="the paper's γ = 1")
    distance.set(
        xscale="log",
        yscale="log",
        xlabel="ascent strength γ",
        ylabel="distance to retrained / pretrained's distance",
    )
    distance.set_title(f"(b) {len(shown['distance'])} random forget sets of {SHOWN} rows")
    distance.legend(loc="lower right")
    for hue, name, label, mark in (
        ("vermillion", "critical_strength", "fold", "o"),
        ("blue", "break_even_strength", "break-even", "s"),
    ):
        for index, found in enumerate(sets):
            even.plot(
                found["size_ratio"],
                found[name],
                mark,
                color=COLOURS[hue],
                ms=3,
                alpha=0.4,
                label="_" if index else label,
            )
            even.plot(
                found["size_ratio"][0],
                np.nanmedian(found[name]),
                "D",
                color=COLOURS[hue],
                mec="black",
                ms=6,
                zorder=3,
            )
    ratios = [found["size_ratio"][0] for found in sets]
    even.plot(ratios, ratios, color="black", lw=1.2, label="γ = f/r")
    even.axhline(1, **DOTTED, label="the paper's γ = 1")
    even.set(
        xscale="log",
        yscale="log",
        xlim=(0.008, 0.4),
        xlabel="forgotten per retained row f/r",
        ylabel="ascent strength γ",
    )
    even.set_xticks(ratios, [f"{ratio:.3f}" for ratio in ratios])
    even.minorticks_off()
    even.set_title("(c) strengths, medians as diamonds")
    even.legend(loc="lower right", ncols=2)
    places = np.arange(len(data["sizes"]))
    boxes(
        cosine,
        [found["opposite_cosine"] for found in sets],
        places,
        0.5,
        flierprops={"markersize": 4},
    )
    cosine.set_xticks(places, [str(size) for size in data["sizes"]])
    cosine.axhline(0, color="black", lw=0.8)
    cosine.set(
        xlabel="forgotten rows f",
        ylabel="cosine",
        ylim=(-1.02, 0.05),
        title="(d) pretraining against ascent",
    )


def orbits(panel, shown):
    labels = ["minima, γ from 0 up"] + ["_"] * (len(shown["along"]) - 1)
    panel.plot(
        shown["along"].T, shown["across"].T, color=COLOURS["blue"], lw=0.8, alpha=0.6, label=labels
    )
    angle = np.linspace(0, np.pi, 200)
    panel.plot(np.cos(angle), np.sin(angle), **DASHED, label="as far as doing nothing")
    panel.plot(
        1,
        0,
        "*",
        color=COLOURS["green"],
        ms=14,
        mec="black",
        zorder=4,
        ls="none",
        label="pretrained",
        clip_on=False,
    )
    panel.plot(
        0, 0, "P", color="black", ms=9, zorder=4, ls="none", label="retrained", clip_on=False
    )
    panel.set(
        xlabel="part along the pretrained model's displacement",
        ylabel="length of the rest",
        xlim=(-3.4, 1.4),
        ylim=(0, 3.6),
    )
    panel.set_aspect("equal")
    panel.set_title(f"(a) minima of descent-ascent, {len(shown['along'])} forget sets")
    panel.legend(loc="upper right")


def claims(data):
    shown = data["sets"][str(SHOWN)]
    even, fold, count = (
        shown["break_even_strength"],
        shown["critical_strength"],
        len(shown["distance"]),
    )
    yield f"break-even strength, f/r = {shown['size_ratio'][0]:.4f}", "γ = 1 is used", spread(even)
    yield (
        "first-order break-even over the exact one",
        "not treated",
        spread(shown["first_order_break_even"] / even),
    )
    yield (
        "cosine, pretraining against ascent",
        "opposite (one coordinate)",
        spread(shown["opposite_cosine"]),
    )
    yield (
        "minimum lost before γ = 1",
        "not treated",
        f"{np.sum(fold < 1)} of {count}; strength {spread(fold)}",
    )
    yield (
        "sets where γ = 1 ends farther than doing nothing, or nowhere",
        "most",
        f"{np.sum(~(even > 1))} of {count}",
    )
    towards = f"{np.sum(shown['first_step_towards'])} of {count}"
    yield (
        "sets where the first step of ascent goes towards the retrained model",
        "not treated",
        towards,
    )
