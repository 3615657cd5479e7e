"""Claims about finite depth."""

from derivations.hierarchy.finite_size import critical, exponents, peaks

__all__ = ["critical", "exponents", "peaks"]
