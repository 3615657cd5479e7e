"""Claims about the Random Hierarchy Model."""
