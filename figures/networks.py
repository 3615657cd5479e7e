"""Unlearning on small networks: every run of every method, against retrained networks.

The runs and their scores come from :mod:`gda_theory.studies.networks`.
"""

from matplotlib.lines import Line2D

from figures import _networks_claims
from figures import _networks_panels as panels
from gda_theory.studies.networks import runs, study

TITLE = "Networks: nearly every run of ascent stays near the start or breaks the model"
CAPTION = """
The first panels, one for each forget set: the lower left corner is perfect unlearning. There the
networks cannot be told from retrained ones, on forgotten and on unseen rows alike. The star is
doing nothing. Most runs of ascent (triangles that point down) stay near the star, or leave it
upwards: they harm unseen rows. No run of any method reaches the corner. Each mark is one run after
one epoch, and all runs are shown. Axes are the mean KLoM over points, by the published histogram.
The dotted lines are its noise floor. The colour is the cost, as a part of that of retraining.

The next panel shows kept rows in place of unseen rows.

The illusion over time: the mean over the three splits can fall at first under ascent, and then
rises. Whoever stops at the right epoch is lucky.

SCRUB, right and wrong: the student of a public benchmark never moves. The mistake hides that
SCRUB does change networks.

The best run of each method: the estimate for normal margins, which has no noise floor. The best run
has the smallest sum over forgotten and unseen rows. Only the retrained networks tell which it is.

Doing nothing and the floor: mean KLoM of half of the networks, minus its noise floor, with 95 %
intervals. The black rows compare two halves of the retrained networks, and belong at 0.

Hoeffding's band: accuracy on the largest random set against accuracy on fresh rows with as many
flipped labels. Of independent retrained networks at most 5 % lie outside of the band.

Defects: how far each defect of a public benchmark moves P95 if it is the only one, as a median over
all runs. The rank correlation says how well the order of the runs is kept. The first row is noise:
half of the networks in place of the other half.

Quick preset: scikit-learn's digits, 1,000 training rows, 60 networks of 128 hidden units. Paper:
Fashion-MNIST, 5,000 training rows, 100 networks of 256. One training label in ten is flipped. A
forget set has 10 or 50 rows: random ones, those that stand out along the first principal component
of the neural tangent kernel, or random flipped ones. The last are the control: the component finds
flipped rows. The settings networks and sets make a run smaller (0: as the preset has them),
and data may be digits or fashion.
"""
LEMMAS = ["Sec. 3", "Figs. 1-3, 6, 7", "Table 1"]
SIZE = (13.5, 16.5)
PARAMETERS = {"networks": 0, "sets": 0, "data": "preset"}


def compute(preset, networks, sets, data, folder=None):
    return study.studied(runs.chosen(preset, networks, sets, data), folder)


def draw(figure, data):
    names = list(data["sets"])
    columns = 3
    small = len(names) + 6
    rows = -(-(small + 1) // columns)
    # Each row has a grid of its own: long labels make the panels of their own row narrower only.
    grids = [row.subgridspec(1, columns) for row in figure.add_gridspec(rows, 1)]
    places = [grids[place // columns][place % columns] for place in range(small)]
    # The last panel takes what is left of its row, or the next row.
    left = columns * rows - small
    places.append(grids[-1][columns - left :])
    all_panels = [figure.add_subplot(place) for place in places]
    letters = iter("abcdefghijklmnop")
    for panel, name in zip(all_panels, names, strict=False):
        colours = panels.plane(panel, data, name, next(letters))
    others = iter(all_panels[len(names) :])
    panels.plane(next(others), data, names[1], next(letters), panels.RETAIN)
    for part in (
        panels.illusion,
        panels.scrub,
        panels.best,
        panels.excess,
        panels.band,
        panels.defects,
    ):
        part(next(others), data, next(letters))
    figure.colorbar(colours, ax=all_panels[:3], label="cost / cost of retraining", pad=0.01)
    handles = [
        Line2D([], [], color="gray", marker=mark, ls="", label=method)
        for method, mark in panels.MARKS.items()
    ]
    handles.append(Line2D([], [], **panels.STAR, label="doing nothing"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4)


def claims(data):
    return _networks_claims.claims(data)
