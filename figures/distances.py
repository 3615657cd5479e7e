"""Lemmas 4 and 5, Corollary 1: how far pretraining and descent-ascent end from the oracle."""

import numpy as np

import gda_theory as gt
from figures.parts import key
from figures.style import COLOURS
from gda_theory.solve import minimise, newton

TITLE = "Forgetting a few rows hardly moves the oracle, but descent-ascent moves the model far"
CAPTION = """
Blue is the distance of the pretrained model to the oracle (the model retrained without the
forgotten rows). Orange is the distance of descent-ascent to the oracle. Wherever orange is above
blue, doing nothing is better than descent-ascent. As the ridge falls (left panels), the blue
distance shrinks and the orange one grows.

The top row has the exponential loss, and the bottom row has the logistic loss. Losses are averaged
over each set. Lines are closed forms. Markers are solutions by Newton's method on the objective
itself. α is the number of forgotten rows over that of retained rows.

Left: one coordinate, against the ridge λ, for three values of α. Pretraining stays below the bound
of Lemma 4. Descent-ascent approaches ln(1/κ), where κ = 1 − αr/f. At α = f/r it grows without limit
(Corollary 1).

Middle: one coordinate, against α, at λ = {ridge}. The bound of Lemma 4 vanishes at α = f/r. From
there on, Lemma 5 says that the distance of descent-ascent is at least the oracle's own weight. With
the exponential loss the minimum soon disappears (dotted line). With the logistic loss it never
does.

Right: a pair of correlated types of rows, at α = {pair_share}. Left of the dotted line
descent-ascent has no minimum near the oracle.
"""
LEMMAS = ["Lemma 4", "Lemma 5", "Corollary 1", "Sec. 5.1.2"]
SIZE = (11.0, 7.6)
SIZES = {"retain_size": 80, "forget_size": 20}
LOSSES = ("exponential", "logistic")
PARAMETERS = {"ridge": 0.1, "shares": (0.2, 0.2499, 0.25), "pair_share": 0.15}
NEAR = COLOURS["blue"]
FAR = COLOURS["vermillion"]
STYLES = ("-", "--", "-.")
BOUNDS = {
    "lemma_4_bound": ("sky", "Lemma 4 (above)"),
    "lemma_5_bound": ("black", "Lemma 5 (below)"),
    "rate_bound": ("orange", "ln 1/κ (above)"),
}
NAMES = ("pretrain_oracle", "descent_ascent_oracle")
EPS = 16 * np.finfo(float).eps
ROUNDING = 1 + EPS


def compute(preset, ridge, shares, pair_share):
    points, marks = {"quick": (97, 13), "paper": (601, 25)}[preset]
    along_ridge = np.geomspace(1e-12, 1e4, points)
    alpha = np.linspace(0.004, 0.5, points)
    correlation = np.linspace(0, 0.98, points)
    every = slice(None, None, (points - 1) // (marks - 1))
    # One batch: a row for each share along the ridge, and a last row along alpha.
    ridges = np.stack([*[along_ridge] * len(shares), np.full(points, ridge)])
    alphas = np.stack([*[np.full(points, share) for share in shares], alpha])
    found = {
        "ridge": along_ridge,
        "alpha": alpha,
        "correlation": correlation,
        "every": np.arange(points)[every],
    }
    for loss in LOSSES:
        line = gt.coordinate.distances(single(loss, ridges, alphas))
        last = gt.coordinate.order_range(single(loss, ridge, 0)).last
        plane = gt.pair.regime(pair(loss, correlation, ridge, pair_share))
        found[loss] = {
            "coordinate": line._asdict()
            | {"solver": solved(single(loss, ridges[:, every], alphas[:, every])), "last": last},
            "pair": named(plane.pretrain_distance, plane.descent_ascent_distance)
            | {"solver": solved(pair(loss, correlation[every], ridge, pair_share))},
        }
    return found


def single(loss, ridge, alpha):
    return gt.Coordinate(
        ridge=ridge,
        **SIZES,
        retain_in_coordinate=8,
        forget_in_coordinate=8 * np.asarray(alpha),
        loss=loss,
    )


def pair(loss, correlation, ridge, share):
    return gt.CorrelatedPair(
        correlation,
        ridge=ridge,
        **SIZES,
        retain_in_pair=8,
        forget_in_pair=8 * share,
        loss=loss,
    )


def named(*values):
    return dict(zip(NAMES, values, strict=True))


def solved(problem):
    """Distances by Newton's method from the origin, NaN where it did not converge."""
    oracle = minimise.retrain(problem)
    ends = (minimise.pretrain(problem), minimise.solve(problem.objective(), 1.0))
    return named(
        *(
            np.where(
                end.converged & oracle.converged,
                newton.norm(end.weights - oracle.weights),
                np.nan,
            )
            for end in ends
        )
    )


def draw(figure, data):
    rows = figure.subplots(len(LOSSES), 3, sharex="col", sharey="col")
    fixed, shares, pair_share = data["parameters"].values()
    for (ridge, alpha, correlation), loss in zip(rows, LOSSES, strict=True):
        line, pair = data[loss]["coordinate"], data[loss]["pair"]
        for row, style in enumerate(STYLES):
            distances(ridge, data, "ridge", line, row, style)
            bounds(ridge, data["ridge"], line, row)
        distances(alpha, data, "alpha", line, len(shares), "-")
        bounds(alpha, data["alpha"], line, len(shares))
        distances(correlation, data, "correlation", pair, ..., "-")
        alpha.axvline(line["last"], color="grey", ls=":")
        there = np.isfinite(pair["descent_ascent_oracle"])
        correlation.axvline(
            data["correlation"][np.argmax(there)] if not there[0] else np.nan, color="grey", ls=":"
        )
        ridge.set(ylabel=f"{loss} loss\ndistance to the oracle")
    rows[0, 0].set(xscale="log", yscale="log", ylim=(1e-6, 3e2), title="one coordinate, r_j = 8")
    rows[0, 1].set(yscale="log", ylim=(1e-4, 5), title=f"one coordinate, r_j = 8, λ = {fixed:g}")
    rows[0, 2].set(
        yscale="log", ylim=(1e-2, 5), title=f"pair, r_p = 8, λ = {fixed:g}, α = {pair_share:g}"
    )
    for panel, name in zip(
        rows[-1], ("ridge λ", "share forgotten per retained α", "correlation ε"), strict=True
    ):
        panel.set_xlabel(name)
    names = [
        (NEAR, "-", "", "pretraining"),
        (FAR, "-", "", "descent-ascent"),
        ("black", "", "o", "Newton's method"),
        *(
            ("grey", style, "", f"α = {share:g} (left)")
            for style, share in zip(STYLES, shares, strict=True)
        ),
        *((COLOURS[hue], (0, (1, 1)), "", name) for hue, name in BOUNDS.values()),
        ("grey", ":", "", "minimum ends"),
    ]
    key(figure, names, ncols=5)
    figure.suptitle("r = 80, f = 20, mean losses")


def distances(panel, data, along, found, row, style):
    marked = data[along][data["every"]]
    for name, hue, marker in zip(NAMES, (NEAR, FAR), "os", strict=True):
        panel.plot(data[along], found[name][row], style, color=hue)
        panel.plot(marked, found["solver"][name][row], marker, color=hue, mfc="none", ms=5)


def bounds(panel, values, found, row):
    for name, (hue, _) in BOUNDS.items():
        panel.plot(values, found[name][row], ls=(0, (1, 1)), color=COLOURS[hue], lw=2.2)


def claims(data):
    for loss in LOSSES:
        line = data[loss]["coordinate"]
        near, far = line["pretrain_oracle"], line["descent_ascent_oracle"]
        away, limited = np.isfinite(line["lemma_5_bound"] + far), np.isfinite(line["rate_bound"])
        yield (
            f"{loss}: |w_D − w_R| ≤ |ln((1+α) r/n)|",
            "Lemma 4: always",
            counted(near <= line["lemma_4_bound"] * ROUNDING + EPS),
        )
        yield (
            f"{loss}: |w_DA − w_R| ≥ w_R for α ≥ f/r",
            "Lemma 5: always",
            counted((far * ROUNDING >= line["lemma_5_bound"])[away]),
        )
        below = counted((far <= line["rate_bound"] * ROUNDING)[limited])
        yield f"{loss}: |w_DA − w_R| ≤ ln(1/κ) for α < f/r", "not in the paper", below
        smallest = "; ".join(
            f"α = {share:g}: {near[row, 0]:.3g}, {far[row, 0]:.3g}"
            for row, share in enumerate(data["parameters"]["shares"])
        )
        yield (
            f"{loss}: |w_D − w_R|, |w_DA − w_R| at λ = {data['ridge'][0]:g}",
            "Corollary 1: → 0, → ∞ as α → f/r",
            smallest,
        )
        error = max(
            worst(data[loss][kind], name, data["every"])
            for kind in ("coordinate", "pair")
            for name in NAMES
        )
        yield (
            f"{loss}: closed forms against Newton's method",
            "not in the paper",
            f"largest difference {error:.1e}",
        )


def counted(holds):
    return f"holds at {np.sum(holds)} of {holds.size}"


def worst(found, name, every):
    return np.nanmax(np.abs(found[name][..., every] - found["solver"][name]))
