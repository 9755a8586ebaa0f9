"""Where solvers stand: on each problem, and over all of them."""

from itertools import product
from typing import NamedTuple

import numpy as np

from benchmark_bilevel.report.distributions import best_variants
from benchmark_bilevel.report.metrics import AXES
from benchmark_bilevel.report.results import Ends, ends_by_variant
from benchmark_bilevel.report.tables import QUANTILES, best_rows
from benchmark_bilevel.report.targets import FINE_TARGETS, TARGETS


class Standing(NamedTuple):
    """A solver on a problem, with its best parameters there."""

    solver: str
    rank: int | None  # by the end; None if it is unknown, as where a deadline cut all
    n_solvers: int
    name: str  # with all parameters
    ends: Ends
    start: float  # h at the start
    value: float  # h at the end, as all numbers here the median of the survivors
    end: float  # what it ranks by: suboptimality at the end, or h
    low: float  # 20 and 80 % of that
    high: float
    gap: float | None  # final / initial suboptimality; None without a reference
    costs: dict  # from (axis, target) to (median, low, high)


def standings(results):
    """From (problem, solver) to its `Standing`; the first of a problem come first."""
    all_ends = ends_by_variant(results)
    found = {}
    for problem, runs in results.groupby("problem", sort=False):
        table = best_rows(results, problem)
        variants = runs.groupby("solver", sort=False)["variant"].unique()
        at_start = runs.loc[runs["objective_iterations"] == 0, "objective_value"]
        for row in table.to_dict("records"):
            cut = row["ends"].n_cut == row["ends"].n_runs
            names = variants[row["solver"]]
            found[problem, row["solver"]] = Standing(
                solver=row["solver"],
                rank=None if np.isnan(row["rank"]) else int(row["rank"]),
                n_solvers=len(table),
                name=row["name"],
                ends=Ends.sum([all_ends[problem, name] for name in names])
                if cut
                else row["ends"],
                start=at_start.median(),
                value=row["value"],
                end=row.get("median", row["value"]),
                low=row["low"],
                high=row["high"],
                gap=row.get("gap"),
                costs={
                    key: (row[key], *(row[*key, q] for q in QUANTILES))
                    for key in product(AXES, TARGETS)
                    if key in row
                },
            )
    return found


def ranking(results, standing):
    """Names of the solvers, by the share of targets that they reach.

    Those of which a run diverged come last. Each problem weighs the same, and one where
    a solver was not run counts against it.
    """
    table = best_variants(results, FINE_TARGETS)
    n_problems = table["problem"].nunique()
    keys = {}
    for solver in sorted({solver for _, solver in standing}):
        own = [found for (_, name), found in standing.items() if name == solver]
        runs = table[table["solver"] == solver]
        hits = np.isfinite(runs["seconds"]).groupby(runs["problem"]).mean()
        share = hits.sum() / max(n_problems, 1)
        ranks = [found.rank / found.n_solvers for found in own if found.rank]
        diverged = any(found.ends.n_diverged for found in own)
        keys[solver] = diverged, -share, np.mean(ranks) if ranks else np.inf
    return sorted(keys, key=keys.get)
