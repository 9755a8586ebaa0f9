"""The pages of searches for parameters of a result file."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmark_bilevel.report.metrics import FURTHER, METRICS, metric_on
from benchmark_bilevel.report.results import titles
from benchmark_bilevel.report.searches import Search, read_search
from benchmark_bilevel.report.site.drawings import Picture, draw_search
from benchmark_bilevel.report.site.files import File, text_below


@dataclass
class SearchPage:
    """The search beside a result file."""

    file: File
    path: str
    data: str
    table: Path  # of which `data` is a copy
    search: Search
    score: str  # what decides
    best: Picture
    planes: dict  # of `Picture`, by solver
    sources: list  # names of the searches whose winners were run here

    @property
    def name(self):
        return self.file.name

    @property
    def title(self):
        """Of the problem that was searched on."""
        return " and ".join(titles(self.file.results).values())


def search_pages(files, benchmark, folder, names):
    """From the names of `files` to the `SearchPage` of each that was searched for.

    Parameters
    ----------
    files : list of files.File
    benchmark : benchopt.benchmark.Benchmark
    folder : Path
        For the figures.
    names : FileNames
    """
    tables = Path(benchmark.benchmark_dir) / "results" / "search"
    known = {path.stem: path for path in tables.glob("*.parquet")}
    pages = {}
    for file in files:
        search = read_search(known[file.name]) if file.name in known else None
        if search is None:
            continue
        best, planes = draw_search(search, folder, names)
        sources = dict.fromkeys(
            name for one in search.solvers for name in one.transfers
        )
        pages[file.name] = SearchPage(
            file=file,
            path=f"{names('search', file.name)}.html",
            data=f"data/search/{file.slug}.parquet",
            table=known[file.name],
            search=search,
            score=_score(file, benchmark, search),
            best=best,
            planes=planes,
            sources=list(sources),
        )
    return pages


def _score(file, benchmark, search):
    """What was minimised, for readers: as ``config/search/`` says, h if it does not."""
    if search.has_reference:
        return "suboptimality"
    folder = Path(benchmark.benchmark_dir) / "config" / "search"
    try:
        content = yaml.safe_load(text_below(folder, f"{file.name}.yml"))
    except yaml.YAMLError:
        content = None
    content = content if isinstance(content, dict) else {}
    name = str(content.get("score", "value"))
    if name not in {**METRICS, **FURTHER}:
        return name
    return metric_on(file.results, next(iter(titles(file.results))), name).title
