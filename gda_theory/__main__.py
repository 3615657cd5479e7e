"""``python -m gda_theory``: see :mod:`gda_theory.cli`."""

import sys

from gda_theory.cli import main

if __name__ == "__main__":
    sys.exit(main())
