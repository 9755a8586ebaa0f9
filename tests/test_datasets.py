"""Data sets of the user's in a run and in `check`, and the parameters of our own."""

import click
import numpy as np
import pytest
from benchopt import BaseDataset
from command_line import run
from conftest import ROOT, copy_of_the_benchmark, dataset, load_plugin
from scipy import sparse
from test_gate import admitted, assert_same, plain, same_bits

from benchmark_bilevel.data.dataset import arrays_of
from benchmark_bilevel.search.data import data_of
from benchmark_bilevel.verification.plugin import checks_of


def test_objective_hands_on_what_the_gate_made():
    Objective = load_plugin(ROOT / "objective.py").Objective
    X, y = plain(2)
    objective = Objective.get_instance(problem="hyperparameter-selection")
    given = {"X_train": sparse.csc_matrix(X), "y_train": np.array(["no", "yes"])[y]}
    assert objective.skip(**given) == (False, None)
    objective.set_data(**given)
    assert_same(objective.bilevel_problem.data, admitted(sparse.csr_matrix(X), y))
    X[3] = np.nan
    skipped, reason = objective.skip(**{**given, "X_train": X})
    assert skipped and reason.startswith("X_train is NaN or infinite in 6 of 360")


FAULTS = """
import sys
import numpy as np
from benchopt import BaseDataset

class Dataset(BaseDataset):
    name = "faulty"
    parameters = {
        "kind": [
            *("raises", "exits", "tuple", "keys", "none", "mask", "absent", "nan"),
            "good",
        ]
    }
    calls = 0

    def get_data(self):
        type(self).calls += 1
        X = np.random.default_rng(0).standard_normal((90, 3))
        y = X[:, 0] > 0
        if self.kind == "raises":
            raise ValueError("two\\nlines")
        if self.kind == "exits":
            sys.exit("no more")
        if self.kind == "tuple":
            return X, y
        if self.kind == "keys":
            return {0: X, 1: y}
        if self.kind == "none":
            return None
        if self.kind == "mask":
            return {"X_train": X, "y_train": y, "missing": X > 2}
        if self.kind == "absent":
            return {"X_train": np.load("/nowhere/X.npy"), "y_train": y}
        if self.kind == "nan":
            X[3, 2] = np.nan
        return {"X_train": X, "y_train": y}
"""
NO_ARRAYS = (
    "arrays with names for keys (or `missing`, a line that says why there are none)"
)
LINES = {
    "raises": "faulty[kind=raises]: ValueError in get_data (faulty.py, line 21): two lines",
    "exits": "faulty[kind=exits]: SystemExit in get_data (faulty.py, line 23): no more",
    "tuple": "faulty[kind=tuple]: get_data (faulty.py) returned tuple, not a dict of "
    + NO_ARRAYS,
    "keys": "faulty[kind=keys]: get_data (faulty.py) returned dict, not a dict of "
    + NO_ARRAYS,
    "none": "faulty[kind=none]: get_data (faulty.py) returned NoneType, not a dict of "
    + NO_ARRAYS,
    "mask": "faulty[kind=mask]: get_data (faulty.py) returned dict, not a dict of "
    + NO_ARRAYS,
    "absent": "faulty[kind=absent]: FileNotFoundError in get_data (faulty.py, line 33): "
    "[Errno 2] No such file or directory: '/nowhere/X.npy'",
}


@pytest.fixture
def faulty(tmp_path):
    path = tmp_path / "faulty.py"
    path.write_text(FAULTS)
    return path


@pytest.mark.parametrize("kind", LINES)
def test_a_data_set_that_fails_is_a_line_and_asked_once(faulty, kind):
    Dataset = load_plugin(faulty).Dataset
    Dataset.calls = 0
    failing = Dataset.get_instance(kind=kind)
    assert arrays_of(failing) == {"missing": LINES[kind]}
    assert arrays_of(failing) == {"missing": LINES[kind]}
    assert Dataset.calls == 1


def test_seeds_of_a_data_set_outside_of_a_run():
    """`search`, `results`, `reference` and `check` ask for its arrays, too."""

    class Dataset(BaseDataset):
        name = "seeded"

        def get_data(self):
            return {"seed": self.get_seed(use_repetition=True)}

    assert data_of(Dataset.get_instance()) == data_of(Dataset.get_instance())
    assert "missing" not in data_of(Dataset.get_instance())


OTHERS = """
import numpy as np
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "others"
    parameters = {"own": [False, True]}

    def get_data(self):
        X = np.random.standard_normal((90, 3))
        return {"mine": np.ones(3)} if self.own else {"X_train": X, "y_train": X[:, 0] > 0}
"""


def test_check_of_other_data_each_time_and_of_data_for_a_problem_of_ones_own(tmp_path):
    (tmp_path / "others.py").write_text(OTHERS)
    (_, first), (_, second) = checks_of(tmp_path / "others.py")
    failed = [result for result in first if result.status == "FAIL"]
    assert [result.title for result in failed] == [
        "get_data returns the same each time"
    ]
    results = list(second)
    assert {result.status for result in results} == {"ok", "skipped"}
    assert results[-1].text == "the arrays are for a problem of your own"


def test_a_run_goes_on(faulty, tmp_path):
    """Each fault is a skip with its line, and the good data set's cell runs."""
    benchmark = copy_of_the_benchmark(tmp_path, compiled=False)
    lines, results = run(
        benchmark,
        "faults",
        *("-d", str(faulty), "-o", "*[problem=hyperparameter-selection]"),
        *("-s", "SOBA[runtime=torch,max_iterations=3]"),
    )
    assert set(results["dataset_name"]) == {"faulty[kind=good]"}
    reasons = [line.strip() for line in lines if "Reason:" in line]
    nan = (
        "X_train is NaN or infinite in 1 of 270 values, first in row 3: leave such rows"
    )
    expected = [f"Reason: {line}" for line in (*LINES.values(), nan)]
    assert len(reasons) == len(expected)
    assert all(map(str.startswith, reasons, expected)), reasons
    assert "Traceback" not in "\n".join(lines)


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("quadratic", {"n_samples": -5}, "n_samples=-5 .* a positive integer"),
        ("quadratic", {"condition": -1}, "condition=-1 .* a number ≥ 1 and ≤ 1e"),
        ("quadratic", {"outer_condition": "inf"}, "outer_condition='inf' is not valid"),
        ("quadratic", {"dim_inner": 2.5}, "dim_inner=2.5 is not valid"),
        ("quadratic", {"seed": True}, "seed=True .* an integer ≥ 0"),
        ("quadratic", {"n_samples": 5}, "n_samples=5 is below dim_inner=20"),
        (
            "quadratic",
            {"n_outer_samples": 5},
            "n_outer_samples=5 is below dim_outer=10",
        ),
        ("simulated", {"n_features": 0}, "n_features=0 .* a positive integer"),
        ("simulated", {"n_samples": None}, "n_samples=None is not valid"),
        ("simulated", {"seed": -1}, "seed=-1 .* an integer ≥ 0"),
    ],
)
def test_parameters_of_data_sets(name, parameters, words):
    with pytest.raises(click.UsageError, match=f"^{name}: {words}"):
        dataset(name, **parameters)


def test_numbers_as_yaml_reads_them():
    found = dataset("quadratic", n_samples=1e2, condition="1e1")
    right = dataset("quadratic", n_samples=100, condition=10)
    assert all(same_bits(found[name], array) for name, array in right.items())


def test_check_of_a_data_set(faulty, capsys):
    found = {name: list(results) for name, results in checks_of(faulty)}
    assert list(found) == [
        f"data set faulty[kind={k}]" for k in (*LINES, "nan", "good")
    ]
    for kind, line in LINES.items():
        (result,) = found[f"data set faulty[kind={kind}]"]
        assert (result.status, result.text) == ("FAIL", line)
    gate, *problems = found["data set faulty[kind=good]"]
    assert gate.status == "ok"
    assert "FAIL" not in {result.status for result in problems}
    assert "y_train: 90 dense int64, was 90 dense bool" in gate.text
    assert "labels 0 to 1 are the classes False, True" in gate.text
    statuses = {result.title: result.status for result in problems}
    assert statuses == {
        "hyperparameter-selection": "ok",
        "data-hypercleaning": "ok",
        "data-poisoning": "skipped",
        "deep-hypercleaning": "skipped",
        "dataset-distillation": "skipped",
        "hyper-representation": "skipped",
        "quadratic": "skipped",
        "multi-task-ridge": "skipped",
        "equilibrium": "ok",
        "few-shot": "skipped",
    }
    assert "30 samples of g, 30 of f; 3 variables z, 3 variables x" in problems[0].text
    assert not capsys.readouterr().err, "the findings are all that there is to say"
