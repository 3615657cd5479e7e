"""Files in the format of MNIST."""

import gzip
import struct
from pathlib import Path

import numpy as np

# Where the system's package dataset-fashion-mnist puts its files.
FASHION = Path("/usr/share/datasets/fashion-mnist")
GET_FASHION = (
    "install the system's package dataset-fashion-mnist, or pass a folder with these files"
)


def read(path: str | Path) -> np.ndarray:
    """The array of an idx file (the format of MNIST), packed with gzip or not.

    Raises: ``ValueError`` if it is no such file, or is cut off.
    """
    data = Path(path).read_bytes()
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    if data[:3] != b"\x00\x00\x08":
        raise ValueError(f"{path} must be an idx file of bytes, got {data[:4]!r} at its start")
    dimensions = data[3]
    shape = struct.unpack(f">{dimensions}I", data[4 : 4 + 4 * dimensions])
    values = np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions)
    if values.size != np.prod(shape):
        raise ValueError(f"{path} must hold {shape} values, got {values.size}: is it cut off?")
    return values.reshape(shape)


def find(folder: str | Path, name: str) -> Path:
    """The idx file ``name`` of a folder, as it is or packed with gzip.

    Raises: ``FileNotFoundError`` that says how to get the files.
    """
    for path in (Path(folder) / name, Path(folder) / f"{name}.gz"):
        if path.exists():
            return path
    raise FileNotFoundError(
        f"folder must hold {name} or {name}.gz, but {folder} does not; {GET_FASHION}"
    )
