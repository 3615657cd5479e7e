"""How far does a change reach? Exact inference, moments and samples for the Random Hierarchy Model and its noising processes."""

from rhm_theory import comparison, controls, experiment, likelihood, mean_field, measure, scaling
from rhm_theory.comparison import Comparison, compare
from rhm_theory.experiment import Experiment, forward_backward
from rhm_theory.grammar import Grammar, Tree
from rhm_theory.inference import impossible_at, log_evidence, marginals
from rhm_theory.measure import correlation_length
from rhm_theory.moments import (
    ChangeMoments,
    change_correlations,
    change_cumulants,
    change_distribution,
    change_moments,
    mean_by_distance,
    susceptibility,
)
from rhm_theory.sampling import sample_posterior

__all__ = [
    "ChangeMoments",
    "Comparison",
    "Experiment",
    "Grammar",
    "Tree",
    "change_correlations",
    "change_cumulants",
    "change_distribution",
    "change_moments",
    "compare",
    "comparison",
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
    "sample_posterior",
    "scaling",
    "susceptibility",
]
