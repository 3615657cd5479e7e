"""What the claims about a correlated pair are compared with: its points, found from gradients.

Each function here is the ``measure`` of a theorem (:mod:`derivations.ledger.theorems`). It takes
the parameters by name and returns the measured symbols. The solvers are those of
:mod:`derivations.descent_ascent.measures`.
"""

import mpmath
import sympy as sp
from mpmath import mpf

from derivations.descent_ascent import data_measures, measures
from derivations.descent_ascent.measures import EXPONENTIAL, RAISED, Gram, MarginLoss
from derivations.ledger.domains import OneOf, positive
from derivations.ledger.symbols import k11, k22, ridge
from derivations.ledger.theorems import NoValue

loss = sp.Symbol("loss")
is_exponential, count = sp.symbols("is_exponential count")
x_D, y_D, x_R, y_R, x_A, y_A = sp.symbols("x_D y_D x_R y_R x_DA y_DA", real=True)
x_S, y_S, x_E, y_E = sp.symbols("x_S y_S x_E y_E", real=True)
any_k12 = sp.Symbol("k12", real=True)  # of either sign
nonnegative_k12 = sp.Symbol("k12", nonnegative=True)

DECREASING = OneOf(measures.DECREASING, others=(measures.WAVY,))
ANY_LOSS = OneOf((*measures.DECREASING, measures.WAVY))
TYPES = {k11: positive, k22: positive, ridge: positive}


def require_positive(**numbers) -> None:
    """:class:`NoValue` where a ridge, mass or squared length is not positive: no such problem."""
    for name, number in numbers.items():
        if not number > 0:
            raise NoValue(f"{name} must be > 0, got {number}")


def require_visible(loss: MarginLoss, *margins) -> None:
    """:class:`NoValue` where φ = e^-m + 1/2 is 1/2 to all digits: different sides look equal."""
    if loss is RAISED and max(margins) > 100:
        raise NoValue("e^-m vanishes beside 1/2")


def in_weights(margins, correlation) -> tuple:
    """The weights with these margins on u = (1, ε) and v = (ε, 1)."""
    x, y = margins
    scale = 1 - correlation**2
    return (x - correlation * y) / scale, (y - correlation * x) / scale


# pair-gradient

PROBLEMS = ("D", "R", "A")
tested = {name: sp.symbols(f"g_{name}1 g_{name}2 x_{name} y_{name}") for name in PROBLEMS}


def gradients(w_1, w_2, epsilon, ridge, alpha, a, retain_mass, forget_mass, at) -> dict:
    """Gradient in weights, by difference quotients, and margins, for the three problems.

    ``at`` says where: at (w_1, w_2), or at the point whose margins solve the equations.
    """
    require_positive(ridge=ridge, alpha=alpha, a=a, A=retain_mass, B=forget_mass)
    gram = measures.papers_gram(epsilon)
    masses = {"D": (a, alpha * a), "R": (retain_mass, mpf(0)), "A": (retain_mass, -forget_mass)}
    found = {}
    for name, pair in masses.items():
        point = in_weights((w_1 + epsilon * w_2, epsilon * w_1 + w_2), epsilon)
        if at == "stationary":
            point = in_weights(_one_point(pair, gram, ridge), epsilon)
        found |= dict(zip(tested[name], _at_weights(pair, epsilon, ridge, point), strict=True))
    return found


def _one_point(masses, gram: Gram, ridge):
    if masses[1] >= 0:
        return measures.margins(masses, gram, ridge)
    points = measures.stationary_points(masses[0], -masses[1], gram, ridge)
    if not points:
        raise NoValue("descent-ascent has no stationary point")
    return points[0]


def _at_weights(masses, correlation, ridge, point) -> tuple:
    """Both slopes of the objective, and both margins, at the weights ``point``."""

    def objective(first, second):
        on_u, on_v = first + correlation * second, correlation * first + second
        losses = masses[0] * mpmath.exp(-on_u) + masses[1] * mpmath.exp(-on_v)
        return losses + ridge * (first**2 + second**2) / 2

    slopes = (mpmath.diff(objective, point, order) for order in ((1, 0), (0, 1)))
    return (*slopes, point[0] + correlation * point[1], correlation * point[0] + point[1])


# dual-masses

P_A, Q_A, off_span = sp.symbols("P_DA Q_DA distance", positive=True)
uu, uv, vv = sp.symbols("uu uv vv")


class Types(tuple):
    """Two vectors u and v."""

    __slots__ = ()

    @property
    def name(self) -> str:
        return f"u = {self[0]}, v = {self[1]}"


def some_types(generator) -> Types:
    """Two vectors of one to four numbers."""
    size = generator.randint(1, 4)
    return Types([round(generator.gauss(0, 1), 6) for _ in range(size)] for _ in range(2))


SPECIAL_TYPES = tuple(
    Types(vectors)
    for vectors in (
        ([1, 0], [1, 0]),
        ([1, 0], [-1, 0]),
        ([1, 0], [0, 1]),
        ([1, 2], [0, 0]),
        ([0, 0], [1, 1]),
        ([1], [0.5]),
    )
)


def full_space(types, retain_mass, forget_mass, ridge, loss) -> dict:
    """A stationary point of descent-ascent by Newton's method on all weights, and its duals."""
    require_positive(ridge=ridge, A=retain_mass, B=forget_mass)
    u, v = (mpmath.matrix(vector) for vector in types)
    rows = data_measures.matrix(types)
    oracle = data_measures.stationary(rows, (retain_mass, mpf(0)), ridge, loss)
    w = data_measures.stationary(rows, (retain_mass, -forget_mass), ridge, loss, oracle)
    x, y = _dot(w, u), _dot(w, v)
    P, Q = retain_mass * loss.phi(x) / ridge, forget_mass * loss.phi(y) / ridge
    return {
        x_A: x,
        y_A: y,
        P_A: P,
        Q_A: Q,
        off_span: mpmath.norm(w - P * u + Q * v),
        uu: _dot(u, u),
        uv: _dot(u, v),
        vv: _dot(v, v),
        is_exponential: int(loss is EXPONENTIAL),
    }


def _dot(one, other):
    return (one.T * other)[0]


# lemma-6


def oracles(ridge, retain_mass, k11, k12, loss) -> dict:
    """The oracle for ``loss``, and x_E for the exponential loss."""
    require_positive(ridge=ridge, A=retain_mass, k11=k11)
    gram = Gram(k11, k12, mpf(1))
    x, y = measures.oracle(retain_mass, gram, ridge, loss)
    return {x_R: x, y_R: y, x_E: measures.oracle(retain_mass, gram, ridge)[0]}


# lemma-7-bounds

x_0, y_0, x_low, y_high = sp.symbols("x_0 y_0 W_x W_y", real=True)


def pretraining_and_bounds(ridge, alpha, a, k11, k12, k22, loss) -> dict:
    """The pretrained margins by Newton's method, and the roots W by bisection."""
    require_positive(ridge=ridge, alpha=alpha, a=a, k11=k11, k22=k22)
    x, y = measures.pretrained(a, alpha, Gram(k11, k12, k22), ridge, loss)
    require_visible(loss, x, y)
    return {
        x_D: x,
        y_D: y,
        x_0: measures.weight(k11 * a, ridge, loss),
        y_0: measures.weight(alpha * k22 * a, ridge, loss),
        x_low: measures.weight((k11 + alpha * k12) * a, ridge, loss),
        y_high: measures.weight((k12 + alpha * k22) * a, ridge, loss),
    }


# lemma-8-bounds


def points_and_bounds(ridge, retain_mass, forget_mass, k11, k12, k22, loss) -> dict:
    """The first and the last stationary point, if any, with the roots W; how many there are."""
    require_positive(ridge=ridge, A=retain_mass, B=forget_mass, k11=k11, k22=k22)
    gram = Gram(k11, k12, k22)
    points = measures.stationary_points(retain_mass, forget_mass, gram, ridge, loss)
    found = {count: len(points), is_exponential: int(loss is EXPONENTIAL)}
    if not points:
        return found
    return found | {
        x_A: points[0][0],
        y_A: points[0][1],
        x_S: points[-1][0],
        y_S: points[-1][1],
        x_low: measures.weight(k11 * retain_mass - k12 * forget_mass, ridge, loss),
        y_high: measures.weight(k12 * retain_mass - k22 * forget_mass, ridge, loss),
    }


# lemma-10-x, lemma-10-y

phi_Q, phi_xR, phi_yR = sp.symbols("phi_Q phi_xR phi_yR", positive=True)
x_edge, y_edge = sp.symbols("edge_x edge_y")
bound_C, y_DC, y_RC = sp.symbols("bound_C y_DC y_RC")


def oracle_and_pretraining(ridge, alpha, a, retain_mass, k11, k12, k22, loss) -> dict:
    """Both points, φ where the edges need it, and the α at which two margins agree."""
    require_positive(ridge=ridge, alpha=alpha, a=a, A=retain_mass, k11=k11, k22=k22)
    gram = Gram(k11, k12, k22)
    oracle = measures.oracle(retain_mass, gram, ridge, loss)
    x, y = measures.pretrained(a, alpha, gram, ridge, loss)
    require_visible(loss, x, y, *oracle)
    alone = measures.weight(k11 * a, ridge, loss)
    x_E_value, y_E_value = measures.oracle(retain_mass, gram, ridge)
    return {
        x_D: x,
        y_D: y,
        x_R: oracle[0],
        y_R: oracle[1],
        x_0: alone,
        x_E: x_E_value,
        y_E: y_E_value,
        phi_Q: loss.phi(k22 / k12 * (oracle[0] - alone)),
        phi_xR: loss.phi(oracle[0]),
        phi_yR: loss.phi(oracle[1]),
        x_edge: _share_at(oracle[0], a, gram, ridge, loss),
        is_exponential: int(loss is EXPONENTIAL),
    }


def _share_at(x, a, gram: Gram, ridge, loss: MarginLoss):
    """The α at which x_D = ``x``: both equations are linear in αφ(y) and y."""
    share = (ridge * x / a - gram.uu * loss.phi(x)) / gram.uv
    y = a * (gram.uv * loss.phi(x) + gram.vv * share) / ridge
    return share / loss.phi(y)


# lemma-12-order

x_P, y_P = sp.symbols("x_paper y_paper", real=True)


def orders(ridge, alpha, a, retain_mass, forget_mass, k11, k12, k22, correlation, loss) -> dict:
    """Pretraining for any and for the paper's types, the oracle, the first and the last point."""
    require_positive(ridge=ridge, alpha=alpha, a=a, A=retain_mass, B=forget_mass)
    require_positive(k11=k11, k22=k22)
    gram = Gram(k11, k12, k22)
    trained = measures.pretrained(a, alpha, gram, ridge, loss)
    papers = measures.pretrained(a, alpha, measures.papers_gram(correlation), ridge, loss)
    oracle = measures.oracle(retain_mass, gram, ridge, loss)
    points = measures.stationary_points(retain_mass, forget_mass, gram, ridge, loss)
    names = [(x_D, y_D), (x_P, y_P), (x_R, y_R), *([(x_A, y_A), (x_S, y_S)] if points else [])]
    found = [trained, papers, oracle, *([points[0], points[-1]] if points else [])]
    margins = {
        symbol: value
        for pair, point in zip(names, found, strict=True)
        for symbol, value in zip(pair, point, strict=True)
    }
    return margins | {count: len(points)}


# lemma-9-window

covered, count_sums = sp.symbols("exponential_or_logistic count_sums")
sums = sp.symbols("x_Ds y_Ds x_Rs x_As y_As", real=True)


def windows(ridge, alpha, retain_size, forget_size, retain_in_pair, k11, k12, k22, loss) -> dict:
    """Pretraining and the stationary points, for means and for sums of losses."""
    require_positive(ridge=ridge, alpha=alpha, r=retain_size, f=forget_size, r_p=retain_in_pair)
    require_positive(k11=k11, k22=k22, k12=k12)
    gram = Gram(k11, k12, k22)
    a = retain_in_pair / (retain_size + forget_size)
    A, B = retain_in_pair / retain_size, alpha * retain_in_pair / forget_size
    x, y = measures.pretrained(a, alpha, gram, ridge, loss)
    points = measures.stationary_points(A, B, gram, ridge, loss)
    found = {x_D: x, y_D: y, count: len(points), covered: int(loss in measures.DECREASING[:2])}
    if points:
        found |= {x_A: points[0][0], y_A: points[0][1], x_S: points[-1][0], y_S: points[-1][1]}
    return found | _with_sums(retain_in_pair, alpha, gram, ridge, loss)


def _with_sums(mass, alpha, gram: Gram, ridge, loss: MarginLoss) -> dict:
    x, y = measures.pretrained(mass, alpha, gram, ridge, loss)
    if alpha * gram.uv * loss.phi(y) < mpf("1e-40") * gram.uu * loss.phi(x):
        raise NoValue("the forget losses have no visible effect on x")
    points = measures.stationary_points(mass, alpha * mass, gram, ridge, loss)
    found = {count_sums: len(points), sums[0]: x, sums[1]: y}
    found[sums[2]] = measures.oracle(mass, gram, ridge, loss)[0]
    return found | ({sums[3]: points[0][0], sums[4]: points[0][1]} if points else {})
