"""Small problems, the solvers of ``solvers/`` and data homes for all tests."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    # The cores have a process each already; libraries read these when imported.
    for library in ("OMP", "OPENBLAS", "MKL", "NUMBA"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")

import numpy as np
import pytest

from benchmark_bilevel.problems import PROBLEMS
from benchmark_bilevel.problems.quadratic.problem import random_quadratic

ROOT = Path(__file__).parents[1]


def load_solver(name):
    """The class in ``solvers/<name>.py``, loaded as benchopt does: from its path."""
    return load_plugin(ROOT / "solvers" / f"{name}.py").Solver


def load_plugin(path):
    """The module at `path`."""
    name = f"plugins.{Path(path).parent.name}.{Path(path).stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


def dataset(name, **parameters):
    """What ``get_data`` of ``datasets/<name>.py`` returns."""
    Dataset = load_plugin(ROOT / "datasets" / f"{name}.py").Dataset
    return Dataset.get_instance(**parameters).get_data()


def make_problem(name):
    """One of the small problems; sizes that no usual batch size divides."""
    if name == "quadratic":
        data = random_quadratic(
            n_samples=103, n_outer_samples=57, dim_inner=6, dim_outer=4
        )
        return PROBLEMS["quadratic"](data)
    parameters = {"n_samples": 301, "n_features": 7} if name == "simulated" else {}
    return PROBLEMS["hyperparameter-selection"](dataset(name, **parameters))


def task_run(problem, name, step, outer_step, batch_size="full", **parameters):
    """The runtime of ``solvers/<name>.py`` on tasks, with constant steps."""
    solver = load_solver(name).get_instance(
        step_size=step,
        outer_ratio=step / outer_step,
        step_exponent=0.0,
        outer_exponent=0.0,
        batch_size=batch_size,
        **parameters,
    )
    return solver.make_runtime(problem)


# A worker that begins one of these last keeps the others waiting.
LONG_FILES = (
    "solvers",
    "benchopt",
    "sparse",
    "plugin",
    "parallel",
    "installation",
    "search_command",
    "site",
    "data",
    "kinds",
    "selection",
    "hypercleaning",
)


def pytest_collection_modifyitems(items):
    """Files that take a minute or more come first, the rest as collected."""
    rank = {f"test_{name}": k for k, name in enumerate(LONG_FILES)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A test that skips because it "needs" something fails where all has to be there."""
    report = yield
    if report.skipped and os.environ.get("BENCHMARK_BILEVEL_REQUIRE"):
        *_, reason = report.longrepr
        if reason.startswith("Skipped: needs "):
            report.outcome, report.longrepr = "failed", reason
    return report


SMALL_PROBLEMS = ("quadratic", "simulated")


@pytest.fixture(scope="session", params=SMALL_PROBLEMS)
def problem(request):
    return make_problem(request.param)


@pytest.fixture
def generator():
    return np.random.default_rng(0)


def real_data(name):
    """As `dataset`, of what has to be downloaded; skips where it is not at hand."""
    if "BENCHOPT_DATA_HOME" not in os.environ:
        pytest.skip(f"BENCHOPT_DATA_HOME is not set: no {name}")
    data = dataset(name)
    if data.get("missing"):
        pytest.skip(data["missing"])  # the line that a user reads
    return data


def real_selection(name):
    """Hyper-parameter selection on real data; skips where they are not at hand."""
    return PROBLEMS["hyperparameter-selection"](real_data(name))


@pytest.fixture(scope="session")
def ijcnn1():
    return real_selection("ijcnn1")


def copy_of_the_benchmark(folder, compiled=True):
    """A copy of the benchmark's plugins, so that runs leave no trace in the checkout.

    With what numba has compiled of them, where runs need it.
    """
    folder = folder / "benchmark_bilevel"
    folder.mkdir()
    for name in ("objective.py", "config.yml"):
        shutil.copy(ROOT / name, folder)
    for name in ("solvers", "datasets", "plots", "config"):
        ignored = None if compiled else shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    return folder


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    return copy_of_the_benchmark(tmp_path_factory.mktemp("run"))
