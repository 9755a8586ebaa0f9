"""Table of all that oracles return: how far off in either runtime, on every problem.

    python benchmarks/hooks.py

Largest relative errors on small instances, "autograd / kernels": the means over all
batches against derivatives of the full losses, and the kernels, where there are any, on
each batch against autograd. Steps of x have no means, and sparse data have kernels only
to be looked at.
"""

from collections import defaultdict

import click
import numpy as np

from benchmark_bilevel.verification.cases import small_problems, small_sparse
from benchmark_bilevel.verification.probe import NAMES
from benchmark_bilevel.verification.problems import block_errors, mean_errors


@click.command(help=__doc__.split("\n\n")[0])
def main():
    columns = {
        problem.name: _entries(mean_errors(problem), _kernel_errors(problem))
        for problem in small_problems()
    }
    columns["sparse data"] = _entries([], _kernel_errors(small_sparse()))
    click.echo(f"| | {' | '.join(columns)} |\n|{'---|' * (1 + len(columns))}")
    for name in NAMES:
        entries = " | ".join(column.get(name, "–") for column in columns.values())
        name = name.replace("|", "\\|")
        click.echo(f"| {name} | {entries} |")


def _kernel_errors(problem):
    if problem.kernels is None:
        return []
    return ((name, error) for name, _, error in block_errors(problem))


def _entries(*errors):
    """The largest of either kind of errors, by the names of the rows."""
    largest = [defaultdict(float) for _ in errors]
    for found, pairs in zip(largest, errors, strict=True):
        for name, error in pairs:
            found[name] = np.maximum(found[name], error)
    return {
        name: " / ".join(
            f"{part[name]:.0e}" if name in part else "–" for part in largest
        )
        for name in set().union(*largest)
    }


if __name__ == "__main__":
    main()
