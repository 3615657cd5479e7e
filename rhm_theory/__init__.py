"""How far does a change reach in hierarchical data?

Exact inference, moments and samples for the Random Hierarchy Model, its noise and its controls.
"""

from rhm_theory import experiment
from rhm_theory.experiment import comparison, measure, structure, within
from rhm_theory.experiment.comparison import Comparison, compare
from rhm_theory.experiment.measure import correlation_length
from rhm_theory.experiment.trajectories import Experiment, forward_backward
from rhm_theory.inference.conditional import ConditionalMoments, conditional_moments
from rhm_theory.inference.evidence import impossible_at, log_evidence, marginals
from rhm_theory.inference.moments import (
    ChangeMoments,
    change_correlations,
    change_cumulants,
    change_distribution,
    change_moments,
    mean_by_distance,
    susceptibility,
)
from rhm_theory.inference.sampling import sample_posterior
from rhm_theory.models import controls
from rhm_theory.models.field import GaussianField
from rhm_theory.models.grammar import Grammar, Tree
from rhm_theory.models.hidden_markov import HiddenMarkov
from rhm_theory.models.interface import SequenceModel
from rhm_theory.models.mixture import Mixture
from rhm_theory.noise import likelihood
from rhm_theory.noise.processes import Epsilon, Flips, GaussianNoise, Mask, Noise
from rhm_theory.theory import mean_field, population, scaling

__all__ = [
    "ChangeMoments",
    "Comparison",
    "ConditionalMoments",
    "Epsilon",
    "Experiment",
    "Flips",
    "GaussianField",
    "GaussianNoise",
    "Grammar",
    "HiddenMarkov",
    "Mask",
    "Mixture",
    "Noise",
    "SequenceModel",
    "Tree",
    "change_correlations",
    "change_cumulants",
    "change_distribution",
    "change_moments",
    "compare",
    "comparison",
    "conditional_moments",
    "controls",
    "correlation_length",
    "experiment",
    "forward_backward",
    "impossible_at",
    "likelihood",
    "log_evidence",
    "marginals",
    "mean_by_distance",
    "mean_field",
    "measure",
    "population",
    "sample_posterior",
    "scaling",
    "structure",
    "susceptibility",
    "within",
]


def __getattr__(name: str) -> object:
    """``denoisers``, which needs Equinox and is imported when it is first used."""
    if name == "denoisers":
        import importlib

        return importlib.import_module("rhm_theory.denoisers")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
