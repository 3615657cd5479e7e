"""Large steps cycle or wander where no minimum exists; what theory says of every step."""

import jax
import numpy as np
from matplotlib.patches import Patch

import gda_theory as gt
from figures.parts import DOTTED, categories, nearest
from figures.style import COLOURS

TITLE = "Large steps can keep ascent bounded where no minimum exists: staying finite proves nothing"
CAPTION = """
In (a), a run of descent-ascent jumps between two points for ever (orange), although the objective
no longer has a stationary point. In (b), larger steps give longer cycles, and then orbits without
order. So a run that stays finite is no sign of a minimum.

The example is a correlated pair with the exponential loss (r = 80, f = 20, r_p = 80, λ = 0.01, ε =
0.5). Simultaneous descent-ascent starts at the pretrained model. The fold is the value of α at
which the minimum disappears.

(a) α lies one per cent past the fold, and the step is η = 50. Crosses are reference values. With
small steps the run would leave.

(b) The last 64 of 5,000 iterates are drawn against the step, at the same α. A mark at the bottom
says that the run left the range of numbers.

(c) For the runs of (b), the largest curvature between successive iterates is multiplied by the
step. A bounded orbit without a minimum needs at least 2 (line).

(d) The colours say what theory finds for every run after 5,000 epochs. Below the fold a minimum
exists. It is reached by steps below 2 over its largest curvature (black line). Runs with larger
steps cycle, wander or leave. Past the fold, runs with small steps leave. Only runs with too large
steps stay.
"""
LEMMAS = ["Sec. 5.1.2", "App. D.3", "App. H"]
SIZE = (10.5, 8.8)
RIDGE, CORRELATION = 0.01, 0.5
SIZES = {"retain_size": 80, "forget_size": 20, "retain_in_pair": 80}
# Parts of the fold: every second hundredth, so that 1.01 is one of them and the fold itself is not.
RELATIVE = np.linspace(0.61, 1.41, 41)
PAST, STEP = 1.01, 50.0  # of (a)
REFERENCE = ((2.67902179985, 1.71055360311), (4.67015294613, 3.08835342462))
EPOCHS = 5000
LAST = 64  # iterates that are drawn in (b)
BETWEEN = 9  # points from one iterate to the next, at which the curvature is computed
GROUPS = {  # name: hue and the causes, of runs that left the range or did not
    "reached the minimum": (
        "#CFE8DC",
        (gt.Cause.REACHED_MINIMUM, gt.Cause.TOO_FEW_EPOCHS, gt.Cause.UNDECIDED),
        None,
    ),
    "step too large: bounded": ("#F7D9A8", (gt.Cause.STEP_TOO_LARGE,), False),
    "step too large: left": (COLOURS["orange"], (gt.Cause.STEP_TOO_LARGE,), True),
    "cycle past the fold": (COLOURS["blue"], (gt.Cause.CYCLE_PAST_FOLD,), None),
    "without order past the fold": (COLOURS["sky"], (gt.Cause.DISORDER_PAST_FOLD,), None),
    "no minimum: left": ("#8C8C8C", (gt.Cause.NO_MINIMUM,), None),
    "other": (COLOURS["purple"], tuple(gt.Cause), None),
}


def compute(preset):
    steps = np.linspace(35, 105, {"quick": 281, "paper": 1401}[preset])
    pair = gt.CorrelatedPair(CORRELATION, ridge=RIDGE, **SIZES)
    fold = {name: np.asarray(getattr(gt.pair.folds(pair), name))[0] for name in ("alpha", "x", "y")}
    alpha = fold["alpha"] * RELATIVE
    runs = gt.sweep(pair, pretrained, alpha=alpha, step_size=steps, epochs=EPOCHS)
    why = jax.jit(gt.explain)(
        runs, pair.replace(forget_in_pair=alpha[:, None] * pair.retain_in_pair)
    )
    return {
        "step_size": steps,
        "fold": fold,
        "past": orbits(gt.grid(pair, alpha=fold["alpha"] * PAST), steps),
        "map": {
            "relative_alpha": RELATIVE,
            "cause": why.cause,
            "left": runs.outcome == gt.Outcome.LEFT_RANGE,
            "stable_step": np.where(RELATIVE < 1, why.stable_step[:, 0], np.nan),
        },
    }


def pretrained(pair):
    return gt.pair.pretrain(pair).weights


def orbits(pair, steps):
    """Runs at many steps: the one at ``STEP``, and the last iterates of all.

    With the largest curvature between these. NaN for runs that left the range of numbers.
    """
    run = gt.simulate(
        pair, pretrained(pair), step_size=steps, epochs=EPOCHS, observe=gt.recorded_weights
    )
    stayed = np.asarray(run.outcome) != gt.Outcome.LEFT_RANGE
    weights, types = np.asarray(run.observed), np.asarray(pair.types)
    last = np.where(stayed[:, None, None], weights[:, -LAST:], np.nan)
    part = np.linspace(0, 1, BETWEEN)[:, None, None, None]
    curvatures = np.abs(pair.objective().curvatures((1 - part) * last[:, :-1] + part * last[:, 1:]))
    return {
        "orbit": weights[nearest(steps, STEP)] @ types.T,
        "margins": last @ types.T,
        "curvature": np.where(stayed, curvatures.max((0, 2, 3)), np.nan),
        "period": np.where(stayed, run.period, -1),
    }


def draw(figure, data):
    (plane, diagram), (bound, regions) = figure.subplots(2, 2)
    past, steps = data["past"], data["step_size"]
    draw_orbit(plane, past["orbit"], data["fold"])
    margin = past["margins"][:, :, 1]
    gone = steps[~np.isfinite(margin[:, 0])]
    diagram.plot(
        np.repeat(steps, LAST),
        margin.ravel(),
        ".",
        color=COLOURS["blue"],
        ms=1.8,
        mew=0,
        rasterized=True,
    )
    diagram.plot(
        gone,
        np.full(len(gone), -0.9),
        "|",
        color=COLOURS["vermillion"],
        ms=6,
        label="left the range",
    )
    diagram.set(
        xlabel="step η (1/loss)",
        ylabel="last margins y of the forgotten rows",
        title=f"(b) last iterates, α = {PAST:g} × fold",
    )
    diagram.set(yscale="symlog", ylim=(-1.2, 200), xlim=steps[[0, -1]])  # linear between -2 and 2
    diagram.set_yticks([0, 1, 10, 100], ["0", "1", "10", "100"])
    diagram.legend(loc="upper left")
    bound.plot(
        steps,
        steps * past["curvature"],
        "o",
        color=COLOURS["blue"],
        ms=3,
        label="bounded orbits past the fold",
    )
    bound.axhline(2, color="black", label="2: what they need")
    bound.set(
        yscale="log",
        xlim=steps[[0, -1]],
        xlabel="step η (1/loss)",
        ylabel="step × largest curvature met",
    )
    bound.set_title(f"(c) the bound, α = {PAST:g} × fold")
    bound.legend()
    figure.legend(handles=draw_map(regions, data), loc="outside lower center", ncols=3, title="(d)")


def draw_orbit(panel, orbit, fold):
    panel.plot(*orbit[:200].T, "-", color=COLOURS["sky"], lw=0.6)
    panel.plot(*orbit[:200].T, ".", color=COLOURS["blue"], ms=4, label="iterates")
    panel.plot(
        *orbit[0],
        "*",
        color=COLOURS["green"],
        mec="black",
        ms=13,
        ls="none",
        label="pretrained",
        zorder=4,
    )
    panel.plot(
        fold["x"],
        fold["y"],
        "D",
        color="white",
        mec="black",
        ms=6,
        ls="none",
        label="where the minimum was",
    )
    panel.plot(
        *orbit[-2:].T,
        "o",
        color=COLOURS["orange"],
        mec="black",
        ms=10,
        ls="none",
        label="cycle",
        zorder=3,
    )
    panel.plot(
        *np.transpose(REFERENCE), "x", color="black", ms=7, ls="none", label="reference", zorder=5
    )
    panel.set(xlabel="margin x of the retained rows", ylabel="margin y of the forgotten rows")
    panel.set_title(f"(a) step {STEP:g}, α = {PAST:g} × fold")
    panel.legend()


def draw_map(panel, data):
    """The causes, and a patch for each group of them that is there."""
    found = data["map"]
    group = grouped(found["cause"], found["left"])
    categories(
        panel,
        data["step_size"],
        found["relative_alpha"],
        group,
        [hue for hue, _, _ in GROUPS.values()],
    )
    panel.plot(found["stable_step"], found["relative_alpha"], color="black", label="_")
    panel.axhline(1, **DOTTED)
    panel.set(
        xlabel="step η (1/loss)", ylabel="α / α at the fold", title="(d) causes by step and α"
    )
    panel.grid(False)
    return [
        Patch(facecolor=hue, edgecolor="black", lw=0.4, label=name)
        for index, (name, (hue, _, _)) in enumerate(GROUPS.items())
        if np.any(group == index)
    ]


def grouped(cause, left):
    """The first group of each run."""
    masks = [
        np.isin(cause, causes) & (True if gone is None else left == gone)
        for _, causes, gone in GROUPS.values()
    ]
    return np.argmax(masks, 0)


def claims(data):
    past, steps, found = data["past"], data["step_size"], data["map"]
    stayed, cycle = np.isfinite(past["curvature"]), past["orbit"][-2:]
    apart = min(np.abs(cycle - REFERENCE).max(), np.abs(cycle[::-1] - REFERENCE).max())
    here = (
        "; ".join(f"({x:.11f}, {y:.11f})" for x, y in sorted(cycle.tolist()))
        + f"; they differ from the reference by {apart:.1e}"
    )
    yield (
        f"2-cycle at step {STEP:g}, α = {PAST:g} α_fold: points (x, y)",
        "w → −∞ above the threshold (App. H)",
        here,
    )
    claim = f"smallest step × curvature on the {stayed.sum()} bounded orbits past the fold"
    yield (
        claim,
        "not treated; at least 2 in theory",
        f"{np.min((steps * past['curvature'])[stayed]):.4f}",
    )
    periods = ", ".join(map(str, np.unique(past["period"][past["period"] > 0])))
    here = f"{steps[stayed].min():g} to {steps[stayed].max():g}; periods {periods}"
    yield "steps of bounded orbits, and the periods of their cycles", "not treated", here
    group = grouped(found["cause"], found["left"])[found["relative_alpha"] > 1]
    counts = {name: np.sum(group == index) for index, name in enumerate(GROUPS)}
    here = "; ".join(f"{name} {count:,}" for name, count in counts.items() if count)
    yield f"what the {group.size:,} runs past the fold do", "all leave", here
