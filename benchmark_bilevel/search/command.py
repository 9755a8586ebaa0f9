"""The loop of ``python -m benchmark_bilevel search``."""

from itertools import groupby, islice

import click
from tqdm import tqdm

from benchmark_bilevel.search.cells import execute
from benchmark_bilevel.search.configuration import configuration
from benchmark_bilevel.search.protocol import N_FINALISTS, N_SAFETY, N_SEEDS, next_runs
from benchmark_bilevel.search.specification import Specification
from benchmark_bilevel.search.store import Store


def search(path, jobs=1, parallel_config=None):
    """Go on with the search of the file `path` to its end; return the files written.

    Each batch of runs is in the table before the next one starts: what is killed loses
    one batch at most, and that only where benchopt's cache is lost, too.
    """
    specification = Specification.read(path)
    folder = specification.benchmark.benchmark_dir
    store = Store(folder / "results" / "search" / f"{specification.name}.parquet")
    parallel = ("--parallel-config", parallel_config) if parallel_config else ()
    if jobs > 1:
        parallel = ("-j", str(jobs))
    for solver in (names := tqdm(list(specification.solver_classes), unit="solver")):
        names.set_description(solver)
        _search_one(specification, store, solver, jobs, parallel)
    target = folder / "config" / f"{specification.name}.yml"
    target.write_text(configuration(specification, store))
    return store.path, target


def _search_one(specification, store, solver, jobs, parallel):
    expected = specification.trials + N_FINALISTS * (N_SEEDS - 1) + N_SAFETY
    with tqdm(total=expected, desc=f"  {solver}", unit="run", leave=False) as bar:
        bar.update(len(store.of(solver)))
        while runs := next_runs(
            store, solver, specification.trials, specification.oracle_calls
        ):
            # Runs of one batch share all options of `benchopt run`.
            _, group = next(groupby(runs, key=lambda run: run[2:]))
            batch = list(islice(group, 2 * jobs))
            known = set(
                store.of(solver)[["trial", "stage", "seed"]].itertuples(
                    index=False, name=None
                )
            )
            # Seeds that the table has are answered by benchopt's cache, or run again.
            rows = [
                row
                for row in execute(specification, batch, parallel)
                if (row["trial"], row["stage"], row["seed"]) not in known
            ]
            store.append(rows)
            bar.update(len(rows))
    if bar.n > bar.total:
        click.echo(f"{solver}: finalists diverged, {bar.n - bar.total} runs more")
