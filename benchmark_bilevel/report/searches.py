"""What a search for parameters found: all its trials, the choice, what it depends on."""

import json
from typing import NamedTuple

import numpy as np

from benchmark_bilevel.search.protocol import TIE, choice
from benchmark_bilevel.search.statistics import (
    Best,
    Summary,
    expected_best,
    share_within,
    summarise,
)
from benchmark_bilevel.search.store import DEFAULTS, TRANSFER, TUNING, Store

WITHIN = 2.0  # of the best trial


class Searched(NamedTuple):
    """A solver in a search."""

    solver: str
    free: list  # names of the parameters that were searched
    steps: np.ndarray  # of all trials; NaN where it is not searched
    outer_steps: np.ndarray
    ends: np.ndarray  # suboptimality, or what was minimised; NaN where diverged
    chosen: int | None  # place of the winner among the trials
    final: float  # of the winner, the median over the tuning seeds; NaN without one
    best: Best  # after 1, 2, … trials
    within: float  # share of the trials within `WITHIN` of the best; NaN without h*
    diverged: float  # share of the trials
    defaults: Summary | None  # of the parameters of the solver's file
    transfers: dict  # the same of parameters that won other searches, by their names


class Search(NamedTuple):
    """A file of trials."""

    name: str
    has_reference: bool
    budget: float  # oracle calls of a run
    n_trials: tuple  # the fewest and the most of any solver
    solvers: list  # the lowest choice first

    @property
    def by_factors(self):
        """Whether ends are compared by factors: gaps, and scores that fall to nothing."""
        ends = np.concatenate([one.ends for one in self.solvers])
        alive = ends[np.isfinite(ends)]
        falls = alive.size and 0 < alive.min() < np.median(alive) / 100
        return bool(self.has_reference or falls)


def read_search(path):
    """The `Search` in the file at `path`, or None if it has no trial."""
    store = Store(path)
    tuning = store.rows[store.rows["stage"] == TUNING]
    if tuning.empty:
        return None
    has_reference = bool(tuning["suboptimality"].notna().any())
    end = "suboptimality" if has_reference else "score"
    found = [_searched(store, name, end) for name in tuning["solver"].unique()]
    found.sort(key=lambda one: (np.isnan(one.final), one.final))
    lengths = [len(one.ends) for one in found]
    return Search(
        name=store.path.stem,
        has_reference=has_reference,
        budget=tuning["budget"].max(),
        n_trials=(min(lengths), max(lengths)),
        solvers=found,
    )


def _searched(store, solver, end):
    tuning = store.of(solver, TUNING)
    first = tuning[tuning["seed"] == 0].sort_values("trial")
    parameters = [json.loads(text) for text in first["parameters"]]
    free = list(dict.fromkeys(k for text in first["shares"] for k in json.loads(text)))
    steps = np.array([own.get("step_size", np.nan) for own in parameters], float)
    ratios = np.array([own.get("outer_ratio", np.nan) for own in parameters], float)
    ends = first[end].where(first["diverged"] == 0).to_numpy(float)
    winner = choice(store, solver)
    chosen, final = None, np.nan
    if winner is not None:
        chosen = first["trial"].tolist().index(winner.trial)
        final = tuning[tuning["trial"] == winner.trial][end].median()
    transfer = TRANSFER.format("")
    rows = store.of(solver)
    others = {
        stage.removeprefix(transfer): _summary(own, end)
        for stage, own in rows.groupby("stage", sort=False)
        if stage.startswith(transfer)
    }
    defaults = store.of(solver, DEFAULTS)
    return Searched(
        solver=solver,
        free=free,
        steps=steps,
        outer_steps=steps / ratios,
        ends=ends,
        chosen=chosen,
        final=final,
        best=expected_best(ends),
        # What is left at rounding is equal.
        within=share_within(np.maximum(ends, TIE), WITHIN)
        if end == "suboptimality"
        else np.nan,
        diverged=float(first["diverged"].mean()),
        defaults=_summary(defaults, end) if len(defaults) else None,
        transfers=others,
    )


def _summary(rows, end):
    return summarise(rows[end].where(rows["diverged"] == 0))
