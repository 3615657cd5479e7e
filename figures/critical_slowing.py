"""Critical slowing down: just past the fold a run crawls where the minimum was, and a stopping rule takes that for success."""

import numpy as np

import gda_theory as gt
from figures.style import COLOURS

TITLE = "Why ascent past its fold seems to work: it crawls where its minimum was, with a gradient that looks like an end"
CAPTION = (
    "A correlated pair (r = 80, f = 20, r_p = 8, λ = 0.1, ε = 0.5; exponential loss), simultaneous descent-ascent from the pretrained "
    "model, at a relative distance δ = |α/α_fold − 1| from the fold at α_fold = 0.178. (a) Past the fold there is no minimum, and every "
    "run leaves the range of numbers; the time that it takes (epochs times step) against δ, for three step sizes, and the law "
    "π/(λκ√δ) of the flow, whose slope is −½ (solid; dashed: with the constant that the smallest step leaves). (b) The "
    "margin y of the forgotten samples on the way: it drops to the fold's value, rests there the longer the nearer the fold, and then "
    "falls to −∞. One run below the fold rests for good. (c) The length of the gradient in the same runs. It nearly vanishes on the way: "
    "a rule that stops at 10⁻⁴ (dashed) ends the run nearest to the fold, and reports success where no minimum exists. (d) Below the "
    "fold the minimum is reached ever more slowly: the smallest curvature at the minimum, the decay that the simulator shows, "
    "and the law 2λκ√δ."
)
LEMMAS = ["Sec. 5.1.2", "Lemma 8", "App. H"]
SIZE = (10.5, 8.2)
RIDGE, CORRELATION = 0.1, 0.5
SIZES = {"retain_size": 80, "forget_size": 20, "retain_in_pair": 8}
STEPS = (0.25, 1.0, 4.0)
NEAREST, LAW = 1e-6, 1e-4  # distances to the fold: the smallest, and up to where the law is fitted
CRAWLS, RESTS, EPOCHS = (1e-1, 1e-2, 1e-3, 1e-4), -1e-2, 6000  # (b) and (c), above and below the fold, at step 1
RULE = 1e-4  # scikit-learn's default tolerance
AWAY, SETTLE = 1e-3, 100  # (d): displacement over the square root of delta; epochs, twice: the first let the fast direction die out
HUES = ("blue", "green", "orange", "vermillion", "black")
MARKS = {0.25: ("blue", "o"), 1.0: ("green", "s"), 4.0: ("vermillion", "^")}


def compute(preset):
    distance = np.geomspace(NEAREST, 1, {"quick": 25, "paper": 97}[preset])
    pair = gt.CorrelatedPair(CORRELATION, ridge=RIDGE, **SIZES)
    fold = gt.pair.folds(pair)
    rates = gt.pair.fold_rates(pair, distance)
    alpha, law = float(np.asarray(fold.alpha)[0]), np.asarray(rates.escape_time)
    steps = int(1.1 * max(law) / min(STEPS))
    runs = gt.sweep(pair, pretrained, alpha=alpha * (1 + distance), step_size=np.array(STEPS), steps=steps)
    crawl, below = followed(pair, alpha, distance[distance < 0.9])
    return {
        "fold_alpha": alpha,
        "fold_margin": float(np.asarray(fold.y)[0]),
        "coefficient": float(rates.coefficient),
        "step_size": np.array(STEPS),
        "escape": {"distance": distance, "outcome": runs.outcome.T, "time": (runs.step * STEPS).T, "law": law},
        "crawl": crawl,
        "rate": below | {"law": np.asarray(rates.slowest_rate)[distance < 0.9]},
    }


def pretrained(pair):
    return gt.pair.pretrain(pair).weights


def followed(pair, fold, below):
    """Runs at step 1, recorded: from the pretrained model at some distances, and from beside the minimum at the distances ``below``."""
    shown = np.array([*CRAWLS, RESTS])
    pair = gt.grid(pair, alpha=fold * (1 + np.concatenate([shown, -below])))
    # NumPy's arrays: each new index would compile a program in JAX.
    minimum, oracle, trained = (np.asarray(find(pair).weights) for find in (gt.pair.descent_ascent, gt.pair.retrain, gt.pair.pretrain))
    beside = minimum + AWAY * np.sqrt(np.concatenate([shown, below]).clip(0))[:, None] * (oracle - minimum)
    start = np.where(np.arange(len(minimum))[:, None] < len(shown), trained, beside)
    run = gt.simulate(pair, start, step_size=1.0, steps=EPOCHS, observe=gt.recorded_weights)
    weights = np.moveaxis(np.asarray(run.observed), 1, 0)  # epoch, run, coordinate
    crawl = crawls(weights[:, : len(shown)], np.asarray(run.steps)[: len(shown)], np.asarray(pair.types)[0, 1])
    # Each epoch multiplies the distance by one less the slowest rate, once the faster one has died out.
    middle, end = np.linalg.norm(weights[[SETTLE, 2 * SETTLE], len(shown) :] - minimum[len(shown) :], axis=-1)
    curvature = np.linalg.eigvalsh(np.asarray(pair.objective().hessian(minimum, 1.0))[len(shown) :])[:, 0]
    return {"distance": shown} | crawl, {"distance": below, "curvature": curvature, "simulated": 1 - (end / middle) ** (1 / SETTLE)}


def crawls(weights, steps, forgotten):
    """The forgotten margin and the gradient's length at epochs evenly spaced in their logarithm, and at the last before an escape."""
    ends = (steps[:, None] - np.arange(40)).ravel()
    epochs = np.unique(np.concatenate([[0], np.round(np.geomspace(1, EPOCHS - 1, 300)), ends[ends < EPOCHS]])).astype(int)
    there = epochs[:, None] < steps
    gradient = np.linalg.norm(np.diff(weights, axis=0), axis=-1)[epochs]  # at step 1 a gradient is a move
    return {
        "epochs": epochs,
        "margin": np.where(there, weights[epochs] @ forgotten, np.nan).T,
        "gradient": np.where(there, gradient, np.nan).T,
    }


def draw(figure, data):
    (escape, margin), (gradient, rate) = figure.subplots(2, 2)
    found = data["escape"]
    for step, time in zip(data["step_size"], found["time"], strict=True):
        hue, mark = MARKS[float(step)]
        escape.plot(found["distance"], time, mark, color=COLOURS[hue], mfc="none", ms=6, label=f"step {step:g}")
    escape.plot(found["distance"], found["law"], color="black", label="π/(λκ√δ)")
    corrected = found["law"] + laws(data)["constant"][0]
    escape.plot(found["distance"], np.where(corrected > 5, corrected, np.nan), "--", color="black", lw=1.2, label="with its constant")
    escape.set(xscale="log", yscale="log", xlabel="distance to the fold δ", ylabel="time to escape (epochs × step, 1/loss)")
    escape.set_title("(a) past the fold: escape")
    escape.legend()
    crawl = data["crawl"]
    epochs = np.where(crawl["epochs"], crawl["epochs"], 0.7)
    for distance, hue, one, speed in zip(crawl["distance"], HUES, crawl["margin"], crawl["gradient"], strict=True):
        label = f"δ = {distance:g}" if distance > 0 else f"below: δ = {-distance:g}"
        line = "-" if distance > 0 else "--"
        margin.plot(epochs, one, line, color=COLOURS[hue], label=label)
        gradient.plot(epochs, speed, line, color=COLOURS[hue], label=label)
    margin.axhline(data["fold_margin"], color="grey", lw=1, ls=":")
    margin.text(0.75, data["fold_margin"] + 0.03, "the fold", color="dimgrey", fontsize=9)
    margin.set(xscale="log", ylim=(-1.6, 0.6), xlabel="epochs (start at the left edge)", ylabel="margin y of the forgotten samples")
    margin.set_title("(b) on the way, step 1")
    margin.legend(loc="lower left")
    gradient.axhline(RULE, color="grey", ls="--", lw=1)
    gradient.set(
        xscale="log", yscale="log", ylim=(2e-6, 1), xlabel="epochs (start at the left edge)", ylabel="length of the gradient (loss)"
    )
    gradient.set_title("(c) the same runs: when would one stop?")
    below = data["rate"]
    rate.plot(below["distance"], below["curvature"], color=COLOURS["sky"], lw=4, alpha=0.8, label="smallest curvature")
    rate.plot(below["distance"], below["simulated"], "o", color=COLOURS["blue"], mfc="none", label="simulated decay")
    rate.plot(below["distance"], below["law"], color="black", label="2λκ√δ")
    rate.set(xscale="log", yscale="log", xlabel="distance to the fold δ", ylabel="slowest rate (loss)", title="(d) below the fold: decay")
    rate.legend()


def laws(data):
    """What near the fold the runs show for each step: ``time = coefficient/sqrt(distance) + constant``, and the log-log slope."""
    found = data["escape"]
    near = found["distance"] <= LAW
    root = found["distance"][near] ** -0.5
    fits = np.array([np.polyfit(root, time[near], 1) for time in found["time"]])
    slopes = [np.polyfit(np.log(found["distance"][near]), np.log(time[near]), 1)[0] for time in found["time"]]
    return {"coefficient": fits[:, 0], "constant": fits[:, 1], "slope": np.array(slopes)}


def claims(data):
    fitted, expected = laws(data), np.pi / (RIDGE * data["coefficient"])
    crawl, below = data["crawl"], data["rate"]
    fooled = [f"δ = {d:g}: {np.nanmin(g):.2g}" for d, g in zip(crawl["distance"], crawl["gradient"], strict=True) if d > 0]
    near = below["distance"] <= LAW
    slope = np.polyfit(np.log(below["distance"][near]), np.log(below["simulated"][near]), 1)[0]
    past = data["escape"]["outcome"] == gt.Outcome.LEFT_RANGE
    by_step = [f"{value:.5g}" for value in fitted["coefficient"]]
    return [
        ("runs past the fold that escape", "not treated", f"{np.sum(past)} of {past.size}"),
        (f"log-log slope of the escape time for δ ≤ {LAW:g}, smallest step", "not treated; −1/2 in theory", f"{fitted['slope'][0]:.4f}"),
        (
            f"escape time × √δ at steps {', '.join(f'{step:g}' for step in data['step_size'])}",
            f"not treated; π/(λκ) = {expected:.5g} in theory",
            ", ".join(by_step),
        ),
        ("constant beside it", "not treated", ", ".join(f"{value:.2f}" for value in fitted["constant"])),
        ("smallest gradient on the way, where no minimum exists", "not treated", "; ".join(fooled)),
        (
            f"log-log slope of the decay rate below the fold for δ ≤ {LAW:g}; over the law at δ = {below['distance'][0]:g}",
            "not treated; 1/2 and 1 in theory",
            f"{slope:.4f}; {below['simulated'][0] / below['law'][0]:.5f}",
        ),
    ]
