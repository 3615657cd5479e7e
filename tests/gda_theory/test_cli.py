"""The commands, called in this process.

They print what they should, and strict JSON with ``--json``. Bad input gives one line and exit
code 2.
"""

import json

import numpy as np
import pytest

import gda_theory as gt
from gda_theory import cli
from gda_theory.commands import diagnose as diagnose_command
from gda_theory.problem import tables as data

DIAGNOSE = ["diagnose", "breast_cancer", "--forget", "random:28", "--seed", "0", "--ridge", "1e-2"]
SOLVE = [
    "solve",
    "--correlation=0.5",
    "--ridge=0.1",
    "--retain-size=80",
    "--forget-size=20",
    "--retain-in-pair=8",
    "--forget-in-pair=1",
]
FILE = "a,b,y\n1,2,0\n3,1,1\n2,5,0\n-1,4,1\n"


@pytest.fixture
def run(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")

    def call(arguments):
        code = cli.main(arguments)
        return code, *capsys.readouterr()

    return call


def reads(text):
    """Strict JSON, as a dict."""
    return json.loads(text, parse_constant=lambda constant: pytest.fail(f"{constant} is not JSON"))


def test_diagnose_prints_one_screen_and_says_what_was_done(run, tmp_path):
    numbers = tmp_path / "numbers.json"
    code, out, err = run([*DIAGNOSE, "--json", str(numbers)])
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert len(lines) <= 64
    assert lines[-1] == f"Written: {numbers}"  # a path, of any length
    assert max(map(len, lines[:-1])) <= 80
    for said in (
        "28 rows drawn at random (seed 0)",
        "features standardised",
        "logistic loss, means, no intercept",
        "VERDICT: Predictions of your model and of the retrained one differ by at most",
        "Do not use gradient ascent",
    ):
        assert said in out
    answer = reads(numbers.read_text())
    expected = gt.diagnose(
        data.load("breast_cancer", forget="random:28", seed=0).problem(ridge=1e-2)
    )
    assert answer["verdict"] == expected.verdict
    assert answer["given"]["break_even_strength"] == expected.given.break_even_strength
    assert answer["given"]["descent_ascent_distance"] is None
    assert answer["other"]["reduction"] == "sum"


@pytest.mark.slow
def test_diagnose_takes_every_option(run, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text(FILE)
    options = (
        "--label y --forget 0 --reduction sum --loss exponential --strength 0.5 "
        "--no-standardize --drop b --ridge 0.3 --json"
    )
    code, text, _ = run(["diagnose", str(path), *options.split()])
    answer = reads(text)
    assert code == 0
    assert answer["strength"] == 0.5
    assert (answer["given"]["reduction"], answer["given"]["ridge"]) == ("sum", 0.3)
    assert "features as they are, not standardised" in answer["data"]
    assert "model: exponential loss, sums, no intercept" in answer["data"]
    expected = gt.pretrain(
        gt.Problem(
            [[1.0], [3], [2], [-1]],
            [0, 1, 0, 1],
            np.arange(4) < 1,
            ridge=0.3,
            loss="exponential",
            reduction="sum",
        )
    )
    oracle = gt.retrain(
        gt.Problem(
            [[1.0], [3], [2], [-1]],
            [0, 1, 0, 1],
            np.arange(4) < 1,
            ridge=0.3,
            loss="exponential",
            reduction="sum",
        )
    )
    np.testing.assert_allclose(
        answer["given"]["pretrain_distance"], abs(expected.weights - oracle.weights)[0], rtol=1e-12
    )


def test_diagnose_says_what_became_of_each_column(run, tmp_path):
    rng = np.random.default_rng(0)
    lines = ["; age;city;joined;customer;y"]
    for row in range(40):
        age = "" if row % 9 == 0 else f"{rng.integers(18, 80)},5"
        city = ["Oslo", "Rome", "Bonn"][row % 3]
        cells = [row, age, city, f"20{row % 20:02d}-01-05", f"C{row}", rng.integers(2)]
        lines.append("; ".join(map(str, cells)))
    path = tmp_path / "customers.csv"
    path.write_bytes("\n".join(lines).encode("utf-16"))
    ids = tmp_path / "requests.txt"
    ids.write_text("C3\nC17\nC80\n")
    options = ["--label", "y", "--decimal", ",", "--ridge", "0.1", "--json"]
    ids_of = ["--forget-ids", str(ids), "--id", "customer"]
    code, _, err = run(["diagnose", str(path), *options, *ids_of])
    assert code == 2
    assert "1 of 3 ids match no row" in err
    code, text, _ = run(["diagnose", str(path), *options, *ids_of, "--allow-missing"])
    assert code == 0
    said = "\n".join(reads(text)["data"])
    for part in (
        "customers.csv: 40 rows, 5 features",
        "the unnamed first column is an index: dropped",
        "to forget: 2 rows whose customer is among 3 ids (1 match no row)",
        "  row 3: ",
        "no feature, since rows were selected by it: customer (--keep-selector)",
        "3 columns needed a decision:",
        "  age: number; 5 empty cells imputed by the median",
        "  city: text, 3 values, one-hot",
        "  joined: date, as days from its mean",
        "features standardised on 38 kept rows: |mean| <= ",
    ):
        assert part in said
    condition = "city = 'Oslo' and joined < '2010-01-01'"
    code, text, _ = run(["diagnose", str(path), *options, "--forget", condition])
    assert code == 0
    assert f"to forget: 7 rows where {condition}" in reads(text)["data"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["diagnose", "nowhere.csv", "--label", "y", "--forget", "0"], "no file 'nowhere.csv'"),
        (["diagnose", "FILE", "--label", "z", "--forget", "0"], "has no column 'z'"),
        (["diagnose", "FILE", "--label", "y", "--forget", "a ="], "is no SQL condition"),
        (
            ["diagnose", "FILE", "--label", "y", "--forget-ids", "BROKEN"],
            "forget_ids needs id",
        ),
        (
            ["diagnose", "FILE", "--label", "y", "--forget-ids", "BROKEN", "--id", "a"],
            "5 of 5 ids match no row",
        ),
        (["diagnose", "FILE", "--label", "y", "--forget", "9"], "row numbers must be from 0 to 3"),
        (
            ["diagnose", "FILE", "--label", "y", "--forget", "y==1"],
            "forget must leave each class in the retain set",
        ),
        (
            ["diagnose", "BROKEN", "--label", "y", "--forget", "0"],
            "broken.csv, line 3: expected 3 cells",
        ),
        (
            ["diagnose", "FILE", "--label", "y", "--forget", "0", "--ridge", "-1"],
            "ridge must be finite and > 0",
        ),
        (
            ["diagnose", "FILE", "--label", "y", "--forget", "0", "--intercept", "--ridge", "0"],
            "ridge must be finite and > 0",
        ),
        ([*SOLVE, "--ridge", "0"], "ridge must be finite and > 0, got 0"),
        ([*SOLVE, "--correlation", "1"], "correlation must be in [0, 1), got 1"),
        ([*SOLVE, "--forget-in-pair", "21"], "allow_unrealisable"),
        ([*SOLVE, "--retain-in-pair", "81"], "retain_in_pair must be <= retain_size = 80, got 81"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run, tmp_path, arguments, message):
    for name, text in (("FILE", FILE), ("BROKEN", FILE.replace("3,1,1", "3,1"))):
        path = tmp_path / f"{name.lower()}.csv"
        path.write_text(text)
        arguments = [str(path) if argument == name else argument for argument in arguments]
    code, out, err = run(arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err


def test_ctrl_c_is_one_line_and_exit_code_130(run, monkeypatch, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(diagnose_command, "diagnose", interrupted)
    assert run(DIAGNOSE) == (130, "", "gda_theory diagnose: interrupted\n")
    written = [
        *DIAGNOSE,
        "--json",
        str(tmp_path / "out.json"),
        "--html",
        str(tmp_path / "out.html"),
    ]
    assert run(written)[0] == 130
    assert not list(tmp_path.iterdir())  # nothing is left half written


def test_an_unknown_option_is_exit_code_2(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([*SOLVE, "--loss", "hinge"])
    assert stop.value.code == 2
    assert "invalid choice: 'hinge'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "loss", ["exponential", pytest.param("logistic", marks=pytest.mark.slow)]
)  # compiling takes 15 s
def test_solve_prints_the_answers_of_the_library_with_their_claims(run, loss):
    code, text, _ = run([*SOLVE, "--loss", loss, "--json"])
    found = {answer["name"]: answer for answer in reads(text)["answers"]}
    assert code == 0
    reference = {
        "exponential": (0.651547905441852, 0.290886803352252, 0.147361369022355),
        "logistic": (0.4783131590057965, 0.3026119392056256, 0.1738935510708352),
    }[loss]
    answers = (
        found["retrained (x, y)"]["value"][0],
        found["x_D <= x_R up to alpha"]["value"],
        found["y_D <= y_R up to alpha"]["value"],
    )
    np.testing.assert_allclose(answers, reference, rtol=1e-12)
    if loss == "exponential":
        np.testing.assert_allclose(found["fold 1: alpha"]["value"], 0.178062078871913, rtol=1e-12)
        np.testing.assert_allclose(
            found["fold 1 (x, y)"]["value"], [0.00443659224492311, -0.554464204320641], rtol=1e-12
        )
        assert "saddle (x, y)" in found
    else:
        assert found["folds"]["value"] == "none: the minimum never disappears"
    assert found["retrained (x, y)"]["claims"] == ["lemma-6"]
    assert found["Lemma 10: up to alpha"]["claims"] == ["lemma-10-x", "lemma-10-y"]
    assert all(answer["claims"] for answer in found.values())
    _, table, _ = run([*SOLVE, "--loss", loss])
    assert "descent-ascent ends farther" in " ".join(table.split())
    assert max(map(len, table.splitlines())) <= 100


def test_solve_beyond_the_fold_says_so(run):
    _, text, _ = run([*SOLVE, "--ridge", "0.001", "--json"])
    found = {answer["name"]: answer["value"] for answer in reads(text)["answers"]}
    assert found["descent-ascent (x, y)"] == [None, None]
    assert "met a saddle" in found["descent-ascent: status"]
    assert "diverges" in found["regime"]


@pytest.mark.slow
def test_sums_have_no_sufficient_window(run):
    _, text, _ = run([*SOLVE, "--reduction", "sum", "--json"])
    found = {answer["name"]: answer["value"] for answer in reads(text)["answers"]}
    assert found["exact window of alpha"] == "empty"
    assert found["Lemmas 9 and 10: window of alpha"] == "empty"
