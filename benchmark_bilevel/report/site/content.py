"""What the pages of problems and solvers say: from the result files and the code."""

import ast
import math
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from benchmark_bilevel.problems import PROBLEMS
from benchmark_bilevel.report.curves import curves, unknown
from benchmark_bilevel.report.declared import (
    calls_of,
    estimate_text,
    properties_of,
    verified,
)
from benchmark_bilevel.report.groups import group_of
from benchmark_bilevel.report.metrics import FURTHER, METRICS, known, metric_on
from benchmark_bilevel.report.names import title
from benchmark_bilevel.report.panels import LEADERS, main_metric
from benchmark_bilevel.report.reading import what_is_below
from benchmark_bilevel.report.results import ROUNDING, accuracy_of_reference
from benchmark_bilevel.report.settings import Settings, settings_of, settings_on
from benchmark_bilevel.report.site.drawings import (
    Picture,
    draw_learnt,
    draw_problem,
    draw_solver,
    draw_steps,
    draw_variants,
)
from benchmark_bilevel.report.site.files import File, text_below
from benchmark_bilevel.report.site.texts import listed
from benchmark_bilevel.report.tables import best_rows, summary
from benchmark_bilevel.report.targets import TARGETS


@dataclass
class Case:
    """A problem on a data set, in one result file."""

    name: str
    title: str
    anchor: str
    file: File
    table: pd.DataFrame  # of all parameters
    best: pd.DataFrame  # each solver with its best parameters
    has_reference: bool
    accuracy: float
    below: str  # which run is below h*, as a sentence; "" if none is
    metric: str | None  # of the curves; None: the figures are the ends of the runs
    metrics: dict  # `Metric` by column of the table, but suboptimality
    targets: list  # those that some solver reaches
    pictures: dict
    steps: Picture | None  # ends against the step size
    variants: dict  # of `Picture` of all parameters, by solver
    learnt: tuple  # `Picture` of images or None, and the label of their run
    settings: Settings
    unknown: list  # titles of what is known at too few points for curves
    undrawn: list  # solvers of whose runs that is so

    @property
    def short(self):
        """Without the class of problems where most data sets belong to it."""
        return self.title.removeprefix(f"{title('hyperparameter-selection')} · ")

    @property
    def is_found(self):
        """Whether h* is the lowest of what was found, not from a closed form."""
        return self.accuracy > ROUNDING

    @property
    def repetitions(self):
        """How many there are, in words."""
        n_runs = [ends.n_runs for ends in self.best["ends"]]
        if max(n_runs) == 1:
            return "one repetition"
        more = f"{min(n_runs)} to " if min(n_runs) < max(n_runs) else ""
        return f"{more}{max(n_runs)} repetitions"

    @property
    def thumbnail(self):
        """The first picture, small; None if there is none."""
        return next((picture.small for picture in self.pictures.values()), None)

    @property
    def result(self):
        """In one sentence, for those who do not see the figures."""
        ordered = [row["ends"].title(row["solver"]) for _, row in self.best.iterrows()]
        more = len(ordered) - LEADERS
        shown = ordered[:LEADERS] + ([f"{more} more"] if more > 0 else [])
        return f"The lowest end first, after all others what diverged: {listed(shown)}."


@dataclass
class ProblemPage:
    name: str
    title: str
    path: str
    text: str
    cases: list


@dataclass
class SolverPage:
    name: str
    path: str
    group: str
    text: str
    source: str
    source_path: str
    rows: list  # dicts: page, case, figure, standing
    targets: list
    settings: list  # of `settings_of`, a value for each of `rows`
    calls: dict  # of an iteration, by what is asked for
    estimate: str  # as it is declared
    properties: list  # sentences
    verified: dict  # texts, by what was looked for

    @property
    def summary(self):
        """The first line of its text, without the name."""
        return self.text.strip().partition("\n")[0].split(": ", 1)[-1]

    @property
    def ranks(self):
        """Pairs of a rank and the cases where it has it, the best first."""
        found = {}
        for row in self.rows:
            if row["standing"].rank and row["standing"].n_solvers > 1:
                found.setdefault(row["standing"].rank, []).append(row["case"])
        return sorted(found.items())


def problem_pages(results, files, folder, names):
    """A `ProblemPage` for each class of problems; its figures go to `folder`."""
    by_name = {file.name: file for file in files}
    pages = []
    for kind, rows in results.groupby("kind", sort=False):
        cases = [
            _case(case, by_name[name], folder, names)
            for name, case in rows[["file", "problem"]].drop_duplicates().to_numpy()
        ]
        found = PROBLEMS.get(rows["p_obj_problem"].iloc[0])
        text = (found.__doc__ or "") if found else ""
        path = f"{names('problem', kind)}.html"
        pages.append(ProblemPage(kind, title(kind), path, text, cases))
    return pages


def _case(case, file, folder, names):
    results = file.results
    runs = results[results["problem"] == case]
    table = summary(results, case)
    has_reference = bool(runs["objective_suboptimality"].notna().any())
    shown = known(runs, {"test_accuracy": METRICS["test_accuracy"], **FURTHER})
    if not has_reference:
        shown = [*known(runs, {"value": METRICS["value"]}), *shown]
    return Case(
        name=case,
        title=runs["title"].iloc[0],
        anchor=names("case", case),
        file=file,
        table=table,
        best=best_rows(results, case),
        has_reference=has_reference,
        accuracy=accuracy_of_reference(runs),
        below=what_is_below(case, runs),
        metric=main_metric(results, case),
        metrics={name: metric_on(results, case, name) for name in shown},
        targets=[
            target
            for target in TARGETS
            if has_reference and table["seconds", target].map(math.isfinite).any()
        ],
        pictures=draw_problem(results, case, folder, names),
        steps=draw_steps(results, case, folder, names),
        variants=draw_variants(results, case, folder, names),
        learnt=draw_learnt(results, case, folder, names),
        settings=settings_on(results, case),
        unknown=unknown(results, case),
        undrawn=_undrawn(results, case),
    )


def _undrawn(results, case):
    metric, best = main_metric(results, case), set(best_rows(results, case)["name"])
    found = curves(results, case, metric, "seconds") if metric else []
    return [curve.solver for curve in found if curve.name in best and not curve.x.size]


def solver_pages(results, problems, standing, benchmark, folder, names):
    """A `SolverPage` for each solver, whatever its parameters; figures go to `folder`."""
    benchmark_folder = Path(benchmark.benchmark_dir)
    classes = {solver.name: solver for solver in benchmark.get_solvers()}
    cases = [(page, case) for page in problems for case in page.cases]
    found = verified(benchmark_folder)
    pages = []
    for name, rows in results.groupby("solver", sort=False):
        # benchopt gives it relative to the benchmark's folder, where it is below that.
        path = Path(rows["file_solver"].iloc[-1])
        source = text_below(benchmark_folder / "solvers", benchmark_folder / path)
        own = [
            {
                "page": page,
                "case": case,
                "figure": draw_solver(
                    case.file.results, name, case.name, folder, names
                ),
                "standing": standing[case.name, name],
            }
            for page, case in cases
            if (case.name, name) in standing
        ]
        ran_on = [(row["case"].file.results, row["case"].name) for row in own]
        reached = {target for row in own for target in row["case"].targets}
        pages.append(
            SolverPage(
                name=name,
                path=f"{names('solver', name)}.html",
                group=group_of(classes.get(name)),
                text=rows["solver_description"].iloc[-1],
                source=_without_docstring(source),
                source_path=path.as_posix(),
                rows=own,
                targets=sorted(reached, reverse=True),
                settings=settings_of(name, ran_on, classes.get(name)),
                calls=calls_of(classes.get(name)),
                estimate=estimate_text(classes.get(name)),
                properties=properties_of(classes.get(name)),
                verified=found.get(path.stem, {}),
            )
        )
    return pages


def _without_docstring(code):
    """The `code` of a solver without the text of its class, nor the line after that."""
    try:
        parts = ast.parse(code).body
    except SyntaxError:
        return code
    lines = code.splitlines(keepends=True)
    for part in parts:
        is_solver = isinstance(part, ast.ClassDef) and part.name == "Solver"
        if is_solver and ast.get_docstring(part) is not None:
            start, end = part.body[0].lineno - 1, part.body[0].end_lineno
            end += not "".join(lines[end : end + 1]).strip()
            del lines[start:end]
    return "".join(lines)
