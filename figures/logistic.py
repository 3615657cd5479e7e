"""The exponential loss runs away where the logistic loss jumps, and does not jump back."""

import numpy as np

import gda_theory as gt
from figures.style import COLOURS

TITLE = "Past the fold the exponential loss runs away, but the logistic loss jumps to a far minimum"
CAPTION = """
In (a), follow the minima (solid lines) from the left. With both losses the minimum disappears at a
fold (dots), where it meets a saddle. The exponential loss (orange) then has no minimum at all, and
the model runs away (arrow down). The logistic loss (blue) has another minimum far below, and the
model falls to it. When α is lowered again, the model returns at a smaller α than that at which it
left.

There is a retained and a forgotten type of rows, with correlation ε. α is the number of forgotten
rows over that of retained rows.

(a) The margin of the forgotten type is drawn at every stationary point, for ε = {correlation} and
ridge λ = {ridge}. Minima are solid, and saddles are dashed.

(b) The two folds of the logistic loss are drawn in A/λ and B/λ, the weights of both types over the
ridge. Between them (shaded) there are three stationary points. The folds begin together at a cusp
(dot). The exponential loss has one fold at every ridge (dotted).

(c) The curve is the weight A/λ at the cusp. Below it the logistic loss has no fold, so the model
cannot jump.

(d) One coordinate is drawn, with the signed weight K. The minimum of the exponential loss ends at
K/λ = −1/e, where it meets the maximum. The minimum of the logistic loss exists for every K, and
falls like K/λ.
"""
LEMMAS = ["Lemma 2", "App. F", "Sec. 5.1.2"]
SIZE = (10.5, 8.5)
PARAMETERS = {"correlation": 0.5, "ridge": 0.001}  # of (a)
SIZES = {"retain_size": 80, "forget_size": 20, "retain_in_pair": 8}
HUES = {"logistic": COLOURS["blue"], "exponential": COLOURS["vermillion"]}
CORRELATIONS = {
    0.2: COLOURS["green"],
    0.5: COLOURS["blue"],
    0.8: COLOURS["purple"],
    0.95: COLOURS["orange"],
}


def compute(preset, correlation, ridge):
    example = {"correlation": correlation, "ridge": ridge, **SIZES}
    points = {"quick": 201, "paper": 1001}[preset]
    factor = np.concatenate(
        [
            np.geomspace(0.02, 1, 50, endpoint=False),
            1 + np.append(0, np.geomspace(1e-6, 1e3, points)),
        ]
    )
    correlations = np.unique(np.append(np.linspace(0.05, 0.99, points), list(CORRELATIONS)))
    cusp = gt.pair.cusp(correlations)
    born = {
        "correlation": correlations,
        "descent": np.asarray(cusp.retain_ratio),
        "ascent": np.asarray(cusp.forget_ratio),
    }
    marked = {
        name: values[np.searchsorted(correlations, list(CORRELATIONS))]
        for name, values in born.items()
    }
    # With sums and ridge 1, a type's weight is its count; the forgotten type has alpha times it.
    mass = marked["descent"][:, None] * factor
    units = {
        "ridge": 1,
        "retain_size": mass,
        "forget_size": mass,
        "retain_in_pair": mass,
        "reduction": "sum",
    }
    found = {
        loss: gt.pair.folds(
            gt.CorrelatedPair(np.array(list(CORRELATIONS))[:, None], **units, loss=loss)
        )
        for loss in HUES
    }
    return {
        "curves": {loss: hysteresis({**example, "loss": loss}, points) for loss in HUES},
        "wedge": {"descent": mass}
        | {loss: folds.alpha * mass[..., None] for loss, folds in found.items()},
        "cusp": marked,
        "cusp_line": born,
        "coordinate": {loss: one_coordinate(loss, points) for loss in HUES},
    }


def hysteresis(example, points):
    pair = gt.CorrelatedPair(**example)
    x = np.linspace(0, gt.pair.retrain(pair).x, points)
    curve = gt.pair.descent_ascent_curve(pair, x)
    folds = gt.pair.folds(pair)
    forgotten = np.nan_to_num(folds.alpha) * example["retain_in_pair"]
    ends = gt.pair.stationary_points(gt.CorrelatedPair(**example, forget_in_pair=forgotten))
    return {
        "alpha": curve.alpha,
        "y": curve.y,
        "fold_alpha": folds.alpha,
        "fold_y": folds.y,
        "points_at_fold": ends.y,
    }


def one_coordinate(loss, points):
    # Denser towards the branch point -1/e, where the branches are vertical.
    near = -np.exp(-1) * (1 - np.linspace(0, 1, points) ** 2)
    mass = np.unique(np.concatenate([near, np.linspace(-6, 6, points)]))
    return {"mass": mass} | gt.coordinate.stationary_points(mass, ridge=1, loss=loss)._asdict()


def draw(figure, data):
    (runaway, wedge), (line, single) = figure.subplots(2, 2)
    runaway.set(
        xlabel="share forgotten per retained α",
        ylabel="margin y of the forgotten type",
        xlim=(0, 1.5 * max(np.nanmax(curve["fold_alpha"]) for curve in data["curves"].values())),
        ylim=(-11, 3.5),
    )
    for loss, curve in data["curves"].items():
        branches(runaway, curve, HUES[loss], loss)
    given = data["parameters"]
    runaway.set_title(
        f"(a) ε = {given['correlation']:g}, λ = {given['ridge']:g}, r = 80, f = 20, r_p = 8"
    )
    runaway.legend(loc="lower left")
    folds, cusp = data["wedge"], data["cusp"]
    for index, (correlation, hue) in enumerate(CORRELATIONS.items()):
        mass = folds["descent"][index]
        both = folds["logistic"][index]
        wedge.plot(mass, both, "-", color=hue, label=[f"ε = {correlation:g}", "_"])
        wedge.fill_between(mass, *both.T, color=hue, alpha=0.15, lw=0)
        wedge.plot(mass, folds["exponential"][index, :, 0], ":", color=hue, lw=1.2)
        wedge.plot(
            cusp["descent"][index], cusp["ascent"][index], "o", color=hue, mec="black", zorder=3
        )
        line.plot(correlation, cusp["descent"][index], "o", color=hue, mec="black", zorder=3)
    wedge.set(
        xscale="log",
        yscale="log",
        xlabel="weight of the retained type over the ridge, A/λ",
        ylabel="weight of the forgotten type, B/λ",
    )
    wedge.set_title("(b) folds: logistic (solid), exponential (dotted)")
    wedge.legend(loc="upper left")
    line.plot(data["cusp_line"]["correlation"], data["cusp_line"]["descent"], color="black")
    line.set(
        yscale="log",
        xlabel="correlation ε",
        ylabel="weight A/λ at the cusp",
        title="(c) folds exist above the line",
    )
    for loss, branch in data["coordinate"].items():
        single.plot(branch["mass"], branch["minimum"], color=HUES[loss], label=f"{loss}: minimum")
        if not np.all(np.isnan(branch["maximum"])):
            single.plot(
                branch["mass"], branch["maximum"], "--", color=HUES[loss], label=f"{loss}: maximum"
            )
    single.set(
        xlim=(-6, 6),
        ylim=(-6.5, 2),
        xlabel="signed weight of the rows over the ridge, K/λ",
        ylabel="weight w",
        title="(d) one coordinate",
    )
    single.legend(loc="lower right")


def branches(panel, curve, hue, loss):
    alpha, y, folds = curve["alpha"], curve["y"], curve["fold_y"]
    # Along the curve y falls: first minima, between both folds saddles, then minima again.
    upper = np.nanmax(folds)
    lower = -np.inf if np.any(np.isnan(folds)) else np.nanmin(folds)
    minimum = (y >= upper) | (y <= lower)
    panel.plot(alpha, np.where(minimum, y, np.nan), "-", color=hue, label=f"{loss}: minimum")
    panel.plot(alpha, np.where(minimum, np.nan, y), "--", color=hue, label=f"{loss}: saddle")
    panel.plot(curve["fold_alpha"], folds, "o", color=hue, mec="black", zorder=3)
    for start, points, at in zip(folds, curve["points_at_fold"], curve["fold_alpha"], strict=True):
        # The jump goes to the other minimum, the farthest of the points. Without one it leaves.
        far = max(points[np.isfinite(points)], key=lambda y: abs(y - start), default=start)
        if np.isfinite(at):
            end = far if abs(far - start) > 1 else panel.get_ylim()[0]
            panel.annotate(
                "", (at, end), (at, start), arrowprops={"arrowstyle": "->", "color": hue, "lw": 1.4}
            )


def claims(data):
    (lower, upper), (proxy, _) = (data["curves"][loss]["fold_alpha"] for loss in HUES)
    yield "folds in (a), exponential loss", "w_DA → −∞ beyond a threshold", f"one, α = {proxy:.10g}"
    yield "folds in (a), logistic loss", "not treated", f"two, α = {lower:.10g} and {upper:.10g}"
    for correlation, descent, ascent in zip(*data["cusp"].values(), strict=True):
        yield (
            f"A/λ, B/λ at the cusp, ε = {correlation:g}",
            "not treated",
            f"{descent:.10g}, {ascent:.10g}",
        )
    logistic, exponential = (data["coordinate"][loss] for loss in HUES)
    first = exponential["mass"][exponential["exists"]][0]
    without = f"{np.sum(~logistic['exists'])} of {len(logistic['mass'])}"
    here = f"exponential: K/λ < {first:.6f}; logistic: {without}"
    yield "one coordinate: weights K without a minimum", "w_DA → −∞ for α > f/r", here
