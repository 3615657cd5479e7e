"""Gaussian field, Markov chain and hierarchy: which has a peak that grows with the size?"""

import jax
import numpy as np

import rhm_theory as rt
from figures.parts import DOTTED, band, plus_minus
from figures.style import COLOURS

TITLE = "Only the hierarchy has a peak inside the noise range that grows with the system"
CAPTION = """
In the right column, each curve has a peak inside the noise range, and the peak grows from 8 to 32
to 128 sites. In the left column the curves only rise: their largest value is at noise 1. In the
middle column there is a small maximum near noise 1, which no longer grows once the system is large.

Three systems are noised and drawn again from their posterior. The upper row is the susceptibility,
which says how many sites change together. The lower row is a length: over what distance changes are
correlated. It is the second-moment length of the correlation C(r), up to the distance where C is no
longer positive. Everything is computed from exact covariances. Bands are 95 % intervals, over
starts (chain) or random grammars (hierarchy).

Left: a Gaussian field on a ring with spectrum k^(−1/2), in closed form.

Middle: a Markov chain of 4 symbols that keeps its symbol with probability 0.8, under the ε-process.

Right: the Random Hierarchy Model (64 symbols, 8 rules, branching 2), under the ε-process. The
critical noise is dotted. The ε-process with level ε gives each leaf the likelihood 1 − ε for its
own symbol, plus ε/v for each of the v symbols.
"""
LEMMAS = ["Sec. 3.3", "arXiv:2410.13770", "new"]
SIZE = (10.5, 6.4)
SIZES = {8: "sky", 32: "blue", 128: "vermillion"}
STAY, SYMBOLS = 0.8, 4
NUMBERS = {"vocabulary": 64, "rules_per_symbol": 8, "branching": 2}
QUANTITIES = {"susceptibility": "χ", "length": "ξ"}
SYSTEMS = {  # title, what the paper says
    "field": ("Gaussian field", "no peak, largest at t = T"),
    "chain": ("Markov chain", "not treated"),
    "hierarchy": ("hierarchy", "a peak inside that grows"),
}


def compute(preset):
    chains, grammars, starts = {"quick": (32, 6, 4), "paper": (512, 48, 16)}[preset]
    fine = [0.78, 0.82, 0.84, 0.86, 0.87, 0.88, 0.89, 0.92, 0.94, 0.96, 0.98]
    noise = np.union1d(np.linspace(0.1, 1, 10).round(1), fine)
    return {
        "noise": noise,
        "critical": rt.mean_field.critical_noise(**NUMBERS),
        "field": {str(size): field(size, noise) for size in SIZES},
        "chain": {str(size): chain(size, noise, chains * max(SIZES) // size) for size in SIZES},
        "hierarchy": {str(size): hierarchy(size, noise, grammars, starts) for size in SIZES},
    }


def field(size, noise):
    response = rt.controls.gaussian_field(size, 0.5).response(noise)
    length = length_of(np.asarray(response.covariance)[:, : size // 2 + 1])
    return {"susceptibility": {"value": response.susceptibility}, "length": {"value": length}}


def chain(size, noise, count):
    move = np.full((SYMBOLS, SYMBOLS), (1 - STAY) / (SYMBOLS - 1))
    one = rt.controls.markov_chain(move + np.diag(STAY - np.diag(move)), length=size)
    starts = one.sample(jax.random.key(size), (count,))
    seen = (rt.likelihood.epsilon_process(starts, level, vocabulary=SYMBOLS) for level in noise)
    return measured(
        [rt.mean_by_distance(one.change_correlations(likelihood, starts)) for likelihood in seen],
        np.arange(count),
    )


def hierarchy(size, noise, grammars, starts):
    found = []
    for key in jax.random.split(jax.random.key(size), grammars):
        grammar, tree = rt.experiment.grammar_and_starts(
            key, starts, depth=size.bit_length() - 1, **NUMBERS
        )
        likelihood = rt.likelihood.epsilon_process(
            tree.leaves, noise[:, None], vocabulary=grammar.vocabulary
        )
        found.append(rt.mean_by_distance(rt.change_correlations(grammar, likelihood, tree)))
    return measured(np.concatenate(found, 1), np.repeat(np.arange(grammars), starts))


def measured(correlation, groups):
    """Susceptibility and length from exact C(r) ``(noise, starts, distance)``.

    Errors are over groups.
    """
    correlation = np.swapaxes(correlation, 0, 1)
    sums = correlation * np.arange(correlation.shape[-1], 0, -1)  # over the pairs at each distance
    chi = rt.measure.ratio(2 * sums.sum(-1) - sums[..., 0], sums[..., 0], groups)
    return {
        "susceptibility": chi._asdict(),
        "length": rt.measure.jackknife(length_of, correlation, groups)._asdict(),
    }


def length_of(correlation):
    """Second-moment length of C(r), up to where it first ceases to be positive.

    On a ring what is left out is negative.
    """
    kept = np.logical_and.accumulate(correlation > 0, -1)
    return rt.correlation_length(np.where(kept, correlation, 0), "second_moment")


def draw(figure, data):
    panels = figure.subplots(2, 3, sharex=True)
    for column, (name, (title, _)) in zip(panels.T, SYSTEMS.items(), strict=True):
        for panel, quantity in zip(column, QUANTITIES, strict=True):
            for size, hue in SIZES.items():
                band(
                    panel,
                    data["noise"],
                    data[name][str(size)][quantity],
                    COLOURS[hue],
                    label=f"{size} sites",
                )
        column[0].set(title=title, ylim=(0, None))
        column[0].legend(loc="upper left")
        column[1].set(
            yscale="log",
            ylim=(0.1, 200),
            xlabel="noise σ²" if name == "field" else "noise ε",
            xlim=(0.1, 1),
        )
    for panel in panels[:, 2]:
        panel.axvline(float(data["critical"]), **DOTTED)
    panels[0, 0].set_ylabel("susceptibility χ")
    panels[1, 0].set_ylabel("second-moment length (sites)")


def claims(data):
    for name, (title, paper) in SYSTEMS.items():
        for quantity, symbol in QUANTITIES.items():
            found = [one[quantity] for one in data[name].values()]
            tops = [int(np.nanargmax(one["value"])) for one in found]
            heights = ", ".join(
                f"{plus_minus(one, top)} at {data['noise'][top]:g}"
                for one, top in zip(found, tops, strict=True)
            )
            ends = ", ".join(plus_minus(one, -1) for one in found)
            yield (
                f"{title}: largest {symbol} at 8, 32, 128 sites",
                paper,
                f"{heights}; at noise 1: {ends}",
            )
