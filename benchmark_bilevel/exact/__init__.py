"""The truth about a problem: inner solution, hypergradient, reference minima, metrics."""

from benchmark_bilevel.exact.solve import Evaluation, Exact, InnerSolveError

__all__ = ["Evaluation", "Exact", "InnerSolveError"]
