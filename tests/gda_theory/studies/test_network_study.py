"""The study of networks: its runs go on after an interruption, its scores are those of SciPy."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from scipy.special import rel_entr

from figures import sources
from gda_theory import evaluation, networks
from gda_theory.studies.networks import kept, runs, scores, verdicts


def test_kept_networks_depend_on_the_code_that_makes_them():
    library = Path(networks.__file__).parent
    needed = {
        path.name for path in sources.of("gda_theory.networks.unlearning") if path.parent == library
    }
    assert {*kept.CODE, "data.py"} == needed


def tiny_data() -> networks.NetworkData:
    return networks.digits(0, train=200, flipped=0.1)


def tiny_setting() -> runs.NetworkSetting:
    return runs.SETTINGS["quick"]._replace(
        recipe=networks.Recipe(hidden=16, epochs=40),
        networks=20,
        sets=(("random", 8), ("flipped", 8)),
        rates={"ascent": (0.01,), "descent-ascent": (0.05,)},
        points=20,
    )


def all_found(folder: Path | None) -> list[runs.SetMargins]:
    setting, data = tiny_setting(), tiny_data()
    parts = kept.parts(folder)
    trained, before, _ = runs.pretrained(setting, data, parts)
    return list(runs.all_margins(setting, data, trained, before, parts))


@pytest.mark.slow  # compiles six programs
def test_an_interrupted_run_goes_on_and_gives_the_same(tmp_path, monkeypatch):
    """The interruption comes in the middle of the second forget set."""
    complete = all_found(None)
    finished = itertools.count()

    @contextlib.contextmanager
    def stop_late(*_) -> Iterator[Callable[[], None]]:
        def advance() -> None:
            if next(finished) == 6:
                raise KeyboardInterrupt

        yield advance

    with monkeypatch.context() as patch:
        patch.setattr(runs, "counted", stop_late)
        with pytest.raises(KeyboardInterrupt):
            all_found(tmp_path)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.npz")}
    # Two chunks for each step: pretrained, five steps of the first set, two of the second.
    assert len(files) == 2 * 8
    again = all_found(tmp_path)
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert len(list(tmp_path.rglob("*.npz"))) == 2 * 11
    for one, other in zip(complete, again, strict=True):
        np.testing.assert_array_equal(one.oracle, other.oracle)
        for run, same in zip(one.runs, other.runs, strict=True):
            assert run[:4] == same[:4]
            np.testing.assert_array_equal(run.margins, same.margins)


def test_a_run_can_be_made_smaller_and_says_what_is_wrong():
    small = runs.chosen("paper", 40, 4, "digits")
    assert small.networks == 40
    assert [name for name, _ in small.sets] == ["random", "pc1_top", "flipped", "random"]
    assert small.recipe == runs.SETTINGS["quick"].recipe
    assert runs.chosen("paper", 0, 0, "preset") == runs.SETTINGS["paper"]
    with pytest.raises(ValueError, match="networks must be 0 or at least 40"):
        runs.chosen("quick", 30, 0, "preset")
    with pytest.raises(ValueError, match="sets must be 0 or from 3 to 4"):
        runs.chosen("quick", 0, 9, "preset")
    with pytest.raises(ValueError, match="data must be preset or one of digits, fashion"):
        runs.chosen("quick", 0, 0, "letters")


def made_up(seed: int = 0, models: int = 40) -> runs.SetMargins:
    """Normal margins: ascent moves forgotten rows to the oracle's and spares the others."""
    generator = np.random.default_rng(seed)
    split = np.repeat(["forget", "retain", "validation"], (50, 60, 60))
    forget = split == "forget"
    oracle, before, after = generator.normal(size=(3, models, len(split)))
    oracle = oracle - 2 * forget
    before = before + 6 * forget
    after = after - 2 * forget
    methods = ("ascent", "SCRUB", "SCRUB, frozen student", "descent-ascent")
    margins = (after, (before + after) / 2, before, before)
    all_runs = [
        runs.UnlearningRun(method, 0.1, 10, 0.5, values)
        for method, values in zip(methods, margins, strict=True)
    ]
    return runs.SetMargins("random 50", np.arange(50), split, before, oracle, all_runs, [])


def test_scores_of_made_up_margins_are_those_of_scipy_and_of_the_closed_form():
    found = made_up()
    numbers = scores.of_set(found, 0.1, 10)
    forget = found.split == "forget"
    public = []
    for ours, theirs in zip(found.before[:, forget].T, found.oracle[:, forget].T, strict=True):
        edges = np.linspace(min(ours.min(), theirs.min()), max(ours.max(), theirs.max()), 21)
        p, q = (np.histogram(one, edges)[0] / len(one) for one in (ours, theirs))
        public.append(rel_entr(p, np.maximum(q, 1e-5)).sum())
    np.testing.assert_allclose(numbers["nothing"][0, 0], np.mean(public), rtol=1e-9)
    np.testing.assert_allclose(numbers["nothing"][1, 0], np.percentile(public, 95), rtol=1e-9)
    assert numbers["nothing"][2, 0] == pytest.approx(8**2 / 2, rel=0.1)  # means 8 apart
    np.testing.assert_array_equal(verdicts.works(numbers, "ascent"), [True])
    np.testing.assert_array_equal(verdicts.works(numbers, "descent-ascent"), [False])
    for split in numbers["oracles"].values():
        assert split["normal"]["low"] <= 0 <= split["normal"]["high"]


def test_each_defect_does_what_its_name_says():
    found = made_up()
    pairs = scores.of_set(found, 0.1, 10)["defects"]
    right = pairs["other direction"][:, 0]
    for name, pair in pairs.items():
        assert pair.shape == (len(found.runs), 2, 3)
        if name != "no seeds: other networks":
            np.testing.assert_array_equal(pair[:, 0], right)
    np.testing.assert_array_equal(pairs["no clipping"][:, 1], right)  # nothing beyond 100
    forget = found.split == "forget"
    again = evaluation.histogram(found.oracle[:, forget], found.before[:, forget])
    assert pairs["other direction"][2, 1, 0] == np.percentile(again, 95)
    assert pairs["20 networks"][0, 1, 2] > 1.3 * right[0, 2]  # the floor of few models
    # One bin holds nearly all margins.
    assert pairs["bins on [-100, 100]"][0, 1].max() < 0.5
    assert (pairs["forget set cut to a fifth"][:, 1, 1:] == right[:, 1:]).all()


def test_hoeffdings_band_flags_networks_that_know_too_much():
    found = made_up()
    band = scores.of_set(found, 0.1, 10)["band"]
    assert band["width"] == pytest.approx(np.sqrt(np.log(40) / 2 * (1 / 50 + 1 / 60)))
    unseen, forget = found.split == "validation", found.split == "forget"
    clean = (found.before[:, unseen] > 0).mean(1)
    fresh = 0.9 * clean + 0.1 * (1 - clean) / 9
    own = (found.before[:, forget] > 0).mean(1)
    expected = (own.mean(), fresh.mean(), np.mean(np.abs(own - fresh) > band["width"]))
    np.testing.assert_allclose(band["nothing"], expected)
    assert band["nothing"][2] == 1


def test_verdicts_count_cases():
    assert [verdicts.verdict(holds, 3) for holds in (3, 2, 1, 0)] == [
        "holds",
        "holds in part",
        "holds in part",
        "fails",
    ]
