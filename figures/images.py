"""Pictures: a diffusion model beside flat mixtures with exact posteriors, and a known hierarchy."""

import numpy as np

from figures.style import COLOURS
from rhm_theory.studies import images as study

TITLE = (
    "Pictures: flat mixtures have the peak of the diffusion model, a known hierarchy a higher one"
)
CAPTION = """
In the first row, compare the black line with the dashed ones. The black line is a trained diffusion
model. The dashed ones are mixtures of Gaussians with exact posteriors, which have no hierarchy. All
begin with the same noised pictures and are measured through the same features. A picture is noised
up to time t and denoised again. The susceptibility is about the number of places that change
together. On digits and Fashion-MNIST flat mixtures have an inner peak too, so the peak is no
evidence of a hierarchy.

The column *grammar* is the positive control: strings of a grammar drawn as pictures. Its exact
posterior (purple) has a peak far above that of every flat mixture.

Second row: the same among trajectories that keep their class by a classifier. Near t = 1 few do.
Third row: the share of trajectories with another class. Fourth row: the contrast chi(peak) - chi(1)
of all trajectories (filled) and of those that keep their class (open). The peak is chosen on half
of the starts and read off the other half. The numbers beside the names are denoising losses on
pictures that nothing was fitted to. The model is drawn only if its loss is below all others. A mark
is left out where its interval is unknown.

Bands and bars are 95 % intervals over starts and seeds. Quick preset: one seed of each, no trained
model of the grammar. Paper: ``seeds`` seeds of digits and grammar, ``fashion_seeds`` of
Fashion-MNIST.
"""
LEMMAS = ["Sec. 4 (images)", "arXiv:2410.13770", "new"]
SIZE = (11.0, 13.0)
PARAMETERS = {"seeds": 3, "fashion_seeds": 3}
STYLES = {
    "diffusion model": ("black", "o", "-"),
    "exact posterior": ("purple", "P", "-"),
    "one Gaussian": ("sky", "v", "--"),
    "class Gaussians": ("blue", "s", "--"),
    "diagonal class Gaussians": ("green", "D", "--"),
    "50 k-means Gaussians": ("vermillion", "^", "--"),
}
TITLES = {"digits": "digits", "grammar": "grammar (positive control)", "fashion": "Fashion-MNIST"}
MODEL, EXACT, ONE = "diffusion model", "exact posterior", "one Gaussian"


def compute(preset, seeds, fashion_seeds, folder=None):
    chosen = study.data_sets(preset, seeds, fashion_seeds)
    return {one.name: study.studied(one, folder) for one in chosen}


def data_sets(data):
    """The columns, in order; the parameters stand beside them in the data."""
    return {name: data[name] for name in TITLES if name in data}


def shown(found):
    """The posteriors that are drawn: the model only where it beats the mixtures."""
    return [name for name in found["names"] if name != MODEL or found["beats_mixtures"]]


def draw(figure, data):
    sets = data_sets(data)
    panels = figure.subplots(4, len(sets), squeeze=False)
    for column, (name, found) in zip(panels.T, sets.items(), strict=True):
        draw_lines(column[0], found, "chi", rf"$\chi$, feature {found['primary']}")
        draw_lines(column[1], found, "chi_class", r"$\chi$ of those that keep the class")
        draw_lines(column[2], found, "class_change", "share with another class")
        draw_contrasts(column[3], found)
        column[0].set_title(f"{TITLES[name]}, {seeds(found)}")
    every = {name: None for found in sets.values() for name in shown(found)}
    handles = {}
    for panel in panels[0]:
        handles |= dict(zip(*panel.get_legend_handles_labels()[::-1], strict=True))
    figure.legend(
        [handles[name] for name in every], list(every), loc="outside lower center", ncols=3
    )


def draw_lines(panel, found, what, label):
    for name in shown(found):
        colour, marker, line = STYLES[name]
        estimate = found[what][name]
        panel.fill_between(
            found["times"],
            estimate["low"],
            estimate["high"],
            color=COLOURS[colour],
            alpha=0.15 if what != "chi_class" or name in (MODEL, EXACT) else 0.0,
            lw=0,
        )
        panel.plot(
            found["times"],
            estimate["value"],
            color=COLOURS[colour],
            marker=marker,
            ms=4,
            ls=line,
            label=name,
        )
    if what == "chi_class":
        # Near t = 1 few trajectories keep the class: intervals there would hide the lines.
        top = max(np.nanmax(found[what][name]["value"]) for name in shown(found))
        panel.set_ylim(0, 1.3 * top)
    panel.set_xlabel("time t of the noise")
    panel.set_ylabel(label)


def draw_contrasts(panel, found):
    names = shown(found)
    for what, shift, fill in (("contrast", -0.15, None), ("contrast_class", 0.15, "white")):
        for place, name in enumerate(names):
            one = found[what][name]
            if not np.isfinite(one["error"]):
                continue
            colour, marker, _ = STYLES[name]
            panel.errorbar(
                one["value"],
                place + shift,
                xerr=[[one["value"] - one["low"]], [one["high"] - one["value"]]],
                color=COLOURS[colour],
                marker=marker,
                ms=6,
                mfc=fill or COLOURS[colour],
                capsize=2,
            )
    panel.axvline(0, color="black", ls=":", lw=1)
    short = [name.replace(" Gaussians", "").replace(" Gaussian", "") for name in names]
    labels = [
        f"{one}\n({found['losses'][name]:.3f})" for one, name in zip(short, names, strict=True)
    ]
    panel.set_yticks(range(len(names)), labels)
    panel.invert_yaxis()
    panel.set_xlabel(r"contrast $\chi(\mathrm{peak}) - \chi(1)$")
    panel.set_ylabel("posterior (loss)")


def claims(data):
    for name, found in data_sets(data).items():
        yield from claims_of(TITLES[name], found)


def claims_of(title, found):
    times = found["times"]
    own = MODEL if MODEL in found["names"] else EXACT
    best = min(loss for name, loss in found["losses"].items() if name not in (MODEL, EXACT))
    yield (
        f"{title}: denoising loss of the {own} below that of every flat mixture (gate)",
        "no control",
        f"{'yes' if found['beats_mixtures'] else 'no'}: {found['losses'][own]:.4f} against "
        f"{best:.4f}, {seeds(found)}",
    )
    names = [name for name in (MODEL, EXACT) if name in shown(found)]
    for name in [*names, ONE]:
        chi = found["chi"][name]["value"]
        yield (
            f"{title}: time of the largest chi, {name}",
            "1, the Gaussian control" if name == ONE else "0.6 to 0.7 (ImageNet, no error)",
            f"{times[np.nanargmax(chi)]:g}: {np.nanmax(chi):.2f}, and {chi[-1]:.2f} at 1",
        )
    for name in names:
        change = found["class_change"][name]["value"]
        yield (
            f"{title}: time at which half of the trajectories changed class, {name}",
            "about 0.6",
            f"{np.interp(0.5, change, times):.2f}",
        )
        for among, words in (("all", "all trajectories"), ("class", "those that keep the class")):
            one = found["tests"][f"{name}, {among}"]
            yield (
                f"{title}: contrast of the {name} minus the largest of a flat mixture, {words}",
                "no flat control" if among == "all" else "not measured",
                f"{interval(one)}; strongest: {one['strongest']}",
            )
    within = found["diagonal_within"]["value"]
    yield (
        f"{title}: chi of 2 x 2 patches within a component, diagonal class Gaussians, t < 0.75",
        "not measured",
        f"between {np.nanmin(within[times < 0.75]):.2f} and {np.nanmax(within[times < 0.75]):.2f}",
    )


def seeds(found):
    """How many."""
    return f"{found['seeds']} seed{'s' if found['seeds'] > 1 else ''}"


def interval(one):
    """An estimate in words."""
    if not np.isfinite(one["error"]):
        return f"{one['value']:+.2f}, interval unknown" if np.isfinite(one["value"]) else "unknown"
    return f"{one['value']:+.2f} [{one['low']:+.2f}, {one['high']:+.2f}]"
