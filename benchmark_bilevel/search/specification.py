"""What is searched: a file in ``config/search/``, the problem and its solvers."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import click
import yaml
from benchopt.benchmark import Benchmark

from benchmark_bilevel.search.spaces import trials, units
from benchmark_bilevel.solver import BilevelSolver


@dataclass
class Specification:
    """A search, as its YAML file states it.

    Parameters
    ----------
    path : pathlib.Path
        The file; its stem names the table and the configuration that are written.
    objective, dataset : str
        One each, as for ``benchopt run``.
    oracle_calls : float
        Budget of every run, the same for all solvers.
    trials : int
        Trials a solver.
    score : str
        Metric at the end of a run, lower is better.
    fixed : dict
        Parameters of all solvers that are not searched, such as ``batch_size``.
    solvers : list of str
        All of the folder ``solvers`` if empty.
    repetitions : int
        Of the configuration that is written.
    comment : str
        For its header.
    """

    path: Path
    objective: str
    dataset: str
    oracle_calls: float
    trials: int = 32
    score: str = "value"
    fixed: dict = field(default_factory=dict)
    solvers: list = field(default_factory=list)
    repetitions: int = 10
    comment: str = ""

    @classmethod
    def read(cls, path):
        """The specification in the file at `path`."""
        path = Path(path)
        content = yaml.safe_load(path.read_text())
        known = set(cls.__dataclass_fields__) - {"path"}
        if not isinstance(content, dict) or not set(content) <= known:
            raise click.UsageError(
                f"{path}: a search has the keys {', '.join(sorted(known))}."
            )
        return cls(path=path, **content)

    @property
    def name(self):
        return self.path.stem

    @cached_property
    def benchmark(self):
        # config/search/NAME.yml
        return Benchmark(self.path.resolve().parents[2])

    @cached_property
    def problem(self):
        """The `Problem` that is searched on."""
        ((dataset, parameters),) = self.benchmark.check_dataset_patterns([self.dataset])
        data = dataset.get_instance(**_single(parameters)).get_data()
        ((objective, parameters),) = self.benchmark.check_objective_filters(
            [self.objective]
        )
        objective = objective.get_instance(**_single(parameters))
        skipped, reason = objective.skip(**data)
        if skipped:
            raise click.ClickException(f"{self.path}: {reason}")
        objective.set_data(**data)
        return objective.bilevel_problem

    @cached_property
    def units(self):
        return units(self.problem, self.fixed.get("batch_size", 64))

    @cached_property
    def solver_classes(self):
        """The classes that are searched by name; those that skip the problem are not."""
        patterns = self.solvers or [
            solver.name
            for solver in self.benchmark.get_solvers()
            if issubclass(solver, BilevelSolver)
        ]
        chosen = {}
        for solver, _ in self.benchmark.check_solver_patterns(patterns):
            skipped, reason = solver.get_instance(**self.fixed).skip(self.problem)
            if skipped:
                click.echo(f"{solver.name}: skipped, {reason}")
            else:
                chosen[solver.name] = solver
        return chosen

    def trials_of(self, name):
        """Parameters of all trials of a solver."""
        return trials(self.solver_classes[name], self.units, self.trials)


def _single(parameters):
    """The one combination of parameters that a pattern names."""
    combination = {}
    for name, value in (parameters or {}).items():
        values = value if isinstance(value, list) else [value]
        combination[name] = values[0]
    return combination
