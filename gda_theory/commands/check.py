"""``check`` verifies a certificate against its data."""

import json
from collections.abc import Callable
from pathlib import Path

from gda_theory.commands import arguments
from gda_theory.verdict import checker


def add(commands) -> None:
    """Add the command's parser."""
    parser = arguments.add_command(
        commands,
        "check",
        run,
        "check a certificate against its data, with rigorous bounds on every rounding error",
    )
    parser.add_argument("certificate", help="the JSON file that certify wrote")
    arguments.add_rows(parser)


def run(options) -> Callable[[], None]:
    """Check, and return what prints the answer.

    Raises: ``ValueError`` where the certificate is rejected.
    """
    try:
        certificate = json.loads(Path(options.certificate).read_bytes())
    except ValueError as error:
        raise ValueError(
            f"{options.certificate} must be a JSON file that certify wrote: {error}"
        ) from None
    # The ridge plays no part in how rows are read.
    loaded = arguments.loaded_data(options)
    problem = loaded.problem(ridge=1.0, intercept=options.intercept)
    wrong = checker.failures(certificate, problem.features, problem.signs, problem.forget)
    if wrong:
        raise ValueError(f"{options.certificate} is rejected: {'; '.join(wrong)}")
    return lambda: print(f"CHECKED: {certificate['claim']}.")
