"""Make the figures, keep those that are up to date, and report: page, table of claims, list."""

import functools
import inspect
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import jax
from rich import progress

from figures import catalogue, page, pool, store, style
from theory_common import entry
from theory_common.printing import tables


class Run(NamedTuple):
    """What is asked for."""

    package: str
    preset: str
    folder: Path
    settings: tuple[str, ...] = ()  # "correlation=0.3"


class Outcome(NamedTuple):
    """What became of one figure."""

    state: str  # "computed", "up to date" or "failed"
    record: store.Record | None = None
    reason: str = ""
    trace: str = ""  # where a figure's own code failed

    def __str__(self) -> str:
        """State, and how long it took or why it failed."""
        computed = self.record and self.state == "computed"
        detail = f"{self.record.seconds:.1f} s" if computed else self.reason
        return f"{self.state}  {detail}".rstrip()


class Results(NamedTuple):
    """What became of all figures."""

    outcomes: dict[str, Outcome]
    interrupted: bool  # by Ctrl-C: some figures have no outcome


def compute(
    module: ModuleType, preset: str, parameters: dict[str, Any], folder: Path | None = None
) -> dict[str, Any]:
    """The data of a figure as a reader of its JSON file gets them.

    What is drawn is what was stored, so the file and the picture cannot differ. The parameters, if
    the figure has any, are part of the data. A figure whose ``compute`` takes ``folder`` keeps its
    finished parts there, so that it goes on after an interruption.
    """
    keeps = "folder" in inspect.signature(module.compute).parameters
    data = module.compute(preset, **parameters, **({"folder": folder} if keeps else {}))
    if parameters:
        data = {**data, "parameters": parameters}
    return tables.loads(tables.dumps(data))


def caption(module: ModuleType, parameters: dict[str, Any]) -> str:
    """The caption, with the values of the parameters that it names in braces."""
    if not parameters:
        return module.CAPTION
    texts = {name: catalogue.written(value) for name, value in parameters.items()}
    return module.CAPTION.format(**texts)


def kept(name: str, run: Run) -> Outcome | None:
    """The figure as it lies in the folder, or None if it has to be made."""
    if not store.json_path(run.folder, name).exists():  # before the slow search for its inputs
        return None
    try:
        parameters = catalogue.parameters(name, run.settings, run.package)
        print_of_inputs = store.fingerprint(f"{run.package}.{name}", run.preset, parameters)
        record = store.read(run.folder, name, print_of_inputs)
    except Exception:  # it cannot even be read: making it will say why
        return None
    return Outcome("up to date", record) if record else None


def make(name: str, run: Run) -> Outcome:
    """Compute, draw and store one figure. Whatever goes wrong in it stays in its outcome."""
    try:
        return Outcome("computed", _made(name, run))
    except store.WriteError as error:
        return Outcome("failed", reason=str(error))
    except Exception as error:  # any figure may fail in any way, and the others must still be drawn
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        return Outcome("failed", reason=reason, trace=traceback.format_exc())


def _made(name: str, run: Run) -> store.Record:
    module = catalogue.load(name, run.package)
    parameters = catalogue.parameters(name, run.settings, run.package)
    print_of_inputs = store.fingerprint(f"{run.package}.{name}", run.preset, parameters)
    start = time.perf_counter()
    data = compute(module, run.preset, parameters, run.folder / f"{name}.parts")
    images = style.images(module.draw, data, getattr(module, "SIZE", style.SIZE))
    rows = [dict(zip(page.COLUMNS, row, strict=True)) for row in module.claims(data)]
    changed = catalogue.defaults(name, run.package)
    record = store.Record(
        name=name,
        title=module.TITLE,
        caption=caption(module, parameters),
        lemmas=module.LEMMAS,
        preset=run.preset,
        changed={
            key: catalogue.written(value)
            for key, value in parameters.items()
            if value != changed[key]
        },
        fingerprint=print_of_inputs,
        versions=store.versions(),
        device=store.device(),
        seconds=round(time.perf_counter() - start, 3),
        claims=[tables.loads(tables.dumps(row)) for row in rows],
        data=data,
        files={},
    )
    return store.write(run.folder, record, images)


def prepare() -> None:
    """Switch on what a process that makes figures needs: float64 and quick or kept compilation."""
    entry.enable_float64()
    entry.compile_quickly()
    entry.keep_compiled_code()


def make_all(names: list[str], run: Run, jobs: int = 1) -> Results:
    """The outcomes of ``names``, by ``jobs`` processes, or by this one if that is 1.

    Each figure gives a line on standard error when it is done. On a terminal a bar shows what is
    being computed and about how long the rest will take.
    """
    outcomes: dict[str, Outcome] = {}
    console = tables.console(sys.stderr)
    with _bar(console) as bar:
        task = bar.add_task("", total=len(names))
        running: list[str] = []

        def show() -> None:
            bar.update(task, completed=len(outcomes), description=", ".join(running))

        def started(name: str) -> None:
            running.append(name)
            show()

        try:
            for name, outcome in _outcomes(names, run, jobs, started):
                outcomes[name] = outcome
                running = [other for other in running if other != name]
                show()
                if outcome.trace:
                    console.print(outcome.trace, markup=False, soft_wrap=True)
                console.print(f"{name}  {outcome}", markup=False, soft_wrap=True)
        except KeyboardInterrupt:
            return Results(_in_order(names, outcomes), interrupted=True)
    return Results(_in_order(names, outcomes), interrupted=False)


def _outcomes(names: list[str], run: Run, jobs: int, started) -> Iterator[tuple[str, Outcome]]:
    to_make = []
    for name in names:
        found = kept(name, run)
        if found:
            yield name, found
        else:
            to_make.append(name)
    # Two processes would each take most of a GPU's memory.
    jobs = min(jobs, len(to_make)) if jax.default_backend() == "cpu" else 1
    if jobs <= 1:
        for name in to_make:
            started(name)
            yield name, make(name, run)
        return
    function = functools.partial(make, run=run)
    for name, found in pool.run(function, to_make, jobs=jobs, prepare=prepare, started=started):
        if isinstance(found, pool.Lost):
            reason = f"its process ended with code {found.exit_code}: is there enough memory?"
            found = Outcome("failed", reason=reason)
        yield name, found


def _in_order(names: list[str], outcomes: dict[str, Outcome]) -> dict[str, Outcome]:
    return {name: outcomes[name] for name in names if name in outcomes}


def _bar(console) -> progress.Progress:
    return progress.Progress(
        progress.SpinnerColumn(),
        progress.BarColumn(bar_width=20),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        progress.TextColumn("about"),
        progress.TimeRemainingColumn(),
        progress.TextColumn("left; {task.description}"),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )


def write_page(outcomes: dict[str, Outcome], run: Run) -> Path:
    """Write ``index.html`` about these outcomes and the other up-to-date figures in the folder.

    Raises: :class:`figures.store.WriteError` where it cannot be written, as on a full disk.
    """
    names = catalogue.names(run.package)
    others = run._replace(settings=())
    found = {name: outcomes[name] if name in outcomes else kept(name, others) for name in names}
    contents = page.Contents(
        records=[outcome.record for outcome in found.values() if outcome and outcome.record],
        failed={
            name: outcome.reason for name, outcome in outcomes.items() if outcome.state == "failed"
        },
        missing=[name for name in names if not found[name]],
    )
    path = run.folder / "index.html"
    store.replace(path, page.render(contents, run.folder).encode())
    return path


def print_claims(outcomes: dict[str, Outcome]) -> None:
    """Print the table *claim | paper | here* of these figures on standard output."""
    records = [outcome.record for outcome in outcomes.values() if outcome.record]
    rows = [
        (record.name, *(row[column] for column in page.COLUMNS))
        for record in records
        for row in record.claims
    ]
    if rows:
        tables.print_table(rows, ["figure", *page.COLUMNS])


def print_list(names: list[str], package: str) -> int:
    """Print the table of figures on standard output. Returns how many of them cannot be loaded."""
    rows = []
    broken = 0
    for name in names:
        try:
            module = catalogue.load(name, package)
            values = catalogue.defaults(name, package)
            settings = ", ".join(f"{key}={catalogue.written(v)}" for key, v in values.items())
            rows.append((name, module.TITLE, ", ".join(module.LEMMAS), settings))
        except Exception as error:  # the list of the others is still wanted
            rows.append((name, f"cannot be loaded: {type(error).__name__}: {error}", "", ""))
            broken += 1
    tables.print_table(rows, ["figure", "title", "source", "parameters (--set)"])
    return broken
