"""The loop of ``python -m benchmark_bilevel search``."""

import json
import sys
import time
from functools import partial
from pathlib import Path

import click
from benchopt.results import read_results
from tqdm import tqdm

from benchmark_bilevel.fingerprint import fingerprint
from benchmark_bilevel.provenance import _git
from benchmark_bilevel.search.cells import ends_of, execute, is_run, row_of
from benchmark_bilevel.search.configuration import WRITTEN, configuration
from benchmark_bilevel.search.protocol import (
    N_FINALISTS,
    N_SAFETY,
    N_SEEDS,
    Run,
    choice,
    next_runs,
)
from benchmark_bilevel.search.small import configurations, write_small
from benchmark_bilevel.search.store import (
    NO_TRIAL,
    REPORT,
    SAFETY,
    TRANSFER,
    TUNING,
    alone,
    one_line,
    write_whole,
)

# About as long as what is killed may lose.
BATCH_SECONDS = 180


def search(specification, jobs=1, parallel_config=None):
    """Go on with a search to its end.

    Each batch of runs is in the table before the next one starts: what is killed loses
    one batch at most, and that only where benchopt's cache is lost, too.

    Parameters
    ----------
    specification : Specification
    jobs : int
        Cells at a time.
    parallel_config : path, optional
        Of benchopt's backend, in place of `jobs`.

    Returns
    -------
    target : pathlib.Path
        The configuration, which is written unless all solvers have errors.
    failures : list of str
        What happened to the solvers that have errors; the others are searched.
    """
    folder = specification.benchmark.benchmark_dir
    target = folder / "config" / f"{specification.name}.yml"
    namesake = folder / "config" / "search" / target.name
    if namesake.exists() and not specification.is_published:
        raise click.ClickException(
            f"{specification.path}: {namesake} has this name, and its table and "
            "configuration, too: give the search another one."
        )
    if _is_by_hand(target):
        raise click.ClickException(
            f"{target} is written by hand: move it away, or give the search another name."
        )
    table = folder / "results" / "search" / f"{specification.name}.parquet"
    with alone(table):
        failures = _search(specification, jobs, parallel_config)
    if len(failures) < len(specification.solver_classes):
        write_whole(target, configuration(specification, failures))
        if target in configurations(folder):
            write_small(target)
    return target, list(failures.values())


def _is_by_hand(config):
    if not config.is_file():
        return config.exists()
    return not config.read_bytes().startswith(f"# {WRITTEN}".encode())


def _search(specification, jobs, parallel_config):
    """The runs of a search; from the names of solvers with errors to what happened."""
    store, names = specification.store, list(specification.solver_classes)
    _require_same_search(specification)
    _forget_what_other_code_made(specification)
    # All solvers have as many trials as any of them had, which are compared still.
    known = store.rows.loc[store.rows["stage"] == TUNING, "trial"]
    specification.trials = max([specification.trials, *(1 + known)])
    _require_same_trials(specification)
    _require_legal(specification)
    parallel, least = (("-j", str(jobs)) if jobs > 1 else ()), jobs
    if parallel_config:  # of as many workers as it has: a whole stage at a time
        parallel, least = ("--parallel-config", str(parallel_config)), sys.maxsize
    failures, size = {}, least
    expected = {name: _expected(specification, name) for name in names}

    def n_done():
        # There may be fewer runs, where all diverge, and more.
        return sum(min(len(store.of(name)), expected[name]) for name in names)

    with tqdm(total=sum(expected.values()), initial=n_done(), unit="run") as bar:
        while True:
            batch = _next_batch(specification, failures, size)
            if not batch and _note_divergence_of_report(specification):
                continue
            if not batch:
                break
            bar.set_description(batch[0].stage)
            started = time.monotonic()
            rows, failed = execute(specification, batch, parallel)
            quick = time.monotonic() - started < BATCH_SECONDS
            size = max(size, 2 * len(batch)) if quick else max(size // 2, least)
            store.append(rows)
            failures |= failed
            for message in failed.values():
                bar.write(message)
            bar.n = n_done()
            bar.refresh()
    if len(store.rows):  # without what was forgotten
        store.save()
    return failures


def _expected(specification, name):
    """Rows of a solver in the table if no finalist diverges."""
    trials = len(specification.trials_of(name))
    further = len(specification.further_stages(name))
    finalists = min(N_FINALISTS, trials)
    return trials + (finalists + further) * N_SEEDS - finalists + N_SAFETY


def _next_batch(specification, failures, size):
    """Up to `size` runs that are needed next: those of the earliest stage of any solver.

    They are one ``benchopt run``, whose start takes longer than many a run.
    """
    runs = [
        run
        for name in specification.solver_classes.keys() - failures.keys()
        for run in next_runs(
            specification.store,
            name,
            len(specification.trials_of(name)),
            specification.oracle_calls,
            specification.further_stages(name),
        )
    ]
    runs.sort(key=lambda run: (_order(run), run.solver, run.trial))
    return [run for run in runs[:size] if _order(run) == _order(runs[0])]


def _order(run):
    """Trials, the finalists' further seeds, safety, then what is no trial."""
    return run.stage != TUNING, run.stage != SAFETY, run.stage, run.seeds.start


def _forget_what_other_code_made(specification):
    """Forget the rows of other code or, of transferred winners, of other parameters.

    Also transfers that are not asked for any more.

    Numbers of several versions in one table could not be compared.
    """
    store = specification.store
    stale = ~store.rows["solver"].isin(specification.solver_classes.keys())
    stale &= store.rows["fingerprint"] != fingerprint()
    for name in specification.solver_classes:
        own = store.rows["solver"] == name
        for column, value in specification.code_of(name).items():
            stale |= own & (store.rows[column] != value)
        stages = specification.further_stages(name)
        transferred = store.rows["stage"].str.startswith(TRANSFER.format(""))
        stale |= own & transferred & ~store.rows["stage"].isin(stages)
        for stage in stages:
            run = Run(name, NO_TRIAL, stage, range(1), 0.0, 0)
            today = specification.parameters_of(run)
            for index, text in store.of(name, stage)["parameters"].items():
                stale[index] |= not _agree(json.loads(text), today)
    if stale.any():
        makers = ", ".join(sorted(set(store.rows.loc[stale, "fingerprint"])))
        click.echo(
            f"{store.path}: {stale.sum()} of {len(stale)} runs are of other code or "
            f"parameters ({makers}) and are made anew."
        )
        store.keep(~stale)


def _require_same_search(specification):
    """Refuse a table of another search: nothing could be compared, or be kept."""
    store = specification.store
    budgets = set(store.rows.loc[store.rows["stage"] == TUNING, "budget"])
    differing = None
    for text in set(store.rows["search"]) - {"", specification.made_of}:
        ours, theirs = json.loads(specification.made_of), json.loads(text)
        differing = "runs with " + ", ".join(
            f"{name}: {theirs.get(name)}"
            for name in ours | theirs
            if theirs.get(name) != ours.get(name)
        )
    if budgets - {specification.oracle_calls}:
        differing = f"budgets of {', '.join(f'{budget:g}' for budget in budgets)}"
    _refuse(store, differing)


def _require_same_trials(specification):
    """Refuse a table whose trials have other parameters than the search has today."""
    store, differing = specification.store, None
    for name in specification.solver_classes:
        known = sorted(set(store.of(name, TUNING)["trial"]))
        trials = specification.trials_of(name)
        for trial in (k for k in known if k < len(trials)):
            if not _agree(store.parameters(name, trial)[0], trials[trial]):
                differing = differing or f"other parameters of {name}, trial {trial}"
    _refuse(store, differing)


def _require_legal(specification):
    """Refuse parameters that a solver would, before anything runs."""
    for name, solver in specification.solver_classes.items():
        stages = specification.further_stages(name)
        others = [Run(name, NO_TRIAL, stage, range(1), 0.0, 0) for stage in stages]
        for parameters in (
            *specification.trials_of(name),
            *map(specification.parameters_of, others),
        ):
            try:
                solver.get_instance(**specification.fixed_of(solver) | parameters)
            except click.UsageError as error:
                raise click.UsageError(
                    f"{specification.path}: what is searched is not valid: {error.message}"
                ) from None


def _refuse(store, differing):
    if differing:
        raise click.ClickException(
            f"{store.path} has {differing}: move it away, or search as it was made."
        )


def _agree(parameters, others, tolerance=0.02):
    """Whether parameters are the same but for rounding, of units and to integers."""
    return parameters.keys() == others.keys() and all(
        abs(value - others[name]) <= max(tolerance * value, isinstance(value, int))
        for name, value in parameters.items()
    )


def _note_divergence_of_report(specification):
    """Note where published runs of winners diverged, so that the next trial wins.

    Runs of other code are no evidence. True if there is something new.
    """
    store, folder = specification.store, specification.benchmark.benchmark_dir
    path = folder / "results" / f"{specification.name}.parquet"
    if not path.exists():
        return False
    rows = []
    try:
        ends = ends_of(read_results(path))
        ends = ends[(ends["objective_diverged"] == 1) & _is_of_this_package(ends)]
        seeds = range(ends["idx_rep"].max() + 1) if len(ends) else range(0)
        for name in specification.solver_classes:
            chosen = choice(store, name)
            if chosen is None:
                continue
            parameters, _ = store.parameters(name, chosen.trial)
            failed = ends[is_run(ends, name, parameters)]
            file = specification.solver_classes[name]._module_filename
            is_old = failed["final_results"].map(partial(_is_older, file))
            failed = failed[~is_old.astype(bool)]
            budget = specification.oracle_calls
            run = Run(name, chosen.trial, REPORT, seeds, budget, base_seed=0)
            rows += [row_of(specification, run, parameters, end) for end in failed.iloc]
    except Exception as error:  # whatever a damaged or foreign file leads to
        reason = one_line(error)
        click.echo(f"{path} cannot be read, what diverged there is not known: {reason}")
        return False
    store.append(rows)
    return bool(rows)


def _is_older(file, final):
    """Whether git says that a run was made before `file` became what it is."""
    file, commit = Path(file), final["provenance"].get("commit") or ""
    commit = commit.removesuffix("+")  # of any file
    names = ("diff", "--name-only", commit, "--", file.name)
    return bool(commit and _git(file.parent, *names))


def _is_of_this_package(ends):
    """Mask of the rows whose record names the fingerprint of the package as it is."""
    return ends["final_results"].map(
        lambda final: (
            isinstance(final, dict)
            and final.get("provenance", {}).get("fingerprint") == fingerprint()
        )
    )
