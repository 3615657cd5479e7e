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


def shown(code: str, flags: str | None) -> list:
    environment = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"} | {
        "JAX_ENABLE_X64": "0"
    }
    environment |= {} if flags is None else {"XLA_FLAGS": flags}
    done = subprocess.run(
        [sys.executable, "-c", SHOW.format(code)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_importing_changes_nothing():
    assert shown("import gda_theory, rhm_theory", None) == ["float32", None]


def test_float64():
    assert shown("entry.enable_float64()", None) == ["float64", None]


def test_quick_compilation_is_added_to_what_the_user_has_chosen():
    """And XLA, which ends the process at a flag that it does not know, accepts it."""
    assert shown("entry.compile_quickly()", None)[1] == entry.QUICK_TO_COMPILE
    devices = "--xla_force_host_platform_device_count=2"
    assert shown("entry.compile_quickly()", devices)[1] == f"{devices} {entry.QUICK_TO_COMPILE}"
    chosen = "--xla_cpu_use_fusion_emitters=true"
    assert shown("entry.compile_quickly()", chosen)[1] == chosen


def test_nobody_reads_on():
    """As in ``... | head``: no traceback, neither now nor when Python closes the file."""
    program = "import sys; from theory_common import entry; sys.exit(entry.shown(lambda: print('a line')))"
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
