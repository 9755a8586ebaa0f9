"""What searched parameters, defaults and those of another search cost to each target."""

import json
from pathlib import Path

import numpy as np

from benchmark_bilevel.report.results import (
    RUN,
    accuracy_of_reference,
    ends_by_variant,
    prepare,
    titles,
)
from benchmark_bilevel.report.tables import summary
from benchmark_bilevel.search.cells import is_run
from benchmark_bilevel.search.protocol import choice
from benchmark_bilevel.search.statistics import is_better, summarise
from benchmark_bilevel.search.store import TRANSFER, TUNING, Store

TARGETS = (1e-1, 1e-2, 1e-3, 1e-4)  # of the gap at the start
AXES = ("oracle calls", "seconds")
TUNED, DEFAULTS = "tuned", "defaults"
GAP = "objective_suboptimality"
CHANGES = (
    "file",
    "tuned better",
    "worse",
    "quotient",
    "moved: better, worse",
    "tuned better than moved",
    "trials diverged",
    "edge",
)


def tuned_tables(results, folder):
    """Markdown of a table for each problem in `results` that was searched, and of all.

    Costs to fractions of the gap are of problems with a reference minimum; the last
    table counts solvers (`changes`).

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
    parts, rows = [], []
    for problem, title in titles(results).items():
        runs = results[results["problem"] == problem]
        path = Path(folder, f"{runs['file'].iloc[0]}.parquet")
        if not path.exists():
            continue
        store = Store(path)
        if runs[GAP].notna().any():
            parts += _section(title, *_costs(results, problem, store))
        rows.append(changes(runs, store))
    if rows:
        parts += _section("What tuning changes", CHANGES, *rows)
    return "\n".join(parts)


def _section(title, heads, *rows):
    """Lines of Markdown: a title and a table."""
    lines = (f"| {' | '.join(cells)} |" for cells in (heads, *rows))
    return [f"## {title}", "", next(lines), "|---" * len(heads) + "|", *lines, ""]


def changes(runs, store):
    """Cells of `CHANGES` for the problem of `runs`: a count is of the search's solvers.

    Tuned parameters are better or worse than the defaults, as are those that won
    another search ("moved"), tuned ones better than these; the quotient is the median
    of defaults' gaps by tuned gaps; "edge" counts winners within 3 % and 10 % of one.
    One is better than another where seeds separate their ends (`is_better`): the gap,
    or what the search lowered where no minimum is known. An end without that value, as
    after a divergence, is worse than any. Solvers without a winner are left out, and
    transfers of the very parameters that won.

    Parameters
    ----------
    runs, store
        As in `roles_of`.

    Returns
    -------
    list of str
    """
    ends, has_gap = _ends_by_role(runs, store)
    won, default = ends.get(TUNED, {}), ends.get(DEFAULTS, {})
    pairs = {
        solver: (won[solver], default[solver]) for solver in won if solver in default
    }
    worse = [solver for solver, (one, other) in pairs.items() if is_better(other, one)]
    quotients = [
        other.median / one.median
        for one, other in pairs.values()
        if has_gap and not one.n_diverged and not other.n_diverged
    ]
    moved, lost = [], []
    for role in (role for role in ends if role.startswith(TRANSFER.format(""))):
        others = {
            name: own for name, own in ends[role].items() if own is not won.get(name)
        }
        both = [(own, default[name]) for name, own in others.items() if name in default]
        behind = sum(is_better(other, own) for own, other in both)
        source = role.removeprefix(TRANSFER.format(""))
        moved.append(f"`{source}`: {_n_better(both)}, {behind} of {len(both)}")
        both = [(won[name], own) for name, own in others.items() if name in won]
        lost.append(f"{_n_better(both)} of {len(both)}")
    first = store.rows[(store.rows["stage"] == TUNING) & (store.rows["seed"] == 0)]
    edges = [_nearest(store, solver)[0] for solver in won]
    return [
        f"`{runs['file'].iloc[0]}`",
        f"{_n_better(pairs.values())} of {len(pairs)}",
        f"{len(worse)}: {', '.join(worse)}" if worse else "0",
        f"{float(f'{np.median(quotients):.2g}'):g}" if quotients else "–",
        "; ".join(moved) or "–",
        "; ".join(lost) or "–",
        f"{100 * first['diverged'].mean():.0f} %",
        f"{sum(edge <= 0.03 for edge in edges)}, {sum(edge <= 0.1 for edge in edges)} "
        f"of {len(edges)}",
    ]


def _ends_by_role(runs, store):
    """From role and solver to the `Summary` of its ends, and whether these are gaps."""
    last = runs.drop_duplicates(RUN, keep="last")
    score = json.loads(store.rows["search"].iloc[0] or "{}").get("score", "value")
    has_gap = score == "value" and last[GAP].notna().any()
    values = last[GAP if has_gap else f"objective_{score}"].where(
        last["end"] == "budget"
    )
    if has_gap:
        values = values.clip(lower=accuracy_of_reference(last))
    ends = {}  # by role and solver
    for name, roles in roles_of(runs, store).items():
        of_name = last["variant"] == name
        own, solver = summarise(values[of_name]), last.loc[of_name, "solver"].iloc[0]
        for role in roles.split(", "):
            ends.setdefault(role, {})[solver] = own
    return ends, has_gap


def _n_better(pairs):
    return sum(is_better(one, other) for one, other in pairs)


def _costs(results, problem, store):
    """The heads of a table and its rows, of each solver with each of its parameters."""
    costs = [f"{axis} to {target:.0e}" for axis in AXES for target in TARGETS]
    yield ["solver", "parameters", "gap at the end", "diverged", *costs, "nearest edge"]
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
            yield [solver, role, _number(row["gap"]), diverged, *known, edge]


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
    share, name = _nearest(store, solver)
    return f"{share:.0%} ({name})" if name else ""


def _nearest(store, solver):
    """The winner's distance to an edge, as a share of the range, and its parameter."""
    _, shares = store.parameters(solver, choice(store, solver).trial)
    distances = ((min(share, 1 - share), name) for name, share in shares.items())
    return min(distances, default=(1, ""))


def _number(value):
    return f"{value:.2g}" if np.isfinite(value) else "–"
