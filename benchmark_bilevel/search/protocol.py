"""Which runs a search needs next, and which trial wins: no clock, no chance.

For each solver: every trial once (seed 0); the `N_FINALISTS` best on `N_SEEDS` − 1
seeds more; then, in the order of their medians, `N_SAFETY` further seeds for a tenth of
the budget. The first whose runs all end without divergence wins. If no finalist does,
the next best trials follow. Tuning, safety and report have seeds of their own.
"""

from typing import NamedTuple

N_FINALISTS = 4
N_SEEDS = 3
N_SAFETY = 20
SAFETY_SHARE = 0.1
# benchopt's --seed of each stage; published results have 0.
BASE_SEEDS = {"tuning": 1, "safety": 2}


class Run(NamedTuple):
    """Repetitions of one trial that are to be run together."""

    solver: str
    trial: int
    stage: str
    n_seeds: int
    budget: float


class Choice(NamedTuple):
    """The outcome of a search for one solver."""

    solver: str
    trial: int
    median: float  # of the scores on the tuning seeds


def ranking(rows):
    """Trials from the best to the worst, by their score on seed 0.

    Parameters
    ----------
    rows : DataFrame
        Rows of stage "tuning" of one solver.

    Returns
    -------
    list of (trial, score)
        Without those that diverged; ties by number.
    """
    first = rows[rows["seed"] == 0].dropna(subset="score")
    first = first.sort_values(["score", "trial"])
    return list(zip(first["trial"], first["score"], strict=True))


def next_runs(store, solver, n_trials, budget):
    """The runs that the choice for `solver` needs before all others; [] if it is made."""
    tuning, safety = store.of(solver, "tuning"), store.of(solver, "safety")
    done = set(tuning.loc[tuning["seed"] == 0, "trial"])
    missing = [k for k in range(n_trials) if k not in done]
    if missing:
        return [Run(solver, k, "tuning", 1, budget) for k in missing]

    finalists = _finalists(tuning, safety)
    n_done = tuning.groupby("trial")["seed"].count()
    missing = [k for k in finalists if n_done[k] < N_SEEDS]
    if missing:
        return [Run(solver, k, "tuning", N_SEEDS, budget) for k in missing]

    for trial, _ in _by_median(tuning, finalists):
        if (safety["trial"] == trial).sum() < N_SAFETY:
            return [Run(solver, trial, "safety", N_SAFETY, SAFETY_SHARE * budget)]
        if not _fails(safety, trial):
            break
    return []


def choice(store, solver):
    """The winning `Choice`; None where every trial diverges."""
    tuning, safety = store.of(solver, "tuning"), store.of(solver, "safety")
    for trial, median in _by_median(tuning, _finalists(tuning, safety)):
        if not _fails(safety, trial):
            return Choice(solver, trial, median)
    return None


def _finalists(tuning, safety):
    """The best trials that have not failed; as many as there are, at most four."""
    alive = [
        trial
        for trial, _ in ranking(tuning)
        if not _fails(tuning, trial) and not _fails(safety, trial)
    ]
    return alive[:N_FINALISTS]


def _fails(rows, trial):
    """Whether a run of `trial` diverged."""
    return rows.loc[rows["trial"] == trial, "score"].isna().any()


def _by_median(tuning, finalists):
    """(trial, median of its scores), the lowest first."""
    medians = tuning.groupby("trial")["score"].median()
    return sorted(((k, medians[k]) for k in finalists), key=lambda pair: pair[::-1])
