"""The susceptibility of every control beside the hierarchy's, all with exact posteriors."""

import jax
import numpy as np

import rhm_theory as rt
from figures.parts import band
from figures.style import COLOURS

TITLE = (
    "A flat mixture peaks inside the noise range too: a peak alone is no evidence of a hierarchy"
)
CAPTION = """
Look for a peak inside the range. The hierarchy has one in (a) and (b). So have flat mixtures, which
have one hidden variable and no tree. Independent sites stay at 1. The Gaussian fields in (c) only
rise, in one dimension and in two.

All systems have 64 sites. The hierarchy is the Random Hierarchy Model with 16 symbols, 4 rules,
branching 2 and depth 6. The chain has 4 symbols and keeps its symbol with probability 0.8. The
hidden chain has 4 states, which stay with probability 0.9, and each emits 8 symbols with a law of
its own. The flat mixtures have ten components of equal weight: independent sites, with a law of 4
symbols for each site, or chains of 4 symbols. The laws are random.

(a) The susceptibility is drawn against the noise ε of the ε-process. It is exact for each start.

(b) The same, for masks that hide each site independently. The moments given the mask are exact.

(c) Gaussian fields in closed form, with spectrum |k|^(−d/2) in dimension d, against the variance σ²
of the noise.

Bands are 95 % intervals, over starts or, for the hierarchy, over random grammars.
"""
LEMMAS = ["Sec. 3.3", "arXiv:2410.13770", "new"]
SIZE = (11, 4.2)
LENGTH = 64
GRAMMAR = {"depth": 6, "vocabulary": 16, "rules_per_symbol": 4, "branching": 2}
COLOUR = {
    "hierarchy": "vermillion",
    "mixture of independent sites": "blue",
    "mixture of chains": "sky",
    "hidden chain": "purple",
    "chain": "green",
    "independent sites": "orange",
    "field, 64": "blue",
    "field, 8 × 8": "vermillion",
}
COMPONENTS = 10


def compute(preset):
    grammars, starts, masks = {"quick": (6, 32, 8), "paper": (32, 256, 32)}[preset]
    noise = np.union1d(np.linspace(0.2, 1, 9).round(2), [0.925, 0.95, 0.975])
    found = {
        name: both(model, model.sample(jax.random.key(1), (starts,)), noise, masks)
        for name, model in flat_models().items()
    }
    parts = []
    for key in jax.random.split(jax.random.key(4), grammars):
        grammar = rt.Grammar.random(key, **GRAMMAR)
        parts.append(both(grammar, grammar.sample(key, (starts // 4,)).leaves, noise, masks))
    found["hierarchy"] = jax.tree.map(lambda *rows: np.concatenate(rows, -1), *parts)
    groups = {
        name: np.repeat(np.arange(grammars), starts // 4) if name == "hierarchy" else None
        for name in found
    }
    fields = {
        "field, 64": rt.controls.gaussian_field(LENGTH, 0.5),
        "field, 8 × 8": rt.controls.gaussian_field((8, 8), 1.0),
    }
    return {
        "noise": noise,
        "found": {
            name: {process: summary(sums, groups[name]) for process, sums in one.items()}
            for name, one in found.items()
        },
        "fields": {
            name: {"value": field.response(noise).susceptibility} for name, field in fields.items()
        },
    }


def flat_models():
    """The controls, with laws that are drawn once."""
    draw = np.random.default_rng(0)
    sites = draw.dirichlet(np.full(4, 0.5), (COMPONENTS, LENGTH))
    steps = draw.dirichlet(np.full(4, 0.5), (COMPONENTS, 4))
    emission = draw.dirichlet(np.full(8, 0.3), 4)
    controls = rt.controls
    return {
        "independent sites": controls.independent_sites(sites[0]),
        "chain": controls.markov_chain(staying(0.8), length=LENGTH),
        "hidden chain": controls.hidden_markov(staying(0.9), emission, length=LENGTH),
        "mixture of independent sites": controls.mixture(map(controls.independent_sites, sites)),
        "mixture of chains": controls.mixture(
            [controls.markov_chain(step, length=LENGTH) for step in steps]
        ),
    }


def staying(probability):
    """The transition of 4 states that stay with this probability and else move anywhere."""
    leaving = (1 - probability) / 3
    return np.full((4, 4), leaving) + np.eye(4) * (probability - leaving)


def both(model, starts, noise, masks):
    """Var N, and the sum over the sites of Var n_i, ``(2, noise, starts)`` for each process.

    The second process draws ``masks`` masks. The law of total variance adds the part between them.
    """
    found = {"epsilon": [], "mask": []}
    for level in noise:
        seen = rt.Epsilon(level).likelihood(starts, vocabulary=model.vocabulary)
        exact = rt.change_moments(model, seen, starts)
        found["epsilon"].append([exact.variance, exact.leaf_variance])
        mask = rt.Mask(level)
        repeated = np.broadcast_to(starts, (masks, *starts.shape))
        noised = mask.sample(jax.random.key(2), repeated, vocabulary=model.vocabulary)
        seen = mask.likelihood(noised, vocabulary=model.vocabulary)
        exact = rt.change_moments(model, seen, starts)
        whole = exact.variance.mean(0) + exact.mean.var(0, ddof=1)
        sites = exact.leaf_variance.mean(0) + exact.leaf_changed.var(0, ddof=1).sum(-1)
        found["mask"].append([whole, sites])
    return {process: np.moveaxis(np.asarray(rows), 1, 0) for process, rows in found.items()}


def summary(sums, groups):
    """The susceptibility by noise, and by how much its largest value exceeds that at noise 1."""
    whole, sites = sums.swapaxes(1, 2)
    groups = np.arange(len(whole)) if groups is None else groups
    chi = rt.measure.ratio(whole, sites, groups)
    top = int(np.argmax(chi.value))

    def above_the_end(means):
        susceptibility = means[..., 0, :] / means[..., 1, :]
        return susceptibility[..., top] - susceptibility[..., -1]

    excess = rt.measure.jackknife(above_the_end, np.stack([whole, sites], 1), groups)
    return {**chi._asdict(), "excess": excess._asdict(), "top": top}


def draw(figure, data):
    panels = figure.subplots(1, 3)
    noise = data["noise"]
    for panel, process, label, title in (
        (panels[0], "epsilon", "noise ε", "(a) ε-process"),
        (panels[1], "mask", "share of hidden sites", "(b) masks"),
    ):
        for name, one in data["found"].items():
            band(panel, noise, one[process], COLOURS[COLOUR[name]], label=name)
        panel.set(xlabel=label, title=title, ylim=(0, None))
    for name, one in data["fields"].items():
        band(panels[2], noise, one, COLOURS[COLOUR[name]], label=name)
    panels[2].set(xlabel="noise σ²", title="(c) Gaussian fields", ylim=(0, None))
    panels[0].set_ylabel("susceptibility χ")
    panels[2].legend(loc="upper left")
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3)


def claims(data):
    noise = data["noise"]
    for name, both in data["found"].items():
        for process, one in both.items():
            excess = one["excess"]
            # Four errors, since the largest of many levels is looked at; and more than rounding.
            inside = float(excess["value"]) > 4 * float(excess["error"]) + 1e-9
            yield (
                f"{name}, {process}: largest χ",
                "a peak inside" if name == "hierarchy" else "not treated",
                f"{one['value'][one['top']]:.3g} at {noise[one['top']]:g}, above its value at 1 by "
                f"{float(excess['value']):.3g} ± {float(excess['error']):.2g}: "
                + ("a peak inside" if inside else "no peak inside that is certain"),
            )
    for name, one in data["fields"].items():
        rises = bool(np.all(np.diff(one["value"]) > 0))
        yield (
            f"{name}: susceptibility",
            "no peak, largest at t = T",
            f"rises to {float(one['value'][-1]):.3g}" if rises else "does not only rise",
        )
