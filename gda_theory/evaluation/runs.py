"""Unlearning runs against retrained models: scores on each split, and what they mean in words.

A *run* is one way to unlearn: a method, its settings and an epoch. Each run has many models.
"""

import dataclasses
import difflib
import textwrap
import zipfile
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from gda_theory.evaluation.klom import SPLITS, Klom, Statistic, klom, noise_floor
from gda_theory.evaluation.margins import finite, margins
from gda_theory.evaluation.membership import MembershipTest, membership
from theory_common.printing import tables

NEEDED = ("forget", "validation")
NAMES = (*NEEDED, "retain")
ARRAYS = ("unlearned", "oracle", "pretrained", "labels", "split", "names", "cost", "epoch")
WIDTH = 80
SIGNIFICANT = 0.05
DECIDED_BY = "gaussian"  # of the estimators, the one with the most power


class Standing(Enum):
    """Where a run stands on one split, by the mean KLoM of normal laws.

    * ``FLOOR``: the exact test by exchange of models finds no difference (its p is above 0.05).
    * ``BETTER``, ``WORSE``: than the pretrained models: the intervals of the excess over the noise
      floor do not meet.
    * ``SAME``: above the floor, and the intervals of both meet.
    * ``ABOVE``: above the floor, and the pretrained models were not given.
    * ``UNKNOWN``: the margins of the models do not vary, or no interval could be computed.
    """

    FLOOR = "at the noise floor"
    BETTER = "better than nothing"
    WORSE = "worse than nothing"
    SAME = "no different from nothing"
    ABOVE = "above the noise floor"
    UNKNOWN = "undecided"


@dataclasses.dataclass(frozen=True)
class Run:
    """The scores of one run: ``klom`` and ``standing`` for each split, ``membership`` on forget.

    ``cost`` and ``epoch`` are NaN where they were not given.
    """

    name: str
    cost: float
    epoch: float
    klom: dict[str, Klom]
    standing: dict[str, Standing]
    membership: MembershipTest

    @property
    def title(self) -> str:
        """The name, with the epoch if it was given."""
        return self.name if np.isnan(self.epoch) else f"{self.name}, epoch {self.epoch:g}"

    @property
    def sentence(self) -> str:
        """What the scores mean."""
        return _sentence(self)


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """All runs, and the pretrained models' scores (None if they were not given).

    ``points`` is the number of points of each split.
    """

    runs: tuple[Run, ...]
    pretrained: dict[str, Klom] | None
    points: dict[str, int]

    @property
    def answer(self) -> str:
        """What the scores of all runs mean together."""
        return _answer(self)

    def to_dict(self) -> dict[str, Any]:
        """Everything as numbers, lists and texts, for JSON."""
        before = self.pretrained
        return {
            "answer": self.answer,
            "points": self.points,
            "runs": [
                {
                    "name": run.name,
                    "cost": run.cost,
                    "epoch": run.epoch,
                    "sentence": run.sentence,
                    "standing": {split: found.value for split, found in run.standing.items()},
                    "klom": {split: found.to_dict() for split, found in run.klom.items()},
                    "membership": run.membership.to_dict(),
                }
                for run in self.runs
            ],
            "pretrained": before and {split: found.to_dict() for split, found in before.items()},
        }

    def summary(self) -> str:
        """A table of the runs for a terminal, and the sentence of each."""
        return _summary(self)

    def __str__(self) -> str:
        return self.summary()


@dataclasses.dataclass(frozen=True)
class RunArrays:
    """The validated arrays of a file: margins, splits, and names, costs and epochs of the runs."""

    unlearned: Float[np.ndarray, "runs models points"]
    oracle: Float[np.ndarray, "others points"]
    pretrained: Float[np.ndarray, "more points"] | None
    split: np.ndarray
    names: tuple[str, ...]
    cost: Float[np.ndarray, " runs"]
    epoch: Float[np.ndarray, " runs"]


def load(path: str | Path) -> RunArrays:
    """Read and validate an ``.npz`` file, see :func:`arrays_of`.

    Raises: ``ValueError`` if it is no such file, or as :func:`arrays_of` does.
    """
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            named = {name: file[name] for name in file.files}
    except (OSError, TypeError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"{path} must be an .npz file of numpy.savez: {error}") from None
    except ValueError:  # NumPy takes what it cannot read for pickled objects
        raise ValueError(f"{path} must be an .npz file of numpy.savez, without objects") from None
    except AttributeError:
        raise ValueError(
            f"{path} must be an .npz file of several named arrays, got a single array"
        ) from None
    return arrays_of(named)


def arrays_of(named: Mapping[str, ArrayLike]) -> RunArrays:
    """The arrays of one or many runs, validated.

    Args:
        named: ``unlearned`` and ``oracle``, as margins ``(models, points)`` or logits ``(models,
            points, classes)``; ``unlearned`` may have a first axis of runs. ``split`` says of each
            point ``"forget"``, ``"validation"`` or ``"retain"``. ``labels`` are needed for logits.
            Optional are ``pretrained`` (as ``oracle``), and for each run ``names``, ``cost`` and
            ``epoch``.
    Raises: ``ValueError`` or ``TypeError`` that names the array, what was expected and what came.
    """
    _check_names(named)
    oracle = finite("oracle", named["oracle"])
    if oracle.ndim not in (2, 3):
        raise ValueError(
            "oracle must be margins (models, points) or logits (models, points, classes), "
            f"got shape {oracle.shape}"
        )
    points = oracle.shape[1]
    labels = _labels(named.get("labels"), points, needed=oracle.ndim == 3)
    of = _as_margins(labels, oracle.ndim, points)
    unlearned = of("unlearned", named["unlearned"], runs=True)
    runs = len(unlearned)
    before = named.get("pretrained")
    return RunArrays(
        unlearned=unlearned,
        oracle=of("oracle", oracle),
        pretrained=None if before is None else of("pretrained", before),
        split=_split(named["split"], points),
        names=_texts(named.get("names"), runs),
        cost=_numbers("cost", named.get("cost"), runs),
        epoch=_numbers("epoch", named.get("epoch"), runs),
    )


def evaluate(
    arrays: RunArrays,
    *,
    direction: str = "unlearned||oracle",
    splits: int = SPLITS,
    seed: int = 0,
    advance: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Scores of every run on every split.

    Args:
        arrays: from :func:`load` or :func:`arrays_of`.
        direction, splits, seed, advance: as in :func:`gda_theory.evaluation.klom`.
    """
    there = {name: arrays.split == name for name in NAMES if np.any(arrays.split == name)}

    def scores(models: np.ndarray) -> dict[str, Klom]:
        return {
            name: klom(
                models[:, points],
                arrays.oracle[:, points],
                direction=direction,
                splits=splits,
                seed=seed,
                advance=advance,
            )
            for name, points in there.items()
        }

    before = None if arrays.pretrained is None else scores(arrays.pretrained)
    forget, unseen = there["forget"], there["validation"]
    runs = []
    for place, models in enumerate(arrays.unlearned):
        found = scores(models)
        runs.append(
            Run(
                name=arrays.names[place],
                cost=float(arrays.cost[place]),
                epoch=float(arrays.epoch[place]),
                klom=found,
                standing={
                    name: standing(one, None if before is None else before[name])
                    for name, one in found.items()
                },
                membership=membership(
                    models[:, forget], arrays.oracle[:, forget], models[:, unseen], seed=seed
                ),
            )
        )
    return Evaluation(
        runs=tuple(runs),
        pretrained=before,
        points={name: int(points.sum()) for name, points in there.items()},
    )


def comparisons(arrays: RunArrays, splits: int) -> int:
    """How often :func:`evaluate` calls ``advance``: once for each split of each comparison."""
    there = sum(bool(np.any(arrays.split == name)) for name in NAMES)
    return splits * there * (len(arrays.unlearned) + (arrays.pretrained is not None))


def standing(found: Klom, before: Klom | None) -> Standing:
    """Where the scores of unlearned models stand beside those of the pretrained ones."""
    ours = decisive(found)
    if not np.isfinite([ours.excess_low, ours.excess_high]).all():
        return Standing.UNKNOWN
    if found.p_value > SIGNIFICANT:
        return Standing.FLOOR
    if before is None:
        return Standing.ABOVE
    theirs = decisive(before)
    if ours.excess_high < theirs.excess_low:
        return Standing.BETTER
    if ours.excess_low > theirs.excess_high:
        return Standing.WORSE
    return Standing.SAME


def decisive(found: Klom) -> Statistic:
    """The statistic by which :func:`standing` decides."""
    return found.summary[DECIDED_BY]["mean"]


def _check_names(named: Mapping[str, ArrayLike]) -> None:
    for name in ("unlearned", "oracle", "split"):
        if name not in named:
            near = difflib.get_close_matches(name, named, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"the file has no array {name!r}; it has {', '.join(named)}{hint}")
    unknown = sorted(set(named) - set(ARRAYS))
    if unknown:
        raise ValueError(
            f"the file has the unknown array {unknown[0]!r}; known are {', '.join(ARRAYS)}"
        )


def _labels(labels: ArrayLike | None, points: int, needed: bool) -> np.ndarray | None:
    if labels is None:
        if needed:
            raise ValueError("labels are needed to turn logits into margins: add the array labels")
        return None
    array = np.asarray(labels)
    if array.shape != (points,):
        raise ValueError(f"labels must have shape ({points},), one per point, got {array.shape}")
    if len(np.unique(array)) < 2:
        raise ValueError(
            f"labels must have two classes or more, but all {points} points are of class {array[0]}"
        )
    return array


def _as_margins(labels: np.ndarray | None, ndim: int, points: int) -> Callable:
    def of(name: str, values: ArrayLike, runs: bool = False) -> np.ndarray:
        array = finite(name, values)
        allowed = (ndim, ndim + 1) if runs else (ndim,)
        axes = "(models, points)" if ndim == 2 else "(models, points, classes)"
        if array.ndim not in allowed:
            raise ValueError(f"{name} must have shape {axes} as oracle has, got {array.shape}")
        where = -1 if ndim == 2 else -2
        if array.shape[where] != points:
            raise ValueError(
                f"{name} must have the {points} points of oracle, got {array.shape[where]}"
            )
        result = array if labels is None or ndim == 2 else margins(array, labels)
        return result[None] if runs and result.ndim == 2 else result

    return of


def _split(split: ArrayLike, points: int) -> np.ndarray:
    array = np.asarray(split)
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8")
    if array.dtype.kind != "U":
        raise TypeError(f"split must be texts such as 'forget', got dtype {array.dtype}")
    if array.shape != (points,):
        raise ValueError(f"split must have shape ({points},), one per point, got {array.shape}")
    for name in np.unique(array):
        if name not in NAMES:
            near = difflib.get_close_matches(name, NAMES, 1, 0.3)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"split must be one of {', '.join(NAMES)}, got {str(name)!r}{hint}")
    for name in NEEDED:
        if name not in array:
            there = ", ".join(map(str, np.unique(array)))
            raise ValueError(f"split must name some points {name!r}; it has only: {there}")
    return array


def _texts(names: ArrayLike | None, runs: int) -> tuple[str, ...]:
    if names is None:
        return ("the run",) if runs == 1 else tuple(f"run {place}" for place in range(1, runs + 1))
    texts = tuple(map(str, np.atleast_1d(np.asarray(names))))
    if len(texts) != runs:
        raise ValueError(f"names must hold one text for each of {runs} runs, got {len(texts)}")
    return texts


def _numbers(name: str, values: ArrayLike | None, runs: int) -> Float[np.ndarray, " runs"]:
    if values is None:
        return np.full(runs, np.nan)
    array = np.atleast_1d(finite(name, values))
    if array.shape != (runs,):
        raise ValueError(f"{name} must hold one number for each of {runs} runs, got {array.shape}")
    return array


# Words ------------------------------------------------------------------------------------------

ON_FORGET = {
    Standing.FLOOR: "On the rows to forget, KLoM cannot tell it from retraining",
    Standing.BETTER: (
        "On the rows to forget it is better than doing nothing, but differs from retraining"
    ),
    Standing.WORSE: "On the rows to forget it is worse than doing nothing",
    Standing.SAME: "On the rows to forget it is no different from doing nothing",
    Standing.ABOVE: "On the rows to forget it differs from retraining",
    Standing.UNKNOWN: "On the rows to forget nothing is decided: the models' margins do not vary",
}
ON_OTHERS = {
    Standing.FLOOR: "show no difference from retraining",
    Standing.BETTER: "are closer to retraining than before",
    Standing.WORSE: "are harmed: farther from retraining than before",
    Standing.SAME: "are as far from retraining as before",
    Standing.ABOVE: "differ from retraining",
    Standing.UNKNOWN: "are undecided",
}


HARMFUL = (Standing.WORSE, Standing.ABOVE)


def _answer(found: Evaluation) -> str:
    """How many runs forgot without harm, helped without harm, and did harm."""
    before = found.pretrained
    if before is not None and before["forget"].p_value > SIGNIFICANT:
        return (
            "There is nothing to forget: on these rows KLoM cannot tell the models before "
            f"unlearning from retrained ones (p = {before['forget'].p_value:.2g})."
        )
    harmless = [
        run.standing["forget"]
        for run in found.runs
        if not any(one in HARMFUL for split, one in run.standing.items() if split != "forget")
    ]
    total = len(found.runs)
    forgot, helped = (harmless.count(which) for which in (Standing.FLOOR, Standing.BETTER))
    harm = total - len(harmless)
    if total == 1:
        return _answer_on_one(forgot, helped, harm)
    parts = [f"{_of(forgot, total)} retraining on the rows to forget without harm to other points."]
    if before is not None:
        parts.append(f"{_verb(helped, 'come')} closer to it than doing nothing, without harm.")
    parts.append(f"{_verb(harm, 'do')} harm to other points.")
    return " ".join(parts)


def _answer_on_one(forgot: int, helped: int, harm: int) -> str:
    """The answer on the only run. One of the numbers of runs is 1, or none is."""
    if harm:
        return "The run does harm to other points."
    if forgot:
        return "The run reaches retraining on the rows to forget without harm to other points."
    if helped:
        return (
            "On the rows to forget the run comes closer to retraining than doing nothing. It does "
            "no harm to other points."
        )
    return (
        "The run does no harm to other points, but does not reach retraining on the rows to forget."
    )


def _of(count: int, total: int) -> str:
    return _verb(count, "reach", f" of {total} runs" if count != 1 else f" run of {total}")


def _verb(count: int, plural: str, of: str = "") -> str:
    """A number of runs and what they do: ``None does``, ``One does``, ``3 do``."""
    if count > 1:
        return f"{count}{of} {plural}"
    ending = "es" if plural.endswith(("o", "ch")) else "s"
    return f"{'One' if count else 'None'}{of} {plural}{ending}"


def _sentence(run: Run) -> str:
    first = f"{ON_FORGET[run.standing['forget']]} ({_excess(run.klom['forget'])})."
    others = [
        f"The {split} points {ON_OTHERS[found]} ({_excess(run.klom[split])})."
        for split, found in run.standing.items()
        if split != "forget"
    ]
    return " ".join([first, *others])


def _excess(found: Klom) -> str:
    numbers = decisive(found)
    excess, low, high = map(_digits, (numbers.excess, numbers.excess_low, numbers.excess_high))
    return f"excess {excess}, {low} to {high}, p = {found.p_value:.2g}"


def _digits(value: float) -> str:
    return f"{value:,.0f}" if 100 <= abs(value) < 1e6 else f"{value:.2g}"


def _summary(found: Evaluation) -> str:
    scored: list[tuple[str, dict[str, Klom], dict[str, Standing] | None]] = [
        (run.title, run.klom, run.standing) for run in found.runs
    ]
    if found.pretrained is not None:
        scored.append(("pretrained", found.pretrained, None))
    rows = [
        (name, split, *_cells(scores), standings[split].value if standings else "")
        for name, of_split, standings in scored
        for split, scores in of_split.items()
    ]
    return "\n".join(
        [
            *textwrap.wrap(found.answer, WIDTH),
            "",
            *tables.aligned([("run", "points", "mean", "P95", "excess", "p", "standing"), *rows]),
            *_legend(found.runs[0].klom["forget"]),
            *(line for run in found.runs for line in ("", *_paragraph(run))),
        ]
    )


def _legend(found: Klom) -> list[str]:
    mean, high = noise_floor(found.unlearned_models, found.oracle_models, found.bins)
    divergence = found.direction.replace("||", " || ")
    return [
        f"KL({divergence}), {found.bins} bins, {found.unlearned_models} unlearned and "
        f"{found.oracle_models} retrained models",
        f"mean, P95: over the points; equal models score {mean:.2g} and {high:.2g} (noise floor)",
        "excess: mean above the floor if margins are normal, and its 95 % interval",
        "p: how often exchanging models gives a mean as large; above 0.05 is the noise floor",
    ]


def _paragraph(run: Run) -> list[str]:
    accuracy = run.membership.mean_accuracy
    test = (
        f"A test that sees one margin is right {100 * accuracy.value:.1f} % of the time "
        f"({100 * accuracy.low:.1f} to {100 * accuracy.high:.1f} %; 50 % is guessing)."
    )
    return textwrap.wrap(f"{run.title.upper()}: {run.sentence} {test}", WIDTH)


def _cells(found: Klom) -> tuple[str, ...]:
    mean, high = (found.summary["histogram"][kind] for kind in ("mean", "p95"))
    excess = decisive(found)
    return (
        f"{mean.value:.3g}",
        f"{high.value:.3g}",
        f"{_digits(excess.excess)} [{_digits(excess.excess_low)}, {_digits(excess.excess_high)}]",
        f"{found.p_value:.2g}",
    )
