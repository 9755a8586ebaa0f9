"""What the pages say: facts taken from the result files and from the code."""

import math
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmark_bilevel.problems import PROBLEMS
from benchmark_bilevel.report.figures import file_name
from benchmark_bilevel.report.results import (
    accuracy_of_reference,
    provenance_of,
    repeat_command,
)
from benchmark_bilevel.report.targets import (
    FINE_TARGETS,
    best_variants,
    reached,
    summary,
)

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
    problems: list
    n_curves: int
    n_runs: int
    date: str
    commands: list
    config: str  # text of the run configuration that is committed under this name
    config_path: str
    environments: list
    seeds: list
    runs: pd.DataFrame

    @property
    def path(self):
        return f"file-{file_name(self.name)}.html"

    @property
    def interactive(self):
        return f"result-{file_name(self.name)}.html"

    @property
    def data(self):
        return f"data/{self.name}.parquet"


@dataclass
class Case:
    """A problem on a data set, in one result file."""

    name: str
    file: str
    table: pd.DataFrame
    has_reference: bool
    accuracy: float


@dataclass
class ProblemPage:
    name: str
    text: str
    cases: list

    @property
    def path(self):
        return f"problem-{file_name(self.name)}.html"


@dataclass
class SolverPage:
    name: str
    text: str
    source: str
    source_path: str
    rows: list

    @property
    def path(self):
        return f"solver-{file_name(self.name)}.html"


def result_files(results, folder):
    """A `File` for each result file, in alphabetical order."""
    return [_file(name, rows, Path(folder)) for name, rows in results.groupby("file")]


def _file(name, rows, folder):
    relative = (
        f"config/{name}.yml" if (folder / "config" / f"{name}.yml").exists() else ""
    )
    commands = [f"benchopt run . --config {relative}"] if relative else []
    commands += [
        shlex.join(repeat_command(runs))
        for _, runs in rows.groupby("problem", sort=False)
    ]
    columns = ["problem", "label", "solver_name"]
    runs = rows.groupby(columns, sort=False)["idx_rep"].nunique()
    return File(
        name=name,
        problems=rows["problem"].unique().tolist(),
        n_curves=len(runs),
        n_runs=int(runs.sum()),
        date=str(rows["run_date"].max())[:10],
        commands=commands,
        config=(folder / relative).read_text() if relative else "",
        config_path=relative,
        environments=[
            {**_machine(rows), **_flat(record)} for record in provenance_of(rows)
        ],
        seeds=rows["base_seed"].unique().tolist(),
        runs=runs.rename("n_runs").reset_index(),
    )


def _machine(rows):
    found = {}
    for name, column in MACHINE.items():
        values = rows[column].dropna().unique() if column in rows else []
        if len(values):
            found[name] = ", ".join(map(str, values))
    return found


def _flat(record):
    """Provenance with text for its lists."""
    flat = dict(record)
    flat["blas"] = "; ".join(
        f"{pool['internal_api']} {pool['version']}, {pool['num_threads']} threads"
        for pool in record["blas"]
    )
    flat["cpu_features"] = " ".join(record["cpu_features"])
    return flat


def problem_pages(results):
    """A `ProblemPage` for each class of problems."""
    pages = []
    for name, rows in results.groupby("p_obj_problem", sort=False):
        cases = [
            Case(
                name=case,
                file=runs["file"].iloc[0],
                table=summary(runs, case),
                has_reference=bool(runs["objective_suboptimality"].notna().any()),
                accuracy=accuracy_of_reference(runs),
            )
            for case, runs in rows.groupby("problem", sort=False)
        ]
        pages.append(ProblemPage(name, PROBLEMS[name].__doc__, cases))
    return pages


def solver_pages(results, folder):
    """A `SolverPage` for each solver, whatever its parameters."""
    table = best_variants(reached(results))
    pages = []
    for name, rows in results.groupby("solver", sort=False):
        path = rows["file_solver"].iloc[-1]
        source = Path(folder) / path
        pages.append(
            SolverPage(
                name=name,
                text=rows["solver_description"].iloc[-1],
                source=_without_docstring(source) if source.is_file() else "",
                source_path=Path(path).as_posix(),
                rows=_solver_rows(name, results, table),
            )
        )
    return pages


def _without_docstring(path):
    return re.sub(
        r'\n    """.*?"""\n\n', "\n", path.read_text(), count=1, flags=re.DOTALL
    )


def _solver_rows(solver, results, table):
    """A dict for each problem on which `solver` ran, with its best parameters there."""
    rows = []
    for problem, runs in results.groupby("problem", sort=False):
        if not (runs["solver"] == solver).any():
            continue
        ends = table[(table["problem"] == problem)].drop_duplicates(
            ["solver", "idx_rep"]
        )
        row = {"problem": problem, "kind": runs["p_obj_problem"].iloc[0]}
        if ends.empty:  # no reference: nothing is best
            rows.append({**row, "ranked": False})
            continue
        medians = ends.groupby("solver")["final"].median()
        own = table[(table["problem"] == problem) & (table["solver"] == solver)]
        costs = own.groupby("target")["seconds"].median()
        rows.append(
            {
                **row,
                "ranked": True,
                "rank": int((medians < medians[solver]).sum()) + 1,
                "n_solvers": len(medians),
                "median": medians[solver] / own["initial"].iloc[0],
                "costs": costs.to_dict(),
                "name": own["solver_name"].iloc[0],
            }
        )
    return rows


def ranking(results):
    """Solvers by the share of targets that they reach; a dict with rows and columns.

    Each problem weighs the same. ``gaps`` has the median of the final suboptimality
    relative to the initial one.
    """
    table = best_variants(reached(results, FINE_TARGETS))
    names = table["problem"].unique().tolist()
    rows = []
    for solver, runs in table.groupby("solver"):
        hits = np.isfinite(runs["seconds"]).groupby(runs["problem"]).mean()
        relative = (runs["final"] / runs["initial"]).groupby(runs["problem"]).median()
        rows.append(
            {
                "solver": solver,
                "share": hits.sum() / len(names),
                "gaps": [relative.get(name, math.nan) for name in names],
            }
        )
    rows.sort(key=lambda row: -row["share"])
    left_out = [name for name in results["problem"].unique() if name not in names]
    return {"problems": names, "rows": rows, "left_out": left_out}
