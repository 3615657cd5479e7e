"""Files of sequences: three formats with the same content, every error named.

The commands print what the library computes.
"""

import gzip
import json

import numpy as np
import pytest

import derivations
from rhm_theory import cli
from rhm_theory.experiment import measure, probe, within
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
        ("a,1,2\na,1,-2\na,1,1", "samples must be >= 0, got -2 at index (0, 0, 1)"),
        (
            "a,1,2\na,1,2\na,1,2.5",
            "samples must be integers or strings, got 2.5 at index (0, 1, 1)",
        ),
        ("a,1,2\na,1,\na,1,2", "line 2: symbol 2 is empty"),
        ("a,1," + "2" * 140_000, "field larger than field limit"),
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
    for value, said in ((0.5, "0.5"), (np.nan, "nan"), (np.inf, "inf"), (2.0**53, "9.0072e[+]15")):
        np.save(tmp_path / "z.npy", np.full((2, 3, 4), value))
        with pytest.raises(ValueError, match=rf"integers or strings, got {said} at index \(0, 0\)"):
            probe.load(tmp_path / "z.npy")
    np.save(tmp_path / "c.npy", np.zeros((2, 3, 4), complex))
    with pytest.raises(ValueError, match="must be integers or strings, got complex128"):
        probe.load(tmp_path / "c.npy")
    np.savez(tmp_path / "b.npz", starts=np.full((2, 3), "x"), samples=np.zeros((2, 4, 3), int))
    with pytest.raises(ValueError, match="must both be strings or both be integers"):
        probe.load(tmp_path / "b.npz")


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


def as_lines(starts, samples, delimiter=","):
    rows = [(i, row) for i in range(len(starts)) for row in (starts[i], *samples[i])]
    return "\n".join(delimiter.join([f"s{i}", *map(str, row)]) for i, row in rows)


def assert_loaded(path, sequences, **options):
    loaded = probe.load(path, **options)
    np.testing.assert_array_equal(loaded.starts, sequences[0])
    np.testing.assert_array_equal(loaded.samples, sequences[1])
    assert loaded.starts.dtype.kind == "i"


@pytest.mark.parametrize("delimiter", [";", "\t", ",", "; ", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_text_is_read_whatever_delimits_it(sequences, tmp_path, delimiter, encoding):
    path = tmp_path / "sequences.txt"
    path.write_bytes(as_lines(*sequences, delimiter).encode(encoding))
    assert_loaded(path, sequences, **({"delimiter": "|"} if delimiter == "|" else {}))


def test_blanks_around_a_label_do_not_make_another_start(tmp_path, capsys):
    """Six starts, some of whose samples have a blank after the label."""
    rng = np.random.default_rng(1)
    lines = []
    for start in range(6):
        row = rng.integers(0, 4, 12)
        for sample in range(6):
            changed = row if sample == 0 else np.where(rng.random(12) < 0.25, (row + 1) % 4, row)
            label = f" {start} " if sample in (2, 4) else f"{start}"
            lines.append(",".join([label, *map(str, changed)]))
    (tmp_path / "blank.csv").write_text("\n".join(lines))
    assert cli.main(["probe", str(tmp_path / "blank.csv")]) == 0
    assert "6 starts x 5 samples of 12 symbols; errors over 6 groups" in capsys.readouterr().out
    np.savez(
        tmp_path / "blank.npz",
        starts=np.zeros((4, 3), int),
        samples=np.zeros((4, 2, 3), int),
        groups=np.array(["a", "a ", " b", "b"]),
    )
    assert probe.load(tmp_path / "blank.npz").groups.tolist() == ["a", "a", "b", "b"]


def test_json_lines_are_read(sequences, tmp_path):
    starts, samples = sequences
    path = tmp_path / "sequences.JSONL"
    pairs = zip(starts.tolist(), samples.tolist(), strict=True)
    rows = [{"start": start, "samples": several, "group": "g"} for start, several in pairs]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    assert_loaded(path, sequences)
    assert probe.load(path).groups.tolist() == ["g"] * 6
    rows = [
        {"label": i, "sequence": row.tolist()} for i in range(6) for row in (starts[i], *samples[i])
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    assert_loaded(path, sequences)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1, 2", "line 2: not JSON"),
        ("[1, 2]", "line 2: must be an object with the lists start and samples"),
        ('{"start": [1], "samples": [[1], "a"]}', "line 2: a sequence must be a list"),
        ('{"start": [1], "samples": [[1], [null]]}', "line 2: symbols must be .*, got None"),
        ('{"start": "a b", "samples": [["a"], ["b"]]}', "line 2: must be an object"),
    ],
)
def test_broken_json_lines_are_named(tmp_path, line, message):
    path = tmp_path / "broken.ndjson"
    path.write_text('{"start": [1], "samples": [[1], [2]]}\n' + line)
    with pytest.raises(ValueError, match=message):
        probe.load(path)


@pytest.mark.parametrize("kind", ["csv", "npy", "npz", "jsonl"])
def test_strings_become_numbers_of_the_sorted_vocabulary(sequences, tmp_path, kind):
    tokens = np.array(["Ab", "ab", "ab ", "c,d", "é"])  # sorted; a blank tells two apart
    starts, samples = (tokens[array] for array in sequences)
    path = tmp_path / f"tokens.{kind}"
    if kind == "npz":
        np.savez(path, starts=starts, samples=samples)
    elif kind == "npy":
        np.save(path, np.concatenate([starts[:, None], samples], 1))
    elif kind == "csv":
        path.write_text(as_lines(starts, samples, "|").replace("c,d", '"c,d"').replace("|", ","))
    else:
        pairs = zip(starts.tolist(), samples.tolist(), strict=True)
        rows = [json.dumps({"start": start, "samples": several}) for start, several in pairs]
        path.write_text("\n".join(rows))
    assert_loaded(path, sequences)


def test_whole_numbers_in_any_type_are_read(sequences, tmp_path):
    """Floats, booleans, endings in capitals, and text with decimal points."""
    array = np.concatenate([sequences[0][:, None], sequences[1]], 1)
    with (tmp_path / "A.NPY").open("wb") as file:
        np.save(file, array.astype(np.float32))
    assert_loaded(tmp_path / "A.NPY", sequences)
    binary = tuple(part > 2 for part in sequences)
    with (tmp_path / "B.NPZ").open("wb") as file:
        np.savez(file, starts=binary[0], samples=binary[1])
    assert_loaded(tmp_path / "B.NPZ", binary)
    (tmp_path / "c.csv").write_text(as_lines(*(part.astype(float) for part in sequences)))
    assert_loaded(tmp_path / "c.csv", sequences)


def test_numbers_beyond_64_bits_are_told_apart(tmp_path):
    path = tmp_path / "long.csv"
    path.write_text(f"a,{10**30},1\na,{10**30 + 1},1\na,{10**30},1")
    loaded = probe.load(path)
    assert (loaded.samples != loaded.starts[:, None]).tolist() == [[[True, False], [False, False]]]


@pytest.mark.parametrize("number", range(3))
def test_a_file_compressed_by_gzip_is_read(files, sequences, number):
    packed = files[number].with_name(files[number].name + ".gz")
    packed.write_bytes(gzip.compress(files[number].read_bytes()))
    assert_loaded(packed, sequences)
    packed.write_bytes(packed.read_bytes()[:60])
    with pytest.raises(ValueError, match="damaged gzip file"):
        probe.load(packed)


def naive_correlation(changed, lengths, r_max):
    """C(r) by definition, of starts whose leaves are the first ``lengths``."""
    pairs = np.zeros(r_max + 1)
    total = np.zeros(r_max + 1)
    for rows, length in zip(changed, lengths, strict=True):
        covariance = np.cov(rows[:, :length].T, ddof=1)
        for r in range(min(r_max + 1, length)):
            total[r] += np.trace(covariance, offset=r)
            pairs[r] += length - r
    return 4 * total / pairs


@pytest.mark.parametrize("pad", [99, -1, "<pad>"])
def test_padding_is_no_part_of_a_start(sequences, tmp_path, pad):
    lengths = [12, 7, 9, 12, 5, 8]
    starts, samples = (part.astype(object) for part in sequences)
    for row, several, length in zip(starts, samples, lengths, strict=True):
        row[length:] = pad
        several[:, length:] = pad
        several[0, length:] = 3  # a sample that goes on where its start has ended
    path = tmp_path / "padded.csv"
    path.write_text(as_lines(starts, samples))
    loaded = probe.load(path, pad=str(pad))
    assert loaded.inside.sum(1).tolist() == lengths
    found = probe.probe(loaded)
    changed = sequences[1] != sequences[0][:, None]
    expected = naive_correlation(changed, lengths, 11)
    np.testing.assert_allclose(found.correlation.value, expected, atol=1e-12)
    shares = [
        several[:, :length].sum(1).mean() for several, length in zip(changed, lengths, strict=True)
    ]
    np.testing.assert_allclose(found.mean_changed.value, np.sum(shares) / np.sum(lengths))
    with pytest.raises(ValueError, match=r"pad must be a symbol of the file, got '\[PAD\]'"):
        probe.load(path, pad="[PAD]")


def test_shared_padding_changes_nothing(sequences, tmp_path, capsys):
    """Two columns more, all of them padding: every number is that of the unpadded file."""
    wide = [
        np.pad(part, [(0, 0)] * (part.ndim - 1) + [(1, 1)], constant_values=9) for part in sequences
    ]
    np.savez(tmp_path / "wide.npz", starts=wide[0], samples=wide[1])
    np.savez(tmp_path / "plain.npz", starts=sequences[0], samples=sequences[1])
    answers = []
    for arguments in (["wide.npz", "--pad", "9"], ["plain.npz"]):
        assert cli.main(["probe", str(tmp_path / arguments[0]), *arguments[1:], "--json"]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    for name in measure.Measurement._fields:
        for part in measure.Estimate._fields:
            np.testing.assert_allclose(
                *(np.array(answer[name][part], float) for answer in answers),
                rtol=1e-12,
                atol=1e-15,
            )


def test_a_start_of_padding_alone_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", starts=np.zeros((2, 3), int), samples=np.ones((2, 2, 3), int))
    with pytest.raises(ValueError, match="start 0 holds nothing but padding"):
        probe.load(tmp_path / "x.npz", pad=0)


@pytest.mark.parametrize("limit", [[], ["--r-max", "3"]])
def test_a_correlation_that_never_falls_has_no_half_length(tmp_path, capsys, limit):
    """All symbols change together, or none: C(r) is 10/9 at every distance."""
    path = tmp_path / "together.npz"
    samples = np.broadcast_to((np.arange(10) % 2)[None, :, None], (8, 10, 12)).astype(int)
    np.savez(path, starts=np.zeros((8, 12), int), samples=samples)
    assert cli.main(["probe", str(path), *limit, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["half_length"] == {"value": None, "error": None, "low": None, "high": None}
    np.testing.assert_allclose(found["correlation"]["value"], 10 / 9)
    assert cli.main(["probe", str(path), *limit, "--out", str(tmp_path / "c.png")]) == 0
    assert f"none up to {limit[1] if limit else 11}" in (capsys.readouterr().out)


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
    assert "6 starts x 9 samples of 12 symbols" in out
    assert "susceptibility" in out


def test_the_verdict_of_the_command(tmp_path, capsys, monkeypatch):
    """Nested blocks, with the class of each sample: a sentence, and the same in JSON."""
    monkeypatch.setenv("COLUMNS", "200")  # so that no name of a row is broken
    rng = np.random.default_rng(5)
    samples = np.zeros((60, 16, 8), int)
    for size in (1, 2, 4, 8):
        samples |= np.repeat(rng.random((60, 16, 8 // size)) < 0.12, size, -1)
    starts = np.zeros((60, 8), int)
    whole = np.where(samples.all(-1), "changed", "kept")
    np.savez(tmp_path / "a.npz", starts=starts, samples=samples, classes=whole)
    assert cli.main(["probe", str(tmp_path / "a.npz"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["structure"]["verdict"] == "hierarchical"
    assert found["structure"]["branching"] == 2
    assert found["reading"] == {"branching": 2, "levels": 3}
    alike = found["within_classes"]["susceptibility"]
    expected = within.within(samples, (whole == "kept").astype(int)).susceptibility
    np.testing.assert_allclose(alike["value"], expected.value)
    assert alike["value"] < found["susceptibility"]["value"]
    assert cli.main(["probe", str(tmp_path / "a.npz"), "--aligned"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Verdict: hierarchical. Sites change together in nested blocks of 2, 4 and all." in out
    assert "susceptibility among samples of one class" in out
    assert "C(r) alone gives blocks of 2 and 3 levels." in out
    assert "files that should not get this verdict got it" in out


def test_classes_in_json_lines(sequences, tmp_path):
    starts, samples = sequences
    path = tmp_path / "classes.jsonl"
    labels = [["cat", None, -1] * 3 for _ in range(6)]
    rows = [
        {"start": start.tolist(), "samples": several.tolist(), "classes": names}
        for start, several, names in zip(starts, samples, labels, strict=True)
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    loaded = probe.load(path)
    assert (loaded.classes == -1).sum() == 6 * 6
    assert len(set(loaded.classes[loaded.classes >= 0].tolist())) == 1
    rows[2]["classes"] = ["cat"]
    path.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(ValueError, match="line 3: classes must be a list of 9 labels"):
        probe.load(path)
    np.savez(tmp_path / "x.npz", starts=starts, samples=samples, classes=np.zeros((6, 2)))
    with pytest.raises(ValueError, match=r"classes must have shape \(6, 9\)"):
        probe.load(tmp_path / "x.npz")


def test_levels_of_noise_are_measured_apart(sequences, tmp_path, capsys):
    starts, samples = sequences
    levels = np.array([0.5, 0.1, 0.5, 0.1, 0.1, 0.5])
    classes = samples[..., 0]
    np.savez(tmp_path / "l.npz", starts=starts, samples=samples, levels=levels, classes=classes)
    assert cli.main(["probe", str(tmp_path / "l.npz"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["by_level"]
    assert found["level"] == [0.1, 0.5]
    changed = samples != starts[:, None]
    for row, level in enumerate(found["level"]):
        here = levels == level
        expected = measure.measure(changed[here]).susceptibility
        np.testing.assert_allclose(found["susceptibility"]["value"][row], expected.value)
        np.testing.assert_allclose(found["susceptibility"]["error"][row], expected.error)
        alike = within.within(changed[here], classes[here]).susceptibility
        np.testing.assert_allclose(found["within_classes"]["value"][row], alike.value)
    assert cli.main(["probe", str(tmp_path / "l.npz")]) == 0
    assert "by noise level" in capsys.readouterr().out
    pairs = zip(starts.tolist(), samples.tolist(), levels.tolist(), strict=True)
    rows = [{"start": start, "samples": several, "level": at} for start, several, at in pairs]
    (tmp_path / "l.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert probe.load(tmp_path / "l.jsonl").levels.tolist() == levels.tolist()
    np.savez(tmp_path / "x.npz", starts=starts, samples=samples, levels=np.full(6, np.nan))
    with pytest.raises(ValueError, match="levels must be 6 finite numbers"):
        probe.load(tmp_path / "x.npz")


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
