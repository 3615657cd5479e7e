"""Gaussian field, Markov chain and hierarchy under one measurement: which has a peak inside the noise range that grows with size?"""

import jax
import numpy as np

import rhm_theory as rt
from figures.style import COLOURS

TITLE = "Only the hierarchy has a peak inside the noise range, in susceptibility and correlation length, that grows with the system"
CAPTION = (
    "Exact covariances of what changed, at 8, 32 and 128 sites, against the noise; upper row: susceptibility, lower row: second-moment "
    "length of C(r), as far as it is positive; bands: 95 % intervals over starts (chain) and random grammars. Left: Gaussian field on a "
    "ring, spectrum k^(−1/2), closed form: both are monotone, largest at noise 1. Middle: Markov chain that stays with probability 0.8 "
    "among 4 symbols, ε-process: next to noise 1 it too has a maximum inside, a few per cent above the end, but one that settles once "
    "the chain is longer than its memory. Right: Random Hierarchy Model (64 symbols, 8 rules, branching 2), ε-process: a peak near the "
    "critical noise (dotted) that grows with the size; at noise 1 nothing is left of it."
)
LEMMAS = ["Sec. 3.3", "arXiv:2410.13770", "new"]
SIZE = (10.5, 6.4)
SIZES, HUES = (8, 32, 128), ("sky", "blue", "vermillion")
STAY, SYMBOLS = 0.8, 4
NUMBERS = {"vocabulary": 64, "rules_per_symbol": 8, "branching": 2}
SYSTEMS = {"field": "Gaussian field", "chain": "Markov chain", "hierarchy": "hierarchy"}


def compute(preset):
    chains, grammars, starts = {"quick": (32, 6, 4), "paper": (512, 48, 16)}[preset]
    fine = [0.78, 0.82, 0.84, 0.86, 0.87, 0.88, 0.89, 0.92, 0.94, 0.96, 0.98]
    noise = np.union1d(np.linspace(0.1, 1, 10).round(1), fine)
    systems = {
        "field": [field(size, noise) for size in SIZES],
        "chain": [chain(size, noise, chains * SIZES[-1] // size) for size in SIZES],
        "hierarchy": [hierarchy(size, noise, grammars, starts) for size in SIZES],
    }
    return {"noise": noise, "critical": rt.mean_field.critical_noise(**NUMBERS)} | {
        name: {str(size): one for size, one in zip(SIZES, found, strict=True)} for name, found in systems.items()
    }


def field(size, noise):
    response = rt.controls.gaussian_field(size, 0.5).response(noise)
    length = length_of(np.asarray(response.covariance)[:, : size // 2 + 1])
    return {"susceptibility": {"value": response.susceptibility}, "length": {"value": length}}


def chain(size, noise, starts):
    move = np.full((SYMBOLS, SYMBOLS), (1 - STAY) / (SYMBOLS - 1))
    one = rt.controls.markov_chain(move + np.diag(STAY - np.diag(move)), length=size)
    start = one.sample(jax.random.key(size), (starts,))
    seen = (rt.likelihood.epsilon_process(start, level, vocabulary=SYMBOLS) for level in noise)
    return measured([by_distance(one.change_correlations(likelihood, start)) for likelihood in seen], np.arange(starts))


def hierarchy(size, noise, grammars, starts):
    depth, sums = size.bit_length() - 1, []
    for key in jax.random.split(jax.random.key(size), grammars):
        for_rules, for_starts = jax.random.split(key)
        grammar = rt.Grammar.random(for_rules, depth=depth, **NUMBERS)
        start = grammar.sample(for_starts, (starts,)).leaves
        likelihood = rt.likelihood.epsilon_process(start, noise[:, None], vocabulary=grammar.vocabulary)
        sums.append(by_distance(rt.change_correlations(grammar, likelihood, start)))
    return measured(np.concatenate(sums, 1), np.repeat(np.arange(grammars), starts))


def by_distance(covariance):
    """S(r), the sum of the covariances of all pairs at distance r, as samples would estimate it."""
    mean = np.asarray(rt.mean_by_distance(covariance))
    return mean * np.arange(mean.shape[-1], 0, -1)


def measured(pair_sums, groups):
    """Susceptibility and length from exact S(r) ``(noise, starts, distance)``, with errors over groups: clustered, jackknife."""
    pair_sums = np.asarray(pair_sums)
    sums = np.stack([pair_sums[:, groups == group].sum(1) for group in np.unique(groups)])
    count, pairs = len(sums), np.arange(sums.shape[-1], 0, -1)
    whole, without = length_of(sums.sum(0) / pairs), length_of((sums.sum(0) - sums) / pairs)
    deviation = np.sqrt((count - 1) * np.mean((without - without.mean(0)) ** 2, 0))
    length = {"value": whole, "error": deviation, "low": whole - 2 * deviation, "high": whole + 2 * deviation}
    return {"susceptibility": rt.measure.ratio(2 * sums.sum(-1) - sums[..., 0], sums[..., 0])._asdict(), "length": length}


def length_of(correlation):
    """Second-moment length of C(r) up to where it first ceases to be positive: on a ring what is missing there is negative."""
    kept = np.logical_and.accumulate(correlation > 0, -1)
    return rt.correlation_length(np.where(kept, correlation, 0), "second_moment")


def draw(figure, data):
    panels = figure.subplots(2, 3, sharex=True)
    noise = data["noise"]
    for column, (name, title) in zip(panels.T, SYSTEMS.items(), strict=True):
        for panel, quantity in zip(column, ("susceptibility", "length"), strict=True):
            for hue, (size, found) in zip(HUES, data[name].items(), strict=True):
                if name != "field":
                    panel.fill_between(noise, found[quantity]["low"], found[quantity]["high"], color=COLOURS[hue], alpha=0.25, lw=0)
                panel.plot(noise, found[quantity]["value"], color=COLOURS[hue], label=f"{size} sites")
        column[0].set(title=title, ylim=(0, None))
        column[0].legend(loc="upper left")
        column[1].set(yscale="log", ylim=(0.1, 200), xlabel="noise σ²" if name == "field" else "noise ε", xlim=(0.1, 1))
    for panel in panels[:, 2]:
        panel.axvline(float(data["critical"]), color="black", ls=":", lw=1.2)
    panels[0, 0].set_ylabel("susceptibility χ")
    panels[1, 0].set_ylabel("second-moment length (sites)")


def claims(data):
    expected = {"field": "no peak, largest at t = T", "chain": "not treated", "hierarchy": "a peak inside that grows"}
    rows = []
    for name, title in SYSTEMS.items():
        for quantity, symbol in (("susceptibility", "χ"), ("length", "ξ")):
            found = [one[quantity] for one in data[name].values()]
            tops = [int(np.nanargmax(one["value"])) for one in found]
            heights = ", ".join(
                f"{one['value'][top]:.3g}{error(one, top)} at {data['noise'][top]:g}" for one, top in zip(found, tops, strict=True)
            )
            ends = ", ".join(f"{one['value'][-1]:.3g}{error(one, -1)}" for one in found)
            rows.append((f"{title}: largest {symbol} at 8, 32, 128 sites", expected[name], f"{heights}; at noise 1: {ends}"))
    return rows


def error(estimate, at):
    return f" ± {estimate['error'][at]:.2g}" if "error" in estimate else ""
