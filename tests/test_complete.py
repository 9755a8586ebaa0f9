"""Results are published only if every cell that was asked for has one."""

import shutil
import subprocess

import click
import pandas as pd
import pytest
import synthetic_results as synthetic
from benchopt.benchmark import Benchmark
from click.testing import CliRunner
from conftest import ROOT, copy_of_the_benchmark
from pyarrow import parquet

from benchmark_bilevel.__main__ import main
from benchmark_bilevel.provenance import changed_files
from benchmark_bilevel.report import complete
from benchmark_bilevel.report.complete import cells, publish, read_config, run
from benchmark_bilevel.report.origins import Code
from benchmark_bilevel.search.store import alone

BROKEN = """
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    name = "broken"
    parameters = {"tries": [1]}

    @staticmethod
    def init(inner, outer, z, x):
        return z, x

    def pre_run_hook(self, callback):
        raise RuntimeError("broken on purpose")

    @staticmethod
    def step(inner, outer, state, steps, t):
        pass
"""
TINY = """
objective: ["Bilevel[problem=quadratic]"]
dataset: ["quadratic[n_samples=64,n_outer_samples=64]"]
solver: ["SOBA[max_iterations=3,runtime=torch]"{}]
n-repetitions: 2
"""


def git(folder, *arguments):
    identity = ("-c", "user.name=tests", "-c", "user.email=tests@localhost")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)


@pytest.fixture
def checkout(tmp_path):
    """The benchmark in a repository of its own, everything committed."""
    folder = copy_of_the_benchmark(tmp_path, compiled=False)
    shutil.copy(ROOT / ".gitignore", folder)
    (folder / "config" / "tiny.yml").write_text(TINY.format(""))
    (folder / "results").mkdir()
    (folder / "results" / "tiny.parquet").write_bytes(b"older")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "all")
    return folder


def invoke(folder, command, config="tiny"):
    config = folder / "config" / f"{config}.yml"
    arguments = [command, str(config), "--benchmark", str(folder)]
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


def test_cells_that_are_asked_for(tmp_path):
    """Only problems that fit; data that are missing are no reason."""
    benchmark = Benchmark(copy_of_the_benchmark(tmp_path, compiled=False))
    gone = tmp_path / "gone.py"
    gone.write_text(
        "from benchopt import BaseDataset\n"
        "class Dataset(BaseDataset):\n"
        "    name = 'gone'\n"
        "    def get_data(self):\n"
        "        return {'missing': 'nobody has them'}\n"
    )
    config = {
        "objective": "Bilevel[problem=[hyperparameter-selection,quadratic]]",
        "dataset": ["breast_cancer", {"quadratic": {"seed": [0, 1]}}, str(gone)],
        "solver": [{"SOBA": {"step_size": [0.1, 0.2]}}, "BSGM"],
        "n-repetitions": 3,
    }
    asked = list(cells(benchmark, config))
    table = pd.DataFrame(asked, columns=["data", "objective", "solver", "repetition"])
    assert not table.duplicated().any()
    counts = table["data"].str.split("[").str[0].value_counts()
    assert counts.to_dict() == {"breast_cancer": 9, "quadratic": 18, "gone": 18}
    assert table["solver"].nunique() == 3
    assert sorted(table["repetition"].unique()) == [0, 1, 2]


def test_published_files_are_smaller_and_have_the_same_content(tmp_path):
    path = synthetic.write(synthetic.cells(), tmp_path / "a.parquet")
    published = publish(path, tmp_path / "results")
    content, expected = map(parquet.read_table, (published, path))
    assert content.equals(expected, check_metadata=True)
    assert published.stat().st_size < 0.9 * path.stat().st_size


def test_incomplete_results_leave_the_older_file(checkout):
    (checkout / "solvers" / "broken.py").write_text(BROKEN)
    config = checkout / "config" / "tiny.yml"
    config.write_text(TINY.format(", broken"))
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "-m", "a broken solver")
    published = checkout / "results" / "tiny.parquet"
    result = invoke(checkout, "results")
    assert result.exit_code == 1
    first, *failures = result.output.splitlines()
    assert first == f"Error: {published} stays as it is, no result of"
    assert len(failures) == 1
    assert failures[0].startswith("  broken") and "quadratic" in failures[0]
    assert failures[0].endswith("repetitions 0, 1")
    assert published.read_bytes() == b"older"
    result = invoke(checkout, "run")
    assert result.exit_code == 1
    assert result.output.splitlines()[0] == "Error: no result of"

    older = (checkout / "outputs" / "tiny.parquet").read_bytes()
    config.write_text(TINY.format("").replace("SOBA[", "broken #["))
    assert invoke(checkout, "run").exit_code == 1
    assert (checkout / "outputs" / "tiny.parquet").read_bytes() == older

    config.write_text(TINY.format(""))
    git(checkout, "commit", "--quiet", "-am", "without it")
    result = invoke(checkout, "results")
    assert result.exit_code == 0, result.output
    assert result.output.strip() == str(published)
    assert set(pd.read_parquet(published)["idx_rep"]) == {0, 1}
    assert len(list(published.parent.iterdir())) == 1


def test_published_results_are_made_by_committed_code(checkout):
    assert changed_files(checkout) == []
    (checkout / "results" / "other.parquet").touch()
    assert changed_files(checkout) == [], "results say themselves what made them"
    with (checkout / "solvers" / "soba.py").open("a") as file:
        file.write("\n")
    (checkout / "solvers" / "mine.py").touch()
    result = invoke(checkout, "results")
    assert result.exit_code == 1
    assert result.output == (
        "Error: results are made from a commit: commit or remove solvers/soba.py, "
        "solvers/mine.py\n"
    )
    shutil.rmtree(checkout / ".git")
    result = invoke(checkout, "results")
    assert result.exit_code == 1
    assert "this is no checkout" in result.output
    assert not (checkout / "outputs").exists(), "nothing ran"


def test_a_wrong_configuration_is_named_once(checkout, capfd):
    (checkout / "config" / "tiny.yml").write_text(TINY.format(", 'SOBA[batch_size=0]'"))
    result = invoke(checkout, "run")
    assert result.exit_code == 1
    assert (
        result.output == "Error: no result of\n  benchopt run ended with exit code 2\n"
    )
    assert "batch_size=0" in capfd.readouterr().err


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "cannot be read: it says nothing by name"),
        ("- a", "cannot be read: it says nothing by name"),
        ("just text", "cannot be read: it says nothing by name"),
        ("foo: [", "cannot be read: while parsing a flow node"),
        (b"\0\xff\xfe", "cannot be read: 'utf-8' codec can't decode byte"),
        ("!!python/object/apply:os.getcwd []", "cannot be read: could not determine"),
        ("a: &a [*a]", "a is no option of `benchopt run`."),
        ("n-repetitionz: 1", "option of `benchopt run`; the nearest name is 'n-repet"),
        (
            "n-repetitions: zero",
            "n-repetitions='zero' is not valid; expected a positive",
        ),
        ("n-repetitions: 0", "n-repetitions=0 is not valid; expected a positive"),
        ("solver: [3]", "solver: 3 is no name, with its parameters or without"),
    ],
)
def test_what_is_no_configuration_is_a_line(tmp_path, text, words):
    config = tmp_path / "wrong.yml"
    config.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(click.UsageError) as error:
        run(Benchmark(ROOT), config)
    message = error.value.message
    assert message.startswith(str(config)) and words in message
    assert "\n" not in message


def test_options_are_written_with_hyphens_or_without(tmp_path):
    config = tmp_path / "mine.yml"
    config.write_text("n_repetitions: 3\nn-jobs: 2")
    assert read_config(config) == {"n-repetitions": 3, "n-jobs": 2}


def test_a_configuration_of_which_nothing_fits(checkout, monkeypatch):
    """Nothing ran; and its name is its own, dots and all."""
    ended = subprocess.CompletedProcess([], 1)
    monkeypatch.setattr(complete, "run_benchopt", lambda arguments: ended)
    config = checkout / "config" / "tiny.v2.yml"
    config.write_text(TINY.format("").replace("problem=quadratic", "problem=few-shot"))
    file, failures = run(Benchmark(checkout), config)
    assert file.name == "tiny.v2.parquet"
    assert failures == [f"{config}: no data set fits a problem and a solver of it"]


def test_runs_of_uncommitted_files_are_not_published(checkout, monkeypatch):
    """benchopt's cache has some of before the commit."""
    monkeypatch.setattr(complete, "PACKAGE", checkout / "benchmark_bilevel")
    dirty = Code("a" * 40, True, "0123456789abcdef")
    monkeypatch.setattr(complete, "codes_of", lambda runs: [(dirty, 2)])
    result = invoke(checkout, "results")
    assert (
        result.exit_code == 1 and "2 of the runs in benchopt's cache" in result.output
    )
    assert (checkout / "results" / "tiny.parquet").read_bytes() == b"older"


@pytest.mark.parametrize("code", [-9, 2])
def test_a_run_that_was_killed_is_said_to_be(checkout, monkeypatch, code):
    """Not that none of its cells has a result, many of which are in the cache."""
    ended = subprocess.CompletedProcess([], code)
    monkeypatch.setattr(complete, "run_benchopt", lambda arguments: ended)
    result = invoke(checkout, "run")
    assert result.exit_code == 1
    assert result.output.splitlines()[1:] == [
        f"  benchopt run ended with exit code {code}"
    ]


def test_two_runs_of_a_configuration_do_not_meet(checkout):
    file = checkout / "outputs" / "tiny.parquet"
    with alone(file):
        result = invoke(checkout, "run")
    assert (
        result.exit_code == 1 and f"{file}: another process is at it" in result.output
    )


def test_a_configuration_elsewhere_is_not_published(checkout):
    """One that belongs to reproductions is, beside them."""
    for name in ("other", "reproductions"):
        folder = checkout / "config" / name
        folder.mkdir(exist_ok=True)
        shutil.copy(checkout / "config" / "tiny.yml", folder / f"{name}.yml")
    git(checkout, "add", ".")
    git(checkout, "commit", "--quiet", "-m", "more")
    result = invoke(checkout, "results", "other/other")
    assert result.exit_code == 1 and "is not published: results are" in result.output
    result = invoke(checkout, "results", "reproductions/reproductions")
    published = checkout / "results" / "reproductions" / "reproductions.parquet"
    assert result.exit_code == 0 and result.output.strip() == str(published)
    assert len(pd.read_parquet(published))


def test_reproductions_have_a_folder_of_their_own(checkout):
    published = checkout / "results" / "reproductions" / "tiny.parquet"
    published.parent.mkdir()
    published.write_bytes(b"older")
    (checkout / "results" / "tiny.parquet").unlink()
    result = invoke(checkout, "results")
    assert result.exit_code == 0 and result.output.strip() == str(published)
    assert len(pd.read_parquet(published)) and not list(
        published.parents[1].glob("*.parquet")
    )
