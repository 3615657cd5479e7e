"""Claims and the ledger: what a claim is, how to write one, and how to find one.

A claim is one function with a decorator. The decorator's arguments say what is claimed, in words.
The function's *defaults* are the claimed SymPy expressions. Its *body* yields the steps of the
proof (:mod:`derivations.ledger.steps`), to be read from top to bottom::

    @claim(
        "lemma-2-branches",
        statement="At a stationary point J'' = λ(1 + w): W_0 is the minimum, W_-1 the maximum.",
        where="App. F",
        domain="K real",
        origin="corrected",
        evidence="proved",
        paper_says="W_-1 is the minimum.",
        counterexample="a stationary point w > -1 with J'' <= 0",
    )
    def curvature(curvature=ridge * (1 + w)):
        yield Equal("the second derivative, by K = λ w e^w", ..., curvature)

The claimed expressions are data, so wrong ones can be generated. The proof must fail for each of
these *mutants* (:mod:`derivations.ledger.mutation`).

Claims of your own go into a ledger of your own::

    import sympy as sp

    from derivations import Equal, Ledger, Positive

    x = sp.Symbol("x", positive=True)
    mine = Ledger()

    @mine.claim(
        "log-bound",
        statement="ln x <= x - 1.",
        explanation="The difference x - 1 - ln x is convex. It has slope 0, and is 0, at x = 1.",
        where="my notes",
        domain="x > 0",
        origin="new",
        evidence="proved",
        counterexample="an x with ln x > x - 1",
    )
    def log_bound(slope=(x - 1) / x):
        difference = x - 1 - sp.log(x)
        yield Equal("slope", sp.diff(difference, x), slope)
        yield Equal("slope at 1", slope.subs(x, 1), 0)
        yield Equal("value at 1", difference.subs(x, 1), 0)
        yield Positive("it is convex", sp.diff(difference, x, 2))

    report = mine["log-bound"].check()  # report.passes, report.killed of len(report.mutants)
"""

import dataclasses
import difflib
import functools
import inspect
import re
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
    "proved": "each step is an identity or a sign that SymPy checked; the quoted rules join them",
    "certified": (
        "at least one step is a rigorous computation: intervals (Arb), "
        "or an enumeration in exact rational numbers"
    ),
    "tested": "numbers at many points only",
    "conjecture": "not established; the searches made against it are described",
}
RULES = {
    "monotone bijection": (
        "a continuous strictly monotone function has a continuous strictly monotone inverse, "
        "so inequalities carry over"
    ),
    "intermediate value": "a continuous function that changes sign on an interval has a root there",
    "definition of W": "W_0 and W_-1 are the inverses of w e^w on [-1, oo) and (-oo, -1]",
    "tangent line": "e^t >= 1 + t, and e^t > t",
    "implicit function": (
        "a solution at which the Jacobian is invertible is locally a smooth function "
        "of the parameters"
    ),
    "triangle inequality": "|sum a_i| <= sum |a_i|, also for vectors",
    "convexity": (
        "a strictly convex coercive function has exactly one stationary point, its minimum"
    ),
    "saddle-node normal form": (
        "at a simple zero eigenvalue the flow along the null vector is z' = p δ + c z²/2 "
        "to leading order"
    ),
    "quadratic convergence": (
        "a Newton step from distance d of a nondegenerate root of a C² map ends within O(d²) of it"
    ),
    "Hoeffding": (
        "P(|S - E S| >= t) <= 2 exp(-2 t²/sum c_i²) for a sum S of independent terms of ranges c_i"
    ),
    "Chernoff": (
        "P(S >= t) <= e^{-ht} E e^{hS} for every h > 0; for independent terms E e^{hS} is a product"
    ),
    "convexity of the exponential": "on an interval e^x lies below its chord",
    "Taylor": "g(u) <= g(0) + g'(0) u + M u²/2 where g'' <= M",
    "Kamke comparison": (
        "z' = F(z) keeps z <= z' for all time if each F_i increases in every other coordinate"
    ),
    "planar monotone flow": (
        "if a flow in the plane preserves such an order, "
        "each of its bounded orbits converges to a stationary point"
    ),
    "Perron-Frobenius": (
        "if F increases strictly in the other coordinate, "
        "ordered orbits are at once ordered in both coordinates"
    ),
    "gradient flow": (
        "a bounded orbit of w' = -∇J exists for all time and its limit points are stationary"
    ),
    "geometric sum": (
        "(x - 1) sum_{k<s} x^k = x^s - 1, by induction on s; "
        "base and step are checked where it is used"
    ),
    "linearity of expectation": "the mean of a sum is the sum of the means, dependent or not",
    "exchangeability": (
        "items drawn without replacement in random order have the same law, each the population's"
    ),
    "conditioning": "E X = E E[X|Y], and Cov(X, Y) = E Cov(X, Y|Z) + Cov(E[X|Z], E[Y|Z])",
    "tree Markov property": (
        "given the state of a node, what lies below each of its children is independent"
    ),
    "monotone iteration": (
        "the orbit of an increasing continuous map is monotone "
        "and tends to the next fixed point on its way"
    ),
    "Koenigs linearisation": (
        "near a repelling fixed point of slope F' > 1 a smooth map is conjugate to z -> F'z "
        "by a smooth change of z"
    ),
    "increasing functions correlate": (
        "Cov(g(K), K) = 1/2 sum w_j w_k (g(k) - g(j))(k - j) >= 0 for an increasing g"
    ),
    "Riesz": (
        "a real trigonometric polynomial of degree N falls from its largest modulus M "
        "to no less than M cos(Nt) within t <= π/N"
    ),
    "Krawczyk": (
        "if the Krawczyk operator maps a box into its interior, the box holds exactly one root"
    ),
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
    """A wrong restatement of one claimed expression.

    ``broken_step`` is the text of the first step that it breaks, None if it breaks none.
    """

    name: str
    mutant: mutation.Mutant
    broken_step: str | None


class Report(NamedTuple):
    """The checked proof of one claim, and its mutants."""

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
    rules: tuple[str, ...]
    claimed: Mapping[str, sp.Expr]
    relation: str
    slow: str
    paper_says: str
    function: Callable[..., Iterable[Step]]
    evaluation: Callable[..., tuple] | None

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
        refuted = (step.text for step in self.steps(**statement) if step.refute() is not None)
        return next(refuted, None)

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
        """``(computed, claimed)`` at your own parameters, related by ``relation`` (==, <= or >=).

        A claim without an evaluation of its own compares the two sides of its first identity. It
        takes the exponential loss where the claim is about any loss.

        Args:
            parameters: words (``ridge=0.1``) or the symbols' own names (``gamma=0.1``).

        Raises:
            TypeError: a parameter is unknown, or one is missing. The message lists the known ones.
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
        identity = next(step for step in self.own_steps if isinstance(step, Equal))
        left, right = (_for_one_loss(side) for side in (identity.left, identity.right))
        point = _assignment(self.id, left.free_symbols | right.free_symbols, parameters)
        return _number(left, point), _number(right, point)

    @functools.cached_property
    def how(self) -> str:
        """One line: how many steps of which kind, and the rules that join them."""
        kinds = [type(step) for step in self.own_steps]
        names = {Equal: "identities", Positive: "signs", Certificate: "certificates"}
        counted = [f"{kinds.count(kind)} {name}" for kind, name in names.items() if kind in kinds]
        return ", ".join(counted) + (f"; {', '.join(self.rules)}" if self.rules else "")

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

        For example ``lemma-9`` is ``lemma-9-window``.
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
        rules: Iterable[str] = (),
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
            rules: keys of :data:`RULES` that join the machine-checked steps.
            relation: how the two numbers of ``evaluate`` are related: ``==``, ``<=`` or ``>=``.
            evaluate: ``(**parameters) -> (computed, claimed)``. It runs without arguments too.
            slow: how long its certificates take, if that is too long for every run.
            paper_says: what stands in the paper. Only a corrected claim has it.

        Raises: :class:`InvalidClaim` if a field is not one of the allowed words, if the id is
            taken, if the statement is empty, or if no default is a claimed expression.
        """
        rules = tuple(rules)
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
            require(
                "rules", set(rules) <= set(RULES), f"must be among {', '.join(RULES)}, got {rules}"
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


def _one_of(words: Iterable[str], given: object) -> str:
    return f"must be one of {', '.join(words)}, got {given!r}"


def _defaults(function: Callable) -> dict[str, sp.Expr]:
    """The defaults of a claim's function: its claimed expressions by name."""
    parameters = inspect.signature(function).parameters.values()
    given = [p for p in parameters if p.default is not inspect.Parameter.empty]
    return {p.name: sp.sympify(p.default) for p in given}


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
