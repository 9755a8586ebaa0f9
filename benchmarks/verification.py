"""Table of all solvers: where each rests, predicted and found, counts, runtimes, lines.

    python benchmarks/verification.py [--solver soba] [--all-problems]

Rows of a Markdown table, from the checks of `python -m benchmark_bilevel check`. With
``--all-problems`` the runtimes are compared wherever there are kernels: an hour.
"""

from pathlib import Path

import click

from benchmark_bilevel.solver import BilevelSolver
from benchmark_bilevel.verification import Failed, NotDeclared, conduct, counting
from benchmark_bilevel.verification.cases import Subject, small_problems
from benchmark_bilevel.verification.limits import limit
from benchmark_bilevel.verification.plugin import load

FILES = sorted((Path(__file__).parents[1] / "solvers").glob("[!_]*.py"))
COLUMNS = ("solver", "a long run ends at", "calls of an iteration", "runtimes", "lines")


@click.command(help=__doc__.split("\n\n")[0])
@click.option("--solver", "solvers", multiple=True, help="Stem of a file; all if none.")
@click.option("--all-problems", is_flag=True)
def main(solvers, all_problems):
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for path in FILES:
        solver = load(path).Solver
        is_chosen = path.stem in (solvers or (path.stem,))
        if is_chosen and issubclass(solver, BilevelSolver):
            print(f"| {' | '.join(_row(solver, path, all_problems))} |", flush=True)


def _row(solver, path, all_problems):
    subject, problems = Subject(solver), None
    if all_problems:
        problems = [
            p for p in small_problems() if p.kernels and not _skipped(solver, p)
        ]
    return (
        solver.name,
        _text(limit, subject),
        _text(counting.counts, subject),
        _text(conduct.runtimes, subject, problems),
        str(len(path.read_text().splitlines())),
    )


def _skipped(solver, problem):
    return solver.get_instance().skip(problem)[0]


def _text(check, *arguments):
    try:
        return check(*arguments)
    except NotDeclared as missing:
        return f"not declared: {missing}"
    except Failed as failure:
        return f"**fails**: {failure}"


if __name__ == "__main__":
    main()
