"""A certificate holds for its data, and is rejected if anything in it or in the data is changed.

Its boxes are compared with roots to fifty digits.
"""

import copy
import json
from functools import partial

import mpmath
import numpy as np
import pytest

import gda_theory as gt
from gda_theory import cli
from gda_theory.verdict import certificates, checker

STRENGTH = 0.2


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(5)
    features = rng.normal(size=(40, 3))
    labels = np.where(features @ [1.0, -1, 0.5] + rng.logistic(size=40) > 0, 1, -1)
    return gt.Problem(features, labels, np.arange(40) < 5, ridge=0.05)


@pytest.fixture(scope="module")
def certificate(problem):
    return json.loads(json.dumps(certificates.certify(problem, STRENGTH)))


def rejected(certificate, problem):
    return checker.failures(certificate, problem.features, problem.signs, problem.forget)


def test_a_certificate_holds_for_its_data(problem, certificate):
    assert rejected(certificate, problem) == []
    low, high = certificate["times_as_far"]
    oracle = gt.retrain(problem).weights
    far = np.linalg.norm(gt.descent_ascent(problem, STRENGTH).weights - oracle) / np.linalg.norm(
        gt.pretrain(problem).weights - oracle
    )
    assert low < far < high
    assert high - low < 1e-8 * far
    assert certificate["claim"] == checker.statement(STRENGTH, low)


@pytest.mark.parametrize("name", checker.NAMES)
def test_the_boxes_hold_the_roots_to_fifty_digits(problem, certificate, name):
    """Newton's method in mpmath on the sums written out."""
    types = [
        [mpmath.mpf(float(s * value)) for value in row]
        for s, row in zip(problem.signs, problem.features, strict=True)
    ]
    forget = np.asarray(problem.forget)
    with mpmath.workdps(50):
        kept, dropped = {
            "pretrained": (mpmath.mpf(1) / 40, mpmath.mpf(1) / 40),
            "retrained": (mpmath.mpf(1) / 35, mpmath.mpf(0)),
            "ascent": (mpmath.mpf(1) / 35, -mpmath.mpf(STRENGTH) / 5),
        }[name]
        weights = [dropped if out else kept for out in forget]

        def gradient(*w):
            odds = [
                c / (1 + mpmath.exp(mpmath.fdot(t, w))) for c, t in zip(weights, types, strict=True)
            ]
            return [
                mpmath.mpf(0.05) * w[j]
                - mpmath.fsum(o * t[j] for o, t in zip(odds, types, strict=True))
                for j in range(3)
            ]

        box = certificate["boxes"][name]
        root = mpmath.findroot(gradient, box["centre"], tol=1e-60)
        assert max(abs(root[j] - box["centre"][j]) for j in range(3)) < box["radius"]


def changed(certificate, path, value):
    copied = copy.deepcopy(certificate)
    place = copied
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value(place[path[-1]])
    return copied


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("boxes", "ascent", "centre", 0), lambda c: c + 1e-6, "ascent is not proved"),
        (("boxes", "retrained", "centre", 2), lambda c: -c, "retrained is not proved"),
        (("boxes", "pretrained", "radius"), lambda r: r * 1e-6, "pretrained is not proved"),
        (("boxes", "pretrained", "radius"), lambda r: 1e3, "pretrained is not proved"),
        (
            ("boxes", "pretrained", "radius"),
            lambda r: float("nan"),
            "pretrained has the wrong size",
        ),
        (("boxes", "ascent", "centre"), lambda c: c[:2], "ascent has the wrong size"),
        (("boxes", "ascent", "centre", 0), lambda c: "[0 +/- 1]", "malformed"),
        (("times_as_far", 0), lambda k: k * (1 + 1e-7), "does not hold the ratio"),
        (("times_as_far", 1), lambda k: k * (1 - 1e-7), "does not hold the ratio"),
        (
            ("claim",),
            lambda text: text.replace("at least", "at least ten"),
            "not what the numbers say",
        ),
        (("strength",), lambda g: g * 1.01, "ascent is not proved"),
        (("strength",), lambda g: -g, "strength > 0"),
        (("ridge", 1), lambda r: r * 1.01, "is not proved"),
        (("ridge", 1), lambda r: -r, "ridge must have"),
        (("loss",), lambda loss: "exponential", "is not proved"),
        (("loss",), lambda loss: "hinge", "loss must be"),
        (("reduction",), lambda reduction: "sum", "is not proved"),
        (("reduction",), lambda reduction: "median", "malformed"),
        (("data",), lambda digest: digest[::-1], "the data are not"),
        (("rows", 1), lambda forgotten: forgotten + 1, "rows must be how many"),
        (("boxes",), lambda boxes: None, "malformed"),
        (("strength",), lambda g: 10**400, "malformed"),
    ],
)
def test_a_tampered_certificate_is_rejected(problem, certificate, path, value, words):
    assert any(words in reason for reason in rejected(changed(certificate, path, value), problem))


def test_other_data_are_rejected(problem, certificate):
    features = np.array(problem.features)
    features[7, 1] = np.nextafter(features[7, 1], 10)
    for given in (
        (features, problem.signs, problem.forget),
        (problem.features, -problem.signs, problem.forget),
        (problem.features, problem.signs, ~problem.forget),
    ):
        assert checker.failures(certificate, *given) == [
            "the data are not those of the certificate"
        ]


def test_a_saddle_is_not_a_minimum():
    """A box around the saddle of a pair holds one stationary point, but is rejected.

    The Hessian has a negative pivot there.
    """
    from flint import arb, arb_mat

    pair = gt.CorrelatedPair(
        0.5, ridge=0.1, retain_size=80, forget_size=20, retain_in_pair=8, forget_in_pair=1
    )
    points = gt.pair.stationary_points(pair)
    objective = pair.objective()
    types = arb_mat([[arb(float(value)) for value in row] for row in objective.types])
    weights = [arb(float(value)) for value in objective.coefficients(1.0)]
    for kind, point in zip(points.kind, points.weights, strict=True):
        derivatives = partial(checker.local, types, weights, [arb(0.1)] * 2, "exponential")
        found = checker.has_one_minimum(derivatives, [float(value) for value in point], 1e-11)
        assert found == (kind == gt.Kind.MINIMUM)


def test_what_cannot_be_certified_is_said(problem):
    with pytest.raises(ValueError, match="at most 10000 rows and 30 columns"):
        certificates.certify(
            gt.Problem(np.ones((4, 31)), [1, -1, 1, -1], [True, False, False, False], ridge=1)
        )
    with pytest.raises(ValueError, match="sample_weight must be 1"):
        certificates.certify(problem.replace(sample_weight=np.full(40, 2.0)))
    with pytest.raises(
        ValueError, match=r"strength 9 has no minimum to certify: .* disappeared .at strength"
    ):
        certificates.certify(problem.replace(loss="exponential"), 9)
    with pytest.raises(TypeError, match="problem must be a Problem or"):
        certificates.certify(problem.objective())


def test_the_commands(tmp_path, capsys):
    rows = ["iris:0-1", "--forget", "3,60,61"]
    written = str(tmp_path / "certificate.json")
    assert (
        cli.main(["certify", *rows, "--ridge", "0.1", "--strength", "0.02", "--out", written]) == 0
    )
    assert "PROVED: descent-ascent at strength 0.02" in capsys.readouterr().out
    assert cli.main(["check", written, *rows]) == 0
    assert "CHECKED: descent-ascent at strength 0.02" in capsys.readouterr().out
    assert cli.main(["check", written, "iris:0-1", "--forget", "3,60,62"]) == 2
    assert "is rejected: the data are not those of the certificate" in capsys.readouterr().err
    for damage in (b"", b"{", bytes(range(256)), b'{"verdict": "a report"}'):
        (tmp_path / "damaged.json").write_bytes(damage)
        assert cli.main(["check", str(tmp_path / "damaged.json"), *rows]) == 2
        assert (
            "damaged.json must be a JSON file that certify or forget wrote"
            in capsys.readouterr().err
        )
