"""``index.html``: every figure with its caption, lemmas, claims and numbers, in one file that needs nothing else, not even a network."""

import base64
import inspect
from html import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np

from figures import store
from theory_common.printing import tables

COLUMNS = ("claim", "paper", "here")
STYLE = Path(__file__).with_name("page.css")
EMBED = 400_000  # bytes; a larger file of numbers is linked beside the page, so that the page stays quick to open
TYPES = {
    "pdf": "application/pdf",
    "csv": "text/csv",
    "json": "application/json",
    "png": "image/png",
}
SHOWN = 6  # a series of at most so many numbers is written out


class Contents(NamedTuple):
    """What the page says."""

    records: list[store.Record]  # in the page's order
    failed: dict[str, str]  # figure -> why
    missing: list[str]  # figures that were not asked for and are not in the folder


def render(contents: Contents, folder: Path) -> str:
    """The page, with the pictures and numbers that ``folder`` holds."""
    records = contents.records
    sections = "\n".join(_section(index, record, folder) for index, record in enumerate(records, 1))
    links = "\n".join(
        f'<li><a href="#{escape(record.name)}">{escape(record.title)}</a></li>'
        for record in records
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>When can a model unlearn? The figures</title>
<style>
{STYLE.read_text(encoding="utf-8")}</style>
</head>
<body>
<nav aria-label="Figures">
<p class="label">Figures</p>
<ol>
{links}
</ol>
</nav>
<main>
<header>
<h1>When can a model unlearn?</h1>
<p class="lead">Descent-ascent in logistic regression, computed: {_count(len(records), "figure")} and
{_count(sum(len(record.claims) for record in records), "claim")} of the paper beside what this run found.</p>
{_provenance(records)}
{_notes(contents)}
</header>
{sections}
<footer>Made by <code>python -m figures</code>. The paper: <em>Ascent Fails to Forget</em>, arXiv:2509.26427.</footer>
</main>
</body>
</html>
"""


def _section(index: int, record: store.Record, folder: Path) -> str:
    lemmas = "".join(f"<li>{escape(lemma)}</li>" for lemma in record.lemmas)
    caption = "".join(
        f"<p>{escape(' '.join(part.split()))}</p>"
        for part in inspect.cleandoc(record.caption).split("\n\n")
    )
    downloads = " ".join(
        _link(folder / f"{record.name}.{suffix}") for suffix in ("pdf", "png", "csv", "json")
    )
    return f"""<section id="{escape(record.name)}">
<h2><span class="index">{index}</span>{escape(record.title)}</h2>
<ul class="lemmas" aria-label="Where the paper says it">{lemmas}</ul>
<figure>
<img src="{_data_link(folder / f"{record.name}.png")}" alt="{escape(record.title)}" loading="lazy">
<figcaption>{caption}</figcaption>
</figure>
{_claims(record)}
<details>
<summary>The numbers drawn</summary>
{_numbers(record)}
</details>
<p class="files">{downloads}<span class="quiet">preset {escape(record.preset)} · {record.seconds:.1f} s</span></p>
</section>"""


def _claims(record: store.Record) -> str:
    if not record.claims:
        return ""
    rows = "".join(
        "<tr>"
        + "".join(f'<td data-label="{column}">{_text(row[column])}</td>' for column in COLUMNS)
        + "</tr>\n"
        for row in record.claims
    )
    head = "".join(f"<th>{column}</th>" for column in COLUMNS)
    return (
        f'<table class="claims">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>'
    )


def _numbers(record: store.Record) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{shape}</td><td>{summary}</td></tr>\n"
        for name, shape, summary in (
            _summary(name, values) for name, values in store.flat(record.data)
        )
    )
    head = "<tr><th>series</th><th>shape</th><th>values</th></tr>"
    return (
        f'<div class="wide"><table>\n<thead>{head}</thead>\n<tbody>\n{rows}</tbody>\n</table></div>'
    )


def _summary(name: str, values) -> tuple[str, str, str]:
    if not isinstance(values, np.ndarray):
        return name, f"{len(values)} items" if isinstance(values, list) else "", _text(values)
    shape = " × ".join(map(str, values.shape))
    if values.size <= SHOWN:
        return name, shape, _text(values)
    if values.dtype == bool:
        return name, shape, f"{int(values.sum()):,} yes, {int((~values).sum()):,} no"
    finite = values[np.isfinite(values)]
    span = (
        f"{tables.number(finite.min())} to {tables.number(finite.max())}"
        if finite.size
        else "none finite"
    )
    absent = values.size - finite.size
    return name, shape, span + (f", {absent:,} not finite" if absent else "")


def _text(value) -> str:
    if isinstance(value, dict):
        return escape(", ".join(f"{key} {tables.cell(item)}" for key, item in value.items()))
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return escape(tables.cell(value))


def _provenance(records: list[store.Record]) -> str:
    if not records:
        return ""
    versions = [f"{name} {version}" for name, version in records[0].versions.items()]
    facts = {
        "preset": ", ".join(sorted({record.preset for record in records})),
        "device": ", ".join(sorted({record.device for record in records})),
        "time": f"{sum(record.seconds for record in records):.1f} s",
        "versions": ", ".join(versions),
    }
    return (
        '<dl class="facts">'
        + "".join(
            f"<div><dt>{name}</dt><dd>{escape(fact)}</dd></div>" for name, fact in facts.items()
        )
        + "</dl>"
    )


def _notes(contents: Contents) -> str:
    notes = [
        f"<p class='note failed'><strong>{escape(name)}</strong> failed: {escape(why)}</p>"
        for name, why in contents.failed.items()
    ]
    if contents.missing:
        command = f"python -m figures {' '.join(contents.missing)}"
        notes.append(
            f"<p class='note'>Not in this folder yet: <code>{escape(command)}</code> adds them.</p>"
        )
    return "\n".join(notes)


def _link(path: Path) -> str:
    suffix = path.suffix[1:]
    target = escape(path.name) if path.stat().st_size > EMBED else _data_link(path)
    return f'<a href="{target}" download="{escape(path.name)}">{suffix.upper()}</a>'


def _data_link(path: Path) -> str:
    return f"data:{TYPES[path.suffix[1:]]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
