"""Where finished networks of a study are kept."""

import hashlib
from pathlib import Path

from gda_theory import networks

# What trained networks depend on. Not data.py: chunks tell the data themselves apart.
CODE = ("methods.py", "model.py", "training.py", "unlearning.py")


def parts(folder: Path | None) -> str | None:
    """Where finished networks lie: each version of :data:`CODE` has a folder of its own.

    It is None where nothing is kept.
    """
    if folder is None:
        return None
    library = Path(networks.__file__).parent
    code = b"".join((library / name).read_bytes() for name in CODE)
    return str(folder / hashlib.sha256(code).hexdigest()[:12])
