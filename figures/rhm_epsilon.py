"""Correlations of changes and the susceptibility: exact, sampled, in mean field."""

import jax
import numpy as np

import rhm_theory as rt
from figures.parts import DOTTED, band, dots, nearest, plus_minus
from figures.style import COLOURS

TITLE = (
    "At the critical noise changes are correlated across the system, and the susceptibility peaks"
)
CAPTION = """
In (b), the curve has a peak inside the noise range. Its height says how many leaves change
together. At the peak, near the critical noise ε* (dotted), the root of the tree begins to change,
as (c) shows. At this noise, correlations between changes fall most slowly with distance, as (a)
shows.

The Random Hierarchy Model has {vocabulary} symbols, {rules_per_symbol} rules for each symbol,
branching 2 and depth 7. Grammars and starts are random. The leaves of a start are noised at level ε
and drawn again from their posterior. Mean field replaces every probability by its average over
random grammars.

(a) The correlation of the changes of two leaves is drawn against their distance. The distance is r
= 2^ℓ − 1 if their common ancestor has level ℓ. Dots are exact averages. Dashed lines are mean field
at the same depth.

(b) The exact susceptibility is solid, with a 95 % band over grammars. Dots with 95 % intervals come
from posterior samples, as in the paper. Mean field is dashed.

(c) The curve is the probability that the root, which is the class, is kept.
"""
LEMMAS = ["Fig. 3", "Sec. 3.1", "arXiv:2410.13770"]
SIZE = (10.5, 3.9)
PARAMETERS = {"vocabulary": 16, "rules_per_symbol": 4}
DEPTH = 7
SHOWN = {0.5: "blue", 0.7: "green", 0.78: "vermillion", 0.85: "purple"}
MEAN_FIELD = {"ls": "--", "color": "black", "lw": 1.2, "label": "mean field"}


def compute(preset, vocabulary, rules_per_symbol):
    numbers = {
        "vocabulary": vocabulary,
        "rules_per_symbol": rules_per_symbol,
        "branching": 2,
    }
    grammars, starts, trajectories = {"quick": (6, 8, 40), "paper": (30, 32, 200)}[preset]
    noise = np.union1d(np.linspace(0.3, 1, 15).round(3), list(SHOWN))
    given = {"starts": starts, "trajectories": trajectories}
    rules = [
        rt.Grammar.random(jax.random.key(1000 + index), depth=DEPTH, **numbers)
        for index in range(grammars)
    ]
    found = rt.experiment.joined(
        [
            rt.forward_backward(jax.random.key(index), one, rt.Epsilon(noise), **given)
            for index, one in enumerate(rules)
        ]
    )
    sampled, exact = rt.experiment.susceptibility(found)
    # Ordered pairs of leaves that meet at level 1, 2, ...
    pairs = (2**DEPTH) * 2.0 ** np.arange(DEPTH)
    mean_field = rt.mean_field.correlations(noise, **numbers, depth=DEPTH)
    return {
        "noise": noise,
        "sampled": sampled._asdict(),
        "exact": exact._asdict(),
        "correlation": 4 * found.tree_sums.mean(1) / pairs,
        "mean_field": {
            "correlation": 4 * mean_field.covariance,
            "susceptibility": mean_field.susceptibility,
        },
        "root_kept": found.root_kept.mean(1),
        "mean_field_root": rt.mean_field.upward(noise, **numbers, depth=DEPTH)[:, -1],
        "critical": rt.mean_field.critical_noise(**numbers),
        "peak": rt.mean_field.susceptibility_peak(**numbers, depth=DEPTH)._asdict(),
        "grammars": grammars,
    }


def draw(figure, data):
    decay, chi, root = figure.subplots(1, 3)
    noise, distance = data["noise"], 2.0 ** np.arange(1, DEPTH + 1) - 1
    for level, hue in SHOWN.items():
        at = nearest(noise, level)
        decay.plot(
            distance,
            data["correlation"][at],
            "o-",
            ms=4,
            lw=1,
            color=COLOURS[hue],
            label=f"ε = {level:g}",
        )
        decay.plot(distance, data["mean_field"]["correlation"][at], "--", color=COLOURS[hue], lw=1)
    decay.set(
        xscale="log",
        yscale="log",
        ylim=(1e-5, 1),
        xlabel="distance r (leaves)",
        ylabel="correlation C(r)",
        title="(a)",
    )
    decay.legend(loc="lower left")
    band(chi, noise, data["exact"], COLOURS["blue"], label="exact")
    dots(
        chi,
        noise,
        data["sampled"],
        fmt="o",
        ms=3.5,
        lw=0.9,
        color=COLOURS["vermillion"],
        label="sampled",
    )
    chi.plot(noise, data["mean_field"]["susceptibility"], **MEAN_FIELD)
    chi.set(xlabel="noise ε", ylabel="susceptibility χ", title="(b)")
    root.plot(noise, data["root_kept"], "o-", ms=4, lw=1, color=COLOURS["blue"], label="sampled")
    root.plot(noise, data["mean_field_root"], **MEAN_FIELD)
    root.set(
        xlabel="noise ε", ylabel="probability that the root is kept", ylim=(0, 1.02), title="(c)"
    )
    for panel in (chi, root):
        panel.axvline(data["critical"], **DOTTED, label="ε*")
        panel.legend(loc="best")


def claims(data):
    top = int(np.argmax(data["exact"]["value"]))
    peak = data["peak"]
    vocabulary, rules = data["parameters"].values()
    return [
        (
            f"critical noise ε* ({vocabulary}, {rules}, 2)",
            "peak of χ",
            f"{float(data['critical']):.6g}",
        ),
        (
            "largest susceptibility at depth 7, exact",
            "at ε*",
            f"{plus_minus(data['exact'], top)} at ε = {data['noise'][top]:.3g}",
        ),
        (
            "the same in mean field",
            "dashed line",
            f"{float(peak['height']):.4g} at ε = {float(peak['noise']):.4g}",
        ),
    ]
