"""From the raw data of a measurement of text to numbers, a table and a page with pictures.

Fixed before any run: distances up to 10 tokens count, as in the paper. The primary number is the
*contrast* :math:`\\chi_B(0.7) - \\chi_B(1)` over pairs of different words, the model's minus that
of a control on the same starts and masks.
"""

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax

from rhm_theory.denoisers import page as pages
from rhm_theory.denoisers.sequences import backward, drawing, summary, words
from rhm_theory.denoisers.sequences.measurement import MODEL
from rhm_theory.denoisers.sequences.words import interval
from rhm_theory.denoisers.text import clauses
from rhm_theory.denoisers.text.clauses import Clauses
from rhm_theory.denoisers.text.measurement import Study
from rhm_theory.experiment.measure import Estimate, Measurement
from theory_common.printing import tables

R_MAX = 10
CLAUSE_LEVELS = (0.5, 0.7)


class Numbers(NamedTuple):
    """What a study says.

    Attributes:
        levels: of the noise.
        r_max: the largest distance that counts.
        all_pairs: measurements by law, one for each level.
        different_words: the same without pairs of tokens of one word.
        mask_part: the part of the susceptibility that is due to the mask, by law.
        contrast: chi(peak) - chi(end) over pairs of different words, by law.
        above: the model's contrast minus that of each control, on the control's starts.
        contrast_all: the contrast over all pairs of tokens.
        above_all: the same for ``above``.
        peak: the level of ``contrast``.
        end: the level that it is compared with.
        clauses: by level, whether changes keep to clauses (model, teacher-forced).
    """

    levels: tuple[float, ...]
    r_max: int
    all_pairs: dict[str, list[Measurement]]
    different_words: dict[str, list[Measurement]]
    mask_part: dict[str, list[Estimate]]
    contrast: dict[str, Estimate]
    above: dict[str, Estimate]
    contrast_all: dict[str, Estimate]
    above_all: dict[str, Estimate]
    peak: float
    end: float
    clauses: dict[float, Clauses]


def numbers(study: Study, *, r_max: int = R_MAX) -> Numbers:
    """All numbers of a study.

    Args:
        study: the raw data.
        r_max: the largest distance that counts.

    Raises: ``ValueError`` that names ``r_max``.
    """
    changes = study.changes
    r_max = min(r_max, changes.tokens.shape[1] - 1)
    peak, end = summary.peak_and_end(changes.levels)
    different = clauses.different_words(study.word)
    contrast = summary.contrasts(changes, r_max=r_max, allowed=different)
    contrast_all = summary.contrasts(changes, r_max=r_max)
    return Numbers(
        levels=changes.levels,
        r_max=r_max,
        all_pairs=summary.measurements(changes, r_max=r_max),
        different_words=summary.measurements(changes, r_max=r_max, allowed=different),
        mask_part={
            name: [backward.mask_part(one, changes.groups) for one in by_level]
            for name, by_level in changes.pairs.items()
        },
        contrast=contrast.own,
        above=contrast.above,
        contrast_all=contrast_all.own,
        above_all=contrast_all.above,
        peak=peak,
        end=end,
        clauses=_clauses(study, r_max),
    )


def _clauses(study: Study, r_max: int) -> dict[float, Clauses]:
    found = {}
    changes = study.changes
    for level, pairs in zip(changes.levels, changes.pairs[MODEL], strict=True):
        if level in CLAUSE_LEVELS and r_max >= 2:
            try:
                found[level] = clauses.clauses(
                    jax.random.key(0),
                    pairs,
                    changes.groups,
                    study.boundary,
                    study.word,
                    r_max=r_max,
                )
            except ValueError:  # no boundaries in these windows
                continue
    return found


# --- for people and programs


def to_dict(found: Numbers) -> dict[str, Any]:
    """The numbers for JSON."""
    own = words.contrasts_of(summary.Contrasts(found.contrast, found.above))
    own_all = words.contrasts_of(
        summary.Contrasts(found.contrast_all, found.above_all), ", all pairs"
    )
    return {
        "levels": list(found.levels),
        "r_max": found.r_max,
        # Contrasts are four numbers: value, standard error, and the 95 % interval.
        "value and error": {
            "all pairs": words.by_law(found.all_pairs),
            "different words": words.by_law(found.different_words),
            "mask part": {
                name: [words.pair(one) for one in by_level]
                for name, by_level in found.mask_part.items()
            },
            **own,
            **own_all,
        },
        "contrast levels": [found.peak, found.end],
        "clauses": {
            f"{level:g}": {
                "difference": one.difference,
                "shuffled": one.shuffled,
                "excess": words.pair(one.excess),
                "p value": one.p_value,
            }
            for level, one in found.clauses.items()
        },
    }


def rows(found: Numbers) -> tuple[list[str], list[list[str]]]:
    """A table of the susceptibilities: the head, and a row for each level."""
    columns: dict[str, list[Measurement]] = {}
    for name, by_level in found.all_pairs.items():
        columns[name] = by_level
        if name == MODEL:
            columns["model, different words"] = found.different_words[name]
    return words.susceptibilities(found.levels, columns)


def table(found: Numbers) -> str:
    """The susceptibilities and the contrasts as text for a terminal."""
    head, body = rows(found)
    title = f"backward susceptibility, distances up to {found.r_max}; errors over chapters"
    text = io.StringIO()
    tables.print_table([tuple(row) for row in body], head, title, file=text)
    return "\n".join([text.getvalue().rstrip(), *sentences(found)])


def sentences(found: Numbers) -> list[str]:
    """What was found, in sentences with intervals."""
    contrast = f"chi({found.peak:g}) - chi({found.end:g})"
    lines = []
    for which, own, above in (
        ("different words", found.contrast, found.above),
        ("all pairs", found.contrast_all, found.above_all),
    ):
        lines.append(f"Contrast of the model, {contrast}, {which}: {interval(own[MODEL])}.")
        lines += [f"Above that of {name}, {which}: {interval(one)}." for name, one in above.items()]
    for level, one in found.clauses.items():
        lines.append(
            f"Clauses at {level:g}: covariance within minus across, over the variance of a token: "
            f"{one.difference:.4f}, with boundaries of other windows {one.shuffled:.4f}; "
            f"excess {interval(one.excess, 4)}, p = {one.p_value:.3f}."
        )
    return lines


def losses(notes: dict[str, Any]) -> list[str]:
    """A sentence that compares the model's loss with that of bigrams, if the notes have both."""
    held = notes.get("losses")
    if held is None:
        return []
    by_law = held["loss and error"]
    pairs = zip(held["level"], by_law["model"], by_law["bigrams"], strict=True)
    texts = [f"{model[0]:.2f} and {bigrams[0]:.2f} at {t:g}" for t, model, bigrams in pairs]
    return [
        "Loss on held-out chapters, in nats for each hidden token, of the model and of the chain "
        f"of bigrams: {', '.join(texts)}. The susceptibility of a model that is no better than "
        "the chain says nothing about the text."
    ]


# --- the page


def answer(found: Numbers) -> list[str]:
    """What was found, in sentences for the head of a page."""
    texts = [
        "How many tokens change together when a share of a text is written anew? The backward "
        "susceptibility says so. It is 1 if tokens change alone.",
        f"Over all pairs of tokens that of the model is {_peak(found, found.all_pairs)}. Over "
        f"pairs of different words it is {_peak(found, found.different_words)}.",
    ]
    name = max(found.above, key=lambda name: float(found.contrast[name].value), default=None)
    if name is not None:
        texts.append(
            f"The primary number is chi({found.peak:g}) - chi({found.end:g}) over pairs of "
            f"different words. That of the model {words.compared(found.above[name])} that of the "
            f"control with the largest one, {name}: the difference is "
            f"{interval(found.above[name])}."
        )
    return texts


def _peak(found: Numbers, by_law: dict[str, list[Measurement]]) -> str:
    return words.peak(found.levels, by_law[MODEL])


def page(study: Study, found: Numbers, about: Sequence[str]) -> str:
    """A self-contained page: what was found, pictures, the table, and what may not be concluded.

    Args:
        study: the raw data.
        found: its numbers.
        about: sentences on the model.
    """
    changes = study.changes
    chapters = len(set(changes.groups.tolist()))
    lines = "Full line: the model. Dashed: controls, and samples of the model. Bars are one error."
    return pages.page(
        "Changes that move together in text",
        answer(found),
        [
            pages.section(
                "Backward susceptibility against noise",
                pages.panels(
                    pages.picture(
                        f"All pairs of tokens. {lines}",
                        lambda ax: drawing.susceptibility(ax, found.levels, found.all_pairs),
                    ),
                    pages.picture(
                        f"Pairs of different words. {lines}",
                        lambda ax: drawing.susceptibility(ax, found.levels, found.different_words),
                    ),
                ),
                pages.table(*rows(found)),
            ),
            pages.section(
                "Correlation against distance",
                pages.picture(
                    "How fast C(r) falls: the model, pairs of different words.",
                    lambda ax: drawing.correlation(ax, found.levels, found.different_words[MODEL]),
                ),
            ),
            pages.section("All numbers", pages.items(sentences(found))),
            pages.section(
                "How it was measured",
                pages.paragraphs(
                    *about,
                    f"{len(changes.tokens)} windows of {changes.tokens.shape[1]} tokens from "
                    f"{chapters} held-out chapters. Errors are over chapters. Pairs of tokens at "
                    f"distances up to {found.r_max} count.",
                ),
            ),
            pages.section("What may not be concluded", pages.items(LIMITS)),
        ],
    )


LIMITS = (
    "A peak inside the range is no evidence of a hierarchy: flat mixtures can have one too.",
    "No length is claimed to diverge. The windows are short, and C(r) falls within a few tokens.",
    "The teacher-forced and the sampled value differ for a trained network, because its "
    "conditionals belong to no joint law.",
)
