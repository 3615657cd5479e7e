"""Exact inference on trees: evidence, marginals, moments of changes, posterior samples."""
