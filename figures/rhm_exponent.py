"""The exponent of the correlation length: in closed form, where it exists, and measured."""

import jax
import numpy as np

import rhm_theory as rt
from figures.parts import DASHED, DOTTED, dots, log_slope, power
from figures.style import COLOURS

TITLE = (
    "The exponent ν of the correlation length: a closed form, and measurements on random grammars"
)
CAPTION = """
In (d), dots are measurements on random grammars, and lines are the closed form. They agree. The
exponent ν says how fast the blocks that change together grow as the noise approaches its critical
value. In (b), only the dark region also has a diverging susceptibility. It is a narrow range of
rules.

A grammar has v symbols, m rules for each symbol, and branching s. Mean field replaces every
probability by its average over random grammars. Its function F maps the probability that a symbol
is kept at one level to that of the level above. The fixed point of F is p*.

(a) The curves are ν = ln s/ln F′(p*) in mean field, against the number of rules on the scale ln
m/ln v^(s−1). Exchanging m and v^(s−1)/m mirrors a curve. Below the dotted line ν = 2 (the
Kesten–Stigum bound) the susceptibility diverges.

(b) In the light region there is a transition, for branching 2. In the dark region the
susceptibility diverges too. Dashed lines enclose the transition for branching 3. Stars are the
grammars (v, m, s) of (c) and (d).

(c) In mean field, start at a distance δ from the critical noise and go up the tree, away from the
fixed point. The curve is the size s^ℓ of the tree at the level ℓ where the probability has gone
half of its way. It grows like δ^(−ν) (dashed).

(d) The dots are the exact slope, at the critical noise, of the probability to keep the root, with
95 % intervals. Against the number of leaves the slope grows with the power 1/ν.
"""
LEMMAS = ["App. (exponent ν)", "arXiv:2410.13770", "new"]
SIZE = (10.5, 7.6)
CASES = {(64, 8, 2): "vermillion", (16, 4, 2): "blue", (8, 16, 3): "green"}  # (v, m, s)
CURVES = {
    (16, 2): ("blue", "-"),
    (64, 2): ("vermillion", "-"),
    (1024, 2): ("purple", "-"),
    (8, 3): ("green", "--"),
}  # (v, s)
DISTANCES = np.logspace(-9, -1, 33)


def compute(preset):
    grammars, starts, depths = {
        "quick": (24, 4, ((2, 4, 6), (3, 5, 7), (2, 4))),
        "paper": (300, 16, ((2, 4, 6, 8), (3, 5, 7, 9), (2, 3, 4, 5))),
    }[preset]
    place, vocabulary = np.linspace(0.01, 0.99, 197), np.geomspace(3, 4096, 80)
    return {
        "place": place,
        "exponents": {
            f"v = {v}, s = {s}": rt.mean_field.exponent(**at(v, s, place)) for v, s in CURVES
        },
        "vocabulary": vocabulary,
        "edges": {str(s): edges(vocabulary, s) for s in (2, 3)},
        "cases": {
            str(case): measured(case, levels, grammars, starts)
            for case, levels in zip(CASES, depths, strict=True)
        },
    }


def at(vocabulary, branching, place):
    """A grammar's numbers by ln m/ln v^(s-1)."""
    return {
        "vocabulary": vocabulary,
        "rules_per_symbol": vocabulary ** ((branching - 1) * place),
        "branching": branching,
    }


def edges(vocabulary, branching):
    """Ends of the range with a transition, and of that with a diverging susceptibility.

    Both are on the scale of :func:`at`, first the lower end and then the upper one.
    """
    place = np.linspace(0, 1, 1001)[1:-1]
    found = rt.mean_field.criticality(**at(vocabulary[:, None], branching, place))
    inside = {"exists": np.isfinite(found.noise), "diverges": found.diverges}
    places = {name: np.where(holds, place, np.nan) for name, holds in inside.items()}
    return {
        name: np.stack([np.fmin.reduce(where, -1), np.fmax.reduce(where, -1)])
        for name, where in places.items()
    }


def measured(case, depths, grammars, starts):
    """The exponent of one grammar (v, m, s) by three routes.

    These are the closed form, sizes of the mean field, and slopes on random grammars.
    """
    numbers = dict(zip(("vocabulary", "rules_per_symbol", "branching"), case, strict=True))
    critical = rt.mean_field.criticality(**numbers)
    size = rt.mean_field.correlated_size(DISTANCES, **numbers)
    leaves = float(numbers["branching"]) ** np.array(depths)
    slopes = []
    for depth in depths:
        keys = jax.random.split(jax.random.key(depth), grammars)
        slopes.append(
            rt.experiment.average_root_slope(keys, starts, critical.noise, depth=depth, **numbers)
        )
    found = rt.measure.Estimate(*np.transpose(slopes))
    return {
        "leaves": leaves,
        "slopes": found._asdict(),
        "fit": rt.scaling.power_law(leaves, found.value, found.error)._asdict(),
        "mean_field_slopes": (1 - 1 / numbers["vocabulary"])
        * float(critical.slope) ** np.array(depths),
        "size": size,
        "size_exponent": -log_slope(DISTANCES[:17], size[:17]),
        **critical._asdict(),
    }


def draw(figure, data):
    (curves, ranges), (sizes, slopes) = figure.subplots(2, 2)
    for (hue, line), (name, exponent) in zip(
        CURVES.values(), data["exponents"].items(), strict=True
    ):
        curves.plot(data["place"], exponent, line, color=COLOURS[hue], label=name)
    curves.axhline(2, **DOTTED, label="ν = 2")
    curves.set(xlabel="ln m / ln v^(s−1)", ylabel="exponent ν", ylim=(1, 7), title="(a)")
    curves.legend(loc="upper center")
    draw_ranges(ranges, data)
    for (name, case), hue in zip(data["cases"].items(), CASES.values(), strict=True):
        sizes.plot(
            DISTANCES,
            case["size"],
            color=COLOURS[hue],
            label=f"{name}: ν = {float(case['size_exponent']):.3f}",
        )
        power(
            sizes,
            DISTANCES,
            case["size"],
            -case["exponent"],
            through=0,
            ls="--",
            color="black",
            lw=0.8,
        )
        dots(
            slopes,
            case["leaves"],
            case["slopes"],
            fmt="o",
            ms=4.5,
            color=COLOURS[hue],
            label=f"{name}: ν = {inverse(case['fit'])}",
        )
        slopes.plot(case["leaves"], case["mean_field_slopes"], color=COLOURS[hue], lw=1.2)
    sizes.set(
        xscale="log",
        yscale="log",
        xlabel="distance δ = 1 − ε/ε* from the critical noise",
        ylabel="correlated size s^ℓ",
        title="(c)",
    )
    slopes.set(
        xscale="log",
        yscale="log",
        xlabel="leaves d",
        ylabel="−dP(root kept)/dε at ε*",
        title="(d)",
        ylim=(1, 100),
    )
    sizes.legend(loc="upper right")
    slopes.legend(loc="upper left")


def draw_ranges(panel, data):
    two, three = data["edges"]["2"], data["edges"]["3"]
    panel.fill_between(data["vocabulary"], *two["exists"], color=COLOURS["sky"], alpha=0.45, lw=0)
    panel.fill_between(data["vocabulary"], *two["diverges"], color=COLOURS["blue"], lw=0)
    panel.plot(data["vocabulary"], three["exists"].T, **DASHED)
    panel.text(900, 0.5, "χ diverges\n(s = 2)", color="white", ha="center", va="center")
    panel.text(3.3, 0.03, "light: transition (s = 2)")
    panel.text(3.3, 0.94, "dashed: transition (s = 3)")
    for (vocabulary, rules, branching), (name, case) in zip(
        CASES, data["cases"].items(), strict=True
    ):
        place = vocabulary, np.log(rules) / np.log(vocabulary) / (branching - 1)
        shift, side, hue = (9, "left", "white") if case["diverges"] else (-9, "right", "black")
        panel.plot(*place, "*", ms=13, color=COLOURS["orange"], mec="black")
        panel.annotate(name, place, (shift, -4), textcoords="offset points", ha=side, color=hue)
    panel.set(
        xscale="log",
        xlabel="vocabulary v",
        ylabel="ln m / ln v^(s−1)",
        title="(b)",
        ylim=(0, 1),
        xlim=(1.8, 5000),
    )


def inverse(fit):
    """The exponent ν = 1/a of a fitted power, with its interval."""
    return f"{1 / fit['exponent']:.3f} ({1 / fit['high']:.3f} to {1 / fit['low']:.3f})"


def claims(data):
    for name, case in data["cases"].items():
        theory = float(case["exponent"])
        claim = f"{name}: ν in mean field, from sizes at distances 1e-9 to 1e-5 from ε*"
        yield (
            claim,
            "ν = ln s/ln F′(p*)",
            f"{float(case['size_exponent']):.5g}; theory {theory:.5g}",
        )
        claim = (
            f"{name}: ν of random grammars, from exact slopes of P(root kept) at ε*, "
            f"up to {case['leaves'][-1]:.0f} leaves"
        )
        yield claim, "confirmed numerically", f"{inverse(case['fit'])}; theory {theory:.4g}"
    edge = data["edges"]["2"]["diverges"]
    first = int(np.argmax(np.isfinite(edge[0])))
    here = (
        f"v = {data['vocabulary'][first]:.3g}, at ln m/ln v = {edge[0, first]:.3g} "
        f"to {edge[1, first]:.3g}"
    )
    yield "smallest vocabulary with a diverging χ, branching 2", "not treated", here
