"""The figure of networks: every run is counted, and what is measured is what is drawn."""

import importlib.util
from unittest import mock

import numpy as np
import pytest

from figures import catalogue
from tests.figure_checks import assert_claims_complete, assert_drawn_legibly, made

networks = pytest.importorskip("figures.networks")

from gda_theory.studies.networks import runs, verdicts  # noqa: E402 - these need Equinox


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
        assert data["memorised"] >= 0.9
        assert data["accuracy"] > 0.85

    def test_every_run_is_there(self, data):
        rates = runs.SETTINGS["quick"].rates.values()
        expected = 5 * sum(map(len, rates)) + len(runs.NEWTON)
        for found in data["sets"].values():
            assert found["runs"].shape == (expected, 3, 3)
            assert len(found["method"]) == expected

    def test_unseen_rows_of_doing_nothing_are_at_the_floor_for_random_sets(self, data):
        found = data["sets"]["random 10"]
        assert found["interval"]["validation"]["normal"]["excess"] < 0.1
        np.testing.assert_allclose(found["nothing"][0, 1:], data["floor"][0], rtol=0.25)

    def test_retrained_networks_are_at_the_floor_within_its_interval(self, data):
        """Of the intervals of 95 %, a tenth may miss 0."""
        inside = [
            split[measure][low] <= 0 <= split[measure][high]
            for found in data["sets"].values()
            for split in found["oracles"].values()
            for measure, low, high in (
                ("normal", "low", "high"),
                ("mean", "excess_low", "excess_high"),
            )
        ]
        assert np.mean(inside) >= 0.9

    def test_retrained_networks_lie_in_hoeffdings_band(self, data):
        for name in ("random 10", "random 50"):
            assert data["sets"][name]["band"]["oracle"][2] <= 0.05

    def test_a_frozen_student_is_doing_nothing(self, data):
        for found in data["sets"].values():
            frozen = found["runs"][verdicts.by(found, "SCRUB, frozen student")]
            np.testing.assert_allclose(frozen, np.tile(found["nothing"], (5, 1, 1)), rtol=1e-4)

    def test_the_newton_step_helps_on_random_sets(self, data):
        assert verdicts.works(data["sets"]["random 10"], "Newton, network").all()

    def test_drawn_and_complete(self, data):
        assert_drawn_legibly(networks, data, lambda axes: axes.get_xlabel() or axes.get_ylabel())
        assert_claims_complete(networks, data)
