"""Every claim of the ledger is proved, and every generated mutant is killed."""

import ast
import graphlib
import json
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest
import sympy as sp

import derivations
from derivations import render
from derivations.ledger import checking, search
from derivations.ledger.rules import cited
from derivations.ledger.steps import Equal

CLAIMS = list(derivations.LEDGER)
DOCS = Path(__file__).parents[2] / "docs"
FEW_POINTS = 3
# Claims whose proof, mutants and points take more than half a second: half of the time of all.
COSTLY = {
    "alternating-doubling",
    "break-even-first-order",
    "cusp-condition",
    "exponential-fold-bracket",
    "fold-condition-any-loss",
    "fold-locus-bounds",
    "fold-rates",
    "large-step-two-cycle",
    "lemma-4-any-loss",
    "logistic-cusp-closed-form",
    "logistic-cusp-near-one",
    "logistic-cusp-values",
    "oracle-continuation",
    "order-range-sharp",
    "path-monotone",
    "rhm-exponent",
    "rhm-largest-susceptibility",
    "rhm-path-damping",
    "rhm-peak-growth",
    "rhm-susceptibility-exponents",
    "rhm-susceptibility-off-critical",
    "ridge-moves-not-radially",
    "type-reduction",
}
CHECKED = [
    pytest.param(
        claim,
        marks=[pytest.mark.slow] if claim.slow or claim.id in COSTLY else [],
        id=claim.id,
    )
    for claim in CLAIMS
]


@pytest.fixture(scope="module", params=CHECKED)
def claim(request):
    return request.param


def test_the_costly_claims_are_claims():
    assert {claim.id for claim in CLAIMS if not claim.slow} >= COSTLY


def test_proof_holds(claim):
    steps = claim.prove().steps
    assert [(step.text, verdict) for step, verdict in steps if verdict.holds is not True] == []
    assert steps


def test_every_mutant_is_killed(claim):
    mutants = claim.mutants()
    assert len(mutants) >= 3
    assert [(tried.name, tried.mutant) for tried in mutants if tried.broken_step is None] == []
    # Every claimed expression is mutated, not just the first.
    assert {tried.name for tried in mutants} == set(claim.claimed)


def test_nothing_violates_the_statement(claim):
    """A few points here. The slow test below, the command and CI's attacks try many more."""
    few = claim.theorem._replace(points=min(FEW_POINTS, claim.theorem.points))
    assert search.search(few, f"{claim.id} few").violation is None


def test_evidence_is_what_the_proof_deserves(claim):
    assert checking.open_needs(claim) == []
    assert checking.deserved(claim) == claim.evidence
    if claim.evidence == "conjecture":
        assert "Conjectured" in claim.statement


@pytest.mark.slow
@pytest.mark.parametrize("identifier", [claim.id for claim in CLAIMS if not claim.slow])
def test_the_whole_check_passes(identifier):
    assert derivations.claim(identifier).check().failures == []


@pytest.mark.slow
def test_few_steps_could_be_deleted_unnoticed():
    quick = [claim for claim in CLAIMS if not claim.slow]
    found = {claim.id: checking.necessity(claim, checking.tried_mutants(claim)) for claim in quick}
    deletable = [text for one in found.values() for text in one.deletable]
    assert len(deletable) < 0.05 * sum(len(claim.own_steps) for claim in quick), deletable


def small_parameters(claim):
    """One value in (0, 1) for every symbol of the identity that ``evaluate`` compares."""
    identity = next(step for step in claim.own_steps if isinstance(step, Equal))
    symbols = sp.sympify(identity.left).free_symbols | sp.sympify(identity.right).free_symbols
    return {
        symbol.name: 0.9 / (1 + 0.3 * index)
        for index, symbol in enumerate(sorted(symbols, key=str))
    }


@pytest.mark.parametrize("claim", CHECKED)
def test_evaluate_agrees(claim):
    if not claim.evaluation and not any(isinstance(step, Equal) for step in claim.own_steps):
        with pytest.raises(TypeError, match="no identity to evaluate"):
            claim.evaluate()
        return
    computed, claimed = claim.evaluate(**({} if claim.evaluation else small_parameters(claim)))
    if claim.relation == "==":
        computed, claimed = (
            np.array(sp.Matrix([side]).tolist(), float) for side in (computed, claimed)
        )
        # Evaluations work in 30 digits. 1e-12 allows for reference values of 15 digits.
        np.testing.assert_allclose(computed, claimed, rtol=1e-12, atol=1e-12)
    else:
        assert np.all(
            np.less_equal(*((computed, claimed) if claim.relation == "<=" else (claimed, computed)))
        )


def test_ids_are_unique_stable_words():
    ids = [claim.id for claim in CLAIMS]
    assert len(ids) == len(set(ids)) == len(derivations.LEDGER)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", identifier) for identifier in ids)
    assert derivations.claim("lemma-3-order") is derivations.claim(
        "lemma-3"
    )  # the beginning will do where it is unambiguous


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_claims_are_complete(claim):
    assert claim.statement
    assert claim.where
    assert claim.domain
    assert claim.counterexample
    assert all(
        re.fullmatch(r"(gda_theory|rhm_theory|theory_common)(\.\w+)+", name) for name in claim.backs
    )
    assert claim.bibtex.count("{") == claim.bibtex.count("}")


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_claims_are_in_short_sentences(claim):
    """Formulas and single letters do not count."""
    for sentence in re.split(r"(?<=[.:])\s", f"{claim.statement} {claim.explanation}"):
        assert sum(bool(re.match("[A-Za-z]{2}", word)) for word in sentence.split()) <= 25, sentence


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.id)
def test_every_function_that_a_claim_backs_exists(claim):
    for name in claim.backs:
        found = pkgutil.resolve_name(name)
        assert found is not None


def words(text):
    return re.findall(r"\w+", text)


def test_the_page_of_corrections_is_the_one_generated():
    page = (DOCS / "where_claims_fail.md").read_text()
    assert words(page) == words(render.corrections_markdown()), (
        "run: python -m derivations --corrections > docs/where_claims_fail.md"
    )


def test_corrections_say_what_the_paper_says():
    page = render.corrections_markdown()
    corrected = [claim for claim in CLAIMS if claim.origin == "corrected"]
    assert len(corrected) >= 10
    assert re.findall("^## `(.*)`$", page, re.MULTILINE) == [claim.id for claim in corrected]
    assert all(claim.paper_says in page and claim.statement in page for claim in corrected)
    assert page.count("**The paper says:**") == len(corrected)


@pytest.mark.slow
def test_the_ledgers_page_has_every_claim_once():
    page = render.ledger_markdown()
    assert re.findall('<a id="(.*)"></a>', page) == [claim.id for claim in CLAIMS]
    for claim in CLAIMS:
        assert claim.statement in page
        assert claim.explanation in page
        assert claim.counterexample.replace("|", r"\|") in page
    # Each module or folder of claims has a heading of its own, with a text.
    modules = {".".join(claim.function.__module__.split(".")[1:3]) for claim in CLAIMS}
    assert modules == render.SECTIONS.keys()
    assert all(f"\n## {title}\n" in page for title in render.SECTIONS.values())


KEYWORDS = {
    "$schema",
    "title",
    "description",
    "type",
    "enum",
    "pattern",
    "required",
    "properties",
    "items",
    "additionalProperties",
}
KINDS = {"object": dict, "array": list, "string": str}


def violations(value, schema, at="$"):
    """Where ``value`` breaks ``schema``. It knows the few keywords that claims.schema.json uses."""
    unknown = schema.keys() - KEYWORDS
    assert not unknown, unknown
    if "type" in schema and not isinstance(value, KINDS[schema["type"]]):
        return [f"{at}: no {schema['type']}"]
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{at}: {value} not in the list")
    if "pattern" in schema and not re.search(schema["pattern"], value):
        found.append(f"{at}: {value!r} does not match")
    if isinstance(value, dict):
        found += violations_of_fields(value, schema, at)
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            found += violations(item, schema["items"], f"{at}[{index}]")
    return found


def violations_of_fields(value, schema, at):
    properties = schema.get("properties", {})
    rest = schema.get("additionalProperties", {})
    missing = [name for name in schema.get("required", []) if name not in value]
    found = [f"{at}: {name} is missing" for name in missing]
    for name, field in value.items():
        if name in properties or rest:
            found += violations(field, properties.get(name, rest), f"{at}.{name}")
        elif rest is False:
            found.append(f"{at}: {name} is unknown")
    return found


def test_the_published_claims_follow_their_schema():
    published = json.loads(json.dumps(render.publication()))
    schema = json.loads((DOCS / "claims.schema.json").read_text())
    assert violations(published, schema) == []
    assert [record["id"] for record in published["claims"]] == [claim.id for claim in CLAIMS]
    urls = [record["url"] for record in published["claims"]]
    assert urls == [f"ledger.html#{claim.id}" for claim in CLAIMS]
    broken = published
    broken["claims"][0] |= {"origin": "folklore", "backs": ["elsewhere"]}
    del broken["claims"][1]["bibtex"]
    assert [message.split(":")[0] for message in violations(broken, schema)] == [
        "$.claims[0].origin",
        "$.claims[0].backs[0]",
        "$.claims[1]",
    ]


def test_the_bibliography_has_an_entry_a_claim():
    entries = re.findall(r"^@misc\{gda-theory:([a-z0-9-]+),$", render.bibliography(), re.MULTILINE)
    assert entries == [claim.id for claim in CLAIMS]


def is_local(name):
    """Whether a name belongs to its module alone: a private helper, or a command's ``main``."""
    return name.startswith("_") or name == "main"


def test_no_two_functions_of_the_derivations_share_a_name():
    written = {}
    for path in sorted((DOCS.parent / "derivations").rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not is_local(node.name):
                written.setdefault(node.name, []).append(str(path))
    assert {name: paths for name, paths in written.items() if len(paths) > 1} == {}


def test_no_claim_rests_on_itself():
    graph = {
        claim.id: {by.removeprefix("claim:") for by in cited(claim.joins) if by[:6] == "claim:"}
        for claim in CLAIMS
    }
    order = list(graphlib.TopologicalSorter(graph).static_order())  # CycleError if one does
    assert set(order) == set(graph)
