"""A Sphinx extension that links each picture to its file.

A figure of several panels is small beside the contents. A click on it opens it in full size.
"""

import re

from sphinx.application import Sphinx

# A link as a whole, whatever is in it, or a picture.
PARTS = re.compile(r"<a\b.*?</a>|<img\b[^>]*?\bsrc=\"(?P<file>[^\"]+)\"[^>]*>", re.DOTALL)


def linked(html: str) -> str:
    """The page in which each picture that stands in no link is a link to its file."""

    def link(found: re.Match) -> str:
        if found["file"] is None:
            return found[0]
        return f'<a class="picture" href="{found["file"]}">{found[0]}</a>'

    return PARTS.sub(link, html)


def link_pictures(app: Sphinx, name: str, template: str, context: dict, doctree) -> None:
    if "body" in context:
        context["body"] = linked(context["body"])


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", link_pictures)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
