"""``train images`` trains a diffusion model of small pictures."""

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from rhm_theory.commands import training_options
from theory_common.printing import tables
from theory_common.printing.waiting import shown_while

DATA = ("digits", "fashion", "grammar")


def add(kinds) -> None:
    """Add the parser of this kind."""
    parser = kinds.add_parser(
        "images",
        help="diffusion of small grey pictures",
        description="Train a diffusion model of pictures. At the end its denoising loss is "
        "compared with that of flat mixtures of Gaussians, whose posterior is exact.",
    )
    parser.add_argument(
        "--data",
        choices=DATA,
        default="digits",
        help="digits: scikit-learn's, 8 x 8 pixels (default); fashion: Fashion-MNIST, pooled to "
        "14 x 14; grammar: strings of a random grammar drawn as pictures, 8 x 8",
    )
    parser.add_argument(
        "--images", metavar="FOLDER", help="folder of the idx files, for --data fashion"
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="where the model is written")
    parser.add_argument("--force", action="store_true", help="replace a file that exists already")
    parser.add_argument("--steps", type=int, default=1500, help="gradient steps (default 1500)")
    parser.add_argument("--batch", type=int, default=64, help="pictures in a step (default 64)")
    parser.add_argument(
        "--learning-rate",
        type=float,
        default=2e-3,
        help="learning rate at the start (default 0.002)",
    )
    parser.add_argument(
        "--channels", type=int, default=24, help="channels of the network (default 24)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of all random numbers (default 0)"
    )
    parser.add_argument(
        "--checkpoint",
        metavar="FILE",
        help="file from which a stopped run goes on (default: the name of --out with .training "
        "added)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.set_defaults(command=run, name="train images")


def run(options: argparse.Namespace) -> Callable[[], None]:
    """Train, save, and return what prints the losses."""
    import jax

    from rhm_theory.denoisers import images
    from rhm_theory.denoisers.images import study

    training_options.require_out(options)
    recipe = images.Recipe(
        steps=options.steps,
        batch=options.batch,
        rate=options.learning_rate,
        channels=options.channels,
    )
    if options.images is not None and options.data != "fashion":
        raise ValueError("--images is for --data fashion only")
    where = {} if options.images is None else {"folder": options.images}
    with shown_while("reading the pictures"):
        pictures, _ = study.pictures_of(options.data, **where)
    keys = jax.random.split(jax.random.key(options.seed))
    with _bar(recipe.steps) as report:
        model = images.train(
            keys[0],
            pictures.train,
            recipe,
            checkpoint=options.checkpoint or Path(f"{options.out}.training"),
            report=report,
        ).network
    notes = {"data": options.data, "recipe": recipe._asdict()}
    model.save(options.out, notes=notes, force=options.force)
    with shown_while("comparing with flat mixtures"):
        compared = study.losses_beside_mixtures(keys[1], model, pictures, options.seed)
    answer = {
        "data": pictures.name,
        "losses": compared.losses,
        "difference": float(compared.difference[0]),
        "error": float(compared.error[0]),
        "beats_mixtures": compared.beats,
    }
    if options.json:
        return lambda: print(tables.dumps(answer, indent=2))

    def show() -> None:
        title = f"{pictures.name}: mean squared error of the velocity on validation pictures"
        tables.print_table(list(compared.losses.items()), ["posterior", "loss"], title, digits=4)
        verdict = "below" if compared.beats else "not clearly below"
        print(
            f"The model is {verdict} every mixture: {answer['difference']:+.4f} "
            f"(error {answer['error']:.4f}) against the best. It is in {options.out}"
        )

    return show


@contextlib.contextmanager
def _bar(steps: int) -> Iterator[Callable[[int, float], None]]:
    """A function that shows the number of steps that are done, and their loss."""
    from rich.progress import Progress

    with Progress(console=tables.console(sys.stderr)) as bar:
        task = bar.add_task("training", total=steps)
        yield lambda done, loss: bar.update(
            task, completed=done, description=f"training, loss {loss:.4f}"
        )
