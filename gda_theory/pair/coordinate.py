r"""One orthogonal coordinate (Sec. 5.1.1): samples that share no other coordinate, so the problem is one-dimensional.

.. math:: J(w) = K \ell(w) + \tfrac\lambda2 w^2, \qquad J'(w) = 0 \iff \lambda w = K \varphi(w)

with a signed mass ``K``: :math:`(1+\alpha) r_j/n` for pretraining, :math:`r_j/r` for the oracle, and
:math:`r_j/r - \gamma\,\alpha r_j/f` for descent-ascent (means; with sums the counts themselves). Exponential loss: Lambert W on
both real branches, ``w e^w = K/lambda``; logistic loss: the r-Lambert function, ``w e^w + w = K/lambda``.
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
from gda_theory.pair import curve as masses
from gda_theory.problem import losses
from gda_theory.problem.losses import Loss
from gda_theory.problem.objective import Objective
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.numerics import special
from theory_common.numerics.implicit import with_change
from theory_common.printing.display import readable

_ARRAYS = ("ridge", "retain_size", "forget_size", "retain_in_coordinate", "forget_in_coordinate")


def check_counts(
    values: dict[str, Array], place: str, allow_unrealisable: bool
) -> dict[str, Array]:
    """The ``values`` by the rules of ridge, sizes and counts that a coordinate and a pair share.

    Traced ones cannot raise: where one breaks a rule the ridge is NaN, and so is all that is computed with it.
    """
    above_zero = ("ridge", "retain_size", "forget_size", f"retain_in_{place}")
    ridge, retain_size, forget_size, retained = (
        checks.positive(name, values[name]) for name in above_zero
    )
    forgotten = checks.nonnegative(f"forget_in_{place}", values[f"forget_in_{place}"])
    checks.at_most(f"retain_in_{place}", retained, "retain_size", retain_size)
    if not allow_unrealisable:
        hint = f" (no such data: alpha > forget_size/retain_in_{place}; allow_unrealisable=True computes it all the same)"
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
@jax.tree_util.register_pytree_node_class
@dataclasses.dataclass(frozen=True, init=False, eq=False)
class Coordinate:
    """Counts and ridge of one coordinate; an immutable pytree whose fields share one batch shape.

    Args:
        ridge: finite and > 0 (1e-300 to 1e300 in float64).
        retain_size, forget_size: r and f; > 0, fractions allowed.
        retain_in_coordinate: r_j, how many of R lie on the coordinate; 0 < r_j <= r.
        forget_in_coordinate: f_j = alpha r_j, how many of F do; 0 <= f_j <= f unless ``allow_unrealisable``.
        loss: ``"exponential"``, ``"logistic"`` or a :class:`gda_theory.Loss`. reduction: ``"mean"`` (the paper) or ``"sum"``.

    Raises: ``ValueError`` or ``TypeError`` naming the argument, for concrete values; traced ones give NaN later.
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
        ridge,
        retain_size,
        forget_size,
        retain_in_coordinate,
        forget_in_coordinate=0,
        loss="exponential",
        reduction="mean",
        allow_unrealisable=False,
    ):
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

    def tree_flatten(self):
        return tuple(getattr(self, name) for name in _ARRAYS), (self.loss, self.reduction)

    @classmethod
    def tree_unflatten(cls, static, leaves):
        # JAX rebuilds pytrees around tracers, None and shape structs: a check here would raise inside vmap.
        new = object.__new__(cls)
        vars(new).update(zip(_ARRAYS, leaves, strict=True), loss=static[0], reduction=static[1])
        return new

    @property
    def alpha(self) -> Float[AnyArray, "*batch"]:
        """``forget_in_coordinate / retain_in_coordinate``."""
        return self.forget_in_coordinate / self.retain_in_coordinate

    @property
    def shares(self) -> tuple[Array, Array]:
        """The masses (a, b) of the retain and the forget loss on this coordinate: shares of their sets (mean) or counts (sum)."""
        if self.reduction == "mean":
            return (
                self.retain_in_coordinate / self.retain_size,
                self.forget_in_coordinate / self.forget_size,
            )
        return self.retain_in_coordinate, self.forget_in_coordinate

    def objective(self) -> Objective:
        """The same problem as signed weights, for every iterative solver."""
        retain, forget = self.shares
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
    """Stationary points of one coordinate: local ``minimum`` and ``maximum``, NaN where there is none; ``exists`` is the minimum's."""

    minimum: Float[AnyArray, "*batch"]
    maximum: Float[AnyArray, "*batch"]
    exists: Bool[AnyArray, "*batch"]


@readable(reason=Reason)
class CoordinateSolution(NamedTuple):
    """The minimum ``weight``; NaN, ``exists`` False and a :class:`gda_theory.codes.Reason` where there is none."""

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
def stationary_points(mass, *, ridge, loss="exponential") -> Stationary:
    r"""Stationary points of one coordinate, any margin loss.

    .. math:: \lambda w = K\varphi(w); \qquad \text{exponential: } w e^w = K/\lambda, \quad \text{logistic: } w e^w + w = K/\lambda .

    Args:
        mass: signed mass :math:`K`: retain share minus strength times forget share; negative where ascent wins.
        ridge: :math:`\lambda > 0`, loss per squared weight; 1e-300 to 1e300 in float64.
        loss: name or :class:`gda_theory.Loss`.

    Returns: :class:`Stationary`, broadcast over both. Exponential: the minimum is the branch ``W_0``, the maximum ``W_{-1}``
    (the second derivative is ``ridge (1 + w)``), both exist for ``-1/e <= K/ridge < 0``, neither below. Logistic: one minimum for every K.
    Raises: ``ValueError`` if a concrete ``ridge`` is not finite and positive. A traced one cannot raise; it gives NaN.
    Accuracy: backward stable; near the fold ``K/ridge = -1/e`` the weight itself is ill-conditioned, like ``1/(1+w)``.
    Source: *Ascent Fails to Forget*, Lemma 2 and App. F (which exchanges the branches); logistic: new.
    Claims: ``lemma-2-closed-forms``, ``lemma-2-branches``, ``r-lambert-form``, ``logistic-minimum-exists``, ``semistable-approach``.
    """
    values = checks.broadcast("stationary_points", mass=mass, ridge=ridge)
    checks.finite("mass", values["mass"])
    checks.positive("ridge", values["ridge"])
    return _stationary_points(losses.resolve(loss), values["mass"], values["ridge"])


@backed_by("lemma-2-closed-forms")
def pretrain(coordinate: Coordinate) -> CoordinateSolution:
    r"""The minimum on all the data: :math:`K = (1+\alpha) r_j/n` (mean) or :math:`(1+\alpha) r_j` (sum).

    Source: Lemma 2. Claim: ``lemma-2-closed-forms``.
    """
    count = coordinate.retain_in_coordinate + coordinate.forget_in_coordinate
    size = coordinate.retain_size + coordinate.forget_size if coordinate.reduction == "mean" else 1
    return _minimum(coordinate, count / size)


@backed_by("lemma-2-closed-forms")
def retrain(coordinate: Coordinate) -> CoordinateSolution:
    r"""The oracle, the minimum on the retained data: :math:`K = r_j/r` (mean) or :math:`r_j` (sum).

    Source: Lemma 2. Claim: ``lemma-2-closed-forms``.
    """
    return _minimum(coordinate, coordinate.shares[0])


@backed_by("lemma-2-closed-forms", "lemma-2-branches", "coordinate-runs-away")
def descent_ascent(coordinate: Coordinate, strength=1.0) -> CoordinateSolution:
    r"""The minimum of descent-ascent: :math:`K = r_j/r - \gamma\, \alpha r_j/f` (mean) or :math:`(1 - \gamma\alpha) r_j` (sum).

    Exponential loss: it exists iff ``K/ridge >= -1/e``; logistic: always. Args: strength: ``gamma >= 0``, 1 in the paper.
    Source: Lemma 2, App. F. Claims: ``lemma-2-closed-forms``, ``lemma-2-branches``, ``coordinate-runs-away``.
    """
    retain, forget = coordinate.shares
    # Equal shares are equal floats (both are correctly rounded quotients), so their difference is exactly 0 at the threshold.
    return _minimum(coordinate, retain - checks.nonnegative("strength", strength) * forget)


@readable()
class Distances(NamedTuple):
    """``|w_D - w_R|`` and ``|w_DA - w_R|`` beside the bounds on them; NaN where a bound does not apply or a point does not exist."""

    pretrain_oracle: Float[AnyArray, "*batch"]
    descent_ascent_oracle: Float[AnyArray, "*batch"]
    lemma_4_bound: Float[AnyArray, "*batch"]
    lemma_5_bound: Float[AnyArray, "*batch"]
    rate_bound: Float[AnyArray, "*batch"]


@backed_by(
    "lemma-4-bound", "lemma-4-any-loss", "lemma-5-bound", "corollary-1-rate", "best-early-stop"
)
def distances(coordinate: Coordinate) -> Distances:
    r"""How far pretraining and descent-ascent end from the oracle (mean losses), and what bounds them.

    * Lemma 4: :math:`|w_D - w_R| \le |\ln((1+\alpha) r/n)|`, any ridge and alpha.
    * Lemma 5: :math:`|w_R - w_{DA}| \ge w_R` for :math:`\alpha \ge f/r` (``lemma_5_bound``).
    * new: :math:`w_R - w_{DA} \le \ln(1/\kappa)`, :math:`\kappa = 1 - \alpha r/f \in (0, 1)`, for every ridge (``rate_bound``).

    The logarithms need a tail no heavier than the exponential's: NaN but for the exponential and the logistic loss.
    Claims: ``lemma-4-bound``, ``lemma-4-any-loss``, ``lemma-5-bound``, ``corollary-1-rate``, ``best-early-stop``.
    """
    trained, oracle, ascended = (
        pretrain(coordinate).weight,
        retrain(coordinate).weight,
        descent_ascent(coordinate).weight,
    )
    mean = coordinate.reduction == "mean"
    size, kept = coordinate.retain_size + coordinate.forget_size, coordinate.retain_size
    balance = 1 - coordinate.alpha * (kept / coordinate.forget_size if mean else 1)
    growth = jnp.log1p(coordinate.alpha) + (jnp.log(kept / size) if mean else 0)
    steep = coordinate.loss.name in ("exponential", "logistic")
    return Distances(
        jnp.abs(trained - oracle),
        jnp.abs(ascended - oracle),
        jnp.where(steep, jnp.abs(growth), jnp.nan),
        jnp.where(balance <= 0, oracle, jnp.nan),
        jnp.where(
            steep & (balance > 0) & (balance <= 1),
            -jnp.log(jnp.where(balance > 0, balance, 1)),
            jnp.nan,
        ),
    )


@readable()
class OrderRange(NamedTuple):
    """``lower <= alpha <= upper`` is where Lemma 3's order holds; beyond ``last`` descent-ascent has no minimum (inf: never)."""

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
    r"""The exact range of alpha with descent-ascent and the oracle on opposite sides of pretraining, any margin loss.

    Means: :math:`w_{DA} \le w_D \le w_R \iff f^2/(r(f+n)) \le \alpha \le f/r`. Sums: never, the order is
    :math:`w_{DA} < w_R < w_D` for every alpha > 0 (NaN). The minimum exists up to :math:`f/r + \lambda f/(e r_j)` (mean),
    :math:`1 + \lambda/(e r_j)` (sum), for the exponential loss; for the logistic loss always.
    Source: Lemma 3; sums: new.
    Claims: ``lemma-3-order``, ``sum-order``, ``lemma-2-branches``, ``order-range-sharp``, ``first-step-sign``, ``best-early-stop``.
    """
    kept, gone, on = coordinate.retain_size, coordinate.forget_size, coordinate.retain_in_coordinate
    if coordinate.reduction == "mean":
        lower, upper = gone / kept * (gone / (kept + 2 * gone)), gone / kept
        last = upper + coordinate.ridge * gone / (jnp.e * on)
    else:
        lower = upper = jnp.full_like(kept, jnp.nan)
        last = 1 + coordinate.ridge / (jnp.e * on)
    if coordinate.loss.name == "logistic":
        last = jnp.full_like(last, jnp.inf)
    elif coordinate.loss.name != "exponential":
        last = jnp.full_like(last, jnp.nan)
    return OrderRange(lower, upper, last)


@readable()
class AlternatingRest(NamedTuple):
    """Where alternating steps rest, and what an epoch multiplies a deviation there by; NaN where forgetting pulls no harder."""

    weight: Float[AnyArray, "*batch"]
    multiplier: Float[AnyArray, "*batch"]


@backed_by("alternating-fixed-point", "alternating-multiplier")
def alternating_rest(
    coordinate: Coordinate, *, step_size, scheme="retain_first"
) -> AlternatingRest:
    r"""Where alternating descent and ascent rest although descent-ascent has no minimum, as the ridge vanishes; exponential loss.

    .. math:: w^* = \ln\frac{\eta a}{\ln(b/a)} \text{ (descent first)}, \quad \ln\frac{\eta b}{\ln(b/a)} \text{ (ascent first)}, \qquad
              \frac{dw''}{dw} = 1 - \ln^2\frac ba

    with the shares :math:`b > a` of the forget and the retain loss: a point that the step size makes. It attracts up to
    :math:`b/a = e^{\sqrt2}`, where a cycle of two epochs takes over. A ridge (the coordinate's own is not used) moves it by O(ridge).

    Args: step_size: :math:`\eta > 0`; broadcasts. scheme: ``"retain_first"`` or ``"forget_first"``.
    Raises: ``ValueError`` for another loss, scheme or a bad step size. Source: new.
    Claims: ``alternating-fixed-point``, ``alternating-multiplier``.
    """
    if coordinate.loss.name != "exponential":
        raise ValueError(f"loss must be exponential for this closed form, got {coordinate.loss!r}")
    retain, forget = coordinate.shares
    first = (
        retain
        if checks.choice("scheme", scheme, ["retain_first", "forget_first"]) == "retain_first"
        else forget
    )
    contrast = jnp.log(jnp.where(forget > retain, forget / retain, jnp.nan))
    weight = jnp.log(checks.positive("step_size", step_size) * first / contrast)
    return AlternatingRest(weight, jnp.broadcast_to(1 - contrast**2, weight.shape))


@functools.partial(jax.jit, static_argnames="loss")
def _stationary_points(loss: Loss, mass: Array, ridge: Array) -> Stationary:
    ridge = jnp.where(ridge > 0, ridge, jnp.nan)  # a traced one has passed no check
    log_ratio = special.log_ratio(jnp.abs(mass), ridge)
    # Not a constant: XLA's simplifier runs in circles on the constant Gram matrix, and says so on standard error.
    zero = jnp.where(jnp.isnan(mass), mass, 0)
    pulled = masses.shifted_mass(loss, log_ratio, zero)
    if loss.name == "exponential":
        pushed, top = (
            special.lambertw_exp(log_ratio, -1 + zero, branch=0),
            special.lambertw_exp(log_ratio, -1 + zero, branch=-1),
        )
    elif loss.name == "logistic":
        # No fold: the r-Lambert function at r = 1 has one real branch.
        pushed, top = special.r_lambertw(-jnp.abs(mass) / ridge, 1.0), jnp.full_like(mass, jnp.nan)
    else:
        # Ascent alone is the forgotten half of an uncorrelated pair, with weight -Q.
        gram = masses.Gram(zero + 1, zero, zero + 1, zero + 1)
        folds = masses.fold_points(loss, gram, zero)
        pushed = -jnp.exp(masses.oracle_branch(loss, gram, zero, log_ratio, folds.upper))
        top = -jnp.exp(masses.saddle_branch(loss, gram, zero, log_ratio, folds))
    minimum = jnp.where(
        mass > 0, pulled, jnp.where(mass == 0, 0, jnp.where(mass < 0, pushed, jnp.nan))
    )
    maximum = jnp.where(mass < 0, top, jnp.nan)
    return Stationary(
        _implicit(loss, minimum, mass, ridge),
        _implicit(loss, maximum, mass, ridge),
        ~jnp.isnan(minimum),
    )


def _implicit(loss: Loss, weight: Array, mass: Array, ridge: Array) -> Array:
    """``weight``, a root of ``ridge w = K phi(w)``, with its implicit derivatives; NaN at the fold."""

    def change(root, parameters, tangents):
        ridge = parameters[1]
        moved = jnp.exp(loss.log_phi(root) - jnp.log(ridge)) * tangents[0]
        moved = moved - root * (tangents[1] / ridge)
        stiffness = 1 + root * loss.decay(root)
        return moved / jnp.where(stiffness == 0, jnp.nan, stiffness)

    return with_change(change, jax.lax.stop_gradient(weight), mass, ridge)


def _minimum(coordinate: Coordinate, mass: Array) -> CoordinateSolution:
    mass, ridge = jnp.broadcast_arrays(mass, coordinate.ridge)
    point = _stationary_points(coordinate.loss, mass, ridge)
    return CoordinateSolution(
        point.minimum, point.exists, jnp.where(point.exists, Reason.FOUND, Reason.PAST_FOLD)
    )
