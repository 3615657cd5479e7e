"""The site: every public name has an entry, and no page loads anything from elsewhere."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from docs import api

ROOT = Path(__file__).parents[2]
# Attributes from which a browser loads something as soon as it shows the page.
LOADED = {
    ("audio", "src"),
    ("embed", "src"),
    ("iframe", "src"),
    ("img", "src"),
    ("img", "srcset"),
    ("link", "href"),
    ("object", "data"),
    ("script", "src"),
    ("source", "src"),
    ("source", "srcset"),
    ("video", "src"),
}
ELSEWHERE = re.compile(r"\s*(?:https?:)?//", re.IGNORECASE)


class Loads(HTMLParser):
    """Collects what a page loads."""

    def __init__(self):
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.found += [value or "" for name, value in attrs if (tag, name) in LOADED]


def loads(html: str) -> list[str]:
    parser = Loads()
    parser.feed(html)
    in_styles = re.findall(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]+)", html)
    return parser.found + in_styles


def foreign(html: str) -> list[str]:
    return [address for address in loads(html) if ELSEWHERE.match(address)]


def test_every_public_name_has_an_entry():
    text = "\n".join(api.pages().values())
    missing = [
        f"{path}.{name}"
        for path, module in api.modules().items()
        for name in api.public_names(module)
        if not re.search(rf"\.{re.escape(name)}\b", text)
    ]
    assert missing == []
    assert len(api.modules()) > 15


def test_an_address_elsewhere_is_seen():
    assert foreign('<script src="https://a.b/c.js"></script>') == ["https://a.b/c.js"]
    assert foreign('<link href="//a.b/c.css">') == ["//a.b/c.css"]
    assert foreign("<style>@font-face { src: url('https://a.b/f.woff') }</style>") != []
    assert foreign('<a href="https://a.b">a link loads nothing</a><img src="c.png">') == []


@pytest.mark.slow
def test_the_site_builds_and_loads_nothing_from_elsewhere(tmp_path):
    pytest.importorskip("myst_nb", reason="the site needs the extra [docs]")
    subprocess.run([sys.executable, "-m", "docs", "--out", str(tmp_path)], cwd=ROOT, check=True)
    site = tmp_path / "site"
    pages = {path: path.read_text() for path in site.rglob("*.html")}
    styles = {path: path.read_text() for path in site.rglob("*.css")}
    assert len(pages) > 25
    assert {
        str(path): found for path, text in (pages | styles).items() if (found := foreign(text))
    } == {}
    every_page = "\n".join(pages.values())
    assert "<math" in every_page
    for path, module in api.modules().items():
        for name in api.public_names(module):
            assert name in every_page, f"{path}.{name}"
