"""``train grammar`` trains a denoiser of a random grammar, and compares it with exact Bayes."""

import argparse
from collections.abc import Callable

from rhm_theory.commands import training_options
from theory_common.printing import tables
from theory_common.printing.waiting import shown_while

KEPT = (1 / 64, 1 / 16, 1 / 4, 1.0)  # shares of the run
TESTS = 512
SIZES = ("depth", "vocabulary", "rules_per_symbol", "branching")


def add(kinds) -> None:
    """Add the parser of this kind."""
    parser = kinds.add_parser(
        "grammar",
        help="masked diffusion of a random grammar, compared with the exact posterior",
        description="Train a masked diffusion model on fresh sequences of a random grammar. At the "
        "end a table says when it had learned which level of the tree. The gaps in it are "
        "divergences from the exact posterior, in nats for each hidden symbol.",
    )
    for name, default, meaning in (
        ("depth", 4, "levels of rules"),
        ("vocabulary", 8, "symbols of each level"),
        ("rules-per-symbol", 2, "tuples of symbols that a symbol may become"),
        ("branching", 2, "symbols of a tuple"),
    ):
        help = f"{meaning} (default {default})"
        parser.add_argument(f"--{name}", type=int, default=default, help=help)
    training_options.add(parser, width=64, layers=3, heads=4, learning_rate=0.02, batch=128)
    parser.set_defaults(command=run, name="train grammar", keep=KEPT)


def run(options: argparse.Namespace) -> Callable[[], None]:
    """Train, save, and return what prints the gaps to Bayes."""
    import jax

    from rhm_theory import denoisers
    from rhm_theory.denoisers import grammar_study, grammars
    from rhm_theory.models.grammar import Grammar

    training_options.require_out(options)
    for_rules, for_weights, for_run, for_tests = jax.random.split(jax.random.key(options.seed), 4)
    sizes = {name: getattr(options, name) for name in SIZES}
    grammar = Grammar.random(for_rules, **sizes)
    model = denoisers.MaskedDiffusion.create(
        for_weights,
        vocabulary=grammar.vocabulary,
        length=grammar.length,
        **training_options.size_of(options),
    )
    trained = denoisers.train(
        for_run, model, grammars.fresh(grammar), **training_options.run_of(options)
    )
    with shown_while("comparing with exact Bayes"):
        tests = grammar.sample(for_tests, (TESTS,)).leaves
        kept = sorted({**trained.kept, 1.0: trained.model}.items())
        found = {
            share: grammars.level_gaps(grammar, one.log_probabilities, tests) for share, one in kept
        }
    one = found[1.0]
    total = int(trained.history.step[-1]) * options.batch
    history = {name: values.tolist() for name, values in trained.history._asdict().items()}
    further = {
        **grammar_study.notes_of(grammar),
        "history": history,
        "nats for each hidden leaf": {
            "information": (one.information.sum(-1) / one.hidden.sum(-1)).tolist(),
            "gap by share of the run": {
                f"{share:g}": (one.gap.sum(-1) / one.hidden.sum(-1)).tolist()
                for share, one in found.items()
            },
        },
    }
    trained.model.save(options.out, notes=further, force=options.force)
    if options.json:
        return lambda: print(tables.dumps(further, indent=2))

    def show() -> None:
        named = {f"{round(share * total):,} sequences": one for share, one in found.items()}
        print(grammars.table(named))
        print(f"The model is in {options.out}")

    return show
