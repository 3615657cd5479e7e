"""The README can be read aloud: no sentence has more than 25 words."""

import re
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text()
LONGEST = 25


def sentences(text: str) -> list[str]:
    """The sentences of the prose; a list's item and a table's cell end one too."""
    text = re.sub(r"```.*?```|^#.*?$|!\[.*?\]\(.*?\)", "\n\n", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"\$\$.*?\$\$", " formula ", text, flags=re.DOTALL)
    text = re.sub(r"`[^`]*`|\$[^$]*\$", "Word", text)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    parts = re.split(r"(?<=[.!?])[\s*]+(?=[\[A-Z*])|\n\n|\n\* |\|", text)
    return [" ".join(part.split()) for part in parts if part.strip()]


def long_ones(text: str) -> list[str]:
    return [sentence for sentence in sentences(text) if len(sentence.split()) > LONGEST]


def test_no_sentence_is_long():
    assert len(sentences(README)) > 40
    assert long_ones(README) == []


def test_a_long_sentence_is_seen():
    assert long_ones("Short. " + "word " * 26 + "end. Short again.") != []
