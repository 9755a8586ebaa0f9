"""The pages of result files: how their runs were made."""

import shlex
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmark_bilevel.fingerprint import fingerprint
from benchmark_bilevel.report.configuration import differences
from benchmark_bilevel.report.facts import facts
from benchmark_bilevel.report.names import FileNames
from benchmark_bilevel.report.origins import codes_of, made_by, repeat_command
from benchmark_bilevel.report.results import RUN, Ends

OPTIONS = ("-d", "-o", "-s", "-r")
RUN_TOGETHER = ["problem", "base_seed"]  # by one command


@dataclass
class File:
    """A result file: where its pages are, and how it was made."""

    name: str
    results: pd.DataFrame  # all its rows: one object, of which much is remembered
    slug: str  # of its pages
    n_runs: int
    ends: Ends
    date: str
    made_by: str  # which code, in one line
    current: bool  # whether it was this code alone
    commands: list  # that repeat the runs, one a problem and seed
    config: str  # text of the configuration that is committed under this name
    differences: list  # lines: what that configuration asks for and the runs are not
    facts: list
    runs: pd.DataFrame

    @property
    def path(self):
        return f"file-{self.slug}.html"

    @property
    def interactive(self):
        return f"result-{self.slug}.html"

    @property
    def data(self):
        return f"data/{self.slug}.parquet"

    @property
    def script(self):
        """What the interactive page draws."""
        return f"data/result-{self.slug}.js"


def result_files(results, benchmark):
    """A `File` for each result file, in alphabetical order."""
    slugs = FileNames()
    return [
        _file(name, rows, benchmark, slugs(name))
        for name, rows in results.groupby("file")
    ]


def _file(name, rows, benchmark, slug):
    config = text_below(Path(benchmark.benchmark_dir) / "config", f"{name}.yml")
    first = rows.drop_duplicates(RUN)
    columns = ["title", "label", "variant"]
    runs = [
        dict(zip(columns, keys, strict=True), ends=Ends.of(group), speed=_speed(group))
        for keys, group in rows.groupby(columns, sort=False)
    ]
    ends = Ends.of(rows)
    dates = [str(date)[:10] for date in first.get("run_date", pd.Series()).dropna()]
    return File(
        name=name,
        results=rows,
        slug=slug,
        n_runs=ends.n_runs,
        ends=ends,
        date=max(dates, default=""),
        made_by=made_by(rows),
        current={code.fingerprint for code, _ in codes_of(rows)} == {fingerprint()},
        commands=[
            _command(repeat_command(runs))
            for _, runs in first.groupby(RUN_TOGETHER, sort=False, dropna=False)
        ],
        config=config,
        differences=differences(benchmark, config, first) if config else [],
        facts=facts(rows),
        runs=pd.DataFrame(runs),
    )


def _speed(runs):
    """Iterations a second: the median of the runs, NaN where none is known."""
    last = runs.drop_duplicates(RUN, keep="last")
    speeds = last["objective_iterations"] / last["time"].where(last["time"] > 0)
    return speeds.median()


def _command(arguments):
    """For a shell, each option on a line of its own."""
    lines = "\\\n    "
    return " ".join(
        (lines if argument in OPTIONS else "") + shlex.quote(argument)
        for argument in arguments
    )


def text_below(folder, path):
    """The text of the file `path` if it lies below `folder`, by whatever links; or "".

    The path may come from a result file of anyone's, and could name any file.
    """
    try:
        real = (folder / path).resolve()
        inside = real.is_relative_to(folder.resolve()) and real.is_file()
        return real.read_text(encoding="utf-8") if inside else ""
    except (OSError, ValueError):
        return ""
