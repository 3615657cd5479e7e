"""The scores of an evaluation as one HTML page, made from its JSON alone.

Like the page of a diagnosis it needs no network, and each number carries its key in the JSON.
"""

import html
from collections.abc import Iterable
from typing import Any

from gda_theory.evaluation.klom import noise_floor
from gda_theory.verdict import page_drawing as draw
from gda_theory.verdict.page import WIDTHS, complete
from gda_theory.verdict.page_tables import table
from gda_theory.verdict.page_values import lookup, tags, value

SHAPES = ("disc", "square", "diamond", "cross")
KINDS = ("one", "two", "three")
HEIGHT = 380.0
PANEL = 200.0  # height of one run's course over the epochs
LEAST = 1e-3  # smaller scores are drawn here
MOST_POINTS = 400  # of one split in a picture
PALEST = 0.3  # opacity of the cheapest run
TITLE = "Did unlearning work? An evaluation"


def page(document: Any) -> str:
    """The whole page.

    Args:
        document: the JSON of :meth:`gda_theory.evaluation.runs.Evaluation.to_dict`, as
            ``tables.loads`` or ``json.loads`` reads it.
    """
    parts = (_opening, _plane, _sentences, _epochs, _points, _membership)
    return complete(TITLE, "".join(part(document) for part in parts))


def _opening(document: Any) -> str:
    """What all runs did together, and how it was measured."""
    settings = (
        f"KL({value(document, 'runs.0.klom.forget.direction', 'text')}), "
        f"{value(document, 'runs.0.klom.forget.bins')} bins, "
        f"{value(document, 'runs.0.klom.forget.unlearned_models')} unlearned and "
        f"{value(document, 'runs.0.klom.forget.oracle_models')} retrained models"
    )
    mean, high = _floor(document["runs"][0]["klom"]["forget"])
    return (
        '<header><h1>Did unlearning work?</h1><p class="lead"'
        f"{tags(document, 'answer', 'text')}>{html.escape(document['answer'])}</p>"
        "<p>Each run is compared with models that were retrained without the rows to forget. KLoM "
        f"is the divergence between the margins of both at one point. {settings}. Equal models "
        f"score {mean:.2g} on average and {high:.2g} at the 95th percentile: the noise "
        "floor.</p></header>"
    )


def _sentences(document: Any) -> str:
    """What each run did, in words."""
    said = "".join(
        f"<dt><b>{_heading(document, place)}</b></dt>"
        f"<dd{tags(document, f'runs.{place}.sentence', 'text')}>{html.escape(run['sentence'])}</dd>"
        for place, run in enumerate(document["runs"])
    )
    note = (
        "<p>The excess is the mean KLoM above the noise floor, with its 95 % interval, if margins "
        "are normal. p tells how often exchanging the models of both sides gives as large a mean. "
        "Above 0.05 there is no sign of a difference.</p>"
    )
    return _section("What did each run do?", f"<dl>{said}</dl>{note}")


def _heading(document: Any, place: int) -> str:
    """The name of a run, and its epoch if it was given."""
    name = value(document, f"runs.{place}.name", "text")
    if document["runs"][place]["epoch"] is None:
        return name
    return f"{name}, epoch {value(document, f'runs.{place}.epoch')}"


def _title(run: Any) -> str:
    return run["name"] if run["epoch"] is None else f"{run['name']}, epoch {run['epoch']:g}"


def _plane(document: Any) -> str:
    """Forgotten against unseen points, for all runs."""
    body = []
    for place, run in enumerate(document["runs"]):
        key = f"runs.{place}"
        body.append(
            [
                _heading(document, place),
                *_cells(document, f"{key}.klom", run["klom"]),
                value(document, f"{key}.cost"),
            ]
        )
    if document["pretrained"]:
        body.append(["pretrained", *_cells(document, "pretrained", document["pretrained"]), "–"])
    splits = list(document["runs"][0]["klom"])
    head = ["run", *(f"{split}: mean, P95" for split in splits), "cost"]
    return _section(
        "Is the forgotten data forgotten, and the rest unharmed?",
        _figure(
            document,
            plane,
            "The lower left corner is perfect: there a run cannot be told from retraining. The "
            "ring is doing nothing. Dashed lines are the noise floor. Paler marks cost less.",
        )
        + table(head, body),
    )


def plane(document: Any, width: float) -> str:
    """Mean KLoM on forgotten (across) and on validation points (up), on logarithmic axes."""
    marks = [
        (f"runs.{place}.klom", "disc", "one", _opacity(document, run))
        for place, run in enumerate(document["runs"])
    ]
    if document["pretrained"]:
        marks.append(("pretrained", "ring", "four", 1.0))
    floor = _floor(document["runs"][0]["klom"]["forget"])[0]
    places = [
        tuple(_mean(lookup(document, key)[split]) for split in ("forget", "validation"))
        for key, *_ in marks
    ]
    ends = [draw.span([floor, *found], log=True) for found in zip(*places, strict=True)]
    across = draw.Scale(*ends[0], 56, width - draw.SIDE, log=True)
    up = draw.Scale(*ends[1], HEIGHT - draw.AXIS, draw.SIDE + 14, log=True)
    body = draw.axis_below(across, up.start, "mean KLoM on forgotten points (nats)", up.end)
    body += draw.axis_left(up, across.start, across.end)
    body.append(draw.text(draw.SIDE, 12, "mean KLoM on validation points (nats)", "axis"))
    body.append(draw.line(across.at(floor), up.start, across.at(floor), up.end, "limit"))
    body.append(draw.line(across.start, up.at(floor), across.end, up.at(floor), "limit"))
    for (key, shape, kind, opacity), (x, y) in zip(marks, places, strict=True):
        name = tags(document, f"{key}.forget.summary.histogram.mean.value", "number")
        shown = draw.mark(shape, across.at(x), up.at(y), kind, 6.5, name)
        body.append(draw.element("g", shown, opacity=f"{opacity:.2f}"))
    return draw.picture(width, HEIGHT, body, "KLoM on forgotten and on validation points")


def _epochs(document: Any) -> str:
    """The curve over epochs, if epochs were given."""
    names = [run["name"] for run in document["runs"] if run["epoch"] is not None]
    if len(set(names)) == len(names):
        return ""  # no run has two epochs
    return _section(
        "How does it go over the epochs?",
        _figure(
            document,
            epochs,
            "Does the line on forgotten points fall and stay low, while the others stay low? Often "
            "it falls first and rises later, and only the retrained models tell which epoch is "
            "best. Shown is the mean KLoM in nats.",
        ),
    )


def epochs(document: Any, width: float) -> str:
    """Mean KLoM over epochs: one panel for each name of a run, one line for each split."""
    runs = sorted(
        (run for run in document["runs"] if run["epoch"] is not None), key=lambda run: run["epoch"]
    )
    splits = list(zip(runs[0]["klom"], KINDS, SHAPES, strict=False))
    body, top = draw.legend(
        [(draw.mark(shape, 0, 0, kind), split) for split, kind, shape in splits], 14, width
    )
    means = draw.span([_mean(run["klom"][split]) for run in runs for split, _, _ in splits], True)
    across = draw.Scale(*draw.span([run["epoch"] for run in runs]), 56, width - draw.SIDE)
    for name in dict.fromkeys(run["name"] for run in runs):
        up = draw.Scale(*means, top + PANEL - draw.AXIS, top + 28, log=True)
        body.append(draw.text(draw.SIDE, top + 14, html.escape(name), "label"))
        body += draw.axis_below(across, up.start, "epoch", up.end)
        body += draw.axis_left(up, across.start, across.end)
        for split, kind, shape in splits:
            places = [
                (across.at(run["epoch"]), up.at(_mean(run["klom"][split])))
                for run in runs
                if run["name"] == name
            ]
            body.append(draw.polyline(places, kind))
            body += [draw.mark(shape, x, y, kind) for x, y in places]
        top += PANEL
    return draw.picture(width, top, body, "mean KLoM over the epochs")


def _points(document: Any) -> str:
    """All points of the first run."""
    return _section(
        "Which points differ?",
        _figure(
            document,
            points,
            "Look for marks far to the right: single points on which a run differs from "
            "retraining. Each mark is one point, of each run from top to bottom. With few points "
            "the 95th percentile is nearly their maximum.",
        ),
    )


def points(document: Any, width: float) -> str:
    """KLoM of every point, one strip for each run and split."""
    strips = [
        (_title(run), split, kind, scores["histogram"])
        for run in document["runs"]
        for (split, scores), kind in zip(run["klom"].items(), KINDS, strict=False)
    ]
    scale = draw.Scale(LEAST, 20.0, draw.SIDE + 18, width - draw.SIDE, log=True)
    bottom = draw.ROW * len(strips)
    body = draw.axis_below(scale, bottom, "KLoM of one point (nats)", 0)
    for row, (name, split, kind, scores) in enumerate(strips):
        y = draw.ROW * row + 14
        body.append(draw.text(draw.SIDE, y, html.escape(f"{name}: {split}"), "label"))
        dots = [
            draw.mark("disc", scale.at(max(score, LEAST)), y + 16, kind, 4)
            for score in scores[:MOST_POINTS]
        ]
        body.append(draw.element("g", "".join(dots), opacity="0.35"))
    return draw.picture(width, bottom + draw.AXIS, body, "KLoM of every point")


def _membership(document: Any) -> str:
    """What a test of single models can tell."""
    body = []
    for place in range(len(document["runs"])):
        key = f"runs.{place}.membership"
        accuracy = [
            value(document, f"{key}.mean_accuracy.{name}", "percent")
            for name in ("value", "low", "high")
        ]
        body.append(
            [
                _heading(document, place),
                accuracy[0],
                f"{accuracy[1]} to {accuracy[2]}",
                value(document, f"{key}.true_positive_rates.one_in_100.value", "percent"),
            ]
        )
    head = ["run", "right", "95 % interval", "recognised at 1 % false alarms"]
    return _section(
        "Could someone tell an unlearned from a retrained model?",
        '<p class="answer">50 % is guessing: then one margin tells nothing.</p>'
        + table(head, body),
    )


def _mean(scores: Any) -> float:
    """The mean of the published score, at least :data:`LEAST`, for a logarithmic axis."""
    return max(scores["summary"]["histogram"]["mean"]["value"], LEAST)


def _cells(document: Any, key: str, scores: Any) -> Iterable[str]:
    for split in scores:
        place = f"{key}.{split}.summary.histogram"
        mean = value(document, f"{place}.mean.value")
        yield f"{mean}, {value(document, f'{place}.p95.value')}"


def _floor(scores: Any) -> tuple[float, float]:
    return noise_floor(scores["unlearned_models"], scores["oracle_models"], scores["bins"])


def _opacity(document: Any, run: Any) -> float:
    """From pale to full with the cost; full where costs are not known."""
    costs = [one["cost"] for one in document["runs"] if one["cost"] is not None]
    if run["cost"] is None or len(set(costs)) < 2:
        return 1.0
    part = (run["cost"] - min(costs)) / (max(costs) - min(costs))
    return PALEST + (1 - PALEST) * part


def _section(question: str, content: str) -> str:
    return f"<section><h2>{html.escape(question)}</h2>{content}</section>"


def _figure(document: Any, picture, caption: str) -> str:
    drawn_twice = "".join(picture(document, width) for width in WIDTHS)
    return f"<figure>{drawn_twice}<figcaption>{html.escape(caption)}</figcaption></figure>"
