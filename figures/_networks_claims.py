"""Each claim of the paper about networks: it holds, holds in part, or fails by the runs."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from gda_theory.studies.networks.verdicts import (
    FORGET,
    MEAN,
    NORMAL,
    P95,
    VALIDATION,
    best,
    by,
    deepest,
    defects,
    verdict,
    works,
)

SMALL = 0.1  # a relative change that counts as staying near the pretrained networks
NOT_TREATED = "not treated"


def claims(data: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Triples: claim, what the paper says, what is found here."""
    sets = data["sets"]
    yield _never_works(
        sets, "ascent", "it stays near the start or breaks the model (Figs. 1, 3, 7)"
    )
    yield _never_works(
        sets, "descent-ascent", "random sets: the model degrades; PC2: some runs work (Fig. 3)"
    )
    yield _hardest(sets)
    yield _illusion(sets)
    yield _scrub(sets)
    yield _band(sets)
    yield _oracles(sets)
    for name, found in sets.items():
        yield _table(name, found, data)
    for method in ("fine-tuning", "SCRUB", "Newton, last layer", "Newton, network"):
        counts, _ = _counted(sets, method)
        yield f"{method} works on {data['data']}", NOT_TREATED, counts
    yield from _defects(sets)


def _counted(sets: dict[str, Any], method: str) -> tuple[str, list[np.ndarray]]:
    found = {name: works(one, method) for name, one in sets.items()}
    words = [f"{name}: {runs.sum()} of {len(runs)}" for name, runs in found.items()]
    return f"runs that work: {', '.join(words)}", list(found.values())


def _never_works(sets: dict[str, Any], method: str, paper: str) -> tuple[str, str, str]:
    counts, runs = _counted(sets, method)
    never = sum(not of_set.any() for of_set in runs)
    return f"{method} never works", paper, f"{verdict(never, len(runs))}; {counts}"


def _hardest(sets: dict[str, Any]) -> tuple[str, str, str]:
    """Is the principal component the hardest set for descent-ascent, at equal size?"""
    scores = {
        name: best(found, "descent-ascent", MEAN)[[FORGET, VALIDATION]].sum()
        for name, found in sets.items()
    }
    cases = []
    for name in (name for name in scores if name.startswith("pc1_top")):
        others = [
            other for other in scores if other != name and other.split()[1] == name.split()[1]
        ]
        cases += [scores[name] > scores[other] for other in others]
    listed = ", ".join(f"{name} {score:.2f}" for name, score in scores.items())
    return (
        "rows of the first principal component are the hardest for descent-ascent",
        "yes (Fig. 3)",
        f"{verdict(sum(cases), len(cases))}; mean KLoM on forgotten plus unseen rows of the best "
        f"run: {listed}",
    )


def _illusion(sets: dict[str, Any]) -> tuple[str, str, str]:
    """Does the mean over the splits fall, and then rise again?"""
    words = []
    seen = 0
    for name, found in sets.items():
        course = deepest(found)
        seen += course is not None
        words.append(
            f"{name}: never"
            if course is None
            else f"{name}: {course[0]:.2f}, {course[1]:.2f}, {course[2]:.2f} at rate {course[3]:g}"
        )
    return (
        "mean KLoM of ascent falls, then rises over the epochs",
        "yes: an illusion of success (Fig. 2)",
        f"{verdict(seen, len(sets))}; start, least, end: {'; '.join(words)}",
    )


def _scrub(sets: dict[str, Any]) -> tuple[str, str, str]:
    """Does SCRUB stay near the pretrained networks on forgotten rows?"""
    words = []
    near = 0
    for name, found in sets.items():
        start = found["nothing"][NORMAL, FORGET]
        last = by(found, "SCRUB") & (found["epoch"] == found["epoch"].max())
        ends = found["runs"][last, NORMAL, FORGET]
        near += bool(np.all(np.abs(ends - start) <= SMALL * start))
        words.append(f"{name}: {start:.3g} to {' or '.join(f'{end:.3g}' for end in ends)}")
    frozen = max(
        np.abs(found["runs"][by(found, "SCRUB, frozen student")] - found["nothing"]).max()
        for found in sets.values()
    )
    return (
        "SCRUB stays near the pretrained networks on forgotten rows",
        "yes (Fig. 6)",
        f"{verdict(near, len(sets))}; normal estimate at the start and after the last epoch: "
        f"{'; '.join(words)}. With a frozen student, scores move by {frozen:.1g} at most",
    )


def _band(sets: dict[str, Any]) -> tuple[str, str, str]:
    """Lemma 1: for random F, accuracy on F is near that on fresh rows."""
    random = {name: found for name, found in sets.items() if name.startswith("random")}
    inside = sum(found["band"]["oracle"][2] <= 0.05 for found in random.values())
    words = [
        f"{name} (± {found['band']['width']:.2f}): retrained "
        f"{100 * found['band']['oracle'][2]:.0f} %, "
        f"pretrained {100 * found['band']['nothing'][2]:.0f} %"
        for name, found in random.items()
    ]
    return (
        "on a random set, a retrained network is as accurate as on fresh rows, within Hoeffding's "
        "band",
        "with probability 95 % (Lemma 1)",
        f"{verdict(inside, len(random))}; networks outside: {'; '.join(words)}",
    )


def _oracles(sets: dict[str, Any]) -> tuple[str, str, str]:
    """Two halves of the retrained networks should differ by noise only."""
    cases = []
    values = []
    for found in sets.values():
        for split in found["oracles"].values():
            cases.append(split["normal"]["low"] <= 0 <= split["normal"]["high"])
            values.append(split["normal"]["value"])
    return (
        "two halves of the retrained networks score as equal models",
        f"{NOT_TREATED}; true by construction",
        f"{verdict(sum(cases), len(cases))}; 0 lies in {sum(cases)} of {len(cases)} intervals of "
        f"the normal estimate, whose values go from {min(values):.3f} to {max(values):.3f}",
    )


def _table(name: str, found: dict[str, Any], data: dict[str, Any]) -> tuple[str, str, str]:
    numbers = (
        f"{split} {one['P95']['value']:.2f} [{one['P95']['low']:.2f}, {one['P95']['high']:.2f}]"
        for split, one in found["interval"].items()
    )
    return (
        f"P95 of doing nothing on {name}, {data['networks']} networks of {data['data']}",
        "Table 1: 0.5 to 4.1 on MNIST and Fashion-MNIST, without flipped labels",
        f"{', '.join(numbers)}; floor {data['floor'][1]:.2f}; {found['flipped']} rows flipped",
    )


def _defects(sets: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name, found in defects(sets).items():
        yield (
            f"defect alone: {name}",
            NOT_TREATED,
            f"P95 moves by {found['forget']:.2f} on forgotten and {found['validation']:.2f} on "
            f"unseen rows (medians over runs), by {found['largest']:.1f} at most; rank correlation "
            f"of the runs {found['tau']:.2f}; another best method on {found['other_best']} of "
            f"{len(sets)} sets",
        )
    yield _frozen_student(sets)
    yield _other_batch(sets)


def _frozen_student(sets: dict[str, Any]) -> tuple[str, str, str]:
    moved = np.concatenate(
        [
            np.abs(found["runs"][by(found, "SCRUB"), P95] - found["nothing"][P95])
            for found in sets.values()
        ]
    )
    return (
        "defect alone: SCRUB's student is frozen",
        NOT_TREATED,
        f"P95 of SCRUB moves by {np.median(moved[:, FORGET]):.2f} on forgotten and "
        f"{np.median(moved[:, VALIDATION]):.2f} on unseen rows (medians over its runs), by "
        f"{moved[:, [FORGET, VALIDATION]].max():.1f} at most",
    )


def _other_batch(sets: dict[str, Any]) -> tuple[str, str, str]:
    claim = "defect alone: forget batches of 32 and 64 share one name"
    moved = []
    for found in sets.values():
        other = found["other_batch"]
        for rate, epoch, values in zip(other["rate"], other["epoch"], other["runs"], strict=True):
            same = by(found, "descent-ascent") & (found["rate"] == rate)
            moved += list(
                np.abs(found["runs"][same & (found["epoch"] == epoch), P95] - values[P95])
            )
    if not moved:
        return claim, NOT_TREATED, "nothing moves: all sets have 32 rows or fewer"
    changes = np.array(moved)
    return (
        claim,
        NOT_TREATED,
        f"P95 of descent-ascent moves by {np.median(changes[:, FORGET]):.2f} on forgotten and "
        f"{np.median(changes[:, VALIDATION]):.2f} on unseen rows (medians over {len(changes)} "
        f"runs on random 50), by {changes[:, [FORGET, VALIDATION]].max():.1f} at most",
    )
