"""Parts of panels: estimates with intervals, powers, thresholds, keys; and numbers in words."""

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.lines import Line2D

from figures.style import COLOURS

# A threshold: panel.axvline(place, **DOTTED, label=...)
DOTTED = {"color": "black", "ls": ":", "lw": 1.2}
DASHED = {"color": "black", "ls": "--", "lw": 1.2}  # a prediction


def band(panel, x, estimate, color, **line):
    """An estimate (``value``, ``low``, ``high``) as a line in the band of its 95 % interval.

    An exact estimate has a ``value`` only, and no band.
    """
    if "low" in estimate:
        panel.fill_between(x, estimate["low"], estimate["high"], color=color, alpha=0.25, lw=0)
    panel.plot(x, estimate["value"], color=color, **line)


def dots(panel, x, estimate, **marks):
    """An estimate (``value``, ``low``, ``high``) as dots with bars of its 95 % interval."""
    panel.errorbar(
        x,
        estimate["value"],
        (estimate["value"] - estimate["low"], estimate["high"] - estimate["value"]),
        **marks,
    )


def power(panel, x, y, exponent, *, through, **line):
    """The power law ``x ** exponent`` that meets the curve (x, y) at its point ``through``."""
    panel.plot(x, y[through] * (x / x[through]) ** exponent, **line)


def categories(panel, x, y, codes, fills):
    """A map of ``codes`` 0, 1, .. ``(y, x)`` in these ``fills``."""
    panel.pcolormesh(
        x, y, codes, cmap=ListedColormap(fills), vmin=-0.5, vmax=len(fills) - 0.5, rasterized=True
    )


def boxes(panel, columns, places, width, **options):
    """The middle half of each column as a box, with its median as an orange line."""
    panel.boxplot(
        columns,
        positions=places,
        widths=width,
        medianprops={"color": COLOURS["vermillion"]},
        **options,
    )


def key(figure, rows, ncols):
    """A legend below all panels.

    A row is ``(colour, line style, marker, name)``, or a handle of Matplotlib such as a patch.
    """
    figure.legend(
        handles=[_line(*row) if isinstance(row, tuple) else row for row in rows],
        loc="outside lower center",
        ncols=ncols,
    )


def _line(colour, style, marker, name):
    return Line2D([], [], color=colour, ls=style, marker=marker, mfc="none", lw=2, label=name)


def nearest(values, wanted) -> int:
    """Where in ``values`` the one next to ``wanted`` stands."""
    return int(np.argmin(np.abs(values - wanted)))


def log_slope(x, y) -> float:
    """The power with which y goes like x, by least squares in their logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def plus_minus(estimate, at) -> str:
    """One number of an estimate, with its standard error if it has one."""
    return f"{estimate['value'][at]:.3g}" + (
        f" ± {estimate['error'][at]:.2g}" if "error" in estimate else ""
    )


def listed(values, digits: int = 3) -> str:
    """Numbers, separated by commas."""
    return ", ".join(f"{float(value):.{digits}g}" for value in values)


def spread(values, digits: int = 4) -> str:
    """Median and range of those that are numbers."""
    middle, low, high = (
        f"{value:.{digits}g}"
        for value in (np.nanmedian(values), np.nanmin(values), np.nanmax(values))
    )
    return f"median {middle}, from {low} to {high}"
