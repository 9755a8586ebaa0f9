"""The problems of the benchmark, by name, and those in files of users, by path."""

import importlib.util
import inspect
import sys
from functools import cache
from hashlib import sha256
from pathlib import Path

from benchmark_bilevel.faults import line_of, name_fault, nearest
from benchmark_bilevel.notices import Fault
from benchmark_bilevel.plugin_files import imports_beside
from benchmark_bilevel.problems.base import Problem
from benchmark_bilevel.problems.distillation.problem import DatasetDistillation
from benchmark_bilevel.problems.hypercleaning.deep import DeepHypercleaning
from benchmark_bilevel.problems.hypercleaning.problem import DataHypercleaning
from benchmark_bilevel.problems.poisoning.problem import DataPoisoning
from benchmark_bilevel.problems.quadratic.problem import Quadratic
from benchmark_bilevel.problems.representation.problem import HyperRepresentation
from benchmark_bilevel.problems.selection.problem import HyperparameterSelection
from benchmark_bilevel.problems.tasks.equilibrium import Equilibrium
from benchmark_bilevel.problems.tasks.few_shot import FewShot
from benchmark_bilevel.problems.tasks.ridge import MultiTaskRidge

PROBLEMS = {
    cls.name: cls
    for cls in (
        HyperparameterSelection,
        DataHypercleaning,
        DeepHypercleaning,
        DataPoisoning,
        DatasetDistillation,
        HyperRepresentation,
        Equilibrium,
        FewShot,
        MultiTaskRidge,
        Quadratic,
    )
}


# What a module of kernels has, and the methods of what that makes.
KERNELS = {
    "make_inner": ("value", "grad", "hvp", "cross"),
    "make_outer": ("value", "grad"),
}


def problem_name(value):
    """The range of the objective's parameter `problem`: paths become absolute."""
    if isinstance(value, str) and value.endswith(".py"):
        return str(Path(value).expanduser().resolve())
    return value


def load_problem(name):
    """The class of a problem.

    Parameters
    ----------
    name : str
        One of `PROBLEMS`, or the path of a Python file that defines a subclass of
        `Problem`.

    Raises
    ------
    Fault
        If there is no such problem.
    """
    if name in PROBLEMS:
        return PROBLEMS[name]
    if not str(name).endswith(".py"):
        raise Fault(
            f"problem={name!r} is not known; expected one of {', '.join(PROBLEMS)}, or "
            f"the path of a .py file{nearest(str(name), PROBLEMS)}."
        )
    return _load(Path(name).expanduser().resolve())


@cache
def _load(path):
    """The one subclass of `Problem` that the file at `path` defines."""
    if not path.is_file():
        raise Fault(f"There is no file {path}.")
    name = f"{path.stem}_{sha256(bytes(path)).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with imports_beside(path):
            spec.loader.exec_module(module)
    # Whatever a user's file raises is for the user to read.
    except (Exception, SystemExit) as error:
        raise Fault(f"{path} cannot be imported: {line_of(error)}") from error
    classes = [
        item
        for item in vars(module).values()
        if isinstance(item, type)
        and issubclass(item, Problem)
        and item.__module__ == name
    ]
    if len(classes) != 1:
        names = ", ".join(item.__name__ for item in classes) or "none"
        raise Fault(f"{path} has to define one subclass of Problem; it has {names}.")
    fault = fault_of(classes[0])
    if fault is not None:
        raise Fault(f"{path}: {fault}.")
    return classes[0]


def fault_of(problem):
    """What is wrong with the class `problem` itself, in one line; None if nothing."""
    known = sorted({name for each in PROBLEMS.values() for name in each.options})
    for name in problem.options:
        if name not in known:
            return (
                f"options has {name!r}, which is no parameter of the objective; it has "
                f"{', '.join(known)}"
            )
    if problem.made_of_tasks and problem.inner_regulariser is not None:
        return (
            f"{problem.__name__} has an inner_regulariser, which problems made of tasks "
            "add to inner_loss"
        )
    if inspect.ismodule(problem.kernels):
        fault = _fault_of_kernels(problem.kernels)
        if fault is not None:
            return fault
    return name_fault(problem.name)


def _fault_of_kernels(kernels):
    """What a module of kernels lacks, in one line; None if nothing."""
    file = kernels.__file__
    for make, names in KERNELS.items():
        made = getattr(getattr(kernels, make, None), "__self__", None)
        if made is None:
            return f"{file} has no {make}, as in {make} = MyOracle.make"
        absent = [name for name in names if not hasattr(made, name)]
        if absent:
            return f"{file}: {made.__name__} has no method {', '.join(absent)}"
    return None
