"""Wrong claims whose steps are all right. The ledger rejects each, and accepts its right form."""

import itertools

import mpmath
import pytest
import scipy.integrate
import sympy as sp

from derivations.ledger.certificates import Enumerated
from derivations.ledger.domains import OneOf, between, positive, real
from derivations.ledger.ledger import Ledger
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.theorems import (
    Eq,
    Ge,
    Gt,
    Iff,
    Implies,
    Le,
    Lt,
    NoValue,
    Order,
    Printed,
    Theorem,
)

x, y = sp.symbols("x y", positive=True)
u = sp.Symbol("u", real=True)
value, other = sp.symbols("value other", real=True)
ABOUT = {"where": "test", "origin": "new", "domain": "as stated", "counterexample": "a violation"}


def report_on(theorem, *, words="As stated.", evidence="tested", steps=(), joins=()):
    """The report on a claim with this theorem. Its proof is an identity that all mutants break."""

    @Ledger().claim(
        "tried",
        statement=words,
        theorem=theorem,
        joins=joins,
        evidence=evidence,
        **ABOUT,
    )
    def tried(claimed=x**2 + 2 * x + 1):
        yield Equal("expand", (x + 1) ** 2, claimed)
        yield from steps

    return tried.check()


def simple(conclusion, domain, measure=None, hypotheses=()):
    """A theorem of one conclusion about one function of its parameters."""
    return Theorem(
        domain=domain,
        conclusions={"claimed": conclusion},
        measure=measure or (lambda **point: {}),
        hypotheses=hypotheses,
    )


def logarithm(x):
    return {value: mpmath.log(x)}


# name: (wrong theorem, right theorem)
PAIRS = {
    # The three claims that an attack on the ledger found passing.
    "ln x >= x - 1": (
        simple(Ge(value, x - 1), {x: positive}, logarithm),
        simple(Le(value, x - 1), {x: positive}, logarithm),
    ),
    # A hypothesis is missing.
    "x² >= x without x >= 1": (
        simple(Ge(x**2, x), {x: positive}),
        simple(Ge(x**2, x), {x: positive}, hypotheses=(Ge(x, 1),)),
    ),
    "the geometric mean is at most y, without x <= y": (
        simple(Le(value, y), {x: positive, y: positive}, lambda x, y: {value: mpmath.sqrt(x * y)}),
        simple(
            Le(value, y),
            {x: positive, y: positive},
            lambda x, y: {value: mpmath.sqrt(x * y)},
            (Le(x, y),),
        ),
    ),
    # A weak inequality is stated strictly.
    "u² > 0": (simple(Gt(u**2, 0), {u: real}), simple(Ge(u**2, 0), {u: real})),
    "the mean exceeds the geometric mean": (
        simple(
            Lt(value, (x + y) / 2),
            {x: positive, y: positive},
            lambda x, y: {value: mpmath.sqrt(x * y)},
        ),
        simple(
            Le(value, (x + y) / 2),
            {x: positive, y: positive},
            lambda x, y: {value: mpmath.sqrt(x * y)},
        ),
    ),
    # The domain is too wide.
    "1/x >= 1 up to 2": (
        simple(Ge(1 / x, 1), {x: between(0, 2, "(]")}),
        simple(Ge(1 / x, 1), {x: between(0, 1, "(]")}),
    ),
    "tanh u >= u/(1 + u) for negative u": (
        simple(Ge(value, u / (1 + u)), {u: real}, lambda u: {value: mpmath.tanh(u)}),
        simple(
            Ge(value, u / (1 + u)), {u: between(0, None, "[)")}, lambda u: {value: mpmath.tanh(u)}
        ),
    ),
    # An equivalence is turned round, or holds in one direction only.
    "e^u >= 1 exactly when u <= 0": (
        simple(Iff(Ge(value, 1), Le(u, 0)), {u: real}, lambda u: {value: mpmath.exp(u)}),
        simple(Iff(Ge(value, 1), Ge(u, 0)), {u: real}, lambda u: {value: mpmath.exp(u)}),
    ),
    "u² > 1 exactly when u > 1": (
        simple(Iff(Gt(u**2, 1), Gt(u, 1)), {u: real}),
        simple(Implies(Gt(u, 1), Gt(u**2, 1)), {u: real}),
    ),
    # The last printed digit is wrong.
    "the fixed point of the cosine": (
        simple(Printed(value, "0.7390851332151607"), {}, lambda: {value: fixed_cosine()}),
        simple(Printed(value, "0.7390851332151606"), {}, lambda: {value: fixed_cosine()}),
    ),
    "W(1)": (
        simple(Printed(value, "0.567143290408"), {}, lambda: {value: omega()}),
        simple(Printed(value, "0.567143290410"), {}, lambda: {value: omega()}),
    ),
    # A count, a limit and an exponent are wrong.
    "u³ - u has one root": (
        simple(Eq(value, 1), {}, lambda: {value: roots_of_cubic()}),
        simple(Eq(value, 3), {}, lambda: {value: roots_of_cubic()}),
    ),
    "1 - cos h = O(h³)": (
        simple(Order(value, x, sp.Integer(3)), {}, lambda x: {value: 1 - mpmath.cos(x)}),
        simple(Order(value, x, sp.Integer(2)), {}, lambda x: {value: 1 - mpmath.cos(x)}),
    ),
}


def fixed_cosine():
    low, high = mpmath.mpf(0), mpmath.mpf(1)
    for _ in range(4 * mpmath.mp.dps):
        middle = (low + high) / 2
        low, high = (middle, high) if mpmath.cos(middle) > middle else (low, middle)
    return low


def omega():
    return mpmath.findroot(lambda w: w * mpmath.exp(w) - 1, 0.5)


def roots_of_cubic():
    grid = [mpmath.mpf(k) / 7 - mpmath.mpf("3.05") for k in range(43)]
    values = [u**3 - u for u in grid]
    return sum(one * next_one <= 0 for one, next_one in itertools.pairwise(values))


@pytest.mark.parametrize("name", PAIRS)
def test_a_wrong_statement_is_rejected(name):
    wrong, _ = PAIRS[name]
    report = report_on(wrong)
    assert report.proof.holds
    assert report.killed == len(report.mutants)  # nothing else stands against it
    assert not report.passes
    assert any("violated" in failure for failure in report.failures)


@pytest.mark.parametrize("name", PAIRS)
def test_its_right_form_is_accepted(name):
    _, right = PAIRS[name]
    assert report_on(right).failures == []


def test_the_flow_does_not_reach_the_oracle_for_every_loss():
    """The second claim of the attack: an expanded square, called a theorem about flows."""
    strength = sp.Symbol("strength", positive=True)
    loss = sp.Symbol("loss")

    def distance(strength, loss):
        # One sample in both sets: w' = (1 - strength) φ(w) - w, and the oracle has strength 0.
        slope = {"squared": lambda w: 1 - w, "exponential": lambda w: float(mpmath.exp(-w))}[loss]

        def end(forget_weight):
            flow = scipy.integrate.solve_ivp(
                lambda _, w: (1 - forget_weight) * slope(w[0]) - w[0], (0, 60), [0.0], rtol=1e-10
            )
            if not flow.success or abs(flow.y[0, -1]) > 1e6:
                raise NoValue("the flow runs away")
            return mpmath.mpf(flow.y[0, -1])

        return {value: abs(end(float(strength)) - end(0.0))}

    theorem = Theorem(
        domain={strength: between(0, 1, "[]"), loss: OneOf(("squared", "exponential"))},
        conclusions={"the flow ends at the oracle": Eq(value, 0)},
        measure=distance,
        digits=15,
        most_digits=15,
        points=10,
    )
    report = report_on(theorem)
    assert "the flow ends at the oracle" in report.failures[0]
    assert report.search.violation is not None


def test_a_bare_truth_value_is_no_certificate():
    """The third claim of the attack: a step that hands over True."""
    bare = Enumerated("box", lambda: True, (), True)
    assert bare.verify().holds is not True
    report = report_on(PAIRS["u² > 0"][1], steps=[bare])
    assert not report.passes


def test_a_wrong_form_that_nothing_violates_is_reported():
    """x >= 1 is not needed for x + 1 > x."""
    theorem = simple(Gt(x + 1, x), {x: positive}, hypotheses=(Ge(x, 1),))
    report = report_on(theorem)
    assert report.passes
    assert [weak.change for weak in report.unnoticed if weak.kind == "hypothesis"] == [
        "without: x >= 1"
    ]


def test_a_conclusion_that_no_join_gives_is_only_tested():
    theorem = simple(Ge((x + 1) ** 2, 4 * x), {x: positive})
    difference = Positive("(x - 1)²", (x - 1) ** 2, strict=False)
    joined = [join("sign", "claimed", sign=("expand", "(x - 1)²"))]
    assert report_on(theorem, steps=[difference]).deserved == "tested"
    proved = report_on(theorem, steps=[difference], joins=joined, evidence="proved")
    assert proved.failures == []
    assert proved.deserved == "proved"
    boast = report_on(theorem, steps=[difference], evidence="proved")
    assert "it is called proved; its proof makes it tested" in boast.failures


def test_a_join_that_cites_nothing_is_found_out():
    theorem = simple(Ge((x + 1) ** 2, 4 * x), {x: positive})
    joined = [join("sign", "claimed", sign=("expand", "a step that is not there"))]
    report = report_on(theorem, joins=joined, evidence="proved")
    assert any("a step that is not there" in failure for failure in report.failures)


def test_a_rule_without_its_hypotheses_is_refused():
    with pytest.raises(ValueError, match="needs continuous, slope, got slope"):
        join("monotone bijection", "claimed", slope="expand")
    with pytest.raises(ValueError, match="rule must be one of"):
        join("obvious", "claimed", slope="expand")


def test_a_search_that_measures_nothing_does_not_pass():
    def nothing(x):
        raise NoValue("never")

    report = report_on(simple(Gt(value, x), {x: positive}, nothing))
    assert any("only 0 points could be measured" in failure for failure in report.failures)


def test_a_conclusion_that_never_applies_does_not_pass():
    report = report_on(simple(Implies(Lt(x, 0), Gt(x, 5)), {x: positive}))
    assert any("never met a case" in failure for failure in report.failures)


@pytest.mark.parametrize(
    ("words", "missing"),
    [
        ("It holds exactly when x is 1.", "no equivalence"),
        ("There is exactly one root.", "no count"),
        ("It tends to 1.", "no limit or an order"),
    ],
)
def test_words_that_the_theorem_does_not_have_are_found_out(words, missing):
    theorem = simple(Gt(x + 1, x), {x: positive})
    failures = report_on(theorem, words=words).failures
    assert any(missing in failure for failure in failures)
    assert report_on(theorem, words="It is larger for every x > 0.").passes


def test_an_expanded_square_is_no_theorem_about_every_loss():
    square = Theorem(
        domain={},
        conclusions={"expanded": Eq((x + 1) ** 2 - x**2 - 2 * x - 1, 0)},
        measure=lambda: {x: mpmath.mpf(3)},
    )
    words = "For every loss the gradient flow tends to the oracle."
    failures = report_on(square, words=words).failures
    assert any("'every'" in failure for failure in failures)
    assert any("'tends'" in failure for failure in failures)


def test_a_claim_is_no_stronger_than_one_it_cites():
    mine = Ledger()
    theorem = simple(Ge((x + 1) ** 2, 4 * x), {x: positive})

    def prove(claimed=x**2 + 2 * x + 1):
        yield Equal("expand", (x + 1) ** 2, claimed)

    fields = {"statement": "As stated.", "theorem": theorem, **ABOUT}
    mine.claim("guess", evidence="conjecture", **fields)(prove)
    cites = [join("sign", "claimed", sign=("expand", "claim:guess"))]
    citing = mine.claim("citing", evidence="proved", joins=cites, **fields)(prove)
    assert citing.check().deserved == "conjecture"
    unknown = [join("sign", "claimed", sign=("expand", "claim:nothing"))]
    lost = mine.claim("lost", evidence="proved", joins=unknown, **fields)(prove)
    assert any("claim:nothing" in failure for failure in lost.check().failures)
