"""``forget`` deletes rows from a model, and writes the model and a receipt."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gda_theory.commands import arguments, forget_data
from gda_theory.deletion import methods, noisy, receipt_rows, receipts, rows
from gda_theory.deletion.methods import Deleted
from gda_theory.deletion.rows import AnyProblem
from gda_theory.problem.problem import Problem
from theory_common.batching import cluster
from theory_common.printing import files, tables
from theory_common.printing.nouns import plural
from theory_common.printing.waiting import shown_while

FAR = 0.1  # of the weights' length: a model with a larger bound is not called close
GRADIENT_METHODS = ("fine_tune", "pure_ascent", "noisy_descent")


def add(commands) -> None:
    """Add the command's parser."""
    parser = arguments.add_command(
        commands,
        "forget",
        run,
        "delete rows from a logistic-regression model; write the new model, and a receipt with a "
        "bound on its distance to the model retrained without these rows",
    )
    arguments.add_rows(parser)
    parser.add_argument(
        "--ridge", type=float, default=1e-2, help=f"{arguments.RIDGE_MEANING} (default 0.01)"
    )
    parser.add_argument(
        "--reduction",
        choices=["mean", "sum"],
        default="mean",
        help="average or add up the losses of the rows (default mean)",
    )
    _add_method(parser)
    parser.add_argument(
        "--out",
        metavar="FILE",
        required=True,
        help="where to write the model, a joblib file of scikit-learn",
    )
    parser.add_argument(
        "--receipt",
        metavar="FILE",
        help="where to write the receipt (default: the model's name, ending in .receipt.json)",
    )
    arguments.add_scheduler(parser)
    parser.add_argument(
        "--in-memory",
        action="store_true",
        help="read all Parquet files of a folder as one table, which imputes empty cells and takes"
        " more than two classes; without it, partitions are read and summed one after the other",
    )
    arguments.add_force(parser)


def _add_method(parser) -> None:
    method = parser.add_argument_group("how rows are deleted")
    method.add_argument(
        "--method",
        choices=list(receipts.METHODS),
        default="newton",
        help="how rows are deleted (default newton); see docs/deletion.md",
    )
    method.add_argument(
        "--steps", type=int, help="Newton steps (default 1) or gradient steps (default 10)"
    )
    method.add_argument(
        "--step-size", type=float, help="size of gradient steps (default: from the curvature)"
    )
    method.add_argument(
        "--epsilon", type=float, help="add noise for a guarantee with this epsilon; needs --delta"
    )
    method.add_argument("--delta", type=float, help="the delta of this guarantee, such as 1e-6")
    method.add_argument(
        "--noise-seed",
        type=int,
        metavar="SECRET",
        help="a secret number that decides the noise; needed with --epsilon",
    )
    method.add_argument(
        "--distance-limit",
        type=float,
        help="make the noise for this distance, and refuse a model that may be farther away",
    )


def run(options) -> Callable[[], None]:
    """Delete, write both files, and return what prints the answer."""
    out = Path(options.out)
    receipt_path = Path(options.receipt) if options.receipt else receipt_beside(out)
    _check(options)
    if out.resolve() == receipt_path.resolve():
        raise ValueError(f"--out and --receipt must name two files, got {out} twice")
    for path in (out, receipt_path):
        files.require_free(path, options.force)
    with cluster.executor_at(options.scheduler) as executor:
        with shown_while(f"reading {options.data}"):
            given = forget_data.given(options, executor)
        return _run(options, given, out, receipt_path)


def _run(
    options, given: forget_data.ForgetData, out: Path, receipt_path: Path
) -> Callable[[], None]:
    problem = given.problem
    if options.method == "noisy_descent" and not isinstance(problem, Problem):
        raise ValueError(
            "--method noisy_descent takes two classes, and rows in memory,"
            f" got {given.described}: take another method with --epsilon and --delta"
        )
    with shown_while("fitting the model on all rows"):
        everything = rows.everything(problem)
        fitted = methods.minimum(everything, np.zeros(len(everything.ridge))).weights
        start = rows.lifted(problem, fitted)
    with shown_while(f"deleting rows by {options.method}"):
        plain, deleted, step_size = deletion_of(options, problem, start)
    with shown_while("saving the model"):
        model = _model(options, given, deleted.weights)
    receipt = receipts.make(
        given.rows.digest(),
        given.forget,
        _settings(options, given, step_size),
        start,
        deleted.weights,
        plain.certificate,
        noise=deleted.noise,
        files=_sums(given, out, model),
    )
    files.write_whole(out, model, options.force)
    files.write_whole(receipt_path, receipts.text(receipt), options.force)
    done = sentences(given, start, plain, deleted)
    said = [*given.notes, "", *map(tables.wrapped, done)]
    said += [f"The model is in {out}, and the receipt in {receipt_path}."]
    return lambda: print("\n".join(said))


def _model(options, given: forget_data.ForgetData, weights: np.ndarray) -> bytes:
    """The bytes of the model's file."""
    from gda_theory.deletion import pipelines

    count = int(np.sum(~given.forget)) if options.reduction == "mean" else 1
    classifier = pipelines.classifier_of(
        weights, given.classes, options.intercept, 1 / (options.ridge * count)
    )
    return pipelines.dumped(given.pipeline(classifier))


def _sums(given: forget_data.ForgetData, out: Path, model: bytes) -> dict[str, dict[str, str]]:
    """Name and SHA-256 sum of the model, and of the files of the data."""
    found = {"model": {"name": out.name, "sha256": receipts.sha256(model)}}
    for name, path in given.sources.items():
        shown = name.removeprefix(forget_data.PART) if name != "data" else path.name
        found[name] = {"name": shown, "sha256": receipts.sha256(path)}
    return found


def _settings(
    options, given: forget_data.ForgetData, step_size: float | None
) -> receipt_rows.DeletionSettings:
    classes = len(given.classes)
    return receipt_rows.DeletionSettings(
        method=options.method,
        steps=None if options.method == "retrain" else _steps(options),
        step_size=step_size,
        loss="logistic" if classes == 2 else "softmax",
        reduction=options.reduction,
        ridge=np.asarray(given.problem.ridge).tolist(),
        intercept=options.intercept,
        classes=classes,
    )


def receipt_beside(model: Path) -> Path:
    """Where the receipt of a model is, by default."""
    return model.with_suffix(".receipt.json")


def _check(options) -> None:
    """``ValueError`` for options that do not go together, before anything is read."""
    if (options.epsilon is None) != (options.delta is None):
        raise ValueError("--epsilon and --delta belong together: give both or neither")
    if options.epsilon is None and options.method == "noisy_descent":
        raise ValueError("--method noisy_descent needs --epsilon and --delta")
    if options.epsilon is not None and options.noise_seed is None:
        raise ValueError(
            "--epsilon needs --noise-seed, a secret number; make one with"
            " python -c 'import secrets; print(secrets.randbits(128))'"
        )
    if options.epsilon is None and options.distance_limit is not None:
        raise ValueError("--distance-limit is for noise, which --epsilon and --delta ask for")
    if options.epsilon is None and options.noise_seed is not None:
        raise ValueError("--noise-seed is for noise, which --epsilon and --delta ask for")
    if options.method == "noisy_descent" and options.distance_limit is not None:
        raise ValueError("--distance-limit is not for --method noisy_descent, which knows its own")
    if options.step_size is not None and options.method not in ("fine_tune", "pure_ascent"):
        raise ValueError(f"--step-size is not for --method {options.method}")
    if options.steps is not None and options.method == "retrain":
        raise ValueError("--steps is not for --method retrain, which takes as many as it needs")


def _steps(options) -> int:
    if options.steps is not None:
        return options.steps
    return methods.STEPS if options.method in GRADIENT_METHODS else 1


def deletion_of(
    options, problem: AnyProblem, start: np.ndarray
) -> tuple[Deleted, Deleted, float | None]:
    """The model without noise, the published one, and the step size if it is no default."""
    steps = _steps(options)
    if options.method == "noisy_descent":
        size = noisy.descent_constants(problem).step_size
        published = noisy.noisy_descent(
            problem,
            start,
            epsilon=options.epsilon,
            delta=options.delta,
            seed=options.noise_seed,
            steps=steps,
        )
        plain = methods.fine_tune(problem, start, steps, size)
        return plain._replace(method="noisy_descent"), published, size
    if options.method == "retrain":
        plain = methods.retrain(problem, start)
    elif options.method == "newton":
        plain = methods.newton(problem, start, steps)
    elif options.method == "fine_tune":
        plain = methods.fine_tune(problem, start, steps, options.step_size)
    else:
        plain = methods.pure_ascent(problem, start, steps, options.step_size)
    if options.epsilon is None:
        return plain, plain, options.step_size
    published = noisy.published(
        problem,
        plain,
        epsilon=options.epsilon,
        delta=options.delta,
        seed=options.noise_seed,
        distance_limit=options.distance_limit,
    )
    return plain, published, options.step_size


def sentences(
    given: forget_data.ForgetData, start: np.ndarray, plain: Deleted, deleted: Deleted
) -> list[str]:
    """What was done, in plain words."""
    problem = given.problem
    count = int(np.sum(given.forget))
    number = tables.number
    cost = plain.cost
    before = rows.kept(problem).gradient(rows.vector("start", problem, start))
    said = [
        f"method: {plain.method}, {plural(cost.gradients, 'gradient')} and"
        f" {plural(cost.hessians, 'Hessian')} in {number(cost.seconds, 2)} s",
        "gradient norm of the kept rows' objective:"
        f" {number(np.linalg.norm(before), 3)} before, {number(plain.gradient_norm, 3)} after",
        f"bound on the distance to the retrained model: {number(plain.distance_bound, 3)}"
        f" ({plain.certificate.reason}); length of the weights:"
        f" {number(np.linalg.norm(plain.weights), 3)}",
    ]
    if deleted.noise is not None:
        noise = deleted.noise
        said.append(
            f"noise: standard deviation {number(noise.scale, 3)} for epsilon = {noise.epsilon:g}"
            f" and delta = {noise.delta:g}, made for a distance of {number(noise.distance, 3)}"
        )
    return [*said, "", _verdict(count, plain, deleted)]


def _verdict(count: int, plain: Deleted, deleted: Deleted) -> str:
    which = plural(count, "row")
    if not math.isfinite(plain.distance_bound):
        return (
            f"UNPROVED: {plain.method} was run to delete {which}, but nothing is known of the"
            " distance to the retrained model. Use --method retrain."
        )
    share = plain.distance_bound / max(float(np.linalg.norm(plain.weights)), 1e-300)
    far = (
        f"the weights differ by at most {100 * share:.2g} % of their length from those of the"
        " model retrained without these rows"
    )
    if share > FAR:
        return f"NOT CLOSE: it is only proved that {far}. Use --method newton or retrain."
    verdict = f"DELETED: {which}. It is proved that {far}."
    if deleted.noise is None:
        return verdict + " This is no guarantee of privacy, since no noise was added."
    return verdict + " Noise was added to hide this difference."


def checked(options, written: bytes) -> tuple[dict[str, Any], list[str]]:
    """A receipt, and what is wrong with it for the data of the options."""
    import json

    receipt = json.loads(written)
    settings = receipt["settings"]
    model = forget_data.Model(
        ridge=float(settings["ridge"][0]),
        reduction=settings["reduction"],
        intercept=settings["intercept"],
    )
    with cluster.executor_at(options.scheduler) as executor:
        with shown_while(f"reading {options.data}"):
            given = forget_data.as_in_receipt(options, receipt, model, executor)
        with shown_while("deleting again"):
            wrong = receipts.failures(
                written,
                given.rows,
                given.forget,
                files=_files_of(options, receipt, given),
                noise_seed=options.noise_seed,
            )
    return receipt, wrong


def _files_of(
    options, receipt: dict[str, Any], given: forget_data.ForgetData
) -> dict[str, bytes | Path]:
    """Where the files are that a receipt names. The model is beside it unless given."""
    found: dict[str, bytes | Path] = {}
    for name, entry in receipt["files"].items():
        path = Path(options.receipt).with_name(Path(entry["name"]).name)
        if name == "model":
            path = path if options.model is None else Path(options.model)
        else:
            path = given.sources.get(name, path)
        if path.is_file():
            found[name] = path
    return found
