r"""The minimum along the ascent strength, how it slows down before the fold, and the jump beyond.

Near the fold, at strength :math:`\gamma_*`, the motion along the null vector v of the Hessian is
that of a saddle-node:

.. math:: \dot s = -\tfrac b2 s^2 + a\,(\gamma - \gamma_*), \qquad
          a = v^\top \nabla L_F, \qquad b = \sum_i c_i\, \ell'''(m_i)\, (v^\top t_i)^3 .

With K classes b is the sum of the third derivatives of the losses along v.

So at :math:`\gamma = (1 - \delta)\gamma_*` the smallest curvature is
:math:`\sqrt{2|ab|\gamma_*\delta}`. At :math:`\gamma = (1 + \delta)\gamma_*` the flow needs the time
:math:`\pi\sqrt{2/(|ab|\gamma_*\delta)}` to pass the place of the former minimum. Both hold to
leading order in :math:`\delta`. Source: new; for the pair see
:func:`gda_theory.pair.fold_rates`.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from gda_theory.problem.objective import Objective
from gda_theory.solve.minimise import solve
from gda_theory.solve.path import Path
from gda_theory.verdict import models as of_models
from gda_theory.verdict import scores
from gda_theory.verdict.measure import Measurement, norm
from gda_theory.verdict.models import Models, NoAnswer

POINTS = 20  # strengths at which the minimum is given
AROUND_EVEN = (0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 3)  # and these times the break-even strength
NEAR = 0.01  # relative distance to the fold at which slowness and the jump are given
FARTHEST = 1.5  # without a fold, the course ends at so many times the strength or break-even


class NearFold(NamedTuple):
    """What happens around the critical strength.

    * ``distance``: of the fold's weights from the retrained ones, over that of the pretrained.
    * ``near``: the relative distance to the critical strength of what follows.
    * ``oracle_epochs``: epochs that halve a distance along the slowest direction at the oracle,
      with step size one over the largest curvature there.
    * ``before_epochs``: the same at a strength just below the critical one.
    * ``slowdown``: the latter over the former.
    * ``passage_epochs``: epochs for which a run stays near the former minimum, just above the
      critical strength.
    * ``beyond``: relative distance of a minimum that a descent from the fold reaches just above the
      critical strength; NaN if it reaches none.
    """

    distance: float
    near: float
    oracle_epochs: float
    before_epochs: float
    slowdown: float
    passage_epochs: float
    beyond: float


class MinimumCourse(NamedTuple):
    """The minimum at several ``strengths`` from 0 to the critical one.

    ``distance`` is its distance from the retrained weights, over that of the pretrained weights.
    ``along`` is the signed component towards the pretrained weights, in the same unit. ``fold`` is
    None if no fold was met.
    """

    strengths: tuple[float, ...]
    distance: tuple[float, ...]
    along: tuple[float, ...]
    fold: NearFold | None


def course(
    models: Models,
    objective: Objective,
    followed: Path,
    given: Measurement,
) -> MinimumCourse:
    """The minimum along the strength.

    Cost: two Hessians and one minimisation.

    Args:
        models: the data.
        objective: the problem's objective.
        followed: the path at the strengths of :func:`strengths_of`, in the objective's coordinates.
        given: what was measured of it.
    Raises: :class:`NoAnswer` if the path could not be followed at all.
    """
    oracle = models.weights["retrained"]
    away = models.weights["pretrained"] - oracle
    unit = norm(away)
    strengths = np.asarray(followed.strengths)
    if not len(strengths):
        raise NoAnswer("the minimum could not be followed to any strength")
    moved = np.asarray(followed.weights) - oracle
    return MinimumCourse(
        strengths=tuple(strengths.tolist()),
        distance=tuple((norm(moved) / unit).tolist()),
        along=tuple((moved @ away / unit**2).tolist()),
        fold=_fold(models, objective, np.asarray(followed.fold_weights), given),
    )


def strengths_of(path: Path) -> Float[np.ndarray, " q"]:
    """The strengths of the course, more of them around break-even and before a fold.

    None if the path ends where it begins.

    Args:
        path: at the strength of the ascent alone.
    """
    critical, even = float(path.critical_strength), float(path.break_even_strength)
    steps = np.linspace(0, 1, POINTS)
    if math.isnan(critical):
        strength, searched_to = float(np.asarray(path.strengths)[0]), float(path.searched_to)
        end = min(np.nanmax([FARTHEST * strength, FARTHEST * even]), searched_to)
        grid = end * steps
    else:
        # The last one is so close below the fold that its minimum is still well separated.
        grid = critical * (1 - 1e-6) * (1 - (1 - steps) ** 2)
    if not grid[-1] > 0:
        return np.zeros(0)
    if math.isnan(even):
        return grid
    near = even * np.array(AROUND_EVEN)
    return np.unique(np.concatenate([grid, near[near < grid[-1]]]))


def _fold(
    models: Models, objective: Objective, weights: Float[np.ndarray, " d"], given: Measurement
) -> NearFold | None:
    critical = given.critical_strength
    if not np.all(np.isfinite(weights)) or not critical > 0:
        return None
    oracle = models.weights["retrained"]
    curvatures = np.linalg.eigvalsh(_hessian(models, objective, oracle, 0.0))
    steepest, flattest = curvatures[-1], curvatures[0]
    null = np.linalg.eigh(_hessian(models, objective, weights, critical))[1][:, 0]
    force, bend = _saddle_node(models, objective, weights, null, critical)
    product = abs(force * bend) * critical * NEAR
    rate = math.sqrt(2 * product)
    half_way = math.sqrt(2 * abs(force) * critical * NEAR / abs(bend))
    start = weights + math.copysign(half_way, force) * null
    landed = solve(objective, (1 + NEAR) * critical, start)
    unit = norm(models.weights["pretrained"] - oracle)
    beyond = norm(np.asarray(landed.weights) - oracle) / unit if landed.converged else math.nan
    return NearFold(
        distance=float(norm(weights - oracle) / unit),
        near=NEAR,
        oracle_epochs=float(math.log(2) * steepest / flattest),
        before_epochs=float(math.log(2) * steepest / rate),
        slowdown=float(flattest / rate),
        passage_epochs=float(math.pi * math.sqrt(2 / product) * steepest),
        beyond=float(beyond),
    )


def _hessian(
    models: Models, objective: Objective, weights: Float[np.ndarray, " m"], strength: float
) -> Float[np.ndarray, "m m"]:
    coefficients = np.asarray(objective.coefficients(strength))
    return of_models.hessian(models, weights, coefficients) + np.diag(models.ridge)


def _saddle_node(
    models: Models,
    objective: Objective,
    weights: Float[np.ndarray, " m"],
    null: Float[np.ndarray, " m"],
    strength: float,
) -> tuple[float, float]:
    """The numbers a and b of the module's formula."""
    forget = np.asarray(objective.forget_weight)[:, None]
    force = null @ scores.total(models.rows, forget * models.rows.slopes(weights))
    thirds = models.rows.thirds(weights, null)
    return float(force), float(np.asarray(objective.coefficients(strength)) @ thirds)
