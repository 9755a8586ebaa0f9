"""What the problems on classification data share: splits and accuracies."""

from typing import NamedTuple

import numpy as np


class Split(NamedTuple):
    """Samples of one part: design (n, p) and integer labels (n,)."""

    X: np.ndarray
    y: np.ndarray


def stratified_thirds(X, y, seed):
    """Inner, outer and test thirds, standardised by the inner part's mean and scale."""
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    X_inner, X_rest, y_inner, y_rest = train_test_split(
        X, y, train_size=1 / 3, stratify=y, random_state=seed
    )
    X_outer, X_test, y_outer, y_test = train_test_split(
        X_rest, y_rest, train_size=1 / 2, stratify=y_rest, random_state=seed
    )
    scaler = StandardScaler().fit(X_inner)
    return tuple(
        Split(scaler.transform(part), labels)
        for part, labels in ((X_inner, y_inner), (X_outer, y_outer), (X_test, y_test))
    )
