"""What the claims about early stopping are compared with: Newton's method, flows and vectors.

Each public function is the ``measure`` of a theorem. It takes the parameters by name and returns
the measured symbols (:mod:`derivations.ledger.theorems`).
"""

import mpmath
import numpy as np
import sympy as sp
from mpmath import mpf
from scipy.integrate import solve_ivp

from derivations.descent_ascent import data_measures, measures
from derivations.descent_ascent.measures import MarginLoss
from derivations.descent_ascent.pair_numbers import require_positive
from derivations.descent_ascent.window_numbers import masses_of, vectors_of
from derivations.ledger.theorems import NoValue

SMALL_MOVE = mpf("1e-3")
rho, weight = sp.symbols("rho weight", positive=True)
product, leading, of_sums, distance = sp.symbols("product leading product_of_sums |w_D-w_R|")
ratio, kept_share = sp.symbols("ratio share", nonnegative=True)
best_left, other_left, start_distance, cosine = sp.symbols("best other |d| c", real=True)


class TwoSets(tuple):
    """Retained and forgotten rows, each already multiplied by its label."""

    __slots__ = ()

    @property
    def name(self) -> str:
        return f"retained {self[0]}, forgotten {self[1]}"


def some_data(generator) -> TwoSets:
    """One to four rows of two numbers in each set."""

    def rows():
        count = generator.randint(1, 4)
        return [[round(generator.gauss(0, 1), 6) for _ in range(2)] for _ in range(count)]

    return TwoSets((rows(), rows()))


SPECIAL_DATA = tuple(
    TwoSets(sets)
    for sets in (
        ([[0, 0]], [[1, 1]]),  # a zero row
        ([[1, 0]], [[1, 0]]),  # equal rows
        ([[1, 0]], [[-1, 0]]),  # opposite rows
        ([[1, 0], [1, 0]], [[0, 1]]),  # rank deficient
        ([[1, 2]], [[2, 1], [0, 0]]),
    )
)


def first_steps(data, ridge, weight, loss, rho=0) -> dict:
    """Products of gradient and distance by Newton's method on the weights.

    For mean losses with ρ = f/r, and for sums, whose forget rows count ``weight`` times.
    :class:`NoValue` where ρ is not small: it moves a margin by ``SMALL_MOVE``.
    """
    require_positive(ridge=ridge, weight=weight)
    retained, forgotten = data
    rows = data_measures.matrix([*retained, *forgotten])

    def weights(retain_share, forget_share) -> list:
        on_each = (retain_share / len(retained), forget_share / len(forgotten))
        return [on_each[0]] * len(retained) + [on_each[1]] * len(forgotten)

    def minimum(signed):
        return data_measures.stationary(rows, signed, ridge, loss)

    def slope_at(signed, w):
        return data_measures.gradient(rows, signed, ridge, w, loss)

    alone = weights(mpf(1), mpf(0))
    oracle, trained = minimum(alone), minimum(weights(1 / (1 + rho), rho / (1 + rho)))
    if data_measures.norm(rows * (trained - oracle)) > SMALL_MOVE:
        raise NoValue("the forget rows move the margins too far for an expansion in ρ")
    summed = minimum(weights(mpf(1), weight))
    ascent = slope_at(weights(mpf(1), mpf(-1)), trained)
    ascent_of_sums = slope_at(weights(mpf(1), -weight), summed)
    with_ridge = slope_at(weights(mpf(0), mpf(1)), oracle)  # of the forget losses and the ridge
    slope = with_ridge - ridge * oracle
    hessian = data_measures.data_hessian(rows, alone, ridge, oracle, loss)
    return {
        product: _without_noise(_dot(ascent, trained - oracle)),
        leading: _without_noise(_dot(slope, mpmath.lu_solve(hessian, with_ridge))),
        of_sums: _dot(ascent_of_sums, summed - oracle),
        distance: mpmath.norm(summed - oracle),
    }


def _without_noise(value):
    """0 where ``value`` is rounding: for equal sets w_D is w_R, and both products are 0."""
    return mpf(0) if abs(value) < mpmath.eps**0.75 else value


def _dot(one, other):
    return (one.T * other)[0]


class Coordinates(tuple):
    """Pairs (r_j, α_j f/r) of orthogonal coordinates."""

    __slots__ = ()

    @property
    def name(self) -> str:
        return f"(r_j, α_j r/f) = {list(self)}"


def some_coordinates(generator) -> Coordinates:
    """One to four coordinates.

    Half of the shares are below f/r, the others up to three times it.
    """
    return Coordinates(
        (
            round(generator.uniform(0.1, 10), 4),
            round(generator.choice((1, 3)) * generator.random() + 1e-4, 6),
        )
        for _ in range(generator.randint(1, 4))
    )


SPECIAL_COORDINATES = (
    Coordinates([(1, 0.5)]),
    Coordinates([(1, 0.5), (2, 0.9)]),  # both inside for small f/r
    Coordinates([(1, 1.0), (1, 0.5)]),  # at the upper end w_D = w_R
    Coordinates([(1, 0.01), (1, 2.0)]),
)


def flow_of_coordinates(ridge, retain_size, forget_size, coordinates) -> dict:
    """The least squared distance on the flow over the start's, and the share inside the range."""
    require_positive(ridge=ridge, r=retain_size, f=forget_size)
    retain_size, forget_size, ridge = float(retain_size), float(forget_size), float(ridge)
    counts, relative = np.array(coordinates, float).T
    shares = relative * forget_size / retain_size
    masses = counts / retain_size * (1 - relative)
    pretrained, oracle = (
        np.array([float(measures.weight(mpf(float(mass)), mpf(ridge))) for mass in row])
        for row in ((1 + shares) * counts / (retain_size + forget_size), counts / retain_size)
    )
    start = (pretrained - oracle) ** 2
    if not np.sum(start) > 1e-20 * np.sum(oracle**2):
        raise NoValue("pretraining is the oracle")

    def escaped(_, w):
        return np.min(w) + 50

    escaped.terminal = True
    run = solve_ivp(
        lambda _, w: masses * np.exp(-w) / ridge - w,
        (0, 40),
        pretrained,
        method="LSODA",
        rtol=1e-9,
        atol=1e-12,
        events=escaped,
    )
    apart = np.sum((run.y - oracle[:, None]) ** 2, axis=0)
    inside = (shares >= forget_size**2 / (retain_size * (2 * forget_size + retain_size))) & (
        relative <= 1
    )
    return {
        ratio: float(np.min(apart) / apart[0]),
        kept_share: float(np.sum(start[inside]) / np.sum(start)),
    }


class Vectors(tuple):
    """A gradient g and the way d from the oracle to the start."""

    __slots__ = ()

    @property
    def name(self) -> str:
        return f"g = {self[0]}, d = {self[1]}"


def some_vectors(generator) -> Vectors:
    """Two vectors of one to five numbers, neither of them 0."""
    size = generator.randint(1, 5)
    return Vectors([round(generator.gauss(0, 1), 6) + 1e-9 for _ in range(size)] for _ in range(2))


SPECIAL_VECTORS = (
    Vectors(([1, 0], [1, 0])),
    Vectors(([1, 0], [0, 1])),
    Vectors(([1, 0], [-1, 0])),
    Vectors(([2, 1], [1, 3])),
)


def one_step(vectors, size) -> dict:
    """What steps along g leave of |d|: the size c|d|/|g|, and another."""
    gradient, apart = (mpmath.matrix(vector) for vector in vectors)
    longest, whole = mpmath.norm(gradient), mpmath.norm(apart)
    c = _dot(gradient, apart) / (longest * whole)
    return {
        cosine: c,
        start_distance: whole,
        best_left: mpmath.norm(apart - c * whole / longest * gradient),
        other_left: mpmath.norm(apart - size * gradient),
    }


# first-step-sign-pair

inner, p_D, q_D, x_D, y_D, x_R, y_R = sp.symbols("inner p_D q_D x_D y_D x_R y_R", real=True)
p_0, p_R, small_inner, small, moved = sp.symbols("p_0 p_R inner_small small moved", positive=True)


def first_step_of_pair(
    ridge, alpha, retain_size, forget_size, retain_in_pair, k11, k22, cosine, share, loss, small=0
) -> dict:
    """The product and the step in the plane of u and v; also at the forget share ``small``."""
    require_positive(ridge=ridge, k11=k11, k22=k22, share=share)
    counts = (retain_size, forget_size, retain_in_pair)
    if not -1 <= cosine <= 1:
        raise NoValue("no vectors have this angle")
    gram = measures.Gram(k11, cosine * mpmath.sqrt(k11 * k22), k22)
    gradient, apart, trained, oracle = _plane(counts, alpha, gram, ridge, loss)
    product, size = _dot(gradient, apart), mpmath.norm(gradient)
    step = share * abs(2 * product) / size**2
    a, A, _ = masses_of(*counts, alpha)
    found = {
        inner: product,
        p_D: a * loss.phi(trained[0]) / ridge,
        q_D: alpha * a * loss.phi(trained[1]) / ridge,
        x_D: trained[0],
        y_D: trained[1],
        x_R: oracle[0],
        y_R: oracle[1],
        p_R: A * loss.phi(oracle[0]) / ridge,
        p_0: measures.weight(k11 * a, ridge, loss) / k11,
        moved: mpmath.norm(apart - step * gradient) / mpmath.norm(apart),
    }
    if small:
        gradient, apart, start, _ = _plane(counts, small, gram, ridge, loss)
        if loss.phi(start[1]) > mpf("1e6"):
            raise NoValue("this α is not small: φ(y) is as large as its inverse")
        found[small_inner] = _dot(gradient, apart) / ridge
    return found


def _plane(counts, alpha, gram, ridge, loss: MarginLoss) -> tuple:
    """Gradient of descent-ascent at w_D, and w_D - w_R, in the plane; both points' margins."""
    a, A, B = masses_of(*counts, alpha)
    u, v = (mpmath.matrix(vector) for vector in vectors_of(gram))
    trained = measures.pretrained(a, alpha, gram, ridge, loss)
    oracle = measures.oracle(A, gram, ridge, loss)
    w_D = (a * loss.phi(trained[0]) * u + alpha * a * loss.phi(trained[1]) * v) / ridge
    w_R = A * loss.phi(oracle[0]) / ridge * u
    gradient = ridge * w_D - A * loss.phi(_dot(w_D, u)) * u + B * loss.phi(_dot(w_D, v)) * v
    return gradient, w_D - w_R, trained, oracle
