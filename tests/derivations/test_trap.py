"""The certificates of the trap refuse a wrong last digit, and a bound that is too small."""

import pytest
import sympy as sp

import derivations
from derivations.descent_ascent import landscapes, trap, trap_numbers
from derivations.ledger.certificates import Cover


@pytest.mark.parametrize("wrong", ["0.0268089304877429", "0.0268089304877431"])
def test_a_fold_has_one_last_digit(wrong):
    # The second stood in the ledger, when digits were checked by a tolerance.
    right = trap.minima.fold_root("zero_one", "D", 4, sp.Rational("0.0268089304877430"))
    assert right.verify().holds is True
    assert trap.minima.fold_root("zero_one", "D", 4, sp.Rational(wrong)).verify().holds is False


@pytest.mark.parametrize(
    ("identifier", "name", "change"),
    [
        ("ridge-moves-not-radially", "ratio_small", "1e-14"),
        ("ridge-moves-not-radially", "ratio_large", "-1e-14"),
        ("trap-literal-fails", "bad_at_end", "1e-12"),
        ("trap-literal-fails", "other_at_end", "-1e-12"),
    ],
)
def test_a_last_digit_breaks_a_step(identifier, name, change):
    claim = derivations.claim(identifier)
    wrong = claim.claimed[name] + sp.Rational(change)
    assert claim.broken_step(**{name: wrong}) is not None


@pytest.mark.parametrize(("bound", "holds"), [("0.3029976", True), ("0.3029975", None)])
def test_the_radial_factor_is_bounded_by_its_maximum(bound, holds):
    cover = Cover("bound", (("-4", "4"),), landscapes.radial_factor_below, (bound,))
    assert cover.verify().holds is holds


def test_the_numbers_of_the_search_are_derivatives():
    # The gradient and the Hessian against differences, far from any minimum.
    step = 1e-5
    samples = trap_numbers.PROBLEMS["D"]
    at = trap_numbers.exact(trap_numbers.LITERAL, samples, 0.1, 0.7, -0.4)
    up = trap_numbers.exact(trap_numbers.LITERAL, samples, 0.1, 0.7 + step, -0.4)
    down = trap_numbers.exact(trap_numbers.LITERAL, samples, 0.1, 0.7 - step, -0.4)
    assert float((up.value - down.value) / (2 * step)) == pytest.approx(float(at.a), rel=1e-7)
    assert float((up.a - down.a) / (2 * step)) == pytest.approx(float(at.aa), rel=1e-7)
    assert float((up.b - down.b) / (2 * step)) == pytest.approx(float(at.ab), rel=1e-7)


@pytest.mark.parametrize("change", ["1e-17", "-1e-17"])
def test_the_limit_of_the_cusp_has_one_last_digit(change):
    claim = derivations.claim("logistic-cusp-near-one")
    assert claim.broken_step(constant=claim.claimed["constant"] + sp.Rational(change)) is not None
