"""Pictures of a report as inline SVG: marks on one or two axes.

Colours come from the page's style sheet, which has one set for light and one for dark. Series
differ by the shape of the mark or the dash of the line too. Numbers in a picture carry the key of
their place in the JSON (:func:`gda_theory.verdict.page_values.tags`), and ticks have the
class ``tick``.
"""

import html
import math
from collections.abc import Sequence
from typing import NamedTuple

from theory_common.printing import tables

SIDE = 14  # free space at the left and right
ROW = 46  # height of a row with a label and marks
AXIS = 46  # height below the plot, for ticks and the name of the axis
LETTER = 6.6  # width of an average letter


class Scale(NamedTuple):
    """An axis from ``low`` to ``high``, drawn from ``start`` to ``end``; values outside are cut."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float | None) -> float:
        """The place of a value. One that is missing stands at the start."""
        if value is None:
            return self.start
        value = min(max(value, self.low), self.high)
        if self.log:
            part = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            part = (value - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)

    def holds(self, value: float | None) -> bool:
        """Whether a value lies on the axis."""
        return value is not None and self.low <= value <= self.high

    def ticks(self, most: int) -> list[float]:
        """Round numbers on the axis, about ``most`` of them."""
        if self.log:
            return self._powers(most)
        step = round_step((self.high - self.low) / most)
        first = math.ceil(self.low / step - 1e-9)
        return [index * step for index in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def _powers(self, most: int) -> list[float]:
        """Powers of ten, or 1, 2 and 5 times them where there are few."""
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        every = max(1, math.ceil((last - first) / most))
        factors = (1, 2, 5) if 3 * (last - first) <= most + 3 else (1,)
        found = [
            factor * 10.0**power for power in range(first, last + 1, every) for factor in factors
        ]
        return [value for value in found if self.low * 0.999999 <= value <= self.high * 1.000001]


def round_step(least: float) -> float:
    """The smallest of 1, 2, 5, 10, ... times a power of ten that is at least ``least``."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def span(values: Sequence[float | None], log: bool = False) -> tuple[float, float]:
    """Ends of an axis for these values, with some space beyond them."""
    known = [value for value in values if value is not None and (value > 0 or not log)]
    low, high = (min(known), max(known)) if known else (1.0, 1.0)
    if log:
        return low / 1.6, high * 1.6
    free = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    return low - free, high + free


# Elements ----------------------------------------------------------------------------------------


def element(name: str, content: str = "", tags: str = "", **attributes: float | str) -> str:
    """One SVG element. Numbers are written to a tenth of a pixel; ``_`` becomes ``-``."""
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_attribute(value)}"'
        for key, value in attributes.items()
    )
    return f"<{name}{said}{tags}>{content}</{name}>"


def _attribute(value: float | str) -> str:
    return html.escape(value) if isinstance(value, str) else f"{round(value, 1):g}"


def text(x: float, y: float, content: str, kind: str = "", anchor: str = "start") -> str:
    """Text whose ``content`` is markup already."""
    return element("text", content, x=x, y=y, class_=kind, text_anchor=anchor)


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """A straight line."""
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def polyline(points: Sequence[tuple[float, float]], kind: str) -> str:
    """A line through points."""
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return element("polyline", points=places, class_=f"curve {kind}")


def mark(shape: str, x: float, y: float, kind: str, size: float = 5.5, tags: str = "") -> str:
    """A mark: ``disc``, ``ring``, ``square``, ``diamond`` or ``cross``."""
    kind = f"mark {shape} {kind}"
    if shape in ("disc", "ring"):
        return element("circle", tags=tags, cx=x, cy=y, r=size, class_=kind)
    if shape == "cross":
        across = 2 * size
        path = f"M{x - size:.1f} {y - size:.1f}l{across} {across}m0 {-across}l{-across} {across}"
    elif shape == "diamond":
        far = 1.3 * size
        path = f"M{x:.1f} {y - far:.1f}l{far} {far}l{-far} {far}l{-far} {-far}z"
    else:
        path = f"M{x - size:.1f} {y - size:.1f}h{2 * size}v{2 * size}h{-2 * size}z"
    return element("path", tags=tags, d=path, class_=kind)


def bar(x1: float, x2: float, y: float, height: float, kind: str) -> str:
    """A horizontal bar between two places."""
    left, right = sorted((x1, x2))
    return element(
        "rect", x=left, y=y - height / 2, width=right - left, height=height, class_=f"bar {kind}"
    )


def picture(width: float, height: float, body: Sequence[str], label: str) -> str:
    """The whole picture; ``label`` says in words what it shows."""
    return element(
        "svg",
        "".join(body),
        viewBox=f"0 0 {width:g} {height:g}",
        class_="wide" if width > 500 else "narrow",
        role="img",
        aria_label=label,
    )


# Axes --------------------------------------------------------------------------------------------


def axis_below(scale: Scale, y: float, name: str, top: float, percent: bool = False) -> list[str]:
    """An axis at height ``y``, with vertical lines up to ``top`` at its ticks."""
    most = max(3, int((scale.end - scale.start) / 95))
    parts = []
    for value in scale.ticks(most):
        x = scale.at(value)
        parts += [
            line(x, top, x, y, "grid"),
            text(x, y + 17, tick(value, percent), "tick", "middle"),
        ]
    return [*parts, text((scale.start + scale.end) / 2, y + 37, name, "axis", "middle")]


def axis_left(scale: Scale, x: float, right: float, percent: bool = False) -> list[str]:
    """Horizontal lines at the ticks from ``x`` to ``right``, with the numbers left of them."""
    parts = []
    for value in scale.ticks(5):
        y = scale.at(value)
        parts += [
            line(x, y, right, y, "grid"),
            text(x - 6, y + 4, tick(value, percent), "tick", "end"),
        ]
    return parts


def tick(value: float, percent: bool) -> str:
    """The number at a tick."""
    value = round(value, 12)
    return f"{tables.number(100 * value, 3)} %" if percent else tables.number(value, 3)


def legend(entries: Sequence[tuple[str, str]], y: float, width: float) -> tuple[list[str], float]:
    """Samples of marks or lines with their names, in as many lines as needed.

    Args:
        entries: the markup of a sample around (0, 0), and its name.
        y: where the first line stands.
        width: of the picture.
    Returns: the markup, and the height after the last line.
    """
    parts, x = [], float(SIDE)
    for sample, name in entries:
        needed = 30 + LETTER * len(name)
        if x > SIDE and x + needed > width:
            x, y = float(SIDE), y + 21
        parts += [
            element("g", sample, transform=f"translate({x + 9:g} {y - 4:g})"),
            text(x + 24, y, html.escape(name), "label"),
        ]
        x += needed + 12
    return parts, y + 21


def fitted(name: str, width: float) -> str:
    """A name that fits the width, as markup. What is left out is marked by an ellipsis."""
    most = int(width / LETTER)
    shown = name if len(name) <= most else f"{name[: most - 1]}…"
    return element("tspan", html.escape(shown), class_="name")
