"""Fig. 5 under every reading of its text: landscapes, fine-tuning, what the models say."""

import jax.numpy as jnp
import numpy as np

from figures.style import COLOURS
from gda_theory.paper import trap

TITLE = "The low-dimensional trap: under which reading of the paper's text its claims hold"
CAPTION = """
Look at the last panel. The paper makes three claims about its example with two parameters, one in
each colour. It needs all three at the same ridge c, the weight of the penalty. A square says that a
claim holds at this ridge. Under the literal reading of the text the three never hold together.
Under other readings they do, at small ridge.

Each row of that panel is one reading, since the text of Sec. 5.2 leaves two things open. The first
is what the output h(x) is compared with. "Literal" compares h with the labels −1 and +1, "zero one"
compares it with 0 and 1, and "signed" compares 2h − 1 with −1 and +1. The second is whether losses
are summed, or averaged as in "means". A triangle is a fold: a second minimum exists only at smaller
ridges.

Each row of the upper part is one reading at one ridge. The paper's ridge of 0.1 is c = 0.1, or
c = 0.05 if its penalty is (λ/2)|θ|². The first three panels show the objective over the parameters
(a, b), darker where it is higher: on all data D, on the retained data R, and for descent-ascent.
The line in the second panel is fine-tuning on R. It starts at the minimum of descent-ascent
(square) and ends at the diamond.

The fourth panel shows h(x) at the global minima. A disc is a cluster of points with equal x, black
for label +1 and white for label −1. A larger disc has more points. A model is right on a cluster if
h is above 0.5 for label +1, and below for label −1.

Descent-ascent adds the loss of retained points and subtracts that of forgotten ones. At x = 4 two
retained points cancel two forgotten ones. So 10 of the 12 retained points count.
"""
LEMMAS = ["Sec. 5.2", "Fig. 5", "App. B"]
SIZE = (10.5, 20.0)
CASES = [
    ("literal", 0.1),
    ("literal", 0.05),
    ("zero_one", 0.1),
    ("signed", 0.1),
    ("signed", 0.05),
    ("signed", 0.02),
]
CASES += [("literal_means", 0.05), ("zero_one_means", 0.05), ("signed_means", 0.05)]
STYLES = {"pretrain": (COLOURS["blue"], "-", "D"), "retrain": (COLOURS["green"], "--", "R")}
STYLES |= {"descent_ascent": (COLOURS["vermillion"], "-.", "descent-ascent")}
CLAIMS = {  # what the paper says of each model
    "i": "pretraining (D) is wrong only at x = 3",
    "ii": "retraining (R) is wrong only at x = 3",
    "iii": "descent-ascent is wrong only at x = 4, and fine-tuning does not leave its minimum",
}
DISCS = {"white": "cluster labelled −1", "black": "cluster labelled +1"}  # the area: its points
MARKS = {
    "global minimum": ("*", 15, COLOURS["orange"]),
    "other minimum": ("o", 8, "white"),
    "saddle": ("X", 8, COLOURS["sky"]),
}
MARKS |= {
    "fine-tuning starts": ("s", 6, COLOURS["vermillion"]),
    "ends": ("D", 5, COLOURS["vermillion"]),
}


def compute(preset):
    size, ridges = {"quick": (41, 19), "paper": (61, 61)}[preset]
    a = np.linspace(-1, 6.5, size)
    b = np.linspace(-3.4, 1, size)
    x = np.linspace(-1.6, 4.6, 125)
    ridge = np.geomspace(3e-4, 1, ridges)
    cases = {
        f"{name}, c = {c:g}": case(name, c, jnp.stack(jnp.meshgrid(a, b), -1), jnp.asarray(x))
        for name, c in CASES
    }
    holds = {
        name: np.array([[s.holds for s in trap.landscape(name, c).statements] for c in ridge])
        for name in trap.CONVENTIONS
    }
    folds = {
        name: {p: trap.folds(name, problem=p, least_ridge=ridge[0]).ridge for p in trap.PROBLEMS}
        for name in trap.CONVENTIONS
    }
    clusters = {
        "x": np.array(trap.POINTS),
        "label": np.array(trap.LABELS),
        "count": np.add(trap.RETAIN, trap.FORGET),
    }
    return {
        "a": a,
        "b": b,
        "x": x,
        "clusters": clusters,
        "cases": cases,
        "ridge": ridge,
        "holds": holds,
        "folds": folds,
    }


def case(name, ridge, plane, x):
    found = trap.landscape(name, ridge)
    weights, targets, _ = trap.arguments(name, ridge)
    problems = {}
    for problem, row in zip(trap.PROBLEMS, weights, strict=True):
        points = getattr(found, problem)
        curves = {
            "surface": trap.objective(plane, row, targets, ridge),
            "output": trap.output(jnp.asarray(points.parameters[0]), x),
        }
        problems[problem] = curves | points._asdict()
    statements = {
        "holds": np.array([s.holds for s in found.statements]),
        "found": [s.found for s in found.statements],
    }
    return {"problems": problems, "fine_tuning": found.fine_tuning, "statements": statements}


def draw(figure, data):
    top, bottom = figure.subfigures(2, 1, height_ratios=(len(data["cases"]), 2))
    rows = top.subplots(len(data["cases"]), 4, width_ratios=(1, 1, 1, 1.25), sharex="col")
    for row, (name, found) in zip(rows, data["cases"].items(), strict=True):
        for panel, problem in zip(row, STYLES, strict=False):
            landscape(panel, data, found["problems"][problem])
            panel.set_title(f"objective of {STYLES[problem][2]}")
        path = found["fine_tuning"]
        row[1].plot(*path.T, color=COLOURS["vermillion"], lw=2)
        mark(row[1], path[0], "fine-tuning starts")
        mark(row[1], path[-1], "ends")
        decisions(row[3], data, found["problems"])
        row[0].set(ylabel="b", title=name.replace("_", " ") + ": D")
        holds = zip(CLAIMS, found["statements"]["holds"], strict=True)
        row[3].set_title(
            "claims:  " + "   ".join(f"({claim}) {'✓' if true else '✗'}" for claim, true in holds)
        )
    for panel, label in zip(rows[-1], "aaax", strict=True):
        panel.set_xlabel(label)
    handles = [
        rows[0][0].plot([], [], marker, ms=size, color=hue, mec="black", label=name)[0]
        for name, (marker, size, hue) in MARKS.items()
    ]
    discs = [
        rows[0][0].plot([], [], "o", ms=9, color=hue, mec="black", label=name)[0]
        for hue, name in DISCS.items()
    ]
    top.legend(
        handles=[*handles, *rows[0][3].lines[:3], *discs],
        loc="outside upper center",
        ncols=5,
        columnspacing=1.2,
        handletextpad=0.5,
    )
    thresholds(bottom.subplots(), data)
    keys = sorted(bottom.axes[0].lines, key=lambda line: line.get_label())
    named = [line for line in keys if line.get_label()[0] in "(f"]
    bottom.legend(handles=named, loc="outside lower center", ncols=2)


def mark(panel, point, name):
    marker, size, hue = MARKS[name]
    panel.plot(*point, marker, ms=size, color=hue, mec="black", zorder=3)


def landscape(panel, data, found):
    levels = np.unique(np.quantile(found["surface"], np.linspace(0, 1, 22)))
    panel.contourf(data["a"], data["b"], found["surface"], levels, cmap="Greys", alpha=0.75)
    panel.contour(data["a"], data["b"], found["surface"], levels, colors="white", linewidths=0.4)
    for row, (point, kind) in enumerate(zip(found["parameters"], found["kind"], strict=True)):
        mark(panel, point, "saddle" if kind else "other minimum" if row else "global minimum")


def decisions(panel, data, problems):
    for problem, (hue, line, name) in STYLES.items():
        panel.plot(data["x"], problems[problem]["output"], line, color=hue, label=f"h of {name}")
    x, label, count = data["clusters"].values()
    panel.scatter(
        x,
        np.where(label > 0, 1.2, -0.2),
        30 * count,
        color=np.where(label > 0, "black", "white"),
        ec="black",
    )
    panel.axhline(0.5, color="grey", lw=0.8)
    panel.set(ylim=(-0.45, 1.45), xlim=(-1.6, 4.6), ylabel="h(x)", yticks=(0, 0.5, 1))


def thresholds(panel, data):
    for row, (name, holds) in enumerate(data["holds"].items()):
        for claim, (problem, (hue, _, letter)) in enumerate(STYLES.items()):
            height = row + 0.22 * (claim - 1)
            folds = data["folds"][name][problem]
            number, statement = list(CLAIMS.items())[claim]
            label = f"({number}) {statement}"
            panel.plot(
                data["ridge"],
                np.where(holds[:, claim], height, np.nan),
                "s",
                ms=3.5,
                color=hue,
                label=label if not row else None,
            )
            label = f"fold of {letter}: a second minimum below" if not row and len(folds) else None
            panel.plot(
                folds,
                np.full(len(folds), row - 0.42),
                "<",
                ms=8,
                color=hue,
                mec="black",
                label=label,
            )
    panel.set(
        xscale="log",
        xlabel="ridge c (loss per squared parameter)",
        ylim=(len(data["holds"]) - 0.4, -0.8),
    )
    panel.set_yticks(range(len(data["holds"])), [name.replace("_", " ") for name in data["holds"]])
    panel.set_title("Where the paper's three claims hold, by reading of its text")


PAPER = {  # what each global minimum classifies rightly, according to the paper
    "pretraining on D": "13 right, 1 wrong (x = 3)",
    "retraining on R": "11 right, 1 wrong (x = 3)",
    "descent-ascent": (
        "10 right, 0 wrong of the points that do not cancel; 10 right, 2 wrong (x = 4) of all "
        "retained points; fine-tuning stays in its minimum"
    ),
}


def claims(data):
    for name, found in data["cases"].items():
        reading, ridge = name.replace("_", " ").split(", ")
        for (model, paper), here in zip(PAPER.items(), found["statements"]["found"], strict=True):
            yield f"{model}, {reading} reading, {ridge}", paper, here
    for name, folds in data["folds"].items():
        ridges = {
            problem: ", ".join(f"{c:.6g}" for c in folds[problem])
            for problem in ("pretrain", "retrain")
        }
        here = "; ".join(
            f"on {STYLES[problem][2]} if c < {listed}"
            if listed
            else f"on {STYLES[problem][2]} never"
            for problem, listed in ridges.items()
        )
        reading = name.replace("_", " ")
        yield f"a second minimum exists, {reading} reading", "on D and on R, at ridge 0.1", here
    slopes = [
        np.divide(*data["cases"][f"signed, c = {c}"]["problems"]["pretrain"]["parameters"][0])
        for c in (0.02, 0.1)
    ]
    here = (
        f"a/b at the minimum on D is {slopes[0]:.4g} at c = 0.02 and {slopes[1]:.4g} at c = 0.1 "
        "(signed reading)"
    )
    yield "App. B: the ridge moves minima only towards or away from 0", "a/b stays the same", here
