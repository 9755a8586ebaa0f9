"""What of a run is sent to a worker, what is done there, and what is said of an error."""

import pickle

import pytest
from benchopt import BaseDataset
from benchopt.benchmark import Benchmark
from benchopt.utils.terminal_output import TerminalOutput
from conftest import ROOT
from joblib.externals.loky.process_executor import _RemoteTraceback

from benchmark_bilevel.faults import line_of
from benchmark_bilevel.notices import Fault
from benchmark_bilevel.terminal import line_and_cause, prepare_one, tame

# --- the objective --------------------------------------------------------------------


@pytest.fixture
def sent():
    """A data set, and an objective as a worker gets it."""
    suite = Benchmark(ROOT)
    ((klass, _),) = suite.check_dataset_patterns(["quadratic"])
    dataset = klass.get_instance()
    objective = suite.get_benchmark_objective().get_instance(problem="quadratic")
    assert not objective._set_dataset(dataset)[0]
    return dataset, pickle.loads(pickle.dumps(objective))


def test_a_worker_without_the_data_skips_nothing(sent):
    """benchopt would keep the skip, and give it to whoever asks later."""
    dataset, objective = sent
    dataset._data = {"missing": "no such file"}
    with pytest.raises(Fault, match=r"in this worker, .*no such file"):
        objective._set_dataset(dataset)


def test_a_worker_with_other_code_runs_nothing(sent):
    dataset, objective = sent
    objective._state["fingerprint"] = "0123456789abcdef"
    with pytest.raises(Fault, match="start the worker again"):
        objective._set_dataset(dataset)


def test_all_workers_know_one_reference(sent):
    dataset, objective = sent
    objective._state["reference"] = -1.0
    objective._set_dataset(dataset)
    row = objective.evaluator.metrics(*objective.bilevel_problem.initial_point(), 0)
    assert row["suboptimality"] == row["value"] + 1.0


# --- the terminal ---------------------------------------------------------------------


class Counting:
    """A cell's name; that a cell has ended is counted while it is pickled."""

    def __init__(self, terminal):
        self.terminal = terminal

    def __reduce__(self):
        self.terminal.rep[len(self.terminal.rep)] += 1
        self.terminal.status[len(self.terminal.status)] += "done"
        return str, ()


@pytest.mark.parametrize("counted", ["rep", "status"])
def test_cells_are_counted_while_others_are_sent_to_the_workers(counted):
    tame()
    terminal = TerminalOutput(n_repetitions=1, show_progress=True)
    getattr(terminal, counted)[Counting(terminal)] = 1
    getattr(terminal, counted)["SOBA"] = 2
    sent = pickle.loads(pickle.dumps(terminal))
    assert getattr(sent, counted)["SOBA"] == 2
    assert getattr(sent, counted)["SABA"] in (0, ""), "of a cell that none has counted"


def test_what_keeps_a_cell_from_the_workers_is_said():
    error = RuntimeError("A task has failed to un-serialize.")
    error.__cause__ = _RemoteTraceback(
        "Traceback:\n  File\nAssertionError: it changed\n"
    )
    line = line_and_cause(error)
    assert "A task has failed to un-serialize." in line
    assert line.endswith("; AssertionError: it changed")
    other = ValueError("other")
    other.__cause__ = _RemoteTraceback("Traceback:\n  File\nValueError: other")
    assert line_and_cause(other) == line_of(other), "what a worker says is said once"


# --- benchopt prepare -----------------------------------------------------------------


class Dataset(BaseDataset):
    name = "mine"
    outcomes = []

    def prepare(self):
        outcome = self.outcomes.pop(0)
        if outcome is not None:
            raise outcome

    def get_data(self):
        return {}


def test_prepare_asks_each_time(capsys):
    error = OSError("no network")
    Dataset.outcomes = [None, error, None]
    suite, dataset = Benchmark(ROOT), Dataset.get_instance()
    found = [prepare_one(suite, dataset) for _ in range(3)]
    assert found == [("mine", None), ("mine", error), ("mine", None)]
    said = capsys.readouterr().out
    assert said.count("done\n") == 2 and said.count("FAILED\n") == 1


def test_ctrl_c_ends_prepare():
    Dataset.outcomes = [KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        prepare_one(Benchmark(ROOT), Dataset.get_instance())
