"""The experiment on text: with an exact conditional it gives the exact susceptibility."""

import functools
import itertools
import json
import re

import jax
import numpy as np
import pytest

from rhm_theory import cli
from rhm_theory.denoisers import masked
from rhm_theory.denoisers.sequences import backward
from rhm_theory.denoisers.sequences.measurement import Effort
from rhm_theory.denoisers.text import clauses, corpora, encoded, measurement, report

VOCABULARY = 3
LENGTH = 4
KEY = jax.random.key(5)
SEQUENCES = np.array(list(itertools.product(range(VOCABULARY), repeat=LENGTH)))
TRANSITION = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.3, 0.6]])
LAW = TRANSITION[SEQUENCES[:, :-1], SEQUENCES[:, 1:]].prod(-1) / VOCABULARY
TOKENS = SEQUENCES[[0, 17, 44, 71, 80, 13]]
GROUPS = np.array([0, 0, 1, 1, 2, 2])


def posterior(tokens: np.ndarray) -> np.ndarray:
    """The weights of all sequences given the shown tokens."""
    fits = ((tokens == SEQUENCES) | (tokens == VOCABULARY)).all(-1)
    weights = np.where(fits, LAW, 0)
    return weights / weights.sum()


def exact(tokens) -> np.ndarray:
    """The conditional of the chain, by enumeration."""
    tokens = np.asarray(tokens)
    onehot = SEQUENCES[..., None] == np.arange(VOCABULARY)
    found = np.stack(
        [np.tensordot(posterior(row), onehot, 1) for row in tokens.reshape(-1, LENGTH)]
    )
    with np.errstate(divide="ignore"):
        return np.log(found).reshape(*tokens.shape, VOCABULARY)


def enumerated(hidden: np.ndarray, r_max: int) -> float:
    """The backward susceptibility of these masks, from all sequences."""
    near = np.abs(np.subtract.outer(np.arange(LENGTH), np.arange(LENGTH))) <= r_max
    whole = 0.0
    single = 0.0
    for start, masks in zip(TOKENS, hidden, strict=True):
        for mask in masks:
            weights = posterior(np.where(mask, VOCABULARY, start))
            changed = (start != SEQUENCES).astype(float)
            covariance = np.cov(changed.T, aweights=weights, ddof=0)
            whole += (covariance * near).sum()
            single += np.trace(covariance)
    return whole / single


@functools.cache
def masks(columns: int) -> backward.Masks:
    return backward.masks(KEY, len(TOKENS), LENGTH, 0.7, masks=3, columns=columns)


@pytest.mark.parametrize("r_max", [1, 3])
def test_the_teacher_forced_value_is_the_exact_one(r_max):
    pairs = backward.teacher_forced(exact, TOKENS, masks(LENGTH), vocabulary=VOCABULARY)
    found = backward.measured(pairs, GROUPS, r_max=r_max)
    assert abs(found.susceptibility.value - enumerated(pairs.hidden, r_max)) < 1e-5
    assert enumerated(pairs.hidden, 3) > 1.2  # the tokens do change together
    # Only pairs of different words: with one word a sequence none is left.
    none = np.zeros((len(TOKENS), LENGTH, LENGTH), bool)
    assert backward.measured(pairs, GROUPS, r_max=r_max, allowed=none).susceptibility.value == 1


def test_some_columns_and_samples_give_it_within_their_errors():
    many = backward.masks(KEY, len(TOKENS), LENGTH, 0.7, masks=20, columns=1)
    pairs = backward.teacher_forced(exact, TOKENS, many, vocabulary=VOCABULARY)
    expected = enumerated(many.hidden, 3)
    found = backward.measured(pairs, GROUPS).susceptibility
    assert abs(found.value - expected) < 4 * 0.04  # 120 columns, spread 0.4
    changed = backward.sampled(
        KEY, exact, TOKENS, many.hidden, vocabulary=VOCABULARY, trajectories=6, steps=40
    )
    assert not (changed & ~many.hidden[:, :, None]).any()
    sampled = backward.measured(backward.from_changes(changed, many.hidden), GROUPS)
    assert abs(sampled.susceptibility.value - expected) < 4 * 0.05  # 720 trajectories


def test_the_first_starts_have_the_same_masks():
    few = backward.masks(KEY, 2, LENGTH, 0.7, masks=3, columns=2)
    np.testing.assert_array_equal(few.hidden, masks(2).hidden[:2])
    np.testing.assert_array_equal(few.columns, masks(2).columns[:2])
    chosen = np.take_along_axis(masks(2).hidden, masks(2).columns, -1)
    assert (chosen.sum(-1) == np.minimum(masks(2).hidden.sum(-1), 2)).all()


def test_the_mask_part_is_the_variance_between_masks():
    pairs = backward.teacher_forced(exact, TOKENS, masks(1), vocabulary=VOCABULARY)
    changed = 1 - pairs.kept
    expected = changed.sum(-1).var(1, ddof=1).sum() / changed.var(1, ddof=1).sum()
    np.testing.assert_allclose(backward.mask_part(pairs, GROUPS).value, expected, rtol=1e-6)
    full = backward.masks(KEY, len(TOKENS), LENGTH, 1.0, masks=3, columns=1)
    same = backward.teacher_forced(exact, TOKENS, full, vocabulary=VOCABULARY)
    assert np.isnan(backward.mask_part(same, GROUPS).value)


def clause_pairs(strength: float) -> tuple[backward.Pairs, np.ndarray, np.ndarray]:
    """Covariances that are larger within a clause by ``strength``, made by hand."""
    generator = np.random.default_rng(2)
    starts, length = 30, 20
    boundary = generator.random((starts, length)) < 0.15
    number = np.cumsum(boundary, -1)
    together = number[:, :, None] == number[:, None, :]
    noise = 0.01 * generator.standard_normal((starts, length, length))
    every = np.broadcast_to(np.arange(length), (starts, 1, length))
    pairs = backward.Pairs(
        hidden=np.ones((starts, 1, length), bool),
        columns=every,
        weight=np.ones((starts, 1)),
        kept=np.full((starts, 1, length), 0.5),
        variance=np.full((starts, 1), length / 4),
        covariance=(strength * together + noise + 0.25 * np.eye(length))[:, None],
    )
    return pairs, np.arange(starts) // 3, boundary


@pytest.mark.parametrize(("strength", "seen"), [(0.0, False), (0.02, True)])
def test_clauses_are_found_where_there_are_any(strength, seen):
    pairs, groups, boundary = clause_pairs(strength)
    word = np.broadcast_to(np.arange(20), boundary.shape)
    found = clauses.clauses(KEY, pairs, groups, boundary, word, r_max=5, shuffles=99)
    scale = pairs.variance.sum() / pairs.hidden.sum()
    assert abs(found.difference * scale - strength) < 0.002  # noise of 0.01 over thousands of pairs
    assert (found.p_value <= 0.01) == seen
    assert (found.excess.low > 0) == seen
    with pytest.raises(ValueError, match="boundary must leave pairs"):
        clauses.clauses(KEY, pairs, groups, np.zeros_like(boundary), word)


@functools.cache
def small_data() -> encoded.TextData:
    generator = np.random.default_rng(0)
    words = ["one", "two", "three.", "four", "five,"]
    chapters = tuple(" ".join(generator.choice(words, size=80)) for _ in range(6))
    corpus = corpora.Corpus("numbers", tuple("abcdef"), chapters)
    return encoded.prepare(corpus, vocabulary=262, length=12, every=2)


@pytest.mark.slow
def test_the_command_measures_and_goes_on(tmp_path, capsys):
    data = small_data()
    model = masked.MaskedDiffusion.create(
        KEY, vocabulary=262, length=12, width=8, layers=1, heads=1
    )
    losses = {"level": [0.5], "loss and error": {"model": [[2.0, 0.1]], "bigrams": [[1.5, 0.1]]}}
    encoded.save(tmp_path / "model.eqx", model, data, {"losses": losses})
    out = ["--out", str(tmp_path / "study.npz"), "--html", str(tmp_path / "page.html")]
    options = "--levels 0.5,1 --starts 6 --masks 2 --columns 1 --trajectories 3 --steps 2"
    folder = ["--folder", str(tmp_path / "parts")]
    command = ["measure", str(tmp_path / "model.eqx"), *options.split(), *folder]
    controls = ["--controls", "mixture of unigrams", "bigrams", "trigrams"]
    assert cli.main([*command, *controls, *out, "--json"]) == 0
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert captured.err.count("hidden") == 2 * 5
    chi = answer["value and error"]["all pairs"]["model"]["susceptibility"]
    assert abs(chi[0][0] - 1) < 1e-5  # the untrained model is uniform: tokens are independent
    assert set(answer["value and error"]["model's contrast above"]) == set(controls[1:])
    with (tmp_path / "study.npz").open("rb") as file, np.load(file) as held:
        assert held["model/0.5/covariance"].shape == (6, 2, 1, 12)
    page = (tmp_path / "page.html").read_text()
    assert page.count("<svg") == 3
    assert "2.00 and 1.50 at 0.5" in page
    # Names of the SVG format are the only addresses.
    assert "http://" not in re.sub(r'xmlns(:xlink)?="[^"]*"', "", page)
    assert "https:" not in page
    assert cli.main([*command, *controls, "--json"]) == 0
    again = capsys.readouterr()
    assert again.err == ""  # every part was kept
    assert json.loads(again.out) == answer


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--levels", "0:1:0.5"], "levels must be in"),
        (["--levels", "high"], "levels must be FROM:TO:STEP"),
        (["--levels", "1:0.5:0.1"], "levels must rise"),
        (["--starts", "1"], "starts must be >= 2"),
        (["--trajectories", "1"], "trajectories must be at least 2"),
        (["--steps", "0"], "steps must be >= 1"),
        (["--masks", "1"], "masks must be >= 2"),
        (["--controls", "none"], "controls must be one of"),
    ],
)
def test_bad_arguments_are_named(tmp_path, capsys, arguments, message):
    model = masked.MaskedDiffusion.create(
        KEY, vocabulary=262, length=12, width=8, layers=1, heads=1
    )
    path = tmp_path / "model.eqx"
    encoded.save(path, model, small_data(), {})
    assert cli.main(["measure", str(path), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_model_of_something_else_is_an_error(tmp_path, capsys):
    model = masked.MaskedDiffusion.create(KEY, vocabulary=4, length=4, width=8, layers=1, heads=1)
    model.save(tmp_path / "other.eqx", notes={"kind": "weather"})
    assert cli.main(["measure", str(tmp_path / "other.eqx")]) == 2
    assert "must hold a model of text, grammar, images, got 'weather'" in capsys.readouterr().err
    with pytest.raises(ValueError, match="must hold a model of text"):
        encoded.load(tmp_path / "other.eqx")


def test_one_chapter_gives_no_error_and_is_refused():
    data = small_data()._replace(held_out=small_data().held_out[:1])
    with pytest.raises(ValueError, match="at least 2 held-out chapters"):
        measurement.study(0, exact, 12, data, [0.5], Effort(starts=3))
    assert report.R_MAX == 10
