"""Claims about inference in the Random Hierarchy Model."""

from derivations.hierarchy.hierarchy import bayes, changes, laws

__all__ = ["bayes", "changes", "laws"]
