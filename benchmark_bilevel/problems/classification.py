"""What the problems on classification data share: splits and accuracies."""

from typing import NamedTuple

import numpy as np
from scipy.sparse import issparse

from benchmark_bilevel.data import SUPERVISED


class Split(NamedTuple):
    """Samples of one part: design (n, p), dense or CSR, and integer labels (n,)."""

    X: np.ndarray
    y: np.ndarray


def unfit_to_classify(data, samples=3):
    """Why `data` have no classes with `samples` training samples each, or None.

    With three, each part of `stratified_thirds` has one of every class.
    """
    if "classes" not in data:
        return (
            "needs classification data: X_train, y_train and, if there is a test part, "
            f"X_test, y_test; the data have {', '.join(data) or 'nothing'}"
        )
    reason = unknown_arrays(data)
    if reason is not None:
        return reason
    counts = np.bincount(data["y_train"])
    if counts.min() < samples:
        rarest = data["classes"][counts.argmin()]
        return (
            f"needs {samples} training samples of each class; class {rarest} has "
            f"{counts.min()}"
        )
    return None


def unknown_arrays(data):
    """What `data` have besides samples and targets, in a few words; None if nothing."""
    unknown = [name for name in data if name not in (*SUPERVISED, "classes")]
    if unknown:
        return f"knows {', '.join(SUPERVISED)} and not {', '.join(unknown)}"
    return None


def stratified_thirds(X, y, seed):
    """Inner, outer and test thirds, standardised by the inner part's mean and scale."""
    return standardised(*thirds(X, y, seed, strata=y))


def thirds(X, y, seed, strata=None):
    """Inner, outer and test thirds; of equal composition if `strata`, (n,), are given."""
    from sklearn.model_selection import train_test_split

    inner, rest = train_test_split(
        np.arange(len(y)), train_size=1 / 3, stratify=strata, random_state=seed
    )
    outer, test = train_test_split(
        rest,
        train_size=1 / 2,
        stratify=None if strata is None else strata[rest],
        random_state=seed,
    )
    return tuple(Split(X[part], y[part]) for part in (inner, outer, test))


def stratified_halves(X, y, X_test, y_test, seed):
    """Inner and outer halves of X, and the given test part, all standardised."""
    from sklearn.model_selection import train_test_split

    inner, outer = train_test_split(
        np.arange(len(y)), test_size=0.5, stratify=y, random_state=seed
    )
    parts = (Split(X[part], y[part]) for part in (inner, outer))
    return standardised(*parts, Split(X_test, y_test))


def successive_fifths(X, y, seed):
    """A fifth for the test, a fifth of the rest as outer part, neither stratified."""
    from sklearn.model_selection import train_test_split

    rest, test = train_test_split(np.arange(len(y)), test_size=0.2, random_state=seed)
    inner, outer = train_test_split(rest, test_size=0.2, random_state=seed)
    return standardised(*(Split(X[part], y[part]) for part in (inner, outer, test)))


def standardised(inner, *others):
    """The splits, centred and scaled by the first one; sparse ones stay as they are."""
    from sklearn.preprocessing import StandardScaler

    if issparse(inner.X):
        return inner, *others
    scaler = StandardScaler().fit(inner.X)
    return tuple(Split(scaler.transform(part.X), part.y) for part in (inner, *others))
