"""``python -m gda_theory``: see :mod:`gda_theory.cli`."""

import gc
import sys

from gda_theory.cli import main

if __name__ == "__main__":
    # What the imports made lives until the end. Visiting it again and again would take a tenth of
    # the time of a command whose compiled code is on disk.
    gc.freeze()
    sys.exit(main())
