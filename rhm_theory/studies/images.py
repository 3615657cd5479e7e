"""Diffusion models of pictures beside flat mixtures: a study of each data set, with its tests.

The protocol is in :mod:`rhm_theory.denoisers.images.study`.
"""

from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from rhm_theory.denoisers import images

FEW_TIMES = (0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0)
QUICK = images.Plan(
    recipe=images.Recipe(steps=600),
    classifier=images.Plan().classifier._replace(steps=300),
    starts=64,
    trajectories=12,
    times=FEW_TIMES,
    loss_pictures=200,
)
DIAGONAL = "diagonal class Gaussians"


class DataSet(NamedTuple):
    """Pictures, how a seed of them is studied, and how many seeds there are."""

    name: str
    plan: images.Plan
    seeds: int


def data_sets(preset: str, seeds: int, fashion_seeds: int) -> list[DataSet]:
    """The data sets of a preset. The quick control has its exact posterior and no trained model."""
    if preset == "quick":
        return [
            DataSet("digits", QUICK, 1),
            DataSet("grammar", QUICK._replace(trained=False), 1),
        ]
    longer = images.Plan(
        recipe=images.Recipe(steps=2500),
        classifier=images.Plan().classifier._replace(steps=2500, batch=64),
    )
    return [
        DataSet("digits", images.Plan(), seeds),
        DataSet("grammar", images.Plan(), seeds),
        DataSet("fashion", longer, fashion_seeds),
    ]


def studied(given: DataSet, folder: Path | None = None) -> dict[str, Any]:
    """All that a figure draws of one data set.

    Args:
        given: the data set.
        folder: keeps finished parts, so that a stopped study goes on.
    """
    pictures, exact = images.pictures_of(given.name)
    seeds = [
        images.run(seed, pictures, given.plan, exact=exact, folder=folder)
        for seed in range(given.seeds)
    ]
    return {
        "times": np.array(given.plan.times),
        "seeds": len(seeds),
        "sizes": np.array([given.plan.starts, given.plan.trajectories]),
        "accuracy": float(np.mean([seed.accuracy for seed in seeds])),
        **summarised(seeds, images.PRIMARY[given.name]),
    }


def summarised(seeds: list[images.Seed], primary: str) -> dict[str, Any]:
    """Estimates of all posteriors, and the tests."""
    key = jax.random.key(0)
    gate = images.gate(seeds, images.MODEL if images.MODEL in seeds[0].names else images.EXACT)
    tests = {
        f"{of}, {among}": tested(images.against_mixtures(key, seeds, primary, among, of))
        for of in (images.MODEL, images.EXACT)
        if of in seeds[0].names
        for among in ("all", "class")
    }
    flat = images.susceptibility(key, seeds, "patches", "component")[DIAGONAL]
    return {
        "primary": primary,
        "names": list(seeds[0].names),
        "losses": gate.losses,
        "gap": np.array([gate.difference, gate.error]),
        "beats_mixtures": gate.beats,
        "chi": plain(images.susceptibility(key, seeds, primary)),
        "chi_pixels": plain(images.susceptibility(key, seeds, "pixels")),
        "chi_class": plain(images.susceptibility(key, seeds, primary, "class")),
        "class_change": plain(images.class_change(key, seeds)),
        "component_change": plain(images.component_change(key, seeds)),
        "contrast": plain(images.contrasts(key, seeds, primary)),
        "contrast_class": plain(images.contrasts(key, seeds, primary, "class")),
        "diagonal_within": flat._asdict(),
        "tests": tests,
    }


def plain(estimates: dict) -> dict[str, dict]:
    """Estimates as dicts."""
    return {name: one._asdict() for name, one in estimates.items()}


def tested(found: images.AgainstMixtures) -> dict[str, Any]:
    """A test as a dict."""
    return {**found.difference._asdict(), "strongest": found.strongest}
