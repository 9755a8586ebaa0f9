"""Which runs a search needs next, and which trial wins: no clock, no chance.

For each solver: every trial once (seed 0); the `N_FINALISTS` best on `N_SEEDS` − 1
seeds more; then, in the order of their medians, `N_SAFETY` further seeds for a tenth of
the budget. The first whose runs all end without divergence wins. One that diverges makes
room for the next best trial on seed 0, which then is a finalist like the others.
Tuning, safety and report have seeds of their own; a divergence in the report makes the
next trial win, too.
"""

from typing import NamedTuple

from benchmark_bilevel.search.store import NO_TRIAL, SAFETY, TUNING

N_FINALISTS = 4
N_SEEDS = 3
N_SAFETY = 20
SAFETY_SHARE = 0.1
# So near the lowest score all are equal, and the first trial wins: what is left there
# is rounding, which differs between machines.
TIE = 1e-13
# benchopt's --seed, not the default that published results have. The finalists' further
# seeds have one of their own, since benchopt runs repetitions from the first on only.
FIRST, FURTHER, SAFE = 1, 3, 2


class Run(NamedTuple):
    """Repetitions of one trial that are to be run together."""

    solver: str
    trial: int
    stage: str
    seeds: range  # numbers of the repetitions in the table
    budget: float
    base_seed: int


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
        Without those that diverged; ties (`TIE`) by number.
    """
    first = rows[rows["seed"] == 0].dropna(subset="score")
    return _sorted(zip(first["trial"], first["score"], strict=True))


def next_runs(store, solver, n_trials, budget, further=()):
    """The runs that are needed before all others; [] if there are none.

    Parameters
    ----------
    store : Store
    solver : str
    n_trials : int
    budget : float
    further : sequence of str
        Stages of parameters that are no trial, run for comparison after the choice.

    Returns
    -------
    list of Run
    """
    tuning, safety = store.of(solver, TUNING), store.of(solver, SAFETY)
    done = set(tuning.loc[tuning["seed"] == 0, "trial"])
    missing = [k for k in range(n_trials) if k not in done]
    if missing:
        return [Run(solver, k, TUNING, range(1), budget, FIRST) for k in missing]

    finalists = _finalists(store, solver)
    n_done = tuning.groupby("trial")["seed"].count()
    seeds = range(1, N_SEEDS)
    missing = [k for k in finalists if n_done[k] < N_SEEDS]
    if missing:
        return [Run(solver, k, TUNING, seeds, budget, FURTHER) for k in missing]

    for trial, _ in _by_median(tuning, finalists)[:1]:
        if trial not in set(safety["trial"]):
            share = SAFETY_SHARE * budget
            return [Run(solver, trial, SAFETY, range(N_SAFETY), share, SAFE)]
    return [
        Run(solver, NO_TRIAL, stage, range(N_SEEDS), budget, FIRST)
        for stage in further
        if store.of(solver, stage).empty
    ]


def choice(store, solver):
    """The winning `Choice`; None where every trial diverges."""
    tuning = store.of(solver, TUNING)
    for trial, median in _by_median(tuning, _finalists(store, solver)):
        return Choice(solver, trial, median)
    return None


def _finalists(store, solver):
    """The best trials of which no run has diverged; as many as there are, at most four."""
    rows = store.of(solver)
    tuning = rows[rows["stage"] == TUNING]
    failed = {
        *rows.loc[rows["diverged"] == 1, "trial"],
        *tuning.loc[tuning["score"].isna(), "trial"],
    }
    return [k for k, _ in ranking(tuning) if k not in failed][:N_FINALISTS]


def _by_median(tuning, finalists):
    """(trial, median of its scores), the lowest first."""
    medians = tuning.groupby("trial")["score"].median()
    return _sorted((k, medians[k]) for k in finalists)


def _sorted(pairs):
    """Pairs (trial, score), the lowest first; ties by number."""
    pairs = list(pairs)
    least = TIE + min((score for _, score in pairs), default=0.0)
    return sorted(pairs, key=lambda pair: (max(pair[1], least), pair[0]))
