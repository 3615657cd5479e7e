"""The figure of text, from the weights that lie beside it."""

import numpy as np
import pytest

from figures import _text_study, text
from rhm_theory.denoisers import text as data_of_text
from tests.figure_checks import assert_claims_complete, assert_drawn_legibly, made


def test_the_weights_are_small_and_better_than_unigrams():
    assert _text_study.WEIGHTS.stat().st_size < 1_000_000
    loaded = data_of_text.load(_text_study.WEIGHTS)
    losses = loaded.notes["losses"]["loss and error"]
    assert np.all(np.array(losses["model"])[:, 0] < np.array(losses["unigrams"])[:, 0])
    assert loaded.data.vocabulary == loaded.model.vocabulary


@pytest.mark.slow
def test_drawn_and_complete():
    data = made("text")[1]
    assert_drawn_legibly(text, data)
    assert_claims_complete(text, data)
    # A flat mixture of unigrams hardly changes: its component is known from a few tokens.
    flat = list(data["controls"]).index("mixture of unigrams")
    assert np.all(np.abs(data["control_all"][flat][:, 0] - 1) < 0.02)
