"""Alternating steps rest where descent-ascent has no minimum, then cycle, then are chaotic."""

import jax
import numpy as np
from matplotlib.patches import Patch

import gda_theory as gt
from figures.parts import DASHED, DOTTED, categories
from figures.style import COLOURS

TITLE = "Alternating steps come to rest where descent-ascent has no minimum at all"
CAPTION = """
In (a), the black line is the minimum of descent-ascent. It ends just right of b/a = 1, where
forgetting outweighs retaining. The marks show where alternating steps come to rest. To first order
in the step size, alternating steps are the same as descent-ascent. Yet they still come to rest far
to the right of that end, at a point that depends on the step size. In (b), farther to the right,
this point splits into a cycle of two points, then of four, and then the run becomes chaotic.

Panels (a) to (c) show one coordinate with the exponential loss. The retained rows have the
weight a = 1, and the forgotten ones have the weight b. Each half-step of an alternating run carries
the whole ridge λ, so the run follows the objective with the ridge doubled.

(a) The ridge is λ = 0.01. The minimum is drawn for the ridge doubled. In the limit of small ridge,
the resting points are w* = ln(ηa/ln(b/a)) if descent comes first, and ln(ηb/ln(b/a)) if ascent
comes first (lines).

(b) The last iterates are shown, with descent first and λ = 1e-6. Relative to ln(ηa) they do not
depend on the step η, which is 0.1 (blue) or 0.001 (orange). At b/a = e^√2 = 4.1133 (dotted) the
resting point becomes a cycle of two. No iterate lies below ln(ηa) + 1 − b/(ea) (dashed).

(c) The curve is the mean growth of a small deviation in an epoch. Up to the doubling it follows
from the multiplier 1 − ln²(b/a): one epoch multiplies the deviation by this number.

(d) A correlated pair is run with descent first for 20,000 epochs, from the oracle. Its numbers are
r = 80, f = 20, r_p = 2, λ = 0.01 and η = 1. The oracle is the model retrained without the forgotten
rows. Near ε = 1 the pair behaves like one coordinate. With little correlation nearly every run
above the fold (the black line, where the minimum ends) leaves the range of numbers.
"""
LEMMAS = ["App. D.3", "Lemma 2"]
SIZE = (10.5, 9.0)
SCHEMES = {"retain_first": ("descent first", "o", "-"), "forget_first": ("ascent first", "s", "--")}
STEPS, HUES = np.array([1e-3, 0.1]), ("orange", "blue")
RIDGE, TINY, DOUBLING = 1e-2, 1e-6, np.exp(np.sqrt(2))
RIDGES = np.array([1e-2, 1e-4, 1e-6])
PAIR = {"ridge": 0.01, "retain_size": 80, "forget_size": 20, "retain_in_pair": 2}
SPAN = (3.0, 9.5)  # of b/a in (b) and (c)
FILLS = {
    gt.Outcome.CONVERGED: ("rests", "#CFE8DC"),
    gt.Outcome.CYCLE: ("cycle", "#56B4E9"),
    gt.Outcome.MOVING: ("keeps moving", "#B8B8B8"),
    gt.Outcome.LEFT_RANGE: ("runs away", "#F3C6A5"),
}


def compute(preset):
    count, kept, across = {"quick": (360, 40, 40), "paper": (1600, 100, 160)}[preset]
    ratio = np.linspace(*SPAN, count)
    orbits = {
        f"{step:g}": last(step, ratio[::every], kept)
        for step, every in zip(STEPS, (count // 45, 1), strict=True)
    }
    return {
        "rest": rest(),
        "limit": limit(),
        "doubling": doubling(),
        "last": orbits,
        "pair": pair_map(across),
    }


def coordinate(ratio, ridge):
    """One coordinate with a = 1 and b = ``ratio``."""
    counts = {
        "retain_size": 1,
        "forget_size": 1,
        "retain_in_coordinate": 1,
        "forget_in_coordinate": ratio,
    }
    return gt.Coordinate(ridge=ridge, **counts, allow_unrealisable=True)


def slope(weights, ratio, step, ridge):
    """Derivative of one epoch, descent first, at ``weights``."""
    jacobian = jax.jit(gt.simulation.epoch_jacobian, static_argnames="scheme")
    return np.asarray(
        jacobian(
            coordinate(ratio, ridge), weights[..., None], step_size=step, scheme="retain_first"
        )
    )[..., 0, 0]


def rest():
    """Where both orders of steps rest if started at the oracle, and two references.

    These are the limit as the ridge vanishes, and the minimum of the objective that they imitate.
    """
    ratio = np.concatenate([np.linspace(0.1, 0.9, 9), np.linspace(1.05, 4.05, 21)])
    beyond = np.linspace(1.01, 4.1, 300)
    oracle = gt.coordinate.stationary_points(1.0, ridge=RIDGE).minimum[None]
    single = coordinate(ratio, RIDGE)
    options = {"step_size": STEPS[:, None], "epochs": 600_000}
    runs = {scheme: gt.simulate(single, oracle, scheme=scheme, **options) for scheme in SCHEMES}
    fine = 1 + 2 * RIDGE / np.e - np.geomspace(1e-9, 0.95, 100)[::-1]  # up to the fold
    return {
        "ratio": ratio,
        "weights": {
            scheme: np.where(run.outcome == gt.Outcome.CONVERGED, run.weights[..., 0], np.nan)
            for scheme, run in runs.items()
        },
        "beyond": beyond,
        "limit": {scheme: limit_of(beyond, STEPS[:, None], scheme) for scheme in SCHEMES},
        "minimum_ratio": fine,
        "minimum": gt.coordinate.stationary_points(1 - fine, ridge=2 * RIDGE).minimum,
    }


def limit_of(ratio, step, scheme):
    """Where the iteration rests as the ridge vanishes."""
    return gt.coordinate.alternating_rest(
        coordinate(ratio, RIDGE), step_size=step, scheme=scheme
    ).weight


def limit():
    """How far the resting points are from their limit of vanishing ridge, and the multiplier."""
    ratio = np.array([1.5, 2.0, 3.0, 4.0])
    ridge, step, _ = np.broadcast_arrays(RIDGES[:, None, None], STEPS[:, None], ratio)
    rests, off = {}, {}
    for scheme in SCHEMES:
        at = limit_of(ratio, step, scheme)
        run = gt.simulate(
            coordinate(ratio, ridge),
            at[..., None] + 0.1,
            step_size=step,
            epochs=5000,
            scheme=scheme,
        )
        rests[scheme] = run.weights[..., 0]
        off[scheme] = np.abs(rests[scheme] - at)
    return {
        "ratio": ratio,
        "off": off,
        "multiplier": slope(rests["retain_first"], ratio, step, ridge),
    }


def doubling():
    """Around the doubling: whether the iteration rests, and the period of its cycle."""
    ratio = DOUBLING + np.array(
        [-8e-3, -4e-3, -2e-3, 2e-3, 4e-3, 8e-3]
    )  # nearer, rounding alone would look like a cycle
    start, options = (
        np.log(STEPS)[:, None, None],
        {"step_size": STEPS[:, None], "epochs": 100_000, "scheme": "retain_first"},
    )
    run = gt.simulate(coordinate(ratio, TINY), start, **options)
    return {"ratio": ratio, "rests": run.outcome == gt.Outcome.CONVERGED, "period": run.period}


def last(step, ratio, kept):
    """The last iterates relative to ln(eta), and the mean growth of a deviation over many more."""
    options = {
        "step_size": step,
        "epochs": 6000,
        "scheme": "retain_first",
        "observe": gt.recorded_weights,
    }
    run = gt.simulate(coordinate(ratio, TINY), np.log([step]) + 0.5, **options)
    weights = np.asarray(run.observed)[:, 2001:, 0]  # after a transient
    growth, orbits = (
        np.log(np.abs(slope(weights, ratio[:, None], step, TINY)) + 1e-300),
        weights - np.log(step),
    )
    return {
        "ratio": ratio,
        "growth": np.mean(growth, -1),
        "period": periods(orbits),
        "lowest": orbits.min(1),
        "highest": orbits.max(1),
        "iterates": np.round(orbits[:, -kept:], 4),
    }


def periods(weights, longest=32):
    """The least period of each orbit, 0 for none: the last iterate's returns."""
    back = np.abs(weights[:, -longest - 1 : -1] - weights[:, -1:])[:, ::-1] < 1e-7
    return np.where(back.any(1), 1 + back.argmax(1), 0)


def pair_map(across):
    """Outcomes of alternating steps over correlation and b/a, and the fold.

    The fold is that of the objective that the steps imitate.
    """
    pair, scale = (
        gt.CorrelatedPair(0.5, **PAIR),
        PAIR["forget_size"] / PAIR["retain_size"],
    )  # alpha = scale b/a
    correlation, ratio = np.linspace(0.01, 0.99, across), np.geomspace(0.02, 40, across)
    swept, options = (
        {"correlation": correlation, "alpha": scale * ratio},
        {"step_size": 1.0, "epochs": 20_000, "scheme": "retain_first"},
    )
    run = gt.sweep(pair, lambda at: gt.pair.retrain(at).weights, **swept, **options)
    fold = gt.pair.folds(
        gt.grid(pair, correlation=correlation, ridge=2 * PAIR["ridge"])
    ).critical_alpha
    return {
        "correlation": correlation,
        "ratio": ratio,
        "outcome": run.outcome,
        "doubled_fold": fold / scale,
    }


def draw(figure, data):
    (points, diagram), (growth, pairs) = figure.subplots(2, 2)
    draw_rest(points, data["rest"])
    for step, hue, (marker, size), line in (
        (0.1, "blue", (".", 2.0), "-"),
        (0.001, "orange", ("o", 3.0), "o"),
    ):
        found = data["last"][f"{step:g}"]
        diagram.plot(
            found["ratio"],
            found["iterates"],
            marker,
            ms=size,
            mew=0,
            color=COLOURS[hue],
            alpha=0.6,
            rasterized=True,
        )
        growth.plot(
            found["ratio"], found["growth"], line, ms=3, color=COLOURS[hue], label=f"η = {step:g}"
        )
    ratio, stable = data["last"]["0.1"]["ratio"], np.linspace(3, DOUBLING, 200)
    diagram.plot(ratio, 1 - ratio / np.e, **DASHED, label="bound 1 − b/(ea)")
    growth.plot(
        stable,
        np.log(np.abs(1 - np.log(stable) ** 2)),
        "--",
        color="black",
        label="ln|1 − ln²(b/a)|",
        zorder=4,
    )
    growth.axhline(0, color="black", lw=0.8)
    for panel in (diagram, growth):
        panel.axvline(DOUBLING, **DOTTED)
        panel.set(xlabel="forget over retain weight b/a", xlim=ratio[[0, -1]])
    diagram.set(
        ylabel="last iterates, w − ln(ηa)",
        ylim=(-3, 8.5),
        title="(b) after the doubling at e^√2 (dotted)",
    )
    diagram.legend(loc="upper left")
    growth.set(
        ylabel="growth of a deviation, nats an epoch",
        ylim=(-2, 1),
        title="(c) below 0 cycles, above 0 chaos",
    )
    growth.legend(loc="lower right")
    draw_pair(pairs, data["pair"])


def draw_rest(panel, found):
    panel.plot(
        found["minimum_ratio"],
        found["minimum"],
        color="black",
        lw=2,
        label="minimum (ridge doubled)",
    )
    for scheme, (name, mark, line) in SCHEMES.items():
        for step, hue, limit, weights in zip(
            STEPS, HUES, found["limit"][scheme], found["weights"][scheme], strict=True
        ):
            panel.plot(found["beyond"], limit, line, color=COLOURS[hue], lw=1.2)
            options = {
                "ms": 5,
                "mfc": "none" if mark == "s" else COLOURS[hue],
                "color": COLOURS[hue],
                "ls": "none",
            }
            panel.plot(found["ratio"], weights, mark, label=f"{name}, η = {step:g}", **options)
    panel.axvline(1, color="black", lw=0.8)
    panel.set(
        xlabel="forget over retain weight b/a",
        ylabel="resting point w",
        title="(a) one coordinate",
        xlim=(0, 4.2),
    )
    panel.legend(loc="upper right")


def draw_pair(panel, found):
    categories(
        panel,
        found["correlation"],
        found["ratio"],
        found["outcome"].T,
        [FILLS[outcome][1] for outcome in sorted(FILLS)],
    )
    panel.plot(
        found["correlation"], found["doubled_fold"], color="black", label="fold, ridge doubled"
    )
    panel.axhline(DOUBLING, color="black", ls=":", label="e^√2")
    panel.set(
        yscale="log",
        xlabel="correlation ε",
        ylabel="forget over retain weight b/a = αr/f",
        title="(d) a correlated pair",
    )
    patches = [Patch(color=hue, label=name) for name, hue in FILLS.values()]
    panel.legend(
        handles=[*patches, *panel.get_legend_handles_labels()[0]], loc="lower left", ncols=2
    )


def claims(data):
    limits, near, fine, pair = data["limit"], data["doubling"], data["last"]["0.1"], data["pair"]
    ridges, same = (
        ", ".join(f"{ridge:g}" for ridge in RIDGES),
        "to first order the same as descent-ascent, which has no resting point (App. D.3)",
    )
    for scheme, (name, _, _) in SCHEMES.items():
        yield (
            f"distance |w − w*| of the resting point from its limit, λ = {ridges}, {name}",
            same,
            ", ".join(f"{off:.2g}" for off in limits["off"][scheme].max((1, 2))),
        )
    off = np.max(np.abs(limits["multiplier"][-1] - (1 - np.log(limits["ratio"]) ** 2)))
    yield (
        "multiplier at the resting point, compared with 1 − ln²(b/a), λ = 1e-6",
        "not treated",
        f"differs by at most {off:.2g}",
    )
    here = [
        f"η = {step:g}: rests up to {near['ratio'][rests].max():.5g}, "
        f"2-cycle from {near['ratio'][period == 2].min():.5g}"
        for step, rests, period in zip(STEPS, near["rests"], near["period"], strict=True)
    ]
    yield (
        "the run rests up to b/a = e^√2 = 4.1133 for every η, and is a 2-cycle beyond",
        "not treated",
        "; ".join(here),
    )
    first = {period: fine["ratio"][np.argmax(fine["period"] == period)] for period in (4, 8)}
    above = np.min(fine["lowest"] - (1 - fine["ratio"] / np.e))
    chaos = fine["ratio"][np.argmax(fine["growth"] > 0.01)]
    here = ", ".join(
        [
            *(f"{period}-cycle from {ratio:.4g}" for period, ratio in first.items()),
            f"chaos from {chaos:.4g}",
        ]
    )
    highest = np.max(fine["highest"])
    bounded = f"no run leaves: w − ln(ηa) goes from {above:.2g} above the bound to {highest:.3g}"
    yield "longer cycles and chaos at larger b/a", "not treated", f"{here}; {bounded}"
    beyond = pair["ratio"] > 1.2 * pair["doubled_fold"][:, None]
    rests, lost = (
        beyond & (pair["outcome"] == outcome)
        for outcome in (gt.Outcome.CONVERGED, gt.Outcome.LEFT_RANGE)
    )
    least = np.min(pair["correlation"][np.any(rests, 1)])
    here = f"at {np.sum(rests)} of {np.sum(beyond)} points, all with ε ≥ {least:.2g}. "
    claim = (
        "correlated pair, 20 % or more past the fold for the ridge doubled: "
        "alternating steps still come to rest"
    )
    yield claim, "not treated", f"{here}At {np.sum(lost)} points the run leaves the range"
