"""Special functions and root finders."""
