"""The data of a linear classifier with K classes, validated; and its objective."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Int

from gda_theory.problem import classes as softmax
from gda_theory.problem import estimators, validation
from gda_theory.problem.classes import ClassObjective, ClassRows
from gda_theory.problem.row_span import dense_features
from theory_common import checks
from theory_common.checks import Numbers
from theory_common.precision import ArrayLike
from theory_common.printing.display import readable
from theory_common.pytrees import pytree


@readable()
@pytree(static=("classes", "reduction"))
@dataclasses.dataclass(frozen=True, init=False, eq=False)
class MultinomialProblem:
    r"""The data of a linear classifier with K classes, some rows of which are to be forgotten.

    As :class:`gda_theory.Problem`, with the softmax loss. The weights W have shape (K, d):

    .. math:: J_S(W) = \frac{1}{N_S}\sum_{i \in S} s_i \Bigl(\log\sum_k e^{\langle w_k, x_i\rangle}
              - \langle w_{y_i}, x_i\rangle\Bigr)
              + \tfrac12 \sum_k \sum_j \lambda_j w_{kj}^2 .

    The functions that solve a Problem solve this one too: :func:`gda_theory.pretrain`,
    :func:`gda_theory.retrain`, :func:`gda_theory.newton_step`, :func:`gda_theory.descent_ascent`,
    :func:`gda_theory.ascent_path` and :func:`gda_theory.diagnose`. Adding one vector to all
    :math:`w_k` changes no loss. The ridge makes their sum 0.
    If an intercept has no ridge, the solver makes the sum of its weights 0, as scikit-learn does.

    Args:
        features: finite, ``(n, d)``, dense or sparse as in :class:`gda_theory.Problem`; a column of
            ones is an intercept.
        labels: ``(n,)``, whole numbers 0 to K-1.
        forget: boolean mask ``(n,)``, True where the row is to be forgotten.
        ridge: > 0, one number or one per column. A 0 in a vector declares an unpenalised intercept,
            and is allowed for one constant column only. Whether a minimum exists without a ridge on
            other columns is not decided.
        reduction: ``"mean"`` (the paper) or ``"sum"`` (scikit-learn's, ``ridge = 1/C``).
        sample_weight: finite and >= 0, ``(n,)``; 1 by default. Each set needs a positive weight.
        classes: names of the K classes, for reports. By default 0 to K-1, with K - 1 the largest
            label.

    A class may be forgotten as a whole. With an unpenalised intercept it may not, since the oracle
    has no minimum then. The path is followed for up to ``K d = 2000`` weights. Newton's method
    takes any number, at a cost of ``n (K d)^2 / 2 + (K d)^3 / 3`` a step.

    It is a frozen pytree: arrays are leaves, ``classes`` and ``reduction`` are static. Concrete
    values are validated here. Traced values cannot raise an error. Traced labels need ``classes``.

    Raises: ``TypeError`` or ``ValueError`` that names the argument, the rule, what came and where.
    Source: new; the loss is that of scikit-learn's multinomial ``LogisticRegression``.

    Example::

        import gda_theory as gt
        import numpy as np

        features = np.random.default_rng(0).normal(size=(90, 4))
        labels = np.arange(90) % 3
        forget = np.arange(90) < 9
        problem = gt.MultinomialProblem(features, labels, forget, ridge=0.1)
        gt.retrain(problem).weights.shape  # (3, 4)
    """

    features: Float[Array, "n d"]
    labels: Int[Array, " n"]
    forget: Bool[Array, " n"]
    ridge: Float[Array, " d"]
    sample_weight: Float[Array, " n"]
    classes: tuple[Any, ...]
    reduction: str

    def __init__(
        self,
        features: ArrayLike,
        labels: ArrayLike,
        forget: ArrayLike,
        *,
        ridge: ArrayLike,
        reduction: str = "mean",
        sample_weight: ArrayLike | None = None,
        classes: Sequence[Any] | None = None,
    ) -> None:
        features, ridge = dense_features(features, ridge)
        named = {"features": features, "ridge": ridge}
        if sample_weight is not None:
            named["sample_weight"] = sample_weight
        common = checks.reals(**named)
        table = validation.table(common["features"])
        count, dimension = table.shape
        numbers, names = _labels(labels, classes, count)
        vars(self).update(
            features=checks.finite("features", table),
            labels=numbers,
            forget=validation.mask(forget, count),
            ridge=validation.ridges(ridge, common["ridge"], dimension),
            sample_weight=validation.weights(common.get("sample_weight"), table),
            classes=names,
            reduction=checks.choice("reduction", reduction, validation.REDUCTIONS),
        )
        if not any(checks.is_traced(leaf) for leaf in jax.tree.leaves(self)):
            _check(self)

    def replace(self, **changes: Any) -> "MultinomialProblem":
        """A copy with other ``ridge``, ``forget``, ...; validated like a new one.

        Args:
            changes: arguments of :class:`MultinomialProblem`.
        Raises: ``TypeError`` or ``ValueError`` that names the argument, as the constructor does.
        """
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return MultinomialProblem(**{**fields, **changes})

    @property
    def unpenalised(self) -> Bool[Array, " d"]:
        """Which columns carry no ridge (an intercept)."""
        return self.ridge == 0

    @property
    def size(self) -> int:
        """The number of weights, ``K d``."""
        return len(self.classes) * self.features.shape[1]

    def objective(self) -> ClassObjective:
        """The objective as the solvers see it, a function of the *coordinates* of the weights.

        See :func:`weights_of`. Its ``size_ratio`` is the ratio of the total weights, forget over
        retain.
        """
        xp = self.features.__array_namespace__()
        retain = xp.where(self.forget, 0, self.sample_weight)
        forget = xp.where(self.forget, self.sample_weight, 0)
        retain_total = xp.sum(retain)
        forget_total = xp.sum(forget)
        if self.reduction == "mean":
            retain, forget = retain / retain_total, forget / forget_total
        count = len(self.classes)
        own = (self.labels[:, None] == np.arange(count)).astype(self.features.dtype)
        return ClassObjective(
            types=ClassRows(features=self.features, own=own),
            retain_weight=retain,
            forget_weight=forget,
            ridge=xp.tile(self.ridge, count - 1),
            size_ratio=forget_total / retain_total,
            reduction=self.reduction,
        )

    def weights_of(self, coordinates: Float[Numbers, "*batch m"]) -> Numbers:
        """Weights (K, d) of coordinates: ``m = (K - 1) d`` numbers, which keep lengths.

        They leave out what all classes have in common, which is 0 at a solution.
        """
        return softmax.weights_of(coordinates, len(self.classes))

    def coordinates_of(self, weights: ArrayLike) -> Float[Array, "*batch m"]:
        """The coordinates of weights ``(*batch, K, d)``; what all classes share is dropped."""
        given = checks.real("weights", weights, self.features.dtype)
        shape = (len(self.classes), self.features.shape[1])
        if given.shape[-2:] != shape:
            raise ValueError(f"weights must have shape {shape}, got {given.shape}")
        return softmax.coordinates_of(given)

    @classmethod
    def from_estimator(
        cls,
        fitted: Any,
        X: ArrayLike,
        y: ArrayLike,
        forget: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> "MultinomialProblem":
        """The problem that a fitted multinomial ``LogisticRegression`` solved.

        Arguments, errors and warnings are those of :meth:`gda_theory.Problem.from_estimator`, which
        takes such an estimator too. ``classes`` are its ``classes_``.

        Raises: ``ValueError`` for a binary estimator.
        """
        found = estimators.estimated(fitted, X, y, sample_weight)
        if len(found.classes) < 3:
            raise ValueError(
                "fitted must have more than two classes: of a binary estimator take"
                " gt.Problem.from_estimator"
            )
        return cls.of_estimated(found, forget)

    @classmethod
    def of_estimated(cls, found: estimators.Estimated, forget: ArrayLike) -> "MultinomialProblem":
        """The problem that was read from an estimator, with the rows to forget."""
        return cls(
            found.features,
            found.labels,
            forget,
            ridge=found.ridge,
            reduction=found.reduction,
            sample_weight=found.sample_weight,
            classes=found.classes,
        )


def _labels(
    labels: ArrayLike, classes: Sequence[Any] | None, count: int
) -> tuple[Int[Array, " n"], tuple[Any, ...]]:
    """The labels as integers, and the names of the classes."""
    array = checks.unless_traced(labels)
    if array.shape != (count,):
        raise ValueError(
            f"labels must have shape ({count},), one per row of features, got {array.shape}"
        )
    if checks.is_traced(array):
        if classes is None:
            raise TypeError("classes must be given with traced labels, which hide their number")
        return array.astype(jnp.int32), _names(classes)
    if array.dtype.kind not in "iuf":
        raise TypeError(
            "labels must be whole numbers 0 to K-1, for example by names, labels ="
            f" numpy.unique(labels, return_inverse=True); got dtype {array.dtype}"
        )
    bad = np.flatnonzero(~((array >= 0) & (array == np.floor(array)) & (array < 2**31)))
    if len(bad):
        raise ValueError(
            f"labels must be whole numbers 0 to K-1, got {array[bad[0]]:g} at index ({bad[0]},)"
        )
    numbers = array.astype(np.int32)
    largest = int(numbers.max())
    names = tuple(range(largest + 1)) if classes is None else _names(classes)
    if largest >= len(names):
        place = int(np.argmax(numbers))
        raise ValueError(
            f"labels must be < {len(names)}, the number of classes,"
            f" got {largest} at index ({place},)"
        )
    if len(names) < 2:
        raise ValueError(f"labels must be of at least 2 classes, got {len(names)}")
    return jax.device_put(numbers), names


def _names(classes: Sequence[Any]) -> tuple[Any, ...]:
    """The names as a tuple of Python values, all different."""
    if isinstance(classes, str) or not hasattr(classes, "__len__"):
        raise TypeError(f"classes must be a list of names, got {classes!r}")
    names = tuple(np.asarray(classes).tolist())
    if len(names) < 2 or len(set(names)) < len(names):
        raise ValueError(f"classes must be at least 2 different names, got {list(names)}")
    return names


def _check(problem: MultinomialProblem) -> None:
    """Validates both sets, and that the intercept of each class has a minimum."""
    forget = np.asarray(problem.forget)
    labels = np.asarray(problem.labels)
    present = np.asarray(problem.sample_weight) > 0
    validation.both_sets(forget, present)
    free = np.flatnonzero(np.asarray(problem.ridge) == 0)
    features = np.asarray(problem.features)
    for column in free:
        entries = features[:, column]
        if entries[0] == 0 or np.any(entries != entries[0]):
            raise ValueError(
                f"ridge must be > 0 at index ({column},): with several classes only a constant"
                " column, an intercept, may go without. Whether a minimum exists without a ridge on"
                " other columns is not decided"
            )
    if len(free) > 1:
        raise ValueError(
            f"ridge must be > 0 in all columns but one, got 0 at {free.tolist()}: several"
            " unpenalised intercepts are linearly dependent"
        )
    if not len(free):
        return
    for number, name in enumerate(problem.classes):
        if not np.any(present & ~forget & (labels == number)):
            raise ValueError(
                f"forget must leave rows of each class, since the intercept in column {free[0]} has"
                f" no ridge: class {name!r} has none, so its intercept would be -infinity"
            )
