"""The rules that join the steps of a proof, each with the hypotheses that it needs.

A step is an identity, a sign or a certificate. A theorem follows from steps by rules of analysis,
such as "a continuous function that changes sign has a root". A :class:`Join` applies one rule. It
names what it gives, and for each need of the rule the steps, claims or hypotheses that discharge
it. A conclusion is *proved* only if a join gives it and every need is discharged.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple


class Rule(NamedTuple):
    """A theorem of analysis, algebra or probability, and what must be shown before it is used."""

    statement: str
    needs: tuple[str, ...]


RULES = {
    "identity": Rule("an equation that SymPy checked", ("equation",)),
    "sign": Rule("an expression with a visible sign lies on that side of 0", ("sign",)),
    "equivalence": Rule(
        "if the difference of one relation is that of another times a positive factor, "
        "then one holds exactly when the other does",
        ("identity", "factor"),
    ),
    "invertible map": Rule(
        "a linear map with a nonzero determinant sends only 0 to 0", ("map", "determinant")
    ),
    "contradiction": Rule(
        "an assumption that leads to a contradiction is false", ("assumption", "absurd")
    ),
    "monotone bijection": Rule(
        "a continuous strictly monotone function has a continuous strictly monotone inverse, "
        "so inequalities carry over",
        ("continuous", "slope"),
    ),
    "intermediate value": Rule(
        "a continuous function that changes sign on an interval has a root there",
        ("continuous", "ends"),
    ),
    "definition of W": Rule(
        "W_0 and W_-1 are the inverses of w e^w on [-1, oo) and (-oo, -1]", ("equation",)
    ),
    "tangent line": Rule("e^t >= 1 + t, and e^t > t", ("use",)),
    "implicit function": Rule(
        "a solution at which the Jacobian is invertible is locally a smooth function "
        "of the parameters",
        ("jacobian", "smooth"),
    ),
    "triangle inequality": Rule("|sum a_i| <= sum |a_i|, also for vectors", ("terms",)),
    "convexity": Rule(
        "a strictly convex coercive function has exactly one stationary point, its minimum",
        ("convex", "coercive"),
    ),
    "least value": Rule(
        "a convex function is nowhere below its value where its slope is 0",
        ("convex", "stationary", "value"),
    ),
    "inertia of order two": Rule(
        "a symmetric form on a plane that is positive in one direction is positive definite where "
        "its determinant is positive, and indefinite where it is negative",
        ("direction", "determinant"),
    ),
    "Rolle": Rule(
        "between two zeros of a differentiable function its derivative has a zero; "
        "where two zeros merge, a continuous derivative is 0",
        ("zeros", "smooth"),
    ),
    "saddle-node normal form": Rule(
        "at a simple zero eigenvalue the flow along the null vector is z' = p δ + c z²/2 "
        "to leading order",
        ("null vector", "p", "c"),
    ),
    "period doubling": Rule(
        "where the multiplier of a fixed point passes -1, with f''²/2 + f'''/3 != 0, a cycle of "
        "period two appears; it is stable if this number is positive",
        ("multiplier", "passage", "cubic"),
    ),
    "quadratic convergence": Rule(
        "a Newton step from distance d of a nondegenerate root of a C² map ends within O(d²) of it",
        ("smooth", "nondegenerate"),
    ),
    "union bound": Rule(
        "the probability of a union is at most the sum of the probabilities", ("events",)
    ),
    "counting": Rule(
        "if all choices are equally likely, "
        "a probability is the number of choices that count, divided by the number of all",
        ("number",),
    ),
    "Chernoff": Rule(
        "P(S >= t) < e^{-ht} E e^{hS} for every h > 0, unless S = t surely; "
        "for independent terms E e^{hS} is a product",
        ("independent", "generating function", "not sure"),
    ),
    "convexity of the exponential": Rule("on an interval e^x lies below its chord", ("interval",)),
    "Taylor": Rule("g(u) <= g(0) + g'(0) u + M u²/2 where g'' <= M", ("second derivative",)),
    "equal derivatives": Rule(
        "on an interval, functions that have equal derivatives and agree at one point are equal",
        ("derivatives", "point"),
    ),
    "Leibniz": Rule(
        "the derivative of order n of a product f g is sum_j C(n, j) f^(j) g^(n-j)", ("product",)
    ),
    "series": Rule(
        "an analytic function has one power series at a point, and a partial sum has an error of "
        "the order of the first term left out",
        ("terms", "analytic"),
    ),
    "Kamke comparison": Rule(
        "z' = F(z) keeps z <= z' for all time if each F_i increases in every other coordinate",
        ("off-diagonal",),
    ),
    "planar monotone flow": Rule(
        "if a flow in the plane preserves an order as in the Kamke comparison, "
        "each of its bounded orbits converges to a stationary point",
        ("order", "bounded"),
    ),
    "Perron-Frobenius": Rule(
        "if each component of F in the plane increases strictly in the other coordinate, "
        "two ordered orbits are strictly ordered in both coordinates at every later time",
        ("off-diagonal",),
    ),
    "gradient flow": Rule(
        "a bounded orbit of w' = -∇J exists for all time and its limit points are stationary",
        ("gradient", "bounded"),
    ),
    "Taylor series": Rule(
        "a smooth function equals its Taylor polynomial up to an error of the next power",
        ("derivatives", "smooth"),
    ),
    "affine iteration": Rule(
        "P -> a + λP with |λ| < 1 moves to its rest point, and each step multiplies the distance "
        "by λ",
        ("rest point", "slope", "below one"),
    ),
    "squeeze": Rule(
        "a quantity between two positive multiples of another has the same order as that one",
        ("bounds", "order"),
    ),
    "substitution": Rule(
        "an integral over k becomes one over u = g(k), with dk = du/g'(k)",
        ("integrand", "bijection"),
    ),
    "integration by parts": Rule("∫ f g' = [f g] - ∫ f' g", ("derivative", "boundary")),
    "positive integrand": Rule(
        "a convergent integral is positive if its integrand is positive on pieces that fill the "
        "range",
        ("sign",),
    ),
    "concavity": Rule(
        "a concave function on an interval is at least the smaller of its values at the ends",
        ("concave", "ends"),
    ),
    "geometric sum": Rule("(x - 1) sum_{k<s} x^k = x^s - 1, by induction on s", ("base", "step")),
    "induction": Rule(
        "what holds in the first case, and carries over to each next one, holds always",
        ("base", "step"),
    ),
    "linearity of expectation": Rule(
        "the mean of a sum is the sum of the means, dependent or not", ("terms",)
    ),
    "exchangeability": Rule(
        "each item drawn without replacement in random order has the law of the population",
        ("draws",),
    ),
    "conditioning": Rule(
        "E X = E E[X|Y], and Cov(X, Y) = E Cov(X, Y|Z) + Cov(E[X|Z], E[Y|Z])", ("parts",)
    ),
    "tree Markov property": Rule(
        "given the state of a node, what lies below each of its children is independent",
        ("model",),
    ),
    "monotone iteration": Rule(
        "the orbit of an increasing continuous map is monotone "
        "and tends to the next fixed point on its way",
        ("increasing", "fixed points"),
    ),
    "Koenigs linearisation": Rule(
        "near a repelling fixed point of slope F' > 1 a smooth map is conjugate to z -> F'z "
        "by a smooth change of z",
        ("slope", "smooth"),
    ),
    "increasing functions correlate": Rule(
        "Cov(g(K), K) = 1/2 sum w_j w_k (g(k) - g(j))(k - j) >= 0 for an increasing g",
        ("pairs",),
    ),
    "Riesz": Rule(
        "a real trigonometric polynomial of degree N falls from its largest modulus M "
        "to no less than M cos(Nt) within t <= π/N",
        ("degree",),
    ),
    "bounded rate": Rule(
        "a positive function g with |g'| <= c g changes by a factor of at most e^{ct} over t",
        ("rate",),
    ),
    "operator order": Rule(
        "if A <= B for symmetric positive definite matrices, their means and quadratic forms have "
        "the same order, and B^-1 <= A^-1",
        ("order",),
    ),
    "Krawczyk": Rule(
        "if the Krawczyk operator maps a box into its interior, the box holds exactly one root",
        ("box",),
    ),
    "exhaustion": Rule(
        "what is decided on each of the boxes that cover a region is decided on the region",
        ("cover",),
    ),
    "enumeration": Rule(
        "what holds in each of finitely many cases holds in all of them", ("cases",)
    ),
    "enclosure": Rule("a ball holds the exact value, rounding included", ("ball",)),
}


class Join(NamedTuple):
    """One rule applied. ``gives`` names a conclusion, or a part that later joins use.

    ``discharged`` holds, for each need of the rule, what discharges it: texts of steps, names of
    parts that earlier joins gave, ``claim:ID``, ``given:TEXT`` (a hypothesis, or the range of a
    parameter as the domain prints it), or ``known:TEXT`` (a fact that every textbook has, such as
    the continuity of an elementary function).
    """

    rule: str
    gives: tuple[str, ...]
    discharged: Mapping[str, tuple[str, ...]]

    def __str__(self) -> str:
        needs = "; ".join(f"{need}: {', '.join(by)}" for need, by in self.discharged.items())
        return f"{', '.join(self.gives)} by {self.rule} ({needs})"


def join(rule: str, gives: str | Iterable[str], /, **discharged: str | Iterable[str]) -> Join:
    """A :class:`Join`. Needs of two words are written with an underscore.

    Raises: ``ValueError`` if there is no such rule, or if other needs are discharged than it has.
    """
    if rule not in RULES:
        raise ValueError(f"join: rule must be one of {', '.join(RULES)}, got {rule!r}")
    named = {need: need.replace(" ", "_").replace("-", "_") for need in RULES[rule].needs}
    if set(discharged) != set(named.values()):
        raise ValueError(
            f"join: rule {rule!r} needs {', '.join(named.values())}, "
            f"got {', '.join(discharged) or 'nothing'}"
        )
    return Join(
        rule=rule,
        gives=_tuple(gives),
        discharged=MappingProxyType(
            {need: _tuple(discharged[argument]) for need, argument in named.items()}
        ),
    )


def _tuple(texts: str | Iterable[str]) -> tuple[str, ...]:
    return (texts,) if isinstance(texts, str) else tuple(texts)


PREFIXES = ("claim:", "given:", "known:")


def cited(joins: Iterable[Join]) -> set[str]:
    """All texts that discharge a need."""
    return {by for one in joins for needs in one.discharged.values() for by in needs}


def undischarged(
    joins: Iterable[Join], steps: set[str], claims: set[str], given: set[str]
) -> list[str]:
    """What the joins cite and nothing provides: a missing step, claim, hypothesis or part."""
    parts: set[str] = set()
    missing = []
    for one in joins:
        for by in (by for needs in one.discharged.values() for by in needs):
            kind, _, name = by.partition(":")
            provided = (
                (f"{kind}:" == "claim:" and name in claims)
                or (f"{kind}:" == "given:" and name in given)
                or f"{kind}:" == "known:"
                or by in steps
                or by in parts
            )
            if not provided:
                missing.append(f"{one.rule} cites {by!r}, which is no step, part, claim or premise")
        parts |= set(one.gives)
    return missing


def basis(joins: Iterable[Join], conclusion: str) -> set[str] | None:
    """The texts of steps and claims on which ``conclusion`` rests, None if no join gives it."""
    by_part: dict[str, set[str]] = {}
    for one in joins:
        rests: set[str] = set()
        for by in (by for needs in one.discharged.values() for by in needs):
            rests |= by_part.get(by, {by})
        for part in one.gives:
            by_part[part] = by_part.get(part, set()) | rests
    return by_part.get(conclusion)
