"""One array of the user's at a time: brought into the one form, or refused in a line.

Kernels read memory without looking, and NaN runs through everything: what gets through
here is a sound array of finite numbers.
"""

import numpy as np
from scipy.sparse import csr_matrix, issparse

NUMBERS = "biufO"  # numpy's letters; objects are looked at one by one
KINDS = {
    "U": "text",
    "S": "text",
    "T": "text",
    "c": "complex numbers",
    "M": "dates",
    "m": "durations",
    "V": "records",
}


class Inadmissible(ValueError):
    """Data that cannot be used; ``str`` of it is one line: which array, what, why."""


def design(name, X):
    """X, finite, one row a sample: dense (float64 or, if it was, uint8) or CSR."""
    if issparse(X):
        return csr(name, X)
    X = _array(name, X)
    if X.ndim < 2:
        raise Inadmissible(
            f"{name} has the shape {X.shape}, not (samples, features); with one feature "
            "it is X[:, None]"
        )
    if 0 in X.shape:
        raise Inadmissible(f"{name} is empty: its shape is {X.shape}")
    X = X.reshape(len(X), -1)  # images become rows
    X = np.require(X, requirements="CA") if X.dtype == np.uint8 else _floats(name, X)
    _refuse_infinite(name, X)
    return X


def csr(name, X):
    """A sparse X of any format as CSR: sorted, without duplicates and stored zeros."""
    if X.ndim != 2 or 0 in X.shape:
        raise Inadmissible(f"{name} has the shape {X.shape}, not (samples, features)")
    try:
        X = type(X)(X)  # the arrays are shared, the user's object is left alone
        if hasattr(X, "check_format"):
            X.check_format()  # an index that points nowhere would end the process
        if X.format == "lil" and X.nnz != sum(map(len, X.rows)):
            raise ValueError("rows and data differ in length")
        X = csr_matrix(X)
        X.check_format()  # of formats that have none, such as LIL
    except Exception as error:  # of whatever is wrong inside
        raise Inadmissible(
            f"{name} is no sound sparse matrix: {_text(error)}"
        ) from None
    X = csr_matrix((_floats(name, X.data), X.indices, X.indptr), X.shape)
    if not X.has_canonical_format or not X.data.all():
        X = X.copy()
        X.sum_duplicates()
        X.eliminate_zeros()
    _refuse_infinite(name, X)
    return X


def targets(name, values):
    """One target a sample, of any type, none missing, along one axis."""
    y = _array(name, values, NUMBERS + "USTMm")
    if y.size != len(y):
        raise Inadmissible(
            f"{name} has the shape {y.shape}, not one target a sample; if its columns "
            "are classes, take y.argmax(axis=1)"
        )
    y = y.reshape(-1)
    # In a list of texts, numpy would make a class called "nan" of what is missing.
    looked_at = np.asarray(values, object).flat if y.dtype.kind in "UT" else y
    if y.dtype.kind in "OMmUT" and any(map(_is_missing, looked_at)):
        raise Inadmissible(f"{name} has missing values: leave such samples out")
    if y.dtype.kind == "f":
        _refuse_infinite(name, y)
    return y


def numbers(name, values, n_axes):
    """An array of finite float64 with `n_axes` axes; a column may stand for a vector."""
    array = _array(name, values)
    if n_axes == 1 and array.size == len(array):
        array = array.reshape(-1)
    if array.ndim != n_axes or 0 in array.shape:
        raise Inadmissible(
            f"{name} has the shape {array.shape}, not {n_axes} axes with something in it"
        )
    array = _floats(name, array)
    _refuse_infinite(name, array)
    return array


def _array(name, values, kinds=NUMBERS):
    """`values` as a numpy array whose type is of one of `kinds`."""
    if np.ma.is_masked(values):
        raise Inadmissible(
            f"{name} has masked entries: leave such rows out or fill them"
        )
    try:
        array = np.asarray(values.toarray() if issparse(values) else values)
    except Exception as error:  # of whatever type of the user's this is
        raise Inadmissible(f"{name} is no array: {_text(error)}") from None
    _refuse_kind(name, array, kinds)
    if array.ndim == 0:
        is_array = isinstance(values, np.ndarray)
        kind = f"one {array.dtype}" if is_array else type(values).__name__
        raise Inadmissible(f"{name} is {kind}, not an array")
    return array


def _refuse_kind(name, array, kinds=NUMBERS):
    kind = array.dtype.kind
    if kind not in kinds:
        raise Inadmissible(f"{name} holds {KINDS[kind]}: real numbers are wanted")


def _floats(name, array):
    """`array` as float64, aligned, contiguous and in the machine's byte order."""
    _refuse_kind(name, array)
    try:
        return np.require(array, np.float64, "CA")
    except (ValueError, TypeError, OverflowError) as error:
        raise Inadmissible(f"{name} holds more than numbers: {_text(error)}") from None


def _refuse_infinite(name, X):
    """Refuse NaN, infinity, and values whose squares add up to infinity."""
    values = X.data if issparse(X) else X
    if values.size == 0:
        return
    with np.errstate(invalid="ignore"):
        largest = max(abs(float(values.min())), abs(float(values.max())))
    if not np.isfinite(largest):
        wrong = ~np.isfinite(values)
        row = int(np.argwhere(wrong)[0][0])
        if issparse(X):
            row = int(np.searchsorted(X.indptr, row, side="right")) - 1
        raise Inadmissible(
            f"{name} is NaN or infinite in {wrong.sum()} of {values.size} values, first "
            f"in row {row}: leave such rows out or fill them"
        )
    if largest >= np.sqrt(np.finfo(float).max / X.shape[0]):
        raise Inadmissible(
            f"{name} has values up to {largest:.0e}, whose squares are infinite: scale it"
        )


def _is_missing(value):
    """Whether it is None or, like NaN and pandas' NA, not equal to itself."""
    try:
        return value is None or bool(value != value)
    except TypeError:
        return True


def _text(error):
    text = " ".join(str(error).split())
    return text if len(text) <= 120 else text[:117] + "..."
