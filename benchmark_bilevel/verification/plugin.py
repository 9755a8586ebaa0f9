"""From a file to the checks of what it defines."""

import importlib.util
import sys
from pathlib import Path

import click
from benchopt import BaseDataset, BaseSolver

from benchmark_bilevel.faults import line_of
from benchmark_bilevel.plugin_files import imports_beside
from benchmark_bilevel.problems import fault_of
from benchmark_bilevel.problems.base import Problem
from benchmark_bilevel.solver import BilevelSolver
from benchmark_bilevel.verification import run_checks
from benchmark_bilevel.verification.cases import Subject, small_instance
from benchmark_bilevel.verification.datasets import dataset_findings
from benchmark_bilevel.verification.problems import PROBLEM_CHECKS
from benchmark_bilevel.verification.solvers import SOLVER_CHECKS
from benchmark_bilevel.verification.tasks import TASK_CHECKS

# What benchopt asks a file for: base class, name, what it is.
READING = 10  # times as long as a check may take
CLASSES = (BaseSolver, "Solver", "solver"), (BaseDataset, "Dataset", "data set")


def load(path):
    """The module at `path`."""
    path = Path(path).resolve()
    name = f"checked_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None:
        raise click.UsageError(f"{path.name} is no Python file: its name ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with imports_beside(path):
            spec.loader.exec_module(module)
    # Whatever the file does at import is what there is to say about it.
    except (Exception, SystemExit) as error:
        text = f"{path.name} cannot be imported: {line_of(error)}"
        raise click.UsageError(text) from error
    return module


def _found_by_benchopt(path, module, defined, base, name, kind):
    """The class called `name` if any of `defined` is of this kind."""
    own = [item for item in defined if issubclass(item, base)]
    if not own:
        return None
    if not hasattr(module, name):
        raise click.UsageError(
            f"{path}: benchopt finds a {kind} by the name of its class, {name}; this "
            f"one is called {own[-1].__name__}."
        )
    found = getattr(module, name)
    if not getattr(found, "_is_named", isinstance(found.name, str)):
        raise click.UsageError(f"{path} gives its {kind} no name")
    return found


def checks_of(path, announce=lambda *title: None):
    """Pairs (name, iterator of results) of what is defined at `path`.

    `announce` gets the title of each check before it runs, and how many times longer than
    others it may take.
    """
    announce("The file can be imported")
    module = load(path)
    defined = [
        item
        for item in vars(module).values()
        if isinstance(item, type) and item.__module__ == module.__name__
    ]
    plugins = [_found_by_benchopt(path, module, defined, *names) for names in CLASSES]
    defined = [item for item in defined if item in plugins or issubclass(item, Problem)]
    for item in defined:
        if issubclass(item, BaseDataset):
            announce("get_data returns arrays", READING)
            yield from dataset_findings(item)
        elif issubclass(item, BilevelSolver):
            yield (
                f"solver {item.name}",
                run_checks(SOLVER_CHECKS, Subject(item), announce),
            )
        elif issubclass(item, Problem):
            problems = [each for each in defined if issubclass(each, Problem)]
            if len(problems) > 1:
                names = ", ".join(each.__name__ for each in problems)
                raise click.UsageError(
                    f"{path} has to define one subclass of Problem; it has {names}."
                )
            fault = fault_of(item)
            if fault is not None:
                raise click.UsageError(f"{path}: {fault}.")
            problem = small_instance(item)
            if problem is None:
                raise click.UsageError(
                    f"{item.name} fits none of the small data sets of the checks: give "
                    "it a static method example_data() that returns what get_data does."
                )
            checks = TASK_CHECKS if item.made_of_tasks else PROBLEM_CHECKS
            yield f"problem {item.name}", run_checks(checks, problem, announce)
        elif len(defined) == 1:
            raise click.UsageError(
                f"{item.name} is a plain benchopt solver, whose text is not verified; "
                f"`benchopt run . -s {path}` runs it."
            )
    if not defined:
        raise click.UsageError(
            f"{path} defines no subclass of BilevelSolver, of Problem or of BaseDataset."
        )
