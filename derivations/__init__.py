"""Every claim about descent-ascent and random hierarchies that the libraries rest on, machine-checked, in one ledger.

``python -m derivations`` prints it; ``derivations.claim("lemma-3-order")`` is one :class:`~derivations.ledger.ledger.Claim`, with its proof
(``prove()``), its generated mutants (``mutants()``) and its numbers at your parameters (``evaluate(ridge=0.1, ...)``).
To write a claim, use the decorator :func:`derivations.ledger.ledger.claim`.
"""

from derivations.descent_ascent import (
    coordinate,
    cusp_limits,
    data,
    early_stopping,
    flow,
    folds,
    influence,
    iterations,
    lambert,
    logistic,
    pair,
    paths,
    random_sets,
    trap,
    windows,
)
from derivations.hierarchy import controls, hierarchy, mean_field, measurement, tree_correlations
from derivations.ledger.ledger import LEDGER, Claim, Ledger, LedgerError

__all__ = [
    "LEDGER",
    "Claim",
    "Ledger",
    "LedgerError",
    "claim",
    "controls",
    "coordinate",
    "cusp_limits",
    "data",
    "early_stopping",
    "flow",
    "folds",
    "hierarchy",
    "influence",
    "iterations",
    "lambert",
    "logistic",
    "mean_field",
    "measurement",
    "pair",
    "paths",
    "random_sets",
    "trap",
    "tree_correlations",
    "windows",
]

claim = LEDGER.__getitem__
