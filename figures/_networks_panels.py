"""The panels of the figure of networks."""

import numpy as np
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from figures.parts import DOTTED
from figures.style import COLOURS
from gda_theory.studies.networks import verdicts
from gda_theory.studies.networks.scores import SPLITS
from gda_theory.studies.networks.verdicts import (
    FORGET,
    MEAN,
    METHODS,
    NORMAL,
    RETAIN,
    VALIDATION,
    by,
)

MARKS = {
    "ascent": "v",
    "descent-ascent": "o",
    "fine-tuning": "s",
    "SCRUB": "D",
    "SCRUB, frozen student": "d",
    "Newton, last layer": "^",
    "Newton, network": "P",
}
HUES = ("blue", "vermillion", "green", "purple", "orange", "sky")
SET_MARKS = "oD^sPX"
SPLIT_MARKS = dict(zip(SPLITS, "vso", strict=True))
STAR = {"marker": "*", "ms": 14, "mec": "black", "color": COLOURS["vermillion"], "ls": ""}


def plane(panel, data, name, letter, against=VALIDATION):
    """KLoM on forgotten rows and on others, of every run; the colour is the cost."""
    found = data["sets"][name]
    forget, other = found["runs"][:, MEAN, FORGET], found["runs"][:, MEAN, against]
    for method, mark in MARKS.items():
        of = by(found, method)
        colours = panel.scatter(
            forget[of],
            other[of],
            c=found["cost"][of],
            marker=mark,
            s=26,
            cmap="cividis",
            vmin=0,
            vmax=1,
            edgecolors="black",
            linewidths=0.3,
        )
    panel.plot(found["nothing"][MEAN, FORGET], found["nothing"][MEAN, against], **STAR)
    panel.axvline(data["floor"][0], **DOTTED)
    panel.axhline(data["floor"][0], **DOTTED)
    panel.set_xscale("log")
    panel.set_yscale("log")
    for axis in (panel.xaxis, panel.yaxis):
        logarithmic(axis)
    rows = {VALIDATION: "unseen", RETAIN: "kept"}[against]
    panel.set_xlabel("mean KLoM on forgotten rows")
    panel.set_ylabel(f"mean KLoM on {rows} rows")
    panel.set_title(f"({letter}) {name}: {found['flipped']} of {found['rows']} flipped")
    return colours


def illusion(panel, data, letter):
    """The mean over the splits against the epochs of ascent, on random rows and the component.

    The colour is the rate of learning.
    """
    names = list(data["sets"])[:2]
    rates = np.unique(data["sets"][names[0]]["rate"][by(data["sets"][names[0]], "ascent")])
    hues = colormaps["viridis"](np.linspace(0, 0.9, len(rates)))
    for name, style in zip(names, ("--", "-"), strict=True):
        found = data["sets"][name]
        start = found["nothing"][MEAN].mean()
        for rate, hue in zip(rates, hues, strict=True):
            of = by(found, "ascent") & (found["rate"] == rate)
            panel.plot(
                np.append(0, found["epoch"][of]),
                np.append(start, found["runs"][of, MEAN].mean(1)),
                ls=style,
                marker="v",
                ms=4,
                color=hue,
            )
    panel.set_yscale("log")
    logarithmic(panel.yaxis)
    low, high = panel.get_ylim()
    panel.set_ylim(low, high * (high / low) ** 0.3)  # leaves a place for the legend
    panel.set_xlabel("epoch of ascent")
    panel.set_ylabel("mean KLoM over the splits")
    panel.set_title(f"({letter}) the illusion over time")
    handles = [
        Line2D([], [], color="gray", ls=style, label=name)
        for name, style in zip(names, ("--", "-"), strict=True)
    ]
    panel.legend(handles=handles, ncols=2, loc="upper center")
    _key_of_rates(panel, rates, hues)


def _key_of_rates(panel, rates, hues):
    """A bar beside the panel with the colour of each rate."""
    places = np.arange(len(rates))
    edges = np.append(places, len(rates)) - 0.5
    colours = ScalarMappable(BoundaryNorm(edges, len(rates)), ListedColormap(hues))
    bar = panel.figure.colorbar(colours, ax=panel, label="rate of learning", pad=0.02)
    bar.set_ticks(places, labels=[f"{rate:g}" for rate in rates])
    bar.ax.tick_params(length=0, which="both")


def logarithmic(axis):
    """A logarithmic axis with the ticks 1, 2, 5, 10, ..."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def scrub(panel, data, letter):
    """SCRUB after the last epoch, right and wrong."""
    name = list(data["sets"])[1]
    found = data["sets"][name]
    places = np.arange(len(SPLITS))
    last = found["epoch"] == data["epochs"][-1]
    shown = {
        "doing nothing": (found["nothing"][MEAN], "vermillion"),
        "SCRUB": (found["runs"][by(found, "SCRUB") & last][-1, MEAN], "blue"),
        "frozen student": (
            found["runs"][by(found, "SCRUB, frozen student") & last][-1, MEAN],
            "orange",
        ),
    }
    for shift, (label, (values, hue)) in enumerate(shown.items()):
        panel.bar(
            places + 0.27 * (shift - 1), values, 0.25, color=COLOURS[hue], label=label, ec="black"
        )
    panel.axhline(data["floor"][0], **DOTTED)
    panel.set_xticks(places, SPLITS)
    panel.set_xlabel("rows")
    panel.set_ylabel("mean KLoM")
    panel.set_title(f"({letter}) {name}: SCRUB, right and wrong")
    panel.legend()


def best(panel, data, letter):
    """The best run of each method on each set."""
    places = np.arange(len(METHODS) + 1)
    for name, hue, mark in zip(data["sets"], HUES, SET_MARKS, strict=False):
        found = data["sets"][name]
        values = [found["nothing"][NORMAL, FORGET]]
        values += [verdicts.best(found, method)[FORGET] for method in METHODS]
        panel.plot(values, places, mark, color=COLOURS[hue], label=name, alpha=0.8)
    panel.set_xscale("symlog", linthresh=0.1)
    panel.set_yticks(places, ["doing nothing", *METHODS])
    panel.set_ylim(len(places) - 0.5, -3.2)  # leaves a place for the legend
    panel.set_xlabel("KLoM on forgotten rows, normal margins")
    panel.set_ylabel("method")
    panel.set_title(f"({letter}) the best run of each method")
    panel.legend(loc="upper center", ncols=2)


def excess(panel, data, letter):
    """How far doing nothing is above the noise floor, and retrained networks, with intervals."""
    shown = {"doing nothing": ("interval", "vermillion"), "retrained": ("oracles", "black")}
    sets = len(data["sets"])
    for place, found in enumerate(data["sets"].values()):
        for row, (which, hue) in enumerate(shown.values()):
            _excess_row(panel, 2 * place + row, found[which], COLOURS[hue])
    panel.axvline(0, **DOTTED)
    panel.set_yticks(2 * np.arange(sets) + 0.5, list(data["sets"]))
    panel.set_ylim(2 * sets - 0.5, -1.1 * sets)  # leaves a place for the legend
    panel.set_xlabel("mean KLoM minus its noise floor")
    panel.set_ylabel("forget set")
    panel.set_title(f"({letter}) doing nothing and the floor")
    handles = [
        panel.plot([], [], mark, color="gray", label=split)[0]
        for split, mark in SPLIT_MARKS.items()
    ]
    handles += [
        Line2D([], [], color=COLOURS[hue], label=label) for label, (_, hue) in shown.items()
    ]
    panel.legend(handles=handles, loc="upper center", ncols=2)


def _excess_row(panel, place, intervals, colour):
    for shift, (split, mark) in enumerate(SPLIT_MARKS.items()):
        one = intervals[split]["mean"]
        panel.errorbar(
            one["excess"],
            place + 0.22 * (shift - 1),
            xerr=[[one["excess"] - one["excess_low"]], [one["excess_high"] - one["excess"]]],
            fmt=mark,
            ms=4,
            color=colour,
            lw=1.2,
        )


def band(panel, data, letter):
    """Accuracy on the largest random set and on fresh rows, in Hoeffding's band."""
    random = [name for name in data["sets"] if name.startswith("random")]
    name = max(random, key=lambda one: data["sets"][one]["rows"])
    found = data["sets"][name]
    line = np.linspace(0, 1, 50)
    width = found["band"]["width"]
    panel.fill_between(line, line - width, line + width, color="gray", alpha=0.25, lw=0)
    panel.plot(line, line, color="gray", lw=1)
    for method, mark in MARKS.items():
        of = found["band"]["runs"][by(found, method)]
        panel.plot(of[:, 1], of[:, 0], mark, ms=5, color=COLOURS["blue"], mec="black", mew=0.3)
    panel.plot(*found["band"]["nothing"][[1, 0]], **STAR)
    panel.plot(
        *found["band"]["oracle"][[1, 0]],
        "X",
        ms=10,
        color=COLOURS["orange"],
        mec="black",
        label="retrained",
    )
    shown = np.concatenate([found["band"]["runs"][:, :2], [found["band"]["oracle"][:2]]])
    panel.set_xlim(shown[:, 1].min() - 0.05, shown[:, 1].max() + 0.05)
    panel.set_ylim(shown[:, 0].min() - 0.1, 1.03)
    panel.set_xlabel("accuracy on fresh rows")
    panel.set_ylabel("accuracy on forgotten rows")
    panel.set_title(f"({letter}) {name}: Hoeffding's band")
    panel.legend(loc="lower right")


def defects(panel, data, letter):
    """How far each defect moves P95, as a median over all runs, and the order of the runs."""
    found = verdicts.defects(data["sets"])
    places = np.arange(len(found))
    for shift, (split, hue) in enumerate((("forget", "blue"), ("validation", "orange"))):
        values = [one[split] for one in found.values()]
        label = {"forget": "forgotten rows", "validation": "unseen rows"}[split]
        panel.barh(places + 0.4 * shift - 0.2, values, 0.38, color=COLOURS[hue], label=label)
    largest = max(max(one["forget"], one["validation"]) for one in found.values())
    for place, one in zip(places, found.values(), strict=True):
        end = max(one["forget"], one["validation"])
        panel.text(end + 0.01 * largest, place, f"τ = {one['tau']:.2f}", va="center")
    panel.set_xlim(0, 1.4 * largest)
    panel.set_yticks(places, list(found))
    panel.invert_yaxis()
    panel.set_xlabel("median change of P95 over all runs")
    panel.set_ylabel("defect, alone")
    panel.set_title(f"({letter}) defects of a public bench; τ: rank correlation of the runs")
    panel.legend(loc="center right")
