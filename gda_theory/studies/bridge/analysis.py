"""The numbers of the study of the bridge: correlations, hypotheses, rules, and their words.

``table`` is what :func:`gda_theory.studies.bridge.study.study` gives.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from gda_theory.studies import ranks
from gda_theory.studies.bridge import rules as of_rules
from theory_common.printing import tables

KEPT_EPOCHS = (5, 10)
SPLITS = ("forget", "retain", "validation")
MEASURES = ("published", "normal", "loss")
LABELS = {
    "network_loss": "mean forget loss",
    "break_even_strength": "break-even strength",
    "first_order_break_even": "break-even, first order",
    "critical_strength": "critical strength",
    "pretrain_distance": "pretrained to retrained",
    "loss_norm": "cross-influence, loss",
    "margin_norm": "cross-influence, margin",
    "leverage_norm": "cross-influence, leverage",
    "normalised_norm": "cross-influence, normalised",
    "mean_leverage": "mean leverage",
    "mean_cosine": "mean cosine of rows",
}
NAMES = {"digits": "digits", "fashion": "Fashion-MNIST"}
Harm = tuple[str, str, int]  # measure, split and epoch
PRIMARY: Harm = ("normal", "validation", 5)
SECONDARY: Harm = ("published", "validation", 5)
HARMS: tuple[Harm, ...] = (  # all that is correlated with the predictors
    PRIMARY,
    ("normal", "validation", 10),
    SECONDARY,
    ("published", "validation", 10),
    ("loss", "validation", 5),
    ("loss", "validation", 10),
    ("normal", "retain", 5),
    ("published", "retain", 5),
    ("loss", "retain", 5),
)
UNITS = ("as they are", "as ranks")
GAINS = ("published", "normal")


def harm(table: dict, rate: int, kind: Harm) -> Float[np.ndarray, " sets"]:
    """The rise of one measure on one split, for each forget set."""
    measure, split, epoch = kind
    place = (MEASURES.index(measure), SPLITS.index(split))
    after = table["runs"][:, rate, KEPT_EPOCHS.index(epoch), *place]
    return after - table["nothing"][:, *place]


def gain(table: dict, rate: int, epoch: int, measure: str) -> Float[np.ndarray, " sets"]:
    """How far the mean over F, R and validation rows falls, for each forget set."""
    place = MEASURES.index(measure)
    after = table["runs"][:, rate, KEPT_EPOCHS.index(epoch), place]
    return np.mean(table["nothing"][:, place] - after, axis=-1)


def predictors(table: dict) -> Float[np.ndarray, "sets predictors"]:
    """The predictors of all forget sets, in the order of :data:`LABELS`."""
    return np.stack([np.asarray(table[name], float) for name in LABELS], axis=1)


def analysed(table: dict, rates: tuple[float, ...], replicates: int) -> dict[str, Any]:
    """All correlations and rules; ``rates`` are those of the table's runs."""
    datasets = list(dict.fromkeys(table["dataset"]))
    here = {name: np.array(table["dataset"]) == name for name in datasets}
    found = {
        name: correlated(_taken(table, here[name]), len(rates), replicates) for name in datasets
    }
    ruled = []
    if len(datasets) == 2:
        parts = [_taken(table, here[name]) for name in datasets]
        ruled = rules(parts, rates, replicates)
    return {
        "datasets": datasets,
        "rates": np.array(rates),
        "predictors": list(LABELS),
        "harms": [" ".join(map(str, kind)) for kind in HARMS],
        "correlations": found,
        "rules": ruled,
    }


def _taken(table: dict, chosen: np.ndarray) -> dict:
    """Some of the forget sets."""
    return {
        name: [value for value, keep in zip(column, chosen, strict=True) if keep]
        if isinstance(column, list)
        else column[chosen]
        for name, column in table.items()
    }


def correlated(table: dict, rates: int, replicates: int) -> dict[str, Any]:
    """Of one data set: arrays ``(predictors, rates, harms)``, and ceilings ``(rates, measures)``.

    ``plain`` and ``given_loss`` are pooled correlations with their intervals.
    """
    outcomes = [harm(table, rate, kind) for rate in range(rates) for kind in HARMS]
    columns = np.column_stack([predictors(table), *outcomes])
    splits = np.asarray(table["split"])
    order = np.unique(splits)
    cells = [columns[splits == split] for split in order]
    rows = list(range(len(LABELS)))
    harms = list(range(len(LABELS), columns.shape[1]))
    shape = (len(LABELS), rates, len(HARMS))

    def pool(controls):
        pooled = ranks.pooled(
            cells, order.tolist(), rows, harms, controls, replicates=replicates, seed=0
        )
        return {name: getattr(pooled, name).reshape(shape) for name in ("value", "low", "high")}

    return {
        "plain": pool([]),
        "given_loss": pool([list(LABELS).index("network_loss")]),
        "reliability": np.mean([reliability(table, splits == split) for split in order], axis=0),
        "between": with_forget_loss(table, order),
        "by_split": np.stack(
            [ranks.correlations(cell)[np.ix_(rows, harms)].reshape(shape) for cell in cells]
        ),
    }


def with_forget_loss(table: dict, splits: np.ndarray) -> np.ndarray:
    """Mean rank correlations with the mean forget loss: of all predictors, then of doing nothing.

    Doing nothing is measured as the primary harm is.
    """
    place = (MEASURES.index(PRIMARY[0]), SPLITS.index(PRIMARY[1]))
    columns = np.column_stack([predictors(table), table["nothing"][:, *place]])
    cells = [columns[np.asarray(table["split"]) == split] for split in splits]
    loss = list(LABELS).index("network_loss")
    return np.mean([ranks.correlations(cell)[loss] for cell in cells], axis=0)


def reliability(table: dict, chosen: np.ndarray) -> np.ndarray:
    """``(rates, epochs, measures)``: of the harm on validation rows, from both halves."""
    halves = table["halves"][chosen]
    found = np.empty(halves.shape[2:])
    for place in np.ndindex(found.shape):
        pair = halves[(slice(None), slice(None), *place)]
        r = ranks.correlations(pair)[0, 1]
        found[place] = 2 * r / (1 + r)
    return found


def rules(parts: list[dict], rates: tuple[float, ...], replicates: int) -> list[dict]:
    """For each run, unit and measure: the rule fixed on the first data set, judged on the second.

    ``single`` holds the gain of the best rule of each predictor alone.
    """
    generator = np.random.default_rng(0)
    first, second = (of_rules.nested(part["split"], replicates, generator) for part in parts)
    coverage = 1 - 0.05 / (len(rates) * len(KEPT_EPOCHS))
    found = []
    for units in UNITS:
        values = [predictors(part) if units == UNITS[0] else _within(part) for part in parts]
        for measure in GAINS:
            for rate, epoch in np.ndindex(len(rates), len(KEPT_EPOCHS)):
                gains = [gain(part, rate, KEPT_EPOCHS[epoch], measure) for part in parts]
                here, there = zip(values, gains, strict=True)
                best = of_rules.judged(here, there, (first, second), coverage)
                single = [
                    of_rules.applied(
                        of_rules.chosen(here[0][:, [column]], here[1]),
                        there[0][:, [column]],
                        there[1],
                    )
                    for column in range(len(LABELS))
                ]
                place = {"units": units, "measure": measure, "rate": rates[rate]}
                place |= {"epoch": KEPT_EPOCHS[epoch], "coverage": coverage}
                found.append(place | best._asdict() | {"single": np.array(single)})
    return found


def _within(table: dict) -> np.ndarray:
    """The predictors as shares of their cell: the rank, between 0 and 1."""
    from scipy.stats import rankdata

    values = predictors(table)
    splits = np.asarray(table["split"])
    for split in np.unique(splits):
        cell = values[splits == split]
        ranks = rankdata(cell, axis=0, nan_policy="omit")
        values[splits == split] = (ranks - 0.5) / len(cell)
    return values


# What is read off --------------------------------------------------------------------------------


def estimate(
    data: Mapping[str, Any],
    dataset: str,
    analysis: str,
    predictor: str,
    rate: float,
    kind: Harm = PRIMARY,
) -> Float[np.ndarray, "3"]:
    """Value, low and high of one correlation; ``rate`` is a learning rate."""
    found = data["correlations"][dataset][analysis]
    place = (
        list(data["predictors"]).index(predictor),
        np.asarray(data["rates"]).tolist().index(rate),
        list(data["harms"]).index(" ".join(map(str, kind))),
    )
    return np.array([found[name][place] for name in ("value", "low", "high")])


def side(numbers: Sequence[float] | np.ndarray) -> int:
    """1 or -1 if the interval lies above or below 0, else 0."""
    return int(numbers[1] > 0) - int(numbers[2] < 0)


def short(numbers: Sequence[float] | np.ndarray) -> str:
    """An estimate with its interval."""
    value, low, high = numbers
    return f"{value:+.2f} ({low:+.2f}, {high:+.2f})"


HYPOTHESES = (
    ("1: grows with the mean forget loss at 0.02", "plain", "network_loss", 0.02, 1),
    ("2: falls with the break-even strength at 0.02", "plain", "break_even_strength", 0.02, -1),
    ("3: break-even adds nothing at 0.02", "given_loss", "break_even_strength", 0.02, 0),
    ("4a: falls with the mean forget loss at 0.005", "plain", "network_loss", 0.005, -1),
    ("4b: grows with the break-even strength at 0.005", "plain", "break_even_strength", 0.005, 1),
    ("5: first-order break-even says nothing at 0.02", "plain", "first_order_break_even", 0.02, 0),
)  # fmt: skip


def verdict(numbers: Sequence[float] | np.ndarray, expected: int) -> str:
    """Whether a hypothesis holds, by the protocol."""
    seen = side(numbers)
    if seen == expected:
        return "holds"
    return "open" if seen == 0 else "fails"


def agreed(
    data: Mapping[str, Any],
    analysis: str,
    predictor: str,
    kinds: Sequence[Harm] = (PRIMARY, (*PRIMARY[:2], 10)),
) -> str:
    """The runs for which all data sets exclude 0 on the same side, in words; empty for none."""
    found = []
    for kind in kinds:
        for rate in np.asarray(data["rates"]).tolist():
            sides = {
                side(estimate(data, dataset, analysis, predictor, rate, kind))
                for dataset in data["datasets"]
            }
            if len(sides) == 1 and sides != {0}:
                found.append(f"{rate:g} epoch {kind[2]} ({'+' if sides == {1} else '-'})")
    return ", ".join(found)


def primary_rules(
    data: Mapping[str, Any], units: str = UNITS[0], measure: str = GAINS[0]
) -> list[dict]:
    """The judged rules of one unit and measure; none if a data set is missing."""
    return [one for one in data["rules"] if one["units"] == units and one["measure"] == measure]


def rule_in_words(rule: Mapping[str, Any], names: Sequence[str]) -> str:
    """What a rule says."""
    column, threshold = int(rule["column"]), float(rule["threshold"])
    if threshold == of_rules.NEVER:
        return "never"
    below = column < len(names)
    label = LABELS[names[column % len(names)]]
    return f"{label} {'≤' if below else '≥'} {threshold if below else -threshold:.3g}"


def stored(table: dict) -> str:
    """The table as text without spaces; the numbers have few digits already."""
    return json.dumps(tables.to_json(table), allow_nan=False, separators=(",", ":"))
