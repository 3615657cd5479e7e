"""``train text`` trains a masked diffusion model of text."""

import argparse
from collections.abc import Callable

from rhm_theory.commands import training_options
from theory_common.printing import tables
from theory_common.printing.waiting import shown_while


def add(kinds) -> None:
    """Add the parser of this kind."""
    parser = kinds.add_parser(
        "text",
        help="masked diffusion of text, in tokens of a byte-pair encoding",
        description="Train a masked diffusion model of text. Every tenth chapter is held out. At "
        "the end its loss there is compared with chains of n-grams.",
    )
    parser.add_argument(
        "--corpus",
        nargs="+",
        default=["python"],
        metavar="FILE",
        help="UTF-8 text files; or the word python for the pages of Python's help (default); or "
        "the word austen for six novels in the R package janeaustenr",
    )
    parser.add_argument(
        "--vocabulary", type=int, default=1024, help="tokens of the encoding (default 1024)"
    )
    parser.add_argument("--length", type=int, default=64, help="tokens of a window (default 64)")
    parser.add_argument(
        "--begin", metavar="FILE", help="a model of the same corpus to go on from, with its sizes"
    )
    training_options.add(parser, width=96, layers=4, heads=3, learning_rate=0.05)
    parser.set_defaults(command=run, name="train text")


def run(options: argparse.Namespace) -> Callable[[], None]:
    """Train, save, and return what prints the losses."""
    from rhm_theory.denoisers.text import corpora, encoded, fitting

    training_options.require_out(options)
    with shown_while("reading and encoding the corpus"):
        corpus = corpora.named(options.corpus)
        data = encoded.prepare(corpus, vocabulary=options.vocabulary, length=options.length)
    begin = None if options.begin is None else encoded.load(options.begin)
    if begin is not None and begin.data.encoding != data.encoding:
        raise ValueError(f"begin must be a model of the same corpus, got one of {begin.data.name}")
    trained = fitting.train(
        options.seed,
        data,
        length=options.length,
        sizes=training_options.size_of(options),
        run=training_options.run_of(options),
        begin=None if begin is None else begin.model,
    )
    with shown_while("comparing with chains of n-grams"):
        compared = fitting.compared(trained.model, data)
    history = {name: values.tolist() for name, values in trained.history._asdict().items()}
    further = {"history": history, "losses": compared.to_dict()}
    encoded.save(options.out, trained.model, data, further, force=options.force)
    if options.json:
        return lambda: print(tables.dumps(further, indent=2))

    def show() -> None:
        print(compared.table())
        print(f"{trained.history.tokens[-1]:,} tokens were seen. The model is in {options.out}")

    return show
