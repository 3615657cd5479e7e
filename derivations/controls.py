"""The control of the forward-backward experiment: a Gaussian field, whose susceptibility has no peak (arXiv:2410.13770, Sec. 3.3).

Modes of a stationary field are independent, so that one mode of variance S tells everything; ``x_t = √ᾱ x_0 + σz``, ``σ² = 1 - ᾱ``.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import numpy as np
import sympy as sp

from derivations.ledger import claim
from derivations.mean_field import PAPER
from derivations.steps import Equal, Positive

S, signal, sigma2, u, excess = sp.symbols("S alpha_bar sigma2 u t", positive=True)
response = sigma2 * S * (2 * signal * S + sigma2) / (signal * S + sigma2) ** 2
shape = u * (2 * u + 1) / (u + 1) ** 2


def _by_gain(*, spectrum=0.7, noise=0.4):
    """Variance of one mode's change from the posterior's gain and spread, and by the formula."""
    gain = np.sqrt(1 - noise) * spectrum / ((1 - noise) * spectrum + noise)
    spread = spectrum * noise / ((1 - noise) * spectrum + noise)
    values = {S: spectrum, signal: 1 - noise, sigma2: noise}
    return float(gain**2 * noise + spread), float(response.subs(values))


@claim(
    "gaussian-control-response",
    where=f"{PAPER}, Sec. 3.3",
    domain="stationary Gaussian field, exact posterior, 0 < σ² <= 1",
    origin="new",
    evidence="proved",
    backs="rhm_theory.controls.GaussianField.response",
    evaluate=_by_gain,
    counterexample="S, σ² at which the change of a mode has another variance",
)
def control_response(
    variance=response,
    gain=sp.sqrt(signal) * S / (signal * S + sigma2),
    posterior=S * sigma2 / (signal * S + sigma2),
):
    """The change x̂₀ − x₀ of a mode at a given start has variance C = σ²S(2ᾱS + σ²)/(ᾱS + σ²)², whatever the start up to its mean.

    The posterior of x_0 given x_t is N(g x_t, τ), g and τ being those that make the exponent -(x_t - √ᾱ x)²/2σ² - x²/2S a square. So x̂_0 -
    x_0 = gσz + √τ z' + (g√ᾱ - 1) x_0.
    """
    clean, seen = sp.symbols("x x_t", real=True)
    exponent = (seen - sp.sqrt(signal) * clean) ** 2 / (2 * sigma2) + clean**2 / (2 * S)
    completed = (clean - gain * seen) ** 2 / (2 * posterior)
    yield Equal("the posterior's mean", sp.diff(exponent, clean).subs(clean, gain * seen), 0)
    yield Equal("its variance", sp.diff(exponent, clean, 2), 1 / posterior)
    yield Equal("nothing else depends on x", sp.diff(exponent - completed, clean), 0)
    yield Equal("variance of the change", gain**2 * sigma2 + posterior, variance)


@claim(
    "gaussian-control-monotone",
    where=f"{PAPER}, Sec. 3.3: no peak inside",
    domain="any spectrum that is largest at k = 0, 0 < σ² < 1, σ² = 1 - ᾱ",
    origin="new",
    evidence="proved",
    backs="rhm_theory.controls.GaussianField.response",
    rules=["monotone bijection"],
    counterexample="a spectrum largest at 0 and a noise at which χ falls as the noise grows",
)
def control_monotone(
    scaled=shape,
    log_slope=1 + 2 * u / (2 * u + 1) - 2 * u / (u + 1),
    slope_change=-2 * u * (3 * u + 2) / ((2 * u + 1) ** 2 * (u + 1) ** 2),
    at_end=S,
    at_start=sp.Integer(2),
):
    """χ = C(0)/mean C(k) grows with the noise, from 1 at σ² → 0 to S₀/mean S at σ² = 1: no peak inside. C ∝ u(2u+1)/(u+1)², u = ᾱS/σ², has
    a falling logarithmic slope.

    ln C(0) - ln C(k) has the derivative e(ρu) - e(u) by ln u, ρ = S_0/S_k >= 1, e the slope: it is <= 0, as e falls. u falls with the
    noise, so each C(k)/C(0) falls, and so does their mean, 1/χ.
    """
    ratio = {signal: u * sigma2 / S}
    yield Equal("C in u, up to σ²/ᾱ, the same for all modes", response.subs(ratio), (sigma2 / signal).subs(ratio) * scaled)
    yield Equal("d ln C/d ln u", u * sp.diff(sp.log(scaled), u), log_slope)
    yield Equal("its derivative", sp.diff(log_slope, u), slope_change)
    yield Positive("which is negative", -slope_change)
    noise = excess / (1 + excess)  # σ² in (0, 1)
    yield Positive("u falls with the noise", -sp.diff(((1 - noise) * S / noise), excess))
    yield Equal("C at σ² = 1", response.subs({sigma2: 1, signal: 0}), at_end)
    yield Equal("C/σ² at σ² = 0, the same for all modes: χ → 1", (response / sigma2).subs({sigma2: 0, signal: 1}), at_start)
