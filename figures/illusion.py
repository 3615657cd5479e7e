"""Early-stopped ascent on real data: over many forget sets, schemes, step sizes and stops."""

import dataclasses

import jax.numpy as jnp
import numpy as np

import gda_theory as gt
from figures.parts import boxes, spread
from figures.style import COLOURS
from gda_theory.dynamics import trials
from gda_theory.problem import tables as datasets

TITLE = "Early stopping makes ascent look successful, and plain descent comes near anyway"
CAPTION = """
In (a), every blue curve is a run of ascent on another forget set. It falls below 1 for a moment and
then rises. The black curve, plain descent on the retained rows, only falls. In (b), a curve that
rises at the left is good. Ascent at strength 1 (blue) almost never leaves a small part of the
distance. Plain descent (black) most often does.

The data set is breast_cancer: 569 rows and 30 standardised features. The logistic loss is averaged
over each set, and the ridge is λ = {ridge}. The forget sets are {forgotten} random rows. Runs start
at the pretrained model. Distances to the retrained model are divided by that of the pretrained
model, so 1 means doing nothing.

(a) Runs of simultaneous descent-ascent are shown at strength γ = 1 and the smallest step. Grey is
the range of plain descent.

(b) Draw the forget set, the order of the steps (scheme), the step size and the stop at random, with
the stop uniform in log epochs. The curve is the chance that at most the part on the x axis is left.
Green is ascent at strength f/(2r), half of the break-even strength f/r. At the break-even strength
ascent ends as far away as doing nothing.

(c) The boxes show the best of all 1,000 stops, for every scheme and step size. Step sizes are in
units of one over the largest curvature. One needs the retrained model to find this stop. Diamonds
are plain descent at the same epoch. Boxes hold the middle half of the forget sets.
"""
LEMMAS = ["Sec. 3", "App. B", "Fig. 2"]
SIZE = (10.5, 7.6)
PARAMETERS = {"forgotten": 28, "ridge": 1e-2}
EPOCHS = 1000
STOPS = np.unique(np.round(np.geomspace(1, EPOCHS, 31)).astype(int))
LABELS = {
    "simultaneous": "simultaneous",
    "retain_first": "retain first",
    "forget_first": "forget first",
    "ascent_then_descent": "5 of ascent,\nthen descent",
}
# Those that descend on the kept rows too.
SCHEMES = [scheme for scheme in trials.SCHEMES if scheme != "pure_ascent"]


def compute(preset, forgotten, ridge):
    draws = {"quick": 30, "paper": 400}[preset]
    problem = datasets.load("breast_cancer", forget=f"random:{forgotten}", scale_on="all").problem(
        ridge=ridge
    )
    masks = np.stack(
        [datasets.random_forget_set(len(problem.signs), forgotten, seed) for seed in range(draws)]
    )
    oracles = gt.retrain_many(problem, masks)
    pretrained = gt.pretrain(problem).weights
    objective = problem.objective()
    many = dataclasses.replace(
        objective,
        retain_weight=jnp.asarray(~masks / (~masks).sum(1, keepdims=True)),
        forget_weight=jnp.asarray(masks / forgotten),
    )
    start = jnp.broadcast_to(pretrained, oracles.weights.shape)
    ratio = float(objective.size_ratio)
    found = {
        "ratio": ratio,
        "stops": STOPS,
        "steps": np.array(trials.STEP_SIZES),
        "converged": oracles.converged,
        "strengths": {},
    }
    for name, strength in (("1", 1.0), ("f/2r", ratio / 2)):
        ran = trials.trials(
            many, start, oracles.weights, strength=strength, schemes=SCHEMES, epochs=EPOCHS
        )
        found["strengths"][name] = {trial.scheme.name: summary(trial) for trial in ran}
    descent = trials.trials(
        many, start, oracles.weights, strength=0.0, schemes=["simultaneous"], epochs=EPOCHS
    )[0]
    return {**found, "descent": summary(descent)}


def summary(trial):
    distances = np.asarray(trial.distances)
    return {
        "best": trial.best_distance,
        "best_epoch": trial.best_epoch,
        "descent": trial.descent_distance,
        "good_epochs": trial.good_epochs,
        "at_stops": distances[..., STOPS],
        "slow": distances[:, 0, np.concatenate([[0], STOPS])],
    }


def draw(figure, data):
    grid = figure.add_gridspec(2, 2)
    orbits, chances, best = (
        figure.add_subplot(place) for place in (grid[0, 0], grid[0, 1], grid[1, :])
    )
    epochs, plain, ascent = (
        np.concatenate([[0.7], data["stops"]]),
        data["descent"]["slow"],
        data["strengths"]["1"],
    )
    for index, row in enumerate(ascent["simultaneous"]["slow"]):
        orbits.plot(
            epochs,
            row,
            color=COLOURS["blue"],
            lw=0.8,
            alpha=0.6,
            label="_" if index else "descent-ascent, γ = 1",
        )
    orbits.fill_between(epochs, plain.min(0), plain.max(0), color="black", alpha=0.2, lw=0)
    orbits.plot(epochs, np.median(plain, 0), color="black", lw=2, label="plain descent")
    orbits.axhline(1, color="black", ls="--", lw=1, label="doing nothing")
    orbits.set(
        xscale="log",
        ylim=(0, 2),
        xlabel="epochs (the start at the left edge)",
        ylabel="distance to retrained / pretrained's",
    )
    orbits.set_title(f"(a) {len(plain)} forget sets, step {data['steps'][0]:g} of 1/curvature")
    orbits.legend(loc="lower left")
    for (label, values), hue in zip(
        at_random(data).items(), ("blue", "green", "black"), strict=True
    ):
        chances.plot(
            np.sort(values),
            np.arange(1, len(values) + 1) / len(values),
            color=COLOURS[hue],
            label=label,
        )
    chances.axvline(0.5, color="black", ls=":", lw=1)
    chances.set(
        xlim=(0, 1.2),
        ylim=(0, 1),
        xlabel="part of the distance left",
        ylabel="chance to leave at most this",
    )
    chances.set_title("(b) set, scheme, step and stop at random")
    chances.legend(loc="upper left")
    draw_best(best, data)


def draw_best(panel, data):
    steps = data["steps"]
    places = np.arange(len(LABELS))[:, None] * (len(steps) + 1) + np.arange(len(steps))
    for row, (name, found) in zip(places, data["strengths"]["1"].items(), strict=True):
        boxes(panel, found["best"], row, 0.6, flierprops={"markersize": 3})
        label = "_" if row[0] else "plain descent at the same epoch (median)"
        panel.plot(
            row,
            np.median(found["descent"], 0),
            "D",
            color=COLOURS["sky"],
            mec="black",
            ms=6,
            zorder=3,
            label=label,
        )
        panel.text(row.mean(), 1.06, LABELS[name], ha="center", va="bottom", fontsize=9)
    panel.axhline(1, color="black", ls="--", lw=1)
    panel.set_xticks(places.ravel(), [f"{step:g}" for step in steps] * len(LABELS))
    panel.set(
        xlabel="step size × largest curvature", ylabel="left at the best stop", ylim=(-0.03, 1.25)
    )
    panel.set_title("(c) the best of 1,000 stops, γ = 1", pad=14)
    panel.legend(loc="lower left")


def at_random(data):
    """Distances at all stops: of ascent at both strengths, and of plain descent.

    Only the schemes that ascend to the end count.
    """
    ascent, gentle = (
        np.concatenate(
            [
                found["at_stops"].ravel()
                for name, found in schemes.items()
                if name != "ascent_then_descent"
            ]
        )
        for schemes in (data["strengths"]["1"], data["strengths"]["f/2r"])
    )
    return {
        "γ = 1": ascent,
        "γ = f/(2r)": gentle,
        "plain descent": data["descent"]["at_stops"].ravel(),
    }


def claims(data):
    ascent, gentle, descent = (
        f"{100 * np.mean(values <= 0.5):.3g} %" for values in at_random(data).values()
    )
    best = np.min(
        [
            data["strengths"]["1"][name]["best"].min(1)
            for name in ("simultaneous", "retain_first", "forget_first")
        ],
        0,
    )
    return [
        (
            "part of the distance that the best scheme, step and stop leave, γ = 1",
            "may seem to work",
            spread(best, 3),
        ),
        (
            "forget sets where even this leaves more than half",
            "not treated",
            f"{np.sum(best > 0.5)} of {len(best)}",
        ),
        ("chance that a random run and stop leave at most half: γ = 1", "a matter of luck", ascent),
        ("the same: γ = f/(2r)", "not treated", gentle),
        ("the same: plain descent", "not treated", descent),
        ("oracles converged", "-", f"{np.sum(data['converged'])} of {len(best)}"),
    ]
