r"""A correlated pair (Sec. 5.1.2): retained copies of ``u``, forgotten copies of ``v``, correlation between them.

.. math:: u = (1, \varepsilon), \quad v = (\varepsilon, 1), \qquad x = \langle w, u\rangle, \quad y = \langle w, v\rangle .

With signed masses ``A`` on u and ``±B`` on v a stationary point obeys, for any margin loss with :math:`\varphi = -\ell'`,

.. math:: \lambda x = A k_{11} \varphi(x) \pm B k_{12} \varphi(y), \qquad \lambda y = A k_{12}\varphi(x) \pm B k_{22}\varphi(y),

where k is the Gram matrix of u and v: :math:`k_{11} = k_{22} = 1 + \varepsilon^2`, :math:`k_{12} = 2\varepsilon` in the paper.
Pretraining has (A, B) = (r_p, f_p)/n and +; descent-ascent (r_p/r, f_p/f) and -; the oracle B = 0.
:mod:`gda_theory.pair.curve` solves all of them.
"""

import dataclasses

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
from theory_common.printing.display import readable

_ARRAYS = (
    "gram",
    "types",
    "ridge",
    "retain_size",
    "forget_size",
    "retain_in_pair",
    "forget_in_pair",
)


@readable()
@jax.tree_util.register_pytree_node_class
@dataclasses.dataclass(frozen=True, init=False, eq=False)
@backed_by("pair-gradient")
class CorrelatedPair:
    """Counts, ridge and correlation of a pair; an immutable pytree whose fields all carry the same batch shape.

    Args:
        correlation: ``epsilon`` in [0, 1); 0 is two separate coordinates. Leave it out when ``gram`` is given.
        ridge: finite and > 0 (1e-300 to 1e300 in float64).
        retain_size, forget_size: r and f, the sizes of the two sets; > 0, fractions allowed.
        retain_in_pair: r_p, how many of R are ``u``; 0 < r_p <= r.
        forget_in_pair: f_p = alpha r_p, how many of F are ``v``; 0 <= f_p <= f unless ``allow_unrealisable``. Windows and folds,
            whose unknown is alpha, ignore it.
        loss: ``"exponential"`` (the paper's proxy), ``"logistic"`` or a :class:`gda_theory.Loss`.
        reduction: ``"mean"`` (the paper: each set's losses are averaged) or ``"sum"``.
        gram: ``(k11, k12, k22)`` of any two types, instead of ``correlation``; positive definite, and ``k12 <= k22``: beyond
            that the exponential loss can have three folds (claim ``exponential-one-fold``), which are not told apart here.

    Raises: ``ValueError`` or ``TypeError`` naming the argument, for concrete values; traced ones give NaN later.
    Claim: ``pair-gradient``.
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
        correlation=None,
        *,
        ridge,
        retain_size,
        forget_size,
        retain_in_pair,
        forget_in_pair=0,
        loss="exponential",
        reduction="mean",
        allow_unrealisable=False,
        gram=None,
    ):
        shape = _shape(correlation, gram)
        values = checks.broadcast(
            "CorrelatedPair",
            **shape,
            ridge=ridge,
            retain_size=retain_size,
            forget_size=forget_size,
            retain_in_pair=retain_in_pair,
            forget_in_pair=forget_in_pair,
        )
        values = check_counts(values, "pair", allow_unrealisable)
        gram, types = _geometry(*(values.pop(name) for name in shape))
        reduction = checks.choice("reduction", reduction, ["mean", "sum"])
        vars(self).update(
            values, gram=gram, types=types, loss=losses.resolve(loss), reduction=reduction
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
    def correlation(self) -> Float[AnyArray, "*batch"]:
        """``epsilon`` of the paper's geometry: the second component of u."""
        return self.types[..., 0, 1]

    @property
    def alpha(self) -> Float[AnyArray, "*batch"]:
        """``forget_in_pair / retain_in_pair``."""
        return self.forget_in_pair / self.retain_in_pair

    @property
    def pretrain_masses(self) -> tuple[Array, Array]:
        """(A, B) of pretraining: counts over n (mean) or counts (sum)."""
        size = self.retain_size + self.forget_size if self.reduction == "mean" else 1
        return self.retain_in_pair / size, self.forget_in_pair / size

    @property
    def ascent_masses(self) -> tuple[Array, Array]:
        """(A, B) of descent-ascent at strength 1: counts over r and f (mean) or counts (sum)."""
        if self.reduction == "mean":
            return self.retain_in_pair / self.retain_size, self.forget_in_pair / self.forget_size
        return self.retain_in_pair, self.forget_in_pair

    def objective(self) -> Objective:
        """The same problem as signed weights on two types, for every iterative solver."""
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

    def replace(self, **changes) -> "CorrelatedPair":
        """A copy with some arrays exchanged: broadcast to a common batch, otherwise unchecked.

        ``TypeError`` for a name that is no array of a pair (make a new one for another correlation, loss or reduction).
        """
        unknown = changes.keys() - set(_ARRAYS)
        if unknown:
            raise TypeError(
                f"{unknown.pop()} is no array of a CorrelatedPair: replace exchanges {', '.join(_ARRAYS)}"
            )
        scalars = {
            name: jnp.asarray(changes[name], self.ridge.dtype)
            for name in changes.keys() - {"gram", "types"}
        }
        shape = jnp.broadcast_shapes(self.ridge.shape, *(value.shape for value in scalars.values()))
        wide = jax.tree.map(
            lambda leaf: jnp.broadcast_to(leaf, shape + leaf.shape[self.ridge.ndim :]), self
        )
        changes |= {name: jnp.broadcast_to(value, shape) for name, value in scalars.items()}
        return self.tree_unflatten(
            (self.loss, self.reduction),
            [changes.get(name, getattr(wide, name)) for name in _ARRAYS],
        )


def geometry(correlation=None, gram=None) -> tuple[Gram, Array]:
    """Gram matrix and types of ``u = (1, e)``, ``v = (e, 1)``, or of a Gram matrix ``(k11, k12, k22)``; exactly one is given."""
    return _geometry(*checks.broadcast("gram", **_shape(correlation, gram)).values())


def _shape(correlation, gram) -> dict:
    if (correlation is None) == (gram is None):
        raise ValueError("give either correlation or gram, not both and not neither")
    if gram is None:
        return {"correlation": correlation}
    if len(gram) != 3:
        raise ValueError(f"gram must be (k11, k12, k22), got {len(gram)} entries")
    return dict(zip(("gram k11", "gram k12", "gram k22"), gram, strict=True))


def _geometry(*entries: Array) -> tuple[Gram, Array]:
    return _paper_geometry(*entries) if len(entries) == 1 else _any_geometry(*entries)


def _below_one(correlation):
    return (correlation >= 0) & (correlation < 1)


def _paper_geometry(correlation: Array) -> tuple[Gram, Array]:
    """The Gram matrix and types of ``u = (1, e)``, ``v = (e, 1)``."""
    correlation = checks.known(
        checks.require("correlation", correlation, _below_one, "in [0, 1)"), _below_one
    )
    diagonal, one = 1 + correlation**2, jnp.ones_like(correlation)
    gram = Gram(diagonal, 2 * correlation, diagonal, ((1 - correlation) * (1 + correlation)) ** 2)
    return gram, jnp.stack(
        [jnp.stack([one, correlation], -1), jnp.stack([correlation, one], -1)], -2
    )


def _any_geometry(k11: Array, k12: Array, k22: Array) -> tuple[Gram, Array]:
    """Types of a given Gram matrix: its symmetric square root, which is the paper's choice too."""
    checks.positive("gram k11", k11)
    checks.finite("gram k12", k12)
    checks.at_most(
        "gram k12",
        k12,
        "gram k22",
        k22,
        " (more than one fold of the exponential loss is possible there)",
    )
    determinant = k11 * k22 - k12**2
    checks.require(
        "gram determinant k11 k22 - k12^2",
        determinant,
        lambda d: np.isfinite(d) & (d > 0),
        "finite and > 0",
    )
    root = jnp.sqrt(determinant)
    scale = jnp.sqrt(k11 + k22 + 2 * root)
    rows = jnp.stack([jnp.stack([k11 + root, k12], -1), jnp.stack([k12, k22 + root], -1)], -2)
    return Gram(k11, k12, k22, determinant), rows / scale[..., None, None]
