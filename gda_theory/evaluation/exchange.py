r"""Do unlearned and retrained models have the same law? The exact test by exchange of models.

If they have, then all models may be exchanged between both sides without changing the law of any
score. So let :math:`s` be the mean over the points of the Gaussian divergence, and
:math:`s_1, \dots, s_B` the same after random exchanges. Then

.. math:: p = \frac{1 + \#\{b : s_b \ge s\}}{1 + B}

is at most a number :math:`\alpha` with probability :math:`\alpha` or less. This holds at any number
of models and points, for margins of any law. The points are given, and are not drawn.
Source: Fisher's randomisation test, with the score of this package.
"""

import numpy as np
from jaxtyping import Float

from gda_theory.evaluation import divergence

EXCHANGES = 999
BLOCK = 2_000_000  # numbers of one array, which bounds the memory


def p_value(
    first: Float[np.ndarray, "models points"],
    second: Float[np.ndarray, "others points"],
    generator: np.random.Generator,
    exchanges: int = EXCHANGES,
) -> float:
    """The probability p above, from ``exchanges`` random exchanges.

    Args:
        first, second: margins of 2 models or more, and of 4 or more.
        generator: draws the exchanges.
    """
    models = len(first)
    both = np.concatenate([first, second])
    both = both - both.mean(0)  # fewer digits are lost in the variances
    sides = np.zeros((1 + exchanges, len(both)))
    sides[0, :models] = 1
    for row in sides[1:]:
        row[generator.permutation(len(both))[:models]] = 1
    rows = max(1, BLOCK // both.shape[1])
    scores = np.concatenate(
        [_scores(both, sides[start : start + rows]) for start in range(0, len(sides), rows)]
    )
    # Equal exchanges may differ by rounding.
    least = scores[0] - 1e-9 * abs(scores[0]) if np.isfinite(scores[0]) else scores[0]
    return float(np.mean(scores >= least))


def _scores(
    both: Float[np.ndarray, "all points"], sides: Float[np.ndarray, "exchanges all"]
) -> Float[np.ndarray, " exchanges"]:
    """The mean divergence of each row of ``sides``, which is 1 for models of the first side."""
    ones, others = _moments(both, sides), _moments(both, 1 - sides)
    return divergence.of_moments(ones, others).mean(axis=-1)


def _moments(
    both: Float[np.ndarray, "all points"], chosen: Float[np.ndarray, "exchanges all"]
) -> divergence.SampleMoments:
    count = int(chosen[0].sum())
    mean = chosen @ both / count
    squares = chosen @ both**2
    # Differences below rounding are no variance.
    variance = (squares - count * mean**2) / (count - 1)
    return divergence.SampleMoments(
        count, mean, np.where(variance < 1e-13 * squares, 0.0, variance)
    )
