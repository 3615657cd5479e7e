"""The figure of networks: every run is counted, and what is measured is what is drawn."""

import importlib.util
from unittest import mock

import numpy as np
import pytest

from figures import catalogue
from tests.figure_checks import assert_claims_complete, assert_drawn_legibly, made

networks = pytest.importorskip("figures.networks")


def test_without_its_libraries_the_figure_is_left_out():
    names = ["klom", "networks"]
    assert catalogue.drawable(names) == names
    found = importlib.util.find_spec
    with mock.patch.object(
        importlib.util, "find_spec", lambda name: None if name == "optax" else found(name)
    ):
        assert catalogue.drawable(names) == ["klom"]


@pytest.fixture(scope="module")
def data():
    return made("networks")[1]


@pytest.mark.slow  # the data of the figure take two minutes
class TestData:
    def test_flipped_labels_are_memorised(self, data):
        assert data["memorised"] >= networks.MEMORISED
        assert data["accuracy"] > 0.85

    def test_every_run_is_there(self, data):
        expected = 5 * sum(map(len, networks.RATES["quick"].values())) + len(networks.NEWTON)
        for found in data["sets"].values():
            assert found["runs"].shape == (expected, 3, 3)
            assert len(found["method"]) == expected

    def test_unseen_rows_of_doing_nothing_are_at_the_floor_for_random_sets(self, data):
        numbers = data["sets"]["random"]["normal"]["validation"]
        assert numbers["excess"] < 0.1
        np.testing.assert_allclose(
            data["sets"]["random"]["nothing"][0, 1:], data["floor"][0], rtol=0.25
        )

    def test_a_frozen_student_is_doing_nothing(self, data):
        for found in data["sets"].values():
            frozen = found["runs"][networks.by(found, "SCRUB, frozen student")]
            np.testing.assert_allclose(frozen, np.tile(found["nothing"], (5, 1, 1)), rtol=1e-4)

    def test_the_newton_step_helps_on_random_sets(self, data):
        assert networks.partly(data["sets"]["random"], "Newton, network") == (1, 1)

    def test_drawn_and_complete(self, data):
        assert_drawn_legibly(networks, data, lambda axes: axes.get_xlabel() or axes.get_ylabel())
        assert_claims_complete(networks, data)
