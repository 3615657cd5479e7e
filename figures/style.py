"""How every figure looks: text that can be read in print, and colours that all can tell apart.

The files hold no time of day, so the same data give the same files.
"""

import contextlib
import io
from collections.abc import Callable

import matplotlib
from cycler import cycler
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.figure import Figure

# Okabe and Ito's palette (Color Universal Design, 2008), which the colour-blind can tell apart.
# Its yellow is left out: it is too light for a line on white.
COLOURS = {
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "black": "#000000",
}
SIZE = (7.2, 4.2)  # inches, drawn at the width of a printed page's text, so that 9 pt is 9 pt
DOTS_PER_INCH = 200
SETTINGS = {
    "axes.prop_cycle": cycler(color=list(COLOURS.values())),
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.labelsize": 10,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",
    "figure.titlesize": 11,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # ships with Matplotlib: the same picture on every machine
    "font.size": 10,
    "grid.alpha": 0.35,
    "grid.linewidth": 0.5,
    "image.cmap": "cividis",
    "legend.fontsize": 9,
    "legend.framealpha": 0.9,
    "lines.linewidth": 1.6,
    "mathtext.fontset": "dejavusans",
    "pdf.fonttype": 42,  # text stays text: it can be searched and edited
    "savefig.dpi": DOTS_PER_INCH,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
}


@contextlib.contextmanager
def applied():
    """Matplotlib's defaults with these settings, whatever the user's own file says.

    All settings are put back afterwards.
    """
    with matplotlib.rc_context(rc=matplotlib.rcParamsDefault | SETTINGS):
        yield


def images(draw, data, size=SIZE) -> dict[str, bytes]:
    """What ``draw(figure, data)`` draws, as PDF and PNG. No window and no global state of pyplot.

    The same bytes for the same data, but for a few pixels of fig5 that may differ by 1/255.
    """
    with applied():
        figure = Figure(figsize=size)
        raster = FigureCanvasAgg(figure)
        draw(figure, data)
        figure.set_dpi(DOTS_PER_INCH)
        # Once for both files: many panels take a second.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
        png = _written(raster.print_png, {"Software": None})
        # Last: it sets the figure to 72 dots per inch, the points of PDF.
        pdf = _written(FigureCanvasPdf(figure).print_pdf, {"CreationDate": None})
        return {"pdf": pdf, "png": png}


def _written(print_figure: Callable[..., None], metadata: dict[str, None]) -> bytes:
    stream = io.BytesIO()
    print_figure(stream, metadata=metadata)
    return stream.getvalue()
