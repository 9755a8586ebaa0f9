"""What the gate and each problem make of a data set."""

import numpy as np
from benchopt.utils import product_param
from scipy.sparse import issparse

from benchmark_bilevel.data import (
    COEFFICIENTS,
    FEW_SHOT_TASKS,
    RIDGE_TASKS,
    SUPERVISED,
    Inadmissible,
    admit,
)
from benchmark_bilevel.data.dataset import content_digest
from benchmark_bilevel.problems import PROBLEMS
from benchmark_bilevel.search.data import data_of
from benchmark_bilevel.verification import Result
from benchmark_bilevel.verification.cases import options_of


def dataset_findings(dataset_class):
    """Pairs (name, results) of a data set with each of its parameters' defaults."""
    for parameters in product_param(dataset_class.parameters):
        dataset = dataset_class.get_instance(**parameters)
        again = dataset_class.get_instance(**parameters)
        yield f"data set {dataset}", _findings(data_of(dataset), again)


def _findings(data, again):
    """The `Result` of the gate and of each problem; a problem that does not fit is none.

    It is a failure if no problem fits data of a known form, or if the instance `again`
    of the data set returns others.
    """
    title = "get_data returns sound arrays"
    try:
        if "missing" in data:
            raise Inadmissible(data["missing"])
        admitted = admit(**data)
        yield Result(title, "ok", _changes(data, admitted))
    except Inadmissible as refusal:
        yield Result(title, "FAIL", str(refusal))
        return
    found, title = content_digest(admitted), "get_data returns the same each time"
    if content_digest(admit(**data_of(again))) != found == content_digest(admitted):
        text = "it returns other arrays when it is called again: seed what is random"
        yield Result(title, "FAIL", text)
    n_fitting = 0
    for name, Problem in PROBLEMS.items():
        try:
            problem = Problem(Problem.admit(data), **options_of(Problem))
        except Inadmissible as refusal:
            yield Result(name, "skipped", str(refusal))
            continue
        n_fitting += 1
        yield Result(
            name,
            "ok",
            f"{problem.n_inner} samples of g, {problem.n_outer} of f; "
            f"{problem.dim_z} variables z, {problem.dim_x} variables x",
        )
    known = (*SUPERVISED, *COEFFICIENTS, *RIDGE_TASKS, *FEW_SHOT_TASKS)
    if not n_fitting and not set(known) & set(data):
        yield Result("problems", "skipped", "the arrays are for a problem of your own")
    elif not n_fitting:
        yield Result("a problem can be posed on it", "FAIL", "each says why not")


def _changes(data, admitted):
    """A line an array: what it is and, if that was another thing, what it was."""
    lines = []
    for name, array in admitted.items():
        if name == "classes" or not hasattr(array, "__len__"):
            continue
        before, now = _described(data[name]), _described(array)
        lines.append(f"{name}: {now}" + f", was {before}" * (before != now))
    if "classes" in admitted:
        classes = admitted["classes"]
        names = ", ".join(map(str, classes[:10])) + ", …" * (len(classes) > 10)
        lines.append(f"labels 0 to {len(classes) - 1} are the classes {names}")
    return "\n".join(lines)


def _described(array):
    kind = type(array).__name__
    if issparse(array):
        kind = array.format
    elif isinstance(array, np.ndarray):
        kind = "dense"
    shape, dtype = getattr(array, "shape", None), getattr(array, "dtype", "")
    size = f"{len(array)} entries" if shape is None else " × ".join(map(str, shape))
    return " ".join(part for part in (size, kind, str(dtype)) if part)
