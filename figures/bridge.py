r"""Does the convex model of the last layer predict which forget sets descent-ascent harms? A study.

The protocol was fixed before the first run of the study.

**Data.** scikit-learn's digits, and Fashion-MNIST pooled to 14 x 14 pixels. Each is split at random
three times (seeds 11, 12, 13) into 1,000 training rows and about 800 validation rows. One training
label in ten is flipped. The three splits of the digits share their images.

**Networks.** One hidden layer of 128 units, as on the page networks. For each data set and split
there are 40 pretrained networks, and for each forget set 40 retrained ones, the *oracles*. One more
pretrained network is *diagnosed*. It chooses the forget sets and gives all predictors, as a user
has one network. Its unlearning is not measured.

**Forget sets.** 44 sets of 10 rows for each data set and split. Their kinds: 8 *random*. 6
*flipped*: random rows with a flipped label. 6 *neighbours*: a random row and those nearest to it.
5 of *one class*. 5 *mixed*, with 1, 2, 3, 5 and 7 flipped rows. 4 *component*: the top and the
bottom of the first two principal components of the neural tangent kernel. 4 *easy*: from the
quarter of rows of the smallest loss. 3 *high loss*: from the twentieth of the largest loss. 3 *high
loss, clean*: the same of rows without a flipped label. A *cell* is one data set in one split.

**Runs.** Descent-ascent at four learning rates: 0.005, 0.02, 0.05 and 0.1. Each of the first five
epochs raises the loss of F, then lowers that of R. Five more epochs lower the loss of R only. A run
is judged after epoch 5 and after epoch 10. So there are eight runs for each forget set.

**Harm.** The rise of a mean over rows, from the pretrained networks to those after the run:

* of KLoM against the oracles, estimated for normal laws (without bias, capped at 1,000 a row),
* of KLoM by the published histogram,
* of the cross-entropy.

Each is taken on the validation rows and on the retained rows. The *primary* harm is the first, on
validation rows, after epoch 5. It is primary because its two halves of networks agreed best in a
trial on split 21, which is not part of the study. In that trial 18 sets of each data set were seen,
with the correlations of the harm with the mean forget loss, and the gains of always running.

**Predictors.** Of the diagnosed network itself: the mean loss of the forgotten rows. All others
come from a convex model of its last layer. That is multinomial logistic regression on the first 30
principal components of what the layer receives, and a bias, with ridge 0.01. They are: the
break-even strength, exact and to first order, the critical strength, the relative distance of the
pretrained from the retrained weights, four norms of the cross-influence, the mean leverage, and the
mean cosine between gradients of forgotten and kept rows (:mod:`figures._bridge_diagnosis`).

**Numbers.** Spearman's rank correlation within each cell, averaged over the splits, for each data
set apart. Also the partial correlation given the mean forget loss. The 95 % interval is a nested
bootstrap: splits are drawn with replacement, and forget sets within each drawn split
(:mod:`gda_theory.studies.ranks`). All pairs are shown, and no interval is corrected for their
number. The *ceiling* of a correlation is the square root of the reliability of the harm: the rank
correlation r between the harms that both halves of the networks give, as 2r / (1 + r).

**Hypotheses**, from a pilot of 16 sets on one split of the digits, where harm was the published
KLoM at rate 0.02 after epoch 5:

1. At rate 0.02 the harm grows with the mean forget loss (pilot: 0.90).
2. At rate 0.02 it falls with the exact break-even strength (pilot: -0.72).
3. Break-even adds nothing, given the forget loss (pilot: partial correlation -0.15).
4. At rate 0.005 the signs of 1 and 2 are reversed.
5. The first-order break-even strength predicts nothing.

Number 1, 2 and 4 *hold* on a data set if the interval excludes 0 on the side that is named, and
*fail* if it excludes 0 on the other side. Number 3 and 5 hold if the interval contains 0. Each is
stated for the primary and for the published harm. A predictor *predicts* a run if its interval
excludes 0 on the same side on both data sets. It *adds* to the forget loss if that is so for the
partial correlation.

**The calibrated question.** For each run: use it or not? The *gain* of using it is the fall of the
published KLoM, averaged over rows within each of F, R and validation rows, then over these three.
The gain of doing nothing is 0. A *rule* says: use the run where one predictor is below (or above) a
threshold. From all predictors, sides and thresholds, always and never included, the rule of the
largest mean gain on the digits is taken. The answer for a run is the mean gain of this rule on
Fashion-MNIST. Its interval comes from the same nested bootstrap of both data sets, in which the
rule is chosen anew each time. The rule is *better than never* if the interval of its gain is above
0. It is *of use* if it is also better than the better one of always and never on Fashion-MNIST.
With eight runs the intervals hold 1 - 0.05 / 8 = 99.4 %. Secondary: the same with predictors as
ranks within their cell, with KLoM of normal laws, and the best rule of each predictor alone.
"""

import argparse
from pathlib import Path

import numpy as np

from figures import _bridge_numbers as numbers
from figures import _bridge_page, _bridge_study
from figures.parts import DOTTED
from figures.style import COLOURS
from gda_theory.studies.networks.kept import parts as parts_of
from theory_common.printing import tables
from theory_common.printing.files import write_whole

TITLE = (
    "Which forget sets descent-ascent harms can be told before, but the sign depends on its rate"
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
    settings = _bridge_study.PRESETS[preset]
    if preset == "paper" and not measure:
        table = tables.loads(TABLE.read_text(encoding="utf-8"))
    else:
        settings = settings._replace(datasets=_bridge_study.available(settings))
        parts = parts_of(folder)
        table = _bridge_study.study(settings, None if parts is None else Path(parts))
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
