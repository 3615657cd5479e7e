"""Advice for a user's data: numbers, verdict and certificates."""
