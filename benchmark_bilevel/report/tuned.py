"""What searched parameters, defaults and those of another search cost to each target."""

import json
from pathlib import Path

import numpy as np

from benchmark_bilevel.report.results import ends_by_variant, prepare, titles
from benchmark_bilevel.report.tables import summary
from benchmark_bilevel.search.cells import is_run
from benchmark_bilevel.search.protocol import choice
from benchmark_bilevel.search.store import TRANSFER, Store

TARGETS = (1e-1, 1e-2, 1e-3, 1e-4)  # of the gap at the start
AXES = ("oracle calls", "seconds")
TUNED, DEFAULTS = "tuned", "defaults"


def tuned_tables(results, folder):
    """Markdown of one table for each problem in `results` that was searched.

    Parameters
    ----------
    results : DataFrame
        Of `reading.read`: files of configurations that a search wrote.
    folder : Path
        With the tables of searches, named as the files are.

    Returns
    -------
    str
    """
    results = prepare(results)
    parts = []
    for problem, title in titles(results).items():
        runs = results[results["problem"] == problem]
        path = Path(folder, f"{runs['file'].iloc[0]}.parquet")
        if path.exists() and runs["objective_suboptimality"].notna().any():
            parts += [f"## {title}", "", *_table(results, problem, Store(path)), ""]
    return "\n".join(parts)


def _table(results, problem, store):
    costs = [f"{axis} to {target:.0e}" for axis in AXES for target in TARGETS]
    heads = [
        "solver",
        "parameters",
        "gap at the end",
        "diverged",
        *costs,
        "nearest edge",
    ]
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    table = summary(results, problem)
    roles = roles_of(results[results["problem"] == problem], store)
    ends = ends_by_variant(results)
    solvers = list(dict.fromkeys(table["solver"]))  # by the best of their parameters
    rows = table.set_index("name")
    for solver in solvers:
        for name, role in roles.items():
            if rows["solver"][name] != solver:
                continue
            row, own = rows.loc[name], ends[problem, name]
            known = [_number(row[axis, target]) for axis in AXES for target in TARGETS]
            edge = _nearest_edge(store, solver) if role.startswith(TUNED) else ""
            diverged = f"{own.n_diverged} of {own.n_runs}"
            cells = [solver, role, _number(row["gap"]), diverged, *known, edge]
            yield f"| {' | '.join(cells)} |"


def roles_of(runs, store):
    """From the variants of `runs` to what their parameters are, by solver and role.

    Parameters
    ----------
    runs : DataFrame
        Rows of one problem.
    store : Store
        The table of its search.

    Returns
    -------
    dict
        `TUNED`, `DEFAULTS` or the stage of a transfer, several where they agree;
        yardsticks are left out.
    """
    first, found = runs.drop_duplicates("variant"), {}
    transfer = TRANSFER.format("")
    for solver in store.rows["solver"].unique():
        own, winner = store.of(solver), choice(store, solver)
        pairs = []
        if winner is not None:
            pairs += [(TUNED, store.parameters(solver, winner.trial)[0])]
        moved = own[own["stage"].str.startswith(transfer)].drop_duplicates("stage")
        texts = zip(moved["stage"], moved["parameters"], strict=True)
        pairs += [(stage, json.loads(text)) for stage, text in texts]
        for role, parameters in pairs:
            for name in first.loc[is_run(first, solver, parameters), "variant"]:
                found[name] = f"{found[name]}, {role}" if name in found else role
        for name in first.loc[first["solver"] == solver, "variant"]:
            found.setdefault(name, DEFAULTS)
    return found


def _nearest_edge(store, solver):
    """Such as ``"12 % (outer_step)"``: how far the winner is from an edge of a range."""
    _, shares = store.parameters(solver, choice(store, solver).trial)
    if not shares:
        return ""
    name = min(shares, key=lambda name: min(shares[name], 1 - shares[name]))
    return f"{min(shares[name], 1 - shares[name]):.0%} ({name})"


def _number(value):
    return f"{value:.2g}" if np.isfinite(value) else "–"
