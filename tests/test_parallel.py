"""Every backend gives what a sequential run gives."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys

import pandas as pd
import pytest
import yaml
from benchopt.parallel_backends import DISTRIBUTED_BACKENDS
from conftest import ROOT, copy_of_the_benchmark

PARALLEL = ROOT / "config" / "parallel"
CELLS = (
    *("-d", "breast_cancer", "-d", "quadratic", "-r", "2", "--no-plot", "--no-cache"),
    *("-s", "SOBA[max_iterations=30]", "-s", "SABA[max_iterations=30]"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return copy_of_the_benchmark(tmp_path_factory.mktemp("run"))


def metrics(folder, name, *arguments):
    """The result file of a run without its clocks, in a fixed order."""
    command = [sys.executable, "-m", "benchopt", "run", str(folder), *CELLS]
    result = subprocess.run(
        [*command, "--output", name, *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "BENCHOPT_RAISE_ON_ERROR": "1"},
        cwd=folder,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    results = pd.read_parquet(folder / "outputs" / f"{name}.parquet")
    keys = ["dataset_name", "solver_name", "idx_rep", "stop_val"]
    columns = keys + [column for column in results if column.startswith("objective_")]
    return results[columns].sort_values(keys).reset_index(drop=True)


@pytest.fixture(scope="module")
def sequential(folder):
    return metrics(folder, "sequential")


@pytest.mark.parametrize(
    "name, module", [("loky", "joblib"), ("dask", "distributed"), ("slurm", "submitit")]
)
def test_backends_give_the_metrics_of_a_sequential_run(
    folder, sequential, name, module
):
    """dask with two worker processes; submitit on this machine, where SLURM is not."""
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"needs {module}: pip install '.[parallel]'")
    if name == "slurm" and shutil.which("sbatch"):
        pytest.skip("would submit jobs to this machine's SLURM")
    config = PARALLEL / f"{name}.yml"
    parallel = metrics(folder, name, "--parallel-config", str(config))
    assert len(sequential) > 50
    pd.testing.assert_frame_equal(parallel, sequential)


@pytest.mark.parametrize(
    "path", sorted(PARALLEL.glob("*.yml")), ids=lambda path: path.stem
)
def test_every_file_says_how_to_use_it(path):
    config = yaml.safe_load(path.read_text())
    assert config["backend"] in DISTRIBUTED_BACKENDS
    own = path.relative_to(ROOT).as_posix()
    command = f"benchopt run . --config config/quick.yml --parallel-config {own}"
    assert re.search(rf"^#   {re.escape(command)}$", path.read_text(), re.MULTILINE)
