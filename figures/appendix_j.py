"""App. J: the retained and the forgotten sample become one and the same."""

import numpy as np

from figures.parts import key
from figures.style import COLOURS
from gda_theory import pair
from gda_theory.paper import appendix

TITLE = "App. J: two rows that become the same, one retained and one forgotten"
CAPTION = """
Follow the curves to the right in (a) and (b), where two rows become equal. The weights of
descent-ascent (orange) become negative, although every row alone would make its weight positive. At
the smaller ridge (b), its minimum even disappears before the rows are equal (dot).

There are d = {dimension} rows. The row x₁ = (1, ε, 0, …) is retained, and x₂ = (ε, 1, 0, …)
is forgotten. The others are orthogonal unit vectors, and are retained. The exponential loss is
averaged over each set.

(a), (b) The two shared weights, w₁ (solid) and w₂ (dashed), are drawn against the correlation ε.
For pretraining they are equal. Open circles at ε = 1 are the limits of App. J. Below the ridge λ =
2e(d−2)/(d−1) descent-ascent has no limit.

(c) Lines are the limits against the ridge. Markers are the mean of w₁ and w₂ at ε = 0.9 and 0.999.
The limit of descent-ascent ends at w = −1/2 (dotted line). It is negative because the forgotten
row has the larger weight in the mean losses: 1, against 1/(d−1) for the retained one.
"""
LEMMAS = ["App. J"]
SIZE = (11.0, 4.6)
PARAMETERS = {"dimension": 4, "ridges": (5.0, 3.2)}
NEAR = (0.9, 0.999)  # correlations of (c)
MODELS = {
    "pretrain": ("blue", "pretraining"),
    "retrain": ("black", "oracle"),
    "descent_ascent": ("vermillion", "descent-ascent"),
}


def compute(preset, dimension, ridges):
    points = {"quick": 481, "paper": 1921}[preset]
    # Ever denser towards 1, where the limit is approached.
    correlation = 1 - np.geomspace(1, 1e-6, points)
    ridge = np.geomspace(1.5, 100, points)
    # One batch: two rows along the correlation, two along the ridge.
    correlations = np.stack([correlation, correlation, *(np.full(points, e) for e in NEAR)])
    all_ridges = np.stack([*(np.full(points, value) for value in ridges), ridge, ridge])
    samples = appendix.aligned_pair(correlations, dimension=dimension, ridge=all_ridges)
    limits = appendix.aligned_limits(dimension=dimension, ridge=all_ridges)._asdict()
    weights = {name: np.asarray(getattr(pair, name)(samples).weights) for name in MODELS}
    return {
        "against_correlation": {"correlation": correlation}
        | {name: weights[name][:2] for name in MODELS},
        "limits": {name: values[:2, 0] for name, values in limits.items()},
        "against_ridge": {"ridge": ridge} | {name: weights[name][2:].mean(-1) for name in MODELS},
        "limits_against_ridge": {name: limits[name][2] for name in MODELS},
    }


def draw(figure, data):
    *panels, last = figure.subplots(1, 3, sharey=True)
    found = data["against_correlation"]
    across = data["against_ridge"]
    for row, (panel, ridge) in enumerate(zip(panels, data["parameters"]["ridges"], strict=True)):
        for name, (hue, _) in MODELS.items():
            for weight, style in zip(found[name][row].T, ("-", "--"), strict=True):
                panel.plot(found["correlation"], weight, style, color=COLOURS[hue])
                if np.isnan(weight[-1]):
                    end = np.flatnonzero(np.isfinite(weight))[-1]
                    panel.plot(found["correlation"][end], weight[end], "o", color=COLOURS[hue])
            panel.plot(
                1,
                data["limits"][name][row],
                "o",
                color=COLOURS[hue],
                mfc="white",
                ms=8,
                clip_on=False,
                zorder=5,
            )
        panel.set(xlabel="correlation ε", xlim=(0, 1), title=f"({'ab'[row]}) ridge λ = {ridge:g}")
    few = slice(None, None, len(across["ridge"]) // 20)
    for name, (hue, _) in MODELS.items():
        last.plot(across["ridge"], data["limits_against_ridge"][name], color=COLOURS[hue])
        for weight, marker in zip(across[name], "^s", strict=True):
            last.plot(
                across["ridge"][few], weight[few], marker, color=COLOURS[hue], mfc="none", ms=5
            )
    last.axvline(data["limits"]["least_ridge"][0], color="grey", ls=":")
    last.set(xscale="log", xlabel="ridge λ", title="(c) limits, and w̄ = (w₁ + w₂)/2")
    panels[0].set(ylabel="weight w", ylim=(-0.75, 0.25))
    names = [
        *((COLOURS[hue], "-", "", name) for hue, name in MODELS.values()),
        ("grey", "-", "", "w₁"),
        ("grey", "--", "", "w₂"),
    ]
    names += [
        ("grey", "", "o", "limit ε → 1"),
        *(("grey", "", marker, f"w̄ at ε = {e:g}") for marker, e in zip("^s", NEAR, strict=True)),
    ]
    key(figure, names, ncols=4)


def claims(data):
    found = data["against_correlation"]
    limits = data["limits"]
    formulas = {
        "pretrain": "½ W(4/(dλ))",
        "retrain": "½ W(2/((d−1)λ))",
        "descent_ascent": "½ W(−2(d−2)/((d−1)λ))",
    }
    for row, ridge in enumerate(data["parameters"]["ridges"]):
        for model, (_, name) in MODELS.items():
            limit, weights = limits[model][row], found[model][row, -1]
            claim = f"{name} at λ = {ridge:g}: w₁, w₂ at ε = {found['correlation'][-1]:.6f}"
            paper = f"{formulas[model]} = {limit:.6f}" if np.isfinite(limit) else "no limit"
            yield (
                claim,
                paper,
                ", ".join(f"{w:.6f}" for w in weights) if np.isfinite(weights[0]) else "no minimum",
            )
    there = np.isfinite(data["against_ridge"]["descent_ascent"][-1])
    bound = f"λ ≥ 2e(d−2)/(d−1) = {limits['least_ridge'][0]:.4f}"
    here = f"on the grid from λ = {data['against_ridge']['ridge'][there][0]:.4f}"
    yield f"descent-ascent has a minimum at ε = {NEAR[-1]:g}", bound, here
