"""The susceptibility within a group: a hierarchy keeps its peak, a flat mixture has none."""

import jax
import numpy as np

import rhm_theory as rt
from figures.parts import band, plus_minus
from figures.style import COLOURS

TITLE = "Within one class a hierarchy keeps its peak, and a flat mixture has none"
CAPTION = """
On the left all curves have a peak inside the noise range. In the middle the upper curve has a peak
too, but the curve within components is 1 at every noise level.

A start is noised by the ε-process and drawn again from its posterior. The susceptibility χ says how
many sites change together. Left: the Random Hierarchy Model (16 symbols, 4 rules, branching 2,
depth 5). The curves are χ of all trajectories, and χ within groups.
Trajectories of a group have the same symbols at one level of the tree: the class (level 5), or all
nodes of a level below. All are exact for each
start. Bands are 95 % intervals over random grammars.

Middle: a flat mixture of 10 laws of 32 independent sites, exact. Within components χ is 1. If 5 %
or 20 % of the labels are drawn at random, it is more.

Right: how many starts are needed to find that χ within a class exceeds 1. The test has level 5 %,
and finds the difference in 90 of 100 cases. Each start has 8 (dashed) or 32 (full) trajectories.
"""
LEMMAS = ["Sec. 3.3", "arXiv:2410.13770", "new"]
SIZE = (10.8, 4.2)
NUMBERS = {"vocabulary": 16, "rules_per_symbol": 4, "branching": 2}
DEPTH = 5
SITES, COMPONENTS, SYMBOLS = 32, 10, 8
WRONG = (0.0, 0.05, 0.2)
DEPTHS = {2: "sky", 3: "blue", 4: "green", 5: "vermillion"}
TRAJECTORIES = {8: "--", 32: "-"}
# Two-sided level 5 %, power 90 %.
REACH = 1.959964 + 1.281552


def compute(preset):
    grammars, starts, mixtures, tested = {"quick": (6, 4, 16, 32), "paper": (48, 16, 256, 256)}[
        preset
    ]
    noise = np.linspace(0.05, 1, 20)
    return {
        "noise": noise,
        "hierarchy": hierarchy(noise, grammars, starts),
        "flat": flat(noise, mixtures),
        "power_noise": np.array([0.5, 0.6, 0.7, 0.8, 0.9]),
        "power": power(np.array([0.5, 0.6, 0.7, 0.8, 0.9]), tested),
    }


def hierarchy(noise, grammars, starts):
    """Chi of everything, and given each level; over random grammars."""
    above, below = [], []
    for key in jax.random.split(jax.random.key(0), grammars):
        grammar, tree = rt.experiment.grammar_and_starts(key, starts, depth=DEPTH, **NUMBERS)
        seen = rt.Epsilon(noise[:, None]).likelihood(tree.leaves, vocabulary=grammar.vocabulary)
        whole = rt.change_moments(grammar, seen, tree)
        given = rt.conditional_moments(grammar, seen, tree)
        above.append(with_all(given.variance, whole.variance).sum(1))
        below.append(with_all(given.leaf_variance, whole.leaf_variance).sum(1))
    found = rt.measure.ratio(np.stack(above), np.stack(below))
    names = [f"level {level}" for level in range(1, DEPTH + 1)] + ["all"]
    return {
        name: {part: value[:, index] for part, value in found._asdict().items()}
        for index, name in enumerate(names)
    }


def with_all(by_level, whole):
    return np.concatenate([by_level, np.asarray(whole)[..., None]], -1)


def flat(noise, starts):
    """Chi of a flat mixture: of everything, and within labels of which some are wrong."""
    rng = np.random.default_rng(0)
    laws = rng.dirichlet(np.full(SYMBOLS, 0.5), (COMPONENTS, SITES))
    parts = [rt.controls.independent_sites(law) for law in laws]
    model = rt.controls.mixture(parts)
    start = model.sample(jax.random.key(1), (starts,))
    seen = rt.Epsilon(noise[:, None]).likelihood(start, vocabulary=SYMBOLS)
    chances = np.asarray(model.component_posterior(seen))
    changes = np.stack([part.change_moments(seen, start).leaf_changed for part in parts], -2)
    found = {"all": chi_given_label(np.ones((COMPONENTS, 1)), chances, changes)}
    for wrong in WRONG:
        label = (1 - wrong) * np.eye(COMPONENTS) + wrong / COMPONENTS
        found[f"{wrong:g}"] = chi_given_label(label, chances, changes)
    return found


def chi_given_label(label, chances, changes):
    """Chi within labels.

    Args:
        label: P(label | component), ``(components, labels)``.
        chances: P(component | start, noise), ``(noise, starts, components)``.
        changes: of each site given the component, ``(noise, starts, components, sites)``.
    """
    joint = chances[..., None] * label
    weight = joint.sum(-2)
    mean = np.einsum("nscg,nsci->nsgi", joint, changes) / np.maximum(weight, 1e-300)[..., None]
    own = (weight[..., None] * mean * (1 - mean)).sum((-1, -2))
    total = changes.sum(-1)
    within_component = (chances[..., None] * changes * (1 - changes)).sum((-1, -2))
    distance = (total[..., None] - mean.sum(-1)[..., None, :]) ** 2
    between = np.einsum("nscg,nscg->ns", joint, distance)
    return {"value": (within_component + between).sum(1) / own.sum(1)}


def power(noise, starts):
    """How many starts are needed, by depth and number of trajectories, and chi, from samples."""
    found = {}
    for depth in DEPTHS:
        sums = {count: [] for count in TRAJECTORIES}
        for key in jax.random.split(jax.random.key(depth), 4):
            for_model, for_samples = jax.random.split(key)
            grammar, tree = rt.experiment.grammar_and_starts(
                for_model, starts // 4, depth=depth, **NUMBERS
            )
            seen = rt.Epsilon(noise[:, None]).likelihood(tree.leaves, vocabulary=16)
            samples = rt.sample_posterior(for_samples, grammar, seen, (max(TRAJECTORIES),))
            changed = np.moveaxis(np.asarray(samples.leaves != tree.leaves), 0, 2)
            classes = np.moveaxis(np.asarray(samples.root)[..., None], 0, 2)[..., 0]
            for count, rows in sums.items():
                rows.append(
                    [
                        numerators_and_denominators(one[:, :count], label[:, :count])
                        for one, label in zip(changed, classes, strict=True)
                    ]
                )
        found[str(depth)] = {
            str(count): needed(np.concatenate(rows, -1)) for count, rows in sums.items()
        }
    return found


def numerators_and_denominators(changed, label):
    sums = rt.within.within_sums(changed, label)
    return 2 * sums.pair_sums.sum(-1) - sums.pair_sums[:, 0], sums.pair_sums[:, 0]


def needed(pairs):
    """From ``(noise, 2, starts)``: chi with its error, and the starts that a test needs."""
    above, below = pairs[:, 0], pairs[:, 1]
    count = above.shape[-1]
    chi = above.sum(-1) / below.sum(-1)
    spread = (above - chi[:, None] * below).std(-1, ddof=1) / below.mean(-1)
    starts = (REACH * spread / (chi - 1)) ** 2
    return {
        "value": chi,
        "error": spread / np.sqrt(count),
        "starts": np.where(chi > 1, starts, np.inf),
    }


def draw(figure, data):
    left, middle, right = figure.subplots(1, 3)
    hues = dict(
        zip(data["hierarchy"], ("sky", "blue", "green", "purple", "orange", "black"), strict=True)
    )
    for name, estimate in reversed(data["hierarchy"].items()):
        label = {"all": "all trajectories", "level 5": "same class (level 5)"}.get(
            name, f"same {name}"
        )
        band(left, data["noise"], estimate, COLOURS[hues[name]], label=label)
    left.set(title="hierarchy", xlabel="noise ε", ylabel="susceptibility χ", ylim=(0, None))
    left.legend(loc="upper left", fontsize=9)
    names = {
        "all": "all trajectories",
        "0": "same component",
        "0.05": "5 % wrong labels",
        "0.2": "20 % wrong labels",
    }
    for (name, label), hue in zip(
        names.items(), ("black", "blue", "orange", "vermillion"), strict=True
    ):
        band(middle, data["noise"], data["flat"][name], COLOURS[hue], label=label)
    middle.set(title="flat mixture", xlabel="noise ε", ylabel="susceptibility χ", ylim=(0, None))
    middle.legend()
    for depth, hue in DEPTHS.items():
        for count, style in TRAJECTORIES.items():
            starts = data["power"][str(depth)][str(count)]["starts"]
            label = f"depth {depth}" if count == max(TRAJECTORIES) else None
            right.plot(
                data["power_noise"],
                starts,
                style,
                color=COLOURS[hue],
                marker="o",
                ms=4,
                label=label,
            )
    right.set(title="starts needed to see χ > 1", xlabel="noise ε", ylabel="starts", yscale="log")
    right.set_ylim(top=8 * right.get_ylim()[1])  # space for the legend
    right.legend(ncols=2)


def claims(data):
    for name in ("all", "level 5", "level 4", "level 1"):
        estimate = data["hierarchy"][name]
        top = int(np.nanargmax(estimate["value"]))
        yield (
            f"hierarchy, {'all trajectories' if name == 'all' else 'same ' + name}: largest χ",
            "a peak inside" if name == "all" else "not treated",
            f"{plus_minus(estimate, top)} at ε = {data['noise'][top]:.2g}; "
            f"at ε = 1: {plus_minus(estimate, -1)}",
        )
    for name, estimate in data["flat"].items():
        top = int(np.nanargmax(estimate["value"]))
        words = "all trajectories" if name == "all" else f"{100 * float(name):g} % wrong labels"
        yield (
            f"flat mixture, {words}: largest χ",
            "not treated",
            f"{estimate['value'][top]:.4g} at ε = {data['noise'][top]:.2g}",
        )
    for depth, by_count in data["power"].items():
        for count, one in by_count.items():
            shown = ", ".join(f"{starts:.3g}" for starts in one["starts"])
            yield (
                f"depth {depth}, {count} trajectories: starts needed at ε = 0.5 to 0.9",
                "not treated",
                shown,
            )
