"""The paper's experiment: forward-backward, its measurement, comparison with Bayes, the probe."""

from rhm_theory.experiment.trajectories import (
    EnumeratedMasks,
    Experiment,
    Variances,
    average_root_slope,
    average_susceptibility,
    enumerated_masks,
    forward_backward,
    grammar_and_starts,
    joined,
    measurements,
    noise_part,
    root_slope,
    susceptibility,
    total_variance,
)

__all__ = [
    "EnumeratedMasks",
    "Experiment",
    "Variances",
    "average_root_slope",
    "average_susceptibility",
    "enumerated_masks",
    "forward_backward",
    "grammar_and_starts",
    "joined",
    "measurements",
    "noise_part",
    "root_slope",
    "susceptibility",
    "total_variance",
]
