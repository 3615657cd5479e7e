"""Estimates over the runs of trained grammars, with errors over grammars."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

import rhm_theory as rt


def of_cell(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Estimates of one cell.

    Args:
        runs: of one depth and one number of rules, as :func:`rhm_theory.studies.grammars.studied`
            gives them.

    Returns: each estimate as a dict of ``value``, ``error`` and interval. ``each`` has the numbers
    of single runs. ``sampler_chi`` and ``sampler_root`` are there if samplers were compared.
    """
    groups = [int(run["grammar"]) for run in runs]

    def stacked(name):
        return np.stack([run[name] for run in runs])

    def ratio(above, below):
        return rt.measure.ratio(above, below, groups)._asdict()

    def mean(name):
        return mean_of(stacked(name), groups)

    gap, information = stacked("gap"), stacked("information")
    distances, sampled = stacked("by_distance"), stacked("sampled")
    chi = distances.sum(-1) / distances[..., 0]
    found = {
        "runs": len(runs),
        "grammars": len(set(groups)),
        "gap": mean("gap"),
        "information": mean("information"),
        "used": ratio(information[:, None] - gap, np.broadcast_to(information[:, None], gap.shape)),
        "noise_gap": mean("noise_gap"),
        "noise_information": mean("noise_information"),
        "valid": mean("valid"),
        "chi": ratio(distances.sum(-1), distances[..., 0]),
        "correlation": ratio(distances, np.broadcast_to(distances[..., :1], distances.shape)),
        "asymmetry": mean("asymmetry"),
        "sampled_chi": ratio(sampled[..., 0], sampled[..., 1]),
        # Differences of the same run, so that what grammars have in common cancels.
        "chi_minus_bayes": mean_of(chi[:, 1:] - chi[:, :1], groups),
        "sampled_minus_forced": mean_of(
            sampled[:, 1, 0] / sampled[:, 1, 1] - chi[:, -1, 2], groups
        ),
        "node_gap": mean("node_gap"),
        "node_underivable": mean("node_underivable"),
        # The same of each run, for the thin lines.
        "each": {
            "used": 1 - gap / information[:, None],
            "valid": stacked("valid"),
            "chi": chi,
            "correlation": distances / distances[..., :1],
        },
    }
    if "sampler_valid" in runs[0]:
        chi, root, each = _samplers([run for run in runs if "sampler_valid" in run])
        found |= {"sampler_chi": chi, "sampler_root": root}
        found["each"]["sampler_root"] = each
    return found


def _samplers(runs: Sequence[dict[str, Any]]) -> tuple[dict, dict, np.ndarray]:
    """Susceptibility and share of coherent sequences of samplers, and this share of each run."""
    groups = [int(run["grammar"]) for run in runs]
    variances = np.stack([run["sampler_variances"] for run in runs])
    root = np.stack([run["sampler_valid"] for run in runs])[..., -1]
    chi = rt.measure.ratio(variances[..., 0], variances[..., 1], groups)._asdict()
    return chi, mean_of(root, groups), root


def mean_of(values: Float[np.ndarray, "runs *shape"], groups: Sequence[int]) -> dict[str, Any]:
    """The mean over runs, with errors over groups."""
    return rt.measure.ratio(values, np.ones_like(values), groups)._asdict()
