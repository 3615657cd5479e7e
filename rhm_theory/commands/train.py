"""``train`` trains a denoiser; each kind of data has a module of its own."""

from rhm_theory.commands import train_grammar, train_images, train_text

KINDS = {"text": train_text, "grammar": train_grammar, "images": train_images}


def add(commands) -> None:
    """Add the command's parser, with one parser for each kind of data."""
    purpose = "train a denoiser on data of one kind"
    parser = commands.add_parser("train", help=purpose, description=purpose)
    kinds = parser.add_subparsers(required=True, metavar="|".join(KINDS))
    for module in KINDS.values():
        module.add(kinds)
