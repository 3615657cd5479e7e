"""What the README prints is what the code prints."""

import contextlib
import io
import pathlib
import re

from gda_theory import cli

README = (pathlib.Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)


def test_the_six_lines_print_what_is_printed():
    code, printed = next(
        (block, BLOCKS[i + 1][1]) for i, (kind, block) in enumerate(BLOCKS) if kind == "python"
    )
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {})
    assert out.getvalue() == printed


def test_the_verdict_is_the_one_printed(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    command, verdict = BLOCKS[0][1].strip(), BLOCKS[1][1]
    assert command.startswith("python -m gda_theory ")
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        cli.main(command.split()[3:])
    assert verdict.split() == out.getvalue()[out.getvalue().index("VERDICT") :].split()
