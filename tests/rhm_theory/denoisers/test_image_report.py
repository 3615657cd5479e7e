"""The measurement of one model of pictures: numbers, the command, and what it refuses."""

import functools
import json
import re

import jax
import numpy as np
import pytest

import rhm_theory as rt
from rhm_theory import cli
from rhm_theory.denoisers import grammar_study, images, storage
from rhm_theory.denoisers.images import report
from rhm_theory.denoisers.images.loss_gate import MODEL
from rhm_theory.denoisers.images.mixtures import scales
from tests import rhm_enumeration as enumeration

TIMES = (0.2, 0.5, 0.8, 1.0)
FLAT = "class Gaussians"


@functools.cache
def made_up(model_loss: float = 0.2) -> images.Seed:
    """Sums without noise: chi of the model is 1, 3, 2, 1, and that of the mixture 1, 2, 1, 1."""
    chi = np.array([[1.0, 3.0, 2.0, 1.0], [1.0, 2.0, 1.0, 1.0]])
    single = np.ones((2, 4, 3, 1, len(images.MEASURES), 8))
    sums = np.concatenate([chi[..., None, None, None, None] * single, single], 3)
    changed = np.broadcast_to(np.array([0.0, 0.25, 0.75, 1.0])[:, None], (2, 4, 8))
    spread = 0.001 * np.arange(9)
    losses = np.stack([np.tile(one + spread, (6, 1)) for one in (model_loss, 0.3)])
    return images.Seed(
        names=(MODEL, FLAT), accuracy=0.9, sums=sums, changed=changed, moved=changed, losses=losses
    )


def test_numbers_are_those_of_the_raw_sums():
    found = report.numbers(made_up(), TIMES, "f1")
    np.testing.assert_allclose(found.chi[MODEL].value, [1, 3, 2, 1])
    assert found.contrast[MODEL].value == pytest.approx(2)
    assert found.contrast[FLAT].value == pytest.approx(1)
    assert found.tests[MODEL].difference.value == pytest.approx(1)
    assert report.half_change(found, MODEL) == pytest.approx(0.65)  # halfway from 0.5 to 0.8
    assert found.gate.beats
    assert found.gate.difference[0] == pytest.approx(-0.1)
    assert "is above that of the strongest flat mixture" in report.answer(found)[0]
    assert json.loads(json.dumps(report.to_dict(found)))["beats_mixtures"]


def test_a_model_that_is_no_better_than_a_mixture_shows_nothing():
    found = report.numbers(made_up(0.35), TIMES, "f1")
    assert not found.gate.beats
    assert "shows nothing about the pictures" in report.answer(found)[0]


def test_half_of_the_trajectories_may_never_change_class():
    seed = made_up()
    seed = seed._replace(changed=0.4 * seed.changed)
    assert np.isnan(report.half_change(report.numbers(seed, TIMES, "f1"), MODEL))
    assert "Less than half" in " ".join(report.answer(report.numbers(seed, TIMES, "f1")))


def saved(path, **notes) -> str:
    model = images.Diffusion.create(jax.random.key(0), side=8, channels=4)
    model.save(path, notes=notes)
    return str(path)


@functools.cache
def few_digits() -> images.Pictures:
    every = images.digits()
    return every._replace(
        train=every.train[:300],
        train_labels=every.train_labels[:300],
        validation=every.validation[:40],
        validation_labels=every.validation_labels[:40],
    )


@pytest.mark.slow
def test_the_command_measures_and_goes_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(images, "pictures_of", lambda name: (few_digits(), None))
    model = saved(tmp_path / "model.eqx", data="digits")
    options = "--levels 0.5,1 --starts 16 --trajectories 8 --steps 2 --classifier-steps 3"
    command = ["measure", model, *options.split(), "--folder", str(tmp_path / "parts")]
    out = ["--out", str(tmp_path / "study.npz"), "--html", str(tmp_path / "page.html")]
    assert cli.main([*command, *out]) == 0
    captured = capsys.readouterr()
    assert captured.err.count("at t =") == 2 * 5
    assert "shows nothing about the pictures" in captured.out
    page = (tmp_path / "page.html").read_text()
    assert page.count("<svg") == 4
    assert "http://" not in re.sub(r'xmlns(:xlink)?="[^"]*"', "", page)
    with (tmp_path / "study.npz").open("rb") as file, np.load(file) as held:
        place = held["names"].tolist().index("one Gaussian")
        pixels = held["sums"][place, :, 0, :, images.MEASURES.index("pixels")]
    for time, (total, single) in zip((0.5, 1.0), pixels, strict=True):
        found = rt.measure.ratio(total, single)
        assert abs(found.value - exact_chi(time)) < 4 * found.error
    assert cli.main([*command, "--json"]) == 0
    again = capsys.readouterr()
    assert "at t =" not in again.err  # every part was kept
    assert json.loads(again.out)["times"] == [0.5, 1]


def exact_chi(time: float) -> float:
    """chi of pixels of one Gaussian, noised to ``time`` and denoised, in closed form."""
    gaussian = images.one_gaussian(few_digits())
    signal, noise = scales(time)
    variance = gaussian.variances[0]
    total = signal**2 * variance + noise**2
    both = (noise * signal * variance / total) ** 2 + variance * noise**2 / total
    along_ones = gaussian.axes[0].sum(0)
    return float((along_ones**2 * both).sum() / both.sum())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--levels", "0.1:0.9:0.4"], "levels must be at least two and end with 1"),
        (["--levels", "1,0.5"], "levels must rise"),
        (["--levels", "0,1"], "levels must rise, in (0, 1]"),
        (["--starts", "1"], "starts must be >= 4"),
        (["--starts", "1000"], "starts must be at most the 397"),
        (["--trajectories", "1"], "trajectories must be >= 2"),
        (["--steps", "0"], "steps must be >= 1"),
        (["--classifier-steps", "0"], "classifier_steps must be >= 1"),
        (["--masks", "3"], "--masks is for a model of text or grammar"),
        (["--controls"], "--controls is for a model of text or grammar"),
        (["--images", "there"], "--images is for a model of fashion"),
    ],
)
def test_bad_arguments_are_named(tmp_path, capsys, arguments, message):
    model = saved(tmp_path / "model.eqx", data="digits")
    assert cli.main(["measure", model, *arguments]) == 2
    assert message in capsys.readouterr().err


def test_options_of_pictures_are_refused_for_a_grammar(tmp_path, capsys):
    grammar = enumeration.random_grammar(1, (2, 3, 2, 2))
    model = rt.denoisers.MaskedDiffusion.create(
        jax.random.key(0), vocabulary=3, length=4, width=8, layers=1, heads=1
    )
    model.save(tmp_path / "model.eqx", notes=grammar_study.notes_of(grammar))
    assert cli.main(["measure", str(tmp_path / "model.eqx"), "--classifier-steps", "3"]) == 2
    assert "--classifier-steps is for a model of images" in capsys.readouterr().err


def test_a_file_that_is_no_model_or_of_another_version_is_refused(tmp_path, capsys, monkeypatch):
    unknown = saved(tmp_path / "unknown.eqx")
    assert cli.main(["measure", unknown]) == 2
    assert "must say which pictures it was trained on" in capsys.readouterr().err
    storage.write(tmp_path / "checkpoint.eqx", "checkpoint of a training run", {}, [np.zeros(2)])
    assert cli.main(["measure", str(tmp_path / "checkpoint.eqx")]) == 2
    assert "got a checkpoint of a training run" in capsys.readouterr().err
    assert cli.main(["measure", str(tmp_path / "missing.eqx")]) == 2
    assert "missing.eqx" in capsys.readouterr().err
    monkeypatch.setattr(storage, "VERSION", 2)
    assert cli.main(["measure", unknown]) == 2
    assert "must have version 2 of the format, got version 1" in capsys.readouterr().err
