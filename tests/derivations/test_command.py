"""The command ``python -m derivations``, and a ledger of a reader's own."""

import json
import os
import re
import runpy
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import sympy as sp

from derivations import __main__ as command
from derivations import render
from derivations.ledger.domains import positive
from derivations.ledger.ledger import Ledger
from derivations.ledger.steps import Equal
from derivations.ledger.theorems import Gt, Theorem

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = PYPROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
x = sp.Symbol("x", positive=True)
ANY = Theorem(
    domain={x: positive},
    conclusions={"larger": Gt(x + 1, x)},
    measure=lambda x: {},
)
ABOUT = {
    "theorem": ANY,
    "where": "test",
    "origin": "new",
    "evidence": "proved",
    "domain": "x > 0",
    "counterexample": "none",
}


def test_command(capsys):
    assert command.main(["--claim", "lemma-3-order"]) == 0
    assert "holds" in capsys.readouterr().out
    assert command.main(["--claim", "lemma-2-branches", "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)["claims"]
    assert record["passes"]
    assert record["mutants"]["tried"] == record["mutants"]["killed"] >= 3
    assert command.main(["--claim", "lemma-99"]) == 2
    assert "no claim has the id 'lemma-99'" in capsys.readouterr().err


def test_command_fails_when_a_claim_does(monkeypatch, capsys):
    mine = Ledger()

    @mine.claim("false", statement="(x+1)² = x² + 2x.", **ABOUT)
    def square(claimed=x**2 + 2 * x):
        yield Equal("expand", (x + 1) ** 2, claimed)

    monkeypatch.setattr(command, "LEDGER", mine)
    monkeypatch.setattr(render, "LEDGER", mine)
    assert command.main([]) == 1
    captured = capsys.readouterr()
    assert "FAILS" in captured.out
    assert "claim false: step 'expand'" in captured.err


def test_slow_certificates_are_listed_and_left_out(monkeypatch, capsys):
    mine = Ledger()

    @mine.claim("quick", statement="(x+1)² = x² + 2x + 1.", **ABOUT | {"evidence": "tested"})
    def square(claimed=x**2 + 2 * x + 1):
        yield Equal("expand", (x + 1) ** 2, claimed)

    @mine.claim("late", statement="(x+1)² = x² + 2x.", **ABOUT, slow="an hour")
    def false(claimed=x**2 + 2 * x):
        yield Equal("expand", (x + 1) ** 2, claimed)

    monkeypatch.setattr(command, "LEDGER", mine)
    monkeypatch.setattr(render, "LEDGER", mine)
    assert command.main([]) == 0
    assert "Slow claims not checked: 1." in capsys.readouterr().out
    assert command.main(["--slow"]) == 1
    assert command.main(["--claim", "late"]) == 1


@pytest.mark.parametrize(
    ("option", "begins"),
    [
        ("--markdown", "# The ledger of claims\n"),
        ("--corrections", "# Where the papers' claims do not hold\n"),
        ("--publish", '{\n  "$schema": "claims.schema.json",\n'),
        ("--bibtex", "@misc{gda-theory:lemma-5-bound,\n"),
    ],
)
def test_pages_are_printed(option, begins, capsys):
    assert command.main([option, "--claim", "lemma-5-bound"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(begins)
    assert printed.endswith("\n")
    assert "lemma-5-bound" in printed


def test_ctrl_c_ends_the_command_in_one_line(monkeypatch, capsys):
    def interrupt(claims):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_checked", interrupt)
    assert command.main([]) == 130
    assert capsys.readouterr().err == "derivations: interrupted\n"


def test_the_lemma_of_the_documentation_is_a_readers_own(tmp_path, capsys):
    example = (ROOT / "docs" / "claims.md").read_text().split("```python\n")[1].split("```")[0]
    checks = """
assert report.passes
assert report.killed >= 3
from derivations import LEDGER
assert "log-bound" not in {claim.id for claim in LEDGER}
"""
    (tmp_path / "mine.py").write_text(example + checks)
    runpy.run_path(str(tmp_path / "mine.py"), run_name="__main__")
    assert capsys.readouterr().err == ""


def test_the_ledger_is_packaged():
    """setuptools packages the folders that match ``include`` and have an ``__init__.py``."""
    for package in ("derivations", "figures", "theory_common"):
        assert f"{package}*" in PACKAGES
        folders = {path.parent for path in (ROOT / package).rglob("*.py")}
        assert all((folder / "__init__.py").exists() for folder in folders)


@pytest.mark.slow
def test_attack_searches_and_reports(capsys):
    assert command.main(["attack", "lemma-3-order", "--seconds", "1", "--seed", "1"]) == 0
    printed = capsys.readouterr().out
    assert "attacking 1 claim for 1 s with seed 1 in 1 process\n" in printed
    assert re.search(r"holds +lemma-3-order +margin +\S+ +\d+ points?", printed)
    assert "Violated: 0 of 1 claim. " in printed
    assert command.main(["attack", "lemma-99"]) == 2
    assert "no claim has the id 'lemma-99'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command.main(["attack", "--seconds", "-1"])


ATTACKED = """
import itertools, sys
import mpmath
import sympy as sp
from derivations import attack
from derivations.ledger.domains import positive
from derivations.ledger.ledger import Ledger
from derivations.ledger.steps import Equal
from derivations.ledger.theorems import Lt, Theorem

x = sp.Symbol("x", positive=True)
value = sp.Symbol("value")
mine = Ledger()


def in_python(x):
    while True:
        mpmath.exp(x)


def add(identifier, measure):
    about = dict(where="test", origin="new", evidence="proved", domain="x > 0")
    theorem = Theorem({x: positive}, {"below": Lt(value, 3 * x)}, measure)

    @mine.claim(
        identifier, statement="x² < 3x.", theorem=theorem, counterexample="none", **about
    )
    def square(claimed=x**2 + 2 * x):
        yield Equal("expand", x**2 + 2 * x, claimed)


add("false", lambda x: {value: x**2})  # it fails for x >= 3
add("hangs", in_python)
add("raises", lambda x: {value: [][1]})
add("compiled", lambda x: sum(itertools.repeat(1)))  # no signal ends it
add("last", lambda x: {value: x})
attack.LEDGER = mine
if __name__ == "__main__":
    sys.exit(attack.main(sys.argv[1:]))
"""


@pytest.fixture
def attacking(tmp_path):
    (tmp_path / "mine.py").write_text(ATTACKED)

    started = []

    def start(*options):
        # A shell starts its background jobs with Ctrl-C ignored, which a child would inherit.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(
            [sys.executable, "mine.py", "--workers", "1", "--seed", "3", *options],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        signal.signal(signal.SIGINT, before)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()


@pytest.mark.slow
def test_attack_goes_on_after_violations_and_points_that_hang(attacking):
    claims = ("false", "hangs", "raises", "compiled")
    with attacking(*claims, "--seconds", "2", "--limit", "0.2") as process:
        lines = iter(process.stdout.readline, "")
        assert "attacking 4 claims for 2 s with seed 3 in 1 process\n" in next(lines)
        assert re.match(r"VIOLATED false .* below at x = ", next(lines))
        assert process.poll() is None  # so the violation was printed at once
        rest = "".join(lines)
        errors = process.stderr.read()
    assert re.search(r"holds +hangs +margin +- +0 points +[1-9]\d* took too long", rest)
    assert re.search(r"RAISED +raises .* IndexError: list index out of range at x = ", rest)
    assert re.search(r"holds +compiled +margin +- +0 points", rest)  # it is killed at the end
    assert "Violated: 2 of 4 claims (false, raises). " in rest.splitlines()[-1]
    assert (process.returncode, errors) == (1, "")


@pytest.mark.slow
def test_a_process_that_hangs_in_compiled_code_is_replaced(attacking):
    with attacking("compiled", "last", "--seconds", "20", "--limit", "0.2") as process:
        printed, _ = process.communicate(timeout=120)
    assert re.search(r"holds +compiled .* 0 points  1 took too long", printed)
    assert re.search(r"holds +last .* [1-9][\d,]* points", printed)


@pytest.mark.slow
def test_ctrl_c_prints_what_the_attack_found(attacking):
    with attacking("false", "last", "--seconds", "600") as process:
        assert "attacking 2 claims" in process.stdout.readline()
        assert process.stdout.readline().startswith("VIOLATED false")
        process.send_signal(signal.SIGINT)
        printed, errors = process.communicate(timeout=60)
    assert "(false). Measured: " in printed
    assert process.returncode == 130
    assert errors == "derivations attack: interrupted\n"
