"""Whole studies: their protocols, their runs, and the numbers that figures draw.

They need Equinox, Optax and Tokenizers: ``pip install -e '.[denoisers]'``.
"""
