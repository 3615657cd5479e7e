"""Alternating descent and ascent rests where descent-ascent has no minimum, then doubles its period, then is chaotic: the exact map."""

import jax.numpy as jnp
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

import gda_theory as gt
from figures.style import COLOURS

TITLE = "Alternating steps never lose their resting point: what is “the same to first order” differs in kind"
CAPTION = (
    "One coordinate, exponential loss: retain weight a = 1, forget weight b. (a) Where the iteration rests, ridge λ = 0.01. Simultaneous "
    "descent-ascent has a minimum up to b/a = 1 + λ/(e a) (black: with the ridge doubled, which alternating imitates) and none beyond. "
    "Alternating steps (marks) leave it there and rest on, at w* = ln(ηa/ln(b/a)) if descent goes first and ln(ηb/ln(b/a)) if ascent does "
    "(lines): a point made by the step size. (b) The last iterates, descent first, λ = 1e-6. Relative to ln(ηa) they do not depend on the "
    "step: blue η = 0.1, orange η = 0.001. At b/a = e^√2 = 4.1133 (dotted) the point turns into a 2-cycle, then 4, 8, … and chaos with "
    "windows. Nothing escapes: no iterate lies below ln(ηa) + 1 − b/(ea) (dashed), as descent comes before ascent; it pays with ever "
    "longer excursions upwards. (c) The mean growth of a small deviation an epoch; until the doubling the resting point's multiplier "
    "1 − ln²(b/a) gives it. (d) A correlated pair (r = 80, f = 20, r_p = 2, λ = 0.01, η = 1), descent first, from the oracle, after 20,000 "
    "epochs. Near ε = 1 it is one coordinate: rest beyond the fold (solid: of the doubled ridge), the doubling, bounded chaos. With little "
    "correlation descent on the retained type does not raise the forgotten margin, and nearly everything past the fold runs away."
)
LEMMAS = ["App. D.3", "Lemma 2"]
SIZE = (10.5, 9.0)
SCHEMES = {"retain_first": ("descent first", "o", "-"), "forget_first": ("ascent first", "s", "--")}
STEPS, HUES = np.array([1e-3, 0.1]), ("orange", "blue")
RIDGE, TINY, DOUBLING = 1e-2, 1e-6, np.exp(np.sqrt(2))
RIDGES = np.array([1e-2, 1e-4, 1e-6])
PAIR = {"ridge": 0.01, "retain_size": 80, "forget_size": 20, "retain_in_pair": 2}
SPAN = (3.0, 9.5)  # of b/a in (b) and (c)
FILLS = ListedColormap(["#B8B8B8", "#CFE8DC", "#56B4E9", "#F3C6A5"])  # in the order of gt.Outcome


def compute(preset):
    ratios, kept, across = {"quick": (360, 40, 40), "paper": (1600, 100, 160)}[preset]
    return {"rest": rest(), "limit": limit(), "doubling": doubling(), "last": last(ratios, kept), "pair": pair_map(across)}


def coordinate(ratio, ridge):
    """One coordinate with a = 1 and b = ``ratio`` (its size ratio plays no role here)."""
    ratio, ridge = np.broadcast_arrays(np.asarray(ratio, float), ridge)
    ones = jnp.ones(ratio.shape)
    batch = {"retain_weight": ones[..., None], "forget_weight": jnp.asarray(ratio)[..., None], "ridge": jnp.asarray(ridge)[..., None]}
    return gt.Objective(jnp.ones((1, 1)), **batch, size_ratio=ones, loss=gt.exponential, reduction="mean")


def resting_point(ratio, step, scheme):
    """The limit of small ridge, for b > a = 1."""
    return np.log(step * (ratio if scheme == "forget_first" else 1) / np.log(ratio))


def slope(weights, ratio, step, ridge):
    """Derivative of one epoch, descent first, at ``weights``."""
    shrink = 1 - step * ridge
    middle = shrink * weights + step * np.exp(-weights)
    return (shrink - step * np.exp(-weights)) * (shrink + step * ratio * np.exp(-middle))


def rest():
    """Where both orders rest, from the oracle on, and the minimum of the objective that they imitate."""
    ratio = np.concatenate([np.linspace(0.1, 0.9, 9), np.linspace(1.05, 4.05, 21)])
    start = gt.coordinate.stationary_points(1.0, ridge=RIDGE).minimum * jnp.ones((len(STEPS), len(ratio), 1))
    fold = 1 + 2 * RIDGE / np.e
    fine = fold - np.geomspace(1e-9, 0.95, 100)[::-1]
    runs = {
        scheme: gt.simulate(coordinate(ratio, RIDGE), start, step_size=STEPS[:, None], steps=600_000, scheme=scheme) for scheme in SCHEMES
    }
    return {
        "ratio": ratio,
        "weights": {scheme: run.weights[..., 0] for scheme, run in runs.items()},
        "outcome": {scheme: run.outcome for scheme, run in runs.items()},
        "minimum_ratio": fine,
        "minimum": gt.coordinate.stationary_points(1 - fine, ridge=2 * RIDGE).minimum,
    }


def limit():
    """How far the resting points are from their limit as the ridge vanishes, and the multiplier there."""
    ratio = np.array([1.5, 2.0, 3.0, 4.0])
    batch = (len(RIDGES), len(STEPS), len(ratio))
    off, multiplier = {}, np.zeros(batch)
    ridge, step = np.broadcast_to(RIDGES[:, None, None], batch), np.broadcast_to(STEPS[:, None], batch)
    for scheme in SCHEMES:
        expected = resting_point(ratio, step, scheme)
        run = gt.simulate(coordinate(ratio, ridge), expected[..., None] + 0.1, step_size=step, steps=5000, scheme=scheme)
        off[scheme] = np.abs(run.weights[..., 0] - expected)
        if scheme == "retain_first":
            multiplier = slope(np.asarray(run.weights[..., 0]), ratio, step, ridge)
    return {"ratio": ratio, "off": off, "multiplier": multiplier}


def doubling():
    """Around the doubling: whether the iteration rests, and the period of its cycle."""
    ratio = DOUBLING + np.array([-8e-3, -4e-3, -2e-3, 2e-3, 4e-3, 8e-3])  # nearer, rounding alone would look like a cycle
    start = np.broadcast_to(np.log(STEPS)[:, None, None], (len(STEPS), len(ratio), 1))
    run = gt.simulate(coordinate(ratio, TINY), start, step_size=STEPS[:, None], steps=100_000, scheme="retain_first")
    return {"ratio": ratio, "rests": run.outcome == gt.Outcome.CONVERGED, "period": run.period}


def last(count, kept):
    """The last iterates relative to ln(eta), and the mean growth of a deviation over many more; fewer are kept of the smaller step."""
    ratio = np.linspace(*SPAN, count)
    start = np.broadcast_to(np.log(STEPS)[:, None, None] + 0.5, (len(STEPS), count, 1))
    settings = {"step_size": STEPS[:, None], "steps": 6000, "scheme": "retain_first"}
    run = gt.simulate(coordinate(ratio, TINY), start, **settings, observe=gt.recorded_weights)
    weights = np.asarray(run.observed[:, :, 2001:, 0])  # after a transient
    growth = np.mean(np.log(np.abs(slope(weights, ratio[:, None], STEPS[:, None, None], TINY)) + 1e-300), -1)
    relative = weights - np.log(STEPS)[:, None, None]
    found = {}
    for index, (step, every) in enumerate(zip(STEPS, (count // 45, 1), strict=True)):
        orbits = relative[index, ::every]
        found[f"{step:g}"] = {
            "ratio": ratio[::every],
            "growth": growth[index, ::every],
            "period": periods(orbits),
            "lowest": orbits.min(1),
            "highest": orbits.max(1),
            "iterates": np.round(orbits[:, -kept:], 4),
        }
    return found


def periods(weights, longest=32):
    """The least period of each orbit, 0 for none: the last iterate's returns."""
    back = np.abs(weights[:, -longest - 1 : -1] - weights[:, -1:])[:, ::-1] < 1e-7
    return np.where(back.any(1), 1 + back.argmax(1), 0)


def pair_map(across):
    """Outcomes of alternating steps over correlation and b/a, and the folds."""
    pair = gt.CorrelatedPair(0.5, **PAIR)
    correlation, ratio = np.linspace(0.01, 0.99, across), np.geomspace(0.02, 40, across)
    scale = PAIR["forget_size"] / PAIR["retain_size"]  # alpha = scale b/a
    run = gt.sweep(
        pair,
        lambda at: gt.pair.retrain(at).weights,
        correlation=correlation,
        alpha=scale * ratio,
        step_size=1.0,
        steps=20_000,
        scheme="retain_first",
    )
    folds = [gt.pair.folds(gt.grid(pair, correlation=correlation, ridge=ridge)).critical_alpha / scale for ridge in (0.01, 0.02)]
    return {"correlation": correlation, "ratio": ratio, "outcome": run.outcome, "fold": folds[0], "doubled_fold": folds[1]}


def draw(figure, data):
    (points, diagram), (growth, pairs) = figure.subplots(2, 2)
    draw_rest(points, data["rest"])
    for step, hue in zip(STEPS[::-1], HUES[::-1], strict=True):
        found = data["last"][f"{step:g}"]
        size, marker = (2.0, ".") if step == STEPS[1] else (3.0, "o")
        diagram.plot(found["ratio"], found["iterates"], marker, ms=size, mew=0, color=COLOURS[hue], alpha=0.6, rasterized=True)
        growth.plot(found["ratio"], found["growth"], "-" if step == STEPS[1] else "o", ms=3, color=COLOURS[hue], label=f"η = {step:g}")
    ratio = data["last"]["0.1"]["ratio"]
    diagram.plot(ratio, 1 - ratio / np.e, "--", color="black", lw=1.2, label="bound 1 − b/(ea)")
    stable = np.linspace(3, DOUBLING, 200)
    growth.plot(stable, np.log(np.abs(1 - np.log(stable) ** 2)), "--", color="black", label="ln|1 − ln²(b/a)|", zorder=4)
    growth.axhline(0, color="black", lw=0.8)
    for panel in (diagram, growth):
        panel.axvline(DOUBLING, color="black", ls=":", lw=1.2)
        panel.set(xlabel="forget over retain weight b/a", xlim=ratio[[0, -1]])
    diagram.set(ylabel="last iterates, w − ln(ηa)", ylim=(-3, 8.5), title="(b) after the doubling at e^√2 (dotted)")
    diagram.legend(loc="upper left")
    growth.set(ylabel="growth of a deviation, nats an epoch", ylim=(-2, 1), title="(c) below 0 cycles, above 0 chaos")
    growth.legend(loc="lower right")
    draw_pair(pairs, data["pair"])


def draw_rest(panel, found):
    panel.plot(found["minimum_ratio"], found["minimum"], color="black", lw=2, label="minimum (ridge doubled)")
    beyond = np.linspace(1.01, 4.1, 300)
    for scheme, (name, mark, line) in SCHEMES.items():
        for index, (step, hue) in enumerate(zip(STEPS, HUES, strict=True)):
            panel.plot(beyond, resting_point(beyond, step, scheme), line, color=COLOURS[hue], lw=1.2)
            shown = found["outcome"][scheme][index] == gt.Outcome.CONVERGED
            weights = found["weights"][scheme][index]
            options = {"ms": 5, "mfc": "none" if mark == "s" else COLOURS[hue], "color": COLOURS[hue], "ls": "none"}
            panel.plot(found["ratio"][shown], weights[shown], mark, label=f"{name}, η = {step:g}", **options)
    panel.axvline(1, color="black", lw=0.8)
    panel.set(xlabel="forget over retain weight b/a", ylabel="resting point w", title="(a) one coordinate", xlim=(0, 4.2))
    panel.legend(loc="upper right")


def draw_pair(panel, found):
    panel.pcolormesh(found["correlation"], found["ratio"], found["outcome"].T, cmap=FILLS, vmin=-0.5, vmax=3.5, rasterized=True)
    panel.plot(found["correlation"], found["doubled_fold"], color="black", label="fold, ridge doubled")
    panel.axhline(DOUBLING, color="black", ls=":", label="e^√2")
    panel.set(yscale="log", xlabel="correlation ε", ylabel="forget over retain weight b/a = αr/f", title="(d) a correlated pair")
    names = {
        gt.Outcome.CONVERGED: "rests",
        gt.Outcome.CYCLE: "cycle",
        gt.Outcome.MOVING: "keeps moving",
        gt.Outcome.LEFT_RANGE: "runs away",
    }
    patches = [Patch(color=FILLS(int(code)), label=name) for code, name in names.items()]
    panel.legend(handles=[*patches, *panel.get_legend_handles_labels()[0]], loc="lower left", ncols=2)


def claims(data):
    limit_, pair, fine = data["limit"], data["pair"], data["last"]["0.1"]
    near = {
        f"{step:g}": (rests, period) for step, rests, period in zip(STEPS, *(data["doubling"][k] for k in ("rests", "period")), strict=True)
    }
    multiplier = np.max(np.abs(limit_["multiplier"][-1] - (1 - np.log(limit_["ratio"]) ** 2)))
    beyond = pair["ratio"] > 1.2 * pair["doubled_fold"][:, None]
    rests = (pair["outcome"] == gt.Outcome.CONVERGED) & beyond
    ratio = data["doubling"]["ratio"]
    above = np.min(fine["lowest"] - (1 - fine["ratio"] / np.e))
    away = f"|w − w*| at λ = {', '.join(f'{ridge:g}' for ridge in RIDGES)}"
    rows = {
        f"{away}, {name}": ", ".join(f"{off:.2g}" for off in limit_["off"][scheme].max((1, 2))) for scheme, (name, _, _) in SCHEMES.items()
    }
    rows["multiplier of the resting point, against 1 − ln²(b/a), λ = 1e-6"] = f"off by at most {multiplier:.2g}"
    rows["rests up to b/a = e^√2 = 4.1133 whatever η, then a 2-cycle"] = "; ".join(
        f"η = {step}: rests up to {ratio[quiet].max():.5g}, 2-cycle from {ratio[period == 2].min():.5g}"
        for step, (quiet, period) in near.items()
    )
    cycles = ", ".join(f"{period}-cycle from {first(fine, period):.4g}" for period in (4, 8))
    chaos = fine["ratio"][np.argmax(fine["growth"] > 0.01)]
    rows["beyond"] = (
        f"{cycles}, chaos from {chaos:.4g}; nothing escapes: w − ln(ηa) from {above:.2g} above the bound to {np.max(fine['highest']):.3g}"
    )
    rows["correlated pair, 20 % and more past the fold of the doubled ridge: alternating still rests"] = (
        f"in {np.sum(rests)} of {np.sum(beyond)} points, all with ε ≥ {np.min(pair['correlation'][np.any(rests, 1)]):.2g}; runs away in "
        f"{np.sum((pair['outcome'] == gt.Outcome.LEFT_RANGE) & beyond)}"
    )
    paper = "identical to first order to descent-ascent, which rests nowhere (App. D.3)"
    return [(claim, paper if "w*" in claim else "not treated", here) for claim, here in rows.items()]


def first(found, period):
    """The smallest b/a with a cycle of that period."""
    return found["ratio"][np.argmax(found["period"] == period)]
