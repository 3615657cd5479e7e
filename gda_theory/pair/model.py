r"""A correlated pair (Sec. 5.1.2): retained copies of ``u``, forgotten copies of ``v``.

.. math:: u = (1, \varepsilon), \quad v = (\varepsilon, 1), \qquad
          x = \langle w, u\rangle, \quad y = \langle w, v\rangle .

The objective gives ``u`` the weight ``A`` (retain mass) and ``v`` the weight ``±B`` (forget mass).
For any margin loss with :math:`\varphi = -\ell'` a stationary point obeys

.. math:: \lambda x = A k_{11} \varphi(x) \pm B k_{12} \varphi(y), \qquad
          \lambda y = A k_{12}\varphi(x) \pm B k_{22}\varphi(y),

where k is the Gram matrix of u and v. In the paper :math:`k_{11} = k_{22} = 1 + \varepsilon^2`
and :math:`k_{12} = 2\varepsilon`.
Pretraining has (A, B) = (r_p, f_p)/n and the sign +. Descent-ascent has (r_p/r, f_p/f) and the
sign -. The oracle has B = 0.
:mod:`gda_theory.pair.curve` solves all of them.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import Float

from gda_theory.pair.coordinate import check_counts
from gda_theory.pair.curve import Gram
from gda_theory.problem import losses
from gda_theory.problem.losses import Loss
from gda_theory.problem.objective import Objective
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.precision import ArrayLike
from theory_common.printing.display import readable
from theory_common.pytrees import pytree, unvalidated

_REPLACEABLE = (
    "ridge",
    "retain_size",
    "forget_size",
    "retain_in_pair",
    "forget_in_pair",
    "loss",
    "reduction",
)


@readable()
@pytree(static=("loss", "reduction"))
@dataclasses.dataclass(frozen=True, init=False, eq=False)
@backed_by("pair-gradient")
class CorrelatedPair:
    """Counts, ridge and correlation of a pair: an immutable pytree.

    All its fields carry the same batch shape.

    Args:
        correlation: ``epsilon`` in [0, 1); 0 is two separate coordinates. Leave it out when
            ``gram`` is given.
        ridge: finite and > 0 (1e-300 to 1e300 in float64).
        retain_size, forget_size: r and f, the sizes of the two sets; > 0, fractions allowed.
        retain_in_pair: r_p, how many of R are ``u``; 0 < r_p <= r.
        forget_in_pair: f_p = alpha r_p, how many of F are ``v``; 0 <= f_p <= f.
            Functions whose unknown is alpha (windows and folds) ignore it.
        loss: ``"exponential"`` (the paper's proxy), ``"logistic"`` or a :class:`gda_theory.Loss`.
        reduction: ``"mean"`` (the paper: each set's losses are averaged) or ``"sum"``.
        allow_unrealisable: accept also f_p > f, which no data have.
        gram: ``(k11, k12, k22)`` of any two types, instead of ``correlation``. It must be positive
            definite, with ``k12 <= k22``. For ``k12 > k22`` the exponential loss can have three
            folds (claim ``exponential-one-fold``), which this package does not compute.

    Raises: ``ValueError`` or ``TypeError`` that names the argument, for concrete values. A traced
        value cannot raise: where one breaks a rule, all that is computed with the pair is NaN.
    Source: Sec. 5.1.2; sums and any Gram matrix: new. Claim: ``pair-gradient``.
    """

    gram: Gram
    types: Float[AnyArray, "*batch 2 2"]
    ridge: Float[AnyArray, "*batch"]
    retain_size: Float[AnyArray, "*batch"]
    forget_size: Float[AnyArray, "*batch"]
    retain_in_pair: Float[AnyArray, "*batch"]
    forget_in_pair: Float[AnyArray, "*batch"]
    loss: Loss
    reduction: str

    def __init__(
        self,
        correlation: ArrayLike | None = None,
        *,
        ridge: ArrayLike,
        retain_size: ArrayLike,
        forget_size: ArrayLike,
        retain_in_pair: ArrayLike,
        forget_in_pair: ArrayLike = 0,
        loss: str | Loss = "exponential",
        reduction: str = "mean",
        allow_unrealisable: bool = False,
        gram: Sequence[ArrayLike] | None = None,
    ) -> None:
        entries = _entries(correlation, gram)
        values = checks.broadcast(
            "CorrelatedPair",
            **entries,
            ridge=ridge,
            retain_size=retain_size,
            forget_size=forget_size,
            retain_in_pair=retain_in_pair,
            forget_in_pair=forget_in_pair,
        )
        values = check_counts(values, "pair", allow_unrealisable)
        found_gram, types = _geometry(*(values.pop(name) for name in entries))
        vars(self).update(
            values,
            gram=found_gram,
            types=types,
            loss=losses.resolve(loss),
            reduction=checks.choice("reduction", reduction, ["mean", "sum"]),
        )

    @property
    def correlation(self) -> Float[AnyArray, "*batch"]:
        """``epsilon`` of the paper's geometry: the second component of u."""
        return self.types[..., 0, 1]

    @property
    def alpha(self) -> Float[AnyArray, "*batch"]:
        """``forget_in_pair / retain_in_pair``."""
        return self.forget_in_pair / self.retain_in_pair

    @property
    def pretrain_masses(self) -> tuple[Array, Array]:
        """Retain and forget mass (A, B) of pretraining: counts over n (mean) or counts (sum)."""
        size = self.retain_size + self.forget_size if self.reduction == "mean" else 1
        return self.retain_in_pair / size, self.forget_in_pair / size

    @property
    def ascent_masses(self) -> tuple[Array, Array]:
        """Retain and forget mass (A, B) of descent-ascent at strength 1.

        Counts over r and f (mean) or counts (sum).
        """
        if self.reduction == "mean":
            return self.retain_in_pair / self.retain_size, self.forget_in_pair / self.forget_size
        return self.retain_in_pair, self.forget_in_pair

    def objective(self) -> Objective:
        """The same problem as signed weights on two types, the form that iterative solvers take."""
        retain, forget = self.ascent_masses
        return Objective(
            types=self.types,
            retain_weight=jnp.stack([retain, jnp.zeros_like(retain)], -1),
            forget_weight=jnp.stack([jnp.zeros_like(forget), forget], -1),
            ridge=jnp.stack([self.ridge, self.ridge], -1),
            size_ratio=self.forget_size / self.retain_size,
            loss=self.loss,
            reduction=self.reduction,
        )

    def replace(self, **changes: Any) -> "CorrelatedPair":
        """A copy with other ``ridge``, ``correlation``, ``loss``, ...; validated like a new one.

        Args:
            changes: arguments of :class:`CorrelatedPair`. Arrays broadcast to a common batch.
                The types and their Gram matrix stay unless ``correlation`` or ``gram`` is given.
        Raises: ``TypeError`` or ``ValueError`` that names the argument, as the constructor does.
            A pair with more forgotten samples than ``forget_size`` needs
            ``allow_unrealisable=True`` here too.
        """
        arguments = {name: getattr(self, name) for name in _REPLACEABLE} | changes
        if "correlation" in changes or "gram" in changes:
            return CorrelatedPair(**arguments)
        valid = CorrelatedPair(correlation=jnp.zeros_like(self.ridge), **arguments)
        types = _widened(self, valid.ridge.shape).types.astype(valid.ridge.dtype)
        gram = jax.tree.map(
            lambda entry: jnp.broadcast_to(entry, valid.ridge.shape).astype(valid.ridge.dtype),
            self.gram,
        )
        return with_arrays(valid, gram=gram, types=types)


def require_pair(pair: CorrelatedPair) -> None:
    """``TypeError`` unless ``pair`` is a :class:`CorrelatedPair`."""
    if not isinstance(pair, CorrelatedPair):
        raise TypeError(f"pair must be a CorrelatedPair, got {type(pair).__name__}")


def with_arrays(pair: CorrelatedPair, **arrays: Array | Gram) -> CorrelatedPair:
    """The pair with some array fields replaced, broadcast to a common batch, without validation.

    ``gram`` and ``types``, if given, must have the common batch shape already.
    """
    counts = {name: arrays[name] for name in arrays.keys() - {"gram", "types"}}
    converted = {name: jnp.asarray(value, pair.ridge.dtype) for name, value in counts.items()}
    shapes = (value.shape for value in converted.values())
    shape = jnp.broadcast_shapes(pair.ridge.shape, *shapes)
    wide = _widened(pair, shape)
    arrays |= {name: jnp.broadcast_to(value, shape) for name, value in converted.items()}
    return unvalidated(CorrelatedPair, **{**vars(wide), **arrays})


def _widened(pair: CorrelatedPair, shape: tuple[int, ...]) -> CorrelatedPair:
    """The pair broadcast to a batch shape."""
    rank = pair.ridge.ndim
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, shape + leaf.shape[rank:]), pair)


def geometry(
    correlation: ArrayLike | None = None, gram: Sequence[ArrayLike] | None = None
) -> tuple[Gram, Float[Array, "*batch 2 2"]]:
    """The Gram matrix of two types, and the types themselves, from exactly one of the arguments.

    Args:
        correlation: ``e`` of the paper's types ``u = (1, e)`` and ``v = (e, 1)``, in [0, 1).
        gram: ``(k11, k12, k22)`` of any two types.
    Returns: the :class:`Gram` and an array whose rows are ``u`` and ``v``.
    Raises: ``ValueError`` or ``TypeError`` as :class:`CorrelatedPair`; traced values give NaN.
    Source: Sec. 5.1.2; any Gram matrix: new.
    """
    return _geometry(*checks.broadcast("gram", **_entries(correlation, gram)).values())


def _entries(
    correlation: ArrayLike | None, gram: Sequence[ArrayLike] | None
) -> dict[str, ArrayLike]:
    """The numbers that give the geometry, by the names that errors call them."""
    if correlation is not None and gram is None:
        return {"correlation": correlation}
    if correlation is not None or gram is None:
        raise ValueError("give either correlation or gram, not both and not neither")
    if len(gram) != 3:
        raise ValueError(f"gram must be (k11, k12, k22), got {len(gram)} entries")
    return dict(zip(("gram k11", "gram k12", "gram k22"), gram, strict=True))


def _geometry(*entries: Array) -> tuple[Gram, Array]:
    return _paper_geometry(*entries) if len(entries) == 1 else _any_geometry(*entries)


def _below_one(correlation: checks.Numbers) -> checks.Truth:
    return (correlation >= 0) & (correlation < 1)


def _paper_geometry(correlation: Array) -> tuple[Gram, Array]:
    """The Gram matrix and types of ``u = (1, e)``, ``v = (e, 1)``."""
    valid = checks.require("correlation", correlation, _below_one, "in [0, 1)")
    correlation = checks.known(valid, _below_one)
    one = jnp.ones_like(correlation)
    diagonal = 1 + correlation**2
    gram = Gram(
        first=diagonal,
        cross=2 * correlation,
        second=diagonal,
        determinant=((1 - correlation) * (1 + correlation)) ** 2,
    )
    first = jnp.stack([one, correlation], -1)
    second = jnp.stack([correlation, one], -1)
    return gram, jnp.stack([first, second], -2)


def _any_geometry(k11: Array, k12: Array, k22: Array) -> tuple[Gram, Array]:
    """Types of a given Gram matrix: its symmetric square root, which is the paper's choice too."""
    gram = _valid_gram(k11, k12, k22)
    root = jnp.sqrt(gram.determinant)
    scale = jnp.sqrt(gram.first + gram.second + 2 * root)
    first = jnp.stack([gram.first + root, gram.cross], -1)
    second = jnp.stack([gram.cross, gram.second + root], -1)
    return gram, jnp.stack([first, second], -2) / scale[..., None, None]


def _valid_gram(k11: Array, k12: Array, k22: Array) -> Gram:
    """The entries by the rules of a Gram matrix; traced ones that break a rule become NaN."""
    checks.positive("gram k11", k11)
    checks.finite("gram k12", k12)
    hint = " (more than one fold of the exponential loss is possible there)"
    checks.at_most("gram k12", k12, "gram k22", k22, hint)
    determinant = k11 * k22 - k12**2
    checks.require(
        "gram determinant k11 k22 - k12^2", determinant, _finite_and_positive, "finite and > 0"
    )
    if checks.is_traced(determinant):
        valid = _finite_and_positive(k11) & _finite_and_positive(determinant) & (k12 <= k22)
        k11 = jnp.where(valid, k11, jnp.nan)
        k12 = jnp.where(valid, k12, jnp.nan)
        k22 = jnp.where(valid, k22, jnp.nan)
        determinant = jnp.where(valid, determinant, jnp.nan)
    return Gram(first=k11, cross=k12, second=k22, determinant=determinant)


def _finite_and_positive(number: checks.Numbers) -> checks.Truth:
    return (number > 0) & (number < np.inf)
