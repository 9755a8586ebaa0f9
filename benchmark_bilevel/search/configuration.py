"""The configuration that a search writes: its winners, and how they were chosen."""

import textwrap

import yaml

from benchmark_bilevel.search.protocol import choice
from benchmark_bilevel.search.spaces import edges

HEADER = """\
Written by `python -m benchmark_bilevel search {path}`; not edited by hand.
{comment}
{trials} scrambled Sobol trials a solver, {calls:.3g} oracle calls each; lowest
{score} at the end, median of three seeds over the four best; winners do not diverge
on 20 further seeds. All trials: results/search/{name}.parquet.
1/L = {units.inner:.4g}, 1/‖∇h(x0)‖∞ = {units.outer:.4g}.
"""


def configuration(specification, store):
    """Text of ``config/NAME.yml``; solvers whose trials all diverge are named in it."""
    solvers, notes = [], []
    for name, solver in specification.solver_classes.items():
        chosen = choice(store, name)
        if chosen is None:
            notes.append(f"{name}: every trial diverged, it runs with its defaults.")
            parameters = {}
        else:
            parameters = specification.trials_of(name)[chosen.trial]
            notes += _at_edge(solver, parameters, specification.units)
        budget = {"max_oracle_calls": float(specification.oracle_calls)}
        unlimited = {"max_seconds": float("inf")}
        solvers.append(
            {name: {**specification.fixed, **parameters, **budget, **unlimited}}
        )
    header = HEADER.format(
        path=f"config/search/{specification.path.name}",
        comment=specification.comment.strip(),
        trials=specification.trials,
        calls=specification.oracle_calls,
        score=specification.score,
        name=specification.name,
        units=specification.units,
    )
    content = {
        "objective": [specification.objective],
        "dataset": [specification.dataset],
        "solver": solvers,
        "n-repetitions": specification.repetitions,
        "timeout": "24h",
        "output": specification.name,
    }
    lines = [line for line in header.splitlines() if line] + notes
    return textwrap.indent("\n".join(lines), "# ") + "\n" + yaml.safe_dump(
        content, sort_keys=False, allow_unicode=True
    )  # fmt: skip


def _at_edge(solver, parameters, units, margin=0.03):
    """A note for each parameter that won at an edge of its range."""
    return [
        f"{solver.name}: {name} is at the {'lower' if share < 0.5 else 'upper'} edge."
        for name, share in edges(solver, parameters, units).items()
        if not margin <= share <= 1 - margin
    ]
