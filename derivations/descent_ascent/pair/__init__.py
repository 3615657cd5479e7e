"""Claims about a correlated pair."""

from derivations.descent_ascent.pair import basics, bounds, descent, oracle

__all__ = ["basics", "bounds", "descent", "oracle"]
