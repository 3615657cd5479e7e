"""``certify`` writes a proof of how far ascent ends from the retrained model."""

import json
from collections.abc import Callable
from pathlib import Path

from gda_theory.commands import arguments
from gda_theory.verdict import certificates
from theory_common.printing import files


def add(commands) -> None:
    """Add the command's parser."""
    parser = arguments.add_command(
        commands,
        "certify",
        run,
        "prove how far ascent ends from the retrained model, and write a certificate (JSON)",
    )
    arguments.add_problem(parser)
    parser.add_argument(
        "--out", metavar="FILE", help="where to write the certificate (default: standard output)"
    )
    arguments.add_force(parser)


def run(options) -> Callable[[], None]:
    """Certify, write the file if one is wanted, and return what prints the answer."""
    if options.out is not None:
        files.require_free(Path(options.out), force=options.force)
    problem = arguments.problem_of(options, arguments.loaded_data(options))
    certificate = certificates.certify(problem, options.strength)
    text = json.dumps(certificate, indent=1)
    if options.out is None:
        return lambda: print(text)
    files.write_whole(Path(options.out), text + "\n", force=options.force)
    return lambda: print(f"PROVED: {certificate['claim']}.\nThe certificate is in {options.out}.")
