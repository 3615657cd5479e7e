"""Diffusion models of small pictures, beside flat mixtures whose posterior is exact.

See ``docs/images.md``, and :mod:`rhm_theory.denoisers.images.study` for the protocol.
"""

from rhm_theory.denoisers.images.data import Pictures, digits, drawn, fashion, of_grammar
from rhm_theory.denoisers.images.diffusion import KIND, Diffusion, WithSteps, train
from rhm_theory.denoisers.images.drawn_grammar import DrawnGrammar
from rhm_theory.denoisers.images.fitting import Fitted, Recipe
from rhm_theory.denoisers.images.loss_gate import EXACT, MODEL, Gate
from rhm_theory.denoisers.images.measure import MEASURES, Posterior, denoising_losses
from rhm_theory.denoisers.images.mixtures import (
    GaussianMixture,
    of_classes,
    of_clusters,
    one_gaussian,
)
from rhm_theory.denoisers.images.study import (
    PRIMARY,
    Plan,
    Seed,
    measured,
    pictures_of,
    positive_control,
    run,
)
from rhm_theory.denoisers.images.summary import (
    AMONG,
    AgainstMixtures,
    against_mixtures,
    class_change,
    component_change,
    contrasts,
    gate,
    susceptibility,
)

__all__ = [
    "AMONG",
    "EXACT",
    "KIND",
    "MEASURES",
    "MODEL",
    "PRIMARY",
    "AgainstMixtures",
    "Diffusion",
    "DrawnGrammar",
    "Fitted",
    "Gate",
    "GaussianMixture",
    "Pictures",
    "Plan",
    "Posterior",
    "Recipe",
    "Seed",
    "WithSteps",
    "against_mixtures",
    "class_change",
    "component_change",
    "contrasts",
    "denoising_losses",
    "digits",
    "drawn",
    "fashion",
    "gate",
    "measured",
    "of_classes",
    "of_clusters",
    "of_grammar",
    "one_gaussian",
    "pictures_of",
    "positive_control",
    "run",
    "susceptibility",
    "train",
]
