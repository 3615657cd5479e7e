"""Does the harm of ascent grow with the spectral norm of the cross-influence? A study on data.

The protocol is the docstring of :mod:`gda_theory.studies.influence`.
"""

import argparse
from pathlib import Path

import numpy as np

from figures import _influence_page
from figures.parts import DOTTED
from figures.style import COLOURS
from gda_theory.studies.influence import data as data_sets
from gda_theory.studies.influence import study
from gda_theory.studies.influence.correlations import (
    LABELS,
    NEEDS_ORACLE,
    NORMS,
    PRIMARY,
    best_predictor,
    estimate,
    interval,
    ordered,
    stored,
)
from gda_theory.studies.influence.forget_sets import KINDS
from gda_theory.verdict import dependence
from theory_common.printing import tables
from theory_common.printing.files import write_whole

TITLE = "Of four cross-influence norms, one grows with the harm of ascent, and weakly"
CAPTION = """
In (a), a dot to the right of 0 says that the harm of ascent grows with the number named at the
left. These numbers describe a forget set, and are known before. The harm is how far 100 epochs at
strength 1 end from the retrained model, over the distance of the pretrained model. A dot is the
mean rank correlation over the data sets, at equal ridge and size of the forget set. A ring is the
same, given the mean forget loss. Bars are 95 % intervals over the data sets. Below the line are
predictors that need the retrained model.

Panel (b) shows the same correlations for other measures of harm. The rows are those of (a), and the
first column is (a). Bold numbers are those whose interval excludes 0.

Panels (c) and (d) show every forget set: its harm against the best predictor above the line, and
against the spectral norm of the loss cross-influence. From each number the median of its cell is
subtracted. A cell holds the forget sets of one data set, ridge and size.

With the preset *quick* there are only the data sets of scikit-learn and one ridge. The intervals
are then over three sources and mean little. The protocol is in the docs, on the page
cross_influence.
"""
LEMMAS = ["App. A"]
SIZE = (12, 10.5)
KIND_COLOURS = dict(
    zip(KINDS, ("blue", "orange", "green", "sky", "vermillion", "purple"), strict=True)
)
HARM = {
    "budget": "budget\nγ = 1",
    "budget_weak": "budget\nγ = f/r",
    "budget_alternating": "altern.\nγ = 1",
    "limit": "limit\nγ = 1",
    "limit_weak": "limit\nγ = f/r",
    "early_stop": "early\nstop",
    "retain_rise": "retain\nrise",
}


def compute(preset):
    names = {"quick": data_sets.BUNDLED, "paper": data_sets.ALL}[preset]
    ridges = {"quick": (0.01,), "paper": (0.001, 0.01, 0.1)}[preset]
    return study.studied(names, ridges, {"quick": 200, "paper": 2000}[preset])


# The picture -------------------------------------------------------------------------------------


def draw(figure, data):
    (forest, table), (best, norm) = figure.subplots(2, 2)
    order = ordered(data)
    correlations(forest, data, order)
    outcomes(figure, table, data, order)
    chosen = best_predictor(data)
    scatter(best, data, chosen, "(c) harm against the best predictor")
    scatter(norm, data, "loss_norm", "(d) harm against the spectral norm")
    handles, labels = norm.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), markerscale=2)


def correlations(panel, data, order):
    for analysis, colour, shift, fill, label in (
        ("equal_size", "blue", -0.13, COLOURS["blue"], "rank correlation"),
        ("given_loss", "vermillion", 0.13, "white", "given the mean forget loss"),
    ):
        value, low, high = np.transpose([estimate(data, analysis, name) for name in order])
        panel.errorbar(
            value,
            np.arange(len(order)) + shift,
            xerr=(value - low, high - value),
            fmt="o",
            color=COLOURS[colour],
            mfc=fill,
            ms=5,
            lw=1.4,
            label=label,
        )
    panel.axvline(0, color="black", lw=0.8)
    line = sum(name not in NEEDS_ORACLE for name in order) - 0.5
    panel.axhline(line, **DOTTED)
    panel.set_yticks(range(len(order)), [LABELS[name] for name in order])
    # Space for the legend below the last row.
    panel.set(xlim=(-1, 1), ylim=(len(order) + 1.2, -0.5))
    panel.set(xlabel="rank correlation with the harm", ylabel="known of a forget set")
    panel.set_title("(a) harm after 100 epochs at γ = 1")
    panel.legend(loc="lower left")


def outcomes(figure, panel, data, order):
    names = list(data["outcomes"])
    found = np.array(
        [[estimate(data, "equal_size", name, outcome) for outcome in names] for name in order]
    )
    image = panel.imshow(found[..., 0], cmap="PuOr_r", vmin=-1, vmax=1, aspect="auto")
    for (row, column, _), value in np.ndenumerate(found[..., :1]):
        low, high = found[row, column, 1:]
        sure = low > 0 or high < 0
        panel.text(
            column,
            row,
            f"{value:+.2f}",
            ha="center",
            va="center",
            fontsize=9,
            color="white" if abs(value) > 0.6 else "black",
            fontweight="bold" if sure else "normal",
        )
    panel.set_yticks(range(len(order)), [""] * len(order))
    panel.set_xticks(range(len(names)), [HARM[name] for name in names])
    panel.grid(False)
    # The rows stand where those of (a) stand.
    panel.set(ylim=(len(order) + 1.2, -0.5), xlabel="measure of harm", ylabel="as in (a)")
    panel.set_title("(b) all measures of harm; bold: the interval excludes 0")
    figure.colorbar(image, ax=panel, label="rank correlation")


def scatter(panel, data, name, title):
    kinds = np.array(data["table"]["kind"])
    for kind, colour in KIND_COLOURS.items():
        here = kinds == kind
        panel.plot(
            data["centred"][name][here],
            data["centred"][PRIMARY][here],
            "o",
            color=COLOURS[colour],
            ms=3,
            alpha=0.5,
            mew=0,
            label=kind,
            rasterized=True,
        )
    what = "log10 of " if np.min(data["table"][name]) > 0 else ""
    panel.set(xlabel=f"{what}{LABELS[name]}, less its cell's median", title=title)
    panel.set_ylabel("harm, less its cell's median")


# The claims --------------------------------------------------------------------------------------


def claims(data):
    table = data["table"]
    count = len(table[PRIMARY])
    counts = f"{len(data['datasets'])} data sets, {count} forget sets"
    yield "size of the study", "none", counts + _left_out(data)
    yield "models that did not converge", "none", int(np.sum(table["converged"] == 0))
    worse = np.sum(table[PRIMARY] > 0)
    yield "sets that end farther than doing nothing", "most", f"{worse} of {count}"
    lost, known = np.sum(np.isinf(table["limit"])), np.sum(~np.isnan(table["limit"]))
    yield "minimum lost before γ = 1, where it is known", "not treated", f"{lost} of {known}"
    for name in ordered(data):
        said = "proposed as a proxy" if name in NORMS else "not treated"
        yield f"harm against {LABELS[name]}", said, interval(data, "equal_size", name)
    for name in ordered(data):
        if name != "mean_forget_loss":
            here = interval(data, "given_loss", name)
            yield f"the same, given the mean forget loss: {LABELS[name]}", "not treated", here
    size = interval(data, "both_sizes", "size")
    yield "harm against the size of the set, at equal ridge", "not treated", size
    for name in NORMS:
        here = interval(data, "given_size_and_loss", name)
        yield f"given size and mean forget loss: {LABELS[name]}", "not treated", here
    for name in NORMS:
        here = interval(data, "equal_size", name, "retain_rise")
        yield f"rise of the retain objective against {LABELS[name]}", "proposed as a proxy", here


def _left_out(data):
    return f"; not installed: {', '.join(data['missing'])}" if len(data["missing"]) else ""


def main(arguments=None):
    """Write the package's table from the stored data of the figure, and print the page's tables."""
    parser = argparse.ArgumentParser(
        prog="python -m figures.cross_influence",
        description="Write the table of the study that comes with gda_theory, and print the tables"
        " of the docs page as Markdown.",
    )
    parser.add_argument(
        "source", type=Path, help="cross_influence.json, which the preset paper has written"
    )
    source = parser.parse_args(arguments).source
    found = tables.loads(source.read_text(encoding="utf-8"))
    if found["preset"] != "paper":
        parser.error(f"{source} must be made with --preset paper, got {found['preset']}")
    write_whole(dependence.STUDY, stored(found["data"]) + "\n", force=True)
    print(_influence_page.page(found["data"]))


if __name__ == "__main__":
    main()
