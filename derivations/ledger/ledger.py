"""The ledger: what a claim is, how one is written, and where all of them are found.

A claim is one function. Its *docstring* begins with the statement; its *defaults* are the claimed SymPy expressions; its *body*
yields the steps of the proof (:mod:`derivations.ledger.steps`), to be read from top to bottom::

    @claim("lemma-2-branches", where="App. F", origin="corrected", evidence="proved", domain="K real", counterexample="...")
    def curvature(curvature=ridge * (1 + w)):
        '''At a stationary point J'' = λ(1 + w): W_0 is the minimum, W_-1 the maximum.'''
        yield Equal("the second derivative, by K = λ w e^w", ..., curvature)

Because the statement is data, wrong statements can be generated (:mod:`derivations.ledger.mutation`), and each of them must break
the proof. A reader's own lemma goes into a ledger of his own::

    mine = Ledger()

    @mine.claim("log-bound", where="my notes", domain="x > 0", origin="new", evidence="proved", counterexample="x with ln x > x - 1")
    def log_bound(slope=(x - 1) / x):
        '''ln x <= x - 1: the difference x - 1 - ln x has slope (x - 1)/x, so it is least, 0, at x = 1.'''
        difference = x - 1 - sp.log(x)
        yield Equal("slope", sp.diff(difference, x), slope)
        yield Equal("value at 1", difference.subs(x, 1), 0)
        yield Positive("it is convex", sp.diff(difference, x, 2))

    report = mine["log-bound"].check()  # report.passes, report.killed of len(report.mutants)
"""

import dataclasses
import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import sympy as sp

from derivations.ledger import mutation, symbols
from derivations.ledger.steps import Certificate, Equal, Positive, Step, Verdict, concrete

ORIGINS = {
    "paper": "stated in the paper, and true as stated",
    "corrected": "stated in the paper; true only with the change given",
    "reconstructed": "a formula or assumption that the paper needs and does not print",
    "new": "not in the paper",
}
EVIDENCE = {
    "proved": "each step an identity or a sign that SymPy checked, joined by the quoted rules",
    "certified": "at least one step is a rigorous computation: intervals (Arb), or an enumeration in exact rational numbers",
    "tested": "numbers at many points only",
    "conjecture": "not established; the searches made against it are described",
}
RULES = {
    "monotone bijection": "a continuous strictly monotone function has a continuous strictly monotone inverse, so inequalities carry over",
    "intermediate value": "a continuous function that changes sign on an interval has a root there",
    "definition of W": "W_0 and W_-1 are the inverses of w e^w on [-1, oo) and (-oo, -1]",
    "tangent line": "e^t >= 1 + t, and e^t > t",
    "implicit function": "a solution at which the Jacobian is invertible is locally a smooth function of the parameters",
    "triangle inequality": "|sum a_i| <= sum |a_i|, also for vectors",
    "convexity": "a strictly convex coercive function has exactly one stationary point, its minimum",
    "saddle-node normal form": "at a simple zero eigenvalue the flow along the null vector is z' = p δ + c z²/2 to leading order",
    "quadratic convergence": "a Newton step from distance d of a nondegenerate root of a C² map ends within O(d²) of it",
    "Hoeffding": "P(|S - E S| >= t) <= 2 exp(-2 t²/sum c_i²) for a sum S of independent terms of ranges c_i",
    "Chernoff": "P(S >= t) <= e^{-ht} E e^{hS} for every h > 0, and the factors of independent terms multiply",
    "convexity of the exponential": "on an interval e^x lies below its chord",
    "Taylor": "g(u) <= g(0) + g'(0) u + M u²/2 where g'' <= M",
    "Kamke comparison": "z' = F(z) keeps z <= z' for all time if each F_i increases in every other coordinate",
    "planar monotone flow": "every bounded orbit of a flow in the plane that preserves such an order converges to a stationary point",
    "Perron-Frobenius": "if F increases strictly in the other coordinate, ordered orbits are at once ordered in both coordinates",
    "gradient flow": "a bounded orbit of w' = -∇J exists for all time and its limit points are stationary",
    "geometric sum": "(x - 1) sum_{k<s} x^k = x^s - 1, by induction on s: base and step are checked where it is used",
    "linearity of expectation": "the mean of a sum is the sum of the means, dependent or not",
    "exchangeability": "items drawn without replacement in random order have the same law, each the population's",
    "conditioning": "E X = E E[X|Y], and Cov(X, Y) = E Cov(X, Y|Z) + Cov(E[X|Z], E[Y|Z])",
    "tree Markov property": "given the state of a node, what lies below each of its children is independent",
    "monotone iteration": "the orbit of an increasing continuous map is monotone and tends to the next fixed point on its way",
    "Koenigs linearisation": "near a repelling fixed point of slope F' > 1 a smooth map is conjugate to z -> F'z by a smooth change of z",
    "increasing functions correlate": "Cov(g(K), K) = 1/2 sum w_j w_k (g(k) - g(j))(k - j) >= 0 for an increasing g",
    "Riesz": "a real trigonometric polynomial of degree N falls from its largest modulus M to no less than M cos(Nt) within t <= π/N",
    "Krawczyk": "if the Krawczyk operator maps a box into its interior, the box holds exactly one root",
}


class LedgerError(Exception):
    """Base of what the ledger raises."""


class InvalidClaim(LedgerError, ValueError):
    """A claim is not well formed: the message names the field."""


class UnknownClaim(LedgerError, KeyError):
    """No claim of that id; the message offers the nearest ones."""

    def __str__(self) -> str:
        return str(self.args[0])


class CheckedStep(NamedTuple):
    """A step of a proof and what became of it."""

    step: Step
    verdict: Verdict


class Proof(NamedTuple):
    """All steps of one proof, checked."""

    steps: tuple[CheckedStep, ...]

    @property
    def holds(self) -> bool:
        """Whether there is a step at all, and every one is established."""
        return bool(self.steps) and all(verdict.holds is True for _, verdict in self.steps)


class TriedMutant(NamedTuple):
    """A wrong restatement: of which claimed expression, by which change, and the step that broke (None: it survived)."""

    name: str
    mutant: mutation.Mutant
    broken_step: str | None


class Report(NamedTuple):
    """The check of one claim."""

    claim: "Claim"
    proof: Proof
    mutants: tuple[TriedMutant, ...]

    @property
    def killed(self) -> int:
        return sum(tried.broken_step is not None for tried in self.mutants)

    @property
    def passes(self) -> bool:
        """The proof holds, at least three mutants were made, and none survived."""
        return self.proof.holds and len(self.mutants) >= 3 and self.killed == len(self.mutants)


@dataclasses.dataclass(frozen=True, eq=False)
class Claim:
    """One claim. Called with other expressions for its defaults, ``prove`` says whether the same proof would establish those."""

    id: str
    statement: str
    explanation: str
    where: str
    domain: str
    origin: str
    evidence: str
    counterexample: str
    backs: tuple[str, ...]
    rules: tuple[str, ...]
    claimed: Mapping[str, sp.Expr]
    relation: str
    slow: str
    paper_says: str
    function: Callable[..., Iterable[Step]]
    evaluation: Callable[..., tuple] | None

    def steps(self, **statement: sp.Expr) -> Iterator[Step]:
        """The steps of the proof, unchecked, for the claimed expressions or for others in their place."""
        unknown = statement.keys() - self.claimed.keys()
        if unknown:
            raise LedgerError(
                f"claim {self.id} has no claimed expression named {', '.join(sorted(unknown))}: {', '.join(self.claimed)}"
            )
        yield from self.function(**{**self.claimed, **statement})

    def prove(self, **statement: sp.Expr) -> Proof:
        """The checked proof."""
        return Proof(tuple(CheckedStep(step, step.verify()) for step in self.steps(**statement)))

    def broken_step(self, **statement: sp.Expr) -> str | None:
        """The first step that ``statement`` makes false; None if no step is refuted (undecided ones do not count)."""
        return next(
            (step.text for step in self.steps(**statement) if step.refute() is not None), None
        )

    def mutants(self) -> list[TriedMutant]:
        """Generated wrong statements, each with the first step that it breaks."""
        most = max(3, 12 // len(self.claimed))
        return [
            TriedMutant(name, mutant, self.broken_step(**{name: mutant.expression}))
            for name, expression in self.claimed.items()
            for mutant in mutation.mutants(expression, most=most)
        ]

    def check(self) -> Report:
        """Proof and mutants."""
        return Report(self, self.prove(), tuple(self.mutants()))

    def evaluate(self, **parameters) -> tuple:
        """``(computed, claimed)`` at a reader's own parameters, related by ``relation`` (==, <= or >=).

        Parameters are words (``ridge=0.1``) or the symbols' own names. Without an evaluation of its own, a claim compares the two
        sides of its first identity, for the exponential loss where it speaks of any loss.
        """
        if self.evaluation is not None:
            return self.evaluation(**parameters)
        identity = next(step for step in self.steps() if isinstance(step, Equal))
        left, right = (_for_one_loss(side) for side in (identity.left, identity.right))
        point = _assignment(self.id, left.free_symbols | right.free_symbols, parameters)
        return _number(left, point), _number(right, point)

    @functools.cached_property
    def how(self) -> str:
        """In one line: how many steps of which kind, and the rules that join them."""
        kinds = [type(step) for step in self.steps()]
        names = {Equal: "identities", Positive: "signs", Certificate: "certificates"}
        counted = [f"{kinds.count(kind)} {name}" for kind, name in names.items() if kind in kinds]
        return ", ".join(counted) + (f"; {', '.join(self.rules)}" if self.rules else "")

    @property
    def url(self) -> str:
        """Where the documentation states it, relative to the project."""
        return f"docs/ledger.md#{self.id}"

    @property
    def bibtex(self) -> str:
        """An entry to cite this claim by its stable id."""
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
        """The claim of that id, or the only one whose id begins with it (``lemma-9`` is ``lemma-9-window``)."""
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
        where: str,
        domain: str,
        origin: str,
        evidence: str,
        counterexample: str,
        backs: str | Iterable[str] = (),
        rules: Iterable[str] = (),
        relation: str = "==",
        evaluate: Callable[..., tuple] | None = None,
        slow: str = "",
        paper_says: str = "",
    ) -> Callable[[Callable[..., Iterable[Step]]], Claim]:
        """Decorator that turns a function of claimed expressions into a :class:`Claim` of this ledger.

        Args:
            identifier: stable, lower case, words joined by hyphens.
            where: lemma, section or appendix of the paper that it is about.
            domain: for which parameters it is claimed.
            origin, evidence: keys of :data:`ORIGINS` and :data:`EVIDENCE`.
            counterexample: what one would look like, so that a reader can look for it.
            backs: dotted names of the library's functions that rest on it.
            rules: keys of :data:`RULES` that join the machine-checked steps.
            relation: ``computed relation claimed`` is what ``evaluate`` shows: ``==``, ``<=`` or ``>=``.
            evaluate: ``(**parameters) -> (computed, claimed)``; callable without arguments at its own example.
            slow: how long its certificates take, where that is too long for every run: they are checked on request only.
            paper_says: of a corrected claim, what stands in the paper.

        Raises: :class:`InvalidClaim` if a field is not one of the allowed words, the id is taken, the docstring is missing, or
            no default is a claimed expression (there would be nothing to mutate).
        """
        rules, backs = tuple(rules), (backs,) if isinstance(backs, str) else tuple(backs)

        def register(function: Callable[..., Iterable[Step]]) -> Claim:
            _require(identifier, "id", identifier not in self._claims, "is taken already")
            _require(
                identifier,
                "origin",
                origin in ORIGINS,
                f"must be one of {', '.join(ORIGINS)}, got {origin!r}",
            )
            _require(
                identifier,
                "evidence",
                evidence in EVIDENCE,
                f"must be one of {', '.join(EVIDENCE)}, got {evidence!r}",
            )
            _require(
                identifier,
                "paper_says",
                bool(paper_says) == (origin == "corrected"),
                "goes with origin 'corrected', and only with it",
            )
            _require(
                identifier,
                "rules",
                set(rules) <= set(RULES),
                f"must be among {', '.join(RULES)}, got {rules}",
            )
            _require(
                identifier,
                "relation",
                relation in ("==", "<=", ">="),
                f"must be ==, <= or >=, got {relation!r}",
            )
            document = inspect.getdoc(function) or ""
            _require(
                identifier,
                "docstring",
                bool(document),
                "is missing: its first paragraph is the statement",
            )
            statement, _, explanation = document.partition("\n\n")
            parameters = inspect.signature(function).parameters.values()
            claimed = {
                p.name: sp.sympify(p.default)
                for p in parameters
                if p.default is not inspect.Parameter.empty
            }
            _require(identifier, "defaults", bool(claimed), "hold no claimed expression")
            made = Claim(
                id=identifier,
                statement=" ".join(statement.split()),
                explanation=explanation,
                where=where,
                domain=domain,
                origin=origin,
                evidence=evidence,
                counterexample=counterexample,
                backs=backs,
                rules=rules,
                claimed=claimed,
                relation=relation,
                slow=slow,
                paper_says=paper_says,
                function=function,
                evaluation=evaluate,
            )
            self._claims[identifier] = made
            return made

        return register


LEDGER = Ledger()
claim = LEDGER.claim


def _require(identifier: str, field: str, holds: bool, rule: str) -> None:
    if not holds:
        raise InvalidClaim(f"claim {identifier!r}: {field} {rule}")


def _for_one_loss(side: sp.Expr | sp.MatrixBase) -> sp.Expr | sp.MatrixBase:
    """``side`` for φ = e^-m, other undefined functions replaced by definite generic ones."""
    argument = sp.Dummy()
    return concrete(
        sp.sympify(side).replace(symbols.phi, sp.Lambda(argument, sp.exp(-argument))).doit()
    )


def _assignment(
    identifier: str, needed: set[sp.Symbol], parameters: Mapping[str, float]
) -> dict[sp.Symbol, float]:
    """The symbols' values; ``TypeError`` for a parameter that does not occur or a symbol without a value."""
    words = {symbol: word for word, symbol in symbols.WORDS.items()}
    names = {symbol.name: symbol for symbol in needed} | {
        words[symbol]: symbol for symbol in needed & words.keys()
    }
    unknown = parameters.keys() - names.keys()
    missing = needed - {names[name] for name in parameters if name in names}
    if unknown:
        raise TypeError(
            f"claim {identifier!r} does not depend on {', '.join(sorted(unknown))}; it takes {', '.join(sorted(names))}"
        )
    if missing:
        raise TypeError(
            f"claim {identifier!r} also needs {', '.join(sorted(words.get(symbol, symbol.name) for symbol in missing))}"
        )
    return {names[name]: value for name, value in parameters.items()}


def _number(side: sp.Expr | sp.MatrixBase, point: Mapping[sp.Symbol, float]):
    value = side.subs(point).evalf(30)
    if isinstance(value, sp.MatrixBase):
        return value
    return float(value) if value.is_extended_real else float("nan")
