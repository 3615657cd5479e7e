"""Claims about the mean field of the Random Hierarchy Model."""

from derivations.hierarchy.mean_field import maps, transition, values

__all__ = ["maps", "transition", "values"]
