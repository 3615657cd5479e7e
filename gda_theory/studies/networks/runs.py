"""The runs: train, pick forget sets, unlearn by every method and rate.

Finished networks lie in a folder, in chunks of ten. The same command, interrupted and given again,
goes on from there. Each file holds the seeds of its networks.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from gda_theory import networks
from theory_common.printing.waiting import counted

EPOCHS = 10
ASCENT_EPOCHS = 5
KEPT_EPOCHS = (1, 3, 5, 7, 10)
ORACLE_SEEDS = 1000  # oracles start from other weights than pretrained networks
NEWTON = {"Newton, last layer": 1, "Newton, network": 30}  # passes over the rows that a step costs
OTHER_BATCH = 64  # of the forgotten rows, which matters for more than 32 of them
OTHER_BATCH_RATES = (0.02, 0.1)


class NetworkSetting(NamedTuple):
    """What is run.

    Attributes:
        data: the name of a data set of :data:`DATA`.
        recipe: how networks are trained.
        networks: how many there are of each kind.
        sets: kind and number of rows of each forget set.
        rates: the learning rates of each method.
        points: how many kept rows are scored, and how many unseen ones.
    """

    data: str
    recipe: networks.Recipe
    networks: int
    sets: tuple[tuple[str, int], ...]
    rates: dict[str, tuple[float, ...]]
    points: int


class UnlearningRun(NamedTuple):
    """One method with one rate after one epoch.

    ``cost`` is a part of the cost of retraining, ``margins`` are those of all networks.
    """

    method: str
    rate: float
    epoch: int
    cost: float
    margins: Float[np.ndarray, "models points"]


class SetMargins(NamedTuple):
    """All margins of one forget set.

    Attributes:
        name: kind and number of rows, as in ``"random 10"``.
        forget: the numbers of the forgotten rows.
        split: forget, retain or validation, for each point.
        before: of the pretrained networks.
        oracle: of the retrained networks.
        runs: every method, rate and kept epoch.
        other_batch: runs of descent-ascent with another size of forgotten batches.
    """

    name: str
    forget: np.ndarray
    split: np.ndarray
    before: Float[np.ndarray, "models points"]
    oracle: Float[np.ndarray, "models points"]
    runs: list[UnlearningRun]
    other_batch: list[UnlearningRun]


DATA = {
    "digits": (networks.digits, networks.Recipe()),
    "fashion": (networks.fashion, networks.Recipe(256, epochs=60, peak=0.05, weight_decay=1e-4)),
}
SETTINGS = {
    "quick": NetworkSetting(
        data="digits",
        recipe=DATA["digits"][1],
        networks=60,
        sets=(("random", 10), ("pc1_top", 10), ("flipped", 10), ("random", 50)),
        rates={
            "ascent": (0.001, 0.01, 0.03, 0.1),
            "descent-ascent": (0.005, 0.02, 0.05, 0.1),
            "fine-tuning": (0.02, 0.1),
            "SCRUB": (0.1,),
            "SCRUB, frozen student": (0.1,),
        },
        points=400,
    ),
    "paper": NetworkSetting(
        data="fashion",
        recipe=DATA["fashion"][1],
        networks=100,
        sets=(
            ("random", 10),
            ("pc1_top", 10),
            ("flipped", 10),
            ("random", 50),
            ("pc1_top", 50),
            ("flipped", 50),
        ),
        rates={
            "ascent": (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
            "descent-ascent": (0.002, 0.005, 0.01, 0.02, 0.05, 0.1),
            "fine-tuning": (0.02, 0.1),
            "SCRUB": (0.02, 0.1),
            "SCRUB, frozen student": (0.1,),
        },
        points=500,
    ),
}


def chosen(preset: str, networks: int, sets: int, data: str) -> NetworkSetting:
    """The preset's setting; 0 and "preset" leave it as it is.

    Raises: ``ValueError`` for a number that is too small or too large, or unknown data.
    """
    setting = SETTINGS[preset]
    if data != "preset":
        if data not in DATA:
            raise ValueError(f"data must be preset or one of {', '.join(DATA)}, got {data!r}")
        setting = setting._replace(data=data, recipe=DATA[data][1])
    if networks:
        if networks < 40:
            raise ValueError(f"networks must be 0 or at least 40, for two halves, got {networks}")
        setting = setting._replace(networks=networks)
    if sets:
        if not 3 <= sets <= len(setting.sets):
            raise ValueError(f"sets must be 0 or from 3 to {len(setting.sets)}, got {sets}")
        setting = setting._replace(sets=setting.sets[:sets])
    return setting


def pretrained(setting: NetworkSetting, data: networks.NetworkData, folder: str | None):
    """The pretrained networks and their margins.

    Raises: ``RuntimeError`` if they do not know the flipped labels.
    """
    trained = networks.train(data, setting.recipe, seeds(setting), folder=folder)
    margins = networks.margins(data, trained)
    return trained, margins, networks.memorised(data, margins)


def seeds(setting: NetworkSetting) -> np.ndarray:
    """One for each network."""
    return np.arange(setting.networks)


def forget_sets(
    setting: NetworkSetting, data: networks.NetworkData, trained
) -> dict[str, np.ndarray]:
    """The forget sets, named ``"random 10"`` and so on."""
    found = {}
    for count in sorted({count for _, count in setting.sets}):
        kinds = [kind for kind, size in setting.sets if size == count]
        for kind, rows in networks.forget_sets(data, trained, count, count, kinds).items():
            found[f"{kind} {count}"] = rows
    return {f"{kind} {count}": found[f"{kind} {count}"] for kind, count in setting.sets}


def points_of(
    setting: NetworkSetting, data: networks.NetworkData, forget: np.ndarray
) -> np.ndarray:
    """The forgotten rows, then as many kept as unseen ones, chosen at random."""
    generator = np.random.default_rng(0)
    rows = len(data.inputs)
    kept = np.setdiff1d(np.arange(rows), forget)
    unseen = rows + np.arange(len(data.validation_inputs))
    some = [generator.choice(all_, setting.points, replace=False) for all_ in (kept, unseen)]
    return np.concatenate([forget, *some])


def all_margins(
    setting: NetworkSetting,
    data: networks.NetworkData,
    trained: Any,
    before: Float[np.ndarray, "models rows"],
    folder: str | None,
) -> Iterator[SetMargins]:
    """The margins of each forget set, one set after another.

    Args:
        setting: what is run.
        data: the rows.
        trained: the pretrained networks.
        before: their margins on all rows, the unseen ones last.
        folder: keeps finished networks, so that a stopped run goes on.
    """
    sets = forget_sets(setting, data, trained)
    of_set = 1 + sum(map(len, setting.rates.values())) + len(NEWTON)
    with counted("networks", of_set * len(sets)) as advance:
        for name, forget in sets.items():
            points = points_of(setting, data, forget)
            oracle = networks.train(
                data, setting.recipe, ORACLE_SEEDS + seeds(setting), forget=forget, folder=folder
            )
            advance()
            common = _Common(setting, data, trained, forget, points, folder)
            yield SetMargins(
                name=name,
                forget=forget,
                split=networks.split_names(data, forget)[points],
                before=np.asarray(before[:, points], float),
                oracle=np.asarray(networks.margins(data, oracle)[:, points], float),
                runs=[*_gradient_runs(common, advance), *_newton_runs(common, advance)],
                other_batch=list(_other_batch_runs(common)) if name == "random 50" else [],
            )


class _Common(NamedTuple):
    setting: NetworkSetting
    data: networks.NetworkData
    trained: Any
    forget: np.ndarray
    points: np.ndarray
    folder: str | None


def _unlearned(common: _Common, method: str, rate: float, **options) -> np.ndarray:
    margins = networks.unlearn(
        common.data,
        common.setting.recipe,
        common.trained,
        common.forget,
        method,
        rate=rate,
        seeds=seeds(common.setting),
        ascent_epochs=ASCENT_EPOCHS,
        kept_points=common.points,
        folder=common.folder,
        **options,
    )
    return np.nan_to_num(np.asarray(margins, float), nan=-1e9, posinf=1e9, neginf=-1e9)


def _gradient_runs(common: _Common, advance: Callable[[], None]) -> Iterator[UnlearningRun]:
    for method, rates in common.setting.rates.items():
        for rate in rates:
            yield from _epochs_of(common, method, rate)
            advance()


def _epochs_of(common: _Common, method: str, rate: float, **options) -> Iterator[UnlearningRun]:
    margins = _unlearned(common, method, rate, epochs=EPOCHS, kept_epochs=KEPT_EPOCHS, **options)
    kept = len(common.data.inputs) - len(common.forget)
    for epoch, after in zip(KEPT_EPOCHS, margins, strict=True):
        rows = len(common.forget) * min(epoch, EPOCHS if method == "ascent" else ASCENT_EPOCHS)
        if method == "fine-tuning":
            rows = 0
        if method != "ascent":
            rows += epoch * kept
        yield UnlearningRun(
            method, rate, epoch, rows / (common.setting.recipe.epochs * kept), after
        )


def _newton_runs(common: _Common, advance: Callable[[], None]) -> Iterator[UnlearningRun]:
    for method, passes in NEWTON.items():
        (margins,) = _unlearned(common, method, 0.0, epochs=1)
        yield UnlearningRun(method, 0.0, 1, passes / common.setting.recipe.epochs, margins)
        advance()


def _other_batch_runs(common: _Common) -> Iterator[UnlearningRun]:
    for rate in OTHER_BATCH_RATES:
        yield from _epochs_of(common, "descent-ascent", rate, forget_batch=OTHER_BATCH)
