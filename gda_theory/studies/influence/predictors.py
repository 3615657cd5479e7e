"""What is known of a forget set before ascent is run, or from the retrained model alone."""

import dataclasses

import jax
import numpy as np

import gda_theory as gt
from gda_theory.verdict.dependence import SEARCHED, dependence


def solved(problem: gt.Problem) -> gt.Path:
    """Pretrained and retrained model, and the minima at the weak strength f/r and at strength 1."""
    forgotten = int(np.sum(np.asarray(problem.forget)))
    weak = forgotten / (len(problem.forget) - forgotten)
    path = gt.ascent_path(problem, np.array([weak, 1.0]), search_to=SEARCHED)
    return jax.tree.map(np.asarray, path)


def predictors(problem: gt.Problem, path: gt.Path) -> dict[str, float]:
    """What might predict the harm."""
    pretrained, oracle = (np.asarray(one.weights) for one in (path.pretrained, path.oracle))
    measured = dataclasses.asdict(dependence(problem, pretrained))
    critical = critical_strength(path)
    even = float(path.break_even_strength)
    return measured | {
        # From the critical strength on there is no minimum that could be better than nothing.
        "break_even_strength": critical if np.isnan(even) else even,
        "critical_strength": critical,
        "size": float(np.sum(np.asarray(problem.forget))),
        "pretrain_distance": np.linalg.norm(pretrained - oracle) / np.linalg.norm(oracle),
        "converged": float(bool(path.pretrained.converged) and bool(path.oracle.converged)),
    }


def critical_strength(path: gt.Path) -> float:
    """Infinite if the minimum exists up to strength 10, NaN if the path could not be followed."""
    found = float(path.critical_strength)
    if np.isnan(found) and path.searched_to >= SEARCHED:
        return np.inf
    return found
