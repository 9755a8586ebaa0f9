"""A static web site from result files, for any host, sub-path and file://."""

import math
import shutil
import tempfile
from functools import partial
from pathlib import Path

import click
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.colors import to_hex

import benchmark_bilevel
from benchmark_bilevel.report.curves import BAND, MIN_POINTS
from benchmark_bilevel.report.distributions import resolutions
from benchmark_bilevel.report.groups import GROUPS
from benchmark_bilevel.report.names import FileNames
from benchmark_bilevel.report.origins import blob_address
from benchmark_bilevel.report.panels import LEADERS, OTHERS
from benchmark_bilevel.report.reading import read
from benchmark_bilevel.report.search_panels import ROUNDING
from benchmark_bilevel.report.site.citations import cited, suite_bibtex
from benchmark_bilevel.report.site.code import code
from benchmark_bilevel.report.site.content import problem_pages, solver_pages
from benchmark_bilevel.report.site.docstrings import as_html, inline
from benchmark_bilevel.report.site.drawings import draw_shares
from benchmark_bilevel.report.site.files import result_files
from benchmark_bilevel.report.site.guides import colophon, evidence, guides
from benchmark_bilevel.report.site.mathematics import from_latex
from benchmark_bilevel.report.site.matrix import TARGET, matrix, verdict
from benchmark_bilevel.report.site.pages import Pages
from benchmark_bilevel.report.site.records import results_json
from benchmark_bilevel.report.site.result_pages import (
    POLICY,
    write_result_data,
    write_scripts,
)
from benchmark_bilevel.report.site.searches import search_pages
from benchmark_bilevel.report.site.standings import ranking, standings
from benchmark_bilevel.report.site.texts import band, cost, listed, plain, scientific
from benchmark_bilevel.report.site.viewer import write_curves, write_viewer
from benchmark_bilevel.report.styles import style
from benchmark_bilevel.report.targets import TARGETS, target_text

MARK = b'<meta name="generator" content="benchmark_bilevel">'  # of all pages
LIST = ".site-files"  # what a site consists of: the next one replaces these files alone
STATIC = Path(__file__).parent / "static"
SHARED = (
    *("style.css", "favicon.svg"),
    *("sort.js", "matrix.js", "search.js", "copy.js"),
)


def build(paths, folder, benchmark, url="", site_url="", log=print):
    """Write the site for the result files `paths` into `folder`.

    Parameters
    ----------
    paths : sequence of path-like
    folder : path-like
        Created if need be. Once all files are there they replace those of an earlier
        site; files that are no part of it are left alone, and never replaced.
    benchmark : benchopt.benchmark.Benchmark
    url : str
        Where the repository is on the web; "" if nowhere.
    site_url : str
        Where the site itself will be; "" if that is not known.
    log : callable
        Told of each kind of page.

    Returns
    -------
    Path
        The index page.
    """
    folder = Path(folder).resolve()
    results = read(paths)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside the folder: on the same disk, where renaming is all that is left to do.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".site-") as beside:
        paths = sorted(map(Path, paths))
        _write_all(results, paths, Path(beside), benchmark, url, site_url, log)
        _replace(folder, Path(beside))
    return folder / "index.html"


def _replace(folder, beside):
    """Move the site in `beside` into `folder`, in place of an earlier one."""
    new = {path.relative_to(beside) for path in beside.rglob("*") if path.is_file()}
    (beside / LIST).write_text("".join(f"{path}\n" for path in sorted(new)), "utf-8")
    new.add(Path(LIST))
    pages = {page for page in folder.glob("*.html") if MARK in page.read_bytes()}
    earlier = {page.relative_to(folder) for page in pages}
    if (folder / LIST).is_file():
        lines = map(Path, (folder / LIST).read_text("utf-8").splitlines())
        # Whoever wrote the list, nothing outside of the folder is removed.
        own = {p for p in lines if not p.is_absolute() and ".." not in p.parts}
        earlier |= own | {Path(LIST)}
    elif Path("index.html") in earlier:  # of a version that kept no list
        earlier |= new
    foreign = sorted(path for path in new - earlier if (folder / path).exists())
    if foreign:
        raise click.ClickException(
            f"{folder / foreign[0]} is no part of a site and would be replaced: move it "
            "away, or choose another folder."
        )
    # Whatever ends this on its way, the next one knows all of the files.
    folder.mkdir(exist_ok=True)
    listed = "".join(f"{path}\n" for path in sorted(earlier | new))
    (folder / LIST).write_text(listed, "utf-8")
    for path in new - {Path(LIST)}:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(beside / path, folder / path)
    for path in earlier - new:
        (folder / path).unlink(missing_ok=True)
    shutil.move(beside / LIST, folder / LIST)


def _write_all(results, paths, folder, benchmark, url, site_url, log):
    for name in ("data/search", "figures"):
        (folder / name).mkdir(parents=True)
    for name in SHARED:
        shutil.copyfile(STATIC / name, folder / name)
    write_scripts(folder)
    write_viewer(folder)
    files = result_files(results, benchmark)
    path_of = {path.stem: path for path in paths}
    controls = {}
    for file in files:
        log(f"{path_of[file.name].name}: result page")
        shutil.copyfile(path_of[file.name], folder / file.data)
        controls[file.name] = write_result_data(file, folder, benchmark)

    log("figures")
    drawn, names = folder / "figures", FileNames()
    standing = {key: one for f in files for key, one in standings(f.results).items()}
    problems = problem_pages(results, files, drawn, names)
    solvers = solver_pages(results, problems, standing, benchmark, drawn, names)
    shares = draw_shares(results, drawn, names)
    searches = search_pages(files, benchmark, drawn, names)
    for page in searches.values():
        shutil.copyfile(page.table, folder / page.data)

    log("pages")
    groups = {page.name: page.group for page in solvers}
    blob = blob_address(benchmark.benchmark_dir, url)
    texts = guides(benchmark.benchmark_dir, blob)
    more = colophon(benchmark.benchmark_dir, blob)
    proofs = evidence(benchmark.benchmark_dir, blob)
    shared = {"files": files, "problems": problems, "solvers": solvers, "guides": texts}
    shared["searches"] = searches
    templates = _templates(url, {page.name: page.path for page in solvers})
    templates.globals |= {
        "blob": blob,
        "site_url": site_url,
        "colophon": [(text.title, text.path) for text in more],
        "evidence": proofs,
        "viewers": write_curves(problems, groups, folder, names),
    }
    pages = Pages(templates, shared)
    answer = _answer(results, problems, solvers, standing, searches)
    pages.add("index.html", "index.html", **answer, shares=shares)
    pages.add_all("problem.html", problems)
    pages.add_all("solver.html", solvers)
    pages.add_all("file.html", files)
    for file in files:
        own = {"page": file, "controls": controls[file.name]}
        pages.add(file.interactive, "result.html", **own)
    pages.add_all("search.html", searches.values())
    pages.add_all("guide.html", [*texts, *proofs, *more])
    if texts:
        pages.add("guides.html", "guides.html")
    suite = suite_bibtex(benchmark.benchmark_dir, url)
    papers = cited([*solvers, *problems])
    pages.add("cite.html", "cite.html", suite=suite, papers=papers)
    pages.write(folder, results_json(problems, files, url), site_url)


def _answer(results, problems, solvers, standing, searches):
    """What the index says first: the verdict and the matrix."""
    cases = [case for page in problems for case in page.cases]
    names = [case.name for case in cases]
    shown = {case.name: case.short for case in cases}
    paths = {page.name: page.path for page in solvers}

    def link(name):
        return Markup('<a href="{}"><b>{}</b></a>').format(paths[name], name)

    order = ranking(results, standing)
    unsearched = [shown[c.name] for c in cases if c.file.name not in searches]
    factors = [f"{k:.2g} on {shown[name]}" for name, k in resolutions(results).items()]
    return {
        "resolutions": listed(factors) if factors else "",
        "unsearched": listed(unsearched) if searches and unsearched else "",
        "cases": [(page, case) for page in problems for case in page.cases],
        "rows": matrix(order, names, standing),
        "verdict": verdict(names, standing, link, shown),
        "group_of": {page.name: page.group for page in solvers},
    }


def _templates(url, solver_paths):
    environment = Environment(
        loader=PackageLoader(__name__, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        color=lambda name: to_hex(style(name).color),
        code=code,
        cost=cost,
        doc=as_html,
        inline=inline,
        math=partial(from_latex, display="block"),
        scientific=scientific,
        target=target_text,
    )
    environment.globals.update(
        band=band,
        bands=BAND,
        groups=GROUPS,
        isfinite=math.isfinite,
        leaders=LEADERS,
        min_points=MIN_POINTS,
        nan=math.nan,
        others=OTHERS,
        plain=plain,
        scientific=scientific,
        policy=POLICY,
        rounding=ROUNDING,
        solver_paths=solver_paths,
        target_at_first=TARGET,
        targets=TARGETS,
        url=url,
        version=benchmark_bilevel.__version__,
    )
    return environment
