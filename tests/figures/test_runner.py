"""``python -m figures`` on small made-up figures: what it writes, keeps, refuses and survives."""

import base64
import csv
import errno
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from html.parser import HTMLParser
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

import figures.__main__ as entry_point
from figures import catalogue, page, runner, sources, store, style
from theory_common.printing import tables

ROOT = Path(__file__).parents[2]
HEAD = """
import numpy as np
TITLE = "A line & <more>"
CAPTION = "Falls <fast>.\\n\\nSecond paragraph."
LEMMAS = ["Lemma 4", "App. F"]
"""
LINE = HEAD + textwrap.dedent("""
    def compute(preset):
        ridge = np.logspace(-300, 300, {"quick": 5, "paper": 9}[preset])
        distance = np.where(ridge > 1, np.nan, np.pi / 3 * np.sqrt(ridge))
        return {"ridge": ridge, "inner": {"distance": distance}}

    def draw(figure, data):
        axes = figure.subplots()
        axes.loglog(data["ridge"], data["inner"]["distance"], label="exact")
        axes.set(xlabel="ridge λ", ylabel="distance")
        axes.legend()

    def claims(data):
        return [("points", None, len(data["ridge"])), ("a <claim>", "none", np.float64(0.25))]
    """)
MIXED = HEAD.replace("A line", "Mixed") + textwrap.dedent("""
    SIZE = (3, 2)

    def compute(preset):
        return {
            "grid": np.arange(6.0).reshape(2, 3) / 7,
            "fold": 1e-300,
            "exists": np.array([True, False]),
            "names": ["a", "b"],
        }

    def draw(figure, data):
        figure.subplots().imshow(data["grid"])

    def claims(data):
        return []
    """)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A function that writes a package of figures, ``name=source``, and returns its name."""
    name = "figures_of_" + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)

    def add(**sources):
        for figure, source in sources.items():
            (folder / f"{figure}.py").write_text(source)
            sys.modules.pop(f"{name}.{figure}", None)
            # A source of the same length in the same second would be taken from the byte code.
            for old in folder.glob(f"__pycache__/{figure}.*"):
                old.unlink()
        return name

    yield add
    for module in [module for module in sys.modules if module.split(".")[0] == name]:
        del sys.modules[module]


@pytest.fixture
def quickly_drawn(monkeypatch):
    """Pictures of few pixels with unchanged fonts, for tests that do not look at pictures.

    Half of the time of drawing one goes into fonts that hold only the letters in use.
    """
    monkeypatch.setitem(style.SETTINGS, "pdf.fonttype", 3)
    monkeypatch.setitem(style.SETTINGS, "savefig.dpi", 50)


def states(folder, package, *names, preset="quick", settings=(), jobs=1):
    run = runner.Run(package, preset, folder, settings)
    outcomes, interrupted = runner.make_all(list(names) or catalogue.names(package), run, jobs)
    assert not interrupted
    return {name: outcome.state for name, outcome in outcomes.items()}


def command(out, package, *arguments):
    """The exit code of ``python -m figures`` in this process."""
    return entry_point.main([*arguments, "--out", str(out), "--jobs", "1"], package)


def test_a_run_writes_what_it_drew(package, tmp_path, capsys):
    out = tmp_path / "deep" / "out"
    assert command(out, package(line=LINE, mixed=MIXED)) == 0
    expected = {
        f"{name}.{suffix}" for name in ("line", "mixed") for suffix in ("pdf", "png", "csv", "json")
    } | {"index.html"}
    assert {path.name for path in out.iterdir()} == expected
    output = capsys.readouterr()
    assert re.search(r"line +points +– +5", output.out)
    assert re.search(r"line +a <claim> +none +0.25", output.out)
    assert "2 computed" in output.out
    assert "line  computed" in output.err

    data = tables.loads((out / "line.json").read_text())["data"]
    ridge = np.logspace(-300, 300, 5)
    assert data["ridge"].tobytes() == ridge.tobytes()
    assert np.array_equal(
        data["inner"]["distance"],
        np.where(ridge > 1, np.nan, np.pi / 3 * np.sqrt(ridge)),
        equal_nan=True,
    )
    json.loads(
        (out / "line.json").read_text(),
        parse_constant=lambda name: pytest.fail(f"{name} is not JSON"),
    )
    with Image.open(out / "mixed.png") as image:
        assert image.size == (600, 400)  # SIZE at 200 dots an inch


@pytest.mark.usefixtures("quickly_drawn")
def test_the_csv_holds_every_number(package, tmp_path):
    assert set(states(tmp_path, package(line=LINE, mixed=MIXED)).values()) == {"computed"}
    wide = list(csv.DictReader(io.StringIO((tmp_path / "line.csv").read_text())))
    data = tables.loads((tmp_path / "line.json").read_text())["data"]
    for name, values in (("ridge", data["ridge"]), ("inner/distance", data["inner"]["distance"])):
        assert np.array_equal([float(row[name]) for row in wide], values, equal_nan=True)
    long = {
        (row["name"], row["index"]): row["value"]
        for row in csv.DictReader(io.StringIO((tmp_path / "mixed.csv").read_text()))
    }
    assert float(long["grid", "1 2"]) == 5 / 7
    assert float(long["fold", ""]) == 1e-300
    assert [long["exists", "0"], long["exists", "1"], long["names", "1"]] == ["True", "False", "b"]
    assert len(long) == 6 + 1 + 2 + 2


@pytest.mark.usefixtures("quickly_drawn")
def test_the_same_inputs_are_not_computed_again(package, tmp_path):
    name = package(line=LINE, mixed=MIXED)
    assert set(states(tmp_path, name).values()) == {"computed"}
    pictures = {path.name: path.read_bytes() for path in tmp_path.glob("*.p*")}
    assert set(states(tmp_path, name).values()) == {"up to date"}
    assert states(tmp_path, name, "line", preset="paper") == {"line": "computed"}
    assert states(tmp_path, name) == {
        "line": "computed",
        "mixed": "up to date",
    }  # the other preset took its place
    assert pictures == {
        path.name: path.read_bytes() for path in tmp_path.glob("*.p*")
    }  # no clock, no random name in them


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A package of the project with two modules and an ``__init__`` that re-exports them."""
    name = "library_of_" + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sources, "PACKAGES", (*sources.PACKAGES, name))
    files = {
        "__init__": f"from {name}.near import ONE\nfrom {name} import far\n__all__ = ['ONE']",
        "near": f"from {name}.below import ZERO\nONE = ZERO + 1",
        "below": "ZERO = 0",
        "far": "TWO = 2",
    }
    for file, text in files.items():
        (folder / f"{file}.py").write_text(text)
    yield folder
    for module in [module for module in sys.modules if module.split(".")[0] == name]:
        del sys.modules[module]


@pytest.mark.usefixtures("quickly_drawn")
@pytest.mark.parametrize(
    "change",
    [
        "figure",
        "below",
        "device",
        *(pytest.param(change, marks=pytest.mark.slow) for change in ("shared", "near", "version")),
    ],
)
def test_a_changed_input_is_computed_again(change, package, library, tmp_path, monkeypatch):
    using = (
        f"import {library.name} as lib\nfrom . import _shared\n{LINE}\nWIDTH = lib.ONE, _shared.ONE"
    )
    name = package(line=using, _shared="ONE = 1")
    assert states(tmp_path, name, "line") == {"line": "computed"}
    assert states(tmp_path, name, "line") == {"line": "up to date"}
    if change == "figure":
        package(line=using + "# changed")
    elif change == "shared":
        package(_shared="ONE = 2")
    elif change == "version":
        monkeypatch.setattr(store, "versions", lambda: {"jax": "0.0"})
    elif change == "device":
        monkeypatch.setattr(store, "device", lambda: "abacus")
    else:
        (library / f"{change}.py").write_text((library / f"{change}.py").read_text() + "\n# new")
    assert states(tmp_path, name, "line") == {"line": "computed"}


@pytest.mark.usefixtures("quickly_drawn")
def test_what_a_figure_does_not_use_leaves_it_up_to_date(package, library, tmp_path):
    using = f"import {library.name} as lib\n{LINE}\nWIDTH = lib.ONE"
    name = package(line=using, other=LINE)
    states(tmp_path, name)
    (library / "far.py").write_text("TWO = 3")
    package(other=LINE + "# changed")
    assert states(tmp_path, name) == {"line": "up to date", "other": "computed"}


def test_all_of_a_package_counts_where_its_names_are_not_seen(package, library):
    def files(use):
        name = package(line=f"import {library.name} as lib\n{use}")
        return {path.stem for path in sources.of(f"{name}.line")} - {"line"}

    assert files("lib.ONE") == {"near", "below"}
    assert files("lib.far.TWO") == {"far"}
    assert files("getattr(lib, 'far')") == {"__init__", "near", "below", "far"}
    assert files("lib.unknown") == {"__init__", "near", "below", "far"}
    (library / "near.py").write_text("import importlib\nONE = importlib.import_module('x')")
    assert files("lib.ONE") == {"__init__", "near", "below", "far"}
    (library / "__init__.py").write_text("from .near import ONE\nFLAG = len('ab')")
    assert files("lib.FLAG") >= {"__init__", "near"}


def test_a_package_that_imports_a_part_when_it_is_used_passes_names_on(package, library):
    late = f"""
def __getattr__(name):
    import importlib
    return importlib.import_module("{library.name}.far")
"""
    (library / "__init__.py").write_text(f"from {library.name}.near import ONE\n{late}")
    looks = "import importlib.util\nHAS = importlib.util.find_spec('x')\n"
    (library / "below.py").write_text(looks + "ZERO = 0")
    for use, expected in (("lib.ONE", {"near", "below"}), ("lib.far.TWO", {"far"})):
        name = package(line=f"import {library.name} as lib\n{use}")
        assert {path.stem for path in sources.of(f"{name}.line")} - {"line"} == expected


def test_a_figure_runs_only_code_that_counts_as_its_input():
    """What ran is seen by a profiler: every file of the project with a function that was called."""
    module = catalogue.load("appendix_j")
    ran = set()

    def look(frame, _event, _argument):
        if frame.f_code.co_name != "<module>":
            ran.add(frame.f_code.co_filename)

    jax.clear_caches()  # else nothing is traced
    sys.setprofile(look)
    try:
        runner.compute(module, "quick", catalogue.defaults("appendix_j"))
    finally:
        sys.setprofile(None)
    project = {str(path) for name in sources.PACKAGES for path in (ROOT / name).rglob("*.py")}
    beside = {str(ROOT / "figures" / f"{tool}.py") for tool in catalogue.TOOLS}
    counted = {str(path) for path in sources.of("figures.appendix_j")}
    assert len(ran & project - beside) > 5
    assert ran & project - beside - counted <= {str(ROOT / "theory_common/printing/tables.py")}


def cut(path):
    path.write_bytes(path.read_bytes()[:100])


def edit_a_number(path):
    path.write_text(path.read_text().replace("1e-300", "1e-299"))


DAMAGES = {
    "cut": cut,
    "removed": Path.unlink,
    "no text": lambda path: path.write_bytes(b"\xff\xfe[["),
}


@pytest.mark.usefixtures("quickly_drawn")
@pytest.mark.parametrize(
    ("suffix", "damage"),
    [(suffix, damage) for suffix in ("json", "png", "pdf", "csv") for damage in DAMAGES.values()]
    + [("json", edit_a_number), ("csv", edit_a_number)],
)
def test_a_damaged_file_is_made_again(suffix, damage, package, tmp_path):
    name = package(mixed=MIXED)
    states(tmp_path, name)
    path = tmp_path / f"mixed.{suffix}"
    before = path.read_bytes()
    damage(path)
    assert not path.exists() or path.read_bytes() != before
    assert states(tmp_path, name) == {"mixed": "computed"}
    if suffix != "json":  # its seconds differ
        assert path.read_bytes() == before


@pytest.mark.usefixtures("quickly_drawn")
def test_one_failure_does_not_stop_the_others(package, tmp_path, capsys, monkeypatch):
    broken = {
        "at_import": "raise ImportError('no such thing')",
        "at_work": LINE.replace("ridge =", "ridge = 1 / 0 +"),
        "bare": "TITLE = 'only a title'",
        "syntax": "def",
        "unstorable": LINE.replace("return {", "return {'z': 1j, "),
    }
    name = package(**broken, zline=LINE)
    assert command(tmp_path, name) == 1
    output = capsys.readouterr()
    for figure in broken:
        assert re.search(rf"^{figure}  failed  \w+Error: ", output.err, re.MULTILINE)
        assert not (tmp_path / f"{figure}.json").exists()
    assert "bare.py must define CAPTION (str)" in output.err
    assert "1 computed, 5 failed" in output.out
    assert (tmp_path / "zline.json").exists()
    assert "no such thing" in (tmp_path / "index.html").read_text()
    monkeypatch.setenv("COLUMNS", "200")  # so that no cell of the table wraps
    assert command(tmp_path, name, "--list") == 1
    assert "cannot be loaded: ImportError: no such thing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nope"], "unknown figure 'nope': choose from line"),
        (["line", "--preset", "huge"], "argument --preset: invalid choice: 'huge'"),
        (["--out", "FILE"], "--out: cannot write to FILE: "),
        (["--out", "FILE/below"], "--out: cannot write to FILE/below: "),
        (["--frobnicate"], "unrecognized arguments: --frobnicate"),
        (["--jobs", "0"], "--jobs: expected a whole number of at least 1, got 0"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_2(
    arguments, message, package, tmp_path, monkeypatch, capsys
):
    name = package(line=LINE)
    monkeypatch.chdir(tmp_path)
    Path("FILE").write_text("a file, no folder")
    with pytest.raises(SystemExit) as stopped:
        entry_point.main(arguments, name)
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("python -m figures: error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not Path("out").exists()


def test_list_and_order(package, tmp_path, capsys):
    name = package(zebra=LINE, fig4=MIXED, _helper="")
    assert catalogue.names(name) == ["fig4", "zebra"]  # ORDER first, then by name
    assert command(tmp_path, name, "--list") == 0
    listed = capsys.readouterr().out
    assert listed.index("fig4") < listed.index("zebra")
    assert "Lemma 4, App. F" in listed


class Links(HTMLParser):
    """Every address a page refers to, and its ids; complains about tags that do not nest."""

    VOID = ("meta", "img")

    def __init__(self, text):
        super().__init__()
        self.addresses, self.ids, self.open, self.text = [], set(), [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.addresses += [attrs[key] for key in ("href", "src") if key in attrs]
        self.ids |= {attrs["id"]} if "id" in attrs else set()
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_can_be_read_by_itself(package, tmp_path):
    name = package(line=LINE, mixed=MIXED)
    command(tmp_path, name)
    found = Links((tmp_path / "index.html").read_text())
    text = " ".join(found.text)
    for said in (
        "A line & <more>",
        "Falls <fast>.",
        "Second paragraph.",
        "a <claim>",
        "0.25",
        "inner/distance",
        "Lemma 4",
        "jax 0.",
        "quick",
    ):
        assert said in text
    beside = {
        f"{name}.{kind}" for name in ("line", "mixed") for kind in ("pdf", "png", "csv", "json")
    }
    inside = [address for address in found.addresses if address not in beside]
    assert beside <= set(found.addresses)  # to download
    assert all(address.startswith(("data:image/webp", "#")) for address in inside)
    assert (
        {address[1:] for address in inside if address.startswith("#")}
        == {"line", "mixed"}
        == found.ids
    )
    pictures = [
        base64.b64decode(address.split(",")[1]) for address in inside if address.startswith("data:")
    ]
    with Image.open(tmp_path / "mixed.png") as full, Image.open(io.BytesIO(pictures[1])) as small:
        assert small.size == tuple(side * 3 // 4 for side in full.size)
        shrunk = np.asarray(full.convert("RGB").resize(small.size), float)
        assert np.mean(np.abs(shrunk - np.asarray(small.convert("RGB"), float))) < 4  # of 255
    assert not re.search(r"https?://", (tmp_path / "index.html").read_text())


@pytest.mark.usefixtures("quickly_drawn")
def test_the_page_counts_what_each_paper_says(package, tmp_path):
    new = LINE.replace('("points", None, ', '("points", "not treated; 1 in theory", ')
    name = package(a=LINE, b=new, c=new.replace("App. F", "arXiv:2410.13770"))
    command(tmp_path, name)
    text = " ".join(" ".join(Links((tmp_path / "index.html").read_text()).text).split())
    assert "3 figures." in text
    assert (
        "check 2 statements of Ascent Fails to Forget (arXiv:2509.26427) and 1 statement of" in text
    )
    assert "3 more rows report results that the papers do not treat" in text
    assert not any(page.treated(cell) for cell in (None, "-", "not treated", "not in the paper"))


def test_a_caption_may_emphasise_words_and_keeps_the_stars_of_symbols():
    found = page.marked("*A word* at w* = p*. Set ``seeds`` < 3 & ε* (dotted).")
    assert found == ("<em>A word</em> at w* = p*. Set <code>seeds</code> &lt; 3 &amp; ε* (dotted).")


@pytest.mark.usefixtures("quickly_drawn")
def test_the_page_keeps_the_figures_of_earlier_runs(package, tmp_path):
    name = package(line=LINE, mixed=MIXED, third=MIXED)
    for figure in ("mixed", "line"):
        command(tmp_path, name, figure)
    page = (tmp_path / "index.html").read_text()
    assert Links(page).ids == {"line", "mixed"}
    assert "python -m figures third" in page
    package(mixed=MIXED + "# no longer what was drawn")
    command(tmp_path, name, "line")
    assert Links((tmp_path / "index.html").read_text()).ids == {"line"}


def a_command(folder, package):
    """``python -m figures`` on another package of figures, in a process of its own."""
    code = (
        f"import sys; sys.path.insert(0, {str(folder)!r}); import figures.__main__ as m; "
        f"sys.exit(m.main(sys.argv[1:], {package!r}))"
    )
    return [sys.executable, "-c", code]


@pytest.mark.parametrize(
    ("jobs", "done"), [("1", "a"), pytest.param("2", "ac", marks=pytest.mark.slow)]
)
def test_ctrl_c_stops_cleanly_and_the_next_run_continues(jobs, done, package, tmp_path):
    # A figure that is done shows that the command has switched float64 on.
    checked = LINE.replace(
        "ridge =", "import jax.numpy as jnp; assert jnp.zeros(()).dtype == 'float64'; ridge ="
    )
    slow = LINE.replace(
        "ridge =", "print('slow begins', flush=True); __import__('time').sleep(WAIT); ridge ="
    )
    name = package(a=checked, b=slow.replace("WAIT", "60"), c=checked)
    out = tmp_path / "out"
    call = [*a_command(tmp_path, name), "--out", str(out), "--jobs", jobs]
    # A shell starts its background jobs with Ctrl-C ignored, which a child would inherit.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    # A terminal sends Ctrl-C to all processes of the group: let this command be one of its own.
    process = subprocess.Popen(
        call,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    signal.signal(signal.SIGINT, before)
    assert process.stdout.readline() == "slow begins\n"
    wait_for(out / f"{done[-1]}.json")
    os.killpg(process.pid, signal.SIGINT)
    output, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert not output
    left = ", ".join(figure for figure in "abc" if figure not in done)
    assert error.splitlines()[-1] == (
        f"interrupted, not done: {left}; the same command continues from here"
    )
    assert "Traceback" not in error
    files = [f"{figure}.{kind}" for figure in done for kind in ("csv", "json", "pdf", "png")]
    assert sorted(path.name for path in out.iterdir()) == [*files, "index.html"]
    package(b=LINE)
    found = states(out, name)
    assert [figure for figure in "abc" if found[figure] == "up to date"] == list(done)


def wait_for(path):
    for _ in range(300):
        if path.exists():
            time.sleep(0.3)  # let the first process hear of it
            return
        time.sleep(0.1)
    pytest.fail(f"{path} did not appear")


@pytest.mark.slow
def test_figures_are_made_in_several_processes(package, tmp_path, capfd):
    broken = LINE.replace("ridge =", "ridge = 1 / 0 +")
    died = LINE.replace("ridge =", "import os; os._exit(7); ridge =")
    name = package(a=LINE, b=broken, c=died, d=MIXED)
    found = states(tmp_path, name, jobs=2)
    assert found == {"a": "computed", "b": "failed", "c": "failed", "d": "computed"}
    error = capfd.readouterr().err
    assert "ZeroDivisionError" in error
    assert "its process ended with code 7" in error
    one = {path.name: path.read_bytes() for path in tmp_path.glob("*.[pc]*")}
    (tmp_path / "again").mkdir()
    states(tmp_path / "again", name, "a", "d")
    for path in (tmp_path / "again").glob("*.[pc]*"):
        assert path.read_bytes() == one[path.name]


@pytest.mark.usefixtures("quickly_drawn")
@pytest.mark.parametrize("full", ["index.html", "line.csv"])
def test_a_full_disk_is_one_line_and_the_claims_are_printed(
    full, package, tmp_path, monkeypatch, capsys
):
    name = package(line=LINE, mixed=MIXED)
    real = os.replace

    def no_space(source, target):
        if Path(target).name == full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(source, target)

    monkeypatch.setattr(store.os, "replace", no_space)
    assert command(tmp_path, name) == 1
    output, error = capsys.readouterr()
    assert f"cannot write {tmp_path / full}: No space left on device" in error
    assert "Traceback" not in error
    assert ("a <claim>" in output) == (full == "index.html")
    assert not (tmp_path / full).exists()
    assert not list(tmp_path.glob(".*"))  # no temporary file is left


WITH_PARAMETERS = (
    LINE.replace("compute(preset)", "compute(preset, power, ends, points)")
    .replace("np.logspace(-300, 300, {", "np.logspace(*ends, points + {")
    .replace("Falls <fast>.", "Falls with {power} from {ends}.")
    + "\nPARAMETERS = {'power': 0.5, 'ends': (-3.0, 3.0), 'points': 0}"
)


@pytest.mark.usefixtures("quickly_drawn")
def test_parameters_can_be_set(package, tmp_path, capsys):
    name = package(line=WITH_PARAMETERS)
    assert command(tmp_path, name, "line", "--set", "ends=-1,2e0", "--set", "points=3") == 0
    stored = tables.loads((tmp_path / "line.json").read_text())
    np.testing.assert_array_equal(stored["data"]["ridge"], np.logspace(-1, 2, 8))
    assert stored["data"]["parameters"]["points"] == 3
    assert stored["changed"] == {"ends": "-1,2", "points": "3"}
    said = " ".join(Links((tmp_path / "index.html").read_text()).text)
    assert "Falls with 0.5 from -1,2." in said
    assert "ends = -1,2, points = 3" in said
    assert states(tmp_path, name, settings=("ends=-1,2", "points=3")) == {"line": "up to date"}
    assert states(tmp_path, name) == {"line": "computed"}
    assert command(tmp_path, name, "--list") == 0
    assert "ends=-3,3, points=0" in capsys.readouterr().out


@pytest.mark.usefixtures("quickly_drawn")
def test_a_figure_may_keep_finished_parts(package, tmp_path):
    text = LINE.replace("compute(preset)", "compute(preset, folder)").replace(
        "    ridge =", "    folder.mkdir()\n    (folder / 'one').touch()\n    ridge ="
    )
    assert states(tmp_path, package(line=text)) == {"line": "computed"}
    assert (tmp_path / "line.parts" / "one").exists()


def test_a_list_takes_any_number_of_entries():
    chosen = catalogue.parameters("trained_grammar", ["depths=3", "rules=2,4"])
    assert (chosen["depths"], chosen["rules"]) == ([3], [2, 4])
    with pytest.raises(ValueError, match="depths must be numbers separated by commas, got ' '"):
        catalogue.parameters("trained_grammar", ["depths= "])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("nope=3", "line has no parameter 'nope': choose from power=0.5, ends=-3,3, points=0"),
        ("power", "expected NAME=VALUE, got 'power'"),
        ("power=much", "line: power must be a number, got 'much'"),
        ("points=2.5", "line: points must be a whole number, got '2.5'"),
        ("ends=1", "line: ends must be 2 numbers separated by commas, got '1'"),
        ("ends=1,b", "line: ends must be a number, got 'b'"),
    ],
)
def test_a_bad_setting_is_one_line(setting, message, package, tmp_path, capsys):
    name = package(line=WITH_PARAMETERS, mixed=MIXED)
    with pytest.raises(SystemExit) as stopped:
        command(tmp_path, name, "line", "--set", setting)
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f"python -m figures: error: --set: {message}\n"
    with pytest.raises(SystemExit):
        command(tmp_path, name, "mixed", "--set", setting)
    assert "has no parameter" in capsys.readouterr().err or "=" not in setting


def test_text_can_be_read_and_colours_told_apart():
    assert (
        min(
            style.SETTINGS[key]
            for key in style.SETTINGS
            if key.endswith(("size", "labelsize")) and key.startswith(("x", "y", "l", "a", "f"))
        )
        >= 9
    )
    channels = np.array(
        [[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in style.COLOURS.values()]
    )
    # Viénot, Brettel and Mollon (1999): what a protanope and a deuteranope see, in linear light.
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    protan = np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]])
    deutan = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])
    for view in (np.eye(3), protan, deutan):
        seen = np.cbrt(linear @ view.T)
        gaps = np.linalg.norm(seen[:, None] - seen[None], axis=-1)[~np.eye(len(seen), dtype=bool)]
        assert gaps.min() > 0.1, gaps.min()
    with (
        pytest.raises(ValueError, match="stop"),
        style.applied(),
    ):  # settings are put back whatever happens
        raise ValueError("stop")
    assert style.matplotlib.rcParams["savefig.dpi"] != style.SETTINGS["savefig.dpi"]


@pytest.mark.parametrize("name", catalogue.names())
def test_every_figure_keeps_the_contract(name):
    module = catalogue.load(name)
    assert module.TITLE
    assert module.CAPTION
    assert module.LEMMAS
    assert all(isinstance(lemma, str) for lemma in module.LEMMAS)
    parameters = catalogue.defaults(name)
    assert parameters == getattr(module, "PARAMETERS", {})
    assert parameters == catalogue.parameters(
        name, [f"{key}={catalogue.written(value)}" for key, value in parameters.items()]
    )
    assert runner.caption(module, parameters)


def test_the_folder_holds_the_tools_it_names():
    folder = Path(catalogue.__file__).parent
    assert all((folder / f"{tool}.py").exists() for tool in catalogue.TOOLS)
