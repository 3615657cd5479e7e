"""Files of sequences: three formats with the same content, every error named.

The commands print what the library computes.
"""

import json

import numpy as np
import pytest

import derivations
from rhm_theory import cli
from rhm_theory.experiment import measure, probe
from rhm_theory.theory import mean_field


@pytest.fixture(scope="module")
def sequences():
    rng = np.random.default_rng(0)
    starts = rng.integers(0, 5, (6, 12))
    keep = np.repeat(rng.random((6, 9, 4)) < 0.6, 3, axis=-1)
    return starts, np.where(keep, starts[:, None], rng.integers(0, 5, (6, 9, 12)))


@pytest.fixture
def files(sequences, tmp_path):
    starts, samples = sequences
    np.savez(tmp_path / "a.npz", starts=starts, samples=samples)
    np.save(tmp_path / "a.npy", np.concatenate([starts[:, None], samples], 1))
    lines = [[f"s{i}", *row] for i in range(6) for row in (starts[i], *samples[i])]
    (tmp_path / "a.csv").write_text("\n".join(",".join(map(str, line)) for line in lines))
    return [tmp_path / f"a.{kind}" for kind in ("npz", "npy", "csv")]


def test_three_formats_say_the_same(sequences, files):
    starts, samples = sequences
    expected = measure.measure(samples != starts[:, None], r_max=5)
    for path in files:
        loaded = probe.load(path)
        np.testing.assert_array_equal(loaded.starts, starts)
        np.testing.assert_array_equal(loaded.samples, samples)
        np.testing.assert_array_equal(
            probe.probe(loaded, r_max=5).susceptibility, expected.susceptibility
        )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,1,2\na,1", "line 2: expected a label and 2 symbols, got 1"),
        ("a,1,2\na,1,-2\na,1,1", "line 2: symbols must be >= 0, got -2"),
        ("a,1,2\na,1,x", "line 2: symbols must be integers"),
        ("a,1,2\na,1_0,2", "line 2: symbols must be integers"),
        ("a,1,2\na,1,2", "needs at least 2 samples"),
        (
            "a,1,2\na,1,2\na,1,2\nb,1,1\nb,1,1",
            "every start needs as many samples: 'b' has 1, 'a' has 2",
        ),
        ("", "no sequences"),
        (b"a,1,2\na,\xe9,2", r"line 2: not UTF-8 text (byte 0xe9)"),
    ],
)
def test_broken_files_are_named(tmp_path, capsys, text, message):
    path = tmp_path / "broken.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert cli.main(["probe", str(path)]) == 2
    said = capsys.readouterr().err
    assert "broken.csv" in said
    assert message in said


def test_broken_arrays_are_named(tmp_path):
    np.savez(tmp_path / "x.npz", starts=np.zeros((2, 3), int))
    with pytest.raises(ValueError, match="must have arrays named starts and samples"):
        probe.load(tmp_path / "x.npz")
    np.savez(tmp_path / "y.npz", starts=np.zeros((2, 3), int), samples=np.zeros((2, 4, 5), int))
    with pytest.raises(ValueError, match="must agree"):
        probe.load(tmp_path / "y.npz")
    np.save(tmp_path / "z.npy", np.zeros((2, 3, 4)))
    with pytest.raises(ValueError, match="must be integers, got float64"):
        probe.load(tmp_path / "z.npy")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.npy", b"", "not a .npy file"),
        ("empty.npz", b"", "not a .npz file"),
        ("text.npy", b"1,2,3 " * 20, "not a .npy file"),
        ("cut.npy", np.zeros((2, 3, 4), int), "not a .npy file"),
        (
            "cut.npz",
            {"starts": np.zeros((2, 4), int), "samples": np.zeros((2, 3, 4), int)},
            "not a .npz file",
        ),
        ("objects.npy", np.array([1, None]), "not a .npy file"),
        ("array.npz", np.zeros((2, 3, 4), int), "not a .npz file"),
        (
            "none.npz",
            {"starts": np.zeros((0, 4), int), "samples": np.zeros((0, 3, 4), int)},
            "at least one start",
        ),
        ("nothing.npy", np.zeros((0, 3, 4), int), "at least one start"),
        (
            "no starts.npy",
            np.zeros((2, 0, 4), int),
            "must have shape (starts, 1 + samples, length), got (2, 0, 4)",
        ),
        ("short.npy", np.zeros((2, 3, 0), int), "at least one symbol"),
        ("number.npz", {"starts": 1, "samples": np.zeros((2, 3, 4), int)}, "must agree"),
    ],
)
def test_a_damaged_or_empty_file_is_named(tmp_path, capsys, name, content, message):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        with path.open("wb") as file:
            np.savez(file, **content) if isinstance(content, dict) else np.save(file, content)
    if name.startswith("cut"):
        path.write_bytes(path.read_bytes()[:150])
    assert cli.main(["probe", str(path)]) == 2
    said = capsys.readouterr().err
    assert name in said
    assert message in said


def test_a_byte_order_mark_is_no_part_of_a_label(files, sequences):
    files[2].write_bytes(b"\xef\xbb\xbf" + files[2].read_bytes())
    np.testing.assert_array_equal(probe.load(files[2]).starts, sequences[0])


def test_the_probe_command(files, sequences, tmp_path, capsys):
    starts, samples = sequences
    assert cli.main(["probe", str(files[0]), "--json", "--out", str(tmp_path / "c.png")]) == 0
    found = json.loads(capsys.readouterr().out)
    expected = measure.measure(samples != starts[:, None])
    np.testing.assert_allclose(found["susceptibility"]["value"], expected.susceptibility.value)
    np.testing.assert_allclose(found["correlation"]["low"], expected.correlation.low)
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    assert cli.main(["probe", str(files[2]), "--r-max", "3"]) == 0
    out = capsys.readouterr().out
    assert "6 starts x 9 samples of 12 leaves" in out
    assert "susceptibility" in out


def test_the_theory_command(capsys):
    numbers = ["--vocabulary", "64", "--rules-per-symbol", "8", "--branching", "2"]
    assert cli.main(["theory", *numbers, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    np.testing.assert_allclose(found["noise"], 8 / 9, rtol=1e-14)
    np.testing.assert_allclose(found["exponent"], 1.4651632, rtol=1e-7)
    assert found["diverges"] is True
    peak = mean_field.susceptibility_peak(vocabulary=64, rules_per_symbol=8, branching=2, depth=7)
    np.testing.assert_allclose(found["peaks"]["7"]["height"], peak.height)
    ledger = {claim.id for claim in derivations.LEDGER}
    assert set(found["claims"]) == {*mean_field.Criticality._fields, "peaks"}
    assert set(found["claims"].values()) <= ledger
    assert cli.main(["theory", *numbers]) == 0
    out = capsys.readouterr().out
    assert "critical noise" in out
    assert "rhm-critical-noise" in out
    assert (
        cli.main(["theory", "--vocabulary", "16", "--rules-per-symbol", "15", "--branching", "2"])
        == 0
    )
    assert "none" in capsys.readouterr().out
    assert (
        cli.main(["theory", "--vocabulary", "16", "--rules-per-symbol", "99", "--branching", "2"])
        == 2
    )
    assert "rules_per_symbol" in capsys.readouterr().err
