"""Measure, for each forget set, what is known before and what each run of descent-ascent does.

All numbers of one forget set are one *record*. A study that was stopped goes on with the records
that lie in its folder.
"""

import functools
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import expit

from gda_theory import evaluation, networks
from gda_theory.studies.bridge import forget_sets, last_layer
from gda_theory.studies.bridge.analysis import KEPT_EPOCHS, SPLITS
from gda_theory.studies.bridge.forget_sets import Cell, ForgetRows
from theory_common.printing import tables, waiting
from theory_common.printing.files import write_whole

EPOCHS, ASCENT_EPOCHS = 10, 5
ORACLES = 1000  # seed of the first retrained network
CLIP = 100.0  # of a margin; NaN counts as the least margin
DIGITS = 4  # that are kept of each number
HALF_DIGITS = 2  # of what half of the networks give
BROKEN = 1e3  # the most that KLoM of normal laws counts at one point


class BridgeSettings(NamedTuple):
    """What a study measures.

    * ``datasets``: names. ``splits``: seeds that split the rows and flip labels.
    * ``sets``: forget sets of each cell, at most; ``networks``: of each kind.
    * ``rates``: learning rates of descent-ascent.
    * ``recipe``: how networks are trained. ``seed``: of the forget sets.
    """

    datasets: tuple[str, ...]
    splits: tuple[int, ...]
    sets: int
    networks: int
    rates: tuple[float, ...]
    recipe: networks.Recipe = networks.Recipe()
    seed: int = 0


PRESETS = {
    "quick": BridgeSettings(forget_sets.DATASETS, (11,), sets=9, networks=20, rates=(0.02, 0.1)),
    "paper": BridgeSettings(
        forget_sets.DATASETS, (11, 12, 13), sets=44, networks=40, rates=(0.005, 0.02, 0.05, 0.1)
    ),
}


class TrainedCell(NamedTuple):
    """A cell with its pretrained networks, their margins at all points, and its forget sets."""

    cell: Cell
    pretrained: Any
    before: Float[np.ndarray, "models points"]
    sets: list[ForgetRows]


def study(settings: BridgeSettings, folder: Path | None = None) -> dict:
    """Columns, one entry for each forget set, see :func:`record`.

    Of ``halves`` two digits are kept, and of ``broken`` the largest share over all runs.

    Args:
        settings: what to measure.
        folder: where finished records are kept, so that a study that was stopped goes on.
    Raises: ``RuntimeError`` if the networks do not know the flipped labels,
        ``FileNotFoundError`` if Fashion-MNIST is not there.
    """
    records = []
    with waiting.counted("forget sets", _count(settings)) as advance:
        for one in _records(settings, folder):
            records.append(one)
            advance()
    for one in records:
        one["halves"] = _rounded(one["halves"], HALF_DIGITS)
        one["broken"] = float(np.max(one["broken"]))
    return {
        name: [one[name] for one in records]
        if isinstance(records[0][name], str)
        else np.stack([np.asarray(one[name]) for one in records])
        for name in records[0]
    }


def available(settings: BridgeSettings) -> tuple[str, ...]:
    """Those of the data sets that are on this machine."""
    found = []
    for name in settings.datasets:
        try:
            forget_sets.load(name, settings.splits[0])
        except FileNotFoundError:
            continue
        found.append(name)
    return tuple(found)


def _count(settings: BridgeSettings) -> int:
    most = min(settings.sets, sum(count for count, _ in forget_sets.KINDS.values()))
    return most * len(settings.datasets) * len(settings.splits)


def _records(settings: BridgeSettings, folder: Path | None) -> Iterator[dict]:
    """All records; those of one number in all cells come one after another."""

    @functools.cache
    def trained(name: str, split: int) -> TrainedCell:
        return prepared(name, split, settings)

    cells = [(name, split) for name in settings.datasets for split in settings.splits]
    for number in range(_count(settings) // len(cells)):
        for name, split in cells:
            path = None if folder is None else folder / _file(settings, name, split, number)
            if path is not None and path.exists():
                yield tables.loads(path.read_text(encoding="utf-8"))
                continue
            here = trained(name, split)
            place = {"dataset": name, "split": split, "number": number}
            text = tables.dumps(place | record(here, here.sets[number], settings))
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, text, force=True)
            yield tables.loads(text)


def _file(settings: BridgeSettings, name: str, split: int, number: int) -> str:
    """A name that tells records of other settings apart."""
    inputs = settings._replace(datasets=(name,), splits=(split,), sets=number)
    fields = ", ".join(f"{field}={value!r}" for field, value in inputs._asdict().items())
    # Records that are kept already have names made from this text.
    return f"{hashlib.sha256(f'Settings({fields})'.encode()).hexdigest()[:32]}.json"


def prepared(name: str, split: int, settings: BridgeSettings) -> TrainedCell:
    """Train the networks of a cell, and choose its forget sets."""
    data = forget_sets.load(name, split)
    cell = forget_sets.cell_of(data, settings.recipe)
    pretrained = networks.train(data, settings.recipe, np.arange(settings.networks))
    before = finite(networks.margins(data, pretrained))
    networks.memorised(data, before)
    return TrainedCell(
        cell, pretrained, before, forget_sets.forget_sets(cell, settings.seed + split)
    )


def record(trained: TrainedCell, chosen: ForgetRows, settings: BridgeSettings) -> dict[str, Any]:
    """All numbers of one forget set, to four digits.

    The predictors are those of :func:`known_before`. ``nothing`` (measures, splits) is the score of
    the pretrained networks. ``runs`` (rates, epochs, measures, splits) are those after each run.
    ``halves`` (2, rates, epochs, measures) is the rise on validation rows, measured by one and by
    the other half of the networks. ``broken`` (rates, epochs) is the share of networks with a
    margin that is not finite.
    """
    cell = trained.cell
    seeds = np.arange(settings.networks)
    oracle = finite(
        networks.margins(
            cell.data,
            networks.train(cell.data, settings.recipe, ORACLES + seeds, forget=chosen.rows),
        )
    )
    names = networks.split_names(cell.data, chosen.rows)
    after = [unlearned(trained, chosen, rate, settings) for rate in settings.rates]
    runs = [[scores(finite(one), oracle, names) for one in of_rate] for of_rate in after]
    halves = [
        [
            [risen(trained.before, finite(one), oracle, names, half) for one in rate]
            for rate in after
        ]
        for half in (slice(0, None, 2), slice(1, None, 2))
    ]
    broken = [[np.mean(~np.isfinite(one).all(1)) for one in of_rate] for of_rate in after]
    found = {
        "kind": chosen.kind,
        "flipped": int(cell.data.flipped[chosen.rows].sum()),
        **known_before(cell, chosen),
        "nothing": scores(trained.before, oracle, names),
        "runs": np.array(runs),
        "halves": np.array(halves),
        "broken": np.array(broken),
    }
    return {
        name: value if isinstance(value, str) else _rounded(value) for name, value in found.items()
    }


def known_before(cell: Cell, chosen: ForgetRows) -> dict[str, float]:
    """The mean loss of the diagnosed network on F, and all numbers of its last layer's model."""
    features = last_layer.reduced(cell.features)
    return {
        "network_loss": float(np.mean(cell.loss[chosen.rows])),
        **last_layer.diagnosed(features, cell.data.labels, chosen.rows, cell.data.classes),
    }


def unlearned(
    trained: TrainedCell, chosen: ForgetRows, rate: float, settings: BridgeSettings
) -> Float[np.ndarray, "epochs models points"]:
    """The margins after each of the epochs that are kept."""
    return networks.unlearn(
        trained.cell.data,
        settings.recipe,
        trained.pretrained,
        chosen.rows,
        "descent-ascent",
        rate=rate,
        seeds=np.arange(settings.networks),
        epochs=EPOCHS,
        ascent_epochs=ASCENT_EPOCHS,
        kept_epochs=KEPT_EPOCHS,
    )


def finite(margins: Float[np.ndarray, "*m"]) -> Float[np.ndarray, "*m"]:
    """Margins within [-100, 100]."""
    clean = np.nan_to_num(np.asarray(margins, float), nan=-CLIP)
    return np.clip(clean, -CLIP, CLIP)


def scores(
    ours: Float[np.ndarray, "models points"],
    oracle: Float[np.ndarray, "models points"],
    names: Int[np.ndarray, " points"],
) -> Float[np.ndarray, "measures splits"]:
    """Means over the points of each split: KLoM as published, KLoM of normal laws, the loss.

    The loss of a row is ``log(1 + exp(-margin))``, since the margin is the logit of the probability
    of its label.
    """
    columns = []
    for split in SPLITS:
        here, there = ours[:, names == split], oracle[:, names == split]
        columns.append(
            (
                np.mean(evaluation.histogram(here, there)),
                np.mean(np.minimum(evaluation.gaussian(here, there), BROKEN)),
                np.mean(-np.log(expit(here))),
            )
        )
    return np.array(columns).T


def risen(
    before: Float[np.ndarray, "models points"],
    after: Float[np.ndarray, "models points"],
    oracle: Float[np.ndarray, "models points"],
    names: Int[np.ndarray, " points"],
    half: slice,
) -> Float[np.ndarray, " measures"]:
    """The rise of each measure on validation rows, by some of the networks."""
    ours = [scores(margins[half], oracle[half], names)[:, -1] for margins in (before, after)]
    return ours[1] - ours[0]


def _rounded(values: Any, digits: int = DIGITS) -> Any:
    """Some digits of each number."""
    if isinstance(values, int):
        return values
    array = np.asarray(values, float)
    texts = [float(f"{value:.{digits}g}") for value in array.ravel()]
    return np.reshape(texts, array.shape) if array.ndim else texts[0]
