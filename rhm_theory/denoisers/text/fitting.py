"""Train a model of text, and compare its loss with that of n-grams on the same masks."""

import functools
import io
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from rhm_theory.denoisers import masked, training
from rhm_theory.denoisers.masked import MaskedDiffusion
from rhm_theory.denoisers.text import encoded, ngrams
from rhm_theory.denoisers.text.encoded import Starts, TextData
from rhm_theory.experiment import measure
from rhm_theory.experiment.measure import Estimate
from theory_common import checks
from theory_common.printing import tables

LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
WATCHED = 48  # windows for the history
COMPARED = 108  # windows for the final losses
SLOW = 54  # of them for the chain of trigrams, which takes a fifth of a second for each


class Compared(NamedTuple):
    """Losses on held-out text in nats for each hidden token, by level, errors by chapter.

    Attributes:
        level: of the noise.
        loss: of the model and each control.
    """

    level: tuple[float, ...]
    loss: dict[str, list[Estimate]]

    def to_dict(self) -> dict:
        """Numbers for JSON."""
        losses = {
            name: [[float(one.value), float(one.error)] for one in estimates]
            for name, estimates in self.loss.items()
        }
        return {"level": list(self.level), "loss and error": losses}

    def table(self) -> str:
        """A table for a terminal."""
        rows = [
            (
                level,
                *(f"{one[index].value:.3f} ± {one[index].error:.3f}" for one in self.loss.values()),
            )
            for index, level in enumerate(self.level)
        ]
        shown = io.StringIO()
        title = "loss on held-out chapters, nats for each hidden token; errors over chapters"
        tables.print_table(rows, ["share hidden", *self.loss], title, file=shown)
        return shown.getvalue().rstrip()


def train(
    seed: int,
    data: TextData,
    *,
    length: int,
    sizes: Mapping[str, int],
    run: Mapping[str, Any],
    begin: MaskedDiffusion | None = None,
) -> training.Trained:
    """Train a model on windows of the training chapters.

    Args:
        seed: of the weights, the batches and the masks.
        data: the text.
        length: tokens of a window.
        sizes: as :meth:`MaskedDiffusion.create` takes them.
        run: as :func:`rhm_theory.denoisers.train` takes it.
        begin: a model to go on from, whose sizes count; by default one with random weights.

    Raises: ``ValueError`` if ``begin`` has another vocabulary or length.
    """
    key = jax.random.key(checks.whole("seed", seed))
    for_weights, for_run = jax.random.split(key)
    wanted = {"vocabulary": data.vocabulary, "length": length}
    model = MaskedDiffusion.create(for_weights, **wanted, **sizes) if begin is None else begin
    found = {"vocabulary": model.vocabulary, "length": model.length}
    if found != wanted:
        raise ValueError(f"begin must have {wanted}, got {found}")
    draw = encoded.drawn_windows(data.training, length)
    watched = encoded.starts(data.held_out, length, WATCHED)
    return training.train(for_run, model, draw, held_out=watched.tokens, **run)


def losses(model: MaskedDiffusion, data: TextData) -> list[Estimate]:
    """The losses of a model at ``LEVELS``, on windows of held-out chapters."""
    starts = encoded.starts(data.held_out, model.length, COMPARED)
    return _losses(model.log_probabilities, starts, vocabulary=data.vocabulary)


def compared(model: MaskedDiffusion, data: TextData) -> Compared:
    """The losses of a model and of unigrams, bigrams and trigrams, with the same masks."""
    found = ngrams.fit(data.training, data.vocabulary)
    starts = encoded.starts(data.held_out, model.length, COMPARED)
    few = encoded.starts(data.held_out, model.length, SLOW)
    asked = functools.partial(_losses, vocabulary=data.vocabulary)
    loss = {
        "model": losses(model, data),
        "unigrams": asked(ngrams.unigram_conditional(found), starts),
        "bigrams": asked(ngrams.bigram_conditional(found), starts),
        "trigrams": asked(ngrams.trigram_conditional(found), few),
    }
    return Compared(level=LEVELS, loss=loss)


def _losses(conditional, starts: Starts, *, vocabulary: int) -> list[Estimate]:
    key = jax.random.key(0)
    levels = np.array(LEVELS)
    found = masked.losses(key, conditional, starts.tokens, levels, vocabulary=vocabulary)
    pairs = zip(found.loss, found.hidden, strict=True)
    return [measure.ratio(loss, hidden, starts.chapter) for loss, hidden in pairs]
