"""The layout of docs/architecture.md. Imports point one way, are cheap and change nothing."""

import ast
import graphlib
import itertools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RANK = {
    "theory_common": 0,
    "gda_theory": 1,
    "rhm_theory": 1,
    "derivations": 2,
    "figures": 3,
    "benchmarks": 3,
}
LIBRARIES = [name for name, rank in RANK.items() if rank < 2]
# A folder may import from those before it in its package. Place a new one here, or the test fails.
ORDER = {
    "theory_common": (
        "precision",
        "checks",
        "claims",
        "pytrees",
        "entry",
        "idx",
        "numerics",
        "batching",
        "printing",
        "__init__",
    ),
    "gda_theory": (
        "codes",
        "problem",
        "solve",
        "pair",
        "dynamics",
        "paper",
        "deletion",
        "verdict",
        "evaluation",
        "networks",
        "__init__",
        "studies",
        "commands",
        "cli",
        "__main__",
    ),
    "rhm_theory": (
        "models",
        "noise",
        "inference",
        "theory",
        "experiment",
        "denoisers",
        "__init__",
        "studies",
        "commands",
        "cli",
        "__main__",
    ),
    "derivations": (
        "ledger",
        "descent_ascent",
        "hierarchy",
        "__init__",
        "render",
        "attack",
        "__main__",
    ),
}
# Each of these takes about half a second to import.
HEAVY = (
    "dask",
    "distributed",
    "diffrax",
    "matplotlib",
    "mpmath",
    "narwhals",
    "numba",
    "pandas",
    "polars",
    "pyarrow",
    "rich",
    "scipy.optimize",
    "sklearn",
    "sympy",
)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


FILES = {
    module_name(path): path for package in RANK for path in sorted((ROOT / package).rglob("*.py"))
}


def imports(path: Path) -> set[str]:
    """The modules of this project that a file imports, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full"
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= parts & FILES.keys() | ({node.module} if parts - FILES.keys() else set())
    return found & FILES.keys()


def upward(importer: str, imported: str) -> bool:
    """Whether this import points the wrong way: to a later package, or to a later folder."""
    package = importer.split(".")[0]
    other = imported.split(".")[0]
    if package != other:
        return RANK[other] >= RANK[package]
    if package not in ORDER:
        return False
    order = ORDER[package]
    places = [[*name.split("."), "__init__"][1] for name in (importer, imported)]
    unplaced = [place for place in places if place not in order]
    assert not unplaced, f"place {package}.{unplaced[0]} in ORDER"
    return order.index(places[0]) < order.index(places[1])


def test_imports_point_one_way():
    graph = {name: imports(path) - {name} for name, path in FILES.items()}
    assert len(graph) > 10
    assert [
        (importer, imported)
        for importer, all_ in graph.items()
        for imported in all_
        if upward(importer, imported)
    ] == []
    graphlib.TopologicalSorter(graph).prepare()  # CycleError shows the circle


def test_the_wrong_way_is_seen(tmp_path):
    assert upward("theory_common.checks", "gda_theory")
    assert upward("theory_common.numerics.special", "derivations.ledger.ledger")
    assert upward("theory_common.numerics.special", "gda_theory.problem.losses")
    assert upward("gda_theory.pair.coordinate", "gda_theory")  # through its own package
    assert upward("figures.page", "benchmarks.timing")
    assert upward("rhm_theory.models.grammar", "rhm_theory.inference.evidence")
    assert upward("rhm_theory.models.grammar", "gda_theory.problem.losses")  # not between libraries
    assert not upward("gda_theory.problem.losses", "theory_common.numerics.special")
    hidden = tmp_path / "hidden.py"
    hidden.write_text(
        "def f():\n"
        "    from gda_theory import Loss\n"
        "    from gda_theory.problem import losses\n"
        "    import theory_common.checks\n"
    )
    assert imports(hidden) == {"gda_theory", "gda_theory.problem.losses", "theory_common.checks"}


def python(code: str) -> str:
    """What ``code`` prints in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.smoke
def test_importing_changes_no_jax_setting():
    modules = [
        name for name in FILES if name.split(".")[0] in LIBRARIES and not name.endswith("__main__")
    ]
    assert len(modules) > 5
    code = "import importlib, jax\nbefore = dict(jax.config.values)\nassert len(before) > 20\n"
    code += f"for name in {modules}:\n    importlib.import_module(name)\n"
    assert (
        python(code + "print({key for key in before if jax.config.values[key] != before[key]})")
        == "set()\n"
    )


@pytest.mark.smoke
def test_importing_the_library_imports_nothing_heavy():
    code = "import sys, gda_theory, rhm_theory\n"
    code += f"print([name for name in {HEAVY} if name in sys.modules])"
    assert python(code) == "[]\n"


def test_every_package_is_installed():
    include = PYPROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {pattern.rstrip("*") for pattern in include} == set(RANK) - {"benchmarks"}
    folders = {path.parent for name in RANK for path in (ROOT / name).rglob("*.py")}
    assert [folder for folder in folders if not (folder / "__init__.py").exists()] == []


def test_every_dependency_has_its_reason():
    listed = re.findall(
        r"^\| `([\w-]+)` \| (.+?) \|$",
        (ROOT / "docs" / "dependencies.md").read_text(),
        re.MULTILINE,
    )
    requirements = [
        *PYPROJECT["project"]["dependencies"],
        *itertools.chain(*PYPROJECT["project"]["optional-dependencies"].values()),
    ]
    assert [name for name, _ in listed] == [
        re.match(r"[\w-]+", requirement).group() for requirement in requirements
    ]
    assert all(len(reason.split()) >= 3 for _, reason in listed)


def test_the_readme_has_the_commands_that_ci_runs():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert "pip install -e '.[test]' && pytest" in lines
    assert "pip install -e . && python -m figures" in lines


def test_one_version_everywhere():
    version = PYPROJECT["project"]["version"]
    assert re.search(
        rf"^version: {re.escape(version)}$", (ROOT / "CITATION.cff").read_text(), re.MULTILINE
    )
    assert re.search(
        rf"^## {re.escape(version)}\b", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
