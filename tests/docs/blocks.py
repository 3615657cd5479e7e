"""The code blocks of the pages, and how each kind is run or checked."""

import argparse
import contextlib
import io
import re
import runpy
import shlex
import sys
import tomllib
import warnings
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
FENCE = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# What Sphinx and myst-nb read: directives of the site. Building the site runs the code cells.
DIRECTIVES = ("{code-cell}", "{eval-rst}", "{toctree}")
# Commands that take seconds. All others are only parsed, by their own parsers.
QUICK = (
    ["gda_theory", "diagnose", "breast_cancer"],
    ["gda_theory", "solve"],
    ["rhm_theory", "theory"],
)


class Block(NamedTuple):
    """One fenced block: where it stands, its kind, its text and the output shown below it."""

    page: str
    number: int
    kind: str
    text: str
    shown: str | None

    @property
    def name(self) -> str:
        """For the test's id."""
        return f"{self.page}-{self.number}-{self.kind}"


def blocks(page: str, text: str) -> list[Block]:
    """The blocks of a page. A ``text`` block directly below another one is that one's output."""
    matches = list(FENCE.finditer(text))
    found = []
    for number, match in enumerate(matches):
        follower = matches[number + 1] if number + 1 < len(matches) else None
        below = (
            follower and follower[1] == "text" and not text[match.end() : follower.start()].strip()
        )
        found.append(Block(page, number, match[1], match[2], follower[2] if below else None))
    return found


def python_output(block: Block) -> str:
    """What a block of Python prints."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(block.text, block.name, "exec"), {"__name__": block.name})
    return out.getvalue()


def commands(text: str) -> list[list[str]]:
    """The commands of a shell block, split into words. Comments are dropped."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while "&&" in words:
            found.append(words[: words.index("&&")])
            words = words[words.index("&&") + 1 :]
        found.append(words)
    return [words for words in found if words]


class Parsed(Exception):
    """A command has read its arguments. It goes no further."""


def run_module(words: list[str], monkeypatch, *, parse_only: bool) -> str:
    """Run ``python -m MODULE ...`` here, and return what it prints.

    With ``parse_only`` it stops after its parser has accepted the arguments. Raises ``SystemExit``
    with a status other than 0 if the command fails.
    """
    module, *arguments = words
    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(parser, args=None, namespace=None):
        parse(parser, args, namespace)
        raise Parsed

    out = io.StringIO()
    with monkeypatch.context() as patch, contextlib.redirect_stdout(out):
        patch.setattr(sys, "argv", [module, *arguments])
        patch.setenv("COLUMNS", "80")
        if parse_only:
            patch.setattr(argparse.ArgumentParser, "parse_args", parse_and_stop)
        # Another test may have imported the command already: it is run again all the same.
        already = warnings.catch_warnings(action="ignore", category=RuntimeWarning)
        try:
            with already:
                runpy.run_module(module, run_name="__main__", alter_sys=True)
        except Parsed:
            pass
        except SystemExit as done:
            if done.code:
                raise
    return out.getvalue()


def check_command(words: list[str], monkeypatch) -> str:
    """Run a command that takes seconds and return its output; check the words of any other."""
    if words[:2] == ["python", "-m"] and words[2] != "venv":
        quick = any(words[2 : 2 + len(start)] == start for start in QUICK)
        return run_module(words[2:], monkeypatch, parse_only=not quick)
    if words[:2] == ["pip", "install"]:
        extras = re.findall(r"\.\[(.*)\]", " ".join(words))
        unknown = {name for group in extras for name in group.split(",")} - set(EXTRAS)
        assert not unknown, f"{words} names unknown extras {unknown}"
        return ""
    if words[0] == "dask":
        from distributed.cli import dask_scheduler, dask_worker

        known = {"scheduler": dask_scheduler, "worker": dask_worker}[words[1]].main.params
        options = {option for parameter in known for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options
        return ""
    if words[0] in ("bash", "pytest", "ruff", "mypy", "pre-commit"):
        paths = [word for word in words[1:] if "/" in word]
        assert [path for path in paths if not (ROOT / path).exists()] == []
        return ""
    assert words[0] in ("python", ".", "git"), f"nothing checks the command {words}"
    return ""
