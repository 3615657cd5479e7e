"""Forget sets of the study of cross-influence, what is known before, and the harm that ascent does.

A *cell* is one data set at one ridge and one share of forgotten rows. Its forget sets are measured
together, since they share their rows.
"""

import dataclasses
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import expit

import gda_theory as gt
from figures._influence_data import SEED, Dataset
from gda_theory.dynamics import simulation
from gda_theory.verdict.dependence import SEARCHED, dependence

DRAWS = {"random": 6, "group": 4, "component": 4, "nearest": 4, "mislabelled": 4, "easy": 4}
KINDS = tuple(DRAWS)
LEAST = 4  # rows to forget
EASY = 0.25  # of the rows, those of the smallest loss, from which easy sets are drawn
EPOCHS = 100  # the budget
STEP_SIZES = (0.01, 0.1, 1.0)  # over the largest curvature; the second is that of the budget
BUDGET = 1  # its place
OUTCOMES = (
    "budget",
    "budget_weak",
    "budget_alternating",
    "limit",
    "limit_weak",
    "early_stop",
    "retain_rise",
)


class ForgetSet(NamedTuple):
    """Rows to forget, and whether their labels are made wrong before the model is trained."""

    kind: str
    forget: Bool[np.ndarray, " n"]
    flipped: bool = False


class Model(NamedTuple):
    """The pretrained model of the true labels, from which some forget sets are chosen."""

    loss: Float[np.ndarray, " n"]
    components: Float[np.ndarray, "n 2"]  # projections of the rows of U, see the protocol


def cell(data: Dataset, ridge: float, share: float) -> dict[str, np.ndarray]:
    """All numbers of one cell: an array for each column, one entry for each forget set."""
    sets = list(forget_sets(data, model(data, ridge), share))
    problems = [problem_of(data, one, ridge) for one in sets]
    paths = [solved(one) for one in problems]
    columns = {
        "dataset": np.repeat(data.name, len(sets)),
        "kind": np.array([one.kind for one in sets]),
        "ridge": np.repeat(ridge, len(sets)),
        "share": np.repeat(share, len(sets)),
        "size_ratio": np.array([one.forget.sum() / (~one.forget).sum() for one in sets]),
    }
    known = [predictors(problem, path) for problem, path in zip(problems, paths, strict=True)]
    columns |= {name: np.array([one[name] for one in known]) for name in known[0]}
    return columns | outcomes(data, sets, problems, paths)


# Which rows --------------------------------------------------------------------------------------


def model(data: Dataset, ridge: float) -> Model:
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
    return Model(loss=np.logaddexp(0, -margins), components=projections * signs)


def forget_sets(data: Dataset, trained: Model, share: float) -> Iterator[ForgetSet]:
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


def _of_a_group(data: Dataset, size: int, rng: np.random.Generator) -> Int[np.ndarray, " k"]:
    """``size`` rows of one group, drawn among the groups that are large enough."""
    large = np.flatnonzero(np.bincount(data.groups) >= size)
    members = np.flatnonzero(data.groups == rng.choice(large))
    return rng.choice(members, size, replace=False)


def _mask(count: int, rows: Int[np.ndarray, " k"]) -> Bool[np.ndarray, " n"]:
    mask = np.zeros(count, bool)
    mask[rows] = True
    return mask


def problem_of(data: Dataset, chosen: ForgetSet, ridge: float) -> gt.Problem:
    """The problem of one forget set; the labels of flipped rows are wrong in it."""
    wrong = chosen.forget & chosen.flipped
    labels = np.where(wrong, -data.labels, data.labels)
    return gt.Problem(data.features, labels, chosen.forget, ridge=ridge)


# What is known before ----------------------------------------------------------------------------


def solved(problem: gt.Problem) -> gt.Path:
    """Pretrained and retrained model, and the minima at the weak strength f/r and at strength 1."""
    forgotten = int(np.sum(np.asarray(problem.forget)))
    weak = forgotten / (len(problem.forget) - forgotten)
    path = gt.ascent_path(problem, [weak, 1.0], search_to=SEARCHED)
    return path._replace(**{name: np.asarray(getattr(path, name)) for name in _ARRAYS})


_ARRAYS = ("weights", "reason", "critical_strength", "break_even_strength", "searched_to")


def predictors(problem: gt.Problem, path: gt.Path) -> dict[str, float]:
    """What might predict the harm."""
    pretrained, oracle = (np.asarray(one.weights) for one in (path.pretrained, path.oracle))
    measured = dataclasses.asdict(dependence(problem, pretrained))
    critical = critical_strength(path)
    even = float(path.break_even_strength)
    return measured | {
        # From the critical strength on there is no minimum that could be better than nothing.
        "break_even_strength": critical if np.isnan(even) else even,
        "critical_strength": critical,
        "size": float(np.sum(np.asarray(problem.forget))),
        "pretrain_distance": np.linalg.norm(pretrained - oracle) / np.linalg.norm(oracle),
        "converged": float(bool(path.pretrained.converged) and bool(path.oracle.converged)),
    }


def critical_strength(path: gt.Path) -> float:
    """Infinite if the minimum exists up to strength 10, NaN if the path could not be followed."""
    found = float(path.critical_strength)
    if np.isnan(found) and path.searched_to >= SEARCHED:
        return np.inf
    return found


def relative_limit(path: gt.Path, place: int) -> float:
    """log10 of the relative distance of the minimum at one strength.

    Infinite if it is lost, NaN if the path could not be followed so far.
    """
    if path.reason[place] == gt.Reason.PAST_FOLD:
        return np.inf
    pretrained, oracle = (np.asarray(one.weights) for one in (path.pretrained, path.oracle))
    moved = np.linalg.norm(path.weights[place] - oracle)
    return np.log10(moved / np.linalg.norm(pretrained - oracle))


# The harm ----------------------------------------------------------------------------------------


def outcomes(data: Dataset, sets, problems, paths) -> dict[str, np.ndarray]:
    """Every measure of harm, as in the protocol."""
    pretrained, oracle = (
        np.stack([np.asarray(getattr(path, name).weights) for path in paths])
        for name in ("pretrained", "oracle")
    )
    apart = np.linalg.norm(pretrained - oracle, axis=1)

    def ratio(weights):
        return np.log10(np.linalg.norm(weights - oracle, axis=-1) / apart)

    runs = Runs.of(shared_objective(data, sets, problems), pretrained, oracle)
    return {
        "budget": ratio(runs.strong),
        "budget_weak": ratio(runs.weak),
        "budget_alternating": ratio(runs.alternating),
        "limit": np.array([relative_limit(path, 1) for path in paths]),
        "limit_weak": np.array([relative_limit(path, 0) for path in paths]),
        "early_stop": np.log10(runs.nearest),
        "retain_rise": np.log10(_rises(problems, runs.strong, oracle)),
    }


def _rises(problems, weights, oracles) -> Float[np.ndarray, " sets"]:
    """By how much the objective on the retain set is above its minimum."""
    values = []
    for problem, point, oracle in zip(problems, weights, oracles, strict=True):
        objective = problem.objective()
        values.append(float(objective.value(point, 0.0) - objective.value(oracle, 0.0)))
    return np.array(values)


def shared_objective(data: Dataset, sets: list[ForgetSet], problems) -> gt.Objective:
    """One objective with a batch of weights, an axis for the step sizes, and shared types.

    A flipped row is a second type, the negative of the first.
    """
    types = data.labels[:, None] * data.features
    flips = np.flatnonzero(np.any([one.forget & one.flipped for one in sets], axis=0))
    masks = np.stack([one.forget for one in sets])
    wrong = masks & np.array([one.flipped for one in sets])[:, None]
    forget = np.concatenate([masks & ~wrong, wrong[:, flips]], axis=1)
    retain = np.concatenate([~masks, np.zeros_like(wrong[:, flips])], axis=1)
    sizes = [np.sum(one, axis=1, keepdims=True) for one in (forget, retain)]
    given = problems[0].objective()
    return dataclasses.replace(
        given,
        types=np.concatenate([types, -types[flips]]),
        retain_weight=(retain / sizes[1])[:, None],
        forget_weight=(forget / sizes[0])[:, None],
        size_ratio=sizes[0] / sizes[1],
    )


class Runs(NamedTuple):
    """Where the runs from the pretrained models end, and the least relative distance on the way.

    ``nearest`` is exactly 1 where doing nothing was best, so that such sets share a rank.
    """

    strong: Float[np.ndarray, "sets d"]
    weak: Float[np.ndarray, "sets d"]
    alternating: Float[np.ndarray, "sets d"]
    nearest: Float[np.ndarray, " sets"]

    @classmethod
    def of(cls, objective: gt.Objective, pretrained, oracle) -> "Runs":
        start = pretrained[:, None]
        steepest = np.stack([_steepest(objective, row) for row in range(len(pretrained))])
        step_size = np.asarray(STEP_SIZES) / steepest[:, None]
        budget = step_size[:, BUDGET : BUDGET + 1]
        strong = gt.simulate(
            objective,
            start,
            step_size=step_size,
            epochs=EPOCHS,
            observe=simulation.distances_to(oracle[:, None, None]),
        )
        weak, alternating = (
            gt.simulate(objective, start, step_size=budget, epochs=EPOCHS, **choice).weights
            for choice in ({"strength": objective.size_ratio}, {"scheme": "retain_first"})
        )
        distances = np.asarray(strong.observed)[..., 0]
        return cls(
            strong=np.asarray(strong.weights)[:, BUDGET],
            weak=np.asarray(weak)[:, 0],
            alternating=np.asarray(alternating)[:, 0],
            nearest=np.min(distances / distances[..., :1], axis=(1, 2)),
        )


def _steepest(objective: gt.Objective, row: int) -> float:
    """The largest curvature of the retain objective of one set, for any weights.

    It is that at margin 0, where the curvature of the logistic loss is 1/4.
    """
    weight = objective.retain_weight[row, 0] / 4
    hessian = (objective.types.T * weight) @ objective.types
    return float(np.linalg.eigvalsh(hessian)[-1] + objective.ridge[0])
