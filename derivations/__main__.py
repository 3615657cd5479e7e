"""``python -m derivations``: check every claim and print the ledger; exit status 1 if a check fails, 2 if an id is unknown."""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator

import sympy as sp

from derivations import LEDGER
from derivations.ledger import EVIDENCE, ORIGINS, RULES, Claim, Report, UnknownClaim


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        chosen = [LEDGER[identifier] for identifier in options.claim] if options.claim else list(LEDGER)
    except UnknownClaim as error:
        print(f"derivations: {error}", file=sys.stderr)
        return 2
    if options.markdown:
        print(markdown(chosen), end="")
        return 0
    started = time.perf_counter()
    reports = list(_checked(chosen))
    if options.json:
        print(json.dumps({"claims": [record(report) for report in reports]}, indent=2, ensure_ascii=False))
    elif options.claim:
        print("\n\n".join(details(report) for report in reports))
    else:
        table(reports, time.perf_counter() - started)
    failures = [report for report in reports if not report.passes]
    for report in failures:
        print(f"derivations: {failure(report)}", file=sys.stderr)
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m derivations", description=__doc__)
    parser.add_argument("--claim", action="append", metavar="ID", help="only this claim, step by step; may be repeated")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the checked ledger as JSON, with BibTeX entries")
    form.add_argument("--markdown", action="store_true", help="the ledger as the documentation prints it; states, does not check")
    return parser


def _checked(claims: Iterable[Claim]) -> Iterator[Report]:
    from rich.progress import track

    quiet = not sys.stderr.isatty()
    from rich.console import Console

    for claim in track(list(claims), description="checking", console=Console(stderr=True), transient=True, disable=quiet):
        yield claim.check()


def failure(report: Report) -> str:
    """Why ``report`` does not pass, in one sentence."""
    for step, verdict in report.proof.steps:
        if verdict.holds is not True:
            return f"claim {report.claim.id}: step '{step.text}': {verdict.detail}"
    for tried in report.mutants:
        if tried.broken_step is None:
            return f"claim {report.claim.id}: the proof also passes for {tried.name} = {tried.mutant.expression} ({tried.mutant.change})"
    return f"claim {report.claim.id}: only {len(report.mutants)} mutants of at least 3"


def table(reports: list[Report], seconds: float) -> None:
    """The ledger in a terminal, one row a claim."""
    from rich.console import Console
    from rich.table import Table

    grid = Table(show_lines=True)
    for heading in ("id", "where", "statement", "domain", "origin", "evidence", "how", "a counterexample would be", "mutants"):
        grid.add_column(heading, overflow="fold")
    for report in reports:
        claim = report.claim
        evidence = claim.evidence if report.passes else "FAILS"
        killed = f"{report.killed}/{len(report.mutants)}"
        cells = (claim.id, claim.where, claim.statement, claim.domain, claim.origin, evidence, claim.how, claim.counterexample, killed)
        grid.add_row(*(cell.replace("[", r"\[") for cell in cells))
    console = Console(width=None if sys.stdout.isatty() else 220)
    console.print(grid)
    passed, tried = sum(report.passes for report in reports), sum(len(report.mutants) for report in reports)
    killed = sum(report.killed for report in reports)
    console.print(f"{passed} of {len(reports)} claims pass; {killed} of {tried} mutants killed; {seconds:.1f} s", highlight=False)


def details(report: Report) -> str:
    """One claim in full: statement, every step with its verdict, every mutant."""
    claim = report.claim
    lines = [f"{claim.id}: {claim.statement}", "", *claim.explanation.splitlines(), ""]
    lines += [f"{name:>15}: {value}" for name, value in _fields(claim)]
    lines += ["", "steps"]
    marks = {True: "holds", False: "FAILS", None: "UNDECIDED"}
    lines += [f"  {marks[verdict.holds]:9} {step.text}  ({verdict.detail})" for step, verdict in report.proof.steps]
    lines += ["", f"mutants: {report.killed} of {len(report.mutants)} killed"]
    for tried in report.mutants:
        fate = f"breaks: {tried.broken_step}" if tried.broken_step else "SURVIVES"
        lines.append(f"  {tried.name} = {tried.mutant.expression}  ({tried.mutant.change})  {fate}")
    return "\n".join(lines)


def _fields(claim: Claim) -> list[tuple[str, str]]:
    return [
        ("where", claim.where),
        ("domain", claim.domain),
        ("origin", f"{claim.origin}: {ORIGINS[claim.origin]}"),
        ("evidence", f"{claim.evidence}: {EVIDENCE[claim.evidence]}"),
        ("how", claim.how),
        ("counterexample", claim.counterexample),
        ("backs", ", ".join(claim.backs) or "-"),
    ]


def record(report: Report) -> dict:
    """One claim as JSON."""
    claim = report.claim
    fields = ("id", "statement", "explanation", "where", "domain", "origin", "evidence", "how", "counterexample", "relation", "bibtex")
    return {field: getattr(claim, field) for field in fields} | {
        "backs": list(claim.backs),
        "claimed": {name: sp.latex(expression) for name, expression in claim.claimed.items()},
        "steps": [{"text": step.text, "holds": verdict.holds, "detail": verdict.detail} for step, verdict in report.proof.steps],
        "mutants": {"tried": len(report.mutants), "killed": report.killed},
        "passes": report.passes,
    }


def markdown(claims: Iterable[Claim]) -> str:
    """The ledger as a page: the rules and words, then one section a module, one table row and its formulas a claim."""
    lines = [
        "# The ledger of claims",
        "",
        "Generated by `python -m derivations --markdown`; do not edit. `python -m derivations` checks every row.",
        "",
    ]
    lines += ["## Words", ""]
    lines += [f"* *{word}*: {meaning}." for word, meaning in (ORIGINS | EVIDENCE).items()]
    lines += ["", "## Rules that join machine-checked steps", ""]
    lines += [f"* *{rule}*: {meaning}." for rule, meaning in RULES.items()]
    module = None
    for claim in claims:
        if claim.function.__module__ != module:
            module = claim.function.__module__
            lines += ["", f"## {(sys.modules[module].__doc__ or module).strip().splitlines()[0]}"]
        lines += ["", f'<a id="{claim.id}"></a>', f"### `{claim.id}`", "", claim.statement, ""]
        if claim.explanation:
            lines += [claim.explanation, ""]
        lines += ["| | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in _fields(claim)), ""]
        lines += [f"* {name.replace('_', ' ')}: ${sp.latex(expression)}$" for name, expression in claim.claimed.items()]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


if __name__ == "__main__":
    sys.exit(main())
