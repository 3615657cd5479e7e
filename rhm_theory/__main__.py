"""``python -m rhm_theory``: see :mod:`rhm_theory.cli`."""

import sys

from rhm_theory.cli import main

if __name__ == "__main__":
    sys.exit(main())
