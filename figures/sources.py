"""The source files that a figure depends on, found by reading imports: nothing is imported or run.

A figure depends on its own file and on every file of the project that it imports, directly or
through others. A package's ``__init__`` that only re-exports names passes a name on to the file
that defines it. It may also import a subpackage when that is first used, in ``__getattr__``. So
``gt.pair.folds`` leads to ``gda_theory/pair/bifurcations.py``, and not to every file of
``gda_theory``. Where it cannot be seen which names are used, the whole package counts.
"""

import ast
import functools
import importlib.util
from pathlib import Path
from typing import NamedTuple

PACKAGES = ("theory_common", "gda_theory", "rhm_theory", "derivations", "figures")
# Importing these registers things that are looked up by a text later, so all of their files count.
WHOLE = ("derivations",)
# What may import a module by its name, a text.
BY_TEXT = ("importlib", "importlib.import_module", "pkgutil")


class Source(NamedTuple):
    """One file, read."""

    tree: ast.Module
    bindings: dict[str, str]  # local name -> the module or the name in a module that it stands for
    used: frozenset[str]  # dotted names that start with an imported one, "gt.pair.folds"


def of(module: str) -> list[Path]:
    """The files that ``module``, a dotted name, depends on, itself included, in a fixed order."""
    project = frozenset({*PACKAGES, module.partition(".")[0]})
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = _path(name)
        waiting += _needed(name, project)
    return [found[name] for name in sorted(found)]


def _needed(module: str, project: frozenset[str]) -> set[str]:
    """The modules that ``module`` uses directly."""
    package = module.partition(".")[0]
    source = _read(_path(module), module)
    targets = []
    for name in source.used:
        first, _, rest = name.partition(".")
        targets.append(source.bindings[first] + (f".{rest}" if rest else ""))
    imports_by_text = any(target in BY_TEXT or target.startswith("pkgutil.") for target in targets)
    own = set(_modules_below(package)) if package in WHOLE or imports_by_text else set()
    for target in targets:
        own |= _resolved(target, project)
    return own - {module}


def _resolved(target: str, project: frozenset[str]) -> set[str]:
    """The modules that define ``target``, a dotted path such as ``gda_theory.pair.folds``."""
    package, *rest = target.split(".")
    if package not in project:
        return set()
    module = package
    for index, part in enumerate(rest):
        if _path(f"{module}.{part}", missing=None):
            module = f"{module}.{part}"
            continue
        exported = _exports(module)
        if exported is None:  # no pure list of exports: the file itself defines the name
            return {module}
        if part not in exported:
            return set(_modules_below(module))
        return _resolved(".".join([exported[part], *rest[index + 1 :]]), project)
    # The module itself is passed around or asked by getattr.
    return {module} if _exports(module) is None else set(_modules_below(module))


def _exports(module: str) -> dict[str, str] | None:
    """What a package's ``__init__`` re-exports, name -> origin; None if it does anything else."""
    path = _path(module)
    if path.name != "__init__.py":
        return None
    source = _read(path, module)
    pure = all(
        isinstance(node, ast.Import | ast.ImportFrom)
        or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
        or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
        # It imports a subpackage of the name that is asked for, which has a file of its own.
        or (isinstance(node, ast.FunctionDef) and node.name == "__getattr__")
        for node in source.tree.body
    )
    return source.bindings if pure else None


def _modules_below(package: str) -> list[str]:
    """``package`` and all modules in its folder and the folders below, as dotted names."""
    path = _path(package)
    if path.name != "__init__.py":
        return [package]
    folder = path.parent
    names = []
    for file in folder.rglob("*.py"):
        parts = file.relative_to(folder).with_suffix("").parts
        names.append(".".join([package, *(part for part in parts if part != "__init__")]))
    return names


@functools.cache
def _root(package: str) -> Path | None:
    """The folder of a top-level package. ``find_spec`` does not import it."""
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def _path(module: str, missing: object = LookupError) -> Path | None:
    """The file of a module, or ``missing`` if that is None."""
    package, *rest = module.split(".")
    root = _root(package)
    if root:
        place = root.joinpath(*rest)
        for path in (place / "__init__.py", place.with_suffix(".py")):
            if path.is_file():
                return path
    if missing is None:
        return None
    raise LookupError(f"no source file of the module {module!r}")


def _read(path: Path, module: str) -> Source:
    """Imports and uses of imported names in one file."""
    return _parsed(path.read_bytes(), module, path.name == "__init__.py")


@functools.lru_cache(maxsize=1024)
def _parsed(text: bytes, module: str, is_package: bool) -> Source:
    tree = ast.parse(text)
    bindings: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                # ``import a.b`` binds ``a``; ``import a.b as c`` binds a.b.
                bound = alias.asname or alias.name.partition(".")[0]
                bindings[bound] = alias.name if alias.asname else bound
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".") if is_package else module.split(".")[:-1]
            base = parents[: len(parents) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                bindings[alias.asname or alias.name] = f"{origin}.{alias.name}"
    chains = _Chains(bindings)
    chains.visit(tree)
    return Source(tree, bindings, frozenset(chains.found | bindings.keys() - chains.seen))


class _Chains(ast.NodeVisitor):
    """Collects the longest dotted names that begin with an imported name."""

    def __init__(self, bindings: dict[str, str]):
        self.bindings = bindings
        self.found: set[str] = set()
        self.seen: set[str] = set()

    def visit_Attribute(self, node: ast.Attribute) -> None:
        parts: list[str] = []
        inner: ast.expr = node
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if isinstance(inner, ast.Name) and inner.id in self.bindings:
            self._add(inner.id, parts[::-1])
        else:
            self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in self.bindings:
            self._add(node.id, [])

    def _add(self, name: str, rest: list[str]) -> None:
        self.seen.add(name)
        self.found.add(".".join([name, *rest]))
