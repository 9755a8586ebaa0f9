"""Whether a configuration of today asks for what a result file has."""

import yaml
from benchopt.benchmark import _list_parametrized_classes

from benchmark_bilevel.report.names import parameter_text, parameters_of
from benchmark_bilevel.search.options import by_option

# Limits so high that they are none.
NO_LIMIT = {"max_iterations": 1e12, "max_oracle_calls": 1e15, "max_seconds": 1e9}
PARTS = (
    ("solver", "solver_name", "p_solver_", "check_solver_patterns"),
    ("dataset", "dataset_name", "p_dataset_", "check_dataset_patterns"),
    ("objective", "objective_name", "p_obj_", "check_objective_filters"),
)


def differences(benchmark, text, rows):
    """What the configuration `text` asks for today that the runs in `rows` are not.

    Defaults of today count, too. What a configuration asks for besides is no
    difference, as solvers skip problems.

    Parameters
    ----------
    benchmark : benchopt.benchmark.Benchmark
    text : str
        YAML.
    rows : DataFrame
        The runs of one result file.

    Returns
    -------
    list of str
        A line each.
    """
    try:
        config = by_option(yaml.safe_load(text))
        lines = []
        for key, column, prefix, check in PARTS:
            patterns = config.get(key)
            if isinstance(patterns, str):
                patterns = [patterns]
            found = getattr(benchmark, check)(patterns)
            today = [instance for instance, _ in _list_parametrized_classes(*found)]
            lines += _differences(today, rows, column, prefix)
        asked = config.get("n-repetitions") or 1
    except Exception as error:  # whatever a file of YAML may lead to
        reason = (str(error) or type(error).__name__).partition("\n")[0]
        return [f"it cannot be read: {reason}"]
    n_repetitions = int(rows["idx_rep"].max()) + 1
    if asked != n_repetitions:
        lines.append(f"n-repetitions is {asked}, and {n_repetitions} were run")
    return lines


def _differences(today, rows, column, prefix):
    """Lines for the solvers (data sets, objectives) of `rows` beside those of today."""
    by_name = {}
    for instance in today:
        by_name.setdefault(instance.name, []).append(instance)
    for name, table in parameters_of(rows, column, prefix):
        if name not in by_name:
            yield f"{name} is not in it"
            continue
        shared = [key for key in table if hasattr(by_name[name][0], key)]
        ran = {_settings(row, shared) for row in table[shared].to_dict("records")}
        asked = {
            _settings(
                {key: parameter_text(getattr(own, key)) for key in shared}, shared
            )
            for own in by_name[name]
        }
        lost = ran - asked
        if len(ran) == len(asked) == 1 and lost:
            pairs = zip(shared, *ran, *asked, strict=True)
            changed = [
                f"{key} is {now}, and {then} was run"
                for key, then, now in pairs
                if then != now
            ]
            yield f"{name}: {'; '.join(changed)}"
        elif lost:
            yield f"{name}: {len(lost)} of {len(ran)} settings that were run are not in it"


def _settings(row, keys):
    """Texts of the parameters `keys`; limits that are none are all the same."""
    return tuple(limit_text(key, row[key]) for key in keys)


def limit_text(name, text):
    """The text of a parameter; of a limit so high that it is none, ``"no limit"``.

    None is no limit either, but for ``max_seconds``, where it is the problem's own.
    """
    if name not in NO_LIMIT:
        return text
    if text == "None":
        return text if name == "max_seconds" else "no limit"
    try:
        return "no limit" if float(text) >= NO_LIMIT[name] else text
    except ValueError:
        return text
