"""The problem: losses, the objective, and validated data."""
