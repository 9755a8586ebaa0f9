"""What solvers, problems and files are called: on pages, at command lines, on disk."""

import re
from pathlib import PurePath

import numpy as np
import pandas as pd

HOW_OFTEN = "p_obj_exact_evaluations"
LONGEST = 100  # characters of a file's name, before its ending
# Where the words of a name are not what readers call it.
TITLES = {
    "hyperparameter-selection": "Hyper-parameter selection",
    "data-hypercleaning": "Data hyper-cleaning",
    "deep-hypercleaning": "Deep hyper-cleaning",
    "hyper-representation": "Hyper-representation",
    "multi-task-ridge": "Multi-task ridge",
    "few-shot": "Few-shot learning",
    "20newsgroups": "20 Newsgroups",
    "covtype": "Covertype",
    "fashion_mnist": "Fashion-MNIST",
    "ijcnn1": "IJCNN1",
    "mnist": "MNIST",
}
SYMBOLS = {"condition": "κ"}  # of parameters, in titles


class FileNames:
    """Names of files for texts, of letters, digits and hyphens, no two of them alike.

    Texts that differ in case or in other characters only get numbers, in the order in
    which they come: file systems and hosts may not tell them apart.
    """

    def __init__(self):
        self._names = {}

    def __call__(self, *parts):
        """The name for `parts`, without ending; the same for the same parts."""
        if parts not in self._names:
            plain = file_name(*parts)
            name, number = plain, 1
            while name in self._names.values():
                number += 1
                name = f"{plain}-{number}"
            self._names[parts] = name
        return self._names[parts]


def file_name(*parts):
    """A file's name without its ending, of letters, digits and hyphens."""
    name = re.sub(r"[^0-9a-z.]+", "-", " ".join(parts).lower())[:LONGEST].strip("-.")
    return name or "unnamed"


def base_name(name):
    """``"SOBA"`` of ``"SOBA[step_size=0.1]"``: parameters are read from columns."""
    return name.partition("[")[0]


def parameters_of(rows, column, prefix):
    """Pairs (name without parameters, table of their texts), for all in `column`.

    A table has a row for each of the name's, and the parameters with any value there:
    the others belong to other solvers (data sets, objectives).
    """
    names = [name for name in rows if name.startswith(prefix)]
    for base, group in rows.groupby(rows[column].map(base_name), sort=False):
        own = [name for name in names if group[name].notna().any()]
        table = pd.DataFrame(
            {name.removeprefix(prefix): _parameter_texts(group[name]) for name in own},
            index=group.index,
            dtype=object,  # a column of pandas' texts takes long to copy and to read
        )
        yield base, table


def selectors(rows, column, prefix):
    """Names with every parameter, as benchopt takes them at its command line.

    Only infinite values are left to the defaults, as benchopt reads no infinity.

    Parameters
    ----------
    rows : DataFrame
    column : str
        Names, such as ``"SOBA[step_size=0.1]"``.
    prefix : str
        Of the columns that hold the parameters.

    Returns
    -------
    Series
    """
    found = pd.Series("", rows.index, dtype=object)
    for base, table in parameters_of(rows, column, prefix):
        pairs = _pairs(table.replace("inf", ""))
        found[table.index] = [base + (f"[{','.join(p)}]" if p else "") for p in pairs]
    return found


def short_names(rows, column, prefix):
    """Names with the parameters that vary only; arguments as of `selectors`."""
    return rows[column].map(base_name) + _settings(rows, column, prefix)


def _settings(rows, column, prefix):
    """Texts such as ``" step_size=0.1"`` of the parameters that vary.

    A file in which nothing has a parameter is of a version without it, which is no
    other value.
    """
    found = pd.Series("", rows.index, dtype=object)
    for _, table in parameters_of(rows, column, prefix):
        given = rows.loc[table.index, [prefix + name for name in table]].notna()
        known = given.groupby(rows["file"][table.index]).transform("any")
        table = table.where(known.to_numpy(), "")
        varying = [
            name for name in table if table[name][table[name] != ""].nunique() > 1
        ]
        short = table[varying].apply(_rounded)
        found[table.index] = [" ".join(("", *p)) for p in _pairs(short)]
    return found


def _rounded(texts):
    """Numbers to six digits, if that leaves them distinct."""
    short = texts.map(rounded)
    return short if short.nunique() == texts.nunique() else texts


def rounded(text):
    """The text of a number to six digits; any other as it is."""
    return f"{float(text):g}" if _is_number(text) else text


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def _pairs(table):
    """For each row the list of its ``"name=value"``."""
    rows = table.to_dict("records") if len(table.columns) else [{}] * len(table)
    return [[f"{k}={value}" for k, value in row.items() if value] for row in rows]


def _parameter_texts(values):
    """`parameter_text` of all `values`, of which most are the same."""
    known = {}
    texts = []
    for value in values:
        key = type(value), value  # True is equal to 1
        try:
            text = known.get(key)
        except TypeError:  # a list
            text = parameter_text(value)
        if text is None:
            text = known[key] = parameter_text(value)
        texts.append(text)
    return texts


def parameter_text(value):
    """A parameter's value; numbers read the same whatever the column's type."""
    if np.ndim(value) == 0 and pd.isna(value):
        return "None"
    if isinstance(value, bool | np.bool_):
        return str(value)
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return (
        str(int(number)) if number.is_integer() and abs(number) < 1e15 else repr(number)
    )


def problem_names(results):
    """Names such as ``"ijcnn1, hyperparameter-selection"``, one a row."""
    return _joined(
        results, lambda data, kind: data if data == kind else f"{data}, {kind}"
    )


def problem_titles(results):
    """The same for readers, such as ``"Hyper-parameter selection · IJCNN1"``."""
    return _joined(results, _problem_title).map(_spell_out)


def _problem_title(data, kind):
    base, space, settings = data.partition(" ")
    names = [kind] if base == kind else [kind, base]
    return " · ".join(map(title, names)) + space + settings


def _spell_out(text):
    """Parameters for readers: ``"Quadratic condition=10"`` is "Quadratic · κ = 10"."""
    return re.sub(r" (\w+)=", lambda m: f" · {SYMBOLS.get(m[1], m[1])} = ", text)


def title(name):
    """What readers call a problem or a data set; its name in words if none is known."""
    words = re.sub("[-_]", " ", name)
    return TITLES.get(name, words[:1].upper() + words[1:])


def _joined(results, join):
    names = pd.Series("", results.index)
    for kind, rows in results.groupby("kind", sort=False):
        data = short_names(rows, "dataset_name", "p_dataset_")
        # How often h is evaluated makes no other problem of what has one such number.
        how_often = rows.get(HOW_OFTEN, data).groupby(data).nunique(dropna=False)
        if (how_often == 1).all():
            rows = rows.drop(columns=HOW_OFTEN, errors="ignore")
        # The objective's name is the same for all; its parameter `problem` is the name.
        settings = _settings(rows, "objective_name", "p_obj_")
        names[rows.index] = (
            data.map(lambda text, kind=kind: join(text, kind)) + settings
        )
    files = results["file"].groupby(names).nunique()
    repeated = names.isin(files[files > 1].index)
    return names.where(~repeated, names + " (" + results["file"] + ")")


def kind_names(problems):
    """From each of `problems` to its name: that of the file, if a path was given."""
    names = {}
    for problem in problems:
        name = PurePath(problem).stem if problem.endswith(".py") else problem
        taken = sum(other.partition(" (")[0] == name for other in names.values())
        names[problem] = f"{name} ({taken + 1})" if taken else name
    return names
