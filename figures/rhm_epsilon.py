"""C by tree distance and the susceptibility of the Random Hierarchy Model under the epsilon-process: exact, sampled, mean field."""

import jax
import numpy as np

import rhm_theory as rt
from figures.parts import DOTTED, band, dots, nearest, plus_minus
from figures.style import COLOURS

TITLE = "Noise, denoise, and see what changed together: the correlations span the system at the critical noise, where the susceptibility peaks"
CAPTION = (
    "Random Hierarchy Model (16 symbols, 4 rules a symbol, branching 2, depth 7; random grammars and starts), ε-process. (a) "
    "Correlation of the changes of two leaves against their distance r = 2^ℓ − 1, with ℓ the level of their common ancestor: exact "
    "averages (dots) and mean field at the same depth (dashed); near ε* they fall slowest. (b) Susceptibility, the size of a block "
    "that changes together: exact (solid, 95 % band over grammars), from posterior samples as in the paper (dots with 95 % "
    "intervals), mean field at depth 7 (dashed) and ε* (dotted). (c) Probability that the root, the class, is kept: it drops where "
    "the susceptibility peaks."
)
LEMMAS = ["Fig. 3", "Sec. 3.1", "arXiv:2410.13770"]
SIZE = (10.5, 3.9)
NUMBERS, DEPTH = {"vocabulary": 16, "rules_per_symbol": 4, "branching": 2}, 7
SHOWN = {0.5: "blue", 0.7: "green", 0.78: "vermillion", 0.85: "purple"}
MEAN_FIELD = {"ls": "--", "color": "black", "lw": 1.2, "label": "mean field"}


def compute(preset):
    grammars, starts, trajectories = {"quick": (6, 8, 40), "paper": (30, 32, 200)}[preset]
    noise = np.union1d(np.linspace(0.3, 1, 15).round(3), list(SHOWN))
    given = {
        "noise": "epsilon",
        "noise_levels": noise,
        "starts": starts,
        "trajectories": trajectories,
    }
    rules = [
        rt.Grammar.random(jax.random.key(1000 + index), depth=DEPTH, **NUMBERS)
        for index in range(grammars)
    ]
    found = rt.experiment.joined(
        [
            rt.forward_backward(jax.random.key(index), one, **given)
            for index, one in enumerate(rules)
        ]
    )
    sampled, exact = rt.experiment.susceptibility(found)
    pairs = (2**DEPTH) * 2.0 ** np.arange(
        DEPTH
    )  # ordered pairs of leaves that meet at level 1, 2, ..
    mean_field = rt.mean_field.correlations(noise, **NUMBERS, depth=DEPTH)
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
        "mean_field_root": rt.mean_field.upward(noise, **NUMBERS, depth=DEPTH)[:, -1],
        "critical": rt.mean_field.critical_noise(**NUMBERS),
        "peak": rt.mean_field.susceptibility_peak(**NUMBERS, depth=DEPTH)._asdict(),
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
    top, peak = int(np.argmax(data["exact"]["value"])), data["peak"]
    return [
        ("critical noise ε* (16, 4, 2)", "peak of χ", f"{float(data['critical']):.6g}"),
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
