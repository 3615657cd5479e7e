"""Where the run from the user's model ends, and which minima were found.

Descent-ascent has one minimum that continues the retrained model. There may be others, and the
dynamics decide which of them the run from the pretrained model reaches. So the run is followed
(:mod:`gda_theory.dynamics.endings`). Further runs, from the origin and from far along the ascent,
look for more minima, if the objective is bounded below. A minimum that no start leads to is not
found.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from gda_theory.codes import RunEnd
from gda_theory.dynamics import samples
from gda_theory.dynamics.endings import ACCURACY, End, Ending, ending
from gda_theory.problem.objective import Objective
from gda_theory.problem.set_losses import SetLosses, set_losses_of
from gda_theory.solve.path import Path

Floats = np.ndarray

CONTINUATION = "continuation from the retrained model"
PRETRAINED = "the pretrained model"
ORIGIN = "the origin"
FAR_ALONG = "far along the ascent"
ALL = 2**13  # rows
ROUGH = 1e-2  # accuracy of the runs that look for further minima, and of all runs over many rows
ROUGH_STEPS = 150
SAME = 1e-5  # relative distance below which two minima are one


@dataclasses.dataclass(frozen=True)
class FoundMinimum:
    """A minimum of descent-ascent, its distance to the retrained model, and what led to it."""

    distance: float
    found_from: tuple[str, ...]


class Destination(NamedTuple):
    """Where the run from the pretrained model ends.

    ``distance`` is that to the retrained model, NaN unless the run ends in a minimum. ``time`` is
    the time of the flow until then: one epoch with step size s takes the time s. ``weights`` are
    the last ones that were followed.
    """

    end: RunEnd
    distance: float
    time: float
    weights: Float[Floats, " d"]
    minima: tuple[FoundMinimum, ...]


def destination(
    objective: Objective, losses: SetLosses, path: Path, strength: float
) -> Destination:
    """Follow the run from the pretrained model at this strength, and look for other minima.

    The run is followed on all rows. With more than ``ALL`` rows, the further runs are first
    followed on a sample of so many, and then on all rows from where they ended. There the error of
    a step is measured against the way from the first start.

    Args:
        objective: that of the problem.
        losses: its losses.
        path: its ``ascent_path(objective, [strength])``, as NumPy arrays.
        strength: of the ascent.
    """
    oracle, start = np.asarray(path.oracle.weights), np.asarray(path.pretrained.weights)
    apart = float(np.linalg.norm(start - oracle))
    bounded = bool(path.bounded_below[0])
    many = len(objective.retain_weight) > ALL
    run = ending(
        losses,
        start,
        strength=strength,
        scale=apart,
        bounded=bounded,
        accuracy=ROUGH if many else ACCURACY,
    )
    continued = np.asarray(path.weights[0])
    minima: list[tuple[Floats, list[str]]] = []
    if np.all(np.isfinite(continued)):
        minima.append((continued, [CONTINUATION]))
    _note(minima, run, PRETRAINED)
    further = _starts(losses, oracle, strength) if bounded else {}
    some = set_losses_of(samples.some_rows(objective, ALL)) if many and further else losses
    for name, point in further.items():
        begun = point
        for rows in (some, losses) if many else (losses,):
            other = ending(
                rows,
                point,
                strength=strength,
                scale=max(apart, float(np.linalg.norm(point - begun))),
                bounded=bounded,
                accuracy=ROUGH,
                most_steps=ROUGH_STEPS,
            )
            point = other.weights
        _note(minima, other, name)
    settled = run.end == End.MINIMUM
    return Destination(
        end=_run_end(run, continued),
        distance=float(np.linalg.norm(run.weights - oracle)) if settled else np.nan,
        time=run.time,
        weights=run.weights,
        minima=tuple(
            FoundMinimum(float(np.linalg.norm(point - oracle)), tuple(names))
            for point, names in minima
        ),
    )


def _starts(
    losses: SetLosses, oracle: Float[Floats, " d"], strength: float
) -> dict[str, Float[Floats, " d"]]:
    """The further starts: the origin, and where the ascent would be held by the ridge alone."""
    force = strength * losses.gradient(oracle, 0.0, 1.0)
    held = losses.ridge > 0
    far = np.where(held, force / np.where(held, losses.ridge, 1), oracle)
    return {ORIGIN: np.zeros_like(oracle), FAR_ALONG: far}


def _note(minima: list[tuple[Floats, list[str]]], run: Ending, name: str) -> None:
    """Add where the run ended to the minima, or its name to the one that is there already."""
    if run.end != End.MINIMUM:
        return
    for point, names in minima:
        if _is_same(point, run.weights):
            names.append(name)
            return
    minima.append((run.weights, [name]))


def _is_same(first: Floats, second: Floats) -> bool:
    size = np.linalg.norm(first) + np.linalg.norm(second)
    return bool(np.linalg.norm(first - second) <= SAME * size)


def _run_end(run: Ending, continued: Float[Floats, " d"]) -> RunEnd:
    if run.end == End.UNDECIDED:
        return RunEnd.UNDECIDED
    if run.end == End.LEFT:
        return RunEnd.DIVERGES
    return RunEnd.CONTINUED if _is_same(run.weights, continued) else RunEnd.ELSEWHERE
