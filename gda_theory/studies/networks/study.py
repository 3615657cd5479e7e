"""The whole study: all runs of a setting, and their scores."""

from pathlib import Path
from typing import Any

import numpy as np

from gda_theory.evaluation.klom import noise_floor
from gda_theory.studies.networks import runs, scores
from gda_theory.studies.networks.kept import parts


def studied(setting: runs.NetworkSetting, folder: Path | None = None) -> dict[str, Any]:
    """The numbers that a figure draws: of all networks, and ``sets`` with those of each forget set.

    Args:
        setting: what is run.
        folder: keeps finished networks, so that a stopped study goes on.
    Raises: ``RuntimeError`` if the networks do not know the flipped labels.
    """
    rows = runs.DATA[setting.data][0](0)
    kept = parts(folder)
    trained, before, memorised = runs.pretrained(setting, rows, kept)
    share = float(np.mean(rows.flipped))
    sets = {
        one.name: scores.of_set(one, share, rows.classes)
        | {"flipped": int(rows.flipped[one.forget].sum())}
        for one in runs.all_margins(setting, rows, trained, before, kept)
    }
    return {
        "data": rows.name,
        "networks": setting.networks,
        "memorised": memorised,
        "accuracy": float(np.mean(before[:, len(rows.inputs) :] > 0)),
        "floor": np.array(noise_floor(setting.networks, setting.networks)),
        "epochs": np.array(runs.KEPT_EPOCHS),
        "sets": sets,
    }
