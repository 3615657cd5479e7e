"""From the raw data of a measurement of text to numbers, a table and a page with pictures.

Fixed before any run: distances up to 10 tokens count, as in the paper. The primary number is the
*contrast* :math:`\\chi_B(0.7) - \\chi_B(1)` over pairs of different words, the model's minus that
of a control on the same starts and masks.
"""

import html
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from rhm_theory.denoisers.text import backward
from rhm_theory.denoisers.text.backward import Clauses, Pairs
from rhm_theory.denoisers.text.measurement import MODEL, SAMPLED, Study
from rhm_theory.experiment import measure
from rhm_theory.experiment.measure import Estimate, Measurement
from theory_common.printing import tables

R_MAX = 10
PEAK = 0.7
CLAUSE_LEVELS = (0.5, 0.7)
COLOURS = ("#0072B2", "#56B4E9", "#E69F00", "#D55E00", "#009E73", "#CC79A7")
STYLE = (
    "body{font:16px/1.5 sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;font-size:.9rem}td,th{padding:.2rem .6rem;text-align:right;"
    "border-bottom:1px solid #ddd}svg{max-width:100%;height:auto}code{background:#f3f3f3}"
)


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
    r_max = min(r_max, study.starts.tokens.shape[1] - 1)
    peak = min(study.levels, key=lambda level: abs(level - PEAK))
    end = max(study.levels)
    words = backward.different_words(study.word)
    every: dict[str, list[Measurement]] = {}
    apart: dict[str, list[Measurement]] = {}
    parts: dict[str, list[Estimate]] = {}
    for name, by_level in study.pairs.items():
        every[name] = [backward.measured(one, study.starts, r_max=r_max) for one in by_level]
        apart[name] = [
            backward.measured(one, study.starts, r_max=r_max, allowed=words) for one in by_level
        ]
        parts[name] = [backward.mask_part(one, study.starts) for one in by_level]
    own, above = _contrasts(study, peak, end, r_max, words)
    own_all, above_all = _contrasts(study, peak, end, r_max, None)
    return Numbers(
        levels=study.levels,
        r_max=r_max,
        all_pairs=every,
        different_words=apart,
        mask_part=parts,
        contrast=own,
        above=above,
        contrast_all=own_all,
        above_all=above_all,
        peak=peak,
        end=end,
        clauses=_clauses(study, r_max),
    )


def _contrasts(
    study: Study, peak: float, end: float, r_max: int, allowed: np.ndarray | None
) -> tuple[dict[str, Estimate], dict[str, Estimate]]:
    """The contrast of each law, and the model's minus that of each control."""
    rows = {
        name: np.stack(
            [
                _fraction(study.pairs[name][study.levels.index(level)], r_max, allowed)
                for level in (peak, end)
            ],
            1,
        )
        for name in study.pairs
    }
    chapter = study.starts.chapter
    own = {
        name: measure.jackknife(_contrast, row, chapter[: len(row)]) for name, row in rows.items()
    }
    above = {
        name: measure.jackknife(
            lambda both: _contrast(both[0]) - _contrast(both[1]),
            np.stack([rows[MODEL][: len(row)], row], 1),
            chapter[: len(row)],
        )
        for name, row in rows.items()
        if name not in (MODEL, SAMPLED)
    }
    return own, above


def _fraction(pairs: Pairs, r_max: int, allowed: np.ndarray | None) -> np.ndarray:
    """Numerator and denominator of chi, (starts, 2)."""
    kept = None if allowed is None else allowed[: len(pairs.hidden)]
    sums = np.asarray(backward.pair_sums(pairs, kept).pair_sums)
    return np.stack([sums[:, 0] + 2 * sums[:, 1 : r_max + 1].sum(1), sums[:, 0]], 1)


def _contrast(row: np.ndarray) -> np.ndarray:
    chi = row[:, 0] / np.where(row[:, 1] > 0, row[:, 1], np.nan)
    return chi[0] - chi[1]


def _clauses(study: Study, r_max: int) -> dict[float, Clauses]:
    found = {}
    for level, pairs in zip(study.levels, study.pairs[MODEL], strict=True):
        if level in CLAUSE_LEVELS and r_max >= 2:
            try:
                found[level] = backward.clauses(
                    jax.random.key(0), pairs, study.starts, study.boundary, study.word, r_max=r_max
                )
            except ValueError:  # no boundaries in these windows
                continue
    return found


# --- for people and programs


def to_dict(found: Numbers) -> dict[str, Any]:
    """The numbers for JSON."""

    def plain(estimate: Estimate) -> list:
        return [np.asarray(estimate.value).tolist(), np.asarray(estimate.error).tolist()]

    def whole(estimate: Estimate) -> list:
        return [float(part) for part in estimate]

    def by_law(measurements: dict[str, list[Measurement]]) -> dict:
        return {
            name: {
                "susceptibility": [plain(one.susceptibility) for one in parts],
                "half_length": [plain(one.half_length) for one in parts],
                "correlation": [plain(one.correlation) for one in parts],
            }
            for name, parts in measurements.items()
        }

    return {
        "levels": list(found.levels),
        "r_max": found.r_max,
        # Contrasts are four numbers: value, standard error, and the 95 % interval.
        "value and error": {
            "all pairs": by_law(found.all_pairs),
            "different words": by_law(found.different_words),
            "mask part": {n: [plain(one) for one in parts] for n, parts in found.mask_part.items()},
            "contrast": {name: whole(one) for name, one in found.contrast.items()},
            "model's contrast above": {name: whole(one) for name, one in found.above.items()},
            "contrast, all pairs": {name: whole(one) for name, one in found.contrast_all.items()},
            "model's contrast above, all pairs": {
                name: whole(one) for name, one in found.above_all.items()
            },
        },
        "contrast levels": [found.peak, found.end],
        "clauses": {
            f"{level:g}": {
                "difference": one.difference,
                "shuffled": one.shuffled,
                "excess": plain(one.excess),
                "p value": one.p_value,
            }
            for level, one in found.clauses.items()
        },
    }


def rows(found: Numbers) -> tuple[list[str], list[list[str]]]:
    """A table of the susceptibilities: the head, and a row for each level."""
    head = ["share hidden"]
    columns = []
    for name, parts in found.all_pairs.items():
        head += [name]
        columns.append([shown(one.susceptibility) for one in parts])
        if name == MODEL:
            head += ["model, different words"]
            columns.append([shown(one.susceptibility) for one in found.different_words[name]])
    return head, [
        [f"{level:g}", *(column[index] for column in columns)]
        for index, level in enumerate(found.levels)
    ]


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


def shown(one: Estimate) -> str:
    """A value and its standard error."""
    return f"{float(one.value):.3f} ± {float(one.error):.3f}"


def interval(one: Estimate, digits: int = 3) -> str:
    """A value and its 95 % interval."""
    value, low, high = (f"{float(part):+.{digits}f}" for part in (one.value, one.low, one.high))
    return f"{value} [{low}, {high}]"


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


def page(study: Study, found: Numbers, about: Sequence[str]) -> str:
    """A self-contained page: pictures, the table, and what may not be concluded.

    Args:
        study: the raw data.
        found: its numbers.
        about: sentences on the model, for the head of the page.
    """
    head, body = rows(found)
    cells = "".join(f"<th>{html.escape(one)}</th>" for one in head)
    lines = "".join(
        "<tr>" + "".join(f"<td>{html.escape(one)}</td>" for one in row) + "</tr>" for row in body
    )
    chapters = len(set(study.starts.chapter.tolist()))
    paragraphs = [
        *about,
        f"{len(study.starts.tokens)} windows of {study.starts.tokens.shape[1]} tokens from "
        f"{chapters} held-out chapters. Errors are over chapters.",
    ]
    limits = [
        "A peak inside the range is no evidence of a hierarchy: flat mixtures can have one too.",
        "No length is claimed to diverge. The windows are short, and C(r) falls within a few "
        "tokens.",
        "The teacher-forced and the sampled value differ for a trained network, because its "
        "conditionals belong to no joint law.",
    ]
    return "\n".join(
        [
            "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
            f"<title>Changes that move together in text</title><style>{STYLE}</style></head><body>",
            "<h1>Changes that move together in text</h1>",
            *(f"<p>{html.escape(one)}</p>" for one in paragraphs),
            "<h2>Backward susceptibility against noise</h2>",
            _svg(lambda figure: draw_susceptibility(figure, found)),
            f"<table><tr>{cells}</tr>{lines}</table>",
            "<h2>Correlation against distance</h2>",
            _svg(lambda figure: draw_correlation(figure, found)),
            "<h2>What was found</h2><ul>",
            *(f"<li>{html.escape(one)}</li>" for one in sentences(found)),
            "</ul><h2>What may not be concluded</h2><ul>",
            *(f"<li>{html.escape(one)}</li>" for one in limits),
            "</ul></body></html>",
        ]
    )


def draw_susceptibility(figure: Any, found: Numbers) -> None:
    """The susceptibility of each law: all pairs, and pairs of different words."""
    axes = figure.subplots(1, 2, sharex=True)
    titles = ("all pairs of tokens", "pairs of different words")
    for ax, by_law, title in zip(
        axes, (found.all_pairs, found.different_words), titles, strict=True
    ):
        for (name, parts), colour in zip(by_law.items(), COLOURS, strict=False):
            values = [float(one.susceptibility.value) for one in parts]
            errors = [float(one.susceptibility.error) for one in parts]
            ax.errorbar(
                found.levels,
                values,
                errors,
                label=name,
                color=colour,
                marker="o" if name == MODEL else "s",
                markersize=4,
                linestyle="-" if name == MODEL else "--",
                capsize=2,
            )
        ax.axhline(1, color="#999999", linewidth=0.8)
        ax.set(title=title, xlabel="share of hidden tokens t", ylabel=r"susceptibility $\chi_B$")
    axes[0].legend(fontsize=8)


def draw_correlation(figure: Any, found: Numbers) -> None:
    """C(r) of the model over C(0), at up to five levels."""
    ax = figure.subplots()
    chosen = np.unique(np.linspace(0, len(found.levels) - 1, 5).round().astype(int))
    for index, colour in zip(chosen, COLOURS, strict=False):
        one = found.different_words[MODEL][index].correlation
        r = np.arange(1, len(one.value))
        scale = one.value[0]
        label = f"t = {found.levels[index]:g}"
        ax.errorbar(
            r, one.value[1:] / scale, one.error[1:] / scale, label=label, color=colour, capsize=2
        )
    ax.axhline(0, color="#999999", linewidth=0.8)
    ax.set(
        xlabel="distance r (tokens)",
        ylabel="C(r) / C(0)",
        title="model, pairs of different words",
    )
    ax.legend(fontsize=8)


def _svg(draw: Any) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    draw(figure)
    content = io.StringIO()
    figure.savefig(content, format="svg")
    text = content.getvalue()
    return text[text.index("<svg") :]
