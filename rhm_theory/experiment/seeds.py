"""Estimates from several trained models: errors over what was measured, and over seeds."""

import numpy as np
from jaxtyping import ArrayLike, Float

from rhm_theory.experiment.measure import Estimate
from theory_common import checks


def mean_of_seeds(
    by_seed: Float[ArrayLike, "seeds *shape"], variance: Float[ArrayLike, "*shape"], groups: int
) -> Estimate:
    r"""The mean over seeds, with errors that cover both the groups and the seeds.

    With the variance :math:`u` of the mean over G groups (starts, chapters), and the variance
    :math:`w` of the mean over S seeds, the squared error is :math:`u + w`. This counts noise that
    differs between seeds twice, so it is no less than the true one on average. The interval is that
    of Student's t with the degrees of freedom of Welch and Satterthwaite,
    :math:`(u + w)^2 / (u^2/(G - 1) + w^2/(S - 1))`.

    Args:
        by_seed: the estimate of each seed, from all groups.
        variance: u, the variance over groups of the mean of the seeds' estimates.
        groups: G, at least 2.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Source: Welch, *Biometrika* 34 (1947), 28. One seed has an error over groups only.
    """
    from scipy.stats import t as student

    groups = checks.whole("groups", groups, least=2)
    values = np.asarray(by_seed, float)
    if not values.ndim or not len(values):
        raise ValueError(f"by_seed must have at least one seed, got shape {values.shape}")
    over_groups = np.asarray(variance, float)
    seeds = len(values)
    over_seeds = values.var(0, ddof=1) / seeds if seeds > 1 else np.zeros_like(over_groups)
    total = over_groups + over_seeds
    spread = over_groups**2 / (groups - 1) + over_seeds**2 / max(seeds - 1, 1)
    freedom = np.divide(total**2, spread, out=np.full_like(total, groups - 1.0), where=spread > 0)
    reach = student.ppf(0.975, freedom) * np.sqrt(total)
    value = values.mean(0)
    return Estimate(value=value, error=np.sqrt(total), low=value - reach, high=value + reach)
