"""Counts with their noun."""

import re


def plural(count: int, noun: str) -> str:
    """``1 row``, ``1,200 rows``, ``2 identities``, ``3 processes``."""
    if count == 1:
        return f"1 {noun}"
    stem = re.sub(r"(?<=[^aeiou])y$", "ie", noun)
    stem = re.sub(r"(s|ch|x)$", r"\1e", stem)
    return f"{count:,} {stem}s"
