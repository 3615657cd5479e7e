"""Scores as two public implementations compute them, with their peculiarities.

They differ from :func:`gda_theory.evaluation.histogram` in one point: ``numpy.digitize`` gives the
largest margin of both samples to no bin, so that it is lost. Use these functions to compare with
published numbers only.
"""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

from gda_theory.evaluation.divergence import BINS, CLIP, LEAST
from gda_theory.evaluation.margins import of_models, same_points

FIXED = np.linspace(-CLIP, CLIP, BINS + 1)


def easydub(unlearned: ArrayLike, oracle: ArrayLike) -> Float[np.ndarray, " points"]:
    """KL(unlearned || oracle) as EasyDUB computes it (``easydub/eval.py``).

    20 bins between the least and the largest margin. A bin of the oracle that unlearned models
    reach gets at least 1e-5; the probabilities are then not normalised again.

    Args:
        unlearned, oracle: margins ``(models, points)``.
    """
    return _by_point(unlearned, oracle, _without_normalising)


def data_unlearning_bench(unlearned: ArrayLike, oracle: ArrayLike) -> Float[np.ndarray, " points"]:
    """KL(oracle || unlearned) as data-unlearning-bench computes it (``src/eval.py``).

    The function there is named after KL(unlearned || oracle), but is called with its arguments
    exchanged. ``scipy.stats.entropy`` normalises the probabilities again.

    Args:
        unlearned, oracle: margins ``(models, points)``.
    """
    return _by_point(oracle, unlearned, _normalised)


def fixed_range(unlearned: ArrayLike, oracle: ArrayLike) -> Float[np.ndarray, " points"]:
    """KL(oracle || unlearned) with 20 bins on [-100, 100], and 1e-5 added to every bin.

    With bins of width 10 it is blind to differences that matter: normal margins with means 3 and 6
    and standard deviation 1 score 0.016.

    Args:
        unlearned, oracle: margins ``(models, points)``.
    """
    first, second = _checked(oracle, unlearned)
    scores = []
    for point in range(first.shape[1]):
        p, q = (_shares(sample[:, point], FIXED) + LEAST for sample in (first, second))
        scores.append(_normalised(p, q))
    return np.asarray(scores)


def _checked(first: ArrayLike, second: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    one = np.clip(of_models("oracle and unlearned", first), -CLIP, CLIP)
    two = np.clip(of_models("oracle and unlearned", second), -CLIP, CLIP)
    same_points(first=one, second=two)
    return one, two


def _by_point(first: ArrayLike, second: ArrayLike, divergence) -> Float[np.ndarray, " points"]:
    one, two = _checked(first, second)
    scores = []
    for p, q in zip(one.T, two.T, strict=True):
        low, high = min(p.min(), q.min()), max(p.max(), q.max())
        edges = np.linspace(low, high if low < high else low + 1, BINS + 1)
        shares, others = _shares(p, edges), _shares(q, edges)
        others = np.where(shares > 0, np.maximum(others, LEAST), others)
        scores.append(divergence(shares, others))
    return np.asarray(scores)


def _shares(sample: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The share of each bin; a value at the last edge is lost, as ``numpy.digitize`` has it."""
    index = np.digitize(sample, edges)
    counts = np.array([np.sum(index == bin) for bin in range(1, len(edges))])
    total = counts.sum()
    return counts / total if total else counts.astype(float)


def _without_normalising(p: np.ndarray, q: np.ndarray) -> float:
    from scipy.special import rel_entr

    return float(np.sum(rel_entr(p, q)))


def _normalised(p: np.ndarray, q: np.ndarray) -> float:
    """The divergence as ``scipy.stats.entropy`` computes it."""
    return _without_normalising(p / p.sum(), q / q.sum())
