"""The tables of a report, as HTML."""

from collections.abc import Sequence
from typing import Any

from gda_theory.codes import RunEnd
from gda_theory.verdict.page_pictures import LISTED, MODELS, best_stops
from gda_theory.verdict.page_values import marked, value
from gda_theory.verdict.remedies import DESCRIPTIONS

Cells = Sequence[Sequence[str]]


def table(head: Sequence[str], body: Cells) -> str:
    """A table whose cells are markup. The first cell of a row names it.

    A row of one cell is the heading of a group.
    """
    heads = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    rows = "".join(f"<tr>{_row(cells, len(head))}</tr>" for cells in body)
    return (
        f'<div class="scroll"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _row(cells: Sequence[str], width: int) -> str:
    first, *rest = cells
    if not rest and width > 1:
        return f'<th class="group" scope="rowgroup" colspan="{width}">{first}</th>'
    return f'<th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in rest)


def _present(found: Any) -> list[str]:
    return [name for name in MODELS if name in found]


def effects(document: Any) -> str:
    """Distances, predictions and quality of each model."""
    found = document["effects"]
    names = _present(found["quality"])

    def row(name: str, place: str, last: str, format: str) -> list[str]:
        cells = [
            value(document, f"{place}.{model}.{last}", format)
            if model in found[place.split(".")[1]]
            else "–"
            for model in names
        ]
        return [name, *cells]

    body = [
        ["weights"],
        row("distance to the retrained weights", "effects.distance", "weights", "number"),
        row("the same, of their length", "effects.distance", "relative", "percent"),
        ["predicted probabilities, all rows"],
        row("mean change, percentage points", "effects.change", "all.mean", "points_up"),
        row("largest change, percentage points", "effects.change", "all.largest", "points_up"),
        row("rows with another class", "effects.change", "all.other_class", "percent"),
    ]
    for key in ("kept", "forgotten"):
        body += [
            [f"{key} rows"],
            row("accuracy", "effects.quality", f"{key}.accuracy", "percent"),
            row("mean loss", "effects.quality", f"{key}.loss", "number"),
            row("Brier score", "effects.quality", f"{key}.brier", "number"),
            row("calibration error", "effects.quality", f"{key}.calibration_error", "number"),
        ]
    return table(["", *(MODELS[name] for name in names)], body)


def differences(document: Any) -> str:
    """The features and the rows that differ most."""
    found = document["differences"]
    features = [
        [
            value(document, f"differences.features.{index}.name", "text"),
            *(
                value(document, f"differences.features.{index}.{name}")
                for name in ("pretrained", "retrained", "effect")
            ),
        ]
        for index in range(len(found["features"][:LISTED]))
    ]
    rows = [
        [
            f"row {value(document, f'differences.rows.{index}.row')}",
            value(document, f"differences.rows.{index}.probability", "percent"),
            value(document, f"differences.rows.{index}.size"),
            value(document, f"differences.rows.{index}.along", "percent"),
        ]
        for index in range(len(found["rows"][:LISTED]))
    ]
    total = [
        ["sum over all forgotten rows", "", "", value(document, "differences.sum_along", "percent")]
    ]
    return table(["feature", "pretrained", "retrained", "effect"], features) + table(
        ["forgotten row", "probability of its class", "change of the weights", "part of the way"],
        rows + total,
    )


def stops(document: Any) -> str:
    """The best early stop of each scheme."""
    rows = [
        [
            document["stops"][index]["scheme"].replace("_", " "),
            value(document, f"stops.{index}.step_size", "short"),
            value(document, f"stops.{index}.best_epoch"),
            value(document, f"stops.{index}.best_relative", "percent"),
            value(document, f"stops.{index}.descent_relative", "percent"),
            value(document, f"stops.{index}.good_epochs"),
            value(document, f"stops.{index}.final_relative", "left"),
        ]
        for index in best_stops(document)
    ]
    head = [
        "scheme",
        "step size",
        "best epoch",
        "left",
        "descent",
        "good epochs",
        "left at the end",
    ]
    note = "Each run has {stops.0.epochs|number} epochs, on {stops.0.rows|number} rows."
    error = max(range(len(document["stops"])), key=lambda index: document["stops"][index]["error"])
    if document["stops"][error]["error"] > 0:
        # The runs were followed on a sample.
        note += f" What is left is off by {{stops.{error}.error|percent}} at most, by estimate."
    return f'{table(head, rows)}<p class="note">{marked(note, document)}</p>'


def _listed(document: Any, rows: Sequence[tuple[str, str, str]]) -> str:
    """A table of names and numbers; each row is a name, a key and a format."""
    return table(
        ["", "value"], [[name, value(document, key, format)] for name, key, format in rows]
    )


def course(document: Any) -> str:
    """The strengths, and the fold."""
    rows = [
        ("strength that was asked for", "strength", "number"),
        (
            "strength above which ascent is worse than doing nothing",
            "given.break_even_strength",
            "number",
        ),
        ("critical strength, where the minimum disappears", "given.critical_strength", "number"),
        ("followed up to strength", "given.searched_to", "number"),
    ]
    if document["course"]["fold"]:
        near = value(document, "course.fold.near", "percent")
        fold = [
            ("distance at the critical strength", "distance", "number"),
            (f"distance of the minimum found {near} above it", "beyond", "number"),
            ("epochs that halve a distance: at the oracle", "oracle_epochs", "number"),
            (f"the same, {near} below the critical strength", "before_epochs", "number"),
            ("how many times slower that is", "slowdown", "number"),
            (f"epochs near the lost minimum, {near} above", "passage_epochs", "number"),
        ]
        rows += [(name, f"course.fold.{key}", format) for name, key, format in fold]
    ends = "At the asked strength, small steps from your model end {given.run_end|run_end}."
    if document["given"]["run_end"] == RunEnd.NOT_FOLLOWED:
        ends = "At the asked strength, no run of small steps from your model was followed."
    return f'{_listed(document, rows)}<p class="note">{marked(ends, document)}</p>'


def dependence(document: Any) -> str:
    """Break-even, cosines and cross-influence."""
    return _listed(
        document,
        [
            ("break-even strength", "given.break_even_strength", "number"),
            ("the same to first order", "given.first_order_break_even", "number"),
            ("cosine between ascent and pretraining", "given.opposite_cosine", "number"),
            ("cross-influence on losses", "dependence.loss_norm", "number"),
            ("cross-influence on margins", "dependence.margin_norm", "number"),
            ("cross-influence by leverage", "dependence.leverage_norm", "number"),
            ("cross-influence, normalised", "dependence.normalised_norm", "number"),
            ("mean leverage of a forgotten row", "dependence.mean_leverage", "number"),
            ("largest leverage of a forgotten row", "dependence.max_leverage", "number"),
            ("mean loss of a forgotten row", "dependence.mean_forget_loss", "number"),
            ("mean loss of a kept row", "dependence.mean_retain_loss", "number"),
            ("mean cosine between rows of both sets", "dependence.mean_cosine", "number"),
        ],
    )


def random_test(document: Any) -> str:
    """The test's numbers."""
    return _listed(
        document,
        [
            ("forgotten rows", "random_test.forget_size", "number"),
            ("held-out rows", "random_test.test_size", "number"),
            ("accuracy on the forgotten rows", "random_test.forget_accuracy", "percent"),
            ("accuracy on the held-out rows", "random_test.test_accuracy", "percent"),
            ("gap, percentage points", "random_test.gap", "points"),
            ("Hoeffding's bound on its probability", "random_test.bound", "number"),
            ("its exact probability for a random set", "random_test.exact", "number"),
            ("gap that the bound allows, percentage points", "random_test.half_width", "points"),
            ("at significance", "random_test.significance", "percent"),
        ],
    )


def remedies(document: Any) -> str:
    """What each method costs and leaves."""
    found = document["remedies"]
    rows = [
        [
            DESCRIPTIONS[method["name"]],
            value(document, f"remedies.methods.{index}.gradients"),
            value(document, f"remedies.methods.{index}.hessians"),
            value(document, f"remedies.methods.{index}.work", "short"),
            value(document, f"remedies.methods.{index}.distance", "left"),
            value(document, f"remedies.methods.{index}.bound", "bound"),
        ]
        for index, method in enumerate(found["methods"])
    ]
    head = ["method", "gradients", "Hessians", "work", "left", "certified"]
    steps = "{remedies.few|number} steps are few and {remedies.many|number} are many."
    if found["missing"]:
        noisy = "There is no noisy descent: {remedies.missing|text}."
    else:
        noisy = "Noisy descent: epsilon {remedies.epsilon|number}, delta {remedies.delta|number}."
    return f'{table(head, rows)}<p class="note">{marked(f"{steps} {noisy}", document)}</p>'


def membership(document: Any) -> str:
    """The attacks, and the most exposed rows."""
    found = document["membership"]
    names = _present(found["attack"])
    quantities = [
        ("guesses that are right, median row", "median", "percent"),
        ("most exposed row", "highest", "percent"),
        ("Pinsker's bound, median row", "pinsker_median", "percent"),
        ("divergence in nats, median row", "divergence_median", "number"),
        ("rows with a positive score", "positive", "percent"),
    ]
    body = [
        [said, *(value(document, f"membership.attack.{name}.{key}", format) for name in names)]
        for said, key, format in quantities
    ]
    body.append(["score of the most exposed rows"])
    body += [
        [
            f"row {value(document, f'membership.rows.{index}.row')}",
            *(value(document, f"membership.rows.{index}.score.{name}") for name in names),
        ]
        for index in range(len(found["rows"][:5]))
    ]
    return table(["", *(MODELS[name] for name in names)], body)
