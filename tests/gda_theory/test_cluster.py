"""A Dask cluster of two processes, of which one is killed: the same answer, and the same words."""

import contextlib
import io
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import gda_theory as gt
from gda_theory import cli
from gda_theory.commands import diagnose
from theory_common import entry
from theory_common.batching import cluster


@pytest.fixture(autouse=True)
def keep_the_compiler_of_the_tests(monkeypatch):
    """The command would set the compiler's options for all later tests."""
    monkeypatch.setattr(entry, "compile_quickly", lambda **options: None)


def write(folder: Path, rows: int = 400, files: int = 5) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(rows, 4))
    frame = pl.DataFrame(features, schema=list("abcd")).with_columns(
        branch=pl.Series(rng.integers(0, 20, rows)),
        default=pl.Series(features[:, 0] + rng.logistic(size=rows) > 0),
    )
    for number, part in enumerate(np.array_split(np.arange(rows), files)):
        frame[part].write_parquet(folder / f"part-{number}.parquet")


def diagnosed(*arguments: str) -> dict:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert cli.main(["diagnose", *arguments, "--json"]) == 0
    return json.loads(out.getvalue())


FORGET = ("--label", "default", "--forget", "branch = 7")


def test_a_folder_is_diagnosed_by_threads(tmp_path, capsys):
    write(tmp_path, files=2)
    found = diagnosed(f"{tmp_path}/part-*.parquet", *FORGET, "--strength", "0.1")
    frame = pl.concat([pl.read_parquet(path) for path in sorted(tmp_path.glob("*"))])
    expected = gt.retrain(gt.Problem.from_frame(frame, label="default", forget="branch = 7"))
    np.testing.assert_allclose(
        found["given"]["retrain_norm"], np.linalg.norm(expected.weights), rtol=1e-12
    )
    assert cli.main(["diagnose", str(tmp_path), *FORGET, "--html", str(tmp_path / "x.html")]) == 2
    assert "--html needs rows in memory" in capsys.readouterr().err
    assert not (tmp_path / "x.html").exists()


def test_passes_are_shown_on_a_terminal_only(monkeypatch):
    said = []

    class Terminal(io.StringIO):
        def isatty(self):
            return True

        def write(self, text):
            said.append(text)
            return len(text)

    with diagnose._shown_passes() as watch:
        assert watch is None
    monkeypatch.setattr(sys, "stderr", Terminal())
    with diagnose._shown_passes() as watch:
        watch()
        watch()
        time.sleep(0.3)  # the line is drawn ten times a second
    assert "2 passes over the rows" in "".join(said)


def test_a_scheduler_that_is_not_there_is_an_error(monkeypatch, tmp_path, capsys):
    write(tmp_path)
    monkeypatch.setattr(cluster, "SECONDS", 0.2)
    arguments = ["diagnose", str(tmp_path), *FORGET, "--scheduler", "tcp://127.0.0.1:9"]
    assert cli.main(arguments) == 2
    assert "no Dask scheduler answers at 'tcp://127.0.0.1:9'" in capsys.readouterr().err


@pytest.mark.slow  # a minute: each worker process imports JAX and compiles
@pytest.mark.filterwarnings("default")  # a killed worker makes the cluster complain
def test_a_worker_that_is_killed_midway_changes_nothing(tmp_path):
    from distributed import Client, LocalCluster

    write(tmp_path, rows=40_000, files=16)
    expected = diagnosed(str(tmp_path), *FORGET)
    killed: list[int] = []
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as local,
        Client(local) as client,
    ):
        workers = client.run(os.getpid)
        assert len(set(workers.values())) == 2

        def kill_one():
            """As soon as a worker has finished some sums and computes others."""
            while not killed:
                done = client.run_on_scheduler(finished_tasks)
                if done >= 40:
                    victim = next(iter(workers.values()))
                    os.kill(victim, signal.SIGKILL)
                    killed.append(victim)
                time.sleep(0.05)

        thread = threading.Thread(target=kill_one)
        thread.start()
        found = diagnosed(str(tmp_path), *FORGET, "--scheduler", local.scheduler_address)
        thread.join(timeout=60)
        assert killed
        assert client.run_on_scheduler(finished_tasks) > 200  # most of the work came after
        assert killed[0] not in client.run(os.getpid).values()
    assert found["verdict"] == expected["verdict"]
    for name, value in expected["given"].items():
        if isinstance(value, float) and not name.endswith("gradient_norm"):
            np.testing.assert_allclose(found["given"][name], value, rtol=1e-12, err_msg=name)


def finished_tasks(dask_scheduler) -> int:
    """How many tasks the scheduler has seen finished."""
    return sum(kind.state_counts["memory"] for kind in dask_scheduler.task_prefixes.values())
