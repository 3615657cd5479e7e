"""A receipt holds for its data, and any change of it, of the data or of its files is rejected."""

import copy
import json

import numpy as np
import pytest

import gda_theory as gt
from gda_theory import deletion
from gda_theory.deletion import receipt_rows, receipts

MODEL = b"the bytes of a model"


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(5)
    features = rng.normal(size=(60, 3))
    labels = np.where(features @ [1.0, -1, 0.5] + rng.logistic(size=60) > 0, 1, -1)
    return gt.Problem(features, labels, np.arange(60) < 4, ridge=0.05)


@pytest.fixture(scope="module")
def rows(problem):
    names = ("features", "signs", "sample_weight")
    return receipt_rows.Rows(*(np.asarray(getattr(problem, name)) for name in names))


def made(problem, rows, deleted, *, plain=None, steps=1, step_size=None):
    settings = receipt_rows.DeletionSettings(
        method=deleted.method,
        steps=steps,
        step_size=step_size,
        loss=problem.loss.name,
        reduction=problem.reduction,
        ridge=np.asarray(problem.ridge).tolist(),
        intercept=False,
    )
    files = {"model": {"name": "m", "sha256": receipts.sha256(MODEL)}}
    return receipts.make(
        rows.digest(),
        np.asarray(problem.forget),
        settings,
        np.asarray(gt.pretrain(problem).weights),
        deleted.weights,
        (plain or deleted).certificate,
        noise=deleted.noise,
        files=files,
    )


@pytest.fixture(scope="module")
def receipt(problem, rows):
    return made(problem, rows, deletion.newton(problem, gt.pretrain(problem).weights))


def rejected(receipt, problem, rows, **options):
    written = receipt if isinstance(receipt, bytes) else receipts.text(receipt).encode()
    forget = np.asarray(problem.forget)
    options = {"files": {"model": MODEL}} | options
    return receipts.failures(written, rows, forget, **options)


def test_a_receipt_holds_for_its_data(problem, rows, receipt):
    assert rejected(receipt, problem, rows) == []
    assert json.loads(receipts.text(receipt)) == receipt
    assert receipt["claim"].startswith("4 rows deleted by newton; the model is at most ")
    for reduction in ("sum", "mean"):
        other = problem.replace(reduction=reduction, loss="exponential")
        start = gt.pretrain(other).weights
        for found in (
            deletion.retrain(other, start),
            deletion.fine_tune(other, start, 3),
            deletion.pure_ascent(other, start, 3, step_size=1e-3),
        ):
            size = 1e-3 if found.method == "pure_ascent" else None
            assert rejected(made(other, rows, found, steps=3, step_size=size), other, rows) == []


def test_every_changed_byte_is_rejected(problem, rows, receipt):
    written = receipts.text(receipt).encode()
    for place in range(len(written)):
        changed = bytearray(written)
        changed[place] ^= 1
        assert rejected(bytes(changed), problem, rows), place
    assert rejected(written + b"\n", problem, rows)
    assert rejected(b"", problem, rows)
    assert rejected(b"[]", problem, rows)


def test_a_forged_receipt_with_a_right_sum_is_rejected(problem, rows, receipt):
    def forged(change):
        altered = copy.deepcopy(receipt)
        change(altered)
        return rejected(receipts.sealed(altered), problem, rows)

    def set_bound(altered):
        altered["distance_bound"] *= 0.5

    def set_result(altered):
        altered["result"][0] += 1e-4

    def set_start(altered):
        altered["start"][1] += 1e-3

    def set_ridge(altered):
        altered["settings"]["ridge"][2] *= 2

    def set_rows(altered):
        altered["rows"]["forgotten"][0] = 50

    def set_method(altered):
        altered["settings"]["method"] = "magic"

    def set_claim(altered):
        altered["claim"] += "!"

    def set_gradient(altered):
        altered["gradient_norm"] /= 2

    expected = {
        set_bound: "more than the",
        set_result: "leads to other weights",
        set_start: "leads to other weights",
        set_ridge: "leads to other weights",
        set_rows: "the rows to forget are not those",
        set_method: "method must be one of",
        set_claim: "its claim is not what its numbers say",
        set_gradient: "the gradient norm is",
    }
    for change, message in expected.items():
        assert message in "; ".join(forged(change)), change


def test_other_data_and_files_are_rejected(problem, rows, receipt):
    features = rows.features.copy()
    features[7, 1] = np.nextafter(features[7, 1], 9)
    wrong = "the data are not those of the receipt"
    assert rejected(receipt, problem, rows._replace(features=features)) == [wrong]
    assert rejected(receipt, problem, rows._replace(labels=-rows.labels)) == [wrong]
    assert rejected(receipt, problem.replace(forget=np.arange(60) < 5), rows) == [
        "the rows to forget are not those of the receipt"
    ]
    assert rejected(receipt, problem, rows, files={"model": MODEL + b"!"}) == [
        "the model file is not m of the receipt"
    ]
    assert rejected(receipt, problem, rows, files={}) == ["the model file m is missing"]


def test_the_noise_is_checked(problem, rows):
    start = gt.pretrain(problem).weights
    plain = deletion.newton(problem, start)
    noisy = deletion.published(problem, plain, epsilon=1.0, delta=1e-5, seed=11)
    receipt = made(problem, rows, noisy, plain=plain)
    assert "noise of standard deviation" in receipt["claim"]
    assert rejected(receipt, problem, rows) == []
    assert rejected(receipt, problem, rows, noise_seed=11) == []
    assert rejected(receipt, problem, rows, noise_seed=12) == [
        "the result is not the model with the noise of this seed"
    ]
    weak = copy.deepcopy(receipt)
    weak["noise"]["epsilon"] = 0.5
    assert "the noise is" in "; ".join(rejected(receipts.sealed(weak), problem, rows))
    weak = copy.deepcopy(receipt)
    weak["noise"]["distance"] /= 2
    assert "less than the bound" in "; ".join(rejected(receipts.sealed(weak), problem, rows))
    assert "11" not in json.dumps(receipt["settings"])
