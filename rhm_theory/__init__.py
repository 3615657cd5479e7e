"""How far does a change reach? Exact inference, moments and samples for the Random Hierarchy Model and its noising processes."""

from rhm_theory import controls, likelihood, mean_field
from rhm_theory.grammar import Grammar, Tree
from rhm_theory.inference import impossible_at, log_evidence, marginals

__all__ = ["Grammar", "Tree", "controls", "impossible_at", "likelihood", "log_evidence", "marginals", "mean_field"]
