"""A diagnosis as a Matplotlib figure: the minimum along the strength, and the early stops."""

import math
from typing import TYPE_CHECKING, Any

from gda_theory.verdict.page_pictures import best_stops

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#0072b2", "#c8500a", "#59616b"


def figure(document: Any) -> "Figure":
    """Two panels. The first is the minimum's distance along the strength, the second early stops.

    Args:
        document: what :meth:`gda_theory.Diagnosis.to_dict` returns.
    """
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(10, 4), layout="constrained")
    along, stops = drawn.subplots(1, 2)
    _along(along, document)
    _stops(stops, document)
    return drawn


def _along(axes: "Axes", document: Any) -> None:
    axes.set(
        xlabel="strength of the ascent",
        ylabel="distance to the retrained model,\nover that of doing nothing",
        yscale="log",
        title="Ascent's minimum moves away",
    )
    axes.axhline(1, color=GREY, linestyle="--", label="doing nothing")
    course, given = document["course"], document["given"]
    if course:
        distance = [value or math.nan for value in course["distance"]]
        axes.plot(course["strengths"], distance, color=BLUE, label="minimum of ascent")
    if given["break_even_strength"] is not None:
        axes.plot(given["break_even_strength"], 1, "o", color=BLUE, label="break-even")
    if given["critical_strength"] is not None:
        axes.axvline(given["critical_strength"], color=ORANGE, label="minimum disappears")
    axes.legend(fontsize="small")


def _stops(axes: "Axes", document: Any) -> None:
    axes.set(
        xlabel="part of the distance that is left",
        xscale="log",
        title="Best early stops, beside plain descent",
    )
    axes.axvline(1, color=GREY, linestyle="--", label="doing nothing")
    stops = [document["stops"][index] for index in best_stops(document)]
    names = [stop["scheme"].replace("_", " ") for stop in stops]
    plain = [stop["descent_relative"] for stop in stops]
    axes.plot(plain, names, "o", mfc="none", color=GREY, label="plain descent at that epoch")
    axes.plot([stop["best_relative"] for stop in stops], names, "o", color=BLUE, label="scheme")
    axes.invert_yaxis()
    axes.legend(fontsize="small")
