"""Networks against NumPy's forward pass, gradients of single rows, and brute force."""

import functools
import gzip
import struct
import types
import urllib.error
from unittest import mock

import jax
import numpy as np
import pytest

pytest.importorskip("equinox")
pytest.importorskip("optax")

from gda_theory import evaluation, networks
from gda_theory.networks import methods, model, sets, training

RECIPE = networks.Recipe(hidden=16, epochs=15)
SEEDS = np.arange(3)


@functools.cache
def trained() -> tuple[networks.NetworkData, training.Parameters, np.ndarray]:
    """Few small networks on digits, and ten flipped rows to forget."""
    data = networks.digits(0, train=300)
    forget = np.flatnonzero(data.flipped)[:10]
    return data, networks.train(data, RECIPE, SEEDS), forget


def logits_of(network: training.Parameters, inputs: np.ndarray) -> np.ndarray:
    first, last = network.layers
    hidden = np.maximum(np.asarray(inputs) @ np.asarray(first.weight, float).T + first.bias, 0)
    return hidden @ np.asarray(last.weight, float).T + last.bias


def one(networks_: training.Parameters, place: int = 0) -> training.Parameters:
    return jax.tree.map(lambda leaf: leaf[place], networks_)


def test_digits_are_split_standardised_and_flipped():
    data, _, _ = trained()
    assert data.inputs.dtype == np.float32
    assert data.inputs.shape == (300, 64)
    assert len(data.validation_inputs) == 1497
    np.testing.assert_allclose(data.inputs.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(data.inputs.std(), 1, rtol=1e-5)
    assert data.flipped.sum() == 30
    clean = networks.digits(0, train=300, flipped=0.0)
    np.testing.assert_array_equal(clean.labels == data.labels, ~data.flipped)


def test_margins_are_those_of_the_logits():
    data, networks_, _ = trained()
    inputs = np.concatenate([data.inputs, data.validation_inputs])
    labels = np.concatenate([data.labels, data.validation_labels])
    found = networks.margins(data, networks_)
    assert found.dtype == np.float32
    expected = evaluation.margins(logits_of(one(networks_, 1), inputs), labels)
    np.testing.assert_allclose(found[1], expected, rtol=1e-3, atol=1e-3)


def test_training_fits_and_is_the_same_again():
    data, networks_, _ = trained()
    right = logits_of(one(networks_), data.inputs).argmax(1) == data.labels
    assert right.mean() > 0.9
    unseen = logits_of(one(networks_), data.validation_inputs).argmax(1)
    assert np.mean(unseen == data.validation_labels) > 0.75
    again = networks.train(data, RECIPE, SEEDS[1:])
    np.testing.assert_array_equal(
        networks.margins(data, again), networks.margins(data, networks_)[1:]
    )


def test_an_oracle_never_sees_the_forgotten_rows():
    data, _, forget = trained()
    labels = data.labels.copy()
    labels[forget] = (labels[forget] + 1) % 10
    found = [
        networks.train(changed, RECIPE, SEEDS[:1], forget=forget)
        for changed in (data, data._replace(labels=labels))
    ]
    np.testing.assert_array_equal(*(np.asarray(each.layers[0].weight) for each in found))


def test_the_kernel_is_that_of_the_gradients():
    data, networks_, _ = trained()
    some = slice(0, 6)
    kernel = sets.mean_kernel(networks_, data.inputs[some], data.labels[some])
    expected = np.zeros((6, 6))
    for place in range(len(SEEDS)):
        gradients = [
            np.concatenate(
                [
                    np.ravel(leaf)
                    for leaf in jax.tree.leaves(
                        jax.grad(model.loss)(
                            one(networks_, place), data.inputs[[row]], data.labels[[row]]
                        )
                    )
                ]
            )
            for row in range(6)
        ]
        expected += np.array(gradients) @ np.array(gradients).T / len(SEEDS)
    np.testing.assert_allclose(kernel, expected, rtol=1e-3, atol=1e-5)


def test_each_forget_set_is_of_its_kind():
    data, networks_, _ = trained()
    found = networks.forget_sets(data, networks_, 8, seed=1)
    assert set(found) == set(networks.KINDS)
    assert all(len(np.unique(rows)) == 8 for rows in found.values())
    assert data.flipped[found["flipped"]].all()
    losses = sets.mean_losses(networks_, data)
    assert losses[found["easy"]].max() <= np.delete(losses, found["easy"]).min()
    with pytest.raises(ValueError, match="kinds must be among"):
        networks.forget_sets(data, networks_, 8, 1, kinds=("hard",))


@functools.cache
def unlearned(method: str, rate: float = 0.05) -> np.ndarray:
    data, networks_, forget = trained()
    targets = None
    if method == "oracle matching":
        oracle = networks.train(data, RECIPE, SEEDS + 100, forget=forget)
        targets = networks.outputs(data, oracle)
    return networks.unlearn(
        data,
        RECIPE,
        networks_,
        forget,
        method,
        rate=rate,
        seeds=SEEDS,
        epochs=3,
        ascent_epochs=2,
        targets=targets,
    )


def forgotten(margins: np.ndarray) -> np.ndarray:
    return margins[..., trained()[2]].mean((-1, -2))


@pytest.mark.parametrize("method", ["ascent", "descent-ascent", "SCRUB", "oracle matching"])
def test_methods_lower_the_margins_of_the_forgotten_rows(method):
    data, networks_, _ = trained()
    found = unlearned(method, 0.003 if method == "oracle matching" else 0.05)
    assert found.shape == (3, 3, len(data.inputs) + len(data.validation_inputs))
    assert forgotten(found)[1] < forgotten(networks.margins(data, networks_)) - 0.1


def test_newton_steps_of_the_last_layer_find_the_minimum():
    """The gradient of the objective on the kept rows, without the drift, falls to rounding."""
    data, networks_, forget = trained()
    network, kept = one(networks_), np.setdiff1d(np.arange(300), forget)
    task = methods.Task(
        inputs=data.inputs,
        labels=data.labels,
        forget=np.tile(forget, (4, 1, 1)),
        retain=np.tile(kept, (4, 1, 1)),
        rate=np.float32(0),
        ascent_epochs=np.int32(0),
        ridge=np.float32(1e-2),
        target=np.zeros((1, 1), np.float32),
    )
    after = jax.jit(methods.newton_last_layer)(network, task)
    hidden = np.maximum(
        data.inputs @ np.asarray(network.layers[0].weight, float).T + network.layers[0].bias, 0
    )
    widened = np.c_[hidden, np.ones(300)]

    def gradient(weights: np.ndarray, rows: np.ndarray) -> np.ndarray:
        scores = widened[rows] @ weights.T
        shares = np.exp(scores - scores.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        shares[np.arange(len(rows)), data.labels[rows]] -= 1
        return shares.T @ widened[rows] / len(rows) + 1e-2 * weights

    def last(place: int | None) -> np.ndarray:
        layer = network.layers[1] if place is None else one(after, place).layers[1]
        return np.c_[np.asarray(layer.weight, float), np.asarray(layer.bias, float)]

    drift = gradient(last(None), np.arange(300))
    sizes = [np.abs(gradient(last(place), kept) - drift).max() for place in (None, 0, 3)]
    assert sizes[1] < sizes[0]
    assert sizes[2] < sizes[0] / 100


def test_the_newton_step_of_the_network_leaves_kept_rows_alone():
    data, networks_, _ = trained()
    before, found = networks.margins(data, networks_), unlearned("Newton, network")[0]
    kept = np.setdiff1d(np.arange(300), trained()[2])
    assert np.isfinite(found).all()
    assert forgotten(found) < forgotten(before) - 0.5
    assert np.mean(np.abs(found - before)[:, kept]) < (forgotten(before) - forgotten(found)) / 2


def test_the_frozen_student_never_moves():
    data, networks_, _ = trained()
    found = unlearned("SCRUB, frozen student")
    np.testing.assert_array_equal(found, np.tile(networks.margins(data, networks_), (3, 1, 1)))


def test_one_epoch_of_ascent_is_one_gradient_step():
    data, networks_, forget = trained()
    network = one(networks_)
    gradient = jax.grad(model.loss)(network, data.inputs[forget], data.labels[forget])
    moved = jax.tree.map(lambda leaf, other: leaf + np.float32(0.05) * other, network, gradient)
    inputs, labels = data.validation_inputs, data.validation_labels
    expected = evaluation.margins(logits_of(moved, inputs), labels)
    np.testing.assert_allclose(unlearned("ascent")[0, 0, 300:], expected, rtol=1e-3, atol=2e-3)


def test_bad_requests_are_refused_in_words():
    data, networks_, forget = trained()
    ask = functools.partial(
        networks.unlearn, data, RECIPE, networks_, forget, rate=0.1, seeds=SEEDS
    )
    with pytest.raises(ValueError, match="method must be one of"):
        ask("magic")
    with pytest.raises(ValueError, match="targets are needed"):
        ask("oracle matching")
    with pytest.raises(ValueError, match="train must lie between 1 and 1796"):
        networks.digits(0, train=1797)
    with pytest.raises(ValueError, match="share in"):
        networks.digits(0, flipped=1.0)


def fashion_files(folder) -> tuple[np.ndarray, np.ndarray]:
    """Write packed idx files of random images; return the images and labels."""
    generator = np.random.default_rng(0)
    images = generator.integers(256, size=(40, 28, 28)).astype(np.uint8)
    labels = (np.arange(40) % 10).astype(np.uint8)
    for name, array in (("images-idx3", images), ("labels-idx1", labels)):
        head = b"\x00\x00\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
        packed = gzip.compress(head + array.tobytes())
        (folder / f"train-{name}-ubyte.gz").write_bytes(packed)
    return images, labels


def test_idx_files_are_read_packed_or_not(tmp_path):
    fashion_files(tmp_path)
    data = networks.fashion(0, folder=tmp_path, train=30, validation=10)
    assert data.inputs.shape == (30, 196)
    assert data.classes == 10
    packed = (tmp_path / "train-labels-idx1-ubyte.gz").read_bytes()
    (tmp_path / "train-images-idx3-ubyte").write_bytes(packed[:50])
    with pytest.raises((ValueError, EOFError)):
        networks.fashion(0, folder=tmp_path)
    with pytest.raises(FileNotFoundError, match="dataset-fashion-mnist"):
        networks.fashion(0, folder=tmp_path / "none")


def test_fashion_comes_from_the_systems_folder_or_from_openml(tmp_path, monkeypatch):
    images, labels = fashion_files(tmp_path)
    monkeypatch.setattr(networks.data.idx, "FASHION", tmp_path)
    local = networks.fashion(0, train=30, validation=10)
    pixel = images[:, :2, :2].reshape(40, 4).mean(1)  # pooled by hand
    shown = np.concatenate([local.inputs, local.validation_inputs])[:, 0]
    np.testing.assert_allclose(
        np.sort(shown - shown.mean()) / shown.std(),
        np.sort(pixel - pixel.mean()) / pixel.std(),
        rtol=1e-5,
        atol=1e-6,
    )
    monkeypatch.setattr(networks.data.idx, "FASHION", tmp_path / "none")
    sent = types.SimpleNamespace(data=images.reshape(40, 784), target=labels.astype(str))
    monkeypatch.setattr("sklearn.datasets.fetch_openml", lambda *_, **__: sent)
    fetched = networks.fashion(0, train=30, validation=10)
    np.testing.assert_array_equal(fetched.inputs, local.inputs)
    np.testing.assert_array_equal(fetched.labels, local.labels)

    def offline(*_, **__):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", offline)
    with pytest.raises(FileNotFoundError, match="did not send Fashion-MNIST"):
        networks.fashion(0)


def test_labels_that_were_not_memorised_stop_the_run():
    data, networks_, _ = trained()
    margins = networks.margins(data, networks_)
    rows = data.inputs[data.flipped]
    shares = []
    for place in range(len(SEEDS)):
        scores = logits_of(one(networks_, place), rows)
        shown = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        shares.append(np.mean(shown[np.arange(len(rows)), data.labels[data.flipped]] > 0.5))
    assert networks.memorised(data, margins, least=0.0) == pytest.approx(np.mean(shares))
    with pytest.raises(RuntimeError, match="of the flipped labels of digits, less than 90 %"):
        networks.memorised(data, -np.abs(margins))


def test_only_the_wanted_epochs_and_points_are_kept():
    data, networks_, forget = trained()
    some = np.array([0, 7, 1000])
    found = networks.unlearn(
        data,
        RECIPE,
        networks_,
        forget,
        "ascent",
        rate=0.05,
        seeds=SEEDS,
        epochs=3,
        ascent_epochs=2,
        kept_epochs=(1, 3),
        kept_points=some,
    )
    np.testing.assert_allclose(found, unlearned("ascent")[[0, 2]][..., some], rtol=1e-4, atol=1e-4)


def test_a_run_goes_on_where_it_stopped_and_never_takes_networks_of_other_data(tmp_path):
    data, networks_, _ = trained()
    first = networks.train(data, RECIPE, SEEDS, folder=tmp_path)
    (file,) = tmp_path.iterdir()
    with np.load(file) as kept:
        stored = [kept[name] for name in kept.files]
    assert any(np.array_equal(array, SEEDS) for array in stored)
    with mock.patch.object(networks.training, "trainer") as trainer:
        trainer.return_value = jax.jit(lambda shared, rows: {"network": networks_, "seed": SEEDS})
        again = networks.train(data, RECIPE, SEEDS, folder=tmp_path)
    np.testing.assert_array_equal(networks.margins(data, first), networks.margins(data, again))
    other = networks.digits(1, train=300)
    changed = networks.train(other, RECIPE, SEEDS, folder=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    assert not np.array_equal(networks.margins(data, changed), networks.margins(data, first))
