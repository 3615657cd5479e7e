"""The engine: claims, steps, mutants, intervals."""
