"""Where solvers stand: on each problem, and over all of them."""

import numpy as np

from benchmark_bilevel.report.results import Ends, ends_by_variant
from benchmark_bilevel.report.targets import (
    FINE_TARGETS,
    best_variants,
    rank_key,
    reached,
    surviving,
)


def standings(results):
    """From (problem, solver) to a dict: where it stands with its best parameters there.

    ``ends`` tells how the runs ended; ``rank`` is None where nothing can be best, without
    a reference minimum or if a deadline cut all runs. Else there are ``n_solvers``,
    ``gap`` (the median of the final suboptimality, relative to the initial one),
    ``costs`` in seconds of the targets, and ``name`` with all parameters.
    """
    table = best_variants(reached(results))
    ends = ends_by_variant(results)
    found = {}
    for (problem, solver), runs in results.groupby(["problem", "solver"], sort=False):
        parts = [ends[problem, variant] for variant in runs["variant"].unique()]
        found[problem, solver] = {"rank": None, "ends": Ends.sum(parts)}
    for problem, runs in table.groupby("problem"):
        keys = {name: rank_key(own["final"]) for name, own in runs.groupby("solver")}
        for solver, own in runs.groupby("solver"):
            variant = own["variant"].iloc[0]
            alive = own[np.isfinite(own["final"])]
            found[problem, solver] = {
                "rank": sum(key < keys[solver] for key in keys.values()) + 1,
                "n_solvers": len(keys),
                "gap": surviving(own["final"] / own["initial"]),
                "costs": alive.groupby("target")["seconds"].median().to_dict(),
                "name": variant,
                "ends": ends[problem, variant],
            }
    return found


def ranking(results):
    """Solvers by the share of targets that they reach; a dict with rows and columns.

    Those of which a run diverged come last. Each problem weighs the same, and one where
    a solver was not run counts against it. ``cells`` has the standing of the solver on
    each problem, None where it was not run.
    """
    table = best_variants(reached(results, FINE_TARGETS))
    names = table["problem"].unique().tolist()
    standing = standings(results)
    rows = []
    for solver in sorted({solver for name, solver in standing if name in names}):
        runs = table[table["solver"] == solver]
        hits = np.isfinite(runs["seconds"]).groupby(runs["problem"]).mean()
        cells = [standing.get((name, solver)) for name in names]
        ends = Ends.sum([cell["ends"] for cell in cells if cell])
        rows.append(
            {
                "solver": solver,
                "share": hits.sum() / len(names),
                "ends": ends,
                "cells": cells,
            }
        )
    rows.sort(key=lambda row: (row["ends"].n_diverged > 0, -row["share"]))
    left_out = [name for name in results["problem"].unique() if name not in names]
    return {"problems": names, "rows": rows, "left_out": left_out}
