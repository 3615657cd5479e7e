"""Noise on sequences of symbols, and the likelihoods that it leaves."""
