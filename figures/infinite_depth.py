"""Infinitely deep hierarchies by population dynamics: where the root is lost, and how sharply."""

import hashlib
from pathlib import Path

import jax
import numpy as np

import rhm_theory as rt
from figures import sources
from figures.parts import DASHED, dots
from figures.style import COLOURS

TITLE = "The root is lost close to the mean field's noise, but not with the mean field's exponent"
CAPTION = """
In (c) each curve leaves its dotted line. So the exponent ν of a deep grammar is not that of mean
field. Where mean field says less than 2, the measured curves go to 2 or above. In (a), the dots lie
on the lines: population dynamics agrees with exact belief propagation on the same grammars.

Population dynamics follows the law of the messages of a random grammar, level by level, at a cost
that is linear in the depth. Each population has a grammar of its own. The leaves are noised by the
ε-process.

(a) The mean probability of the root's own symbol is drawn against the noise, for 16 symbols and 4
rules, averaged over grammars. Dots are exact belief propagation at depth 7, with 95 % intervals
over grammars; dashed is mean field at depth 7. The deepest curve is not a step, because each
grammar loses its root at a noise of its own. The black steps are the share of grammars whose
critical noise is larger.

(b) The noise of each grammar is set to its own critical noise by bisection. The mean probability of
a node's own symbol is drawn against its level. Mean field stays at its fixed point (dotted).

(c) The curves are ν by level. It is the logarithm of the branching over the growth of ln |∂p/∂ε|
from one level to the next, averaged over seven levels and over grammars. Dotted is mean field,
dashed is ν = 2. Bands are
95 % intervals over grammars.
"""
LEMMAS = ["Fig. 9", "arXiv:2410.13770", "new"]
SIZE = (11, 4)
# vocabulary, rules_per_symbol, branching: the colour, and the members for each rule of each symbol
SYSTEMS = {
    (16, 4, 2): ("blue", {"quick": 8, "paper": 32}),
    (32, 8, 2): ("green", {"quick": 2, "paper": 16}),
    (64, 8, 2): ("vermillion", {"quick": 1, "paper": 8}),
    (8, 16, 3): ("purple", {"quick": 8, "paper": 32}),
}
SHOWN = (7, 15, 40)  # depths of panel (a)
SHADES = (0.4, 0.65, 1.0)
WINDOW = 7  # levels
FIRST, FROM_ROOT = 25, 14  # the levels that count as critical


def compute(preset, folder=None):
    depth, populations = {"quick": (44, 4), "paper": (56, 12)}[preset]
    kept = parts(folder)
    return {
        "critical": {
            named(system): transition(system, depth, sizes[preset], populations, kept)
            for system, (_, sizes) in SYSTEMS.items()
        },
        "recovery": recovery(preset),
    }


def parts(folder: Path | None) -> Path | None:
    """Where finished populations lie: each version of their code has a folder of its own.

    It is None where nothing is kept.
    """
    if folder is None:
        return None
    code = b"".join(path.read_bytes() for path in sources.of("rhm_theory.theory.population"))
    return folder / hashlib.sha256(code).hexdigest()[:12]


def named(system):
    return ", ".join(map(str, system))


def numbers_of(system):
    return dict(zip(("vocabulary", "rules_per_symbol", "branching"), system, strict=True))


def transition(system, depth, size, populations, folder=None):
    """The critical noise of each population, its beliefs, and nu by level.

    The folder keeps finished populations.
    """
    numbers = numbers_of(system)
    given = {**numbers, "depth": depth, "size": size, "populations": populations}
    found = rt.population.transition(jax.random.key(9), **given, folder=folder, progress=True)
    growth = np.diff(np.log(found.slope), axis=-1)
    smooth = np.apply_along_axis(np.convolve, 1, growth, np.ones(WINDOW) / WINDOW, "valid")
    mean_field = rt.mean_field.criticality(**numbers)
    return {
        "noise": (found.low + found.high) / 2,
        "belief": over_rows(found.belief[:, : depth + 1 - FROM_ROOT]),
        "nu": inverse(over_rows(smooth[:, : depth - FROM_ROOT - WINDOW]), np.log(system[2])),
        "nu_level": np.arange(depth - FROM_ROOT - WINDOW) + WINDOW / 2,
        "summary": rt.population.critical(found, first=FIRST, last=depth - FROM_ROOT)._asdict(),
        "mean_field": {
            "noise": mean_field.noise,
            "belief": mean_field.belief,
            "exponent": mean_field.exponent,
        },
        "members": system[0] * system[1] * size,
    }


def over_rows(values):
    """Mean and 95 % interval over the rows."""
    return rt.measure.ratio(values, np.ones_like(values))._asdict()


def inverse(estimate, numerator):
    """``numerator`` over an estimate, with its interval."""
    value = numerator / estimate["value"]
    return {
        "value": value,
        "low": numerator / estimate["high"],
        "high": numerator / np.maximum(estimate["low"], 1e-9),
    }


def recovery(preset):
    """Mean probability of the root's own symbol: populations, exact and mean field."""
    numbers = numbers_of((16, 4, 2))
    grammars, starts, size = {"quick": (4, 48, 8), "paper": (12, 256, 32)}[preset]
    noise = np.linspace(0.66, 0.9, 13).round(3)
    exact = []
    climbed = []
    for key in jax.random.split(jax.random.key(7), grammars):
        grammar = rt.Grammar.random(key, **numbers, depth=max(SHOWN))
        climbed.append(np.asarray(rt.population.beliefs(key, grammar, noise, size=size).mean))
        shallow = rt.Grammar(grammar.rules[: SHOWN[0]])
        tree = shallow.sample(key, (starts,))
        seen = rt.likelihood.epsilon_process(tree.leaves, noise[:, None], vocabulary=16)
        root = np.asarray(rt.marginals(shallow, seen)[-1])[..., 0, :]
        exact.append(np.take_along_axis(root, np.asarray(tree.root)[None, :, None], -1)[..., 0])
    each = np.mean(exact, -1)
    error = np.std(exact, -1) / np.sqrt(starts)
    population = np.stack(climbed)
    apart = (population[..., SHOWN[0]] - each) / error
    return {
        "noise": noise,
        "population": {str(depth): over_rows(population[..., depth]) for depth in SHOWN},
        "exact": over_rows(each),
        "mean_field": rt.mean_field.upward(noise, **numbers, depth=SHOWN[0])[:, -1],
        "apart": np.sqrt(np.mean(apart**2)),
        "difference": rt.measure.ratio(
            (population[..., SHOWN[0]] - each).mean(1), np.ones(grammars)
        )._asdict(),
    }


def draw(figure, data):
    root, belief, exponent = figure.subplots(1, 3)
    found = data["recovery"]
    noise = found["noise"]
    for depth, shade in zip(SHOWN, SHADES, strict=True):
        root.plot(
            noise,
            found["population"][str(depth)]["value"],
            color=COLOURS["blue"],
            alpha=shade,
            label=f"depth {depth}",
        )
    exact = {"fmt": "o", "ms": 3.5, "lw": 0.9, "color": COLOURS["vermillion"]}
    dots(root, noise, found["exact"], **exact, label="exact, depth 7")
    root.plot(noise, found["mean_field"], **DASHED, label="mean field, 7")
    own = np.sort(data["critical"]["16, 4, 2"]["noise"])
    share = 1 - np.arange(len(own) + 1) / len(own)
    steps = {"where": "post", "color": "black", "lw": 0.8, "label": "share of grammars"}
    root.step([noise[0], *own, noise[-1]], [*share, 0], **steps)
    root.set(
        xlabel="noise ε",
        ylabel="probability of the root's symbol",
        title="(a) where the root is lost",
        ylim=(0, 1.05),
    )
    # Narrow, so that it ends to the left of the curves.
    root.legend(loc="lower left", handlelength=1.2, labelspacing=0.3, borderpad=0.3)
    for system, (hue, _) in SYSTEMS.items():
        one = data["critical"][named(system)]
        colour = COLOURS[hue]
        levels = np.arange(len(one["belief"]["value"]))
        for panel, x, estimate, flat in (
            (belief, levels, one["belief"], one["mean_field"]["belief"]),
            (exponent, one["nu_level"], one["nu"], one["mean_field"]["exponent"]),
        ):
            panel.fill_between(x, estimate["low"], estimate["high"], color=colour, alpha=0.2, lw=0)
            panel.plot(x, estimate["value"], color=colour, label=f"({named(system)})")
            panel.axhline(float(flat), color=colour, ls=":", lw=1.2)
    belief.set(
        xlabel="level",
        ylabel="probability of the own symbol",
        title="(b) at the critical noise",
        ylim=(0, 0.85),
    )
    belief.legend(loc="upper left", ncols=2)
    exponent.axhline(2, **DASHED)
    exponent.set(
        xlabel="level", ylabel="exponent ν", title="(c) exponent by level", ylim=(1.2, 4.6)
    )


def claims(data):
    for name, one in data["critical"].items():
        found, flat = one["summary"], one["mean_field"]
        yield (
            f"({name}): critical noise, mean over grammars",
            "not computed; mean field " + f"{float(flat['noise']):.5f}",
            f"{found['noise']:.5f} ± {found['noise_error']:.5f}; standard deviation over grammars "
            f"{found['spread']:.5f} ({one['members']} members)",
        )
        yield (
            f"({name}): exponent ν of deep levels",
            f"mean field {float(flat['exponent']):.4f}",
            f"{found['exponent']:.3f} ± {found['exponent_error']:.3f}",
        )
        yield (
            f"({name}): probability of the own symbol at the critical noise, deep levels",
            f"mean field {float(flat['belief']):.4f}",
            f"{found['belief']:.4f} ± {found['belief_error']:.4f}",
        )
    found = data["recovery"]
    yield (
        "population minus exact belief propagation on the same grammars, depth 7",
        "0",
        f"{float(found['difference']['value']):.4f} ± {float(found['difference']['error']):.4f}",
    )
