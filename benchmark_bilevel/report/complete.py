"""Runs of a configuration, and whether each cell that it asks for has a result.

``benchopt run`` ends with exit code 0 if any cell ran. Published files need all.
"""

import os
from itertools import groupby
from pathlib import Path

import click
import pandas as pd
import yaml
from benchopt.benchmark import _list_parametrized_classes
from benchopt.cli.main import run as benchopt_run
from pyarrow import parquet
from pyarrow.types import is_floating

from benchmark_bilevel.faults import nearest
from benchmark_bilevel.fingerprint import PACKAGE
from benchmark_bilevel.parameters import Integer, check
from benchmark_bilevel.provenance import changed_files
from benchmark_bilevel.report.origins import codes_of
from benchmark_bilevel.report.reading import read
from benchmark_bilevel.search.child import run_benchopt
from benchmark_bilevel.search.data import data_of
from benchmark_bilevel.search.options import by_option, listed
from benchmark_bilevel.search.store import alone, one_line, whole

CELL = ["dataset_name", "objective_name", "solver_name", "idx_rep"]


def run(benchmark, config, n_jobs=1):
    """Run the configuration file `config`; what has a result is not run again.

    Parameters
    ----------
    benchmark : benchopt.benchmark.Benchmark
    config : Path
    n_jobs : int
        Cells at a time.

    Returns
    -------
    file : Path
        The results, in the benchmark's folder ``outputs`` under the name that the
        configuration gives them, its own if none. Where no cell has any, an older file
        stays.
    failures : list of str
        A line for each solver of which cells have no result.

    Raises
    ------
    click.UsageError
        If `config` is no configuration: a line that says where and why.
    """
    content = read_config(config)
    name = Path(str(content.get("output") or config.stem)).name.removesuffix(".parquet")
    file = benchmark.get_output_folder() / f"{name}.parquet"
    new = file.with_suffix(".new.parquet")
    options = ["--config", str(config), "--output", new.name, "--no-plot"]
    arguments = [str(benchmark.benchmark_dir), *options, "-j", str(n_jobs)]
    found = set()
    with alone(file):
        new.unlink(missing_ok=True)  # benchopt would take another name
        code = run_benchopt(arguments).returncode
        if code in (0, 1) and new.exists():
            table = pd.read_parquet(new, columns=CELL)
            found = set(table.itertuples(index=False, name=None))
            os.replace(new, file)
    if not found and code not in (0, 1):
        # A mistake in the configuration, which benchopt has named, or a kill.
        return file, [f"benchopt run ended with exit code {code}"]
    asked = list(cells(benchmark, content))
    if not asked:
        return file, [f"{config}: no data set fits a problem and a solver of it"]
    return file, list(_lines(cell for cell in asked if cell not in found))


def read_mapping(path):
    """What the YAML file at `path` says by name; `click.UsageError` if it does not."""
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it says nothing by name, as in `dataset: ijcnn1`")
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise click.UsageError(f"{path} cannot be read: {one_line(error)}.") from error
    return content


def read_config(path):
    """The options of ``benchopt run`` in the file at `path`; else `click.UsageError`."""
    config = by_option(read_mapping(path))
    known = [option.name.replace("_", "-") for option in benchopt_run.params]
    for name in config:
        if name not in known:
            raise click.UsageError(
                f"{path}: {name} is no option of `benchopt run`{nearest(name, known)}."
            )
    for kind in ("objective", "dataset", "solver"):
        for entry in _listed(config, kind) or ():
            if not isinstance(entry, str | dict) or not entry:
                raise click.UsageError(
                    f"{path}: {kind}: {entry!r} is no name, with its parameters or without."
                )
    repetitions = config.get("n-repetitions")
    check(path, "n-repetitions", repetitions, Integer(at_least=1, also=(None,)))
    return config


def cells(benchmark, config):
    """The cells that a configuration asks for, in benchopt's order.

    A problem that does not fit a data set asks for none, and a solver that skips a
    problem neither. Data that are missing are asked for all the same.

    Yields
    ------
    tuple
        Names as in the columns `CELL`, and the number of the repetition.
    """
    datasets = benchmark.check_dataset_patterns(_listed(config, "dataset"))
    objectives = benchmark.check_objective_filters(_listed(config, "objective"))
    solvers = benchmark.check_solver_patterns(_listed(config, "solver"))
    repetitions = range(config.get("n-repetitions") or 1)
    for dataset, _ in _list_parametrized_classes(*datasets):
        for objective, _ in _list_parametrized_classes(*objectives):
            for solver, _ in _list_parametrized_classes(*solvers):
                if _fits(dataset, objective, solver):
                    names = str(dataset), str(objective), str(solver)
                    yield from ((*names, k) for k in repetitions)


def _listed(config, key):
    patterns = config.get(key)
    return None if patterns is None else listed(patterns)


def _fits(dataset, objective, solver):
    try:
        if data_of(dataset).get("missing"):
            return True
        if objective._set_dataset(dataset)[0]:
            return False
        return not solver.skip(**objective.get_objective())[0]
    except Exception:  # whatever a plugin raises; it has no result for the same reason
        return True


def _lines(missing):
    """A line a solver on a problem, with the repetitions that are `missing`."""
    for names, group in groupby(missing, key=lambda cell: cell[:3]):
        dataset, objective, solver = names
        repetitions = ", ".join(str(cell[3]) for cell in group)
        yield f"{solver} on {dataset}, {objective}: repetitions {repetitions}"


def run_and_publish(benchmark, config, jobs):
    """Put the results of a configuration into ``results/``, if they are complete.

    Only those of ``config/`` and ``config/reproductions/`` are published; the latter, and
    those whose file is there already, in ``results/reproductions/``.

    Returns
    -------
    pathlib.Path

    Raises
    ------
    click.ClickException
        Where the configuration is elsewhere, the code is not a commit's, or a cell has no
        result.
    """
    folder = benchmark.benchmark_dir.resolve() / "config"
    if config.resolve().parent not in (folder, folder / "reproductions"):
        raise click.ClickException(
            f"{config} is not published: results are those of configurations in config/ "
            "and config/reproductions/. `python -m benchmark_bilevel run` runs any."
        )
    made_from = "results are made from a commit: "
    changed = changed_files(benchmark.benchmark_dir)
    if changed is None:
        raise click.ClickException(made_from + "this is no checkout.")
    if changed:
        more = f" and {len(changed) - 10} more" if len(changed) > 10 else ""
        named = ", ".join(changed[:10]) + more
        raise click.ClickException(f"{made_from}commit or remove {named}")
    file, failures = run(benchmark, config, jobs)
    published = benchmark.benchmark_dir / "results" / file.name
    reproduced = published.parent / "reproductions" / file.name
    if reproduced.exists() or config.parent.name == "reproductions":
        published = reproduced
    if failures:
        raise click.ClickException(
            f"{published} stays as it is, no result of\n  " + "\n  ".join(failures)
        )
    # Of a package that is installed elsewhere the checkout knows nothing.
    own = PACKAGE.is_relative_to(benchmark.benchmark_dir.resolve())
    dirty = own and sum(n for code, n in codes_of(read([file])) if code.dirty)
    if dirty:
        raise click.ClickException(
            f"{published} stays as it is: {dirty} of the runs in benchopt's cache are of "
            f"files that had not been committed; remove {benchmark.get_cache_location()}."
        )
    return publish(file, published.parent)


def publish(file, folder):
    """Put `file` into `folder`, in place of an older one at once and more compressed.

    What cannot be read, such as a file that two processes wrote, ends with an error.
    """
    table = parquet.read_table(file)
    # The bytes of numbers that hardly repeat are alike in their first halves.
    is_number = {each.name: is_floating(each.type) for each in table.schema}
    numbers = [name for name in is_number if is_number[name]]
    with whole(folder / file.name) as partial:
        parquet.write_table(
            table,
            partial,
            compression="zstd",
            compression_level=12,
            use_dictionary=[name for name in is_number if not is_number[name]],
            use_byte_stream_split=numbers,
        )
    return folder / file.name
