r"""What a verdict asks of a problem: gradients and Hessians of the losses of both sets.

:class:`SetLosses` hides what the losses are. With factors :math:`\rho` for the retained and
:math:`\sigma` for the forgotten losses it gives

.. math:: \nabla(\rho L_R + \sigma L_F), \qquad \nabla^2(\rho L_R + \sigma L_F)

at any weights, as NumPy arrays. The ridge is kept apart.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from gda_theory.problem.objective import Objective, Rough

Floats = np.ndarray
Steering = tuple[Float[Floats, "d d"], float]


class SetLosses(NamedTuple):
    r"""The losses of two sets, seen from outside.

    * ``gradient(weights, retain, forget)``: of ``retain * L_R + forget * L_F``, ``(d,)``.
    * ``hessian(weights, retain, forget)``: its Hessian, ``(d, d)``.
    * ``ridge``: one number a coordinate, 0 for one without ridge.
    * ``steering_hessian``: of the same arguments, the Hessian in less time, and a bound on the
      error of its eigenvalues. For many rows it is a product in float32. The bound is 0 for the
      exact Hessian, and infinite where float32 overflows. None: there is only the exact one.
    * ``rate``: while the weights move by at most s, the curvature of each single loss stays within
      the factors :math:`e^{\pm s\,\mathrm{rate}}`. Infinite if no such number is known.

    ``rate`` is the length of the longest row for the logistic and the exponential loss, since there
    :math:`|\ell^{(3)}| \le \ell''`.
    """

    gradient: Callable[[Float[Floats, " d"], float, float], Float[Floats, " d"]]
    hessian: Callable[[Float[Floats, " d"], float, float], Float[Floats, "d d"]]
    ridge: Float[Floats, " d"]
    rate: float
    steering_hessian: Callable[[Float[Floats, " d"], float, float], Steering] | None = None

    def slope(self, weights: Float[Floats, " d"], strength: float) -> Float[Floats, " d"]:
        """The gradient of ``L_R - strength * L_F``, with its ridge, at a strength >= 0."""
        return self.ridge * weights + self.gradient(weights, 1.0, -strength)

    def curvature(self, weights: Float[Floats, " d"], strength: float) -> Float[Floats, "d d"]:
        """The Hessian of ``L_R - strength * L_F``, with its ridge, at a strength >= 0."""
        return np.diag(self.ridge) + self.hessian(weights, 1.0, -strength)

    def steering_curvature(
        self, weights: Float[Floats, " d"], strength: float
    ) -> tuple[Float[Floats, "d d"], float]:
        """:meth:`curvature` in less time, and a bound on the error of its eigenvalues.

        For steps whose error is estimated otherwise.
        """
        if self.steering_hessian is None:
            return self.curvature(weights, strength), 0.0
        matrix, error = self.steering_hessian(weights, 1.0, -strength)
        return np.diag(self.ridge) + matrix, error

    def is_convex_around(
        self, weights: Float[Floats, " d"], radius: float, strength: float
    ) -> bool:
        r"""Whether the objective is proved to be convex up to ``radius`` from the weights.

        There :math:`H \succeq \Lambda + e^{-s} H_R - \gamma e^{s} H_F`, with s = radius * rate.
        False proves nothing.
        """
        exponent = radius * self.rate
        if not exponent < 700:  # False for NaN
            return False
        change = math.exp(exponent)
        least = np.diag(self.ridge) + self.hessian(weights, 1 / change, -strength * change)
        return bool(np.all(np.isfinite(least)) and np.linalg.eigvalsh(least)[0] > 0)


def set_losses_of(objective: Objective, wide: Objective | None = None) -> SetLosses:
    """The losses of one objective of known numbers.

    Args:
        objective: without batch dimensions.
        wide: the same objective with further rows and columns of weight 0, so that data of other
            sizes reuse compiled functions (:func:`gda_theory.solve.stages.widened`).
    """
    ridge = np.asarray(objective.ridge)
    dimension = len(ridge)
    losses = jax.device_put(_without_ridge(objective if wide is None else wide))
    columns = len(losses.ridge)

    def entered(weights: Floats) -> Floats:
        return np.pad(np.asarray(weights), (0, columns - dimension))

    def gradient(weights: Floats, retain: float, forget: float) -> Floats:
        return np.asarray(_gradient(losses, entered(weights), retain, forget))[:dimension]

    def hessian(weights: Floats, retain: float, forget: float) -> Floats:
        found = np.asarray(_hessian(losses, entered(weights), retain, forget))
        return found[:dimension, :dimension]

    # Made at the first use, since not every use of the losses needs it.
    rough = functools.cache(lambda: Rough.of(losses.types))

    def steering_hessian(weights: Floats, retain: float, forget: float) -> Steering:
        single = rough()
        if single is None:
            return hessian(weights, retain, forget), 0.0
        found, error = _steering(losses, single, entered(weights), retain, forget)
        return np.asarray(found)[:dimension, :dimension], float(error)

    # The rows are the first of the arrays of the types, for one score a row and for several.
    longest = float(_longest(jax.tree.leaves(losses.types)[0]))
    rate = longest * losses.loss.curvature_rate if longest else 0.0
    return SetLosses(
        gradient=gradient,
        hessian=hessian,
        ridge=ridge,
        rate=rate,
        steering_hessian=steering_hessian,
    )


def _without_ridge(objective: Objective) -> Objective:
    # Without a ridge both reductions are the same function.
    no_ridge = np.zeros_like(np.asarray(objective.ridge))
    return dataclasses.replace(objective, ridge=no_ridge, reduction="sum")


def _weighed(losses: Objective, retain, forget) -> Objective:
    """The objective whose value at strength 1 is ``retain * L_R + forget * L_F``."""
    return dataclasses.replace(
        losses,
        retain_weight=retain * losses.retain_weight,
        forget_weight=-forget * losses.forget_weight,
    )


@jax.jit
def _gradient(losses: Objective, weights, retain, forget):
    return _weighed(losses, retain, forget).at(1.0).gradient(losses.loss, weights)


@jax.jit
def _hessian(losses: Objective, weights, retain, forget):
    return _weighed(losses, retain, forget).at(1.0).hessian(losses.loss, weights)


@jax.jit
def _steering(losses: Objective, rough: Rough, weights, retain, forget):
    margins = _weighed(losses, retain, forget).at(1.0)
    scores = losses.loss.scores(losses.types, weights)
    bend = losses.loss.bend(margins.coefficients, scores)
    return rough.product(bend), rough.rounding(bend)


@jax.jit
def _longest(rows):
    return jnp.sqrt(jnp.max(jnp.sum(rows * rows, -1), initial=0.0))
