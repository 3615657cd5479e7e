"""``measure`` for models of text."""

import argparse
import io
import sys
from collections.abc import Callable

import numpy as np

from theory_common.printing import files, tables


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that only text has."""
    group = parser.add_argument_group("text")
    group.add_argument(
        "--starts", type=int, default=96, help="windows of held-out text (default 96)"
    )
    group.add_argument("--masks", type=int, default=4, help="masks of each window (default 4)")
    group.add_argument(
        "--columns",
        type=int,
        default=4,
        help="hidden tokens of each mask whose covariances with all others are computed "
        "(default 4)",
    )
    group.add_argument(
        "--trajectories",
        type=int,
        default=4,
        help="samples for each mask (default 4); with 0 only the estimator that needs no samples "
        "is computed",
    )
    group.add_argument("--steps", type=int, default=32, help="steps of the sampler (default 32)")
    group.add_argument(
        "--r-max",
        type=int,
        default=10,
        help="largest distance of two tokens that counts, in tokens (default 10)",
    )
    group.add_argument(
        "--controls",
        nargs="*",
        default=["mixture of unigrams", "bigrams", "mixture of bigrams"],
        metavar="NAME",
        help="names of controls: 'mixture of unigrams', bigrams, 'mixture of bigrams' (these "
        "three by default), trigrams (which take two minutes for each level); --controls without "
        "a name: none",
    )


def run(options: argparse.Namespace) -> Callable[[], None]:
    """Measure, write, and return what prints the numbers."""
    from rhm_theory.denoisers.text import encoded, measurement, report
    from rhm_theory.denoisers.text.measurement import Effort

    for path in (options.out, options.html):
        if path is not None:
            files.require_free(path, options.force)
    loaded = encoded.load(options.model)
    effort = Effort(
        starts=options.starts,
        masks=options.masks,
        columns=options.columns,
        trajectories=options.trajectories,
        steps=options.steps,
    )
    study = measurement.study(
        options.seed,
        loaded.model.log_probabilities,
        loaded.model.length,
        loaded.data,
        levels_of(options.levels),
        effort,
        controls=options.controls,
        folder=options.folder,
        shown=lambda part: print(part, file=sys.stderr),
    )
    found = report.numbers(study, r_max=options.r_max)
    if options.out is not None:
        content = io.BytesIO()
        np.savez_compressed(content, allow_pickle=False, **dict(measurement.arrays(study)))
        files.write_whole(options.out, content.getvalue(), options.force)
    if options.html is not None:
        about = [f"Model {options.model}, trained on {loaded.data.name}."]
        about += report.losses(loaded.notes)
        files.write_whole(options.html, report.page(study, found, about), options.force)
    if options.json:
        return lambda: print(tables.dumps(report.to_dict(found), indent=2))
    return lambda: print(report.table(found))


def levels_of(text: str) -> list[float]:
    """The numbers of ``FROM:TO:STEP``, or of a list with commas.

    Raises: ``ValueError`` that names ``levels``.
    """
    try:
        if ":" not in text:
            return [float(part) for part in text.split(",")]
        first, last, step = (float(part) for part in text.split(":"))
    except ValueError:
        raise ValueError(
            f"levels must be FROM:TO:STEP or numbers with commas, got {text!r}"
        ) from None
    if not (step > 0 and last >= first):
        raise ValueError(f"levels must rise by a step > 0, got {text!r}")
    return [round(one, 10) for one in np.arange(first, last + step / 2, step).tolist()]
