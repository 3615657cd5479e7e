"""A Sphinx extension that writes formulas as MathML.

Browsers draw MathML themselves. A page with formulas therefore needs no script. It needs a font
for mathematics, which the site ships.
"""

import shutil
from importlib import resources
from pathlib import Path

from docutils import nodes
from math_core import LatexToMathML
from sphinx.application import Sphinx

FONT = "STIXTwoMath-Regular.ttf"
CONVERTER = LatexToMathML(annotation=True)


def render(latex: str, *, display: bool) -> str:
    """The MathML element of a formula. Raises ``math_core.LatexError`` if the formula is wrong."""
    return CONVERTER.convert_with_local_state(latex, displaystyle=display)


def inline(translator, node: nodes.math) -> None:
    translator.body.append(render(node.astext(), display=False))
    raise nodes.SkipNode


def block(translator, node: nodes.math_block) -> None:
    latex = node.astext()
    if "\\\\" in latex and r"\begin" not in latex:
        latex = rf"\begin{{aligned}}{latex}\end{{aligned}}"
    translator.body.append(f'<div class="formula">{render(latex, display=True)}</div>\n')
    raise nodes.SkipNode


def copy_font(app: Sphinx, error: Exception | None) -> None:
    """Put the font beside the style sheet that names it."""
    if error is None and app.builder.format == "html":
        with resources.as_file(resources.files("ziamath.fonts") / FONT) as font:
            shutil.copy(font, Path(app.outdir) / "_static" / FONT)


def setup(app: Sphinx) -> dict:
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    app.connect("build-finished", copy_font)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
