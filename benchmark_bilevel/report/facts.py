"""Facts of a result file, each once, and the runs that differ in one."""

import math
from itertools import groupby
from typing import NamedTuple

from benchmark_bilevel.report.origins import record_of
from benchmark_bilevel.report.results import RUN

COLUMNS = {
    "seed": "base_seed",
    "date": "run_date",
    "processor": "system-processor",
    "CPUs": "system-cpus",
    "memory [GB]": "system-ram (GB)",
    "platform": "platform",
    "kernel": "platform-release",
    "OMP_NUM_THREADS": "env-OMP_NUM_THREADS",
    "CUDA": "version-cuda",
}
LISTED = 6  # solvers that are named beside a value


class Fact(NamedTuple):
    name: str
    value: str  # "" where it is not known
    runs: str  # "all", or how many and which


def facts(rows):
    """All facts of the runs in `rows`, of `results.prepare`.

    Returns
    -------
    list of Fact
        One for each fact and value; those that all runs share first.
    """
    last = rows.drop_duplicates(RUN, keep="last")
    several = last["problem"].nunique() > 1
    runs = [
        (_name(run, several), run["idx_rep"], _facts(run))
        for run in last.to_dict("records")
    ]
    names = dict.fromkeys(name for *_, own in runs for name in own)
    found = []
    for name in names:
        values = {}
        for solver, repetition, own in runs:
            values.setdefault(own.get(name, ""), []).append((solver, repetition))
        if set(values) == {""}:
            continue
        if len(values) == 1:
            found.append(Fact(name, next(iter(values)), "all"))
            continue
        found += [Fact(name, value, _some(own, runs)) for value, own in values.items()]
    return sorted(found, key=lambda fact: fact.runs != "all")


def _name(run, several):
    """The solver, and its problem where there are several."""
    return f"{run['label']} on {run['title']}" if several else run["label"]


def _facts(run):
    """Texts of the facts of a run, from its last row."""
    found = {name: _text(run.get(column)) for name, column in COLUMNS.items()}
    found["date"] = found["date"][:10]
    found["seed"] = found["seed"].removesuffix(".0")
    for name, value in record_of(run.get("final_results")).items():
        found[str(name)] = _text(value)
    return found


def _text(value):
    if isinstance(value, list):
        parts = [_pool(part) if isinstance(part, dict) else str(part) for part in value]
        separator = "; " if any(isinstance(part, dict) for part in value) else " "
        return separator.join(parts)
    unknown = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if unknown else str(value)


def _pool(pool):
    """A BLAS library and its threads, as threadpoolctl tells of it."""
    try:
        return (
            f"{pool['internal_api']} {pool['version']}, {pool['num_threads']} threads"
        )
    except KeyError:  # a stranger's
        return str(pool)


def _some(own, runs):
    """Such as ``"8 of 35: VRBO; MRBO 2–4"``."""
    of_solver = {}
    for solver, repetition, _ in runs:
        of_solver.setdefault(solver, []).append(repetition)
    parts = []
    for solver, group in groupby(own, key=lambda pair: pair[0]):
        repetitions = [repetition for _, repetition in group]
        is_whole = len(repetitions) == len(of_solver[solver])
        parts.append(solver if is_whole else f"{solver} {_ranges(repetitions)}")
    more = f"; {len(parts) - LISTED} more" if len(parts) > LISTED else ""
    return f"{len(own)} of {len(runs)}: {'; '.join(parts[:LISTED])}{more}"


def _ranges(numbers):
    """Such as ``"0–2, 4"``."""
    numbers = sorted(numbers)
    runs = [
        [number for _, number in group]
        for _, group in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])
    ]
    return ", ".join(
        f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs
    )
