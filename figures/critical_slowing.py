"""Just past the fold a run crawls where the minimum was; a stopping rule calls it a success."""

import numpy as np

import gda_theory as gt
from figures.parts import listed, log_slope
from figures.style import COLOURS

TITLE = "Why ascent without a minimum seems to work: it moves very slowly where the minimum was"
CAPTION = """
In (b), every solid curve is a run that has no minimum to go to. Still it stays for a long time near
the place where the minimum was, and then falls without end. In (c), the gradient nearly vanishes
during that time. Consider a rule that stops a run when its gradient is below 10⁻⁴
(dashed). It stops the run nearest to the fold, and reports success where no minimum exists.

The example is a correlated pair with the exponential loss. Its numbers are r = 80, f = 20, r_p = 8,
ridge λ = {ridge} and correlation ε = {correlation}. At the fold, α = α_fold, the minimum
disappears. Runs of simultaneous descent-ascent start at the pretrained model, at a relative
distance δ = |α/α_fold − 1| from the fold.

(a) Past the fold every run leaves the range of numbers. The time until then (epochs times step) is
drawn against δ, for three step sizes. The solid line is the law of the flow, π/(λκ√δ), where κ
depends on the pair. The dashed line adds the constant that was fitted at the smallest step.

(b) The curves are the margin y of the forgotten rows along the run. One run is below the fold, and
comes to rest.

(c) The curves are the length of the gradient in the same runs.

(d) Below the fold a run reaches the minimum. This takes longer where the fold is nearer. Three
rates are compared: the smallest curvature at the minimum, the decay in the simulation, and the
law 2λκ√δ.
"""
LEMMAS = ["Sec. 5.1.2", "Lemma 8", "App. H"]
SIZE = (10.5, 8.2)
PARAMETERS = {"correlation": 0.5, "ridge": 0.1}
SIZES = {"retain_size": 80, "forget_size": 20, "retain_in_pair": 8}
MARKS = {0.25: ("blue", "o"), 1.0: ("green", "s"), 4.0: ("vermillion", "^")}  # steps
STEPS = tuple(MARKS)
NEAREST = 1e-6  # the smallest distance to the fold
LAW = 1e-4  # up to this distance the law is fitted
# (b) and (c): distances past the fold and before it (negative), and epochs at step 1.
CRAWLS = (1e-1, 1e-2, 1e-3, 1e-4)
RESTS = -1e-2
EPOCHS = 6000
RULE = 1e-4  # scikit-learn's default tolerance
AWAY = 1e-3  # (d): displacement from the minimum over the square root of delta
SETTLE = 100  # (d): epochs that let the fast direction die out, then as many that are measured
HUES = ("blue", "green", "orange", "vermillion", "black")


def compute(preset, correlation, ridge):
    distance = np.geomspace(NEAREST, 1, {"quick": 25, "paper": 97}[preset])
    pair = gt.CorrelatedPair(correlation, ridge=ridge, **SIZES)
    fold = gt.pair.folds(pair)
    rates = gt.pair.fold_rates(pair, distance)
    alpha = float(fold.critical_alpha)
    law = np.asarray(rates.escape_time)
    below = distance < 0.9
    steps = int(1.1 * max(law) / min(STEPS))
    runs = gt.sweep(
        pair, pretrained, alpha=alpha * (1 + distance), step_size=np.array(STEPS), epochs=steps
    )
    shown = np.array([*CRAWLS, RESTS])
    return {
        "fold_alpha": alpha,
        "fold_margin": float(fold.y[0]),
        "coefficient": float(rates.coefficient),
        "step_size": np.array(STEPS),
        "escape": {
            "distance": distance,
            "outcome": runs.outcome.T,
            "time": (runs.seen_at * STEPS).T,
            "law": law,
        },
        "crawl": {"distance": shown} | crawls(gt.grid(pair, alpha=alpha * (1 + shown))),
        "rate": decay(gt.grid(pair, alpha=alpha * (1 - distance[below])), distance[below])
        | {"distance": distance[below], "law": np.asarray(rates.slowest_rate)[below]},
    }


def pretrained(pair):
    return gt.pair.pretrain(pair).weights


def crawls(pair):
    """Runs from the pretrained model at step 1: the forgotten margin and the gradient's length.

    They are kept at epochs evenly spaced in their logarithm, and at the last before an escape.
    """
    run = gt.simulate(
        pair, pretrained(pair), step_size=1.0, epochs=EPOCHS, observe=gt.recorded_weights
    )
    weights, steps = (
        np.moveaxis(np.asarray(run.observed), 1, 0),
        np.asarray(run.epochs),
    )  # epoch, run, coordinate
    ends = (steps[:, None] - np.arange(40)).ravel()
    epochs = np.unique(
        np.concatenate([[0], np.round(np.geomspace(1, EPOCHS - 1, 300)), ends[ends < EPOCHS]])
    ).astype(int)
    gradient = np.linalg.norm(np.diff(weights, axis=0), axis=-1)[
        epochs
    ]  # at step 1 a gradient is a move
    margin, there = weights[epochs] @ np.asarray(pair.types)[0, 1], epochs[:, None] < steps
    return {
        "epochs": epochs,
        "margin": np.where(there, margin, np.nan).T,
        "gradient": np.where(there, gradient, np.nan).T,
    }


def decay(pair, distance):
    """Below the fold: the smallest curvature at the minimum, and the decay that is simulated.

    The decay is the part of the distance to the minimum that one epoch at step 1 removes.
    """
    minimum, oracle = gt.pair.descent_ascent(pair).weights, gt.pair.retrain(pair).weights
    beside = minimum + AWAY * np.sqrt(distance)[:, None] * (oracle - minimum)
    run = gt.simulate(
        pair,
        beside,
        step_size=1.0,
        epochs=2 * SETTLE,
        observe=gt.distances_to(minimum[:, None]),
        observe_every=SETTLE,
    )
    # Once the fast direction has died out, an epoch multiplies the distance by one less this rate.
    _, middle, end = np.moveaxis(np.asarray(run.observed)[..., 0], 1, 0)
    return {
        "curvature": pair.objective().curvatures(minimum)[:, 0],
        "simulated": 1 - (end / middle) ** (1 / SETTLE),
    }


def draw(figure, data):
    (escape, margin), (gradient, rate) = figure.subplots(2, 2)
    found, crawl, below = data["escape"], data["crawl"], data["rate"]
    for (hue, mark), step, time in zip(
        MARKS.values(), data["step_size"], found["time"], strict=True
    ):
        escape.plot(
            found["distance"],
            time,
            mark,
            color=COLOURS[hue],
            mfc="none",
            ms=6,
            label=f"step {step:g}",
        )
    escape.plot(found["distance"], found["law"], color="black", label="π/(λκ√δ)")
    corrected = found["law"] + laws(data)["constant"][0]
    escape.plot(
        found["distance"],
        np.where(corrected > 5, corrected, np.nan),
        "--",
        color="black",
        lw=1.2,
        label="with its constant",
    )
    escape.set(
        xscale="log",
        yscale="log",
        xlabel="distance to the fold δ",
        ylabel="time to escape (epochs × step, 1/loss)",
    )
    escape.set_title("(a) past the fold: escape")
    escape.legend()
    for panel, name in ((margin, "margin"), (gradient, "gradient")):
        for distance, hue, values in zip(crawl["distance"], HUES, crawl[name], strict=True):
            label, line = (
                (f"δ = {distance:g}", "-") if distance > 0 else (f"below: δ = {-distance:g}", "--")
            )
            panel.plot(
                np.maximum(crawl["epochs"], 0.7), values, line, color=COLOURS[hue], label=label
            )
        panel.set(xscale="log", xlabel="epochs (start at the left edge)")
    margin.axhline(data["fold_margin"], color="grey", lw=1, ls=":")
    margin.text(0.75, data["fold_margin"] + 0.03, "the fold", color="dimgrey", fontsize=9)
    margin.set(
        ylim=(-1.6, 0.6), ylabel="margin y of the forgotten rows", title="(b) on the way, step 1"
    )
    margin.legend(loc="lower left")
    gradient.axhline(RULE, color="grey", ls="--", lw=1)
    gradient.set(
        yscale="log",
        ylim=(2e-6, 1),
        ylabel="length of the gradient (loss)",
        title="(c) the same runs: when would one stop?",
    )
    rate.plot(
        below["distance"],
        below["curvature"],
        color=COLOURS["sky"],
        lw=4,
        alpha=0.8,
        label="smallest curvature",
    )
    rate.plot(
        below["distance"],
        below["simulated"],
        "o",
        color=COLOURS["blue"],
        mfc="none",
        label="simulated decay",
    )
    rate.plot(below["distance"], below["law"], color="black", label="2λκ√δ")
    rate.set(
        xscale="log",
        yscale="log",
        xlabel="distance to the fold δ",
        ylabel="slowest rate (loss)",
        title="(d) below the fold: decay",
    )
    rate.legend()


def laws(data):
    """What the runs near the fold show for each step.

    A fit of ``time = coefficient/sqrt(distance) + constant``, and the slope of the logarithms.
    """
    near = data["escape"]["distance"] <= LAW
    distance, time = data["escape"]["distance"][near], data["escape"]["time"][:, near]
    coefficient, constant = np.polyfit(distance**-0.5, time.T, 1)
    return {
        "coefficient": coefficient,
        "constant": constant,
        "slope": np.array([log_slope(distance, row) for row in time]),
    }


def claims(data):
    none = "not treated"
    fitted = laws(data)
    expected = np.pi / (data["parameters"]["ridge"] * data["coefficient"])
    past = data["escape"]["outcome"] == gt.Outcome.LEFT_RANGE
    crawl = data["crawl"]
    below = data["rate"]
    yield "runs past the fold that escape", none, f"{np.sum(past)} of {past.size}"
    claim = f"log-log slope of the escape time for δ ≤ {LAW:g}, smallest step"
    yield claim, f"{none}; −1/2 in theory", f"{fitted['slope'][0]:.4f}"
    claim = f"escape time × √δ at steps {listed(data['step_size'])}"
    yield claim, f"{none}; π/(λκ) = {expected:.5g} in theory", listed(fitted["coefficient"], 5)
    yield (
        "constant to add to this law, at the same steps",
        none,
        ", ".join(f"{value:.2f}" for value in fitted["constant"]),
    )
    fooled = [
        f"δ = {d:g}: {np.nanmin(g):.2g}"
        for d, g in zip(crawl["distance"], crawl["gradient"], strict=True)
        if d > 0
    ]
    yield "smallest gradient during a run, where no minimum exists", none, "; ".join(fooled)
    claim = (
        f"log-log slope of the decay rate below the fold for δ ≤ {LAW:g}, and "
        f"the rate over the law at δ = {below['distance'][0]:g}"
    )
    near = below["distance"] <= LAW
    slope = log_slope(below["distance"][near], below["simulated"][near])
    here = f"{slope:.4f}; {below['simulated'][0] / below['law'][0]:.5f}"
    yield claim, f"{none}; 1/2 and 1 in theory", here
