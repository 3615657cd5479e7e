"""Every number in a verdict is read back and compared with what was measured.

The measurements are random, and often at the edges: ties, all or nothing, one ulp apart. Nothing
is solved here, so that many thousand sentences are read.
"""

import math
import re

import numpy as np
import pytest

from gda_theory.codes import Cause, Outcome, Reason, RunEnd
from gda_theory.verdict import words
from gda_theory.verdict.decide import Verdict, decide
from gda_theory.verdict.measure import Measurement, RunawayClass, Stop

NUMBER = r"(-?[\d,]+(?:\.\d+)?(?:e[+-]?\d+)?)"


def positive(rng) -> float:
    """A positive number, often 1 or next to it."""
    near = [1.0, np.nextafter(1, 2), np.nextafter(1, 0), 1 + 1e-6, 1 - 1e-6, 0.9996, 1.0004]
    return float(rng.choice(near)) if rng.random() < 0.4 else float(10 ** rng.uniform(-6, 4))


def measurement(rng, strength: float) -> Measurement:
    apart = float(10 ** rng.uniform(-3, 1))
    reason = Reason(int(rng.choice([Reason.FOUND, Reason.FOUND, Reason.PAST_FOLD])))
    found = reason == Reason.FOUND
    end = RunEnd(int(rng.choice(list(RunEnd))))
    if end == RunEnd.CONTINUED and not found:
        end = RunEnd.ELSEWHERE
    continued = positive(rng) * apart if found else math.nan
    reached = {RunEnd.CONTINUED: continued, RunEnd.ELSEWHERE: positive(rng) * apart}
    bounded = bool(rng.random() < 0.8)
    runaway = RunawayClass(label=1, forgotten=0.5, kept=0.5 - 0.2 * rng.random() / strength)
    critical = math.nan if found else strength * float(rng.uniform(0.1, 1))
    newton = float(rng.choice([0.0, 1e-9, 1e-3, 0.3, 0.4999, 0.5, 0.9, 1.2]))
    return Measurement(
        reduction="mean",
        ridge=0.1,
        size_ratio=0.1,
        retrain_norm=1.0,
        pretrain_distance=apart,
        descent_ascent_distance=continued,
        reason=int(reason),
        bounded_below=bounded,
        runaway_class=None if bounded or rng.random() < 0.5 else runaway,
        break_even_strength=math.nan if rng.random() < 0.3 else strength * positive(rng),
        first_order_break_even=0.1,
        critical_strength=critical,
        searched_to=10.0,
        opposite_cosine=-1.0,
        first_step_towards=True,
        newton_distance=newton * apart,
        newton_relative=newton,
        retrain_iterations=7,
        pretrain_gradient_norm=0.0,
        retrain_gradient_norm=0.0,
        descent_ascent_gradient_norm=0.0,
        pretrain_converged=True,
        retrain_converged=True,
        run_end=end,
        run_distance=reached.get(end, math.nan),
        run_time=1.0,
    )


def stop(scheme: str, left: float) -> Stop:
    return Stop(
        scheme=scheme,
        step_size=1.0,
        epochs=10,
        best_epoch=1 if left < 1 else 0,
        best_relative=left,
        good_epochs=0,
        descent_relative=1.0,
        final_relative=1.0,
        descent_final=1.0,
        outcome=Outcome.MOVING,
        cause=Cause.UNKNOWN,
    )


def value(text: str) -> float:
    return float(text.replace(",", ""))


def is_written(text: str, number: float, digits: int = 3) -> bool:
    """Whether ``text`` is ``number``, rounded to at least so many digits."""
    return abs(value(text) - number) <= 0.5 * 10.0 ** (1 - digits) * abs(number) * (1 + 1e-9)


def is_percent(text: str, part: float) -> bool:
    """Whether ``text`` says that ``part``, and 0 and 100 % only where they are exact."""
    if text == "100 %":
        return part == 1
    if text == "0 %":
        return part == 0
    if text == "almost 100 %":
        return 0.999 < part < 1
    if text == "just over 100 %":
        return 1 < part < 1.001
    if text == "less than 0.01 %":
        return 0 < part < 1e-4
    return is_written(text.removesuffix(" %"), 100 * part)


PERCENT = rf"((?:almost |just over |less than )?{NUMBER} %)"


def check_times(said: str, ratio: float) -> None:
    """What is said of a distance over that of doing nothing."""
    if found := re.match(rf"{NUMBER} times as far", said):
        assert is_written(found[1], ratio)
        assert value(found[1]) != 1
    elif said.startswith("exactly"):
        assert ratio == 1
    else:
        assert said.startswith("slightly farther" if ratio > 1 else "slightly closer")
        assert ratio != 1


def check(numbers: Measurement, strength: float, stops: list[Stop]) -> Verdict:
    code = decide(numbers)
    text = words.sentences(code, numbers, strength, stops)
    apart = numbers.pretrain_distance
    assert text.endswith(".")
    assert len(re.findall(r"\.(?= [A-Z0-9]|$)", text)) <= 3
    assert "would reach" not in text
    assert "NaN" not in text
    if found := re.search(rf"removes {PERCENT}", text):
        assert is_percent(found[1], 1 - numbers.newton_relative)
        assert numbers.newton_relative < 0.5
    for place in re.findall(
        r"run from your model ends ((?:\S+ times|exactly|slightly \w+)[^,.;]*)", text
    ):
        check_times(place, numbers.run_distance / apart)
    if found := re.search(r"continues the retrained one lies ([^.]*(?:\.\d[^.]*)?)", text):
        check_times(found[1], numbers.descent_ascent_distance / apart)
    if found := re.search(r"It ends (\S.*)", text):
        assert numbers.run_end == RunEnd.CONTINUED
        check_times(found[1], numbers.run_distance / apart)
    if found := re.search(r"Its minimum lies (\S.*)", text):
        assert numbers.run_end in (RunEnd.NOT_FOLLOWED, RunEnd.UNDECIDED)
        check_times(found[1], numbers.descent_ascent_distance / apart)
    if found := re.search(rf"up to strength {NUMBER}", text):
        assert numbers.break_even_strength < strength
        assert is_written(found[1], numbers.break_even_strength, 2)
    if found := re.search(rf"At strength {NUMBER} its minimum is as far away", text):
        assert is_written(found[1], numbers.break_even_strength, 2)
    if found := re.search(rf"{NUMBER} it disappears", text):
        assert is_written(found[1], numbers.critical_strength, 2)
    if "diverges" in text:
        assert numbers.run_end == RunEnd.DIVERGES
    if code == Verdict.NEARER:
        check_nearer(numbers, text)
    elif text.startswith("Do not use"):
        check_stops(text, stops)
    return code


def check_nearer(numbers: Measurement, text: str) -> None:
    left = numbers.end_distance / numbers.pretrain_distance
    assert left <= 1
    assert is_percent(re.search(rf"leaves {PERCENT} of the distance", text)[1], left)
    assert ("gains nothing" in text) == (left > 0.999)


def check_stops(text: str, stops: list[Stop]) -> None:
    """Scheme and sentence agree: what the table shows is not denied."""
    first = re.split(r"\. (?=[A-Z0-9])", text)[0]
    ascending = [s.best_relative for s in stops if s.scheme != "ascent_then_descent"]
    every = [s.best_relative for s in stops]
    if found := re.search(rf"best epoch.* leaves (?:as little as )?{PERCENT} of", first):
        assert is_percent(found[1], min(ascending))
    if "no epoch comes closer" in first:
        assert min(ascending) >= 1
        assert ("only descent afterwards does" in first) == (min(every) < 1)
    if found := re.search(rf"\(it leaves {PERCENT}\)", first):
        assert is_percent(found[1], min(every))


@pytest.mark.parametrize("seed", range(8))
def test_every_number_in_a_sentence_is_the_one_measured(seed):
    rng = np.random.default_rng(seed)
    seen = set()
    for _ in range(500):
        strength = float(rng.choice([0.3, 1.0, 2.5]))
        schemes = ("simultaneous", "retain_first", "ascent_then_descent")
        lefts = [min(1.0, positive(rng)) for _ in schemes]
        stops = [] if rng.random() < 0.2 else list(map(stop, schemes, lefts))
        seen.add(check(measurement(rng, strength), strength, stops))
    assert seen >= {Verdict.NEARER, Verdict.FARTHER, Verdict.LOST, Verdict.UNBOUNDED}


def test_one_forgotten_row_where_only_descent_comes_closer():
    """The table's last scheme leaves less than 0.01 %, and the sentence says so."""
    numbers = measurement(np.random.default_rng(1), 1.0)
    stops = [stop("simultaneous", 1.0), stop("ascent_then_descent", 1e-9)]
    text = words.sentences(Verdict.FARTHER, numbers, 1.0, stops)
    assert "only descent afterwards does (it leaves less than 0.01 %)" in text
    assert "no epoch comes closer" in text


def test_a_wrong_number_is_seen():
    assert not is_written("1.24", 1.25)
    assert is_written("1.25", 1.2496)
    assert not is_percent("100 %", 1 - 1e-12)
    with pytest.raises(AssertionError):
        check_times("1 times as far", 1.0)
