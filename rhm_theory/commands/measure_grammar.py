"""``measure`` for models of a grammar."""

import argparse

from rhm_theory.commands.measure_outcome import Outcome, levels_of, shown

CONTROLS = ("Markov chain", "flat mixture", "mixture of chains")
DEFAULTS = {
    "starts": 96,
    "trajectories": 4,
    "steps": None,
    "masks": 4,
    "columns": 4,
    "r_max": None,
    "controls": CONTROLS,
}


def run(options: argparse.Namespace) -> Outcome:
    """Measure a model of a grammar beside the exact posterior."""
    from rhm_theory.denoisers import grammar_page, grammar_report, grammar_study
    from rhm_theory.denoisers.sequences.measurement import Effort

    loaded = grammar_study.load(options.model)
    grammar = loaded.grammar
    if options.r_max is not None and not 0 <= options.r_max < grammar.length:
        raise ValueError(f"r_max must be below the length = {grammar.length}, got {options.r_max}")
    study = grammar_study.study(
        options.seed,
        loaded.model.log_probabilities,
        grammar,
        levels_of(options.levels),
        Effort(*(getattr(options, name) for name in Effort._fields)),
        controls=options.controls,
        folder=options.folder,
        shown=shown,
    )
    found = grammar_report.numbers(study, grammar, r_max=options.r_max)
    about = [
        f"Model {options.model}. Its grammar has {grammar.vocabulary} symbols, "
        f"{grammar.rules_per_symbol} rules for each symbol, branching {grammar.branching} and "
        f"depth {grammar.depth}."
    ]
    return Outcome(
        arrays=dict(grammar_study.arrays(study)),
        page=lambda: grammar_page.page(study, found, about),
        answer=grammar_report.to_dict(found),
        table=lambda: grammar_report.table(found),
    )
