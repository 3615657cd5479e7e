"""Controls of the forward-backward experiment (arXiv:2410.13770, Sec. 3.3) without a hierarchy.

They are a Gaussian field, which has no peak, and a Markov chain. The modes of a stationary field
are independent, so one mode of variance S is enough: ``x_t = √ᾱ x_0 + σz``, ``σ² = 1 - ᾱ``.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import functools
import itertools
import math
from fractions import Fraction

import numpy as np
import sympy as sp

from derivations.hierarchy.mean_field import PAPER
from derivations.ledger.ledger import claim
from derivations.ledger.steps import Certificate, Equal, Positive

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
    statement=(
        "The change x̂₀ − x₀ of a mode at a given start has variance C = σ²S(2ᾱS + σ²)/(ᾱS + σ²)². "
        "The start only moves its mean."
    ),
    explanation=(
        "The posterior of x_0 given x_t is N(g x_t, τ). Here g and τ make the exponent -(x_t - √ᾱ "
        "x)²/2σ² - x²/2S a square. So x̂_0 - x_0 = gσz + √τ z' + (g√ᾱ - 1) x_0."
    ),
    where=f"{PAPER}, Sec. 3.3",
    domain="stationary Gaussian field, exact posterior, 0 < σ² <= 1",
    origin="new",
    evidence="proved",
    backs=[
        "rhm_theory.models.controls.GaussianField.response",
        "rhm_theory.models.controls.GaussianField.sample_posterior",
    ],
    evaluate=_by_gain,
    counterexample="S, σ² at which the change of a mode has another variance",
)
def control_response(
    variance=response,
    gain=sp.sqrt(signal) * S / (signal * S + sigma2),
    posterior=S * sigma2 / (signal * S + sigma2),
):
    clean, seen = sp.symbols("x x_t", real=True)
    exponent = (seen - sp.sqrt(signal) * clean) ** 2 / (2 * sigma2) + clean**2 / (2 * S)
    completed = (clean - gain * seen) ** 2 / (2 * posterior)
    yield Equal("the posterior's mean", sp.diff(exponent, clean).subs(clean, gain * seen), 0)
    yield Equal("its variance", sp.diff(exponent, clean, 2), 1 / posterior)
    yield Equal("nothing else depends on x", sp.diff(exponent - completed, clean), 0)
    yield Equal("variance of the change", gain**2 * sigma2 + posterior, variance)


@claim(
    "gaussian-control-monotone",
    statement=(
        "χ = C(0)/mean C(k) grows with the noise, from 1 at σ² → 0 to S₀/mean S at σ² = 1. So it "
        "has no peak in between. C is proportional to u(2u+1)/(u+1)², u = ᾱS/σ², whose logarithmic "
        "slope falls."
    ),
    explanation=(
        "Let e be that slope, and ρ = S_0/S_k >= 1. The derivative of ln C(0) - ln C(k) by ln u is "
        "e(ρu) - e(u), which is <= 0 as e falls. u falls with the noise, so each C(k)/C(0) falls. "
        "So does their mean, 1/χ."
    ),
    where=f"{PAPER}, Sec. 3.3: no peak inside",
    domain="any spectrum that is largest at k = 0, 0 < σ² < 1, σ² = 1 - ᾱ",
    origin="new",
    evidence="proved",
    backs="rhm_theory.models.controls.GaussianField.response",
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
    ratio = {signal: u * sigma2 / S}
    yield Equal(
        "C in u, up to σ²/ᾱ, the same for all modes",
        response.subs(ratio),
        (sigma2 / signal).subs(ratio) * scaled,
    )
    yield Equal("d ln C/d ln u", u * sp.diff(sp.log(scaled), u), log_slope)
    yield Equal("its derivative", sp.diff(log_slope, u), slope_change)
    yield Positive("which is negative", -slope_change)
    noise = excess / (1 + excess)  # σ² in (0, 1)
    yield Positive("u falls with the noise", -sp.diff(((1 - noise) * S / noise), excess))
    yield Equal("C at σ² = 1", response.subs({sigma2: 1, signal: 0}), at_end)
    yield Equal(
        "C/σ² at σ² = 0, the same for all modes: χ → 1",
        (response / sigma2).subs({sigma2: 0, signal: 1}),
        at_start,
    )


message, moved, predicted, seen = sp.symbols(
    "f T g pi", positive=True
)  # before a site, its transition, their sum, the likelihood there
leaving, returning, decay, distance, wave = sp.symbols("p q a r k", positive=True)


@claim(
    "gaussian-control-decay",
    statement=(
        "A spectrum k^{−a} has correlations that fall as r^{−(1−a)}: ∫₀^∞ k^{−a} cos(kr) dk = "
        "r^{a−1} ∫₀^∞ u^{−a} cos u du, and the last integral is a positive number."
    ),
    explanation=(
        "Substitute k = u/r. By parts the number is ∫ a u^{−a−1} sin u du. Its half waves "
        "alternate and shrink, and the first one is positive. u^{-a} sin u vanishes at both ends "
        "for 0 < a < 1."
    ),
    where=f"{PAPER}, Sec. 3.3: power-law correlations",
    domain="0 < a < 1; long rings, 1 << r << length",
    origin="new",
    evidence="proved",
    backs="rhm_theory.models.controls.gaussian_field",
    counterexample=(
        "an a for which the Fourier integral of k^-a is no positive multiple of r^-(1-a)"
    ),
)
def control_decay(falls=distance ** (decay - 1), sine=decay * u ** (-decay - 1) * sp.sin(u)):
    integrand = wave**-decay * sp.cos(wave * distance)
    yield Equal(
        "dk = du/r", integrand.subs(wave, u / distance) / distance, falls * u**-decay * sp.cos(u)
    )
    yield Equal("by parts", sp.diff(u**-decay * sp.sin(u), u), u**-decay * sp.cos(u) - sine)


def _fractions(*rows: str) -> list[list[Fraction]]:
    return [[Fraction(number) for number in row.split()] for row in rows]


# Transition, initial law, the likelihood of each of four sites, with zeros, and the start.
CHAIN = (
    _fractions("1/2 1/3 1/6", "0 3/4 1/4", "2/5 1/5 2/5"),
    *_fractions("1/2 1/4 1/4"),
    _fractions("1 2 0", "3 1 1", "0 1 5", "2 1 3"),
    (0, 1, 2, 1),
)


@functools.cache
def chain_by_passes():
    """Evidence, probabilities of all sequences, mean and variance of N, and covariances, by passes.

    The probabilities are those of backward sampling; the covariances are those of the changes.
    """
    transition, initial, likelihood, start = CHAIN
    symbols = range(len(initial))
    differs = [[int(a != kept) for a in symbols] for kept in start]
    forward = [share * seen for share, seen in zip(initial, likelihood[0], strict=True)]
    spread = [Fraction(0)] * len(initial)  # the variance of N so far, by the symbol here
    given = [differs[:1]]  # P(site i changed), by the symbol here
    before = []  # P(a | b at the next site, what is seen up to here), by b
    for site in range(1, len(start)):
        joint = [[forward[a] * transition[a][b] for a in symbols] for b in symbols]
        before.append([[one / sum(row) for one in row] for row in joint])
        forward = [sum(joint[b]) * likelihood[site][b] for b in symbols]
        spread = [_mixed(row, _means_by_symbol(given[-1]), spread)[1] for row in before[-1]]
        given.append(
            [*([_mean(row, of_site) for row in before[-1]] for of_site in given[-1]), differs[site]]
        )
    posterior = [[share / sum(forward) for share in forward]]
    for rows in reversed(before):
        posterior.insert(0, [_mean(posterior[0], column) for column in zip(*rows, strict=True)])
    chances = {
        sequence: posterior[-1][sequence[-1]]
        * math.prod(
            rows[b][a] for rows, (a, b) in zip(before, itertools.pairwise(sequence), strict=True)
        )
        for sequence in itertools.product(symbols, repeat=len(start))
    }
    changed = [_mean(law, row) for law, row in zip(posterior, differs, strict=True)]
    covariances = {
        (i, j): sum(posterior[j][b] * differs[j][b] * (of_site[b] - changed[i]) for b in symbols)
        for j, sites in enumerate(given)
        for i, of_site in enumerate(sites)
    }
    return (
        sum(forward),
        chances,
        *_mixed(posterior[-1], _means_by_symbol(given[-1]), spread),
        covariances,
    )


def _mean(weights, values):
    return sum(weight * value for weight, value in zip(weights, values, strict=True))


def _means_by_symbol(given):
    """The mean of N by the symbol here."""
    return [sum(column) for column in zip(*given, strict=True)]


def _mixed(weights, means, spread):
    """Mean and variance of a mixture."""
    centre = _mean(weights, means)
    return centre, _mean(
        weights, [part + (mean - centre) ** 2 for part, mean in zip(spread, means, strict=True)]
    )


@functools.cache
def chain_by_sequences():
    """The same from all sequences."""
    transition, initial, likelihood, start = CHAIN
    weights = {}
    for sequence in itertools.product(range(len(initial)), repeat=len(likelihood)):
        steps = (transition[a][b] for a, b in itertools.pairwise(sequence))
        seen = (row[symbol] for row, symbol in zip(likelihood, sequence, strict=True))
        weights[sequence] = initial[sequence[0]] * math.prod(steps) * math.prod(seen)
    evidence = sum(weights.values())
    chances = {sequence: weight / evidence for sequence, weight in weights.items()}
    changes = {
        sequence: [int(a != b) for a, b in zip(sequence, start, strict=True)]
        for sequence in weights
    }

    def mean(value):
        return sum(chance * value(changes[sequence]) for sequence, chance in chances.items())

    covariances = {
        (i, j): mean(lambda n, i=i, j=j: n[i] * n[j])
        - mean(lambda n, i=i: n[i]) * mean(lambda n, j=j: n[j])
        for j in range(len(start))
        for i in range(j + 1)
    }
    return evidence, chances, mean(sum), mean(lambda n: sum(n) ** 2) - mean(sum) ** 2, covariances


def _chain():
    sides = chain_by_passes(), chain_by_sequences()
    return tuple([float(side[0]), float(side[2]), float(side[3])] for side in sides)


@claim(
    "markov-chain-passes",
    statement=(
        "With messages f′(b) = π(b) Σ_a f(a) T(a,b), the evidence is the sum of the last one. Draw "
        "backwards, each symbol a before b with weight f(a) T(a,b): a sequence comes with its "
        "posterior probability. Moments and correlations follow as on a tree. The stationary law "
        "solves (1 − T′ + J)x = 1, where J has only ones."
    ),
    explanation=(
        "Each sum in a message is divided out by the weights of the site before. 1'(1 - T') = 0 "
        "makes the entries of x sum to 1. Certified, for a chain of four sites with zeros in its "
        "likelihood: the evidence, all 81 sequences, Var N and the covariances."
    ),
    where=f"{PAPER}: a Markov chain, beside the control of Sec. 3.3",
    domain="any chain, any likelihood >= 0 with Z > 0",
    origin="new",
    evidence="certified",
    backs=[
        "rhm_theory.models.controls.markov_chain",
        "rhm_theory.models.controls.MarkovChain.log_evidence",
        "rhm_theory.models.controls.MarkovChain.marginals",
        "rhm_theory.models.controls.MarkovChain.sample_posterior",
        "rhm_theory.models.controls.MarkovChain.change_moments",
        "rhm_theory.models.controls.MarkovChain.change_correlations",
    ],
    rules=["conditioning"],
    evaluate=_chain,
    counterexample=(
        "a chain, a likelihood and a sequence that backward sampling makes with another "
        "probability than its posterior one"
    ),
)
def chain_passes(
    filtered=predicted * seen,
    before=message * moved / predicted,
    stationary=returning / (leaving + returning),
):
    later, likelihood = sp.symbols("g_2 pi_2", positive=True)
    onward = sp.Symbol("T_2", positive=True)
    last = filtered.subs({predicted: later, seen: likelihood}, simultaneous=True)
    step = before.subs({message: filtered, moved: onward, predicted: later}, simultaneous=True)
    yield Equal("the symbols before, with Σ f T = g", before.subs(message, predicted / moved), 1)
    yield Equal("two sites", filtered * before, message * moved * seen)
    yield Equal("three sites", last * step * before, message * moved * seen * onward * likelihood)
    two = sp.Matrix([[1 - leaving, leaving], [returning, 1 - returning]])
    law = sp.Matrix([stationary, 1 - stationary])
    yield Equal("it is at rest", two.T * law, law)
    yield Equal("the equation solved", (sp.eye(2) - two.T + sp.ones(2)) * law, sp.ones(2, 1))
    yield Certificate(
        "all sequences",
        chain_by_passes() == chain_by_sequences(),
        f"evidence {chain_by_passes()[0]}, exactly",
    )
