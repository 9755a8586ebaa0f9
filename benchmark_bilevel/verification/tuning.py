"""The checks of what a solver declares of its parameters."""

import click

from benchmark_bilevel.search.ranges import ranges_of
from benchmark_bilevel.solver import BilevelSolver
from benchmark_bilevel.verification import Failed


def search_space(subject):
    """What the search tunes are at most five parameters, in legal ranges."""
    try:
        return ", ".join(ranges_of(subject.solver)) or "nothing"
    except click.UsageError as error:
        raise Failed(error.message) from None


def parameters_matter(subject):
    """Every parameter that the solver declares is one that its methods take."""
    solver, named = subject.solver, set()
    for base in solver.mro()[: solver.mro().index(BilevelSolver)]:
        for item in vars(base).values():
            code = getattr(getattr(item, "__func__", item), "__code__", None)
            if code is not None:
                named.update(code.co_varnames, code.co_names)
    own = set(solver.parameters) - set(BilevelSolver.parameters)
    if idle := sorted(own - named):
        raise Failed(
            f"{', '.join(idle)}: in no method of the class, so that all values of it "
            "give the same run; `step` gets what it names behind t"
        )
    return ", ".join(sorted(own)) or "it has none of its own"
