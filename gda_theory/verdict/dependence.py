r"""How the rows to forget depend on the rows to keep, in numbers of the pretrained model.

The *cross-influence* of a row i to forget on a row j to keep says what removing i does to j, to
first order. The paper proposes the spectral norm of this matrix as a proxy for the harm of ascent,
without a formula (App. A). There are four natural definitions. With :math:`t_i = y_i x_i`,
:math:`\varphi = -\ell'` and the Hessian :math:`H = \sum_i c_i \ell''(m_i) t_i t_i^\top + \Lambda`
of pretraining,

.. math::

    C_{ij} &= \sqrt{c_i c_j}\; \varphi_i \varphi_j\; t_i^\top H^{-1} t_j & &\text{(loss)} \\
    M_{ij} &= \sqrt{c_i c_j}\; \varphi_i\; t_i^\top H^{-1} t_j & &\text{(margin)} \\
    K_{ij} &= \sqrt{c_i c_j\, \ell''_i \ell''_j}\; t_i^\top H^{-1} t_j & &\text{(leverage)} \\
    N &= \|C\|_2 \,/\, (\|U\|_2 \|V\|_2) & &\text{(normalised)}

The weights of the rows are :math:`c_i = s_i / \sum_k s_k` for means and :math:`s_i` for sums, with
the sample weights s. Without these, :math:`c_i = 1/n`, and :math:`C_{ij}` is the rise of the loss
of j when i is removed. U and V are the factors of :math:`C = U V^\top`, so that
:math:`0 \le N \le 1`. The signs of M are those of a fall of the margin.

A row of sample weight 2 gives the same norms as two equal rows. Both reductions give the same norms
for the same pretrained model.

If columns without a ridge depend on each other, H is singular, and its pseudo-inverse is meant. The
norms stay defined, since all rows lie in the range of H.

With K classes :math:`t_i` is the derivative of the margin by the weights, and :math:`\ell''_i` the
Hessian of the loss by the K - 1 scores (:mod:`~gda_theory.verdict.scores`). So K is a matrix of
blocks, and a leverage is the trace of its block, at most K - 1.

No matrix with a row for each row of the data is formed. The norm is
:math:`\|C\|_2^2 = \lambda_{\max}(U^\top U\, V^\top V)`, from two d x d matrices.

:func:`position` compares a problem with those of the study that comes with the package. The page
"Does harm grow with the cross-influence?" of the docs describes this study.

Source: the definitions and the formula are new. The proposal is App. A of *Ascent Fails to Forget*.
"""

import dataclasses
import functools
import math
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import ArrayLike, Bool, Float

from gda_theory.problem.multinomial import MultinomialProblem
from gda_theory.problem.objective import in_coordinates
from gda_theory.problem.problem import Problem
from gda_theory.verdict import scores
from gda_theory.verdict.scores import Scores
from theory_common import checks
from theory_common.printing import tables
from theory_common.printing.display import readable

STUDY = Path(__file__).with_name("study.json")  # written by figures/cross_influence.py
SEARCHED = 10.0  # how far the study follows a path


@readable()
@dataclasses.dataclass(frozen=True)
class Dependence:
    r"""How the forget set F depends on the retain set R, as Python floats.

    NaN stands where a number does not exist, such as a cosine with a gradient of 0.

    * ``loss_norm``, ``margin_norm``, ``leverage_norm``: the spectral norms of C, M and K. The last
      is below 1. All grow with the size of F, so compare them at equal sizes.
    * ``normalised_norm``: N, between 0 and 1. It does not grow with the size of F.
    * ``mean_forget_loss``, ``mean_retain_loss``: the mean loss of a row, weighted by the sample
      weights, without the ridge.
    * ``mean_leverage``, ``max_leverage``: of the leverages
      :math:`h_i = c_i \ell''_i\, t_i^\top H^{-1} t_i` of the rows of F, each between 0 and 1, or
      K - 1 with K classes. Rows of sample weight 0 do not count.
    * ``mean_cosine``: the mean of the cosine between the loss gradients of a row of F and a row of
      R, over all such pairs, weighted by the sample weights. The gradient of a margin loss has the
      direction of :math:`-t_i`, so this cosine is that of :math:`t_i` and :math:`t_j`. For two
      classes it does not depend on the model. A row of zeros has cosine 0.
    * ``gradient_cosine``: the cosine between the gradients of the mean losses of F and of R. At a
      minimum with a small ridge it is close to -1 for all data.
    """

    loss_norm: float
    margin_norm: float
    leverage_norm: float
    normalised_norm: float
    mean_forget_loss: float
    mean_retain_loss: float
    mean_leverage: float
    max_leverage: float
    mean_cosine: float
    gradient_cosine: float


def dependence(problem: Problem | MultinomialProblem, weights: ArrayLike) -> Dependence:
    """The cross-influence between the two sets of a problem, and other measures of dependence.

    Everything is computed in float64, even if JAX is set to float32.

    Args:
        problem: a :class:`gda_theory.Problem` or :class:`gda_theory.MultinomialProblem` with
            concrete arrays.
        weights: of the pretrained model, ``(d,)`` or ``(K, d)``.

    Returns: :class:`Dependence`.
    Raises: ``TypeError`` for anything that is not a concrete problem, ``ValueError`` for weights of
        another shape, or not finite.
    Accuracy: of the norms, about ``eps`` over the square of ``normalised_norm``, relative.
    Cost: O(n d^2), as matrix products in blocks; of K classes O(n d^2 K^2 + (K d)^3).
    """
    if not isinstance(problem, Problem | MultinomialProblem):
        raise TypeError(
            f"problem must be a Problem or a MultinomialProblem, got {type(problem).__name__}"
        )
    checks.concrete("dependence", problem, weights)
    with jax.enable_x64(True):
        point = np.asarray(checks.finite("weights", weights), np.float64)
        shape: tuple[int, ...] = (problem.features.shape[1],)
        if isinstance(problem, MultinomialProblem):
            shape = (len(problem.classes), *shape)
        if point.shape != shape:
            raise ValueError(
                f"weights must have shape {shape}, one per column of features, got {point.shape}"
            )
        vector = np.asarray(in_coordinates(jax.tree.map(_wide, problem), point))
        rows = _Rows.of(problem, vector)
        ridge = np.tile(np.asarray(problem.ridge, np.float64), rows.rows.count)
        return _dependence(rows, ridge)


def _wide(leaf):
    array = np.asarray(leaf)
    return array.astype(np.float64) if array.dtype.kind == "f" else array


class _Rows(NamedTuple):
    """What each row contributes at the pretrained model; ``weight`` is c."""

    rows: Scores
    forget: Bool[np.ndarray, " n"]
    weight: Float[np.ndarray, " n"]
    loss: Float[np.ndarray, " n"]
    slopes: Float[np.ndarray, "n c"]
    turns: Float[np.ndarray, "n c"]
    bends: Float[np.ndarray, "n c c"]

    @classmethod
    def of(cls, problem: Problem | MultinomialProblem, weights: Float[np.ndarray, " m"]) -> "_Rows":
        sample_weight = np.asarray(problem.sample_weight, np.float64)
        total = np.sum(sample_weight) if problem.reduction == "mean" else 1.0
        rows = scores.scores_of(problem)
        return cls(
            rows=rows,
            forget=np.asarray(problem.forget),
            weight=sample_weight / total,
            loss=rows.losses(weights),
            slopes=rows.slopes(weights),
            turns=rows.turns(weights),
            bends=rows.bends(weights),
        )

    def gram(self, chosen: Bool[np.ndarray, " n"], bends: Float[np.ndarray, "n c c"]):
        """The sum of ``c_i bend_i (x) x_i x_i'`` over the ``chosen`` rows."""
        weight = self.weight[chosen, None, None]
        return scores.gram(self.rows.part(chosen), weight * bends[chosen])

    def mean(self, chosen: Bool[np.ndarray, " n"], values: Float[np.ndarray, " n"]):
        """The weighted mean of ``values`` over the ``chosen`` rows."""
        weight = self.weight[chosen]
        return weight @ values[chosen] / np.sum(weight)


@np.errstate(divide="ignore", invalid="ignore")  # what does not exist is NaN
def _dependence(rows: _Rows, ridge: Float[np.ndarray, " m"]) -> Dependence:
    present = rows.weight > 0
    forget = rows.forget & present
    retain = ~rows.forget & present
    bends = [rows.gram(chosen, rows.bends) for chosen in (forget, retain)]
    whiten = _inverse_root(bends[0] + bends[1] + np.diag(ridge))

    def whitened(gram):
        return whiten @ gram @ whiten.T

    slopes = scores.squared(rows.slopes)
    forget_loss, retain_loss = (whitened(rows.gram(chosen, slopes)) for chosen in (forget, retain))
    retain_margin = whitened(rows.gram(retain, scores.squared(rows.turns)))
    forget_bend, retain_bend = map(whitened, bends)
    loss_norm = product_norm(forget_loss, retain_loss)
    return Dependence(
        loss_norm=loss_norm,
        margin_norm=product_norm(forget_loss, retain_margin),
        leverage_norm=product_norm(forget_bend, retain_bend),
        normalised_norm=float(loss_norm / np.sqrt(largest(forget_loss) * largest(retain_loss))),
        mean_forget_loss=float(rows.mean(forget, rows.loss)),
        mean_retain_loss=float(rows.mean(retain, rows.loss)),
        **_leverages(rows, forget, whiten),
        **_cosines(rows, forget, retain),
    )


def _inverse_root(hessian: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "m d"]:
    """A matrix W with ``W' W = hessian^{-1}``, or its pseudo-inverse; NaN if it is not finite."""
    if not np.all(np.isfinite(hessian)):
        return np.full_like(hessian, math.nan)
    diagonal = np.diagonal(hessian)
    scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1))
    values, vectors = np.linalg.eigh(hessian * scale[:, None] * scale)
    rounding = len(values) * np.finfo(values.dtype).eps * values[-1]
    chosen = values > rounding
    return (vectors[:, chosen] / np.sqrt(values[chosen])).T * scale


def product_norm(left: Float[np.ndarray, "d d"], right: Float[np.ndarray, "d d"]) -> float:
    """The spectral norm of ``U V'``, from ``left = U'U`` and ``right = V'V``."""
    if not np.all(np.isfinite(left + right)):
        return math.nan
    values, vectors = np.linalg.eigh(right)
    root = vectors * np.sqrt(np.maximum(values, 0))
    return math.sqrt(max(largest(root.T @ left @ root), 0.0))


def largest(matrix: Float[np.ndarray, "d d"]) -> float:
    """The largest eigenvalue of a symmetric matrix; NaN if an entry is not finite."""
    if not np.all(np.isfinite(matrix)):
        return math.nan
    return float(np.linalg.eigvalsh((matrix + matrix.T) / 2)[-1])


def _leverages(rows: _Rows, forget: Bool[np.ndarray, " n"], whiten) -> dict[str, float]:
    """The mean and the largest leverage of the forgotten rows."""
    part = rows.rows.part(forget)
    bends = rows.weight[forget, None, None] * rows.bends[forget]
    whole = whiten.reshape(len(whiten), part.count, -1)
    leverages = []
    for block in scores.blocks(part):
        inside = np.einsum("nd,wcd->nwc", part.features[block], whole, optimize=True)
        spread = np.einsum("nwc,nwe->nce", inside, inside, optimize=True)
        leverages.append(np.sum(bends[block] * spread, axis=(1, 2)))
    found = np.concatenate(leverages)
    return {"mean_leverage": float(np.mean(found)), "max_leverage": float(np.max(found))}


def _cosines(rows: _Rows, forget, retain) -> dict[str, float]:
    """The mean cosine over pairs of rows, and the cosine of the mean gradients."""
    # Of the length of a gradient, turn and row are independent factors.
    lengths = np.linalg.norm(rows.turns, axis=1) * np.linalg.norm(rows.rows.features, axis=1)
    units = np.where(lengths > 0, 1 / lengths, 0.0)[:, None] * rows.turns
    # The mean over pairs of an inner product is the inner product of the means.
    means = [_mean_direction(rows, chosen, units) for chosen in (forget, retain)]
    gradients = [_mean_direction(rows, chosen, rows.slopes) for chosen in (forget, retain)]
    sizes = [np.linalg.norm(gradient) for gradient in gradients]
    return {
        "mean_cosine": float(means[0] @ means[1]),
        "gradient_cosine": float(gradients[0] @ gradients[1] / np.prod(sizes)),
    }


def _mean_direction(rows: _Rows, chosen: Bool[np.ndarray, " n"], slopes) -> np.ndarray:
    """The weighted mean of ``slope_i (x) x_i`` over the ``chosen`` rows."""
    weight = np.where(chosen, rows.weight, 0.0)
    return scores.total(rows.rows, weight[:, None] * slopes) / np.sum(weight)


# The study that comes with the package ------------------------------------------------------------


@readable()
@dataclasses.dataclass(frozen=True)
class Position:
    """Where a problem lies among those of the study: for each number a share between 0 and 1.

    A share is that of the study's forget sets with a smaller value. Equal values count by half.
    ``break_even_relative`` is that of the break-even strength over f/r. The study has the sizes 1 %
    and 5 %, so the shares of ``break_even_strength`` say little for forget sets of another size.
    ``forget_sets`` and ``datasets`` say how many the study has.
    """

    break_even_strength: float
    break_even_relative: float
    critical_strength: float
    normalised_norm: float
    mean_forget_loss: float
    forget_sets: int
    datasets: int


def position(
    found: Dependence,
    *,
    break_even_strength: float,
    critical_strength: float,
    searched_to: float,
    size_ratio: float,
) -> Position:
    """Where a problem lies among the study's, which are real data sets under mean losses.

    Args:
        found: what :func:`dependence` gives for the problem.
        break_even_strength, critical_strength, searched_to: of :func:`gda_theory.ascent_path` under
            mean losses. A critical strength that is NaN counts as infinite if the path was searched
            to 10, and is unknown if not. Where no break-even was met, the critical strength takes
            its place.
        size_ratio: f/r, the ratio of the total weights of both sets.

    Returns: :class:`Position`. The share of a number that is NaN is NaN.
    """
    known = study()
    never = math.isnan(critical_strength) and searched_to >= SEARCHED
    critical = math.inf if never else critical_strength
    even = critical if math.isnan(break_even_strength) else break_even_strength
    return Position(
        break_even_strength=_share(known["break_even_strength"], even),
        break_even_relative=_share(
            known["break_even_strength"] / known["size_ratio"], even / size_ratio
        ),
        critical_strength=_share(known["critical_strength"], critical),
        normalised_norm=_share(known["normalised_norm"], found.normalised_norm),
        mean_forget_loss=_share(known["mean_forget_loss"], found.mean_forget_loss),
        forget_sets=len(known["dataset"]),
        datasets=len(np.unique(known["dataset"])),
    )


@functools.cache
def study() -> dict[str, np.ndarray]:
    """The table of the study: arrays with one entry for each forget set, to three digits.

    They are texts (``dataset``, ``kind``), what was chosen (``ridge``, ``size_ratio``), what is
    known before (as in :class:`Dependence`, and ``break_even_strength`` and ``critical_strength``,
    which is infinite above 10 and NaN where the path could not be followed), and the harm
    ``budget``: log10 of the distance to the retrained model after 100 epochs, over that of doing
    nothing.
    """
    columns = tables.loads(STUDY.read_text(encoding="utf-8"))
    levels = columns.pop("levels")
    return columns | {name: np.asarray(levels[name])[columns[name]] for name in levels}


def _share(values: Float[np.ndarray, " n"], value: float) -> float:
    """The share of the known ``values`` below ``value``, with half of those that are equal."""
    if math.isnan(value):
        return math.nan
    values = values[~np.isnan(values)]
    return float(np.mean(values < value) + np.mean(values == value) / 2)
