"""Which figures there are, in which order, what their parameters are, and what each must offer."""

import ast
import importlib
import importlib.util
import pkgutil
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

ORDER = (
    "fig4",
    "distances",
    "opposite_sides",
    "logistic",
    "fig5",
    "appendix_j",
    "tightness",
    "normalisation",
    "dynamics",
    "illusion",
    "alternating",
    "critical_slowing",
    "large_steps",
    "basin",
    "random_sets",
    "klom",
    "networks",
    "bridge",
    "cross_influence",
    "rhm_tree",
    "rhm_epsilon",
    "rhm_masking",
    "rhm_exponent",
    "rhm_scaling",
    "rhm_controls",
    "rhm_law",
    "hierarchy_or_flat",
    "trained_grammar",
    "text",
    "images",
    "controls_all",
    "infinite_depth",
)
# Libraries of an extra. A figure that needs one that is missing is drawn only if it is named.
NEEDS = {
    "networks": ("equinox", "optax"),
    "bridge": ("equinox", "optax"),
    "text": ("equinox", "optax", "tokenizers"),
    "images": ("equinox", "optax", "tokenizers"),
    "trained_grammar": ("equinox", "optax", "tokenizers"),
}
PRESETS = ("quick", "paper")
# Modules of this folder that are no figure. Those that begin with "_" are none either.
TOOLS = ("catalogue", "page", "parts", "pool", "runner", "sources", "store", "style")
OFFERS = {
    "TITLE": str,
    "CAPTION": str,
    "LEMMAS": list,
    "compute": None,
    "draw": None,
    "claims": None,
}


def names(package: str = "figures") -> list[str]:
    """The figures in the folder of ``package``: those of :data:`ORDER`, then the others by name.

    None of them is imported.
    """
    folder = importlib.import_module(package).__path__
    found = {module.name for module in pkgutil.iter_modules(folder)}
    found -= {name for name in found if name in TOOLS or name.startswith("_")}
    return [name for name in ORDER if name in found] + sorted(found - set(ORDER))


def drawable(names: Iterable[str]) -> list[str]:
    """Those of the figures whose libraries are installed (:data:`NEEDS`)."""
    return [
        name
        for name in names
        if all(importlib.util.find_spec(library) for library in NEEDS.get(name, ()))
    ]


def load(name: str, package: str = "figures") -> ModuleType:
    """Import the module of one figure.

    Raises: ``TypeError`` if it does not offer what the package's docstring asks for.
    """
    module = importlib.import_module(f"{package}.{name}")
    for offer, kind in OFFERS.items():
        value = getattr(module, offer, None)
        if not (callable(value) if kind is None else isinstance(value, kind)):
            expected = f" ({kind.__name__})" if kind else "(...)"
            raise TypeError(f"{package}/{name}.py must define {offer}{expected}")
    return module


def defaults(name: str, package: str = "figures") -> dict[str, Any]:
    """The ``PARAMETERS`` of a figure, read from its source: a literal dict. Nothing is imported.

    A figure without parameters, or one that cannot be read, has none.
    """
    spec = importlib.util.find_spec(f"{package}.{name}")
    try:
        tree = ast.parse(Path(str(spec.origin)).read_bytes())
    except (SyntaxError, OSError, AttributeError):
        return {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PARAMETERS":
            return ast.literal_eval(node.value)
    return {}


def parameters(name: str, settings: Iterable[str], package: str = "figures") -> dict[str, Any]:
    """The parameters of a figure, with ``settings`` such as ``"correlation=0.3"`` in place.

    A setting has the type of the default. Several numbers are separated by commas.

    Raises: ``ValueError`` for a name that the figure does not have, and for a value that does not
    fit; the message lists what there is.
    """
    values = defaults(name, package)
    for setting in settings:
        key, equals, text = setting.partition("=")
        key = key.strip()
        if not equals:
            raise ValueError(f"expected NAME=VALUE, got {setting!r}")
        if key not in values:
            raise ValueError(f"{name} has no parameter {key!r}: {described(values)}")
        values[key] = _converted(f"{name}: {key}", text, values[key])
    return values


def described(values: dict[str, Any]) -> str:
    """The parameters and their values in words."""
    if not values:
        return "it has none"
    return "choose from " + ", ".join(f"{key}={written(value)}" for key, value in values.items())


def written(value: Any) -> str:
    """A parameter's value as one would type it after ``--set``."""
    if isinstance(value, str):
        return value
    if hasattr(value, "__len__"):
        return ",".join(map(written, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _converted(what: str, text: str, default: Any) -> Any:
    """``text`` as the type of ``default``: as many numbers as a tuple has, or any as in a list."""
    parts = [part for part in text.split(",") if part.strip()]
    if isinstance(default, list):
        if not parts:
            raise ValueError(f"{what} must be numbers separated by commas, got {text!r}")
        return [_converted(what, part, default[0]) for part in parts]
    if isinstance(default, tuple):
        if len(parts) != len(default):
            raise ValueError(
                f"{what} must be {len(default)} numbers separated by commas, got {text!r}"
            )
        return tuple(_converted(what, part, old) for part, old in zip(parts, default, strict=True))
    kind = type(default)
    try:
        return kind(text.strip())
    except ValueError:
        expected = {int: "a whole number", float: "a number"}[kind]
        raise ValueError(f"{what} must be {expected}, got {text!r}") from None
