"""The tables of the page ``docs/cross_influence.md``, as Markdown.

``data`` is what ``figures.cross_influence.compute`` gives, read back from its JSON file.
"""

import numpy as np

from figures._markdown import markdown
from gda_theory.studies.influence.correlations import (
    LABELS,
    NEEDS_ORACLE,
    NORMS,
    PRIMARY,
    SHARES,
    estimate,
    loss_against_distance,
    ordered,
)


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
            markdown(
                ["known of a forget set", "correlation", "given the loss", "four kinds"], primary
            ),
            markdown(["known of a forget set", "correlation", "given size and loss"], sizes),
            markdown(["known of a forget set", *(f"`{name}`" for name in others)], harm),
            markdown(["data set or ridge", *heads], parts),
            markdown(["other numbers of the page", "value"], remarks(data).items()),
        ]
    )


def short(data, analysis, predictor, outcome=PRIMARY):
    """An estimate with its 95 % interval, as in the tables of the page."""
    value, low, high = estimate(data, analysis, predictor, outcome)
    return f"{value:+.2f} ({low:+.2f}, {high:+.2f})"


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
        "mean forget loss against pretrained to retrained": f"{loss_against_distance(table):+.2f}",
    }
