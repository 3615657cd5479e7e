"""The diagnosis of rows in partitions has the numbers and the words of rows in memory."""

import dataclasses
import json
import math

import numpy as np
import pytest

import gda_theory as gt
from gda_theory.codes import RunEnd
from gda_theory.verdict import measure
from gda_theory.verdict.partitioned import LEFT_OUT


def problem(reduction: str = "mean", runaway: bool = False) -> gt.Problem:
    rng = np.random.default_rng(3)
    features = np.column_stack([rng.normal(size=(200, 3)), np.ones(200)])
    labels = np.where(features[:, 0] + rng.logistic(size=200) > 0, 1.0, -1.0)
    forget = (np.cumsum(labels > 0) <= 20) & (labels > 0) if runaway else np.arange(200) < 10
    ridge = 0.02 if reduction == "mean" else 4.0
    ridges = [ridge] * 3 + [0 if runaway else ridge]
    return gt.Problem(features, labels, forget, ridge=ridges, reduction=reduction)


@pytest.mark.parametrize(
    "given", [problem(), problem("sum"), problem(runaway=True)], ids=["mean", "sum", "runaway"]
)
def test_the_numbers_are_those_of_rows_in_memory(given):
    found = gt.diagnose(gt.PartitionedProblem.split(given, 5))
    objective = measure.objective_of(given)
    path = gt.ascent_path(objective, [1.0])
    expected = measure.measure(given, objective, path, follow=False)
    for field in dataclasses.fields(expected):
        mine, theirs = getattr(found.given, field.name), getattr(expected, field.name)
        if field.name.endswith("gradient_norm"):
            assert math.isnan(mine) == math.isnan(theirs)
            assert not mine > 1e-12
        elif field.name == "retrain_iterations":
            assert abs(mine - theirs) <= 1
        elif isinstance(theirs, float):
            np.testing.assert_allclose(mine, theirs, rtol=1e-10, atol=1e-13, err_msg=field.name)
        else:
            assert mine == theirs, field.name
    assert found.given.run_end == RunEnd.NOT_FOLLOWED


def test_words_table_and_json():
    found = gt.diagnose(gt.PartitionedProblem.split(problem(), 3, names=list("abcd"), notes=["n"]))
    assert found.verdict.startswith("Do not use gradient ascent at strength 1.")
    assert found.summary().count("not followed") == 2
    assert found.names == tuple("abcd")
    assert found.notes == ("n", LEFT_OUT)
    document = json.loads(json.dumps(found.to_dict()))
    assert document["given"]["pretrain_distance"] == found.given.pretrain_distance
    assert document["verdict"] == document["given"]["verdict"] == found.verdict
    with pytest.raises(ValueError, match="needs rows in memory"):
        found.to_html()
    with pytest.raises(ValueError, match="needs rows in memory"):
        found.plot()
    with pytest.raises(ValueError, match="strength must be"):
        gt.diagnose(gt.PartitionedProblem.split(problem(), 3), -1.0)
