"""What is searched: a file in ``config/search/``, the problem and its solvers."""

import json
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path

import click
import yaml
from benchopt.benchmark import Benchmark, _list_parametrized_classes
from benchopt.utils.dynamic_modules import FailedImport

from benchmark_bilevel.exact_solver import ExactSolver
from benchmark_bilevel.faults import line_of, nearest
from benchmark_bilevel.fingerprint import fingerprint
from benchmark_bilevel.parameters import defaults
from benchmark_bilevel.plugin_files import digest
from benchmark_bilevel.search.data import data_of
from benchmark_bilevel.search.fields import read_fields
from benchmark_bilevel.search.options import limits
from benchmark_bilevel.search.protocol import choice
from benchmark_bilevel.search.ranges import OUTER_STEP, ranges_of
from benchmark_bilevel.search.spaces import (
    Space,
    Units,
    parameters_at,
    trials,
    units_of,
)
from benchmark_bilevel.search.store import DEFAULTS, TRANSFER, TUNING, Store, one_line
from benchmark_bilevel.solver import BilevelSolver

BATCHES = ("batch_size", "outer_batch_size")


@dataclass
class Specification:
    """A search, as its YAML file states it.

    Parameters
    ----------
    benchmark : benchopt.benchmark.Benchmark
    path : pathlib.Path
        The file; its stem, and its folder within ``config/search/``, name the table and
        the configuration that are written.
    objective, dataset : str
        One each, as for ``benchopt run``.
    oracle_calls : float
        Budget of every run, the same for all solvers.
    trials : int
        Trials a solver.
    score : str
        Metric at the end of a run, lower is better.
    fixed : dict
        Parameters of all solvers that are not searched. Batches are not those of
        solvers that take full ones by default.
    space : dict
        By solver what is searched in place of its `search_space`, as a paper did: from
        names of parameters to ``[low, high]``, the edges of a logarithmic range in
        absolute units, to the name of another one, whose value it takes, or to a value.
    solvers : list of str
        All of the folder ``solvers`` if none is named.
    units : dict
        ``inner`` and ``outer`` of `spaces.Units`, where h cannot be computed.
    transfer_from : list of str
        Names of other searches, whose winners are run here too.
    repetitions : int
        Of the configuration that is written.
    exact_evaluations : int, "final", "never" or None
        Of each run of it; None leaves it to the problem.
    comment : str
        For its header.
    """

    benchmark: Benchmark
    path: Path
    objective: str
    dataset: str
    oracle_calls: float
    trials: int = 32
    score: str = "value"
    fixed: dict = field(default_factory=dict)
    space: dict = field(default_factory=dict)
    solvers: list = field(default_factory=list)
    units: dict = field(default_factory=dict)
    transfer_from: list = field(default_factory=list)
    repetitions: int = 10
    exact_evaluations: int | None = None
    comment: str = ""

    @classmethod
    def read(cls, benchmark, path):
        """The specification in the file at `path`; `click.UsageError` if it is none."""
        path = Path(path)
        try:
            content = read_fields(path, yaml.safe_load(path.read_text("utf-8")))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise click.UsageError(
                f"{path} cannot be read: {one_line(error)}."
            ) from error
        return cls(benchmark, path, **content)

    @property
    def name(self):
        if not self.is_published:
            return self.path.stem
        return self.path.resolve().relative_to(self._folder).with_suffix("").as_posix()

    @property
    def is_published(self):
        """Whether it is one of those in ``config/search/``."""
        return self._folder in self.path.resolve().parents

    @property
    def _folder(self):
        return (self.benchmark.benchmark_dir / "config" / "search").resolve()

    @property
    def made_of(self):
        """What all runs of a search share, beside their budget, as text."""
        names = ["objective", "dataset", "score", "fixed"]
        names += ["space"] if self.space else []
        return json.dumps({name: getattr(self, name) for name in names}, sort_keys=True)

    @cached_property
    def store(self):
        """The table of the search."""
        return self.store_of(self.name)

    def store_of(self, name):
        """The table of the search `name`."""
        folder = self.benchmark.benchmark_dir / "results" / "search"
        return Store(folder / f"{name}.parquet")

    @cached_property
    def problem(self):
        """The `Problem` that is searched on."""
        try:
            datasets = self.benchmark.check_dataset_patterns([self.dataset])
            objectives = self.benchmark.check_objective_filters([self.objective])
        except (click.ClickException, ValueError, TypeError, SyntaxError) as error:
            raise click.UsageError(
                f"{self.path}: {self.objective} on {self.dataset}: {one_line(error)}"
            ) from error
        plugins = (_list_parametrized_classes(*each) for each in (datasets, objectives))
        pairs = list(product(*plugins))
        if len(pairs) != 1:
            raise click.UsageError(
                f"{self.path}: a search is on one problem, here are {len(pairs)}."
            )
        for plugin, is_installed in pairs[0]:
            if not is_installed:
                raise click.ClickException(
                    f"{self.path}: {plugin} needs what is not installed here; "
                    "`benchopt install .` brings it."
                )
        (dataset, _), (objective, _) = pairs[0]
        data = data_of(dataset)
        skipped, reason = objective.skip(**data)
        if skipped:
            raise click.ClickException(f"{self.path}: {reason}")
        objective.set_data(**data)
        return objective.bilevel_problem

    @cached_property
    def scale(self):
        """The `Units` of the problem."""
        read = BilevelSolver.ranges["batch_size"]
        batch_size = read(self.fixed.get("batch_size", 64))
        if batch_size == "full":
            batch_size = self.problem.n_inner
        if self.units:
            return Units(**self.units, epoch=self.problem.n_inner / batch_size)
        if self.problem.h_unknown is not None:
            raise click.UsageError(
                f"{self.path}: units: of {self.problem.name} {self.problem.h_unknown}: "
                "give them, as in `units: {inner: 0.1, outer: 1.0}`."
            )
        return units_of(self.problem, batch_size)

    @cached_property
    def solver_classes(self):
        """The classes that are searched by name; those that skip the problem are not."""
        patterns = self.solvers or [
            solver.name
            for solver in self.benchmark.get_solvers()
            if issubclass(solver, BilevelSolver)
        ]
        for pattern in patterns:
            if "[" in pattern or pattern.endswith(".py"):
                raise click.UsageError(
                    f"{self.path}: solvers: {pattern} is not the name alone of a solver in "
                    "the folder `solvers`; parameters that all share are `fixed`."
                )
        chosen = {}
        for solver, _ in self.benchmark.check_solver_patterns(patterns):
            if isinstance(solver, FailedImport):
                raise click.UsageError(
                    f"{self.path}: solvers: {solver.name}: {line_of(solver._exc)}"
                )
            solver = self.with_space(solver)
            try:
                self._require_searchable(solver)
                instance = solver.get_instance(**self.fixed_of(solver))
            except click.UsageError as error:
                raise click.UsageError(f"{self.path}: {error.message}") from None
            skipped, reason = instance.skip(self.problem)
            if skipped:
                click.echo(f"{solver.name}: skipped, {reason}")
            else:
                chosen[solver.name] = solver
        for name in self.space.keys() - chosen.keys():
            raise click.UsageError(
                f"{self.path}: space: {name} is none of the solvers that are searched"
                f"{nearest(name, chosen)}."
            )
        return chosen

    def with_space(self, solver):
        """`solver`, or one that differs from it by the `search_space` of the file."""
        if solver.name not in self.space:
            return solver
        edges = self._space_of(solver.name).edges
        return type(solver)(solver.__name__, (solver,), {"search_space": edges})

    def _space_of(self, name):
        return Space.of(self.space.get(name, {}))

    def _require_searchable(self, solver):
        """Refuse what has nothing to search, and fixed parameters that cannot be."""
        if not issubclass(solver, BilevelSolver):
            raise click.UsageError(
                f"solvers: {solver.name} has nothing to search; yardsticks "
                "are in the configuration without being named."
            )
        known, ranges = defaults(solver.parameters), ranges_of(solver)
        if solver.name in self.space and not ranges:
            raise click.UsageError(f"space: {solver.name} has nothing left to search.")
        searched = {"outer_ratio" if n == OUTER_STEP else n for n in ranges}
        own = self._space_of(solver.name)
        names = [("fixed", name) for name in self.fixed]
        names += [("space", name) for name in (*own.ties, *own.values)]
        for key, name in names:
            if name in limits(self.oracle_calls):
                reason = "is what `oracle_calls` says"
            elif name not in known:
                reason = f"is no parameter of {solver.name}{nearest(name, known)}"
            elif name in searched:
                reason = f"is searched for {solver.name}"
            elif key == "space" and name in self.fixed:
                reason = "is fixed already"
            else:
                continue
            raise click.UsageError(f"{key}: {name} {reason}.")
        given = OUTER_STEP in ranges and ("step_size" in {name for _, name in names})
        if given or OUTER_STEP in own.ties.values():
            raise click.UsageError(
                f"space: {solver.name}: {OUTER_STEP} is step_size / outer_ratio, of a "
                "step_size that is searched or the default; search outer_ratio."
            )

    @cached_property
    def yardsticks(self):
        """Names of the solvers of h itself, which have nothing to search."""
        found = []
        for solver in self.benchmark.get_solvers():
            if isinstance(solver, FailedImport):  # of whichever kind it is
                click.echo(f"{solver.name}: left out, {line_of(solver._exc)}")
            elif issubclass(solver, ExactSolver):
                skipped, reason = solver.get_instance().skip(self.problem)
                if skipped:
                    click.echo(f"{solver.name}: skipped, {reason}")
                else:
                    found.append(solver.name)
        return found

    def fixed_of(self, solver):
        """Those of the fixed parameters that `solver` is run with."""
        own = defaults(solver.parameters)
        return self._space_of(solver.name).values | {
            name: value
            for name, value in self.fixed.items()
            if not (name in BATCHES and own[name] == "full")
        }

    def trials_of(self, name):
        """Parameters of all trials of a solver."""
        found = trials(self.solver_classes[name], self.scale, self.trials)
        return [self._space_of(name).completed(parameters) for parameters in found]

    def further_stages(self, name):
        """Stages of a solver's parameters that are no trial."""
        if not self.solver_classes[name].search_space:
            return []  # its only trial is that of the defaults
        return [DEFAULTS] + [
            stage for stage, places in self._transferred.items() if name in places
        ]

    def code_of(self, name):
        """What the numbers of a solver come from: the columns of the table that say it."""
        file = self.solver_classes[name]._module_filename
        return {"fingerprint": fingerprint(), "source": digest(file)}

    def parameters_of(self, run):
        """The parameters of a `protocol.Run`; a trial's are those in the table, if any.

        Units that differ in the last digit, on another machine, change nothing then.
        """
        if run.stage == DEFAULTS:
            return {}
        if run.stage in self._transferred:
            solver = self.solver_classes[run.solver]
            places = self._transferred[run.stage][run.solver]
            parameters = parameters_at(solver, places, self.scale)
            return self._space_of(run.solver).completed(parameters)
        if run.trial in set(self.store.of(run.solver, TUNING)["trial"]):
            return self.store.parameters(run.solver, run.trial)[0]
        return self.trials_of(run.solver)[run.trial]

    @cached_property
    def _transferred(self):
        """From the stages of winners of other searches to their places, by solver."""
        found = {}
        for source in self.transfer_from:
            store = self.store_of(source)
            if not store.path.exists():
                raise click.UsageError(
                    f"{self.path}: transfer_from: {store.path} is not there; search "
                    f"{source} first, or leave it out."
                )
            places = found[TRANSFER.format(source)] = {}
            for name, solver in self.solver_classes.items():
                winner = choice(store, name)
                if winner is None:
                    continue
                _, shares = store.parameters(name, winner.trial)
                made_of = json.loads(store.of(name)["search"].iloc[0] or "{}")
                space = made_of.get("space", {}).get(name)
                is_same = space == self.space.get(name)
                if is_same and shares.keys() == ranges_of(solver).keys():
                    places[name] = shares
                else:
                    click.echo(
                        f"{name}: what won {source} is no transfer, other parameters "
                        "or ranges were searched there."
                    )
        return found
