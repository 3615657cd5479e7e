"""HTML pages of a measurement: one file that needs no network, for light, dark and narrow screens.

Pictures are drawn by Matplotlib, one panel a picture. What has the colour ``INK`` there takes the
colour of the page's text.
"""

import html
import importlib.resources
import io
import re
from collections.abc import Callable, Sequence
from typing import Any

INK = "#1c1e21"
# Of Okabe and Ito, which the colour-blind can tell apart, without the ones that are too light.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
MARKS = ("s", "^", "D", "v", "P", "X")
WIDTH, HEIGHT = 4.6, 3.6  # of a picture, in inches
LONG = 12  # letters of a name, from which on two names fill a line of a legend
# A browser refuses whatever is not inside the page.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
LOOK: Any = {
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.fontsize": 8,
    "legend.framealpha": 0,
    "lines.linewidth": 1.5,
    "svg.hashsalt": "measured",
}


def page(title: str, answer: Sequence[str], sections: Sequence[str]) -> str:
    """The whole page.

    Args:
        title: its heading, a plain text.
        answer: sentences on what was found, which come first. The first one is the largest.
        sections: HTML, such as :func:`section` makes.
    """
    style = importlib.resources.files(__package__).joinpath("page.css").read_text("utf-8")
    lead = "".join(
        f"<p{'' if place else ' class=lead'}>{_plain(one)}</p>" for place, one in enumerate(answer)
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<link rel="icon" href="data:,">'
        f"<title>{html.escape(title)}</title><style>{style}</style></head>"
        f"<body><main><h1>{html.escape(title)}</h1>{lead}{''.join(sections)}</main></body></html>\n"
    )


def section(heading: str, *content: str) -> str:
    """A part of the page with HTML as its content."""
    return f"<section><h2>{html.escape(heading)}</h2>{''.join(content)}</section>"


def paragraphs(*texts: str) -> str:
    """Plain texts, one paragraph each."""
    return "".join(f"<p>{_plain(one)}</p>" for one in texts)


def items(texts: Sequence[str]) -> str:
    """A list of plain texts."""
    return "<ul>" + "".join(f"<li>{_plain(one)}</li>" for one in texts) + "</ul>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of plain texts. On a narrow screen it scrolls."""
    top = "".join(f"<th>{html.escape(one)}</th>" for one in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(one)}</td>" for one in row) + "</tr>" for row in rows
    )
    return (
        f"<div class=wide><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def panels(*pictures: str) -> str:
    """Pictures side by side, or one below the other where the screen is narrow."""
    return f"<div class=panels>{''.join(pictures)}</div>"


def picture(caption: str, draw: Callable[[Any], None]) -> str:
    """A picture and its caption.

    Args:
        caption: a plain text that begins with what to see.
        draw: draws on the axes that it gets. What has a label there is named below the axes.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(LOOK):
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        ax = figure.subplots()
        draw(ax)
        handles, labels = ax.get_legend_handles_labels()
        if handles:  # below, where it hides no mark
            columns = 2 if max(map(len, labels)) > LONG else 3
            figure.legend(handles, labels, loc="outside lower center", ncols=columns)
        content = io.StringIO()
        figure.savefig(content, format="svg", transparent=True, metadata={"Date": None})
    text = re.sub(r"<metadata>.*?</metadata>", "", content.getvalue(), flags=re.DOTALL)
    drawn = text[text.index("<svg") :].replace(INK, "currentColor")
    label = html.escape(caption, quote=True)
    return (
        f'<figure role="img" aria-label="{label}">{drawn}'
        f"<figcaption>{html.escape(caption)}</figcaption></figure>"
    )


def looks(names: Sequence[str], model: str) -> dict[str, dict[str, Any]]:
    """How each law is drawn, for Matplotlib's ``errorbar``.

    The model has the colour of the text and a full line. Others have a colour and a mark each.

    Args:
        names: of the laws.
        model: the name of the model among them.
    """
    others = zip([name for name in names if name != model], COLOURS, MARKS, strict=False)
    found = {model: (INK, "o", "-")}
    found |= {name: (colour, mark, "--") for name, colour, mark in others}
    return {
        name: {
            "label": name,
            "color": colour,
            "marker": mark,
            "linestyle": line,
            "markersize": 4,
            "capsize": 2,
        }
        for name, (colour, mark, line) in found.items()
    }


def _plain(text: str) -> str:
    """A text as HTML. A percent sign stays in the line of its number."""
    return html.escape(text).replace(" %", "&nbsp;%")
