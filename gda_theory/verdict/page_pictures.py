"""The pictures of a report, each drawn from the JSON for a width in pixels.

Every function takes the document (the JSON) and the width, and returns SVG.
"""

from collections.abc import Sequence
from typing import Any

from gda_theory.verdict import page_drawing as draw
from gda_theory.verdict.page_drawing import AXIS, ROW, SIDE, Scale
from gda_theory.verdict.page_values import drawn, lookup, tags
from gda_theory.verdict.remedies import DESCRIPTIONS

MODELS = {
    "pretrained": "doing nothing",
    "newton": "one Newton step",
    "ascent": "minimum of ascent",
    "retrained": "retraining",
}
# The colour and the mark of each model.
KINDS = {
    "pretrained": ("one", "disc"),
    "newton": ("two", "square"),
    "ascent": ("three", "diamond"),
    "retrained": ("four", "ring"),
}
SMALLEST_POINTS = 1e-3  # percentage points: smaller changes stand at the left end
LISTED = 10  # features and rows in a picture
TOP = 10


def changes(document: Any, width: float) -> str:
    """(a) How far predicted probabilities are from those of the retrained model."""
    change = document["effects"]["change"]
    strips = [(name, key) for name in MODELS if name in change for key in ("kept", "forgotten")]
    scale = Scale(SMALLEST_POINTS, 100.0, SIDE + 14, width - SIDE - 44, log=True)
    levels = document["effects"]["levels"]
    marks = [levels.index(level) for level in (0.25, 0.5, 0.75, 0.95, 1.0)]
    parts, top = draw.legend(
        [
            (draw.bar(-9, 9, 0, 9, "one"), "middle half of the rows"),
            (draw.line(-9, 0, 9, 0, "thin"), "up to nineteen of twenty rows"),
            (draw.mark("disc", 0, 0, "one", 4.5), "the row that changes most"),
        ],
        TOP + 8,
        width,
    )
    bottom = top + ROW * len(strips)
    parts += draw.axis_below(scale, bottom, "change of the probability, percentage points", top)
    for index, (name, key) in enumerate(strips):
        place = f"effects.change.{name}.{key}"
        low, middle, high, most, _ = (
            scale.at(100 * lookup(document, f"{place}.quantiles.{level}")) for level in marks
        )
        y = top + ROW * index + 32
        largest = scale.at(100 * lookup(document, f"{place}.largest"))
        kind, shape = KINDS[name]
        parts += [
            draw.text(SIDE, y - 13, f"{MODELS[name]}: {key} rows", "label"),
            draw.line(high, y, most, y, f"thin {kind}"),
            draw.bar(low, high, y, 9, kind),
            draw.line(middle, y - 6, middle, y + 6, "middle"),
            draw.mark(shape, largest, y, kind, 4.5),
            draw.text(
                largest + 9, y + 4, drawn(document, f"{place}.largest", "points_up"), "number"
            ),
        ]
    return draw.picture(width, bottom + AXIS, parts, "changes of predicted probabilities")


def bars(
    document: Any, width: float, keys: Sequence[str], names: Sequence[str], format: str, axis: str
) -> str:
    """Horizontal bars to both sides of zero, with a label above each.

    Args:
        document, width: as above.
        keys: of the values.
        names: of the bars, as markup.
        format: of the numbers.
        axis: its name.
    """
    values = [lookup(document, key) for key in keys]
    low, high = draw.span([0.0, *values])
    scale = Scale(low, high, SIDE + 40, width - SIDE - 62)
    bottom = TOP + 44 * len(keys)
    parts = draw.axis_below(scale, bottom, axis, TOP, percent=format == "percent")
    zero = scale.at(0.0)
    parts.append(draw.line(zero, TOP, zero, bottom, "zero"))
    for index, (key, name, number) in enumerate(zip(keys, names, values, strict=True)):
        y, x = TOP + 44 * index + 31, scale.at(number)
        right = number >= 0
        parts += [
            draw.text(SIDE, y - 14, name, "label"),
            draw.bar(zero, x, y, 11, "one" if right else "two"),
            draw.text(
                x + (6 if right else -6),
                y + 4,
                drawn(document, key, format),
                "number",
                "start" if right else "end",
            ),
        ]
    return draw.picture(width, bottom + AXIS, parts, axis)


def features(document: Any, width: float) -> str:
    """(b) The features that differ most."""
    found = document["differences"]["features"][:LISTED]
    return bars(
        document,
        width,
        [f"differences.features.{index}.effect" for index in range(len(found))],
        [draw.fitted(feature["name"], width - 2 * SIDE) for feature in found],
        "number",
        "change of the weight times the feature's size",
    )


def rows(document: Any, width: float) -> str:
    """(b) The forgotten rows that matter most."""
    found = document["differences"]["rows"][:LISTED]
    return bars(
        document,
        width,
        [f"differences.rows.{index}.along" for index in range(len(found))],
        [f"row {drawn(document, f'differences.rows.{index}.row')}" for index in range(len(found))],
        "percent",
        "part of the way to the retrained model",
    )


def best_stops(document: Any) -> list[int]:
    """For each scheme, the place of the stop that leaves the least."""
    best: dict[str, int] = {}
    for index, stop in enumerate(document["stops"]):
        before = best.get(stop["scheme"])
        if before is None or stop["best_relative"] < document["stops"][before]["best_relative"]:
            best[stop["scheme"]] = index
    return list(best.values())


def stops(document: Any, width: float) -> str:
    """(c) What the best early stop of each scheme leaves, beside plain descent."""
    chosen = best_stops(document)
    least = 1e-4
    scale = Scale(least, 2.0, SIDE + 18, width - SIDE - 50, log=True)
    parts, top = draw.legend(
        [
            (draw.mark("disc", 0, 0, "one"), "the scheme at its best epoch"),
            (draw.mark("ring", 0, 0, "four"), "plain descent at that epoch"),
            (draw.line(0, -8, 0, 8, "limit"), "doing nothing"),
        ],
        TOP + 8,
        width,
    )
    bottom = top + ROW * len(chosen)
    parts += draw.axis_below(scale, bottom, "part of the distance that is left", top, percent=True)
    one = scale.at(1.0)
    parts.append(draw.line(one, top, one, bottom, "limit"))
    for row, index in enumerate(chosen):
        stop = document["stops"][index]
        y = top + ROW * row + 32
        ours, plain = (scale.at(stop[name]) for name in ("best_relative", "descent_relative"))
        parts += [
            draw.text(SIDE, y - 13, stop["scheme"].replace("_", " "), "label"),
            draw.line(ours, y, plain, y, "thin"),
            draw.mark("ring", plain, y, "four"),
            draw.mark("disc", ours, y, "one"),
            draw.text(
                max(ours, plain) + 10,
                y + 4,
                drawn(document, f"stops.{index}.best_relative", "percent"),
                "number",
            ),
        ]
    return draw.picture(width, bottom + AXIS, parts, "early stops")


def course(document: Any, width: float) -> str:
    """(d) The distance of ascent's minimum along the strength."""
    found, given = document["course"], document["given"]
    fold = found["fold"]
    height, left, bottom = 330.0, 52.0, 330.0 - AXIS
    jumped = fold["beyond"] if fold else None
    shown = [value for value in found["distance"][1:] if value is not None]
    low, high = draw.span([1.0, jumped, *shown], log=True)
    right = width - SIDE
    # A fold needs some space at its right for what lies beyond it.
    end = max(found["strengths"][-1], document["strength"] if not fold else 0.0)
    across = Scale(0.0, end * (1.18 if fold else 1.03), left, right)
    up = Scale(low, high, bottom, 34.0, log=True)
    curve = [
        (across.at(strength), up.at(value))
        for strength, value in zip(found["strengths"], found["distance"], strict=True)
        if value
    ]
    parts = draw.axis_left(up, left, right)
    parts += draw.axis_below(across, bottom, "strength of the ascent", 34.0)
    parts += [
        draw.text(SIDE, 18, "distance, in units of doing nothing", "axis"),
        draw.line(left, up.at(1.0), right, up.at(1.0), "limit"),
        draw.text(right, up.at(1.0) - 7, "doing nothing", "label", "end"),
        draw.polyline(curve, "one"),
    ]
    even = given["break_even_strength"]
    if across.holds(even):
        parts.append(
            draw.mark(
                "disc",
                across.at(even),
                up.at(1.0),
                "one",
                tags=tags(document, "given.break_even_strength", "short"),
            )
        )
    if across.holds(document["strength"]) and given["reason"] == 0:
        parts += _at_strength(document, across, up)
    if fold:
        parts += _jump(document, across, up)
    return draw.picture(width, height, parts, "the minimum along the strength of the ascent")


def _at_strength(document: Any, across: Scale, up: Scale) -> list[str]:
    x = across.at(document["strength"])
    return [
        draw.line(x, up.start, x, up.end, "thin"),
        draw.text(x + 6, up.end + 12, "asked strength", "label"),
    ]


def _jump(document: Any, across: Scale, up: Scale) -> list[str]:
    fold, critical = document["course"]["fold"], document["given"]["critical_strength"]
    x, y = across.at(critical), up.at(fold["distance"])
    parts = [
        draw.line(x, up.start, x, up.end, "thin"),
        draw.text(x - 7, up.start - 26, "the minimum", "label", "end"),
        draw.text(
            x - 7,
            up.start - 10,
            f"disappears at {drawn(document, 'given.critical_strength', 'short')}",
            "label",
            "end",
        ),
        draw.mark("disc", x, y, "one", tags=tags(document, "course.fold.distance", "number")),
    ]
    if fold["beyond"] is None:
        return parts
    there = across.at(critical * 1.06)
    landed = up.at(fold["beyond"])
    return [
        *parts,
        draw.polyline([(x, y), (there, landed)], "two dashed"),
        draw.mark(
            "square", there, landed, "two", tags=tags(document, "course.fold.beyond", "number")
        ),
        draw.text(there + 10, landed + 5, drawn(document, "course.fold.beyond", "short"), "number"),
    ]


def sides(document: Any, width: float) -> str:
    """(e) Pretraining and ascent on both sides of the retrained model."""
    found = document["course"]
    left, right, height = float(SIDE), width - SIDE, 250.0
    scale = Scale(-1.35, 1.35, left, right)
    unit = scale.at(1.0) - scale.at(0.0)
    base = height - AXIS - 34
    points = []
    for along, distance in zip(found["along"], found["distance"], strict=True):
        if along is None or distance is None:
            continue
        across = max(distance**2 - along**2, 0.0) ** 0.5
        if abs(along) > scale.high or across * unit > base - 34:
            break
        points.append((scale.at(along), base - across * unit))
    parts = draw.axis_below(scale, height - AXIS, "distance towards the pretrained model", 20.0)
    parts += [
        draw.line(left, base, right, base, "grid"),
        draw.polyline(points, "three"),
        draw.mark("ring", scale.at(0.0), base, "four"),
        draw.text(scale.at(0.0), base + 22, "retrained", "label", "middle"),
        draw.mark("disc", scale.at(1.0), base, "one"),
        draw.text(scale.at(1.0), base + 22, "pretrained", "label", "middle"),
    ]
    if len(points) > 1:
        x, y = points[-1]
        parts += [
            draw.mark("diamond", x, y, "three"),
            draw.text(max(x, left + 56), y - 14, "stronger ascent", "label", "middle"),
        ]
    return draw.picture(width, height, parts, "pretraining and ascent around the retrained model")


PLACES = {
    "break_even_strength": "break-even strength",
    "break_even_relative": "break-even strength over f/r",
    "critical_strength": "critical strength",
    "normalised_norm": "normalised cross-influence",
    "mean_forget_loss": "mean loss of a forgotten row",
}


def position(document: Any, width: float) -> str:
    """(e) Where the data set lies among those of the study."""
    known = [name for name in PLACES if document["position"][name] is not None]
    scale = Scale(0.0, 1.0, SIDE + 12, width - SIDE - 58)
    bottom = TOP + ROW * len(known)
    parts = draw.axis_below(scale, bottom, "sets of the study with a smaller value", TOP, True)
    for index, name in enumerate(known):
        key = f"position.{name}"
        y, x = TOP + ROW * index + 32, scale.at(lookup(document, key))
        parts += [
            draw.text(SIDE, y - 13, PLACES[name], "label"),
            draw.line(scale.start, y, scale.end, y, "grid"),
            draw.mark("disc", x, y, "one"),
            draw.text(x + 11, y + 4, drawn(document, key, "percent"), "number"),
        ]
    return draw.picture(width, bottom + AXIS, parts, "position among the sets of the study")


def accuracies(document: Any, width: float) -> str:
    """(f) Accuracies on the forgotten rows, with the range that a random set would give."""
    found = document["random_test"]
    centre, half = found["test_accuracy"], found["half_width"]
    entries = [("random_test.test_accuracy", "held-out rows", "four", "ring")]
    entries.append(("random_test.forget_accuracy", "forgotten rows", "one", "disc"))
    entries += [
        (f"random_test.models.{name}", f"forgotten rows: {MODELS[name]}", *KINDS[name])
        for name in MODELS
        if name in found["models"]
    ]
    values = [lookup(document, key) for key, *_ in entries]
    low = max(0.0, min([centre - half, *values]) - 0.03)
    high = min(1.0, max([centre + half, *values]) + 0.03)
    scale = Scale(low, high, SIDE + 6, width - SIDE - 52)
    bottom = TOP + ROW * len(entries)
    parts = draw.axis_below(scale, bottom, "accuracy", TOP, percent=True)
    parts.append(
        draw.element(
            "rect",
            x=scale.at(centre - half),
            y=TOP,
            width=scale.at(centre + half) - scale.at(centre - half),
            height=bottom - TOP,
            class_="band",
        )
    )
    for index, (key, name, kind, shape) in enumerate(entries):
        y, x = TOP + ROW * index + 32, scale.at(lookup(document, key))
        parts += [
            draw.text(SIDE, y - 13, name, "label"),
            draw.mark(shape, x, y, kind),
            draw.text(x + 11, y + 4, drawn(document, key, "percent"), "number"),
        ]
    return draw.picture(width, bottom + AXIS, parts, "accuracies on forgotten and held-out rows")


def remedies(document: Any, width: float) -> str:
    """(g) What each method leaves and what is certified, by increasing work."""
    methods = document["remedies"]["methods"]
    order = sorted(range(len(methods)), key=lambda index: methods[index]["work"])
    scale = Scale(1e-6, 1e4, SIDE + 22, width - SIDE - 22, log=True)
    parts, top = draw.legend(
        [
            (draw.mark("disc", 0, 0, "one"), "what is left"),
            (draw.line(-9, 0, 9, 0, "thin") + draw.line(9, -6, 9, 6, "thin"), "what is certified"),
            (draw.line(0, -8, 0, 8, "limit"), "doing nothing"),
        ],
        TOP + 8,
        width,
    )
    bottom = top + ROW * len(order)
    parts += draw.axis_below(scale, bottom, "part of the distance that is left", top)
    one = scale.at(1.0)
    parts.append(draw.line(one, top, one, bottom, "limit"))
    for row, index in enumerate(order):
        method, place = methods[index], f"remedies.methods.{index}"
        y = top + ROW * row + 32
        left, bound = (scale.at(float(method[name])) for name in ("distance", "bound"))
        work = drawn(document, f"{place}.work", "short")
        parts += [
            draw.text(SIDE, y - 13, f"{DESCRIPTIONS[method['name']]}: work {work}", "label"),
            draw.line(left, y, bound, y, "thin"),
            "" if method["bound"] == "inf" else draw.line(bound, y - 6, bound, y + 6, "thin"),
            draw.mark("disc", left, y, "one", tags=tags(document, f"{place}.distance", "left")),
        ]
    return draw.picture(width, bottom + AXIS, parts, "what each method leaves")


def attacks(document: Any, width: float) -> str:
    """(h) How often an outsider's guess is right, over the forgotten rows."""
    attack = document["membership"]["attack"]
    names = [name for name in MODELS if name in attack]
    dashes = {"pretrained": "", "newton": " dashed", "ascent": " dotted", "retrained": ""}
    parts, top = draw.legend(
        [
            (draw.polyline([(-9, 0), (9, 0)], f"{KINDS[name][0]}{dashes[name]}"), MODELS[name])
            for name in names
        ],
        TOP + 8,
        width,
    )
    left, right, bottom = 58.0, width - SIDE - 6, top + 230
    across = Scale(0.0, 1.0, left, right)
    up = Scale(0.5, 1.0, bottom, top + 24)
    parts += draw.axis_left(up, left, right, percent=True)
    parts += draw.axis_below(across, bottom, "share of the forgotten rows", top + 24, percent=True)
    parts.append(draw.text(SIDE, top + 10, "how often the best guess is right", "axis"))
    for name in names:
        values = attack[name]["accuracy"]
        last = len(values) - 1
        points = [(across.at(place / last), up.at(part)) for place, part in enumerate(values)]
        parts.append(draw.polyline(points, f"{KINDS[name][0]}{dashes[name]}"))
    return draw.picture(width, bottom + AXIS, parts, "attack accuracy over the forgotten rows")
