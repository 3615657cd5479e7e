"""A certificate for K classes, against roots of the sums written out in mpmath."""

import json

import mpmath
import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import log_softmax

import gda_theory as gt
from gda_theory import cli
from gda_theory.verdict import certificates, checker

STRENGTH, RIDGE, CLASSES = 0.3, 0.05, 3


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(3)
    features = rng.normal(size=(24, 2))
    labels = np.argmax(features @ rng.normal(size=(2, CLASSES)) + rng.gumbel(size=(24, 3)), 1)
    return gt.MultinomialProblem(features, labels, np.arange(24) < 4, ridge=RIDGE)


def shares(name, one=1.0):
    """The weight of each row's loss: 20 rows are kept, and 4 are forgotten."""
    kept, dropped = {
        "pretrained": (one / 24, one / 24),
        "retrained": (one / 20, 0 * one),
        "ascent": (one / 20, -one * STRENGTH / 4),
    }[name]
    return [dropped] * 4 + [kept] * 20


def nearly(problem, name):
    """The minimum by SciPy, to about eight digits."""

    def value(flat):
        scores = np.asarray(problem.features) @ flat.reshape(CLASSES, 2).T
        own = log_softmax(scores, axis=1)[np.arange(24), np.asarray(problem.labels)]
        return -np.dot(shares(name), own) + RIDGE / 2 * flat @ flat

    return minimize(value, np.zeros(2 * CLASSES), method="BFGS", options={"gtol": 1e-7}).x


@pytest.fixture(scope="module")
def exact(problem):
    """The three minima in mpmath, all K d weights, by Newton's method to 50 digits."""
    rows = [[mpmath.mpf(float(value)) for value in row] for row in problem.features]
    labels = np.asarray(problem.labels).tolist()

    def gradient(name):
        weights = shares(name, mpmath.mpf(1))

        def at(*flat):
            table = [flat[2 * k : 2 * k + 2] for k in range(CLASSES)]
            total = [mpmath.mpf(RIDGE) * value for value in flat]
            for weight, row, label in zip(weights, rows, labels, strict=True):
                odds = [mpmath.exp(mpmath.fdot(row, one)) for one in table]
                for k in range(CLASSES):
                    force = weight * (odds[k] / mpmath.fsum(odds) - int(k == label))
                    total[2 * k] += force * row[0]
                    total[2 * k + 1] += force * row[1]
            return total

        return at

    with mpmath.workdps(50):
        return {
            name: mpmath.findroot(gradient(name), nearly(problem, name).tolist(), tol=1e-60)
            for name in checker.NAMES
        }


@pytest.fixture(scope="module")
def certificate(problem, exact):
    points = {
        name: np.array(list(map(float, root))).reshape(CLASSES, 2) for name, root in exact.items()
    }
    return json.loads(json.dumps(certificates.certificate_of(problem, STRENGTH, points)))


def rejected(certificate, problem):
    return checker.failures(certificate, problem.features, problem.labels, problem.forget)


def test_the_ratio_of_the_distances_is_that_of_the_exact_roots(problem, certificate, exact):
    assert rejected(certificate, problem) == []
    with mpmath.workdps(50):
        far, near = (
            mpmath.norm(exact[name] - exact["retrained"]) for name in ("ascent", "pretrained")
        )
        low, high = certificate["times_as_far"]
        assert low < far / near < high
        assert high - low < 1e-9 * low


def test_the_boxes_hold_the_exact_coordinates(certificate, exact):
    """``(w_1 - w_0) / sqrt 2`` and ``(2 w_2 - w_0 - w_1) / sqrt 6``."""
    with mpmath.workdps(50):
        for name, root in exact.items():
            first, second, third = (root[2 * k : 2 * k + 2, 0] for k in range(CLASSES))
            coordinates = [
                *((second - first) / mpmath.sqrt(2)),
                *((2 * third - first - second) / mpmath.sqrt(6)),
            ]
            box = certificate["boxes"][name]
            apart = [abs(a - b) for a, b in zip(coordinates, box["centre"], strict=True)]
            assert max(apart) < box["radius"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c["boxes"]["ascent"]["centre"].reverse(), "ascent is not proved"),
        (lambda c: c["boxes"]["retrained"]["centre"].pop(), "retrained has the wrong size"),
        (lambda c: c.update(classes=2), "labels must be those"),
        (lambda c: c.update(classes=4), "pretrained has the wrong size"),
        (lambda c: c.update(loss="logistic"), "labels must be those"),
        (lambda c: c.update(strength=0.31), "ascent is not proved"),
        (lambda c: c["times_as_far"].reverse(), "does not hold the ratio"),
    ],
)
def test_a_tampered_certificate_is_rejected(problem, certificate, change, words):
    changed = json.loads(json.dumps(certificate))
    change(changed)
    assert any(words in reason for reason in rejected(changed, problem))


def test_other_labels_are_rejected(problem, certificate):
    labels = np.array(problem.labels)
    labels[5] = (labels[5] + 1) % CLASSES
    found = checker.failures(certificate, problem.features, labels, problem.forget)
    assert found == ["the data are not those of the certificate"]


def test_a_large_problem_is_told_what_to_use(problem):
    wide = gt.MultinomialProblem(
        np.ones((24, 101)), problem.labels, problem.forget, ridge=RIDGE, classes=range(CLASSES)
    )
    with pytest.raises(ValueError, match=r"\(K - 1\) d = 2 x 101; the command forget"):
        certificates.certify(wide)


@pytest.mark.slow
def test_the_commands(tmp_path, capsys):
    """With an intercept that has no ridge, on a file with three classes."""
    from sklearn.datasets import load_iris

    source = str(tmp_path / "iris.csv")
    load_iris(as_frame=True).frame.to_csv(source, index=False)
    written = str(tmp_path / "certificate.json")
    rows = [source, "--label", "target", "--forget", "3,60,61,120", "--intercept"]
    made = ["--ridge", "0.1", "--strength", "0.02", "--out", written]
    assert cli.main(["certify", *rows, *made]) == 0
    assert "PROVED: descent-ascent at strength 0.02" in capsys.readouterr().out
    assert cli.main(["check", written, *rows]) == 0
    assert "CHECKED: descent-ascent at strength 0.02" in capsys.readouterr().out
    rows[4] = "3,60,61,121"
    assert cli.main(["check", written, *rows]) == 2
    assert "the data are not those of the certificate" in capsys.readouterr().err
