"""Data of tasks: what the gate lets through, the data sets, images of a user's own."""

import click
import numpy as np
import pytest
from conftest import dataset

from benchmark_bilevel.data import FEW_SHOT_TASKS, Inadmissible, MissingData, admit
from benchmark_bilevel.data.glyphs import draw_tasks
from benchmark_bilevel.data.image_tasks import load_image_tasks
from benchmark_bilevel.data.sinusoid import sinusoid_tasks
from benchmark_bilevel.data.task_arrays import RIDGE_TASKS
from benchmark_bilevel.problems import PROBLEMS
from benchmark_bilevel.problems.tasks.few_shot import FewShot
from benchmark_bilevel.problems.tasks.ridge import MultiTaskRidge, random_tasks

TASKS = {"n_ways": 3, "n_shots": 1, "n_queries": 2, "n_tasks": 6, "n_test_tasks": 4}


def images(n_classes=9, n=4, shape=(16, 16)):
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (n_classes, n, *shape), dtype=np.uint8)


def of_images():
    return draw_tasks(images(), **TASKS, seed=0)


GIVEN = {
    "ridge": MultiTaskRidge.example_data,
    "curves": FewShot.example_data,
    "images": of_images,
}


@pytest.mark.parametrize(
    ("kind", "changes", "line"),
    [
        (
            "ridge",
            {"task_y": lambda y: y[:, :-1]},
            r"task_y has the shape \(9, 7\), not \(9, 8\), as task_A has tasks and",
        ),
        ("ridge", {"task_A": lambda A: A[0]}, r"task_A has the shape \(8, 3\), not 3"),
        (
            "ridge",
            {"task_A_outer": lambda A: A[:, :, :2]},
            r"task_A_outer .* as task_A",
        ),
        (
            "ridge",
            {"task_y_outer": lambda y: np.where(y > 1, np.nan, y)},
            "task_y_outer is NaN or infinite in",
        ),
        (
            "curves",
            {"query_targets": lambda y: y[:, :, 0]},
            r"query_targets has the shape \(9, 4\), not 3 axes",
        ),
        (
            "curves",
            {"test_query": lambda y: y[:1]},
            r"test_query .* not \(2, 4, 1\), as test_support begins",
        ),
        (
            "images",
            {"support": lambda i: i + 0.5},
            "support holds other numbers than 0",
        ),
        (
            "images",
            {"query": lambda i: i + 30},
            r"query goes up to \d+, and there are 36",
        ),
        (
            "images",
            {"test_query_targets": lambda i: i + 1},
            "test_query_targets goes up to 3, and there are 3 classes in support_targets",
        ),
        ("images", {"images": lambda i: i[:, :9]}, "images are of 9 × 16 pixels: 16"),
        (
            "images",
            {"images": lambda i: i[:, 0]},
            r"images has the shape \(36, 16\), not",
        ),
        (
            "images",
            {name: lambda i: i[:, :1] for name in ("query", "query_targets")},
            "query has one image a task, of 16 × 16 pixels: it takes two",
        ),
        (
            "curves",
            {name: lambda y: y[:1] for name in FEW_SHOT_TASKS[:4]},
            "support has one task only: two are the fewest",
        ),
        (
            "ridge",
            {name: lambda y: y[:1] for name in RIDGE_TASKS},
            "task_A has one task only: two are the fewest",
        ),
        (
            "images",
            {"query": lambda i: i - 1 - i.max()},
            "query holds other numbers than 0",
        ),
        ("images", {"images": lambda i: i[:, :, :9]}, "images are of 16 × 9 pixels"),
        (
            "curves",
            {"query_targets": lambda y: np.repeat(y, 2, axis=2)},
            r"query_targets has the shape \(\d+, 4, 2\), not \(\d+, 4, 1\)",
        ),
    ],
)
def test_refused(kind, changes, line):
    given = GIVEN[kind]()
    for name, change in changes.items():
        given[name] = change(given[name])
    with pytest.raises(Inadmissible, match=line):
        admit(**given)


@pytest.mark.parametrize("kind", GIVEN)
def test_forms(kind):
    """Lists and other types of numbers are the same tasks."""
    given = GIVEN[kind]()
    right = admit(**given)
    lists = {name: array.tolist() for name, array in given.items()}
    if kind == "images":
        lists["images"] = given["images"]  # bytes stay bytes
    found = admit(**lists)
    for name, array in right.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    kinds = {"ridge": "f", "curves": "f", "images": "i"}
    assert {right[n].dtype.kind for n in right if n != "images"} == {kinds[kind]}


@pytest.mark.parametrize(
    ("problem", "kind", "line"),
    [
        ("multi-task-ridge", "curves", "needs regression tasks, task_A, .*: -d multi_"),
        (
            "few-shot",
            "ridge",
            "needs tasks with a support and a query, .*: -d sinusoid",
        ),
        ("equilibrium", "images", "needs classification data"),
        ("hyperparameter-selection", "ridge", "needs classification data|numbers"),
        ("quadratic", "ridge", "needs the coefficients"),
        ("hyper-representation", "curves", "needs a representation to learn"),
    ],
)
def test_what_does_not_fit(problem, kind, line):
    with pytest.raises(Inadmissible, match=line):
        PROBLEMS[problem].admit(GIVEN[kind]())


def test_tasks_of_some_missing_arrays_are_not_posed():
    given = of_images()
    del given["test_query"]
    with pytest.raises(Inadmissible, match="others to test"):
        FewShot.admit(given)


@pytest.mark.parametrize(
    ("name", "parameters", "line"),
    [
        ("multi_task_ridge", {"n_tasks": 1}, "n_tasks=1 .* an integer ≥ 2"),
        ("multi_task_ridge", {"noise": -1}, "noise=-1 .* a number ≥ 0"),
        ("sinusoid", {"n_shots": 0}, "n_shots=0 .* a positive integer"),
        ("glyphs", {"n_ways": 101}, "n_ways=101"),
        ("glyphs", {"n_shots": 11}, r"n_shots \+ n_queries = 13; .* has 12"),
        ("image_tasks", {"n_ways": 1}, "n_ways=1 .* an integer ≥ 2"),
    ],
)
def test_parameters(name, parameters, line):
    with pytest.raises(click.UsageError, match=f"^{name}: {line}"):
        dataset(name, **parameters)


def test_data_sets():
    ridge = admit(**dataset("multi_task_ridge", n_tasks=3))
    assert ridge["task_A"].shape == (3, 20, 10)
    curves = admit(**dataset("sinusoid", n_tasks=3, n_test_tasks=2))
    assert curves["support"].shape == (3, 10, 1)
    assert curves["test_query"].shape == (2, 10, 1)


def test_large_images_take_one_a_task():
    given = draw_tasks(images(shape=(16, 32)), **TASKS, seed=0)
    for name in ("query", "query_targets"):
        given[name] = given[name][:, :1]
    assert admit(**given)


def test_sine_waves():
    """All points of a task are on one wave, in the published ranges."""
    curves = sinusoid_tasks(n_tasks=500, n_test_tasks=2)
    x, y = (
        5 * np.concatenate([curves[f"{part}{end}"] for part in ("support", "query")], 1)
        for end in ("", "_targets")
    )
    assert 4.9 < np.abs(x).max() <= 5
    waves = [
        np.linalg.lstsq(np.hstack((np.sin(a), np.cos(a))), b[:, 0], rcond=None)
        for a, b in zip(x, y, strict=True)
    ]
    assert max(residual.item() for _, residual, *_ in waves) < 1e-20
    a, b = np.array([wave[0] for wave in waves]).T
    amplitudes, phases = np.hypot(a, b), np.arctan2(-b, a)
    assert 0.1 <= amplitudes.min() < 0.3 and 4.7 < amplitudes.max() <= 5
    assert -1e-9 <= phases.min() < 0.1 and 3 < phases.max() <= np.pi


def test_regressions():
    """Of one vector of weights a task, with spread and noise as they are asked for."""
    data = random_tasks(400, 40, 5, spread=2.0, noise=0.3)
    weights = []
    for suffix in ("", "_outer"):
        A, y = data[f"task_A{suffix}"], data[f"task_y{suffix}"]
        own = [np.linalg.lstsq(a, b, rcond=None)[0] for a, b in zip(A, y, strict=True)]
        weights.append(np.array(own))
        errors = y - np.einsum("knd,kd->kn", A, weights[-1])
        np.testing.assert_allclose(errors.std() * np.sqrt(40 / 35), 0.3, rtol=0.05)
    np.testing.assert_allclose(*weights, atol=0.5)
    np.testing.assert_allclose(weights[0].std(axis=0), 2.0, rtol=0.15)


def test_tasks_of_images_have_their_classes():
    """Support and query of a task agree on them; all classes of the tests are drawn."""
    data = draw_tasks(images(), **{**TASKS, "n_test_tasks": 60}, seed=0)
    for prefix in ("", "test_"):
        for task in zip(
            *(data[f"{prefix}{part}"] // 4 for part in ("support", "query")),
            *(data[f"{prefix}{part}_targets"] for part in ("support", "query")),
            strict=True,
        ):
            support, query, *targets = task
            pairs = {*zip(support, targets[0], strict=True)}
            pairs |= {*zip(query, targets[1], strict=True)}
            assert len(pairs) == TASKS["n_ways"]
    assert len(np.unique(data["test_support"] // 4)) == 3


def test_glyphs():
    data = dataset("glyphs", n_tasks=40, n_test_tasks=30)
    problem = FewShot(FewShot.admit(data), normalisation="per-task")
    assert data["images"].shape[1:] == (28, 28)
    assert data["images"].dtype == np.float32
    assert data["images"].min() >= 0 and 0.9 < data["images"].max() < 1.01
    rows = data["images"].reshape(len(data["images"]), -1)
    assert len(np.unique(rows, axis=0)) == len(rows), "each has a map of its own"
    assert problem.network.n_features == 32
    assert problem.n_outputs == 20
    assert problem.largest_batch >= 64  # the default of all solvers
    classes = [
        {index // 12 for index in data[f"{prefix}{part}"].ravel()}
        for prefix in ("", "test_")
        for part in ("support", "query")
    ]
    assert classes[0] == classes[1]
    assert classes[2] == classes[3]
    assert classes[0].isdisjoint(classes[2])


# --- images of a user's own -----------------------------------------------------------


def written(folder, train, test):
    for name, array in (("train", train), ("test", test)):
        np.save(folder / f"{name}.npy", array)
    return load_image_tasks(folder, **TASKS, seed=0)


@pytest.mark.parametrize("shape", [(16, 16), (20, 24, 3)])
def test_own_images(tmp_path, shape):
    train, test = images(5, 4, shape), images(3, 4, shape)
    data = FewShot.admit(written(tmp_path, train, test))
    assert data["images"].shape == (8 * 4, *shape)
    assert data["images"].dtype == np.uint8
    np.testing.assert_array_equal(data["images"][20], test[0, 0])
    for prefix, first, last in (("", 0, 5), ("test_", 5, 8)):
        for part in ("support", "query"):
            indices = data[f"{prefix}{part}"]
            assert indices.min() >= 4 * first
            assert indices.max() < 4 * last
    labels = data["support"] // 4
    for task, targets in zip(labels, data["support_targets"], strict=True):
        assert len({*zip(task, targets, strict=True)}) == TASKS["n_ways"]


def test_own_images_are_asked_for_in_the_data_home(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCHOPT_DATA_HOME", str(tmp_path))
    line = dataset("image_tasks")["missing"]
    assert str(tmp_path / "image_tasks" / "train.npy") in line
    assert "has to hold an array of images (classes, images of a class" in line
    assert "\n" not in line
    (tmp_path / "image_tasks").mkdir()
    written(tmp_path / "image_tasks", images(5, 12), images(5, 12))
    assert "support" in dataset("image_tasks", n_tasks=2, n_test_tasks=1)


@pytest.mark.parametrize(
    ("train", "test", "line"),
    [
        (images(2), images(3), "train.npy has 2 classes, and tasks need 3"),
        (images(5), images(3, 2), "test.npy has 2 images of a class, and tasks need 3"),
        (images(5), images(3, 4, (16, 20)), r"test.npy has the shape .* have to agree"),
        (images(5), images(3) / 255, r"test.npy .* float64, train.npy .* uint8"),
        (images()[0], images(), r"train.npy has the shape \(4, 16, 16\), not"),
        (np.array([{}]), images(), "train.npy has to hold an array of images"),
    ],
)
def test_own_images_that_do_not_fit(tmp_path, train, test, line):
    with pytest.raises(MissingData, match=line):
        written(tmp_path, train, test)
