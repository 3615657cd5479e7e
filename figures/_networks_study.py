"""The runs of the figure of networks: train, pick forget sets, unlearn by every method and rate.

Finished networks lie in a folder, in chunks of ten. The same command, interrupted and given again,
goes on from there. Each file holds the seeds of its networks.

Two points of the protocol:

* Every rate and every kept epoch is scored and shown. Nothing is chosen by its result.
* Networks that gave outputs that are no numbers count as broken: their margins are set to -1e9.
"""

import hashlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from figures import sources
from gda_theory import networks

EPOCHS = 10
ASCENT_EPOCHS = 5
KEPT_EPOCHS = (1, 3, 5, 7, 10)
ORACLE_SEEDS = 1000  # oracles start from other weights than pretrained networks
NEWTON = {"Newton, last layer": 1, "Newton, network": 30}  # passes over the rows that a step costs
OTHER_BATCH = 64  # of the forgotten rows, which matters for more than 32 of them
OTHER_BATCH_RATES = (0.02, 0.1)


LIBRARY = Path(networks.__file__).parent


class Setting(NamedTuple):
    """What is run: data, recipe, number of networks, forget sets (kind and rows), rates, points.

    ``points`` is how many kept rows are scored, and how many unseen ones.
    """

    data: str
    recipe: networks.Recipe
    networks: int
    sets: tuple[tuple[str, int], ...]
    rates: dict[str, tuple[float, ...]]
    points: int


class Run(NamedTuple):
    """One method with one rate after one epoch.

    ``cost`` is a part of the cost of retraining, ``margins`` are those of all networks.
    """

    method: str
    rate: float
    epoch: int
    cost: float
    margins: np.ndarray


class Found(NamedTuple):
    """All margins of one forget set: ``split`` tells the points apart."""

    name: str
    forget: np.ndarray
    split: np.ndarray
    before: np.ndarray
    oracle: np.ndarray
    runs: list[Run]
    other_batch: list[Run]


DATA = {
    "digits": (networks.digits, networks.Recipe()),
    "fashion": (networks.fashion, networks.Recipe(256, epochs=60, peak=0.05, weight_decay=1e-4)),
}
SETTINGS = {
    "quick": Setting(
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
    "paper": Setting(
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


def chosen(preset: str, networks: int, sets: int, data: str) -> Setting:
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


def pretrained(setting: Setting, data: networks.NetworkData, folder: str | None):
    """The pretrained networks and their margins.

    Raises: ``RuntimeError`` if they do not know the flipped labels.
    """
    trained = networks.train(data, setting.recipe, seeds(setting), folder=folder)
    margins = networks.margins(data, trained)
    return trained, margins, networks.memorised(data, margins)


def seeds(setting: Setting) -> np.ndarray:
    """One for each network."""
    return np.arange(setting.networks)


def parts(folder: Path | None) -> str | None:
    """Where finished networks lie: each version of ``gda_theory/networks`` has a folder of its own.

    It is None where nothing is kept.
    """
    if folder is None:
        return None
    files = [
        path for path in sources.of("gda_theory.networks.unlearning") if path.parent == LIBRARY
    ]
    # Not data.py: chunks tell the data themselves apart.
    own = [path for path in files if path.parent == LIBRARY and path.name != "data.py"]
    code = b"".join(path.read_bytes() for path in own)
    return str(folder / hashlib.sha256(code).hexdigest()[:12])


def forget_sets(setting: Setting, data: networks.NetworkData, trained) -> dict[str, np.ndarray]:
    """The forget sets, named ``"random 10"`` and so on."""
    found = {}
    for count in sorted({count for _, count in setting.sets}):
        kinds = [kind for kind, size in setting.sets if size == count]
        for kind, rows in networks.forget_sets(data, trained, count, count, kinds).items():
            found[f"{kind} {count}"] = rows
    return {f"{kind} {count}": found[f"{kind} {count}"] for kind, count in setting.sets}


def points_of(setting: Setting, data: networks.NetworkData, forget: np.ndarray) -> np.ndarray:
    """The forgotten rows, then as many kept as unseen ones, chosen at random."""
    generator = np.random.default_rng(0)
    rows = len(data.inputs)
    kept = np.setdiff1d(np.arange(rows), forget)
    unseen = rows + np.arange(len(data.validation_inputs))
    some = [generator.choice(all_, setting.points, replace=False) for all_ in (kept, unseen)]
    return np.concatenate([forget, *some])


def found(
    setting: Setting,
    data: networks.NetworkData,
    trained: Any,
    before: np.ndarray,
    folder: str | None,
    progress: bool,
) -> Iterator[Found]:
    """All margins of each forget set, one set after another."""
    sets = forget_sets(setting, data, trained)
    say = _speaker(len(sets) * (1 + sum(map(len, setting.rates.values())) + len(NEWTON)), progress)
    for name, forget in sets.items():
        points = points_of(setting, data, forget)
        oracle = networks.train(
            data, setting.recipe, ORACLE_SEEDS + seeds(setting), forget=forget, folder=folder
        )
        say(f"{name}: retrained")
        common = _Common(setting, data, trained, forget, points, folder)
        yield Found(
            name=name,
            forget=forget,
            split=networks.split_names(data, forget)[points],
            before=np.asarray(before[:, points], float),
            oracle=np.asarray(networks.margins(data, oracle)[:, points], float),
            runs=list(_gradient_runs(common, say)) + list(_newton_runs(common, say)),
            other_batch=list(_other_batch_runs(common)) if name == "random 50" else [],
        )


class _Common(NamedTuple):
    setting: Setting
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


def _gradient_runs(common: _Common, say) -> Iterator[Run]:
    for method, rates in common.setting.rates.items():
        for rate in rates:
            yield from _epochs_of(common, method, rate)
            say(f"{method} at rate {rate:g}")


def _epochs_of(common: _Common, method: str, rate: float, **options) -> Iterator[Run]:
    margins = _unlearned(common, method, rate, epochs=EPOCHS, kept_epochs=KEPT_EPOCHS, **options)
    kept = len(common.data.inputs) - len(common.forget)
    for epoch, after in zip(KEPT_EPOCHS, margins, strict=True):
        rows = len(common.forget) * min(epoch, EPOCHS if method == "ascent" else ASCENT_EPOCHS)
        if method == "fine-tuning":
            rows = 0
        if method != "ascent":
            rows += epoch * kept
        yield Run(method, rate, epoch, rows / (common.setting.recipe.epochs * kept), after)


def _newton_runs(common: _Common, say) -> Iterator[Run]:
    for method, passes in NEWTON.items():
        (margins,) = _unlearned(common, method, 0.0, epochs=1)
        yield Run(method, 0.0, 1, passes / common.setting.recipe.epochs, margins)
        say(method)


def _other_batch_runs(common: _Common) -> Iterator[Run]:
    for rate in OTHER_BATCH_RATES:
        yield from _epochs_of(common, "descent-ascent", rate, forget_batch=OTHER_BATCH)


def _speaker(total: int, progress: bool):
    """A function that prints what is done, and about how long the rest takes."""
    start = time.perf_counter()
    done = 0

    def say(text: str) -> None:
        nonlocal done
        done += 1
        left = (time.perf_counter() - start) / done * (total - done) / 60
        if progress:
            print(
                f"networks  {text}: {done} of {total}, about {left:.0f} min left", file=sys.stderr
            )

    return say
