"""What panels are made of: estimates with their intervals, powers, thresholds, keys; and numbers in the words of a claim."""

import numpy as np

DOTTED = {"color": "black", "ls": ":", "lw": 1.2}  # a threshold: panel.axvline(place, **DOTTED, label=...)
DASHED = {"color": "black", "ls": "--", "lw": 1.2}  # a prediction


def band(panel, x, estimate, color, **line):
    """An estimate (``value``, ``low``, ``high``) as a line in the band of its 95 % interval; an exact one has a ``value`` only."""
    if "low" in estimate:
        panel.fill_between(x, estimate["low"], estimate["high"], color=color, alpha=0.25, lw=0)
    panel.plot(x, estimate["value"], color=color, **line)


def dots(panel, x, estimate, **marks):
    """An estimate (``value``, ``low``, ``high``) as dots with bars of its 95 % interval."""
    panel.errorbar(x, estimate["value"], (estimate["value"] - estimate["low"], estimate["high"] - estimate["value"]), **marks)


def power(panel, x, y, exponent, *, through, **line):
    """The power law ``x ** exponent`` that meets the curve (x, y) at its point number ``through``."""
    panel.plot(x, y[through] * (x / x[through]) ** exponent, **line)


def nearest(values, wanted) -> int:
    """Where in ``values`` the one next to ``wanted`` stands."""
    return int(np.argmin(np.abs(values - wanted)))


def plus_minus(estimate, at) -> str:
    """One number of an estimate, with its standard error if it has one."""
    return f"{estimate['value'][at]:.3g}" + (f" ± {estimate['error'][at]:.2g}" if "error" in estimate else "")


def listed(values, digits: int = 3) -> str:
    """Numbers, separated by commas."""
    return ", ".join(f"{float(value):.{digits}g}" for value in values)
