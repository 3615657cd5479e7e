"""Numbers of the low-dimensional trap (Sec. 5.2) in floating point: what the searches compare with.

Each reading is computed from its samples as the paper states it: signed errors 2h - 1 - y, or h - t
for the literal targets. Stationary points come from Newton's method from a grid of starts, folds
from Newton's method in (a, b, c), and fine-tuning from an integration of the gradient flow. Nothing
here uses the certified searches.
"""

from typing import NamedTuple

import mpmath
import numpy as np
import scipy.integrate

from derivations.ledger.theorems import NoValue

STARTS = np.stack(np.meshgrid(np.linspace(-9, 9, 19), np.linspace(-5, 3, 17)), axis=-1).reshape(
    -1, 2
)
SETTLED = 1e-10  # of the last Newton step
DEGENERATE = 1e-5  # |det H| below this is a fold, or too near to one to count


class Samples(NamedTuple):
    """Clusters of samples: the input, the label ±1 and the signed count of each."""

    name: str
    inputs: tuple[int, ...]
    labels: tuple[int, ...]
    counts: tuple[int, ...]


class Reading(NamedTuple):
    """A target is compared with ``scale`` h + ``shift``. Targets are labels, or 0 and 1."""

    name: str
    scale: int
    shift: int
    shares: bool = False

    def targets(self, samples: Samples) -> tuple[int, ...]:
        """The targets of the clusters."""
        return tuple((1 + y) // 2 if self.shares else y for y in samples.labels)


SIGNED = Reading("±1 against 2h - 1", 2, -1)
LITERAL = Reading("±1 against h", 1, 0)
SHARES = Reading("0/1 against h", 1, 0, shares=True)
PROBLEMS = {
    name: Samples(name, (-1, 1, 3, 4), (-1, 1, -1, 1), counts)
    for name, counts in {"D": (5, 4, 1, 4), "R": (5, 4, 1, 2), "DA": (5, 4, 1, 0)}.items()
}


class Stationary(NamedTuple):
    """A stationary point: where, J there, whether it is a minimum, and h > 1/2 of each cluster."""

    a: float
    b: float
    value: float
    minimum: bool
    positive: tuple[bool, ...]


def derivatives(reading: Reading, samples: Samples, ridge: float, places: np.ndarray) -> tuple:
    """J, its gradient and its Hessian at each of ``places``, from the errors of the samples."""
    inputs, counts = np.array(samples.inputs, float), np.array(samples.counts, float)
    features = np.stack([inputs, inputs**2], axis=-1)
    z = 1 + places @ features.T
    h = 0.5 * (1 + np.tanh(z / 4))
    error = reading.scale * h + reading.shift - np.array(reading.targets(samples))
    first = reading.scale * h * (1 - h) / 2
    second = first * (1 - 2 * h) / 2
    value = (counts * error**2).sum(-1) + ridge * (places**2).sum(-1)
    gradient = (2 * counts * error * first) @ features + 2 * ridge * places
    curved = 2 * counts * (first**2 + error * second)
    hessian = np.einsum("nk,ki,kj->nij", curved, features, features) + 2 * ridge * np.eye(2)
    return value, gradient, hessian


def points_of(reading: Reading, samples: Samples, ridge: float) -> list[Stationary]:
    """All stationary points that Newton's method finds, the lowest first.

    Raises: ``NoValue`` next to a fold, where points merge.
    """
    places = STARTS.copy()
    with np.errstate(all="ignore"):
        for _ in range(60):
            _, gradient, hessian = derivatives(reading, samples, ridge, places)
            determinant = np.linalg.det(hessian)
            adjugate = np.trace(hessian, axis1=1, axis2=2)[:, None, None] * np.eye(2) - hessian
            move = (adjugate @ gradient[..., None])[..., 0] / determinant[:, None]
            move /= np.maximum(1, np.linalg.norm(move, axis=1, keepdims=True))
            places = places - move
    return _distinct(reading, samples, ridge, places[np.linalg.norm(move, axis=1) < SETTLED])


def _distinct(reading: Reading, samples: Samples, ridge: float, places) -> list[Stationary]:
    places = np.array(sorted({tuple(np.round(place, 7)) for place in places}))
    value, _, hessian = derivatives(reading, samples, ridge, places)
    determinant = np.linalg.det(hessian)
    if np.min(np.abs(determinant)) < DEGENERATE:
        raise NoValue("a fold: two stationary points merge")
    found = [
        Stationary(
            a=float(place[0]),
            b=float(place[1]),
            value=float(value[k]),
            minimum=bool(determinant[k] > 0),
            positive=positive_at(samples, place),
        )
        for k, place in enumerate(places)
    ]
    return sorted(found, key=lambda point: point.value)


def minima_of(reading: Reading, samples: Samples, ridge: float) -> list[Stationary]:
    """The minima, the global one first. A maximum would count too: there is none."""
    return [point for point in points_of(reading, samples, ridge) if point.minimum]


def right(samples: Samples, positive: tuple[bool, ...]) -> int:
    """How many samples have the right label."""
    clusters = zip(samples.counts, samples.labels, positive, strict=True)
    return sum(count for count, label, above in clusters if above == (label > 0))


class Exact(NamedTuple):
    """J and its derivatives at one place, in mpmath numbers."""

    value: object
    a: object
    b: object
    aa: object
    ab: object
    bb: object

    @property
    def determinant(self) -> object:
        """det H."""
        return self.aa * self.bb - self.ab**2


def exact(reading: Reading, samples: Samples, ridge, a, b) -> Exact:
    """J and its derivatives, from the errors of the samples."""
    value = ridge * (a * a + b * b)
    gradient = [2 * ridge * a, 2 * ridge * b]
    hessian = [2 * ridge, mpmath.mpf(0), 2 * ridge]
    clusters = zip(samples.inputs, reading.targets(samples), samples.counts, strict=True)
    for x, target, count in clusters:
        h = 1 / (1 + mpmath.exp(-(1 + a * x + b * x * x) / 2))
        error = reading.scale * h + reading.shift - target
        first = reading.scale * h * (1 - h) / 2
        curved = 2 * count * (first**2 + error * first * (1 - 2 * h) / 2)
        value += count * error**2
        for power in (1, 2):
            gradient[power - 1] += 2 * count * error * first * x**power
        for power in (2, 3, 4):
            hessian[power - 2] += curved * x**power
    return Exact(value, *gradient, *hessian)


def settle(reading: Reading, samples: Samples, ridge, start: tuple) -> tuple:
    """The stationary point (a, b) that Newton's method reaches, at the working precision.

    Raises: ``NoValue`` if it does not settle.
    """
    a, b = map(mpmath.mpf, start)
    for _ in range(80):
        at = exact(reading, samples, ridge, a, b)
        move_a = (at.bb * at.a - at.ab * at.b) / at.determinant
        move_b = (at.aa * at.b - at.ab * at.a) / at.determinant
        a, b = a - move_a, b - move_b
        if abs(move_a) + abs(move_b) <= 100 * mpmath.eps * (abs(a) + abs(b)):
            return a, b
    raise NoValue("Newton's method does not settle")


def fold_ridge(reading: Reading, samples: Samples, start: tuple) -> object:
    """The ridge of the fold near ``start`` = (a, b, c): ∇J = 0 and det H = 0, by secants."""

    def equations(a, b, ridge):
        at = exact(reading, samples, ridge, a, b)
        return at.a, at.b, at.determinant

    tolerance = mpmath.eps**1.5
    return mpmath.findroot(equations, start, tol=tolerance, maxsteps=40)[2]


def flow_end(reading: Reading, samples: Samples, ridge: float, start: tuple) -> tuple:
    """Where the gradient flow of J ends that begins at ``start``.

    Raises: ``NoValue`` if it need not end: for a ridge that is not positive.
    """
    if ridge <= 0:
        raise NoValue("the flow may run away")

    def velocity(_, place):
        return -derivatives(reading, samples, ridge, np.array([place]))[1][0]

    def jacobian(_, place):
        return -derivatives(reading, samples, ridge, np.array([place]))[2][0]

    run = scipy.integrate.solve_ivp(
        velocity, (0, 1e6), start, method="BDF", jac=jacobian, rtol=1e-8, atol=1e-10
    )
    end = run.y[:, -1]
    if np.linalg.norm(velocity(0, end)) > 1e-6:
        raise NoValue("the flow has not settled")
    return tuple(end)


def positive_at(samples: Samples, place: tuple) -> tuple[bool, ...]:
    """Which clusters have h > 1/2."""
    return tuple(bool(1 + place[0] * x + place[1] * x * x > 0) for x in samples.inputs)


class Rows(NamedTuple):
    """Samples in the plane for the exponential loss of their margins, with positive weights."""

    name: str
    rows: tuple[tuple[int, int], ...]
    weights: tuple[int, ...]


def exponential_minimum(rows: Rows, ridge) -> tuple:
    """(θ, H): the minimum of Σ w exp(-<θ, x>) + ridge |θ|², and the Hessian there.

    Raises: ``NoValue`` if Newton's method does not settle.
    """
    theta = mpmath.matrix([0, 0])
    for _ in range(300):
        gradient = 2 * ridge * theta
        hessian = 2 * ridge * mpmath.eye(2)
        for row, weight in zip(rows.rows, rows.weights, strict=True):
            x = mpmath.matrix(row)
            on_row = weight * mpmath.exp(-(theta.T * x)[0])
            gradient -= on_row * x
            hessian += on_row * x * x.T
        move = mpmath.lu_solve(hessian, gradient)
        theta -= move
        if mpmath.norm(move) <= 10 * mpmath.eps * mpmath.norm(theta):
            return theta, hessian
    raise NoValue("Newton's method does not settle")
