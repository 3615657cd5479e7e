"""A Sphinx extension that prepares the project's docstrings and signatures.

A docstring may start a section on one line, as in ``Source: Lemma 3.``. Napoleon knows only
sections that start with a line of their own. Here the section becomes a paragraph with a bold
label. The ids of claims become links to the ledger.
"""

import re

from sphinx.application import Sphinx

from derivations import LEDGER

LABEL = re.compile(r"([A-Z][a-z]+): +(\S.*)")  # such as Returns, Raises, Source, Claim, Cost
CLAIMS = {claim.id for claim in LEDGER}


def linked(line: str) -> str:
    """Make each id of a claim a link to its entry in the ledger."""
    return re.sub(
        r"``([a-z0-9-]+)``",
        lambda match: (
            f"`{match[1]} <../ledger.html#{match[1]}>`__" if match[1] in CLAIMS else match[0]
        ),
        line,
    )


def paragraphs(lines: list[str]) -> list[str]:
    """Give each section that starts on one line a paragraph of its own, without indentation."""
    found: list[str] = []
    inside = False
    for line in lines:
        if match := LABEL.fullmatch(line):
            inside = True
            found += ["", f"**{match[1]}:** {match[2]}"]
        elif inside and line.startswith(" "):
            found.append(line.strip())
        else:
            inside = False
            found.append(line)
    return found


def process(app, what, name, thing, options, lines: list[str]) -> None:
    lines[:] = [linked(line) for line in paragraphs(lines)]


ARRAY = re.compile(r"~?(?:jax\.)?jaxlib\._jax\.Array")
# The ArrayLike of JAX and that of NumPy, as autodoc writes them out after that.
ARRAY_LIKE = re.compile(
    r"Array \| ~?numpy\.ndarray \| .*?\bcomplex\b"
    r"|~?numpy\._typing\._array_like\..*?_NestedSequence\[[^][]*\bcomplex\b[^][]*\]"
)


def short_arrays(app, what, name, thing, options, signature, returns):
    """Write ``Array`` and ``ArrayLike`` for the classes behind them, which users never name."""
    return tuple(
        text and ARRAY_LIKE.sub("ArrayLike", ARRAY.sub("Array", text))
        for text in (signature, returns)
    )


def setup(app: Sphinx) -> dict:
    # 400: before napoleon, which is connected with 500.
    app.connect("autodoc-process-docstring", process, priority=400)
    app.connect("autodoc-process-signature", short_arrays)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
