"""One module for each command of ``python -m rhm_theory``."""
