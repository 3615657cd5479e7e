"""Several diagnoses at once, in threads of one process.

They run in another process, because a hang inside XLA cannot be interrupted.
"""

import json
import subprocess
import sys

import pytest

SCRIPT = """
import concurrent.futures, json, os
import jax
import numpy as np
import gda_theory as gt

jax.config.update("jax_enable_x64", True)


def problem(seed):
    random = np.random.default_rng(seed)
    features = random.normal(size=(2000, 10))
    labels = features[:, 0] + random.normal(size=2000) > 0
    return gt.Problem(features, labels, np.arange(2000) < 100, ridge=0.01)


def numbers(seed):
    diagnosis = gt.diagnose(problem(seed))
    path = gt.ascent_path(problem(seed), np.linspace(0.01, 0.3, 32))
    return [float(path.critical_strength), diagnosis.summary()]


seeds = range(2 * (os.cpu_count() or 1))
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    together = list(pool.map(numbers, seeds))
print(json.dumps([together, [numbers(seed) for seed in seeds]]))
os._exit(0)
"""


@pytest.mark.slow
def test_diagnoses_in_as_many_threads_as_cores_end_and_agree_with_those_in_turn():
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300, check=True
    )
    together, in_turn = json.loads(run.stdout)
    assert together == in_turn
