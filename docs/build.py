"""Build the site: collect the pages, generate the ledger and the API reference, and run Sphinx.

All sources are first collected in ``out/site-sources``. Nothing is written beside the pages.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from docs import api

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs"
SOURCES = "site-sources"


def main(arguments: Sequence[str] | None = None) -> int:
    """Build the site and return Sphinx's exit status: 0, or 1 after a warning or an error."""
    parser = argparse.ArgumentParser(
        prog="python -m docs", description="Build the documentation site. It needs no network."
    )
    parser.add_argument("--out", type=Path, default=ROOT / "out", help="default: out")
    parser.add_argument(
        "--no-notebooks", action="store_true", help="show the tutorials without running them"
    )
    options = parser.parse_args(arguments)
    sources = options.out / SOURCES
    collect(sources)
    (sources / "ledger.md").write_text(ledger())
    return run_sphinx(sources, options.out / "site", notebooks=not options.no_notebooks)


def collect(sources: Path) -> None:
    """Empty the folder ``sources``, then write the hand-written pages and the API pages into it."""
    shutil.rmtree(sources, ignore_errors=True)
    shutil.copytree(PAGES, sources, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    folder = sources / "api"
    folder.mkdir()
    for name, text in api.pages().items():
        (folder / f"{name}.md").write_text(text)


def ledger() -> str:
    """The page of all claims, as the command prints it."""
    command = [sys.executable, "-m", "derivations", "--markdown"]
    return subprocess.run(
        command, cwd=ROOT, check=True, stdout=subprocess.PIPE, encoding="utf-8"
    ).stdout


def run_sphinx(sources: Path, site: Path, *, notebooks: bool) -> int:
    """Build ``site`` from ``sources``. A warning counts as an error."""
    shutil.rmtree(site, ignore_errors=True)
    command = [sys.executable, "-m", "sphinx", "--builder", "html", "--conf-dir", str(PAGES)]
    command += ["--doctree-dir", str(sources.parent / "site-doctrees"), "--fresh-env"]
    command += ["--quiet", "--fail-on-warning", "--keep-going"]
    if not notebooks:
        command += ["--define", "nb_execution_mode=off"]
    # The notebooks' kernel and autodoc import the libraries from this checkout.
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": path, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    status = subprocess.run([*command, str(sources), str(site)], env=environment).returncode
    if status == 0:
        print(f"The site is in {site}: open {site / 'index.html'}.")
    return min(status, 1)
