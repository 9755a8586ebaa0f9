"""What the pages say: facts taken from the result files and from the code."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmark_bilevel.fingerprint import fingerprint
from benchmark_bilevel.problems import PROBLEMS
from benchmark_bilevel.report.curves import unknown
from benchmark_bilevel.report.names import FileNames
from benchmark_bilevel.report.origins import (
    codes_of,
    made_by,
    provenance_of,
    repeat_command,
    seeds_of,
)
from benchmark_bilevel.report.results import Ends, accuracy_of_reference
from benchmark_bilevel.report.site.drawings import (
    draw_problem,
    draw_solver,
    main_metric,
)
from benchmark_bilevel.report.site.standings import standings
from benchmark_bilevel.report.tables import summary

MACHINE = {
    "processor": "system-processor",
    "CPUs": "system-cpus",
    "memory [GB]": "system-ram (GB)",
    "platform": "platform",
    "kernel": "platform-release",
    "OMP_NUM_THREADS": "env-OMP_NUM_THREADS",
    "CUDA": "version-cuda",
}


@dataclass
class File:
    """A result file: where its pages are, and how it was made."""

    name: str
    slug: str  # of its pages
    n_runs: int
    ends: Ends
    date: str
    made_by: str  # which code, in one line
    current: bool  # whether it was this code alone
    commands: list
    config: str  # text of the run configuration that is committed under this name
    environments: list  # pairs of a table of facts and the number of its runs
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
        return f"data/{self.slug}.js"


@dataclass
class Case:
    """A problem on a data set, in one result file."""

    name: str
    anchor: str
    file: File
    table: pd.DataFrame
    has_reference: bool
    accuracy: float
    curves: bool  # whether the figures are curves, and not the ends of the runs
    figures: list
    unknown: list  # titles of what is known at too few points for a figure


@dataclass
class ProblemPage:
    name: str
    path: str
    text: str
    cases: list


@dataclass
class SolverPage:
    name: str
    path: str
    text: str
    source: str
    source_path: str
    rows: list

    @property
    def summary(self):
        """The first line of its text, without the name."""
        return self.text.strip().partition("\n")[0].split(": ", 1)[-1]


def result_files(results, folder):
    """A `File` for each result file, in alphabetical order."""
    slugs = FileNames()
    return [
        _file(name, rows, Path(folder), slugs(name))
        for name, rows in results.groupby("file")
    ]


def _file(name, rows, folder, slug):
    config = _text_below(folder / "config", f"{name}.yml")
    commands = [f"benchopt run . --config config/{name}.yml"] if config else []
    commands += [
        shlex.join(repeat_command(runs))
        for _, runs in rows.groupby("problem", sort=False)
    ]
    columns = ["problem", "label", "variant"]
    runs = [
        dict(zip(columns, keys, strict=True), ends=Ends.of(group))
        for keys, group in rows.groupby(columns, sort=False)
    ]
    ends = Ends.of(rows)
    facts = {
        "seed": ", ".join(seeds_of(rows)),
        "date": ", ".join(sorted({date[:10] for date in _texts(rows, "run_date")})),
    }
    return File(
        name=name,
        slug=slug,
        n_runs=ends.n_runs,
        ends=ends,
        date=max(_texts(rows, "run_date"), default="")[:10],
        made_by=made_by(rows),
        current={code.fingerprint for code, _ in codes_of(rows)} == {fingerprint()},
        commands=commands,
        config=config,
        environments=[
            ({**facts, **_machine(rows), **_flat(record)}, n_runs)
            for record, n_runs in provenance_of(rows)
        ],
        runs=pd.DataFrame(runs),
    )


def _text_below(folder, path):
    """The text of the file `path` if it lies below `folder`, by whatever links; or "".

    The path may come from a result file of anyone's, and could name any file.
    """
    try:
        real = (folder / path).resolve()
        inside = real.is_relative_to(folder.resolve()) and real.is_file()
        return real.read_text(encoding="utf-8") if inside else ""
    except (OSError, ValueError):
        return ""


def _texts(rows, column):
    values = rows[column].dropna() if column in rows else []
    return list(dict.fromkeys(map(str, values)))


def _machine(rows):
    found = {name: ", ".join(_texts(rows, column)) for name, column in MACHINE.items()}
    return {name: text for name, text in found.items() if text}


def _flat(record):
    """Provenance with text for its lists."""
    flat = {str(name): _fact(value) for name, value in record.items()}
    if isinstance(pools := record.get("blas"), list):
        flat["blas"] = "; ".join(map(_pool, pools))
    return flat


def _fact(value):
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _pool(pool):
    """A BLAS library and its threads, as threadpoolctl tells of it."""
    try:
        return (
            f"{pool['internal_api']} {pool['version']}, {pool['num_threads']} threads"
        )
    except (KeyError, TypeError):  # a stranger's
        return str(pool)


def problem_pages(results, files, folder, names):
    """A `ProblemPage` for each class of problems; its figures go to `folder`."""
    by_name = {file.name: file for file in files}
    pages = []
    for kind, rows in results.groupby("kind", sort=False):
        cases = [
            Case(
                name=case,
                anchor=names("case", case),
                file=by_name[runs["file"].iloc[0]],
                table=summary(results, case),
                has_reference=bool(runs["objective_suboptimality"].notna().any()),
                accuracy=accuracy_of_reference(runs),
                curves=main_metric(results, case) is not None,
                figures=draw_problem(results, case, folder, names),
                unknown=unknown(results, case),
            )
            for case, runs in rows.groupby("problem", sort=False)
        ]
        known = PROBLEMS.get(rows["p_obj_problem"].iloc[0])
        text = (known.__doc__ or "") if known else ""
        pages.append(ProblemPage(kind, f"{names('problem', kind)}.html", text, cases))
    return pages


def solver_pages(results, problems, benchmark_folder, folder, names):
    """A `SolverPage` for each solver, whatever its parameters; figures go to `folder`."""
    standing = standings(results)
    benchmark_folder = Path(benchmark_folder)
    cases = [(page, case) for page in problems for case in page.cases]
    pages = []
    for name, rows in results.groupby("solver", sort=False):
        # benchopt gives it relative to the benchmark's folder, where it is below that.
        path = Path(rows["file_solver"].iloc[-1])
        source = _text_below(benchmark_folder / "solvers", benchmark_folder / path)
        own = [
            {
                "page": page,
                "case": case,
                "figure": draw_solver(results, name, case.name, folder, names),
                **standing[case.name, name],
            }
            for page, case in cases
            if (case.table["solver"] == name).any()
        ]
        pages.append(
            SolverPage(
                name=name,
                path=f"{names('solver', name)}.html",
                text=rows["solver_description"].iloc[-1],
                source=_without_docstring(source),
                source_path=path.as_posix(),
                rows=own,
            )
        )
    return pages


def _without_docstring(code):
    return re.sub(r'\n    """.*?"""\n\n', "\n", code, count=1, flags=re.DOTALL)
