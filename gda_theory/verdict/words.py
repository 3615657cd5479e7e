"""A verdict in at most three short sentences: what will happen, why, and what to do.

Rounding never changes what a sentence says. Only the whole is written as 100 %. Numbers that differ
are written with enough digits to tell them apart.
"""

import math
from collections.abc import Iterable, Sequence

from gda_theory.codes import Reason, RunEnd
from gda_theory.verdict.decide import Verdict
from gda_theory.verdict.effects import Effects
from gda_theory.verdict.measure import Measurement, Stop
from theory_common.printing import tables

FROM = " from the retrained model"
DESCENDS_AFTER = "ascent_then_descent"
HARDLY = 0.01  # a change of a predicted probability below this hardly matters
GOOD_STEP = 0.5  # a Newton step that leaves more than this part is not recommended
LEAST_PERCENT = 0.01
MOST_DIGITS = 17


def sentences(
    verdict: Verdict, numbers: Measurement, strength: float, stops: Sequence[Stop] = ()
) -> str:
    """The verdict on gradient ascent at ``strength``, in at most three sentences.

    Args:
        verdict: the result of :func:`gda_theory.verdict.decide.decide` for these numbers.
        numbers: what was measured.
        strength: of the ascent.
        stops: what early stopping can do. If there are none, the sentences leave it out.
    """
    said = {
        Verdict.UNCERTAIN: _uncertain,
        Verdict.NOTHING_TO_FORGET: _nothing_to_forget,
        Verdict.NEARER: _nearer,
        Verdict.UNBOUNDED: _refused,
        Verdict.LOST: _refused,
        Verdict.FARTHER: _refused,
    }[verdict]
    return " ".join(said(verdict, numbers, strength, stops))


def predictions(measured: Effects) -> str:
    """What retraining would change in the predictions, over all rows; two sentences at most.

    Args:
        measured: what :func:`gda_theory.verdict.effects.effects` found.
    """
    change = measured.change["pretrained"]["all"]
    largest = f"{points(change.largest)} points"
    if change.largest < HARDLY and change.other_class == 0:
        return f"The model hardly changes: retraining moves no prediction by more than {largest}."
    before, after = (measured.quality[name]["all"].accuracy for name in ("pretrained", "retrained"))
    accuracy = (
        f"both have accuracy {before:.4f}"
        if before == after
        else "their accuracies are {} and {}".format(*apart(before, after, digits=4))
    )
    differ = f"Predictions of your model and of the retrained one differ by at most {largest}"
    return f"{differ}; {accuracy}."


def points(part: float) -> str:
    """A difference of probabilities in points of 0.01, rounded up, so that it is a bound."""
    if part == 0:
        return "0"
    scale = 10.0 ** (math.floor(math.log10(100 * part)) - 1)
    return tables.number(math.ceil(round(100 * part / scale, 9)) * scale, 2)


def _uncertain(verdict, numbers: Measurement, strength, stops) -> Iterable[str]:
    if numbers.no_minimum:
        yield f"No verdict: {numbers.no_minimum}."
        yield "Give these columns a ridge, or leave columns out."
        return
    yield "No verdict: a solver did not reach its tolerance."
    yield "Try a larger ridge or standardised features."


def _nothing_to_forget(verdict, numbers, strength, stops) -> Iterable[str]:
    yield "Do nothing."
    yield "The model already equals the one retrained without these rows, to nine digits."


def _nearer(verdict, numbers: Measurement, strength: float, stops) -> Iterable[str]:
    at = tables.number(strength)
    left = numbers.end_distance / numbers.pretrain_distance
    part = f"{percent(left)} of the distance to the retrained model"
    if percent(left) in ("100 %", "almost 100 %"):
        yield f"Gradient ascent at strength {at} gains nothing: {_end(numbers)} leaves {part}."
    else:
        yield f"Gradient ascent at strength {at} helps: {_end(numbers)} leaves {part}."
    if numbers.run_end == RunEnd.UNDECIDED:
        yield "Where the run from your model ends was not decided."
    elif numbers.break_even_strength > strength:
        _, limit = apart(strength, numbers.break_even_strength, digits=2)
        yield f"At strength {limit} its minimum is as far away as the pretrained model."
    if numbers.newton_relative < min(GOOD_STEP, left):
        yield (
            f"One Newton step on the kept rows removes {percent(1 - numbers.newton_relative)} "
            "of the distance, and retraining all of it."
        )
    else:
        yield f"Retraining leaves nothing and takes {numbers.retrain_iterations} Newton steps."


def _end(numbers: Measurement) -> str:
    """What the distance of ascent's end belongs to."""
    if numbers.run_end == RunEnd.CONTINUED:
        return "the run from your model"
    if numbers.run_end == RunEnd.ELSEWHERE:
        return "the run from your model ends in another minimum than that near retraining and"
    return "its minimum"


def _refused(verdict, numbers: Measurement, strength: float, stops) -> Iterable[str]:
    yield f"Do not use gradient ascent at strength {tables.number(strength)}{_early_stop(stops)}."
    why = {
        Verdict.UNBOUNDED: _why_unbounded,
        Verdict.LOST: _why_lost,
        Verdict.FARTHER: _why_farther,
    }[verdict]
    yield why(numbers, strength)
    yield _instead(numbers)


def _early_stop(stops: Sequence[Stop]) -> str:
    """What stopping early can do.

    The scheme that ascends first and then only descends is told apart: descent does its work.
    """
    ascending = [stop.best_relative for stop in stops if stop.scheme != DESCENDS_AFTER]
    descending = [stop.best_relative for stop in stops if stop.scheme == DESCENDS_AFTER]
    if not ascending:
        return ""
    best = min(ascending)
    if not best < 1:
        if descending and min(descending) < 1:
            return (
                ": while it ascends, no epoch comes closer to the retrained model than doing "
                f"nothing, and only descent afterwards does (it leaves {percent(min(descending))})"
            )
        return ": no epoch comes closer to the retrained model than doing nothing"
    left = f"{percent(best)} of the distance to the retrained model"
    if best >= GOOD_STEP:
        return f": even its best epoch leaves {left}"
    return f": only its best epoch, unknown without retraining, leaves as little as {left}"


def _why_unbounded(numbers: Measurement, strength: float) -> str:
    runaway = numbers.runaway_class
    if runaway is None and numbers.run_end == RunEnd.DIVERGES:
        return "The run from your model diverges: its weights grow without end."
    if runaway is None:
        return "Its objective has no lower bound along a coordinate without ridge."
    label = runaway.label if isinstance(runaway.label, str) else f"{runaway.label:+d}"
    name = f"class {label}"
    if numbers.reduction == "mean":
        forgotten, kept = percents_apart(runaway.forgotten, runaway.kept)
        part = f"{forgotten} of the forgotten but {kept} of the kept rows are of {name}"
        if strength != 1:
            part = f"{forgotten} of the forgotten and {kept} of the kept rows are of {name}"
    else:
        forgotten, kept = apart(runaway.forgotten, runaway.kept)
        part = f"{forgotten} forgotten and {kept} kept rows are of {name}"
    part = f"{part[0].upper()}{part[1:]}"
    if numbers.run_end == RunEnd.DIVERGES:
        return f"{part}, so the intercept, which has no ridge, diverges."
    return f"{part}, so the objective has no lower bound along the intercept without ridge."


def _why_lost(numbers: Measurement, strength: float) -> str:
    even, lost = numbers.break_even_strength, numbers.critical_strength
    if math.isnan(lost):
        facts = "Its minimum does not exist at this strength"
    elif even < lost:
        first, second = apart(even, lost, digits=2)
        facts = (
            f"At strength {first} its minimum is as far away as the pretrained model, and at "
            f"{second} it disappears"
        )
    else:
        facts = f"At strength {tables.number(lost, 2)} its minimum disappears"
    run = f"at strength {tables.number(strength)} the run from your model"
    if numbers.run_end == RunEnd.DIVERGES:
        return f"{facts}; {run} diverges."
    if numbers.run_end == RunEnd.ELSEWHERE:
        return f"{facts}; {run} ends {_times(numbers.run_distance, numbers)}."
    return f"{facts}."


def _why_farther(numbers: Measurement, strength: float) -> str:
    even = numbers.break_even_strength
    limit = apart(even, strength, digits=2)[0] if even < strength else None
    if numbers.run_end == RunEnd.ELSEWHERE:
        end = f"The run from your model ends {_times(numbers.run_distance, numbers, FROM)}"
        if numbers.reason != Reason.FOUND:
            return f"{end}."
        other = _times(numbers.descent_ascent_distance, numbers)
        return f"{end}, and the minimum that continues the retrained one lies {other}."
    if numbers.run_end == RunEnd.CONTINUED:
        end = f"It ends {_times(numbers.run_distance, numbers, FROM)}"
    else:
        distance = numbers.descent_ascent_distance
        end = f"Its minimum lies {_times(distance, numbers, FROM)}"
    if numbers.run_end == RunEnd.UNDECIDED:
        return f"{end}; where the run from your model ends was not decided."
    if limit is None:
        return f"{end}."
    return f"{end}; up to strength {limit} its minimum is closer than doing nothing."


def _times(distance: float, numbers: Measurement, place: str = " away") -> str:
    """A distance to the retrained model, compared with that of doing nothing."""
    ratio = distance / numbers.pretrain_distance
    text = tables.number(ratio, 3)
    if text != "1":
        return f"{text} times as far{place} as doing nothing"
    if ratio == 1:
        return f"exactly as far{place} as doing nothing"
    return f"slightly {'farther' if ratio > 1 else 'closer'}{place} than doing nothing"


def _instead(numbers: Measurement) -> str:
    if not numbers.newton_relative < GOOD_STEP:
        return f"Retrain instead, which takes {numbers.retrain_iterations} Newton steps."
    removed = percent(1 - numbers.newton_relative)
    return f"Retrain instead, or take one Newton step, which removes {removed} of the distance."


def percent(part: float, digits: int = 3) -> str:
    """A part as a percentage that is 0 % or 100 % only if the part is exactly 0 or 1."""
    if part == 0:
        return "0 %"
    if 0 < 100 * part < LEAST_PERCENT:
        return f"less than {LEAST_PERCENT:g} %"
    text = f"{tables.number(100 * part, digits)} %"
    if text == "100 %" and part != 1:
        return "almost 100 %" if part < 1 else "just over 100 %"
    return text


def percents_apart(first: float, second: float) -> tuple[str, str]:
    """Two parts as percentages, with digits enough to tell them apart."""
    one, other = apart(100 * first, 100 * second)
    return f"{one} %", f"{other} %"


def apart(first: float, second: float, digits: int = 3) -> tuple[str, str]:
    """Two numbers as text, with digits enough to tell them apart if they differ."""
    for count in range(digits, MOST_DIGITS):
        texts = tables.number(first, count), tables.number(second, count)
        if texts[0] != texts[1] or first == second:
            return texts
    return repr(first), repr(second)
