"""Each column of a result row, recomputed from z and x in plain NumPy and SciPy.

Splits, losses, solutions and accuracies are written out once more here, from the data
that a data set returns; nothing is taken from the package but the row.
"""

import inspect
import json
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
from benchopt.callback import _Callback
from conftest import ROOT, dataset, load_plugin, make_problem
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import benchmark_bilevel
from benchmark_bilevel.exact.metrics import Evaluator
from benchmark_bilevel.problems.cross_entropy import model_metrics
from benchmark_bilevel.problems.hypercleaning.problem import DataHypercleaning
from benchmark_bilevel.problems.quadratic.problem import random_quadratic
from benchmark_bilevel.problems.representation.problem import random_representation
from benchmark_bilevel.problems.selection.problem import HyperparameterSelection
from benchmark_bilevel.solver import BilevelSolver

COUNTS = {
    "outer_gradients": 3,
    "inner_gradients": 5,
    "inner_gradients_x": 7,
    "hessian_vector_products": 11,
    "jacobian_vector_products": 13,
    "loss_values": 17,
}
ACCURACIES = ("train_accuracy", "validation_accuracy", "test_accuracy", "test_loss")
H_STAR = 0.125  # of problems whose reference is not published


class Model:
    """What a row is made of: f and g with their gradients, and the scores of models.

    Attributes
    ----------
    f, g : functions (z, x) -> (value, gradient with respect to z)
    f_x : function (z, x) -> ∇x f
    project : function x -> the nearest feasible x
    step : float
        Of the projected-gradient map.
    start : array or float
        Added to x0: near the bounds, if there are any.
    scores : function (z, x) -> dict of accuracies
    others : function x -> dict of what depends on x alone
    ends : function x -> dict of what the last row has besides
    """

    h_star = H_STAR
    start = 0.0
    step = 1.0

    def f_x(self, z, x):
        return np.zeros_like(x)

    def project(self, x):
        return x

    def others(self, x):
        return {}

    def ends(self, x):
        return {}

    def solution(self, z, x):
        """z*(x) by L-BFGS, then by Newton's method with differences of gradients."""
        found = minimize(
            self.g, z, (x,), "L-BFGS-B", jac=True, options={"ftol": 0, "gtol": 1e-9}
        ).x
        for _ in range(3):
            found = found - np.linalg.solve(self.hessian(found, x), self.g(found, x)[1])
        return found

    def hessian(self, z, x):
        return differences(lambda y: self.g(y, x)[1], z)

    def hypergradient(self, z, x):
        """At z = z*(x)."""
        v = -np.linalg.solve(self.hessian(z, x), self.f(z, x)[1])
        return self.f_x(z, x) + differences(lambda y: self.g(z, y)[1], x).T @ v

    def row(self, z, x):
        solution = self.solution(np.zeros_like(z), x)
        value = self.f(solution, x)[0]
        gradient = self.hypergradient(solution, x)
        moved = self.project(x - self.step * gradient)
        at_solution = self.scores(solution, x)
        return {
            "value": value,
            "suboptimality": value - self.h_star,
            "hypergradient_norm": np.linalg.norm(x - moved) / self.step,
            "inner_distance": np.sqrt(np.sum((z - solution) ** 2)),
            "inner_loss": self.g(z, x)[0],
            "outer_loss": self.f(z, x)[0],
            **dict.fromkeys(ACCURACIES, np.nan),
            **dict.fromkeys((f"{name}_at_solution" for name in ACCURACIES), np.nan),
            **self.scores(z, x),
            **{f"{name}_at_solution": at_solution[name] for name in at_solution},
            **self.others(x),
            **self.ends(x),
            **COUNTS,
            "oracle_calls": 56,
            "iterations": 19,
            "diverged": 0,
            "row_bytes": np.nan,
        }


def differences(function, y, step=1e-5):
    """Jacobian of `function` at y, by central differences of fourth order."""
    columns = []
    for unit in step * np.eye(y.size):
        near, far = (
            function(y + s * unit) - function(y - s * unit) for s in (1.0, 2.0)
        )
        columns.append((8 * near - far) / (12 * step))
    return np.transpose(columns)


def cross_entropy(Z, X, y, weights=1.0):
    """Mean over the samples of weight · CE of the softmax of X Zᵀ, and its gradient."""
    scores, one_hot = X @ Z.T, np.eye(len(Z))[y]
    losses = -(log_softmax(scores, axis=1) * one_hot).sum(axis=1)
    residuals = (softmax(scores, axis=1) - one_hot) * np.reshape(weights, (-1, 1))
    return np.mean(weights * losses), residuals.T @ X / len(y)


def squares(z, A, y):
    """Mean of ½ (A z − y)², and its gradient."""
    residuals = A @ z - y
    return 0.5 * np.mean(residuals**2), A.T @ residuals / len(y)


def linear_scores(Z, train, validation, test):
    """The accuracies of the scores X Zᵀ; those without samples are left out."""
    found = {}
    for name, part in (("train", train), ("validation", validation), ("test", test)):
        if part is not None:
            X, y = part
            found[f"{name}_accuracy"] = accuracy_score(y, np.argmax(X @ Z.T, axis=1))
    if test is not None:
        found["test_loss"] = cross_entropy(Z, *test)[0]
    return found


def explained(predict, *parts):
    """Shares of explained variance of three parts."""
    found = {}
    for name, (X, y) in zip(("train", "validation", "test"), parts, strict=True):
        found[f"{name}_r2"] = 1 - np.var(y - predict(X)) / np.var(y)
        found[f"{name}_r2"] -= np.mean(y - predict(X)) ** 2 / np.var(y)
    return {**found, "test_loss": 0.5 * np.mean((y - predict(X)) ** 2)}


def thirds(X, y, seed, stratify=True):
    """Training samples in three parts, as the contract names them."""
    strata = y if stratify else None
    X, rest, y, y_rest = train_test_split(
        X, y, train_size=1 / 3, stratify=strata, random_state=seed
    )
    X_outer, X_test, y_outer, y_test = train_test_split(
        rest,
        y_rest,
        train_size=1 / 2,
        stratify=y_rest if stratify else None,
        random_state=seed,
    )
    return (X, y), (X_outer, y_outer), (X_test, y_test)


def standardised(*parts):
    scaler = StandardScaler().fit(parts[0][0])
    return tuple((scaler.transform(X), y) for X, y in parts)


# --- the problems -----------------------------------------------------------------------


class Selection(Model):
    """Cross-entropy with a ridge: Z is (classes, features), two classes have one row.

    Parameters
    ----------
    parts : tuple
        Inner, outer and test samples; the last may be None.
    n_rows : int
        Of z.
    spread : function x -> λ, of the shape of Z
    """

    def __init__(self, parts, n_rows, spread, transposed=False):
        self.parts, self.n_rows, self.spread = parts, n_rows, spread
        self.transposed = transposed  # the order of the weights in z

    def weights(self, z):
        Z = z.reshape(-1, self.n_rows).T if self.transposed else z
        Z = np.reshape(Z, (self.n_rows, -1))
        return np.vstack([0 * Z, Z]) if self.n_rows == 1 else Z

    def flat(self, Z):
        Z = Z[-self.n_rows :]
        return (Z.T if self.transposed else Z).ravel()

    def f(self, z, x):
        value, gradient = cross_entropy(self.weights(z), *self.parts[1])
        return value, self.flat(gradient)

    def g(self, z, x):
        value, gradient = cross_entropy(self.weights(z), *self.parts[0])
        ridge = self.spread(x).ravel()
        return value + 0.5 * ridge @ z**2, self.flat(gradient) + ridge * z

    def scores(self, z, x):
        return linear_scores(self.weights(z), *self.parts)


def binary():
    data = dataset("breast_cancer")
    parts = standardised(*thirds(data["X_train"], data["y_train"], 0))
    model = Selection(parts, 1, np.exp)
    folder = Path(benchmark_bilevel.__file__).parent / "exact" / "references"
    (path,) = folder.glob("hyperparameter-selection-breast_cancer-*.json")
    model.h_star = json.loads(path.read_text())["value"]
    return {}, data, model


def binary_with_a_test_file():
    """Its samples are the outer ones; λ = x ≥ 0.

    Here they are inner ones, too: the more ridge, the larger is h.
    """
    data = small_classes(2)
    X, y = data["X_train"] / 80 - 1, data["y_train"]
    data = {"X_train": X[:130], "y_train": y[:130], "X_test": X[:90], "y_test": y[:90]}
    parts = (X[:130], y[:130]), (X[:90], y[:90]), None
    model = Selection(parts, 1, lambda x: x)
    model.project, model.start = lambda x: np.maximum(x, 0), -0.2
    return {"parametrisation": "per-feature-lin"}, data, model


def multiclass():
    data = small_classes(3)
    parts = standardised(*thirds(data["X_train"], data["y_train"], 0))
    n = data["X_train"].shape[1]
    return {}, data, Selection(parts, 3, lambda x: np.repeat(np.exp(x), n))


def sparse():
    """One coefficient a feature, divided by the number of weights; no reference."""
    generator = np.random.default_rng(0)
    y = np.arange(240) % 3
    X = generator.standard_normal((240, 7)) * (generator.random((240, 7)) < 0.4)
    X[np.arange(240), y] += 1
    data = {
        "X_train": X[:160],
        "y_train": y[:160],
        "X_test": X[160:],
        "y_test": y[160:],
    }
    X, X_outer, y, y_outer = train_test_split(
        X[:160], y[:160], test_size=0.5, stratify=y[:160], random_state=0
    )
    parts = (X, y), (X_outer, y_outer), (data["X_test"], data["y_test"])
    for name in ("X_train", "X_test"):
        data[name] = scipy.sparse.csr_matrix(data[name])
    model = Selection(parts, 3, lambda x: np.repeat(np.exp(x), 3) / 21, transposed=True)
    model.h_star = np.nan
    return {}, data, model


class Regression(Model):
    def __init__(self, parts):
        self.parts = parts

    def f(self, z, x):
        return squares(z, *self.parts[1])

    def g(self, z, x):
        value, gradient = squares(z, *self.parts[0])
        return value + 0.5 * np.exp(x) @ z**2, gradient + np.exp(x) * z

    def scores(self, z, x):
        return explained(lambda X: X @ z, *self.parts)


def regression():
    data = dataset("diabetes")
    parts = standardised(*thirds(data["X_train"], data["y_train"], 0, stratify=False))
    mean, scale = parts[0][1].mean(), parts[0][1].std()
    return {}, data, Regression([(X, (y - mean) / scale) for X, y in parts])


class Cleaning(Model):
    """`train_accuracy` is against the given labels, some of which are wrong."""

    def __init__(self, parts, labels):
        (self.X, self.right), self.outer, self.test = parts
        self.labels = labels

    def f(self, z, x):
        value, gradient = cross_entropy(z.reshape(3, -1), *self.outer)
        return value, gradient.ravel()

    def g(self, z, x):
        Z = z.reshape(3, -1)
        value, gradient = cross_entropy(Z, self.X, self.labels, 1 / (1 + np.exp(-x)))
        return value + 0.2 * np.sum(z**2), gradient.ravel() + 0.4 * z

    def scores(self, z, x):
        given = self.X, self.labels
        return linear_scores(z.reshape(3, -1), given, self.outer, self.test)

    def others(self, x):
        wrong, found = self.labels != self.right, x < 0
        return {
            "corrupted_auc": roc_auc_score(wrong, -x),
            "corrupted_precision": np.mean(wrong[found]),
            "corrupted_recall": np.mean(found[wrong]),
            "clean_f1": f1_score(~wrong, ~found),
        }


def hypercleaning():
    data = small_classes(3)
    parts = standardised(*thirds(data["X_train"], data["y_train"], 32))
    generator = np.random.RandomState(32)
    labels = parts[0][1].copy()
    replaced = generator.rand(len(labels)) < 0.6
    labels[replaced] = generator.randint(0, 3, replaced.sum())
    return {"corruption": 0.6}, data, Cleaning(parts, labels)


class Poisoning(Model):
    h_star = np.nan

    def __init__(self, parts, moved):
        self.parts, self.moved = parts, moved
        (self.X, self.y), self.outer, self.test = parts
        self.step = 20.0 * len(self.y)

    def poisoned(self, x):
        X = self.X.copy()
        X[self.moved] += x.reshape(len(self.moved), -1)
        return X

    def f(self, z, x):
        value, gradient = cross_entropy(z.reshape(3, -1), *self.outer)
        return -value, -gradient.ravel()

    def g(self, z, x):
        value, gradient = cross_entropy(z.reshape(3, -1), self.poisoned(x), self.y)
        return value + 0.1 * np.mean(z**2), gradient.ravel() + 0.2 * z / z.size

    def project(self, x):
        """Onto the ball, then onto the box."""
        images = self.X[self.moved]
        rows = x.reshape(images.shape)
        radius = 5.0 * np.sqrt(images.shape[1] / 784)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = rows * np.minimum(1, radius / norms)
        return (np.clip(images + rows, 0, 1) - images).ravel()

    def scores(self, z, x):
        """On the images as they were."""
        return linear_scores(z.reshape(3, -1), *self.parts)

    def ends(self, x):
        z, change = np.zeros((2, 3 * self.X.shape[1]))
        for _ in range(1000):
            change = 0.5 * change - 0.1 * self.g(z, x)[1]
            z = z + change
        found = self.scores(z, x)
        names = ("validation_accuracy", "test_accuracy")
        return {f"retrained_{name}": found[name] for name in names}


def poisoning():
    data = small_classes(3)
    largest = data["X_train"].max()

    def cut(X, y, size):
        X, X_other, y, y_other = train_test_split(
            X, y, test_size=size, stratify=y, random_state=2
        )
        return (X, y), (X_other, y_other)

    inner, rest = cut(data["X_train"] / largest, data["y_train"], 2 / 3)
    _, moved = train_test_split(
        np.arange(len(inner[1])), test_size=0.2, stratify=inner[1], random_state=2
    )
    model = Poisoning((inner, *cut(*rest, 1 / 2)), np.sort(moved))
    return {}, data, model


class Quadratic(Model):
    def __init__(self, data):
        self.inner, self.outer = (
            [data[name] for name in names] for names in ("ABc", "DEr")
        )
        units = np.eye(data["B"].shape[1])
        D, E, r = self.outer
        A, B, c = self.inner
        K, k = (-np.linalg.pinv(A) @ b for b in (B, -c))
        x = np.linalg.lstsq(D @ K + E @ units, r - D @ k)[0]
        self.h_star = self.f(K @ x + k, x)[0]

    def f(self, z, x):
        D, E, r = self.outer
        return squares(z, D, r - E @ x)

    def f_x(self, z, x):
        D, E, r = self.outer
        return E.T @ (D @ z + E @ x - r) / len(r)

    def g(self, z, x):
        A, B, c = self.inner
        return squares(z, A, c - B @ x)

    def scores(self, z, x):
        return {}


def quadratic():
    data = random_quadratic(n_samples=41, n_outer_samples=23, dim_inner=6, dim_outer=4)
    return {}, data, Quadratic(data)


class Representation(Model):
    h_star = np.nan

    def __init__(self, data):
        self.parts = [
            (data[f"X_{part}"], data[f"y_{part}"])
            for part in ("inner", "outer", "held_out")
        ]

    def features(self, X, x):
        return X @ x.reshape(X.shape[1], -1)

    def f(self, z, x):
        X, y = self.parts[1]
        return squares(z, self.features(X, x), y)

    def f_x(self, z, x):
        return differences(lambda y: np.atleast_1d(self.f(z, y)[0]), x)[0]

    def g(self, z, x):
        X, y = self.parts[0]
        value, gradient = squares(z, self.features(X, x), y)
        return value + 0.05 * z @ z, gradient + 0.1 * z

    def scores(self, z, x):
        return explained(lambda X: self.features(X, x) @ z, *self.parts)


def representation():
    data = random_representation(n_samples=20, n_features=4, n_hidden=3)
    return {}, data, Representation(data)


class Distillation(Model):
    h_star = np.nan

    def __init__(self, outer, test):
        self.outer, self.test = outer, test

    def f(self, z, x):
        value, gradient = cross_entropy(z.reshape(3, -1), *self.outer)
        return value, gradient.ravel()

    def g(self, z, x):
        images, classes = x.reshape(3, -1), np.arange(3)
        value, gradient = cross_entropy(z.reshape(3, -1), images, classes)
        return value + 0.2 * z @ z, gradient.ravel() + 0.4 * z

    def scores(self, z, x):
        found = linear_scores(z.reshape(3, -1), self.outer, self.outer, self.test)
        del found["train_accuracy"]
        return found


def distillation():
    data = small_classes(3)
    X, X_test, y, y_test = train_test_split(
        data["X_train"],
        data["y_train"],
        test_size=1 / 3,
        stratify=data["y_train"],
        random_state=32,
    )
    mean, scale = np.mean(X), np.std(X)
    model = Distillation(((X - mean) / scale, y), ((X_test - mean) / scale, y_test))
    return {}, data, model


def small_classes(n_classes, n=240):
    """Images of 9 pixels, without a test part; classes that overlap."""
    generator = np.random.default_rng(n_classes)
    y = np.arange(n) % n_classes
    X = generator.integers(0, 160, (n, 9))
    X[np.arange(n), y] += generator.integers(0, 96, n)
    X[0, 0], X[1, 0] = 0, 255
    return {"X_train": X.astype(float), "y_train": y, "X_test": None, "y_test": None}


PROBLEMS = {
    "hyperparameter-selection": (
        binary,
        binary_with_a_test_file,
        multiclass,
        sparse,
        regression,
    ),
    "data-hypercleaning": (hypercleaning,),
    "data-poisoning": (poisoning,),
    "quadratic": (quadratic,),
    "hyper-representation": (representation,),
    "dataset-distillation": (distillation,),
}
Objective = load_plugin(ROOT / "objective.py").Objective
CASES = [(name, make) for name, makers in PROBLEMS.items() for make in makers]


def check_row(name, make, monkeypatch):
    """Fail naming the first column that is not what NumPy says."""
    options, data, model = make()
    if model.h_star == H_STAR:
        monkeypatch.setattr(
            "benchmark_bilevel.exact.metrics.reference_value", lambda problem: H_STAR
        )
    objective = Objective.get_instance(problem=name, **options)
    objective.set_data(**data)
    z, x = objective.get_objective()["problem"].initial_point()
    generator = np.random.default_rng(0)
    z = z + 0.5 * generator.standard_normal(z.size)
    x = model.project(x + model.start + 0.7 * generator.standard_normal(x.size))
    row = objective.evaluate_result(
        z=z, x=x, iterations=19, counts=COUNTS, diverged=False, ended="budget"
    )
    assert row.pop("end") == "budget"
    assert 0 < row.pop("value_error") <= 1e-9
    expected = model.row(z, x)
    assert row.keys() == expected.keys()
    for column, value in row.items():
        assert_allclose(value, expected[column], rtol=1e-6, err_msg=column)
    # Columns that happen to agree do not tell what is in them.
    known = [row[column] for column in ACCURACIES if not np.isnan(row[column])]
    assert len(set(known)) == len(known)
    assert min(row["inner_distance"], row["hypergradient_norm"]) > 1e-6


@pytest.mark.parametrize(
    ("name", "make"), CASES, ids=[make.__name__ for _, make in CASES]
)
def test_row(name, make, monkeypatch):
    check_row(name, make, monkeypatch)


# Mistakes in a column: the function that makes it, an edit, and a case that shows it.
MISTAKES = {
    "inner_distance, in the 1-norm": (
        Evaluator._exact_metrics,
        ("np.linalg.norm(z - exact.z)", "np.abs(z - exact.z).sum()"),
        quadratic,
    ),
    "train_accuracy_at_solution, at z": (
        Evaluator._exact_metrics,
        ("accuracies(exact.z, x)", "accuracies(z, x)"),
        multiclass,
    ),
    "outer_loss, of g": (
        Evaluator._cheap_metrics,
        ("losses.outer_value", "losses.inner_value"),
        quadratic,
    ),
    "suboptimality, doubled": (
        Evaluator._exact_metrics,
        ("exact.value - self._reference", "2 * (exact.value - self._reference)"),
        quadratic,
    ),
    "hypergradient_norm, squared": (
        Evaluator._map_norm,
        ("np.linalg.norm(gradient)", "np.linalg.norm(gradient) ** 2"),
        quadratic,
    ),
    "validation_accuracy, of the training part": (
        HyperparameterSelection.accuracies,
        (
            "self._scores(validation.X, z), validation.y",
            "self._scores(train.X, z), train.y",
        ),
        multiclass,
    ),
    "validation_accuracy, of the training part of images": (
        model_metrics,
        ("accuracy(model, validation)", "accuracy(model, train)"),
        poisoning,
    ),
    "train_accuracy, of true labels": (
        DataHypercleaning.accuracies,
        ("Split(inner.X, self.given_labels)", "inner"),
        hypercleaning,
    ),
}


def mutate(monkeypatch, function, old, new):
    """Replace `old` by `new` in the text of a function, wherever it is referred to."""
    text = textwrap.dedent(inspect.getsource(function))
    assert old in text
    found = {}
    exec(text.replace(old, new), function.__globals__, found)
    monkeypatch.setattr(function, "__code__", found[function.__name__].__code__)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_fails(mistake, monkeypatch):
    function, edit, make = MISTAKES[mistake]
    mutate(monkeypatch, function, *edit)
    name = next(name for name, makers in PROBLEMS.items() if make in makers)
    with pytest.raises(AssertionError, match=rf"\n{mistake.split(',')[0]}\n"):
        check_row(name, make, monkeypatch)


# --- the clock ---------------------------------------------------------------------------


class Clock:
    now = 100.0

    def read(self):
        return self.now


clock = Clock()


class Sleeper(BilevelSolver):
    """An iteration takes a quarter of a second of the clock above."""

    name = "sleeper"

    init = staticmethod(lambda inner, outer, z, x: (z, x))

    @staticmethod
    def step(inner, outer, state, steps, t):
        clock.now += 0.25


def evaluate(result):
    """An evaluation takes an hour."""
    clock.now += 3600.0
    return [
        {
            "objective_iterations": result["iterations"],
            "objective_end": result["ended"],
        }
    ]


def run_of_a_sleeper(monkeypatch, **limits):
    """Rows of a run, and the result behind the last one."""
    monkeypatch.setattr(time, "perf_counter", clock.read)
    solver = Sleeper.get_instance(runtime="torch", **limits)
    solver.problem, solver.seed = make_problem("quadratic"), 0
    criterion = solver.stopping_criterion.get_runner_instance(
        solver=solver, max_runs=1000, timeout=None
    )
    solver.warm_up()
    callback = _Callback(evaluate, solver, {}, criterion)
    solver.pre_run_hook(callback)
    callback.start()
    solver.run(callback)
    rows, _, last = callback.get_results()
    return rows, last


def check_clock(monkeypatch, iterations, **limits):
    rows, last = run_of_a_sleeper(monkeypatch, **limits)
    assert last["iterations"] == iterations and last["ended"] == "budget"
    for row in rows:
        assert row["time"] == 0.25 * row["objective_iterations"]


@pytest.mark.parametrize(
    ("limits", "iterations"),
    [({"max_seconds": 10.0}, 40), ({"max_seconds": 1e9, "max_iterations": 30}, 30)],
)
def test_time_is_that_of_the_iterations(monkeypatch, limits, iterations):
    """And nothing else is on the clock by which a run ends."""
    check_clock(monkeypatch, iterations, **limits)


@pytest.mark.parametrize("factor", [2, 0.5])
def test_a_clock_of_another_pace_fails(monkeypatch, factor):
    edit = "self._clock += seconds", f"self._clock += {factor} * seconds"
    mutate(monkeypatch, BilevelSolver._advance, *edit)
    with pytest.raises(AssertionError):
        check_clock(monkeypatch, 40, max_seconds=10.0)
