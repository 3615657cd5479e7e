"""Many forget sets in one file, and the table that the command prints of them."""

import json

import numpy as np
import polars as pl
import pytest

import gda_theory as gt
from gda_theory import cli
from gda_theory.problem import tables as data

COUNT = 30
IDS = [f"{row:03d}" for row in range(COUNT)]
RNG = np.random.default_rng(0)
FRAME = pl.DataFrame(
    {
        "id": IDS,
        "a": RNG.normal(size=COUNT).round(3),
        "b": RNG.normal(size=COUNT).round(3),
        "y": np.arange(COUNT) % 2,
    }
)
SETS = {"first": [3, 4, 9], "second": [0, 29]}


@pytest.fixture
def folder(tmp_path):
    FRAME.write_csv(tmp_path / "data.csv")
    (tmp_path / "ids.csv").write_text(
        "set,id\n" + "".join(f"{name},{IDS[r]}\n" for name, rows in SETS.items() for r in rows)
    )
    pl.DataFrame(
        {"set": ["first"] * 3 + ["second"] * 2, "row": SETS["first"] + SETS["second"]}
    ).write_parquet(tmp_path / "rows.parquet")
    mask = np.zeros(COUNT, bool)
    mask[SETS["first"]] = True
    np.savez(tmp_path / "sets.npz", first=mask, second=np.array([29, 0, 0]))
    return tmp_path


def loaded(folder, name, **options):
    return data.load(str(folder / "data.csv"), label="y", forget_sets=str(folder / name), **options)


@pytest.mark.parametrize(
    ("name", "id"), [("ids.csv", "id"), ("rows.parquet", None), ("sets.npz", None)]
)
def test_sets_are_read_from_ids_numbers_and_masks(folder, name, id):
    found = loaded(folder, name, id=id)
    assert {key: rows.tolist() for key, rows in found.sets.items()} == SETS
    np.testing.assert_array_equal(np.flatnonzero(found.forget), SETS["first"])
    assert found.names == ("a", "b")
    how = "by id" if id else "by number, counted from 0"
    path = folder / name
    assert f"to forget: rows in 2 sets of 2 to 3 rows, {how}, from {path}" in found.notes
    # No set is special, so the scaling is fitted on all rows.
    np.testing.assert_allclose(found.features.mean(0), 0, atol=1e-15)
    np.testing.assert_allclose(found.features.std(0), 1, rtol=1e-14)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("set,id\na,999\nb,001\n", {"id": "id"}, "1 id of .* match no row in column 'id': '999'"),
        ("set,id\na,001\n", {"id": "ids"}, "has no column 'ids'; did you mean 'id'"),
        ("set,id\na,001\n", {}, "set 'a' .* such as .'001'.; for ids say --id COLUMN"),
        ("set,id\na,30\n", {}, "row numbers must be from 0 to 29, got 30 in set 'a'"),
        ("set,id,more\na,1,2\n", {}, "must have two columns"),
        ("set,id\na,\nb,1\n", {}, "must have no empty cells"),
        ("set,id\n" + "".join(f"a,{row}\n" for row in range(COUNT)), {}, "got 30 of 30"),
        ("set,id\na,1\n", {"forget": "3"}, "give one of .* got 'forget', 'forget_sets'"),
    ],
)
def test_what_is_wrong_with_a_file_of_sets_is_said(folder, content, options, message):
    (folder / "bad.csv").write_text(content)
    with pytest.raises(ValueError, match=message):
        loaded(folder, "bad.csv", **options)


def test_ids_that_no_row_has_can_be_accepted(folder):
    (folder / "some.csv").write_text("set,id\na,999\na,001\n")
    found = loaded(folder, "some.csv", id="id", allow_missing=True)
    assert found.sets["a"].tolist() == [1]
    with pytest.raises(ValueError, match="id is only for forget_ids or forget_sets"):
        data.load(str(folder / "data.csv"), label="y", forget="3", id="id")


def test_the_command_prints_and_writes_the_table(folder, capsys):
    arguments = ["diagnose", str(folder / "data.csv"), "--label", "y", "--ridge", "0.1"]
    arguments += ["--forget-sets", str(folder / "sets.npz"), "--drop", "id", "--exact", "0"]
    numbers = folder / "table.json"
    assert cli.main([*arguments, "--json", str(numbers)]) == 0
    printed = capsys.readouterr().out
    assert "2 forget sets at strength 1, the most harmful first" in printed
    assert printed.endswith(f"Written: {numbers}\n")
    written = json.loads(numbers.read_text())
    found = loaded(folder, "sets.npz", drop=["id"])
    expected = gt.rank(found.problem(ridge=0.1), found.sets, exact=0)
    assert [entry["set"] for entry in written["sets"]] == list(expected.names)
    for entry, distance in zip(written["sets"], expected.pretrain_distance, strict=True):
        assert entry["pretrain_distance"] == pytest.approx(float(distance), rel=1e-12)
    assert cli.main([*arguments, "--html", str(folder / "page.html")]) == 2
    assert "--html is for one forget set" in capsys.readouterr().err
