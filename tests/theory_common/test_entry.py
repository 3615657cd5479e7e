"""What the commands switch on, each in a process of its own."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from theory_common import entry

ROOT = Path(__file__).parents[2]
SHOW = "import json, os\nimport jax.numpy as n\nfrom theory_common import entry\n{}\n" + (
    "print(json.dumps([str(n.exp(n.ones(3)).dtype), os.environ.get('XLA_FLAGS')]))"
)


def shown(code: str, **environment: str) -> list:
    kept = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    done = subprocess.run(
        [sys.executable, "-c", SHOW.format(code)],
        cwd=ROOT,
        env=kept | {"JAX_ENABLE_X64": "0"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_importing_changes_nothing_and_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    found = shown("import gda_theory, rhm_theory", XDG_CACHE_HOME=str(tmp_path))
    assert found == ["float32", None]
    assert not list(tmp_path.iterdir())


@pytest.fixture
def beside(monkeypatch):
    """XLA's flags after ``compile_quickly``, where the user has chosen one. No XLA reads them."""

    def flags(chosen: str, **options: bool) -> str:
        monkeypatch.setenv("XLA_FLAGS", chosen)
        entry.compile_quickly(**options)
        return os.environ["XLA_FLAGS"]

    return flags


def test_quick_compilation_is_added_to_what_the_user_has_chosen(beside):
    (quick,) = entry.QUICK_TO_COMPILE
    assert beside("") == quick
    devices = "--xla_force_host_platform_device_count=2"
    assert beside(devices) == f"{devices} {quick}"
    chosen = "--xla_cpu_use_fusion_emitters=true"
    assert beside(chosen) == chosen


def test_small_problems_are_hardly_optimised_and_in_float64(beside):
    """XLA, which ends the process at a flag that it does not know, accepts all of them."""
    quick = " ".join(entry.QUICK_TO_COMPILE + entry.HARDLY_OPTIMISED)
    both = "entry.enable_float64(); entry.compile_quickly(optimise=False)"
    assert shown(both) == ["float64", quick]
    chosen = "--xla_backend_optimization_level=2"
    left = quick.replace(entry.HARDLY_OPTIMISED[0], "").replace("  ", " ")
    assert beside(chosen, optimise=False) == f"{chosen} {left}"


CACHED = """
import os, sys, warnings
warnings.simplefilter("error")
from theory_common import entry
{before}
folder = entry.keep_compiled_code()
import jax, jax.numpy as n
print(folder, float(jax.jit(lambda x: n.sin(x) + 1)(0.0)))
"""


def cached(environment: dict, before: str = "") -> list[str]:
    """The cache folder and the number 1.0, as a new process prints them. Warnings are errors."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    done = subprocess.run(
        [sys.executable, "-c", CACHED.format(before=before)],
        cwd=ROOT,
        env=kept | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


def compiled(folder: Path) -> dict[str, float]:
    """The compiled functions in a folder, and when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*-cache")}


def test_compiled_code_is_kept_in_the_users_cache_directory(tmp_path):
    """The second process reads what the first has written, and writes nothing."""
    folder = tmp_path / "gda-theory" / "compiled"
    environment = {"XDG_CACHE_HOME": str(tmp_path), "THEORY_CACHE": ""}
    expected = [str(folder), "1.0"]
    assert cached(environment) == expected
    first = compiled(folder)
    assert any("lambda" in name for name in first)
    assert cached(environment) == expected
    assert compiled(folder) == first
    assert folder.stat().st_mode & 0o077 == 0


def test_the_user_chooses_the_cache(tmp_path):
    mine = {"XDG_CACHE_HOME": str(tmp_path / "home")}
    assert cached(mine | {"THEORY_CACHE": "0"}) == ["None", "1.0"]
    chosen = tmp_path / "chosen"
    assert cached(mine | {"THEORY_CACHE": str(chosen)}) == [str(chosen), "1.0"]
    assert compiled(chosen)
    theirs = mine | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "theirs")}
    assert cached(theirs | {"THEORY_CACHE": str(chosen)}) == ["None", "1.0"]
    assert not (tmp_path / "home").exists()


def test_a_folder_that_cannot_be_used_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    unusable = [str(tmp_path / "file"), str(tmp_path / "file" / "below")]
    others = f"for folder in {unusable}:\n    os.environ['THEORY_CACHE'] = folder\n"
    others += "    assert entry.keep_compiled_code() is None\n"
    others += "os.environ['THEORY_CACHE'] = '/proc/nothing'"
    assert cached({}, others) == ["None", "1.0"]


@pytest.mark.slow
def test_a_full_disk_is_no_error(tmp_path):
    """Neither one that is full from the start nor one that fills while the command runs."""
    full = "import collections, shutil\nUsage = collections.namedtuple('Usage', 'free')\n"
    full += "shutil.disk_usage = lambda folder: Usage(0)"
    assert cached({"THEORY_CACHE": str(tmp_path)}, full) == [str(tmp_path), "1.0"]
    assert not compiled(tmp_path)
    # From here on no file of this process grows beyond 100 bytes.
    fills = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))"
    assert cached({"THEORY_CACHE": str(tmp_path)}, fills) == [str(tmp_path), "1.0"]
    assert max(path.stat().st_size for path in tmp_path.glob("*-cache")) <= 100
    # What was cut off there is not taken for code.
    assert cached({"THEORY_CACHE": str(tmp_path)}) == [str(tmp_path), "1.0"]


def test_the_cache_has_a_size_limit(tmp_path):
    """The files written first go first, and other files stay."""
    for age in range(8):
        path = tmp_path / f"function{age}-cache"
        path.write_bytes(bytes(100))
        os.utime(path, (1e9 - age, 1e9 - age))
    (tmp_path / "notes.txt").write_text("mine")
    limited = "entry.CACHE_BYTES = 480"
    assert cached({"THEORY_CACHE": str(tmp_path)}, limited) == [str(tmp_path), "1.0"]
    left = {name for name in compiled(tmp_path) if name.startswith("function")}
    assert left == {f"function{age}-cache" for age in range(3)}
    assert (tmp_path / "notes.txt").exists()


def test_nobody_reads_on():
    """As in ``... | head``: no traceback, neither now nor when Python closes the file."""
    program = "import sys; from theory_common import entry; "
    program += "sys.exit(entry.shown(lambda: print('a line')))"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == (b"", 1)
    assert entry.shown(lambda: None) == 0


def interrupted():
    raise KeyboardInterrupt


def of_wrong_input():
    raise ValueError("ridge must be > 0, got -1")


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        (lambda: 0, 0, ""),
        (lambda: 3, 3, ""),
        (interrupted, 130, "prog: interrupted\n"),
        (of_wrong_input, 2, "prog: ridge must be > 0, got -1\n"),
    ],
)
def test_a_command_ends_in_one_line_and_a_code(capsys, command, code, said):
    assert entry.run_command("prog", command) == code
    assert capsys.readouterr() == ("", said)


def test_a_defect_of_the_program_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        entry.run_command("prog", lambda: 1 // 0)


def test_every_command_can_say_its_version(capsys):
    parser = argparse.ArgumentParser()
    entry.add_version(parser)
    with pytest.raises(SystemExit) as stop:
        parser.parse_args(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith("gda-theory ")
