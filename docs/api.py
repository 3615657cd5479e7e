"""Write the API reference: one page for each public module, with an entry for each public name.

Sphinx's autodoc turns each entry into the signature and the docstring. A name that two modules
offer is documented in the first of them. The other module links to that entry.
"""

import enum
import importlib
import inspect
import sys
from types import ModuleType

# The public packages, in the order of the pages. Their public modules get pages of their own.
PACKAGES = ("gda_theory", "gda_theory.pair", "gda_theory.evaluation", "rhm_theory", "derivations")
# Modules for users that no package lists.
FURTHER = ("gda_theory.paper.appendix", "theory_common.entry", "theory_common.checks")


def public_names(module: ModuleType) -> list[str]:
    """The names a module offers: its ``__all__``, else all that it defines itself.

    Names with a leading underscore are not offered.
    """
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]


def modules() -> dict[str, ModuleType]:
    """The public modules by the names that users write, such as ``gda_theory.coordinate``."""
    found = {}
    for package in PACKAGES:
        module = importlib.import_module(package)
        found[package] = module
        if package == "derivations":  # its other modules hold claims, which the ledger lists
            continue
        for name in public_names(module):
            value = getattr(module, name)
            if inspect.ismodule(value) and f"{package}.{name}" not in PACKAGES:
                found[f"{package}.{name}"] = value
    return found | {name: importlib.import_module(name) for name in FURTHER}


def pages() -> dict[str, str]:
    """The text of each page, by the page's name."""
    documented: dict[int, str] = {}
    found = {path: page(path, module, documented) for path, module in modules().items()}
    return {"index": index(found)} | found


def index(found: dict[str, str]) -> str:
    """The page that lists the modules."""
    lines = ["# API reference", ""]
    lines += ["Every public name, with its signature and its docstring. In the examples,"]
    lines += ["`gt` is `gda_theory` and `rt` is `rhm_theory`.", "", "```{toctree}", *found, "```"]
    return "\n".join(lines) + "\n"


def page(path: str, module: ModuleType, documented: dict[int, str]) -> str:
    """The page of one module.

    ``documented`` maps the id of an object to the name under which it has its entry.
    """
    importable = import_path(path, module)
    sections: dict[str, list[str]] = {"Functions": [], "Classes": [], "Constants": []}
    links = []
    for name in public_names(module):
        value, full_name = getattr(module, name), f"{importable}.{name}"
        if inspect.ismodule(value):
            links.append(f"* `{full_name}`: {link(path, value)}")
        elif id(value) in documented:
            links.append(f"* `{full_name}`: the same as {{py:obj}}`{documented[id(value)]}`")
        else:
            documented[id(value)] = full_name
            section, lines = entry(full_name, value)
            sections[section] += lines
    text = [
        f"# `{path}`",
        "",
        "```{eval-rst}",
        f".. automodule:: {importable}",
        "   :no-members:",
        "```",
    ]
    for title, lines in sections.items():
        if lines:
            text += ["", f"## {title}", "", "```{eval-rst}", *lines, "```"]
    if links:
        text += ["", "## Further names", "", *links]
    return "\n".join(text) + "\n"


def import_path(path: str, module: ModuleType) -> str:
    """The name under which autodoc can reach a module: ``path``, or where it is defined.

    A package may offer a module under the name of another one. An import reaches that other one.
    """
    offered = sys.modules.get(path)
    if offered is None or offered is module:
        return path
    return module.__name__


def link(path: str, module: ModuleType) -> str:
    """The first paragraph of a public module's docstring, and a link to its page."""
    summary = (inspect.getdoc(module) or "").split("\n\n")[0].replace("\n", " ")
    if path == "derivations":
        return f"{summary} The [ledger](../ledger.md) lists its claims."
    name = next(name for name, value in modules().items() if value is module)
    return f"{summary} See [its page]({name}.md)."


def entry(full_name: str, value: object) -> tuple[str, list[str]]:
    """The section of a name, and the directive that documents it."""
    if inspect.isclass(value):
        lines = [f".. autoclass:: {full_name}"]
        if issubclass(value, enum.Enum):
            lines += ["   :members:", "   :undoc-members:"]
        elif members := methods(value):
            lines.append(f"   :members: {', '.join(members)}")
        return "Classes", [*lines, ""]
    if inspect.isroutine(value):
        return "Functions", [f".. autofunction:: {full_name}", ""]
    return "Constants", [f".. py:data:: {full_name}", "", f"   ``{value!r}``", ""]


def methods(of: type) -> list[str]:
    """The public methods and properties with a docstring. Fields stand in the signature already.

    Those of a class of this project that it inherits from are among them.
    Methods that another library puts into the class are left out, such as scikit-learn's
    ``set_fit_request``.
    """
    package = of.__module__.partition(".")[0]
    offered: dict[str, object] = {}
    for parent in reversed(of.__mro__):
        if parent.__module__.partition(".")[0] == package:
            offered |= vars(parent)
    fields = {*getattr(of, "_fields", ()), *getattr(of, "__dataclass_fields__", ())}
    return [
        name
        for name, value in offered.items()
        if not name.startswith("_")
        and name not in fields
        and (inspect.isroutine(value) or isinstance(value, (property, classmethod, staticmethod)))
        and inspect.getdoc(getattr(of, name))
        and (getattr(getattr(of, name), "__module__", None) or package).startswith(package)
    ]
