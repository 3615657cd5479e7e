"""One study of pictures: a trained model beside flat mixtures, through the same features.

The protocol was fixed before the runs.

* *Model.* A diffusion model is trained on the training pictures. So is a classifier.
* *Flat mixtures*, fitted to the same pictures, with exact posteriors: one Gaussian, one for each
  class with full or diagonal covariance, fifty of k-means.
* *Starts* are the first validation pictures, the same for all seeds. The model's 20 steps and the
  mixtures' exact samples begin with the same noised pictures.
* *Seeds.* A seed is a whole study: weights, batches, classifier, k-means and all noise.
* *Gate.* The model counts only if its denoising loss on validation pictures is below that of every
  flat mixture, by more than two standard errors of the paired difference, for every seed.
* *Primary test.* The contrast is chi(peak) - chi(1), by the feature f3 for Fashion-MNIST and f1
  for pictures of 8 x 8 pixels. The test is the contrast of the model minus that of the flat mixture
  with the largest one, with an interval over starts and seeds. The peak is chosen on one half of
  the starts and read off the other, so that a maximum over noisy levels is no contrast by itself.
* *Positive control.* Strings of a grammar drawn as pictures. Their exact posterior takes the place
  of the model.
* *Secondary.* The same contrast among trajectories that keep their class by the classifier, and
  among those that keep their component or root.
"""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from rhm_theory.denoisers import parts, storage
from rhm_theory.denoisers.images import classifier, data, diffusion, measure, mixtures
from rhm_theory.denoisers.images.data import Pictures
from rhm_theory.denoisers.images.diffusion import Diffusion, WithSteps
from rhm_theory.denoisers.images.drawn_grammar import DrawnGrammar
from rhm_theory.denoisers.images.fitting import Recipe
from rhm_theory.denoisers.images.loss_gate import EXACT, MODEL, Gate, compared
from rhm_theory.denoisers.images.measure import Level, Posterior
from rhm_theory.denoisers.images.mixtures import GaussianMixture
from rhm_theory.models.grammar import Grammar
from theory_common import checks, idx

KIND = "study of pictures"
ALMOST_CLEAN = 1e-3  # the time at which a start's component is read off
PRIMARY = {"fashion": "f3", "digits": "f1", "grammar": "f1"}


class Plan(NamedTuple):
    """The sizes of a study.

    Attributes:
        recipe: of the diffusion model.
        classifier: the recipe of the classifier.
        starts: how many validation pictures are noised.
        trajectories: of each start.
        times: of the noise, the last one 1.
        loss_pictures: validation pictures for the denoising loss.
        trained: whether a diffusion model is trained; without, only exact posteriors are measured.
    """

    recipe: Recipe = Recipe()
    classifier: Recipe = classifier.RECIPE
    starts: int = 96
    trajectories: int = 16
    times: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
    loss_pictures: int = 300
    trained: bool = True


class Losses(NamedTuple):
    """The denoising losses of one posterior."""

    losses: Float[np.ndarray, "noises pictures"]


class Seed(NamedTuple):
    """The results of one seed. The first axis of each array is the posterior.

    Attributes:
        names: of the posteriors; the model's is ``"diffusion model"``.
        accuracy: of the classifier on validation pictures.
        sums: what :class:`rhm_theory.denoisers.images.measure.Level` calls total and single, then
            those within a class and those within a component, as pairs.
        changed: the share of trajectories with another class.
        moved: the share with another component.
        losses: the denoising losses of validation pictures.
    """

    names: tuple[str, ...]
    accuracy: float
    sums: Float[np.ndarray, "posteriors times 3 2 measures starts"]
    changed: Float[np.ndarray, "posteriors times starts"]
    moved: Float[np.ndarray, "posteriors times starts"]
    losses: Float[np.ndarray, "posteriors noises pictures"]


def positive_control() -> tuple[Pictures, DrawnGrammar]:
    """Pictures of a grammar: 8 symbols, 2 rules each, branching 2, depth 4, so 16 glyphs."""
    grammar = Grammar.random(
        jax.random.key(5), depth=4, vocabulary=8, rules_per_symbol=2, branching=2
    )
    return data.of_grammar(jax.random.key(0), grammar), DrawnGrammar(grammar)


def run(
    seed: int,
    pictures: Pictures,
    plan: Plan,
    *,
    exact: DrawnGrammar | None = None,
    folder: str | Path | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> Seed:
    """The whole study of one seed.

    Args:
        seed: of all that is random but the split of the pictures.
        pictures: training and validation pictures.
        plan: sizes.
        exact: the exact posterior of the pictures, if it is known.
        folder: keeps trained networks and the result, so that an interrupted study goes on.
        report: a function that is called with what is being done.
    Raises: ``ValueError`` if ``folder`` holds a study of another plan.
    """
    base = None if folder is None else Path(folder) / f"{pictures.name}-{seed}"
    header: dict[str, Any] = {"plan": plan_as_json(plan)}
    if base is not None:
        base.parent.mkdir(parents=True, exist_ok=True)
        done = base.with_suffix(".study")
        if done.exists():
            return _read(done, header)
    posteriors: dict[str, Posterior] = {}
    if plan.trained:
        for_model = jax.random.fold_in(jax.random.key(seed), 0)
        posteriors[MODEL] = model_of(for_model, pictures, plan.recipe, base, report)
    if exact is not None:
        posteriors[EXACT] = exact
    found = measured(seed, posteriors, pictures, plan, base=base, report=report)
    if base is not None:
        header = {**header, "names": list(found.names), "accuracy": found.accuracy}
        arrays = [found.sums, found.changed, found.moved, found.losses]
        storage.write(done, KIND, header, arrays, force=True)
    return found


def plan_as_json(plan: Plan) -> list[Any]:
    """The plan as JSON gives it back."""
    return [list(value) if isinstance(value, tuple) else value for value in plan]


def _read(path: Path, header: dict) -> Seed:
    found, arrays = storage.read(path, KIND)
    if found["plan"] != header["plan"]:
        raise ValueError(f"{path} must be of the plan {header['plan']}, got {found['plan']}")
    sums, changed, moved, losses = arrays
    return Seed(
        names=tuple(found["names"]),
        accuracy=found["accuracy"],
        sums=sums,
        changed=changed,
        moved=moved,
        losses=losses,
    )


def measured(
    seed: int,
    posteriors: Mapping[str, Posterior],
    pictures: Pictures,
    plan: Plan,
    *,
    base: Path | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> Seed:
    """Measure given posteriors, and flat mixtures that are fitted here.

    Args:
        seed: of the classifier, k-means and all noise.
        posteriors: by name: a trained model, and the exact posterior if it is known.
        pictures: training and validation pictures.
        plan: sizes; its ``recipe`` is not used.
        base: a path to which endings are added. The classifier and parts, one posterior at one
            time, are kept there, so that a stopped study goes on.
        report: is told what is being done.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    """
    keys = [jax.random.fold_in(jax.random.key(seed), number) for number in range(4)]
    _, for_classifier, for_noise, for_loss = keys
    report(f"{pictures.name} {seed}: fitting the mixtures")
    everyone = {**posteriors} | {mixture.name: mixture for mixture in flat(pictures, seed)}
    report(f"{pictures.name} {seed}: training the classifier")
    judge = classifier.train(
        for_classifier,
        pictures,
        plan.classifier,
        checkpoint=None if base is None else base.with_suffix(".classifier"),
    )
    starts = pictures.validation[: plan.starts]
    shown = pictures.validation[: plan.loss_pictures]
    folder = None if base is None else base.with_suffix(".parts")
    same = parts.digest_of(str(plan_as_json(plan)[1:4]), (pictures.train, starts, shown))
    total = len(everyone) * len(plan.times)

    def at_time(name: str, groups: np.ndarray | None, number: int) -> Level:
        time = plan.times[number]
        done = list(everyone).index(name) * len(plan.times) + number
        report(f"{pictures.name} {seed}, part {done + 1} of {total}: {name} at t = {time:g}")
        pair = jax.random.split(jax.random.fold_in(for_noise, number))
        keys = (pair[0], pair[1])
        return measure.level(keys, everyone[name], judge, starts, groups, time, plan.trajectories)

    def losses_of(name: str) -> Losses:
        return Losses(measure.denoising_losses(for_loss, everyone[name], shown))

    levels, losses = [], []
    for name, posterior in everyone.items():
        own = parts.digest_of(f"{seed} {name} {same}", _arrays(posterior))
        groups = _groups(posterior, starts, pictures.validation_labels[: plan.starts])
        levels.append(
            [
                parts.kept(
                    folder,
                    f"{own}-{number}-{time:g}",
                    Level,
                    functools.partial(at_time, name, groups, number),
                )
                for number, time in enumerate(plan.times)
            ]
        )
        compute = functools.partial(losses_of, name)
        losses.append(parts.kept(folder, f"{own}-losses", Losses, compute).losses)
    labels, _ = classifier.seen(judge, pictures.validation)
    return Seed(
        names=tuple(everyone),
        accuracy=float(np.mean(labels == pictures.validation_labels)),
        sums=np.array([[_sums(one) for one in row] for row in levels]),
        changed=np.array([[one.changed.mean(-1) for one in row] for row in levels]),
        moved=np.array([[one.moved.mean(-1) for one in row] for row in levels]),
        losses=np.array(losses),
    )


def pictures_of(
    name: str, folder: str | Path = idx.FASHION
) -> tuple[Pictures, DrawnGrammar | None]:
    """The pictures of this name, and their exact posterior if it is known.

    Args:
        name: ``"digits"``, ``"fashion"`` or ``"grammar"``.
        folder: of the idx files of Fashion-MNIST.
    Raises: ``ValueError`` that names ``name``; ``FileNotFoundError`` if the folder lacks a file.
    """
    checks.choice("name", name, tuple(PRIMARY))
    if name == "grammar":
        return positive_control()
    return (data.digits() if name == "digits" else data.fashion(folder)), None


def losses_beside_mixtures(
    key: jax.Array, model: Posterior, pictures: Pictures, seed: int, count: int = 300
) -> Gate:
    """The gate of one model.

    Args:
        key: of the noise.
        model: what is compared with the flat mixtures.
        pictures: those for validation give the losses.
        seed: of k-means.
        count: validation pictures.
    """
    posteriors = {MODEL: model} | {one.name: one for one in flat(pictures, seed)}
    shown = pictures.validation[:count]
    losses = [measure.denoising_losses(key, one, shown).mean(0) for one in posteriors.values()]
    return compared(tuple(posteriors), [np.array(losses)])


def model_of(
    key: jax.Array,
    pictures: Pictures,
    recipe: Recipe,
    base: Path | None,
    report: Callable[[str], None],
) -> diffusion.Diffusion:
    """The trained model, from its checkpoint if that is finished."""
    return diffusion.train(
        key,
        pictures.train,
        recipe,
        checkpoint=None if base is None else base.with_suffix(".model"),
        report=lambda done, loss: report(
            f"{base.name if base else pictures.name}: step {done} of {recipe.steps}, "
            f"loss {loss:.4f}"
        ),
    ).network


def flat(pictures: Pictures, seed: int) -> list[GaussianMixture]:
    """The flat controls."""
    return [
        mixtures.one_gaussian(pictures),
        mixtures.of_classes(pictures),
        mixtures.of_classes(pictures, diagonal=True),
        mixtures.of_clusters(pictures, seed),
    ]


def _groups(posterior: Posterior, starts: np.ndarray, labels: np.ndarray) -> np.ndarray | None:
    """The component of each start: the most probable one, or the root."""
    if isinstance(posterior, GaussianMixture):
        return posterior.responsibilities(starts, ALMOST_CLEAN).argmax(-1)
    return labels if isinstance(posterior, DrawnGrammar) else None


def _arrays(posterior: Posterior) -> list[Any]:
    """What tells posteriors of one name apart. Mixtures follow from the pictures and the seed."""
    if isinstance(posterior, WithSteps):
        return [posterior.steps, *jax.tree.leaves(posterior.model)]
    if isinstance(posterior, Diffusion):
        return jax.tree.leaves(posterior)
    return [posterior.grammar.rules] if isinstance(posterior, DrawnGrammar) else []


def _sums(level: Level) -> np.ndarray:
    return np.array(
        [
            [level.total, level.single],
            [level.class_total, level.class_single],
            [level.within_total, level.within_single],
        ]
    )
