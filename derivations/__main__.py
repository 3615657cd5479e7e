"""``python -m derivations``: check every claim and print the ledger; exit status 1 if a check fails, 2 if an id is unknown."""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator

import sympy as sp

from derivations import LEDGER
from derivations.ledger.ledger import EVIDENCE, ORIGINS, RULES, Claim, Report, UnknownClaim


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    try:
        chosen = (
            [LEDGER[identifier] for identifier in options.claim] if options.claim else list(LEDGER)
        )
    except UnknownClaim as error:
        print(f"derivations: {error}", file=sys.stderr)
        return 2
    for page, wanted in (
        (markdown, options.markdown),
        (corrections, options.corrections),
        (bibliography, options.bibtex),
    ):
        if wanted:
            print(page(chosen), end="")
            return 0
    if options.publish:
        print(json.dumps(publication(chosen), indent=2, ensure_ascii=False))
        return 0
    started = time.perf_counter()
    left_out = [] if options.slow or options.claim else [claim for claim in chosen if claim.slow]
    reports = list(_checked(claim for claim in chosen if claim not in left_out))
    if options.json:
        print(
            json.dumps(
                {"claims": [record(report) for report in reports]}, indent=2, ensure_ascii=False
            )
        )
    elif options.claim:
        print("\n\n".join(details(report) for report in reports))
    else:
        table(reports, left_out, time.perf_counter() - started)
    failures = [report for report in reports if not report.passes]
    for report in failures:
        print(f"derivations: {failure(report)}", file=sys.stderr)
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m derivations", description=__doc__)
    parser.add_argument(
        "--claim",
        action="append",
        metavar="ID",
        help="only this claim, step by step; may be repeated",
    )
    parser.add_argument(
        "--slow",
        action="store_true",
        help="check slow certificates too, under a minute; --claim does so anyway",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--json", action="store_true", help="the checked ledger as JSON, with BibTeX entries"
    )
    form.add_argument(
        "--markdown",
        action="store_true",
        help="the ledger as docs/ledger.md prints it; states, does not check",
    )
    form.add_argument(
        "--corrections",
        action="store_true",
        help="docs/where_claims_fail.md: what the paper says, and what is true",
    )
    form.add_argument(
        "--publish",
        action="store_true",
        help="docs/claims.json, to be cited; its schema is docs/claims.schema.json",
    )
    form.add_argument("--bibtex", action="store_true", help="a BibTeX entry a claim")
    return parser


def _checked(claims: Iterable[Claim]) -> Iterator[Report]:
    from rich.progress import track

    quiet = not sys.stderr.isatty()
    from rich.console import Console

    for claim in track(
        list(claims),
        description="checking",
        console=Console(stderr=True),
        transient=True,
        disable=quiet,
    ):
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


def table(reports: list[Report], left_out: list[Claim], seconds: float) -> None:
    """The ledger in a terminal, one row a claim; those ``left_out`` are listed unchecked."""
    from rich.console import Console
    from rich.table import Table

    grid = Table(show_lines=True)
    for heading in (
        "id",
        "where",
        "statement",
        "domain",
        "origin",
        "evidence",
        "how",
        "a counterexample would be",
        "mutants",
    ):
        grid.add_column(heading, overflow="fold")
    rows = [
        (
            report.claim,
            report.claim.evidence if report.passes else "FAILS",
            f"{report.killed}/{len(report.mutants)}",
        )
        for report in reports
    ]
    rows += [
        (claim, f"{claim.evidence}; not checked now: --slow, {claim.slow}", "-")
        for claim in left_out
    ]
    for claim, evidence, killed in rows:
        cells = (
            claim.id,
            claim.where,
            claim.statement,
            claim.domain,
            claim.origin,
            evidence,
            _how(claim),
            claim.counterexample,
            killed,
        )
        grid.add_row(*(cell.replace("[", r"\[") for cell in cells))
    console = Console(width=None if sys.stdout.isatty() else 220)
    console.print(grid)
    passed, tried = (
        sum(report.passes for report in reports),
        sum(len(report.mutants) for report in reports),
    )
    killed = sum(report.killed for report in reports)
    console.print(
        f"{passed} of {len(reports)} claims pass; {killed} of {tried} mutants killed; {seconds:.1f} s",
        highlight=False,
    )
    if left_out:
        console.print(
            f"{len(left_out)} slow certificates not checked: python -m derivations --slow",
            highlight=False,
        )


def details(report: Report) -> str:
    """One claim in full: statement, every step with its verdict, every mutant."""
    claim = report.claim
    lines = [f"{claim.id}: {claim.statement}", "", *claim.explanation.splitlines(), ""]
    lines += [f"{name:>15}: {value}" for name, value in _fields(claim)]
    lines += ["", "steps"]
    marks = {True: "holds", False: "FAILS", None: "UNDECIDED"}
    lines += [
        f"  {marks[verdict.holds]:9} {step.text}  ({verdict.detail})"
        for step, verdict in report.proof.steps
    ]
    lines += ["", f"mutants: {report.killed} of {len(report.mutants)} killed"]
    for tried in report.mutants:
        fate = f"breaks: {tried.broken_step}" if tried.broken_step else "SURVIVES"
        lines.append(f"  {tried.name} = {tried.mutant.expression}  ({tried.mutant.change})  {fate}")
    return "\n".join(lines)


def _how(claim: Claim) -> str:
    """``claim.how``; for a slow certificate, whose steps are its search, what it rests on."""
    return f"interval search, {claim.slow}; {', '.join(claim.rules)}" if claim.slow else claim.how


def _fields(claim: Claim) -> list[tuple[str, str]]:
    return [
        ("where", claim.where),
        ("domain", claim.domain),
        ("origin", f"{claim.origin}: {ORIGINS[claim.origin]}"),
        ("evidence", f"{claim.evidence}: {EVIDENCE[claim.evidence]}"),
        ("how", _how(claim)),
        *([("the paper says", claim.paper_says)] if claim.paper_says else []),
        ("counterexample", claim.counterexample),
        ("backs", ", ".join(claim.backs) or "-"),
    ]


def stated(claim: Claim) -> dict:
    """What one claim says, as JSON."""
    fields = (
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
    return {field: getattr(claim, field) for field in fields} | {
        "how": _how(claim),
        "rules": list(claim.rules),
        "backs": list(claim.backs),
        "claimed": {name: sp.latex(expression) for name, expression in claim.claimed.items()},
        "bibtex": claim.bibtex,
    }


def publication(claims: Iterable[Claim]) -> dict:
    """docs/claims.json: every claim under its stable id, by docs/claims.schema.json."""
    return {"$schema": "claims.schema.json", "claims": [stated(claim) for claim in claims]}


def bibliography(claims: Iterable[Claim]) -> str:
    """One BibTeX entry a claim."""
    return "\n\n".join(claim.bibtex for claim in claims) + "\n"


def record(report: Report) -> dict:
    """One claim as JSON, with what became of its steps and mutants."""
    return stated(report.claim) | {
        "steps": [
            {"text": step.text, "holds": verdict.holds, "detail": verdict.detail}
            for step, verdict in report.proof.steps
        ],
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
        lines += [
            "| | |",
            "|---|---|",
            *(f"| {name} | {_cell(value)} |" for name, value in _fields(claim)),
            "",
        ]
        lines += [
            f"* {name.replace('_', ' ')}: ${sp.latex(expression)}$"
            for name, expression in claim.claimed.items()
        ]
    return "\n".join(lines) + "\n"


def corrections(claims: Iterable[Claim]) -> str:
    """The page of claims whose origin is ``corrected``: what the paper says, what is true, and where."""
    lines = [
        "# Where the papers' claims do not hold",
        "",
        "Generated by `python -m derivations --corrections`; do not edit. *Ascent Fails to Forget*, arXiv:2509.26427. Each row's proof or "
        "certificate stands in [the ledger](ledger.md) under the same name.",
    ]
    for claim in claims:
        if claim.origin == "corrected":
            lines += [
                "",
                f"## [`{claim.id}`](ledger.md#{claim.id})",
                "",
                f"*{claim.where}*",
                "",
                f"**The paper says:** {claim.paper_says}",
                "",
            ]
            lines += [
                f"**True is:** {claim.statement}",
                "",
                f"**Where:** {claim.domain}.",
                "",
                claim.explanation,
                "",
            ]
            lines += [
                f"Evidence: {claim.evidence}. A counterexample would be: {claim.counterexample}."
            ]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


if __name__ == "__main__":
    sys.exit(main())
