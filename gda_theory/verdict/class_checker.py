r"""Gradient and Hessian of the softmax loss with K classes, in balls, for the checker.

The weights are :math:`W = E^\top V` of shape (K, d). The rows of E are orthonormal and orthogonal
to (1, ..., 1): row a of Helmert's matrix is :math:`(-1, \dots, -1, a, 0, \dots, 0)` over
:math:`\sqrt{a(a+1)}`, with a entries -1. Nothing is lost, since what all classes have in common
changes no loss and is 0 at a minimum. The *coordinates* V have shape (K-1, d), and the length of W.
A box is a box of coordinates, in one vector with the rows of V in order.

With the probabilities p of a row x and 1 at its own class y,

.. math:: \nabla J = \sum_i c_i\, E (p_i - e_{y_i})\, x_i^\top + V \Lambda, \qquad
          \nabla^2 J = \sum_i c_i\, E (\mathrm{diag}(p_i) - p_i p_i^\top) E^\top \otimes x_i
          x_i^\top + 1 \otimes \Lambda .

Like :mod:`gda_theory.verdict.checker`, this file trusts nothing but ball arithmetic.
"""

from collections.abc import Sequence

from flint import arb, arb_mat


def contrasts(classes: int) -> arb_mat:
    """The matrix E, ``(K - 1, K)``."""
    rows = []
    for before in range(1, classes):
        length = arb(before * (before + 1)).sqrt()
        row = [arb(-1)] * before + [arb(before)] + [arb(0)] * (classes - 1 - before)
        rows.append([entry / length for entry in row])
    return arb_mat(rows)


def probabilities(scores: Sequence[arb]) -> list[arb]:
    """The probabilities of the classes of one row."""
    # One number taken from all scores changes no probability. Without it exp could overflow.
    largest = max(float(score.mid()) for score in scores)
    odds = [(score - largest).exp() for score in scores]
    total = sum(odds, arb(0))
    return [one / total for one in odds]


def local(
    features: arb_mat,
    labels: Sequence[int],
    weights: Sequence[arb],
    ridge: Sequence[arb],
    classes: int,
    point: arb_mat,
) -> tuple[arb_mat, arb_mat]:
    """Enclosures of gradient and Hessian on the box ``point``.

    Args:
        features: ``(n, d)``.
        labels: of the rows, 0 to K-1.
        weights: of the rows' losses.
        ridge: one for each of the d columns.
        classes: K.
        point: the coordinates, ``((K - 1) d, 1)``.
    """
    width = len(ridge)
    count = classes - 1
    basis = contrasts(classes)
    inner = arb_mat(count, width, point.entries())
    scores = features * (basis.transpose() * inner).transpose()
    chances = arb_mat([probabilities(row) for row in scores.tolist()])
    residual = arb_mat(
        [
            [c * (chance - int(k == label)) for k, chance in enumerate(row)]
            for c, label, row in zip(weights, labels, chances.tolist(), strict=True)
        ]
    )
    slope = basis * residual.transpose() * features
    gradient = [slope[a, j] + ridge[j] * inner[a, j] for a in range(count) for j in range(width)]
    return arb_mat(len(gradient), 1, gradient), _hessian(features, weights, ridge, basis, chances)


def _hessian(
    features: arb_mat,
    weights: Sequence[arb],
    ridge: Sequence[arb],
    basis: arb_mat,
    chances: arb_mat,
) -> arb_mat:
    """The Hessian, block by block: coordinates a and b of V have the block ``X' diag(bend) X``."""
    count, classes = basis.nrows(), basis.ncols()
    width = len(ridge)
    means = chances * basis.transpose()
    columns = features.transpose()
    found = arb_mat(count * width, count * width)
    for a in range(count):
        for b in range(a + 1):
            both = chances * arb_mat([[basis[a, k] * basis[b, k]] for k in range(classes)])
            bend = [c * (both[i, 0] - means[i, a] * means[i, b]) for i, c in enumerate(weights)]
            bent = arb_mat(
                [
                    [c * entry for entry in row]
                    for c, row in zip(bend, features.tolist(), strict=True)
                ]
            )
            block = columns * bent
            for j in range(width):
                for k in range(width):
                    decay = ridge[j] if a == b and j == k else 0
                    found[a * width + j, b * width + k] = block[j, k] + decay
                    found[b * width + k, a * width + j] = block[j, k] + decay
    return found
