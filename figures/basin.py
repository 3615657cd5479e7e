"""Which starts reach the minimum of descent-ascent below the fold, and which run away."""

import jax.numpy as jnp
import numpy as np
from matplotlib.patches import Rectangle

import gda_theory as gt
from figures.parts import DASHED, nearest
from figures.style import COLOURS
from gda_theory.pair import basins

TITLE = "Some starts run away although a minimum exists, with large steps even the pretrained model"
CAPTION = """
In (a), each dot is a start of descent-ascent. From the light blue starts the run reached the
minimum. From the orange ones it ran away. The black curve divides them. It was computed without the
dots. It is the separatrix: the curve of starts that end at the saddle.

The example is a correlated pair with the exponential loss. Its numbers are correlation ε =
{correlation}, ridge λ = {ridge}, r = 80, f = 20, r_p = 8 and α = 0.125.

(a) The axes are the margins of the retained and of the forgotten type. The steps are small. Grey
lines show the flow, which is the limit of small steps. The other curves are the flow from the
pretrained model, from the oracle (the retrained model), and from both sides of the separatrix.

(b) The same runs are drawn in the coordinates p and y, in which the flow preserves an order. The
weights are w = p u − q v, where u and v are the two types. The margin of the forgotten type is y. A
start above and to the left of the saddle (shaded) never crosses the separatrix.

(c) Larger steps move the boundary. The curve counts the starts of (a) that end on the other side of
the separatrix. The step is in units of 2/|H|, where |H| is the largest curvature at the minimum.

(d) Each mark is a random pair below its fold, so that its minimum exists. The axes say how high the
pretrained model lies above the separatrix and above the saddle. Left of the dashed line nothing is
proved. To get there, hard pairs were drawn: hardly anything is retained, the correlation is high
and the ridge is tiny. The flow from the pretrained model always reached the minimum. With steps of
0.95 · 2/|H| the run left the range in a few hard pairs (circles). Here |H| is the larger of the
curvatures at the pretrained model and at the minimum.
"""
LEMMAS = ["Sec. 5.1.2", "Eq. 1"]
SIZE = (10.5, 9.0)
PARAMETERS = {"correlation": 0.5, "ridge": 0.1}
PAIR = {
    "retain_size": 80,
    "forget_size": 20,
    "retain_in_pair": 8,
    "forget_in_pair": 1,
}
SEED = 0
WINDOW = {"x": (-1.0, 2.5), "p": (-1.0, 4.0), "y": (-3.5, 1.0)}
STEPS = 0.9 * 2.0 ** np.arange(-8, 1)  # in units of 2/|H|
SHARES = np.array([0.5, 0.95])  # for the random pairs
BATCH = 600
# Pairs where hardly anything may be retained, the correlation is high, and the ridge tiny.
HARD = np.arange(BATCH) >= BATCH // 2
ARRIVED = 1e-6  # from the minimum, relative to its size
POINTS = {
    "pretrained": ("green", "*", 16),
    "oracle": ("black", "P", 8),
    "minimum": ("blue", "o", 10),
    "saddle": ("vermillion", "X", 11),
}


def compute(preset, correlation, ridge):
    starts, batches = {"quick": (1000, 1), "paper": (2000, 10)}[preset]
    pair = gt.CorrelatedPair(correlation, ridge=ridge, **PAIR)
    weights = four_points(pair.replace(ridge=np.full(BATCH, ridge)))[
        :, 0
    ]  # the shape of the random pairs: compiled once
    descent = np.linspace(
        -3, 9, starts
    )  # one shape for all that is asked of a basin: each would be compiled
    boundary = basins.separatrix(pair, descent)
    return {
        "points": coordinates(pair, weights),
        "separatrix": coordinates(pair, basins.weights_at(pair, boundary, descent)),
        "runs": runs(pair, weights, boundary, descent),
        "field": field(pair),
        "starts": outcomes(pair, weights[2], starts),
        "random": random_pairs(batches),
    }


def four_points(pair):
    """Weights of pretraining, the oracle, the minimum of descent-ascent and the saddle."""
    minimum, saddle = jnp.moveaxis(gt.pair.stationary_points(pair).weights, -2, 0)
    return jnp.stack(
        [gt.pair.pretrain(pair).weights, gt.pair.retrain(pair).weights, minimum, saddle]
    )


def coordinates(pair, weights):
    """Margins, and the coordinates in which the flow preserves an order.

    Both are linear in the weights, so they serve for a velocity too.
    """
    place = basins.order_coordinates(pair, weights)
    return {"x": jnp.sum(weights * pair.types[0], -1), "y": place.y, "p": place.p}


def with_margins(pair, x, y):
    """The weights with these margins."""
    return np.linalg.solve(pair.types, np.stack([x, y], -1)[..., None])[..., 0]


def field(pair):
    """The flow in units of the ridge, on a grid of ``x``, ``y`` and on a grid of ``p``, ``y``."""
    x, y, p = (np.linspace(*WINDOW[name], 41) for name in "xyp")
    across, up = np.meshgrid(p, y)
    grids = {"x": with_margins(pair, *np.meshgrid(x, y)), "p": basins.weights_at(pair, up, across)}
    flows = {
        name: coordinates(pair, -pair.objective().gradient(weights) / pair.ridge)
        for name, weights in grids.items()
    }
    return {
        "x": x,
        "y": y,
        "p": p,
        "flow": {name: {"across": flow[name], "up": flow["y"]} for name, flow in flows.items()},
    }


def runs(pair, weights, boundary, descent):
    """From pretraining and the oracle, and from either side of the separatrix."""
    index = nearest(descent, 3.5)
    beside = basins.weights_at(pair, boundary[index] + np.array([0.05, -0.05]), descent[index])
    start = jnp.concatenate([weights[:2], beside])
    run = gt.simulate(
        pair, start, step_size=0.05, epochs=6000, observe=gt.recorded_weights, observe_every=10
    )
    return coordinates(pair, run.observed)


def outcomes(pair, minimum, count):
    """Starts in the window: their side of the separatrix, and whether they converge.

    The latter is tried for each size of the step.
    """
    corners = np.transpose([WINDOW["x"], WINDOW["y"]])
    x, y = np.random.default_rng(SEED).uniform(*corners, (count, 2)).T
    weights = with_margins(pair, x, y)
    largest = 2 / pair.objective().curvatures(minimum)[-1]
    ends = [
        gt.simulate(pair, weights, step_size=share * largest, epochs=100_000).outcome
        for share in STEPS
    ]
    return {
        "x": x,
        "y": y,
        "inside": basins.in_basin(pair, weights),
        "converged": np.array(ends) == gt.Outcome.CONVERGED,
    }


def random_pairs(batches):
    """For :data:`BATCH` pairs a batch: order in ``p``, height of pretraining, ends of its runs."""
    found = [
        from_pretraining(below_fold(np.random.default_rng([SEED, batch])))
        for batch in range(batches)
    ]
    return {name: np.concatenate([one[name] for one in found], -1) for name in found[0]} | {
        "hard": np.tile(HARD, batches)
    }


def below_fold(rng):
    """Random pairs below their fold. The :data:`HARD` ones come from ranges of their own."""

    def either(any_, hard):
        return np.where(HARD, rng.uniform(*hard, BATCH), rng.uniform(*any_, BATCH))

    retain = 1000 * 10 ** either((-1, -0.005), (-4, -0.3))
    ridge = 10 ** either((-6, 0.5), (-12, 0))
    correlation = 1 - 10 ** either((-1.7, -0.01), (-2.5, -0.3))
    used = retain * 10 ** rng.uniform(-2, 0, BATCH)
    pair = gt.CorrelatedPair(
        correlation, ridge=ridge, retain_size=retain, forget_size=1000 - retain, retain_in_pair=used
    )
    below = 1 - 10 ** rng.uniform(-4, -0.05, BATCH)
    # No more is forgotten than there is.
    alpha = np.minimum(
        below * np.asarray(gt.pair.folds(pair).critical_alpha), (1000 - retain) / used
    )
    return pair.replace(forget_in_pair=alpha * used, allow_unrealisable=True)


def from_pretraining(pair):
    """Where pretraining lies among the four points and above the separatrix, and where runs end.

    The steps are the :data:`SHARES` of 2/|H|. A run arrives at the minimum, is lost, or neither.
    """
    weights = four_points(pair)
    minimum = weights[2]
    place = basins.order_coordinates(pair, weights)
    largest = 2 / jnp.max(jnp.abs(pair.objective().curvatures(weights[::2])), (0, -1))
    ends = gt.simulate(pair, weights[0], step_size=SHARES[:, None] * largest, epochs=20_000).weights
    arrived = jnp.linalg.norm(ends - minimum, axis=-1) < ARRIVED * jnp.linalg.norm(minimum, axis=-1)
    return {
        "p": place.p,
        "above_saddle": place.y[0] - place.y[3],
        "above_separatrix": place.y[0] - basins.separatrix(pair, place.p[0]),
        "arrived": arrived,
        "lost": ~arrived & ~jnp.stack([basins.in_basin(pair, end) for end in ends]),
    }


def draw(figure, data):
    (margins, order), (steps, heights) = figure.subplots(2, 2)
    starts = data["starts"]
    p = data["points"]["p"][-1]  # of the saddle
    y = data["points"]["y"][-1]
    reached = starts["converged"][0]
    for shown, hue, label in (
        (reached, "sky", "start that converged"),
        (~reached, "orange", "start that ran away"),
    ):
        margins.plot(
            starts["x"][shown],
            starts["y"][shown],
            ".",
            ms=6,
            mew=0,
            alpha=0.8,
            color=COLOURS[hue],
            label=label,
        )
    safe = Rectangle(
        (-99, y),
        p + 99,
        99,
        color=COLOURS["sky"],
        alpha=0.25,
        lw=0,
        label="never crosses the separatrix",
    )
    order.add_patch(safe)
    draw_plane(margins, data, "x")
    draw_plane(order, data, "p")
    margins.set(xlabel="margin of the retained type x", title="(a) margins")
    margins.legend(loc="lower right", markerscale=1.0)
    order.set(
        xlabel="p, the weights' part along the retained type",
        title="(b) the coordinates with an order",
    )
    order.legend(handles=[safe], loc="lower right")
    steps.plot(STEPS, 100 * disagreements(starts) / len(reached), "o-", color=COLOURS["blue"])
    steps.set(
        xscale="log", xlabel="step η in units of 2/|H|", ylabel="starts on the other side (%)"
    )
    steps.set(title=f"(c) separatrix against simulation, {len(reached)} starts")
    draw_heights(heights, data["random"])


def draw_plane(panel, data, across):
    """The flow, separatrix, runs and the four points, over the coordinate ``across`` and y."""
    field, thin = (
        data["field"],
        {"color": "0.55", "linewidth": 0.6, "arrowsize": 0.7, "density": 0.9},
    )
    panel.streamplot(field[across], field["y"], *field["flow"][across].values(), **thin)
    panel.plot(
        data["separatrix"][across],
        data["separatrix"]["y"],
        color="black",
        lw=2.2,
        label="separatrix",
        zorder=3,
    )
    for hue, x, y in zip(
        ("green", "black", "blue", "vermillion"),
        data["runs"][across],
        data["runs"]["y"],
        strict=True,
    ):
        panel.plot(x, y, color=COLOURS[hue], lw=1.6, zorder=4)
    for (name, (hue, mark, size)), x, y in zip(
        POINTS.items(), data["points"][across], data["points"]["y"], strict=True
    ):
        panel.plot(
            x,
            y,
            mark,
            color=COLOURS[hue],
            ms=size,
            mec="white",
            mew=0.8,
            zorder=5,
            label=name,
            ls="none",
        )
    panel.set(xlim=WINDOW[across], ylim=WINDOW["y"], ylabel="margin of the forgotten type y")


def draw_heights(panel, found):
    for shown, hue, mark, label in (
        (~found["hard"], "blue", "o", "any"),
        (found["hard"], "vermillion", "^", "hard"),
    ):
        values = found["above_saddle"][shown], found["above_separatrix"][shown]
        panel.plot(
            *values,
            mark,
            color=COLOURS[hue],
            ms=4,
            mew=0,
            alpha=0.5,
            label=f"{label}: {np.sum(shown)} pairs",
        )
    panel.axvline(0, **DASHED)
    lost = found["lost"][-1]
    values = found["above_saddle"][lost], found["above_separatrix"][lost]
    panel.plot(
        *values, "o", color="black", ms=9, mfc="none", label=f"ran away, η = {SHARES[-1]:g} · 2/|H|"
    )
    panel.set(
        xscale="symlog",
        yscale="log",
        title="(d) pretraining, random pairs",
        xlabel="y above the saddle",
        ylabel="y above the separatrix",
    )
    panel.legend(loc="upper left")


def disagreements(starts):
    """How many starts end on the other side than the separatrix says, for each step."""
    return np.sum(starts["converged"] != starts["inside"], 1)


def claims(data):
    none = "not treated"
    starts = data["starts"]
    found = data["random"]
    pairs = len(found["hard"])
    height = found["above_separatrix"]
    unproved = found["above_saddle"] < 0
    wrong = disagreements(starts)
    count = len(starts["inside"])
    here = "; ".join(
        f"{wrong[index]} of {count} at η = {STEPS[index]:.3g} · 2/|H|" for index in (0, 4, 7, 8)
    )
    yield "starts that end on the other side than the separatrix predicts", none, here
    ordered = np.sum(np.all(np.diff(found["p"], axis=0) > 0, 0))
    yield "p_D < p_R < p_DA < p_saddle below the fold", none, f"{ordered} of {pairs} random pairs"
    claim = (
        "pairs below the fold where the flow from the pretrained model misses the minimum "
        "(conjecture: none)"
    )
    here = (
        f"{np.sum(~(height > 0))} of {pairs}. For {np.sum(unproved)} pairs y_D < y_saddle. "
        f"The least height above the separatrix is {np.min(height):.4g}"
    )
    yield claim, none, here
    for share, arrived, lost in zip(SHARES, found["arrived"], found["lost"], strict=True):
        here = (
            f"{np.sum(lost)} of {pairs} run away. {np.sum(~arrived & ~lost)} have not arrived "
            "after 20,000 steps"
        )
        yield (
            f"the same with steps η = {share:g} · 2/|H|, |H| the larger of start's and minimum's",
            none,
            here,
        )
