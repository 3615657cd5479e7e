"""The path against its differential equation's other routes: bisection for folds, the pair's
reference values, SciPy, differences.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, special
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

from gda_theory.codes import Reason
from gda_theory.problem import losses
from gda_theory.problem.objective import Objective, Rough
from gda_theory.problem.problem import Problem
from gda_theory.problem.random_rows import random_forget_set
from gda_theory.solve import continuation, minimise
from gda_theory.solve.path import ascent_path, descent_ascent
from gda_theory.studies.influence import data, forget_sets

EPS = np.finfo(float).eps


def pair(retain, forget, in_pair, ridge, correlation, alpha, loss):
    """Two types u = (1, e), v = (e, 1): section 4 of the facts, without the closed form."""
    return Objective(
        jnp.array([[1.0, correlation], [correlation, 1.0]]),
        jnp.array([in_pair / retain, 0.0]),
        jnp.array([0.0, alpha * in_pair / forget]),
        jnp.full(2, ridge),
        jnp.array(forget / retain),
        losses.resolve(loss),
        "mean",
    )


def random_problem(seed, **settings):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(40, 3))
    labels = np.where(features @ [1.0, -1.0, 0.5] + rng.logistic(size=40) > 0, 1, -1)
    labels[:2] = 1, -1
    return Problem(
        features,
        labels,
        np.arange(40) % 7 == 3,
        **({"ridge": 0.05, "loss": "exponential"} | settings),
    )


class Reference:
    """The same objective in NumPy: follows the path in small steps and bisects for its end."""

    def __init__(self, objective):
        self.types, self.retain, self.forget = (
            np.asarray(a)
            for a in (objective.types, objective.retain_weight, objective.forget_weight)
        )
        self.ridge, self.exponential = (
            np.asarray(objective.ridge),
            objective.loss.name == "exponential",
        )

    def parts(self, w, strength):
        m, c = self.types @ w, self.retain - strength * self.forget
        phi = np.exp(-m) if self.exponential else special.expit(-m)
        bend = phi if self.exponential else phi * (1 - phi)
        return self.ridge * w - self.types.T @ (c * phi), self.types.T @ (
            (c * bend)[:, None] * self.types
        ) + np.diag(self.ridge)

    def solve(self, w, strength):
        """Newton's method from next to the solution; None if it leaves, or ends where the Hessian
        is not positive definite.
        """
        for _ in range(40):
            gradient, hessian = self.parts(w, strength)
            step = np.linalg.solve(hessian, gradient)
            if not np.all(np.isfinite(step)) or np.abs(step).max() > 1:
                return None
            w = w - step
            if np.abs(gradient).max() < 1e-16 * max(1, np.abs(hessian).max()):
                break
        gradient, hessian = self.parts(w, strength)
        return (
            w
            if np.abs(gradient).max() < 1e-14 * max(1, np.abs(hessian).max())
            and np.linalg.eigvalsh(hessian)[0] > 0
            else None
        )

    def last_minimum(self, oracle, limit):
        """The largest strength up to which small steps find a positive definite Hessian, halving
        the step each time it is lost.
        """
        w, strength, step = np.asarray(oracle), 0.0, 2e-2
        while step > 1e-13 * limit and strength < limit:
            new = self.solve(w, strength + step)
            if new is None or np.linalg.norm(new - w) > 0.2:
                step /= 2
            else:
                w, strength = new, strength + step
                # Longer again after a bend; next to the fold, where 1e-6 is a long step, no more.
                step = min(2e-2, 1.5 * step) if step > 1e-6 else step
        return strength


PAIRS = {
    "exponential 0.5": ((80, 20, 8, 0.1, 0.5), "exponential", 0.178062078871913),
    "exponential 0.2": ((95, 5, 9.5, 1.0, 0.2), "exponential", 0.196025593559444),
    "logistic 0.5": ((80, 20, 8, 0.001, 0.5), "logistic", 0.0302310442662184),
}


@pytest.mark.parametrize("name", PAIRS)
def test_pairs_have_the_fold_of_the_closed_form(name):
    arguments, loss, alpha_fold = PAIRS[name]
    alpha = 0.25 * alpha_fold
    path = ascent_path(pair(*arguments, alpha, loss), [0.0, 3.9, 4.1, 1.0])
    assert float(path.critical_strength) == pytest.approx(alpha_fold / alpha, rel=1e-10)
    assert path.exists.tolist() == [True, True, False, True]
    assert path.reason.tolist() == [Reason.FOUND, Reason.FOUND, Reason.PAST_FOLD, Reason.FOUND]
    assert np.all(np.isnan(path.weights[2]))
    assert float(path.searched_to) == float(path.critical_strength)


def test_logistic_pair_without_fold():
    path = ascent_path(
        pair(80, 20, 8, 0.1, 0.5, 0.1, "logistic"), [0.0, 5.0, 1.0, 2.0], search_to=50.0
    )
    assert np.all(path.exists)
    assert np.isnan(path.critical_strength)
    assert float(path.searched_to) == 50


@pytest.mark.parametrize("loss", ["exponential", pytest.param("logistic", marks=pytest.mark.slow)])
def test_critical_strength_against_bisection(loss):
    """50 random problems; the reference's bisection ends with steps of 1e-12, next to a fold of at
    least 0.01.
    """
    found = 0
    for seed in range(25):
        objective = random_problem(
            seed, loss=loss, ridge=0.02 if loss == "logistic" else 0.1
        ).objective()
        reference, path = (
            Reference(objective),
            ascent_path(objective, jnp.linspace(0, 1, 4), search_to=4.0),
        )
        critical = float(path.critical_strength)
        if np.isnan(critical):
            assert float(path.searched_to) == 4
            assert reference.last_minimum(path.oracle.weights, 4.0) >= 4
        else:
            found += 1
            assert critical == pytest.approx(
                reference.last_minimum(path.oracle.weights, 5.0), rel=1e-8
            )
            _, hessian = reference.parts(np.asarray(path.fold_weights), critical)
            assert abs(np.linalg.eigvalsh(hessian)[0]) <= 1e-12 * np.abs(hessian).max()
    assert found >= (
        20 if loss == "exponential" else 8
    )  # even the exponential loss may have no fold


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_points_are_scipys_minima(reduction):
    problem = random_problem(1, reduction=reduction, ridge=0.05 if reduction == "mean" else 2.0)
    objective = problem.objective()
    lowest = float(objective.pretrain_strength)
    strengths = np.array([0.3, lowest, 0.0, lowest / 2])
    path = ascent_path(problem, strengths)
    assert np.all(path.exists)
    x, y, forget = (
        np.asarray(problem.features),
        np.asarray(problem.signs),
        np.asarray(problem.forget),
    )
    sizes = ((~forget).sum(), forget.sum()) if reduction == "mean" else (1, 1)
    for strength, weights in zip(strengths, np.asarray(path.weights), strict=True):
        c = np.where(forget, -strength / sizes[1], 1 / sizes[0])
        ridge = float(problem.ridge[0]) * (max(1, 1 - strength) if reduction == "mean" else 1)

        def value(w, c=c, ridge=ridge):
            slopes = c * np.exp(-y * (x @ w))
            return slopes.sum() + ridge / 2 * w @ w, ridge * w - (y * slopes) @ x

        expected = optimize.minimize(
            value, path.oracle.weights, jac=True, method="BFGS", options={"gtol": 1e-11}
        ).x
        np.testing.assert_allclose(weights, expected, rtol=0, atol=1e-8)
    np.testing.assert_allclose(path.weights[1], path.pretrained.weights, rtol=1e-12)
    np.testing.assert_allclose(path.weights[1], minimise.pretrain(problem).weights, rtol=1e-12)
    np.testing.assert_array_equal(path.strengths, strengths)
    assert float(jnp.max(path.gradient_norm)) < 1e-14
    with pytest.raises(ValueError, match=r"strengths must be >= .*got -5"):
        ascent_path(problem, [0.0, -5.0])


def test_break_even_and_monotonicity():
    problem = random_problem(2, loss="logistic")
    objective = problem.objective()
    path = ascent_path(problem, np.linspace(0, 0.5, 4))
    even = float(path.break_even_strength)
    distance = np.linalg.norm(path.pretrained.weights - path.oracle.weights)
    there = ascent_path(problem, [even, 0.99 * even, 0.5 * even, 1.01 * even])
    assert np.all(there.exists)
    away = np.linalg.norm(there.weights - path.oracle.weights, axis=1)
    np.testing.assert_allclose(away[0], distance, rtol=1e-12)
    assert np.all((away < distance) == [away[0] < distance, True, True, False])
    # Along the path the forget loss and the retain objective both grow: section 1 of the facts.
    retain = jax.vmap(lambda w: objective.value(w, 0.0))(path.weights)
    forget = jax.vmap(lambda w: objective.value(w, 0.0) - objective.value(w, 1.0))(path.weights)
    assert np.all(np.diff(retain) > 0)
    assert np.all(np.diff(forget) > 0)


def test_one_strength_is_a_point_of_the_path():
    problem = random_problem(3)
    path = ascent_path(problem, [0.02, 50.0, 0.0, 0.01])
    one, gone = descent_ascent(problem, 0.02), descent_ascent(problem, 50.0)
    np.testing.assert_allclose(one.weights, path.weights[0], rtol=1e-12)
    np.testing.assert_allclose(one.value, problem.objective().value(one.weights, 0.02), rtol=1e-13)
    assert one.reason == Reason.FOUND
    assert np.isnan(one.critical_strength)
    assert gone.reason == Reason.PAST_FOLD
    assert np.all(np.isnan(gone.weights))
    np.testing.assert_allclose(gone.critical_strength, path.critical_strength, rtol=1e-12)
    just = descent_ascent(problem, path.critical_strength * (1 - 1e-9))
    assert just.exists
    assert not descent_ascent(problem, path.critical_strength * (1 + 1e-9)).exists


@pytest.mark.parametrize("ridge", [1e20, 1e150, 1e300])
def test_a_ridge_that_leaves_only_the_first_step(ridge):
    """Margins of 1e-20 and below: phi is phi(0) to the last digit, and w is the slope at the origin
    over the ridge.
    """
    problem = random_problem(5, loss="logistic", ridge=ridge)
    strengths = np.array([0.0, 0.3, 1.0, 2.0])
    path = ascent_path(problem, strengths)
    objective = problem.objective()
    slopes = (objective.retain_weight - strengths[:, None] * objective.forget_weight) / 2
    assert np.all(path.exists)
    np.testing.assert_allclose(
        path.weights, np.asarray(slopes / ridge) @ np.asarray(objective.types), rtol=1e-13
    )


def test_paths_of_real_data_that_are_hard_to_follow():
    """Splits, found among 1,000, on which coarser steps lose the path.

    Two folds lie close together (46, 386, 611), margins reach several hundred (2, 186), or the
    strength is just below the fold (91, 563).
    """
    features, classes = load_breast_cancer(return_X_y=True)
    features = np.c_[StandardScaler().fit_transform(features), np.ones(len(features))]
    for seed in (2, 46, 91, 186, 386, 563, 611):
        forget = np.zeros(len(features), bool)
        forget[np.random.default_rng(seed).choice(len(features), 28, replace=False)] = True
        problem = Problem(features, classes, forget, ridge=1e-2)
        path = ascent_path(problem, jnp.linspace(0, 1, 4))
        critical = float(path.critical_strength)
        if seed == 186:
            assert np.isnan(critical)
            assert float(path.searched_to) == 10
        else:
            curvatures = np.linalg.eigvalsh(
                problem.objective().hessian(path.fold_weights, critical)
            )
            assert abs(curvatures[0]) <= 1e-12 * curvatures[-1]
        ends = np.inf if np.isnan(critical) else critical
        assert np.array_equal(path.exists, path.strengths < ends)
        assert np.array_equal(
            path.reason, np.where(path.strengths < ends, Reason.FOUND, Reason.PAST_FOLD)
        )


def test_derivatives_of_points_fold_and_break_even():
    problem = random_problem(4, ridge=[0.05, 0.08, 0.1])

    def readout(ridge):
        path = ascent_path(problem.replace(ridge=ridge), jnp.array([0.0, 0.05, 0.1, 0.2]))
        return jnp.append(
            path.weights[3], jnp.stack([path.critical_strength, path.break_even_strength])
        )

    ridge, step = problem.ridge, 1e-5
    jacobian = jax.jit(jax.jacrev(readout))(ridge)
    for j in range(3):
        bump = step * jnp.eye(3)[j]
        # Central differences: step^2 plus eps/step.
        np.testing.assert_allclose(
            jacobian[:, j], (readout(ridge + bump) - readout(ridge - bump)) / (2 * step), rtol=1e-6
        )


@pytest.mark.slow
def test_velocity_from_each_side_of_the_oracle():
    """dw/dstrength = H^{-1} grad L_F on the side of ascent; towards pretraining the ridge grows
    too.
    """
    problem = random_problem(5)
    objective, oracle = problem.objective(), minimise.retrain(problem).weights
    curvature = np.asarray(objective.hessian(oracle, 0.0))
    ascent = np.linalg.solve(curvature, objective.forget_gradient(oracle))

    def weights(strength):
        return descent_ascent(problem, strength).weights

    slope = jax.jit(lambda strength: jax.jvp(weights, (strength,), (1.0,)))
    at_oracle, above = slope(0.0)
    np.testing.assert_allclose(above, ascent, rtol=1e-10)
    # One program here, and stage by stage.
    np.testing.assert_allclose(at_oracle, weights(0.0), rtol=1e-12)
    np.testing.assert_allclose(slope(0.02)[0], weights(0.02), rtol=1e-12)
    below = np.linalg.solve(curvature, objective.forget_gradient(oracle) + objective.ridge * oracle)
    np.testing.assert_allclose(slope(-1e-9)[1], below, rtol=1e-6)


def fewer_types():
    rng = np.random.default_rng(6)
    features, ridges = rng.normal(size=(9, 15)), rng.uniform(0.05, 0.2, 15)
    features[:, 0], ridges[0] = 1, 0
    return Problem(features, [1, -1, 1, -1, 1, -1, 1, -1, 1], np.arange(9) > 6, ridge=ridges)


def test_fewer_types_than_weights():
    problem, strengths = fewer_types(), [-0.2, 0.1, 0.3, 0.2]
    inside, reference = ascent_path(problem, strengths), Reference(problem.objective())
    assert np.all(inside.exists)
    ridge = reference.ridge
    for strength, weights in zip(strengths, np.asarray(inside.weights), strict=True):
        reference.ridge = ridge * max(1, 1 - strength)
        gradient, hessian = reference.parts(weights, strength)
        assert np.abs(gradient).max() < 1e-14
        assert np.linalg.eigvalsh(hessian)[0] > 0


@pytest.mark.slow
def test_fewer_types_than_weights_without_the_reduction():
    problem, strengths = fewer_types(), [-0.2, 0.1, 0.3, 0.2]
    inside = ascent_path(problem, strengths)
    # A traced ridge leaves no pattern, and so no reduction.
    solve = jax.jit(lambda ridges: ascent_path(problem.replace(ridge=ridges), jnp.array(strengths)))
    dense = solve(problem.ridge)
    assert np.all(inside.exists)
    for name in ("weights", "critical_strength", "break_even_strength", "fold_weights"):
        np.testing.assert_allclose(getattr(inside, name), getattr(dense, name), rtol=1e-9)
    # Inside jit bad input cannot raise.
    bad = solve(-problem.ridge)
    assert not np.any(bad.exists)
    assert np.all(bad.reason == Reason.NOT_CONVERGED)
    assert np.all(np.isnan(bad.weights))
    assert not bad.oracle.converged


def test_intercept_makes_ascent_unbounded():
    """Class shares differ, so beyond min_c share_R/share_F the objective is unbounded below, and
    the path says so.
    """
    rng = np.random.default_rng(7)
    features = np.column_stack([rng.normal(size=(40, 2)), np.ones(40)])
    labels = np.where(rng.random(40) < 0.4, 1, -1)
    forget = np.zeros(40, bool)
    forget[np.flatnonzero(labels == 1)[:8]] = True
    forget[np.flatnonzero(labels == -1)[:2]] = True
    problem = Problem(features, labels, forget, ridge=[0.1, 0.1, 0.0])
    share = np.mean(labels[~forget] == 1) / 0.8
    path = ascent_path(problem, [0.5 * share, 0.999 * share, 1.001 * share, 20.0])
    assert path.bounded_below.tolist() == [True, True, False, False]
    assert path.exists[0]
    assert not path.exists[3]
    assert path.reason[3] == Reason.UNBOUNDED
    assert float(path.critical_strength) <= share * (1 + 1e-9)


def test_tiny_ridge_and_tiny_strengths():
    """At a ridge of 1e-300 the fold may lie at 1e-290 or so: the units of the path are margins."""
    # Section 4: Q = (1+sP)/(s+qP), A/ridge = P exp(sP - 2eQ), B/ridge = Q exp(2eP - sQ) at the
    # fold.
    s, q, e = 1.01, (1 - 0.01) ** 2, 0.1
    for ridge in (1e-300, 1e-100, 1e100):
        path = ascent_path(
            pair(80, 20, 8, ridge, 0.1, 0.1, "exponential"), jnp.zeros(4), search_to=1e305
        )

        def level(log_mass, ridge=ridge):
            p = np.exp(log_mass)
            return (
                log_mass + s * p - 2 * e * (1 + s * p) / (s + q * p) - (np.log(0.1) - np.log(ridge))
            )

        p = np.exp(optimize.brentq(level, -800, 10, xtol=1e-14))
        other = (1 + s * p) / (s + q * p)
        expected = np.log(other) + 2 * e * p - s * other + np.log(ridge) - np.log(0.1 * 8 / 20)
        np.testing.assert_allclose(np.log(path.critical_strength), expected, rtol=0, atol=1e-10)


def test_many_samples_steer_in_float32_and_end_in_float64():
    """Above a million multiplications Hessians that only steer are single; what is reported is
    checked here in NumPy.
    """
    rng = np.random.default_rng(11)
    features = rng.normal(size=(1200, 30))
    labels = np.where(features @ rng.normal(size=30) / 2 + rng.logistic(size=1200) > 0, 1, -1)
    objective = Problem(features, labels, np.arange(1200) % 15 == 0, ridge=0.01).objective()
    assert Rough.of(objective.types) is not None
    path, reference = ascent_path(objective, jnp.linspace(0, 0.15, 4)), Reference(objective)
    assert np.all(path.exists)
    for strength, weights in zip(np.asarray(path.strengths), np.asarray(path.weights), strict=True):
        gradient, hessian = reference.parts(weights, strength)
        assert np.abs(gradient).max() < 1e-15
        assert np.linalg.eigvalsh(hessian)[0] > 0
    gradient, hessian = reference.parts(
        np.asarray(path.fold_weights), float(path.critical_strength)
    )
    assert np.abs(gradient).max() < 1e-14
    assert abs(np.linalg.eigvalsh(hessian)[0]) < 1e-12
    assert np.linalg.eigvalsh(hessian)[1] > 1e-6


@pytest.mark.slow
def test_float32():
    exact = ascent_path(random_problem(9), jnp.array([0.0, 0.02, 0.01, 0.005]))
    assert np.all(exact.exists)
    with jax.enable_x64(False):
        single = ascent_path(random_problem(9), jnp.array([0.0, 0.02, 0.01, 0.005], jnp.float32))
        assert single.weights.dtype == np.float32
        assert np.all(single.exists)
    np.testing.assert_allclose(single.weights, exact.weights, rtol=0, atol=1e-4)
    np.testing.assert_allclose(single.critical_strength, exact.critical_strength, rtol=1e-4)


@pytest.mark.parametrize("ridge", [1e20, 1e50, 1e100, 1e200])
def test_a_huge_ridge_gives_the_right_weights_or_none(ridge):
    """The weights are the slope at 0 over the ridge. A guess of size 1e-44 once passed for them."""
    problem = Problem([[0.5], [-1.0], [2.0]], [1, -1, 1], [True, False, False], ridge=ridge)
    found = descent_ascent(problem)
    slope = (1.0 + 2.0) / 2 / 2 - 0.5 / 2
    if found.exists:
        np.testing.assert_allclose(found.weights * ridge, [slope], rtol=1e-12)
    assert bool(found.exists) or (ridge > 1e150 and found.reason == Reason.NOT_CONVERGED)


@pytest.mark.slow
def test_a_path_with_margins_of_thousands_is_followed():
    """Each row whose margin crosses 0 is a kink there, and 256 anchors do not suffice."""
    features, target = load_breast_cancer(return_X_y=True)
    features = StandardScaler().fit_transform(features)
    forget = np.zeros(len(target), bool)
    forget[np.random.default_rng(8).choice(len(target), 28, replace=False)] = True
    signs = np.where((target == 1) ^ forget, 1, -1)  # the labels of the forgotten rows are wrong
    problem = Problem(features, signs, forget, ridge=0.001)
    path = ascent_path(problem, [0.25, 0.5, 0.75, 1.0], search_to=1.0)
    assert np.all(path.exists)
    margins = signs * (features @ np.asarray(path.weights[-1]))
    assert np.max(np.abs(margins)) > 10_000
    reference = Reference(problem.objective())
    for strength, weights in zip(np.asarray(path.strengths), np.asarray(path.weights), strict=True):
        gradient, hessian = reference.parts(weights, strength)
        assert np.abs(gradient).max() < 1e-13
        assert np.linalg.eigvalsh(hessian)[0] > 0


@pytest.mark.slow
def test_a_minimum_that_full_newton_steps_do_not_reach_is_found():
    """A full step overshoots there: most margins are in the thousands, and a few are near 0."""
    digits, ridge = data.load("digits 4-9"), 1e-3
    sets = forget_sets.forget_sets(digits, forget_sets.model(digits, ridge), 0.01)
    chosen = [one for one in sets if one.kind == "mislabelled"][2]
    problem = forget_sets.problem_of(digits, chosen, ridge)
    path = ascent_path(problem, [1.0])
    assert bool(path.exists[0])
    objective = problem.objective()
    gradient, hessian = Reference(objective).parts(np.asarray(path.weights[0]), 1.0)
    force = np.abs(np.asarray(objective.forget_weight)) @ np.abs(np.asarray(objective.types))
    assert np.all(np.abs(gradient) < 1e-11 * force)
    assert np.linalg.eigvalsh(hessian)[0] > 0


@pytest.mark.slow
def test_a_saddle_is_not_reported_as_a_minimum(monkeypatch):
    """Coarse anchors next to a fold lead some corrections to the saddle; the Hessian tells."""
    features, target = load_breast_cancer(return_X_y=True)
    features = StandardScaler().fit_transform(features)
    forget = random_forget_set(len(target), 114, 9)
    objective = Problem(features, target, forget, ridge=1e-2).objective()
    oracle = minimise.retrain(objective).weights
    monkeypatch.setattr(continuation, "PREDICTION", 1e-3)
    monkeypatch.setattr(continuation, "_tolerance", lambda trace, prediction: jnp.asarray(1e-4))

    chosen = continuation.DOUBTFUL

    def saddles(doubtful):
        monkeypatch.setattr(continuation, "DOUBTFUL", doubtful)

        def found(start):  # a new function, so that it is traced with these settings
            up = continuation.upward(objective)
            trace, line, fold = continuation.trace_of(objective.loss, up, start, jnp.asarray(10.0))
            times = jnp.linspace(0.9, 0.9999, 300) * fold.time
            return continuation.at_times(objective.loss, line, trace, times), times * line.step

        minima, strengths = jax.jit(found)(oracle)
        there = np.asarray(minima.exist)
        lowest = objective.curvatures(minima.weights[there], strengths[there])[:, 0]
        return np.sum(there), np.sum(np.asarray(lowest) <= 0)

    assert saddles(np.inf)[1] > 0
    count, wrong = saddles(chosen)
    assert wrong == 0
    assert count > 290
