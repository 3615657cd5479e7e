"""The figure of text, from the weights that lie beside it."""

import numpy as np
import pytest

from figures import text
from rhm_theory.denoisers.sequences import backward
from rhm_theory.denoisers.sequences.measurement import Effort
from rhm_theory.denoisers.text import corpora, encoded, ngrams
from rhm_theory.studies import text as study
from tests.figure_checks import assert_claims_complete, assert_drawn_legibly
from theory_common.printing import tables


def test_the_weights_are_small_and_better_than_unigrams():
    assert text.WEIGHTS.stat().st_size < 1_000_000
    loaded = encoded.load(text.WEIGHTS)
    losses = loaded.notes["losses"]["loss and error"]
    assert np.all(np.array(losses["model"])[:, 0] < np.array(losses["unigrams"])[:, 0])
    assert loaded.data.vocabulary == loaded.model.vocabulary


@pytest.mark.slow
def test_drawn_and_complete(monkeypatch):
    """The quick preset with less effort, as the runner stores its data."""
    effort = Effort(starts=8, masks=2, columns=1, trajectories=0)
    few = {"levels": (0.7, 1.0), "few_levels": (0.7, 1.0), "effort": effort}
    monkeypatch.setitem(study.SETTINGS, "quick", study.SETTINGS["quick"]._replace(**few))
    data = tables.loads(tables.dumps(text.compute("quick", 1, 1)))
    assert_drawn_legibly(text, data)
    assert_claims_complete(text, data)
    # A flat mixture of unigrams hardly changes: its component is known from a few tokens.
    flat = list(data["controls"]).index("mixture of unigrams")
    assert np.all(np.abs(data["control_all"][flat][:, 0] - 1) < 0.02)


@pytest.mark.slow
def test_the_paper_preset_trains_measures_and_goes_on(tmp_path, monkeypatch):
    """In small: other levels and efforts, short chapters, and bigrams for the slow trigrams."""
    effort = Effort(starts=6, masks=2, columns=1, trajectories=0)
    small = study.TextSetting(
        levels=(0.7, 1.0),
        few_levels=(0.7, 1.0),
        effort=effort,
        sampled_levels=(0.7, 1.0),
        steps=2,
    )
    topics = corpora.python_topics()
    chapters = corpora.Corpus(topics.name, topics.titles[:20], topics.chapters[:20])
    monkeypatch.setitem(study.SETTINGS, "paper", small)
    monkeypatch.setattr(study, "novels", lambda: chapters)
    monkeypatch.setattr(ngrams, "trigram_conditional", ngrams.bigram_conditional)
    data = text.compute("paper", 1, 4, folder=tmp_path)
    assert data["model_all"].shape == (1, 2, 2)
    assert data["sampled_all"].shape == (1, 2, 2)
    assert data["growth"].shape == (1, 3, 4)
    np.testing.assert_array_equal(data["shares"], [0.25, 0.5, 1])
    monkeypatch.setattr(backward, "teacher_forced", None)  # all parts are kept
    again = text.compute("paper", 1, 4, folder=tmp_path)
    np.testing.assert_array_equal(again["model_all"], data["model_all"])
    rows = list(text.claims(data))
    assert any("growth" in row[0] for row in rows)
    assert_drawn_legibly(text, data)
