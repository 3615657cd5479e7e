"""The ledger itself can fail: wrong claims, proofs that ignore their claim, malformed claims."""

import mpmath
import pytest
import sympy as sp

import derivations
from derivations.ledger import intervals, mutation
from derivations.ledger.domains import positive
from derivations.ledger.ledger import InvalidClaim, Ledger, LedgerError, OutOfDomain, UnknownClaim
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.theorems import Gt, Theorem

CLAIMS = list(derivations.LEDGER)
x = sp.Symbol("x", positive=True)
ANY = Theorem(
    domain={x: positive},
    conclusions={"larger": Gt(x + 1, x)},
    measure=lambda x: {},
)
ABOUT = {
    "theorem": ANY,
    "where": "test",
    "origin": "new",
    "evidence": "proved",
    "domain": "x > 0",
    "counterexample": "none",
}


def test_a_long_conclusion_is_printed_in_parts_that_give_it_back():
    part = sp.sqrt(x**2 + sp.exp(x)) / (1 + sp.log(1 + x))
    long = sum(sp.cos(k * part) / (k + part) ** k for k in range(1, 12))
    theorem = ANY._replace(conclusions={"larger": Gt(long, x), "short": Gt(x + 1, x)})
    lines = theorem.lines()
    head = next(line for line in lines if line.startswith("larger: "))
    assert len(head) < len(sp.sstr(long))
    found = sp.sympify(head.removeprefix("larger: ").removesuffix(" > x"), {"x": x})
    parts = [line.removeprefix("  with ").split(" = ") for line in lines if "  with " in line]
    for name, value in reversed(parts):
        found = found.subs(sp.Symbol(name), sp.sympify(value, {"x": x}))
    assert abs(sp.N((found - long).subs(x, 2))) < 1e-12
    assert lines[-1] == "short: x + 1 > x"


def test_certificates_reject_boxes_without_the_root():
    u, v = sp.symbols("u v")
    equations = (u**2 + v**2 - 1, u - v)  # root (1/sqrt 2, 1/sqrt 2)
    centre = ["0.70710678118654752440", "0.70710678118654752440"]
    assert intervals.krawczyk(equations, (u, v), centre, "1e-15", {})[0]
    assert not intervals.krawczyk(equations, (u, v), ["0.7071068", "0.7071068"], "1e-8", {})[0]
    # Narrower than the centre is accurate.
    assert not intervals.krawczyk(equations, (u, v), centre, "1e-25", {})[0]
    with pytest.raises(NotImplementedError, match="sin"):
        intervals.enclose(sp.sin(u), {u: 1})


def test_balls_contain_the_exact_value():
    half = sp.Rational(1, 3)
    third = intervals.enclose(sp.exp(u_ := sp.Symbol("u")) * u_ + sp.log(1 + u_), {u_: half})
    exact = mpmath.exp(mpmath.mpf(1) / 3) / 3 + mpmath.log(mpmath.mpf(4) / 3)
    assert float(third.mid()) == pytest.approx(float(exact), rel=1e-15)
    assert 0 < float(third.rad()) < 1e-40


def test_a_false_claim_fails():
    mine = Ledger()

    @mine.claim("false", statement="(x+1)² = x² + 2x.", **ABOUT)
    def square(claimed=x**2 + 2 * x):
        yield Equal("expand", (x + 1) ** 2, claimed)

    report = mine["false"].check()
    assert not report.proof.holds
    assert not report.passes
    assert square.prove(claimed=x**2 + 2 * x + 1).holds


def test_a_proof_that_ignores_its_claim_is_found_out():
    mine = Ledger()

    @mine.claim("vacuous", statement="(x+1)² is what it is.", **ABOUT)
    def vacuous(claimed=x**2 + 2 * x):
        yield Equal("nothing", (x + 1) ** 2, x**2 + 2 * x + 1)

    report = vacuous.check()
    assert report.proof.holds
    assert report.killed == 0
    assert not report.passes
    assert any("also passes" in failure for failure in report.failures)


def test_a_proof_without_steps_does_not_hold():
    mine = Ledger()

    @mine.claim("empty", statement="Nothing.", **ABOUT)
    def empty(claimed=x**2 + x):
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
    assert (
        Equal("product rule", product, function + x * sp.diff(function, x)).verify().holds is True
    )
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
        ({"relation": "<"}, "relation must be"),
        ({"statement": ""}, "statement is empty"),
    ],
)
def test_malformed_claims_are_refused(change, message):
    with pytest.raises(InvalidClaim, match=message):

        @Ledger().claim("bad", **{"statement": "Something."} | ABOUT | change)
        def bad(claimed=x):
            yield Equal("step", x, claimed)


def test_duplicate_and_unknown_ids_are_refused():
    with pytest.raises(InvalidClaim, match="taken"):

        @derivations.LEDGER.claim(CLAIMS[0].id, statement="Something.", **ABOUT)
        def again(claimed=x):
            yield Equal("step", x, claimed)

    with pytest.raises(UnknownClaim, match="lemma-3-order"):
        derivations.claim("lemma-3-ordr")
    with pytest.raises(UnknownClaim, match="lemma-10-x, lemma-10-y"):
        derivations.claim("lemma-10")
    with pytest.raises(LedgerError, match="no claimed expression named"):
        derivations.claim("lemma-3-order").prove(middle=x)


def test_evaluate_names_what_is_missing_and_what_is_unknown():
    claim = derivations.claim("lemma-2-branches")
    with pytest.raises(TypeError, match="also needs weight"):
        claim.evaluate(ridge=0.1)
    with pytest.raises(TypeError, match="does not depend on rigde"):
        claim.evaluate(rigde=0.1, weight=1)


def test_evaluate_says_what_is_out_of_its_domain():
    with pytest.raises(OutOfDomain, match="ridge must be > 0, got -1"):
        derivations.claim("lemma-2-branches").evaluate(ridge=-1, weight=1)
    window = derivations.claim("lemma-9-window")
    with pytest.raises(OutOfDomain, match="correlation must be < 1, got 2"):
        window.evaluate(correlation=2)
    with pytest.raises(OutOfDomain, match=r"ridge must be finite and > 0, got nan.*domain: φ > 0"):
        window.evaluate(ridge=float("nan"))


def test_evaluate_says_where_descent_ascent_ends():
    counts = {"retain_size": 80, "forget_size": 20, "retain_in_pair": 8}
    beyond = {"correlation": 0.5, "ridge": 0.1, "alpha": 0.5, **counts}
    # The fold of the reference system is at 0.178062078871913.
    message = r"ends between alpha = 0\.167 and 0\.188 at ridge = 0\.1 .* got alpha = 0\.5"
    with pytest.raises(OutOfDomain, match=message):
        derivations.claim("lemma-9-window").evaluate(**beyond)


def test_evaluate_says_that_a_solver_found_nothing():
    def no_root():
        return mpmath.findroot(lambda t: t**2 + 1, 1, solver="secant")

    @Ledger().claim("rootless", statement="t² = -1.", evaluate=no_root, **ABOUT)
    def rootless(claimed=x):
        yield Equal("step", x, claimed)

    with pytest.raises(OutOfDomain, match="at its example: the numerical solver finds no solution"):
        rootless.evaluate()
    with pytest.raises(TypeError, match="'opposite-sides-error' does not depend on 'rigde'"):
        derivations.claim("opposite-sides-error").evaluate(rigde=1)
    with pytest.raises(TypeError, match="does not depend on ridge; it takes gap_to_one"):
        derivations.claim("logistic-cusp-near-one").evaluate(ridge=1)
