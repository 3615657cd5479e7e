"""And for neural networks? Train many at once, unlearn by many methods, compare with retraining.

It needs Equinox and Optax: ``pip install -e '.[networks]'``.
"""

from gda_theory.networks.data import NetworkData, digits, fashion, from_npz, noisy
from gda_theory.networks.methods import METHODS
from gda_theory.networks.sets import KINDS, forget_sets
from gda_theory.networks.training import Recipe, train
from gda_theory.networks.unlearning import margins, memorised, outputs, split_names, unlearn

__all__ = [
    "KINDS",
    "METHODS",
    "NetworkData",
    "Recipe",
    "digits",
    "fashion",
    "forget_sets",
    "from_npz",
    "margins",
    "memorised",
    "noisy",
    "outputs",
    "split_names",
    "train",
    "unlearn",
]
