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
from typing import NamedTuple

import mpmath
import numpy as np
import sympy as sp

from derivations.hierarchy.mean_field import PAPER
from derivations.ledger.ledger import claim
from derivations.ledger.steps import Certificate, Equal, Positive

S, signal, sigma2, u, excess = sp.symbols("S alpha_bar sigma2 u t", positive=True)
top = sp.Symbol("S_0", positive=True)
response = sigma2 * S * (2 * signal * S + sigma2) / (signal * S + sigma2) ** 2


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


def _limits(*, spectrum=(1.0, 1.0, 0.0, 0.0), noise=1e-14):
    """χ next to σ² = 0 and at σ² = 1, from the variances, and the two limits claimed."""

    def susceptibility(level):
        values = np.asarray(spectrum)
        change = level * values * (2 * (1 - level) * values + level)
        change = change / ((1 - level) * values + level) ** 2
        return float(change[0] / np.mean(change))

    present = np.count_nonzero(spectrum)
    limits = len(spectrum) / present, spectrum[0] / float(np.mean(spectrum))
    return [susceptibility(noise), susceptibility(1.0)], list(limits)


@claim(
    "gaussian-control-monotone",
    statement=(
        "χ = C(0)/mean C(k) never falls as the noise grows. It goes from N/N₊ at σ² → 0 to S₀/mean "
        "S at σ² = 1, where N₊ of the N modes have S_k > 0. So there is no peak in between. It is "
        "constant exactly when every S_k is 0 or S₀, and rises strictly otherwise."
    ),
    explanation=(
        "1/χ is the mean of C(k)/C(0). A mode with S_k = 0 gives 0, and one with S_k = S₀ gives 1. "
        "For 0 < S_k < S₀ the quotient falls strictly, from 1 at σ² → 0 to S_k/S₀ at σ² = 1."
    ),
    where=f"{PAPER}, Sec. 3.3: no peak inside",
    domain="any spectrum S >= 0 that is largest at k = 0, S₀ > 0; 0 < σ² < 1, σ² = 1 - ᾱ",
    origin="new",
    evidence="proved",
    backs="rhm_theory.models.controls.GaussianField.response",
    evaluate=_limits,
    counterexample=(
        "a spectrum largest at 0 and a noise at which χ falls as the noise grows, or does not rise "
        "although some S_k is neither 0 nor S₀"
    ),
)
def control_monotone(
    quotient=S
    * (2 * u * S + 1)
    * (u * top + 1) ** 2
    / (top * (2 * u * top + 1) * (u * S + 1) ** 2),
    at_end=S / top,
    at_start=sp.Integer(1),
    equal_modes=sp.Integer(1),
):
    # u = ᾱ/σ² falls from oo to 0 as σ² goes from 0 to 1.
    noise = excess / (1 + excess)  # σ² in (0, 1)
    yield Positive("u falls with the noise", -sp.diff((1 - noise) / noise, excess))
    by_signal = {signal: u * sigma2}
    of_top = response.subs(S, top)
    yield Equal("C(k)/C(0)", (response / of_top).subs(by_signal), quotient)
    rising = sp.diff(quotient, u).subs(top, S + excess)  # S_0 = S_k + t
    yield Positive("it rises with u for 0 < S_k < S_0", sp.factor(rising))
    yield Equal("S_k = S_0", quotient.subs(top, S), equal_modes)
    yield Equal("S_k = 0", quotient.subs(S, 0), 0)
    yield Equal("σ² = 1, u = 0", quotient.subs(u, 0), at_end)
    yield Equal("σ² → 0, u → oo", sp.limit(quotient, u, sp.oo), at_start)


message, moved, predicted, seen = sp.symbols(
    "f T g pi", positive=True
)  # before a site, its transition, their sum, the likelihood there
leaving, returning, decay, distance, wave = sp.symbols("p q a r k", positive=True)


def _fourier_integral(*, decay=0.5, distance=3.0):
    """∫_0^oo k^-a cos(kr) dk by integration between the zeros, and the closed form."""
    with mpmath.workdps(20):
        a, r = mpmath.mpf(str(decay)), mpmath.mpf(str(distance))
        zero = mpmath.pi / (2 * r)  # of the cosine

        def integrand(k):
            return k**-a * mpmath.cos(k * r)

        # Up to there with y = k^(1-a), in which the integrand is bounded.
        computed = mpmath.quad(
            lambda y: mpmath.cos(r * y ** (1 / (1 - a))) / (1 - a), [0, zero ** (1 - a)]
        )
        computed += mpmath.quadosc(integrand, [zero, mpmath.inf], omega=r)
        closed = r ** (a - 1) * mpmath.gamma(1 - a) * mpmath.sin(mpmath.pi * a / 2)
        return float(computed), float(closed)


@claim(
    "gaussian-control-decay",
    statement=(
        "A spectrum k^{−a} on all k > 0 has correlations that fall as r^{−(1−a)}. Exactly, "
        "∫₀^∞ k^{−a} cos(kr) dk = c r^{a−1} with c > 0. A ring of finite length is not claimed."
    ),
    explanation=(
        "Substitute k = u/r. By parts c = ∫ a u^{−a−1} sin u du. The boundary terms vanish: "
        "u^{-a} sin u lies between -u^{-a} and u^{1-a} for u < π, and below u^{-a} in size "
        "elsewhere. The last integral is absolutely convergent. Add its half waves in pairs, "
        "from 2nπ to (2n+1)π and the next one. Each pair is an integral of sin u > 0 times a "
        "positive difference."
    ),
    where=f"{PAPER}, Sec. 3.3: power-law correlations",
    domain="0 < a < 1, r > 0; the infinite line, as an improper integral",
    origin="new",
    evidence="proved",
    backs="rhm_theory.models.controls.gaussian_field",
    evaluate=_fourier_integral,
    counterexample=(
        "an a in (0, 1) for which the Fourier integral of k^-a is no positive multiple of r^-(1-a)"
    ),
)
def control_decay(
    falls=distance ** (decay - 1),
    sine=decay * u ** (-decay - 1) * sp.sin(u),
    pair=decay * (u ** (-decay - 1) - (u + sp.pi) ** (-decay - 1)) * sp.sin(u),
):
    integrand = wave**-decay * sp.cos(wave * distance)
    yield Equal(
        "dk = du/r", integrand.subs(wave, u / distance) / distance, falls * u**-decay * sp.cos(u)
    )
    yield Equal("by parts", sp.diff(u**-decay * sp.sin(u), u), u**-decay * sp.cos(u) - sine)
    share = excess / (1 + excess)  # a in (0, 1)
    near_zero = (u ** (1 - decay)).subs(decay, share)
    yield Equal("u^(1-a) at u → 0", sp.limit(near_zero, u, 0), 0)
    far = (u**-decay).subs(decay, share)
    yield Equal("u^-a at u → oo", sp.limit(far, u, sp.oo), 0)
    yield Equal("u and u + π", sine + sp.expand_trig(sine.subs(u, u + sp.pi)), pair)
    # The difference of two powers: it is 0 where the shift is 0, and rises with the shift.
    shift = sp.Symbol("h", positive=True)
    difference = u ** (-decay - 1) - (u + shift) ** (-decay - 1)
    yield Equal("pair by the difference", pair, decay * sp.sin(u) * difference.subs(shift, sp.pi))
    yield Equal("no shift", difference.subs(shift, 0), 0)
    over_power = sp.diff(difference, shift) * (u + shift) ** (decay + 2)
    yield Equal("its slope in the shift, over a power of u + h > 0", over_power, decay + 1)
    yield Positive("so it rises with the shift", sp.simplify(over_power))


def _fractions(*rows: str) -> list[list[Fraction]]:
    return [[Fraction(number) for number in row.split()] for row in rows]


class Chain(NamedTuple):
    """A chain: its transition, initial law, the likelihood of each site, and the start."""

    transition: list[list[Fraction]]
    initial: list[Fraction]
    likelihood: list[list[Fraction]]
    start: tuple[int, ...]


# Zeros in the transition, in the initial law and in the likelihood; 1 to 5 sites, 2 to 4 symbols.
CHAINS = (
    Chain(
        _fractions("1/2 1/3 1/6", "0 3/4 1/4", "2/5 1/5 2/5"),
        *_fractions("1/2 1/4 1/4"),
        _fractions("1 2 0", "3 1 1", "0 1 5", "2 1 3"),
        (0, 1, 2, 1),
    ),
    Chain(
        _fractions("1/3 2/3", "1 0"),
        *_fractions("0 1"),
        _fractions("1 1", "2 0", "1 3", "0 1", "5 2"),
        (1, 0, 0, 1, 1),
    ),
    Chain(
        _fractions("0 1 0 0", "1/4 1/4 1/4 1/4", "1/2 0 1/2 0", "1/7 2/7 3/7 1/7"),
        *_fractions("1/8 0 3/8 1/2"),
        _fractions("1 0 2 1", "3 1 0 1", "1 1 4 2"),
        (2, 0, 3),
    ),
    Chain(_fractions("1/2 1/2", "1/5 4/5"), *_fractions("3/4 1/4"), _fractions("2 1"), (0,)),
)


@functools.cache
def chain_by_passes(number: int = 0):
    """Evidence, probabilities of all sequences, mean and variance of N, and covariances, by passes.

    The probabilities are those of backward sampling; the covariances are those of the changes.
    """
    transition, initial, likelihood, start = CHAINS[number]
    symbols = range(len(initial))
    differs = [[int(a != kept) for a in symbols] for kept in start]
    forward = [share * seen for share, seen in zip(initial, likelihood[0], strict=True)]
    spread = [Fraction(0)] * len(initial)  # the variance of N so far, by the symbol here
    given = [differs[:1]]  # P(site i changed), by the symbol here
    before = []  # P(a | b at the next site, what is seen up to here), by b
    for site in range(1, len(start)):
        joint = [[forward[a] * transition[a][b] for a in symbols] for b in symbols]
        # A symbol that cannot be reached has no symbols before it, and weight 0.
        before.append([[one / (sum(row) or 1) for one in row] for row in joint])
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
def chain_by_sequences(number: int = 0):
    """The same from all sequences."""
    transition, initial, likelihood, start = CHAINS[number]
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


def _chain(*, number=0):
    sides = chain_by_passes(number), chain_by_sequences(number)
    return tuple([float(side[0]), float(side[2]), float(side[3])] for side in sides)


@claim(
    "markov-chain-passes",
    statement=(
        "With messages f′(b) = π(b) Σ_a f(a) T(a,b), the evidence is the sum of the last one. Draw "
        "backwards, each symbol a before b with weight f(a) T(a,b): a sequence comes with its "
        "posterior probability. Checked on four chains only: mean and variance of N, and the "
        "covariances, follow as on a tree. Checked for two and for three symbols: the stationary "
        "law solves (1 − T′ + J)x = 1, where J has only ones."
    ),
    explanation=(
        "By induction over the sites, for every chain: f at the last site, times the backward "
        "weights, is the product of all factors. One more site keeps this. It multiplies f by "
        "T π, as the sum in the message is divided out by the weights of the site before. So "
        "f, summed over all sequences, is Z. For the stationary law, 1'(1 - T') = 0 makes the "
        "entries of x sum to 1. Certified, for four chains of 1 to 5 sites with zeros: the "
        "evidence, all sequences, Var N and the covariances."
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
    # Up to here: P(the sites before | message's symbol), by backward weights, times the message.
    joint = sp.Symbol("J", positive=True)  # the product of all factors so far
    yield Equal("the symbols before, with Σ f T = g", before.subs(message, predicted / moved), 1)
    sites_before = joint / message
    yield Equal("one site more", filtered * before * sites_before, joint * moved * seen)
    two = sp.Matrix([[1 - leaving, leaving], [returning, 1 - returning]])
    law = sp.Matrix([stationary, 1 - stationary])
    yield Equal("it is at rest", two.T * law, law)
    yield Equal("the equation solved", (sp.eye(2) - two.T + sp.ones(2)) * law, sp.ones(2, 1))
    rates = sp.symbols("q_1:7", positive=True)
    three = sp.Matrix(3, 3, [0, rates[0], rates[1], rates[2], 0, rates[3], rates[4], rates[5], 0])
    for row in range(3):
        three[row, row] = 1 - sum(three[row, :])
    # Each weight sums over the trees that lead to its symbol.
    to_first = rates[2] * rates[4] + rates[2] * rates[5] + rates[3] * rates[4]
    to_second = rates[0] * rates[4] + rates[0] * rates[5] + rates[1] * rates[5]
    to_third = rates[0] * rates[3] + rates[1] * rates[2] + rates[1] * rates[3]
    trees = sp.Matrix([to_first, to_second, to_third])
    law = trees / sum(trees)
    yield Equal("three symbols: it is at rest", three.T * trees, trees)
    yield Equal("three symbols: solved", (sp.eye(3) - three.T + sp.ones(3)) * law, sp.ones(3, 1))
    for number, chain in enumerate(CHAINS):
        yield Certificate(
            f"all sequences: {len(chain.initial)} symbols, {len(chain.start)} sites",
            chain_by_passes(number) == chain_by_sequences(number),
            f"evidence {chain_by_passes(number)[0]}, exactly",
        )
