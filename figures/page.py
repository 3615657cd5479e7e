"""``index.html``: every figure with its caption, claims and numbers, readable without a network.

The pictures are embedded, small ones. The full pictures and the numbers are links to the files
beside the page.
"""

import base64
import inspect
import io
import re
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from figures import store
from theory_common.printing import tables
from theory_common.printing.nouns import plural

COLUMNS = ("claim", "paper", "here")
STYLE = Path(__file__).with_name("page.css")
# Two pixels of a picture for each of the page's, where it is widest. The files beside it have more.
DOTS_PER_INCH, FULL_DOTS_PER_INCH = 150, 200
QUALITY = 85  # of WebP: half as many bytes as a PNG with few colours, and no difference to be seen
READABLE = 76  # pixels of the page an inch: on a narrow page a picture is no smaller, but scrolls
PAPERS = {
    "descent_ascent": "<em>Ascent Fails to Forget</em> (arXiv:2509.26427)",
    "hierarchy": "<em>Probing the Latent Hierarchical Structure of Data via Diffusion Models</em> "
    "(arXiv:2410.13770)",
}
NOT_TREATED = (
    "not treated",
    "not in the paper",
    "-",
)  # such a cell begins so
SHOWN = 6  # a series of at most so many numbers is written out


class Contents(NamedTuple):
    """What the page says."""

    records: list[store.Record]  # in the page's order
    failed: dict[str, str]  # figure -> why
    missing: list[str]  # figures that were not asked for and are not in the folder


class Counts(NamedTuple):
    """How many rows check a statement of each paper, and how many say something new."""

    figures: int
    descent_ascent: int
    hierarchy: int
    new: int


def render(contents: Contents, folder: Path) -> str:
    """The page, with the pictures that ``folder`` holds and links to its files."""
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
<h1>When can a model unlearn? The figures</h1>
<p class="lead">{_lead(counts(records))}</p>
<details class="contents">
<summary>List of figures</summary>
<ol>
{links}
</ol>
</details>
{_provenance(records)}
{_notes(contents)}
</header>
{sections}
<footer>Made by <code>python -m figures</code>. The papers: {PAPERS["descent_ascent"]} and
{PAPERS["hierarchy"]}.
The links below each figure lead to files in the folder of this page.</footer>
</main>
</body>
</html>
"""


def counts(records: Iterable[store.Record]) -> Counts:
    """Count the rows of all tables of claims, by whether the figure's paper treats them."""
    found = dict.fromkeys(Counts._fields, 0)
    for record in records:
        found["figures"] += 1
        paper = "hierarchy" if any("2410.13770" in lemma for lemma in record.lemmas) else None
        for row in record.claims:
            found[(paper or "descent_ascent") if treated(row["paper"]) else "new"] += 1
    return Counts(**found)


def treated(paper) -> bool:
    """Whether a cell of the column "paper" holds a statement of the paper."""
    return isinstance(paper, str) and not paper.startswith(NOT_TREATED)


def _lead(found: Counts) -> str:
    """What is on the page, counted."""
    checks = [
        f"{plural(number, 'statement')} of {PAPERS[name]}"
        for name, number in (
            ("descent_ascent", found.descent_ascent),
            ("hierarchy", found.hierarchy),
        )
        if number
    ]
    sentences = [f"{plural(found.figures, 'figure')}."]
    if checks:
        sentences.append(f"Their tables check {' and '.join(checks)}.")
    if found.new:
        rows = (
            "1 more row reports a result"
            if found.new == 1
            else f"{found.new} more rows report results"
        )
        sentences.append(f"{rows} that the papers do not treat.")
    return " ".join(sentences)


def _section(index: int, record: store.Record, folder: Path) -> str:
    lemmas = "".join(f"<li>{escape(lemma)}</li>" for lemma in record.lemmas)
    caption = "".join(
        f"<p>{marked(' '.join(part.split()))}</p>"
        for part in inspect.cleandoc(record.caption).split("\n\n")
    )
    downloads = " ".join(
        _link(folder / f"{record.name}.{suffix}") for suffix in ("pdf", "png", "csv", "json")
    )
    return f"""<section id="{escape(record.name)}">
<h2><span class="index">{index}</span>{escape(record.title)}</h2>
<ul class="lemmas" aria-label="Where the paper says it">{lemmas}</ul>
{_changed(record)}
<figure>
<div class="picture">{_picture(folder / f"{record.name}.png", record.title)}</div>
<figcaption>{caption}</figcaption>
</figure>
{_claims(record)}
<details>
<summary>The numbers drawn</summary>
{_numbers(record)}
</details>
<p class="files">{downloads}
<span class="quiet">preset {escape(record.preset)} · {record.seconds:.1f} s</span></p>
</section>"""


def _changed(record: store.Record) -> str:
    """A note if parameters were set: sentences of titles and captions are about the defaults."""
    if not record.changed:
        return ""
    settings = ", ".join(f"{name} = {value}" for name, value in record.changed.items())
    return (
        f"<p class='note'>Computed with <strong>{escape(settings)}</strong> instead of the default."
        " Statements in the title and the caption are about the default.</p>"
    )


def _picture(path: Path, title: str) -> str:
    """The picture, smaller than the file and compressed. It is never shown too narrow to read."""
    with Image.open(path) as image:
        width, height = (round(side * DOTS_PER_INCH / FULL_DOTS_PER_INCH) for side in image.size)
        inches = image.size[0] / FULL_DOTS_PER_INCH
        small = image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    small.save(stream, format="WEBP", quality=QUALITY)
    source = f"data:image/webp;base64,{base64.b64encode(stream.getvalue()).decode()}"
    least = round(inches * READABLE)
    return (
        f'<img src="{source}" alt="{escape(title)}" width="{width}" height="{height}" '
        f'style="--least: {least}px" loading="lazy">'
    )


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


def marked(text: str) -> str:
    """A caption in HTML, where ``*word*`` is emphasised and double backquotes mark code."""
    html = re.sub("``(.+?)``", r"<code>\1</code>", escape(text))
    return re.sub(r"(?<!\w)\*(\w[^*]*?)\*(?!\w)", r"<em>\1</em>", html)


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
        "computing time": f"{sum(record.seconds for record in records):.0f} s",
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
    name = escape(path.name)
    return f'<a href="{name}" download="{name}">{path.suffix[1:].upper()}</a>'
