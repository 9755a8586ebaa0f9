"""Table of all solvers: where each rests, predicted and found, counts, runtimes, lines.

    python benchmarks/verification.py [--solver soba] [--problem quadratic]

Rows of a Markdown table, that of ``results/VERIFICATION.md``, from the checks of
`python -m benchmark_bilevel check`. A column a problem has the largest relative
difference of the two runtimes after 12 iterations, or why the solver is skipped there.
Compiling takes nearly all the time: five minutes for all solvers on `quadratic`, as much
for each other problem, less once numba's cache has it.
"""

import re
from pathlib import Path

import click

from benchmark_bilevel.faults import line_of
from benchmark_bilevel.methods.directions import Moved
from benchmark_bilevel.oracles import COUNTS
from benchmark_bilevel.solver import BilevelSolver
from benchmark_bilevel.verification import Failed, NotDeclared, conduct
from benchmark_bilevel.verification.cases import Subject, small_problems, small_sparse
from benchmark_bilevel.verification.counting import counts
from benchmark_bilevel.verification.limits import limit
from benchmark_bilevel.verification.plugin import load

FILES = sorted((Path(__file__).parents[1] / "solvers").glob("[!_]*.py"))
# By the last part of their names, so that the table fits a page.
PROBLEMS = {p.name.rpartition("-")[2]: p for p in small_problems() if p.kernels}
PROBLEMS["sparse"] = small_sparse()
CALLS = dict(zip(COUNTS, ("∇f", "∇z g", "∇x g", "H v", "J v", "values"), strict=True))


@click.command(help=__doc__.split("\n\n")[0])
@click.option("--solver", "solvers", multiple=True, help="Stem of a file; all if none.")
@click.option("--problem", "problems", multiple=True, type=click.Choice(list(PROBLEMS)))
def main(solvers, problems):
    problems = problems or list(PROBLEMS)
    columns = ("solver", "a long run ends at", "calls of an iteration")
    columns += (*problems, "lines")
    print(_line(*columns), "|---" * len(columns) + "|", sep="\n")
    for path in FILES:
        if path.stem in (solvers or (path.stem,)):
            found = _found(load(path).Solver, problems)
            n_lines = len(path.read_text().splitlines())
            print(_line(path.stem, *found, str(n_lines)), flush=True)


def _line(*cells):
    return f"| {' | '.join(cells)} |"


def _found(solver, problems):
    if not issubclass(solver, BilevelSolver):
        return ("exact evaluations, no step", *["–"] * (1 + len(problems)))
    subject = Subject(solver)
    runtimes = (_runtimes(subject, PROBLEMS[name]) for name in problems)
    calls = re.sub(
        r"\w+", lambda word: CALLS.get(word[0], word[0]), _text(counts, subject)
    )
    return _text(limit, subject), calls, *runtimes


def _runtimes(subject, problem):
    skipped, reason = subject.instance().skip(problem)
    if skipped:
        return f"skipped: {reason}"
    try:
        found = _text(conduct.runtimes, subject, [problem])
    except Moved as refusal:
        return f"refused: {line_of(refusal)}"
    return found.removeprefix("largest relative difference ")


def _text(check, *arguments):
    try:
        return check(*arguments)
    except NotDeclared:  # HOAG's depend on the run
        return "not declared"
    except Failed as failure:
        return f"**fails**: {failure}"


if __name__ == "__main__":
    main()
