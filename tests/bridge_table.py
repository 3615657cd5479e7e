"""An invented table of the study of the bridge, and what is computed from it."""

import numpy as np

from gda_theory.studies.bridge import analysis, forget_sets
from theory_common.printing import tables

RATES = (0.005, 0.02, 0.05, 0.1)


def invented(cells=3, sets=12, rates=4):
    """A table as a study gives it, of random numbers; infinite and unknown ones among them."""
    generator = np.random.default_rng(0)
    count = 2 * cells * sets
    table = {name: generator.gamma(1, size=count) for name in analysis.LABELS}
    table["critical_strength"][::5] = np.inf
    table["first_order_break_even"][::7] = np.nan
    return {
        "dataset": ["digits"] * (count // 2) + ["fashion"] * (count // 2),
        "split": np.tile(np.repeat(np.arange(cells), sets), 2),
        "kind": (list(forget_sets.KINDS) * count)[:count],
        **table,
        "nothing": generator.gamma(1, size=(count, 3, 3)),
        "runs": generator.gamma(2, size=(count, rates, 2, 3, 3)),
        "halves": generator.normal(size=(count, 2, rates, 2, 3)),
    }


def analysed():
    """What the figure computes from the invented table, read back from JSON."""
    found = invented()
    numbers = analysis.analysed(found, RATES, 40)
    return tables.loads(tables.dumps({"table": found, "networks": 40, **numbers}))
