"""Time limits of measures."""

import time

import mpmath
import numpy as np
import pytest
import scipy.integrate

from derivations.ledger import limits


def endless_mpmath():
    with mpmath.workdps(50):
        return mpmath.findroot(lambda x: x**2 + 1, 1, maxsteps=10**9, verify=False)


def endless_numpy():
    while True:
        np.linalg.eigvalsh(np.ones((20, 20)))


def endless_scipy():
    def velocity(time, y):
        return np.cos(time) - y

    return scipy.integrate.solve_ivp(velocity, (0, 1e9), [0.0], method="LSODA")


def endless_but_deaf():
    while True:
        try:
            time.sleep(0.01)
        except Exception:
            continue


@pytest.mark.parametrize(
    "function", [endless_mpmath, endless_numpy, endless_scipy, endless_but_deaf]
)
def test_a_call_is_abandoned_at_its_limit(function):
    started = time.monotonic()
    with mpmath.workdps(30), pytest.raises(limits.TookTooLong):
        limits.within(0.1, function)
    assert time.monotonic() - started < 5
    assert mpmath.mp.dps == 15


def test_a_call_within_its_limit_returns():
    assert limits.within(60, lambda: 3) == 3
    assert limits.within(None, lambda: 4) == 4
    time.sleep(0.01)  # the alarm is off
    with pytest.raises(ValueError, match="own error"):
        limits.within(60, lambda: (_ for _ in ()).throw(ValueError("own error")))
