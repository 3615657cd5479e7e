"""A diagnosis, as text for a terminal of 80 columns and as JSON."""

import dataclasses
import functools
import html
import math
import pathlib
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import jax

from gda_theory.codes import Reason, RunEnd, sentence
from gda_theory.problem.multinomial import MultinomialProblem
from gda_theory.problem.problem import Problem
from gda_theory.solve.path import Path
from gda_theory.verdict import answers, evidence, page, page_tables, plotting, words
from gda_theory.verdict.decide import Verdict, decide
from gda_theory.verdict.effects import Effects, effects
from gda_theory.verdict.evidence import Evidence
from gda_theory.verdict.measure import NEGLIGIBLE, Measurement, Stop
from gda_theory.verdict.models import models_of
from theory_common.printing import files, tables

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure

WIDTH = 80
OTHER = {
    "mean": "If your code sums losses instead of averaging them:",
    "sum": "If your code averages losses instead of summing them:",
}
MODELS = {
    "retrained": "retrained",
    "pretrained": "doing nothing",
    "newton": "one Newton step",
    "ascent": "ascent's minimum",
}
NO_MINIMUM = {
    Reason.PAST_FOLD: "no minimum",
    Reason.UNBOUNDED: "unbounded",
    Reason.NOT_CONVERGED: "not found",
}


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """A verdict on gradient ascent at ``strength``, and the numbers that support it.

    ``print`` shows one screen: a table of the numbers, and the verdict last.

    Attributes:
        strength: of the ascent.
        given: the numbers (:class:`~gda_theory.verdict.measure.Measurement`) of the problem's own
            reduction.
        other: the numbers of the other reduction, at the ridge that gives the same pretrained
            model.
        stops: what early stopping can do in the given reduction
            (:class:`~gda_theory.verdict.measure.Stop`), for each scheme and step size.
        problem: the data in float64. ``path`` is the minimum that was found for it, and
            ``followed`` is the path of its objective at more strengths. The sections of
            :attr:`evidence` are computed from them.
        names: of the features, for the report.
        notes: sentences about the data, for the report.
    """

    strength: float
    given: Measurement
    other: Measurement
    stops: tuple[Stop, ...]
    problem: Problem | MultinomialProblem = dataclasses.field(repr=False, compare=False)
    path: Path = dataclasses.field(repr=False, compare=False)
    followed: Path = dataclasses.field(repr=False, compare=False)
    names: tuple[str, ...] = dataclasses.field(default=(), repr=False)
    notes: tuple[str, ...] = dataclasses.field(default=(), repr=False)

    @property
    def code(self) -> Verdict:
        """The verdict for the given reduction."""
        return decide(self.given)

    @property
    def other_code(self) -> Verdict:
        """The verdict for the other reduction."""
        return decide(self.other)

    @property
    def verdict(self) -> str:
        """What doing nothing means for predictions, what ascent will do, why, and what to do."""
        return " ".join(part for part in sentences(self).values() if part)

    @functools.cached_property
    def effects(self) -> Effects | None:
        """Predictions, loss, accuracy and calibration of the models; None without two models.

        Of rows in memory only.
        """
        solved = self.given.pretrain_converged and self.given.retrain_converged
        equal = self.given.pretrain_distance <= NEGLIGIBLE * self.given.retrain_norm
        if not isinstance(self.problem, Problem | MultinomialProblem) or not solved or equal:
            return None
        with jax.enable_x64(True):
            return effects(models_of(self.problem, self.path, self.strength, self.names))

    @property
    def other_verdict(self) -> str:
        """The verdict in sentences for the other reduction."""
        return words.sentences(self.other_code, self.other, self.strength)

    @functools.cached_property
    def evidence(self) -> Evidence:
        """The further sections of the report, computed when they are first asked for."""
        return evidence.evidence(
            self.problem,
            self.path,
            self.followed,
            self.given,
            self.other,
            self.strength,
            self.names,
        )

    def to_dict(self) -> dict[str, Any]:
        """All numbers and sentences in types of JSON: what ``diagnose --json`` prints."""
        document = tables.to_json(as_json(self))
        return document | {"answers": answers.sentences(document)}

    def to_html(self, path: str | pathlib.Path | None = None, *, force: bool = False) -> str:
        """The report as one HTML page that needs no network, written to ``path`` if it is given.

        Args:
            path: a file in a folder that exists.
            force: whether a file of that name may be replaced.
        Returns: the page.
        Raises: ``OSError`` as :func:`theory_common.printing.files.write_whole`.
        """
        if path is not None:
            files.require_free(path, force=force)
        text = page.page(self.to_dict())
        if path is not None:
            files.write_whole(path, text, force=force)
        return text

    def to_frame(self) -> "pl.DataFrame":
        """The numbers of both reductions as a Polars frame: ``quantity``, ``given``, ``other``.

        True and False are 1 and 0. ``to_pandas()`` of the frame gives pandas' kind.
        """
        import polars as pl

        both = [dataclasses.asdict(numbers) for numbers in (self.given, self.other)]
        names = [name for name, value in both[0].items() if isinstance(value, int | float)]
        given, other = ([float(one[name]) for name in names] for one in both)
        return pl.DataFrame({"quantity": names, "given": given, "other": other})

    def plot(self) -> "Figure":
        """A Matplotlib figure: the minimum along the strength, and the best early stops."""
        return plotting.figure(self.to_dict())

    def _repr_html_(self) -> str:
        """The verdict and the table of numbers, for a notebook."""
        heads = ["", f"{self.given.reduction} (given)", self.other.reduction]
        cells = [[html.escape(tables.cell(cell)) for cell in row] for row in self.rows()]
        return f"<p><strong>{html.escape(self.verdict)}</strong></p>" + page_tables.table(
            heads, cells
        )

    def rows(self) -> list[tuple]:
        """The table of :meth:`summary`: quantity, given reduction, other reduction."""
        return rows(self)

    def summary(self) -> str:
        """Numbers and verdict as text that fits a terminal of 80 columns."""
        return summary(self)

    def __str__(self) -> str:
        return self.summary()


def sentences(found: Diagnosis) -> dict[str, str]:
    """The two parts of the verdict: on predictions, which may be empty, and on ascent."""
    return {
        "predictions": "" if found.effects is None else words.predictions(found.effects),
        "ascent": words.sentences(found.code, found.given, found.strength, found.stops),
    }


def summary(found: Diagnosis) -> str:
    """The numbers, their legends, and the verdict last."""
    given, other = found.given.reduction, found.other.reduction
    numbers = [("", f"{given} (given)", other)]
    numbers += [(name, *map(tables.cell, values)) for name, *values in rows(found)]
    lines = [
        *([] if found.effects is None else [*_effects(found.effects), ""]),
        *tables.aligned(numbers),
        "cosine -1: ascent leads from the retrained model away from the pretrained one",
    ]
    if found.stops:
        lines += ["", *_stops(found.stops, found.given)]
    hint = f"{OTHER[given]} {found.other_verdict}"
    for paragraph in (hint, f"VERDICT: {found.verdict}"):
        lines += ["", *textwrap.wrap(paragraph, WIDTH)]
    return "\n".join(lines)


def _effects(measured: Effects) -> list[str]:
    """The table of predictions, over all rows."""
    cells = [("all rows", "mean change", "largest", "accuracy", "loss", "Brier", "calibration")]
    for name, said in MODELS.items():
        if name not in measured.quality:
            continue
        quality = measured.quality[name]["all"]
        change = measured.change[name]["all"] if name in measured.change else None
        cells.append(
            (
                said,
                "" if change is None else words.points(change.mean),
                "" if change is None else words.points(change.largest),
                f"{quality.accuracy:.4f}",
                tables.number(quality.loss),
                tables.number(quality.brier),
                tables.number(quality.calibration_error),
            )
        )
    legend = [
        "change: of predicted probabilities against the retrained model, in points (0.01)",
        "calibration: expected calibration error in ten bins; Brier: mean squared error",
    ]
    return [*tables.aligned(cells), *legend]


def rows(found: Diagnosis) -> list[tuple]:
    """The table of :func:`summary`: name of the quantity, given reduction, other reduction."""
    return [
        (name, first, second)
        for (name, first), (_, second) in zip(
            _quantities(found.given, found.strength),
            _quantities(found.other, found.strength),
            strict=True,
        )
    ]


def as_json(found: Diagnosis) -> dict[str, Any]:
    """The dictionary that ``diagnose --json`` prints, with the verdict first.

    Each reduction has its numbers, the ``code`` of its verdict and the verdict in words. The
    sections of :class:`~gda_theory.verdict.evidence.Evidence` follow.
    """
    return {
        "verdict": found.verdict,
        "sentences": sentences(found),
        "data": list(found.notes),
        "strength": found.strength,
        "classes": len(getattr(found.problem, "classes", (-1, 1))),
        "given": _judged(found.given, found.code, found.verdict),
        "other": _judged(found.other, found.other_code, found.other_verdict),
        "stops": [_stop(stop) for stop in found.stops],
        **found.evidence._asdict(),
    }


def _judged(numbers: Measurement, code: int, verdict: str) -> dict[str, Any]:
    return dataclasses.asdict(numbers) | {"code": int(code), "verdict": verdict}


def _stop(stop: Stop) -> dict[str, Any]:
    said = {"outcome": sentence(stop.outcome), "cause": sentence(stop.cause)}
    return dataclasses.asdict(stop) | said


def _quantities(numbers: Measurement, strength: float) -> Iterator[tuple[str, Any]]:
    """Name and value of each row."""
    at = tables.number(strength)
    none = f"none up to {tables.number(numbers.searched_to)}"
    yield "ridge", numbers.ridge
    yield "forgotten rows per kept row, f/r", numbers.size_ratio
    yield "distance to the retrained model", ""
    yield "  doing nothing (the pretrained model)", numbers.pretrain_distance
    yield f"  ascent's minimum at strength {at}", _ascent(numbers)
    yield "  the run of ascent from your model", _run(numbers)
    yield "  one Newton step from the pretrained model", numbers.newton_distance
    yield "strength where ascent stops helping", _or(numbers.break_even_strength, none)
    yield "  predicted to first order in f/r", numbers.first_order_break_even
    yield "strength where ascent's minimum disappears", _or(numbers.critical_strength, none)
    searched = numbers.minima or numbers.run_end != RunEnd.NOT_FOLLOWED
    yield "minima of ascent that were found", len(numbers.minima) if searched else "not searched"
    yield f"objective bounded below at strength {at}", numbers.bounded_below
    yield "cosine between ascent and pretraining", numbers.opposite_cosine
    yield "Newton steps of exact retraining", numbers.retrain_iterations


def _or(value: float, otherwise: str) -> float | str:
    return otherwise if math.isnan(value) else value


def _ascent(numbers: Measurement) -> float | str:
    if numbers.reason == Reason.FOUND:
        return numbers.descent_ascent_distance
    return NO_MINIMUM[Reason(numbers.reason)]


def _run(numbers: Measurement) -> float | str:
    """How far the run from the pretrained model ends."""
    if numbers.run_end == RunEnd.NOT_FOLLOWED:
        return "not followed"
    if numbers.run_end == RunEnd.UNDECIDED:
        return "not decided"
    return "diverges" if numbers.run_end == RunEnd.DIVERGES else numbers.run_distance


def _stops(stops: Sequence[Stop], numbers: Measurement) -> list[str]:
    """The table of early stops, one row a scheme, at the step size with the best stop."""
    schemes = dict.fromkeys(stop.scheme for stop in stops)
    of_scheme = [[stop for stop in stops if stop.scheme == name] for name in schemes]
    bests = [min(some, key=lambda stop: stop.best_relative) for some in of_scheme]
    cells = [
        ("run from the pretrained model", "step size", "best epoch", "left", "descent", "good")
    ]
    cells += [
        (
            stop.scheme,
            tables.number(stop.step_size, 2),
            str(stop.best_epoch),
            _percent(stop.best_relative),
            _percent(stop.descent_relative),
            str(stop.good_epochs),
        )
        for stop in bests
    ]
    epochs = stops[0].epochs
    final = _percent(min(stop.descent_final for stop in stops))
    legend = [
        f"best epoch: of {epochs}, the closest to the retrained model; unknown in practice",
        "left: part of the distance that remains then (doing nothing leaves 100 %)",
        f"descent: the same for descent on the kept rows alone ({final} after {epochs} epochs)",
        "good: number of epochs that leave at most half of the distance",
    ]
    if any(stop.error > 0 for stop in stops):
        error = max(stop.error for stop in bests)
        legend += textwrap.wrap(
            f"The runs were followed on {stops[0].rows} of the rows. By gradients over all rows, "
            f"the best distances are off by about {_percent(error)} at most.",
            WIDTH,
        )
    if numbers.run_end == RunEnd.NOT_FOLLOWED:
        slow = next(stop for stop in stops if stop.scheme == "simultaneous")
        end = f"Simultaneous run with the smallest steps: {sentence(slow.cause)}"
    else:
        end = f"Without a stop, the run with small steps ends {sentence(RunEnd(numbers.run_end))}"
    why = textwrap.wrap(end, WIDTH)
    return [*tables.aligned(cells), *legend, *why]


def _percent(part: float) -> str:
    return words.percent(part).replace("less than ", "<")
