"""Every claim of the ledger is proved, every generated mutant is killed, and the ledger itself can fail."""

import json
import re
from pathlib import Path

import pytest
import sympy as sp

import derivations
from derivations import __main__ as command
from derivations import mutation
from derivations.ledger import InvalidClaim, Ledger, LedgerError, UnknownClaim
from derivations.steps import Certificate, Equal, Positive

CLAIMS = list(derivations.LEDGER)
x = sp.Symbol("x", positive=True)
ABOUT = {"where": "test", "origin": "new", "evidence": "proved", "domain": "x > 0", "counterexample": "none"}


@pytest.fixture(scope="module", params=CLAIMS, ids=lambda claim: claim.id)
def report(request):
    return request.param.check()


def test_proof_holds(report):
    failed = [(step.text, verdict) for step, verdict in report.proof.steps if verdict.holds is not True]
    assert not failed
    assert report.proof.steps


def test_every_mutant_is_killed(report):
    assert len(report.mutants) >= 3
    assert not [(tried.name, tried.mutant) for tried in report.mutants if tried.broken_step is None]
    # Every claimed expression is mutated, not just the first.
    assert {tried.name for tried in report.mutants} == set(report.claim.claimed)


def test_evidence_is_what_the_proof_consists_of(report):
    certified = any(isinstance(step, Certificate) for step, _ in report.proof.steps)
    assert report.claim.evidence == ("certified" if certified else "proved")


def small_parameters(claim):
    """One value in (0, 1) for every symbol of the identity that ``evaluate`` compares."""
    identity = next(step for step in claim.steps() if isinstance(step, Equal))
    symbols = sp.sympify(identity.left).free_symbols | sp.sympify(identity.right).free_symbols
    return {symbol.name: 0.2 + 0.05 * index for index, symbol in enumerate(sorted(symbols, key=str))}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_evaluate_agrees(claim):
    parameters = {} if claim.evaluation else small_parameters(claim)
    computed, claimed = claim.evaluate(**parameters)
    if claim.relation == "==":
        # 1e-12: evaluations work in 30 digits or in float64 on well-conditioned examples.
        assert sp.Matrix([computed - claimed]).norm() <= 1e-12 * (1 + sp.Matrix([claimed]).norm())
    else:
        assert computed <= claimed if claim.relation == "<=" else computed >= claimed


def test_ids_are_unique_stable_words():
    ids = [claim.id for claim in CLAIMS]
    assert len(ids) == len(set(ids)) == len(derivations.LEDGER)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", identifier) for identifier in ids)
    assert derivations.claim("lemma-3-order").id == "lemma-3-order"


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_claims_are_complete(claim):
    assert claim.statement
    assert claim.where
    assert claim.domain
    assert claim.counterexample
    assert all(re.fullmatch(r"gda_theory(\.\w+)+", name) for name in claim.backs)
    assert claim.bibtex.count("{") == claim.bibtex.count("}")


def test_a_false_claim_fails():
    mine = Ledger()

    @mine.claim("false", **ABOUT)
    def square(claimed=x**2 + 2 * x):
        """(x+1)² = x² + 2x."""
        yield Equal("expand", (x + 1) ** 2, claimed)

    report = mine["false"].check()
    assert not report.proof.holds
    assert not report.passes
    assert square.prove(claimed=x**2 + 2 * x + 1).holds


def test_a_proof_that_ignores_its_claim_is_found_out():
    mine = Ledger()

    @mine.claim("vacuous", **ABOUT)
    def vacuous(claimed=x**2 + 2 * x):
        """(x+1)² is what it is."""
        yield Equal("nothing", (x + 1) ** 2, x**2 + 2 * x + 1)

    report = vacuous.check()
    assert report.proof.holds
    assert report.killed == 0
    assert not report.passes
    assert "also passes" in command.failure(report)


def test_a_proof_without_steps_does_not_hold():
    mine = Ledger()

    @mine.claim("empty", **ABOUT)
    def empty(claimed=x**2 + x):
        """Nothing."""
        return ()

    assert not empty.prove().holds


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        (x**2 + x + 1, True),
        ((x - 1) ** 2, None),  # zero at 1: not strictly positive, and no sampled point need show it
        (x**2 - x + sp.Rational(1, 5), False),
        (sp.exp(x) * (x + 1) / x**3, True),
        (x - 1, False),
        (-x, False),
    ],
)
def test_signs(expression, holds):
    assert Positive("sign", expression).verify().holds is holds
    if holds is None:
        assert Positive("sign", expression, strict=False).verify().holds is True


def test_signs_of_real_symbols_need_even_powers():
    real = sp.Symbol("u", real=True)
    assert Positive("sign", real**2 + 1).verify().holds is True
    assert Positive("sign", real**2, strict=False).verify().holds is True
    assert Positive("sign", real + 10).verify().holds is not True


def test_an_identity_of_undefined_functions_is_tested_with_generic_ones():
    function = sp.Function("phi")(x)
    product = sp.diff(x * function, x)
    assert Equal("product rule", product, function + x * sp.diff(function, x)).verify().holds is True
    assert Equal("wrong rule", product, function + sp.diff(function, x)).verify().holds is False


def test_mutants_differ_from_the_original_and_from_each_other():
    for expression in (x**2 + 2 * x, sp.exp(-1), sp.Integer(-2), sp.log(x) / (1 + x)):
        made = mutation.mutants(expression)
        assert len(made) >= 3
        assert all(sp.simplify(mutant.expression - expression) != 0 for mutant in made)
        assert len({mutant.expression for mutant in made}) == len(made)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"origin": "folklore"}, "origin must be one of"),
        ({"evidence": "obvious"}, "evidence must be one of"),
        ({"rules": ["magic"]}, "rules must be among"),
        ({"relation": "<"}, "relation must be"),
    ],
)
def test_malformed_claims_are_refused(change, message):
    with pytest.raises(InvalidClaim, match=message):

        @Ledger().claim("bad", **ABOUT | change)
        def bad(claimed=x):
            """Something."""
            yield Equal("step", x, claimed)


def test_duplicate_and_unknown_ids_are_refused():
    with pytest.raises(InvalidClaim, match="taken"):

        @derivations.LEDGER.claim(CLAIMS[0].id, **ABOUT)
        def again(claimed=x):
            """Something."""
            yield Equal("step", x, claimed)

    with pytest.raises(UnknownClaim, match="lemma-3-order"):
        derivations.claim("lemma-3")
    with pytest.raises(LedgerError, match="no claimed expression named"):
        derivations.claim("lemma-3-order").prove(middle=x)


def test_evaluate_names_what_is_missing_and_what_is_unknown():
    claim = derivations.claim("lemma-2-branches")
    with pytest.raises(TypeError, match="also needs weight"):
        claim.evaluate(ridge=0.1)
    with pytest.raises(TypeError, match="does not depend on rigde"):
        claim.evaluate(rigde=0.1, weight=1)


def test_command(capsys):
    assert command.main(["--claim", "lemma-3-order"]) == 0
    assert "holds" in capsys.readouterr().out
    assert command.main(["--claim", "lemma-2-branches", "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)["claims"]
    assert record["passes"]
    assert record["mutants"]["tried"] == record["mutants"]["killed"] >= 3
    assert command.main(["--claim", "lemma-99"]) == 2
    assert "no claim has the id 'lemma-99'" in capsys.readouterr().err


def test_command_fails_when_a_claim_does(monkeypatch, capsys):
    mine = Ledger()

    @mine.claim("false", **ABOUT)
    def square(claimed=x**2 + 2 * x):
        """(x+1)² = x² + 2x."""
        yield Equal("expand", (x + 1) ** 2, claimed)

    monkeypatch.setattr(command, "LEDGER", mine)
    assert command.main([]) == 1
    captured = capsys.readouterr()
    assert "FAILS" in captured.out
    assert "claim false: step 'expand'" in captured.err


def test_the_page_in_the_docs_is_the_one_generated(capsys):
    assert command.main(["--markdown"]) == 0
    page = Path(__file__).parent.parent / "docs" / "ledger.md"
    assert page.read_text() == capsys.readouterr().out, "run: python -m derivations --markdown > docs/ledger.md"
