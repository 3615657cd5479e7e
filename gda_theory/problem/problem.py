"""The data of a problem, validated: features, labels and a forget mask; and its objective."""

import dataclasses
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float

from gda_theory.problem import estimators, prepared, validation
from gda_theory.problem.losses import Loss, resolve
from gda_theory.problem.multinomial import MultinomialProblem
from gda_theory.problem.objective import Objective
from gda_theory.problem.row_span import dense_features
from theory_common import checks, precision
from theory_common.precision import ArrayLike
from theory_common.printing.display import readable
from theory_common.pytrees import pytree


@readable()
@pytree(static=("loss", "reduction"))
@dataclasses.dataclass(frozen=True, init=False, eq=False)
class Problem:
    r"""The data of a linear classifier, split into rows to keep and rows to forget.

    Pretraining minimises :math:`J_D`. Retraining (the *oracle*) minimises :math:`J_R`.
    Descent-ascent minimises :math:`J_R` minus ``strength`` times the forget loss.
    With :math:`m_i = y_i\langle w, x_i\rangle`

    .. math:: J_S(w) = \frac{\sum_{i \in S} s_i\, \ell(m_i)}{N_S}
              + \tfrac12 \sum_j \lambda_j w_j^2, \qquad
              N_S = \sum_{i \in S} s_i \ (\texttt{mean}) \text{ or } 1 \ (\texttt{sum}).

    Args:
        features: finite, ``(n, d)``; a column of ones is an intercept. Sparse matrices of SciPy
            become dense. One with more columns than rows is replaced by the coordinates of
            :func:`gda_theory.row_span`, which keep margins, distances and the ridge.
        labels: ``(n,)``, -1/+1. 0/1 and booleans are mapped to -1/+1. Labels may all be of one
            class; with label +1 the rows are then the types ``y_i x_i`` themselves.
        forget: boolean mask ``(n,)``, True where the sample is to be forgotten.
        ridge: :math:`\lambda > 0`, one number or one per coordinate. In a vector, a 0 declares that
            coordinate *unpenalised*, which is meant for an intercept. On the retain set its
            ``y_i x_ij`` must have both signs. Otherwise the oracle diverges along it.
        loss: ``"logistic"``, ``"exponential"`` or a :class:`gda_theory.Loss`.
        reduction: ``"mean"`` (the paper) or ``"sum"`` (scikit-learn's, ``ridge = 1/C``).
        sample_weight: finite and >= 0, ``(n,)``; 1 by default. Each set needs a positive weight.
            In the retain set each class of the data needs one too.

    It is a frozen pytree: arrays are leaves, ``loss`` and ``reduction`` are static. Concrete values
    are validated here, and nowhere else. Traced values (inside jit) cannot raise an error: where
    one breaks a rule, the solutions are NaN.

    Raises: ``TypeError`` or ``ValueError`` that names the argument, the rule, what came and where.
    Source: *Ascent Fails to Forget*, Eq. 1 (means, one ridge); sums, weights and ridge per
        coordinate: new.
    """

    features: Float[Array, "n d"]
    signs: Float[Array, " n"]
    forget: Bool[Array, " n"]
    ridge: Float[Array, " d"]
    sample_weight: Float[Array, " n"]
    loss: Loss
    reduction: str

    def __init__(
        self,
        features: ArrayLike,
        labels: ArrayLike,
        forget: ArrayLike,
        *,
        ridge: ArrayLike,
        loss: str | Loss = "logistic",
        reduction: str = "mean",
        sample_weight: ArrayLike | None = None,
    ) -> None:
        vars(self).update(
            _arrays(features, labels, forget, ridge, sample_weight),
            loss=resolve(loss),
            reduction=checks.choice("reduction", reduction, validation.REDUCTIONS),
        )
        if any(checks.is_traced(leaf) for leaf in jax.tree.leaves(self)):
            vars(self).update(sample_weight=jnp.where(_is_split(self), self.sample_weight, jnp.nan))
        else:
            _check_sets(self)

    def replace(self, **changes: Any) -> "Problem":
        """A copy with other ``ridge``, ``loss``, ``forget``, ...; validated like a new one.

        Args:
            changes: arguments of :class:`Problem`.
        Raises: ``TypeError`` or ``ValueError`` that names the argument, as the constructor does.
        """
        names = ("features", "forget", "ridge", "loss", "reduction", "sample_weight")
        fields = {name: getattr(self, name) for name in names}
        return Problem(**{"labels": self.signs, **fields, **changes})

    @property
    def unpenalised(self) -> Bool[Array, " d"]:
        """Which coordinates carry no ridge (an intercept)."""
        return self.ridge == 0

    def objective(self) -> Objective:
        """The signed-weight :class:`Objective`: types ``y_i x_i``, and weights of each set.

        Its ``size_ratio`` is the ratio of the total weights, forget over retain.
        """
        return self.objective_on(self.signs[:, None] * self.features)

    def objective_on(self, types: Float[checks.Numbers, "n d"]) -> Objective:
        """:meth:`objective` with known ``types``, those of the same rows in another problem."""
        weigh = _weights if isinstance(self.features, np.ndarray) else _compiled_weights
        retain, forget, size_ratio = weigh(self.forget, self.sample_weight, self.reduction)
        return Objective(
            types=types,
            retain_weight=retain,
            forget_weight=forget,
            ridge=self.ridge,
            size_ratio=size_ratio,
            loss=self.loss,
            reduction=self.reduction,
        )

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        *,
        label: str,
        forget: Any,
        ridge: ArrayLike = 1e-2,
        loss: str | Loss = "logistic",
        reduction: str = "mean",
        intercept: bool = False,
        seed: int = 0,
        **choices: Any,
    ) -> "Problem | MultinomialProblem":
        """The problem of a data frame of pandas, Polars, PyArrow or another library.

        Categories, booleans, dates and missing values are encoded as the command ``diagnose`` does.
        :func:`gda_theory.problem.tables.from_frame` also says what was decided for each column. A
        warning names the columns that were dropped as identifiers.

        Args:
            frame: any data frame that narwhals knows.
            label: the column with the two classes. The larger number is +1, or True, or the later
                text by alphabet. With three to 100 classes the answer is a
                :class:`gda_theory.MultinomialProblem`.
            forget: a boolean mask, an expression of that library, or a text as in ``--forget``:
                ``"3,17,20-25"``, ``"random:N"``, ``"COL==VALUE"`` or an SQL condition.
            ridge, loss, reduction: as in :class:`Problem`.
            intercept: add a last column of ones that carries no ridge.
            seed: of ``"random:N"``.
            choices: ``drop``, ``keep``, ``keep_selector``, ``standardize`` and ``scale_on``, as in
                :class:`gda_theory.problem.prepared.Choices`.
        Returns: the problem.
        Raises: ``TypeError`` if it is no data frame. ``ValueError`` that names columns at fault.
        """
        data = prepared.from_frame(
            frame, label=label, forget=forget, seed=seed, choices=prepared.Choices(**choices)
        )
        if data.dropped:
            warnings.warn("; ".join(data.dropped), stacklevel=2)
        return of_prepared(data, ridge=ridge, loss=loss, reduction=reduction, intercept=intercept)

    @classmethod
    def from_estimator(
        cls,
        fitted: Any,
        X: ArrayLike,
        y: ArrayLike,
        forget: ArrayLike,
        *,
        sample_weight: ArrayLike | None = None,
    ) -> "Problem | MultinomialProblem":
        """The problem that a fitted scikit-learn classifier solved.

        ``pretrain`` of this problem gives the estimator's solution. It may be

        * a ``LogisticRegression``. scikit-learn minimises ``C sum_i s_i loss_i + |w|^2/2``, so the
          reduction is ``"sum"`` and the ridge is ``1/C`` (0 for ``C=inf`` or ``penalty=None``).
          With more than two classes the answer is a :class:`gda_theory.MultinomialProblem`.
        * a ``LogisticRegressionCV``. It is read as the fit at its chosen ``C``, on all data.
        * an ``SGDClassifier`` with ``loss="log_loss"`` and two classes. The reduction is ``"mean"``
          and the ridge is ``alpha`` (times n over the total weight, if rows have weights). It stops
          before its minimum, so ``pretrain`` is not ``coef_``; a warning says how far it is.
        * a ``Pipeline`` that ends with one of these. Give ``X`` as the pipeline received it. Its
          fitted steps transform it. They were fitted on all rows, also on those to forget, and are
          not fitted again: the oracle is retrained behind the same transformation.

        An unpenalised intercept becomes an appended column of ones with ridge 0. The solver
        liblinear penalises the intercept: for it the column holds ``intercept_scaling`` and has
        ridge ``1/C``. The larger of two ``classes_`` is +1. Class weights become sample weights.
        They are computed from all data, so ``"balanced"`` is not balanced again on the retain set.

        Args:
            fitted: the estimator, or a pipeline.
            X, y: what it was fitted on. A sparse ``X`` is made dense, up to 2^28 entries.
            sample_weight: the weights that the estimator was fitted with; of a pipeline, those
                that its last step was given (``fit(X, y, name__sample_weight=...)``).
            forget: boolean mask, as in :class:`Problem`.
        Returns: the problem.
        Raises: ``TypeError`` for another estimator; ``ValueError`` if it is not fitted, has another
            loss or penalty, or was fitted each class against the rest.
        Warns: ``UserWarning`` if the gradient at ``coef_`` on these data is above the solver's
            tolerance. Then the estimator solved another problem, or did not finish. Traced ``X``
            is not checked.
        """
        found = estimators.estimated(fitted, X, y, sample_weight)
        if len(found.classes) > 2:
            return MultinomialProblem.of_estimated(found, forget)
        return cls(
            found.features,
            np.where(found.labels == 1, 1, -1),
            forget,
            ridge=found.ridge,
            loss="logistic",
            reduction=found.reduction,
            sample_weight=found.sample_weight,
        )


def of_prepared(
    data: prepared.Prepared,
    *,
    ridge: ArrayLike,
    loss: str | Loss,
    reduction: str,
    intercept: bool,
) -> Problem | MultinomialProblem:
    """The problem of prepared rows, of the kind that their number of classes asks for.

    Raises: ``ValueError`` for another loss than the logistic one with more than two classes.
    """
    features, ridges = prepared.features_and_ridge(data, ridge, intercept)
    if len(data.classes) == 2:
        return Problem(
            features, data.labels, data.forget, ridge=ridges, loss=loss, reduction=reduction
        )
    if resolve(loss).name != "logistic":
        raise ValueError(
            f"loss must be 'logistic' for {len(data.classes)} classes, where it is the softmax"
            f" loss, got {resolve(loss).name!r}"
        )
    return MultinomialProblem(
        features,
        data.labels,
        data.forget,
        ridge=ridges,
        reduction=reduction,
        classes=data.classes,
    )


def _arrays(
    features: ArrayLike,
    labels: ArrayLike,
    forget: ArrayLike,
    ridge: ArrayLike,
    sample_weight: ArrayLike | None,
) -> dict[str, Array]:
    """The array fields of :class:`Problem`, converted, each with its values and shape validated."""
    features, ridge = dense_features(features, ridge)
    named = {"features": features, "ridge": ridge}
    if sample_weight is not None:
        named["sample_weight"] = sample_weight
    common = checks.reals(**named)
    features = validation.table(common["features"])
    count, dimension = features.shape
    mask = validation.mask(forget, count)
    signs = precision.working(_signs(labels, count), features.dtype)
    ridges = validation.ridges(ridge, common["ridge"], dimension)
    return {
        "features": checks.finite("features", features),
        "signs": signs,
        "forget": mask,
        "ridge": ridges,
        "sample_weight": validation.weights(common.get("sample_weight"), features),
    }


def _weights(
    forget: checks.Truth, sample_weight: checks.Numbers, reduction: str
) -> tuple[checks.Numbers, checks.Numbers, checks.Numbers]:
    """The weights of the rows in each set, and the ratio of their totals, forget over retain."""
    xp = sample_weight.__array_namespace__()
    retained = xp.where(forget, 0, sample_weight)
    forgotten = xp.where(forget, sample_weight, 0)
    totals = xp.sum(retained), xp.sum(forgotten)
    if reduction == "mean":
        retained, forgotten = retained / totals[0], forgotten / totals[1]
    return retained, forgotten, totals[1] / totals[0]


_compiled_weights = jax.jit(_weights, static_argnums=2)


def _signs(labels: ArrayLike, count: int) -> checks.Numbers:
    """Labels as ±1: from -1/+1, or from 0/1 and booleans.

    Traced ones are taken by their sign, with NaN for what is neither.
    """
    array = checks.unless_traced(labels)
    if array.shape != (count,):
        raise ValueError(
            f"labels must have shape ({count},), one per row of features, got {array.shape}"
        )
    if checks.is_traced(array):
        values = array.astype(jnp.zeros(()).dtype)
        valid = (jnp.abs(values) == 1) | ((values == 0) & jnp.all(values >= 0))
        return jnp.where(valid, jnp.where(values > 0, 1.0, -1.0), jnp.nan)
    if array.dtype.kind not in "biuf":
        raise TypeError(
            f"labels must be -1/+1 or 0/1, got dtype {array.dtype}, {array[0]!r} at index (0,);"
            " map your classes first"
        )
    array = array.astype(float)
    negative = 0.0 if not np.any(array == -1) else -1.0
    bad = np.flatnonzero((array != 1) & (array != negative))
    if len(bad):
        raise ValueError(
            f"labels must be all -1/+1 or all 0/1, got {array[bad[0]]:g} at index ({bad[0]},)"
        )
    return np.where(array == 1, 1.0, -1.0)


def _is_split(problem: Problem) -> Bool[Array, ""]:
    """What traced values, which cannot raise, must satisfy.

    Weights are >= 0. Both sets have a positive one. So does each class in the retain set, if it is
    in the data.
    """
    present = problem.sample_weight > 0
    kept = ~problem.forget
    split = jnp.all(problem.sample_weight >= 0)
    split &= jnp.any(present & problem.forget) & jnp.any(present & kept)
    for sign in (-1, 1):
        of_class = present & (problem.signs == sign)
        split &= ~jnp.any(of_class) | jnp.any(of_class & kept)
    return split


def _check_sets(problem: Problem) -> None:
    """Validates the split into two sets.

    Both sets have weight, every class stays in the retain set, and no unpenalised coordinate lets
    the oracle run away.
    """
    forget = np.asarray(problem.forget)
    signs = np.asarray(problem.signs)
    present = np.asarray(problem.sample_weight) > 0
    validation.both_sets(forget, present)
    for sign in (-1, 1):
        of_class = present & (signs == sign)
        if np.any(of_class) and not np.any(of_class & ~forget):
            raise ValueError(
                f"forget must leave each class in the retain set: it takes all {of_class.sum()}"
                f" samples with label {sign:+d}"
            )
    kept = ~forget & present
    for column in np.flatnonzero(np.asarray(problem.ridge) == 0):
        sides = signs[kept] * np.asarray(problem.features)[kept, column]
        if not (np.any(sides > 0) and np.any(sides < 0)):
            raise ValueError(
                f"ridge must be > 0 at index ({column},): on the retain set y_i x_i{column} has one"
                " sign only, so without a penalty no finite weight is best"
            )
