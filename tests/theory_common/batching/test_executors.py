"""Work on executors of other kinds: the same numbers, bit for bit, and errors that say why."""

import functools
import pickle
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gda_theory as gt
from gda_theory.dynamics import sweeps
from gda_theory.solve import many
from theory_common import entry
from theory_common.batching import executors

PAIR = gt.CorrelatedPair(
    0.5, ridge=0.1, retain_size=80, forget_size=20, retain_in_pair=8, forget_in_pair=0.8
)
SWEEP = {"epochs": 50, "step_size": 0.7, "correlation": np.linspace(0, 0.9, 5)}


class Pickled(Executor):
    """Sends every item and its result through pickle, as another process would get them."""

    def __init__(self) -> None:
        self.items = 0

    def submit(self, function, /, *arguments, **named) -> Future:
        self.items += 1
        future: Future = Future()
        sent = pickle.loads(pickle.dumps((function, arguments, named)))
        try:
            future.set_result(pickle.loads(pickle.dumps(sent[0](*sent[1], **sent[2]))))
        except BaseException as error:
            future.set_exception(error)
        return future


def assert_same(one, other) -> None:
    for mine, theirs in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@functools.cache
def problem() -> gt.Problem:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 3))
    labels = features[:, 0] + rng.logistic(size=60) > 0
    return gt.Problem(features, labels, np.arange(60) < 5, ridge=0.1)


def forget_sets() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.choice(60, size, replace=False) for size in (3, 9, 4, 5, 7)]


@pytest.mark.parametrize("pool", [Pickled, functools.partial(ThreadPoolExecutor, 2)])
def test_a_sweep_on_an_executor_is_the_same_bit_for_bit(monkeypatch, pool):
    monkeypatch.setattr(sweeps, "LANES", 2)
    with pool() as executor:
        found = gt.sweep(PAIR, (0.3, -0.1), executor=executor, **SWEEP)
    assert_same(found, gt.sweep(PAIR, (0.3, -0.1), **SWEEP))
    assert found.weights.shape == (5, 2)
    assert getattr(executor, "items", 3) == 3


@pytest.mark.parametrize("pool", [Pickled, functools.partial(ThreadPoolExecutor, 2)])
def test_oracles_on_an_executor_are_the_same_bit_for_bit(monkeypatch, pool):
    monkeypatch.setattr(many, "SETS", 2)
    with pool() as executor:
        found = gt.retrain_many(problem(), forget_sets(), executor=executor)
    assert_same(found, gt.retrain_many(problem(), forget_sets()))
    assert np.all(found.converged)
    assert getattr(executor, "items", 3) == 3


@pytest.mark.slow
def test_processes_give_the_same_sweep_and_the_same_oracles(monkeypatch):
    monkeypatch.setattr(sweeps, "LANES", 3)
    # Compiled with the options of these tests, see tests/conftest.py.
    same_code = functools.partial(entry.compile_quickly, optimise=False)
    with ProcessPoolExecutor(1, get_context("spawn"), same_code) as executor:
        swept = gt.sweep(PAIR, (0.3, -0.1), executor=executor, **SWEEP)
        oracles = gt.retrain_many(problem(), forget_sets(), executor=executor)
    assert_same(swept, gt.sweep(PAIR, (0.3, -0.1), **SWEEP))
    assert_same(oracles, gt.retrain_many(problem(), forget_sets()))


def double(number):
    return jnp.asarray(number) * 2


def fails(number):
    raise ValueError(f"no {number}")


def test_items_come_in_order_and_in_the_precision_of_the_caller():
    executor = Pickled()
    with jax.enable_x64(False):
        narrow = list(executors.in_order(executor, double, [(number,) for number in range(3)]))
        single = next(executors.in_order(executor, double, [(jnp.float32(0.1),)]))
    assert [int(number) for number in narrow] == [0, 2, 4]
    assert single.dtype == np.float32
    wide = list(executors.in_order(None, double, [(jnp.float64(0.1),)]))
    assert wide[0].dtype == np.float64
    assert wide[0] == 0.2


def test_what_waits_is_cancelled_after_an_error():
    class Lazy(Executor):
        def __init__(self):
            self.given = []

        def submit(self, function, /, *arguments, **named):
            self.given.append(Future())
            if len(self.given) == 1:
                self.given[0].set_exception(ValueError("no first"))
            return self.given[-1]

    executor = Lazy()
    with pytest.raises(ValueError, match="no first"):
        list(executors.in_order(executor, fails, [(1,), (2,), (3,)]))
    assert [future.cancelled() for future in executor.given] == [False, True, True]


def test_what_cannot_be_sent_is_refused():
    with pytest.raises(TypeError, match="must stand at the top of a module"):
        executors.submitted(Pickled(), lambda number: number, 1)
    with pytest.raises(TypeError, match=r"executor must be a concurrent\.futures\.Executor"):
        gt.retrain_many(problem(), forget_sets(), executor="threads")
    with pytest.raises(TypeError, match=r"executor must be a concurrent\.futures\.Executor"):
        gt.sweep(PAIR, (0.3, -0.1), executor=4, **SWEEP)


# Losses -------------------------------------------------------------------------------------------


def softhinge(margin):
    return jnp.logaddexp(0, 4 * (1 - margin)) / 4


def test_a_loss_is_the_same_object_after_a_journey():
    """Compiled code belongs to the object, so another one would be compiled again."""
    own = gt.margin_loss("softhinge", softhinge, slope_at_minus_infinity=1)
    for loss in (gt.logistic, gt.exponential, own):
        assert pickle.loads(pickle.dumps(loss)) is loss
    by_hand = gt.Loss("mine", softhinge, softhinge, softhinge, softhinge, 1.0)
    again = pickle.loads(pickle.dumps(by_hand))
    assert again == by_hand
    assert again is not by_hand
