"""The data sets that come with scikit-learn, read from its files without importing it.

The import takes about 0.9 s, a quarter of a command whose compiled code is on disk.
"""

import importlib.util
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

_MEASURES = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave points",
    "symmetry",
    "fractal dimension",
)
_FILES = {
    "breast_cancer": "breast_cancer.csv",
    "digits": "digits.csv.gz",
    "iris": "iris.csv",
    "wine": "wine_data.csv",
}
_NAMES = {
    "breast_cancer": (
        *(f"mean {measure}" for measure in _MEASURES),
        *(f"{measure} error" for measure in _MEASURES),
        *(f"worst {measure}" for measure in _MEASURES),
    ),
    "digits": tuple(f"pixel_{row}_{column}" for row in range(8) for column in range(8)),
    "iris": ("sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"),
    "wine": (
        "alcohol",
        "malic_acid",
        "ash",
        "alcalinity_of_ash",
        "magnesium",
        "total_phenols",
        "flavanoids",
        "nonflavanoid_phenols",
        "proanthocyanins",
        "color_intensity",
        "hue",
        "od280/od315_of_diluted_wines",
        "proline",
    ),
}
BUILT_IN = tuple(_FILES)


class Bundled(NamedTuple):
    """One data set: its rows, the class of each, and the names of the columns."""

    features: Float[np.ndarray, "n d"]
    targets: Int[np.ndarray, " n"]
    names: tuple[str, ...]


def read(name: str) -> Bundled:
    """The data set of that name, one of ``BUILT_IN``.

    Raises: ``ModuleNotFoundError`` without scikit-learn.
    """
    found = importlib.util.find_spec("sklearn")
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"the data set {name} comes with scikit-learn")
    path = Path(found.origin).parent / "datasets" / "data" / _FILES[name]
    heading = 0 if name == "digits" else 1
    cells = np.loadtxt(path, delimiter=",", skiprows=heading)
    return Bundled(
        features=cells[:, :-1], targets=cells[:, -1].astype(np.int64), names=_NAMES[name]
    )
