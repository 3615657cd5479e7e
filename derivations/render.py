"""The ledger as text: terminal table, Markdown pages, JSON and BibTeX.

:func:`publication` states the claims and checks nothing. :func:`ledger_markdown` searches for
violations, so that each claim is shown with the smallest margin that was met.
"""

import itertools
import sys
import textwrap
from collections.abc import Iterable
from typing import NamedTuple

import sympy as sp

from derivations import LEDGER
from derivations.ledger import checking, search, workers
from derivations.ledger.ledger import EVIDENCE, ORIGINS, Claim, Report
from derivations.ledger.rules import PREFIXES, RULES, Join
from theory_common.printing.nouns import plural

# The headings of the ledger's page, by module. They are data, since python -OO drops docstrings.
SECTIONS = {
    "descent_ascent.coordinate": "One orthogonal coordinate (Sec. 5.1.1; Lemmas 2-5, Corollary 1)",
    "descent_ascent.cusp_limits": "The logistic cusp for small and for large correlations",
    "descent_ascent.data": "Any data: sample types, an unpenalised intercept, App. J",
    "descent_ascent.deletion_bounds": "How far weights are from the oracle (certified removal)",
    "descent_ascent.early_stopping": "The first step, and what stopping early can do",
    "descent_ascent.flow": "Small steps and finite steps: order, basins, blow-up, cycles",
    "descent_ascent.folds": "Where descent-ascent loses its minimum: folds and cusps",
    "descent_ascent.influence": "First-order approximations and their errors (App. B)",
    "descent_ascent.iterations": "Alternating steps (App. D.3)",
    "descent_ascent.lambert": "Lambert W and Wright's omega (App. E.1)",
    "descent_ascent.logistic": "The logistic loss: bounds, number of folds, cusps",
    "descent_ascent.pair": "A correlated pair (Sec. 5.1.2; Lemmas 6-10 and 12)",
    "descent_ascent.paths": "The path through pretraining, the oracle and descent-ascent",
    "descent_ascent.random_sets": "Random forget sets (Sec. 4; Lemmas 1 and 11)",
    "descent_ascent.root_brackets": "Where the solver of a pair looks for a root",
    "descent_ascent.trap": "The low-dimensional trap (Sec. 5.2, Fig. 5)",
    "descent_ascent.windows": "Exact windows of a correlated pair, any margin loss",
    "hierarchy.controls": "Gaussian fields as controls (arXiv:2410.13770, Sec. 3.3)",
    "hierarchy.finite_size": "How the susceptibility depends on the depth, in mean field",
    "hierarchy.flat_models": "Chains and flat mixtures, whose posterior is exact",
    "hierarchy.groups": "The susceptibility within a group of trajectories",
    "hierarchy.hierarchy": "Inference in the Random Hierarchy Model (arXiv:2410.13770)",
    "hierarchy.mean_field": "Mean field of the Random Hierarchy Model (arXiv:2410.13770)",
    "hierarchy.measurement": "What is measured on samples (arXiv:2410.13770)",
    "hierarchy.tree_correlations": "How far a change reaches in a random hierarchy, in mean field",
}
MARKS = {True: "holds", False: "FAILS", None: "UNDECIDED"}
COLUMNS = (
    "id",
    "where",
    "statement",
    "domain",
    "origin",
    "evidence",
    "how",
    "a counterexample would be",
    "smallest margin",
    "mutants",
)
STATED = (
    "id",
    "url",
    "statement",
    "explanation",
    "where",
    "paper_says",
    "domain",
    "origin",
    "evidence",
    "counterexample",
    "relation",
)
# What stands before the text of what discharges a need, by its prefix.
WAYS = {"": "", "claim:": "claim ", "given:": "given: ", "known:": "well known: "}
LEDGER_HEAD = """\
# The ledger of claims

`python -m derivations --markdown` generates this page; `python -m derivations` checks every claim.

Each claim has two statements: one in words, and one as data. The check works from the data. It
measures the quantities of the statement at sampled points, by another route than the proof, and
looks for a violation. The *smallest margin* is the relative distance from a violation at the worst
of these points. A margin of 0 means that equality is attained. A negative margin would be a
violation. `python -m derivations attack ID --seconds 600` searches longer.

"How the steps give it" lists the conclusions, each with the rule that gives it. Below a rule stand
its needs, and below a need what meets it. That is a step of the proof, an earlier line, another
claim, a hypothesis or a fact from textbooks. A long formula is stated in parts, which are named
below it ("with part_0 = ..."). `python -m derivations --claim ID` prints the steps.
"""
CORRECTIONS_HEAD = """\
# Where the papers' claims do not hold

`python -m derivations --corrections` generates this page; do not edit it. The paper is
*Ascent Fails to Forget*, arXiv:2509.26427. `python -m derivations --claim ID` prints the proof or
the certificate of a row, step by step. The other paper is compared with what is found here in
[the second paper, part by part](second_paper.md).
"""


def ledger_markdown(claims: Iterable[Claim] = LEDGER) -> str:
    """The ledger as a page: words and rules, then the claims of each module.

    It runs the search for violations of each claim, which takes about a minute for all of them.
    """
    claims = list(claims)
    margins = dict(workers.results(smallest_margin, [(claim.id,) for claim in claims]))
    words = ORIGINS | EVIDENCE
    lines = [LEDGER_HEAD, "## Words", ""]
    lines += [f"* *{word}*: {meaning}." for word, meaning in words.items()]
    lines += ["", "## Rules that join machine-checked steps", ""]
    lines += [
        f"* *{name}*: {rule.statement}. It needs: {', '.join(rule.needs)}."
        for name, rule in RULES.items()
    ]
    for title, of_section in itertools.groupby(claims, key=_title):
        lines += ["", f"## {title}"]
        for claim in of_section:
            lines += ["", *_section(claim, margins[claim.id])]
    return "\n".join(lines) + "\n"


def smallest_margin(identifier: str) -> tuple[str, str]:
    """The id of a claim, and what the search for violations met, in words."""
    claim = LEDGER[identifier]
    return identifier, _met(search.search(claim.theorem, f"{identifier} {checking.SEED}"))


def _met(found: search.Search) -> str:
    """The smallest margin of a search, where it was met, and at how many points it looked."""
    if found.violation is not None:
        return f"VIOLATED: {found.violation}"
    nearest = min(found.worst.values(), key=lambda one: one.margin, default=None)
    if nearest is None:
        return "no point could be measured"
    smallest = search.margin(nearest.margin)
    return f"{smallest} among {plural(found.measured, 'point')}, met by: {nearest}"


def corrections_markdown(claims: Iterable[Claim] = LEDGER) -> str:
    """The page of the claims whose origin is ``corrected``: the paper's words, and what is true."""
    lines = [CORRECTIONS_HEAD]
    for claim in claims:
        if claim.origin == "corrected":
            lines += [*_correction(claim), ""]
    return "\n".join(lines)


def publication(claims: Iterable[Claim] = LEDGER) -> dict:
    """Every claim under its stable id, as JSON that follows docs/claims.schema.json."""
    return {"$schema": "claims.schema.json", "claims": [stated(claim) for claim in claims]}


def bibliography(claims: Iterable[Claim] = LEDGER) -> str:
    """One BibTeX entry for each claim."""
    return "\n\n".join(claim.bibtex for claim in claims) + "\n"


def stated(claim: Claim) -> dict:
    """What one claim says, as JSON."""
    return {field: getattr(claim, field) for field in STATED} | {
        "how": _how(claim),
        "rules": list(claim.quoted_rules),
        "formal": claim.theorem.lines(),
        "joins": [str(one) for one in claim.joins],
        "backs": list(claim.backs),
        "claimed": {name: sp.latex(expression) for name, expression in claim.claimed.items()},
        "bibtex": claim.bibtex,
    }


class Outcome(NamedTuple):
    """The check of one claim as text and plain numbers, which a process can hand to another."""

    id: str
    passes: bool
    failures: tuple[str, ...]
    killed: int
    tried: int
    worst: str
    unnoticed: tuple[str, ...]
    deletable: tuple[str, ...]
    unbroken_signs: tuple[str, ...]
    steps: int
    details: str
    record: dict


def checked(identifier: str) -> Outcome:
    """The check of one claim of the ledger, printed."""
    return outcome(LEDGER[identifier].check())


def outcome(report: Report) -> Outcome:
    """What is printed of ``report``."""
    necessity = report.necessity
    return Outcome(
        id=report.claim.id,
        passes=report.passes,
        failures=tuple(report.failures),
        killed=report.killed,
        tried=len(report.mutants),
        worst=_worst(report),
        unnoticed=tuple(f"{weak.kind}: {weak.change}" for weak in report.unnoticed),
        deletable=necessity.deletable,
        unbroken_signs=necessity.unbroken_signs,
        steps=len(report.claim.own_steps),
        details=details(report),
        record=record(report),
    )


def _worst(report: Report) -> str:
    """The smallest margin that the search met, and at how many points."""
    margin = report.search.worst_margin
    shown = "-" if margin is None else search.margin(margin)
    return f"{shown} in {plural(report.search.measured, 'point')}"


def record(report: Report) -> dict:
    """One checked claim as JSON: what it says, its steps with their verdicts, its mutants."""
    steps = [
        {"text": step.text, "holds": verdict.holds, "detail": verdict.detail}
        for step, verdict in report.proof.steps
    ]
    return stated(report.claim) | {
        "steps": steps,
        "mutants": {"tried": len(report.mutants), "killed": report.killed},
        "search": _search(report),
        "passes": report.passes,
    }


def _search(report: Report) -> dict | None:
    """The search for violations, and the wrong forms of the theorem that nothing violated."""
    return {
        "points": report.search.measured,
        "worst_margin": report.search.worst_margin,
        "violation": None if report.search.violation is None else str(report.search.violation),
        "unneeded_or_untested": [f"{weak.kind}: {weak.change}" for weak in report.unnoticed],
    }


def failure(outcome: Outcome) -> str:
    """Why the claim does not pass, in one sentence."""
    return f"claim {outcome.id}: {outcome.failures[0]}"


def details(report: Report) -> str:
    """One claim in full: statement, every step with its verdict, every mutant."""
    claim = report.claim
    lines = textwrap.wrap(f"{claim.id}: {claim.statement}", 100)
    for paragraph in filter(None, claim.explanation.split("\n\n")):
        lines += ["", *textwrap.wrap(paragraph, 100)]
    lines.append("")
    for name, value in _fields(claim):
        lines += textwrap.wrap(f"{name:>15}: {value}", 100, subsequent_indent=" " * 17)
    lines += ["", "the statement as data", *(f"  {line}" for line in claim.theorem.lines())]
    lines += ["", "steps"]
    for step, verdict in report.proof.steps:
        lines.append(f"  {MARKS[verdict.holds]:9} {step.text}  ({verdict.detail})")
    found = f"{report.killed} of {len(report.mutants)}"
    lines += ["", f"mutants (the claim made wrong on purpose): {found} have a proof that fails"]
    for tried in report.mutants:
        fate = f"breaks: {tried.broken_step}" if tried.broken_step else "SURVIVES"
        lines.append(f"  {tried.name} = {tried.mutant.expression}  ({tried.mutant.change})  {fate}")
    lines += _details_of_search(report)
    return "\n".join(lines)


def _details_of_search(report: Report) -> list[str]:
    """How the steps are joined, and what the search found."""
    lines = ["", "how the steps give the statement"]
    for joined in report.claim.joins:
        lines.append(f"  {', '.join(joined.gives)}: by {joined.rule}")
        for need, reasons in joined.discharged.items():
            lines.append(f"    {need}")
            lines += [f"      {_reason(reason)}" for reason in reasons]
    found = report.search
    measured = plural(found.measured, "point")
    lines += ["", f"search for violations: {measured} measured, smallest margins"]
    lines += [f"  {worst}" for worst in found.worst.values()]
    lines += ["", "the statement made wrong on purpose"]
    for weak in report.weakenings:
        fate = f"violated: {weak.found}" if weak.found else "unneeded or untested"
        lines.append(f"  {weak.kind}: {weak.change}  {fate}")
    return lines


def print_necessity(outcomes: list[Outcome]) -> None:
    """Print what could be deleted or changed without any check noticing it."""
    for one in outcomes:
        lines = [f"step that can be deleted unnoticed: {text}" for text in one.deletable]
        lines += [f"sign that no change breaks: {text}" for text in one.unbroken_signs]
        lines += [f"unneeded or untested: {text}" for text in one.unnoticed]
        if lines:
            print("\n  ".join([one.id, *lines]))
    steps = sum(one.steps for one in outcomes)
    deletable = sum(len(one.deletable) for one in outcomes)
    signs = sum(len(one.unbroken_signs) for one in outcomes)
    changes = sum(len(one.unnoticed) for one in outcomes)
    print(
        f"Steps that can be deleted unnoticed: {deletable} of {steps}. Signs that no change "
        f"breaks: {signs}. Changes of statements that are unneeded or untested: {changes}."
    )


def print_table(reports: list[Outcome], left_out: list[Claim], seconds: float) -> None:
    """Print the ledger, one row a claim. The claims ``left_out`` are listed unchecked."""
    from rich.console import Console
    from rich.table import Table

    grid = Table(show_lines=True)
    for heading in COLUMNS:
        grid.add_column(heading, overflow="fold")
    for report in reports:
        claim = LEDGER[report.id]
        evidence = claim.evidence if report.passes else "FAILS"
        grid.add_row(*_cells(claim, evidence, report.worst, f"{report.killed}/{report.tried}"))
    for claim in left_out:
        evidence = f"{claim.evidence}; not checked now: --slow, {claim.slow}"
        grid.add_row(*_cells(claim, evidence, "-", "-"))
    console = Console(width=None if sys.stdout.isatty() else 220)
    console.print(grid)
    passed = sum(report.passes for report in reports)
    tried = sum(report.tried for report in reports)
    killed = sum(report.killed for report in reports)
    console.print(
        f"{passed} of {len(reports)} claims pass. For {killed} of {tried} mutants (claims made "
        f"wrong on purpose) the proof fails. Time: {seconds:.1f} s.",
        highlight=False,
    )
    if left_out:
        console.print(
            f"Slow claims not checked: {len(left_out)}. "
            "To check them: python -m derivations --slow",
            highlight=False,
        )


def _title(claim: Claim) -> str:
    """The heading above ``claim``: the name of its module if that is none of ours."""
    module = claim.function.__module__
    parts = module.removeprefix("derivations.").split(".")
    return SECTIONS.get(".".join(parts[:2]), module)


def _section(claim: Claim, margin: str) -> list[str]:
    lines = [f'<a id="{claim.id}"></a>', f"### `{claim.id}`", "", claim.statement, ""]
    if claim.explanation:
        lines += [claim.explanation, ""]
    lines += ["| | |", "|---|---|"]
    for name, value in [*_fields(claim), ("smallest margin", margin)]:
        lines.append(f"| {name} | {value.replace('|', chr(92) + '|')} |")
    lines.append("")
    lines += ["The statement as data:", "", "```text", *claim.theorem.lines(), "```", ""]
    lines += ["How the steps give it:", ""]
    for one in claim.joins:
        lines += _joined(one)
    lines.append("")
    if claim.claimed:
        lines += ["The claimed expressions:", ""]
    for name, expression in claim.claimed.items():
        lines.append(f"* {name.replace('_', ' ')}: ${sp.latex(expression)}$")
    return lines


def _joined(joined: Join) -> list[str]:
    """A join as a list: what follows by which rule, then each need with what discharges it."""
    lines = [f"* {_code(joined.gives)} by *{joined.rule}*"]
    for need, reasons in joined.discharged.items():
        lines.append(f"  * {need}")
        lines += [f"    * {_reason(reason, code=True)}" for reason in reasons]
    return lines


def _reason(reason: str, *, code: bool = False) -> str:
    """What discharges a need: a step, a part, another claim, a hypothesis or a known fact."""
    prefix = next((one for one in PREFIXES if reason.startswith(one)), "")
    text = reason.removeprefix(prefix)
    if not code:
        return f"{WAYS[prefix]}{text}"
    return (
        f"{WAYS[prefix]}[`{text}`](#{text})"
        if prefix == "claim:"
        else (f"{WAYS[prefix]}{_code([text])}")
    )


def _code(texts: Iterable[str]) -> str:
    """Texts that Markdown must not read as markup."""
    return ", ".join(f"`{text}`" for text in texts)


def _correction(claim: Claim) -> list[str]:
    paragraphs = [
        f'<a id="{claim.id}"></a>\n## `{claim.id}`',
        f"*{claim.where}*",
        f"**The paper says:** {claim.paper_says}",
        f"**What is true:** {claim.statement}",
        f"**For:** {claim.domain}.",
        claim.explanation,
        f"Evidence: {claim.evidence}. A counterexample would be: {claim.counterexample}.",
    ]
    return "\n\n".join(filter(None, paragraphs)).splitlines()


def _cells(claim: Claim, evidence: str, worst: str, killed: str) -> list[str]:
    """The cells of a claim's row. rich would read a bracket as markup."""
    cells = (
        claim.id,
        claim.where,
        claim.statement,
        claim.domain,
        claim.origin,
        evidence,
        _how(claim),
        claim.counterexample,
        worst,
        killed,
    )
    return [cell.replace("[", r"\[") for cell in cells]


def _how(claim: Claim) -> str:
    """``claim.how``. The steps of a slow certificate are its search, so it says what that is."""
    if not claim.slow:
        return claim.how
    return f"interval search, {claim.slow}; joined by {', '.join(claim.quoted_rules)}"


def _fields(claim: Claim) -> list[tuple[str, str]]:
    fields = [
        ("where", claim.where),
        ("domain", claim.domain),
        ("origin", f"{claim.origin}: {ORIGINS[claim.origin]}"),
        ("evidence", f"{claim.evidence}: {EVIDENCE[claim.evidence]}"),
        ("how", _how(claim)),
    ]
    if claim.paper_says:
        fields.append(("the paper says", claim.paper_says))
    return [
        *fields,
        ("counterexample", claim.counterexample),
        ("backs", ", ".join(claim.backs) or "-"),
    ]
