r"""The numbers behind a verdict: distances, break-even, fold, early stops.

Distances are Euclidean distances of weights to the retrained model (the *oracle*). To first order
in f/r

.. math:: w_D - w_R \approx -H_R^{-1}\, e, \qquad
          w(\gamma) - w_R \approx +\gamma\, H_R^{-1}\nabla L_F,

where :math:`e = \tfrac fr(\nabla L_F + \Lambda w_R)` for means and :math:`\nabla L_F` for sums. So
pretraining and ascent lie on *opposite sides* of the oracle. Ascent is better than doing nothing
only below the *break-even strength*, about f/r for means and 1 for sums. Source: new.

A few stages of fixed shape are compiled. Everything between them is NumPy.
"""

import dataclasses
import math
from collections.abc import Iterable
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import ArrayLike, Bool, Float

from gda_theory.codes import Cause, Outcome, RunEnd
from gda_theory.problem.multinomial import MultinomialProblem
from gda_theory.problem.objective import Objective, pretraining
from gda_theory.problem.problem import Problem
from gda_theory.problem.set_losses import SetLosses, set_losses_of
from gda_theory.solve.existence import existence
from gda_theory.solve.path import Path, ascent_path
from gda_theory.solve.stages import widened
from gda_theory.verdict.runs import FoundMinimum, destination
from theory_common.claims import backed_by

AnyProblem = Problem | MultinomialProblem
NEGLIGIBLE = 1e-9  # of the retrained weights' length: closer models count as equal


@dataclasses.dataclass(frozen=True)
class RunawayClass:
    """The class whose forgotten rows outweigh its kept rows, so that the intercept diverges.

    ``forgotten`` and ``kept`` are its shares of the forgotten and the kept rows for means, and its
    total weights for sums. ``label`` is +1 or -1, or the name of one of several classes, as text.
    """

    label: int | str
    forgotten: float
    kept: float


@backed_by("first-step-any-data", "first-step-sign-pair")
@dataclasses.dataclass(frozen=True)
class Measurement:
    r"""The numbers of one reduction. NaN stands where a number does not exist.

    * ``reduction``: ``"mean"`` or ``"sum"``, of the losses of each set.
    * ``ridge``: of the penalised coordinates, NaN if they differ.
    * ``size_ratio``: f/r, the ratio of the total weights of both sets.
    * ``retrain_norm``: length of the retrained weights.
    * ``pretrain_distance``: from the pretrained to the retrained model. Doing nothing leaves it.
    * ``descent_ascent_distance``: from ascent's minimum at the given strength to the retrained
      model. If there is no minimum, ``reason`` (:class:`gda_theory.Reason`) says why.
    * ``bounded_below``: whether ascent's objective is bounded below. If an intercept is the cause
      that it is not, ``runaway_class`` is the class responsible.
    * ``break_even_strength``: where ascent's minimum is as far from the retrained model as the
      pretrained model is, if that is met before ``searched_to``.
    * ``first_order_break_even``: :math:`|H_R^{-1}e| / |H_R^{-1}\nabla L_F|`, see the module.
    * ``critical_strength``: where the minimum disappears (the fold), if before ``searched_to``.
    * ``opposite_cosine``: between :math:`w_D - w_R` and :math:`H_R^{-1}\nabla L_F(w_R)`, the
      direction in which ascent leaves the oracle. At -1 the two are exactly opposite.
    * ``first_step_towards``: whether a first small step of ascent at strength 1 from the pretrained
      weights comes closer to the oracle. It nearly always does, even if the limit is far worse, so
      no verdict uses it.
    * ``newton_distance``: the distance after one Newton step from the pretrained weights on the
      kept rows. ``newton_relative`` is this over ``pretrain_distance``.
    * ``retrain_iterations``: Newton steps of exact retraining.
    * ``..._gradient_norm`` and ``..._converged``: how well each minimum was found.
    * ``no_minimum``: why pretraining or retraining has no single minimum, empty if each has one.
      Without a ridge, some columns may separate the labels or depend on each other.
    * ``run_end`` (:class:`gda_theory.RunEnd`): where descent-ascent with small steps ends, which
      starts from the pretrained model.  ``run_distance`` is
      the distance from there to the retrained model, NaN unless the run ends in a minimum.
      ``run_time`` is the time that it takes; one epoch with step size s takes the time s.
    * ``minima``: the minima of descent-ascent that were found, each with its distance to the
      retrained model and the starts that led to it. There may be more.

    Claims: ``first-step-any-data``, ``first-step-sign-pair``.
    """

    reduction: str
    ridge: float
    size_ratio: float
    retrain_norm: float
    pretrain_distance: float
    descent_ascent_distance: float
    reason: int
    bounded_below: bool
    runaway_class: RunawayClass | None
    break_even_strength: float
    first_order_break_even: float
    critical_strength: float
    searched_to: float
    opposite_cosine: float
    first_step_towards: bool
    newton_distance: float
    newton_relative: float
    retrain_iterations: int
    pretrain_gradient_norm: float
    retrain_gradient_norm: float
    descent_ascent_gradient_norm: float
    pretrain_converged: bool
    retrain_converged: bool
    no_minimum: str = ""
    run_end: RunEnd = RunEnd.NOT_FOLLOWED
    run_distance: float = math.nan
    run_time: float = math.nan
    minima: tuple[FoundMinimum, ...] = ()

    @property
    def end_distance(self) -> float:
        """The distance to the retrained model at which ascent ends, NaN if that is not known.

        It is that of the run if it was followed, else that of the continued minimum.
        """
        if self.run_end in (RunEnd.CONTINUED, RunEnd.ELSEWHERE):
            return self.run_distance
        return math.nan if self.run_end == RunEnd.DIVERGES else self.descent_ascent_distance


@dataclasses.dataclass(frozen=True)
class Stop:
    """A ``scheme`` run with one ``step_size`` from the pretrained model, whose distance is 1.

    ``best_relative`` is the least distance to the oracle, at ``best_epoch`` of ``epochs`` (0 if
    doing nothing was best). ``good_epochs`` epochs leave at most half of the distance.
    ``descent_relative`` is left by plain descent on the kept rows at ``best_epoch``.
    After all epochs descent leaves ``descent_final`` and the scheme ``final_relative``.
    ``outcome`` is what was seen of the run, and ``cause`` is why.

    The run was followed on ``rows`` rows. These are all rows, unless there are many
    (:mod:`gda_theory.dynamics.samples`). Then ``error`` estimates how far ``best_relative`` is from
    that of a run on all rows, from gradients over all rows at some epochs of the run. It is 0 if
    all rows were used.
    """

    scheme: str
    step_size: float
    epochs: int
    best_epoch: int
    best_relative: float
    good_epochs: int
    descent_relative: float
    final_relative: float
    descent_final: float
    outcome: Outcome
    cause: Cause
    rows: int = 0
    error: float = 0.0


class OppositeSides(NamedTuple):
    """How pretraining and ascent lie around the oracle, for many forget sets.

    The fields are those of :class:`Measurement`, and four more. ``distance`` is the distance from
    ascent's minimum at each given strength to the oracle. ``along`` is its signed component in the
    direction of the pretrained model. Both are in units of ``pretrain_distance``.
    ``fold_distance`` and ``fold_along`` are the same at the fold.
    """

    size_ratio: Float[np.ndarray, " sets"]
    pretrain_distance: Float[np.ndarray, " sets"]
    break_even_strength: Float[np.ndarray, " sets"]
    first_order_break_even: Float[np.ndarray, " sets"]
    critical_strength: Float[np.ndarray, " sets"]
    searched_to: Float[np.ndarray, " sets"]
    opposite_cosine: Float[np.ndarray, " sets"]
    first_step_towards: Bool[np.ndarray, " sets"]
    distance: Float[np.ndarray, "sets q"]
    along: Float[np.ndarray, "sets q"]
    fold_distance: Float[np.ndarray, " sets"]
    fold_along: Float[np.ndarray, " sets"]


def opposite_sides(
    problem: Problem, forget_sets: Iterable[ArrayLike], strengths: ArrayLike
) -> OppositeSides:
    """The law of opposite sides measured on many forget sets of one data set.

    All sets have the same shapes, so everything is compiled once. One set costs about one
    :func:`gda_theory.ascent_path`: 10 ms for n = 569, d = 30.

    Args:
        problem: features, labels, ridge, loss and reduction; its own forget set is not used.
        forget_sets: boolean masks ``(sets, n)``.
        strengths: ``(q,)``, at which the minima are compared.

    Returns: :class:`OppositeSides`, one row a set.
    Raises: ``ValueError`` if there is no mask.
    """
    problems = (problem.replace(forget=mask) for mask in forget_sets)
    found = [_sides_of(one, strengths) for one in problems]
    if not found:
        raise ValueError("forget_sets must hold at least one mask")
    return jax.tree.map(lambda *values: np.stack(values), *found)


@backed_by("one-path")
def other_reduction(problem: AnyProblem) -> AnyProblem:
    """The same data under the other reduction, at the ridge that gives the same pretrained model.

    That ridge is n times as large for sums, and one n-th for means.

    Claim: ``one-path``.
    """
    total = np.sum(np.asarray(problem.sample_weight))
    if problem.reduction == "mean":
        return problem.replace(reduction="sum", ridge=np.asarray(problem.ridge) * total)
    return problem.replace(reduction="mean", ridge=np.asarray(problem.ridge) / total)


def measure(
    problem: AnyProblem,
    objective: Objective,
    path: Path,
    *,
    losses: SetLosses | None = None,
    follow: bool = True,
) -> Measurement:
    """The numbers of one problem from its path, which holds one strength.

    Args:
        problem: the data.
        objective: the problem's objective.
        path: ``ascent_path(objective, [strength])``.
        losses: those of the objective, made from it by default.
        follow: whether the run from the pretrained model is followed to its end.
    """
    path = jax.tree.map(np.asarray, path)
    losses = set_losses_of(objective, widened(objective)) if losses is None else losses
    around = _Around.of(objective, losses, path)
    sides = _sides(around, path)
    distance = float(sides.pretrain_distance)
    stepped = path.pretrained.weights - solved(around.hessians[1], around.gradient(1, 0.0))
    newton_distance = norm(stepped - path.oracle.weights)
    ridges = np.unique(around.ridge[around.ridge > 0])
    bounded = bool(path.bounded_below[0])
    strength = float(path.strengths[0])
    followed = follow and bool(path.oracle.converged and path.pretrained.converged)
    run = destination(objective, losses, path, strength) if followed else None
    return Measurement(
        reduction=problem.reduction,
        ridge=float(ridges[0]) if len(ridges) == 1 else math.nan,
        size_ratio=float(sides.size_ratio),
        retrain_norm=float(norm(path.oracle.weights)),
        pretrain_distance=distance,
        descent_ascent_distance=float(norm(path.weights[0] - path.oracle.weights)),
        reason=int(path.reason[0]),
        bounded_below=bounded,
        runaway_class=None if bounded else runaway_class(problem, strength),
        break_even_strength=float(sides.break_even_strength),
        first_order_break_even=float(sides.first_order_break_even),
        critical_strength=float(sides.critical_strength),
        searched_to=float(sides.searched_to),
        opposite_cosine=float(sides.opposite_cosine),
        first_step_towards=bool(sides.first_step_towards),
        newton_distance=float(newton_distance),
        newton_relative=float(newton_distance) / distance if distance > 0 else math.nan,
        retrain_iterations=int(path.oracle.iterations),
        pretrain_gradient_norm=float(path.pretrained.gradient_norm),
        retrain_gradient_norm=float(path.oracle.gradient_norm),
        descent_ascent_gradient_norm=float(path.gradient_norm[0]),
        pretrain_converged=bool(path.pretrained.converged),
        retrain_converged=bool(path.oracle.converged),
        no_minimum=_no_minimum(objective, path),
        run_end=RunEnd.NOT_FOLLOWED if run is None else run.end,
        run_distance=math.nan if run is None else run.distance,
        run_time=math.nan if run is None else run.time,
        minima=() if run is None else run.minima,
    )


def _no_minimum(objective: Objective, path: Path) -> str:
    """Why the retrained or the pretrained model is no single minimum, empty if both are."""
    for name, one, found in (
        ("retrained", objective, path.oracle),
        ("pretrained", pretraining(objective), path.pretrained),
    ):
        if not found.converged and objective.has_margins:
            decided = existence(*map(np.asarray, (one.types, one.retain_weight, one.ridge)))
            if not decided.exists:
                return f"there is no single {name} model, since {decided.reason}"
    return ""


def runaway_class(problem: AnyProblem, strength: float) -> RunawayClass | None:
    """The class that lets an unpenalised intercept run away at this strength, if one does."""
    weight, forget = np.asarray(problem.sample_weight), np.asarray(problem.forget)
    features, ridge = np.asarray(problem.features), np.asarray(problem.ridge)
    constant = np.all(features == features[:1], 0) & (features[0] != 0)
    if not np.any(constant & (ridge == 0)):
        return None
    totals = [np.sum(weight[members]) for members in (forget, ~forget)]
    for label, of_class in _classes(problem):
        parts = [np.sum(weight[members & of_class]) for members in (forget, ~forget)]
        if problem.reduction == "mean":
            parts = [part / total for part, total in zip(parts, totals, strict=True)]
        forgotten, kept = map(float, parts)
        if strength * forgotten > kept:
            return RunawayClass(label=label, forgotten=forgotten, kept=kept)
    return None


def _classes(problem: AnyProblem) -> list[tuple[int | str, Bool[np.ndarray, " n"]]]:
    """The label and the rows of each class."""
    if isinstance(problem, MultinomialProblem):
        labels = np.asarray(problem.labels)
        return [(str(name), labels == number) for number, name in enumerate(problem.classes)]
    signs = np.asarray(problem.signs)
    return [(sign, signs == sign) for sign in (1, -1)]


# What an objective is around the oracle and the pretrained model ---------------------------------


@dataclasses.dataclass(frozen=True)
class _Around:
    """A problem at two points: 0 is the oracle, 1 the pretrained model."""

    points: Float[np.ndarray, "2 d"]
    gradients: Float[np.ndarray, "2 2 d"]  # of the retained, of the forgotten losses
    hessians: Float[np.ndarray, "2 d d"]  # of the oracle's objective
    ridge: Float[np.ndarray, " d"]
    reduction: str
    size_ratio: float

    @classmethod
    def of(cls, objective: Objective, losses: SetLosses, path: Path) -> "_Around":
        """From the two solutions of the path."""
        points = np.stack([np.asarray(path.oracle.weights), np.asarray(path.pretrained.weights)])
        parts = ((1.0, 0.0), (0.0, 1.0))
        return cls(
            points=points,
            gradients=np.stack(
                [[losses.gradient(point, *part) for part in parts] for point in points]
            ),
            hessians=np.stack([losses.curvature(point, 0.0) for point in points]),
            ridge=losses.ridge,
            reduction=objective.reduction,
            size_ratio=float(objective.size_ratio),
        )

    def gradient(self, point: int, strength: float) -> Float[np.ndarray, " d"]:
        """That of :meth:`Objective.gradient`."""
        factor = 1 - strength if self.reduction == "mean" and strength < 0 else 1.0
        retained, forgotten = self.gradients[point]
        return factor * self.ridge * self.points[point] + retained - strength * forgotten


def _sides_of(problem: Problem, strengths: ArrayLike) -> OppositeSides:
    objective = objective_of(problem)
    path = jax.tree.map(np.asarray, ascent_path(objective, strengths))
    return _sides(_Around.of(objective, set_losses_of(objective), path), path)


@np.errstate(divide="ignore", invalid="ignore")  # rows without effect give 0/0, which is NaN
def _sides(around: _Around, path: Path) -> OppositeSides:
    """One forget set's numbers, from its path."""
    oracle, pretrained = np.asarray(path.oracle.weights), np.asarray(path.pretrained.weights)
    away = pretrained - oracle
    distance = norm(away)
    unit = distance if distance > 0 else math.nan
    direction = away / unit
    curvature = around.hessians[0]
    # At the oracle the retained part of pretraining's gradient vanishes. What is left is what the
    # forget set and its share of the ridge add.
    lowest = -around.size_ratio if around.reduction == "mean" else -1.0
    pretrain_step = solved(curvature, around.gradient(0, lowest))
    pushed = solved(curvature, around.gradients[0, 1])
    moved = np.asarray(path.weights) - oracle
    folded = np.asarray(path.fold_weights) - oracle
    return OppositeSides(
        size_ratio=np.asarray(around.size_ratio),
        pretrain_distance=distance,
        break_even_strength=np.asarray(path.break_even_strength),
        first_order_break_even=norm(pretrain_step) / norm(pushed),
        critical_strength=np.asarray(path.critical_strength),
        searched_to=np.asarray(path.searched_to),
        opposite_cosine=direction @ pushed / norm(pushed),
        first_step_towards=around.gradient(1, 1.0) @ away > 0,
        distance=norm(moved) / unit,
        along=moved @ direction / unit,
        fold_distance=norm(folded) / unit,
        fold_along=folded @ direction / unit,
    )


def objective_of(problem: AnyProblem, like: Objective | None = None) -> Objective:
    """The objective of a problem of known numbers, as NumPy arrays.

    Args:
        problem: the data.
        like: the objective of another problem with the same rows, if there is one. Their types are
            not computed again.
    """
    known = jax.tree.map(np.asarray, problem)
    if like is None or not isinstance(known, Problem):
        return known.objective()
    return known.objective_on(like.types)


def norm(vectors: Float[ArrayLike, "*batch d"]) -> Float[np.ndarray, "*batch"]:
    """Euclidean length without the overflow and underflow of the squares."""
    entries = np.asarray(vectors)
    size = np.max(np.abs(entries), -1)
    size = np.where(size > 0, size, 1)
    return size * np.linalg.norm(entries / size[..., None], axis=-1)


def solved(matrix: Float[np.ndarray, "d d"], right: Float[np.ndarray, " d"]):
    """``matrix^{-1} right`` after scaling to a unit diagonal; NaN if the matrix is singular."""
    size = np.abs(np.diagonal(matrix))
    scale = 1 / np.sqrt(np.where(size > 0, size, 1))
    try:
        return scale * np.linalg.solve(matrix * scale[:, None] * scale, scale * right)
    except np.linalg.LinAlgError:
        return np.full_like(right, math.nan)
