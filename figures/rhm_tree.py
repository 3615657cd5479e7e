"""One tree whose changed nodes light up as the noise grows: leaves change in blocks."""

import jax
import matplotlib as mpl
import numpy as np

import rhm_theory as rt
from figures.parts import listed
from figures.style import COLOURS

TITLE = "Leaves change in blocks below a changed node, and with more noise this node sits higher"
CAPTION = """
In the lower row, changed nodes are large and orange. Neighbouring leaves change together, and above
each such block is one changed ancestor. With more noise (to the right) this ancestor sits higher.
Finally the root itself changes, and most leaves with it.

The tree is one derivation of a grammar with 16 symbols, 4 rules for each symbol, branching 2 and
depth 5. Its root is on top, and its 32 leaves are below. The leaves are noised at level ε and then
drawn again from their posterior (the ε-process).

The upper row shows the exact probability that a node differs from the start, on a logarithmic
scale. The lower row shows one sample for each noise level. To choose it, take each changed leaf of
all samples and count the changed leaves in its sample. The sample shown is the first whose count is
nearest to the mean of these counts.

At low noise only leaves and their parents change. Past the critical noise 0.8 the root, which is
the class, changes.
"""
LEMMAS = ["Fig. 3", "Sec. 3.1", "arXiv:2410.13770"]
SIZE = (10.5, 5.2)
DEPTH = 5
PARAMETERS = {"levels": (0.5, 0.7, 0.8, 0.9)}  # of the noise


def compute(preset, levels):
    samples = {"quick": 4000, "paper": 100_000}[preset]
    grammar = rt.Grammar.affine(DEPTH, 16, 4, 2, multiplier=37, offset=11)
    start = grammar.reference_start(0)
    likelihood = rt.likelihood.epsilon_process(start.leaves, np.array(levels), vocabulary=16)
    drawn = rt.sample_posterior(jax.random.key(3), grammar, likelihood, (samples,))
    changed = [
        np.asarray(now != then) for now, then in zip(drawn.symbols, start.symbols, strict=True)
    ]
    found = rt.measure.blocks(changed)
    return {
        "noise": np.array(levels),
        "probability": {
            str(level): p
            for level, p in enumerate(rt.change_moments(grammar, likelihood, start).changed)
        },
        "sample": {
            str(level): nodes[typical(changed[0]), np.arange(len(levels))]
            for level, nodes in enumerate(changed)
        },
        "tops": found.tops.sum(1),
        "leaves_below": found.leaves.sum(1),
        "critical": rt.mean_field.critical_noise(vocabulary=16, rules_per_symbol=4, branching=2),
    }


def typical(leaves):
    """For each noise level, a sample of the kind that a changed leaf is likely to be in.

    It is the first whose number N of changed leaves is nearest to <N^2>/<N>.
    """
    number = leaves.sum(-1)
    return np.abs(number - (number**2).mean(0) / number.mean(0)).argmin(0)


def draw(figure, data):
    panels = figure.subplots(2, len(data["noise"]), sharex=True, sharey=True)
    scale = {"cmap": "cividis", "norm": mpl.colors.LogNorm(1e-3, 1)}
    for index, (upper, lower) in enumerate(panels.T):
        for level in range(DEPTH + 1):
            x, y = (
                (np.arange(2 ** (DEPTH - level)) + 0.5) * 2**level,
                np.full(2 ** (DEPTH - level), level),
            )
            probability, changed = (
                data[name][str(level)][index] for name in ("probability", "sample")
            )
            if level < DEPTH:
                together = changed & data["sample"][str(level + 1)][index].repeat(2)
                edges(upper, x, level, color="0.75", lw=0.7, zorder=1)
                edges(lower, x, level, ~together, color="0.75", lw=0.7, zorder=1)
                edges(lower, x, level, together, color=COLOURS["vermillion"], lw=2, zorder=2)
            shades = upper.scatter(
                x,
                y,
                26 if level else 17,
                probability,
                **scale,
                edgecolors="black",
                lw=0.4,
                zorder=3,
            )
            lower.scatter(x[~changed], y[~changed], 7, "white", edgecolors="0.35", lw=0.7, zorder=3)
            lower.scatter(
                x[changed],
                y[changed],
                30 if level else 19,
                COLOURS["vermillion"],
                edgecolors="black",
                lw=0.4,
                zorder=4,
            )
        upper.set(title=f"ε = {data['noise'][index]:g}")
        lower.set(
            xlabel="leaf",
            title=f"{int(data['sample']['0'][index].sum())} of {2**DEPTH} leaves changed",
        )
    for panel in panels.flat:
        panel.grid(False)
        panel.set(xticks=[0.5, 16.5, 31.5], xticklabels=["0", "16", "31"], yticks=range(DEPTH + 1))
    panels[0, 0].set_ylabel("level (exact)")
    panels[1, 0].set_ylabel("level (sampled)")
    figure.colorbar(shades, ax=panels[0], label="P(node changed)", aspect=12, extend="min")


def edges(panel, x, level, shown=slice(None), **line):
    """From the nodes at ``x`` to their parents."""
    above = x.reshape(-1, 2).mean(1).repeat(2)
    panel.plot(
        np.stack([x, above])[:, shown],
        np.broadcast_to([[level], [level + 1]], (2, len(x)))[:, shown],
        **line,
    )


def claims(data):
    sizes = data["leaves_below"].sum(1) / data["tops"].sum(1)
    height = np.arange(DEPTH + 1) @ data["leaves_below"] / data["leaves_below"].sum(0)
    levels = ", ".join(f"ε = {level:g}" for level in data["noise"])
    root = listed(data["probability"][str(DEPTH)][:, 0])
    larger = "larger changed blocks reflect deeper latent changes"
    return [
        ("changed leaves below a topmost changed node of level 0, 1, .. 5", larger, listed(sizes)),
        (
            f"mean level of the topmost changed ancestor of a changed leaf, {levels}",
            "grows with the noise",
            listed(height),
        ),
        (
            "probability that the root (the class) changes, exact",
            "small below the transition, near 1 above",
            f"{root}; ε* = {float(data['critical']):.3g}",
        ),
    ]
