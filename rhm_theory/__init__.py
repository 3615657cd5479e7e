"""How far does a change reach? Exact inference, moments and samples for the Random Hierarchy Model and its noising processes."""

from rhm_theory import controls, likelihood, mean_field
from rhm_theory.grammar import Grammar, Tree

__all__ = ["Grammar", "Tree", "controls", "likelihood", "mean_field"]
