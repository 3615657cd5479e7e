"""Code that both theories share: validation, the working precision, numerics, batches, tables."""
