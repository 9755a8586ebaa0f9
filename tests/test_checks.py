"""What `check` makes of its findings, and of plugins that crash it or never return."""

from functools import cached_property

import click
import numpy as np
import pytest
import torch
from conftest import load_plugin

from benchmark_bilevel.methods import Calls
from benchmark_bilevel.oracles import COUNTS
from benchmark_bilevel.problems.base import Problem
from benchmark_bilevel.verification import Failed, Unusable, run_checks
from benchmark_bilevel.verification.cases import Subject
from benchmark_bilevel.verification.plugin import checks_of
from benchmark_bilevel.verification.problems import (
    batches,
    inner_problem,
    losses,
    metrics,
    repeatable,
)
from benchmark_bilevel.verification.process import results_of
from benchmark_bilevel.verification.text import Text
from benchmark_bilevel.verification.tuning import parameters_matter


def test_calls_have_the_kinds_that_are_counted():
    assert Calls._fields == COUNTS
    assert Calls(loss_values=3) == (0, 0, 0, 0, 0, 3)


def breaks(subject):
    """Breaks."""
    return subject.nowhere


def breaks_again(subject):
    """Breaks again."""
    return breaks(subject)


def fails(subject):
    """Fails."""
    raise Failed("twice two is five")


def exits(subject):
    """Ends the program."""
    raise SystemExit(3)


def is_unusable(subject):
    """Leaves nothing to check."""
    raise Unusable("no step")


def refuses(subject):
    """Refuses a parameter."""
    raise click.UsageError("n_steps=-1")


def test_an_error_is_told_once():
    checks = (breaks, fails, breaks_again, exits)
    texts = [result.text for result in run_checks(checks, object())]
    assert "has no attribute 'nowhere'" in texts[0]
    assert texts[1:3] == ["twice two is five", "as above"]
    assert "sys.exit" in texts[3]


@pytest.mark.parametrize("check", [is_unusable, refuses])
def test_nothing_follows_what_is_unusable(check):
    (result,) = run_checks((check, fails), object())
    assert result.status == "FAIL"
    assert result.text.endswith(("no step", "n_steps=-1"))


SOLVER = '''\
from benchmark_bilevel.methods import descend, zeros_like
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    """SOBA, and in one iteration something else."""

    name = "S"

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, zeros_like(z)

    @staticmethod
    def step(inner, outer, state, steps, t):
        z, x, v = state
        dz, hv, jv = inner.grad_hvp_cross(z, x, v, inner.draw())
        fz, fx = outer.grad(z, x, outer.draw())
        descend(z, steps.inner, dz)
        descend(v, steps.linear, hv, fz)
        outer.descend(x, steps.outer, jv, fx)
        if t == {when}:
            {fault}


'''


DATASET = """\
from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "mine"

    def get_data(self):
        return None
"""


def first_failure(folder, when, fault, **settings):
    """Of the checks of a solver that does `fault` in iteration `when`."""
    path = folder / "faulty.py"
    path.write_text("import os\n" + SOLVER.format(when=when, fault=fault))
    results = results_of(str(path), **settings)
    return next(result.text for _, result in results if result.status == "FAIL")


def test_out_of_bounds(tmp_path):
    """Compiled code would write into foreign memory."""
    text = first_failure(tmp_path, 300, "z[z.shape[0]] += 1.0")
    assert "reads or writes beyond the end of an array" in text


def test_an_iteration_that_never_ends(tmp_path):
    fault = "for k in range(10**13): z[0] += inner.uniform(2)"
    text = first_failure(tmp_path, 3, fault, seconds=5)
    assert text == "it takes more than 5 s of CPU: does an iteration never end?"


def test_a_check_that_ends_the_process(tmp_path):
    text = first_failure(tmp_path, 3, "os.abort()")
    assert text == "it ends the process with SIGABRT: does step leave its arrays?"


@pytest.mark.parametrize(
    ("fault", "title", "text"),
    [
        ("os.abort()", "get_data returns arrays", "it ends the process with SIGABRT"),
        (None, "The file can be imported", "it takes more than 2 s of CPU"),
    ],
)
def test_a_file_that_ends_the_process_or_never_returns(tmp_path, fault, title, text):
    path = tmp_path / "mine.py"
    if fault is None:
        path.write_text("while True: pass")
    else:
        path.write_text("import os\n" + DATASET.replace("return None", fault))
    [(name, result)] = results_of(str(path), seconds=2)
    assert (name, result.title, result.status) == ("mine.py", title, "FAIL")
    assert result.text == text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("import nowhere\n", "No module named 'nowhere'"),
        ("def step(:\n", "invalid syntax"),
        ("raise SystemExit\n", "sys.exit"),
        (SOLVER.replace('    name = "S"\n', ""), "gives its solver no name"),
        (
            SOLVER.replace("Solver(", "Mine("),
            "its class, Solver; this one is called Mine",
        ),
        (DATASET.replace("Dataset(", "Mine("), "Dataset; this one is called Mine"),
        (DATASET.replace('name = "mine"', "pass"), "gives its data set no name"),
        ("x = 1\n", "defines no subclass"),
    ],
)
def test_files_that_are_no_plugins(tmp_path, text, line):
    path = tmp_path / "plugin.py"
    path.write_text(text.format(when=0, fault="pass"))
    with pytest.raises(click.UsageError, match=line):
        list(checks_of(path))


def test_the_text_of_a_step_may_have_comments_at_the_margin(tmp_path):
    right = "        descend(z, steps.inner, dz)\n"
    messy = "#       descend(z, steps.inner, dz)\n        z = z - steps.inner * dz\n"
    assert right in SOLVER
    path = tmp_path / "messy.py"
    path.write_text(SOLVER.format(when=0, fault="pass").replace(right, messy))
    text = Text(load_plugin(path).Solver.step)
    assert text.names == ("z", "x", "v")
    assert "line 20, `z = z - steps.inner * dz`" in text.rebound["z"]


def test_a_file_has_one_problem(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(f"{EXAMPLE}\n\nclass Other(Mine):\n    name = 'other'\n")
    with pytest.raises(click.UsageError, match=r"one subclass .*; it has Mine, Other"):
        list(checks_of(path))


def test_a_table_is_no_plugin(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("1,2")
    with pytest.raises(click.UsageError, match="is no Python file"):
        list(checks_of(path))


def test_what_benchopt_does_not_ask_for_is_not_checked(tmp_path):
    """A class that others in the file are made of needs no name."""
    path = tmp_path / "mine.py"
    text = DATASET.replace("Dataset(Base", "Common(Base").replace(
        'name = "mine"', "pass"
    )
    path.write_text(f'{text}\n\nclass Dataset(Common):\n    name = "mine"\n')
    ((name, _),) = checks_of(path)
    assert name == "data set mine"


def test_a_parameter_that_no_method_takes(tmp_path):
    path = tmp_path / "mine.py"
    declared = '    name = "S"\n    parameters = {{"momentum": [0.5, 0.9]}}\n'
    text = SOLVER.replace('    name = "S"\n', declared)
    path.write_text(text.format(when=0, fault="pass"))
    with pytest.raises(Failed, match="momentum: in no method"):
        parameters_matter(Subject(load_plugin(path).Solver))


# --- problems -------------------------------------------------------------------------


class Reweighting(Problem):
    """Weights of classes; at z = 0 all losses are equal, so that J v cancels."""

    name = "reweighting"

    def __init__(self):
        super().__init__({})

    @property
    def inner_samples(self):
        generator = np.random.default_rng(0)
        return generator.standard_normal((60, 3)), np.arange(60) % 3

    outer_samples = inner_samples
    dim_z, dim_x = 9, 3

    def inner_loss(self, z, x, a, y):
        return torch.softmax(x, 0)[y] * self.outer_loss(z, x, a, y)

    def outer_loss(self, z, x, a, y):
        scores = a @ z.reshape(3, 3)
        return torch.nn.functional.cross_entropy(scores, y, reduction="none")

    def inner_regulariser(self, z, x):
        return 0.05 * (z**2).sum()

    def initial_point(self):
        return np.zeros(9), np.zeros(3)


def test_a_problem_that_is_another_each_time(monkeypatch):
    repeatable(Reweighting())
    anew = np.random.default_rng()

    class Scaling(Reweighting):
        @cached_property
        def inner_samples(self):
            X, y = self.data["samples"]
            X /= 2  # in place: the next one to be posed on these data has others
            return X, y

    with monkeypatch.context() as patch, pytest.raises(Failed, match="posed again"):
        patch.setattr(Reweighting, "initial_point", lambda self: anew.random((2, 3)))
        repeatable(Reweighting())
    scaling = Scaling()
    scaling.data["samples"] = Reweighting().inner_samples
    with pytest.raises(Failed, match="posed again"):
        repeatable(scaling)


def test_points_of_the_checks_are_feasible():
    """Outside its set a problem need not be sound: a ridge x ≥ 0.01, say."""

    class Ridge(Reweighting):
        def inner_regulariser(self, z, x):
            return x.mean() * (z**2).sum()

        def initial_point(self):
            return np.zeros(9), np.full(3, 0.1)

        def project(self, x):
            return x.clamp(min=0.01)

    assert inner_problem(Ridge()).startswith("smallest eigenvalue")


@pytest.mark.parametrize(
    ("project", "project_scaled", "line"),
    [
        (lambda self, x: x / x.norm().clamp(min=1), None, None),
        (lambda self, x: x.clamp(max=1), lambda self, x, w: x.clamp(max=1), None),
        # Feasible, idempotent and plain where all weights are 1, but not the nearest.
        (lambda self, x: x / (x @ x).clamp(min=1), None, "^project does"),
        (
            lambda self, x: x / x.norm().clamp(min=1),
            lambda self, x, w: x / x.norm().clamp(min=1),
            "project_scaled does not return the nearest",
        ),
    ],
)
def test_a_projection_is_the_nearest_point(project, project_scaled, line):
    parts = {"project": project, "project_scaled": project_scaled}
    problem = type("Constrained", (Reweighting,), parts)()
    if line is None:
        losses(problem)
    else:
        with pytest.raises(Failed, match=line):
            losses(problem)


class Skewed(Reweighting):
    """The regulariser forgets that the batches share it."""

    def inner_loss(self, z, x, a, y):
        return super().inner_loss(z, x, a, y) + 1e-7 * len(a) * (z * x[0]).sum()


def test_a_term_that_cancels_at_the_start_passes():
    batches(Reweighting())


@pytest.mark.parametrize(
    "part, value, line",
    [
        ("initial_point", lambda self: ([0.0] * 9, np.zeros(3)), "z is list .9,., not"),
        ("inner_samples", np.zeros((60, 3)), "inner_samples is no tuple of arrays"),
        ("outer_samples", (np.zeros((9, 3)), np.zeros(8)), "outer_samples is no tuple"),
        ("project", lambda self, x: None, "project returns NoneType, not a tensor"),
    ],
)
def test_what_leaves_nothing_else_to_check(part, value, line):
    problem = type("Wrong", (Reweighting,), {part: value})()
    with pytest.raises(Unusable, match=line):
        losses(problem)


EXAMPLE = """
from benchmark_bilevel.problems.base import Problem


class Mine(Problem):
    name = "mine"

    @staticmethod
    def example_data():
        raise OSError("no file")
"""


def test_what_no_check_is_about_is_a_line(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(EXAMPLE)
    with pytest.raises(click.UsageError, match=f"{path}, line 10: OSError: no file"):
        list(results_of(str(path)))


def test_a_term_that_depends_on_the_batch_fails():
    with pytest.raises(Failed, match=r"the mean of .* over all batches is off"):
        batches(Skewed())


@pytest.mark.parametrize(
    "part, value, line",
    [
        ("accuracies", lambda self, z, x: 0.5, "accuracies returns float, not a dict"),
        ("outer_metrics", lambda self, x: {"a": "b"}, "outer_metrics: a is str, not a"),
        ("final_results", lambda self, z, x: z, "final_results returns ndarray, not a"),
        (
            "outer_metrics",
            lambda self, x: {"value": 0.5},
            "value is the name of a metric",
        ),
        (
            "accuracies",
            lambda self, z, x: {"test_accuracy": 93.0},
            "is 93, not a share",
        ),
    ],
)
def test_metrics_that_no_row_could_hold(monkeypatch, part, value, line):
    monkeypatch.setattr(Reweighting, part, value)
    with pytest.raises(Failed, match=line):
        metrics(Reweighting())


@pytest.mark.parametrize("value", [lambda self, z, x: z**2, lambda self, z, x: 0.5])
def test_a_regulariser_is_one_number(monkeypatch, value):
    monkeypatch.setattr(Reweighting, "inner_regulariser", value)
    with pytest.raises(Failed, match=r"inner_regulariser returns .*, not a tensor of"):
        losses(Reweighting())


# --- what a solver declares -----------------------------------------------------------


@pytest.mark.parametrize(
    "text, words",
    [
        (
            "oracle_calls(t, b): return Calls()",
            "oracle_calls gets t, b, c, n, m and par",
        ),
        ("oracle_calls(t, b, c, n, m, no): return Calls()", "of the solver, no no"),
        ("estimate(t): return 3", "estimate returns int, none of Implicit, Unrolled"),
        (
            "estimate(t, foo): return None",
            "estimate gets t and parameters of the solver",
        ),
    ],
)
def test_a_wrong_declaration_is_a_line_with_its_place(tmp_path, text, words):
    declared = f"    @staticmethod\n    def {text}\n"
    path = tmp_path / "mine.py"
    path.write_text(SOLVER.format(when=0, fault="pass") + f"\n{declared}")
    subject = Subject(load_plugin(path).Solver)
    with pytest.raises(Failed) as failed:
        subject.estimate()
        subject.declared("oracle_calls", 0, 8, 8, 32, 32)
    assert str(failed.value).startswith(str(path)) and words in str(failed.value)
