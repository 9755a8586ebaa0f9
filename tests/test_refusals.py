"""Data that cannot be used: one line says which array, what, and what to do."""

import warnings

import numpy as np
import pandas as pd
import pytest
from conftest import dataset
from scipy import sparse
from test_gate import CLASSIFIERS, plain, posed, same_bits

from benchmark_bilevel.data import Inadmissible, admit
from benchmark_bilevel.problems import PROBLEMS
from benchmark_bilevel.problems.base import Problem


def spoiled(value, where=(5, 2), name="X", kind=float):
    """The plain data with one value replaced."""
    X, y = plain()
    A = X.astype(kind)
    A[where] = value
    if name == "X":
        return {"X_train": A, "y_train": y}
    return {"X_train": X, "y_train": y, "X_test": A, "y_test": y}


def bad_indices(format):
    A = sparse.csr_matrix(plain()[0]).asformat(format)
    A.indices[3] = 10_000_000
    return {"X_train": A, "y_train": plain()[1]}


def with_foreign_column():
    """A LIL matrix, in which scipy looks for no mistakes, with one."""
    A = sparse.lil_matrix(plain()[0])
    A.rows[0][:] = [10_000_000] * len(A.rows[0])
    return A


def with_short_row():
    A = sparse.lil_matrix(plain()[0])
    A.data[0] = A.data[0][:-1]
    return A


def pair(X=None, y=None, **arrays):
    X_plain, y_plain = plain()
    X = X_plain if X is None else X
    return {"X_train": X, "y_train": y_plain if y is None else y, **arrays}


X, Y = plain()
REFUSED = [
    ("NaN", spoiled(np.nan), r"X_train is NaN or infinite in 1 of 360 .* in row 5:"),
    ("infinity", spoiled(-np.inf), "X_train is NaN or infinite in 1 of 360"),
    ("NaN in the test part", spoiled(np.nan, name="t"), "X_test is NaN .* in row 5:"),
    (
        "NaN in sparse",
        pair(sparse.csc_matrix(spoiled(np.nan)["X_train"])),
        r"X_train is NaN or infinite in 1 of \d+ values, first in row 5:",
    ),
    ("None in X", spoiled(None, kind=object), "X_train is NaN or infinite in 1"),
    ("masked", pair(np.ma.masked_less(X, 3)), "X_train has masked entries"),
    (
        "NA",
        pair(pd.DataFrame(X).astype("Int64").mask(X > 15)),
        "X_train holds more than",
    ),
    ("text", pair(X.astype(str)), "X_train holds text: real numbers"),
    (
        "a column of text",
        pair(pd.DataFrame(X).assign(t="a")),
        "more than numbers: .*'a'",
    ),
    ("complex", pair(X + 1j), "X_train holds complex numbers: real"),
    ("dates", pair(X.astype("datetime64[s]")), "X_train holds dates: real"),
    ("records", pair(np.zeros(60, "f8,f8")), "X_train holds records"),
    (
        "ragged",
        pair([[1.0, 2.0]] * 59 + [[1.0]]),
        "X_train is no array: .*inhomogeneous",
    ),
    ("one axis", pair(X[:, 0]), r"X_train has the shape \(60,\), .* X\[:, None\]"),
    ("no rows", pair(X[:0], Y[:0]), r"X_train is empty: its shape is \(0, 6\)"),
    ("no columns", pair(X[:, :0]), "X_train is empty"),
    ("huge", pair(X * 1e300), "X_train has values up to 2e.301, whose squares are inf"),
    ("minute", pair(X * 1e-300), "X_train has only values whose squares are zero"),
    ("too large integers", spoiled(10**400, kind=object), "int too large to convert"),
    ("all zero", pair(0 * X), "X_train is zero everywhere"),
    ("all zero, sparse", pair(sparse.csr_matrix(0 * X)), "X_train is zero everywhere"),
    ("constant", pair(0 * X + 3), "X_train has the same features in all rows"),
    ("bad CSR", bad_indices("csr"), "X_train is no sound sparse matrix"),
    ("bad CSC", bad_indices("csc"), "X_train is no sound sparse matrix"),
    ("bad LIL", pair(with_foreign_column()), "X_train is no sound sparse matrix"),
    ("short LIL", pair(with_short_row()), "no sound .*: rows and data differ"),
    ("a path", pair("data.csv"), "X_train holds text: real"),
    ("a generator", pair(row for row in X), "X_train is generator, not an array"),
    ("a set", pair(y=set(Y)), "y_train is set, not an array"),
    ("lengths", pair(y=Y[:-7]), "X_train has 60 rows and y_train 53"),
    ("one class", pair(y=0 * Y), "y_train has one class only, 0"),
    (
        "unseen class",
        pair(X_test=X, y_test=Y + (Y == 2)),
        "y_test has classes that y_train has not, such as 3",
    ),
    (
        "features",
        pair(X_test=X[:, :5], y_test=Y),
        "X_train has 6 features and X_test 5",
    ),
    ("continuous", pair(y=np.sin(np.arange(60.0))), "60 distinct values in 60 samples"),
    ("three samples", pair(X[:3], Y[:3]), "3 distinct values in 3 samples"),
    ("NaN label", pair(y=np.where(Y, np.nan, 0)), "y_train is NaN or infinite in 40"),
    ("None label", pair(y=["a", None] * 30), "y_train has missing values"),
    (
        "NA label",
        pair(y=pd.Series([1, pd.NA] * 30, dtype=object)),
        "y_train has missing",
    ),
    (
        "NaN among texts",
        pair(y=["a", float("nan")] * 30),
        "y_train has missing values",
    ),
    (
        "NaN in numpy's texts",
        pair(y=np.array(["a", np.nan] * 30, np.dtypes.StringDType(na_object=np.nan))),
        "y_train has missing values",
    ),
    (
        "None in numpy's texts",
        pair(y=np.array(["a", None] * 30, np.dtypes.StringDType(na_object=None))),
        "y_train has missing values",
    ),
    ("sets", pair(y=np.array([{1}, {2}] * 30)), "labels of .* that have no order"),
    (
        "mixed labels",
        pair(y=np.array(["a", 1] * 30, object)),
        "labels of several types",
    ),
    ("one-hot", pair(y=np.eye(3)[Y]), r"y_train has the shape \(60, 3\).*argmax"),
    ("complex labels", pair(y=Y + 1j), "y_train holds complex numbers"),
    ("no labels", {"X_train": X}, "no y_train but X_train: get_data returns a dict of"),
    ("half a test", pair(X_test=X), "no y_test but X_train, y_train, X_test: get_data"),
    (
        "misspelt",
        {"X_train": X, "ytrain": Y},
        "no y_train but X_train, ytrain: get_data",
    ),
    (
        "nothing in it",
        {"X_train": None, "y_train": None},
        "no X_train and no y_train but",
    ),
]


@pytest.mark.parametrize(
    ("given", "words"),
    [case[1:] for case in REFUSED],
    ids=[case[0] for case in REFUSED],
)
def test_refused(given, words):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(Inadmissible, match=words) as refusal:
            admit("classes", **given)
        assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 250
        # What is remembered of the last data is the same line.
        with pytest.raises(Inadmissible, match=words):
            admit("classes", **given)


QUADRATIC = dataset("quadratic", n_samples=40, n_outer_samples=30)


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("A", QUADRATIC["A"][:, 0], r"A has the shape \(40,\), not 2 axes"),
        ("B", QUADRATIC["B"][:-1], r"B has the shape \(39, 10\), not \(40, 10\)"),
        ("c", np.full(40, np.nan), "c is NaN or infinite in 40 of 40"),
        ("D", QUADRATIC["D"][:, :-1], r"D has the shape \(30, 19\), not \(30, 20\)"),
        ("r", "many", "r holds text"),
        ("A", QUADRATIC["A"][:, [0] * 20], "A has 20 columns and the rank 1"),
        ("A", np.zeros((40, 0)), "A has the shape"),
    ],
)
def test_refused_coefficients(name, array, words):
    with pytest.raises(Inadmissible, match=words):
        admit(**{**QUADRATIC, name: array})


def test_forms_of_coefficients():
    given = {
        name: sparse.csc_matrix(a) if a.ndim == 2 else a[:, None].astype(">f8")
        for name, a in QUADRATIC.items()
    }
    found = admit(**given)
    assert all(same_bits(found[name], a) for name, a in QUADRATIC.items())


@pytest.mark.parametrize(
    ("problem", "given", "words"),
    [
        (
            "hyperparameter-selection",
            {"X": X, "y": Y},
            "needs classification data: X_train, y_train and, .*; the data have X, y$",
        ),
        (
            "hyperparameter-selection",
            pair(X_val=X),
            "knows X_train, y_train, X_test, y_test and not X_val",
        ),
        (
            "hyperparameter-selection",
            pair(y=np.where(np.arange(60) < 2, "rare", "usual")),
            "needs 3 training samples of each class; class rare has 2",
        ),
        ("data-hypercleaning", pair(sparse.csr_matrix(X)), "needs dense features"),
        (
            "data-poisoning",
            spoiled(-5.5, (55, 1)),
            r"images, .*X_train\[55, 1\] is -5.5",
        ),
        ("data-poisoning", spoiled(256, (55, 1)), r"X_train\[55, 1\] is 256"),
        ("data-poisoning", spoiled(0.5, (55, 1), "t"), r"X_test\[55, 1\] is 0.5"),
        ("data-poisoning", pair(sparse.csr_matrix(X)), "images, .*X_train is sparse"),
        ("data-poisoning", pair(X[:40], Y[:40]), "needs 15 training images a class"),
        ("quadratic", pair(), "needs the coefficients A, B, c, D, E, r of a quadratic"),
    ],
)
def test_unfit(problem, given, words):
    with pytest.raises(Inadmissible, match=words):
        PROBLEMS[problem].admit(given)


def test_pixels_after_the_first_thousand_are_looked_at():
    X, y = plain(n=1500)
    X[1200, 0] = -5.5
    with pytest.raises(Inadmissible, match=r"X_train\[1200, 0\] is -5.5"):
        PROBLEMS["data-poisoning"].admit(pair(X, y))


# Samples a class.
FEWEST = {"hyperparameter-selection": 3, "data-hypercleaning": 6, "data-poisoning": 15}


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("has_test", [False, True])
def test_the_fewest_samples_are_enough(name, n_classes, has_test):
    """What the gate lets through can be split, whatever the sizes."""
    admitted, fewest = [], FEWEST[name] * n_classes
    for n in range(2, 15 * n_classes + 1):
        X, y = plain(n_classes, n)
        given = pair(X, y, **({"X_test": X, "y_test": y} if has_test else {}))
        try:
            data = PROBLEMS[name].admit(given)
        except Inadmissible:
            continue
        admitted.append(n)
        problem = posed(name, data)
        assert problem.n_inner > 0 and problem.n_outer > 0 and problem.dim_x > 0
    assert admitted == list(range(fewest, 15 * n_classes + 1))


class Regression(Problem):
    """A problem of the user's that takes what data say of y."""

    @classmethod
    def unfit(cls, data):
        return "needs numbers" if "classes" in data else None


class WantsNumbers(Regression):
    targets = "numbers"


def test_numbers_for_a_problem_that_wants_them():
    X, y = plain()
    continuous = np.sin(np.arange(60.0)).astype(">f4")[:, None]
    for problem in (Regression, WantsNumbers):
        found = problem.admit(pair(X, continuous))
        assert same_bits(found["y_train"], continuous.ravel().astype(float))
        assert "classes" not in found
    assert WantsNumbers.admit(pair(X, y))["y_train"].dtype == float
    with pytest.raises(Inadmissible, match="needs numbers"):
        Regression.admit(pair(X, y))
    with pytest.raises(Inadmissible, match="y_train holds text: real numbers"):
        WantsNumbers.admit(pair(X, np.array(["a", "b", "c"])[y]))


def test_data_of_a_problem_of_ones_own_pass():
    given = {"graph": {1: 2}, "weights": [1.0]}
    assert admit(**given) == given
    assert admit(**pair(groups=Y))["groups"] is Y
