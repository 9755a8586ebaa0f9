"""The problems of the benchmark, by name."""

from benchmark_bilevel.problems.hypercleaning import DataHypercleaning
from benchmark_bilevel.problems.poisoning import DataPoisoning
from benchmark_bilevel.problems.quadratic import Quadratic
from benchmark_bilevel.problems.selection import HyperparameterSelection

PROBLEMS = {
    cls.name: cls
    for cls in (HyperparameterSelection, DataHypercleaning, DataPoisoning, Quadratic)
}
