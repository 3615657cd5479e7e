"""Functions of small matrices against NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest

from theory_common.numerics.matrices import one_by_one, weighted_square


@pytest.mark.parametrize("batch", [(), (3,), (2, 3), (0,)])
def test_a_function_of_each_matrix_of_a_batch(batch):
    matrices = np.random.default_rng(0).normal(size=(*batch, 4, 4))

    def both(matrix):
        return {"product": matrix @ matrix.T, "trace": jnp.trace(matrix)}

    found = one_by_one(both, jnp.asarray(matrices))
    np.testing.assert_allclose(found["product"], matrices @ np.swapaxes(matrices, -1, -2))
    np.testing.assert_allclose(found["trace"], np.trace(matrices, axis1=-2, axis2=-1))


@pytest.mark.parametrize("signs", [[1, 1, 1], [-1, -1, -1], [1, -1, 0]])
def test_a_weighted_square_has_weights_of_any_sign(signs):
    random = np.random.default_rng(1)
    rows = random.normal(size=(60, 5))
    factors = np.tile(signs, 20) * random.uniform(0.1, 2, 60)
    expected = rows.T @ np.diag(factors) @ rows
    np.testing.assert_allclose(weighted_square(rows, factors), expected, rtol=1e-13, atol=1e-13)
