"""The figure of pictures, from made-up studies: nothing is trained here."""

import numpy as np
import pytest

from figures import images
from rhm_theory.denoisers import images as library
from rhm_theory.studies import images as study
from tests.figure_checks import assert_claims_complete, assert_drawn_legibly

MIXTURES = ("one Gaussian", "class Gaussians", "diagonal class Gaussians", "50 k-means Gaussians")
TIMES = (0.4, 0.6, 1.0)
STARTS = 12


def made_up(number, names, loss):
    """A seed whose first posterior has a peak, with the mean denoising loss ``loss``."""
    generator = np.random.default_rng(number)
    chi = np.full((len(names), 3), 2.0)
    chi[0, 1] = 4
    shape = (len(names), 3, 3, 1, len(library.MEASURES), STARTS)
    single = generator.gamma(50, 1 / 50, shape)
    total = chi[..., None, None, None, None] * single * generator.gamma(50, 1 / 50, shape)
    losses = np.full(len(names), 0.3)
    losses[0] = loss
    noise = 0.01 * generator.normal(size=(len(names), 2, 9))
    shares = np.broadcast_to(np.array([0.2, 0.6, 0.9])[:, None], (len(names), 3, STARTS))
    return library.Seed(
        names=names,
        accuracy=0.9,
        sums=np.concatenate([total, single], 3),
        changed=shares,
        moved=shares,
        losses=losses[:, None, None] + noise,
    )


def column(names, loss, primary="f1"):
    seeds = [made_up(number, names, loss) for number in range(2)]
    return {
        "times": np.array(TIMES),
        "seeds": 2,
        "sizes": np.array([STARTS, 8]),
        "accuracy": 0.9,
        **study.summarised(seeds, primary),
    }


@pytest.fixture(scope="module")
def data():
    return {
        "digits": column((library.MODEL, *MIXTURES), 0.4),
        "grammar": column((library.EXACT, *MIXTURES), 0.1),
        "fashion": column((library.MODEL, *MIXTURES), 0.2, "f3"),
    }


def test_drawn_and_complete(data):
    assert_drawn_legibly(images, data)
    assert_claims_complete(images, data)


def test_a_model_that_fails_the_gate_is_not_reported(data):
    assert library.MODEL not in images.shown(data["digits"])
    assert library.MODEL in images.shown(data["fashion"])
    told = [claim for claim, _, _ in images.claims(data)]
    assert not any("digits: contrast of the diffusion model" in claim for claim in told)
    assert any("Fashion-MNIST: contrast of the diffusion model" in claim for claim in told)


def test_the_contrast_of_the_peak_is_found(data):
    found = data["grammar"]["tests"]["exact posterior, all"]
    assert found["low"] < 2 < found["high"]
    assert data["grammar"]["chi"]["exact posterior"]["value"].argmax() == 1


@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_the_last_time_is_that_of_fresh_pictures(preset):
    for one in study.data_sets(preset, 3, 2):
        assert one.plan.times[-1] == 1
        assert one.plan.starts % 2 == 0
