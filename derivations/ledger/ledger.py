"""Claims and the ledger: what a claim is, how to write one, and how to find one.

A claim is one function with a decorator. The decorator's arguments say what is claimed: in words,
and as data (:mod:`derivations.ledger.theorems`). The function's *defaults* are the claimed SymPy
expressions. Its *body* yields the steps of the proof (:mod:`derivations.ledger.steps`), to be read
from top to bottom. The joins say how the steps lead to the conclusions
(:mod:`derivations.ledger.rules`)::

    @claim(
        "lemma-2-branches",
        statement="At a stationary point J'' = λ(1 + w): W_0 is the minimum, W_-1 the maximum.",
        where="App. F",
        domain="K real",
        origin="corrected",
        evidence="proved",
        paper_says="W_-1 is the minimum.",
        counterexample="a stationary point w > -1 with J'' <= 0",
        theorem=Theorem(domain={...}, conclusions={...}, measure=...),
        joins=[join("identity", "the curvature", equation="the second derivative")],
    )
    def curvature(curvature=ridge * (1 + w)):
        yield Equal("the second derivative", ..., curvature)

The claimed expressions and the theorem are data, so wrong ones can be generated. The proof must
fail for each wrong expression (:mod:`derivations.ledger.mutation`), and the search must find a
violation of each wrong theorem (:mod:`derivations.ledger.search`).

Claims of your own go into a ledger of your own. The page *How a claim is checked* of the
documentation has an example that runs.
"""

import dataclasses
import difflib
import functools
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction

import sympy as sp

from derivations.ledger import checking, domains, mutation, symbols
from derivations.ledger.certificates import Cover, Enclosed, Enumerated, Root
from derivations.ledger.checking import CheckedStep, Proof, Report, TriedMutant
from derivations.ledger.rules import Join
from derivations.ledger.steps import Continuous, Equal, Positive, Step, concrete
from derivations.ledger.theorems import Judged, NoValue, Numbers, Theorem
from theory_common.printing.nouns import plural

ORIGINS = {
    "paper": "stated in the paper, and true as stated",
    "corrected": "stated in the paper; true only with the change given",
    "reconstructed": "a formula or assumption that the paper needs and does not print",
    "new": "not in the paper",
}
# From the strongest to the weakest. A claim has the weakest evidence of its conclusions.
EVIDENCE = {
    "proved": (
        "identities and signs that SymPy checked, joined by rules whose needs are all discharged"
    ),
    "certified": "a proof in which at least one step is a rigorous computation in balls (Arb)",
    "proved on examples": "exact on the cases listed: an enumeration in rational numbers",
    "tested": "no violation was found in the search; the steps do not reach the whole statement",
    "conjecture": "not established; the searches made against it are described",
}
KINDS = {
    "identity": Equal,
    "sign": Positive,
    "continuity": Continuous,
    "enumeration": Enumerated,
    "certificate": (Root, Enclosed, Cover),
}
RELATIONS = ("==", "<=", ">=")


class LedgerError(Exception):
    """Base class of the ledger's errors."""


class InvalidClaim(LedgerError, ValueError):
    """A claim is not well formed. The message names the field."""


class UnknownClaim(LedgerError, KeyError):
    """No claim of that id; the message offers the nearest ones."""

    def __str__(self) -> str:
        return str(self.args[0])


class OutOfDomain(LedgerError, ValueError):
    """A claim was evaluated where it says nothing, or where its numbers do not exist."""


@dataclasses.dataclass(frozen=True, eq=False)
class Claim:
    """One claim: its statement, its proof and what it backs.

    ``prove`` takes other expressions in place of the claimed ones. It then says whether the same
    proof would establish those.
    """

    id: str
    statement: str
    explanation: str
    where: str
    domain: str
    origin: str
    evidence: str
    counterexample: str
    backs: tuple[str, ...]
    theorem: Theorem
    joins: tuple[Join, ...]
    claimed: Mapping[str, sp.Expr]
    relation: str
    slow: str
    paper_says: str
    function: Callable[..., Iterable[Step]]
    evaluation: Callable[..., tuple] | None
    ledger: Mapping[str, "Claim"]  # the claims beside it, which its joins may cite

    def steps(self, **statement: sp.Expr) -> Iterator[Step]:
        """The unchecked steps of the proof, for the claimed or other expressions."""
        unknown = statement.keys() - self.claimed.keys()
        if unknown:
            raise LedgerError(
                f"claim {self.id} has no claimed expression named {', '.join(sorted(unknown))}; "
                f"it has {', '.join(self.claimed)}"
            )
        yield from self.function(**{**self.claimed, **statement})

    @functools.cached_property
    def own_steps(self) -> tuple[Step, ...]:
        """The unchecked steps of the proof of the claim itself. Some take seconds to make."""
        return tuple(self.steps())

    def prove(self, **statement: sp.Expr) -> Proof:
        """The checked proof."""
        steps = self.steps(**statement) if statement else self.own_steps
        return Proof(tuple(CheckedStep(step, step.verify()) for step in steps))

    def broken_step(self, **statement: sp.Expr) -> str | None:
        """The text of the first step that ``statement`` makes false, None if it refutes none.

        A step that can be neither proved nor refuted does not count as broken.
        """
        return checking.broken_step(self, statement)

    def restatements(self) -> Iterator[tuple[str, mutation.Mutant]]:
        """Generated wrong forms of the claimed expressions, by name."""
        most = max(3, 12 // len(self.claimed))
        for name, expression in self.claimed.items():
            for mutant in mutation.mutants(expression, most=most):
                yield name, mutant

    def mutants(self) -> list[TriedMutant]:
        """Generated wrong statements, each with the first step that it breaks."""
        tried = []
        for name, mutant in self.restatements():
            first = self.broken_step(**{name: mutant.expression})
            tried.append(TriedMutant(name, mutant, () if first is None else (first,)))
        return tried

    def check(self) -> Report:
        """Proof, mutants, the search against the theorem, and the evidence it deserves."""
        return checking.check(self)

    @property
    def quoted_rules(self) -> tuple[str, ...]:
        """The rules that join the steps, each once."""
        return tuple(dict.fromkeys(one.rule for one in self.joins))

    def at(self, **parameters) -> dict[str, Judged]:
        """The verdict on each conclusion at your own parameters, measured independently.

        Args:
            parameters: every parameter of the theorem's domain, by word: ``ridge="0.1"``. Numbers
                may be strings, fractions or Python numbers.

        Returns: for each conclusion its :class:`~derivations.ledger.theorems.Judged`.
        Raises: ``TypeError`` if a parameter is missing or unknown, :class:`OutOfDomain` outside
            the domain or the hypotheses, and where the quantities do not exist.
        """
        numbers = Numbers(self.theorem, _point(self, parameters))
        try:
            for hypothesis in self.theorem.hypotheses:
                if not numbers.allowed(hypothesis):
                    raise OutOfDomain(f"claim {self.id!r} assumes {hypothesis}")
            return {name: numbers.judge(c) for name, c in self.theorem.conclusions.items()}
        except NoValue as error:
            raise OutOfDomain(f"claim {self.id!r} has no numbers there: {error}") from error

    def evaluate(self, **parameters) -> tuple:
        """``(computed, claimed)`` at your own parameters, related by ``relation`` (==, <= or >=).

        A claim without an evaluation of its own compares the two sides of its first identity. It
        takes the exponential loss where the claim is about any loss.

        Args:
            parameters: words (``ridge=0.1``) or the symbols' own names (``gamma=0.1``).

        Raises:
            TypeError: a parameter is unknown, or one is missing. The message lists the known ones.
                Also if the claim has neither an evaluation nor an identity.
            OutOfDomain: there are no such numbers at these parameters. The message says why.
        """
        if self.evaluation is None:
            return self._compare_first_identity(parameters)
        _require_known(self.id, self.evaluation, parameters)
        try:
            return self.evaluation(**parameters)
        except TypeError as error:
            unknown = re.search(r"unexpected keyword argument ('\w+')", str(error))
            if unknown is None:
                raise
            raise TypeError(f"claim {self.id!r} does not depend on {unknown[1]}") from error
        except (ValueError, ZeroDivisionError) as error:
            given = ", ".join(f"{name}={value!r}" for name, value in parameters.items())
            raise OutOfDomain(
                f"claim {self.id!r} has no numbers at {given or 'its example'}: {_reason(error)} "
                f"The claim's domain: {self.domain}."
            ) from error

    def _compare_first_identity(self, parameters: Mapping[str, float]) -> tuple:
        identity = next((step for step in self.own_steps if isinstance(step, Equal)), None)
        if identity is None:
            raise TypeError(f"claim {self.id!r} has no identity to evaluate: call its method at")
        left, right = (_for_one_loss(side) for side in (identity.left, identity.right))
        point = _assignment(self.id, left.free_symbols | right.free_symbols, parameters)
        return _number(left, point), _number(right, point)

    @functools.cached_property
    def how(self) -> str:
        """One line: how many steps of which kind, and the rules that join them."""
        counted = [
            plural(number, name)
            for name, kinds in KINDS.items()
            if (number := sum(isinstance(step, kinds) for step in self.own_steps))
        ]
        rules = ", ".join(self.quoted_rules)
        return "; ".join(filter(None, [", ".join(counted), rules and f"joined by {rules}"]))

    @property
    def url(self) -> str:
        """Where the documentation states it, relative to the site of ``python -m docs``."""
        return f"ledger.html#{self.id}"

    @property
    def bibtex(self) -> str:
        """A BibTeX entry that cites this claim by its stable id."""
        title = self.statement.rstrip(".").translate(
            str.maketrans({"{": "(", "}": ")", "_": r"\_", "^": r"\^{}"})
        )
        note = f"{self.origin}, {self.evidence}; {self.where}".replace("_", r"\_")
        return (
            f"@misc{{gda-theory:{self.id},\n  title = {{Claim {self.id}: {title}}},\n"
            f"  howpublished = {{Ledger of claims, gda-theory}},\n  note = {{{note}}}\n}}"
        )


class Ledger:
    """Claims by id, in the order in which they were written."""

    def __init__(self) -> None:
        self._claims: dict[str, Claim] = {}

    def __iter__(self) -> Iterator[Claim]:
        return iter(self._claims.values())

    def __len__(self) -> int:
        return len(self._claims)

    def __getitem__(self, identifier: str) -> Claim:
        """The claim of that id, or the only one whose id begins with it.

        For example ``lemma-3`` is ``lemma-3-order``.
        """
        if identifier in self._claims:
            return self._claims[identifier]
        longer = [name for name in self._claims if name.startswith(f"{identifier}-")]
        if len(longer) == 1:
            return self._claims[longer[0]]
        near = longer or difflib.get_close_matches(identifier, self._claims, n=3, cutoff=0.3)
        hint = f"; nearest: {', '.join(near)}" if near else ""
        raise UnknownClaim(f"no claim has the id {identifier!r}{hint}")

    def claim(
        self,
        identifier: str,
        *,
        statement: str,
        explanation: str = "",
        where: str,
        domain: str,
        origin: str,
        evidence: str,
        counterexample: str,
        backs: str | Iterable[str] = (),
        theorem: Theorem,
        joins: Iterable[Join] = (),
        relation: str = "==",
        evaluate: Callable[..., tuple] | None = None,
        slow: str = "",
        paper_says: str = "",
    ) -> Callable[[Callable[..., Iterable[Step]]], Claim]:
        """Decorator that turns a function of claimed expressions into a :class:`Claim`.

        Args:
            identifier: stable, lower case, words joined by hyphens.
            statement: what is claimed, in one or two sentences.
            explanation: the idea of the proof.
            where: the lemma, section or appendix of the paper that the claim is about.
            domain: for which parameters it is claimed.
            origin: a key of :data:`ORIGINS`.
            evidence: a key of :data:`EVIDENCE`.
            counterexample: what one would look like, so that a reader can look for it.
            backs: dotted names of the library's functions that rest on it.
            theorem: the statement as data, with the measure that the search uses.
            joins: the rules that lead from the steps to the theorem's conclusions.
            relation: how the two numbers of ``evaluate`` are related: ``==``, ``<=`` or ``>=``.
            evaluate: ``(**parameters) -> (computed, claimed)``. It runs without arguments too.
            slow: how long its certificates take, if that is too long for every run.
            paper_says: what stands in the paper. Only a corrected claim has it.

        Raises: :class:`InvalidClaim` if a field is not one of the allowed words, if the id is
            taken, if the statement is empty, or if no default is a claimed expression.
        """
        backs = (backs,) if isinstance(backs, str) else tuple(backs)
        require = functools.partial(_require, identifier)

        def register(function: Callable[..., Iterable[Step]]) -> Claim:
            require("id", identifier not in self._claims, "is taken already")
            require("statement", bool(statement), "is empty")
            require("origin", origin in ORIGINS, _one_of(ORIGINS, origin))
            require("evidence", evidence in EVIDENCE, _one_of(EVIDENCE, evidence))
            require(
                "paper_says",
                bool(paper_says) == (origin == "corrected"),
                "goes with origin 'corrected', and only with it",
            )
            require("relation", relation in RELATIONS, _one_of(RELATIONS, relation))
            claimed = _defaults(function)
            require("defaults", bool(claimed), "hold no claimed expression")
            made = Claim(
                id=identifier,
                statement=statement,
                explanation=explanation,
                where=where,
                domain=domain,
                origin=origin,
                evidence=evidence,
                counterexample=counterexample,
                backs=backs,
                theorem=theorem,
                joins=tuple(joins),
                claimed=claimed,
                relation=relation,
                slow=slow,
                paper_says=paper_says,
                function=function,
                evaluation=evaluate,
                ledger=self._claims,
            )
            self._claims[identifier] = made
            return made

        return register


LEDGER = Ledger()
claim = LEDGER.claim


def _require(identifier: str, field: str, holds: bool, rule: str) -> None:
    if not holds:
        raise InvalidClaim(f"claim {identifier!r}: {field} {rule}")


def _one_of(words: Iterable[str], given: object) -> str:
    return f"must be one of {', '.join(words)}, got {given!r}"


def _defaults(function: Callable) -> dict[str, sp.Expr]:
    """The defaults of a claim's function: its claimed expressions by name."""
    parameters = inspect.signature(function).parameters.values()
    given = [p for p in parameters if p.default is not inspect.Parameter.empty]
    return {p.name: sp.sympify(p.default) for p in given}


def _point(claim: Claim, parameters: Mapping[str, object]) -> domains.Point:
    """The parameters as a point of the theorem's domain."""
    names = {domains.word(symbol): symbol for symbol in claim.theorem.domain}
    if names.keys() != parameters.keys():
        raise TypeError(
            f"claim {claim.id!r} takes {', '.join(names) or 'no parameters'}, "
            f"got {', '.join(parameters) or 'none'}"
        )
    point = {}
    for name, value in parameters.items():
        ranged = claim.theorem.domain[names[name]]
        if isinstance(ranged, domains.Interval):
            value = Fraction(value)
        if value not in ranged:
            raise OutOfDomain(f"claim {claim.id!r}: {name} must be {ranged}, got {value}")
        point[names[name]] = value
    return point


def _require_known(identifier: str, evaluation: Callable, parameters: Mapping) -> None:
    """``TypeError`` with the known names if ``evaluation`` does not take one of ``parameters``."""
    known = inspect.signature(evaluation).parameters.values()
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in known):
        return
    names = [p.name for p in known]
    unknown = sorted(set(parameters) - set(names))
    if unknown:
        raise TypeError(
            f"claim {identifier!r} does not depend on {', '.join(unknown)}; "
            f"it takes {', '.join(names)}"
        )


def _reason(error: Exception) -> str:
    """The message of ``error``, or a plain one if it is about the internals of a solver."""
    message = str(error)
    internal = ("Could not find root", "singular", "tolerance", "bracket")
    if isinstance(error, ZeroDivisionError) or any(word in message for word in internal):
        return "the numerical solver finds no solution there."
    return f"{message.rstrip('.')}."


def _for_one_loss(side: sp.Expr | sp.MatrixBase) -> sp.Expr | sp.MatrixBase:
    """``side`` with φ(m) = e^-m. Other undefined functions become definite generic ones."""
    argument = sp.Dummy()
    return concrete(
        sp.sympify(side).replace(symbols.phi, sp.Lambda(argument, sp.exp(-argument))).doit()
    )


def _assignment(
    identifier: str, needed: set[sp.Symbol], parameters: Mapping[str, float]
) -> dict[sp.Symbol, float]:
    """The value of each symbol in ``needed``.

    ``TypeError`` for a parameter that does not occur, or a symbol without a value.
    :class:`OutOfDomain` for a value that the symbol's assumptions exclude.
    """
    words = {symbol: word for word, symbol in symbols.WORDS.items()}
    names = {symbol.name: symbol for symbol in needed}
    names |= {words[symbol]: symbol for symbol in needed & words.keys()}
    unknown = parameters.keys() - names.keys()
    missing = needed - {names[name] for name in parameters if name in names}
    if unknown:
        raise TypeError(
            f"claim {identifier!r} does not depend on {', '.join(sorted(unknown))}; "
            f"it takes {', '.join(sorted(names))}"
        )
    if missing:
        wanted = sorted(words.get(symbol, symbol.name) for symbol in missing)
        raise TypeError(f"claim {identifier!r} also needs {', '.join(wanted)}")
    for name, value in parameters.items():
        _require_assumed(identifier, name, names[name], value)
    return {names[name]: value for name, value in parameters.items()}


def _require_assumed(identifier: str, name: str, symbol: sp.Symbol, value: float) -> None:
    """:class:`OutOfDomain` if ``value`` breaks the assumption on the sign of ``symbol``."""
    if symbol.is_positive and not value > 0:
        raise OutOfDomain(f"claim {identifier!r}: {name} must be > 0, got {value!r}")
    if symbol.is_nonnegative and not value >= 0:
        raise OutOfDomain(f"claim {identifier!r}: {name} must be >= 0, got {value!r}")


def _number(side: sp.Expr | sp.MatrixBase, point: Mapping[sp.Symbol, float]):
    value = side.subs(point).evalf(30)
    if isinstance(value, sp.MatrixBase):
        return value
    return float(value) if value.is_extended_real else float("nan")
