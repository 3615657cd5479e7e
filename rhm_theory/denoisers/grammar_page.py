"""The page of a measurement of a grammar: what was found, pictures, limits of the conclusions."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rhm_theory.denoisers import page as pages
from rhm_theory.denoisers.grammar_report import (
    GrammarNumbers,
    answer,
    chi_tables,
    forced,
    length_rows,
    sentences,
    used_rows,
)
from rhm_theory.denoisers.grammar_study import EXACT, GrammarStudy
from rhm_theory.denoisers.page import COLOURS, INK
from rhm_theory.denoisers.sequences import drawing
from rhm_theory.denoisers.sequences.measurement import MODEL


def page(study: GrammarStudy, found: GrammarNumbers, about: Sequence[str]) -> str:
    """A self-contained page: what was found, pictures, tables, and what may not be concluded.

    Args:
        study: the raw data.
        found: its numbers.
        about: sentences on the model.
    """
    changes = study.changes
    sections = [
        pages.section(
            "How many leaves change together?",
            pages.panels(
                pages.picture(
                    "Compare the full line, the model, with the exact posterior. The other dashed "
                    "lines are controls without a hierarchy. Bars are one error.",
                    lambda ax: drawing.susceptibility(ax, found.levels, forced(found.laws)),
                ),
                pages.picture(
                    "Does the model agree with Bayes? Its susceptibility minus that of the exact "
                    "posterior, with 95 % intervals, teacher-forced and from samples.",
                    lambda ax: draw_above(ax, found),
                ),
            ),
            *(pages.table(*rows) for _, rows in chi_tables(found)),
        ),
        pages.section(
            "How far do changes reach?",
            pages.panels(
                pages.picture(
                    "How fast C(r) of the model falls.",
                    lambda ax: drawing.correlation(ax, found.levels, found.laws[MODEL], "leaves"),
                ),
                pages.picture(
                    f"C(r) at t = {found.peak:g}: the model beside the exact posterior and the "
                    "controls.",
                    lambda ax: draw_correlations(ax, found),
                ),
            ),
            pages.paragraphs(
                "Lengths in leaves, with standard errors: where C(r) falls below C(0)/2, and from "
                "the second moment of C(r). “None” says that there is no such number."
            ),
            pages.table(*length_rows(found)),
        ),
        pages.section(
            "What does the model know of the tree?",
            pages.panels(
                pages.picture(
                    "How much of what can be known is used, by level of the tree. 1 is the exact "
                    "posterior. Below 0 a law is worse than one that ignores what is shown.",
                    lambda ax: draw_used(ax, found),
                ),
                pages.picture(
                    f"Which leaves change together at t = {found.peak:g}? The mean covariance of "
                    "two leaves, over the variance of one, by the level of their lowest common "
                    "ancestor.",
                    lambda ax: draw_by_ancestor(ax, found),
                ),
                *_node_pictures(found),
            ),
            pages.table(*used_rows(found)),
        ),
        pages.section("All numbers", pages.items(sentences(found))),
        pages.section(
            "How it was measured",
            pages.paragraphs(
                *about,
                f"{len(changes.tokens)} fresh sequences of {changes.tokens.shape[1]} leaves. "
                "Errors are over these sequences. All laws have the same sequences and masks. "
                f"Pairs of leaves at distances up to {found.r_max} count.",
                "The Markov chain has the law of each pair of neighbours that the grammar has. The "
                "flat mixture has a component for each symbol of the root, with the law of each "
                "leaf given the root. The mixture of chains has a chain for each symbol of the "
                "root. Their posteriors are exact.",
            ),
        ),
        pages.section("What may not be concluded", pages.items(LIMITS)),
    ]
    return pages.page("Does the model know the grammar?", answer(found), sections)


LIMITS = (
    "Nothing about other grammars, or other seeds of the weights: errors are over sequences of one "
    "grammar.",
    "An equal susceptibility is a weaker test than the used share: a model may change as many "
    "leaves together as Bayes, and still know less.",
    "A peak inside the range is no evidence of a hierarchy by itself: compare with the controls.",
    "The teacher-forced and the sampled value may differ for a trained network, because its "
    "conditionals belong to no joint law. Samples of few steps are wrong even for Bayes.",
)


def draw_above(ax: Any, found: GrammarNumbers) -> None:
    """chi minus that of Bayes, with intervals."""
    pairs = zip((INK, COLOURS[0]), "os", found.above_bayes.items(), strict=False)
    for place, (colour, mark, (name, by_level)) in enumerate(pairs):
        value, low, high = (
            np.array([float(getattr(one, part)) for one in by_level])
            for part in ("value", "low", "high")
        )
        # A little apart, so that bars do not hide each other.
        ax.errorbar(
            np.array(found.levels) + 0.008 * place,
            value,
            [value - low, high - value],
            label=name,
            color=colour,
            marker=mark,
            markersize=4,
            linestyle="",
            capsize=2,
        )
    ax.axhline(0, color=INK, linestyle=":", linewidth=0.8)
    ax.set(xlabel="share of hidden tokens t", ylabel=r"$\chi_B$ minus that of Bayes")


def draw_correlations(ax: Any, found: GrammarNumbers) -> None:
    """C(r) over C(0) of all laws at the peak."""
    place = found.levels.index(found.peak)
    curves = {
        name: drawing.over_first(by_level[place].correlation)
        for name, by_level in forced(found.laws).items()
    }
    for name, one in curves.items():
        distance = np.arange(1, len(one.value))
        ax.errorbar(distance, one.value[1:], one.error[1:], **_look(found, name))
    ax.axhline(0, color=INK, linestyle=":", linewidth=0.8)
    ax.set(xlabel="distance r (leaves)", ylabel="C(r) / C(0)")


def draw_used(ax: Any, found: GrammarNumbers) -> None:
    """The used share by level of the tree."""
    level = np.arange(1, len(found.information.value) + 1)
    for name, one in found.used.items():
        ax.errorbar(level, one.value, one.error, **_look(found, name))
    for value in (0, 1):
        ax.axhline(value, color=INK, linestyle=":", linewidth=0.8)
    ax.set_xticks(level)
    ax.set(xlabel="level of the tree", ylabel="used share of the information")


def draw_by_ancestor(ax: Any, found: GrammarNumbers) -> None:
    """Covariances at the peak by the level of the lowest common ancestor."""
    place = found.levels.index(found.peak)
    level = np.arange(1, len(found.information.value) + 1)
    curves = {name: by_level[place] for name, by_level in forced(found.by_ancestor).items()}
    for name, one in curves.items():
        ax.errorbar(level, one.value, one.error, **_look(found, name))
    ax.axhline(0, color=INK, linestyle=":", linewidth=0.8)
    ax.set_xticks(level)
    ax.set(xlabel="level of the lowest common ancestor", ylabel="covariance over variance")


def draw_nodes(ax: Any, found: GrammarNumbers) -> None:
    """The share of nodes that change, by level of the tree: the model's samples, and Bayes."""
    depth = len(found.information.value)
    for level, colour in zip(range(depth + 1), COLOURS, strict=False):
        model, exact = (
            np.array([one.value[level] for one in found.node_changes[name]])
            for name in (MODEL, EXACT)
        )
        error = np.array([one.error[level] for one in found.node_changes[MODEL]])
        name = "leaves" if level == 0 else f"level {level}"
        ax.errorbar(
            found.levels,
            model,
            error,
            label=name,
            color=colour,
            marker="o",
            markersize=4,
            linestyle="",
            capsize=2,
        )
        ax.plot(found.levels, exact, color=colour, linestyle="--")
    ax.set(xlabel="share of hidden tokens t", ylabel="share of nodes that change")


def _node_pictures(found: GrammarNumbers) -> list[str]:
    if not found.node_changes:
        return []
    caption = (
        "Which nodes change? Points are samples of the model, with one error. Dashed lines are the "
        "exact posterior. A node without a symbol counts as changed."
    )
    return [pages.picture(caption, lambda ax: draw_nodes(ax, found))]


def _look(found: GrammarNumbers, name: str) -> dict[str, Any]:
    """How a law looks in all pictures."""
    return pages.looks(list(forced(found.laws)), MODEL)[name]
