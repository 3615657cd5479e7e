"""The whole law of the number of changed leaves through the transition."""

import numpy as np

import rhm_theory as rt
from figures.parts import nearest
from figures.style import COLOURS

TITLE = (
    "At the transition the number of changed leaves varies widely, but in one hump and not in two"
)
CAPTION = """
In (a), follow the curves from low to high noise. The most likely number of changed leaves moves
from few to nearly all. In between, the curve is wide but has one hump. A sharp transition would
show two humps, one for each phase.

One grammar is used (16 symbols, 4 rules for each symbol, branching 2, depth 7: 128 leaves), with
its reference start. Its leaves are noised at level ε and drawn again from their posterior (the
ε-process). N is the number of leaves that change. Every number is exact, and comes from one
generating function.

(a) The curves are P(N = k) at several noise levels. At low noise even and odd numbers alternate,
because rules change leaves in pairs.

(b) The same law is shown as a map over the noise. The white line is its mean.

(c) The curve is the standard deviation of N. It is largest at the transition, where it is about a
tenth of the system.
"""
LEMMAS = ["Fig. 3", "arXiv:2410.13770", "new"]
SIZE = (10.5, 3.9)
SHOWN = {0.6: "blue", 0.75: "sky", 0.78: "green", 0.8: "vermillion", 0.9: "purple"}


def compute(preset):
    grammar = rt.Grammar.affine(7, 16, 4, 2, multiplier=37, offset=11)
    noise = np.union1d(
        np.linspace(0.5, 1, {"quick": 26, "paper": 101}[preset]).round(4), list(SHOWN)
    )
    starts = np.broadcast_to(grammar.reference_start(0).leaves, (len(noise), 128))
    likelihood = rt.likelihood.epsilon_process(starts, noise, vocabulary=16)
    return {
        "noise": noise,
        "law": rt.change_distribution(grammar, likelihood, starts),
        "susceptibility": rt.susceptibility(grammar, likelihood, starts),
    }


def deviation(law):
    number = np.arange(law.shape[1])
    return np.sqrt(law @ number**2 - (law @ number) ** 2)


def humps(law):
    """How many local maxima the law of N has, averaged over three neighbours.

    At low noise even and odd numbers differ.
    """
    smooth = np.convolve(law, np.ones(3) / 3, mode="valid")
    ends = np.pad(smooth[smooth > 1e-3 * smooth.max()], 1)
    return int(np.sum((ends[1:-1] > ends[:-2]) & (ends[1:-1] >= ends[2:])))


def draw(figure, data):
    some, every, spread = figure.subplots(1, 3)
    noise, law, number = data["noise"], data["law"], np.arange(data["law"].shape[1])
    for level, hue in SHOWN.items():
        some.plot(
            number, law[nearest(noise, level)], color=COLOURS[hue], lw=1.3, label=f"ε = {level:g}"
        )
    some.set(
        yscale="log", ylim=(1e-5, 0.5), xlabel="changed leaves k", ylabel="P(N = k)", title="(a)"
    )
    some.legend(loc="lower center")
    mesh = every.pcolormesh(
        noise,
        number,
        np.log10(np.maximum(law.T, 1e-6)),
        vmin=-5,
        vmax=-0.5,
        shading="nearest",
        rasterized=True,
    )
    every.plot(noise, law @ number, color="white", lw=1.5)
    figure.colorbar(mesh, ax=every, label="log₁₀ P(N = k)")
    every.set(xlabel="noise ε", ylabel="changed leaves k", title="(b)")
    every.grid(False)
    spread.plot(noise, deviation(law), color=COLOURS["vermillion"])
    spread.set(xlabel="noise ε", ylabel="standard deviation of N (leaves)", title="(c)")


def claims(data):
    noise, spread = data["noise"], deviation(data["law"])
    widest = int(np.argmax(spread))
    return [
        ("humps of P(N) at ε = 0.8", "not treated", str(humps(data["law"][nearest(noise, 0.8)]))),
        (
            "largest standard deviation of N",
            "at the transition",
            f"{spread[widest]:.3g} leaves at ε = {noise[widest]:.3g}",
        ),
        (
            "largest susceptibility χ of this start",
            "-",
            f"{float(np.nanmax(data['susceptibility'])):.4g}",
        ),
    ]
