"""``measure`` runs the forward-backward experiment on a trained model."""

import argparse
import io
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from rhm_theory.commands import measure_grammar, measure_images, measure_text
from theory_common.printing import files, tables

# The kinds of models. DEFAULTS of a module are the options that its kind has.
KINDS: Mapping[str, ModuleType] = {
    "text": measure_text,
    "grammar": measure_grammar,
    "images": measure_images,
}
# Options that not all kinds have, or whose default depends on the kind: type, and meaning.
OPTIONS: Mapping[str, tuple[Callable[[str], Any], str]] = {
    "starts": (int, "sequences or pictures that are noised"),
    "trajectories": (int, "samples of each mask or picture; 0 for no samples of sequences"),
    "steps": (int, "steps of the sampler; without, a grammar's leaves are drawn one at a time"),
    "masks": (int, "masks of each sequence"),
    "columns": (int, "hidden tokens of a mask whose covariances with all others are computed"),
    "r_max": (int, "largest distance of two tokens that counts"),
    "classifier_steps": (
        int,
        "gradient steps of the classifier whose features are compared; without, 600, or 2500 for "
        "Fashion-MNIST",
    ),
    "images": (str, "folder of the idx files of Fashion-MNIST, if they are not where it looks"),
}


def add(commands) -> None:
    """Add the command's parser."""
    parser = commands.add_parser(
        "measure",
        help="measure how far changes reach in a model that train has written",
        description="Noise data that the model has not seen, let the model denoise them, and "
        "measure what changes together: tokens of sequences, or places of pictures. The same is "
        "measured for controls without a hierarchy. The kind of the model is in its file: text, "
        "grammar or images.",
    )
    parser.add_argument("model", help="a file that train has written")
    parser.add_argument(
        "--levels",
        default="0.1:1.0:0.1",
        metavar="FROM:TO:STEP",
        help="levels of the noise, as FROM:TO:STEP or as numbers with commas: the share of tokens "
        "that are hidden, or the time of the noise of pictures (default 0.1:1.0:0.1)",
    )
    parser.add_argument("--out", metavar="FILE", help="write the raw data to this .npz file")
    parser.add_argument("--html", metavar="FILE", help="write a page with pictures")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--force", action="store_true", help="replace files that exist already")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of all random numbers (default 0)"
    )
    parser.add_argument(
        "--folder",
        help="folder that keeps finished parts, so that a stopped run goes on (default: none)",
    )
    of_kinds = parser.add_argument_group("options of some kinds of models")
    for name, (type_of, meaning) in OPTIONS.items():
        of_kinds.add_argument(_flag(name), type=type_of, help=f"{meaning} ({_defaults(name)})")
    named = "; ".join(
        f"for {kind}: {', '.join(module.CONTROLS)}"
        for kind, module in KINDS.items()
        if "controls" in module.DEFAULTS
    )
    of_kinds.add_argument(
        "--controls",
        nargs="*",
        metavar="NAME",
        help=f"names of controls of sequences ({named}; all by default but trigrams, which take "
        "two minutes for each level); --controls without a name: none",
    )
    parser.set_defaults(command=run, name="measure")


def run(options: argparse.Namespace) -> Callable[[], None]:
    """Measure, write, and return what prints the numbers."""
    for path in (options.out, options.html):
        if path is not None:
            files.require_free(path, options.force)
    kind = kind_of(options.model)
    found = KINDS[kind].run(resolved(options, kind))
    if options.out is not None:
        content = io.BytesIO()
        np.savez_compressed(content, allow_pickle=False, **found.arrays)
        files.write_whole(options.out, content.getvalue(), options.force)
    if options.html is not None:
        files.write_whole(options.html, found.page(), options.force)
    if options.json:
        return lambda: print(tables.dumps(found.answer, indent=2))
    return lambda: print(found.table())


def kind_of(path: str) -> str:
    """The kind of the model in a file.

    Raises: ``OSError`` or ``ValueError`` that names the file.
    """
    from rhm_theory.denoisers import images, read_notes, storage

    if storage.kind_of(path) == images.KIND:
        return "images"
    kind = read_notes(path).get("kind")
    if kind not in KINDS:
        raise ValueError(f"{path} must hold a model of {', '.join(KINDS)}, got {kind!r}")
    return str(kind)


def resolved(options: argparse.Namespace, kind: str) -> argparse.Namespace:
    """The options with the defaults of this kind of model.

    Raises: ``ValueError`` for an option that this kind does not have.
    """
    own = KINDS[kind].DEFAULTS
    found = vars(options).copy()
    for name in (*OPTIONS, "controls"):
        if found[name] is None:
            found[name] = own.get(name)
        elif name not in own:
            others = " or ".join(
                other for other, module in KINDS.items() if name in module.DEFAULTS
            )
            raise ValueError(
                f"{_flag(name)} is for a model of {others}; {options.model} holds one of {kind}"
            )
    return argparse.Namespace(**found)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _defaults(name: str) -> str:
    """The default of an option for each kind that has it."""
    texts = []
    for kind, module in KINDS.items():
        if name in module.DEFAULTS:
            value = module.DEFAULTS[name]
            texts.append(kind if value is None else f"{kind}: {value}")
    return ", ".join(texts)
