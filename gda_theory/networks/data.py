"""Data for the networks: images as rows of standardised pixels, with label noise on purpose.

A forgotten row must matter to the model, or there is nothing to forget: a network predicts a clean
row just as well without having seen it. So a share of the *training* labels is *flipped* to another
class. The network memorises these labels, and a retrained one does not know them.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from theory_common import idx

OPENML = "Fashion-MNIST"
DIGITS_TRAIN = 1000


class NetworkData(NamedTuple):
    """Training and validation rows.

    * ``inputs``: ``(n, d)`` in float32. Each pixel is centred, and all are divided by one number.
    * ``labels``: ``(n,)``, of which those where ``flipped`` holds are wrong on purpose.
    * ``validation_inputs``, ``validation_labels``: with right labels only.
    * ``classes``: their number. ``name``: what the data are called.
    """

    inputs: Float[np.ndarray, "n d"]
    labels: Int[np.ndarray, " n"]
    flipped: Bool[np.ndarray, " n"]
    validation_inputs: Float[np.ndarray, "v d"]
    validation_labels: Int[np.ndarray, " v"]
    classes: int
    name: str


def digits(seed: int, *, flipped: float = 0.1, train: int = DIGITS_TRAIN) -> NetworkData:
    """scikit-learn's digits, 8 x 8 pixels: 1,797 images, of which ``train`` are for training.

    Args:
        seed: of NumPy's generator, which splits the images and flips labels.
        flipped: share of the training labels that are made wrong.
        train: number of training images; the others are for validation.
    """
    from sklearn.datasets import load_digits

    found = load_digits()
    return noisy(found.data, found.target, seed, train=train, flipped=flipped, name="digits")


def fashion(
    seed: int,
    *,
    folder: str | Path | None = None,
    flipped: float = 0.1,
    train: int = 5000,
    validation: int = 1000,
) -> NetworkData:
    """Fashion-MNIST, pooled to 14 x 14 pixels by the means of 2 x 2.

    Args:
        seed: of NumPy's generator, which chooses the images and flips labels.
        folder: with ``train-images-idx3-ubyte`` and ``train-labels-idx1-ubyte``, as they are or
            packed with gzip. By default it is the folder of the system's package
            ``dataset-fashion-mnist``. Where that is missing, scikit-learn gets the images from
            openml.org, and keeps them.
        flipped: share of the training labels that are made wrong.
        train, validation: numbers of images.
    Raises: ``FileNotFoundError`` if the folder lacks a file, or openml.org does not answer; it says
        how to get the files.
    """
    images, labels = _fashion_images(folder)
    pooled = images.reshape(len(images), 14, 2, 14, 2).mean((2, 4)).reshape(len(images), -1)
    chosen = np.random.default_rng(seed).permutation(len(pooled))[: train + validation]
    return noisy(
        pooled[chosen], labels[chosen], seed, train=train, flipped=flipped, name="Fashion-MNIST"
    )


def from_npz(path: str | Path, seed: int, *, train: int, flipped: float = 0.1) -> NetworkData:
    """The arrays ``inputs`` (or ``X``) and ``labels`` (or ``y``) of any ``.npz`` file."""
    with np.load(path, allow_pickle=False) as file:
        names = set(file.files)
        wanted = [("inputs", "X"), ("labels", "y")]
        missing = [pair for pair in wanted if not names & set(pair)]
        if missing:
            raise ValueError(
                f"{path} must hold the array {' or '.join(missing[0])}; it has {sorted(names)}"
            )
        inputs, labels = (file[next(name for name in pair if name in names)] for pair in wanted)
    rows = inputs.reshape(len(inputs), -1)
    return noisy(rows, labels, seed, train=train, flipped=flipped, name=Path(path).stem)


def noisy(
    inputs: np.ndarray, labels: np.ndarray, seed: int, *, train: int, flipped: float, name: str
) -> NetworkData:
    """Split rows at random, flip training labels, and standardise by the training rows.

    Args:
        inputs: ``(rows, d)``.
        labels: ``(rows,)``, whole numbers from 0.
        seed: of NumPy's generator.
        train: number of training rows; the others are for validation.
        flipped: share of the training labels that become another class, each equally likely.
        name: of the data.
    Raises: ``ValueError`` if there are too few rows or classes, or ``flipped`` is no share.
    """
    if not 0 < train < len(inputs):
        raise ValueError(f"train must lie between 1 and {len(inputs) - 1}, got {train}")
    if not 0 <= flipped < 1:
        raise ValueError(f"flipped must be a share in [0, 1), got {flipped}")
    classes = int(np.max(labels)) + 1
    if classes < 2:
        raise ValueError("labels must have two classes or more, got 1")
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(inputs))
    right = np.asarray(labels)[order].astype(np.int32)
    wrong = np.zeros(train, bool)
    wrong[generator.choice(train, round(flipped * train), replace=False)] = True
    other = (right[:train] + generator.integers(1, classes, train)) % classes
    rows = np.asarray(inputs, float)[order]
    centre = rows[:train].mean(0)
    scaled = ((rows - centre) / np.std(rows[:train] - centre)).astype(np.float32)
    return NetworkData(
        inputs=scaled[:train],
        labels=np.where(wrong, other, right[:train]).astype(np.int32),
        flipped=wrong,
        validation_inputs=scaled[train:],
        validation_labels=right[train:],
        classes=classes,
        name=name,
    )


def _fashion_images(folder: str | Path | None) -> tuple[np.ndarray, np.ndarray]:
    """The images ``(n, 28, 28)`` and labels of the training half, from wherever they are."""
    if folder is None and not idx.FASHION.is_dir():
        return _from_openml()
    where = idx.FASHION if folder is None else Path(folder)
    return (
        idx.read(idx.find(where, "train-images-idx3-ubyte")),
        idx.read(idx.find(where, "train-labels-idx1-ubyte")),
    )


def _from_openml() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import fetch_openml

    try:
        found = fetch_openml(OPENML, version=1, as_frame=False)
    except OSError as error:  # also every failure to reach the server
        raise FileNotFoundError(
            f"{idx.FASHION} is not there, and openml.org did not send {OPENML} ({error}); "
            f"{idx.GET_FASHION}"
        ) from error
    train = slice(0, 60_000)  # the test images follow
    return found.data[train].reshape(-1, 28, 28), found.target[train].astype(int)
