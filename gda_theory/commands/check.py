"""``check`` verifies a certificate or a receipt against its data."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gda_theory.commands import arguments, forget
from gda_theory.deletion import receipts
from gda_theory.verdict import certificates, checker


def add(commands) -> None:
    """Add the command's parser."""
    parser = arguments.add_command(
        commands,
        "check",
        run,
        "check a file that certify or forget wrote against its data: a certificate with rigorous "
        "bounds on every rounding error, a receipt by computing the deletion again",
    )
    parser.add_argument("receipt", metavar="FILE", help="the JSON that certify or forget wrote")
    arguments.add_rows(parser)
    arguments.add_scheduler(parser)
    parser.add_argument(
        "--model",
        metavar="FILE",
        help="for a receipt: the file of the model (default: beside the receipt)",
    )
    parser.add_argument(
        "--noise-seed",
        type=int,
        metavar="SECRET",
        help="for a receipt: the seed from which the noise is computed again",
    )


def run(options) -> Callable[[], None]:
    """Check, and return what prints the answer.

    Raises: ``ValueError`` where the certificate or the receipt is rejected.
    """
    path = options.receipt
    written = Path(path).read_bytes()
    try:
        content = json.loads(written)
    except ValueError as error:
        raise ValueError(
            f"{path} must be a JSON file that certify or forget wrote: {error}"
        ) from None
    if isinstance(content, dict) and content.get("kind") == receipts.KIND:
        wrong, notes = _wrong_receipt(options, written)
    elif isinstance(content, dict) and "boxes" in content:
        wrong, notes = _wrong_certificate(options, content), []
    else:
        raise ValueError(
            f"{path} must be a JSON file that certify or forget wrote: it holds neither a "
            "certificate nor a receipt"
        )
    if wrong:
        raise ValueError(f"{path} is rejected: {'; '.join(wrong)}")
    return lambda: print("\n".join([f"CHECKED: {content['claim']}.", *notes]))


def _wrong_certificate(options, certificate: Any) -> list[str]:
    # The ridge plays no part in how rows are read.
    loaded = arguments.loaded_data(options)
    problem = loaded.problem(ridge=1.0, intercept=options.intercept)
    labels = certificates.labels_of(problem)
    return checker.failures(certificate, problem.features, labels, problem.forget)


def _wrong_receipt(options, written: bytes) -> tuple[list[str], list[str]]:
    try:
        receipt, wrong = forget.checked(options, written)
    except (AttributeError, KeyError, TypeError) as error:
        return [f"the receipt is malformed: {type(error).__name__}: {error}"], []
    notes = []
    if "model" in receipt["files"]:
        notes.append("The model file is that of the receipt. It was not opened.")
    if receipt["noise"] is not None and options.noise_seed is None:
        notes.append("The noise was not computed again, since --noise-seed was not given.")
    return wrong, notes
