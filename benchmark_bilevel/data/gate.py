"""The gate: what a data set returns becomes the arrays that problems see, or is refused.

Behind it nothing asks for types, formats or missing keys again, and all problems, both
runtimes and the exact layer are given the same numbers.
"""

import numpy as np
from scipy.sparse import csr_matrix, issparse

from . import arrays as forms
from .arrays import Inadmissible
from .task_arrays import FEW_SHOT_TASKS, RIDGE_TASKS, few_shot_tasks, ridge_tasks

SUPERVISED = ("X_train", "y_train", "X_test", "y_test")
COEFFICIENTS = ("A", "B", "c", "D", "E", "r")
SAMPLES_PER_VALUE = 3  # with fewer, on average, targets are numbers and no classes


def admit(targets=None, /, **arrays):
    """What problems see of the arrays that a data set's ``get_data`` returned.

    Parameters
    ----------
    targets : {None, "classes", "numbers"}
        What y is wanted as. None is as the data say: numbers of which each is there
        less than three times, on average, are numbers, all else are classes.
    **arrays : arrays, sparse matrices, frames, lists or None
        ``X_train``, ``y_train`` and, if there is a test part, ``X_test``, ``y_test``;
        or the six arrays of a quadratic, ``A``, ``B``, ``c``, ``D``, ``E``, ``r``; or
        tasks (`task_arrays`). Any others, also beside these, are for a problem of the
        user's own, and returned as they are.

    Returns
    -------
    dict
        X is a C-contiguous float64 array (samples, features), or a CSR matrix with
        sorted indices, no duplicates and no stored zeros. Images are flat; unsigned
        bytes stay that, an eighth of the memory, as problems scale what they take.
        y holds int64 labels 0, …, K − 1, and ``classes[k]`` is what label k was; or it
        is float64, and there are no ``classes``. ``X_test`` and ``y_test`` are None if
        there is no test part. What has this form already is not copied.

    Raises
    ------
    Inadmissible
        If these are no sound data.
    """
    global _last
    if not (_last and _last[0] == targets and _are_same(_last[1], arrays)):
        try:
            outcome = _admit(targets, arrays)
        except Inadmissible as refusal:
            outcome = str(refusal)
        _last = targets, arrays, outcome
    if isinstance(_last[2], str):
        raise Inadmissible(_last[2])
    return dict(_last[2])


# benchopt hands in the same arrays once a problem and, where they do not fit, once a
# solver: the last ones are remembered, and what became of them.
_last = None


def _are_same(arrays, others):
    return arrays.keys() == others.keys() and all(
        arrays[name] is others[name] for name in arrays
    )


def _admit(targets, arrays):
    if any(name in arrays for name in SUPERVISED):
        return _supervised(targets, arrays)
    for names, optional, admit_these in (
        (COEFFICIENTS, (), _coefficients),
        (RIDGE_TASKS, (), ridge_tasks),
        (FEW_SHOT_TASKS, ("images",), few_shot_tasks),
    ):
        if set(names) <= set(arrays):
            known = {k: y for k, y in arrays.items() if k in (*names, *optional)}
            return {**arrays, **admit_these(known)}
    return arrays


def _supervised(targets, arrays):
    _refuse_absent(arrays)
    has_test = arrays.get("X_test") is not None
    parts = ("train", "test") if has_test else ("train",)
    X = {part: forms.design(f"X_{part}", arrays[f"X_{part}"]) for part in parts}
    y = {part: forms.targets(f"y_{part}", arrays[f"y_{part}"]) for part in parts}
    for part in parts:
        n, n_targets = X[part].shape[0], len(y[part])
        if n != n_targets:
            raise Inadmissible(f"X_{part} has {n} rows and y_{part} {n_targets}")
    _refuse_trivial(X["train"])
    if has_test:
        X["test"] = _like(X["train"], X["test"])
    further = {}
    if targets == "numbers" or (targets is None and _are_numbers(y["train"])):
        y = {part: forms.numbers(f"y_{part}", y[part], 1) for part in parts}
    else:
        further["classes"], y = _labels(y)
    return {
        **arrays,
        **{f"X_{part}": X.get(part) for part in ("train", "test")},
        **{f"y_{part}": y.get(part) for part in ("train", "test")},
        **further,
    }


def _refuse_absent(arrays):
    """Refuse if X_train or y_train is not there, or one of a test part alone."""
    there = [name for name, array in arrays.items() if array is not None]
    wanted = SUPERVISED if {"X_test", "y_test"} & set(there) else SUPERVISED[:2]
    absent = [name for name in wanted if name not in there]
    if absent:
        raise Inadmissible(
            f"no {' and no '.join(absent)} but {', '.join(there) or 'nothing'}: "
            "get_data returns a dict of X_train, y_train and, if there is a test part, "
            "X_test, y_test"
        )


def _refuse_trivial(X):
    """Refuse an X_train from which nothing can be learnt."""
    values = X.data if issparse(X) else X
    if not values.any():
        raise Inadmissible("X_train is zero everywhere")
    if issparse(X):
        return
    if len(X) == 1:
        raise Inadmissible("X_train has one row only")
    low, high = X.min(axis=0), X.max(axis=0)
    if (low == high).all():
        raise Inadmissible("X_train has the same features in all rows")
    if max(-float(low.min()), float(high.max())) < np.sqrt(np.finfo(float).tiny):
        raise Inadmissible("X_train has only values whose squares are zero: scale it")


def _like(X, X_test):
    """The test part, sparse if X is."""
    if X.shape[1] != X_test.shape[1]:
        raise Inadmissible(
            f"X_train has {X.shape[1]} features and X_test {X_test.shape[1]}"
        )
    if issparse(X) and not issparse(X_test):
        return forms.csr("X_test", csr_matrix(X_test))
    return X_test if issparse(X) or not issparse(X_test) else X_test.toarray()


def _are_numbers(y):
    """Whether y looks like the values of a function, not like classes."""
    is_number = y.dtype.kind in "iuf"
    return is_number and len(y) < SAMPLES_PER_VALUE * len(np.unique(y))


def _labels(y):
    """The classes of all parts together, and the labels 0, …, K − 1 of each."""
    both = np.concatenate([*y.values()])
    try:
        classes, labels = np.unique(both, return_inverse=True)
        if both.dtype == object and len({*both}) != len(classes):
            raise TypeError  # such as sets, whose order is that of subsets
    except TypeError:
        raise Inadmissible(
            "y_train and y_test have labels of several types, or some that have no "
            "order: make all of them text"
        ) from None
    n, n_classes = len(y["train"]), len(classes)
    parts = np.split(labels.astype(np.int64), [n])
    unseen = np.setdiff1d(parts[1], parts[0])
    if unseen.size:
        names = ", ".join(map(str, classes[unseen[:5]]))
        raise Inadmissible(f"y_test has classes that y_train has not, such as {names}")
    if n_classes == 1:
        raise Inadmissible(f"y_train has one class only, {classes[0]}")
    if n < SAMPLES_PER_VALUE * n_classes:
        raise Inadmissible(
            f"y_train has {n_classes} distinct values in {n} samples: too few of a "
            "class, or numbers where classes are wanted"
        )
    return classes, dict(zip(y, parts, strict=False))


def _coefficients(arrays):
    found = {
        name: forms.numbers(name, array, 1 if name in "cr" else 2)
        for name, array in arrays.items()
    }
    (n, p), q, m = found["A"].shape, found["B"].shape[1], len(found["D"])
    shapes = {"B": (n, q), "c": (n,), "D": (m, p), "E": (m, q), "r": (m,)}
    for name, shape in shapes.items():
        if found[name].shape != shape:
            raise Inadmissible(
                f"{name} has the shape {found[name].shape}, not {shape}: A, B, c have a "
                "row a sample of g, D, E, r of f; A, D a column each of z, B, E of x"
            )
    rank = np.linalg.matrix_rank(found["A"])
    if rank < p:
        raise Inadmissible(
            f"A has {p} columns and the rank {rank}: z*(x) is not unique"
        )
    return found
