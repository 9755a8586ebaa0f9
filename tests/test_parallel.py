"""Every backend gives what a sequential run gives, and no worker outlives its run."""

import importlib.util
import re
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace

import conftest
import pandas as pd
import psutil
import pytest
import yaml
from benchopt.parallel_backends import DISTRIBUTED_BACKENDS
from command_line import HANGING, command
from conftest import ROOT

PARALLEL = ROOT / "config" / "parallel"
# A second or two a cell, so that there is a middle of the run, but no end by the clock;
# torch compiles nothing.
CELLS = (
    *("-d", "quadratic", "-r", "2", "--no-plot", "--timeout", HANGING),
    *("-s", f"SOBA[max_iterations=[1000,1001],max_seconds={HANGING},runtime=torch]"),
)
BENCHOPT = "from benchopt.cli import benchopt; benchopt()"
# Without SLURM, submitit runs the jobs here, all at once, and ends each after two minutes.
PATIENT_BENCHOPT = f"""
from submitit.local import local
start = local.start_controller
local.start_controller = lambda **options: start(**{{**options, "timeout_min": 60}})
{BENCHOPT}
"""
# It leaves the numbers of the processes that have asked for its data.
DATASET = """
import os
from pathlib import Path

from benchopt import BaseDataset

from benchmark_bilevel.problems.quadratic.problem import random_quadratic


class Dataset(BaseDataset):
    name = "signs"

    def get_data(self):
        Path(__file__).with_name(f"{os.getpid()}.pid").touch()
        return random_quadratic()
"""


def needs(module):
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"needs {module}: pip install '.[parallel]'")


def until(condition, process):
    """Wait for a condition while a process runs."""
    while not condition():
        assert process.poll() is None, "the process ended before"
        time.sleep(0.05)


def arguments(folder, name, *options, program=BENCHOPT):
    """The command of a run of `CELLS` with the output called `name`."""
    run = ("run", folder, *CELLS, "--output", name, *options)
    return [sys.executable, "-c", program, *map(str, run)]


def metrics(folder, name):
    """The result file of a run without its clocks, in a fixed order."""
    results = pd.read_parquet(folder / "outputs" / f"{name}.parquet")
    keys = ["dataset_name", "objective_name", "solver_name", "idx_rep", "stop_val"]
    columns = [column for column in results if column.startswith("objective_")]
    results = results[list(dict.fromkeys(keys + columns))]
    return results.sort_values(keys).reset_index(drop=True)


@pytest.fixture(scope="module")
def sequential(benchmark):
    command(*arguments(benchmark, "sequential", "--no-cache"), folder=benchmark)
    results = metrics(benchmark, "sequential")
    assert len(results) > 80
    return results


def test_dask_gives_the_metrics_of_a_sequential_run(benchmark, sequential):
    """With two worker processes; those of loky are in test_benchopt.py."""
    needs("distributed")
    options = ("--no-cache", "--parallel-config", PARALLEL / "dask.yml")
    command(*arguments(benchmark, "dask", *options), folder=benchmark)
    pd.testing.assert_frame_equal(metrics(benchmark, "dask"), sequential)


def test_slurm_gives_the_metrics_of_a_sequential_run(benchmark, sequential):
    """submitit on this machine, where SLURM is not; one repetition a cell."""
    needs("submitit")
    if shutil.which("sbatch"):
        pytest.skip("would submit jobs to this machine's SLURM")
    options = ("--no-cache", "--parallel-config", PARALLEL / "slurm.yml", "-r", "1")
    program = PATIENT_BENCHOPT
    command(*arguments(benchmark, "slurm", *options, program=program), folder=benchmark)
    first = sequential[sequential["idx_rep"] == 0].reset_index(drop=True)
    pd.testing.assert_frame_equal(metrics(benchmark, "slurm"), first)


@contextmanager
def process(*arguments):
    started = subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield started
    finally:
        started.kill()
        started.wait()


def test_dask_goes_on_when_a_worker_is_killed(benchmark, sequential, tmp_path):
    """A scheduler and two workers, as on two machines; one is lost half way."""
    needs("distributed")
    from distributed import Client

    file = tmp_path / "scheduler.json"
    common = ("--scheduler-file", file, "--no-dashboard")
    worker = ("-m", "distributed.cli.dask_worker", "--nthreads", 1, "--no-nanny")
    with ExitStack() as stack:
        scheduler = ("-m", "distributed.cli.dask_scheduler", "--port", 0)
        stack.enter_context(process(*scheduler, *common))
        workers = [
            stack.enter_context(
                process(*worker, *common, "--local-directory", tmp_path / str(k))
            )
            for k in range(2)
        ]
        until(file.exists, workers[0])
        with Client(scheduler_file=str(file), timeout=HANGING) as client:
            client.wait_for_workers(2, timeout=HANGING)
            address = client.scheduler.address
        config = yaml.safe_load((PARALLEL / "dask_scheduler.yml").read_text())
        (tmp_path / "dask.yml").write_text(
            yaml.dump({**config, "dask_address": address})
        )
        options = ("--parallel-config", tmp_path / "dask.yml")
        with process(*arguments(benchmark, "killed", *options)[1:]) as run:
            done = benchmark / "__cache__" / "benchopt" / "runner"
            until(lambda: any(done.rglob("output.pkl")), run)
            workers[0].kill()
            assert run.poll() is None, "the run was over before"
            assert run.wait(HANGING) == 0
    assert len(list(done.rglob("output.pkl"))) == 4
    pd.testing.assert_frame_equal(metrics(benchmark, "killed"), sequential)


def test_workers_end_with_a_killed_run(benchmark, tmp_path):
    (tmp_path / "signs.py").write_text(DATASET)
    solver = "SOBA[max_seconds=3000,runtime=torch]"
    cells = ("-d", tmp_path / "signs.py", "-s", solver, "-r", 2, "--timeout", HANGING)
    run = ("run", benchmark, "-j", 2, *cells, "--no-plot", "--no-cache")
    with process("-c", BENCHOPT, *run) as front:

        def workers():
            return {int(file.stem) for file in tmp_path.glob("*.pid")} - {front.pid}

        until(lambda: len(workers()) == 2, front)
        front.kill()
        front.wait()
        left = wait_for_ends(workers(), seconds=600)  # their cells take 3000
    for pid in left:
        psutil.Process(pid).kill()
    assert not left, "workers that nobody waits for"


def wait_for_ends(pids, seconds):
    """Those of the processes that run on after so many seconds."""
    for _ in range(10 * seconds):
        pids = set(filter(is_running, pids))
        if not pids:
            break
        time.sleep(0.1)
    return pids


def is_running(pid):
    """A process that ended may wait for its parent to notice."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize(
    "reason, required, outcome",
    [
        ("Skipped: needs dask: pip install", "1", "failed"),
        ("Skipped: needs dask: pip install", "", "skipped"),
        ("Skipped: no data", "1", "skipped"),
    ],
)
def test_what_is_needed_may_not_be_missing_everywhere(
    monkeypatch, reason, required, outcome
):
    """Where the tests have to be complete, as in .ci/run, such a skip is a failure."""
    monkeypatch.setenv("BENCHMARK_BILEVEL_REQUIRE", required)
    report = SimpleNamespace(
        skipped=True, outcome="skipped", longrepr=("file", 1, reason)
    )
    hook = conftest.pytest_runtest_makereport(None, None)
    next(hook)
    with pytest.raises(StopIteration) as end:
        hook.send(report)
    assert end.value.value.outcome == outcome


THREADS = ("inner_max_num_threads", "dask_threads_per_worker", "slurm_cpus_per_task")


@pytest.mark.parametrize(
    "path", sorted(PARALLEL.glob("*.yml")), ids=lambda path: path.stem
)
def test_every_file_says_how_to_use_it(path):
    config = yaml.safe_load(path.read_text())
    assert config["backend"] in DISTRIBUTED_BACKENDS
    threads = {key: value for key, value in config.items() if key in THREADS}
    # Of a scheduler that runs already the file knows nothing.
    assert list(threads.values()) == [1] or "dask_address" in config
    own = path.relative_to(ROOT).as_posix()
    command = f"benchopt run . --config config/quick.yml --parallel-config {own}"
    assert re.search(rf"^#   {re.escape(command)}$", path.read_text(), re.MULTILINE)
