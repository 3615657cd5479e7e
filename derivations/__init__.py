"""The ledger: every claim that the libraries use, with a proof that a program checks.

``python -m derivations`` checks and prints it. ``derivations.claim("lemma-3-order")`` is one
:class:`~derivations.ledger.ledger.Claim`. It has a proof (``prove()``) and its numbers at your
parameters (``evaluate(ridge=0.1, ...)``). Its *mutants* (``mutants()``) are the claim made wrong on
purpose: their proof must fail. To write claims of your own, see :mod:`derivations.ledger.ledger`.
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
    root_brackets,
    trap,
    windows,
)
from derivations.hierarchy import controls, hierarchy, mean_field, measurement, tree_correlations
from derivations.ledger.ledger import LEDGER, Claim, Ledger, LedgerError, OutOfDomain
from derivations.ledger.steps import Certificate, Equal, Positive

__all__ = [
    "LEDGER",
    "Certificate",
    "Claim",
    "Equal",
    "Ledger",
    "LedgerError",
    "OutOfDomain",
    "Positive",
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
    "root_brackets",
    "trap",
    "tree_correlations",
    "windows",
]

claim = LEDGER.__getitem__
