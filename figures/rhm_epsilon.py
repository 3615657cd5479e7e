"""C by tree distance and the susceptibility of the Random Hierarchy Model under the epsilon-process: exact, sampled, mean field."""

import jax
import numpy as np

import rhm_theory as rt
from figures.style import COLOURS

TITLE = (
    "Noise, denoise, and see what changed together: the correlations span the system at the critical noise, where the susceptibility peaks"
)
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
SHOWN = (0.5, 0.7, 0.78, 0.85)


def compute(preset):
    grammars, starts, trajectories = {"quick": (6, 8, 40), "paper": (30, 32, 200)}[preset]
    noise = np.union1d(np.linspace(0.3, 1, 15).round(3), SHOWN)
    found = [
        rt.forward_backward(
            jax.random.key(index),
            rt.Grammar.random(jax.random.key(1000 + index), depth=DEPTH, **NUMBERS),
            noise="epsilon",
            noise_levels=noise,
            starts=starts,
            trajectories=trajectories,
        )
        for index in range(grammars)
    ]
    names = ("variance_within", "variance_between", "leaf_within", "leaf_between", "changed", "root_kept", "tree_sums")
    joined = {name: np.concatenate([getattr(one, name) for one in found], 1) for name in names}
    whole = found[0]._replace(
        **joined,
        sums=jax.tree.map(lambda *parts: np.concatenate(parts, 1), *(one.sums for one in found)),
        groups=np.repeat(np.arange(grammars), starts),
    )
    sampled, exact = rt.experiment.susceptibility(whole)
    pairs = (2**DEPTH) * 2.0 ** np.arange(DEPTH)  # ordered pairs of leaves that meet at level 1, 2, ..
    mean_field = rt.mean_field.correlations(noise, **NUMBERS, depth=DEPTH)
    return {
        "noise": noise,
        "sampled": sampled._asdict(),
        "exact": exact._asdict(),
        "correlation": 4 * joined["tree_sums"].mean(1) / pairs,
        "mean_field": {"correlation": 4 * mean_field.covariance, "susceptibility": mean_field.susceptibility},
        "root_kept": joined["root_kept"].mean(1),
        "mean_field_root": rt.mean_field.upward(noise, **NUMBERS, depth=DEPTH)[:, -1],
        "critical": rt.mean_field.critical_noise(**NUMBERS),
        "peak": rt.mean_field.susceptibility_peak(**NUMBERS, depth=DEPTH)._asdict(),
        "grammars": grammars,
    }


def draw(figure, data):
    decay, chi, root = figure.subplots(1, 3)
    noise, distance = data["noise"], 2.0 ** np.arange(1, DEPTH + 1) - 1
    for hue, level in zip(("blue", "green", "vermillion", "purple"), SHOWN, strict=True):
        at = np.argmin(np.abs(noise - level))
        decay.plot(distance, data["correlation"][at], "o-", ms=4, lw=1, color=COLOURS[hue], label=f"ε = {level:g}")
        decay.plot(distance, data["mean_field"]["correlation"][at], "--", color=COLOURS[hue], lw=1)
    decay.set(xscale="log", yscale="log", ylim=(1e-5, 1), xlabel="distance r (leaves)", ylabel="correlation C(r)", title="(a)")
    decay.legend(loc="lower left")
    chi.fill_between(noise, data["exact"]["low"], data["exact"]["high"], color=COLOURS["blue"], alpha=0.25, lw=0)
    chi.plot(noise, data["exact"]["value"], color=COLOURS["blue"], label="exact")
    bars = (data["sampled"]["value"] - data["sampled"]["low"], data["sampled"]["high"] - data["sampled"]["value"])
    chi.errorbar(noise, data["sampled"]["value"], bars, fmt="o", ms=3.5, lw=0.9, color=COLOURS["vermillion"], label="sampled")
    chi.plot(noise, data["mean_field"]["susceptibility"], "--", color="black", lw=1.2, label="mean field")
    chi.set(xlabel="noise ε", ylabel="susceptibility χ", title="(b)")
    root.plot(noise, data["root_kept"], "o-", ms=4, lw=1, color=COLOURS["blue"], label="sampled")
    root.plot(noise, data["mean_field_root"], "--", color="black", lw=1.2, label="mean field")
    root.set(xlabel="noise ε", ylabel="probability that the root is kept", ylim=(0, 1.02), title="(c)")
    for panel in (chi, root):
        panel.axvline(data["critical"], color="black", ls=":", lw=1.2, label="ε*")
        panel.legend(loc="best")


def claims(data):
    top = int(np.argmax(data["exact"]["value"]))
    return [
        ("critical noise ε* (16, 4, 2)", "peak of χ", f"{float(data['critical']):.6g}"),
        (
            "largest susceptibility at depth 7, exact",
            "at ε*",
            f"{data['exact']['value'][top]:.3g} ± {data['exact']['error'][top]:.2g} at ε = {data['noise'][top]:.3g}",
        ),
        ("the same in mean field", "dashed line", f"{float(data['peak']['height']):.4g} at ε = {float(data['peak']['noise']):.4g}"),
    ]
