"""A receipt of a deletion: what was deleted from what, how, with what result and what bound.

A receipt is a dict for JSON. It holds SHA-256 sums of the data, the rows and the files, the
settings, both models, and the bound. :func:`failures` computes everything again from the data. A
receipt ends with the SHA-256 sum of its own content, and its text is the only one that is accepted.

It is meant for somebody who may see the data. The model before the deletion is part of it.
"""

import functools
import hashlib
import importlib.metadata
import json
import math
import platform
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from gda_theory.deletion import methods
from gda_theory.deletion.bounds import Certificate, certified_at
from gda_theory.deletion.class_margins import common_length, coordinates
from gda_theory.deletion.margins import Floats
from gda_theory.deletion.noise import Noise, drawn, gaussian_noise
from gda_theory.deletion.receipt_rows import AnyRows, DeletionSettings, finite_vector
from gda_theory.deletion.rows import AnyObjective

KIND = "receipt of a deletion"
FORMAT = 1
# Of the weights: other processors round differently.
AGREEMENT = 1e-7
METHODS = ("newton", "retrain", "fine_tune", "pure_ascent", "noisy_descent")
PACKAGES = ("gda-theory", "numpy", "scipy", "scikit-learn")


def sha256(content: bytes | Path) -> str:
    """SHA-256 of the bytes of a file, or of the file at a path, in hexadecimal digits."""
    if isinstance(content, Path):
        with content.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    return hashlib.sha256(content).hexdigest()


def make(
    data: str,
    forget: Bool[np.ndarray, " n"],
    settings: DeletionSettings,
    start: Float[Floats, "*classes d"],
    weights: Float[Floats, "*classes d"],
    certificate: Certificate,
    *,
    request: Bool[np.ndarray, " n"] | None = None,
    noise: Noise | None = None,
    files: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """The receipt of one deletion.

    Args:
        data: SHA-256 of features, labels and sample weights, the ``digest()`` of their rows.
        forget: the rows that are no longer in the model.
        settings: of the objective and the method.
        start: the weights from which the method started.
        weights: its result, with the noise, if any.
        certificate: of the weights without the noise.
        request: those rows that this deletion took out. By default all that are forgotten.
        noise: what was added.
        files: name and SHA-256 of files that belong to it, such as ``data`` and ``model``.
    """
    numbers = np.flatnonzero(forget)
    now = numbers if request is None else np.flatnonzero(request)
    content = {
        "kind": KIND,
        "format": FORMAT,
        "claim": claim(len(now), settings.method, certificate, noise),
        "data": data,
        "files": dict(files or {}),
        "rows": {
            "kept": len(forget) - len(numbers),
            "forgotten": numbers.tolist(),
            "request": now.tolist(),
        },
        "settings": settings._asdict(),
        "start": np.asarray(start, float).tolist(),
        "result": np.asarray(weights, float).tolist(),
        "gradient_norm": _number(certificate.gradient_norm),
        "distance_bound": _number(certificate.distance_bound),
        "bound": certificate.reason,
        "noise": None if noise is None else noise._asdict(),
        "versions": dict(_versions()),
    }
    return sealed(content)


def claim(count: int, method: str, certificate: Certificate, noise: Noise | None) -> str:
    """What a receipt says, in one sentence."""
    rows = f"{count} row{'' if count == 1 else 's'}"
    if not math.isfinite(certificate.distance_bound):
        return f"{rows} deleted by {method}; no bound on the distance to the retrained model holds"
    said = f"{rows} deleted by {method}; the model is at most {certificate.distance_bound:.3g} from"
    said += " the model retrained without them"
    if noise is not None:
        said += (
            f", before noise of standard deviation {noise.scale:.3g} for epsilon ="
            f" {noise.epsilon:g} and delta = {noise.delta:g}"
        )
    return said


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content with its own SHA-256 sum as the last entry."""
    bare = {key: value for key, value in content.items() if key != "sha256"}
    return bare | {"sha256": sha256(_canonical(bare))}


def text(receipt: Mapping[str, Any]) -> str:
    """The receipt as JSON, which is the only text of it that is accepted."""
    return json.dumps(receipt, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(
        content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else "inf"


@functools.cache  # reading them takes longer than a Newton step
def _versions() -> Mapping[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


# Checking ---------------------------------------------------------------------------------------


def failures(
    written: bytes,
    rows: AnyRows,
    forget: Bool[np.ndarray, " n"],
    *,
    files: Mapping[str, bytes | Path] | None = None,
    noise_seed: int | None = None,
) -> list[str]:
    """What is wrong with a receipt for these data.

    Args:
        written: the bytes of the receipt.
        rows: the data, as the model saw them.
        forget: the rows to forget.
        files: the bytes of each file that the receipt names, or where it is.
        noise_seed: of the noise, if that is to be computed again.
    Returns: one sentence for each failure. If the list is empty, the deletion was computed again
        from the data with this result, and the bound holds for the weights of the receipt.
    """
    try:
        receipt = json.loads(written)
        return list(_failures(receipt, written, rows, forget, files or {}, noise_seed))
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
        return [f"the receipt is malformed: {type(error).__name__}: {error}"]


def _failures(
    receipt: Mapping[str, Any],
    written: bytes,
    rows: AnyRows,
    forget: Bool[np.ndarray, " n"],
    files: Mapping[str, bytes | Path],
    noise_seed: int | None,
) -> Iterator[str]:
    """The failures, up to the first that leaves nothing more to check."""
    if receipt["kind"] != KIND or receipt["format"] != FORMAT:
        yield f"it is no {KIND} of format {FORMAT}"
        return
    if sealed(receipt) != receipt or text(receipt).encode() != written:
        yield "it was changed after it was written: its SHA-256 sum is not that of its content"
        return
    for name, entry in receipt["files"].items():
        if name not in files:
            yield f"the {name} file {entry['name']} is missing"
        elif sha256(files[name]) != entry["sha256"]:
            yield f"the {name} file is not {entry['name']} of the receipt"
    if receipt["data"] != rows.digest():
        yield "the data are not those of the receipt"
        return
    numbers = np.flatnonzero(forget)
    stated = receipt["rows"]
    if stated["forgotten"] != numbers.tolist() or stated["kept"] != len(forget) - len(numbers):
        yield "the rows to forget are not those of the receipt"
        return
    request = np.zeros_like(forget)
    request[stated["request"]] = True
    if not stated["request"] or np.any(request & ~forget):
        yield "the rows of the request are not among those that are forgotten"
        return
    yield from _wrong_results(receipt, rows, forget, request, noise_seed)


def _wrong_results(
    receipt: Mapping[str, Any],
    rows: AnyRows,
    forget: Bool[np.ndarray, " n"],
    request: Bool[np.ndarray, " n"],
    noise_seed: int | None,
) -> Iterator[str]:
    settings = DeletionSettings(**receipt["settings"])
    objective = rows.objective(~forget, settings)
    start = _weights(receipt["start"], settings)
    result = _weights(receipt["result"], settings)
    run = run_of(settings, rows.objective(request, settings))
    with np.errstate(over="ignore", invalid="ignore"):
        again = run(objective, start).weights
    noise = None if receipt["noise"] is None else Noise(**receipt["noise"])
    plain = result
    if noise is not None:
        plain = again
        yield from _wrong_noise(noise, again, result, noise_seed, forget)
    size = np.linalg.norm(again) + np.linalg.norm(start)
    if not np.linalg.norm(plain - again) <= AGREEMENT * size:
        yield f"{settings.method} from the start of the receipt leads to other weights"
    certificate = certified_at(objective, plain, objective.local(plain))
    stated = float(receipt["distance_bound"])
    # The method's own bound may be wider, as it saves a Hessian. It is never smaller.
    rounding = certificate.gradient_error / max(certificate.smallest_curvature, 1e-300)
    if not certificate.distance_bound <= stated * (1 + AGREEMENT) + rounding:
        yield (
            f"the bound is {certificate.distance_bound:.6g} for these weights, which is more than"
            f" the {stated:.6g} of the receipt"
        )
    away = abs(certificate.gradient_norm - float(receipt["gradient_norm"]))
    allowed = 2 * certificate.gradient_error + AGREEMENT * certificate.gradient_norm
    if not away <= allowed and math.isfinite(certificate.gradient_norm):
        yield f"the gradient norm is {certificate.gradient_norm:.6g} for these weights"
    stated_certificate = certificate._replace(distance_bound=stated)
    if receipt["claim"] != claim(int(request.sum()), settings.method, stated_certificate, noise):
        yield "its claim is not what its numbers say"
    if noise is not None and settings.method != "noisy_descent" and noise.distance < stated:
        yield f"the noise is for a distance of {noise.distance:.6g}, less than the bound"


def _wrong_noise(
    noise: Noise,
    before: Float[Floats, " d"],
    result: Float[Floats, " d"],
    seed: int | None,
    forget: Bool[np.ndarray, " n"],
) -> Iterator[str]:
    least = gaussian_noise(noise.distance, noise.epsilon, noise.delta).scale
    if not noise.scale >= least * (1 - AGREEMENT):
        yield f"the noise is {noise.scale:.6g}, less than the {least:.6g} that it needs"
    if seed is not None:
        expected = before + drawn(noise, len(before), seed, forget)
        size = np.linalg.norm(before) + np.linalg.norm(expected)
        if not np.linalg.norm(result - expected) <= AGREEMENT * size:
            yield "the result is not the model with the noise of this seed"


def _weights(values: Any, settings: DeletionSettings) -> Float[Floats, " m"]:
    """The weights of a receipt in one vector: of several classes, their coordinates."""
    size = len(settings.ridge)
    if settings.classes == 2:
        flat = np.ravel(np.asarray(values, float))
        return finite_vector(flat, size)
    table = np.array([finite_vector(row, size) for row in values])
    if len(table) != settings.classes:
        raise ValueError(f"weights must have {settings.classes} rows, got {len(table)}")
    if common_length(table) > AGREEMENT * float(np.linalg.norm(table)):
        raise ValueError("weights must have mean 0 over the classes")
    return coordinates(table)


def run_of(
    settings: DeletionSettings, forget: AnyObjective
) -> Callable[[AnyObjective, Floats], methods.Found]:
    """The method of a receipt, as a function of the kept rows' objective and the start.

    Raises: ``ValueError`` for an unknown method.
    """
    if settings.method == "retrain":
        return methods.minimum
    steps = settings.steps or 1
    if settings.method == "newton":
        return functools.partial(methods.newton_steps, steps=steps)
    if settings.method in ("fine_tune", "noisy_descent"):
        return functools.partial(methods.tuned, steps=steps, step_size=settings.step_size)
    if settings.method == "pure_ascent":
        return functools.partial(
            methods.ascended,
            forget=forget._replace(ridge=-forget.ridge),
            steps=steps,
            step_size=settings.step_size,
        )
    raise ValueError(f"method must be one of {', '.join(METHODS)}, got {settings.method!r}")
