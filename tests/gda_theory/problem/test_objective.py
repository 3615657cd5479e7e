"""One objective with signed weights: derivatives against autodiff of an independent formula, and
pretraining on the same path.
"""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

import gda_theory as gt

R, F, D = 12, 5, 3
RIDGE = np.array([0.3, 0.0, 0.7])
LOSS = {"exponential": lambda m: jnp.exp(-m), "logistic": lambda m: jnp.log1p(jnp.exp(-m))}


def data(seed=0):
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(R + F, D))
    features[:, 1] = 1  # an unpenalised intercept
    labels = np.where(draw.random(R + F) < 0.6, 1.0, -1.0)
    return features, labels, draw.normal(size=D)


def objective(loss, reduction, seed=0):
    features, labels, _ = data(seed)
    retained = np.arange(R + F) < R
    kept, gone = (R, F) if reduction == "mean" else (1, 1)
    return gt.Objective(
        types=jnp.asarray(labels[:, None] * features),
        retain_weight=jnp.asarray(retained / kept),
        forget_weight=jnp.asarray(~retained / gone),
        ridge=jnp.asarray(RIDGE),
        size_ratio=jnp.asarray(F / R),
        loss=gt.losses.resolve(loss),
        reduction=reduction,
    )


def independent(weights, loss, reduction, strength):
    """Retain loss minus strength times forget loss plus ridge, from the samples; pretraining's own
    formula for ``strength=None``.
    """
    features, labels, _ = data()
    losses = LOSS[loss](labels * (features @ weights))
    penalty = jnp.sum(RIDGE * weights**2) / 2
    average = jnp.mean if reduction == "mean" else jnp.sum
    if strength is None:
        return average(losses) + penalty
    return average(losses[:R]) - strength * average(losses[R:]) + penalty


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("loss", LOSS)
def test_value_gradient_and_hessian(loss, reduction):
    problem, weights = objective(loss, reduction), data()[2]

    def reference(weights, strength):
        return independent(weights, loss, reduction, strength)

    @jax.jit
    def derivatives(*at):
        return reference(*at), jax.grad(reference)(*at), jax.hessian(reference)(*at)

    for strength in (0.0, 0.4, 1.0):
        value, gradient, hessian = derivatives(weights, strength)
        np.testing.assert_allclose(problem.value(weights, strength), value, rtol=1e-13)
        np.testing.assert_allclose(
            problem.gradient(weights, strength), gradient, rtol=1e-12, atol=1e-13
        )
        np.testing.assert_allclose(
            problem.hessian(weights, strength), hessian, rtol=1e-12, atol=1e-13
        )
        np.testing.assert_allclose(
            problem.curvatures(weights, strength),
            np.linalg.eigvalsh(hessian),
            rtol=1e-11,
            atol=1e-12,
        )
    # The forget gradient is the slope of the objective's own gradient along the strength, with its
    # sign.
    slope = problem.gradient(weights, 0.0) - problem.gradient(weights, 1.0)
    np.testing.assert_allclose(problem.forget_gradient(weights), slope, rtol=1e-12, atol=1e-13)
    far = problem.curvatures(np.full(D, -1e4), 0.0)
    assert np.all(np.isinf(far) if loss == "exponential" else np.isfinite(far))


@pytest.mark.parametrize("loss", LOSS)
def test_pretraining_lies_on_the_path(loss):
    """At ``pretrain_strength`` the path's objective is J_D itself for sums, and n/r times it for
    means.
    """
    weights = data()[2]
    for reduction, strength, factor in (("mean", -F / R, (R + F) / R), ("sum", -1.0, 1.0)):
        problem = objective(loss, reduction)
        np.testing.assert_allclose(problem.pretrain_strength, strength, rtol=1e-15)
        np.testing.assert_allclose(problem.ridge_at(strength), factor * RIDGE, rtol=1e-15)
        np.testing.assert_allclose(
            problem.coefficients(strength),
            np.full(R + F, factor / ((R + F) if reduction == "mean" else 1)),
            rtol=1e-14,
        )
        np.testing.assert_allclose(
            problem.value(weights, strength),
            factor * independent(weights, loss, reduction, None),
            rtol=1e-13,
        )
        gradient = jax.grad(independent)(weights, loss, reduction, None)
        np.testing.assert_allclose(
            problem.gradient(weights, strength), factor * gradient, rtol=1e-12, atol=1e-13
        )


def test_the_ridge_follows_the_strength_on_one_side_only():
    mean, total = objective("logistic", "mean"), objective("logistic", "sum")
    for strength, factor in ((-0.25, 1.25), (0.0, 1.0), (0.5, 1.0), (3.0, 1.0)):
        np.testing.assert_array_equal(mean.ridge_at(strength), factor * RIDGE)
        np.testing.assert_array_equal(total.ridge_at(strength), RIDGE)
    # At the kink the derivative is that of the side of ascent.
    assert not np.any(jax.jacfwd(mean.ridge_at)(0.0))
    assert mean.ridge_at(np.array([0.1, -0.1])).shape == (2, D)


def test_an_intercept_is_bounded_by_class_shares():
    """The slope along the intercept changes sign exactly at min_c share_R(c)/share_F(c); it is that
    of J itself, far out.
    """
    for seed in range(20):
        labels = data(seed)[1]
        shares = [[np.mean(part == c) for part in (labels[:R], labels[R:])] for c in (1, -1)]
        bound = min(kept / gone if gone > 0 else np.inf for kept, gone in shares)
        assert bound <= 1
        problem = objective("logistic", "mean", seed)
        for strength, bounded in ((bound * (1 - 1e-12), True), (bound * (1 + 1e-12), False)):
            slopes = np.asarray(problem.recession_slopes(strength))
            assert slopes.shape == (D, 2)
            assert np.all(np.isposinf(slopes[[0, 2]]))
            assert np.all(slopes[1] >= 0) == bounded
        # Toward +infinity the negative class is misclassified, toward -infinity the positive one.
        slopes = np.asarray(problem.recession_slopes(0.8))[1]
        np.testing.assert_allclose(
            slopes, [kept - 0.8 * gone for kept, gone in reversed(shares)], atol=1e-15
        )
        far = 1e6
        for slope, side in zip(slopes, (1.0, -1.0), strict=True):
            rise = problem.value(np.array([0, 2 * side * far, 0]), 0.8) - problem.value(
                np.array([0, side * far, 0]), 0.8
            )
            np.testing.assert_allclose(rise / far, slope, atol=1e-9)


def test_an_exponential_loss_falls_without_bound_along_an_intercept():
    features = np.array([[1.0], [1.0], [1.0], [1.0]])
    labels = np.array([1.0, -1.0, 1.0, -1.0])
    problem = gt.Objective(
        jnp.asarray(labels[:, None] * features),
        jnp.array([1.0, 1, 0, 0]),
        jnp.array([0, 0, 1.0, 0]),
        jnp.zeros(1),
        jnp.asarray(0.5),
        gt.exponential,
        "sum",
    )
    np.testing.assert_array_equal(problem.recession_slopes(2.0), [[np.inf, -np.inf]])
    # At equality the two exponentials cancel: a slope of 0, not of 0 times infinity.
    np.testing.assert_array_equal(problem.recession_slopes(1.0), [[np.inf, 0.0]])


@pytest.mark.parametrize(
    "loss",
    [
        gt.exponential,
        gt.logistic,
        gt.margin_loss("mine", lambda m: jnp.logaddexp(-m, 0.0), slope_at_minus_infinity=1.0),
    ],
    ids=lambda loss: loss.name,
)
def test_losses_against_mpmath(loss):
    margins = np.array([-30.0, -2.0, -0.3, 0.0, 0.7, 5.0, 30.0])
    value = (
        (lambda m: mpmath.exp(-m))
        if loss.name == "exponential"
        else (lambda m: mpmath.log1p(mpmath.exp(-m)))
    )
    rows = []
    with mpmath.workdps(50):
        for margin in map(mpmath.mpf, margins):
            slope, bend = -mpmath.diff(value, margin), mpmath.diff(value, margin, 2)
            rows.append(
                [
                    float(v)
                    for v in (
                        value(margin),
                        slope,
                        bend,
                        mpmath.log(slope),
                        bend / slope,
                        mpmath.log(bend / slope),
                    )
                ]
            )
    found = [
        f(margins)
        for f in (loss.value, loss.phi, loss.curvature, loss.log_phi, loss.decay, loss.log_decay)
    ]
    found, rows = np.stack(found, -1), np.array(rows)
    if loss.name == "mine":
        # Automatic derivatives of log(1 + e^-m) subtract numbers near 1 where the answer is e^-30:
        # only the middle is good.
        np.testing.assert_allclose(found[1:-1], rows[1:-1], rtol=1e-12, atol=1e-13)
    else:
        np.testing.assert_allclose(found, rows, rtol=1e-14, atol=1e-15)


def test_losses_are_named_hashable_and_checked():
    assert gt.losses.resolve("logistic") is gt.logistic
    assert gt.losses.resolve(gt.exponential) is gt.exponential
    assert repr(gt.logistic) == "Loss('logistic')"
    assert len({gt.logistic, gt.exponential, gt.logistic}) == 2
    for wrong in ("hinge", 3, None, ["logistic"]):
        with pytest.raises(
            ValueError,
            match=r"loss must be one of 'exponential', 'logistic' or a gda_theory.Loss, got",
        ):
            gt.losses.resolve(wrong)
