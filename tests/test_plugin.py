"""A solver and a problem outside the repository, written from the guides alone."""

import re
import sys

import click
import numpy as np
import pytest
from benchopt.benchmark import Benchmark
from click.testing import CliRunner
from command_line import command, run
from conftest import ROOT
from sklearn.datasets import load_iris

from benchmark_bilevel.__main__ import main
from benchmark_bilevel.verification.plugin import checks_of

BLOCK = re.compile("```python\n(.*?)```", re.DOTALL)
# The README's example: what is shown there is what is tested here.
PLUGIN = BLOCK.search((ROOT / "README.md").read_text())[1]
FLIPPED = ("descend(m, -1.0, jv, fx)", "descend(m, 1.0, jv); descend(m, -1.0, fx)")


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    path = tmp_path_factory.mktemp("elsewhere") / "my_solver.py"
    path.write_text(PLUGIN)
    return path


def findings(path):
    """Every `Result` of the checks of a file, in this process."""
    return [result for _, results in checks_of(path) for result in results]


def assert_passes(path):
    found = findings(path)
    assert found
    assert not [result for result in found if result.status == "FAIL"]
    return found


def test_the_guide_begins_with_the_solver_of_the_readme():
    guide = (ROOT / "docs" / "add-a-solver.md").read_text()
    assert BLOCK.search(guide)[1] == PLUGIN


def test_the_data_set_of_the_guide(tmp_path):
    table = tmp_path / "table.csv"
    X, y = load_iris(return_X_y=True)
    np.savetxt(table, np.column_stack((X, y)), delimiter=",")
    guide = (ROOT / "docs" / "add-a-data-set.md").read_text()
    text = BLOCK.search(guide)[1].replace("/path/to/table.csv", str(table))
    path = tmp_path / "my_data.py"
    path.write_text(text)
    assert_passes(path)


def test_check_passes(plugin):
    tool = (sys.executable, "-m", "benchmark_bilevel", "check", plugin)
    _, lines = command(*tool, folder=plugin.parent)
    assert lines[-1] == "All checks passed."
    # The formula of the oracle calls.
    assert [line for line in lines if line.startswith("  not declared")]


def test_check_finds_the_flipped_sign(tmp_path):
    path = tmp_path / "my_solver.py"
    path.write_text(PLUGIN.replace(*FLIPPED))
    ((_, results),) = checks_of(path)
    first = next(result for result in results if result.status == "FAIL")
    assert "the cross-derivative term J v has the wrong sign" in first.text


@pytest.mark.parametrize("parallel", [(), ("-j", "2")], ids=["sequential", "parallel"])
def test_benchopt_runs_it(benchmark, plugin, parallel):
    solvers = ("-s", f"{plugin}[max_iterations=30]", "-s", "SOBA[max_iterations=30]")
    name = f"plugin{len(parallel)}"
    cells = ("-d", "quadratic", "-r", "2", *solvers, *parallel)
    page = () if parallel else ("--plot", "--no-display")
    _, results = run(benchmark, name, *cells, *page)
    pages = list((benchmark / "outputs").glob("*plugin0.html"))
    assert any("heavy-ball SOBA" in page.read_text() for page in pages) or parallel
    mine = results[results["solver_name"].str.startswith("heavy-ball SOBA")]
    assert mine["idx_rep"].nunique() == 2
    last = mine[mine["objective_iterations"] == 30]["objective_value"]
    assert len(last) == 2 and last.nunique() == 2  # repetitions have their own seeds
    assert last.max() < mine["objective_value"].max()


def test_template_is_ignored_by_benchopt():
    names = Benchmark(ROOT).get_solver_names()
    assert "SOBA" in names and "heavy-ball SOBA" not in names


def test_check_of_the_problem_template():
    assert_passes(ROOT / "benchmark_bilevel" / "problems" / "template_problem.py")


def test_check_of_the_kernel_template(tmp_path):
    """Copied beside a copy of the problem template, and named there."""
    problems = ROOT / "benchmark_bilevel" / "problems"
    kernels = (problems / "template_kernels.py").read_text()
    (tmp_path / "ridge_kernels.py").write_text(kernels)
    problem = (problems / "template_problem.py").read_text()
    name = 'name = "ridge-selection"'
    assert name in problem
    problem = problem.replace(name, f"{name}\n    kernels = ridge_kernels")
    (tmp_path / "my_problem.py").write_text(f"import ridge_kernels\n{problem}")
    found = assert_passes(tmp_path / "my_problem.py")
    (result,) = (result for result in found if "closed forms" in result.title)
    assert result.status == "ok", result


def test_check_finds_a_wrong_kernel(tmp_path, monkeypatch):
    """A problem outside the package whose closed form has a wrong factor."""
    text = (
        ROOT / "benchmark_bilevel" / "problems" / "quadratic" / "kernels.py"
    ).read_text()
    right = "t[k] *= self.weight"
    assert right in text
    (tmp_path / "my_kernels.py").write_text(text.replace(right, f"{right} * 2"))
    path = tmp_path / "my_problem.py"
    path.write_text(
        "import my_kernels\n"
        "from benchmark_bilevel.problems.quadratic.problem import Quadratic\n\n\n"
        "class Mine(Quadratic):\n"
        "    name = 'mine'\n"
        "    kernels = my_kernels\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    ((_, results),) = checks_of(path)
    first = next(result for result in results if result.status == "FAIL")
    assert "H v on block 0 is off" in first.text


def test_the_exit_code_says_that_a_check_failed(tmp_path):
    path = tmp_path / "my_data.py"
    path.write_text(
        "from benchopt import BaseDataset\n\n\n"
        "class Dataset(BaseDataset):\n"
        "    name = 'mine'\n\n"
        "    def get_data(self):\n"
        "        return None\n"
    )
    done = CliRunner().invoke(main, ["check", str(path)])
    assert done.exit_code == 1
    assert "FAIL" in done.output and "returned NoneType" in done.output


def test_check_of_a_plain_benchopt_solver():
    with pytest.raises(click.UsageError, match="L-BFGS-B is a plain benchopt solver"):
        list(checks_of(ROOT / "solvers" / "l_bfgs_b.py"))
