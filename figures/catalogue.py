"""Which figures there are, in which order, and that each offers what the runner needs."""

import importlib
import pkgutil
from types import ModuleType

ORDER = (
    *(
        "fig4",
        "distances",
        "opposite_sides",
        "logistic",
        "fig5",
        "appendix_j",
        "tightness",
        "normalisation",
    ),
    *(
        "dynamics",
        "illusion",
        "alternating",
        "critical_slowing",
        "large_steps",
        "basin",
        "random_sets",
    ),
    *(
        "rhm_tree",
        "rhm_epsilon",
        "rhm_masking",
        "rhm_exponent",
        "rhm_scaling",
        "rhm_controls",
        "rhm_law",
    ),
)
PRESETS = ("quick", "paper")
# Modules of this folder that are no figure; nor are those that begin with "_".
TOOLS = ("catalogue", "page", "parts", "runner", "store", "style")
OFFERS = {
    "TITLE": str,
    "CAPTION": str,
    "LEMMAS": list,
    "compute": None,
    "draw": None,
    "claims": None,
}


def names(package: str = "figures") -> list[str]:
    """The figures in the folder of ``package``: those of :data:`ORDER` first, the others after them by name. Imports none of them."""
    found = {
        module.name for module in pkgutil.iter_modules(importlib.import_module(package).__path__)
    }
    found -= {name for name in found if name in TOOLS or name.startswith("_")}
    return [name for name in ORDER if name in found] + sorted(found - set(ORDER))


def load(name: str, package: str = "figures") -> ModuleType:
    """The module of one figure; ``TypeError`` if it does not offer what the package's docstring asks."""
    module = importlib.import_module(f"{package}.{name}")
    for offer, kind in OFFERS.items():
        value = getattr(module, offer, None)
        if not (callable(value) if kind is None else isinstance(value, kind)):
            raise TypeError(
                f"{package}/{name}.py must define {offer}"
                + (f" ({kind.__name__})" if kind else "(...)")
            )
    return module
