"""Finding minima: Newton's method, many oracles, and the path along the ascent strength."""
