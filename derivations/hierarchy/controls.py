"""A control of the forward-backward experiment (arXiv:2410.13770, Sec. 3.3): a Gaussian field.

It has no peak. The modes of a stationary field are independent, so one mode of variance S is
enough: ``x_t = √ᾱ x_0 + σz``, ``σ² = 1 - ᾱ``.
"""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import functools
import itertools
import random
from fractions import Fraction
from typing import NamedTuple

import mpmath
import sympy as sp
from mpmath import mpf

from derivations.hierarchy.mean_field.maps import PAPER
from derivations.ledger.domains import Drawn, between, positive_within, real
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.theorems import (
    Eq,
    Given,
    Gt,
    Iff,
    Implies,
    Le,
    Lt,
    NoValue,
    Order,
    Theorem,
)

S, signal, sigma2, u, excess = sp.symbols("S alpha_bar sigma2 u t", positive=True)
top = sp.Symbol("S_0", positive=True)
response = sigma2 * S * (2 * signal * S + sigma2) / (signal * S + sigma2) ** 2


spread, moved_by, start_value = sp.symbols("C moved x_0", real=True)
WIDTHS = 12  # of the Gaussian, on either side of its centre: e^-72 is left out
PER_WIDTH = 3  # the trapezium rule's error for a Gaussian is about e^(-2 (3 pi)^2)


def moments_on_grid(log_density, centre, width):
    """Mean and variance of a density by the trapezium rule around ``centre``."""
    nodes = [
        centre + width * mpf(k) / PER_WIDTH for k in range(-WIDTHS * PER_WIDTH, WIDTHS * PER_WIDTH)
    ]
    weights = [mpmath.exp(log_density(node)) for node in nodes]
    total = sum(weights)
    mean = sum(weight * node for weight, node in zip(weights, nodes, strict=True)) / total
    squares = (weight * (node - mean) ** 2 for weight, node in zip(weights, nodes, strict=True))
    return mean, sum(squares) / total


def changed_mode(S, sigma2, x_0):
    """Mean and variance of a mode's change, by quadrature over the noise and the posterior."""
    if not 0 < sigma2 <= 1:
        raise NoValue("a noise level lies in (0, 1]")
    if S <= 0:
        raise NoValue("the mode varies")
    root = mpmath.sqrt(1 - sigma2)
    # Where the grid lies and how fine it is does not change the integrals.
    width = 1 / mpmath.sqrt(1 / S + (1 - sigma2) / sigma2)

    def posterior(seen):
        def log_density(clean):
            return -((seen - root * clean) ** 2) / (2 * sigma2) - clean**2 / (2 * S)

        top = width**2 * (log_density(mpf(1)) - log_density(mpf(-1))) / 2
        return moments_on_grid(lambda clean: log_density(clean) - log_density(top), top, width)

    # Gauss-Hermite nodes for x_t: exact for the mean, which is linear, and its square.
    seen = [root * x_0 + mpmath.sqrt(3 * sigma2) * node for node in (-1, 0, 1)]
    shares = mpf(1) / 6, mpf(2) / 3, mpf(1) / 6
    found = [posterior(one) for one in seen]
    mean = sum(share * one for share, (one, _) in zip(shares, found, strict=True))
    variance = sum(
        share * (inside + (one - mean) ** 2)
        for share, (one, inside) in zip(shares, found, strict=True)
    )
    return {moved_by: mean - x_0, spread: variance}


of_response = S * sigma2 * (2 * (1 - sigma2) * S + sigma2) / ((1 - sigma2) * S + sigma2) ** 2
GAUSSIAN = Given("the field is Gaussian and stationary", lambda **_: True)


@claim(
    "gaussian-control-response",
    statement=(
        "The change x̂₀ − x₀ of a mode at a given start has variance C = σ²S(2ᾱS + σ²)/(ᾱS + σ²)². "
        "The start only moves its mean, which is −σ²x₀/(ᾱS + σ²)."
    ),
    explanation=(
        "The posterior of x_0 given x_t is N(g x_t, τ). Here g and τ make the exponent -(x_t - √ᾱ "
        "x)²/2σ² - x²/2S a square. So x̂_0 - x_0 = gσz + √τ z' + (g√ᾱ - 1) x_0."
    ),
    where=f"{PAPER}, Sec. 3.3",
    domain="stationary Gaussian field, exact posterior, S > 0, any start x_0, 0 < σ² <= 1",
    origin="new",
    evidence="proved",
    backs=[
        "rhm_theory.models.controls.GaussianField.response",
        "rhm_theory.models.controls.GaussianField.sample_posterior",
    ],
    theorem=Theorem(
        # The quadrature has about 25 digits, which a start beyond 1e3 would use up.
        domain={
            S: positive_within(3),
            sigma2: between(0, 1, "(]", decades=3),
            start_value: real._replace(decades=3),
        },
        hypotheses=(GAUSSIAN,),
        conclusions={
            "variance": Eq(spread, of_response),
            "mean": Eq(moved_by, -sigma2 * start_value / ((1 - sigma2) * S + sigma2)),
        },
        measure=changed_mode,
        most_digits=30,
        points=12,
    ),
    joins=[
        join(
            "identity",
            "the posterior is N(g x_t, τ)",
            equation=(
                f"given:{GAUSSIAN}",
                "the posterior's mean",
                "its variance",
                "nothing else depends on x",
            ),
        ),
        join(
            "linearity of expectation",
            "variance",
            terms=("the posterior is N(g x_t, τ)", "variance of the change"),
        ),
        join(
            "linearity of expectation",
            "mean",
            terms=("the posterior is N(g x_t, τ)", "mean of the change"),
        ),
    ],
    counterexample="S, σ² at which the change of a mode has another variance",
)
def control_response(
    variance=response,
    gain=sp.sqrt(signal) * S / (signal * S + sigma2),
    posterior=S * sigma2 / (signal * S + sigma2),
    moved=-sigma2 / (signal * S + sigma2),
):
    clean, seen = sp.symbols("x x_t", real=True)
    exponent = (seen - sp.sqrt(signal) * clean) ** 2 / (2 * sigma2) + clean**2 / (2 * S)
    completed = (clean - gain * seen) ** 2 / (2 * posterior)
    yield Equal("the posterior's mean", sp.diff(exponent, clean).subs(clean, gain * seen), 0)
    yield Equal("its variance", sp.diff(exponent, clean, 2), 1 / posterior)
    yield Equal("nothing else depends on x", sp.diff(exponent - completed, clean), 0)
    yield Equal("variance of the change", gain**2 * sigma2 + posterior, variance)
    yield Equal("mean of the change", gain * sp.sqrt(signal) - 1, moved)


class Spectrum(NamedTuple):
    """The variances S_k of the modes of a ring or torus, k = 0 first, with S_k = S_{-k}.

    ``grid`` has the number of sites of each direction, and the modes are in its row-major order.
    """

    modes: tuple[Fraction, ...]
    grid: tuple[int, ...]

    @property
    def name(self) -> str:
        return f"({', '.join(map(str, self.modes))}) on {' x '.join(map(str, self.grid))} sites"


def symmetric_spectrum(generator: random.Random) -> Spectrum:
    """Of 1 to 6 modes, mostly the largest at k = 0; some are 0 or equal to it."""
    grid = generator.choice([(1,), (2,), (3,), (4,), (5,), (2, 2), (2, 3)])
    top = Fraction(generator.randint(1, 30), generator.choice((1, 7, 1000)))
    choices = (Fraction(0), top, top * Fraction(generator.randint(1, 120), 100), top / 10**4)
    found = {(0,) * len(grid): top}
    for mode in itertools.product(*map(range, grid)):
        opposite = tuple(-k % n for k, n in zip(mode, grid, strict=True))
        found[mode] = found[opposite] if opposite in found else generator.choice(choices)
        found[opposite] = found[mode]
    return Spectrum(tuple(found[mode] for mode in itertools.product(*map(range, grid))), grid)


def _modes(*modes: int, grid: tuple[int, ...] | None = None) -> Spectrum:
    return Spectrum(tuple(map(Fraction, modes)), grid or (len(modes),))


SPECTRA = (
    _modes(1, 1, 0, 1),
    _modes(3, 1, 0, 0, 1),
    _modes(2, 0, 0),
    _modes(3, 2, 2),
    _modes(1),
    _modes(3, 1, 2, 0, grid=(2, 2)),
    _modes(2, 1, 1, 0, 1, 1, grid=(2, 3)),
)
NOT_LARGEST_AT_ZERO = (_modes(1, 2, 2), _modes(1, 0, 5, 0), _modes(1, 2, 1, 1, grid=(2, 2)))


def change_covariance(modes, grid, noise):
    """The covariance matrix of the sites' changes, by linear algebra on the ring or torus."""
    sites = list(itertools.product(*map(range, grid)))

    def covariance(offset):
        turns = (
            sum(mpf(k * j) / n for k, j, n in zip(mode, offset, grid, strict=True))
            for mode in sites
        )
        waves = zip(modes, turns, strict=True)
        return sum(power * mpmath.cos(2 * mpmath.pi * turn) for power, turn in waves) / len(sites)

    by_offset = {offset: covariance(offset) for offset in sites}

    def between(one, other):
        return tuple((a - b) % n for a, b, n in zip(one, other, grid, strict=True))

    field = mpmath.matrix([[by_offset[between(i, j)] for j in sites] for i in sites])
    seen = (1 - noise) * field + noise * mpmath.eye(len(modes))
    gain = mpmath.sqrt(1 - noise) * field * mpmath.inverse(seen)
    return noise * gain * gain.T + field - mpmath.sqrt(1 - noise) * gain * field


def ring_susceptibility(modes, grid, noise):
    """Var of the sum of all changes, over the sum of their variances."""
    if not 0 < noise <= 1:
        raise NoValue("a noise level lies in (0, 1]")
    covariance = change_covariance(modes, grid, noise)
    trace = sum(covariance[i, i] for i in range(len(modes)))
    return sum(covariance) / trace


spectrum, low_noise, high_noise, next_to_0 = sp.symbols(
    "spectrum sigma2_low sigma2_high sigma2_0", positive=True
)
chi_low, chi_high, chi_0, chi_1 = sp.symbols("chi_low chi_high chi_0 chi_1", real=True)
between_modes, present, number, top_m, mean_m = sp.symbols(
    "N_between N_plus N S_top S_mean", real=True
)


def ring_at_two_noises(spectrum, sigma2_low, sigma2_high, sigma2_0=None):
    """χ of a small ring or torus at two noises and at σ² = 1, and the counts of its modes."""
    modes = [mpf(mode.numerator) / mode.denominator for mode in spectrum.modes]
    near_0 = mpf(1) / 2 if sigma2_0 is None else sigma2_0
    chi = functools.partial(ring_susceptibility, modes, spectrum.grid)
    return {
        chi_low: chi(sigma2_low),
        chi_high: chi(sigma2_high),
        chi_0: chi(near_0),
        chi_1: chi(mpf(1)),
        between_modes: sum(0 < mode < modes[0] for mode in modes),
        present: sum(mode > 0 for mode in modes),
        number: len(modes),
        top_m: modes[0],
        mean_m: sum(modes) / len(modes),
    }


from_start = chi_0 - number / present
ROUNDING = sp.Float("1e-25")  # of χ in 40 digits, for spectra without any change

LARGEST_FIRST = Given(
    "S is largest at k = 0", lambda spectrum, **_: max(spectrum.modes) == spectrum.modes[0]
)


@claim(
    "gaussian-control-monotone",
    statement=(
        "χ = C(0)/mean C(k) never falls as the noise grows. It goes from N/N₊ at σ² → 0 to S₀/mean "
        "S at σ² = 1, where N₊ of the N modes have S_k > 0. So there is no peak in between. It is "
        "constant exactly when every S_k is 0 or S₀, and rises strictly otherwise."
    ),
    explanation=(
        "1/χ is the mean of C(k)/C(0). A mode with S_k = 0 gives 0, and one with S_k = S₀ gives 1. "
        "For 0 < S_k < S₀ the quotient falls strictly, from 1 at σ² → 0 to S_k/S₀ at σ² = 1. "
        "Nothing here depends on the number of dimensions."
    ),
    where=f"{PAPER}, Sec. 3.3: no peak inside",
    domain=(
        "any spectrum S >= 0 that is largest at k = 0, S₀ > 0, in any dimension; 0 < σ² < 1, "
        "σ² = 1 - ᾱ"
    ),
    origin="new",
    evidence="proved",
    backs="rhm_theory.models.controls.GaussianField.response",
    theorem=Theorem(
        domain={
            spectrum: Drawn(
                "any symmetric spectrum of a small ring or torus",
                symmetric_spectrum,
                special=(*SPECTRA, *NOT_LARGEST_AT_ZERO),
            ),
            low_noise: between(0, 1, "(]", decades=4),
            high_noise: between(0, 1, "(]", decades=4),
        },
        hypotheses=(LARGEST_FIRST, Lt(low_noise, high_noise)),
        conclusions={
            "never falls": Le(chi_low, chi_high),
            "from": Order(
                sp.Piecewise((from_start, abs(from_start) > ROUNDING), (0, True)),
                next_to_0,
                sp.Integer(1),
                at=("1e-8", "1e-9"),
            ),
            "to": Eq(chi_1, top_m / mean_m),
            "constant": Iff(Eq(chi_low, chi_high), Eq(between_modes, 0)),
            "rises strictly": Implies(Gt(between_modes, 0), Lt(chi_low, chi_high)),
        },
        measure=ring_at_two_noises,
        digits=40,
        points=16,
    ),
    joins=[
        join(
            "identity",
            "the quotients at both ends",
            equation=(
                "C(k)/C(0)",
                "S_k = S_0",
                "S_k = 0",
                "σ² = 1, u = 0",
                "σ² → 0, u → oo",
                "claim:gaussian-control-response",
            ),
        ),
        join(
            "linearity of expectation",
            ("from", "to"),
            terms=("the quotients at both ends", "known:1/χ is the mean of C(k)/C(0)"),
        ),
        join(
            "sign",
            ("never falls", "constant", "rises strictly"),
            sign=(
                "known:u = 1/σ² - 1 falls as σ² grows",
                "it rises with u for 0 < S_k < S_0",
                "the quotients at both ends",
                f"given:{LARGEST_FIRST}",
            ),
        ),
    ],
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
    by_signal = {signal: u * sigma2}
    of_top = response.subs(S, top)
    yield Equal("C(k)/C(0)", (response / of_top).subs(by_signal), quotient)
    rising = sp.diff(quotient, u).subs(top, S + excess)  # S_0 = S_k + t
    yield Positive("it rises with u for 0 < S_k < S_0", sp.factor(rising))
    yield Equal("S_k = S_0", quotient.subs(top, S), equal_modes)
    yield Equal("S_k = 0", quotient.subs(S, 0), 0)
    yield Equal("σ² = 1, u = 0", quotient.subs(u, 0), at_end)
    yield Equal("σ² → 0, u → oo", sp.limit(quotient, u, sp.oo), at_start)


decay, distance, wave = sp.symbols("a distance k", positive=True)


HALF_WAVES = 28  # the error of the alternating sum is 5.8 times smaller with each


def cosine_integral(decay, distance):
    """``∫_0^oo k^-decay cos(k distance) dk``, by quadrature between the zeros of the cosine."""
    if not 0 < decay < 1:
        raise NoValue("the integral does not converge")
    if distance <= 0:
        raise NoValue("a distance is positive")
    zero = mpmath.pi / (2 * distance)

    # Up to the first zero with y = k^(1 - decay), in which the integrand is bounded.
    def near_zero(y):
        return mpmath.cos(distance * y ** (1 / (1 - decay))) / (1 - decay)

    def half_wave(index):
        ends = zero * (2 * index + 1), zero * (2 * index + 3)
        value = mpmath.quad(
            lambda k: k**-decay * mpmath.cos(k * distance), ends, method="gauss-legendre"
        )
        return -value if index % 2 == 0 else value

    start = mpmath.quad(near_zero, [0, zero ** (1 - decay)])
    return start - alternating_sum([half_wave(index) for index in range(HALF_WAVES)])


def alternating_sum(terms):
    """``sum (-1)^k terms[k]`` continued to infinity (Cohen, Rodriguez Villegas and Zagier)."""
    count = len(terms)
    root = (3 + mpmath.sqrt(8)) ** count
    total = (root + 1 / root) / 2
    factor, weight, found = mpf(-1), -total, mpf(0)
    for k, term in enumerate(terms):
        weight = factor - weight
        found += weight * term
        factor = factor * (k + count) * (k - count) / ((k + mpf(1) / 2) * (k + 1))
    return found / total


at_distance, at_one = sp.symbols("I_r I_1", real=True)


def two_distances(a, distance):
    """The correlation at ``distance``, and at 1."""
    return {at_distance: cosine_integral(a, distance), at_one: cosine_integral(a, mpf(1))}


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
    theorem=Theorem(
        # The quadrature has 15 digits for an a that is not closer to an end.
        domain={decay: between(0, 1, decades=1.5), distance: positive_within(3)},
        conclusions={
            "a power": Eq(at_distance, at_one * distance ** (decay - 1)),
            "c > 0": Gt(at_one, 0),
        },
        measure=two_distances,
        digits=25,
        most_digits=25,
        points=8,
    ),
    joins=[
        join(
            "integration by parts",
            "c is the integral of a u^(-a-1) sin u, which converges absolutely",
            derivative="by parts",
            boundary=(
                "u^(1-a) at u → 0",
                "u^-a at u → oo",
                "known:sin u lies between 0 and u for 0 < u < π, and is at most 1 in size",
            ),
        ),
        join(
            "substitution",
            "a power",
            integrand="dk = du/r",
            bijection="known:u = kr maps (0, oo) to itself",
        ),
        join(
            "positive integrand",
            "c > 0",
            sign=(
                "c is the integral of a u^(-a-1) sin u, which converges absolutely",
                "u and u + π",
                "pair by the difference",
                "no shift",
                "it rises with the shift",
                "known:sin u > 0 between an even multiple of π and the next odd one",
            ),
        ),
    ],
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
    yield Positive("it rises with the shift", sp.diff(difference, shift))
