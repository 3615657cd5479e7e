"""Distributions of sequences: the Random Hierarchy Model and the controls without a hierarchy."""
