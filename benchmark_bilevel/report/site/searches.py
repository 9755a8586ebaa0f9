"""The pages of searches for parameters of a result file."""

from dataclasses import dataclass
from pathlib import Path

from benchmark_bilevel.report.searches import Search, read_search
from benchmark_bilevel.report.site.drawings import Picture, draw_search
from benchmark_bilevel.report.site.files import File


@dataclass
class SearchPage:
    """The search beside a result file."""

    file: File
    path: str
    data: str
    table: Path  # of which `data` is a copy
    search: Search
    best: Picture
    planes: dict  # of `Picture`, by solver
    sources: list  # names of the searches whose winners were run here

    @property
    def name(self):
        return self.file.name


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
            data=f"data/search-{file.slug}.parquet",
            table=known[file.name],
            search=search,
            best=best,
            planes=planes,
            sources=list(sources),
        )
    return pages
