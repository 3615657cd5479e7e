r"""One orthogonal coordinate (Sec. 5.1.1): its samples share no other coordinate.

The problem is one-dimensional:

.. math:: J(w) = K \ell(w) + \tfrac\lambda2 w^2, \qquad J'(w) = 0 \iff \lambda w = K \varphi(w)

with a signed mass ``K``. For means it is :math:`(1+\alpha) r_j/n` in pretraining, :math:`r_j/r`
in the oracle, and :math:`r_j/r - \gamma\,\alpha r_j/f` in descent-ascent. For sums it is made of
the counts themselves.
Exponential loss: ``w e^w = K/lambda``, solved by Lambert W on both real branches.
Logistic loss: ``w e^w + w = K/lambda``, solved by the r-Lambert function.
"""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import Bool, Float, Int

from gda_theory.codes import Reason
from gda_theory.pair import curve
from gda_theory.problem import losses
from gda_theory.problem.losses import Loss
from gda_theory.problem.objective import Objective
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.numerics import special
from theory_common.numerics.implicit import with_change
from theory_common.precision import ArrayLike
from theory_common.printing.display import readable
from theory_common.pytrees import pytree


def check_counts(
    values: dict[str, Array], place: str, allow_unrealisable: bool
) -> dict[str, Array]:
    """The ``values``, validated by the rules that a coordinate and a pair share.

    Args:
        values: ``ridge``, ``retain_size``, ``forget_size``, ``retain_in_<place>`` and
            ``forget_in_<place>``, of one shape.
        place: ``"coordinate"`` or ``"pair"``.
        allow_unrealisable: accept more forgotten samples than ``forget_size``.
    Returns: the values. Traced ones cannot raise: where one breaks a rule the ridge is NaN, and so
        is all that is computed with it.
    Raises: ``ValueError`` that names the argument, the rule and what came.
    """
    above_zero = ("ridge", "retain_size", "forget_size", f"retain_in_{place}")
    ridge, retain_size, forget_size, retained = (
        checks.positive(name, values[name]) for name in above_zero
    )
    forgotten = checks.nonnegative(f"forget_in_{place}", values[f"forget_in_{place}"])
    checks.at_most(f"retain_in_{place}", retained, "retain_size", retain_size)
    if not allow_unrealisable:
        hint = (
            f" (no such data: alpha > forget_size/retain_in_{place};"
            " allow_unrealisable=True computes it all the same)"
        )
        checks.at_most(f"forget_in_{place}", forgotten, "forget_size", forget_size, hint)
    if not any(map(checks.is_traced, values.values())):
        return values
    rules = [(values[name] > 0) & (values[name] < jnp.inf) for name in above_zero]
    rules += [
        retained <= retain_size,
        forgotten >= 0,
        forgotten <= (jnp.inf if allow_unrealisable else forget_size),
    ]
    return values | {"ridge": jnp.where(functools.reduce(jnp.logical_and, rules), ridge, jnp.nan)}


@readable()
@pytree(static=("loss", "reduction"))
@dataclasses.dataclass(frozen=True, init=False, eq=False)
class Coordinate:
    """Counts and ridge of one coordinate: an immutable pytree whose fields share one batch shape.

    Args:
        ridge: finite and > 0 (1e-300 to 1e300 in float64).
        retain_size, forget_size: r and f; > 0, fractions allowed.
        retain_in_coordinate: r_j, how many of R lie on the coordinate; 0 < r_j <= r.
        forget_in_coordinate: f_j = alpha r_j, how many of F do; 0 <= f_j <= f.
        loss: ``"exponential"``, ``"logistic"`` or a :class:`gda_theory.Loss`.
        reduction: ``"mean"`` (the paper: each set's losses are averaged) or ``"sum"``.
        allow_unrealisable: accept also f_j > f, which no data have.

    Raises: ``ValueError`` or ``TypeError`` that names the argument, for concrete values. A traced
        value cannot raise: where one breaks a rule, all that is computed with it is NaN.
    Source: Sec. 5.1.1; sums: new.
    """

    ridge: Float[AnyArray, "*batch"]
    retain_size: Float[AnyArray, "*batch"]
    forget_size: Float[AnyArray, "*batch"]
    retain_in_coordinate: Float[AnyArray, "*batch"]
    forget_in_coordinate: Float[AnyArray, "*batch"]
    loss: Loss
    reduction: str

    def __init__(
        self,
        *,
        ridge: ArrayLike,
        retain_size: ArrayLike,
        forget_size: ArrayLike,
        retain_in_coordinate: ArrayLike,
        forget_in_coordinate: ArrayLike = 0,
        loss: str | Loss = "exponential",
        reduction: str = "mean",
        allow_unrealisable: bool = False,
    ) -> None:
        values = checks.broadcast(
            "Coordinate",
            ridge=ridge,
            retain_size=retain_size,
            forget_size=forget_size,
            retain_in_coordinate=retain_in_coordinate,
            forget_in_coordinate=forget_in_coordinate,
        )
        values = check_counts(values, "coordinate", allow_unrealisable)
        vars(self).update(
            values,
            loss=losses.resolve(loss),
            reduction=checks.choice("reduction", reduction, ["mean", "sum"]),
        )

    @property
    def alpha(self) -> Float[AnyArray, "*batch"]:
        """``forget_in_coordinate / retain_in_coordinate``."""
        return self.forget_in_coordinate / self.retain_in_coordinate

    @property
    def ascent_masses(self) -> tuple[Array, Array]:
        """Retain and forget mass (a, b) of descent-ascent at strength 1.

        Counts over r and f (mean) or counts (sum).
        """
        if self.reduction == "mean":
            return (
                self.retain_in_coordinate / self.retain_size,
                self.forget_in_coordinate / self.forget_size,
            )
        return self.retain_in_coordinate, self.forget_in_coordinate

    def objective(self) -> Objective:
        """The same problem as signed weights: what every iterative solver takes."""
        retain, forget = self.ascent_masses
        return Objective(
            types=jnp.ones((*self.ridge.shape, 2, 1), self.ridge.dtype),
            retain_weight=jnp.stack([retain, jnp.zeros_like(retain)], -1),
            forget_weight=jnp.stack([jnp.zeros_like(forget), forget], -1),
            ridge=self.ridge[..., None],
            size_ratio=self.forget_size / self.retain_size,
            loss=self.loss,
            reduction=self.reduction,
        )


@readable()
class Stationary(NamedTuple):
    """Stationary points of one coordinate, NaN where there is none.

    ``minimum`` and ``maximum`` are local ones; ``exists`` says whether there is a minimum.
    """

    minimum: Float[AnyArray, "*batch"]
    maximum: Float[AnyArray, "*batch"]
    exists: Bool[AnyArray, "*batch"]


@readable(reason=Reason)
class CoordinateSolution(NamedTuple):
    """The minimum ``weight``.

    Where there is none it is NaN, ``exists`` is False and ``reason`` says why
    (a :class:`gda_theory.codes.Reason`).
    """

    weight: Float[AnyArray, "*batch"]
    exists: Bool[AnyArray, "*batch"]
    reason: Int[AnyArray, "*batch"]


@backed_by(
    "lemma-2-closed-forms",
    "lemma-2-branches",
    "r-lambert-form",
    "logistic-minimum-exists",
    "semistable-approach",
)
def stationary_points(
    mass: ArrayLike, *, ridge: ArrayLike, loss: str | Loss = "exponential"
) -> Stationary:
    r"""Stationary points of one coordinate, any margin loss.

    .. math:: \lambda w = K\varphi(w); \qquad \text{exponential: } w e^w = K/\lambda, \quad
              \text{logistic: } w e^w + w = K/\lambda .

    Args:
        mass: signed mass :math:`K`: retain mass minus strength times forget mass; negative where
            ascent wins.
        ridge: :math:`\lambda > 0`, loss per squared weight; 1e-300 to 1e300 in float64.
        loss: name or :class:`gda_theory.Loss`.

    Returns: :class:`Stationary`, broadcast over both.
        Exponential: the minimum is the branch ``W_0``, the maximum ``W_{-1}`` (the second
        derivative is ``ridge (1 + w)``). Both exist for ``-1/e <= K/ridge < 0``, neither below.
        Logistic: one minimum for every K.
    Raises: ``ValueError`` if a concrete ``ridge`` is not finite and positive. A traced one cannot
        raise; it gives NaN.
    Accuracy: backward stable. Near the fold ``K/ridge = -1/e`` the weight itself is
        ill-conditioned, like ``1/(1+w)``.
    Source: *Ascent Fails to Forget*, Lemma 2 and App. F (which exchanges the branches);
        logistic: new.
    Claims: ``lemma-2-closed-forms``, ``lemma-2-branches``, ``r-lambert-form``,
        ``logistic-minimum-exists``, ``semistable-approach``.
    """
    values = checks.broadcast("stationary_points", mass=mass, ridge=ridge)
    checks.finite("mass", values["mass"])
    checks.positive("ridge", values["ridge"])
    return _stationary_points(losses.resolve(loss), values["mass"], values["ridge"])


@backed_by("lemma-2-closed-forms")
def pretrain(coordinate: Coordinate) -> CoordinateSolution:
    r"""The minimum on all the data.

    .. math:: \lambda w = K\varphi(w), \qquad
              K = (1+\alpha) r_j/n \text{ (mean)}, \quad (1+\alpha) r_j \text{ (sum)}

    Args:
        coordinate: any :class:`Coordinate`.
    Returns: :class:`CoordinateSolution`; it exists for every valid coordinate.
    Raises: ``TypeError`` if ``coordinate`` is no :class:`Coordinate`.
    Source: Lemma 2. Claim: ``lemma-2-closed-forms``.
    """
    _require_coordinate(coordinate)
    count = coordinate.retain_in_coordinate + coordinate.forget_in_coordinate
    size = coordinate.retain_size + coordinate.forget_size if coordinate.reduction == "mean" else 1
    return _minimum(coordinate, count / size)


@backed_by("lemma-2-closed-forms")
def retrain(coordinate: Coordinate) -> CoordinateSolution:
    r"""The oracle, the minimum on the retained data.

    .. math:: \lambda w = K\varphi(w), \qquad K = r_j/r \text{ (mean)}, \quad r_j \text{ (sum)}

    Args:
        coordinate: any :class:`Coordinate`.
    Returns: :class:`CoordinateSolution`; it exists for every valid coordinate.
    Raises: ``TypeError`` if ``coordinate`` is no :class:`Coordinate`.
    Source: Lemma 2. Claim: ``lemma-2-closed-forms``.
    """
    _require_coordinate(coordinate)
    return _minimum(coordinate, coordinate.ascent_masses[0])


@backed_by("lemma-2-closed-forms", "lemma-2-branches", "coordinate-runs-away")
def descent_ascent(coordinate: Coordinate, strength: ArrayLike = 1.0) -> CoordinateSolution:
    r"""The minimum of descent-ascent.

    .. math:: \lambda w = K\varphi(w), \qquad
              K = r_j/r - \gamma\, \alpha r_j/f \text{ (mean)}, \quad
              (1 - \gamma\alpha) r_j \text{ (sum)}

    Exponential loss: it exists iff ``K/ridge >= -1/e``. Logistic loss: always.

    Args:
        coordinate: any :class:`Coordinate`.
        strength: ascent strength ``gamma >= 0``, 1 in the paper; it broadcasts.
    Returns: :class:`CoordinateSolution`.
    Raises: ``TypeError`` if ``coordinate`` is no :class:`Coordinate`; ``ValueError`` or
        ``TypeError`` for a bad ``strength``.
    Source: Lemma 2, App. F.
    Claims: ``lemma-2-closed-forms``, ``lemma-2-branches``, ``coordinate-runs-away``.
    """
    _require_coordinate(coordinate)
    retain, forget = coordinate.ascent_masses
    # Equal masses are equal floats, since both are correctly rounded quotients. So their difference
    # is exactly 0 at the threshold.
    return _minimum(coordinate, retain - checks.nonnegative("strength", strength) * forget)


@readable()
class Distances(NamedTuple):
    """``|w_D - w_R|`` and ``|w_DA - w_R|``, and the bounds on them.

    An entry is NaN where a bound does not apply or a point does not exist.
    """

    pretrain_oracle: Float[AnyArray, "*batch"]
    descent_ascent_oracle: Float[AnyArray, "*batch"]
    lemma_4_bound: Float[AnyArray, "*batch"]
    lemma_5_bound: Float[AnyArray, "*batch"]
    rate_bound: Float[AnyArray, "*batch"]


@backed_by(
    "lemma-4-bound", "lemma-4-any-loss", "lemma-5-bound", "corollary-1-rate", "best-early-stop"
)
def distances(coordinate: Coordinate) -> Distances:
    r"""How far pretraining and descent-ascent end from the oracle (mean losses), and the bounds.

    * Lemma 4: :math:`|w_D - w_R| \le |\ln((1+\alpha) r/n)|`, any ridge and alpha.
    * Lemma 5: :math:`|w_R - w_{DA}| \ge w_R` for :math:`\alpha \ge f/r` (``lemma_5_bound``).
    * new: :math:`w_R - w_{DA} \le \ln(1/\kappa)` with :math:`\kappa = 1 - \alpha r/f \in (0, 1)`,
      for every ridge (``rate_bound``).

    Args:
        coordinate: any :class:`Coordinate`.
    Returns: :class:`Distances`. The bounds with logarithms hold for losses whose tail is no
        heavier than the exponential's. They are NaN except for the exponential and the logistic
        loss.
    Raises: ``TypeError`` if ``coordinate`` is no :class:`Coordinate`.
    Source: Lemmas 4 and 5, Corollary 1; ``rate_bound``: new.
    Claims: ``lemma-4-bound``, ``lemma-4-any-loss``, ``lemma-5-bound``, ``corollary-1-rate``,
        ``best-early-stop``.
    """
    oracle = retrain(coordinate).weight
    trained = pretrain(coordinate).weight
    ascended = descent_ascent(coordinate).weight
    kept = coordinate.retain_size
    size = kept + coordinate.forget_size
    mean = coordinate.reduction == "mean"
    balance = 1 - coordinate.alpha * (kept / coordinate.forget_size if mean else 1)
    growth = jnp.log1p(coordinate.alpha) + (jnp.log(kept / size) if mean else 0)
    steep = coordinate.loss.name in ("exponential", "logistic")
    rate = -jnp.log(jnp.where(balance > 0, balance, 1))
    return Distances(
        pretrain_oracle=jnp.abs(trained - oracle),
        descent_ascent_oracle=jnp.abs(ascended - oracle),
        lemma_4_bound=jnp.where(steep, jnp.abs(growth), jnp.nan),
        lemma_5_bound=jnp.where(balance <= 0, oracle, jnp.nan),
        rate_bound=jnp.where(steep & (balance > 0) & (balance <= 1), rate, jnp.nan),
    )


@readable()
class OrderRange(NamedTuple):
    """Lemma 3's order holds for ``lower <= alpha <= upper``.

    Beyond ``last`` descent-ascent has no minimum (inf: it always has one).
    """

    lower: Float[AnyArray, "*batch"]
    upper: Float[AnyArray, "*batch"]
    last: Float[AnyArray, "*batch"]


@backed_by(
    "lemma-3-order",
    "sum-order",
    "lemma-2-branches",
    "order-range-sharp",
    "first-step-sign",
    "best-early-stop",
)
def order_range(coordinate: Coordinate) -> OrderRange:
    r"""The exact range of alpha in which Lemma 3's order holds, any margin loss.

    In this range descent-ascent and the oracle lie on opposite sides of pretraining. For means

    .. math:: w_{DA} \le w_D \le w_R \iff f^2/(r(f+n)) \le \alpha \le f/r .

    For sums it never holds, and the range is NaN: the order is :math:`w_{DA} < w_R < w_D` for every
    alpha > 0. With the exponential loss the minimum exists up to alpha =
    :math:`f/r + \lambda f/(e r_j)` (mean) or :math:`1 + \lambda/(e r_j)` (sum). With the logistic
    loss it always exists.

    Args:
        coordinate: any :class:`Coordinate`; its ``forget_in_coordinate`` is not used.
    Returns: :class:`OrderRange`.
    Raises: ``TypeError`` if ``coordinate`` is no :class:`Coordinate`.
    Source: Lemma 3; sums: new.
    Claims: ``lemma-3-order``, ``sum-order``, ``lemma-2-branches``, ``order-range-sharp``,
        ``first-step-sign``, ``best-early-stop``.
    """
    _require_coordinate(coordinate)
    kept = coordinate.retain_size
    gone = coordinate.forget_size
    on = coordinate.retain_in_coordinate
    if coordinate.reduction == "mean":
        upper = gone / kept
        lower = gone / kept * (gone / (kept + 2 * gone))
        last = upper + coordinate.ridge * gone / (jnp.e * on)
    else:
        lower = upper = jnp.full_like(kept, jnp.nan)
        last = 1 + coordinate.ridge / (jnp.e * on)
    if coordinate.loss.name == "logistic":
        last = jnp.full_like(last, jnp.inf)
    elif coordinate.loss.name != "exponential":
        last = jnp.full_like(last, jnp.nan)
    return OrderRange(lower=lower, upper=upper, last=last)


@readable()
class AlternatingRest(NamedTuple):
    """The fixed point of alternating steps, and the factor of a deviation from it in one epoch.

    NaN where the forget mass is not larger than the retain mass.
    """

    weight: Float[AnyArray, "*batch"]
    multiplier: Float[AnyArray, "*batch"]


@backed_by("alternating-fixed-point", "alternating-multiplier", "alternating-doubling")
def alternating_rest(
    coordinate: Coordinate, *, step_size: ArrayLike, scheme: str = "retain_first"
) -> AlternatingRest:
    r"""The fixed point of alternating descent and ascent where descent-ascent has no minimum.

    For the exponential loss, in the limit of a vanishing ridge, it is

    .. math:: w^* = \ln\frac{\eta a}{\ln(b/a)} \text{ (descent first)}, \quad
              \ln\frac{\eta b}{\ln(b/a)} \text{ (ascent first)}, \qquad
              \frac{dw''}{dw} = 1 - \ln^2\frac ba

    with the retain mass a and the forget mass :math:`b > a`. The point depends on the step size.
    It attracts up to :math:`b/a = e^{\sqrt2}`, where the distance falls only like the inverse root
    of the number of epochs. Just beyond, a cycle of two epochs attracts. A ridge moves the point by
    O(ridge). The coordinate's own ridge is not used.

    Args:
        coordinate: a :class:`Coordinate` with the exponential loss.
        step_size: :math:`\eta > 0`; it broadcasts.
        scheme: ``"retain_first"`` or ``"forget_first"``.
    Returns: :class:`AlternatingRest`.
    Raises: ``TypeError`` if ``coordinate`` is no :class:`Coordinate`; ``ValueError`` for another
        loss, another scheme or a bad step size.
    Source: new.
    Claims: ``alternating-fixed-point``, ``alternating-multiplier``, ``alternating-doubling``.
    """
    _require_coordinate(coordinate)
    if coordinate.loss.name != "exponential":
        raise ValueError(f"loss must be exponential for this closed form, got {coordinate.loss!r}")
    retain, forget = coordinate.ascent_masses
    scheme = checks.choice("scheme", scheme, ["retain_first", "forget_first"])
    first = retain if scheme == "retain_first" else forget
    contrast = jnp.log(jnp.where(forget > retain, forget / retain, jnp.nan))
    weight = jnp.log(checks.positive("step_size", step_size) * first / contrast)
    return AlternatingRest(
        weight=weight, multiplier=jnp.broadcast_to(1 - contrast**2, weight.shape)
    )


def _require_coordinate(coordinate: Coordinate) -> None:
    if not isinstance(coordinate, Coordinate):
        raise TypeError(f"coordinate must be a Coordinate, got {type(coordinate).__name__}")


@functools.partial(jax.jit, static_argnames="loss")
def _stationary_points(loss: Loss, mass: Array, ridge: Array) -> Stationary:
    ridge = jnp.where(ridge > 0, ridge, jnp.nan)  # a traced one has passed no check
    log_ratio = special.log_ratio(jnp.abs(mass), ridge)
    # Not a constant: XLA's simplifier loops on a constant Gram matrix, and warns on standard error.
    zero = jnp.where(jnp.isnan(mass), mass, 0)
    positive = curve.shifted_dual(loss, log_ratio, zero)
    negative, top = _negative_mass(loss, mass, ridge, log_ratio, zero)
    below_zero = jnp.where(mass < 0, negative, jnp.nan)
    minimum = jnp.where(mass > 0, positive, jnp.where(mass == 0, 0, below_zero))
    maximum = jnp.where(mass < 0, top, jnp.nan)
    return Stationary(
        minimum=_implicit(loss, minimum, mass, ridge),
        maximum=_implicit(loss, maximum, mass, ridge),
        exists=~jnp.isnan(minimum),
    )


def _negative_mass(
    loss: Loss, mass: Array, ridge: Array, log_ratio: Array, zero: Array
) -> tuple[Array, Array]:
    """Minimum and maximum for the mass ``-abs(mass)``, where ascent wins."""
    if loss.name == "exponential":
        minimum = special.lambertw_exp(log_ratio, -1 + zero, branch=0)
        return minimum, special.lambertw_exp(log_ratio, -1 + zero, branch=-1)
    if loss.name == "logistic":
        # No fold: the r-Lambert function at r = 1 has one real branch.
        minimum = special.r_lambertw(-jnp.abs(mass) / ridge, 1.0)
        return minimum, jnp.full_like(mass, jnp.nan)
    # Ascent alone is the forgotten half of an uncorrelated pair, with weight -Q.
    gram = curve.Gram(zero + 1, zero, zero + 1, zero + 1)
    folds = curve.fold_points(loss, gram, zero)
    minimum = -jnp.exp(curve.oracle_branch(loss, gram, zero, log_ratio, folds.upper))
    return minimum, -jnp.exp(curve.saddle_branch(loss, gram, zero, log_ratio, folds))


def _implicit(loss: Loss, weight: Array, mass: Array, ridge: Array) -> Array:
    """``weight``, a root of ``ridge w = K phi(w)``, with implicit derivatives; NaN at a fold."""

    def change(root: Array, parameters: tuple, tangents: tuple) -> Array:
        _, ridge = parameters
        mass_dot, ridge_dot = tangents
        moved = jnp.exp(loss.log_phi(root) - jnp.log(ridge)) * mass_dot
        moved = moved - root * (ridge_dot / ridge)
        stiffness = 1 + root * loss.decay(root)
        return moved / jnp.where(stiffness == 0, jnp.nan, stiffness)

    return with_change(change, jax.lax.stop_gradient(weight), mass, ridge)


def _minimum(coordinate: Coordinate, mass: Array) -> CoordinateSolution:
    mass, ridge = jnp.broadcast_arrays(mass, coordinate.ridge)
    point = _stationary_points(coordinate.loss, mass, ridge)
    return CoordinateSolution(
        weight=point.minimum,
        exists=point.exists,
        reason=jnp.where(point.exists, Reason.FOUND, Reason.PAST_FOLD),
    )
