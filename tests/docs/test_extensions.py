"""The site's own Sphinx extensions: docstrings, formulas and pictures."""

import pytest
from numpy.typing import ArrayLike


def test_sections_on_one_line_become_paragraphs():
    docstrings = pytest.importorskip("docs.docstrings", reason="the site needs the extra [docs]")
    lines = ["First.", "", "Returns: NaN past", "    the fold.", "Claim: ``lemma-6``.", "Last."]
    found = docstrings.paragraphs(lines)
    assert found == [
        "First.",
        "",
        "",
        "**Returns:** NaN past",
        "the fold.",
        "",
        "**Claim:** ``lemma-6``.",
        "Last.",
    ]
    assert docstrings.linked(found[-2]).endswith("`lemma-6 <../ledger.html#lemma-6>`__.")
    assert docstrings.linked("``not-a-claim``") == "``not-a-claim``"


def test_array_types_are_short():
    docstrings = pytest.importorskip("docs.docstrings", reason="the site needs the extra [docs]")
    long = "(x: ~jax.jaxlib._jax.Array | ~numpy.ndarray | ~numpy.bool | int | complex = 1.0)"
    found = docstrings.short_arrays(None, "function", "f", None, None, long, None)
    assert found == ("(x: ArrayLike = 1.0)", None)
    typing = pytest.importorskip("sphinx.util.typing")
    for long in map(typing.stringify_annotation, (ArrayLike, ArrayLike | None)):
        text = docstrings.short_arrays(None, "function", "f", None, None, f"(x: {long})", None)[0]
        assert text in ("(x: ArrayLike)", "(x: ArrayLike | None)")


def test_formulas_become_mathml():
    mathml = pytest.importorskip("docs.mathml", reason="the site needs the extra [docs]")
    shown = mathml.render(r"\frac{1}{2} \|w\|^2", display=True)
    assert shown.startswith("<math")
    assert "<mfrac>" in shown
    with pytest.raises(Exception, match="nosuchcommand"):
        mathml.render(r"\nosuchcommand", display=False)


def test_a_picture_links_to_its_file_unless_it_is_in_a_link():
    pictures = pytest.importorskip("docs.pictures", reason="the site needs the extra [docs]")
    picture = '<img alt="a" src="_images/a.png" />'
    link = f'<a href="b.html">{picture}</a>'
    linked = f'<a class="picture" href="_images/a.png">{picture}</a>'
    assert pictures.linked(f"<p>{picture}</p>{link}{picture}") == f"<p>{linked}</p>{link}{linked}"
