r"""Where descent-ascent with small steps ends: the gradient flow, followed to its limit.

The run from the user's model decides between the minima of

.. math:: J_\gamma = L_R - \gamma L_F + \tfrac12 w^\top\Lambda w,

not the continuation from the retrained model. For small steps the run follows the flow
:math:`\dot w = -\nabla J_\gamma(w)`. The flow is followed by an exponential Rosenbrock method of
order 3 with an embedded error estimate. With :math:`H` the Hessian at :math:`w`, one step of
length h is

.. math:: u = w - h\varphi_1(-hH)\nabla J(w), \qquad
          w^+ = u - 2h\varphi_3(-hH)\,\bigl[\nabla J(u) - \nabla J(w) - H(u - w)\bigr].

It is exact where the objective is quadratic, so that steps grow near a minimum, where they become
Newton's. No starting point is moved to a minimum by Newton's method from afar. Source: Hochbruck,
Ostermann and Schweitzer, SIAM J. Numer. Anal. 47 (2009), 786-803 (the method); its use here: new.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from gda_theory.problem.set_losses import SetLosses

Floats = np.ndarray

MOST_STEPS = 600  # of the method; a flow to its minimum takes 20 to 150
ACCURACY = 1e-3  # error of one step, as a part of the way from the start
AT_REST = 1e-11  # Newton's step at the end, as a part of the weights and of the way
LONGEST_GROWTH = 3.0  # exponent by which a step may amplify along a negative curvature
FAR = 1e8  # times the size of the start: beyond, a flow without a lower bound has left
BLOW_UP = 1e-12  # a step below this part of the time: the flow leaves in finite time


class End(IntEnum):
    """How a flow ended.

    * ``UNDECIDED``: it was still moving after the last step of the method.
    * ``MINIMUM``: at a point with gradient 0, up to rounding, and positive curvature.
    * ``LEFT``: it ran away, in finite time or along a coordinate without ridge.
    """

    UNDECIDED = 0
    MINIMUM = 1
    LEFT = 2


class Ending(NamedTuple):
    """Where a flow ended, and how.

    ``time`` is the time followed. One epoch with step size s takes the time s. ``weights`` are the
    last ones, and ``steps`` counts those of the method.
    """

    end: End
    weights: Float[Floats, " d"]
    time: float
    steps: int


@np.errstate(over="ignore", invalid="ignore")
def ending(
    losses: SetLosses,
    start: Float[Floats, " d"],
    *,
    strength: float,
    scale: float = 0.0,
    bounded: bool = False,
    accuracy: float = ACCURACY,
    most_steps: int = MOST_STEPS,
) -> Ending:
    """Follow the flow of descent-ascent from ``start`` until it ends.

    The cost of one step is a Hessian and two gradients. For many rows the Hessian may be rounded
    (:meth:`SetLosses.steering_curvature`), if its error is below every curvature. The estimated
    error of a step includes the effect of this rounding. A minimum is confirmed with the exact
    Hessian.

    Args:
        losses: the losses.
        start: ``(d,)``.
        strength: of the ascent, >= 0.
        scale: a distance that counts as long. The error of a step is measured against the larger of
            this and the way from the start.
        bounded: whether the objective is known to be bounded below. Then weights that only grow
            large have not left.
        accuracy: the largest error of one step, as a part of that distance.
        most_steps: after which the answer is ``UNDECIDED``.
    """
    start = np.asarray(start, float)
    state = _State.of(losses, start, strength, time=0.0)
    if state is None:
        return Ending(end=End.LEFT, weights=start, time=0.0, steps=0)
    length = 1 / max(float(np.max(np.abs(state.curvatures))), np.finfo(float).tiny)
    for count in range(most_steps):
        way = max(float(np.linalg.norm(state.weights - start)), scale)
        size = float(np.linalg.norm(state.weights))
        if state.is_minimum(AT_REST * (size + way)):
            state = state.exact(losses, strength)
        if state.is_exact and state.is_minimum(AT_REST * (size + way)):
            return Ending(End.MINIMUM, state.weights, state.time, count)
        left = size > FAR * (1 + float(np.linalg.norm(start)) + scale)
        if (left and not bounded) or length < BLOW_UP * state.time:
            return Ending(End.LEFT, state.weights, state.time, count)
        down = max(-float(state.curvatures[0]), np.finfo(float).tiny)
        length = min(length, LONGEST_GROWTH / down)
        proposal, error = _step(losses, state, strength, length)
        allowed = accuracy * max(way, AT_REST * size)
        if error <= allowed:
            reached = _State.of(losses, proposal, strength, time=state.time + length)
            error = np.inf if reached is None else error
            state = state if reached is None else reached
        length *= float(np.clip(0.9 * (allowed / max(error, 1e-300)) ** (1 / 3), 0.2, 5.0))
    return Ending(End.UNDECIDED, state.weights, state.time, most_steps)


class _State(NamedTuple):
    """A point of the flow, its gradient, and the eigenvalues and vectors of its Hessian.

    ``is_exact`` is False if the Hessian is rounded.
    """

    weights: Floats
    time: float
    gradient: Floats
    curvatures: Floats
    directions: Floats
    is_exact: bool

    @classmethod
    def of(
        cls, losses: SetLosses, weights: Floats, strength: float, time: float
    ) -> "_State | None":
        """The point; None where the gradient or the Hessian is not finite.

        The Hessian is a rounded one if its error is below every curvature, else the exact one.
        """
        gradient = losses.slope(weights, strength)
        hessian, error = losses.steering_curvature(weights, strength)
        if error > 0:
            # What overflows in float32 may be finite in float64.
            found = np.linalg.eigh(hessian) if np.all(np.isfinite(hessian)) else None
            if found is not None and np.min(np.abs(found[0])) > error:
                return cls(weights, time, gradient, *found, is_exact=False).finite()
            hessian = losses.curvature(weights, strength)
        if not np.all(np.isfinite(hessian)):
            return None
        return cls(weights, time, gradient, *np.linalg.eigh(hessian), is_exact=True).finite()

    def finite(self) -> "_State | None":
        """The point, or None where the gradient is not finite."""
        return self if np.all(np.isfinite(self.gradient)) else None

    def exact(self, losses: SetLosses, strength: float) -> "_State":
        """The same point with the exact Hessian."""
        if self.is_exact:
            return self
        curvatures, directions = np.linalg.eigh(losses.curvature(self.weights, strength))
        return self._replace(curvatures=curvatures, directions=directions, is_exact=True)

    def is_minimum(self, allowed: float) -> bool:
        """Whether the curvature is positive and Newton's step at most as long as ``allowed``."""
        if self.curvatures[0] <= 0:
            return False
        step = (self.directions.T @ self.gradient) / self.curvatures
        return bool(np.linalg.norm(step) <= allowed)


def _step(losses: SetLosses, state: _State, strength: float, length: float) -> tuple[Floats, float]:
    """One step of the method, and its error; infinite where the step cannot be made."""
    exponents = -length * state.curvatures
    first, third = _exponential_integrals(exponents)
    move = -state.directions @ (length * first * (state.directions.T @ state.gradient))
    there = losses.slope(state.weights + move, strength)
    if not np.all(np.isfinite(there)):
        return state.weights, np.inf
    linear = state.directions @ (state.curvatures * (state.directions.T @ move))
    bent = state.directions.T @ (there - state.gradient - linear)
    correction = -state.directions @ (2 * length * third * bent)
    error = float(np.linalg.norm(correction))
    return state.weights + move + correction, error if np.isfinite(error) else np.inf


def _exponential_integrals(exponents: Floats) -> tuple[Floats, Floats]:
    r""":math:`\varphi_1(z) = (e^z - 1)/z` and :math:`\varphi_3`, by series near 0."""
    small = np.abs(exponents) < 0.1
    safe = np.where(small, 1.0, exponents)
    first = np.expm1(safe) / safe
    third = ((first - 1) / safe - 0.5) / safe
    series = [sum(exponents**k / _factorial(k + order) for k in range(9)) for order in (1, 3)]
    return np.where(small, series[0], first), np.where(small, series[1], third)


def _factorial(number: int) -> float:
    return float(np.prod(np.arange(1, number + 1, dtype=float)))
