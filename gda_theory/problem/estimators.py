"""What a fitted scikit-learn estimator minimised, and whether it did so on the data given."""

import inspect
import warnings
from typing import Any

import numpy as np
from jaxtyping import Float

from theory_common.precision import ArrayLike

SLACK = 2  # times the solver's tolerance
# The part of the gradient's terms that solvers leave by rounding, whatever their tolerance. lbfgs
# stops where the loss changes by less than 64 machine epsilons, so at about their root.
ROUNDING = {np.dtype(np.float64): 1e-5, np.dtype(np.float32): 1e-2}
STOCHASTIC = 100  # sag and saga stop when weights, not gradients, change by less than tol


def warn_unless_solved(
    fitted: Any,
    scale: float | None,
    features: Float[np.ndarray, "n d"],
    signs: Float[np.ndarray, " n"],
    ridge: Float[np.ndarray, " d"],
    weight: Float[np.ndarray, "..."],
) -> None:
    """Warn if the gradient at the estimator's weights is above its solver's tolerance.

    Args:
        fitted: the estimator.
        scale: the value of the intercept's column, the last of ``features``; None without one.
        features, signs, ridge, weight: the problem that it is said to have solved, as a sum.
    """
    point = np.asarray(fitted.coef_[0], float)
    if scale is not None:
        point = np.append(point, fitted.intercept_[0] / scale)
    types = signs[:, None] * np.asarray(features, float)
    weight = np.broadcast_to(weight, len(types))
    forces = weight * np.exp(-np.logaddexp(0, types @ point))
    gradient = ridge * point - forces @ types
    terms = ridge * np.abs(point) + forces @ np.abs(types)
    allowed = SLACK * _tolerance(fitted, types, weight, terms)
    floor = ROUNDING.get(np.asarray(fitted.coef_).dtype, 1e-2) * terms
    excess = np.abs(gradient) - np.maximum(allowed, floor)
    worst = int(np.argmax(excess))
    if excess[worst] <= 0:
        return
    column = "the intercept" if worst == fitted.coef_.shape[1] else f"column {worst}"
    warnings.warn(
        f"fitted has not minimised its loss on X and y: the gradient at coef_ along {column} is"
        f" {abs(gradient[worst]):.2g}, where its solver allows {allowed[worst]:.2g}. Was X scaled"
        " or transformed before the fit? Were sample weights or other rows used? Did the fit end"
        " at max_iter? pretrain of this problem is not coef_",
        UserWarning,
        stacklevel=3,
    )


def _tolerance(
    fitted: Any,
    types: Float[np.ndarray, "n d"],
    weight: Float[np.ndarray, " n"],
    terms: Float[np.ndarray, " d"],
) -> Float[np.ndarray, " d"]:
    """The entries of a gradient at which the estimator's solver stops.

    The objective is a sum over the rows; most solvers judge the mean.
    """
    if fitted.solver == "liblinear":
        at_zero = weight @ types / 2
        return np.full_like(terms, fitted.tol * np.linalg.norm(at_zero))
    if fitted.solver in ("sag", "saga"):
        return STOCHASTIC * fitted.tol * terms
    return np.full_like(terms, fitted.tol * np.sum(weight))


def penalty(fitted: Any) -> tuple[float | None, float]:
    """The value of the intercept's column (None without one), and the ridge."""
    from sklearn.linear_model import LogisticRegression, LogisticRegressionCV

    if not isinstance(fitted, LogisticRegression | LogisticRegressionCV):
        raise TypeError(
            f"fitted must be a scikit-learn LogisticRegression, got {type(fitted).__name__}"
            " (of a pipeline or a search, pass the fitted LogisticRegression inside,"
            " with X as that step saw it)"
        )
    if not hasattr(fitted, "coef_"):
        raise ValueError("fitted must be fitted: call fitted.fit(X, y) first")
    if len(fitted.classes_) != 2 or fitted.coef_.shape[0] != 1:
        raise ValueError(f"fitted must be binary, got {len(fitted.classes_)} classes")
    if getattr(fitted, "multi_class", "auto") == "multinomial":
        raise ValueError(
            "fitted must be binary logistic regression, got multi_class='multinomial',"
            " which penalises two weights a feature"
        )
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


def _chosen(value: Any) -> Any:
    """The only entry of an array (one class has been fitted), or the value itself."""
    return np.asarray(value).item()


def _require_ridge(penalty: Any, mix: float) -> None:
    """``ValueError`` unless the penalty is a ridge or none; ``mix`` is the share of l1."""
    # "deprecated" is scikit-learn 1.8's default: l1_ratio and C then say everything.
    if penalty not in ("l2", "deprecated", None) and not (penalty == "elasticnet" and mix == 0):
        raise ValueError(f"fitted must have an l2 penalty or none, got penalty={penalty!r}")
    if penalty == "deprecated" and mix != 0:
        raise ValueError(f"fitted must have an l2 penalty or none, got l1_ratio={mix!r}")


def signs(fitted: Any, y: ArrayLike) -> np.ndarray:
    """``y`` as ±1, the larger of ``classes_`` being +1."""
    labels = np.asarray(y)
    unknown = np.flatnonzero(~np.isin(labels, fitted.classes_))
    if len(unknown):
        raise ValueError(
            f"y must hold the fitted classes {fitted.classes_.tolist()},"
            f" got {labels[unknown[0]]!r} at index ({unknown[0]},)"
        )
    return np.where(labels == fitted.classes_[1], 1, -1)


def weights(fitted: Any, y: ArrayLike, sample_weight: ArrayLike | None) -> ArrayLike | None:
    """``sample_weight`` times the class weights that the fit used."""
    if fitted.class_weight is None:
        return sample_weight
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.asarray(y)
    options = {"class_weight": fitted.class_weight, "classes": fitted.classes_, "y": labels}
    # From scikit-learn 1.7 on, "balanced" balances the sample weights and not the counts.
    if "sample_weight" in inspect.signature(compute_class_weight).parameters:
        options["sample_weight"] = sample_weight
    of_class = compute_class_weight(**options)
    return np.where(labels == fitted.classes_[1], of_class[1], of_class[0]) * (
        1.0 if sample_weight is None else np.asarray(sample_weight)
    )
