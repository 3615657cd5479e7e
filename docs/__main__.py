"""``python -m docs`` builds the site into ``out/site``."""

import sys

from docs.build import main

sys.exit(main())
