"""Claims about one orthogonal coordinate."""

from derivations.descent_ascent.coordinate import basics, bounds, logistic, thresholds

__all__ = ["basics", "bounds", "logistic", "thresholds"]
