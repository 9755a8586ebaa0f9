"""The problems of the benchmark, by name."""

from benchmark_bilevel.problems.hypercleaning.problem import DataHypercleaning
from benchmark_bilevel.problems.poisoning.problem import DataPoisoning
from benchmark_bilevel.problems.quadratic.problem import Quadratic
from benchmark_bilevel.problems.selection.problem import HyperparameterSelection

PROBLEMS = {
    cls.name: cls
    for cls in (HyperparameterSelection, DataHypercleaning, DataPoisoning, Quadratic)
}
