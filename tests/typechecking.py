"""The checker of annotated types and shapes: ``CHECK_TYPES=1 pytest -m smoke`` executes them.

An integer is a real number here, as PEP 484 has it.
"""

import beartype

checked = beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))
