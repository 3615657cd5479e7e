"""The susceptibility of each noise level of a file, of all samples and of those of one class."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import ArrayLike, Bool, Float, Int

from rhm_theory.experiment import measure, within
from rhm_theory.experiment.measure import Estimate
from theory_common.printing.display import readable


@readable()
class ByLevel(NamedTuple):
    """Numbers by noise level, from the lowest.

    Attributes:
        level: the noise levels.
        susceptibility: of all samples.
        within_classes: of samples of one class; None without classes.
    """

    level: Float[np.ndarray, " levels"]
    susceptibility: Estimate
    within_classes: Estimate | None


def by_level(
    changed: Bool[ArrayLike, "starts trajectories length"],
    levels: Float[ArrayLike, " starts"],
    *,
    classes: Int[ArrayLike, "starts trajectories"] | None = None,
    groups: measure.Groups | None = None,
    r_max: int | None = None,
) -> ByLevel:
    """The susceptibility at each noise level.

    Args:
        changed: True where a site of a trajectory differs from the start's.
        levels: the noise level of each start.
        classes: the class of each trajectory, -1 where it is unknown.
        groups: a label for each start that errors are clustered by; each start alone by default.
        r_max: the largest distance that counts; all by default.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    """
    changed, levels = np.asarray(changed), np.asarray(levels, float)
    if levels.shape != changed.shape[:1] or not np.isfinite(levels).all():
        raise ValueError(
            f"levels must be finite numbers of shape {changed.shape[:1]}, one a start, "
            f"got shape {levels.shape}"
        )
    group_of = measure.labels(groups, len(changed))
    distinct = np.unique(levels)

    def at_each(group: np.ndarray | None) -> Estimate:
        found = [
            within.within(
                changed[here],
                None if group is None else group[here],
                r_max=r_max,
                groups=group_of[here],
            ).susceptibility
            for here in (levels == level for level in distinct)
        ]
        return jax.tree.map(lambda *parts: np.stack(parts), *found)

    return ByLevel(
        level=distinct,
        susceptibility=at_each(None),
        within_classes=None if classes is None else at_each(np.asarray(classes)),
    )
