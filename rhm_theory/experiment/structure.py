r"""Hierarchical, flat or undecided? What the covariances of the changes say about their cause.

Let :math:`C_{ij}` be the covariance of the changes of sites i and j, the mean over the starts of
the unbiased covariances over trajectories. Four facts are used.

* In a tree of branching s, sites of one block of :math:`s^\ell` have a common ancestor below level
  l + 1. So :math:`C_{ij}` depends on the smallest block that holds both. Pairs at *one distance*
  then differ: those within a block have more covariance than those across.
* In a chain, a hidden chain and a stationary field C depends on the distance alone.
* In a flat mixture C depends on the sites, and not on their distance.
* In a hierarchy whose parts lie at other places in each start, C depends on the distance alone too.

So write :math:`C_{ij} = f(|i - j|) + \sum_\ell a_\ell [\text{i and j in one block of } s^\ell] +
\text{rest}`, by least squares. A *level* is seen if :math:`a_\ell` exceeds its standard error by a
threshold. The level of the whole sequence is seen if far sites, at distances of half the length or
more, are correlated. The verdict is

* **hierarchical** if two levels are seen, and the blocks explain at least half of what the distance
  leaves of the matrix.
* **flat** if far sites are correlated at least two thirds as much as neighbours, by a threshold
  times the error. The user may say that the sites are *aligned*: site i has the same place in each
  start. Then the verdict is flat too if blocks explain less than 5 % of the covariances.
* **undecided** otherwise.

The thresholds were fixed on training files and the error rates measured on other files; see
``docs/hierarchy_or_flat.md`` and :mod:`rhm_theory.experiment.study`.

Source: new.
"""

import functools
import json
from collections.abc import Iterator
from importlib import resources
from typing import NamedTuple

import numpy as np
from jaxtyping import ArrayLike, Bool, Float

from rhm_theory.experiment import measure
from rhm_theory.experiment.measure import Estimate
from theory_common import checks
from theory_common.printing.display import readable

BRANCHINGS = range(2, 7)
LEAST_LENGTH = 4
LONGEST = 128  # sites; the rest is left out, since there are as many covariances as pairs of sites
# A branching explains the blocks as well as another if it explains this share of what that does.
# Then the larger one is chosen, which has fewer levels.
AS_WELL = 0.9
SHARE_OF_BLOCKS = 0.5
FAR_OVER_NEAR = 2 / 3
NO_BLOCKS = 0.05
VERDICTS = ("hierarchical", "flat", "undecided")


@readable()
class Blocked(NamedTuple):
    """The covariances as blocks of one branching.

    Attributes:
        branching: s, the ratio of the sizes of nested blocks.
        sizes: of the blocks: s, s^2, .. below the length.
        excess: for each size, the covariance of pairs within a block minus that of pairs at the
            same distance across blocks, over the mean variance of a site.
        energy: the sum of the squares of the covariances that the blocks explain beyond the
            distance, over that of all covariances. Unbiased, so it may be negative.
        energy_error: its standard error.
        share: the share of the blocks in what the distance leaves of the matrix.
    """

    branching: int
    sizes: tuple[int, ...]
    excess: Estimate
    energy: float
    energy_error: float
    share: float


@readable()
class Scores(NamedTuple):
    """What is compared with the thresholds, in standard errors.

    Attributes:
        hierarchical: of the second clearest level; 0 if blocks explain less than half of the rest.
        flat: by how much the covariance of far sites exceeds two thirds of that of neighbours.
        no_blocks: by how much the part that the blocks explain is below 5 % of the covariances.
    """

    hierarchical: float
    flat: float
    no_blocks: float


@readable()
class Structure(NamedTuple):
    """The verdict, and the numbers that it rests on.

    Attributes:
        verdict: ``hierarchical``, ``flat`` or ``undecided``.
        reason: a sentence.
        branching: of the blocks; None unless hierarchical.
        levels: how many levels are seen, a lower bound of the depth; None unless hierarchical.
        scores: see :class:`Scores`; NaN if nothing can be computed.
        blocks: the best branching; None if nothing can be computed.
        near: the covariance of neighbours, over the mean variance of a site.
        far: the same at distances of half the length or more.
        wrong: the number of held-out files that wrongly got this verdict, and the number of files
            that should not get it. None if undecided.
    """

    verdict: str
    reason: str
    branching: int | None
    levels: int | None
    scores: Scores
    blocks: Blocked | None
    near: Estimate | None
    far: Estimate | None
    wrong: dict | None


@functools.cache
def study() -> dict:
    """The thresholds and error rates, as ``python -m rhm_theory.experiment.study`` wrote them."""
    text = resources.files("rhm_theory.experiment").joinpath("structure.json").read_text("utf-8")
    return json.loads(text)


def structure(
    changed: Bool[ArrayLike, "starts trajectories length"],
    *,
    groups: measure.Groups | None = None,
    inside: Bool[ArrayLike, "starts length"] | None = None,
    aligned: bool = False,
) -> Structure:
    """The verdict on samples of one noise level.

    Args:
        changed: True where a site of a trajectory differs from the start's.
        groups: a label for each start that errors are clustered by; each start alone by default.
        inside: which sites a start has. The first 128 sites that all starts have are used.
        aligned: whether site i has the same place in every start, such as in a grammar of fixed
            length or an image. Texts cut anywhere are not aligned.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    """
    checks.concrete("structure", changed)
    changed = np.asarray(changed)
    if changed.ndim != 3 or changed.dtype != bool:
        raise ValueError(
            "changed must be boolean of shape (starts, trajectories, length), "
            f"got {changed.dtype} of shape {changed.shape}"
        )
    if inside is not None:
        inside = np.asarray(inside)
        if inside.dtype != bool or inside.shape != changed.shape[::2]:
            raise ValueError(
                f"inside must be boolean of shape {changed.shape[::2]}, one entry a site of each "
                f"start, got {inside.dtype} of shape {inside.shape}"
            )
        changed = changed[..., inside.all(0)]
    changed = changed[..., :LONGEST]
    starts, trajectories, length = changed.shape
    if length < LEAST_LENGTH or trajectories < 2:
        return _nothing(f"needs at least {LEAST_LENGTH} sites that all starts have")
    group_of = measure.labels(groups, starts)
    if len(np.unique(group_of)) < 4:
        return _nothing("needs at least 4 starts (or groups of starts) for errors")
    found = summary(changed, group_of)
    if found is None:
        return _nothing("no site changed in some trajectories and not in others")
    return _decided(found, aligned)


def _nothing(reason: str) -> Structure:
    unknown = Scores(hierarchical=np.nan, flat=np.nan, no_blocks=np.nan)
    return Structure(
        verdict="undecided",
        reason=f"There is nothing to decide on: the file {reason}.",
        branching=None,
        levels=None,
        scores=unknown,
        blocks=None,
        near=None,
        far=None,
        wrong=None,
    )


def _decided(found: "Summary", aligned: bool) -> Structure:
    thresholds = study()["thresholds"]
    verdict = verdict_of(found.scores, thresholds, aligned=aligned)
    hierarchical = verdict == "hierarchical"
    seen = [score >= thresholds["hierarchical"] for score in found.level_scores]
    return Structure(
        verdict=verdict,
        reason=_reason(verdict, found, seen),
        branching=found.blocks.branching if hierarchical else None,
        levels=sum(seen) if hierarchical else None,
        scores=found.scores,
        blocks=found.blocks,
        near=found.near,
        far=found.far,
        wrong=None if verdict == "undecided" else _rates(aligned)[verdict],
    )


def _rates(aligned: bool) -> dict:
    return study()["wrong_aligned" if aligned else "wrong"]


def verdict_of(scores: Scores, thresholds: dict[str, float], *, aligned: bool = False) -> str:
    """The verdict that these ``scores`` and ``thresholds`` give."""
    if scores.hierarchical >= thresholds["hierarchical"]:
        return "hierarchical"
    if scores.flat >= thresholds["flat"]:
        return "flat"
    if aligned and scores.no_blocks >= thresholds["no_blocks"]:
        return "flat"
    return "undecided"


def _reason(verdict: str, found: "Summary", seen: list[bool]) -> str:
    sizes = (*found.blocks.sizes, "all")
    names = [str(size) for size, one in zip(sizes, seen, strict=True) if one]
    if verdict == "hierarchical":
        return f"Sites change together in nested blocks of {', '.join(names[:-1])} and {names[-1]}."
    if verdict == "flat" and found.scores.flat >= study()["thresholds"]["flat"]:
        return "Far sites change together as much as neighbours, so nothing is nested."
    if verdict == "flat":
        return "How much two sites change together depends on their distance and not on blocks."
    if seen[:-1] and any(seen[:-1]) and found.blocks.share >= SHARE_OF_BLOCKS:
        return (
            f"One level of blocks is seen (of {names[0]} sites), and none above it. Independent "
            "words look like this, and so does a hierarchy under too little noise."
        )
    if found.near.low > 0:
        return (
            "Sites change together if they are close, and no blocks are seen. A chain looks like "
            "this, and so does a hierarchy whose parts lie elsewhere in each sequence."
        )
    return "Too little is correlated in these samples. Try another noise level or more starts."


class Summary(NamedTuple):
    """The numbers of one file, before any threshold."""

    scores: Scores
    blocks: Blocked
    near: Estimate
    far: Estimate
    level_scores: tuple[float, ...]  # of each size of the blocks, then of the whole sequence


def summary(changed: np.ndarray, groups: np.ndarray) -> Summary | None:
    """The scores of a file; None if no site varies."""
    length = changed.shape[-1]
    pairs = _Pairs.of(length)
    projections = {s: _projection(pairs, s) for s in BRANCHINGS if s < length}
    rows = [_of_start(covariance, pairs, projections) for covariance in covariances(changed)]
    variance = np.array([row.variance for row in rows])
    if not variance.sum() > 0:
        return None
    ones = np.broadcast_to(variance.mean(), len(rows))

    def over_starts(values) -> Estimate:
        return measure.ratio(np.array(values), ones, groups)

    whole = _energy(np.array([row.pairs for row in rows]), groups)
    rest = _energy(np.array([row.left for row in rows]), groups)
    scale = abs(whole[0]) or 1.0
    blocks = {}
    for s, (basis, _, _) in projections.items():
        explained = _energy(np.array([row.blocks[s] for row in rows]), groups)
        blocks[s] = Blocked(
            branching=s,
            sizes=tuple(s**level for level in range(1, basis.shape[1] + 1)),
            excess=over_starts([row.excess[s] for row in rows]),
            energy=explained[0] / scale,
            energy_error=explained[1] / scale,
            share=explained[0] / max(rest[0], explained[0], 1e-300),
        )
    best = _best(blocks)
    near, far = (over_starts([getattr(row, name) for row in rows]) for name in ("near", "far"))
    flat = over_starts([row.far - FAR_OVER_NEAR * row.near for row in rows])
    level_scores = (*_scores_of(best.excess), *_scores_of(far))
    by_clarity = sorted(level_scores)
    enough = best.share >= SHARE_OF_BLOCKS
    limit = np.hypot(max(best.energy_error, 1e-12), NO_BLOCKS * whole[1] / scale)
    known = whole[0] > 3 * whole[1]
    return Summary(
        scores=Scores(
            hierarchical=by_clarity[-2] if enough else 0.0,
            flat=_scores_of(flat)[0],
            no_blocks=float((NO_BLOCKS - best.energy) / limit) if known else 0.0,
        ),
        blocks=best,
        near=near,
        far=far,
        level_scores=level_scores,
    )


def covariances(changed: np.ndarray) -> Iterator[Float[np.ndarray, "length length"]]:
    """The unbiased covariance matrix of each start's changes."""
    for rows in changed:
        deviation = rows - rows.mean(0)
        yield deviation.T @ deviation / (len(rows) - 1)


class _Pairs(NamedTuple):
    """The pairs of sites i < j: their distance, and how many there are at each distance."""

    first: np.ndarray
    second: np.ndarray
    distance: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, length: int) -> "_Pairs":
        first, second = np.triu_indices(length, 1)
        distance = second - first
        return cls(first, second, distance, np.bincount(distance, minlength=length))

    def mean_at_distance(self, values: np.ndarray) -> np.ndarray:
        sums = np.bincount(self.distance, values, minlength=len(self.counts))
        return sums / np.maximum(self.counts, 1)


def _projection(pairs: _Pairs, branching: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Blocks without the mean of each distance: as columns, orthonormal, and what solves them."""
    columns = []
    size = branching
    while size < len(pairs.counts):
        together = (pairs.first // size == pairs.second // size).astype(float)
        columns.append(together - pairs.mean_at_distance(together)[pairs.distance])
        size *= branching
    basis = np.stack(columns, 1)
    orthonormal, triangle = np.linalg.qr(basis)
    return basis, orthonormal, np.linalg.pinv(triangle)


class _Row(NamedTuple):
    """One start: its covariances, and what the distance and the blocks explain of them."""

    variance: float
    pairs: np.ndarray
    left: np.ndarray
    near: float
    far: float
    blocks: dict[int, np.ndarray]
    excess: dict[int, np.ndarray]


def _of_start(covariance: np.ndarray, pairs: _Pairs, projections: dict) -> _Row:
    values = covariance[pairs.first, pairs.second]
    by_distance = pairs.mean_at_distance(values)
    left = values - by_distance[pairs.distance]
    blocks = {s: orthonormal.T @ left for s, (_, orthonormal, _) in projections.items()}
    length = len(covariance)
    far = slice((length + 1) // 2, None)
    return _Row(
        variance=float(np.trace(covariance) / length),
        pairs=values,
        left=left,
        near=float(by_distance[1]),
        far=float(np.average(by_distance[far], weights=pairs.counts[far])),
        blocks=blocks,
        excess={s: projections[s][2] @ part for s, part in blocks.items()},
    )


def _energy(rows: np.ndarray, group_of: np.ndarray) -> tuple[float, float]:
    """The squared norm of the mean row, unbiased, with its jackknife error over the groups.

    A product of two different groups has the mean that is wanted; a square of one has not.
    """
    _, index, sizes = np.unique(group_of, return_inverse=True, return_counts=True)
    sums = np.zeros((len(sizes), rows.shape[1]))
    np.add.at(sums, index, rows)
    total = sums.sum(0)
    squares = (sums**2).sum(1)
    both = float(total @ total - squares.sum())
    pairs = len(rows) ** 2 - (sizes**2).sum()
    without = both - 2 * (sums @ total - squares)
    left_out = without / (pairs - 2 * sizes * (len(rows) - sizes))
    count = len(sizes)
    error = np.sqrt((count - 1) * np.mean((left_out - left_out.mean()) ** 2))
    return both / pairs, float(error)


def _best(blocks: dict[int, Blocked]) -> Blocked:
    most = max(one.energy for one in blocks.values())
    least = most - (1 - AS_WELL) * abs(most)
    return next(one for _, one in sorted(blocks.items(), reverse=True) if one.energy >= least)


def _scores_of(estimate: Estimate) -> list[float]:
    with np.errstate(invalid="ignore", divide="ignore"):
        scores = np.atleast_1d(estimate.value / estimate.error)
    return [float(score) if np.isfinite(score) else 0.0 for score in scores]
