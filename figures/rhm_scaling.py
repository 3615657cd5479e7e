"""How the peak of the susceptibility grows with the depth, for two grammars."""

import jax
import numpy as np

import rhm_theory as rt
from figures.parts import DOTTED, dots, power
from figures.style import COLOURS

TITLE = (
    "The correlation length always diverges at the critical noise, but the susceptibility may not"
)
CAPTION = """
Compare (a) and (b), where darker curves are deeper trees. In (a) the peak of the susceptibility
grows with every level. In (b) it approaches a limit. In (c) the orange line keeps rising, and the
blue one flattens. Theory distinguishes the two grammars beforehand: the peak diverges if F′(p*)²
exceeds the branching.

The Random Hierarchy Model has branching 2. The leaves are noised at level ε and drawn again (the
ε-process). The susceptibility says how many leaves change together. Mean field replaces every
probability by its average over random grammars. Its function F maps the probability that a symbol
is kept at one level to that of the level above. The fixed point of F is p*.

(a), (b) The mean-field susceptibility is drawn against the noise at depths 5, 7, 9 and 11. The
critical noise ε* is dotted.

(c) The height of the peak is drawn against the number of leaves d. Solid lines are mean field. Dots
are exact averages over random grammars, at the noise of the mean-field peak, with 95 % intervals
over grammars. Dotted lines are the fit of B + A (d^a − 1)/a to the dots. For 64 symbols a second
power grows too, d^(3/ν − 2), whose exponent is 0.05. At these depths it looks like a constant. The
dashed line is the predicted power d^(2/ν − 1), for the grammar whose peak diverges.

(d) The distance of the peak from ε* is drawn against the number of leaves. It falls with the power
−1/ν (dashed), where ν is the exponent of the correlation length.
"""
LEMMAS = ["App. (exponent ν)", "Fig. 3", "arXiv:2410.13770"]
SIZE = (10.5, 7)
CASES = {"64 symbols, 8 rules": (64, 8, "vermillion"), "16 symbols, 4 rules": (16, 4, "blue")}
DEPTHS = np.arange(3, 25)
SHADES = {5: 0.35, 7: 0.55, 9: 0.75, 11: 1}  # depths of (a, b)


def compute(preset):
    grammars, starts, exact_depths = {
        "quick": (16, 8, (3, 4, 5, 6, 7)),
        "paper": (40, 32, (3, 4, 5, 6, 7, 8, 9)),
    }[preset]
    noise = np.linspace(0.6, 1, 161)
    found = {}
    for name, (vocabulary, rules, _) in CASES.items():
        numbers = {"vocabulary": vocabulary, "rules_per_symbol": rules, "branching": 2}
        peaks = rt.mean_field.susceptibility_peak(**numbers, depth=DEPTHS)
        exact = [
            exact_peak(numbers, depth, float(peaks.noise[depth == DEPTHS][0]), grammars, starts)
            for depth in exact_depths
        ]
        estimate = rt.measure.Estimate(*np.transpose(exact))
        sizes = 2.0 ** np.array(exact_depths)
        at_sizes = np.asarray(peaks.height)[np.isin(DEPTHS, exact_depths)]
        growth = rt.scaling.critical_growth(**numbers)
        found[name] = {
            "curves": np.stack(
                [rt.mean_field.susceptibility(noise, **numbers, depth=depth) for depth in SHADES]
            ),
            "peak_height": peaks.height,
            "peak_noise": peaks.noise,
            "exact": estimate._asdict(),
            "growth": growth._asdict(),
            # A constant and one power, which grows or dies out: it describes these depths.
            "fit": rt.scaling.approach(sizes, estimate.value, estimate.error)._asdict(),
            # All powers that grow.
            "full_fit": rt.scaling.approach(
                sizes, estimate.value, estimate.error, terms=max(1, int(growth.growing))
            )._asdict(),
            "power": rt.scaling.power_law(sizes, estimate.value, estimate.error)._asdict(),
            "mean_field_fit": rt.scaling.approach(sizes, at_sizes, 0.01 * at_sizes)._asdict(),
            **rt.mean_field.criticality(**numbers)._asdict(),
        }
    return {
        "noise": noise,
        "depths": DEPTHS,
        "exact_depths": np.array(exact_depths),
        "cases": found,
    }


def exact_peak(numbers, depth, noise, grammars, starts):
    """Exact susceptibility at one noise, over random grammars and starts, errors over grammars."""
    keys = map(
        jax.random.key, 1000 * depth + np.arange(grammars)
    )  # else grammars of different depths would share their lower levels
    return rt.experiment.average_susceptibility(keys, starts, noise, depth=depth, **numbers)


def draw(figure, data):
    curves, (height, distance) = figure.subplots(2, 2)
    leaves = 2.0 ** data["depths"]
    for panel, letter, (name, case) in zip(curves, "ab", data["cases"].items(), strict=True):
        hue, fit, gap = (
            COLOURS[CASES[name][2]],
            case["fit"],
            np.abs(case["peak_noise"] - case["noise"]),
        )
        for (depth, shade), curve in zip(SHADES.items(), case["curves"], strict=True):
            panel.plot(data["noise"], curve, color=hue, alpha=shade, label=f"depth {depth}")
        panel.axvline(float(case["noise"]), **DOTTED, label="ε*")
        panel.set(
            xlabel="noise ε",
            ylabel="susceptibility χ",
            title=f"({letter}) {name}: F′²/s = {float(case['kesten_stigum']):.3f}",
        )
        panel.legend(loc="upper left")
        height.plot(leaves, case["peak_height"], color=hue, label=f"{name}, mean field")
        dots(
            height,
            2.0 ** data["exact_depths"],
            case["exact"],
            fmt="o",
            color=hue,
            ms=5,
            mec="black",
            label="exact",
        )
        height.plot(
            leaves,
            fitted(fit, leaves),
            ":",
            color=hue,
            lw=1.4,
            label=f"fit of the dots, a = {fit['exponent']:+.2f}",
        )
        if case["diverges"]:
            power(
                height,
                leaves,
                case["peak_height"],
                case["susceptibility_growth"],
                through=-1,
                ls="--",
                color=hue,
                lw=1,
            )
        distance.plot(leaves, gap, color=hue, label=name)
        power(distance, leaves, gap, -1 / case["exponent"], through=-1, ls="--", color=hue, lw=1)
    height.set(
        xscale="log",
        yscale="log",
        xlabel="leaves d",
        ylabel="largest susceptibility",
        ylim=(1.5, 3e4),
        title="(c)",
    )
    distance.set(
        xscale="log", yscale="log", xlabel="leaves d", ylabel="|ε of the peak − ε*|", title="(d)"
    )
    height.legend(loc="upper left")
    distance.legend(loc="upper right")


def fitted(fit, leaves):
    return (
        fit["offset"]
        + fit["amplitude"] * np.expm1(fit["exponent"] * np.log(leaves)) / fit["exponent"]
    )


def claims(data):
    for name, case in data["cases"].items():
        height, gap = case["peak_height"], np.abs(case["peak_noise"] - case["noise"])
        growth, closing = (
            float(np.diff(np.log(values[-2:]))[0] / np.log(2)) for values in (height, gap)
        )
        theory = float(case["exponent"])
        yield (
            f"{name}: exponent ν from the peak's distance to ε*",
            "ν = ln s/ln F′(p*)",
            f"{-1 / closing:.4g}; theory {theory:.4g}",
        )
        claim = f"{name}: power of d with which the peak grows at depth {int(data['depths'][-1])}"
        yield (
            claim,
            "χ diverges",
            f"{growth:.4g}; theory {float(case['susceptibility_growth']):.4g}",
        )
        depths = list(map(int, data["exact_depths"]))
        claim = f"{name}: exponent a of B + A (d^a − 1)/a, fitted to exact peaks, depths {depths}"
        here = (
            f"{interval(case['fit'])}; theory 2/ν − 1 = {2 / theory - 1:.4g}; "
            f"mean field at these depths {float(case['mean_field_fit']['exponent']):.3g}; "
            f"with every power that grows {interval(case['full_fit'])}; "
            f"without B {interval(case['power'])}, X² {case['power']['misfit']:.3g}"
        )
        yield claim, "χ diverges", here


def interval(fit):
    return f"{fit['exponent']:.3g} ({fit['low']:.3g} to {fit['high']:.3g})"
