"""A scikit-learn estimator that can forget rows: ``ForgettingLogisticRegression``."""

import copy
import functools
import math
import warnings

import numpy as np
from jaxtyping import Bool, Float
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from gda_theory.deletion import methods, receipt_rows, receipts
from gda_theory.deletion.class_margins import weights_of
from gda_theory.deletion.margins import Floats, Margins
from gda_theory.deletion.noise import Noise, drawn, gaussian_noise
from gda_theory.deletion.receipt_rows import DeletionSettings
from gda_theory.deletion.requests import (
    FittedRows,
    Result,
    checked_weights,
    known_at,
    mask_of,
    newton_request,
    require_every_class,
    result,
)
from gda_theory.deletion.rows import AnyObjective, of_classes
from gda_theory.problem import losses
from theory_common import checks
from theory_common.precision import ArrayLike

METHODS = ("newton", "retrain", "fine_tune", "pure_ascent")
OF_A_REQUEST = ("certificate_", "distance_bound_", "receipt_", "noise_")


class ForgettingLogisticRegression(ClassifierMixin, BaseEstimator):
    r"""Logistic regression that can forget rows of the data it was fitted on.

    :meth:`fit` finds the minimum of ``C sum_i s_i loss_i + |w|^2 / 2``, which is that of
    scikit-learn's ``LogisticRegression``, with the softmax loss for more than two classes. The
    intercept carries no ridge. :meth:`forget` takes rows out by the chosen method, and certifies
    how far the result is from the model retrained without them.

    Args:
        method: ``"newton"``, ``"retrain"``, ``"fine_tune"`` or ``"pure_ascent"``, as in
            :mod:`gda_theory.deletion`.
        C: inverse of the ridge, finite and > 0.
        fit_intercept: whether there is an intercept.
        steps: Newton steps or gradient steps of one request.
        distance_limit: the distance to the retrained model beyond which one should retrain. With
            noise, the sum of the distances of all published models.
        epsilon, delta: of the guarantee. Given together, noise is added to what :meth:`forget`
            publishes. Its scale follows from ``distance_limit``, which is then needed.
        noise_seed: of the noise. It must be secret: take ``secrets.randbits(128)``.

    After :meth:`fit`: ``coef_``, ``intercept_``, ``classes_``, ``n_features_in_``, ``n_iter_``.
    After :meth:`forget` also

    * ``certificate_``: a :class:`gda_theory.deletion.Certificate` of the weights without noise;
    * ``distance_bound_``: its bound on the Euclidean distance of the weights, intercept included,
      to the retrained ones;
    * ``bound_sum_``: the sum of these bounds over the requests since the last fit;
    * ``needs_retraining_``: whether ``distance_bound_`` is above ``distance_limit``;
    * ``noise_``: what was added, or None;
    * ``receipt_``: a dict for JSON, see :mod:`gda_theory.deletion.receipts`.

    The fitted object holds the data, since further requests need them. Forgotten rows are
    overwritten. :meth:`without_data` gives a copy that only predicts, to hand out.

    The guarantee of the noise is about each published model by itself, and about all of them
    together. It compares the published models with models retrained for each request, with the same
    noise. They are indistinguishable up to ``(epsilon, delta)`` under two conditions:
    ``bound_sum_`` is at most ``distance_limit``, and no request depends on a published model. A
    request that would exceed the limit is refused. The model that :meth:`fit` publishes has no
    noise, and no guarantee covers it.

    Source: new; the step is that of Guo et al., 2020.

    Example::

        import gda_theory as gt
        from sklearn.datasets import load_breast_cancer
        from sklearn.preprocessing import StandardScaler

        X, y = load_breast_cancer(return_X_y=True)
        model = gt.ForgettingLogisticRegression(C=1.0).fit(StandardScaler().fit_transform(X), y)
        model.forget([3, 17, 20]).distance_bound_
    """

    _memory: FittedRows | None

    def __init__(
        self,
        method: str = "newton",
        C: float = 1.0,
        *,
        fit_intercept: bool = True,
        steps: int = 1,
        distance_limit: float | None = None,
        epsilon: float | None = None,
        delta: float | None = None,
        noise_seed: int | None = None,
    ) -> None:
        self.method = method
        self.C = C
        self.fit_intercept = fit_intercept
        self.steps = steps
        self.distance_limit = distance_limit
        self.epsilon = epsilon
        self.delta = delta
        self.noise_seed = noise_seed

    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> "ForgettingLogisticRegression":
        """Find the minimum over all rows.

        Args:
            X: ``(n, d)``, finite.
            y: ``(n,)``, two or more classes.
            sample_weight: ``(n,)``, >= 0.
        Returns: the estimator.
        Raises: ``ValueError`` for bad data or a bad argument of the constructor.
        """
        self._validate()
        table, labels = validate_data(self, X, y, dtype=np.float64)
        labels = self._labels(labels)
        weight = checked_weights(sample_weight, len(table))
        require_every_class(labels, weight, self.classes_)
        features = np.array(table)
        if self.fit_intercept:
            features = np.column_stack([features, np.ones(len(features))])
        for name in OF_A_REQUEST:
            if hasattr(self, name):
                delattr(self, name)
        self._memory = FittedRows(
            features=features,
            labels=labels,
            sample_weight=weight,
            forgotten=np.zeros(len(features), bool),
            data=receipt_rows.digest(features, labels, weight),
            weights=np.zeros(features.shape[1] * (len(self.classes_) - 1)),
            known=None,
        )
        self._retrain()
        self.bound_sum_ = 0.0
        self.needs_retraining_ = False
        return self

    def forget(self, rows: ArrayLike) -> "ForgettingLogisticRegression":
        """Take rows out of the model.

        Args:
            rows: a boolean mask over the rows of :meth:`fit`, or their numbers from 0.
        Returns: the estimator, changed.
        Raises: ``ValueError`` for rows that do not exist or were forgotten before, and if a class
            would have no rows left. Also if the request would exceed ``distance_limit`` with noise.
            Nothing is changed then.
        Warns: ``UserWarning`` where ``distance_bound_`` is above ``distance_limit``.
        """
        check_is_fitted(self)
        self._validate()
        memory = self._known()
        mask = mask_of(rows, memory.forgotten)
        chosen = np.flatnonzero(mask)
        weight = memory.sample_weight.copy()
        weight[chosen] = 0
        require_every_class(memory.labels, weight, self.classes_)
        weights, known, certificate = self._deleted(memory, mask, weight)
        total = self.bound_sum_ + certificate.distance_bound
        forgotten = memory.forgotten | mask
        noise = self._noise(total)
        published = weights
        if noise is not None and self.noise_seed is not None:
            published = weights + drawn(noise, len(weights), self.noise_seed, forgotten)
        self.receipt_ = receipts.make(
            memory.data,
            forgotten,
            self._settings(memory.features.shape[1]),
            self._table(memory.weights),
            self._table(published),
            certificate,
            request=mask,
            noise=noise,
        )
        # What is forgotten is overwritten, not only left out.
        memory.features[chosen] = 0
        memory.labels[chosen] = 0
        self._memory = memory._replace(
            sample_weight=weight, forgotten=forgotten, weights=weights, known=known
        )
        self.certificate_ = certificate
        self.distance_bound_ = certificate.distance_bound
        self.bound_sum_ = total
        self.noise_ = noise
        self._publish(published)
        self._advise()
        return self

    def without_data(self) -> "ForgettingLogisticRegression":
        """A copy that predicts and holds no rows. It cannot forget."""
        check_is_fitted(self)
        twin = copy.copy(self)
        twin._memory = None
        for name in ("receipt_", "noise_seed"):
            if hasattr(twin, name):
                setattr(twin, name, None)
        return twin

    def decision_function(self, X: ArrayLike) -> Float[Floats, "n *classes"]:
        """The scores of each row: one a class, or one for two classes, positive for the second."""
        check_is_fitted(self)
        table = validate_data(self, X, dtype=np.float64, reset=False)
        scores = table @ self.coef_.T + self.intercept_
        return scores if len(self.classes_) > 2 else scores[:, 0]

    def predict(self, X: ArrayLike) -> np.ndarray:
        """The class of each row."""
        scores = self.decision_function(X)
        chosen = np.argmax(scores, axis=1) if scores.ndim == 2 else (scores > 0).astype(int)
        return self.classes_[chosen]

    def predict_proba(self, X: ArrayLike) -> Float[Floats, "n classes"]:
        """The probability of each class, row by row."""
        from scipy.special import expit, softmax

        scores = self.decision_function(X)
        if scores.ndim == 2:
            return softmax(scores, axis=1)
        return np.column_stack([expit(-scores), expit(scores)])

    # How it works -------------------------------------------------------------------------------

    def _validate(self) -> None:
        checks.choice("method", self.method, METHODS)
        if not self.C > 0 or not math.isfinite(self.C):
            raise ValueError(f"C must be finite and > 0, got {self.C!r}")
        checks.whole("steps", self.steps, least=1)
        if self.distance_limit is not None and not self.distance_limit > 0:
            raise ValueError(f"distance_limit must be > 0, got {self.distance_limit!r}")
        if (self.epsilon is None) != (self.delta is None):
            raise ValueError("epsilon and delta belong together: give both or neither")
        self._noise(0.0)

    def _labels(self, labels: np.ndarray) -> Float[Floats, " n"]:
        """-1 and 1 for two classes, else the numbers of the classes; and ``classes_``."""
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y must have two classes, got one class: {self.classes_[0]!r}")
        return np.where(codes == 1, 1.0, -1.0) if len(self.classes_) == 2 else codes.astype(float)

    def _known(self) -> FittedRows:
        if self._memory is None:
            raise ValueError("this model holds no data, so it cannot forget rows: fit it again")
        return self._memory

    def _ridge(self, size: int) -> Float[Floats, " d"]:
        ridge = np.full(size, 1 / self.C)
        if self.fit_intercept:
            ridge[-1] = 0
        return ridge

    def _objective(self, memory: FittedRows, weight: Float[Floats, " n"]) -> AnyObjective:
        ridge = self._ridge(memory.features.shape[1])
        count = len(self.classes_)
        if count > 2:
            return of_classes(memory.features, memory.labels, weight, ridge, count)
        return Margins(memory.features, memory.labels, weight, ridge, losses.logistic)

    def _retrain(self) -> None:
        memory = self._known()
        objective = self._objective(memory, memory.sample_weight)
        found = methods.minimum(objective, memory.weights)
        self.n_iter_ = found.hessians
        self._memory = memory._replace(
            weights=found.weights,
            known=known_at(objective, found.weights) if isinstance(objective, Margins) else None,
        )
        self._publish(found.weights)

    def _publish(self, weights: Float[Floats, " m"]) -> None:
        table = self._table(weights)
        size = self.n_features_in_
        self.coef_ = table[:, :size].copy()
        self.intercept_ = table[:, size] if self.fit_intercept else np.zeros(len(table))

    def _table(self, weights: Float[Floats, " m"]) -> Float[Floats, "classes d"]:
        """Weights as scikit-learn has them: a row a class, but one row for two classes."""
        count = len(self.classes_)
        return weights_of(weights, count) if count > 2 else weights[None, :].copy()

    def _settings(self, size: int) -> DeletionSettings:
        count = len(self.classes_)
        return DeletionSettings(
            method=self.method,
            steps=None if self.method == "retrain" else self.steps,
            step_size=None,
            loss="logistic" if count == 2 else "softmax",
            reduction="sum",
            ridge=self._ridge(size).tolist(),
            intercept=self.fit_intercept,
            classes=count,
        )

    def _noise(self, total: float) -> Noise | None:
        """The noise of a request after which the bounds sum up to ``total``."""
        if self.epsilon is None or self.delta is None:
            return None
        if self.distance_limit is None or self.noise_seed is None:
            raise ValueError(
                "epsilon needs distance_limit, the distance for which the noise is made, and"
                " noise_seed, a secret such as secrets.randbits(128)"
            )
        if not total <= self.distance_limit:
            raise ValueError(
                f"the noise's budget is spent: the bounds of all published models sum up to"
                f" {total:.3g}, and distance_limit is {self.distance_limit:.3g}. Set"
                " method='retrain', whose bound is nearly 0, for this request"
            )
        return gaussian_noise(self.distance_limit, self.epsilon, self.delta)

    def _advise(self) -> None:
        limit = self.distance_limit
        self.needs_retraining_ = limit is not None and not self.distance_bound_ <= limit
        if self.needs_retraining_:
            warnings.warn(
                f"the model is only known to be within {self.distance_bound_:.3g} of the retrained"
                f" one, above distance_limit = {limit:.3g}: fit it again on the kept rows, or set"
                " method='retrain' or more steps",
                UserWarning,
                stacklevel=3,
            )

    def _deleted(
        self, memory: FittedRows, mask: Bool[np.ndarray, " n"], weight: Float[Floats, " n"]
    ) -> Result:
        """The model after deletion of ``mask``, which leaves ``weight``."""
        objective = self._objective(memory, weight)
        if self.method == "newton" and isinstance(objective, Margins):
            return newton_request(objective, memory, mask, self.steps)
        if self.method == "newton":
            found = methods.newton_steps(objective, memory.weights, self.steps)
        elif self.method == "retrain":
            found = methods.minimum(objective, memory.weights)
        elif self.method == "fine_tune":
            run = functools.partial(methods.tuned, steps=self.steps, step_size=None)
            found = run(objective, memory.weights)
        else:
            forget = self._objective(memory, np.where(mask, memory.sample_weight, 0.0))
            found = methods.ascended(
                objective,
                memory.weights,
                forget=forget._replace(ridge=-forget.ridge),
                steps=self.steps,
                step_size=None,
            )
        return result(objective, found.weights)
