r"""The low-dimensional trap: can fine-tuning leave the minimum in which descent-ascent ends?

Sec. 5.2 and Fig. 5 of *Ascent Fails to Forget* fit two parameters :math:`\theta = (a, b)` to four
clusters of points by least squares:

.. math:: h(x) = \sigma(a x + b x^2), \quad \sigma(z) = \frac{1}{1 + e^{-(1+z)/2}}, \qquad
          J(\theta) = \underbrace{\textstyle\sum_i w_i\, (h(x_i) - t_i)^2}_{L(\theta)}
          + c\,\|\theta\|^2 .

The retain set has 5, 4, 1 and 2 points at x = -1, 1, 3 and 4, with labels -1, +1, -1 and +1. The
forget set has two more points at x = 4. The model predicts +1 where h > 1/2.

The text leaves three things open: the targets :math:`t_i`, whether errors are added or averaged per
set (its Eq. 1), and the ridge ``c``. The paper's claims depend on all three. :data:`CONVENTIONS`
lists the readings, and :func:`landscape` says which claims hold in each. L is not a function of
margins, so this module does not use the library's objective.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import ArrayLike, Bool, Float, Int

from gda_theory.codes import Kind
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.printing.display import readable

POINTS = (-1.0, 1.0, 3.0, 4.0)
LABELS = (-1, 1, -1, 1)
RETAIN = (5, 4, 1, 2)
FORGET = (0, 0, 0, 2)
PROBLEMS = ("pretrain", "retrain", "descent_ascent")


@readable()
@backed_by("trap-conventions")
class Convention(NamedTuple):
    """One reading of the text.

    It gives the targets of h for the labels -1 and +1, a factor on the squared error, and whether
    errors are averaged (``mean``) or added. ``meaning`` says so in words.
    Claim: ``trap-conventions``.
    """

    targets: tuple[float, float]
    factor: float
    mean: bool
    meaning: str

    def weights(self) -> Float[np.ndarray, "3 4"]:
        """The signed weight of each cluster in each of :data:`PROBLEMS`.

        They are D = R + F, R, and R - F, or their means as in Eq. 1.
        """
        retain = np.array(RETAIN, float)
        forget = np.array(FORGET, float)
        n, r, f = (sum(RETAIN + FORGET), sum(RETAIN), sum(FORGET)) if self.mean else (1, 1, 1)
        return self.factor * np.stack([(retain + forget) / n, retain / r, retain / r - forget / f])


def _readings() -> Iterator[tuple[str, Convention]]:
    """Three kinds of target, summed and averaged.

    The third kind uses (2h - 1 - y)² = 4 (h - (1 + y)/2)².
    """
    targets = {
        "literal": ((-1.0, 1.0), 1.0, "targets ±1 against h in (0, 1), as the text reads"),
        "zero_one": ((0.0, 1.0), 1.0, "targets 0 and 1 against h"),
        "signed": ((0.0, 1.0), 4.0, "targets ±1 against 2h - 1"),
    }
    for name, (values, factor, meaning) in targets.items():
        yield name, Convention(values, factor, mean=False, meaning=f"{meaning}; errors summed")
        averaged = f"{meaning}; errors averaged over R, and over F (Eq. 1)"
        yield f"{name}_means", Convention(values, factor, mean=True, meaning=averaged)


CONVENTIONS = MappingProxyType(dict(_readings()))
Parameters: TypeAlias = Float[Array, "*batch 2"]
Clusters: TypeAlias = Float[Array, " 4"]
Scalar: TypeAlias = Float[Array, ""]


def _convention(convention: str | Convention) -> Convention:
    if isinstance(convention, Convention):
        return convention
    return CONVENTIONS[checks.choice("convention", convention, CONVENTIONS)]


def arguments(
    convention: str | Convention, ridge: Float[ArrayLike, ""], *, name: str = "ridge"
) -> tuple[Float[Array, "3 4"], Clusters, Scalar]:
    """The arguments of :func:`objective` besides the parameters, in one dtype.

    Args:
        convention: a name in :data:`CONVENTIONS`, or a :class:`Convention`.
        ridge: one finite number > 0.
        name: what errors call the ridge.
    Returns: the weights of the three :data:`PROBLEMS`, the targets, and the ridge.
    Raises: ``ValueError`` or ``TypeError`` that names the argument.
    """
    reading = _convention(convention)
    ridge = checks.positive(name, ridge)
    if ridge.ndim:
        raise ValueError(f"{name} must be one number, got an array of shape {ridge.shape}")
    targets = np.where(np.array(LABELS) > 0, reading.targets[1], reading.targets[0])
    return jnp.asarray(reading.weights(), ridge.dtype), jnp.asarray(targets, ridge.dtype), ridge


def output(parameters: Parameters, x: Float[Array, " n"]) -> Float[Array, "*batch n"]:
    """``h(x)``; above 1/2 the model says +1."""
    return _model(parameters[..., :1], parameters[..., 1:], x)


def _model(a: Array, b: Array, x: Array | float) -> Array:
    return jax.nn.sigmoid((1 + a * x + b * x**2) / 2)


def objective(
    parameters: Parameters, weights: Clusters, targets: Clusters, ridge: Float[ArrayLike, ""]
) -> Float[Array, "*batch"]:
    """``J(θ) = sum_i w_i (h(x_i) - t_i)² + ridge |θ|²``; at ridge 0 the data part L."""
    errors = (output(parameters, jnp.array(POINTS, parameters.dtype)) - targets) ** 2
    return jnp.sum(weights * errors, -1) + ridge * jnp.sum(parameters**2, -1)


class _Derivatives(NamedTuple):
    """First and second derivatives of :func:`objective` in the parameters a and b."""

    a: Scalar
    b: Scalar
    aa: Scalar
    ab: Scalar
    bb: Scalar


def _derivatives(
    parameters: Float[Array, " 2"],
    weights: Clusters,
    targets: Clusters,
    ridge: Float[ArrayLike, ""],
) -> _Derivatives:
    """In closed form, number by number: XLA needs a multiple of the time for small arrays."""
    a, b = parameters
    slopes = []
    curvatures = []
    for x, weight, target in zip(POINTS, weights, targets, strict=True):
        h = _model(a, b, x)
        rise = h * (1 - h)  # twice the derivative of h in z
        slopes.append(weight * (h - target) * rise)
        curvatures.append(weight * rise * (rise + (h - target) * (1 - 2 * h)) / 2)

    def moment(values: list[Array], power: int) -> Array:
        terms = [value * x**power for value, x in zip(values, POINTS, strict=True)]
        return sum(terms[1:], start=terms[0])

    return _Derivatives(
        a=moment(slopes, 1) + 2 * ridge * a,
        b=moment(slopes, 2) + 2 * ridge * b,
        aa=moment(curvatures, 2) + 2 * ridge,
        ab=moment(curvatures, 3),
        bb=moment(curvatures, 4) + 2 * ridge,
    )


def gradient(
    parameters: Float[Array, " 2"],
    weights: Clusters,
    targets: Clusters,
    ridge: Float[ArrayLike, ""],
) -> Float[Array, " 2"]:
    """The gradient of :func:`objective`."""
    at = _derivatives(parameters, weights, targets, ridge)
    return jnp.stack([at.a, at.b])


def hessian(
    parameters: Float[Array, " 2"],
    weights: Clusters,
    targets: Clusters,
    ridge: Float[ArrayLike, ""],
) -> Float[Array, "2 2"]:
    """The Hessian of :func:`objective`."""
    at = _derivatives(parameters, weights, targets, ridge)
    return jnp.stack([jnp.stack([at.aa, at.ab]), jnp.stack([at.ab, at.bb])])


@backed_by("ridge-moves-not-radially")
def ridge_through(parameters: Float[Array, " 2"], weights: Clusters, targets: Clusters) -> Scalar:
    r"""The one ridge at which ``parameters`` can be stationary.

    .. math:: c = -\frac{\langle\theta, \nabla L\rangle}{2\|\theta\|^2}

    They are stationary there iff grad L is parallel to θ. So one curve holds the stationary points
    of *all* ridges.
    Source: new. Claim: ``ridge-moves-not-radially``.
    """
    radial = jnp.sum(parameters * gradient(parameters, weights, targets, 0.0))
    return -radial / (2 * jnp.sum(parameters**2))


def _fold_system(
    parameters: Parameters, weights: Clusters, targets: Clusters, _: Scalar
) -> Parameters:
    """Zero where a minimum and a saddle merge: grad J = 0 and det hess J = 0.

    The ridge is eliminated as in :func:`ridge_through`.
    """
    a, b = parameters
    data = _derivatives(parameters, weights, targets, 0.0)
    twice_ridge = -(a * data.a + b * data.b) / (a**2 + b**2)
    determinant = (data.aa + twice_ridge) * (data.bb + twice_ridge) - data.ab**2
    return jnp.stack([a * data.b - b * data.a, determinant])


def _newton(
    system: Callable[..., Array], start: Parameters, *data: Array, iterations: int = 60
) -> tuple[Parameters, Bool[Array, ""]]:
    """A root of the 2x2 ``system``, and whether Newton's method settled there.

    A step is at most 1 long, since h bends on that scale.
    """

    def step(_: Array, carry: tuple[Array, Array]) -> tuple[Array, Array]:
        point, _ = carry
        value = system(point, *data)
        (p, q), (r, s) = jax.jacfwd(system)(point, *data)
        move = -jnp.stack([s * value[0] - q * value[1], p * value[1] - r * value[0]]) / (
            p * s - q * r
        )
        length = jnp.linalg.norm(move)
        return point + move / jnp.maximum(1, length), length

    point, length = jax.lax.fori_loop(
        0, iterations, step, (start, jnp.full((), jnp.inf, start.dtype))
    )
    # A last step of sqrt(eps) leaves an error of eps, by quadratic convergence; NaN is not settled.
    return point, length <= jnp.sqrt(jnp.finfo(start.dtype).eps) * (1 + jnp.linalg.norm(point))


@functools.partial(jax.jit, static_argnums=0)
def _from_all_starts(
    system: Callable[..., Array], weights: Clusters, targets: Clusters, ridge: Scalar
) -> tuple[Float[Array, "starts 2"], Bool[Array, " starts"]]:
    """Newton from 32 circles of 48 starts, twice as far out as a minimum can lie.

    Minima have ``ridge |θ|² <= J(0) - min L``, and a squared error is at most max(t², (1-t)²).
    """
    lowest = jnp.sum(jnp.minimum(weights, 0) * jnp.maximum(targets**2, (1 - targets) ** 2))
    at_zero = objective(jnp.zeros(2, ridge.dtype), weights, targets, ridge)
    radius = jnp.sqrt((at_zero - lowest) / ridge)
    radii = jnp.geomspace(0.05, 2 * radius, 32, dtype=ridge.dtype)[:, None, None]
    angle = 2 * jnp.pi * jnp.arange(48, dtype=ridge.dtype) / 48
    circles = radii * jnp.stack([jnp.cos(angle), jnp.sin(angle)], -1)

    def search(start: Parameters) -> tuple[Parameters, Bool[Array, ""]]:
        return _newton(system, start, weights, targets, ridge)

    return jax.vmap(search)(circles.reshape(-1, 2))


def _distinct_roots(system: Callable[..., Array], *data: Array) -> list[np.ndarray]:
    """The roots that Newton reaches, each once."""
    points, settled = map(np.asarray, _from_all_starts(system, *data))
    points = points[settled]
    roots = []
    while len(points):
        roots.append(points[0])
        tolerance = 30 * np.sqrt(np.finfo(points.dtype).eps) * (1 + np.linalg.norm(points[0]))
        points = points[np.linalg.norm(points - points[0], axis=1) > tolerance]
    return roots


@readable(kind=Kind)
class TrapPoints(NamedTuple):
    """All stationary points found, minima first, each kind by increasing value.

    So row 0 is the global minimum. ``right`` says which clusters are classified correctly.
    ``complete`` says whether minima - saddles + maxima = 1. The Poincaré-Hopf theorem proves this
    where J grows in every direction. The equation fails if the search missed one point.
    """

    parameters: Float[np.ndarray, "k 2"]
    value: Float[np.ndarray, " k"]
    kind: Int[np.ndarray, " k"]
    right: Bool[np.ndarray, "k 4"]
    complete: bool

    @property
    def minima(self) -> Float[np.ndarray, "m 2"]:
        """The local minima, the global one first."""
        return self.parameters[self.kind == Kind.MINIMUM]


@jax.jit
def _inspect(
    parameters: Parameters, weights: Clusters, targets: Clusters, ridge: Scalar
) -> tuple[Scalar, Parameters, Bool[Array, " 4"]]:
    """Value, eigenvalues of the Hessian and rightly classified clusters at one point."""
    right = (output(parameters, jnp.array(POINTS, ridge.dtype)) > 0.5) == (jnp.array(LABELS) > 0)
    eigenvalues = jnp.linalg.eigvalsh(hessian(parameters, weights, targets, ridge))
    return objective(parameters, weights, targets, ridge), eigenvalues, right


@backed_by("ridge-moves-not-radially", "trap-minima")
def stationary_points(
    weights: Float[ArrayLike, " 4"], targets: Float[ArrayLike, " 4"], ridge: Float[ArrayLike, ""]
) -> TrapPoints:
    """All stationary points of :func:`objective`, by Newton from 1,536 starts.

    They solve grad J = 0.

    Args:
        weights: the signed weight of each cluster.
        targets: the target of h at each cluster.
        ridge: one number c > 0. All arguments must be concrete.
    Returns: :class:`TrapPoints`.
    Raises: ``ValueError`` unless ``ridge`` is finite and positive: without it J need not have a
        minimum.
    Accuracy: a few machine epsilons times the Hessian's condition number.
    Source: Sec. 5.2. Claims: ``ridge-moves-not-radially``, ``trap-minima``.
    """
    positive = checks.positive("ridge", ridge)
    data = tuple(checks.reals(weights=weights, targets=targets, ridge=positive).values())
    points = np.array(_distinct_roots(gradient, *data))
    inspected = [_inspect(point, *data) for point in points]
    value, eigenvalues, right = map(np.array, zip(*inspected, strict=True))
    negative = np.sum(eigenvalues < 0, -1)
    # Within sqrt(eps) of a fold, measured by the ridge's own curvature, rounding decides the sign.
    resolution = 20 * np.sqrt(np.finfo(points.dtype).eps) * float(data[2])
    flat = np.min(np.abs(eigenvalues), -1) <= resolution
    kind = np.where(flat, Kind.DEGENERATE, negative)
    order = np.lexsort((value, kind))
    return TrapPoints(
        parameters=points[order],
        value=value[order],
        kind=kind[order],
        right=right[order],
        complete=bool(np.sum((-1) ** negative[~flat]) == 1),
    )


@readable()
class TrapFolds(NamedTuple):
    """Where a second minimum appears together with a saddle, as the ridge decreases.

    The ridges are in decreasing order, with the parameters at each.
    """

    ridge: Float[np.ndarray, " k"]
    parameters: Float[np.ndarray, "k 2"]


@jax.jit
def _ridge_and_trace(
    parameters: Parameters, weights: Clusters, targets: Clusters
) -> tuple[Scalar, Scalar]:
    """The ridge at which ``parameters`` are stationary, and the Hessian's trace there."""
    ridge = ridge_through(parameters, weights, targets)
    return ridge, jnp.trace(hessian(parameters, weights, targets, ridge))


@backed_by("ridge-moves-not-radially", "trap-thresholds")
def folds(
    convention: str | Convention = "literal", *, problem: str, least_ridge: float = 1e-3
) -> TrapFolds:
    """Every fold of a problem in the ridge. The two minima of Fig. 5 exist only below a fold.

    Folds solve grad J = 0 and det hess J = 0, here by Newton's method.

    Args:
        convention: a name in :data:`CONVENTIONS`, or a :class:`Convention`.
        problem: one of :data:`PROBLEMS`.
        least_ridge: folds at smaller ridges are left out.
    Returns: :class:`TrapFolds`.
    Raises: ``ValueError`` for an unknown name, or a ridge that is not one finite positive number.
    Accuracy: relative error about 1e-13 in float64, 1e-4 in float32.
    Source: new. Claims: ``ridge-moves-not-radially``, ``trap-thresholds``.
    """
    weights, targets, least = arguments(convention, least_ridge, name="least_ridge")
    row = PROBLEMS.index(checks.choice("problem", problem, PROBLEMS))
    data = weights[row], targets
    points = np.array(_distinct_roots(_fold_system, *data, least), least.dtype).reshape(-1, 2)
    found = [_ridge_and_trace(point, *data) for point in points]
    ridges = np.array([ridge for ridge, _ in found], least.dtype)
    # A negative trace: a saddle merges with a maximum, no minimum is born.
    order = [row for row in np.argsort(-ridges) if ridges[row] >= least and found[row][1] > 0]
    return TrapFolds(ridge=ridges[order], parameters=points[order])


@functools.partial(jax.jit, static_argnames="records")
@backed_by("trap-holds")
def fine_tune(
    start: Parameters,
    weights: Clusters,
    targets: Clusters,
    ridge: Float[ArrayLike, ""],
    *,
    records: int = 400,
) -> Float[Array, "records 2"]:
    r"""Gradient descent from ``start``.

    .. math:: \theta \leftarrow \theta - \nabla J(\theta)/\Lambda

    with :math:`|\nabla^2 J| \le \Lambda`, from ``|h'| <= 1/8`` and ``|h''| <= 1/(24√3)``. J falls
    at every epoch, whatever the start.

    Args:
        start: parameters (a, b).
        weights, targets, ridge: as in :func:`objective`.
        records: how many places are recorded.
    Returns: the parameters after 0, 1, 3, 6, ... epochs.
    Source: Sec. 5.2. Claim: ``trap-holds``.
    """
    squares = jnp.array([x**2 + x**4 for x in POINTS], start.dtype)
    largest = jnp.maximum(jnp.abs(targets), jnp.abs(1 - targets))
    bound = 2 * ridge + 2 * jnp.sum(jnp.abs(weights) * squares * (1 / 64 + largest / (24 * 3**0.5)))

    def descend(_: Array, point: Parameters) -> Parameters:
        return point - gradient(point, weights, targets, ridge) / bound

    def record(parameters: Parameters, count: Array) -> tuple[Parameters, Parameters]:
        moved = jax.lax.fori_loop(0, count, descend, parameters)
        return moved, moved

    return jax.lax.scan(record, start, jnp.arange(records))[1]


@readable()
class Statement(NamedTuple):
    """One of the paper's claims, whether it holds under a convention, and what was found."""

    claim: str
    holds: bool
    found: str


@readable()
class Landscape(NamedTuple):
    """The result of :func:`landscape`.

    ``ends_in`` is the row of ``retrain.minima`` where fine-tuning ends, -1 if it has not settled.
    ``trap_holds`` says that it ends in a minimum that is not retraining's global one.
    """

    convention: Convention
    ridge: float
    pretrain: TrapPoints
    retrain: TrapPoints
    descent_ascent: TrapPoints
    fine_tuning: Float[np.ndarray, "records 2"]
    ends_in: int
    trap_holds: bool
    statements: tuple[Statement, ...]


@backed_by(
    "trap-conventions", "trap-minima", "trap-global-minima-hold", "trap-literal-fails", "trap-holds"
)
def landscape(convention: str | Convention = "literal", ridge: float = 0.1) -> Landscape:
    """The three problems' minima, fine-tuning on R, and which of the paper's claims hold.

    Fine-tuning starts at descent-ascent's global minimum. For the objective see
    :func:`objective`.

    Args:
        convention: a name in :data:`CONVENTIONS`, or a :class:`Convention`.
        ridge: c > 0, loss per squared parameter; concrete. If the paper's 0.1 is λ in (λ/2)|θ|²,
            then c is 0.05.
    Returns: :class:`Landscape`.
    Raises: ``ValueError`` for an unknown name, or a ridge that is not one finite positive number.
    Source: Sec. 5.2, Fig. 5.
    Claims: ``trap-conventions``, ``trap-minima``, ``trap-global-minima-hold``,
        ``trap-literal-fails``, ``trap-holds``.
    """
    weights, targets, c = arguments(convention, ridge)
    pretrain, retrain, ascent = (stationary_points(row, targets, c) for row in weights)
    path = np.asarray(fine_tune(ascent.parameters[0], weights[1], targets, c))
    distance = np.linalg.norm(retrain.minima - path[-1], axis=1)
    # 1e-3, in parameters of size 1: farther off, descent is still on its way. It is slow where a
    # minimum has just vanished.
    ends_in = int(np.argmin(distance)) if np.min(distance) <= 1e-3 else -1
    right = [tuple(found.right[0].tolist()) for found in (pretrain, retrain, ascent)]
    return Landscape(
        convention=_convention(convention),
        ridge=float(c),
        pretrain=pretrain,
        retrain=retrain,
        descent_ascent=ascent,
        fine_tuning=path,
        ends_in=ends_in,
        trap_holds=ends_in > 0,
        statements=_statements(right, ends_in),
    )


def _statements(right: list[tuple[bool, ...]], ends_in: int) -> tuple[Statement, ...]:
    """The paper's three claims about Fig. 5, each with what was found.

    ``right`` says which clusters each of the three global minima classifies rightly. In
    descent-ascent the two retained points at x = 4 cancel against the two forgotten ones.
    """
    before, oracle, after = right
    only_3 = (True, True, False, True)
    only_4 = (True, True, True, False)
    end = {-1: "has not settled", 0: "ends in retraining's global minimum"}.get(
        ends_in, "stays in a minimum that retraining would not choose"
    )
    counted = _score(after, np.subtract(RETAIN, FORGET))
    kept = _score(after, RETAIN)
    pretraining = Statement(
        claim="pretraining misclassifies only x = 3: 13 right, 1 wrong",
        holds=before == only_3,
        found=_score(before, np.add(RETAIN, FORGET)),
    )
    retraining = Statement(
        claim="retraining keeps it: 11 right, 1 wrong",
        holds=oracle == only_3,
        found=_score(oracle, RETAIN),
    )
    ascent = Statement(
        claim=(
            "descent-ascent's minimum is right on the 10 points that do not cancel, wrong on 2"
            " retained ones, and fine-tuning cannot leave it"
        ),
        holds=after == only_4 and ends_in > 0,
        found=(
            f"{counted} of the points that do not cancel; {kept} of all retained points; "
            f"fine-tuning {end}"
        ),
    )
    return pretraining, retraining, ascent


def _score(right: Sequence[bool], counts: Sequence[int] | np.ndarray) -> str:
    """Such as "13 right, 1 wrong (x = 3)"."""
    missed = [
        (x, count)
        for x, good, count in zip(POINTS, right, counts, strict=True)
        if count and not good
    ]
    wrong = int(sum(count for _, count in missed))
    where = f" (x = {', '.join(f'{x:g}' for x, _ in missed)})" if missed else ""
    return f"{int(np.sum(counts)) - wrong} right, {wrong} wrong{where}"
