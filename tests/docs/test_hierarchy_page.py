"""The programs of docs/hierarchy.md print what stands below them."""

import contextlib
import io
import pathlib
import re

import pytest

TEXT = (pathlib.Path(__file__).parents[2] / "docs" / "hierarchy.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", TEXT, re.DOTALL)


def test_there_are_two():
    assert len(PROGRAMS) == 2


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        pytest.param(*PROGRAMS[0], marks=pytest.mark.slow, id="transition"),
        pytest.param(*PROGRAMS[1], id="compare"),
    ],
)
def test_prints_what_is_printed(code, printed):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {})
    assert out.getvalue() == printed
