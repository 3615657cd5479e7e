"""Claims about descent-ascent."""
