"""Numbers of a report's JSON as text and as HTML that carries their key.

A *key* is a path into the JSON, such as ``stops.3.best_relative``. A *template* is a sentence with
fields ``{key|format}``. The same template gives the sentence in the JSON and in the page. In the
page each number stands in an element with its key, its format and its value, so that a program can
compare both.
"""

import html
import re
from collections.abc import Callable
from typing import Any

from gda_theory import codes
from gda_theory.codes import RunEnd
from gda_theory.verdict import words
from theory_common.printing import tables

MANY = 10.0  # times as much is no longer written as a percentage
FIELD = re.compile(r"\{([\w.]+)\|(\w+)\}")


def _percent(value: Any) -> str:
    if value is None:
        return tables.NO_VALUE
    return words.percent(float(value)).replace("less than ", "<")


def _points(value: Any) -> str:
    """A difference of probabilities or accuracies, in percentage points."""
    return tables.number(None if value is None else 100 * float(value), 3)


def _points_up(value: Any) -> str:
    """A change of probabilities in percentage points, rounded up as in the verdict."""
    return tables.NO_VALUE if value is None else words.points(float(value))


def _short(value: Any) -> str:
    return tables.number(_real(value), 2)


def _number(value: Any) -> str:
    return tables.number(_real(value), 3)


def _real(value: Any) -> Any:
    return float(value) if isinstance(value, str) else value


def _left(value: Any) -> str:
    """A part that may be far above the whole: then in times of it."""
    known = _real(value)
    return _percent(known) if known is None or known < MANY else f"{_short(known)} times"


def _bound(value: Any) -> str:
    """A bound on a part; it may be infinite."""
    return "none" if value == "inf" else _left(value)


def _run_end(value: Any) -> str:
    return codes.sentence(RunEnd(value))


FORMATS: dict[str, Callable[[Any], str]] = {
    "number": _number,
    "short": _short,
    "percent": _percent,
    "left": _left,
    "bound": _bound,
    "points": _points,
    "points_up": _points_up,
    "text": str,
    "run_end": _run_end,
}


def lookup(document: Any, key: str) -> Any:
    """The value at a key."""
    for part in key.split("."):
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


def plain(template: str, document: Any) -> str:
    """The sentence of a template, as text."""
    return FIELD.sub(lambda found: FORMATS[found[2]](lookup(document, found[1])), template)


def marked(template: str, document: Any) -> str:
    """The sentence of a template, as HTML. The template itself is text, not markup."""
    return FIELD.sub(
        lambda found: value(document, found[1], found[2]), html.escape(template, quote=False)
    )


def value(document: Any, key: str, format: str = "number") -> str:
    """One number as HTML."""
    shown = html.escape(FORMATS[format](lookup(document, key)))
    return f"<data{tags(document, key, format, 'value')}>{shown}</data>"


def tags(document: Any, key: str, format: str, name: str = "data-value") -> str:
    """The attributes by which a number in the page can be compared with the JSON."""
    raw = html.escape(tables.dumps(lookup(document, key)).strip('"'))
    return f' {name}="{raw}" data-key="{key}" data-format="{format}"'


def drawn(document: Any, key: str, format: str = "number", unit: str = "") -> str:
    """One number as part of a text in a picture."""
    shown = html.escape(FORMATS[format](lookup(document, key)))
    return f"<tspan{tags(document, key, format)}>{shown}</tspan>{unit}"
