"""A static web site from result files, for any host, sub-path and file://."""

import math
import shutil
from itertools import pairwise
from pathlib import Path

import click
from jinja2 import Environment, PackageLoader, StrictUndefined

import benchmark_bilevel
from benchmark_bilevel.report.curves import BAND
from benchmark_bilevel.report.figures import file_name
from benchmark_bilevel.report.results import read
from benchmark_bilevel.report.site.content import (
    problem_pages,
    ranking,
    result_files,
    solver_pages,
)
from benchmark_bilevel.report.site.docstrings import as_html
from benchmark_bilevel.report.site.drawings import (
    draw_problem,
    draw_shares,
    draw_solver,
)
from benchmark_bilevel.report.site.result_pages import write_result_page
from benchmark_bilevel.report.styles import style
from benchmark_bilevel.report.targets import FURTHER, TARGETS

STATIC = Path(__file__).parent / "static"


def build(paths, folder, benchmark, log=print):
    """Write the site for the result files `paths` into `folder`.

    Parameters
    ----------
    paths : sequence of path-like
    folder : path-like
        Created, and emptied of an earlier site's files of the same names only.
    benchmark : benchopt.benchmark.Benchmark
    log : callable
        Told of each kind of page.

    Returns
    -------
    Path
        The index page.
    """
    paths, folder = sorted(map(Path, paths), key=lambda path: path.stem), Path(folder)
    for path, following in pairwise(paths):
        if path.stem == following.stem:
            raise click.UsageError(f"two result files are named {path.stem}")
    for name in ("data", "figures"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in ("style.css", "sort.js"):
        shutil.copy(STATIC / name, folder)
    results = read(paths)
    files = result_files(results, benchmark.benchmark_dir)
    for path, file in zip(paths, files, strict=True):
        log(f"{path.name}: result page")
        shutil.copy(path, folder / file.data)
        write_result_page(path, file, folder, benchmark)

    log("figures")
    problems = problem_pages(results)
    solvers = solver_pages(results, benchmark.benchmark_dir)
    for problem in (case for page in problems for case in page.cases):
        draw_problem(results, problem.name, folder / "figures")
    for solver in solvers:
        draw_solver(results, solver.name, folder / "figures")
    shares = draw_shares(results, folder / "figures")

    log("pages")
    shared = {"files": files, "problems": problems, "solvers": solvers}
    templates = _templates(benchmark)
    index = {"ranking": ranking(results), "shares": shares}
    _write(templates, folder / "index.html", "index.html", **shared, **index)
    for page in problems:
        _write(templates, folder / page.path, "problem.html", page=page, **shared)
    for page in solvers:
        _write(templates, folder / page.path, "solver.html", page=page, **shared)
    for file in files:
        _write(templates, folder / file.path, "file.html", page=file, **shared)
    return folder / "index.html"


def _templates(benchmark):
    environment = Environment(
        loader=PackageLoader(__name__, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        doc=as_html, number=number, slug=file_name, color=lambda name: _hex(style(name))
    )
    environment.globals.update(
        band=BAND,
        infinity=math.inf,
        further=FURTHER,
        targets=TARGETS,
        url=benchmark.url,
        version=benchmark_bilevel.__version__,
    )
    return environment


def _write(templates, path, template, **content):
    path.write_text(
        templates.get_template(template).render(**content), encoding="utf-8"
    )


def _hex(look):
    return "#" + "".join(f"{round(255 * part):02x}" for part in look.color)


def number(value, digits=3):
    """Text of a number for a table: an en dash where there is none."""
    if value is None or value != value or abs(value) == float("inf"):
        return "–"
    return f"{value:.{digits}g}"
