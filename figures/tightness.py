"""How tight is each bound? All numbers are those of ``derivations.claim(id).evaluate``."""

import itertools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from matplotlib.lines import Line2D

import derivations
from figures.style import COLOURS

TITLE = (
    "Every bound compared with the exact value: some are tight, some are off by orders of magnitude"
)
CAPTION = """
Each line in (a) is one bound. Its distance from the vertical line at 1 says how loose the bound is.
At 1 the bound is exact. At 10 an upper bound is ten times too large, and a lower bound is ten times
too small.

(a) Every bound is evaluated over a range of the parameter named at the right, with the other
parameters fixed. Dots are the values that were evaluated.

(b)–(d) Some of the bounds are drawn against that parameter. On one coordinate, Lemma 4 and both
bounds of Corollary 1 become exact as the ridge λ → 0. At a large ridge Lemma 4 says nothing, as it
does not use λ.

For a pair, most bounds are nearly exact at a large ridge. Lemma 9's threshold for y stays n/f = 20
times too large, and that for x becomes exact. The error bounds of the first-order forms have the
right order in f/r, and are 3 to 5 times too large.

Hoeffding's bounds use only the fact that one answer is right or wrong. They are too large by up to
three orders of magnitude as the gap t grows.

The series and first-order forms of fold and break-even are not bounds. For them the factor is that
between the form and the exact value.
"""
LEMMAS = [f"Lemma {number}" for number in (1, 4, 5, 7, 8, 9, 10, 11)] + [
    "Corollary 1",
    "App. B",
    "App. D.3",
]
SIZE = (12.0, 9.4)
GROUPS = {  # colour, heading
    "coordinate": ("blue", "one coordinate"),
    "pair": ("vermillion", "correlated pair"),
    "data": ("green", "any data"),
    "random": ("purple", "random sets"),
}


class Sweep(NamedTuple):
    """A claim's bounds over one parameter. ``labels`` name the components that it evaluates."""

    claim: str
    group: str
    labels: tuple[str, ...]
    parameter: str
    values: tuple[float, float]
    fixed: Mapping[str, float] = MappingProxyType({})
    spaced: Callable = np.geomspace
    together: str = ""  # another parameter that takes the same values
    logarithms: bool = False  # whether what is evaluated are logarithms, whose ratio means nothing


RIDGE, SHARE = ("ridge", (1e-8, 1e4)), ("share", (1e-4, 0.5))
SWEEPS = (
    Sweep("lemma-4-bound", "coordinate", ("Lemma 4, |w_D − w_R| ≤",), *RIDGE),
    Sweep("lemma-4-any-loss", "coordinate", ("Lemma 4, logistic loss",), *RIDGE),
    Sweep(
        "lemma-5-bound",
        "coordinate",
        ("Lemma 5, w_R − w_DA ≥ w_R",),
        "alpha",
        (0.2501, 0.259),
        spaced=np.linspace,
    ),
    Sweep(
        "corollary-1-rate",
        "coordinate",
        ("Cor. 1, w_R − w_DA ≤ ln 1/κ", "Cor. 1, w_R ≥ ln z − ln ln z"),
        "ridge",
        (1e-8, 0.035),
    ),
    Sweep(
        "early-stop-coordinates",
        "coordinate",
        ("best early stop, two coordinates",),
        "ridge",
        (0.01, 1.0),
    ),
    Sweep("short-steps-descend", "coordinate", ("one step's decrease of J",), "step", (0.01, 2.5)),
    Sweep(
        "lemma-7-bounds",
        "pair",
        ("Lemma 7, x_D ≥", "Lemma 7, x_D ≤", "Lemma 7, y_D ≥", "Lemma 7, y_D ≤"),
        *RIDGE,
    ),
    Sweep(
        "lemma-8-bounds",
        "pair",
        ("Lemma 8, x_DA ≤", "Lemma 8, y_DA ≤"),
        "ridge",
        (1e-3, 1e4),
        {"alpha": 0.02},
    ),
    Sweep(
        "exact-lower-edge", "pair", ("Lemma 9, α for x", "Lemma 9, α for y"), "ridge", (0.1, 1e4)
    ),
    Sweep("lemma-10-x", "pair", ("Lemma 10, x_D ≤ x_R at α_x",), *RIDGE),
    Sweep("lemma-10-y", "pair", ("Lemma 10, y_D ≤ y_R at α_y",), *RIDGE),
    Sweep("fold-locus-bounds", "pair", ("fold, B ≥", "fold, B ≤"), *RIDGE),
    Sweep("flow-blow-up", "pair", ("time to blow-up",), "y", (-14.0, -4.0), spaced=np.linspace),
    Sweep(
        "small-correlation-series",
        "pair",
        ("fold, B by the series to ε²",),
        "correlation",
        (0.01, 0.9),
        logarithms=True,
    ),
    Sweep(
        "opposite-sides-error",
        "data",
        ("error of w_D to first order", "error of w(γ), γ = f/r"),
        *SHARE,
        together="strength",
    ),
    Sweep("influence-error", "data", ("error of the Newton step",), *SHARE),
    Sweep(
        "distance-by-curvature",
        "data",
        ("distance from any weights",),
        "point",
        (0.0, 1.5),
        spaced=np.linspace,
    ),
    Sweep(
        "newton-residual",
        "data",
        ("gradient after a Newton step",),
        "point",
        (0.0, 2.0),
        spaced=np.linspace,
    ),
    Sweep(
        "break-even-first-order",
        "data",
        ("break-even strength, first order",),
        "share",
        (1e-4, 0.2),
    ),
    Sweep("near-the-origin", "data", ("distance to the signed mean",), "ridge", (0.01, 1e4)),
    Sweep("logistic-norm-bound", "data", ("‖w‖ ≤ S/λ, logistic",), "ridge", (1e-4, 1e4)),
    Sweep("hoeffding", "random", ("Lemmas 1, 11, f = 40",), "gap", (0.05, 0.5), spaced=np.linspace),
    Sweep(
        "hoeffding-finite-test",
        "random",
        ("Lemmas 1, 11, 20 test points",),
        "gap",
        (0.05, 0.5),
        spaced=np.linspace,
    ),
    Sweep(
        "hoeffding-one-sided",
        "random",
        ("Lemmas 1, 11, one side",),
        "gap",
        (0.05, 0.5),
        spaced=np.linspace,
    ),
)
SYMBOLS = {
    "ridge": "λ",
    "alpha": "α",
    "step": "η",
    "y": "y",
    "correlation": "ε",
    "share": "f/r",
    "gap": "t",
    "point": "w",
}


def compute(preset):
    points = {"quick": 13, "paper": 49}[preset]
    return {sweep.claim: evaluated(sweep, points) for sweep in SWEEPS}


def evaluated(sweep, points):
    """The parameter's values, and for each component what the claim computed and claimed.

    ``factor`` says by how much these two differ.
    """
    claim = derivations.claim(sweep.claim)
    values = sweep.spaced(*sweep.values, points)
    varied = {sweep.parameter, sweep.together} - {""}
    both = [
        claim.evaluate(**sweep.fixed, **dict.fromkeys(varied, float(value))) for value in values
    ]
    computed, claimed = (
        np.array([np.atleast_1d(side) for side in sides], float).T
        for sides in zip(*both, strict=True)
    )
    apart = (
        np.exp(np.abs(computed - claimed))
        if sweep.logarithms
        else np.maximum(computed / claimed, claimed / computed)
    )
    return {"values": values, "computed": computed, "claimed": claimed, "factor": apart}


def rows(data):
    """(sweep, label, factors over the range) for each bound."""
    for sweep in SWEEPS:
        yield from (
            (sweep, label, factors)
            for label, factors in zip(sweep.labels, data[sweep.claim]["factor"], strict=True)
        )


def draw(figure, data):
    left, right = figure.subfigures(1, 2, width_ratios=(1.45, 1))
    strips(left.subplots(), data)
    chosen = (("coordinate", "ridge"), ("pair", "ridge"), ("data", "share"))
    for letter, panel, (group, parameter) in zip("bcd", right.subplots(3, 1), chosen, strict=True):
        lines(panel, data, group, parameter)
        panel.set(
            title=f"({letter}) {GROUPS[group][1]}, against {SYMBOLS[parameter]}",
            xlabel=SYMBOLS[parameter],
            ylabel="factor",
        )


def strips(axes, data):
    everything = list(rows(data))
    for height, (sweep, _, factors) in enumerate(everything):
        colour = COLOURS[GROUPS[sweep.group][0]]
        found = factors[np.isfinite(factors)]
        axes.plot([found.min(), found.max()], [height, height], color=colour, lw=3, alpha=0.5)
        axes.plot(found, np.full(len(found), height), "o", color=colour, ms=3.5)
        axes.annotate(span(sweep), (1.01, height), xycoords=("axes fraction", "data"), va="center")
    axes.axvline(1, color="black", lw=1)
    axes.set_yticks(range(len(everything)), [label for _, label, _ in everything])
    axes.set(
        xscale="log",
        xlabel="bound over truth (lower bounds: truth over bound); 1 is exact",
        title="(a) all bounds of the ledger",
    )
    axes.set_ylim(len(everything) - 0.4, -0.6)
    handles = [
        Line2D([], [], color=COLOURS[colour], lw=3, marker="o", label=heading)
        for colour, heading in GROUPS.values()
    ]
    axes.legend(handles=handles, loc="center right", bbox_to_anchor=(1, 0.62))


def lines(axes, data, group, parameter):
    """The bounds of one group; of a pair's many, those that are somewhere 20 % off."""
    of_group = [row for row in rows(data) if (row[0].group, row[0].parameter) == (group, parameter)]
    drawn = [row for row in of_group if np.nanmax(row[2]) > (1.2 if group == "pair" else 1)]
    styles = itertools.product(("-", "--"), COLOURS.values())
    for (line, colour), (sweep, label, factors) in zip(styles, drawn, strict=False):
        axes.plot(data[sweep.claim]["values"], factors, line, color=colour, label=label)
    axes.set(xscale="log", yscale="log")
    many = len(drawn) > 5
    if many:
        axes.set_ylim(top=3e8)  # space for the names
    axes.legend(ncols=1 + many)


def span(sweep):
    """The parameter and its range."""
    low, high = (f"{value:g}".replace("e-0", "e-") for value in sweep.values)
    return f"{SYMBOLS[sweep.parameter]} {low} … {high}"


def claims(data):
    for sweep, label, factors in rows(data):
        exact = sweep.logarithms or sweep.claim == "break-even-first-order"
        word = "within a factor of" if exact else "holds, and is loose by a factor of"
        new = derivations.claim(sweep.claim).origin == "new"
        yield (
            label,
            f"not treated; ledger: {sweep.claim}" if new else f"ledger: {sweep.claim}",
            f"{word} {np.nanmin(factors):.4g} to {np.nanmax(factors):.4g}, {span(sweep)}",
        )
