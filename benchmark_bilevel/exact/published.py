"""The published reference minima of h: small JSON files in the folder ``references``.

A reference belongs to the samples and the settings of a problem, by their fingerprint,
not to the name of a data set. Those of the package come first; a new one is saved in the
clone of the benchmark at hand.
"""

import json
import math
import os
import re
from pathlib import Path

import numpy as np

from benchmark_bilevel.exact.feasible import projected
from benchmark_bilevel.fingerprint import PACKAGE
from benchmark_bilevel.folders import benchmark_folder

FOLDER = Path("exact", "references")


class DamagedReference(Exception):
    """A reference file that does not hold a reference; ``str`` of it is one line."""


def reference_value(problem):
    """h* of `problem`; NaN where it has none or `lack_of_reference` says why."""
    minimiser = _feasible_minimiser(problem) if problem.has_reference else None
    if minimiser is not None:
        return float(problem.value_function(minimiser))
    try:
        reference = published_reference(problem)
    except DamagedReference:
        reference = None
    return math.nan if reference is None else reference["value"]


def needs_reference(problem):
    """Whether h has a minimum that a computation has to find."""
    if not problem.has_reference or problem.h_unknown is not None:
        return False
    return _feasible_minimiser(problem) is None


def _feasible_minimiser(problem):
    """The minimiser of h in closed form; None if there is none or it is infeasible."""
    if not hasattr(problem, "minimiser"):
        return None
    x = problem.minimiser()
    return x if np.allclose(projected(problem, x), x, rtol=1e-12, atol=0) else None


def lack_of_reference(problem):
    """Why the reference of a problem that could have one is not known; None if it is."""
    if not needs_reference(problem):
        return None
    try:
        known = published_reference(problem) is not None
    except DamagedReference as error:
        return str(error)
    return None if known else "none is published for these samples and settings"


def published_reference(problem):
    """The content of the file of `problem`'s reference; None if there is no such file.

    Raises
    ------
    DamagedReference
    """
    if not problem.has_reference:
        return None
    paths = reference_paths(f"*-{problem.fingerprint}.json")
    return read_reference(paths[0]) if paths else None


def reference_paths(pattern="*.json"):
    """The reference files whose names match `pattern`, those of the package first."""
    package = PACKAGE / FOLDER
    paths = sorted(package.glob(pattern))
    own = benchmark_folder() / PACKAGE.name / FOLDER
    return paths if own == package else [*paths, *sorted(own.glob(pattern))]


def references_of(problem, dataset):
    """The files of the references of the problem and the data set with these names."""
    return reference_paths(f"{_stem(problem, dataset)}-*.json")


def _stem(problem, dataset):
    """How the names of these files begin; a problem of one's own is named by a path."""
    return re.sub(r"[^\w.-]+", "_", f"{problem}-{dataset}")


def read_reference(path):
    """The content of a reference file, as `find_reference` made it.

    Raises
    ------
    DamagedReference
    """
    try:
        reference = json.loads(path.read_bytes())
        value, accuracy = float(reference["value"]), float(reference["accuracy"])
        if not (math.isfinite(value) and 0 <= accuracy < math.inf):
            raise ValueError(f"value {value}, accuracy {accuracy}")
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise DamagedReference(
            f"{path} is damaged ({error}): restore the file, or delete it and compute it "
            "again by `python -m benchmark_bilevel reference`"
        ) from None
    return reference


def save_reference(reference, problem, dataset):
    """Write the reference of `problem` on the data set of that name, atomically.

    Returns
    -------
    Path
    """
    folder = benchmark_folder() / PACKAGE.name / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{_stem(problem.name, dataset)}-{problem.fingerprint}.json"
    partial = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        partial.write_text(json.dumps(reference, indent=1))
        partial.chmod(0o644)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    return path
