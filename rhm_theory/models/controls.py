"""The controls without a hierarchy, under one name: chains, flat mixtures and Gaussian fields."""

from rhm_theory.models.chains import hidden_markov, independent_sites, markov_chain
from rhm_theory.models.field import (
    FieldMarginals,
    FieldMoments,
    FieldResponse,
    GaussianField,
    gaussian_field,
)
from rhm_theory.models.hidden_markov import HiddenMarkov
from rhm_theory.models.mixture import Mixture, mixture

__all__ = [
    "FieldMarginals",
    "FieldMoments",
    "FieldResponse",
    "GaussianField",
    "HiddenMarkov",
    "Mixture",
    "gaussian_field",
    "hidden_markov",
    "independent_sites",
    "markov_chain",
    "mixture",
]
