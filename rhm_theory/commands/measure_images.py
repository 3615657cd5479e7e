"""``measure`` for models of pictures."""

import argparse
from pathlib import Path

from rhm_theory.commands.measure_outcome import Outcome, levels_of, shown
from theory_common import checks

LEAST_STARTS = 4  # two in each half, one of which chooses the peak
# Changes of the recipe of the classifier. With 600 steps its accuracy on Fashion-MNIST is too low.
RECIPES = {"fashion": {"steps": 2500, "batch": 64}}
DEFAULTS = {
    "starts": 96,
    "trajectories": 16,
    "steps": 20,
    "classifier_steps": None,
    "images": None,
}


def run(options: argparse.Namespace) -> Outcome:
    """Measure a model of pictures beside flat mixtures."""
    from rhm_theory.denoisers import images
    from rhm_theory.denoisers.images import diffusion, report

    notes = diffusion.read_notes(options.model)
    name = notes.get("data")
    if name not in images.PRIMARY:
        raise ValueError(
            f"{options.model} must say which pictures it was trained on, one of "
            f"{', '.join(images.PRIMARY)}, got {name!r}. Train the model again"
        )
    if options.images is not None and name != "fashion":
        raise ValueError(f"--images is for a model of fashion; {options.model} is one of {name}")
    plan = _plan(options, images, name)
    steps = checks.whole("steps", options.steps, least=1)
    seed = checks.whole("seed", options.seed)
    shown("reading the pictures")
    where = {} if options.images is None else {"folder": options.images}
    pictures, exact = images.pictures_of(name, **where)
    if plan.starts > len(pictures.validation):
        raise ValueError(
            f"starts must be at most the {len(pictures.validation)} validation pictures, "
            f"got {plan.starts}"
        )
    model = images.Diffusion.load(options.model)
    posteriors: dict[str, images.Posterior] = {images.MODEL: images.WithSteps(model, steps)}
    if exact is not None:
        posteriors[images.EXACT] = exact
    base = None
    if options.folder is not None:
        Path(options.folder).mkdir(parents=True, exist_ok=True)
        base = Path(options.folder) / f"{name}-{seed}-{plan.classifier.steps}"
    study = images.measured(seed, posteriors, pictures, plan, base=base, report=shown)
    found = report.numbers(study, plan.times, images.PRIMARY[name])
    about = [
        f"Model {options.model}, trained on {name}. Its samples take {steps} steps.",
        f"{plan.starts} validation pictures are noised, and each is denoised {plan.trajectories} "
        "times. All posteriors have the same noised pictures. A change of a place is the norm of "
        f"the change of the feature {found.feature} there. The feature is that of a classifier "
        f"with an accuracy of {study.accuracy:.2f} on validation pictures, trained in "
        f"{plan.classifier.steps} steps.",
        "The flat mixtures are fitted to the training pictures, and sampled exactly. The denoising "
        f"loss is the mean squared error of the velocity on {plan.loss_pictures} validation "
        "pictures.",
    ]
    raw = {key: value for key, value in study._asdict().items() if key != "accuracy"}
    return Outcome(
        arrays={"times": plan.times, **raw},
        page=lambda: report.page(found, about),
        answer=report.to_dict(found),
        table=lambda: report.table(found),
    )


def _plan(options: argparse.Namespace, images, name: str):
    """The sizes of the study, checked."""
    times = levels_of(options.levels)
    if not all(0 < time <= 1 for time in times) or times != sorted(set(times)):
        raise ValueError(f"levels must rise, in (0, 1], got {times}")
    if times[-1] != 1 or len(times) < 2:
        raise ValueError(
            "levels must be at least two and end with 1 for pictures, since the contrast is "
            f"chi(peak) - chi(1), got {times}"
        )
    recipe = images.Plan().classifier._replace(**RECIPES.get(name, {}))
    if options.classifier_steps is not None:
        steps = checks.whole("classifier_steps", options.classifier_steps, least=1)
        recipe = recipe._replace(steps=steps)
    return images.Plan(
        classifier=recipe,
        starts=checks.whole("starts", options.starts, least=LEAST_STARTS),
        trajectories=checks.whole("trajectories", options.trajectories, least=2),
        times=tuple(times),
    )
