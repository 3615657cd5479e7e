"""From the raw data of a measurement of a grammar to numbers, tables and sentences.

The page is that of :mod:`rhm_theory.denoisers.grammar_page`.
"""

import io
import math
from typing import Any, NamedTuple

import numpy as np

from rhm_theory.denoisers.grammar_study import EXACT, GrammarStudy, ancestor_levels
from rhm_theory.denoisers.sequences import backward, summary, words
from rhm_theory.denoisers.sequences.measurement import BY_SAMPLES, MODEL
from rhm_theory.denoisers.sequences.summary import Contrasts
from rhm_theory.denoisers.sequences.words import interval
from rhm_theory.experiment import measure
from rhm_theory.experiment.measure import Estimate, Measurement
from rhm_theory.models.grammar import Grammar
from theory_common import checks
from theory_common.printing import tables


class GrammarNumbers(NamedTuple):
    """What a study says.

    Attributes:
        levels: of the noise.
        r_max: the largest distance that counts.
        laws: measurements by law, one for each level.
        above_bayes: chi minus that of Bayes, one for each level, of the model and of its samples.
        contrast: chi(peak) - chi(end) of each law, and the model's minus that of each other law.
        peak, end: the two levels of the contrast.
        by_ancestor: of each law and level, the mean covariance of two leaves over the mean variance
            of one, by the level 1, 2, .. of their lowest common ancestor.
        information: nats for each hidden leaf, by level of the tree.
        used: of the model and the controls, the share of the information that is used.
        node_changes: of the model's samples and of Bayes, the share of nodes that change, by level
            of the noise and of the tree, leaves first.
        without_symbol: of the model's samples, the share of nodes that no rule gives.
    """

    levels: tuple[float, ...]
    r_max: int
    laws: dict[str, list[Measurement]]
    above_bayes: dict[str, list[Estimate]]
    contrast: Contrasts
    peak: float
    end: float
    by_ancestor: dict[str, list[Estimate]]
    information: Estimate
    used: dict[str, Estimate]
    node_changes: dict[str, list[Estimate]]
    without_symbol: list[Estimate]


def numbers(study: GrammarStudy, grammar: Grammar, *, r_max: int | None = None) -> GrammarNumbers:
    """All numbers of a study.

    Args:
        study: the raw data.
        grammar: that was measured.
        r_max: the largest distance that counts; all by default.

    Raises: ``ValueError`` that names ``r_max``.
    """
    changes = study.changes
    r_max = grammar.length - 1 if r_max is None else checks.whole("r_max", r_max)
    peak, end = summary.peak_and_end(changes.levels)
    laws = summary.measurements(changes, r_max=r_max)
    above = {MODEL: summary.differences(changes, MODEL, EXACT, r_max=r_max)}
    if MODEL + BY_SAMPLES in laws:
        name = MODEL + BY_SAMPLES
        above[name] = summary.differences(changes, name, EXACT + BY_SAMPLES, r_max=r_max)
    ancestor = ancestor_levels(grammar)
    return GrammarNumbers(
        levels=changes.levels,
        r_max=r_max,
        laws=laws,
        above_bayes=above,
        contrast=summary.contrasts(changes, r_max=r_max),
        peak=peak,
        end=end,
        by_ancestor={
            name: [_by_ancestor(one, ancestor) for one in by_level]
            for name, by_level in changes.pairs.items()
        },
        information=measure.ratio(study.gaps[MODEL].information.T, study.gaps[MODEL].hidden.T),
        used={name: _used(gaps.gap, gaps.information) for name, gaps in study.gaps.items()},
        node_changes={
            name: [_mean(one.changed) for one in by_level] for name, by_level in study.nodes.items()
        },
        without_symbol=[_mean(one.without_symbol) for one in study.nodes.get(MODEL, [])],
    )


def _by_ancestor(pairs: backward.Pairs, ancestor: np.ndarray) -> Estimate:
    """Mean covariance by the level of the ancestor, over the mean variance of a leaf."""
    sums = backward.sums_by(pairs, ancestor)
    count = np.bincount(ancestor.ravel())
    variance = pairs.variance.mean(1) / len(ancestor)
    return measure.ratio(sums[:, 1:] / count[1:], variance)


def _used(gap: np.ndarray, information: np.ndarray) -> Estimate:
    """1 - gap / information, by level of the tree."""
    lost = measure.ratio(gap.T, information.T)
    return Estimate(value=1 - lost.value, error=lost.error, low=1 - lost.high, high=1 - lost.low)


def _mean(rows: np.ndarray) -> Estimate:
    return measure.ratio(rows, np.ones(len(rows)))


# --- for people and programs


def to_dict(found: GrammarNumbers) -> dict[str, Any]:
    """The numbers for JSON."""
    return {
        "levels": list(found.levels),
        "r_max": found.r_max,
        # Contrasts and differences are four numbers: value, standard error, and the 95 % interval.
        "value and error": {
            **words.by_law(found.laws),
        },
        "minus exact posterior": {
            name: [words.whole(one) for one in by_level]
            for name, by_level in found.above_bayes.items()
        },
        **words.contrasts_of(found.contrast),
        "contrast levels": [found.peak, found.end],
        "by level of the tree": {
            "information": words.pair(found.information),
            "used": {name: words.pair(one) for name, one in found.used.items()},
            "covariance over variance": {
                name: [words.pair(one) for one in by_level]
                for name, by_level in found.by_ancestor.items()
            },
            "nodes that change, leaves first": {
                name: [words.pair(one) for one in by_level]
                for name, by_level in found.node_changes.items()
            },
            "nodes without a symbol, leaves first": [
                words.pair(one) for one in found.without_symbol
            ],
        },
    }


def chi_tables(found: GrammarNumbers) -> list[tuple[str, tuple[list[str], list[list[str]]]]]:
    """Tables of chi with their titles: teacher-forced, and by samples if there are any."""
    title = f"backward susceptibility, distances up to {found.r_max}; errors over starts"
    tables_of = [(title, words.susceptibilities(found.levels, forced(found.laws)))]
    sampled = {name: one for name, one in found.laws.items() if name.endswith(BY_SAMPLES)}
    if sampled:
        tables_of.append((f"{title}; from samples", words.susceptibilities(found.levels, sampled)))
    return tables_of


def forced(by_law: dict[str, Any]) -> dict[str, Any]:
    """Without the laws that were measured by samples."""
    return {name: one for name, one in by_law.items() if not name.endswith(BY_SAMPLES)}


def used_rows(found: GrammarNumbers) -> tuple[list[str], list[list[str]]]:
    """A table of the used share: the head, and a row for each level of the tree."""
    head = ["level of the tree", "information", *found.used]
    return head, [
        [
            str(place + 1),
            f"{found.information.value[place]:.3f}",
            *(_percent(one, place) for one in found.used.values()),
        ]
        for place in range(len(found.information.value))
    ]


def length_rows(found: GrammarNumbers) -> tuple[list[str], list[list[str]]]:
    """A table of lengths: where C(r) falls below half, and the second moment."""
    names = [MODEL, EXACT]
    kinds = (("half", "half_length"), ("second moment", "second_moment_length"))
    head = ["share hidden", *(f"{name}, {kind}" for kind, _ in kinds for name in names)]
    return head, [
        [
            f"{level:g}",
            *(
                _length(getattr(found.laws[name][place], field))
                for _, field in kinds
                for name in names
            ),
        ]
        for place, level in enumerate(found.levels)
    ]


def table(found: GrammarNumbers) -> str:
    """The numbers as text for a terminal."""
    text = io.StringIO()
    for (head, rows), title in (
        *((rows, title) for title, rows in chi_tables(found)),
        (used_rows(found), "share of the information that is used, with standard errors"),
        (length_rows(found), "lengths of C(r), in leaves"),
    ):
        tables.print_table([tuple(row) for row in rows], head, title, file=text)
    return "\n".join([text.getvalue().rstrip(), *answer(found), *sentences(found)])


def answer(found: GrammarNumbers) -> list[str]:
    """What was found, in a few sentences."""
    used = found.used[MODEL].value
    # Rounded down: 99.96 % is not all that can be known.
    shares = ", ".join(f"{math.floor(1000 * share + 1e-6) / 10:.1f} %" for share in used)
    many = "levels" if len(used) > 1 else "level"
    numbered = ", ".join(str(place + 1) for place in range(len(used)))
    place = found.levels.index(found.peak)
    above = found.above_bayes[MODEL]
    agree = sum(float(one.low) <= 0 <= float(one.high) for one in above)
    texts = [
        f"Of what can be known about a hidden leaf, the model uses {shares} at {many} {numbered} "
        "of the tree. The exact posterior uses 100 %.",
        "The backward susceptibility says how many leaves change together. It is 1 if leaves "
        f"change alone. That of the model is {words.peak(found.levels, found.laws[MODEL])}. That "
        f"of the exact posterior is {words.peak(found.levels, found.laws[EXACT])}.",
        f"At t = {found.peak:g} that of the model {words.compared(above[place])} the exact one: "
        f"the difference is {interval(above[place])}. The interval contains 0 at {agree} "
        f"of {len(above)} levels of the noise.",
    ]
    controls = [name for name in found.used if name != MODEL]
    if controls:
        name = max(controls, key=lambda name: float(found.contrast.own[name].value))
        one = found.contrast.above[name]
        texts.append(
            f"The contrast chi({found.peak:g}) - chi({found.end:g}) of the model "
            f"{words.compared(one)} that of the control with the largest one, {name}: the "
            f"difference is {interval(one)}."
        )
    return texts


def sentences(found: GrammarNumbers) -> list[str]:
    """Further numbers with intervals."""
    contrast = f"chi({found.peak:g}) - chi({found.end:g})"
    lines = [
        f"Contrast {contrast} of {name}: {interval(one)}."
        for name, one in found.contrast.own.items()
    ]
    lines += [
        f"The model's contrast minus that of {name}: {interval(one)}."
        for name, one in found.contrast.above.items()
    ]
    for name, by_level in found.above_bayes.items():
        lines += [
            f"chi of {name} minus that of the exact posterior at t = {level:g}: {interval(one)}."
            for level, one in zip(found.levels, by_level, strict=True)
        ]
    return lines


def _percent(one: Estimate, place: int) -> str:
    return f"{100 * one.value[place]:.1f} ± {100 * one.error[place]:.1f} %"


def _length(one: Estimate) -> str:
    return "none" if np.isnan(one.value) else words.with_error(one)
