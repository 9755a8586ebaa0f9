"""What benchopt prints and writes as names, and when it refuses parameters."""

import os
import pty
import re
import subprocess
import sys

import click
import pytest
import yaml
from benchopt.benchmark import Benchmark, _list_parametrized_classes
from command_line import benchopt
from conftest import ROOT, load_solver

from benchmark_bilevel.solver import BilevelSolver

BOTH = "SOBA[step_size=2,max_iterations=10000]"  # in the order of `parameters`


@pytest.mark.parametrize(
    "solver, parameters, name",
    [
        ("soba", {}, "SOBA"),
        ("soba", {"step_size": 0.1, "max_iterations": None}, "SOBA"),
        ("soba", {"max_iterations": 1e4, "step_size": 2}, BOTH),
        ("soba", {"sampling": "with-replacement"}, "SOBA[sampling=with-replacement]"),
        ("soba", {"step_exponent": 0.0}, "SOBA[step_exponent=0]"),
        ("soba", {"outer_ratio": 1e-5}, "SOBA[outer_ratio=1e-05]"),
        ("bsgm", {"sampling": "reshuffled"}, "BSGM[sampling=reshuffled]"),
        ("saba", {"full_memory": False}, "SABA[full_memory=False]"),
    ],
)
def test_name_has_what_is_not_by_default(solver, parameters, name):
    instance = load_solver(solver).get_instance(**parameters)
    assert str(instance) == name


@pytest.mark.parametrize(
    "path",
    [*(ROOT / "config").glob("*.yml"), *(ROOT / "config").glob("reproductions/*.yml")],
    ids=lambda path: path.stem,
)
def test_names_select_what_they_name(path):
    """Those of all published runs, copied from a page or a terminal to the command."""
    config = yaml.safe_load(path.read_text())
    suite = Benchmark(ROOT)
    for key, select in (
        ("solver", suite.check_solver_patterns),
        ("dataset", suite.check_dataset_patterns),
        ("objective", suite.check_objective_filters),
    ):
        for instance, _ in _list_parametrized_classes(*select(config[key])):
            ((copy, _),) = _list_parametrized_classes(*select([str(instance)]))
            assert copy._parameters == instance._parameters
            assert str(copy) == str(instance)


def test_what_has_several_values_by_default_is_always_in_the_name():
    """Or the name would select all of them."""

    class Sweep(BilevelSolver):
        name = "sweep"
        parameters = {"momentum": [0.5, 0.9], "first, second": [(1, 2)]}

    assert str(Sweep.get_instance()) == "sweep[momentum=0.5]"
    assert str(Sweep.get_instance(first=1, second=3)) == "sweep[momentum=0.5,second=3]"
    names = [str(o) for o, _ in _list_parametrized_classes(*_all_objectives())]
    assert "Bilevel[problem=quadratic]" in names


def _all_objectives():
    return Benchmark(ROOT).check_objective_filters([])


def on_a_terminal(command, **options):
    """What a command prints there; \\r stays \\r."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdout=theirs, stderr=theirs, **options):
        os.close(theirs)
        output = b""
        try:
            while part := os.read(ours, 65536):
                output += part
        except OSError:  # how a terminal ends
            pass
    os.close(ours)
    return output.decode().replace("\r\n", "\n")


def test_a_log_has_no_line_a_point(benchmark):
    _, lines = benchopt(benchmark, "-d", "quadratic", "-s", "SOBA[max_iterations=20]")
    assert len([line for line in lines if "SOBA" in line]) == 2
    assert any("compiling" in line for line in lines)
    assert not any("%" in line for line in lines)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_line_a_solver_on_a_terminal_of_80_columns(benchmark, jobs):
    options = "step_size=0.03,outer_ratio=0.03,linear_step=0.1,max_iterations=15"
    command = [
        *(sys.executable, "-m", "benchopt", "run", ".", "-d", "quadratic", "--no-plot"),
        *("-s", "SOBA[max_iterations=20]", "-s", f"SOBA[{options}]", "-r", "2"),
        *("-o", "*[problem=quadratic]", "-j", jobs, "--no-cache"),
    ]
    environment = {**os.environ, "COLUMNS": "80"}
    output = on_a_terminal(command, env=environment, cwd=benchmark)
    updates = re.sub(r"\x1b\[[0-9;]*m", "", output).split("\r")[:-1]
    updates = [update.splitlines()[-1] for update in updates]
    assert len(updates) >= 2 * 10
    assert {len(update) for update in updates} == {80}
    assert all("--SOBA[" in update for update in updates)
    assert any("…:" in update for update in updates)  # cut to fit


# --- refusals -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind, selection, words",
    [
        ("solver", ["SOBA", {"SABA": {"step_size": [0.1, 0]}}], "SABA: step_size=0 is"),
        ("solver", ["SOBA", "BSGM[decrease=-1]"], "BSGM: decrease=-1 is not valid"),
        ("solver", ["VRBO[large_fraction=7]"], "expected a number > 0 and ≤ 1"),
        ("solver", ["MRBO[inner_momentum=nan]"], "expected a number ≥ 0 and ≤ 1"),
        (
            "solver",
            ["stocBiO[convexity=2]"],
            "linear_step · convexity has to be below 1",
        ),
        (
            "solver",
            ["SOBA[max_iterations=1e400]"],
            "expected a positive integer or None",
        ),
        ("solver", ["SOBA[max_oracle_calls=1e30]"], "expected an integer below 2**63"),
        ("solver", [{"SOBA": {"batch_size": True}}], "batch_size=True is not valid"),
        (
            "solver",
            [{"SOBA": {"device": "cuda", "runtime": "numba"}}],
            "needs runtime=",
        ),
        ("solver", ["SABA[full_memory=1]"], "expected True or False"),
        ("solver", ["AmIGO[n_inner=2.5]"], "expected a positive integer"),
        (
            "objective",
            ["*[problem=[quadratic,quadratics]]"],
            "'quadratics' is not known",
        ),
        ("objective", ["*[split_seed=-1]"], "split_seed=-1 is not valid"),
        ("objective", ["*[problem=data-hypercleaning,corruption=2]"], "corruption=2"),
    ],
)
def test_all_that_is_selected_is_checked_when_it_is(kind, selection, words):
    """benchopt makes the last instance when the runs of the others are over."""
    suite = Benchmark(ROOT)
    check = {
        "solver": suite.check_solver_patterns,
        "objective": suite.check_objective_filters,
    }[kind]
    with pytest.raises(click.UsageError) as error:
        check(selection)
    assert words in error.value.message and "\n" not in error.value.message


def test_numbers_from_yaml_and_the_command_line():
    solver = load_solver("soba").get_instance(
        step_size="1e-2", max_iterations=1e4, max_oracle_calls="1e6", step_exponent=1
    )
    values = (solver.step_size, solver.max_iterations, solver.max_oracle_calls)
    assert values == (0.01, 10_000, 1_000_000)
    assert [type(value) for value in values] == [float, int, int]
    assert type(solver.step_exponent) is float
    assert solver._parameters["step_size"] == 0.01  # the column of the result file


def test_ranges_and_parameters_of_the_bases_hold():
    class Base(BilevelSolver):
        name = "base"
        parameters = {"momentum": [0.5], "n_steps": [3], "shift": [0], "flag": [True]}
        ranges = {"momentum": load_solver("mrbo").ranges["inner_momentum"]}

    class Derived(Base):
        parameters = {"extra": [None], "step_size": [1]}

    solver = Derived.get_instance()
    assert (solver.momentum, solver.n_steps, solver.extra) == (0.5, 3, None)
    assert type(solver.step_size) is float
    for name, value in (
        *(("momentum", 2), ("n_steps", 0), ("shift", 0.5), ("flag", 1), ("extra", "a")),
        *(("step_size", -1), ("n_steps", True)),
    ):
        with pytest.raises(click.UsageError, match=f"base: {name}="):
            Derived.get_instance(**{name: value})


def test_defaults_are_in_their_ranges():
    with pytest.raises(click.UsageError, match="step_size=-1 is not valid"):
        type("Solver", (BilevelSolver,), {"parameters": {"step_size": [-1]}})


def test_a_wrong_value_late_in_a_configuration_ends_it_before_it_starts(
    benchmark,
):
    config = {
        "objective": ["Bilevel[problem=quadratic]"],
        "dataset": ["quadratic"],
        "solver": [
            {"SOBA": {"step_size": 0.1, "max_iterations": 5}},
            {"SABA": {"step_size": ["1e-1", "small"], "max_iterations": 5}},
        ],
    }
    path = benchmark / "late.yml"
    path.write_text(yaml.safe_dump(config))
    code, lines = benchopt(benchmark, "--config", str(path), check=False)
    assert code == 2
    assert lines[-1].startswith("Error: SABA: step_size='small' is not valid; expected")
    assert not [line for line in lines if "SOBA" in line or "Traceback" in line]
