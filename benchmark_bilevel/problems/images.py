"""What the problems on images share."""

import numpy as np
from scipy.sparse import issparse

from benchmark_bilevel.problems.classification import unfit_to_classify


def unfit_for_images(data, samples=3):
    """Why `data` are no images in classes of `samples` or more, or None."""
    reason = unfit_to_classify(data, samples)
    if reason is not None:
        return reason
    for name in ("X_train", "X_test"):
        found = _no_pixel(name, data[name])
        if found is not None:
            return f"needs images, with pixels 0, 1, 2, …, 255; {found}"
    return None


def _no_pixel(name, X):
    """Where X has other than pixels, in a few words; None if nowhere."""
    if X is None or X.dtype == np.uint8:
        return None
    if issparse(X):
        return f"{name} is sparse"
    for start in range(0, len(X), 1000):  # the comparisons take as much memory as X
        rows = X[start : start + 1000]
        wrong = np.argwhere((rows < 0) | (rows > 255) | (rows != np.floor(rows)))
        if len(wrong):
            i, j = wrong[0]
            return f"{name}[{start + i}, {j}] is {rows[i, j]:g}"
    return None


def divided_by_the_largest(inner, *others):
    """Divide the pixels of all parts in place by the largest of the first."""
    largest = inner.max()
    for X in (inner, *others):
        X /= largest


def standardised_as_a_whole(inner, *others):
    """Subtract in place the mean of all pixels of the first part, divide by their scale.

    Returns
    -------
    mean, scale : float
    """
    mean, scale = inner.mean(), inner.std()
    for X in (inner, *others):
        X -= mean
        X /= scale
    return mean, scale
