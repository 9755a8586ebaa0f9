"""The configuration that a search writes: its winners, and how they were chosen."""

import json
import textwrap

import yaml

from benchmark_bilevel.search.options import limits, with_option
from benchmark_bilevel.search.protocol import N_FINALISTS, choice

EDGE = 0.03  # of a range, at either end
NUMERALS = {1: "one", 2: "two", 3: "three", 4: "four"}
WRITTEN = "Written by `python -m benchmark_bilevel search"
HEADER = """\
{written} {argument}`; not edited by hand.
{comment}
{trials} scrambled Sobol trials a solver ({file}), {calls:.3g} oracle
calls each; the lowest {score} at the end, median of three seeds over the {best} best, won;
winners do not diverge on 20 further seeds in a tenth of the calls. After each of them
stand its defaults and, if `transfer_from` names searches, what won those; yardsticks that
apply are at the end. All trials:
results/search/{name}.parquet, of code {fingerprints}.
1/L = {scale.inner:.3g}, 1/‖∇h(x0)‖∞ = {scale.outer:.3g}, {scale.epoch:.4g} batches a pass.
"""


def configuration(specification, failures=()):
    """Text of ``config/NAME.yml``; solvers without a winner are named in it.

    Those in `failures` had errors.
    """
    store, solvers, notes = specification.store, [], []
    ends = limits(specification.oracle_calls)
    for name, solver in specification.solver_classes.items():
        fixed, chosen = specification.fixed_of(solver), choice(store, name)
        if name in failures:
            notes.append(f"{name}: had errors, and is not here.")
            continue
        if chosen is None:
            notes.append(f"{name}: no trial without divergence.")
        else:
            parameters, shares = store.parameters(name, chosen.trial)
            solvers.append({name: {**fixed, **parameters, **ends}})
            notes += [
                f"{name}: {parameter} is at the {'lower' if share < 0.5 else 'upper'} edge."
                for parameter, share in shares.items()
                if not EDGE <= share <= 1 - EDGE
            ]
        for stage in specification.further_stages(name):
            for text in store.of(name, stage)["parameters"].unique():
                entry = {name: {**fixed, **json.loads(text), **ends}}
                solvers += [entry] if entry not in solvers else []
    name, file = specification.name, specification.path
    if specification.is_published:
        file = f"config/search/{name}.yml"
    used = sorted(set(store.rows["fingerprint"]))
    # The table may have more trials than are asked for; all of them are compared.
    n_trials = int(1 + store.rows["trial"].max()) if len(store.rows) else 0
    n_trials = max(specification.trials, n_trials)
    header = HEADER.format(
        written=WRITTEN,
        argument=name if specification.is_published else file,
        name=name,
        file=file,
        comment=specification.comment.strip(),
        trials=n_trials,
        best=NUMERALS[min(n_trials, N_FINALISTS)],
        calls=specification.oracle_calls,
        score=specification.score,
        fingerprints=" and ".join(used) or "unknown",
        scale=specification.scale,
    )
    objective, evaluations = specification.objective, specification.exact_evaluations
    if evaluations is not None:
        objective = with_option(objective, "exact_evaluations", evaluations)
    content = {
        "objective": [objective],
        "dataset": [specification.dataset],
        "solver": solvers + [{name: dict(ends)} for name in specification.yardsticks],
        "n-repetitions": specification.repetitions,
        "timeout": "240h",
        "output": specification.path.stem,
    }
    lines = [line for line in header.splitlines() if line] + notes
    return textwrap.indent("\n".join(lines), "# ") + "\n" + yaml.safe_dump(
        content, sort_keys=False, allow_unicode=True
    )  # fmt: skip
