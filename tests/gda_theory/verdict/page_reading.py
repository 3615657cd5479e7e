"""Read a report's page with Python's parser: its keyed numbers, its other text, its links."""

import html.parser
import json
import re
from typing import NamedTuple

from gda_theory.verdict.page_values import FORMATS, lookup

EMPTY = {"meta", "link"}
# Text without a key that may hold digits: style, formulas, ticks, and names from the data.
FREE = {"style", "code"}
FREE_CLASSES = {"tick", "name"}


class Shown(NamedTuple):
    """One element with a key."""

    key: str
    format: str
    value: str
    text: str


class Reader(html.parser.HTMLParser):
    """What a page shows, by kind."""

    def __init__(self, page):
        super().__init__()
        self.open, self.shown, self.other, self.links, self.tags = [], [], [], [], set()
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.add(tag)
        self.links += [attributes[name] for name in ("src", "href", "action") if name in attributes]
        self.links += re.findall(r"url\(([^)]*)\)", attributes.get("style", ""))
        if tag not in EMPTY:
            self.open.append((tag, attributes, []))

    def handle_endtag(self, tag):
        opened, attributes, texts = self.open.pop()
        assert opened == tag, f"</{tag}> closes <{opened}>"
        if "data-key" in attributes:
            value = attributes.get("value", attributes.get("data-value"))
            text = "".join(texts)
            self.shown.append(Shown(attributes["data-key"], attributes["data-format"], value, text))

    def handle_data(self, text):
        keyed = False
        free = False
        for tag, attributes, texts in self.open:
            if "data-key" in attributes:
                texts.append(text)
                keyed = True
            classes = set((attributes.get("class") or "").split())
            free = free or tag in FREE or bool(classes & FREE_CLASSES)
        if not keyed and not free:
            self.other.append(text)


def check(page, document):
    """Assert that every number of the page is in the JSON, with the same value.

    Args:
        page: the HTML.
        document: the JSON, as ``json.loads`` returns it.
    Returns: the reader.
    """
    reader = Reader(page)
    for shown in reader.shown:
        value = lookup(document, shown.key)
        raw = json.dumps(value, ensure_ascii=False)
        if isinstance(value, str):
            assert json.loads(f'"{shown.value}"') == value, shown
        else:
            assert shown.value == raw, shown
        # A mark in a picture has a key and no text.
        assert shown.text in ("", FORMATS[shown.format](value)), shown
    unkeyed = [text for text in reader.other if re.search(r"\d", text)]
    assert unkeyed == []
    return reader
