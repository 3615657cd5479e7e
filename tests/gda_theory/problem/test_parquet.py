"""A folder of Parquet files gives what one file gives, column by column and row by row."""

import datetime
import functools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import gda_theory as gt
from gda_theory.problem import column_sums, parquet_rows, reading, tables
from gda_theory.problem.prepared import Choices

ROWS = 120
FORGET = "branch = 3 and opened < '2020-04-01'"


@functools.cache
def frame() -> pl.DataFrame:
    """Each kind of column: an id, floats, integers, booleans, texts with gaps, dates and times."""
    rng = np.random.default_rng(0)
    income = rng.lognormal(10, 1, ROWS)
    day = rng.integers(0, 300, ROWS)
    first = datetime.date(2020, 1, 1)
    colour = rng.choice(["red", "green", "blue"], ROWS).tolist()
    return pl.DataFrame(
        {
            "customer_id": rng.permutation(ROWS) + 10**4,
            "income": income,
            "age": rng.integers(18, 90, ROWS),
            "married": rng.integers(0, 2, ROWS).astype(bool),
            "colour": [None if index % 17 == 3 else one for index, one in enumerate(colour)],
            "sex": rng.choice(["f", "m"], ROWS).tolist(),
            "opened": [first + datetime.timedelta(int(days)) for days in day],
            "seen": [datetime.datetime(2021, 1, 1, 5, 30, int(s % 60)) for s in day],
            "branch": rng.integers(0, 5, ROWS),
            "height": rng.normal(170, 10, ROWS).astype(np.float32),
            "constant": np.full(ROWS, 0.1),
            "default": np.where(income + rng.normal(size=ROWS) * 3e4 > 3e4, "yes", "no").tolist(),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("parts")
    for number, cut in enumerate(((0, 50), (50, 51), (51, 51), (51, ROWS))):
        frame()[cut[0] : cut[1]].write_parquet(path / f"part-{number}.parquet")
    frame().write_parquet(path / "whole.pq")
    return path


def rows_of(problem: gt.PartitionedProblem) -> gt.PartitionRows:
    parts = [partition() for partition in problem.partitions]
    return gt.PartitionRows(
        *(np.concatenate(arrays) for arrays in zip(*(p[:3] for p in parts), strict=True))
    )


@pytest.mark.parametrize(
    ("forget", "choices"),
    [
        ({"forget": FORGET}, {}),
        ({"forget": "sex==f"}, {"scale_on": "all"}),
        ({"forget": "3,17,49-60"}, {"standardize": False}),
        ({"forget": "random:11", "seed": 5}, {"drop": ["income", "seen"], "keep": ["customer_id"]}),
    ],
)
def test_the_rows_are_those_of_the_whole_file(folder, forget, choices):
    found = gt.from_parquet(
        str(folder), label="default", choices=Choices(**choices), intercept=True, **forget
    )
    expected = tables.load(str(folder / "whole.pq"), label="default", **forget, **choices)
    rows = rows_of(found)
    assert len(found.partitions) == 3
    assert found.names == expected.names
    np.testing.assert_allclose(rows.features[:, :-1], expected.features, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(rows.features[:, -1], 1)
    np.testing.assert_array_equal(found.ridge, [0.01] * len(found.names) + [0])
    np.testing.assert_array_equal(rows.labels, expected.labels)
    np.testing.assert_array_equal(rows.forget, expected.forget)


def test_ids_and_what_is_said(folder):
    ids = frame()["customer_id"][[4, 50, 99]].to_list()
    (folder / "ids.txt").write_text("customer_id\n" + "\n".join(map(str, ids)))
    with ThreadPoolExecutor(2) as executor:
        found = gt.from_parquet(
            f"{folder}/part-*.parquet",
            label="default",
            forget_ids=str(folder / "ids.txt"),
            id="customer_id",
            executor=executor,
        )
        rows = rows_of(found)
    np.testing.assert_array_equal(np.flatnonzero(rows.forget), [4, 50, 99])
    said = "\n".join(found.notes)
    assert "120 rows in 3 files and 3 partitions" in said
    assert "to forget: 3 rows whose customer_id is among 3 ids" in said
    assert (
        "colour: text, 3 values, one-hot; 7 empty cells imputed by the most frequent value" in said
    )
    assert "label default: yes is +1, no is -1" in said
    assert "features standardised on 117 kept rows" in said
    (folder / "ids.txt").write_text("77\n")
    with pytest.raises(ValueError, match=r"1 of 1 id match no row .*--allow-missing"):
        gt.from_parquet(
            str(folder), label="default", forget_ids=str(folder / "ids.txt"), id="customer_id"
        )


def test_an_id_is_dropped_and_large_files_are_cut(folder, monkeypatch):
    monkeypatch.setattr(parquet_rows, "CELLS", 12 * 25)
    found = gt.from_parquet(str(folder), label="default", forget="3,17")
    assert len(found.partitions) == 2 + 1 + 3
    assert "customer_id" not in found.names
    assert any("customer_id: dropped as an identifier" in note for note in found.notes)
    monkeypatch.undo()
    whole = gt.from_parquet(str(folder), label="default", forget="3,17")
    assert len(whole.partitions) == 3
    np.testing.assert_allclose(
        rows_of(found).features, rows_of(whole).features, rtol=1e-12, atol=1e-13
    )
    np.testing.assert_allclose(
        gt.retrain(found).weights, gt.retrain(whole).weights, rtol=1e-11, atol=1e-12
    )


def test_every_fault_of_the_columns_is_listed_at_once(tmp_path):
    table = frame().with_columns(
        gap=pl.when(pl.col("age") > 50).then(pl.col("income")),
        digits=pl.col("age").cast(pl.String),
        nested=pl.concat_list("age", "income"),
        default=pl.lit("yes"),
    )
    table.write_parquet(tmp_path / "one.parquet")
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        gt.from_parquet(str(tmp_path), label="default", forget="3")
    said = str(raised.value)
    assert "label 'default' must have two values, got 1: 'yes'" in said
    assert "column 'gap' has 6" in said
    assert "which need a median: fill them in the files, or --drop it" in said
    assert "column 'digits' holds numbers that are stored as text" in said
    assert "nested" not in said
    choices = Choices(drop=["incme"], keep=["hight", "gap"])
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        gt.from_parquet(str(tmp_path), label="defualt", forget="brnch = 3", choices=choices)
    said = str(raised.value)
    for fault in (
        "has no column 'defualt'; did you mean 'default'?",
        "no column 'brnch'",
        "has no column 'incme'",
        "has no column 'hight'",
        "column 'gap' has 6",
        "column 'digits' holds numbers that are stored as text",
    ):
        assert fault in said
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        gt.from_parquet(str(tmp_path), label=None, forget_ids="ids.txt")
    said = str(raised.value)
    assert "label must name a column" in said
    assert "give either forget, or forget_ids with the id column" in said
    assert "column 'gap' has 6" in said


def test_texts_of_too_many_values(tmp_path, monkeypatch):
    monkeypatch.setattr(column_sums, "LEVELS", 4)
    names = ["ab", "cd", "ef", "gh", "ij", "kl"] * (ROWS // 6)
    free = [f"remark {number}" for number in range(ROWS)]
    table = frame().drop("colour").with_columns(town=pl.Series(names), remark=pl.Series(free))
    table[:60].write_parquet(tmp_path / "a.parquet")
    table[60:].write_parquet(tmp_path / "b.parquet")
    with pytest.raises(ValueError, match="column 'town' has more than 4 different texts"):
        gt.from_parquet(str(tmp_path), label="default", forget="3")
    found = gt.from_parquet(
        str(tmp_path), label="default", forget="3", choices=Choices(drop=["town"])
    )
    assert any("remark: dropped as an identifier" in note for note in found.notes)


def test_bad_sources_and_names(folder, tmp_path):
    def made(source=folder, **changes):
        return gt.from_parquet(str(source), **{"label": "default", "forget": "3"} | changes)

    with pytest.raises(FileNotFoundError, match=r"no file in .* ends with \.parquet"):
        made(tmp_path)
    (tmp_path / "x.parquet").write_text("no table")
    with pytest.raises(ValueError, match=r"x\.parquet is no Parquet file"):
        made(tmp_path)
    frame().write_parquet(tmp_path / "x.parquet")
    frame().with_columns(pl.col("age").cast(pl.Float32)).write_parquet(tmp_path / "y.parquet")
    with pytest.raises(ValueError, match=r"y\.parquet and .*x\.parquet differ in column 'age'"):
        made(tmp_path)
    with pytest.raises(ValueError, match=r"no column 'defualt'; did you mean 'default'\?"):
        made(label="defualt")
    with pytest.raises(ValueError, match="label must name a column"):
        made(label=None)
    with pytest.raises(ValueError, match="no column 'brnch'"):
        made(forget="brnch = 3")
    with pytest.raises(ValueError, match=r"no row of .* meets 'branch = 77'"):
        made(forget="branch = 77")
    with pytest.raises(ValueError, match=r"no row of .* meets 'sex==q'"):
        made(forget="sex==q")
    with pytest.raises(ValueError, match="row numbers must be from 0 to 119"):
        made(forget="120")
    with pytest.raises(ValueError, match="either forget, or forget_ids"):
        made(forget_ids="x")
    assert reading.is_partitioned(str(folder))
    assert reading.is_partitioned(f"{folder}/part-*.parquet")
    assert not reading.is_partitioned(str(folder / "whole.pq"))
