"""Counterexamples to statements about one coordinate that said more than is true."""

import mpmath
import pytest

import derivations
from derivations.descent_ascent import measures, scalar_measures
from derivations.ledger.ledger import OutOfDomain


@pytest.mark.parametrize("alpha", ["1/4", "1/3", "1/2"])
def test_the_end_of_existence_is_no_minimum(alpha):
    """At K/λ = -1/e the stationary point w = -1 is an inflection, whose third derivative is λ."""
    with mpmath.workdps(30):
        ridge = mpmath.mpf(1) / 2
        objective = scalar_measures.one_weight_objective(-ridge * mpmath.exp(-1), ridge)
        slopes = [scalar_measures.derivative(objective, mpmath.mpf(-1), k) for k in (1, 2, 3)]
        assert abs(slopes[0]) < 1e-25
        assert abs(slopes[1]) < 1e-25
        assert abs(slopes[2] - ridge) < 1e-20
    judged = derivations.claim("lemma-5-bound").at(
        alpha=alpha, retain_size=80, forget_size=20, retain_on_coordinate=8, ridge="1/100"
    )
    assert all(verdict.holds is not False for verdict in judged.values())


@pytest.mark.parametrize(("start", "share"), [(1.0, 1.0), (-1.0, 0.5), (-2.0, 0.0)])
def test_the_slow_passage_takes_its_time_only_from_above(start, share):
    """From ln κ the flow needs half of π√2/(λ√δ), and from lower starts a bounded time."""
    gaps = []
    for excess in (1e-8, 1e-10):
        leading = float(mpmath.pi * mpmath.sqrt(2 / mpmath.mpf(excess)))
        time = scalar_measures.time_to_minus_infinity(start, excess - 1)
        gaps.append(abs(time / leading - share))
    assert gaps[0] < 1e-3
    assert gaps[1] < gaps[0] / 5


@pytest.mark.parametrize("loss", [measures.RAISED, measures.HEAVY])
def test_lemma_4_does_not_hold_for_every_loss(loss):
    """Decreasing φ is not enough: |w_D - w_R| exceeds the difference of the logarithms of K."""
    with mpmath.workdps(30):
        masses = (mpmath.mpf(100), mpmath.mpf(200))
        gap = measures.weight(masses[1], mpmath.mpf(1), loss) - measures.weight(
            masses[0], mpmath.mpf(1), loss
        )
        assert gap > 5 * mpmath.log(masses[1] / masses[0])
    with pytest.raises(OutOfDomain, match="loss must be one of exponential, logistic"):
        derivations.claim("lemma-4-any-loss").at(
            alpha=1,
            retain_size=1,
            forget_size=1,
            retain_on_coordinate=1,
            ridge=1,
            loss=loss,
        )
