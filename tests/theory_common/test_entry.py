"""What the commands switch on, each in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

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
