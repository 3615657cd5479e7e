"""Fig. 5 under every reading of its text: landscapes, fine-tuning, what the models say."""

import jax.numpy as jnp
import numpy as np

from figures.style import COLOURS
from gda_theory.paper import trap

TITLE = "The low-dimensional trap: under which reading of the paper's text its claims hold"
CAPTION = """
Look at the last panel. The paper makes three claims about its example with two parameters. It needs
all three at one ridge: a row where all three colours stand above each other. The literal reading of
the text has no such ridge. Other readings have one, at small ridge.

Each row of the upper part is one reading of Sec. 5.2. A reading fixes the targets (literal, zero
and one, or signed), sums or means of the losses, and the ridge c. The paper's 0.1 is c = 0.05 if it
means (λ/2)|θ|².

The first three panels of a row show the objective over the parameters (a, b), darker where it is
higher. They are for all data D, for the retained data R, and for descent-ascent. The line on R is
fine-tuning. It starts at the minimum of descent-ascent (square) and ends at the diamond.

The fourth panel shows the output h(x) at the global minima. Black discs are clusters of points with
label +1, and white discs are clusters with label −1. A larger disc has more points. A model is
right on a cluster if h is above 0.5 for label +1, and below for label −1.

A triangle in the last panel is a fold: the ridge below which a second minimum exists.
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


def claims(data):
    paper = (
        "13 right, 1 wrong | 11 right, 1 wrong | 10 right, 0 wrong of those it counts; "
        "10 right, 2 wrong of all retained; cannot leave"
    )
    for name, found in data["cases"].items():
        yield (
            f"Fig. 5 as {name}: D | R | descent-ascent",
            paper,
            " | ".join(found["statements"]["found"]),
        )
    for name, folds in data["folds"].items():
        ridges = {
            problem: ", ".join(f"{c:.6g}" for c in folds[problem])
            for problem in ("pretrain", "retrain")
        }
        here = "; ".join(
            f"{STYLES[problem][2]} below c = {listed}" for problem, listed in ridges.items()
        )
        yield f"a second minimum exists, {name}", "D and R, at ridge 0.1", here
    slopes = [
        np.divide(*data["cases"][f"signed, c = {c}"]["problems"]["pretrain"]["parameters"][0])
        for c in (0.02, 0.1)
    ]
    here = (
        f"a/b of D's minimum goes from {slopes[0]:.4g} at c = 0.02 "
        f"to {slopes[1]:.4g} at c = 0.1 (signed)"
    )
    yield "App. B: the ridge shifts minimisers only radially", "a/b does not change", here
