"""What tests ask of every figure: that it can be read, and that its claims are complete."""

import functools
import importlib
from unittest import mock

from figures import catalogue, runner, style


@functools.cache
def made(name):
    """The module and its quick data as the runner stores them, computed once for all tests."""
    module = importlib.import_module(f"figures.{name}")
    return module, runner.compute(module, "quick", catalogue.defaults(name))


def assert_drawn_legibly(
    module, data, labelled=lambda axes: axes.get_xlabel() and axes.get_ylabel()
):
    """Draws; no text is smaller than 9 points, and all axes are ``labelled``."""
    figures = []

    def draw(figure, data):
        figures.append(figure)
        module.draw(figure, data)
        assert all(labelled(axes) for axes in figure.axes)

    # Text keeps its size in points. Fonts that hold all letters are quicker to write.
    with mock.patch.dict(style.SETTINGS, {"savefig.dpi": 50, "pdf.fonttype": 3}):
        images = style.images(draw, data, module.SIZE)
    assert images["png"].startswith(b"\x89PNG")
    assert images["pdf"].startswith(b"%PDF")
    # Labels of ticks exist only once the figure has been drawn.
    texts = figures[0].findobj(lambda artist: hasattr(artist, "get_fontsize") and artist.get_text())
    sizes = {text.get_text(): text.get_fontsize() for text in texts}
    assert len(sizes) > 5
    assert min(text.get_fontsize() for text in texts) >= 9, sizes


def assert_claims_complete(module, data):
    """Every claim is complete and every number in it known."""
    rows = list(module.claims(data))
    assert rows
    assert all(claim and "nan" not in f"{paper}{here}" for claim, paper, here in rows)


def at_the_edges(axes):
    """Labelled where no neighbour below or to the left says it."""
    place = axes.get_subplotspec()
    return place is None or (
        (not place.is_last_row() or axes.get_xlabel())
        and (not place.is_first_col() or axes.get_ylabel())
    )
