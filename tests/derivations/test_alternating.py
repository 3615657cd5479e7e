"""Alternating steps where their fixed point loses stability: by iteration in 15 to 40 digits."""

import mpmath
import pytest
import sympy as sp

import derivations
from derivations.descent_ascent import iterations


def alternating(scheme, retain_mass, forget_mass, step, ridge=0.0):
    """One epoch of one coordinate, exponential loss, in mpmath."""
    signed = (retain_mass, -forget_mass)
    first, second = signed if scheme == "descent" else signed[::-1]

    def half(weight, mass):
        return weight - step * (ridge * weight - mass * mpmath.exp(-weight))

    return lambda weight: half(half(weight, first), second)


@pytest.mark.parametrize("step", [1e-3, 7.0])
@pytest.mark.parametrize("scheme", ["descent", "ascent"])
def test_the_fixed_point_attracts_slowly_at_the_doubling(scheme, step):
    claimed = derivations.claim("alternating-doubling").claimed
    bending = float(claimed[f"{scheme}_at_zero"])
    assert bending == pytest.approx({"descent": 4.69, "ascent": 27.31}[scheme], abs=0.01)
    ratio = mpmath.exp(mpmath.sqrt(2))
    epoch = alternating(scheme, mpmath.mpf(1), ratio, mpmath.mpf(step))
    share = 1 if scheme == "descent" else ratio
    rest = mpmath.log(step * share / mpmath.sqrt(2))
    weight = rest + mpmath.mpf(2) / 100
    # Away from the start: 1/z² grows by S an epoch.
    for _ in range(2000):
        weight = epoch(weight)
    early = weight
    for _ in range(4000):
        weight = epoch(weight)
    growth = (1 / (weight - rest) ** 2 - 1 / (early - rest) ** 2) / 4000
    assert float(growth) == pytest.approx(bending, rel=0.01)


@pytest.mark.parametrize("scheme", ["descent", pytest.param("ascent", marks=pytest.mark.slow)])
def test_a_small_cycle_attracts_beyond_the_doubling(scheme):
    # Multiplier -1 - t: the cycle is at z² = 2t/S + O(t^{3/2}).
    contrast = mpmath.sqrt(2) + mpmath.mpf("1e-4")
    excess = contrast**2 - 2
    epoch = alternating(scheme, mpmath.mpf(1), mpmath.exp(contrast), mpmath.mpf(1))
    share = 1 if scheme == "descent" else mpmath.exp(contrast)
    rest = mpmath.log(share / contrast)
    bending = float(derivations.claim("alternating-doubling").claimed[f"{scheme}_at_zero"])
    ends = []
    for start in (0.002, 0.03):
        weight = rest + start
        for _ in range(40000):
            weight = epoch(weight)
        ends.append(float((weight - rest) * (epoch(weight) - rest)))
    assert ends[0] == pytest.approx(ends[1], rel=1e-3)
    assert -ends[0] == pytest.approx(2 * float(excess) / bending, rel=0.02)


@pytest.mark.parametrize("kept", [1.0, 0.7, 0.5])
@pytest.mark.parametrize("up", [0.05, 0.4, 3.0])
def test_the_doubling_attracts_with_a_ridge(kept, up):
    assert _drift(kept, up) < 0


def test_a_doubling_may_repel_for_a_step_near_one_over_the_ridge():
    assert _drift(0.1, 0.1) > 0


def _drift(kept, up):
    """By how much two epochs change a small deviation from a fixed point of multiplier -1.

    ``kept`` is 1 - ηλ and ``up`` is ηb e^{-w} before the ascent. The fixed point is at w = w_0.
    """
    with mpmath.workdps(40):
        kept, up = mpmath.mpf(kept), mpmath.mpf(up)
        down = kept + 1 / (kept + up)
        if kept == 1:
            up = down = mpmath.sqrt(2)
            start, middle = mpmath.mpf(0), down
        else:
            start = (kept * down - up) / (1 - kept**2)
            middle = (down - kept * up) / (1 - kept**2)
        ratio = up / down * mpmath.exp(middle - start)
        claimed = derivations.claim("alternating-doubling").claimed["log_ratio"]
        words = {iterations.kept: kept, iterations.up: up, iterations.down: down}
        assert abs(sp.N(claimed.subs(words), 30) - mpmath.log(ratio)) < 1e-25
        retain_mass = down * mpmath.exp(start)
        epoch = alternating("descent", retain_mass, ratio * retain_mass, mpmath.mpf(1), 1 - kept)
        assert abs(epoch(start) - start) < 1e-30
        small = mpmath.mpf("1e-8")
        return (epoch(epoch(start + small)) - start) / small - 1
