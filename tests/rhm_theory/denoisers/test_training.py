"""A tiny model trained in seconds beats the unigram law. A stopped run goes on exactly."""

import functools
import os

import jax
import numpy as np
import pytest

import rhm_theory as rt
from rhm_theory.denoisers import MaskedDiffusion, losses, storage, train, training
from theory_common.printing import files

VOCABULARY = 6
LENGTH = 8
KEY = jax.random.key(0)
RUN = {"batch": 16, "steps": 6, "records": 3, "keep": (0.5,)}


@functools.cache
def chain_sequences(count: int) -> np.ndarray:
    """Sequences of a chain in which each symbol mostly follows one other, by NumPy."""
    generator = np.random.default_rng(7)
    found = generator.integers(VOCABULARY, size=(count, LENGTH))
    for site in range(1, LENGTH):
        follows = generator.random(count) < 0.9
        found[:, site] = np.where(follows, (found[:, site - 1] + 1) % VOCABULARY, found[:, site])
    return found


@functools.cache
def tiny() -> MaskedDiffusion:
    return MaskedDiffusion.create(
        KEY, vocabulary=VOCABULARY, length=LENGTH, width=16, layers=1, heads=2
    )


def weights(model: MaskedDiffusion) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(model)]


def assert_same(one: MaskedDiffusion, other: MaskedDiffusion) -> None:
    for a, b in zip(weights(one), weights(other), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_a_tiny_model_beats_the_unigram_law():
    data = chain_sequences(400)
    found = train(KEY, tiny(), data[64:], batch=16, steps=150, held_out=data[:64])
    share = np.bincount(data[64:].ravel(), minlength=VOCABULARY) / data[64:].size
    unigram = -np.log(share[data[:64]]).mean()
    assert unigram > 1.7  # close to log 6: the symbols alone say nothing
    assert found.history.held_out[-1] < 0.7 * unigram
    assert found.history.held_out[-1] < found.history.held_out[0]
    np.testing.assert_array_equal(found.history.tokens, found.history.step * 16 * LENGTH)
    # The same loss from the probabilities themselves.
    found_losses = losses(
        KEY, found.model.log_probabilities, data[:8], np.array([0.5]), vocabulary=VOCABULARY
    )
    assert found_losses.hidden.sum() > 0
    assert 0 < found_losses.mean < unigram


def test_an_untrained_model_is_uniform_and_float32():
    data = chain_sequences(400)[:3]
    hidden = np.where(np.arange(LENGTH) % 2, VOCABULARY, data)
    law = tiny().log_probabilities(hidden)
    assert law.dtype == np.float32
    assert tiny().logits(hidden).dtype == np.float32
    np.testing.assert_allclose(law[:, 1::2], -np.log(VOCABULARY), rtol=1e-6)
    # A shown site has its own symbol.
    own = np.take_along_axis(law[:, ::2], data[:, ::2, None], -1)
    np.testing.assert_array_equal(own, 0)
    np.testing.assert_array_equal(np.isneginf(law[:, ::2]).sum(-1), VOCABULARY - 1)
    traced = jax.jit(lambda model, tokens: model.logits(tokens))(tiny(), hidden)
    assert traced.dtype == np.float32
    assert rt.denoisers.MaskedDiffusion is MaskedDiffusion


def test_a_stopped_run_goes_on_bit_by_bit(tmp_path, monkeypatch):
    data = chain_sequences(400)[:64]
    whole = train(KEY, tiny(), data, **RUN)
    assert all(leaf.dtype == np.float32 for leaf in weights(whole.model))

    real = training._step
    calls = []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(training, "_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(KEY, tiny(), data, folder=tmp_path, **RUN)
    rest = train(KEY, tiny(), data, folder=tmp_path, **RUN)
    assert len(calls) == 5 + 2  # the 4 steps that were done are not repeated
    assert_same(rest.model, whole.model)
    assert_same(rest.kept[0.5], whole.kept[0.5])
    np.testing.assert_array_equal(rest.history.loss, whole.history.loss)
    again = train(KEY, tiny(), data, folder=tmp_path, **RUN)
    assert len(calls) == 7
    assert_same(again.model, whole.model)
    with pytest.raises(ValueError, match="keeps another run"):
        train(jax.random.key(1), tiny(), data, folder=tmp_path, **RUN)


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    data = chain_sequences(400)[:64]
    whole = train(KEY, tiny(), data, **RUN)
    synced = os.fsync
    calls = []

    def fills_up(descriptor):
        calls.append(1)
        if len(calls) > 3:
            raise OSError(28, "No space left on device")
        synced(descriptor)

    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(files.os, "fsync", fills_up)
    with pytest.raises(OSError, match="No space left"):
        train(KEY, tiny(), data, folder=tmp_path, **RUN)
    assert "checkpoint.eqx" in {path.name for path in tmp_path.iterdir()}
    assert not list(tmp_path.glob(".*"))
    held, _ = storage.read(tmp_path / "checkpoint.eqx", training.KIND)
    assert 1 <= held["numbers"]["step"] < 6
    monkeypatch.setattr(files.os, "fsync", synced)
    assert_same(train(KEY, tiny(), data, folder=tmp_path, **RUN).model, whole.model)


def test_a_model_is_saved_and_loaded_exactly(tmp_path, monkeypatch):
    path = tmp_path / "model.eqx"
    tiny().save(path, notes={"kind": "text"})
    loaded = MaskedDiffusion.load(path)
    assert_same(loaded, tiny())
    assert (loaded.vocabulary, loaded.length) == (VOCABULARY, LENGTH)
    assert rt.denoisers.read_notes(path) == {"kind": "text"}
    with pytest.raises(FileExistsError):
        tiny().save(path)
    monkeypatch.setattr(storage, "VERSION", storage.VERSION + 1)
    with pytest.raises(ValueError, match="version 2 of the format, got version 1"):
        MaskedDiffusion.load(path)


@pytest.mark.parametrize("content", [b"", b"no model", None])
def test_a_file_that_is_no_model_is_an_error(tmp_path, content):
    path = tmp_path / "other.eqx"
    if content is None:
        np.save(path, np.zeros(3))
        path = tmp_path / "other.eqx.npy"
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"is no file of rhm_theory\.denoisers, or it is broken"):
        MaskedDiffusion.load(path)


def test_a_checkpoint_is_no_model(tmp_path):
    path = tmp_path / "file.eqx"
    storage.write(path, training.KIND, {}, [np.zeros(2)])
    with pytest.raises(ValueError, match="must hold a masked diffusion model"):
        MaskedDiffusion.load(path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either steps or minutes"),
        ({"steps": 1, "minutes": 1.0}, "either steps or minutes"),
        ({"steps": 0}, "steps must be >= 1"),
        ({"minutes": 0.0}, "minutes must be finite and > 0"),
        ({"steps": 1, "batch": 0}, "batch must be >= 1"),
        ({"steps": 1, "learning_rate": -1.0}, "learning_rate must be"),
        ({"steps": 1, "keep": (1.5,)}, "keep must be in"),
        ({"steps": 1, "records": 0}, "records must be >= 1"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        train(KEY, tiny(), chain_sequences(400), **arguments)


@pytest.mark.parametrize(
    "sequences", [np.zeros((3, 5), int), np.full((3, LENGTH), 6), np.zeros((0, LENGTH), int)]
)
def test_wrong_sequences_are_named(sequences):
    with pytest.raises(ValueError, match="sequences must"):
        train(KEY, tiny(), sequences, steps=1)


def test_wrong_sizes_are_named():
    with pytest.raises(ValueError, match="width must be a multiple of 2"):
        MaskedDiffusion.create(KEY, vocabulary=3, length=4, width=10, heads=4)
    with pytest.raises(ValueError, match="tokens must have a last axis of 8"):
        tiny().logits(np.zeros((2, 3), int))
    with pytest.raises(ValueError, match=r"tokens must be in 0 \.\. 6"):
        tiny().logits(np.full((2, LENGTH), 7))
