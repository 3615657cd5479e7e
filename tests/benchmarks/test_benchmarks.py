"""The table of ``python -m benchmarks`` on made-up benchmarks, and whether clocks are fair."""

import json
import sys
import types

import numpy as np
import pytest

import benchmarks.__main__ as command
from benchmarks import imports, scale, timing, verdict

FAST = """
def rows():
    yield dict(work="roots", against="SciPy", ours_seconds=0.5, theirs_seconds=600.0, ratio=1200.0,
        target=1000, growth="linear")
    yield dict(work="roots, twice", against="SciPy", ratio=4.9, target=5)
    yield dict(work="import", against="jax", target="+0.3 s at most", met=True)
    yield dict(work="bare", against="nothing")
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of three benchmarks, one of which fails after its first row."""
    folder = tmp_path / "made_up"
    folder.mkdir()
    sources = {
        "__init__": "",
        "fast": FAST,
        "timing": "",
        "late": FAST.replace("    yield dict(work='bare'", "") + "    raise OSError('disk full')\n",
    }
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source)
    module = types.ModuleType("made_up")
    module.__path__ = [str(folder)]
    monkeypatch.setitem(sys.modules, "made_up", module)
    yield module
    for name in [name for name in sys.modules if name.startswith("made_up.")]:
        del sys.modules[name]


def test_the_table(package, capsys):
    assert command.main(["fast"], package) == 0
    output = capsys.readouterr()
    assert "2 of 3 targets met" in output.out
    assert "growth" in output.out
    assert "hardware limit" not in output.out  # no row says one
    assert "fast: roots against SciPy: 1,200x (target 1,000, met)" in output.err
    assert "fast: roots, twice against SciPy: 4.9x (target 5, missed)" in output.err
    assert "fast: bare against nothing: (no target)" in output.err


def test_the_page(package, capsys, tmp_path):
    assert command.main(["fast", "--markdown", str(tmp_path / "speed.md")], package) == 0
    lines = (tmp_path / "speed.md").read_text().split("\n")
    assert "| roots | SciPy | 1,200 | 1,000 | yes |" in "\n".join(lines)
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 6
    assert {line.count("|") for line in table} == {8}
    assert any(line.startswith("2 of 3 targets met, on ") for line in lines)


def test_a_benchmark_that_fails_keeps_its_rows_and_the_others(package, capsys):
    assert command.main(["--json"], package) == 1
    output = capsys.readouterr()
    result = json.loads(output.out)
    assert result["failed"] == ["late"]
    assert len(result["rows"]) == 8
    assert result["rows"][1] == {
        "work": "roots, twice",
        "against": "SciPy",
        "ratio": 4.9,
        "target": 5,
        "met": False,
    }
    assert "late: failed, OSError: disk full" in output.err


def test_an_unknown_name(package, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(["slow"], package)
    assert stopped.value.code == 2
    assert "unknown benchmark 'slow': choose from fast, late" in capsys.readouterr().err


@pytest.mark.parametrize(
    "row",
    [
        {"work": "a"},
        {"work": "a", "against": "b", "speed": 3},
        {"work": "a", "against": "b", "target": "soon"},
    ],
    ids=["no against", "unknown key", "a text as target, and no verdict"],
)
def test_a_row_that_the_table_cannot_show(row):
    with pytest.raises(ValueError, match=r"a row needs|must say whether"):
        command.completed(row)


def test_medians_take_turns():
    order = []
    mine, theirs = (
        iter([9.0, 1.0, 100.0, 2.0]),
        iter([9.0, 5.0, 4.0, 6.0]),
    )  # the first of each warms up

    def measure(name, numbers):
        order.append(name)
        return next(numbers)

    assert timing.medians(lambda: measure("a", mine), lambda: measure("b", theirs), turns=3) == (
        2.0,
        5.0,
    )
    assert "".join(order) == "ab" + "ab" + "ba" + "ab"


def test_seconds_and_imports_measure(monkeypatch):
    clock = iter([1.0, 4.0, 4.0, 5.0])
    monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
    assert timing.compile_seconds(lambda: None) == 2.0
    monkeypatch.undo()
    assert 0 < imports.import_seconds("json") < 5


def test_cpu_seconds_are_those_of_the_child():
    """Of a child that computes for 0.3 s and then sleeps: the sleep does not count."""
    spin = "import time\nwhile time.process_time() < 0.3: pass\ntime.sleep(0.5)\nprint('done')"
    used, printed = verdict.cpu_seconds("-c", spin, cache="0")
    assert printed == "done\n"
    assert 0.3 <= used < 0.8
    with pytest.raises(RuntimeError, match="ended with 3"):
        verdict.cpu_seconds("-c", "raise SystemExit(3)", cache="0")


def test_a_child_has_the_settings_of_a_new_user(monkeypatch):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "elsewhere")
    monkeypatch.setenv("XLA_FLAGS", "--none")
    code = "import os; print([os.environ.get(name) for name in "
    code += "('JAX_COMPILATION_CACHE_DIR', 'XLA_FLAGS', 'THEORY_CACHE')])"
    assert verdict.cpu_seconds("-c", code, cache="here")[1] == "[None, None, 'here']\n"


def test_a_row_of_a_time_to_verdict():
    """Medians on both sides; the target is a multiple of the other side's."""
    solve = verdict.Command(package="gda_theory", arguments="solve --json")
    assert solve.title() == "gda_theory solve"
    row = verdict.multiple_of_import("solve", [9.0, 1.0, 2.0], [0.5, 0.4, 0.6], 4)
    assert (row["ours_seconds"], row["theirs_seconds"], row["ratio"]) == (2.0, 0.5, 0.25)
    assert row["met"] is True
    assert row["limit"] == "It takes 4 times the CPU seconds of import jax"
    assert verdict.multiple_of_import("solve", [2.1], [0.5], 4)["met"] is False
    assert set(row) <= set(command.COLUMNS)


def test_a_benchmark_with_sizes_is_told_which(package, monkeypatch, capsys):
    sized = types.ModuleType("made_up.fast")
    sized.rows = lambda full=False: [{"work": "full" if full else "quick", "against": "b"}]
    monkeypatch.setitem(sys.modules, "made_up.fast", sized)
    for arguments, size in ((["fast"], "quick"), (["fast", "--full"], "full")):
        assert command.main([*arguments, "--json"], package) == 0
        assert json.loads(capsys.readouterr().out)["rows"][0]["work"] == size


def test_rows_of_large_tables():
    ours = {"cpu": 30.0, "gibibytes": 3.0, "compile": 9.0}
    row = scale.diagnosis_row(ours, {"cpu": 1.0}, 1000)
    assert row["met"]
    assert row["ratio"] == pytest.approx(1 / 30)
    assert not scale.diagnosis_row(ours | {"gibibytes": 9.0}, {"cpu": 1.0}, 1000)["met"]
    assert not scale.diagnosis_row(ours, {"cpu": 0.7}, 1000)["met"]
    linear = scale.growth_row({1000: 1.0, 10_000: 10.0, 100_000: 100.0})
    assert linear["met"]
    assert linear["growth"].startswith("The slope is 1.00 for the part that grows, beside 0.0 s")
    beside = {size: 20 + 2e-4 * size for size in (10_000, 30_000, 100_000, 300_000, 1_000_000)}
    fixed, factor, power = scale.growing_part(beside)
    np.testing.assert_allclose([fixed, power], [20, 1], rtol=1e-3)
    np.testing.assert_allclose(factor * 1e6**power, 200, rtol=1e-3)
    row = scale.growth_row(beside)
    assert row["met"]
    assert "1.00 for the part that grows, beside 20.0 s that do not; 0." in row["growth"]
    square = {size: 20 + 1e-9 * size**2 for size in beside}
    assert not scale.growth_row(square)["met"]
    assert not scale.growth_row({1000: 1.0, 10_000: 14.0})["met"]


def test_both_readers_give_the_same_table(tmp_path, monkeypatch):
    """Ours scales on the kept rows, theirs on all."""
    monkeypatch.setattr(scale, "QUICK", 500)
    path = str(tmp_path / "table.csv")
    scale.write_csv(path, 60)
    given, (features, labels) = scale.read_ours(path)(), scale.read_theirs(path)()
    assert given.features.shape == features.shape == (60, 50)
    np.testing.assert_array_equal(given.signs, 2 * labels - 1)
    kept = np.asarray(given.features)[6:]
    np.testing.assert_allclose(kept.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(np.corrcoef(given.features[:, 0], features[:, 0])[0, 1], 1)
