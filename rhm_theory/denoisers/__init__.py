"""Denoisers that are trained here, and samplers for any denoiser.

It needs Equinox, Optax and Tokenizers: ``pip install -e '.[denoisers]'``.
"""

from rhm_theory.denoisers import grammars, images, sampling, text
from rhm_theory.denoisers.masked import LevelLosses, MaskedDiffusion, losses, read_notes
from rhm_theory.denoisers.training import History, Trained, train

__all__ = [
    "History",
    "LevelLosses",
    "MaskedDiffusion",
    "Trained",
    "grammars",
    "images",
    "losses",
    "read_notes",
    "sampling",
    "text",
    "train",
]
