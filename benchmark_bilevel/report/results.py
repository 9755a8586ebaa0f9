"""Reading result files: which runs belong together, and what they are called."""

import re
import weakref
from functools import wraps
from pathlib import Path

import numpy as np
import pandas as pd
from benchopt.results import read_results

from benchmark_bilevel.exact.published import (
    DamagedReference,
    read_reference,
    reference_paths,
)
from benchmark_bilevel.notices import say_once

# What a closed form leaves of h − h* when both are computed in float64.
ROUNDING = 1e-14


def read(paths):
    """All rows of the result files `paths`, with the columns that `prepare` adds.

    Parameters
    ----------
    paths : sequence of path-like

    Returns
    -------
    DataFrame
    """
    frames = [read_results(path).assign(file=Path(path).stem) for path in paths]
    return prepare(pd.concat(frames, ignore_index=True))


def remembered(function):
    """Decorator: what `function` said of a DataFrame is kept as long as that lives.

    benchopt asks for each figure by itself, always with the same DataFrame. The other
    arguments have to be hashable, and the DataFrame is not to be changed in place.
    """
    known = {}

    @wraps(function)
    def answer(results, *arguments):
        key = (id(results), *arguments)
        if key not in known:
            known[key] = function(results, *arguments)
            weakref.finalize(results, known.pop, key, None)
        return known[key]

    return answer


@remembered
def prepare(results):
    """Add the columns ``file``, ``problem``, ``solver``, ``label`` and ``failed``.

    ``problem`` names a data set and an objective, ``solver`` is the solver's name
    without parameters, and ``label`` has those parameters which vary among the runs of
    this solver on this problem. A run has ``failed`` if it diverged, or went so far
    away that h could not be computed at its end.

    Parameters
    ----------
    results : DataFrame
        As benchopt reads it.

    Returns
    -------
    DataFrame
    """
    if "label" in results:
        return results
    results = results.assign(file=results.get("file", "")).reset_index(drop=True)
    results["problem"] = _problem_names(results)
    results["solver"] = results["solver_name"].str.split("[", n=1).str[0]
    results["label"] = ""
    for _, runs in results.groupby("problem", sort=False):
        labels = short_names(runs, "solver_name", "p_solver_")
        results.loc[runs.index, "label"] = runs["solver_name"].map(labels)
    results["failed"] = _failed(results)
    return results


def _failed(results):
    """Whether the run of each row has failed."""
    run = ["problem", "solver_name", "idx_rep"]
    ends = results.loc[results.groupby(run)["stop_val"].idxmax()].set_index(run)
    has_value = results.groupby("problem")["objective_value"].count() > 0
    lost = (
        ends["objective_value"].isna()
        & has_value.reindex(ends.index.get_level_values("problem")).to_numpy()
    )
    failed = lost | (ends["objective_diverged"] > 0)
    return failed.reindex(pd.MultiIndex.from_frame(results[run])).to_numpy()


def problems(results):
    """Names of the problems in `results`, in the order of the file."""
    return prepare(results)["problem"].unique().tolist()


def short_names(rows, column, prefix):
    """From the full names in `column` to names with only the varying parameters.

    Parameters
    ----------
    rows : DataFrame
    column : str
        Full names, such as ``"SOBA[batch_size=64,step_size=0.1]"``.
    prefix : str
        Of the columns that hold the parameters.

    Returns
    -------
    dict
    """
    parameters = [name for name in rows if name.startswith(prefix)]
    table = rows.drop_duplicates(column).set_index(column)[parameters].map(_text)
    names = {}
    for base, variants in table.groupby(table.index.str.split("[", n=1).str[0]):
        varying = [name for name in parameters if variants[name].nunique() > 1]
        for name, values in variants[varying].iterrows():
            pairs = (f"{key.removeprefix(prefix)}={values[key]}" for key in varying)
            names[name] = " ".join((base, *pairs))
    return names


def _problem_names(results):
    """Names such as ``"ijcnn1, hyperparameter-selection"``, one a row."""
    data = results["dataset_name"].map(
        short_names(results, "dataset_name", "p_dataset_")
    )
    objectives = results["objective_name"].map(
        short_names(results, "objective_name", "p_obj_")
    )
    # The objective's name is the same for all; its parameter `problem` is the name.
    settings = objectives.str.replace(r"^\S+ ?(problem=\S+)? ?", "", regex=True)
    problem = results["p_obj_problem"]
    names = data.where(data == problem, data + ", " + problem)
    names = names + (" " + settings).str.rstrip()
    files = results["file"].groupby(names).nunique()
    repeated = names.isin(files[files > 1].index)
    return names.where(~repeated, names + " (" + results["file"] + ")")


def _text(value):
    """A parameter's value; numbers read the same whatever the column's type."""
    if value is None or value != value:
        return "None"
    if isinstance(value, bool | np.bool_):
        return str(value)
    try:
        return f"{float(value):g}"
    except ValueError:
        return str(value)


def accuracy_of_reference(runs):
    """Error bound of h* on the problem of `runs`: what lies below it says nothing."""
    problem = runs["p_obj_problem"].iloc[0]
    data = runs["dataset_name"].iloc[0].split("[")[0]
    accuracies = [ROUNDING]
    for path in reference_paths(f"{problem}-{data}-*.json"):
        try:
            accuracies.append(read_reference(path)["accuracy"])
        except DamagedReference as error:
            say_once(f"{error}.")
    return max(accuracies)


def repeat_command(runs):
    """The command that makes `runs` again, as a list of its arguments.

    Every parameter is spelt out, so that a later change of a default does not matter;
    only infinite ones are left to their defaults, as benchopt reads no infinity.
    """
    command = ["benchopt", "run", "."]
    for flag, column in (("-d", "dataset_name"), ("-o", "objective_name")):
        for name in runs[column].unique():
            command += [flag, _without_infinities(name)]
    for name in runs["solver_name"].unique():
        command += ["-s", _without_infinities(name)]
    command += ["-r", str(runs["idx_rep"].max() + 1)]
    return [*command, "--seed", str(runs["base_seed"].iloc[0])]


def _without_infinities(name):
    return re.sub(r"(?<=[\[,])\w+=inf(,|(?=\]))", "", name).replace(",]", "]")


def provenance_of(runs):
    """The distinct records of versions, commit and machine in `runs`, as dicts."""
    records = []
    for final in runs["final_results"].dropna():
        record = final["provenance"]
        if record not in records:
            records.append(record)
    return records
