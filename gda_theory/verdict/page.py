"""The report as one HTML page, made from the report's JSON alone.

The page needs no network: style and pictures are inside, and there is no script. Every number of
the data stands in an element with its key in the JSON, its format and its value
(:mod:`gda_theory.verdict.page_values`).
"""

import html
import importlib.resources
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from gda_theory.verdict import page_pictures as pictures
from gda_theory.verdict import page_tables as page_tables
from gda_theory.verdict.answers import QUESTIONS, ReportAnswer, answers
from gda_theory.verdict.decide import Verdict
from gda_theory.verdict.page_texts import CAPTIONS, METHODS, SEVERAL
from gda_theory.verdict.page_values import marked, tags, value

WIDTHS = (680.0, 350.0)  # of a picture on a wide screen and on a phone
FORMULA = re.compile(r"`([^`]+)`")
BADGES = {
    Verdict.UNCERTAIN: ("", "No verdict"),
    Verdict.NOTHING_TO_FORGET: ("good", "Nothing to do"),
    Verdict.UNBOUNDED: ("bad", "✕ Ascent would destroy the model"),
    Verdict.LOST: ("bad", "✕ Ascent would destroy the model"),
    Verdict.FARTHER: ("bad", "✕ Ascent would do harm"),
    Verdict.NEARER: ("good", "✓ Ascent would help"),
}
# A browser refuses whatever is not inside the page.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
Picture = Callable[[Any, float], str]


class Section(NamedTuple):
    """Pictures, each with the name of its caption, and the table of one answer."""

    pictures: tuple[tuple[str, Picture], ...]
    table: Callable[[Any], str]


SECTIONS = {
    "effects": Section((("changes", pictures.changes),), page_tables.effects),
    "differences": Section(
        (("features", pictures.features), ("rows", pictures.rows)), page_tables.differences
    ),
    "stops": Section((("stops", pictures.stops),), page_tables.stops),
    "course": Section((("course", pictures.course),), page_tables.course),
    "dependence": Section(
        (("sides", pictures.sides), ("position", pictures.position)), page_tables.dependence
    ),
    "random_test": Section((("accuracies", pictures.accuracies),), page_tables.random_test),
    "remedies": Section((("remedies", pictures.remedies),), page_tables.remedies),
    "membership": Section((("attacks", pictures.attacks),), page_tables.membership),
}


DRAWN_FROM = {"sides": "course"}  # a picture with the numbers of another section


def page(document: Any) -> str:
    """The whole page.

    Args:
        document: what :meth:`gda_theory.Diagnosis.to_dict` returns.
    """
    found = answers(document)
    body = [_opening(document), _contents(document, found)]
    body += [_section(document, answer, letter) for answer, letter in _lettered(found)]
    body += [_unanswered(document), _other(document)]
    return complete("Can this model forget? A diagnosis", "".join(body))


def complete(title: str, content: str) -> str:
    """The whole HTML page with this title and content. A browser fetches nothing for it."""
    style = importlib.resources.files(__package__).joinpath("page.css").read_text("utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        # An empty icon, so that a browser does not ask for one.
        '<link rel="icon" href="data:,">'
        f"<title>{html.escape(title)}</title><style>{style}</style></head>"
        f"<body><main>{content}</main></body></html>\n"
    )


def _lettered(found: list[ReportAnswer]) -> list[tuple[ReportAnswer, str]]:
    return [(answer, "abcdefgh"[index]) for index, answer in enumerate(found)]


def _opening(document: Any) -> str:
    kind, badge = BADGES[Verdict(document["given"]["code"])]
    first, _, rest = document["sentences"]["ascent"].partition(". ")
    first = first if first.endswith(".") else f"{first}."
    rest = f' <span class="lead">{html.escape(rest)}</span>' if rest else ""
    predictions = html.escape(document["sentences"]["predictions"])
    on_predictions = f"<p{tags(document, 'sentences.predictions', 'text')}>{predictions}</p>"
    return (
        f'<header><p class="kind"><span class="badge {kind}">{badge}</span></p>'
        f"<div{tags(document, 'sentences.ascent', 'text')}><h1>{html.escape(first)}</h1>{rest}"
        f"</div>{on_predictions if predictions else ''}{_data(document)}</header>"
    )


def _data(document: Any) -> str:
    if not document["data"]:
        return ""
    notes = "".join(
        f"<li{tags(document, f'data.{index}', 'text')}>{html.escape(note)}</li>"
        for index, note in enumerate(document["data"])
    )
    return f'<details class="data"><summary>The data</summary><ul>{notes}</ul></details>'


def _contents(document: Any, found: list[ReportAnswer]) -> str:
    items = "".join(
        f'<li><a href="#{answer.key}"><span class="question">{letter}. '
        f'{html.escape(answer.question)}</span><span class="headline">'
        f"{marked(answer.headline, document)}</span></a></li>"
        for answer, letter in _lettered(found)
    )
    listed = f'<nav aria-label="Contents"><ol class="contents">{items}</ol></nav>' if found else ""
    if not document["missing"]:
        return listed
    return f"{listed}<p>No further answers: {value(document, 'missing', 'text')}.</p>"


def _section(document: Any, answer: ReportAnswer, letter: str) -> str:
    section = SECTIONS[answer.key]
    figures = "".join(
        f"<figure>{''.join(draw(document, width) for width in WIDTHS)}"
        f"<figcaption>{html.escape(CAPTIONS[name])}</figcaption></figure>"
        for name, draw in section.pictures
        if document[DRAWN_FROM.get(name, answer.key)]
    )
    return (
        f'<section id="{answer.key}"><h2>{letter}. {html.escape(answer.question)}</h2>'
        f'<p class="answer">{marked(answer.sentence, document)}</p>'
        f"{figures}{section.table(document)}{_method(document, answer.key)}</section>"
    )


def _method(document: Any, key: str) -> str:
    said = METHODS[key]
    if document["classes"] > 2 and key in SEVERAL:
        said = (*said, SEVERAL[key])
    texts = (FORMULA.sub(r"<code>\1</code>", marked(text, document)) for text in said)
    paragraphs = "".join(f"<p>{text}</p>" for text in texts)
    return f"<details><summary>How this is computed</summary>{paragraphs}</details>"


def _unanswered(document: Any) -> str:
    """Why some questions have no answer."""
    questions = {key: question for key, question, _ in QUESTIONS}
    return "".join(
        f"<section><h2>{html.escape(questions[key])}</h2><p>There is no answer: "
        f"{value(document, f'unanswered.{key}', 'text')}.</p></section>"
        for key in document["unanswered"]
        if key in questions
    )


def _other(document: Any) -> str:
    """What changes if the losses are added up instead of averaged, or the other way round."""
    averaged = document["given"]["reduction"] == "mean"
    lead = (
        "If your code sums losses instead of averaging them"
        if averaged
        else "If your code averages losses instead of summing them"
    )
    verdict = html.escape(document["other"]["verdict"])
    said = f"<span{tags(document, 'other.verdict', 'text')}>{verdict}</span>"
    return f"<footer><p><strong>{lead}:</strong> {said}</p></footer>"
