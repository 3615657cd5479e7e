"""Make figures one after the other, keep those that are there, and report: the page, the table of claims, the list."""

import sys
import time
import traceback
from pathlib import Path
from typing import NamedTuple

from rich import progress

from figures import catalogue, page, store, style
from theory_common.printing import tables


class Outcome(NamedTuple):
    """What became of one figure."""

    state: str  # "computed", "up to date" or "failed"
    record: store.Record | None = None
    reason: str = ""

    def __str__(self) -> str:
        detail = (
            f"{self.record.seconds:.1f} s"
            if self.record and self.state == "computed"
            else self.reason
        )
        return f"{self.state}  {detail}".rstrip()


def make(name: str, package: str, preset: str, folder: Path) -> Outcome:
    """Compute, draw and store one figure, unless it is there already; whatever goes wrong in it stays in it."""
    try:
        module = catalogue.load(name, package)
        fingerprint = store.fingerprint(module, preset)
        if record := store.read(folder, name, fingerprint):
            return Outcome("up to date", record)
        start = time.perf_counter()
        # What is drawn is what a reader of the file gets, so that the file and the picture cannot differ.
        data = tables.loads(tables.dumps(module.compute(preset)))
        images = style.images(module.draw, data, getattr(module, "SIZE", style.SIZE))
        record = store.Record(
            name=name,
            title=module.TITLE,
            caption=module.CAPTION,
            lemmas=module.LEMMAS,
            preset=preset,
            fingerprint=fingerprint,
            versions=store.versions(),
            device=store.device(),
            seconds=round(time.perf_counter() - start, 3),
            claims=[
                tables.loads(tables.dumps(dict(zip(page.COLUMNS, row, strict=True))))
                for row in module.claims(data)
            ],
            data=data,
            files={},
        )
        return Outcome("computed", store.write(folder, record, images))
    except Exception as error:  # any figure may fail in any way, and the others must still be drawn
        traceback.print_exc()
        return Outcome("failed", reason=" ".join(f"{type(error).__name__}: {error}".split()))


def make_all(
    names: list[str], package: str, preset: str, folder: Path
) -> tuple[dict[str, Outcome], bool]:
    """The outcomes of ``names``, with a progress bar on a terminal and a line a figure everywhere; and whether Ctrl-C cut them short."""
    outcomes: dict[str, Outcome] = {}
    console = tables.console(sys.stderr)
    columns = (
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
    )
    with progress.Progress(
        *columns,
        progress.TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    ) as bar:
        task = bar.add_task("", total=len(names))
        try:
            for name in names:
                bar.update(task, description=name)
                outcomes[name] = make(name, package, preset, folder)
                bar.advance(task)
                console.print(f"{name}  {outcomes[name]}", markup=False, soft_wrap=True)
        except KeyboardInterrupt:
            return outcomes, True
    return outcomes, False


def write_page(outcomes: dict[str, Outcome], package: str, preset: str, folder: Path) -> Path:
    """Write ``index.html`` about these outcomes and every other figure that lies in ``folder`` and is up to date."""
    names = catalogue.names(package)
    found = {
        name: outcomes[name].record if name in outcomes else _stored(name, package, preset, folder)
        for name in names
    }
    contents = page.Contents(
        records=[record for record in found.values() if record],
        failed={
            name: outcome.reason for name, outcome in outcomes.items() if outcome.state == "failed"
        },
        missing=[name for name in names if name not in outcomes and not found[name]],
    )
    path = folder / "index.html"
    store.replace(path, page.render(contents, folder).encode())
    return path


def print_claims(outcomes: dict[str, Outcome]) -> None:
    """The table *claim | paper | here* of these figures on standard output."""
    records = [outcome.record for outcome in outcomes.values() if outcome.record]
    rows = [
        (record.name, *(row[column] for column in page.COLUMNS))
        for record in records
        for row in record.claims
    ]
    if rows:
        tables.print_table(rows, ["figure", *page.COLUMNS])


def print_list(names: list[str], package: str) -> int:
    """The table of figures on standard output; returns how many of them cannot be loaded."""
    rows, broken = [], 0
    for name in names:
        try:
            module = catalogue.load(name, package)
            rows.append((name, module.TITLE, ", ".join(module.LEMMAS)))
        except Exception as error:  # the list of the others is still wanted
            rows.append((name, f"cannot be loaded: {type(error).__name__}: {error}", ""))
            broken += 1
    tables.print_table(rows, ["figure", "title", "source"])
    return broken


def _stored(name: str, package: str, preset: str, folder: Path) -> store.Record | None:
    try:
        return store.read(folder, name, store.fingerprint(catalogue.load(name, package), preset))
    except Exception:  # a figure that nobody asked for and that cannot even be loaded
        return None
