"""``measure`` for models of text."""

import argparse

from rhm_theory.commands.measure_outcome import Outcome, levels_of, shown

CONTROLS = ("mixture of unigrams", "bigrams", "mixture of bigrams", "trigrams")
DEFAULTS = {
    "starts": 96,
    "trajectories": 4,
    "steps": 32,
    "masks": 4,
    "columns": 4,
    "r_max": 10,
    "controls": CONTROLS[:3],
}


def run(options: argparse.Namespace) -> Outcome:
    """Measure a model of text."""
    from rhm_theory.denoisers.sequences.measurement import Effort
    from rhm_theory.denoisers.text import encoded, measurement, report

    loaded = encoded.load(options.model)
    study = measurement.study(
        options.seed,
        loaded.model.log_probabilities,
        loaded.model.length,
        loaded.data,
        levels_of(options.levels),
        Effort(*(getattr(options, name) for name in Effort._fields)),
        controls=options.controls,
        folder=options.folder,
        shown=shown,
    )
    found = report.numbers(study, r_max=options.r_max)
    about = [f"Model {options.model}, trained on {loaded.data.name}."]
    about += report.losses(loaded.notes)
    return Outcome(
        arrays=dict(measurement.arrays(study)),
        page=lambda: report.page(study, found, about),
        answer=report.to_dict(found),
        table=lambda: report.table(found),
    )
