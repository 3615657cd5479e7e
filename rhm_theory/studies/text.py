"""Models of text from several seeds, measured beside chains of n-grams and flat mixtures.

The trained models are measured at all levels, and the first of them beside the controls at a few.
With a folder, trained models and measured parts are kept there, so that a stopped study goes on.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rhm_theory.denoisers import masked, training
from rhm_theory.denoisers.sequences import summary
from rhm_theory.denoisers.sequences.measurement import MODEL, SAMPLED, Effort
from rhm_theory.denoisers.sequences.summary import PEAK
from rhm_theory.denoisers.text import clauses, corpora, encoded, fitting, measurement, report
from rhm_theory.denoisers.text.encoded import TextData
from rhm_theory.denoisers.text.measurement import Study
from rhm_theory.denoisers.text.report import Numbers

LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
FEW_LEVELS = (0.3, 0.5, 0.7, 0.9, 1.0)
CONTROLS = ("mixture of unigrams", "bigrams", "mixture of bigrams", "trigrams")
GROWTH = (0.25, 0.5)  # shares of the training at which the model is measured too
SIZES = {"width": 192, "layers": 4, "heads": 6}
LENGTH = 64  # tokens of a window


class TextSetting(NamedTuple):
    """What is measured.

    Attributes:
        levels: shares of hidden tokens at which every model is measured.
        few_levels: those at which the controls are measured.
        effort: of each measurement.
        sampled_levels: those at which samples of the models are drawn, or none.
        steps: of the sampler.
    """

    levels: tuple[float, ...]
    few_levels: tuple[float, ...]
    effort: Effort
    sampled_levels: tuple[float, ...]
    steps: int


class TextModels(NamedTuple):
    """Models of one text.

    Attributes:
        data: the text.
        models: one for each seed.
        losses: of the first model and of the controls, as ``Compared.to_dict`` gives them.
        seed_losses: of each model, with errors: an array of shape (seeds, levels, 2).
        kept: for each model, its states at shares of the training. It may have none.
    """

    data: TextData
    models: Sequence[masked.MaskedDiffusion]
    losses: dict[str, Any]
    seed_losses: np.ndarray
    kept: Sequence[dict[float, masked.MaskedDiffusion]]


SETTINGS = {
    "quick": TextSetting(
        levels=(0.3, 0.5, 0.7, 0.9, 1.0),
        few_levels=(0.7, 0.9, 1.0),
        effort=Effort(starts=48, masks=2, columns=4, trajectories=0),
        sampled_levels=(),
        steps=8,
    ),
    "paper": TextSetting(
        levels=LEVELS,
        few_levels=FEW_LEVELS,
        effort=Effort(starts=96, masks=4, columns=4, trajectories=0),
        sampled_levels=(0.5, 0.7, 1.0),
        steps=16,
    ),
}


def loaded(weights: Path) -> TextModels:
    """The one model of a file that ``rhm-theory train text`` wrote."""
    found = encoded.load(weights)
    losses = found.notes["losses"]
    return TextModels(
        data=found.data,
        models=[found.model],
        losses=losses,
        seed_losses=np.array([losses["loss and error"]["model"]]),
        kept=[{}],
    )


def trained(
    corpus: corpora.Corpus, seeds: Sequence[int], steps: int, folder: Path | None = None
) -> TextModels:
    """A model of the corpus for each seed, and the losses of the first.

    Args:
        corpus: the text.
        seeds: of weights, batches and masks.
        steps: of training.
        folder: keeps the runs, so that a stopped training goes on.
    """
    data = encoded.prepare(corpus)
    runs = [_trained(data, seed, steps, folder) for seed in seeds]
    models = [run.model for run in runs]
    seed_losses = [[_pair(one) for one in fitting.losses(model, data)] for model in models]
    return TextModels(
        data=data,
        models=models,
        losses=fitting.compared(models[0], data).to_dict(),
        seed_losses=np.array(seed_losses),
        kept=[run.kept for run in runs],
    )


def novels() -> corpora.Corpus:
    """The novels if they are installed, else the pages of Python's help."""
    try:
        return corpora.austen()
    except FileNotFoundError:
        return corpora.python_topics()


def studied(given: TextModels, setting: TextSetting, folder: Path | None = None) -> dict[str, Any]:
    """The arrays that a figure draws.

    Args:
        given: the models.
        setting: what is measured.
        folder: keeps the measured parts, so that a stopped study goes on.
    """
    data, models = given.data, given.models
    parts = None if folder is None else folder / "measured"
    whole = [_measured(model, data, setting, parts) for model in models]
    controls = _with_controls(models[0], data, setting, parts)
    found = _by_seed([numbers for _, numbers in whole]) | _by_control(controls[1])
    found |= _over_seeds([controls[0], *(one for one, _ in whole[1:])]) | _losses(given.losses)
    found["seed_losses"] = given.seed_losses
    if setting.sampled_levels:
        found |= _sampled([_by_samples(model, data, setting, parts) for model in models])
    found["growth"] = np.array(
        [
            _growth(kept, model, data, setting, parts)
            for kept, model in zip(given.kept, models, strict=True)
        ]
    )
    return found | {"corpus": data.name, "shares": np.array([*given.kept[0], 1.0])}


def _trained(data: TextData, seed: int, steps: int, folder: Path | None) -> training.Trained:
    run = {
        "batch": 32,
        "steps": steps,
        "learning_rate": 0.05,
        "keep": GROWTH,
        "folder": None if folder is None else folder / f"seed_{seed}",
    }
    return fitting.train(seed, data, length=LENGTH, sizes=SIZES, run=run)


def _study(
    model: masked.MaskedDiffusion,
    data: TextData,
    levels: tuple[float, ...],
    effort: Effort,
    parts: Path | None,
    controls: tuple[str, ...] = (),
) -> tuple[Study, Numbers]:
    law = model.log_probabilities
    study = measurement.study(
        0, law, model.length, data, levels, effort, controls=controls, folder=parts
    )
    return study, report.numbers(study)


def _measured(model, data, setting: TextSetting, parts) -> tuple[Study, Numbers]:
    return _study(model, data, setting.levels, setting.effort, parts)


def _with_controls(model, data, setting: TextSetting, parts) -> tuple[Study, Numbers]:
    return _study(model, data, setting.few_levels, setting.effort, parts, CONTROLS)


def _by_samples(model, data, setting: TextSetting, parts) -> Numbers:
    effort = setting.effort._replace(trajectories=4, steps=setting.steps)
    return _study(model, data, setting.sampled_levels, effort, parts)[1]


def _growth(kept: dict, model, data, setting: TextSetting, parts) -> list[list[float]]:
    """chi at the level of the contrast, after each share of the training: all, different words."""
    rows = []
    for one in (*kept.values(), model):
        found = _study(one, data, (PEAK,), setting.effort, parts)[1]
        rows.append(
            [
                *_pair(found.all_pairs[MODEL][0].susceptibility),
                *_pair(found.different_words[MODEL][0].susceptibility),
            ]
        )
    return rows


def _pair(estimate) -> list[float]:
    return [float(estimate.value), float(estimate.error)]


def _whole(estimate) -> list[float]:
    return [float(part) for part in estimate]


def _chi(measurements) -> list[list[float]]:
    return [_pair(one.susceptibility) for one in measurements]


def _by_seed(found: list[Numbers]) -> dict[str, Any]:
    first = found[0]
    clauses = [list(first.clauses.values()) for first in found]
    return {
        "levels": np.array(first.levels),
        "model_all": np.array([_chi(one.all_pairs[MODEL]) for one in found]),
        "model_different": np.array([_chi(one.different_words[MODEL]) for one in found]),
        "mask_part": np.array([[_pair(part) for part in one.mask_part[MODEL]] for one in found]),
        "half_length": np.array(
            [[_pair(m.half_length) for m in one.different_words[MODEL]] for one in found]
        ),
        "correlation": np.array([_pair_rows(m.correlation) for m in first.different_words[MODEL]]),
        "seed_contrast": np.array([_whole(one.contrast[MODEL]) for one in found]),
        "seed_contrast_all": np.array([_whole(one.contrast_all[MODEL]) for one in found]),
        "clause_levels": np.array(list(first.clauses)),
        "clauses": np.array(
            [
                [[c.difference, c.shuffled, *_whole(c.excess), c.p_value] for c in one]
                for one in clauses
            ]
        ),
    }


def _pair_rows(estimate) -> np.ndarray:
    return np.stack([estimate.value, estimate.error], 1)


def _by_control(found: Numbers) -> dict[str, Any]:
    return {
        "controls": list(CONTROLS),
        "few_levels": np.array(found.levels),
        "control_all": np.array([_chi(found.all_pairs[name]) for name in CONTROLS]),
        "control_different": np.array([_chi(found.different_words[name]) for name in CONTROLS]),
        "control_contrast": np.array([_whole(found.contrast[name]) for name in CONTROLS]),
        "control_contrast_all": np.array([_whole(found.contrast_all[name]) for name in CONTROLS]),
    }


def _over_seeds(studies: Sequence[Study]) -> dict[str, Any]:
    """The mean contrast of the models, and how far it is above that of each control.

    Its intervals cover chapters and seeds. The first study has the controls.
    """
    different = clauses.different_words(studies[0].word)
    changes = [study.changes for study in studies]
    r_max = min(report.R_MAX, changes[0].tokens.shape[1] - 1)
    found: dict[str, Any] = {}
    for suffix, allowed in (("", different), ("_all", None)):
        mean = summary.mean_contrasts(changes, r_max=r_max, allowed=allowed)
        found[f"contrast{suffix}"] = np.array(_whole(mean.own[MODEL]))
        found[f"above{suffix}"] = np.array([_whole(mean.above[name]) for name in CONTROLS])
    return found


def _sampled(found: list[Numbers]) -> dict[str, Any]:
    return {
        "sampled_levels": np.array(found[0].levels),
        "sampled_all": np.array([_chi(one.all_pairs[SAMPLED]) for one in found]),
        "sampled_different": np.array([_chi(one.different_words[SAMPLED]) for one in found]),
    }


def _losses(losses: dict[str, Any]) -> dict[str, Any]:
    return {
        "loss_levels": np.array(losses["level"]),
        "loss_names": list(losses["loss and error"]),
        "losses": np.array(list(losses["loss and error"].values())),
    }
