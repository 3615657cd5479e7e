"""One call of each kind of computation, under jit, vmap and grad.

These tests find in seconds what another version of JAX breaks.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import wrightomega

from gda_theory import CorrelatedPair, pair
from gda_theory.paper import trap
from gda_theory.problem.problem import Problem
from gda_theory.solve import minimise, path
from theory_common.numerics import special

pytestmark = pytest.mark.smoke
SETTING = dict(
    correlation=0.5, ridge=0.1, retain_size=80, forget_size=20, retain_in_pair=8, forget_in_pair=1
)


def test_special_functions():
    u = jnp.linspace(-30, 30, 7)
    omega = jax.jit(special.wright_omega)(u)
    # The derivative omega/(1 + omega) from SciPy's values; a few roundings on each side.
    np.testing.assert_allclose(omega, wrightomega(u), rtol=1e-14)
    np.testing.assert_allclose(
        jax.vmap(jax.grad(special.wright_omega))(u), omega / (1 + omega), rtol=1e-14
    )


@pytest.mark.slow  # the tests of the pair and of the path say the same, at more points
def test_the_pair_and_its_objective_agree():
    def weights(ridge):
        return pair.descent_ascent(CorrelatedPair(**(SETTING | {"ridge": ridge}))).weights

    ridges = jnp.array([0.1, 0.3])
    slopes = jax.jit(jax.vmap(jax.jacfwd(weights)))(ridges)
    step = 1e-5
    # The error of a central difference is step^2 times a third derivative of order 1e3, and
    # rounding of order 1e-11.
    np.testing.assert_allclose(
        slopes,
        (jax.vmap(weights)(ridges + step) - jax.vmap(weights)(ridges - step)) / (2 * step),
        rtol=1e-6,
    )
    solved = path.descent_ascent(CorrelatedPair(**SETTING))
    np.testing.assert_allclose(solved.weights, weights(0.1), rtol=1e-12)


def test_fold():
    # The theory's reference values have 15 digits. The project promises 1e-12 for them.
    np.testing.assert_allclose(
        pair.folds(CorrelatedPair(**SETTING)).alpha[0], 0.178062078871913, rtol=1e-12
    )


@pytest.mark.slow  # so do those of the solvers
def test_a_problem_is_solved_and_followed():
    key = jax.random.key(0)
    features = jax.random.normal(key, (40, 3))
    labels = jnp.where(
        features[:, 0] + jax.random.normal(jax.random.fold_in(key, 1), (40,)) > 0, 1, -1
    )
    problem = Problem(features, labels, np.arange(40) < 4, ridge=1e-1)
    oracle = minimise.retrain(problem)
    assert bool(oracle.converged)
    margins = labels[4:] * (features[4:] @ oracle.weights)
    gradient = -(features[4:].T @ (labels[4:] / (1 + jnp.exp(margins)))) / 36 + 0.1 * oracle.weights
    assert jnp.max(jnp.abs(gradient)) < 64 * jnp.finfo(float).eps  # sums of 36 terms of order 1/36
    followed = path.ascent_path(problem, jnp.array([0.0, 0.1]))
    np.testing.assert_allclose(followed.weights[0], oracle.weights, rtol=1e-12)


def test_the_trap():
    found = trap.landscape("signed", 0.1).pretrain.parameters[0]
    np.testing.assert_allclose(
        found, [3.37, -0.62], atol=0.005
    )  # half a unit of the last digit given
