"""Every code block in the README and the pages runs, and prints what stands below it."""

import re

import pytest

from tests.docs.blocks import (
    DIRECTIVES,
    ROOT,
    Block,
    blocks,
    check_command,
    commands,
    python_output,
)

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
TEXTS = {str(path.relative_to(ROOT)): path.read_text() for path in PAGES}
BLOCKS = [block for page, text in TEXTS.items() for block in blocks(page, text)]
SLOW = (
    "docs/classes.md-0-python",
    "docs/controls.md-0-python",
    "docs/hierarchy.md-0-python",
    "docs/hierarchy.md-2-python",
    "docs/index.md-2-sh",
    "docs/report.md-1-python",
    "docs/text.md-2-python",
)


def of_kind(kind: str) -> list:
    return [
        pytest.param(block, id=block.name, marks=[pytest.mark.slow] if block.name in SLOW else [])
        for block in BLOCKS
        if block.kind == kind
    ]


def test_no_block_escapes():
    kinds = {block.kind for block in BLOCKS}
    assert kinds <= {"python", "sh", "text", "", *DIRECTIVES}  # "" is a drawing
    assert {"python", "sh", "text"} <= kinds
    outputs = sum(block.shown is not None for block in BLOCKS)
    assert outputs == sum(block.kind == "text" for block in BLOCKS), "an output without a program"
    assert {name for name in SLOW} <= {block.name for block in BLOCKS}


@pytest.mark.parametrize("block", of_kind("python"))
def test_python_prints_what_is_shown(block):
    assert python_output(block) == (block.shown or "")


@pytest.mark.parametrize("block", of_kind("sh"))
def test_commands_are_accepted_and_print_what_is_shown(block, monkeypatch):
    printed = [check_command(words, monkeypatch) for words in commands(block.text)]
    if block.shown is not None:
        # The page may show the last lines only.
        assert " ".join(printed[-1].split()).endswith(" ".join(block.shown.split()))


def test_commands_in_the_text_are_accepted(monkeypatch):
    placeholder = re.compile(r"\b[A-Z]{2,}\b|…|\.\.\.")
    seen = 0
    for page, text in TEXTS.items():
        for span in set(re.findall(r"(?<!`)`(python -m [^`\n]+)`", text)):
            words = commands(span)[0]
            if placeholder.search(span) or words[2].startswith(("http", "benchmarks.")):
                continue
            if len(words) == 3 and words[2] in ("gda_theory", "rhm_theory"):
                continue
            if words[2:4] == ["gda_theory", "diagnose"] and len(words) == 4:
                continue  # the name of the command, without its arguments
            check_only(words, monkeypatch, page)
            seen += 1
    assert seen > 5


def check_only(words, monkeypatch, page):
    from tests.docs.blocks import run_module

    try:
        run_module(words[2:], monkeypatch, parse_only=True)
    except SystemExit as error:
        pytest.fail(f"{page}: {' '.join(words)} is not accepted: {error}")


def test_a_wrong_block_is_seen(monkeypatch):
    wrong = Block("page", 0, "python", "print(1 + 1)\n", "3\n")
    assert python_output(wrong) != wrong.shown
    with pytest.raises(SystemExit):
        check_command(["python", "-m", "gda_theory", "diagnoze"], monkeypatch)
    with pytest.raises(AssertionError, match="unknown extras"):
        check_command(["pip", "install", "-e", ".[tests]"], monkeypatch)
    with pytest.raises(AssertionError, match="nothing checks"):
        check_command(["rm", "-r", "docs"], monkeypatch)
