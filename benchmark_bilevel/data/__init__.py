"""The gate that all data pass, and the real data sets, fetched and verified.

>>> from benchmark_bilevel import data
>>> ijcnn1 = data.load("ijcnn1")
>>> ijcnn1["X_train"].shape
(49990, 22)
"""

from functools import lru_cache

from .arrays import Inadmissible
from .cache import MissingData, ensure, forget_failures, freeze
from .gate import COEFFICIENTS, SUPERVISED, admit
from .home import data_home
from .sources import BUNDLED, SOURCES
from .task_arrays import FEW_SHOT_TASKS, RIDGE_TASKS

__all__ = [
    "COEFFICIENTS",
    "FEW_SHOT_TASKS",
    "NAMES",
    "RIDGE_TASKS",
    "SUPERVISED",
    "Inadmissible",
    "MissingData",
    "admit",
    "data_home",
    "fetch",
    "load",
]

NAMES = (*SOURCES, *BUNDLED)


def load(name):
    """Arrays of a data set; its files are fetched first if they are not there.

    Parameters
    ----------
    name : str
        One of ``NAMES``.

    Returns
    -------
    dict
        ``X_train``, ``y_train``, ``X_test``, ``y_test``. X is a C-contiguous
        float64 array of shape (samples, features), a CSR matrix for 20newsgroups,
        uint8 for mnist and fashion_mnist; y holds int64 labels 0, ..., K - 1, for
        diabetes float64 targets. The test arrays are None where the source has no test
        set (covtype, digits, breast_cancer, diabetes).
        Loaded once a process and shared: dense arrays are read-only.

    Raises
    ------
    MissingData
        If the files are neither there nor to be had, in one line.
    """
    _check(name)
    return dict(_load(name, data_home()))


def fetch(name):
    """Make sure that the files of a data set are there and sound.

    Unlike `load`, it looks at the files again each time, and asks the network again
    even if that failed a moment ago.

    Parameters
    ----------
    name : str
        One of ``NAMES``.

    Raises
    ------
    MissingData
        If the files are neither there nor to be had, in one line.
    """
    _check(name)
    if name in SOURCES:
        forget_failures()
        ensure(SOURCES[name], data_home())


def _check(name):
    if name not in NAMES:
        raise ValueError(f"no data set {name!r}; there are {', '.join(NAMES)}")


# benchopt asks for the data once for each solver, one data set after the other. Only
# the last is kept: covtype takes 250 MB, and joblib ends workers that grow by 300 MB.
@lru_cache(maxsize=1)
def _load(name, home):
    if name in BUNDLED:
        return freeze(BUNDLED[name]())
    return ensure(SOURCES[name], home)
