"""What the problems on regression data share: splits and scores."""

import numpy as np
from scipy.sparse import issparse

from benchmark_bilevel.problems.classification import (
    Split,
    standardised,
    thirds,
    unknown_arrays,
)


def is_regression(data):
    """Whether the targets are numbers, not labels of classes."""
    return data["y_train"].dtype.kind == "f"


def unfit_to_regress(data, samples=9):
    """Why `data` are no dense regression data of so many samples, or None."""
    if "X_train" not in data or not is_regression(data):
        return (
            "needs regression data: X_train, y_train and, if there is a test part, "
            "X_test, y_test, y being numbers that differ from sample to sample"
        )
    n = len(data["y_train"])
    if n < samples:
        return f"needs {samples} samples to regress; there are {n}"
    return "needs dense features" if issparse(data["X_train"]) else unknown_arrays(data)


def regression_parts(data, seed):
    """Inner, outer and test part; X and y centred and scaled by the inner one.

    Random thirds, or random halves of the training part and the given test part.
    """
    X, y = data["X_train"], data["y_train"]
    if data["X_test"] is None:
        parts = thirds(X, y, seed)
    else:
        inner, outer = np.array_split(
            np.random.RandomState(seed).permutation(len(y)), 2
        )
        test = Split(data["X_test"], data["y_test"])
        parts = Split(X[inner], y[inner]), Split(X[outer], y[outer]), test
    parts = standardised(*parts)
    mean, scale = parts[0].y.mean(), parts[0].y.std() or 1.0
    return tuple(Split(X, (y - mean) / scale) for X, y in parts)


def regression_metrics(predict, train, validation, test):
    """How well X ↦ predict(X) explains the targets of three `Split`.

    Returns
    -------
    dict
        ``train_r2``, ``validation_r2``, ``test_r2``: the share of the targets' variance
        that is explained, 1 − Σ (y − ŷ)² / Σ (y − ȳ)², NaN where they have none;
        ``test_loss``: ½ mean (y − ŷ)².
    """
    metrics = {}
    for name, part in (("train", train), ("validation", validation), ("test", test)):
        error = np.mean((part.y - predict(part.X)) ** 2)
        variance = (
            part.y.var() or np.nan
        )  # of equal targets there is nothing to explain
        metrics[f"{name}_r2"] = float(1 - error / variance)
    return {**metrics, "test_loss": float(0.5 * error)}
