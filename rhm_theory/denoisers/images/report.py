"""From the study of one model of pictures to numbers, a table and a page with pictures."""

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float

from rhm_theory.denoisers import page as pages
from rhm_theory.denoisers.images import summary
from rhm_theory.denoisers.images.loss_gate import EXACT, MODEL, Gate
from rhm_theory.denoisers.images.study import Seed
from rhm_theory.denoisers.images.summary import AgainstMixtures
from rhm_theory.denoisers.page import INK
from rhm_theory.denoisers.sequences.words import compared, interval, whole
from rhm_theory.experiment.measure import Estimate
from theory_common.printing import tables


class ImageNumbers(NamedTuple):
    """What a study of one model says. Dictionaries are by posterior.

    Attributes:
        times: of the noise.
        feature: whose changes are compared.
        gate: whether the model's denoising loss is below that of every flat mixture.
        chi: the susceptibility at each time.
        chi_class: the same among trajectories that keep their class.
        class_change: the share of trajectories with another class, at each time.
        contrast: chi(peak) - chi(1).
        contrast_class: the same among trajectories that keep their class.
        tests: the contrast minus that of the strongest flat mixture, of the model and of the exact
            posterior if it is known.
        accuracy: of the classifier.
    """

    times: tuple[float, ...]
    feature: str
    gate: Gate
    chi: dict[str, Estimate]
    chi_class: dict[str, Estimate]
    class_change: dict[str, Estimate]
    contrast: dict[str, Estimate]
    contrast_class: dict[str, Estimate]
    tests: dict[str, AgainstMixtures]
    accuracy: float


def numbers(seed: Seed, times: Sequence[float], feature: str) -> ImageNumbers:
    """All numbers of the study of one model.

    Args:
        seed: the study.
        times: of the noise, the last one 1.
        feature: one of :data:`rhm_theory.denoisers.images.MEASURES`.
    Raises: ``ValueError`` that names the argument.
    """
    key = jax.random.key(0)  # of the bootstrap: the same data give the same intervals
    seeds = [seed]
    return ImageNumbers(
        times=tuple(times),
        feature=feature,
        gate=summary.gate(seeds),
        chi=summary.susceptibility(key, seeds, feature),
        chi_class=summary.susceptibility(key, seeds, feature, "class"),
        class_change=summary.class_change(key, seeds),
        contrast=summary.contrasts(key, seeds, feature),
        contrast_class=summary.contrasts(key, seeds, feature, "class"),
        tests={
            name: summary.against_mixtures(key, seeds, feature, of=name)
            for name in (MODEL, EXACT)
            if name in seed.names
        },
        accuracy=seed.accuracy,
    )


def half_change(found: ImageNumbers, name: str) -> float:
    """The first time at which half of the trajectories change class; NaN if there is none."""
    values = found.class_change[name].value
    above = np.flatnonzero(values >= 0.5)
    if not len(above):
        return float("nan")
    end = above[0]
    if not end:
        return found.times[0]
    span = slice(end - 1, end + 1)
    return float(np.interp(0.5, values[span], found.times[span]))


def to_dict(found: ImageNumbers) -> dict[str, Any]:
    """The numbers for JSON. Contrasts are value, standard error and the 95 % interval."""

    def by_time(estimates: dict[str, Estimate]) -> dict[str, list]:
        return {
            name: np.stack([one.value, one.error], -1).tolist() for name, one in estimates.items()
        }

    return {
        "times": list(found.times),
        "feature": found.feature,
        "losses": found.gate.losses,
        "loss minus best mixture": [float(found.gate.difference[0]), float(found.gate.error[0])],
        "beats_mixtures": found.gate.beats,
        "value and error": {
            "chi": by_time(found.chi),
            "chi of those that keep the class": by_time(found.chi_class),
            "class change": by_time(found.class_change),
        },
        "contrast": {name: whole(one) for name, one in found.contrast.items()},
        "contrast of those that keep the class": {
            name: whole(one) for name, one in found.contrast_class.items()
        },
        "contrast minus that of the strongest mixture": {
            name: {"mixture": one.strongest, "difference": whole(one.difference)}
            for name, one in found.tests.items()
        },
        "half change class at": {name: half_change(found, name) for name in found.chi},
        "accuracy": found.accuracy,
    }


def rows(found: ImageNumbers) -> tuple[list[str], list[list[str]]]:
    """A table of all posteriors: loss, peak, class change and contrast."""
    head = ["posterior", "loss", "peak at", "chi(peak)", "chi(1)", "half change at", "contrast"]
    body = []
    for name, chi in found.chi.items():
        place = int(np.nanargmax(chi.value))
        half = half_change(found, name)
        body.append(
            [
                name,
                f"{found.gate.losses[name]:.4f}",
                f"{found.times[place]:g}",
                f"{chi.value[place]:.2f} ± {chi.error[place]:.2f}",
                f"{chi.value[-1]:.2f} ± {chi.error[-1]:.2f}",
                "none" if np.isnan(half) else f"{half:.2f}",
                interval(found.contrast[name], 2),
            ]
        )
    return head, body


def table(found: ImageNumbers) -> str:
    """The numbers as text for a terminal."""
    head, body = rows(found)
    text = io.StringIO()
    title = f"denoising loss, chi of the feature {found.feature}, time at which half of the "
    title += "trajectories change class, and contrast chi(peak) - chi(1)"
    tables.print_table([tuple(row) for row in body], head, title, file=text)
    return "\n".join([text.getvalue().rstrip(), *answer(found)])


def answer(found: ImageNumbers) -> list[str]:
    """What was found, in a few sentences."""
    gate = found.gate
    best = min(loss for name, loss in gate.losses.items() if name not in (MODEL, EXACT))
    loss = (
        f"Its denoising loss is {gate.losses[MODEL]:.4f}, and that of the best flat mixture is "
        f"{best:.4f} (difference {gate.difference[0]:+.4f}, error {gate.error[0]:.4f})."
    )
    chi = found.chi[MODEL].value
    place = int(np.nanargmax(chi))
    half = half_change(found, MODEL)
    peak = (
        f"The susceptibility says how many places of a picture change together. That of the model "
        f"is largest at t = {found.times[place]:g}, with {chi[place]:.2f}"
        f"{'' if place == len(chi) - 1 else f', and {chi[-1]:.2f} at t = 1'}. "
    )
    peak += (
        "Less than half of its trajectories change class at every time."
        if np.isnan(half)
        else f"Half of its trajectories change class at t = {half:.2f}."
    )
    if not gate.beats:
        return [
            "The model is not clearly better than a flat mixture of Gaussians, so what changes "
            "together in it shows nothing about the pictures.",
            loss,
            peak,
        ]
    texts = [_verdict(found), f"The model is better than every flat mixture. {loss}", peak]
    if EXACT in found.tests:
        one = found.tests[EXACT]
        texts.append(
            f"The exact posterior of these pictures has a contrast that "
            f"{compared(one.difference)} that of the strongest flat mixture: "
            f"{interval(one.difference, 2)}."
        )
    return texts


def _verdict(found: ImageNumbers) -> str:
    one = found.tests[MODEL]
    contrast = (
        f"The contrast chi(peak) - chi(1) of the model {compared(one.difference)} that of the "
        f"strongest flat mixture, {one.strongest}: the difference is "
        f"{interval(one.difference, 2)}."
    )
    if float(one.difference.low) > 0:
        return f"{contrast} A flat mixture alone does not explain this peak."
    return f"{contrast} So the peak is no evidence of a hierarchy."


# --- the page


def page(found: ImageNumbers, about: Sequence[str]) -> str:
    """A self-contained page: what was found, pictures, the table, and what may not be concluded.

    Args:
        found: the numbers.
        about: sentences on the model and the measurement.
    """
    bars = "Bars are 95 % intervals over starts."
    sections = [
        pages.section(
            "How many places change together?",
            pages.panels(
                pages.picture(
                    f"Compare the full line, the model, with the flat mixtures. {bars}",
                    lambda ax: draw_lines(ax, found, "chi", rf"$\chi$, feature {found.feature}"),
                ),
                pages.picture(
                    "The contrast of each posterior. The peak is chosen on half of the starts and "
                    f"read off the other half. {bars}",
                    lambda ax: draw_contrasts(ax, found),
                ),
            ),
            pages.paragraphs(
                "The loss is the denoising loss. The peak is the time of the largest chi. Half of "
                "the trajectories change class at the time of the next column. The contrast is "
                "chi(peak) - chi(1), and its peak is chosen and read off on different starts."
            ),
            pages.table(*rows(found)),
        ),
        pages.section(
            "Is the peak made of changes of class?",
            pages.panels(
                pages.picture(
                    f"When does the class change? By the classifier. {bars}",
                    lambda ax: draw_lines(ax, found, "class_change", "share with another class"),
                ),
                pages.picture(
                    "What is left among trajectories that keep their class. Near t = 1 few do, so "
                    "intervals are wide and cut off.",
                    lambda ax: draw_lines(
                        ax, found, "chi_class", r"$\chi$ of those that keep the class"
                    ),
                ),
            ),
        ),
        pages.section("How it was measured", pages.paragraphs(*about)),
        pages.section("What may not be concluded", pages.items(LIMITS)),
    ]
    return pages.page("What changes together in these pictures?", answer(found), sections)


LIMITS = (
    "The peak alone is no evidence of a hierarchy: flat mixtures of Gaussians have one.",
    "No evidence of a hierarchy is no evidence against one. The model and the classifier are "
    "small.",
    "Intervals are over starts. They leave out the variance of seeds: one model was measured.",
    "A peak among trajectories that keep their class is no evidence either: a flat mixture may "
    "have more components than there are classes.",
)


def draw_lines(ax: Any, found: ImageNumbers, what: str, label: str) -> None:
    """A quantity of all posteriors against the time of the noise."""
    estimates: dict[str, Estimate] = getattr(found, what)
    for name, look in pages.looks(list(estimates), MODEL).items():
        one = estimates[name]
        ax.errorbar(found.times, one.value, _reach(one), **look)
    if what == "chi_class":
        top = max(np.nanmax(one.value) for one in estimates.values())
        ax.set_ylim(0, 1.4 * top)
    ax.set(xlabel="time t of the noise", ylabel=label)


def draw_contrasts(ax: Any, found: ImageNumbers) -> None:
    """The contrasts, one line each."""
    for place, (name, look) in enumerate(pages.looks(list(found.contrast), MODEL).items()):
        one = found.contrast[name]
        if np.isfinite(one.error):
            ax.errorbar(
                one.value,
                place,
                xerr=_reach(one)[:, None],
                **{**look, "linestyle": "", "label": None},
            )
    names = [name.replace(" Gaussians", "") for name in found.contrast]
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.axvline(0, color=INK, linestyle=":", linewidth=0.8)
    ax.set(xlabel=r"contrast $\chi(\mathrm{peak}) - \chi(1)$")


def _reach(one: Estimate) -> Float[np.ndarray, "2 ..."]:
    """How far the interval reaches below and above."""
    return np.stack([one.value - one.low, one.high - one.value])
