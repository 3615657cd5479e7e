"""The libraries name the claims that back them; the claims name the functions they back."""

import ast
import inspect
import json
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import derivations
from rhm_theory.commands import theory as rhm_command
from theory_common.claims import claims_of

ROOT = Path(__file__).parents[2]
LIBRARIES = ("theory_common", "gda_theory", "rhm_theory")
CLAIMS = list(derivations.LEDGER)
# Python in a folder to which this checkout's packages are added as if installed. ``strip`` leaves
# out the docstrings of these packages alone, as ``-OO`` does: that would compile JAX and SymPy too.
WITHOUT_DOCSTRINGS = """
import contextlib, importlib.machinery, io, json, pkgutil, runpy, sys

def get_code(self, name, usual=importlib.machinery.SourceFileLoader.get_code):
    if not self.path.startswith({packages!r}):
        return usual(self, name)
    return compile(self.get_data(self.path), self.path, "exec", dont_inherit=True, optimize=2)

if {strip}:
    importlib.machinery.SourceFileLoader.get_code = get_code
from theory_common.claims import claims_of
if claims_of.__doc__ is not None or not claims_of.__code__.co_filename.startswith({packages!r}):
    sys.exit("these packages are others, or have docstrings")
claims = [claims_of(pkgutil.resolve_name(name)) for name in {names}]
sys.argv = ["derivations", "--claim", "lemma-5-bound"]
printed = io.StringIO()
try:
    with contextlib.redirect_stdout(printed):
        runpy.run_module("derivations", run_name="__main__", alter_sys=True)
except SystemExit as stopped:
    print(json.dumps([claims, printed.getvalue(), stopped.code]))
"""


def docstrings():
    """Every docstring of the libraries as (dotted name as written, docstring).

    Modules, classes, functions and methods are included, private ones too.
    """
    for path in sorted(path for library in LIBRARIES for path in (ROOT / library).rglob("*.py")):
        if path.stem == "__main__":
            continue
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        stack = [(module, ast.parse(path.read_text()))]
        while stack:
            name, node = stack.pop()
            yield name, ast.get_docstring(node) or ""
            stack += [
                (f"{name}.{child.name}", child)
                for child in ([] if isinstance(node, ast.FunctionDef) else node.body)
                if isinstance(child, ast.FunctionDef | ast.ClassDef)
            ]


def cited(document):
    """The ids after ``Claim:`` or ``Claims:``."""
    listed = re.findall(r"Claims?:((?:\s*``[a-z0-9-]+``,?(?:\s+and)?)+)", document)
    return {identifier for group in listed for identifier in re.findall(r"``([a-z0-9-]+)``", group)}


def is_module(name):
    return inspect.ismodule(pkgutil.resolve_name(name))


def written_name(public):
    """Where the object of a dotted name is written.

    For example ``gda_theory.pair.folds`` stands in ``gda_theory.pair.bifurcations``.
    """
    found = pkgutil.resolve_name(public)
    return found.__name__ if inspect.ismodule(found) else f"{found.__module__}.{found.__qualname__}"


CITED = {name: cited(document) for name, document in docstrings()}


def test_docstrings_and_decorators_name_the_same_claims():
    different = {
        name: (sorted(identifiers), claims_of(pkgutil.resolve_name(name)))
        for name, identifiers in CITED.items()
        if not is_module(name) and identifiers != set(claims_of(pkgutil.resolve_name(name)))
    }
    assert different == {}, "name: (in the docstring, in @backed_by)"
    assert sum(map(bool, CITED.values())) >= 130


def test_every_cited_claim_is_in_the_ledger():
    ids = {claim.id for claim in CLAIMS}
    assert set().union(*CITED.values()) <= ids
    assert set(rhm_command.CLAIMS.values()) <= ids


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["-OO"]])
def test_claims_survive_without_docstrings(options, tmp_path):
    names = [name for name, identifiers in CITED.items() if identifiers and not is_module(name)]
    packages = tmp_path / "packages"
    packages.mkdir()
    for package in ("derivations", *LIBRARIES):
        (packages / package).symlink_to(ROOT / package, target_is_directory=True)
    code = WITHOUT_DOCSTRINGS.format(names=names, packages=str(packages), strip=not options)
    done = subprocess.run(
        [sys.executable, *options, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(packages)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    claims, printed, code = json.loads(done.stdout)
    assert dict(zip(names, map(set, claims), strict=True)) == {name: CITED[name] for name in names}
    assert code == 0
    assert derivations.claim("lemma-5-bound").statement[:40] in printed


def test_docstrings_and_claims_name_each_other():
    by_docstring = {(name, claim) for name, identifiers in CITED.items() for claim in identifiers}
    by_claim = {(written_name(name), claim.id) for claim in CLAIMS for name in claim.backs}
    assert len(by_claim) >= 100
    # A module may name what backs one of its functions.
    of_modules = {(name, identifier) for name, identifier in by_docstring if is_module(name)}
    of_members = {(name.rpartition(".")[0], identifier) for name, identifier in by_claim}
    unanswered = by_docstring - by_claim - (of_modules & of_members)
    assert unanswered == set(), (
        "a docstring names a claim that does not name it: add it to the claim's backs"
    )
    assert by_claim - by_docstring == set(), (
        "a claim names a function whose docstring does not name it"
    )
