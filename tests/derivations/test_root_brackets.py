"""The ends between which the pair's solver looks for a root hold that root: a search over pairs."""

import mpmath
import numpy as np
import pytest
import scipy.optimize
import sympy as sp

import derivations
import gda_theory as gt
from derivations.descent_ascent import root_brackets as brackets
from derivations.ledger import symbols
from gda_theory.pair import curve

LOSSES = {"exponential": gt.exponential, "logistic": gt.logistic}
ROUNDING = 1e-10


def claimed(identifier, name, words):
    """A claimed expression as a function of NumPy arrays, in the order of ``words``."""
    expression = derivations.claim(identifier).claimed[name]
    return sp.lambdify(words, expression, "numpy")


def grams(generator, count):
    """Gram matrices with k12 <= k22, of both signs, a quarter with k12 = k22 or almost parallel."""
    second = 10 ** generator.uniform(-3, 3, count)
    cross = second * generator.choice([-1, 1], count) * 10 ** generator.uniform(-3, 0.0, count)
    cross = np.where(generator.random(count) < 0.25, second, cross)
    determinant = second * 10 ** generator.uniform(-6, 4, count)
    return curve.Gram((determinant + cross**2) / second, cross, second, determinant)


def sample(seed, count=3000):
    generator = np.random.default_rng(seed)
    return generator, grams(generator, count), generator.uniform(-8, 8, count)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_the_retain_dual_is_in_its_bracket(loss):
    generator = np.random.default_rng(0)
    for _ in range(300):
        log_mass, shift = generator.uniform(-30, 30), generator.uniform(-30, 30)

        def residual(u, log_mass=log_mass, shift=shift):
            return u - float(loss.log_phi(np.exp(u) - shift)) - log_mass

        high = log_mass + float(loss.log_phi(-shift))
        low = high - residual(high)
        slack = ROUNDING * (1 + abs(high) + abs(low))
        assert residual(low) <= slack
        assert residual(high) >= -slack


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_pretraining_is_in_its_bracket(loss):
    generator, gram, log_mass = sample(1)
    root, start = generator.uniform(-15, 5, (2, len(log_mass)))
    level = curve.point_at(loss, gram, log_mass, root, curve.PRETRAIN).level
    at_start = curve.point_at(loss, gram, log_mass, start, curve.PRETRAIN).level
    words = (brackets.start, brackets.level, brackets.at_start)
    reached = claimed("pretrain-bracket", "reached", words)(start, level, at_start)
    slack = ROUNDING * (1 + np.abs(level) + np.abs(at_start))
    assert np.all(np.minimum(start, reached) - slack <= root)
    assert np.all(root <= np.maximum(start, reached) + slack)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_the_bend_is_within_its_bounds(loss):
    generator, gram, log_mass = sample(2)
    q = generator.uniform(-20, 8, len(log_mass))
    point = curve.point_at(loss, gram, log_mass, q, curve.ASCENT)
    force = np.exp(q) * np.asarray(loss.decay(point.y))
    entries = dict(zip((symbols.k11, symbols.k12, symbols.k22), gram[:3], strict=True))
    for name, sign in (("lower", 1), ("upper", -1)):
        # Through the determinant as an array: from the entries it would lose its digits.
        bound = derivations.claim("bend-bounds").claimed[name]
        bound = bound.subs(symbols.gram_determinant, brackets.determinant)
        words = (symbols.Q, brackets.sigma, brackets.determinant, *entries)
        value = sp.lambdify(words, bound)(force, 1.0, gram.determinant, *entries.values())
        assert np.all(sign * (point.bend - value) >= -ROUNDING * np.abs(value))


def test_logistic_folds_are_between_the_ends():
    _, gram, log_mass = sample(3)
    alone = np.asarray(curve.oracle_dual(gt.logistic, gram, log_mass))
    low, peak, high = (np.asarray(end) for end in curve.largest_bend(gt.logistic, gram, log_mass))
    reach = 2 * gram.first / gram.determinant
    depth = np.abs(np.log(gram.second)) + np.abs(gram.cross) * alone + np.abs(np.log(reach)) + 2
    ends = low, np.log(reach * depth)
    assert np.all(ends[1] <= high)
    for end, outwards in zip(ends, (-1, 1), strict=True):
        for step in (0.0, 1e-3, 0.1, 1.0, 3.0, 10.0):
            bend = curve.log_bend(gt.logistic, gram, log_mass, end + outwards * step)
            assert np.all(~(np.asarray(bend) >= 0))
    largest = np.asarray(curve.log_bend(gt.logistic, gram, log_mass, peak))
    assert np.sum(largest > 0) > 300  # so there are folds to be missed


def test_the_exponential_fold_is_in_its_bracket():
    _, gram, log_mass = sample(4, count=300)
    claim = derivations.claim("exponential-fold-bracket").claimed
    lift = sp.lambdify((brackets.t, brackets.rest, brackets.apart), claim["lift"], "mpmath")
    most_of = sp.lambdify(
        (brackets.largest, brackets.rest, brackets.apart), claim["most"], "mpmath"
    )
    for k11, k12, k22, determinant, mass in zip(*gram, log_mass, strict=True):
        with mpmath.workdps(40):
            k11, k12, k22, determinant = (mpmath.mpf(v) for v in (k11, k12, k22, determinant))
            k11 = (determinant + k12**2) / k22
            apart = determinant / (k11 * k22)
            rest = apart + (1 - apart) * (1 - k12 / k22)
            target = mpmath.mpf(mass) + k12 / k22
            largest = max(target, rest, 1)
            low = target - largest
            high = min(target, mpmath.log(most_of(largest, rest, apart)))

            def equation(u, rest=rest, apart=apart, target=target):
                return u + lift(mpmath.exp(u), rest, apart) - target

            assert equation(low) <= 1e-25
            assert equation(high) >= -1e-25
            root = scipy.optimize.brentq(
                lambda u: float(equation(mpmath.mpf(u))), float(low) - 1e-6, float(high) + 1e-6
            )
            # The root is a fold: h = Q (k22 + Δ P)/(1 + k11 P) = 1 at Q of fold-locus, and
            # ln P + k11 P - k12 Q = ln(A/λ).
            P = mpmath.exp(root) / k11
            Q = (1 + k11 * P) / (k22 + determinant * P)
            missed = mpmath.log(k11 * P) + k11 * P - k12 * Q - mass
            assert abs(missed) < 1e-6 * (1 + abs(k11 * P) + abs(k12 * Q))


@pytest.mark.parametrize("loss", LOSSES)
def test_stationary_points_are_in_their_bracket(loss):
    generator, gram, log_mass = sample(5)
    q = generator.uniform(-15, 6, len(log_mass))
    point = curve.point_at(LOSSES[loss], gram, log_mass, q, curve.ASCENT)
    alone = curve.oracle_dual(LOSSES[loss], gram, log_mass)
    low = point.level + LOSSES[loss].log_phi(gram.cross * alone)
    slack = ROUNDING * (1 + np.abs(point.level) + np.abs(gram.cross * alone))
    assert np.all(low <= q + slack)
    assert np.all(q <= point.level + np.log(LOSSES[loss].slope_at_minus_infinity) + slack)


def test_exponential_saddles_are_before_their_end():
    generator, gram, log_mass = sample(6)
    fold = np.asarray(curve.exponential_fold(gram, log_mass))
    beyond = 10 ** generator.uniform(-4, 1, len(fold))
    top = curve.point_at(gt.exponential, gram, log_mass, fold, curve.ASCENT).level
    there = curve.point_at(gt.exponential, gram, log_mass, fold + beyond, curve.ASCENT).level
    drop = np.asarray(top - there)
    ease = np.exp(fold) * gram.determinant / gram.first
    assert np.all(ease <= 1 + ROUNDING)
    least = claimed("saddle-bracket", "least_fall", (brackets.share, brackets.along))
    scale = 1 + np.abs(np.asarray(top)) + np.abs(np.asarray(there))
    known = scale < 1e4
    assert known.sum() > 2000
    assert np.all((drop + ROUNDING * scale >= least(ease, beyond))[known])
    # The claimed end: e^t = -W solves e^t - 1 - t = G.
    gap = claimed("saddle-bracket", "gap", (brackets.depth, brackets.share))(drop, ease)
    end_of = claimed("saddle-bracket", "end", (brackets.t, brackets.share))
    for index in np.flatnonzero(known & (gap > 1e-3) & (gap < 500))[:400]:
        root = scipy.optimize.brentq(lambda t, g=gap[index]: np.exp(t) - 1 - t - g, 0, 50)
        assert beyond[index] <= end_of(root, ease[index]) + 1e-6


def test_a_loss_with_a_smaller_decay_has_its_saddle_in_the_wider_bracket():
    # Decay 1/4 throughout: exponential in m/4, so the pair with types of a quarter of the length.
    slow = gt.margin_loss("slow", lambda m: 4 * np.e ** (-m / 4))
    options = {"ridge": 0.01, "retain_size": 80, "forget_size": 20, "retain_in_pair": 8}
    pair = gt.CorrelatedPair(0.5, loss=slow, **options)
    share = 0.999 * float(gt.pair.folds(pair).critical_alpha)
    at = gt.CorrelatedPair(0.5, loss=slow, forget_in_pair=8 * share, **options)
    found = gt.pair.stationary_points(at)
    assert list(np.asarray(found.kind)[:2]) == [gt.Kind.MINIMUM, gt.Kind.SADDLE]
    gradient = at.objective().gradient(found.weights[1], 1.0)
    np.testing.assert_allclose(gradient, 0, atol=1e-12)
