"""Deletion of rows from a model: methods, certified bounds on what is left, noise and receipts."""

from gda_theory.deletion.bounds import (
    Certificate,
    certified,
    distance_bound,
    newton_residual_bound,
)
from gda_theory.deletion.methods import (
    Cost,
    Deleted,
    fine_tune,
    newton,
    pure_ascent,
    retrain,
)
from gda_theory.deletion.noise import Noise, descent_to_delete_scale, gaussian_noise
from gda_theory.deletion.noisy import noisy_descent, published

__all__ = [
    "Certificate",
    "Cost",
    "Deleted",
    "Noise",
    "certified",
    "descent_to_delete_scale",
    "distance_bound",
    "fine_tune",
    "gaussian_noise",
    "newton",
    "newton_residual_bound",
    "noisy_descent",
    "published",
    "pure_ascent",
    "retrain",
]
