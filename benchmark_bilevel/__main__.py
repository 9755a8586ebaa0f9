"""Command line: ``python -m benchmark_bilevel --help``."""

import math
import re
import signal
import sys
from pathlib import Path

try:
    import click
    from benchopt.benchmark import Benchmark, _list_parametrized_classes
except ModuleNotFoundError as error:
    sys.exit(f"{error}; after `make` it is there: source .venv/bin/activate")

from benchmark_bilevel.folders import benchmark_folder


def _open(context, parameter, folder):
    return Benchmark(folder or benchmark_folder())


in_benchmark = click.option(
    "--benchmark",
    metavar="FOLDER",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    callback=_open,
    help="Of the benchmark; the working directory or its clone if left out.",
)


@click.group()
def main():
    """Tools of the benchmark beside ``benchopt run``."""


@main.command()
@click.option("-d", "--dataset", "datasets", multiple=True, required=True)
@click.option("-o", "--objective", "objectives", multiple=True)
@click.option(
    "--start-from",
    type=click.Path(exists=True, dir_okay=False),
    help="Result file; the best point of its runs is one more start.",
)
@in_benchmark
def reference(datasets, objectives, start_from, benchmark):
    """Recompute the reference minimum of h for data sets, named as in benchopt run."""
    from benchmark_bilevel.exact.published import needs_reference, save_reference
    from benchmark_bilevel.exact.reference import find_reference
    from benchmark_bilevel.folders import is_writable
    from benchmark_bilevel.notices import Fault
    from benchmark_bilevel.report.reading import best_points

    done, place = 0, benchmark.benchmark_dir
    if not is_writable(place):
        raise click.ClickException(f"{place} is read-only: references are kept there.")
    for name, problem in _problems(benchmark, datasets, objectives):
        if not needs_reference(problem):
            continue
        click.echo(f"{problem.name} on {name}")
        starts = best_points(start_from, problem, name) if start_from else []
        try:
            found = find_reference(problem, starts, log=click.echo)
        except Fault as fault:
            click.echo(f"skipped, {fault}")
            continue
        path = save_reference(found, problem, name)
        click.echo(f"h* = {found['value']:.15g} ± {found['accuracy']:.1e}: {path}")
        done += 1
    if not done:
        click.echo("Nothing here needs a reference that a computation could give.")
        sys.exit(1)


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
def check(file):
    """Verify the solver, the problem or the data set that FILE defines."""
    from benchmark_bilevel.verification.process import results_of

    failures, subject = 0, None
    for name, result in results_of(file):
        if name != subject:
            click.echo(name)
            subject = name
        failures += result.status == "FAIL"
        text = result.text.replace("\n", "\n" + 16 * " ")
        click.echo(f"  {result.status:<12}  {result.title}")
        if text:
            click.echo(f"{16 * ' '}{text}")
    failed = "1 check failed." if failures == 1 else f"{failures} checks failed."
    click.echo(failed if failures else "All checks passed.")
    sys.exit(min(failures, 1))


def _problems(benchmark, datasets, objectives):
    """Pairs (data set's name, problem) of the combinations that fit."""
    from benchmark_bilevel.search.data import data_of

    dataset_classes = benchmark.check_dataset_patterns(list(datasets))
    objective_classes = benchmark.check_objective_filters(list(objectives))
    for dataset, is_installed in _list_parametrized_classes(*dataset_classes):
        if not is_installed:  # benchopt has said why
            continue
        data = data_of(dataset)
        for objective, _ in _list_parametrized_classes(*objective_classes):
            skipped, reason = objective.skip(**data)
            if skipped:
                click.echo(f"{objective.problem} on {dataset.name}: skipped, {reason}")
                continue
            objective.set_data(**data)
            yield dataset.name, objective.bilevel_problem


def _named(context, parameter, path):
    if path:
        return path
    raise click.BadParameter("it is empty.")  # as "$UNSET" is; click takes it for "."


@main.command()
@click.argument("folder", type=click.Path(file_okay=False), callback=_named)
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False))
@click.option("--url", help="Of the repository, if not that of the checkout's origin.")
@click.option(
    "--site-url", help="Of the site itself, if not the origin's GitHub Pages."
)
@in_benchmark
def site(folder, files, url, site_url, benchmark):
    """Write the web site of result FILES (results/*.parquet if none) into FOLDER."""
    # As Ctrl-C does, so that nothing half written is left beside the folder.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    from benchmark_bilevel.report import origins
    from benchmark_bilevel.report.site import build

    paths = _result_files(files, benchmark)
    if url:
        url = origins.given_address(url)
    else:
        url = origins.repository_address(benchmark.benchmark_dir)
    if site_url:
        site_url = origins.given_address(site_url, "--site-url")
    else:
        site_url = origins.pages_address(url)
    try:
        index = build(paths, folder, benchmark, url, site_url, click.echo)
    except OSError as error:
        raise click.ClickException(f"{folder} cannot be written: {error}") from error
    click.echo(index.as_uri())


def _layout(context, parameter, text):
    """(rows, columns), or None if `text` is."""
    if text is None:
        return None
    found = re.fullmatch("([1-9][0-9]?)x([1-9][0-9]?)", text)
    if not found:
        raise click.BadParameter(f"{text!r} is not rows and columns, such as 1x3.")
    return int(found[1]), int(found[2])


def _finite(context, parameter, number):
    if math.isfinite(number):
        return number
    raise click.BadParameter(f"{number} is no width.")  # click lets NaN into a range


@main.command()
@click.argument("folder", type=click.Path(file_okay=False), callback=_named)
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--format", "formats", multiple=True, default=["pdf"], help="pdf, svg or png."
)
@click.option(
    "--only", multiple=True, help="Pattern of file names, such as 'profile-*'."
)
@click.option(
    "--layout",
    metavar="ROWSxCOLUMNS",
    callback=_layout,
    help="Figures in one file, panels-1 and so on, such as 1x3.",
)
@click.option(
    "--legend",
    type=click.Choice(["ends", "below", "none"]),
    default="ends",
    show_default=True,
    help="Names at the ends of the curves, or one legend below all panels.",
)
@click.option(
    "--width",
    type=click.FloatRange(1, 50),
    callback=_finite,
    default=3.35,
    show_default=True,
    help="Inches; 3.35 is a column, 6.75 a page.",
)
@click.option(
    "--font", type=click.Choice(["sans", "serif"]), default="sans", show_default=True
)
@click.option("--linear", is_flag=True, help="Costs on a linear axis.")
@in_benchmark
def figures(folder, files, formats, only, benchmark, **options):
    """Draw the figures of result FILES (results/*.parquet if none) into FOLDER."""
    from benchmark_bilevel.report.curves import left_out
    from benchmark_bilevel.report.figures import save_figures
    from benchmark_bilevel.report.reading import read

    results = read(_result_files(files, benchmark))
    paths = save_figures(results, folder, formats, only or ["*"], **options)
    for line in left_out(results):
        click.echo(line)
    click.echo(f"{len(paths)} figures in {folder}")


jobs = click.option(
    *("-j", "--jobs"),
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Cells at a time.",
)
config_file = click.argument(
    "config", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)


@main.command()
@config_file
@jobs
@in_benchmark
def run(config, jobs, benchmark):
    """Run a CONFIG file into outputs/, and fail if a cell of it has no result."""
    from benchmark_bilevel.report.complete import run

    file, failures = run(benchmark, config, jobs)
    if failures:
        raise click.ClickException("no result of\n  " + "\n  ".join(failures))
    click.echo(file)


@main.command()
@config_file
@jobs
@in_benchmark
def results(config, jobs, benchmark):
    """Run a CONFIG file and put its results into results/, if they are complete.

    Otherwise the older file stays. Published results are made by committed code only.
    Those that are compared with a paper, not ranked, are in results/reproductions/.
    """
    from benchmark_bilevel.report.complete import run_and_publish

    click.echo(run_and_publish(benchmark, config, jobs))


@main.command()
@click.argument("problem", metavar="PROBLEM-OR-CONFIG")
@jobs
@click.option(
    "--parallel-config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Of a benchopt backend, in place of -j.",
)
@click.option(
    "--trials", type=click.IntRange(1), help="A solver, if not as many as it says."
)
@in_benchmark
def search(problem, jobs, parallel_config, trials, benchmark):
    """Tune solvers on a problem: config/search/PROBLEM.yml, or a file like it.

    Goes on from results/search/PROBLEM.parquet and writes config/PROBLEM.yml.
    """
    from benchmark_bilevel.report.complete import read_mapping
    from benchmark_bilevel.search.command import search
    from benchmark_bilevel.search.specification import Specification

    folder = benchmark.benchmark_dir / "config" / "search"
    path = Path(problem)
    if not path.is_file():
        path = folder / f"{problem}.yml"
    if not path.is_file():
        files = sorted(folder.rglob("*.yml"))
        known = ", ".join(
            file.relative_to(folder).with_suffix("").as_posix() for file in files
        )
        raise click.UsageError(f"no search is called {problem}: {known}, or a file.")
    if parallel_config is not None:
        read_mapping(parallel_config)
    specification = Specification.read(benchmark, path)
    specification.trials = trials or specification.trials
    target, failures = search(specification, jobs, parallel_config)
    if failures:
        n = len(failures)
        who = "1 solver has" if n == 1 else f"{n} solvers have"
        raise click.ClickException(f"{who} errors, see above.")
    click.echo(target)


@main.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False))
@in_benchmark
def tuned(files, benchmark):
    """Tables, in Markdown, of what tuning brings in result FILES of searched problems.

    Costs to fractions of the initial gap with tuned, default and transferred parameters.
    """
    from benchmark_bilevel.report.reading import read
    from benchmark_bilevel.report.tuned import tuned_tables

    results = read(_result_files(files, benchmark))
    text = tuned_tables(results, benchmark.benchmark_dir / "results" / "search")
    if not text:
        raise click.ClickException(
            "none of these files is of a problem that was searched."
        )
    click.echo(text)


@main.command()
@in_benchmark
def small(benchmark):
    """Write the small version of each configuration, config/small/NAME.yml."""
    from benchmark_bilevel.search.small import configurations, write_small

    for config in configurations(benchmark.benchmark_dir):
        write_small(config)


def _result_files(files, benchmark):
    """`files`, or the committed ones; ends the program if there are none."""
    committed = benchmark.benchmark_dir / "results"
    found = list(files) or sorted(committed.glob("*.parquet"))
    if not found:
        raise click.ClickException(
            "no result files in results/: `make results`, or name some of outputs/."
        )
    return found


if __name__ == "__main__":
    main()
