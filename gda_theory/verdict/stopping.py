"""What stopping early can do: every scheme, at every step size, at its best epoch.

With at most ``ALL`` rows each run is simulated on all of them. With more rows it is followed on a
sample, which is exact to second order at the retrained model (:mod:`gda_theory.dynamics.samples`).
The error of the best stop is then estimated by gradients over all rows. Where it is too large, the
sample is made four times as large. So the cost of the runs hardly grows with the number of rows.
"""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from gda_theory.codes import Cause, Outcome, Reason
from gda_theory.dynamics import outcomes, samples, trials
from gda_theory.problem.objective import Objective
from gda_theory.problem.set_losses import SetLosses
from gda_theory.solve.path import Path, ascent_path
from gda_theory.solve.stages import padded, widened
from gda_theory.verdict.measure import NEGLIGIBLE, Stop, norm
from gda_theory.verdict.runs import ALL

LARGEST = 2**17  # rows of a sample
ALLOWED = 1e-3  # estimated error of the best stop, as a part of the distance, above which it grows
AT_REST = 1e-6  # of the distance: closer, a run rests at the retrained model
# Of the runs of several classes: rows times weights times epochs, and the least epochs.
ENTRIES = 2**28
FEWEST_EPOCHS = 100
LOOKS = 4  # epochs of a run at which gradients over all rows are taken


class Runs(NamedTuple):
    """The runs of all schemes, the objective that they follow, and their errors.

    Beyond ``reach``, in units of the pretrained model's distance, runs say little about all rows.
    """

    found: list[trials.Trial]
    objective: Objective
    wide: Objective
    errors: list[Float[np.ndarray, " s"]]
    reach: float = np.inf


def stops(objective: Objective, losses: SetLosses, path: Path, strength: float) -> tuple[Stop, ...]:
    """Every scheme at every step size; none where there is nothing to forget, or no oracle.

    Args:
        objective: what the runs descend and ascend.
        losses: those of the objective.
        path: its ``ascent_path(objective, [strength])``, which holds where the runs begin, what
            they are judged by, and the minimum that explains where they end.
        strength: of the ascent.
    """
    path = jax.tree.map(np.asarray, path)
    pretrained, oracle = path.pretrained.weights, path.oracle.weights
    if not path.oracle.converged or norm(pretrained - oracle) <= NEGLIGIBLE * norm(oracle):
        return ()
    count = len(objective.retain_weight)
    runs = (
        _on_all(objective, path, strength)
        if count <= ALL
        else _on_samples(objective, losses, path, strength)
    )
    causes = _causes(runs, path)
    rows = len(runs.objective.retain_weight)
    return tuple(
        _stop(trial, cause, error, rows, index)
        for trial, cause, error in zip(runs.found, causes, runs.errors, strict=True)
        for index in range(len(trial.step_size))
    )


def _on_all(objective: Objective, path: Path, strength: float) -> Runs:
    wide = widened(objective)
    start, target = (
        padded(point, wide.ridge.shape) for point in (path.pretrained.weights, path.oracle.weights)
    )
    found = trials.trials(wide, start, target, strength=strength, epochs=_epochs(objective))
    return Runs(found, objective, wide, [np.zeros(len(trial.step_size)) for trial in found])


def _on_samples(objective: Objective, losses: SetLosses, path: Path, strength: float) -> Runs:
    """Runs on samples that grow until the best stop of each scheme is known well enough."""
    pretrained, oracle = path.pretrained.weights, path.oracle.weights
    steepest = np.linalg.eigvalsh(losses.curvature(pretrained, 0.0))[-1:]
    apart = float(norm(pretrained - oracle))
    # Up to there margins change by about 1, and curvatures not by much.
    reach = max(3 * apart, 0.5 / float(np.sqrt(steepest[0])))
    flattest = float(np.linalg.eigvalsh(losses.curvature(oracle, 0.0))[0])
    count, rows = len(objective.retain_weight), ALL
    while True:
        sample = samples.sample_of(objective, losses, oracle, strength, rows, reach)
        wide = widened(sample.objective)
        found = _tilted(sample, wide, path, strength, steepest)
        errors = [_errors(sample, losses, trial, strength, flattest) / apart for trial in found]
        worst = max(
            error[np.argmin(trial.best_distance)]
            for error, trial in zip(errors, found, strict=True)
        )
        rows *= 4
        if worst <= ALLOWED or rows > min(LARGEST, count):
            return Runs(found, sample.objective, wide, errors, reach / apart)


def _tilted(
    sample: samples.Sample,
    wide: Objective,
    path: Path,
    strength: float,
    steepest: Float[np.ndarray, " 1"],
) -> list[trials.Trial]:
    """The runs of the sample, with its tilt."""
    columns = wide.ridge.shape
    tilt = sample.tilt._replace(
        centre=padded(sample.tilt.centre, columns),
        retain_slope=padded(sample.tilt.retain_slope, columns),
        forget_slope=padded(sample.tilt.forget_slope, columns),
        retain_bend=padded(sample.tilt.retain_bend, columns * 2),
        forget_bend=padded(sample.tilt.forget_bend, columns * 2),
    )
    return trials.trials(
        wide,
        padded(path.pretrained.weights, columns),
        padded(path.oracle.weights, columns),
        strength=strength,
        epochs=_epochs(wide),
        steepest=steepest,
        tilt=tilt,
    )


def _epochs(objective: Objective) -> int:
    """Epochs of the runs: fewer where one takes long, since a row has a score for each class."""
    if objective.has_margins:
        return trials.EPOCHS
    entries = len(objective.retain_weight) * len(objective.ridge)
    return int(np.clip(ENTRIES // entries, FEWEST_EPOCHS, trials.EPOCHS))


def _errors(
    sample: samples.Sample,
    losses: SetLosses,
    trial: trials.Trial,
    strength: float,
    flattest: float,
) -> Float[np.ndarray, " s"]:
    """The estimated error of the best stop's distance at each step size.

    It is the sum of the errors of all gradients up to the best epoch, times the step size. Between
    the epochs that were looked at they are interpolated. An epoch that shortens distances makes no
    more of them. A run that rests at the retrained model forgets its errors: only the last one
    counts, over the smallest curvature ``flattest`` there.
    """
    factors = np.sum(trial.scheme.half_steps, 0)
    dimension = len(sample.tilt.centre)
    found = []
    for index, best in enumerate(trial.best_epoch):
        epochs = np.unique(np.linspace(0, best, LOOKS).astype(int))
        early = epochs < trial.scheme.ascent_epochs
        used = np.where(early[:, None], (0.0, 1.0), factors)
        assert trial.weights is not None
        points = trial.weights[index, epochs, :dimension]
        missed = samples.errors(sample, losses, points, used, strength)
        total = trial.step_size[index] * np.sum(np.interp(np.arange(best), epochs, missed))
        if trial.best_distance[index] < AT_REST and flattest > 0:
            total = min(total, missed[-1] / flattest)
        found.append(float(total))
    return np.array(found)


def _stop(
    trial: trials.Trial, causes: np.ndarray, errors: np.ndarray, rows: int, index: int
) -> Stop:
    return Stop(
        scheme=trial.scheme.name,
        step_size=float(trial.step_size[index]),
        epochs=trial.distances.shape[-1] - 1,
        best_epoch=int(trial.best_epoch[index]),
        best_relative=float(trial.best_distance[index]),
        good_epochs=int(trial.good_epochs[index]),
        descent_relative=float(trial.descent_distance[index]),
        final_relative=float(trial.final_distance[index]),
        descent_final=float(trial.descent_final[index]),
        outcome=Outcome(int(trial.run.outcome[index])),
        cause=Cause(int(causes[index])),
        rows=rows,
        error=float(errors[index]),
    )


def _causes(runs: Runs, path: Path) -> list[np.ndarray]:
    """Why each run ended as it did, ``UNKNOWN`` if the sample does not show it.

    Schemes that follow the same objective share its path. With several classes, whose paths take
    long, and on samples, schemes without a known path have no cause.
    """
    sampled = np.isfinite(runs.reach)
    solved = {
        (1.0, float(path.strengths[0]), True): path,
        (1.0, 0.0, True): path._replace(
            strengths=np.zeros(1),
            weights=path.oracle.weights[None],
            reason=np.full(1, Reason.FOUND, np.int32),
            critical_strength=np.asarray(np.nan),
        ),
    }
    causes = []
    for trial in runs.found:
        effective, strength = outcomes.effective(runs.objective, trial.scheme, path.strengths[0])
        key = (outcomes.ridge_factor(trial.scheme), float(strength), trial.scheme.descends)
        if key not in solved and (sampled or not runs.objective.has_margins):
            causes.append(np.full(np.shape(trial.step_size), Cause.UNKNOWN))
            continue
        if key not in solved:
            solved[key] = jax.tree.map(np.asarray, ascent_path(effective, np.atleast_1d(strength)))
        weights = padded(solved[key].weights, (1, *runs.wide.ridge.shape))
        known = solved[key]._replace(weights=weights)
        cause = np.asarray(outcomes.explain(trial.run, runs.wide, path=known).cause)
        causes.append(np.where(trial.final_distance > runs.reach, Cause.UNKNOWN, cause))
    return causes
