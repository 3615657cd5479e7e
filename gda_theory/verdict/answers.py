"""The questions that a report answers, each with one plain sentence.

A sentence is a template over the report's JSON (:mod:`gda_theory.verdict.page_values`), so that
each of its numbers has a key. Numbers decide which sentence is written.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from gda_theory.verdict.differences import LISTED
from gda_theory.verdict.page_values import plain
from gda_theory.verdict.remedies import DESCRIPTIONS

WIDE = 0.2  # a test that lets a larger gap pass cannot tell
LITTLE = 0.1  # a remedy that leaves at most this part is recommended
OPPOSITE = -0.5  # a cosine below it counts as opposite sides
DESCENDS_LATER = "ascent_then_descent"  # at its best epoch descent alone has done the work


class ReportAnswer(NamedTuple):
    """One answer: the section's key in the JSON, and templates of headline and sentence."""

    key: str
    question: str
    headline: str
    sentence: str


def answers(document: Any) -> list[ReportAnswer]:
    """The answers whose sections are in the JSON, in order."""
    found = []
    for key, question, answer in QUESTIONS:
        if document.get(key):
            headline, sentence = answer(document)
            found.append(ReportAnswer(key, question, headline, sentence))
    return found


def sentences(document: Any) -> dict[str, dict[str, str]]:
    """Question and sentence of each answer as text, for the JSON itself."""
    return {
        answer.key: {
            "question": answer.question,
            "headline": plain(answer.headline, document),
            "sentence": plain(answer.sentence, document),
        }
        for answer in answers(document)
    }


Said = tuple[str, str]


def _effects(document: Any) -> Said:
    place = "effects.change.pretrained.all"
    return (
        f"{{{place}.largest|points_up}} points at most",
        "The pretrained model's probabilities differ from the retrained model's by "
        f"{{{place}.mean|points_up}} percentage points on average, and by "
        f"{{{place}.largest|points_up}} at most.",
    )


def _differences(document: Any) -> Said:
    half = document["differences"]["half"]
    name = "feature" if document["classes"] == 2 else "weight"
    several = f"{name}s account" if half > 1 else f"{name} accounts"
    alone = len(document["differences"]["rows"]) < LISTED  # then a tenth is one row
    strongest = "forgotten row" if alone else "tenth of the forgotten rows"
    return (
        f"{{differences.half|number}} of {{differences.feature_count|number}} {name}s",
        f"{{differences.half|number}} of {{differences.feature_count|number}} {several} for half "
        f"of the difference. The strongest {strongest} covers "
        "{differences.strongest_tenth|percent} of the way to the retrained model.",
    )


def best_ascent(stops: Sequence[Any]) -> int | None:
    """The place of the stop that leaves the least, of all schemes that go on ascending."""
    places = [index for index, stop in enumerate(stops) if stop["scheme"] != DESCENDS_LATER]
    return min(places, key=lambda index: stops[index]["best_relative"], default=None)


def _stops(document: Any) -> Said:
    best = best_ascent(document["stops"])
    place = f"stops.{best}"
    if document["stops"][best]["best_epoch"] == 0:
        return (
            "none helps",
            "No early stop comes closer to the retrained model than doing nothing. Plain "
            f"descent on the kept rows leaves {{{place}.descent_final|percent}} of the distance "
            f"after {{{place}.epochs|number}} epochs.",
        )
    return (
        f"{{{place}.best_relative|percent}} left at best",
        f"Of runs that go on ascending, the best leaves {{{place}.best_relative|percent}} of the "
        f"distance, at epoch {{{place}.best_epoch|number}}. Of {{{place}.epochs|number}} epochs, "
        f"{{{place}.good_epochs|number}} leave at most half. Plain descent leaves "
        f"{{{place}.descent_relative|percent}} at this epoch." + _later_descent(document, best),
    )


def _later_descent(document: Any, best: int | None) -> str:
    """What the scheme that ends with descent leaves, if that is less."""
    stops = document["stops"]
    places = [index for index, stop in enumerate(stops) if stop["scheme"] == DESCENDS_LATER]
    if not places:
        return ""
    later = min(places, key=lambda index: stops[index]["best_relative"])
    if not stops[later]["best_relative"] < stops[best]["best_relative"]:
        return ""
    return (
        f" Ascent and then descent leaves {{stops.{later}.best_relative|percent}}, and plain "
        f"descent {{stops.{later}.descent_relative|percent}}."
    )


def _course(document: Any) -> Said:
    given, fold = document["given"], document["course"]["fold"]
    if given["critical_strength"] is None:
        return (
            "none up to {given.searched_to|short}",
            "Up to strength {given.searched_to|short}, as far as it was followed, the minimum of "
            "ascent does not disappear.",
        )
    lost = "Above strength {given.critical_strength|short} the minimum of ascent does not exist"
    headline = "strength {given.critical_strength|short}"
    if fold is None:
        return headline, f"{lost}, and the weights run to infinity."
    if fold["beyond"] is None:
        return headline, f"{lost}, and no other minimum was found beyond it."
    return (
        headline,
        f"{lost}. At this strength it is {{course.fold.distance|short}} times as far from the "
        "retrained model as doing nothing. The minimum to which a run then moves is "
        "{course.fold.beyond|short} times as far.",
    )


def _dependence(document: Any) -> Said:
    given = document["given"]
    cosine = "(cosine {given.opposite_cosine|short})"
    opposite = given["opposite_cosine"] is not None and given["opposite_cosine"] < OPPOSITE
    if given["break_even_strength"] is None:
        even = "no strength up to {given.searched_to|short} is worse than doing nothing"
        headline = "cosine {given.opposite_cosine|short}"
    else:
        even = "ascent is worse than doing nothing above strength {given.break_even_strength|short}"
        headline = "break-even at {given.break_even_strength|short}"
    if opposite:
        lies = f"Ascent and pretraining lie on opposite sides of the retrained model {cosine}"
        return headline, f"{lies}, and {even}."
    lies = f"Ascent does not lie opposite to pretraining {cosine}"
    return headline, f"{lies}, and {even}."


def _random_test(document: Any) -> Said:
    share = (
        "a model that was trained without them is right on {random_test.forget_accuracy|percent} "
        "of them, and on {random_test.test_accuracy|percent} of held-out rows"
    )
    found = document["random_test"]
    if found["looks_random"] and found["half_width"] > WIDE:
        return (
            "too few rows to tell",
            f"There are too few forgotten rows to tell: {share}. With so few rows even a gap of "
            "{random_test.half_width|points} percentage points would not be unusual.",
        )
    if found["looks_random"]:
        return (
            "yes, by its accuracy",
            f"The forgotten rows may be a random sample: {share}.",
        )
    return (
        "no",
        f"The forgotten rows are no random sample: {share}. The probability of such a gap by "
        "chance is {random_test.exact|short}.",
    )


def recommended(methods: Sequence[Any]) -> int:
    """The place of the cheapest method that leaves at most a tenth of the distance."""
    good = [index for index, method in enumerate(methods) if _is_good(method)]
    return min(good, key=lambda index: methods[index]["work"])


def _is_good(method: Any) -> bool:
    """Exact retraining always is, so that there is one."""
    if method["name"] == "retrain":
        return True
    # Ascent cannot be recommended, since without the retrained model nobody knows where to stop.
    return method["name"].startswith(("newton", "fine")) and float(method["distance"]) <= LITTLE


def _remedies(document: Any) -> Said:
    methods = document["remedies"]["methods"]
    best = recommended(methods)
    again = next(index for index, method in enumerate(methods) if method["name"] == "retrain")
    place, name = f"remedies.methods.{best}", DESCRIPTIONS[methods[best]["name"]]
    work = f"the work of {{{place}.work|short}} gradients"
    if best == again:
        return name, f"Retrain: it takes {work}, and nothing cheaper leaves little of the distance."
    certified = "" if methods[best]["bound"] == "inf" else f" (certified: {{{place}.bound|bound}})"
    return (
        name,
        f"{name[0].upper()}{name[1:]} leaves {{{place}.distance|percent}} of the distance"
        f"{certified} for {work}; exact retraining takes "
        f"{{remedies.methods.{again}.work|short}}.",
    )


def _membership(document: Any) -> Said:
    place = "membership.attack"
    after = (
        f" and in {{{place}.newton.median|percent}} after one Newton step"
        if "newton" in document["membership"]["attack"]
        else ""
    )
    return (
        f"{{{place}.pretrained.median|percent}} after doing nothing",
        "An outsider guesses whether the model was trained with a forgotten row. For the median "
        f"row the best guess is right in {{{place}.pretrained.median|percent}} of cases after "
        f"doing nothing{after}. Blind guessing is right in half.",
    )


QUESTIONS: tuple[tuple[str, str, Callable[[Any], Said]], ...] = (
    ("effects", "How far is the model from the retrained one?", _effects),
    ("differences", "Which features and which forgotten rows make the difference?", _differences),
    ("stops", "What can stopping early reach?", _stops),
    ("course", "At which strength does ascent break down?", _course),
    ("dependence", "How much do the two sets depend on each other?", _dependence),
    ("random_test", "Does the forget set look random?", _random_test),
    ("remedies", "What should be done instead?", _remedies),
    ("membership", "What could an outsider still tell?", _membership),
)
