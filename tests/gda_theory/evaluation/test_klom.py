"""KLoM, membership tests and whole evaluations, against closed forms and scikit-learn."""

import dataclasses
import html
import json
import re

import numpy as np
import pytest
from scipy.stats import norm, permutation_test
from sklearn.metrics import roc_auc_score

from gda_theory import cli, evaluation
from gda_theory.evaluation import divergence, exchange, runs
from gda_theory.evaluation.klom import noise_floor

SPLIT = np.array(["forget"] * 20 + ["validation"] * 30 + ["retain"] * 30)


def margins(shift=0.0, models: int = 40, seed: int = 1) -> np.ndarray:
    """Normal margins of all points, with the mean moved by ``shift``."""
    generator = np.random.default_rng(seed)
    return np.linspace(-2, 4, len(SPLIT)) + shift + generator.normal(size=(models, len(SPLIT)))


def test_the_noise_floor_of_few_and_of_many_models():
    for models, mean, high in ((20, 3.0, 5.0), (50, 0.87, 1.74), (100, 0.34, 0.67)):
        np.testing.assert_allclose(noise_floor(models, models), (mean, high), rtol=0.08)


def test_the_summary_is_that_of_the_scores():
    found = evaluation.klom(margins(seed=1), margins(1.0, seed=2), splits=20, seed=3)
    for name in ("histogram", "gaussian", "nearest_neighbour"):
        scores = getattr(found, name)
        np.testing.assert_allclose(
            scores, getattr(evaluation, name)(margins(seed=1), margins(1.0, seed=2))
        )
        assert found.summary[name]["mean"].value == pytest.approx(scores.mean())
        numbers = found.summary[name]["p95"]
        assert numbers.low < numbers.value < numbers.high
        assert np.min(scores) <= numbers.value <= np.max(scores)
    turned = evaluation.klom(
        margins(1.0, seed=2), margins(seed=1), direction="oracle||unlearned", splits=20
    )
    np.testing.assert_array_equal(turned.histogram, found.histogram)


@pytest.mark.slow
def test_intervals_cover_and_equal_models_are_at_the_floor():
    covered, at_floor = 0, 0
    for seed in range(20):
        first, second = margins(0.7, seed=100 + seed), margins(seed=200 + seed)
        numbers = evaluation.klom(first, second, splits=40).summary["gaussian"]["mean"]
        covered += numbers.low <= 0.7**2 / 2 <= numbers.high
        same = evaluation.klom(first - 0.7, second, splits=40)
        at_floor += runs.standing(same, None) == runs.Standing.FLOOR
    # Of 20 true intervals of 95 %, 15 or fewer cover with probability 0.0003.
    assert covered >= 16
    assert at_floor >= 16


@pytest.mark.parametrize(
    ("excess", "before", "expected"),
    [
        ((-0.1, 0.9), (1.0, 2.0), runs.Standing.BETTER),
        ((0.1, 0.9), (1.0, 2.0), runs.Standing.BETTER),
        ((0.1, 1.1), (1.0, 2.0), runs.Standing.SAME),
        ((1.9, 3.0), (1.0, 2.0), runs.Standing.SAME),
        ((2.1, 3.0), (1.0, 2.0), runs.Standing.WORSE),
        ((0.1, 0.9), None, runs.Standing.ABOVE),
        ((np.nan, np.nan), (1.0, 2.0), runs.Standing.UNKNOWN),
    ],
)
def test_a_standing_follows_from_the_intervals(excess, before, expected):
    measured = evaluation.klom(margins(seed=1), margins(seed=2), splits=20)

    def with_excess(interval) -> evaluation.Klom:
        low, high = interval
        numbers = measured.summary["gaussian"]["mean"]._replace(excess_low=low, excess_high=high)
        return dataclasses.replace(measured, p_value=0.01, summary={"gaussian": {"mean": numbers}})

    pretrained = None if before is None else with_excess(before)
    found = with_excess(excess)
    assert runs.standing(found, pretrained) == expected
    at_floor = runs.standing(dataclasses.replace(found, p_value=0.06), pretrained)
    assert at_floor == (expected if expected == runs.Standing.UNKNOWN else runs.Standing.FLOOR)


def test_the_exchange_test_is_that_of_scipy():
    first, second = margins(0.25, models=20, seed=5)[:, :6], margins(models=20, seed=6)[:, :6]

    both = np.concatenate([first, second])

    def statistic(one, other):
        return evaluation.gaussian(both[one], both[other]).mean()

    numbers = np.arange(20), np.arange(20, 40)
    expected = permutation_test(
        numbers, statistic, n_resamples=2000, alternative="greater", vectorized=False, rng=0
    )
    ours = exchange.p_value(first, second, np.random.default_rng(1), exchanges=2000)
    # Both have a standard error of at most 0.011.
    assert ours == pytest.approx(expected.pvalue, abs=0.045)
    assert 0.005 < ours < 0.9
    assert exchange.p_value(first + 3, second, np.random.default_rng(1), exchanges=99) == 0.01


def test_blocks_of_points_and_of_exchanges_change_nothing(monkeypatch):
    first, second = margins(0.4, seed=1), margins(seed=2)
    whole = evaluation.histogram(first, second)
    tested = exchange.p_value(first, second, np.random.default_rng(0), exchanges=99)
    monkeypatch.setattr(divergence, "BLOCK", 7 * len(first))  # 7 points at a time
    monkeypatch.setattr(exchange, "BLOCK", 7 * first.shape[1])  # 7 exchanges
    np.testing.assert_array_equal(evaluation.histogram(first, second), whole)
    assert exchange.p_value(first, second, np.random.default_rng(0), exchanges=99) == tested


def test_rows_that_were_never_learned_leave_nothing_to_forget():
    named = {"unlearned": margins(2, seed=1), "oracle": margins(seed=2), "split": SPLIT}
    arrays = runs.arrays_of(named | {"pretrained": margins(seed=3)})
    assert runs.evaluate(arrays, splits=20).answer.startswith("There is nothing to forget: on")


def test_progress_is_counted_to_its_end():
    named = {"unlearned": margins(seed=1), "oracle": margins(seed=2), "split": SPLIT}
    arrays = runs.arrays_of(named | {"pretrained": margins(seed=3)})
    calls = []
    runs.evaluate(arrays, splits=20, advance=lambda: calls.append(1))
    assert len(calls) == runs.comparisons(arrays, 20) == 120


def test_few_models_are_refused_with_the_floor():
    with pytest.raises(ValueError, match=r"at least 20 models, got 12: .* score \d\.\d on average"):
        evaluation.klom(margins()[:12], margins())


@pytest.mark.parametrize("shift", [0.0, 1.0, 3.0])
def test_membership_has_the_accuracy_of_the_best_test(shift):
    ours, theirs = margins(shift, models=400, seed=7), margins(models=400, seed=8)
    found = evaluation.membership(ours, theirs)
    assert found.mean_accuracy.value == pytest.approx(norm.cdf(shift / 2), abs=0.01)
    rate = found.true_positive_rates[0.1].value
    assert rate == pytest.approx(norm.sf(norm.isf(0.1) - shift), abs=0.02)
    assert np.mean(found.accuracy) <= np.mean(found.pinsker) + 0.01


def test_the_area_of_unseen_points_is_that_of_scikit_learn():
    ours = margins(0.4)
    found = evaluation.membership(ours[:, :20], margins(seed=2)[:, :20], ours[:, 20:50])
    member = np.repeat([1, 0], [20, 30])
    expected = np.mean([roc_auc_score(member, model[:50]) for model in ours])
    assert found.holdout_area == pytest.approx(expected, rel=1e-12)


def saved(path, **arrays) -> str:
    named = {"unlearned": margins(seed=1), "oracle": margins(seed=2), "split": SPLIT} | arrays
    np.savez(path, **{name: array for name, array in named.items() if array is not None})
    return str(path)


def test_evaluate_says_where_each_run_stands(tmp_path, capsys):
    shift = np.where(SPLIT == "forget", 1.5, 0)
    path = saved(
        tmp_path / "run.npz",
        unlearned=np.stack([margins(seed=3), margins(shift / 2, seed=4), margins(-2.5, seed=5)]),
        pretrained=margins(shift, seed=6),
        names=["step", "half", "ascent"],
        cost=[0.1, 0.2, 0.3],
    )
    out = tmp_path / "out.json"
    assert cli.main(["evaluate", path, "--splits", "40", "--json", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "STEP: On the rows to forget, KLoM cannot tell" in printed
    found = json.loads(out.read_text())
    assert found["answer"] == (
        "One run of 3 reaches retraining on the rows to forget without harm to other points. "
        "One comes closer to it than doing nothing, without harm. One does harm to other points."
    )
    assert printed.replace("\n", " ").startswith(found["answer"])
    assert [run["standing"]["forget"] for run in found["runs"]] == [
        "at the noise floor",
        "better than nothing",
        "worse than nothing",
    ]
    assert found["runs"][2]["standing"]["retain"] == "worse than nothing"
    assert found["points"] == {"forget": 20, "validation": 30, "retain": 30}
    assert cli.main(["evaluate", path, "--json", str(out)]) == 2
    assert "--force" in capsys.readouterr().err


def test_the_page_shows_the_numbers_of_the_json(tmp_path):
    path = saved(
        tmp_path / "run.npz",
        unlearned=np.stack([margins(seed=3), margins(-2.5, seed=5)]),
        pretrained=margins(1.0, seed=6),
        names=["ascent", "ascent"],
        epoch=[1, 2],
        cost=[0.1, 0.2],
    )
    out, page = tmp_path / "out.json", tmp_path / "page.html"
    call = ["evaluate", path, "--splits", "20", "--json", str(out), "--html", str(page)]
    assert cli.main(call) == 0
    document, text = json.loads(out.read_text()), page.read_text()
    shown = re.findall(r'value="([^"]*)" data-key="([^"]*)" data-format="(\w+)"', text)
    assert {key for _, key, _ in shown} >= {
        "runs.1.klom.validation.summary.histogram.p95.value",
        "runs.0.membership.true_positive_rates.one_in_100.value",
        "pretrained.forget.summary.histogram.mean.value",
    }
    for raw, key, _ in shown:
        value = document
        for part in key.split("."):
            value = value[int(part)] if isinstance(value, list) else value[part]
        assert html.unescape(raw) == ("null" if value is None else str(value))
    assert "How does it go over the epochs?" in text
    assert "<script" not in text
    assert not re.search(r'(?:src|href)="(?!data:|#)|url\(', text)


def test_logits_and_margins_agree():
    generator = np.random.default_rng(0)
    labels = generator.integers(3, size=len(SPLIT))
    logits = generator.normal(size=(2, 20, len(SPLIT), 3))
    named = {"unlearned": logits[0], "oracle": logits[1], "split": SPLIT, "labels": labels}
    arrays = runs.arrays_of(named)
    np.testing.assert_array_equal(arrays.unlearned[0], evaluation.margins(logits[0], labels))
    assert arrays.unlearned.shape == (1, 20, len(SPLIT))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"split": None}, "no array 'split'"),
        ({"split": np.where(SPLIT == "validation", "retain", SPLIT)}, "some points 'validation'"),
        ({"split": np.where(SPLIT == "validation", "val", SPLIT)}, "did you mean 'validation'"),
        ({"split": SPLIT[:70]}, "split must have shape"),
        ({"unlearned": margins()[:, :70]}, "the 80 points of oracle, got 70"),
        ({"unlearned": np.full((20, 80), np.nan)}, "finite; 1600 of 1600"),
        ({"unlearned": margins(models=12)}, "at least 20 models"),
        ({"labels": np.ones(80, int)}, "two classes or more"),
        (
            {"oracle": np.zeros((20, 80, 3)), "unlearned": np.zeros((20, 80, 3))},
            "labels are needed",
        ),
        ({"names": ["a", "b"]}, "one text for each of 1 runs"),
        ({"margins": margins()}, "unknown array 'margins'"),
    ],
)
def test_bad_files_are_refused_in_words(tmp_path, capsys, changed, said):
    assert cli.main(["evaluate", saved(tmp_path / "bad.npz", **changed)]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"PK\x03\x04cut off"])
def test_a_file_of_another_kind_is_refused_in_words(tmp_path, capsys, content):
    (tmp_path / "other.csv").write_bytes(content)
    assert cli.main(["evaluate", str(tmp_path / "other.csv")]) == 2
    said = capsys.readouterr().err
    assert "other.csv must be an .npz file of numpy.savez" in said
    assert "unsafely" not in said


@pytest.mark.parametrize(
    ("shift", "said"),
    [
        (0.0, "The run reaches retraining on the rows to forget without harm to other points."),
        (np.where(SPLIT == "forget", 0, 3.0), "The run does harm to other points."),
        (np.where(SPLIT == "forget", 3.0, 0), "does not reach retraining on the rows to forget."),
    ],
)
def test_the_answer_on_one_run_is_about_this_run(tmp_path, capsys, shift, said):
    path = saved(tmp_path / "run.npz", unlearned=margins(shift, seed=8))
    assert cli.main(["evaluate", path]) == 0
    first = " ".join(capsys.readouterr().out.split("\n\n")[0].split())
    assert first.endswith(said)
