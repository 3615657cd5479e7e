"""Random forget sets on real data: accuracies, Hoeffding's band and the exact law."""

import jax
import numpy as np

import gda_theory as gt
from figures.parts import DASHED, boxes
from figures.style import COLOURS
from gda_theory.paper import random_sets
from gda_theory.problem import tables as datasets
from gda_theory.solve import minimise

TITLE = "Lemma 1 on real data: descent-ascent ruins the model before the gap of accuracies shows it"
CAPTION = """
In (a), each mark is a model. Retrained models (blue), called oracles, are in the upper right
corner. They classify nearly all forgotten and test rows correctly. Models of descent-ascent lie
farther down along the diagonal. They are wrong on forgotten and on test rows alike. Most marks stay
between the lines, so the gap between the two accuracies does not show that the model is ruined. A
large gap proves that a model is not a retrained one. A small gap proves nothing.

The data set is breast_cancer: 569 rows and 30 standardised features. The logistic loss is averaged
over each set, the ridge is λ = 0.01, and there is no intercept. The rows are split at random, many
times, into 57 rows to forget, 171 to test and 341 to retain.

(a) The models of descent-ascent are of two kinds. One kind is its minima at strength γ = 0.3. The
other kind is the points where descent ends at the paper's γ = 1, at which the minimum is lost.
Dashed: Hoeffding's 95 % band for a finite test set. Solid: the band from the exact law of a random
subset of the rows that the retrained model never saw.

(b) The boxes are the gap for each strength. The numbers above say how many minima were found, and
how many lie outside the exact band (bars: its median). Boxes hold the middle half, and whiskers
hold 90 %.

(c) How often is the gap of a retrained model at least t? The steps are measured, with one standard
error. The other curves are the exact law and the bounds.

(d) This panel shows why the size m of the test set belongs in the bound. Here f = 400 rows are
forgotten, m = 20 are tested, and each is right with probability p = ½. The bound for the accuracy
on the whole population is then far below the true probability.
"""
LEMMAS = ["Lemma 1", "Lemma 11", "Sec. 4"]
SIZE = (10.5, 9.0)
FORGET, TEST, RIDGE, SEED = 57, 171, 1e-2, 0
STRENGTHS = np.array([0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0])
MODELS = (*map("{:g}".format, STRENGTHS), "end")
SHOWN, PAPER_STRENGTH, SIGNIFICANCE = 0.3, 1.0, 0.05
SMALL = {"forget_size": 400, "test_size": 20}  # (d)
SIZES = {"forget_size": FORGET, "test_size": TEST}


def compute(preset):
    draws = {"quick": 200, "paper": 2000}[preset]
    problem = datasets.load("breast_cancer", forget=f"random:{FORGET}", scale_on="all").problem(
        ridge=RIDGE
    )
    orders = jax.vmap(lambda key: jax.random.permutation(key, len(problem.signs)))(
        jax.random.split(jax.random.key(SEED), draws)
    )
    accuracies, reason = map(
        np.stack, zip(*(split(problem, order) for order in np.asarray(orders)), strict=True)
    )
    found = np.isfinite(accuracies[:, 0])
    # All models in one call, which compiles once.
    number, together = np.nonzero(found)[1], tested(*np.moveaxis(accuracies, 1, 0)[:, found])
    models = {
        name: {key: values[number == place] for key, values in together.items()}
        for place, name in enumerate(MODELS)
    }
    gap, total, oracles = np.linspace(0, 0.4, 161), np.arange(FORGET + TEST + 1), models["0"]
    # Gaps are multiples of 1/171.
    measured = np.mean(np.abs(oracles["gap"]) >= gap[:, None] - 1e-9, 1)
    exact = np.mean(
        random_sets.two_sided_subset(gap[:, None], correct=oracles["correct"], **SIZES), 1
    )
    return {
        "models": models,  # that were found, by strength; "end": where descent ends at the paper's
        "reason": reason,  # gt.Reason, by strength
        "band": {
            "hoeffding": random_sets.two_sided_half_width(SIGNIFICANCE, **SIZES),
            "accuracy": total / total[-1],  # over both sets
            "exact": random_sets.two_sided_subset_half_width(SIGNIFICANCE, correct=total, **SIZES),
        },
        "oracles": laws(gap, exact, **SIZES) | {"measured": measured},
        "small": small(np.linspace(0, 0.6, 121)),
    }


def split(problem, order):
    """Forget and test accuracy ``(2, models)`` of one split, NaN where there is no minimum.

    The models are the path from the oracle, and where descent ends at strength 1.
    """
    forgotten = order[:FORGET]
    held_out = order[FORGET : FORGET + TEST]
    forget = np.zeros(len(order), bool)
    forget[forgotten] = True
    weight = np.ones(len(order))
    weight[held_out] = 0
    shown = problem.replace(forget=forget, sample_weight=weight)
    path = gt.ascent_path(shown, STRENGTHS)
    end = minimise.solve(shown.objective(), PAPER_STRENGTH, path.pretrained.weights)
    weights = np.vstack([path.weights, end.weights])
    types = np.asarray(shown.signs[:, None] * shown.features)
    right = [np.mean(types[rows] @ weights.T > 0, 0) for rows in (forgotten, held_out)]
    return np.where(np.isnan(weights[:, 0]), np.nan, right), np.asarray(path.reason)


def tested(forget, test):
    """Accuracies, their gap, the number right in both sets, and the gap's exact probability."""
    gap = test - forget
    correct = np.round(forget * FORGET + test * TEST)
    probability = random_sets.two_sided_subset(np.abs(gap), correct=correct, **SIZES)
    return {
        "forget": forget,
        "test": test,
        "gap": gap,
        "correct": correct,
        "probability": probability,
    }


def laws(gap, exact, forget_size, test_size):
    """The probability of a gap: exact, and Hoeffding's bounds.

    The bounds are for the accuracy on a finite test set and for that on the population.
    """
    finite = random_sets.two_sided_bound(gap, forget_size=forget_size, test_size=test_size)
    return {
        "gap": gap,
        "exact": exact,
        "finite": finite,
        "population": random_sets.two_sided_bound(gap, forget_size=forget_size),
    }


def small(gap):
    along, at = (
        laws(t, random_sets.two_sided_binomial(t, accuracy=0.5, **SMALL), **SMALL)
        for t in (gap, 0.2)
    )
    return along | {
        "at": at | {"worst": random_sets.worst_two_sided_binomial(0.2, **SMALL).probability}
    }


def draw(figure, data):
    (plane, gaps), (oracles, example) = figure.subplots(2, 2)
    draw_plane(plane, data)
    draw_gaps(gaps, data)
    gap = data["oracles"]["gap"]
    measured = data["oracles"]["measured"]
    count = len(data["reason"])
    at = data["small"]["at"]
    tails(oracles, data["oracles"], 2e-3)
    error = np.sqrt(measured * (1 - measured) / count)
    oracles.step(
        gap,
        np.where(measured > 0, measured, np.nan),
        where="pre",
        color="black",
        lw=1.8,
        label=f"{count} oracles",
    )
    oracles.fill_between(
        gap, measured - error, measured + error, step="pre", color="black", alpha=0.2, lw=0
    )
    oracles.set_title(f"(c) oracles, f = {FORGET}, m = {TEST}")
    oracles.legend(loc="upper right")
    tails(example, data["small"], 1e-8)
    example.plot(0.2, at["exact"], "o", color=COLOURS["green"], mec="black", zorder=4)
    example.text(
        0.165,
        2e-5,
        f"at t = 0.2: {at['exact']:.2g};\nthe population's\nform says {at['population']:.2g}",
    )
    example.plot([0.2, 0.2], [7e-4, at["exact"]], color="black", lw=0.8)
    example.set_title("(d) f = 400, m = 20, accuracy p = ½")
    example.legend(loc="lower left", bbox_to_anchor=(0.26, 0))


def draw_plane(panel, data):
    band, models, diagonal = data["band"], data["models"], np.array([0, 1])
    for label, hue, mark, model in (
        ("oracles (γ = 0)", "blue", "o", models["0"]),
        (f"minima at γ = {SHOWN:g}", "orange", "s", models[f"{SHOWN:g}"]),
        (f"ends at γ = {PAPER_STRENGTH:g}", "vermillion", "^", models["end"]),
    ):
        panel.plot(
            model["test"],
            model["forget"],
            mark,
            color=COLOURS[hue],
            ms=4,
            alpha=0.45,
            mew=0,
            label=label,
        )
    for sign, labels in ((-1, "__"), (1, ("Hoeffding, 95 %", "exact law, 95 %"))):
        panel.plot(diagonal, diagonal + sign * band["hoeffding"], **DASHED, label=labels[0])
        # A gap at the same number of errors over both sets.
        test = band["accuracy"] - sign * band["exact"] * FORGET / (FORGET + TEST)
        panel.plot(test, test + sign * band["exact"], color="black", lw=1.0, label=labels[1])
    panel.set(
        xlim=(0, 1.01),
        ylim=(0, 1.01),
        xlabel="test accuracy",
        ylabel="forget accuracy",
        title="(a) forget against test accuracy",
    )
    panel.set_aspect("equal")
    panel.legend(loc="lower right", borderpad=0.3, handlelength=1.6)


def draw_gaps(panel, data):
    models, band = data["models"], data["band"]
    for place, found in enumerate(models.values()):
        boxes(
            panel,
            [-found["gap"]],
            [place],
            0.55,
            whis=(5, 95),
            flierprops={"markersize": 3, "alpha": 0.5},
        )
        width = np.median(band["exact"][found["correct"].astype(int)])
        for sign in (-1, 1):
            label = "exact law, 95 %" if place == 0 and sign > 0 else "_"
            panel.plot(
                [place - 0.42, place + 0.42],
                [sign * width] * 2,
                color=COLOURS["blue"],
                lw=2,
                label=label,
            )
        outside = np.sum(found["probability"] <= SIGNIFICANCE)
        panel.text(
            place, 0.36, f"{len(found['gap'])}\n{outside}", ha="center", va="top", fontsize=9
        )
    panel.text(-0.62, 0.36, "found\noutside", ha="right", va="top", fontsize=9)
    for sign, label in ((-1, "_"), (1, "Hoeffding, 95 %")):
        panel.axhline(sign * band["hoeffding"], **DASHED, label=label)
    panel.axhline(0, color="black", lw=0.8)
    panel.set_xticks(range(len(models)), list(models))
    panel.set(
        xlim=(-1.75, len(models) - 0.4),
        ylim=(-0.32, 0.37),
        xlabel="ascent strength γ (0: oracle; end: of descent at γ = 1)",
    )
    panel.set(ylabel="forget − test accuracy", title=f"(b) {len(data['reason'])} random splits")
    panel.legend(loc="lower center", ncols=2)


def tails(panel, found, least):
    panel.plot(
        found["gap"],
        found["exact"],
        drawstyle="steps-pre",
        color=COLOURS["green"],
        label="exact law",
    )
    panel.plot(found["gap"], found["finite"], color="black", ls="--", label="Hoeffding, m tested")
    panel.plot(
        found["gap"],
        found["population"],
        color=COLOURS["vermillion"],
        ls=":",
        label="Hoeffding, population",
    )
    panel.set(
        yscale="log",
        ylim=(least, 1.5),
        xlim=(0, found["gap"][-1]),
        xlabel="gap t",
        ylabel="P(|test − forget accuracy| ≥ t)",
    )


def claims(data):
    models, at = data["models"], data["small"]["at"]

    def outside(model):
        beyond = np.abs(model["gap"]) > data["band"]["hoeffding"]
        unlikely = model["probability"] <= SIGNIFICANCE
        count = len(model["gap"])
        return f"{np.sum(beyond)} by Hoeffding, {np.sum(unlikely)} by the exact law, of {count}"

    def medians(model):
        return ", ".join(f"{name} {np.median(model[name]):.3f}" for name in ("forget", "test"))

    yield "oracles outside their 95 % band", "at most 5 %", outside(models["0"])
    for name in MODELS[1:-1]:
        yield (
            f"descent-ascent's minima at γ = {name} outside the oracles' band",
            "outside, so not an oracle",
            outside(models[name]),
        )
    yield (
        "ends of descent at γ = 1 outside the oracles' band",
        "outside, so not an oracle",
        outside(models["end"]),
    )
    yield (
        "median accuracies where descent ends at γ = 1",
        "the same as the oracle's",
        f"{medians(models['end'])} (oracle: {medians(models['0'])})",
    )
    lost, unknown = (
        np.sum(data["reason"][:, -1] == reason)
        for reason in (gt.Reason.PAST_FOLD, gt.Reason.NOT_CONVERGED)
    )
    yield (
        "minimum lost before γ = 1",
        "not treated",
        f"{lost} of {len(data['reason'])} (not followed so far: {unknown})",
    )
    here = (
        f"{at['exact']:.3f}, at most {at['worst']:.3f} for any p; "
        f"finite form: at most {at['finite']:.3f}"
    )
    yield (
        "f = 400, m = 20, p = ½: probability of a gap of 0.2",
        f"at most {at['population']:.2g} (Lemma 1's form)",
        here,
    )
