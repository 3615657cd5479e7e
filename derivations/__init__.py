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
    deletion_bounds,
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
from derivations.hierarchy import (
    controls,
    finite_size,
    hierarchy,
    mean_field,
    measurement,
    tree_correlations,
)
from derivations.ledger.certificates import Cover, Enclosed, Enumerated, Root
from derivations.ledger.domains import (
    Drawn,
    Integers,
    Interval,
    OneOf,
    between,
    nonnegative,
    positive,
    real,
)
from derivations.ledger.ledger import LEDGER, Claim, Ledger, LedgerError, OutOfDomain
from derivations.ledger.rules import join
from derivations.ledger.steps import Continuous, Equal, Positive
from derivations.ledger.theorems import (
    Eq,
    Ge,
    Given,
    Gt,
    Iff,
    Implies,
    Le,
    Lt,
    Ne,
    NoValue,
    Order,
    Printed,
    Theorem,
    limit,
)

__all__ = [
    "LEDGER",
    "Claim",
    "Continuous",
    "Cover",
    "Drawn",
    "Enclosed",
    "Enumerated",
    "Eq",
    "Equal",
    "Ge",
    "Given",
    "Gt",
    "Iff",
    "Implies",
    "Integers",
    "Interval",
    "Le",
    "Ledger",
    "LedgerError",
    "Lt",
    "Ne",
    "NoValue",
    "OneOf",
    "Order",
    "OutOfDomain",
    "Positive",
    "Printed",
    "Root",
    "Theorem",
    "between",
    "claim",
    "controls",
    "coordinate",
    "cusp_limits",
    "data",
    "deletion_bounds",
    "early_stopping",
    "finite_size",
    "flow",
    "folds",
    "hierarchy",
    "influence",
    "iterations",
    "join",
    "lambert",
    "limit",
    "logistic",
    "mean_field",
    "measurement",
    "nonnegative",
    "pair",
    "paths",
    "positive",
    "random_sets",
    "real",
    "root_brackets",
    "trap",
    "tree_correlations",
    "windows",
]

claim = LEDGER.__getitem__
