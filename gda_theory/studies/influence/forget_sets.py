"""Which rows the study of cross-influence forgets, and the model that chooses some of them."""

import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import expit

import gda_theory as gt
from gda_theory.studies.influence.data import SEED, StudyData

DRAWS = {"random": 6, "group": 4, "component": 4, "nearest": 4, "mislabelled": 4, "easy": 4}
KINDS = tuple(DRAWS)
LEAST = 4  # rows to forget
EASY = 0.25  # of the rows, those of the smallest loss, from which easy sets are drawn


class ForgetSet(NamedTuple):
    """Rows to forget, and whether their labels are made wrong before the model is trained."""

    kind: str
    forget: Bool[np.ndarray, " n"]
    flipped: bool = False


class PretrainedModel(NamedTuple):
    """The pretrained model of the true labels, from which some forget sets are chosen."""

    loss: Float[np.ndarray, " n"]
    components: Float[np.ndarray, "n 2"]  # projections of the rows of U, see the protocol


def model(data: StudyData, ridge: float) -> PretrainedModel:
    """The model of all rows, and the two leading components of the loss cross-influence."""
    nobody = np.arange(len(data.labels)) == 0  # a forget set plays no part in pretraining
    problem = gt.Problem(data.features, data.labels, nobody, ridge=ridge)
    types = data.labels[:, None] * data.features
    margins = types @ np.asarray(gt.pretrain(problem).weights)
    bend = expit(margins) * expit(-margins) / len(margins)
    hessian = (types.T * bend) @ types + ridge * np.eye(types.shape[1])
    root = np.linalg.cholesky(hessian)
    rows = np.linalg.solve(root, (expit(-margins)[:, None] * types).T).T
    vectors = np.linalg.svd(rows, full_matrices=False)[2][:2]
    projections = rows @ vectors.T
    # The sign of a vector is not determined: the heavier tail is the top.
    signs = np.where(np.sum(projections**3, 0) < 0, -1, 1)
    return PretrainedModel(loss=np.logaddexp(0, -margins), components=projections * signs)


def forget_sets(data: StudyData, trained: PretrainedModel, share: float) -> Iterator[ForgetSet]:
    """The forget sets of one cell. The same rows are drawn at random for every ridge."""
    count = len(data.labels)
    size = max(LEAST, round(share * count))
    rng = np.random.default_rng([SEED, zlib.crc32(data.name.encode()), size])
    for _ in range(DRAWS["random"]):
        yield ForgetSet("random", _mask(count, rng.choice(count, size, replace=False)))
    for _ in range(DRAWS["group"]):
        yield ForgetSet("group", _mask(count, _of_a_group(data, size, rng)))
    for _ in range(DRAWS["nearest"]):
        centre = data.features[rng.integers(count)]
        distance = np.linalg.norm(data.features - centre, axis=1)
        yield ForgetSet("nearest", _mask(count, np.argsort(distance, kind="stable")[:size]))
    for _ in range(DRAWS["mislabelled"]):
        rows = rng.choice(count, size, replace=False)
        yield ForgetSet("mislabelled", _mask(count, rows), flipped=True)
    easiest = np.argsort(trained.loss, kind="stable")[: round(EASY * count)]
    for _ in range(DRAWS["easy"]):
        yield ForgetSet("easy", _mask(count, rng.choice(easiest, size, replace=False)))
    for component in trained.components.T:
        order = np.argsort(component, kind="stable")
        yield ForgetSet("component", _mask(count, order[-size:]))
        yield ForgetSet("component", _mask(count, order[:size]))


def _of_a_group(data: StudyData, size: int, rng: np.random.Generator) -> Int[np.ndarray, " k"]:
    """``size`` rows of one group, drawn among the groups that are large enough."""
    large = np.flatnonzero(np.bincount(data.groups) >= size)
    members = np.flatnonzero(data.groups == rng.choice(large))
    return rng.choice(members, size, replace=False)


def _mask(count: int, rows: Int[np.ndarray, " k"]) -> Bool[np.ndarray, " n"]:
    mask = np.zeros(count, bool)
    mask[rows] = True
    return mask


def problem_of(data: StudyData, chosen: ForgetSet, ridge: float) -> gt.Problem:
    """The problem of one forget set; the labels of flipped rows are wrong in it."""
    wrong = chosen.forget & chosen.flipped
    labels = np.where(wrong, -data.labels, data.labels)
    return gt.Problem(data.features, labels, chosen.forget, ridge=ridge)
