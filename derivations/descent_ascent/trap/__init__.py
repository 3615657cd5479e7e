"""Claims about the low-dimensional trap."""

from derivations.descent_ascent.trap import basics, minima, unlearning

__all__ = ["basics", "minima", "unlearning"]
