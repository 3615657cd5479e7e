"""``python -m benchmarks``: print each row as soon as it is measured, and a table at the end.

``--json`` for programs, ``--markdown FILE`` for the page of the documentation (docs/speed.md).
"""

import argparse
import importlib
import inspect
import os
import pkgutil
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import jax

import benchmarks
from theory_common import entry
from theory_common.printing import tables

TOOLS = ("timing",)
COLUMNS = {
    "work": "work",
    "against": "against",
    "ours_seconds": "ours (s)",
    "theirs_seconds": "theirs (s)",
    "ratio": "ratio",
    "target": "target",
    "met": "met",
    "compile_seconds": "compile (s)",
    "limit": "hardware limit",
    "growth": "growth",
}


def names(package=benchmarks) -> list[str]:
    """The benchmarks, by name: the modules of the folder but the tools."""
    found = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    return [name for name in found if name not in TOOLS and not name.startswith("_")]


def completed(row: dict) -> dict:
    """The row with the entry ``met``: whether its target was reached (``None`` without a target).

    Raises: ``ValueError`` for a key that the table lacks, or a text as target without ``met``.
    """
    unknown = row.keys() - COLUMNS.keys()
    if unknown or not {"work", "against"} <= row.keys():
        raise ValueError(
            f"a row needs work and against, and may have {', '.join(COLUMNS)}; got {', '.join(row)}"
        )
    target = row.get("target")
    if "met" in row or target is None:
        return {"met": None} | row
    if isinstance(target, str):
        raise ValueError(
            f"{row['work']}: the target {target!r} is no ratio, "
            "so the row must say whether it was met"
        )
    return row | {"met": bool(row["ratio"] >= target)}


def rows_of(module: ModuleType, full: bool) -> Iterator[dict]:
    """The rows of a benchmark; of its large sizes if it has them and they are wanted."""
    has_sizes = "full" in inspect.signature(module.rows).parameters
    return module.rows(full=full) if has_sizes else module.rows()


def measure(
    chosen: list[str], package=benchmarks, *, full: bool = False
) -> tuple[list[dict], list[str]]:
    """All rows, and the names of the benchmarks that failed.

    Each row is also printed on standard error as soon as it is measured.
    """
    rows, failed = [], []
    for name in chosen:
        try:
            module = importlib.import_module(f"{package.__name__}.{name}")
            for row in map(completed, rows_of(module, full)):
                rows.append(row)
                print(f"{name}: {sentence(row)}", file=sys.stderr, flush=True)
        # One that fails, because an optional package is missing for example, must not stop the
        # rest.
        except Exception as error:
            traceback.print_exc()
            print(f"{name}: failed, {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            failed.append(name)
    return rows, failed


def sentence(row: dict) -> str:
    """One row in words."""
    ratio = f"{tables.number(row['ratio'], 3)}x " if row.get("ratio") is not None else ""
    verdict = {True: "met", False: "missed", None: "no target"}[row["met"]]
    target = "" if row["met"] is None else f"target {tables.cell(row['target'], 3)}, "
    return f"{row['work']} against {row['against']}: {ratio}({target}{verdict})"


def summary(rows: list[dict]) -> str:
    """How many targets were met."""
    targets = [row["met"] for row in rows if row["met"] is not None]
    return f"{sum(targets)} of {len(targets)} targets met"


def page(rows: list[dict], machine: str) -> str:
    """The rows as a page in Markdown, a section each."""
    lines = [
        "# Speed",
        "",
        "Written by `python -m benchmarks --markdown docs/speed.md`; do not edit.",
        "",
        "Both sides are measured in one run, in turn, and the table shows medians in seconds.",
        "The ratio says how many times faster ours is. A machine that is busy with other work",
        "slows both sides, but not always by the same factor. Programs of several threads lose",
        "most, so the ratios of a quiet machine are smaller.",
        "",
        "*Time to verdict* compares CPU seconds of new processes, one of which only imports",
        "JAX. Commands and figures keep compiled functions in `~/.cache/gda-theory/compiled`",
        "(on macOS in `~/Library/Caches`, on Windows in `%LOCALAPPDATA%`), at most 1 GiB.",
        "`THEORY_CACHE=0` switches this off, and `THEORY_CACHE=FOLDER` chooses another folder.",
        "",
        f"{summary(rows)}, on {machine}.",
        "",
        "| work | against | ratio | target | met | ours | compile |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        values = [
            row["work"],
            row["against"],
            *(
                tables.cell(row.get(key), 3)
                for key in ("ratio", "target", "met", "ours_seconds", "compile_seconds")
            ),
        ]
        lines.append("| " + " | ".join(values) + " |")
    lines += [
        "",
        "## Limits and growth",
        "",
        "Each line gives the least that any program would need on this machine, where it is known.",
        "It also says how the time grows with the size of the problem. *Ours* is this project.",
        "",
    ]
    lines += [
        f"* *{row['work']}*: "
        + " ".join(f"{row[key]}." for key in ("limit", "growth") if row.get(key))
        for row in rows
        if row.get("limit") or row.get("growth")
    ]
    return "\n".join(lines) + "\n"


def _load() -> str:
    """How busy the machine was, where the system tells."""
    if not hasattr(os, "getloadavg"):
        return ""
    busy = os.getloadavg()[2]
    return f". In the last 15 minutes {busy:.1f} programs were running on average, these included"


def main(argv: list[str] | None = None, package=benchmarks) -> int:
    """Run the benchmarks and return the exit code.

    It is 0, or 1 if a benchmark failed to run, or 2 for wrong arguments. A missed target is no
    failure.
    """
    available = names(package)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Time this project and other libraries side by side, and compare the medians.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="benchmarks to run, all if none is named: " + ", ".join(available),
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="also write the results to FILE, as a page"
    )
    parser.add_argument(
        "--full",
        action="store_true",
        help="large sizes, where a benchmark has them (minutes, and some GiB)",
    )
    chosen = parser.parse_args(argv)
    unknown = [name for name in chosen.names if name not in available]
    if unknown:
        parser.error(f"unknown benchmark {unknown[0]!r}: choose from {', '.join(available)}")
    entry.enable_float64()
    rows, failed = measure(chosen.names or available, package, full=chosen.full)
    device = str(jax.devices()[0].device_kind)
    if chosen.markdown:
        chosen.markdown.write_text(
            page(rows, f"{os.cpu_count()} cores, {device}, jax {jax.__version__}{_load()}")
        )
    if chosen.json:
        print(
            tables.dumps(
                {"rows": rows, "failed": failed, "device": device, "jax": jax.__version__}, indent=1
            )
        )
    else:
        shown = {
            key: title
            for key, title in COLUMNS.items()
            if any(row.get(key) is not None for row in rows)
        }
        tables.print_table(
            [[row.get(key) for key in shown] for row in rows], list(shown.values()), digits=3
        )
        print(
            f"{summary(rows)}, on {device}, jax {jax.__version__}"
            + (f"; failed to run: {', '.join(failed)}" if failed else "")
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
