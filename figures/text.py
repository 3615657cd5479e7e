"""Text: how far changes reach in a masked diffusion model, beside chains and flat mixtures."""

from pathlib import Path

import numpy as np
from matplotlib import colormaps

from figures.style import COLOURS
from rhm_theory.studies import text as study

TITLE = (
    "Text: the backward susceptibility against noise, beside chains of n-grams and flat mixtures"
)
CAPTION = """
In (a), compare the black line with the coloured ones. The black line is a masked diffusion model of
text. The coloured ones are laws without a hierarchy, whose posteriors are exact. A share t of the
tokens is hidden and drawn anew. The *backward susceptibility* is about the number of tokens that
change together at a fixed mask, over distances up to 10 tokens. 1 says that tokens change alone.

(b) The same without pairs of tokens of one word. In (a) the pieces of a word raise it.

(c) The correlation of changes against the distance, for the model and pairs of different words.

(d) The loss on held-out chapters. A susceptibility means little where the model is not better than
the chains.

Bars are one standard error over held-out chapters. Each thin black line is one seed. White squares
are from samples of the model, and belong on the black line if its conditionals were those of one
law. A peak inside the range is no evidence of a hierarchy: chains and mixtures have one too.

Quick preset: a small model of Python's help pages, whose weights lie beside the figure. It is no
better than the chain of bigrams, so its susceptibility says nothing about the text. Paper: models
of six novels by Jane Austen, from ``seeds`` seeds, each trained in ``steps`` steps.
"""
LEMMAS = ["Sec. 4 (text)", "arXiv:2410.13770", "new"]
SIZE = (10.5, 8.0)
PARAMETERS = {"seeds": 3, "steps": 5000}
WEIGHTS = Path(__file__).with_name("text.eqx")
HUES = ("sky", "blue", "green", "vermillion")
MARKS = ("v", "s", "D", "^")
INK = {"model": "black", "unigrams": "sky", "bigrams": "blue", "trigrams": "vermillion"}


def compute(preset, seeds, steps, folder=None):
    if preset == "quick":
        models = study.loaded(WEIGHTS)
    else:
        models = study.trained(study.novels(), range(seeds), steps, folder)
    return study.studied(models, study.SETTINGS[preset], folder)


def draw(figure, data):
    panels = figure.subplots(2, 2).ravel()
    draw_susceptibility(panels[0], data, "all", "(a) all pairs of tokens")
    draw_susceptibility(panels[1], data, "different", "(b) pairs of different words")
    draw_correlation(panels[2], data)
    draw_losses(panels[3], data)
    panels[0].legend(loc="upper left")


def draw_susceptibility(panel, data, which, title):
    levels = data["levels"]
    for row in data[f"model_{which}"]:
        panel.plot(levels, row[:, 0], color="black", lw=0.8)
    value, error = data[f"model_{which}"][0].T
    panel.errorbar(levels, value, error, color="black", marker="o", ms=4, capsize=2, label="model")
    for row, name, hue, mark in zip(
        data[f"control_{which}"], data["controls"], HUES, MARKS, strict=True
    ):
        panel.errorbar(
            data["few_levels"],
            row[:, 0],
            row[:, 1],
            color=COLOURS[hue],
            marker=mark,
            ms=4,
            ls="--",
            capsize=2,
            label=name,
        )
    if f"sampled_{which}" in data:
        value, error = data[f"sampled_{which}"][0].T
        panel.errorbar(
            data["sampled_levels"],
            value,
            error,
            color="black",
            marker="s",
            mfc="white",
            ls="",
            capsize=2,
            label="model, sampled",
        )
    panel.axhline(1, color="black", ls=":", lw=1)
    panel.set_xlabel("share of hidden tokens t")
    panel.set_ylabel(r"backward susceptibility $\chi_B$")
    panel.set_title(title)


def draw_correlation(panel, data):
    chosen = np.unique(np.linspace(0, len(data["levels"]) - 1, 5).round().astype(int))
    # Dark is a small share, light a large one.
    hues = colormaps["cividis"](np.linspace(0, 0.85, len(chosen)))
    for index, hue, mark in zip(chosen, hues, ("o", *MARKS), strict=False):
        value, error = data["correlation"][index].T
        distance = np.arange(1, len(value))
        panel.errorbar(
            distance,
            value[1:] / value[0],
            error[1:] / value[0],
            color=hue,
            marker=mark,
            ms=4,
            capsize=2,
            label=f"t = {data['levels'][index]:g}",
        )
    panel.axhline(0, color="black", ls=":", lw=1)
    panel.set_xlabel("distance r (tokens)")
    panel.set_ylabel("C(r) / C(0)")
    panel.set_title("(c) the model, pairs of different words")
    panel.legend()


def draw_losses(panel, data):
    for row in data["seed_losses"]:
        panel.plot(data["loss_levels"], row[:, 0], color="black", lw=0.8)
    for row, name in zip(data["losses"], data["loss_names"], strict=True):
        panel.errorbar(
            data["loss_levels"],
            row[:, 0],
            row[:, 1],
            color=COLOURS[INK[name]],
            marker="o" if name == "model" else "s",
            ms=4,
            ls="-" if name == "model" else "--",
            capsize=2,
            label=name,
        )
    panel.set_xlabel("share of hidden tokens t")
    panel.set_ylabel("loss (nats for a hidden token)")
    panel.set_title("(d) loss on held-out chapters")
    panel.legend()


def claims(data):
    levels = data["levels"]
    different = data["model_different"][:, :, 0]
    places = levels[different.argmax(1)]
    yield (
        "level of the largest susceptibility, pairs of different words",
        "about 0.6 (WikiText-2, no error given)",
        f"{', '.join(f'{place:g}' for place in places)} (one number for each seed)",
    )
    for which, suffix in (("different words", ""), ("all pairs", "_all")):
        value, _, low, high = data[f"contrast{suffix}"]
        yield (
            f"contrast of the models, chi(0.7) - chi(1), {which}",
            "positive, no number given",
            interval(value, low, high),
        )
        rows = zip(data["controls"], data[f"above{suffix}"], strict=True)
        for name, (value, _, low, high) in rows:
            yield (
                f"that contrast minus the one of {name}, {which}",
                "no control on text",
                interval(value, low, high),
            )
    model, bigrams = (data["losses"][data["loss_names"].index(n)] for n in ("model", "bigrams"))
    gap = bigrams[:, 0] - model[:, 0]
    yield (
        "the model's loss is below that of the chain of bigrams",
        "not measured",
        f"by {', '.join(f'{one:+.2f}' for one in gap)} nats at t = "
        f"{', '.join(f'{level:g}' for level in data['loss_levels'])}",
    )
    if len(data["clause_levels"]):
        excess, _, low, high, p_value = data["clauses"][0, 0, 2:]
        yield (
            f"changes keep to clauses, at t = {data['clause_levels'][0]:g}",
            "not measured",
            f"excess {excess:+.4f} [{low:+.4f}, {high:+.4f}], p = {p_value:.3f}",
        )
    shares = data["shares"]
    if len(shares) > 1:
        for which, column in (("all pairs", 0), ("different words", 2)):
            growth = data["growth"][:, :, column].mean(0)
            yield (
                f"growth of chi(0.7) with training, {which}, mean over seeds",
                "not measured",
                ", ".join(f"{v:.3f} after {s:.0%}" for v, s in zip(growth, shares, strict=True)),
            )


def interval(value, low, high):
    """A value and its 95 % interval."""
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"
