"""Masked diffusion of text: tokens, training, the measurement and its controls.

See ``docs/text.md``. It needs Tokenizers: ``pip install -e '.[denoisers]'``.
"""

from rhm_theory.denoisers.sequences.backward import Pairs, teacher_forced
from rhm_theory.denoisers.sequences.measurement import Effort
from rhm_theory.denoisers.text.corpora import Corpus, austen, from_files, python_topics
from rhm_theory.denoisers.text.encoded import Starts, TextData, TextModel, load, prepare, save
from rhm_theory.denoisers.text.fitting import Compared, compared, train
from rhm_theory.denoisers.text.measurement import Study, study
from rhm_theory.denoisers.text.report import Numbers, numbers

__all__ = [
    "Compared",
    "Corpus",
    "Effort",
    "Numbers",
    "Pairs",
    "Starts",
    "Study",
    "TextData",
    "TextModel",
    "austen",
    "compared",
    "from_files",
    "load",
    "numbers",
    "prepare",
    "python_topics",
    "save",
    "study",
    "teacher_forced",
    "train",
]
