"""A problem solved stage by stage, against the same problem in one compiled program."""

import jax
import numpy as np
import pytest

from gda_theory.problem.problem import Problem
from gda_theory.solve import minimise, stages
from gda_theory.solve.path import ascent_path, descent_ascent

STRENGTHS = np.array([0.05, -0.1, 0.0, 50.0])


def problem(rows=40, columns=3, seed=0, **settings):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, columns))
    labels = np.where(features[:, 0] + rng.logistic(size=rows) > 0, 1, -1)
    labels[:2] = 1, -1
    return Problem(features, labels, np.arange(rows) % 7 == 3, **({"ridge": 0.05} | settings))


def same(found, expected):
    """Equal up to rounding; what is rounding itself is small in both."""
    for name in found._fields:
        one, other = getattr(found, name), getattr(expected, name)
        if name in ("oracle", "pretrained"):
            same(one, other)
        elif name in ("gradient_norm", "backward_error"):
            np.testing.assert_array_equal(np.isnan(one), np.isnan(other))
            assert np.all(np.nan_to_num(one) < 1e-13)
        elif name != "iterations":
            np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-13, err_msg=name)


# Each program takes seconds to compile. test_path.py compares one path and one point so too.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("columns", "settings"),
    [
        (3, {}),
        (3, {"reduction": "sum", "ridge": 1.0}),
        (3, {"loss": "exponential", "ridge": 0.1}),
        (60, {}),  # more columns than rows: in the span of the types
    ],
)
def test_stages_and_one_program_agree(columns, settings):
    one = problem(columns=columns, **settings)
    same(ascent_path(one, STRENGTHS), jax.jit(lambda p: ascent_path(p, STRENGTHS))(one))
    same(descent_ascent(one, 0.05), jax.jit(lambda p: descent_ascent(p, 0.05))(one))
    program = jax.jit(minimise.pretrain)(one)
    same(minimise.pretrain(one), program)
    step = jax.jit(lambda p: minimise.newton_step(p, program.weights))(one)
    np.testing.assert_allclose(
        minimise.newton_step(one, program.weights), step, rtol=1e-10, atol=1e-13
    )


def test_another_problem_compiles_no_stage_again():
    """Rows, columns, forget set, ridge and reduction differ: all are data."""
    compiled = []

    def listen(event, _, fun_name="", **__):
        if event == "/jax/core/compile/backend_compile_duration":
            compiled.append(fun_name)

    def solve(one):
        path = ascent_path(one, [1.0])
        return minimise.newton_step(one, path.pretrained.weights)

    solve(problem())
    names = {"lowest_point", "begin", "advance", "end", "_minima", "_located", "_even", "_stepped"}
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        solve(problem(rows=90, columns=7, seed=1, ridge=0.3, reduction="sum"))
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert not [name for name in compiled if any(stage in name for stage in names)]


def test_sizes_and_padding():
    assert [stages.size(count, 32) for count in (1, 32, 33, 100, 129)] == [32, 32, 36, 104, 144]
    assert stages.size(2**17 + 1) == 2**17 + 1
    for count in range(1, 3000):
        assert count <= stages.size(count) <= count * 9 / 8
    wide = stages.padded(np.ones((2, 1)), (3, 2), 7.0)
    np.testing.assert_array_equal(wide, [[1, 7], [1, 7], [7, 7]])
