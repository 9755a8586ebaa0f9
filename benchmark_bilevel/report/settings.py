"""Parameters as tables: of all solvers on a problem, and of a solver on all problems."""

from typing import NamedTuple

from benchmark_bilevel.parameters import defaults
from benchmark_bilevel.report.configuration import limit_text
from benchmark_bilevel.report.names import parameter_text, parameters_of, rounded
from benchmark_bilevel.report.results import remembered
from benchmark_bilevel.report.tables import best_rows, summary


class Settings(NamedTuple):
    """The parameters of the runs on a problem."""

    columns: list  # names of those that several solvers have, with different values
    rows: list  # (solver, label, texts of the columns, text of all its others)
    same: dict  # the value of each parameter that all have alike who have it


@remembered
def _by_variant(results, problem):
    """From a variant on `problem` to the dict of its parameters' texts."""
    first = results[results["problem"] == problem].drop_duplicates("variant")
    return {
        first["variant"][index]: {k: limit_text(k, text) for k, text in values.items()}
        for _, table in parameters_of(first, "solver_name", "p_solver_")
        for index, values in table.to_dict("index").items()
    }


def settings_on(results, problem):
    """The `Settings` of all runs on `problem`, in the order of the table."""
    of_variant = _by_variant(results, problem)
    table = summary(results, problem)
    owners, values = {}, {}
    for variant, own in of_variant.items():
        for name, text in own.items():
            owners.setdefault(name, []).append(variant)
            values.setdefault(name, set()).add(text)
    common = [name for name in owners if 2 * len(owners[name]) > len(of_variant) > 1]
    same = {name: next(iter(values[name])) for name in common if len(values[name]) == 1}
    columns = [name for name in common if name not in same]
    lines = []
    for row in table.to_dict("records"):
        own = of_variant[row["name"]]
        rest = {k: text for k, text in own.items() if k not in (*columns, *same)}
        others = ", ".join(f"{k}={rounded(text)}" for k, text in rest.items())
        texts = [rounded(own.get(name, "")) for name in columns]
        lines.append((row["solver"], row["label"], texts, others))
    return Settings(columns, lines, same)


def settings_of(solver, ran_on, solver_class):
    """The parameters of `solver`: its defaults, and its best ones on each problem.

    Parameters
    ----------
    solver : str
    ran_on : list of (DataFrame, str)
        Results, and a problem in them.
    solver_class : type or None
        None if the benchmark has none of this name.

    Returns
    -------
    list of (str, str, list of str)
        Name, default ("" where nobody knows), values on the problems.
    """
    chosen = []
    for results, problem in ran_on:
        best = best_rows(results, problem).set_index("solver")["name"][solver]
        chosen.append(_by_variant(results, problem)[best])
    names = dict.fromkeys(name for own in chosen for name in own)
    known = defaults(solver_class.parameters) if solver_class else {}
    return [
        (
            name,
            rounded(limit_text(name, parameter_text(known[name])))
            if name in known
            else "",
            [rounded(own.get(name, parameter_text(None))) for own in chosen],
        )
        for name in names
    ]
