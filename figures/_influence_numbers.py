"""The numbers of the study of cross-influence: correlations, how they are written, what is kept.

``data`` is always what ``figures.cross_influence.compute`` gives, read back from its JSON file.
"""

import numpy as np

from figures import _influence_study, _ranks
from theory_common.printing import tables

SHARES = (0.01, 0.05)  # of the rows, forgotten
PRIMARY = "budget"
NORMS = ("loss_norm", "margin_norm", "leverage_norm", "normalised_norm")
NEEDS_ORACLE = ("break_even_strength", "critical_strength", "pretrain_distance")
LABELS = {
    "loss_norm": "cross-influence, loss",
    "margin_norm": "cross-influence, margin",
    "leverage_norm": "cross-influence, leverage",
    "normalised_norm": "cross-influence, normalised",
    "mean_forget_loss": "mean forget loss",
    "mean_leverage": "mean leverage",
    "mean_cosine": "mean cosine of rows",
    "gradient_cosine": "cosine of mean gradients",
    "size": "size of the set",
    "break_even_strength": "break-even strength",
    "critical_strength": "critical strength",
    "pretrain_distance": "pretrained to retrained",
}
HARM = {
    "budget": "budget\nγ = 1",
    "budget_weak": "budget\nγ = f/r",
    "budget_alternating": "altern.\nγ = 1",
    "limit": "limit\nγ = 1",
    "limit_weak": "limit\nγ = f/r",
    "early_stop": "early\nstop",
    "retain_rise": "retain\nrise",
}

# Of the study's results, what comes with the package, to three digits.
LEVELS = ("dataset", "kind", "ridge", "size_ratio")
KEPT = (
    "break_even_strength",
    "critical_strength",
    "loss_norm",
    "leverage_norm",
    "normalised_norm",
    "mean_forget_loss",
    "budget",
)


def centred(cells):
    """All values less the median of their cell; of positive ones their log10."""
    if all(np.all(values > 0) for values in cells):
        cells = [np.log10(values) for values in cells]
    return np.concatenate([values - np.median(values) for values in cells])


def analysed(cells, sources, replicates):
    """All pooled correlations, ``(predictors, outcomes)``, and those of each data set and ridge.

    The cells of one data set and ridge stand beside each other, in the order of :data:`SHARES`.
    """
    columns = [*LABELS, *_influence_study.OUTCOMES]
    values = [np.stack([one[name] for name in columns], axis=1) for one in cells]
    joined = [
        np.concatenate(values[place : place + len(SHARES)])
        for place in range(0, len(values), len(SHARES))
    ]
    rows = list(range(len(LABELS)))
    harm = list(range(len(LABELS), len(columns)))
    loss, size = columns.index("mean_forget_loss"), columns.index("size")

    def pool(cells, sources, controls):
        found = _ranks.pooled(cells, sources, rows, harm, controls, replicates=replicates, seed=0)
        return found._asdict()

    natural = [
        one[~np.isin(cell["kind"], ("mislabelled", "easy"))]
        for one, cell in zip(values, cells, strict=True)
    ]
    both = sources[:: len(SHARES)]
    each = np.stack([_ranks.correlations(one)[np.ix_(rows, harm)] for one in values])
    return {
        "equal_size": pool(values, sources, []),
        "given_loss": pool(values, sources, [loss]),
        "both_sizes": pool(joined, both, []),
        "given_size_and_loss": pool(joined, both, [size, loss]),
        "without_mislabelled_and_easy": pool(natural, sources, []),
        "by_dataset": _split(each, [one["dataset"][0] for one in cells]),
        "by_ridge": _split(each, [f"{one['ridge'][0]:g}" for one in cells]),
    }


def _split(each, names):
    """The mean correlations of the cells that share a name."""
    names = np.array(names)
    return {name: _ranks.mean(each[names == name], 0) for name in np.unique(names).tolist()}


def ordered(data):
    """The predictors from top to bottom: what can be known before, and then the others."""
    names = [name for name in data["predictors"] if name != "size"]
    value = dict(
        zip(
            data["predictors"],
            data["equal_size"]["value"][:, list(data["outcomes"]).index(PRIMARY)],
            strict=True,
        )
    )

    def place(name):
        return name in NEEDS_ORACLE, -value[name]

    return sorted(names, key=place)


def best_predictor(data):
    """Of those that need no retrained model, that of the largest absolute correlation."""
    known = [name for name in ordered(data) if name not in NEEDS_ORACLE]
    return max(known, key=lambda name: abs(estimate(data, "equal_size", name)[0]))


def estimate(data, analysis, predictor, outcome=PRIMARY):
    """Value, low and high."""
    place = list(data["predictors"]).index(predictor), list(data["outcomes"]).index(outcome)
    return tuple(float(data[analysis][name][place]) for name in ("value", "low", "high"))


def interval(data, analysis, predictor, outcome=PRIMARY):
    """An estimate in words."""
    value, low, high = estimate(data, analysis, predictor, outcome)
    return f"{value:+.2f}, 95 % interval {low:+.2f} to {high:+.2f}"


def short(data, analysis, predictor, outcome=PRIMARY):
    """An estimate with its 95 % interval, as in the tables of the page."""
    value, low, high = estimate(data, analysis, predictor, outcome)
    return f"{value:+.2f} ({low:+.2f}, {high:+.2f})"


# What comes with the package ---------------------------------------------------------------------


def study(data):
    """The text of the table that ``gda_theory.verdict.dependence.study`` reads.

    Columns of few values are written as places in a list of these values.
    """
    levels, columns = {}, {}
    for name in LEVELS:
        found, columns[name] = np.unique(data["table"][name], return_inverse=True)
        levels[name] = _rounded(found) if found.dtype.kind == "f" else found.tolist()
    columns |= {name: _rounded(data["table"][name]) for name in KEPT}
    return tables.dumps({"levels": levels, **columns}).replace(", ", ",")


def _rounded(values):
    """Three digits of each number."""
    return np.array([float(f"{value:.3g}") for value in values])


# The tables of the docs page ---------------------------------------------------------------------


def page(data):
    """The tables of the page ``docs/cross_influence.md``, as Markdown."""
    names = ordered(data)
    primary = [
        (
            LABELS[name],
            short(data, "equal_size", name),
            "" if name == "mean_forget_loss" else short(data, "given_loss", name),
            short(data, "without_mislabelled_and_easy", name),
        )
        for name in names
    ]
    sizes = [
        (
            LABELS[name],
            short(data, "both_sizes", name),
            ""
            if name in ("size", "mean_forget_loss")
            else short(data, "given_size_and_loss", name),
        )
        for name in ("size", *NORMS, "mean_forget_loss", *NEEDS_ORACLE)
    ]
    others = [outcome for outcome in data["outcomes"] if outcome != PRIMARY]
    harm = [
        (LABELS[name], *(short(data, "equal_size", name, outcome) for outcome in others))
        for name in names
    ]
    place = list(data["outcomes"]).index(PRIMARY)
    shown = [*NORMS, "mean_forget_loss", "break_even_strength"]
    rows = [list(data["predictors"]).index(name) for name in shown]
    parts = [
        (part, *(f"{found[row, place]:+.2f}" for row in rows))
        for split in ("by_dataset", "by_ridge")
        for part, found in data[split].items()
    ]
    heads = [LABELS[name].removeprefix("cross-influence, ") for name in shown]
    return "\n\n".join(
        [
            _markdown(
                ["known of a forget set", "correlation", "given the loss", "four kinds"], primary
            ),
            _markdown(["known of a forget set", "correlation", "given size and loss"], sizes),
            _markdown(["known of a forget set", *(f"`{name}`" for name in others)], harm),
            _markdown(["data set or ridge", *heads], parts),
            _markdown(["other numbers of the page", "value"], remarks(data).items()),
        ]
    )


def remarks(data):
    """The numbers in the text of the page that no other table has."""
    table = data["table"]
    large = table["share"] == max(SHARES)
    unknown = np.isnan(table["limit"])
    growth = {
        f"median of {LABELS[name]} at 5 % over 1 %": f"{ratio:.2f}"
        for name in (*NORMS, "pretrain_distance")
        for ratio in [np.median(table[name][large]) / np.median(table[name][~large])]
    }
    return {
        "sets that end farther than doing nothing": int(np.sum(table[PRIMARY] > 0)),
        "sets whose path could not be followed up to strength 1": int(np.sum(unknown)),
        "sets whose path could": int(np.sum(~unknown)),
        "of these, minimum lost": int(np.sum(np.isinf(table["limit"]))),
        **growth,
        "mean forget loss against pretrained to retrained": f"{_loss_against_distance(table):+.2f}",
    }


def _loss_against_distance(table):
    """The rank correlation in each cell, averaged over the cells of a source, then over sources."""
    cells = np.stack([np.array(table[name]) for name in ("dataset", "ridge", "share")])
    number = np.unique(cells, axis=1, return_inverse=True)[1]
    by_source = {}
    for cell in np.unique(number):
        here = number == cell
        both = [table[name][here] for name in ("mean_forget_loss", "pretrain_distance")]
        found = _ranks.correlations(np.stack(both, axis=1))[0, 1]
        source = cells[0][here][0].partition(" ")[0]
        by_source.setdefault(source, []).append(found)
    return np.mean([np.mean(found) for found in by_source.values()])


def _markdown(heads, rows):
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
