"""The runs of the study of cross-influence: all forget sets of all cells, then correlations."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gda_theory.studies.influence import correlations
from gda_theory.studies.influence.data import StudyData, datasets
from gda_theory.studies.influence.forget_sets import forget_sets, model, problem_of
from gda_theory.studies.influence.harm import OUTCOMES, outcomes
from gda_theory.studies.influence.predictors import predictors, solved


def studied(names: Sequence[str], ridges: Sequence[float], replicates: int) -> dict[str, Any]:
    """All numbers that a figure draws, and the table of all forget sets.

    Args:
        names: data sets of :data:`gda_theory.studies.influence.data.LOADERS`. Those that are not
            installed are left out, and named in ``missing``.
        ridges: of the weights.
        replicates: of the bootstrap.
    """
    found, missing = datasets(tuple(names))
    cells = [
        cell(data, ridge, share)
        for data in found
        for ridge in ridges
        for share in correlations.SHARES
    ]
    of_one = len(ridges) * len(correlations.SHARES)
    sources = [data.source for data in found for _ in range(of_one)]
    return {
        "missing": missing,
        "datasets": [data.name for data in found],
        "rows": np.array([len(data.labels) for data in found]),
        "columns": np.array([data.features.shape[1] for data in found]),
        "predictors": list(correlations.LABELS),
        "outcomes": list(OUTCOMES),
        "table": {name: np.concatenate([one[name] for one in cells]) for name in cells[0]},
        "centred": {
            name: correlations.centred([one[name] for one in cells])
            for name in (*correlations.LABELS, correlations.PRIMARY)
            if name not in (*correlations.NEEDS_ORACLE, "size")
        },
        **correlations.analysed(cells, sources, replicates),
    }


def cell(data: StudyData, ridge: float, share: float) -> dict[str, np.ndarray]:
    """All numbers of one cell: an array for each column, one entry for each forget set."""
    sets = list(forget_sets(data, model(data, ridge), share))
    problems = [problem_of(data, one, ridge) for one in sets]
    paths = [solved(one) for one in problems]
    columns = {
        "dataset": np.repeat(data.name, len(sets)),
        "kind": np.array([one.kind for one in sets]),
        "ridge": np.repeat(ridge, len(sets)),
        "share": np.repeat(share, len(sets)),
        "size_ratio": np.array([one.forget.sum() / (~one.forget).sum() for one in sets]),
    }
    known = [predictors(problem, path) for problem, path in zip(problems, paths, strict=True)]
    columns |= {name: np.array([one[name] for one in known]) for name in known[0]}
    return columns | outcomes(data, sets, problems, paths)
