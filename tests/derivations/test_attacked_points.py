"""Points at which an attack found a measure or a comparison at fault, and not the statement."""

from fractions import Fraction

import pytest

import derivations
from derivations.descent_ascent import data_measures, measures, path_measures
from derivations.ledger import domains
from derivations.ledger.theorems import Numbers

STEEP = data_measures.Data(
    rows=((Fraction("-2.692"),), (Fraction("6.547"),)),
    signed=(Fraction("1.713"), Fraction("0.8194")),
    point=(Fraction(1),),
)
FAR_TURN = path_measures.of_data(
    data_measures.Data(
        rows=((Fraction("-3.503"),), (Fraction("1.703"),)),
        signed=(Fraction("1.306"), Fraction("1.896")),
        point=(Fraction(1),),
    ),
    measures.RAISED,
    measures.EXPONENTIAL,
)


@pytest.mark.parametrize(
    ("identifier", "conclusion", "values"),
    [
        pytest.param(
            "rhm-sibling-covariance",
            "positive",
            {
                "vocabulary": 52,
                "rules_per_symbol": Fraction("3.69623255703"),
                "branching": 6,
                "belief": Fraction("1e-12"),
                "unchanged": Fraction("0.999995199819"),
            },
            id="a covariance of 7e-63",
        ),
        pytest.param(
            "alternating-doubling",
            "descent first, attraction",
            {
                "c": Fraction("0.501"),
                "rise": Fraction("76.71825068"),
                "eta": Fraction("26.7258249869"),
            },
            id="an error of 8e-37",
        ),
        pytest.param(
            "path-monotone",
            "velocity",
            {
                "data": STEEP,
                "ridge": Fraction("0.127602490583"),
                "gamma": Fraction(0),
                "loss": measures.EXPONENTIAL,
            },
            id="a forget gradient of 9e3",
        ),
        pytest.param(
            "oracle-continuation",
            "γ turns back",
            {"landscape": FAR_TURN, "ridge": Fraction("0.102850655677")},
            id="a second derivative of -1e-14",
        ),
    ],
)
def test_the_statement_holds_at(identifier, conclusion, values):
    theorem = derivations.claim(identifier).theorem
    numbers = Numbers(theorem, {one: values[domains.word(one)] for one in theorem.domain})
    assert numbers.judge(theorem.conclusions[conclusion]).holds
