"""The tables of the page ``docs/bridge.md``, as Markdown.

``data`` is what ``figures.bridge.compute`` gives, read back from its JSON file.
"""

import numpy as np

from figures._markdown import markdown
from gda_theory.studies.bridge import analysis as numbers
from gda_theory.studies.bridge.analysis import LABELS, NAMES, PRIMARY

MEASURE_WORDS = {
    "normal": "KLoM of normal laws",
    "published": "published KLoM",
    "loss": "cross-entropy",
}


def page(data) -> str:
    """All tables, each below a line that says what it is."""
    parts = [("The hypotheses.", hypotheses(data)), ("What each run does.", counts(data))]
    parts += [("The kinds of forget sets.", kinds(data))]
    for dataset in data["datasets"]:
        for analysis, words in (("plain", ""), ("given_loss", ", given the mean forget loss")):
            title = f"{NAMES[dataset]}: correlation with the primary harm{words}."
            parts.append((title, correlations(data, dataset, analysis)))
    parts += [("Ceilings.", ceilings(data)), ("Rules.", rules(data)), ("Alone.", alone(data))]
    parts += [
        (f"{MEASURE_WORDS[kind[0]]}, {kind[1]} rows, epoch {kind[2]}.", pairs(data, kind))
        for kind in numbers.HARMS
        if kind != PRIMARY
    ]
    parts += [("Predictors with the mean forget loss.", between(data))]
    return "\n\n".join(f"{title}\n\n{table}" for title, table in parts)


def hypotheses(data) -> str:
    """Each hypothesis on each data set, for the primary and for the published harm."""
    rows = []
    for words, analysis, predictor, rate, expected in numbers.HYPOTHESES:
        for kind in (PRIMARY, numbers.SECONDARY):
            cells = []
            for dataset in data["datasets"]:
                found = numbers.estimate(data, dataset, analysis, predictor, rate, kind)
                cells.append(f"{numbers.short(found)} {numbers.verdict(found, expected)}")
            rows.append((words, MEASURE_WORDS[kind[0]], *cells))
    return markdown(["hypothesis", "harm", *(NAMES[name] for name in data["datasets"])], rows)


def counts(data) -> str:
    """For each run: how many sets it harms and how much; what the published KLoM falls and rises.

    All are of the primary measure but the last three.
    """
    table = data["table"]
    rows = []
    for epoch in numbers.KEPT_EPOCHS:
        for place, rate in enumerate(rates(data)):
            cells = []
            for dataset in data["datasets"]:
                here = np.array(table["dataset"]) == dataset
                harm = numbers.harm(table, place, (*PRIMARY[:2], epoch))[here]
                cells += [f"{np.sum(harm > 0)} of {len(harm)}", f"{np.median(harm):+.3f}"]
                for split in ("forget", "validation"):
                    rise = numbers.harm(table, place, ("published", split, epoch))[here]
                    cells.append(f"{np.mean(rise):+.2f}")
                cells.append(
                    f"{np.mean(numbers.gain(table, place, epoch, 'published')[here]):+.2f}"
                )
            rows.append((f"{rate:g}", epoch, *cells))
    heads = [
        f"{NAMES[name]}: {what}"
        for name in data["datasets"]
        for what in ("harmed", "median harm", "F", "unseen", "gain")
    ]
    return markdown(["rate", "epoch", *heads], rows)


def kinds(data) -> str:
    """For each kind of set: medians over all its sets of a data set."""
    table = data["table"]
    kind = np.array(table["kind"])
    places = [0, len(rates(data)) - 1]
    rows = []
    for name in dict.fromkeys(table["kind"]):
        cells = []
        for dataset in data["datasets"]:
            here = (kind == name) & (np.array(table["dataset"]) == dataset)
            cells.append(f"{np.median(table['network_loss'][here]):.2g}")
            harms = [numbers.harm(table, place, PRIMARY)[here] for place in places]
            cells += [f"{np.median(harm):+.3f}" for harm in harms]
        rows.append((name, *cells))
    heads = [
        f"{NAMES[name]}: {what}"
        for name in data["datasets"]
        for what in ("forget loss", *(f"harm at {rates(data)[place]:g}" for place in places))
    ]
    return markdown(["kind", *heads], rows)


def correlations(data, dataset: str, analysis: str) -> str:
    """Predictors by rates, with intervals."""
    names = [name for name in data["predictors"] if analysis == "plain" or name != "network_loss"]
    rows = [
        (
            LABELS[name],
            *(
                numbers.short(numbers.estimate(data, dataset, analysis, name, rate))
                for rate in rates(data)
            ),
        )
        for name in names
    ]
    return markdown(["known before", *(f"rate {rate:g}" for rate in rates(data))], rows)


def pairs(data, kind) -> str:
    """Predictors by data sets and rates, without intervals; bold where it excludes 0."""
    rows = [
        (
            LABELS[name],
            *(
                bold(numbers.estimate(data, dataset, "plain", name, rate, kind))
                for dataset in data["datasets"]
                for rate in rates(data)
            ),
        )
        for name in data["predictors"]
    ]
    heads = [f"{NAMES[dataset]}, {rate:g}" for dataset in data["datasets"] for rate in rates(data)]
    return markdown(["known before", *heads], rows)


def ceilings(data) -> str:
    """The square root of the reliability, for each measure and run."""
    rows = []
    for measure, words in MEASURE_WORDS.items():
        for epoch in range(len(numbers.KEPT_EPOCHS)):
            cells = []
            for dataset in data["datasets"]:
                found = data["correlations"][dataset]["reliability"]
                found = found[:, epoch, numbers.MEASURES.index(measure)]
                cells += [f"{np.sqrt(max(value, 0)):.2f}" for value in found]
            rows.append((words, numbers.KEPT_EPOCHS[epoch], *cells))
    heads = [f"{NAMES[dataset]}, {rate:g}" for dataset in data["datasets"] for rate in rates(data)]
    return markdown(["measure", "epoch", *heads], rows)


def rules(data) -> str:
    """The rule of each run, with its gains."""
    rows = [
        (
            f"{one['rate']:g}",
            one["epoch"],
            one["measure"],
            one["units"],
            numbers.rule_in_words(one, list(data["predictors"])),
            f"{one['fitted_gain']:+.2f}",
            f"{one['used']:.0%}",
            numbers.short(one["gain"]),
            numbers.short(one["always"]),
            f"{one['possible']:+.2f}",
            numbers.short(one["excess"]),
        )
        for one in data["rules"]
    ]
    heads = ["rate", "epoch", "KLoM", "predictors", "rule fixed on the digits", "gain there"]
    heads += ["used", "gain on Fashion-MNIST", "always", "possible", "over always and never"]
    return markdown(heads, rows)


def alone(data) -> str:
    """The gain on the second data set of the best rule of each predictor, primary units."""
    found = numbers.primary_rules(data)
    rows = [
        (LABELS[name], *(f"{one['single'][place]:+.2f}" for one in found))
        for place, name in enumerate(data["predictors"])
    ]
    return markdown(["predictor", *(f"{one['rate']:g}, {one['epoch']}" for one in found)], rows)


def between(data) -> str:
    """Rank correlations of the predictors, and of doing nothing, with the mean forget loss."""
    names = [*(LABELS[name] for name in data["predictors"]), "KLoM of doing nothing, unseen rows"]
    rows = [
        (
            name,
            *(f"{data['correlations'][one]['between'][place]:+.2f}" for one in data["datasets"]),
        )
        for place, name in enumerate(names)
    ]
    return markdown(["number", *(NAMES[name] for name in data["datasets"])], rows)


def rates(data) -> list[float]:
    return np.asarray(data["rates"]).tolist()


def bold(found) -> str:
    """A value, bold if its interval excludes 0."""
    mark = "**" if numbers.side(found) else ""
    return f"{mark}{found[0]:+.2f}{mark}"
