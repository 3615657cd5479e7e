"""Does the convex model of the last layer predict which forget sets descent-ascent harms? A study.

The protocol is the docstring of :mod:`gda_theory.studies.bridge`.
"""

import argparse
from pathlib import Path

import numpy as np

from figures import _bridge_page
from figures.parts import DOTTED
from figures.style import COLOURS
from gda_theory.studies.bridge import analysis as numbers
from gda_theory.studies.bridge import study
from gda_theory.studies.networks.kept import parts as parts_of
from theory_common.printing import tables
from theory_common.printing.files import write_whole

TITLE = (
    "The harm of descent-ascent is predicted by known numbers, with a sign that depends on its rate"
)
CAPTION = """
In (a) and (b), follow a row from left to right: its sign changes with the learning rate. At a low
rate a run *helps* most those sets whose forgotten rows have a large loss. At a high rate it harms
these sets most. No number that is known before has the same sign at all rates.

A number is a rank correlation, averaged over the splits of the data. It is that of the harm with
something known of a forget set before any unlearning. It is bold if its 95 % interval excludes 0.
Harm is the rise of KLoM on unseen rows, from the pretrained networks to those after the run. The
first row is the loss of one network on the forgotten rows. All other rows come from a convex model
of the last layer of this network. They are ordered by the mean size of their correlations.

(d) and (e) show partial correlations, given the first row.

(c) shows every forget set at the least and the largest rate. Above the line the run did harm.

(f) Is it worth using a run? The gain is the fall of the published KLoM, averaged over forgotten,
kept and unseen rows. A rule was fixed on the digits, and judged on Fashion-MNIST (dots). It is
never better than always using the run (squares). A black line is the gain if one knew beforehand
which sets gain. Bars are intervals of 99.4 % (95 % for all runs together).

Quick preset: one split, 9 forget sets of each data set, 20 networks of each kind; its intervals
mean little. Paper: three splits, 44 sets, 40 networks. It reads the numbers that are kept with
the code; ``--set measure=1`` measures them anew (measure = {measure} here).
"""
LEMMAS = ["Sec. 3", "App. A"]
SIZE = (15, 10.5)
PARAMETERS = {"measure": 0}  # 1: the preset paper measures anew, in place of the kept table
TABLE = Path(__file__).with_name("_bridge_table.json")  # of the preset paper, written by main
REPLICATES = {"quick": 200, "paper": 2000}
RUN_COLOURS = {0: "blue", -1: "vermillion"}  # by the place of the rate


def compute(preset, measure, folder=None):
    settings = study.PRESETS[preset]
    if preset == "paper" and not measure:
        table = tables.loads(TABLE.read_text(encoding="utf-8"))
    else:
        settings = settings._replace(datasets=study.available(settings))
        parts = parts_of(folder)
        table = study.study(settings, None if parts is None else Path(parts))
    return {
        "table": table,
        "networks": settings.networks,
        **numbers.analysed(table, settings.rates, REPLICATES[preset]),
    }


# The picture -------------------------------------------------------------------------------------


def draw(figure, data):
    panels = figure.subplots(2, 3, width_ratios=(1, 1, 0.9))
    names = ordered(data)
    for column, dataset in enumerate(data["datasets"]):
        for row, analysis in enumerate(("plain", "given_loss")):
            image = correlations(panels[row, column], data, dataset, analysis, names)
            panels[row, column].set_title(f"({'abde'[2 * row + column]}) {titles(dataset)[row]}")
    for row in range(2):
        panels[row, 0].set_yticks(range(len(names)), [numbers.LABELS[name] for name in names])
        panels[row, 0].set_ylabel("known before")
    figure.colorbar(image, ax=panels[:, 1], label="rank correlation", pad=0.01)
    if len(data["datasets"]) < 2:
        panels[0, 1].set_visible(False)
        panels[1, 1].set_visible(False)
    scatter(panels[0, 2], data)
    rules(panels[1, 2], data)


def titles(dataset):
    name = numbers.NAMES[dataset]
    return f"{name}: harm of each run", f"{name}: given the mean forget loss"


def ordered(data):
    """The predictors: the mean forget loss first, then by their correlations over all runs."""
    size = {
        name: np.nanmean(
            [abs(one["plain"]["value"][place]) for one in data["correlations"].values()]
        )
        for place, name in enumerate(data["predictors"])
    }
    others = sorted(set(size) - {"network_loss"}, key=lambda name: -size[name])
    return ["network_loss", *others]


def correlations(panel, data, dataset, analysis, names):
    """A table of the correlations with the primary measure, after both epochs of each rate."""
    kinds = (numbers.PRIMARY, (*numbers.PRIMARY[:2], 10))
    runs = [(float(rate), kind) for kind in kinds for rate in data["rates"]]
    found = np.array(
        [[numbers.estimate(data, dataset, analysis, name, *run) for run in runs] for name in names]
    )
    image = panel.imshow(found[..., 0], cmap="PuOr_r", vmin=-1, vmax=1, aspect="auto")
    for (row, column), value in np.ndenumerate(found[..., 0]):
        if np.isfinite(value):
            sure = numbers.side(found[row, column]) != 0
            panel.text(
                column,
                row,
                f"{value:+.2f}".replace("0.", "."),
                ha="center",
                va="center",
                fontsize=9,
                color="white" if abs(value) > 0.6 else "black",
                fontweight="bold" if sure else "normal",
            )
    labels = [f"{rate:g}\n{'after 5' if kind[2] == 5 else 'after 10'}" for rate, kind in runs]
    panel.set_xticks(range(len(runs)), [label.split("\n")[0] for label in labels])
    panel.set_yticks(range(len(names)), [""] * len(names))
    panel.axvline(len(data["rates"]) - 0.5, color="black", lw=1.5)
    panel.grid(False)
    panel.set_xlabel("learning rate, after epoch 5 | after epoch 10")
    return image


def scatter(panel, data):
    """The primary harm of every forget set against the mean forget loss, least and largest rate."""
    table = data["table"]
    for rate, colour in RUN_COLOURS.items():
        for dataset, mark in zip(data["datasets"], "o^", strict=False):
            here = np.array(table["dataset"]) == dataset
            panel.plot(
                table["network_loss"][here],
                numbers.harm(table, rate, numbers.PRIMARY)[here],
                mark,
                color=COLOURS[colour],
                ms=4,
                alpha=0.6,
                mew=0,
                label=f"{numbers.NAMES[dataset]}, rate {data['rates'][rate]:g}",
            )
    panel.axhline(0, color="black", lw=0.8)
    panel.set_xscale("log")
    panel.set_yscale("symlog", linthresh=0.01)
    panel.set_ylim(-1, 300)
    panel.set_xlabel("mean forget loss of one network (nats)")
    panel.set_ylabel("harm: rise of KLoM on unseen rows (nats)")
    panel.set_title("(c) every forget set, after epoch 5")
    panel.legend(loc="upper left")


def rules(panel, data):
    """The gains on Fashion-MNIST of the rule fixed on the digits, of always, and the possible."""
    found = numbers.primary_rules(data)
    if not found:
        panel.set_visible(False)
        return
    places = np.arange(len(found))
    for name, shift, colour, mark in (
        ("always", 0.15, "orange", "s"),
        ("gain", -0.15, "blue", "o"),
    ):
        value, low, high = np.array([one[name] for one in found]).T
        panel.errorbar(
            places + shift,
            value,
            (value - low, high - value),
            fmt=mark,
            color=COLOURS[colour],
            ms=5,
            label={"gain": "rule fixed on the digits", "always": "always"}[name],
        )
    panel.plot(
        places, [one["possible"] for one in found], "_", color="black", ms=16, label="possible"
    )
    panel.axhline(0, **DOTTED)
    panel.set_xticks(places, [f"{one['rate']:g}\n{one['epoch']}" for one in found])
    panel.set_xlabel("learning rate and epoch of the run")
    panel.set_ylabel("mean gain on Fashion-MNIST (nats)")
    panel.set_title("(f) use the run or not: 0 is never")
    panel.legend(loc="upper left")


# The claims --------------------------------------------------------------------------------------


def claims(data):
    table = data["table"]
    sets = len(table["dataset"])
    cells = len(set(zip(table["dataset"], np.asarray(table["split"]).tolist(), strict=True)))
    yield (
        "size of the study",
        "none",
        f"{cells} cells, {sets} forget sets, {data['networks']} networks of each kind",
    )
    yield from counted(data)
    for words, analysis, predictor, rate, expected in numbers.HYPOTHESES:
        if rate not in np.asarray(data["rates"]).tolist():
            continue
        for kind in (numbers.PRIMARY, numbers.SECONDARY):
            here = [
                (dataset, numbers.estimate(data, dataset, analysis, predictor, rate, kind))
                for dataset in data["datasets"]
            ]
            said = "; ".join(
                f"{numbers.NAMES[name]} {numbers.short(found)}: {numbers.verdict(found, expected)}"
                for name, found in here
            )
            yield f"hypothesis {words} ({kind[0]} KLoM)", "not treated", said
    for analysis, verb in (("plain", "predicts"), ("given_loss", "adds to the forget loss")):
        for name in data["predictors"]:
            if analysis == "given_loss" and name == "network_loss":
                continue
            runs = numbers.agreed(data, analysis, name)
            yield f"{numbers.LABELS[name]} {verb}", "not treated", runs or "at no rate"
    for one in numbers.primary_rules(data):
        yield (
            f"rule for rate {one['rate']:g}, epoch {one['epoch']}",
            "not treated",
            f"{numbers.rule_in_words(one, list(data['predictors']))}: gain"
            f" {numbers.short(one['gain'])}, always {numbers.short(one['always'])}, better than"
            f" always and never by {numbers.short(one['excess'])}",
        )


def counted(data):
    """How many forget sets each run harms."""
    for rate, value in enumerate(np.asarray(data["rates"]).tolist()):
        for epoch in (5, 10):
            found = numbers.harm(data["table"], rate, (*numbers.PRIMARY[:2], epoch))
            said = f"{int(np.sum(found > 0))} of {len(found)}, median rise {np.median(found):.2g}"
            yield f"sets that rate {value:g} harms after epoch {epoch}", "not treated", said


def main(arguments=None):
    """Keep the measured table of the preset paper, and print the tables of the docs page."""
    parser = argparse.ArgumentParser(
        prog="python -m figures.bridge",
        description="Write the table of the study that is kept beside this file, and print the"
        " tables of the docs page as Markdown.",
    )
    parser.add_argument("source", type=Path, help="bridge.json, which the preset paper has written")
    source = parser.parse_args(arguments).source
    stored = tables.loads(source.read_text(encoding="utf-8"))
    if stored["preset"] != "paper":
        parser.error(f"{source} must be made with --preset paper, got {stored['preset']}")
    write_whole(TABLE, numbers.stored(stored["data"]["table"]) + "\n", force=True)
    print(_bridge_page.page(stored["data"]))


if __name__ == "__main__":
    main()
