"""The controls without a hierarchy, under one name: a Gaussian field and a Markov chain."""

from rhm_theory.models.chain import ChainMoments, MarkovChain, markov_chain
from rhm_theory.models.gaussian import (
    FieldMarginals,
    FieldMoments,
    FieldResponse,
    GaussianField,
    gaussian_field,
)

__all__ = [
    "ChainMoments",
    "FieldMarginals",
    "FieldMoments",
    "FieldResponse",
    "GaussianField",
    "MarkovChain",
    "gaussian_field",
    "markov_chain",
]
