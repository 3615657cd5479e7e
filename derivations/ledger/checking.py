"""The check of one claim: its proof, its mutants, the search against its theorem, its evidence.

The functions here take a claim (:class:`derivations.ledger.ledger.Claim`) and return what was
found. :class:`Report` puts it together and says whether the claim passes, and why not.
"""

import functools
from typing import Any, NamedTuple

import sympy as sp

from derivations.ledger import certificates, domains, mutation, rules, theorems
from derivations.ledger import search as searching
from derivations.ledger.search import Search, Weakening
from derivations.ledger.steps import Positive, Step, Verdict

Claim = Any  # derivations.ledger.ledger.Claim, whose module imports this one
SEED = 20261130
# These wrong statements must be violated. The others are reported if nothing violates them.
MUST_FAIL = ("direction", "digit")
STRENGTH = ("proved", "certified", "proved on examples", "tested", "conjecture")


class CheckedStep(NamedTuple):
    """A step of a proof, and the verdict on it."""

    step: Step
    verdict: Verdict


class Proof(NamedTuple):
    """All steps of one proof, checked."""

    steps: tuple[CheckedStep, ...]

    @property
    def holds(self) -> bool:
        """Whether there is at least one step, and every step is established."""
        return bool(self.steps) and all(verdict.holds is True for _, verdict in self.steps)


class TriedMutant(NamedTuple):
    """A wrong restatement of one claimed expression, and the texts of steps that it breaks."""

    name: str
    mutant: mutation.Mutant
    broken_steps: tuple[str, ...]

    @property
    def broken_step(self) -> str | None:
        """The first step that it breaks, None if it breaks none."""
        return next(iter(self.broken_steps), None)


class Necessity(NamedTuple):
    """Steps that one could delete unnoticed, and signs that no change breaks."""

    deletable: tuple[str, ...]
    unbroken_signs: tuple[str, ...]


class Report(NamedTuple):
    """Everything that the check of one claim found."""

    claim: Claim
    proof: Proof
    mutants: tuple[TriedMutant, ...]
    search: Search
    weakenings: tuple[Weakening, ...]
    open_needs: tuple[str, ...]
    deserved: str

    @property
    def killed(self) -> int:
        return sum(tried.broken_step is not None for tried in self.mutants)

    @property
    def unnoticed(self) -> tuple[Weakening, ...]:
        """Wrong theorems that nothing violated: the change is unneeded, or untested."""
        cited = rules.cited(self.claim.joins)
        return tuple(
            weak
            for weak in self.weakenings
            if weak.found is None and f"given:{weak.change.removeprefix('without: ')}" not in cited
        )

    @property
    def necessity(self) -> Necessity:
        """Which steps and signs nothing depends on."""
        return necessity(self.claim, self.mutants)

    @property
    def failures(self) -> list[str]:
        """Why the claim does not pass, a sentence each."""
        return [
            *(
                f"step '{step.text}': {verdict.detail}"
                for step, verdict in self.proof.steps
                if verdict.holds is not True
            ),
            *(
                f"the proof also passes for {tried.name} = {tried.mutant.expression} "
                f"({tried.mutant.change})"
                for tried in self.mutants
                if tried.broken_step is None
            ),
            *self._failures_of_statement(),
        ]

    def _failures_of_statement(self) -> list[str]:
        found = []
        if not self.proof.steps and self.claim.evidence != "tested":
            found.append("the proof has no step")
        if len(self.mutants) < 3:
            found.append(f"only {len(self.mutants)} mutants of at least 3")
        found += _failures_of_search(self.search, self.claim)
        found += [
            f"no point violates the wrong statement '{weak.change}'"
            for weak in self.unnoticed
            if weak.kind in MUST_FAIL
        ]
        found += self.open_needs
        found += theorems.unsupported_words(self.claim.statement, self.claim.theorem)
        if self.deserved != self.claim.evidence:
            found.append(f"it is called {self.claim.evidence}; its proof makes it {self.deserved}")
        return found

    @property
    def passes(self) -> bool:
        """Whether nothing stands against the claim."""
        return not self.failures


def _failures_of_search(search: Search, claim: Claim) -> list[str]:
    if search.violation is not None:
        return [f"violated: {search.violation}"]
    found = [
        f"the search never met a case in which '{name}' says something" for name in search.silent
    ]
    fewest = min(searching.FEWEST, claim.theorem.points) if claim.theorem.domain else 1
    if search.measured < fewest:
        found.append(f"only {search.measured} points could be measured, of at least {fewest}")
    return found


def check(claim: Claim) -> Report:
    """Check everything that is checked of a claim."""
    proof = claim.prove()
    found, weakenings = searched(claim)
    return Report(
        claim=claim,
        proof=proof,
        mutants=tried_mutants(claim),
        search=found,
        weakenings=weakenings,
        open_needs=tuple(open_needs(claim)),
        deserved=deserved(claim),
    )


def searched(claim: Claim, seed: object = SEED) -> tuple[Search, tuple[Weakening, ...]]:
    """The search against the theorem, and the theorem's wrong forms."""
    found = searching.search(claim.theorem, f"{claim.id} {seed}")
    weaker = searching.weakenings(claim.theorem, found, f"{claim.id} {seed}")
    return found, tuple(weaker)


def open_needs(claim: Claim) -> list[str]:
    """What the claim's joins cite and nothing provides, and conclusions that do not exist."""
    steps = {step.text for step in claim.own_steps}
    missing = rules.undischarged(claim.joins, steps, set(claim.ledger), premises(claim))
    if len(steps) < len(claim.own_steps):
        missing.append("two steps have the same text")
    return missing


def premises(claim: Claim) -> set[str]:
    """What a join may cite as given: hypotheses and the ranges of the parameters."""
    hypotheses = {str(hypothesis) for hypothesis in claim.theorem.hypotheses}
    return hypotheses | set(domains.in_words(claim.theorem.domain))


def deserved(claim: Claim) -> str:
    """The word for the evidence that the proof gives: the weakest of its conclusions."""
    if claim.evidence == "conjecture":
        return claim.evidence
    words = [_word(claim, rules.basis(claim.joins, name)) for name in claim.theorem.conclusions]
    return max(words, key=STRENGTH.index)


def _word(claim: Claim, basis: set[str] | None) -> str:
    """The weakest of the steps and claims in ``basis``. A conclusion without one is tested."""
    if basis is None:
        return "tested"
    steps = {step.text: step for step in claim.own_steps}
    words = [_word_of_step(steps[text]) for text in basis if text in steps]
    cited = {text.removeprefix("claim:") for text in basis if text.startswith("claim:")}
    words += [claim.ledger[name].evidence for name in cited if name in claim.ledger]
    return max(words, key=STRENGTH.index, default="proved")


def _word_of_step(step: Step) -> str:
    if isinstance(step, certificates.Enumerated):
        return "proved on examples"
    rigorous = (certificates.Root, certificates.Enclosed, certificates.Cover)
    return "certified" if isinstance(step, rigorous) else "proved"


def tried_mutants(claim: Claim) -> tuple[TriedMutant, ...]:
    """All mutants, with every step that each breaks."""
    return tuple(
        TriedMutant(
            name,
            mutant,
            tuple(step.text for step in refuted(claim, {name: mutant.expression})),
        )
        for name, mutant in claim.restatements()
    )


def broken_step(claim: Claim, statement: dict[str, sp.Expr]) -> str | None:
    """The text of the first step that ``statement`` makes false, None if it refutes none."""
    return next((step.text for step in refuted(claim, statement)), None)


def refuted(claim: Claim, statement: dict[str, sp.Expr]):
    """The steps that ``statement`` makes false, one after the other.

    A step that can be neither proved nor refuted does not count. Nor does a step that is the same
    as for the claim itself, since that one holds.
    """
    own = claim.own_steps
    for index, step in enumerate(claim.steps(**statement)):
        unchanged = index < len(own) and _same(step, own[index])
        if not unchanged and step.refute() is not None:
            yield step


def _same(one: Step, other: Step) -> bool:
    try:
        return type(one) is type(other) and bool(one == other)
    except (TypeError, ValueError):
        return False


def necessity(claim: Claim, mutants: tuple[TriedMutant, ...]) -> Necessity:
    """Steps that can be deleted unnoticed, and signs that no change breaks.

    A deletion is noticed if a join cites the step, or if a mutant is refuted by this step alone.
    """
    cited = rules.cited(claim.joins)
    by_mutant = [set(tried.broken_steps) for tried in mutants]
    alone = {next(iter(texts)) for texts in by_mutant if len(texts) == 1}
    broken = set().union(*by_mutant) if by_mutant else set()
    signs = [step for step in claim.own_steps if isinstance(step, Positive)]
    return Necessity(
        deletable=tuple(step.text for step in claim.own_steps if step.text not in cited | alone),
        unbroken_signs=tuple(
            step.text
            for step in signs
            if step.text not in broken and not breaks_without_assumptions(step)
        ),
    )


@functools.lru_cache(maxsize=1024)
def breaks_without_assumptions(sign: Positive) -> bool:
    """Whether the sign is wrong somewhere once its symbols may take any real value."""
    expression = sp.sympify(sign.expression)
    free = {symbol: sp.Dummy(symbol.name, real=True) for symbol in expression.free_symbols}
    try:
        return Positive(sign.text, expression.xreplace(free), sign.strict).refute() is not None
    except (TypeError, ValueError, ZeroDivisionError):
        return False
