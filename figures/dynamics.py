"""What a run does on its way: its distance to the retrained model, and the best early stop."""

import numpy as np

import gda_theory as gt
from figures.parts import nearest
from figures.style import COLOURS
from gda_theory.dynamics import trials

TITLE = "Stopping ascent early helps only at low correlation, and plain descent needs no lucky stop"
CAPTION = """
In (a), each curve is one run of descent-ascent. It first comes nearer to the retrained model. Then
it rises above 1, where doing nothing would have been better. The dot is the best moment to stop.
With more correlation between the two types, the best distance is larger. Plain descent on the
retained rows (dashed) only comes nearer.

The example is a correlated pair with the logistic loss. Its numbers are r = 80, f = 20, r_p = 8,
f_p = 2, ridge λ = {ridge} and step η = {step_size}. All runs start at the pretrained model.
Distances to the retrained model are divided by that of the pretrained model.

(a) Runs of simultaneous descent-ascent are shown for five correlations ε. An epoch of plain descent
costs r/n = 0.8 of an epoch of ascent.

(b) Alternating steps are shown at the same ridge. Each half-step carries the whole ridge. So these
runs follow the objective with the ridge doubled, and move away earlier.

(c) Alternating steps at half the ridge follow the objective of (a).

(d) The distance of (a) is drawn for every correlation, as lines of equal distance. Thick lines are
0.5 and 1. Dots are the best stops.

(e) The curves are the part of the distance that the best stop leaves. One needs the retrained model
to find this stop. Black curves are plain descent at the same epoch, once with the same step and
once with its own best step. Ascent with that larger step would jump over the good epochs.

(f) The curves count for how many of 2,000 epochs at most half of the distance is left.
"""
LEMMAS = ["Sec. 3", "App. D.3", "Fig. 2"]
SIZE = (10.5, 8.2)
SIZES = {"retain_size": 80, "forget_size": 20, "retain_in_pair": 8, "forget_in_pair": 2}
PARAMETERS = {"ridge": 0.01, "step_size": 0.5}
EPOCHS = 2000
SHOWN = {
    0.05: "blue",
    0.2: "sky",
    0.35: "green",
    0.5: "orange",
    0.8: "vermillion",
}  # correlations of (a) to (c)
STOPS = np.unique(np.round(np.geomspace(1, EPOCHS, 120)).astype(int))
RUNS = {
    "simultaneous": ("simultaneous", "blue", "-"),
    "alternating": ("alternating", "vermillion", "-"),
    "half_ridge": ("alternating, half the ridge", "sky", "--"),
    "descent": ("plain descent", "black", ":"),
}
LEVELS = (0.25, 0.5, 1, 2, 5, 10, 20)


def compute(preset, ridge, step_size):
    fine = np.linspace(0.01, 0.99, {"quick": 50, "paper": 197}[preset])
    correlation = np.unique(np.round(np.concatenate([fine, list(SHOWN)]), 12))
    pair = gt.CorrelatedPair(correlation, ridge=ridge, loss="logistic", **SIZES)
    epochs = np.concatenate([[0], STOPS])
    return {"correlation": correlation, "epochs": epochs, **measured(pair, step_size)}


def measured(pair, ascent_step):
    """Every run at every correlation, judged by its distances at all epochs."""
    start = gt.pair.pretrain(pair).weights
    oracle = gt.pair.retrain(pair).weights
    apart = np.linalg.norm(start - oracle, axis=-1)

    def distances(problem, scheme, strength=1.0, step_size=ascent_step):
        observe = gt.distances_to(oracle[:, None])  # each lane's own oracle
        run = gt.simulate(
            problem,
            start,
            step_size=step_size,
            epochs=EPOCHS,
            scheme=scheme,
            strength=strength,
            observe=observe,
        )
        return np.asarray(run.observed[..., 0]) / apart[:, None]

    ran = {
        "simultaneous": distances(pair, "simultaneous"),
        "alternating": distances(pair, "retain_first"),
        "half_ridge": distances(pair.replace(ridge=pair.ridge / 2), "retain_first"),
        "descent": distances(pair, "simultaneous", strength=0.0),
    }
    # Descent may take steps of one over its curvature.
    swift_step = 1 / pair.objective().curvatures(start, 0.0)[:, -1]
    swift = distances(pair, "simultaneous", strength=0.0, step_size=swift_step)
    return {"runs": {name: stops(found, ran["descent"], swift) for name, found in ran.items()}}


def stops(distances, descent, swift):
    """The best early stop, how many epochs leave at most half, and what plain descent leaves then.

    ``swift`` is plain descent with a step that suits it.
    """
    found = trials.early_stop(distances, descent)
    with_swift = trials.early_stop(distances, swift)
    return found._asdict() | {
        "swift": with_swift.descent_distance,
        "distances": distances[:, np.concatenate([[0], STOPS])],
    }


def draw(figure, data):
    ways, (plane, best, width) = figure.subplots(2, 3)
    found, correlation = data["runs"], data["correlation"]
    titles = (
        "(a) simultaneous",
        "(b) alternating, same ridge",
        "(c) alternating, same effective ridge",
    )
    for panel, name, title in zip(ways, RUNS, titles, strict=False):
        curves(panel, data, name)
        panel.set_title(title)
    ways[0].legend(loc="upper left")
    draw_plane(plane, data)
    for name, (label, hue, line) in RUNS.items():
        if name != "descent":
            best.plot(
                correlation, found[name]["best_distance"], line, color=COLOURS[hue], label=label
            )
        width.plot(correlation, found[name]["good_epochs"], line, color=COLOURS[hue], label=label)
    best.plot(
        correlation,
        found["simultaneous"]["descent_distance"],
        ":",
        color="black",
        label="plain descent, same epoch",
    )
    best.plot(
        correlation,
        found["simultaneous"]["swift"],
        "-.",
        color="black",
        label="plain descent, its own step",
    )
    best.set(
        xlabel="correlation ε",
        ylabel="part of the distance left",
        ylim=(-0.03, 1.75),
        title="(e) at the best early stop",
    )
    best.legend(loc="upper left")
    width.set(
        yscale="symlog",
        ylim=(-0.3, 1e4),
        xlabel="correlation ε",
        ylabel="epochs that leave at most half",
    )
    width.set_title("(f) width of the good window")
    width.legend(loc="center right", bbox_to_anchor=(1, 0.62))


def curves(panel, data, name):
    found, descent, epochs = (
        data["runs"][name],
        data["runs"]["descent"],
        np.maximum(data["epochs"], 0.7),
    )
    for index, (correlation, hue) in enumerate(SHOWN.items()):
        lane = nearest(data["correlation"], correlation)
        panel.plot(
            epochs,
            descent["distances"][lane],
            "--",
            color="black",
            lw=1,
            label="_" if index else "plain descent",
        )
        panel.plot(
            epochs, found["distances"][lane], color=COLOURS[hue], label=f"ε = {correlation:g}"
        )
        best = max(found["best_epoch"][lane], 0.7), found["best_distance"][lane]
        panel.plot(*best, "o", color=COLOURS[hue], mec="black", ms=6, zorder=3)
    panel.axhline(trials.GOOD, color="black", lw=0.8, ls=":")
    panel.axhline(1, color="black", lw=0.8)
    panel.set(
        xscale="log",
        yscale="log",
        ylim=(0.01, 80),
        xlabel="epochs (start at the left edge)",
        ylabel="distance / pretrained's",
    )


def draw_plane(panel, data):
    found, epochs = data["runs"]["simultaneous"], data["epochs"][1:]
    distances, moved = found["distances"][:, 1:], found["best_epoch"] > 0
    # Blue is nearer than the pretrained model, red farther.
    panel.pcolormesh(
        epochs,
        data["correlation"],
        np.log10(distances),
        cmap="RdBu_r",
        vmin=-1.5,
        vmax=1.5,
        rasterized=True,
    )
    widths = [2.2 if level in (trials.GOOD, 1) else 0.8 for level in LEVELS]
    lines = panel.contour(
        epochs, data["correlation"], distances, LEVELS, colors="black", linewidths=widths
    )
    panel.clabel(lines, fmt="%g", fontsize=9)
    panel.plot(
        found["best_epoch"][moved],
        data["correlation"][moved],
        "o",
        color=COLOURS["orange"],
        mec="black",
        mew=0.4,
        ms=3.5,
    )
    panel.set(
        xscale="log",
        xlabel="epochs",
        ylabel="correlation ε",
        title="(d) simultaneous, distance / pretrained's",
    )
    panel.grid(False)


def claims(data):
    runs, correlation = data["runs"], data["correlation"]
    for name, (label, *_) in RUNS.items():
        good = runs[name]["good_epochs"]
        here = f"{correlation[good > 0].max():.3g}; at most {good.max():,} of {EPOCHS:,} epochs"
        yield (
            f"{label}: largest correlation at which a stop leaves at most half the distance",
            "not treated",
            here,
        )
    found, best = runs["simultaneous"], runs["simultaneous"]["best_distance"]
    doubled, apart = (
        np.abs(runs[name]["best_distance"] - best).max() for name in ("alternating", "half_ridge")
    )
    claim = (
        "distance left at the best stop: largest difference between alternating and simultaneous, "
        "at equal ridge and with the ridge of alternating halved"
    )
    yield claim, "the same to first order", f"{doubled:.3g}; {apart:.3g}"
    beats = np.sum(best < found["descent_distance"])
    swift = np.sum(best < found["swift"])
    claim = "correlations at which even the best stop beats plain descent at the same epoch"
    yield (
        claim,
        "not treated",
        f"{beats} of {len(correlation)}. If descent takes its own best step: {swift}",
    )
