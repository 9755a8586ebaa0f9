"""Which runs of a result file belong together, what they are called, how they ended."""

import weakref
from functools import wraps
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmark_bilevel.exact.published import (
    DamagedReference,
    read_reference,
    references_of,
)
from benchmark_bilevel.notices import say_once
from benchmark_bilevel.report.metrics import FURTHER
from benchmark_bilevel.report.names import (
    base_name,
    kind_names,
    problem_names,
    problem_titles,
    selectors,
    short_names,
)

# What a closed form leaves of h − h* when both are computed in float64.
ROUNDING = 1e-14
# The columns that figures and tables take numbers from; a run may lack some.
NUMBERS = (
    *("idx_rep", "base_seed", "time", "objective_value", "objective_suboptimality"),
    *("objective_hypergradient_norm", "objective_inner_distance"),
    *("objective_test_accuracy", "objective_test_loss"),
    *("objective_oracle_calls", "objective_iterations", "objective_diverged"),
    *(metric.column for metric in FURTHER.values()),
)
RUN = ["problem", "variant", "idx_rep"]


class Ends(NamedTuple):
    """How the repetitions of a solver ended."""

    n_runs: int
    n_diverged: int
    n_cut: int  # by a deadline before their budget was spent: they are in no median

    @classmethod
    def of(cls, rows):
        """Those of the runs that `rows`, of `prepare`, belong to."""
        ends = rows.drop_duplicates(RUN)["end"]
        return cls(
            len(ends), int((ends == "diverged").sum()), int((ends == "cut").sum())
        )

    @classmethod
    def sum(cls, parts):
        """All `parts` together."""
        return cls(*map(sum, zip(*parts, strict=True)))

    @property
    def all_failed(self):
        """Whether no run spent its budget."""
        return self.n_diverged + self.n_cut == self.n_runs

    @property
    def text(self):
        """Such as ``"2 of 5 diverged"``; empty where every budget was spent."""
        counts = ((self.n_diverged, "diverged"), (self.n_cut, "cut"))
        return ", ".join(f"{n} of {self.n_runs} {what}" for n, what in counts if n)

    def title(self, name, *more):
        """The `name` with `text`, and `more` remarks."""
        notes = [note for note in (self.text, *more) if note]
        return f"{name} ({', '.join(notes)})" if notes else name


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
    """Add ``file``, ``kind``, ``problem``, ``title`` and, of runs, ``solver``, ``variant``,
    ``label``, ``end``.

    ``kind`` is the class of problems, ``problem`` names it and a data set (and what
    varies among the objective's parameters), ``title`` is that for readers,
    ``solver`` is the solver's name without parameters, ``variant`` the one with all of
    them, and ``label`` has those which vary among the runs of this solver on this
    problem. ``end`` says how the run
    of the row ended: "budget", "diverged", or "cut" by a deadline. Columns that figures
    and tables need and a plain benchopt solver does not give are added, empty.

    Parameters
    ----------
    results : DataFrame
        As benchopt reads it: the rows of a run in the order of its evaluations.

    Returns
    -------
    DataFrame
    """
    if "variant" in results:
        return results
    results = results.assign(file=results.get("file", "")).reset_index(drop=True)
    missing = [name for name in NUMBERS if name not in results]
    # The copy is one table, which more columns can be added to at no cost.
    results = results.reindex(columns=[*results, *missing]).copy()
    for name in ("solver_description", "file_solver"):
        texts = results.get(name, pd.Series("", results.index))
        results[name] = texts.fillna("").astype(str).astype(object)
    cells, cell_of = _cells(results)
    kinds = kind_names(cells["p_obj_problem"].unique())
    cells["kind"] = cells["p_obj_problem"].map(kinds)
    cells["problem"] = problem_names(cells)
    cells["title"] = problem_titles(cells)
    cells["solver"] = cells["solver_name"].map(base_name)
    cells["variant"] = selectors(cells, "solver_name", "p_solver_")
    cells["label"] = ""
    for _, runs in cells.groupby("problem", sort=False):
        labels = short_names(runs, "solver_name", "p_solver_")
        cells.loc[runs.index, "label"] = labels
    for name in ("kind", "problem", "title", "solver", "variant", "label"):
        texts = cells[name].to_numpy(object)[cell_of]
        results[name] = pd.Series(texts, dtype=object)
    results["end"] = _ends(results)
    return results


def _cells(results):
    """What was run, a row each without its repetitions, and which one each row is of."""
    columns = [
        n for n in results if n == "file" or n.endswith("_name") or n[:2] == "p_"
    ]
    cell_of = np.zeros(len(results), int)
    for name in columns:
        values = results[name]
        # True is equal to 1, and lists have no hash: their texts are compared.
        values = values.map(repr) if values.dtype == object else values
        codes, known = pd.factorize(values, use_na_sentinel=False)
        cell_of = pd.factorize(cell_of * len(known) + codes)[0]
    first = np.unique(cell_of, return_index=True)[1]
    return results.loc[first, columns].reset_index(drop=True), cell_of


def _ends(results):
    """How the run of each row ended, as its last row says.

    Where that does not say it, in files of earlier versions and for plain benchopt
    solvers, ``objective_diverged`` tells divergence from the budget's end.
    """
    last = results.groupby(RUN, sort=False).tail(1).set_index(RUN)
    ends = pd.Series("budget", last.index)
    ends[last["objective_diverged"] > 0] = "diverged"
    if "objective_end" in last:
        said = last["objective_end"].fillna("").astype(str)
        known = {"": "", "budget": "budget", "diverged": "diverged"}
        said = said.map(known).fillna("cut")
        ends = said.where(said != "", ends)
    return ends.reindex(pd.MultiIndex.from_frame(results[RUN])).to_numpy()


def runs_of(rows, keys, columns):
    """Pairs: the `keys` of a run, and the array of the `columns` of its rows.

    Parameters
    ----------
    rows : DataFrame
    keys : list of str
        Columns that tell the runs apart.
    columns : list of str
        Of numbers.
    """
    number = rows.groupby(keys, sort=False).ngroup().to_numpy()
    order = np.argsort(number, kind="stable")
    starts = np.flatnonzero(np.diff(number[order], prepend=-1))
    names = rows[keys].iloc[order[starts]].itertuples(index=False, name=None)
    values = rows[columns].to_numpy(float)[order]
    return zip(names, np.split(values, starts)[1:], strict=True)


@remembered
def ends_by_variant(results):
    """From (problem, variant) to its `Ends`."""
    ends = prepare(results).drop_duplicates(RUN).groupby(["problem", "variant"])["end"]
    counts = ends.value_counts().unstack(fill_value=0)
    counts = counts.reindex(columns=["budget", "diverged", "cut"], fill_value=0)
    return {
        key: Ends(budget + diverged + cut, diverged, cut)
        for key, budget, diverged, cut in counts.itertuples()
    }


def problems(results):
    """Names of the problems in `results`, in the order of the file."""
    return prepare(results)["problem"].unique().tolist()


def titles(results):
    """From the names of the problems in `results` to what readers call them."""
    first = prepare(results).drop_duplicates("problem")
    return dict(zip(first["problem"], first["title"], strict=True))


def accuracy_of_reference(runs):
    """Error bound of h* on the problem of `runs`: what lies below it says nothing.

    The largest of the references with these names, of those first whose numbers, such
    as a corruption, are the objective's.
    """
    settings = runs.filter(like="p_obj_").iloc[0].to_dict()
    data = base_name(runs["dataset_name"].iloc[0])
    accuracies, own = [ROUNDING], []
    for path in references_of(settings["p_obj_problem"], data):
        try:
            found = read_reference(path)
        except DamagedReference as error:
            say_once(f"{error}.")
            continue
        accuracies.append(found["accuracy"])
        numbers = [n for n in found.get("settings", ()) if isinstance(n, int | float)]
        if all(number in settings.values() for number in numbers):
            own.append(found["accuracy"])
    return max(ROUNDING, *(own or accuracies))
