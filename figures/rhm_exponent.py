"""The exponent of the correlation length: in closed form, where it exists, and measured, in mean field and exactly on random grammars."""

import jax
import jax.numpy as jnp
import numpy as np

import rhm_theory as rt
from figures.style import COLOURS

TITLE = "The exponent ν: in closed form, below 2 in a narrow range of rules only, and measured on random grammars"
CAPTION = (
    "(a) ν = ln s/ln F′(p*) of the mean field against the number of rules m, on the scale ln m/ln v^(s−1), on which the duality "
    "m ↔ v^(s−1)/m is a mirror; below the dotted line ν = 2 (Kesten–Stigum) the susceptibility diverges. (b) Where there is a transition "
    "(light) and where χ diverges too (dark) for branching 2; between the dashed lines: a transition for branching 3; stars: the grammars "
    "(v, m, s) of (c, d). (c) Mean field started a distance δ from the critical noise: the size s^ℓ at which the belief has gone half of "
    "its way from the fixed point diverges as δ^(−ν) (dashed: theory). (d) Exact slope of the probability to keep the root at ε*, on "
    "random grammars (dots, 95 % intervals), against the number of leaves: its power is 1/ν (lines: mean field)."
)
LEMMAS = ["App. (exponent ν)", "arXiv:2410.13770", "new"]
SIZE = (10.5, 7.6)
CASES = {"(64, 8, 2)": (64, 8, 2, "vermillion"), "(16, 4, 2)": (16, 4, 2, "blue"), "(8, 16, 3)": (8, 16, 3, "green")}
CURVES = {"v = 16, s = 2": (16, 2), "v = 64, s = 2": (64, 2), "v = 1024, s = 2": (1024, 2), "v = 8, s = 3": (8, 3)}
DISTANCES = np.logspace(-9, -1, 33)


def compute(preset):
    grammars, starts, measured = {
        "quick": (24, 4, ((2, 4, 6), (3, 5, 7), (2, 4))),
        "paper": (300, 16, ((2, 4, 6, 8), (3, 5, 7, 9), (2, 3, 4, 5))),
    }[preset]
    place = np.linspace(0.01, 0.99, 197)
    vocabulary = np.geomspace(3, 4096, 80)
    found = {}
    for (name, (*sizes, _)), depths in zip(CASES.items(), measured, strict=True):
        numbers = dict(zip(("vocabulary", "rules_per_symbol", "branching"), sizes, strict=True))
        slopes = rt.measure.Estimate(*np.transpose([root_slope(numbers, level, grammars, starts) for level in depths]))
        leaves, size = float(sizes[2]) ** np.array(depths), correlated_size(numbers)
        critical = rt.mean_field.criticality(**numbers)
        found[name] = {
            "leaves": leaves,
            "slopes": slopes._asdict(),
            "fit": rt.scaling.power_law(leaves, slopes.value, slopes.error)._asdict(),
            "mean_field_slopes": (1 - 1 / sizes[0]) * float(critical.slope) ** np.array(depths),
            "size": size,
            "size_exponent": -np.polyfit(np.log(DISTANCES[:17]), np.log(size[:17]), 1)[0],
            **critical._asdict(),
        }
    return {
        "place": place,
        "exponents": {name: rt.mean_field.exponent(**at(v, s, place)) for name, (v, s) in CURVES.items()},
        "vocabulary": vocabulary,
        "edges": {str(s): edges(vocabulary, s) for s in (2, 3)},
        "cases": found,
    }


def at(vocabulary, branching, place):
    """A grammar's numbers by ln m/ln v^(s-1)."""
    rules = vocabulary ** ((branching - 1) * place)
    return {"vocabulary": vocabulary, "rules_per_symbol": rules, "branching": branching}


def edges(vocabulary, branching):
    """Lower and upper ends, on the scale of :func:`at`, of the range with a transition and of that with a diverging susceptibility."""
    place = np.linspace(0, 1, 1001)[1:-1]
    found = rt.mean_field.criticality(**at(vocabulary[:, None], branching, place))
    there = {"exists": np.isfinite(found.noise), "diverges": np.asarray(found.diverges)}
    lows = {name: np.where(inside.any(-1), place[inside.argmax(-1)], np.nan) for name, inside in there.items()}
    highs = {name: np.where(inside.any(-1), place[::-1][inside[:, ::-1].argmax(-1)], np.nan) for name, inside in there.items()}
    return {name: np.stack([lows[name], highs[name]]) for name in there}


def correlated_size(numbers):
    """``s^l`` for the level l, interpolated, at which p has gone half of the way from p* to 1, from DISTANCES below the critical noise."""
    critical = rt.mean_field.criticality(**numbers)
    belief = rt.mean_field.upward(critical.noise * (1 - DISTANCES), **numbers, depth=120)
    half = np.array([np.interp((1 + critical.belief) / 2, row, np.arange(121)) for row in np.asarray(belief)])
    return numbers["branching"] ** half


def root_slope(numbers, depth, grammars, starts):
    """Mean of -dP(root kept)/d noise at the critical noise, exact for each grammar and start; errors over grammars."""
    critical = rt.mean_field.critical_noise(**numbers)

    @jax.jit
    def one(key):
        for_rules, for_starts = jax.random.split(key)
        grammar = rt.Grammar.random(for_rules, depth=depth, **numbers)
        tree = grammar.sample(for_starts, (starts,))

        def kept(noise):
            likelihood = rt.likelihood.epsilon_process(tree.leaves, noise, vocabulary=grammar.vocabulary)
            return jnp.take_along_axis(rt.marginals(grammar, likelihood)[-1][:, 0], tree.root[:, None], -1).mean()

        return -jax.jvp(kept, (critical,), (jnp.ones_like(critical),))[1]

    slopes = np.array([one(key) for key in jax.random.split(jax.random.key(depth), grammars)])
    return rt.measure.ratio(slopes, np.ones(grammars))


def draw(figure, data):
    (curves, ranges), (sizes, slopes) = figure.subplots(2, 2)
    for hue, style, (name, exponent) in zip(
        ("blue", "vermillion", "purple", "green"), ("-", "-", "-", "--"), data["exponents"].items(), strict=True
    ):
        curves.plot(data["place"], exponent, style, color=COLOURS[hue], label=name)
    curves.axhline(2, color="black", ls=":", lw=1.2, label="ν = 2")
    curves.set(xlabel="ln m / ln v^(s−1)", ylabel="exponent ν", ylim=(1, 7), title="(a)")
    curves.legend(loc="upper center")
    two, three = data["edges"]["2"], data["edges"]["3"]
    ranges.fill_between(data["vocabulary"], *two["exists"], color=COLOURS["sky"], alpha=0.45, lw=0)
    ranges.fill_between(data["vocabulary"], *two["diverges"], color=COLOURS["blue"], lw=0)
    ranges.plot(data["vocabulary"], three["exists"].T, "--", color="black", lw=1.2)
    ranges.text(900, 0.5, "χ diverges\n(s = 2)", color="white", ha="center", va="center")
    ranges.text(3.3, 0.03, "light: transition (s = 2)")
    ranges.text(3.3, 0.94, "dashed: transition (s = 3)")
    for name, case in data["cases"].items():
        vocabulary, rules, branching, hue = CASES[name]
        where = np.log(rules) / np.log(vocabulary) / (branching - 1)
        ranges.plot(vocabulary, where, "*", ms=13, color=COLOURS["orange"], mec="black")
        side = {"ha": "left", "color": "white"} if case["diverges"] else {"ha": "right", "color": "black"}
        ranges.annotate(name, (vocabulary, where), (9 if case["diverges"] else -9, -4), textcoords="offset points", **side)
        sizes.loglog(DISTANCES, case["size"], color=COLOURS[hue], label=f"{name}: ν = {float(case['size_exponent']):.3f}")
        theory = case["size"][0] * (DISTANCES / DISTANCES[0]) ** -case["exponent"]
        sizes.loglog(DISTANCES, theory, "--", color="black", lw=0.8)
        measured = case["slopes"]
        bars = measured["value"] - measured["low"], measured["high"] - measured["value"]
        slopes.errorbar(
            case["leaves"], measured["value"], bars, fmt="o", ms=4.5, color=COLOURS[hue], label=f"{name}: ν = {inverse(case['fit'])}"
        )
        slopes.plot(case["leaves"], case["mean_field_slopes"], color=COLOURS[hue], lw=1.2)
    ranges.set(xscale="log", xlabel="vocabulary v", ylabel="ln m / ln v^(s−1)", title="(b)", ylim=(0, 1), xlim=(1.8, 5000))
    sizes.set(xlabel="distance δ = 1 − ε/ε* from the critical noise", ylabel="correlated size s^ℓ", title="(c)")
    slopes.set(xscale="log", yscale="log", xlabel="leaves d", ylabel="−dP(root kept)/dε at ε*", title="(d)", ylim=(1, 100))
    sizes.legend(loc="upper right")
    slopes.legend(loc="upper left")


def inverse(fit):
    """The exponent ν = 1/a of a fitted power, with its interval."""
    return f"{1 / fit['exponent']:.3f} ({1 / fit['high']:.3f} to {1 / fit['low']:.3f})"


def claims(data):
    rows = []
    for name, case in data["cases"].items():
        rows += [
            (
                f"{name}: ν of the mean field, from sizes at distances 1e-9 to 1e-5",
                "ν = ln s/ln F′(p*)",
                f"{float(case['size_exponent']):.5g}; theory {float(case['exponent']):.5g}",
            ),
            (
                f"{name}: ν of random grammars, from exact slopes of P(root kept) at ε*, {case['leaves'][-1]:.0f} leaves and less",
                "confirmed numerically",
                f"{inverse(case['fit'])}; theory {float(case['exponent']):.4g}",
            ),
        ]
    edge = data["edges"]["2"]["diverges"]
    first = int(np.argmax(np.isfinite(edge[0])))
    rows.append(
        (
            "smallest vocabulary with a diverging χ, branching 2",
            "not treated",
            f"v = {data['vocabulary'][first]:.3g}, at ln m/ln v = {edge[0, first]:.3g} to {edge[1, first]:.3g}",
        )
    )
    return rows
