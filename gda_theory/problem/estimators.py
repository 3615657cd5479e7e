"""What a fitted scikit-learn estimator minimised, and whether it did so on the data given."""

import inspect
import warnings
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from gda_theory.problem.row_span import is_sparse
from theory_common import checks
from theory_common.checks import Numbers
from theory_common.precision import ArrayLike

SLACK = 2  # times the solver's tolerance
# The part of the gradient's terms that solvers leave by rounding, whatever their tolerance. lbfgs
# stops where the loss changes by less than 64 machine epsilons, so at about their root.
ROUNDING = {np.dtype(np.float64): 1e-5, np.dtype(np.float32): 1e-2}
STOCHASTIC = 100  # sag and saga stop when weights, not gradients, change by less than tol
LARGEST_DENSE = 2**28  # entries of a sparse matrix that is made dense: 2 GB
SUPPORTED = "LogisticRegression, LogisticRegressionCV or SGDClassifier, or a Pipeline that ends so"


class Estimated(NamedTuple):
    """The problem that an estimator was fitted to, and the ``weights`` that it found.

    * ``features``: as its last step saw them, with a column for the intercept as the last.
    * ``labels``: positions in ``classes``.
    * ``weights``: one row for two classes, else one row a class.
    """

    features: Float[Numbers, "n d"]
    labels: Int[np.ndarray, " n"]
    classes: tuple[Any, ...]
    ridge: Float[np.ndarray, " d"]
    reduction: str
    sample_weight: ArrayLike | None
    weights: Float[np.ndarray, "rows d"]
    estimator: Any
    has_intercept: bool


def estimated(
    fitted: Any, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None
) -> Estimated:
    """Read an estimator, and warn if its weights do not solve the problem on these data.

    Args:
        fitted: the estimator, or a pipeline that ends with it.
        X, y, sample_weight: what it was fitted on. A pipeline transforms X by its fitted steps.
    Raises: ``TypeError`` for another estimator; ``ValueError`` if it is not fitted, or has another
        loss or penalty, or the data do not match.
    Warns: ``UserWarning`` if the gradient at its weights is above its solver's tolerance. Traced
        numbers are not checked.
    """
    last, seen = _last_step(fitted, X)
    scale, ridge = _penalty(last)
    features = checks.finite("X", seen)
    classes = tuple(np.asarray(last.classes_).tolist())
    labels = _labels(last, y)
    if features.ndim != 2 or features.shape[1] != last.coef_.shape[1]:
        raise ValueError(
            f"X must have shape (n, {last.coef_.shape[1]}), as in the fit, got {features.shape}"
        )
    if labels.shape != features.shape[:1]:
        raise ValueError(
            f"y must have shape ({len(features)},), one label per row of X, got {labels.shape}"
        )
    weight = _weights(last, labels, y, sample_weight)
    weights = np.asarray(last.coef_, float)
    ridges = np.full(features.shape[1], ridge)
    if scale is not None:
        features = jnp.concatenate([features, jnp.full_like(features[:, :1], scale)], 1)
        liblinear = getattr(last, "solver", "") == "liblinear"
        ridges = np.append(ridges, ridge if liblinear else 0.0)
        weights = np.column_stack([weights, last.intercept_ / scale])
    reduction = "mean" if _is_stochastic(last) else "sum"
    if reduction == "mean" and weight is not None and not checks.is_traced(weight):
        # SGDClassifier divides by the number of rows, a Problem by their total weight.
        ridges = ridges * (len(labels) / np.sum(np.asarray(weight)))
    found = Estimated(
        features=features,
        labels=labels,
        classes=classes,
        ridge=ridges,
        reduction=reduction,
        sample_weight=weight,
        weights=weights,
        estimator=last,
        has_intercept=scale is not None,
    )
    if not any(map(checks.is_traced, (features, 1.0 if weight is None else weight))):
        _warn_unless_solved(found)
    return found


# Reading an estimator ----------------------------------------------------------------------------


def _last_step(fitted: Any, X: Any) -> tuple[Any, Any]:
    """The last step of a pipeline and the features that it sees; any other as it is."""
    from sklearn.pipeline import Pipeline

    if not isinstance(fitted, Pipeline):
        return fitted, _dense(X)
    last = fitted.steps[-1][1]
    _penalty(last)  # an error about the estimator comes before one about the data
    return last, _dense(fitted[:-1].transform(X) if len(fitted.steps) > 1 else X)


def _dense(X: Any) -> Any:
    """A sparse matrix as a dense one, if it is not too large."""
    if not is_sparse(X):
        return X
    if X.shape[0] * X.shape[1] > LARGEST_DENSE:
        raise ValueError(
            f"X must have at most {LARGEST_DENSE} entries once it is dense, got shape {X.shape};"
            " give the estimator fewer columns, for example by scikit-learn's TruncatedSVD"
        )
    return X.toarray()


def _is_stochastic(fitted: Any) -> bool:
    from sklearn.linear_model import SGDClassifier

    return isinstance(fitted, SGDClassifier)


def _penalty(fitted: Any) -> tuple[float | None, float]:
    """The value of the intercept's column (None without one), and the ridge."""
    from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, SGDClassifier

    if not isinstance(fitted, LogisticRegression | LogisticRegressionCV | SGDClassifier):
        raise TypeError(
            f"fitted must be a scikit-learn {SUPPORTED}, got {type(fitted).__name__}"
            " (of a search, pass its best_estimator_)"
        )
    if not hasattr(fitted, "coef_"):
        raise ValueError("fitted must be fitted: call fitted.fit(X, y) first")
    if isinstance(fitted, SGDClassifier):
        return _penalty_of_descent(fitted)
    _require_one_loss(fitted)
    cross_validated = isinstance(fitted, LogisticRegressionCV)
    if cross_validated and not fitted.refit:
        raise ValueError(
            "fitted must be one fit on all data, got a LogisticRegressionCV with refit=False,"
            " whose coef_ is a mean over folds"
        )
    mix = _chosen(fitted.l1_ratio_ if cross_validated else fitted.l1_ratio) or 0
    _require_ridge(fitted.penalty, mix)
    strength = _chosen(fitted.C_) if cross_validated else fitted.C
    ridge = 0.0 if fitted.penalty is None else 1 / strength
    if not fitted.fit_intercept:
        return None, ridge
    return (float(fitted.intercept_scaling) if fitted.solver == "liblinear" else 1.0), ridge


def _penalty_of_descent(fitted: Any) -> tuple[float | None, float]:
    """:func:`_penalty` of an ``SGDClassifier``."""
    if fitted.loss != "log_loss":
        raise ValueError(f"fitted must have loss='log_loss', got loss={fitted.loss!r}")
    if len(fitted.classes_) != 2:
        raise ValueError(
            "fitted must be binary if it is an SGDClassifier, which fits each class against the"
            f" rest and has no softmax loss, got {len(fitted.classes_)} classes; fit a"
            " LogisticRegression, or give one SGDClassifier for each class"
        )
    _require_ridge(fitted.penalty, fitted.l1_ratio if fitted.penalty == "elasticnet" else 0)
    ridge = 0.0 if fitted.penalty is None else float(fitted.alpha)
    return (1.0 if fitted.fit_intercept else None), ridge


def _require_one_loss(fitted: Any) -> None:
    """``ValueError`` unless the fit minimised one logistic or one softmax loss."""
    scheme = getattr(fitted, "multi_class", "auto")
    several = len(fitted.classes_) > 2
    if several and (scheme == "ovr" or fitted.solver == "liblinear"):
        raise ValueError(
            f"fitted must have the softmax loss, got {len(fitted.classes_)} classes that were"
            " fitted each against the rest; give one binary estimator for each class"
        )
    if not several and (scheme == "multinomial" or fitted.coef_.shape[0] != 1):
        raise ValueError(
            "fitted must be binary logistic regression, got multi_class='multinomial',"
            " which penalises two weights a feature"
        )


def _chosen(value: Any) -> Any:
    """The only value of an array, or the value itself."""
    values = list(dict.fromkeys(np.ravel(np.asarray(value)).tolist()))
    if len(values) != 1:
        raise ValueError(
            f"fitted must have one penalty for all classes, got C_ or l1_ratio_ = {values}"
        )
    return values[0]


def _require_ridge(penalty: Any, mix: float) -> None:
    """``ValueError`` unless the penalty is a ridge or none; ``mix`` is the share of l1."""
    # "deprecated" is scikit-learn 1.8's default: l1_ratio and C then say everything.
    if penalty not in ("l2", "deprecated", None) and not (penalty == "elasticnet" and mix == 0):
        raise ValueError(f"fitted must have an l2 penalty or none, got penalty={penalty!r}")
    if penalty == "deprecated" and mix != 0:
        raise ValueError(f"fitted must have an l2 penalty or none, got l1_ratio={mix!r}")


def _labels(fitted: Any, y: ArrayLike) -> Int[np.ndarray, " n"]:
    """The position of each label in ``classes_``."""
    labels = np.asarray(y)
    unknown = np.flatnonzero(~np.isin(labels, fitted.classes_))
    if len(unknown):
        raise ValueError(
            f"y must hold the fitted classes {fitted.classes_.tolist()},"
            f" got {np.ravel(labels)[unknown[0]]!r} at index ({unknown[0]},)"
        )
    return np.searchsorted(fitted.classes_, labels)


def _weights(
    fitted: Any, labels: Int[np.ndarray, " n"], y: ArrayLike, sample_weight: ArrayLike | None
) -> ArrayLike | None:
    """``sample_weight`` times the class weights that the fit used."""
    if fitted.class_weight is None:
        return sample_weight
    from sklearn.utils.class_weight import compute_class_weight

    options = {
        "class_weight": fitted.class_weight,
        "classes": fitted.classes_,
        "y": np.asarray(y),
    }
    # From scikit-learn 1.7 on, "balanced" balances the sample weights and not the counts. An
    # SGDClassifier balances the counts.
    balances = "sample_weight" in inspect.signature(compute_class_weight).parameters
    if balances and not _is_stochastic(fitted):
        options["sample_weight"] = sample_weight
    of_class = compute_class_weight(**options)
    return of_class[labels] * (1.0 if sample_weight is None else np.asarray(sample_weight))


# The premise -------------------------------------------------------------------------------------


class _Slope(NamedTuple):
    """The gradient at the estimator's weights, the sizes of its terms, and what is allowed.

    They are those of the sum over the rows.
    """

    gradient: Float[np.ndarray, "rows d"]
    terms: Float[np.ndarray, "rows d"]
    allowed: Float[np.ndarray, "rows d"]
    total: float  # weight of the rows


def _warn_unless_solved(found: Estimated) -> None:
    """Warn if the gradient at the estimator's weights is above its solver's tolerance."""
    slope = _slope(found)
    floor = ROUNDING.get(np.asarray(found.estimator.coef_).dtype, 1e-2) * slope.terms
    excess = np.abs(slope.gradient) - np.maximum(slope.allowed, floor)
    row, column = np.unravel_index(np.argmax(excess), excess.shape)
    if excess[row, column] <= 0:
        return
    intercept = found.has_intercept and column == excess.shape[1] - 1
    name = "the intercept" if intercept else f"column {column}"
    if len(excess) > 1:
        name += f" of class {found.classes[row]!r}"
    size = abs(slope.gradient[row, column])
    if _is_stochastic(found.estimator):
        part = size / slope.terms[row, column]
        message = (
            f"fitted has not reached the minimum of its loss: the gradient at coef_ along {name} is"
            f" {size / slope.total:.2g}, {100 * part:.2g} % of the size of its terms. Stochastic"
            " descent stops early. If that part is large, was X scaled or transformed before the"
            " fit, or were sample weights used? pretrain of this problem gives the exact minimum,"
            " which is not coef_"
        )
    else:
        message = (
            f"fitted has not minimised its loss on X and y: the gradient at coef_ along {name} is"
            f" {size:.2g}, where its solver allows {slope.allowed[row, column]:.2g}. Was X scaled"
            " or transformed before the fit? Were sample weights or other rows used? Did the fit"
            " end at max_iter? pretrain of this problem is not coef_"
        )
    warnings.warn(message, UserWarning, stacklevel=4)


def _slope(found: Estimated) -> _Slope:
    features = np.asarray(found.features, float)
    given = 1.0 if found.sample_weight is None else np.asarray(found.sample_weight, float)
    weight = np.broadcast_to(given, len(features))
    total = float(np.sum(weight))
    ridge = found.ridge * (total if found.reduction == "mean" else 1.0)
    residual = weight[:, None] * _residual(found, features)
    penalty = ridge * found.weights
    terms = np.abs(penalty) + np.abs(residual).T @ np.abs(features)
    return _Slope(
        gradient=penalty + residual.T @ features,
        terms=terms,
        allowed=SLACK * _tolerance(found, features, weight, terms),
        total=total,
    )


def _residual(found: Estimated, features: Float[np.ndarray, "n d"]) -> np.ndarray:
    """The derivative of each row's loss in its scores, without cancellation."""
    scores = features @ found.weights.T
    if scores.shape[1] == 1:
        sign = np.where(found.labels == 1, 1.0, -1.0)
        return (-sign * np.exp(-np.logaddexp(0, sign * scores[:, 0])))[:, None]
    own = found.labels[:, None] == np.arange(scores.shape[1])
    top = np.max(scores, 1, keepdims=True)
    parts = np.exp(scores - top)
    others = np.where(own, 0.0, parts / np.sum(parts, 1, keepdims=True))
    return np.where(own, -np.sum(others, 1, keepdims=True), others)


def _tolerance(
    found: Estimated,
    features: Float[np.ndarray, "n d"],
    weight: Float[np.ndarray, " n"],
    terms: Float[np.ndarray, "rows d"],
) -> Float[np.ndarray, "rows d"]:
    """The entries of a gradient at which the estimator's solver stops.

    The objective is a sum over the rows; most solvers judge the mean.
    """
    fitted = found.estimator
    if _is_stochastic(fitted):
        return np.zeros_like(terms)  # it does not look at the gradient
    if fitted.solver == "liblinear":
        sign = np.where(found.labels == 1, 1.0, -1.0)
        at_zero = (weight * sign) @ features / 2
        return np.full_like(terms, fitted.tol * np.linalg.norm(at_zero))
    if fitted.solver in ("sag", "saga"):
        return STOCHASTIC * fitted.tol * terms
    return np.full_like(terms, fitted.tol * np.sum(weight))
