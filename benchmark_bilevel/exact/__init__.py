"""The truth about a problem: inner solution, hypergradient, reference minima, metrics."""

from benchmark_bilevel.exact.solve import Evaluation, Exact, InnerSolveError

__all__ = ["Evaluation", "Exact", "InnerSolveError", "exact_of"]


def exact_of(problem):
    """The exact evaluation of `problem`: an `Exact`, or what does the same for tasks."""
    if not problem.made_of_tasks:
        return Exact(problem)
    from benchmark_bilevel.exact.tasks import TaskExact  # torch takes seconds

    return TaskExact(problem)
