"""Validation of input, and the working precision that they convert to: in float64 (the tests' own)
and in float32.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from theory_common import checks, precision

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.smoke


@pytest.fixture
def single():
    """JAX as it comes: 64 bits off."""
    with jax.enable_x64(False):
        yield


NUMBERS = [
    1,
    1.5,
    np.int32(2),
    np.float64(2.5),
    [1, 2],
    (0.5, 1),
    [[1.0], [2.0]],
    np.arange(3),
    np.ones((2, 1)),
    [],
    jnp.arange(2),
    jnp.ones(2),
]


@pytest.mark.parametrize("value", NUMBERS)
def test_real_keeps_value_and_shape(value):
    array = checks.real("x", value)
    assert isinstance(array, jax.Array)
    assert array.dtype == np.float64
    assert array.shape == np.shape(value)
    assert np.array_equal(array, np.asarray(value))


@pytest.mark.parametrize("value", NUMBERS)
def test_real_in_single_precision(value, single):
    assert checks.real("x", value).dtype == np.float32


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, r"True \(bool\)"),
        (np.True_, r"True \(bool"),
        ([True, False], r"an array of bool with shape \(2,\)"),
        (np.array([True]), r"an array of bool with shape \(1,\)"),
        (jnp.array([True]), r"an array of bool with shape \(1,\)"),
        (1j, r"1j \(complex"),
        (jnp.ones(2, complex), "an array of complex"),
        ("1", "'1'"),
        (None, "None"),
        ([1, None], r"an array of object with shape \(2,\)"),
        ({"a": 1}, "{'a': 1}"),
        ([[1], [1, 2]], "rectangular"),
        (object, "class 'object'"),
        (np.array(["a"]), "an array of <U1"),
        (np.datetime64("2020"), "2020"),
    ],
)
def test_real_refuses(value, shown):
    with pytest.raises(TypeError, match=f"ridge must be a real number or a.*{shown}"):
        checks.real("ridge", value)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_short_floats_are_worked_in_single_precision(dtype):
    assert checks.real("x", jnp.ones(2, dtype)).dtype == np.float32


class TestPrecision:
    def test_numbers_and_lists_have_no_say(self):
        assert precision.dtype() == precision.dtype(1.0, [2.0], np.arange(2)) == np.float64
        assert precision.dtype(np.float32([1]), 1.0, [2.0], jnp.arange(2)) == np.float32

    def test_a_caller_who_chose_single_keeps_it_unless_another_array_is_double(self):
        assert precision.dtype(np.float32([1]), jnp.ones(2, jnp.float32)) == np.float32
        assert precision.dtype(np.float32([1]), np.ones(2)) == np.float64

    def test_without_64_bits_all_is_single(self, single):
        assert precision.dtype() == precision.dtype(np.ones(2)) == np.float32
        assert precision.working([1.0, 2.0]).dtype == np.float32

    def test_working_converts(self):
        assert precision.working(np.float32([1])).dtype == np.float32
        assert precision.working(np.float32([1]), np.dtype(np.float64)).dtype == np.float64
        assert precision.working(1).dtype == np.float64

    def test_reals_share_one_dtype(self):
        mixed = checks.reals(x=np.float32([1]), y=2, z=[3.0])
        assert [array.dtype for array in mixed.values()] == [np.float32] * 3
        assert list(mixed) == ["x", "y", "z"]
        assert {
            array.dtype for array in checks.reals(x=np.float32([1]), y=np.ones(2)).values()
        } == {np.dtype(np.float64)}
        with pytest.raises(TypeError, match="y must be a real number"):
            checks.reals(x=1, y="2")


@pytest.mark.parametrize(
    ("check", "good", "bad", "rule"),
    [
        (checks.finite, [0, -1e300, 5e-324], [np.nan, np.inf, -np.inf], "finite"),
        (
            checks.positive,
            [5e-324, 1, 1e308],
            [0, -1, np.nan, np.inf, -np.inf, -0.0],
            "finite and > 0",
        ),
        (
            checks.nonnegative,
            [0, -0.0, 1e308],
            [-1e-300, np.nan, np.inf, -np.inf],
            "finite and >= 0",
        ),
    ],
)
def test_rules(check, good, bad, rule):
    assert np.array_equal(check("ridge", good), good)
    for value in bad:
        with pytest.raises(ValueError, match=rf"^ridge must be {rule}, got {value:g} in float64$"):
            check("ridge", value)
        with pytest.raises(
            ValueError, match=rf"^ridge must be {rule}, got {value:g} at index \(1, 0\) in float64$"
        ):
            check("ridge", [[1.0], [value]])
    with pytest.raises(TypeError, match="ridge must be a real number"):
        check("ridge", "1")


def test_a_value_that_single_precision_loses_is_named_with_the_remedy(single):
    for value in (1e-300, np.float64(1e-300), [1, 1e-300]):
        remedy = r"\(float32 rounds it there: enable float64 with jax.config.update"
        with pytest.raises(ValueError, match=rf"got 0.* in float32 {remedy}"):
            checks.positive("ridge", value)
    with pytest.raises(ValueError, match=r"got inf in float32 \(float32 rounds it there"):
        checks.finite("ridge", 1e300)
    for value in (0, -1.0):  # wrong in any precision: no remedy is offered
        with pytest.raises(ValueError, match=r"in float32$"):
            checks.positive("ridge", value)


def test_require_quotes_the_rule():
    inside = "in [0, 1)"
    assert checks.require("correlation", 0.5, lambda x: (x >= 0) & (x < 1), inside) == 0.5
    with pytest.raises(
        ValueError, match=r"^correlation must be in \[0, 1\), got 1 at index \(2,\) in float64$"
    ):
        checks.require("correlation", [0, 0.5, 1, 2], lambda x: (x >= 0) & (x < 1), inside)


@pytest.mark.parametrize("check", [checks.real, checks.finite, checks.positive, checks.nonnegative])
def test_a_traced_value_passes(check):
    assert jax.jit(lambda x: check("x", x))(-1.0) == -1
    assert jax.vmap(lambda x: check("x", x))(jnp.array([-1.0, jnp.nan])).shape == (2,)
    assert jax.grad(lambda x: check("x", x) ** 2)(-3.0) == -6
    jax.jit(lambda x: checks.is_traced(x) or pytest.fail("not traced"))(1.0)
    assert not checks.is_traced(jnp.ones(2))
    with pytest.raises(TypeError, match="x must be a real number"):  # its dtype is known even so
        jax.jit(lambda x: check("x", x))(True)


def test_choice():
    assert checks.choice("loss", "logistic", ["exponential", "logistic"]) == "logistic"
    assert checks.choice("branch", -1, (0, -1)) == -1
    for value in ("Logistic", 0, None, ["logistic"]):
        with pytest.raises(ValueError, match="loss must be one of 'exponential', 'logistic', got "):
            checks.choice("loss", value, (name for name in ["exponential", "logistic"]))
    for value in (True, 1.0):  # equal to 1, but of another kind
        with pytest.raises(ValueError, match="branch must be one of 0, 1"):
            checks.choice("branch", value, (0, 1))


def test_whole():
    assert type(checks.whole("steps", np.int64(3))) is int
    assert checks.whole("steps", 0) == 0
    with pytest.raises(ValueError, match="steps must be >= 1, got 0"):
        checks.whole("steps", 0, least=1)
    for value in (True, np.True_, 1.0, "1", None, [1]):
        with pytest.raises(TypeError, match="steps must be an integer, got "):
            checks.whole("steps", value)


def test_one_number_and_known_ones():
    assert checks.one("tolerance", 2).shape == ()
    with pytest.raises(ValueError, match=r"tolerance must be one number, got shape \(1,\)"):
        checks.one("tolerance", [2.0])
    with pytest.raises(TypeError, match="tolerance must be a real number"):
        checks.one("tolerance", None)
    above = lambda x: x > 0  # noqa: E731
    np.testing.assert_array_equal(
        jax.jit(lambda x: checks.known(x, above))(jnp.array([1.0, -1.0, jnp.nan])),
        [1, np.nan, np.nan],
    )
    assert (
        checks.known(jnp.array(-1.0), above) == -1
    )  # a number has been checked, with an error of its own
    checks.concrete("sweep", 1.0, [np.ones(2), None], {"a": jnp.ones(2)})
    rule = "the arguments of sweep must be concrete: it does not run under jit, vmap or grad; map"
    with pytest.raises(TypeError, match=rule):
        jax.jit(lambda x: checks.concrete("sweep", 1.0, {"a": [x]}, hint="; map"))(1.0)


def test_common_shape():
    assert checks.common_shape(start=(2, 1), noise=(3,)) == (2, 3)
    with pytest.raises(
        ValueError,
        match=r"batch dimensions must broadcast to one shape, got start \(2,\), noise \(3,\)",
    ):
        checks.common_shape(start=(2,), noise=(3,))


def test_keys_are_keys_and_shapes_are_tuples():
    for good in (jax.random.key(0), jax.random.PRNGKey(0)):
        assert checks.key("key", good) is good
    jax.jit(lambda key: checks.key("key", key))(jax.random.key(0))
    for bad in (
        0,
        None,
        np.zeros(2),
        jax.random.split(jax.random.key(0)),
        jnp.zeros((), jnp.uint32),
    ):
        with pytest.raises(TypeError, match="start_key must be a JAX random key such as"):
            checks.key("start_key", bad)
    assert checks.sizes("shape", (np.int64(2), 3)) == (2, 3)
    assert checks.sizes("shape", ()) == ()
    with pytest.raises(TypeError, match="shape must be a tuple of integers"):
        checks.sizes("shape", 5)
    with pytest.raises(ValueError, match=r"shape\[1\] must be >= 0"):
        checks.sizes("shape", (1, -1))
