"""Files that are written whole or not at all."""

import os
import tempfile
from pathlib import Path


def write_whole(path: str | Path, data: str | bytes, force: bool = False) -> None:
    """Write ``data`` to ``path``, so that the file is there whole or not at all.

    The data go to a temporary file in the same folder, which then gets the name ``path``. An error
    or Ctrl-C midway leaves neither a part of the file nor the temporary one. Text is UTF-8.

    Args:
        path: the file. Its folder must be there.
        data: the whole content.
        force: whether a file of that name may be replaced.
    Raises: ``FileExistsError``, ``FileNotFoundError`` and ``NotADirectoryError`` as
        :func:`require_free` does; other ``OSError`` where the disk is full or read-only.
    """
    path = Path(path)
    content = data.encode() if isinstance(data, str) else data
    require_free(path, force)
    # A link stays a link: what it points to is replaced.
    target = Path(os.path.realpath(path))
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _mode_for(target))
        if force:
            os.replace(temporary, target)
        else:
            _give_new_name(temporary, target)
    finally:
        Path(temporary).unlink(missing_ok=True)


def require_free(path: str | Path, force: bool = False) -> None:
    """Raise where :func:`write_whole` would, before anything long is computed.

    Raises: ``FileExistsError`` where ``path`` is there and ``force`` is False, or is no plain file;
        ``FileNotFoundError`` or ``NotADirectoryError`` where its folder is not there.
    """
    path = Path(path)
    if not path.parent.exists():
        raise FileNotFoundError(f"cannot write {path}: there is no folder {path.parent}")
    if not path.parent.is_dir():
        raise NotADirectoryError(f"cannot write {path}: {path.parent} is not a folder")
    if path.is_dir():
        raise FileExistsError(f"cannot write {path}: it is a folder")
    if path.exists() and not path.is_file():
        raise FileExistsError(f"cannot write {path}: it is not a plain file")
    if path.exists() and not force:
        raise FileExistsError(_occupied(path))


def _occupied(path: Path) -> str:
    return f"{path} exists already; --force (force=True) replaces it"


def _give_new_name(temporary: str, target: Path) -> None:
    """Rename, but never over a file that appeared meanwhile, where the file system can tell."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise FileExistsError(_occupied(target)) from None
    except OSError:  # no hard links here
        os.replace(temporary, target)


def _mode_for(target: Path) -> int:
    """The permissions of the file that is replaced, or those of any new file."""
    if target.exists():
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
