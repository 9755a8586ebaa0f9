"""What benchopt's data sets have in common, and what a failure of one costs."""

import inspect
import traceback
import uuid
from pathlib import Path

import joblib
from benchopt import BaseDataset

from . import MissingData, fetch, load
from .cache import reason


class RealDataset(BaseDataset):
    """A data set that is known to `benchmark_bilevel.data` under the plugin's name."""

    prepare_cache_ignore = "all"

    def prepare(self):
        """Fetch and verify the files, whatever the seed."""
        fetch(self.name)

    def get_data(self):
        """Raw arrays of `load`, nothing split or scaled: the problem does that.

        Data that cannot be had are no error: ``missing`` then holds the line that
        the objective gives as its reason to skip, and other cells run.
        """
        try:
            return load(self.name)
        except MissingData as error:
            return {"missing": str(error)}


def arrays_of(dataset):
    """What ``get_data`` of a data set returns, whoever wrote it.

    An error in there is reported as missing data are, by a line in ``missing``.
    benchopt keeps what it got of a data set, and so keeps that line: nothing is tried
    again for the next solver.

    Parameters
    ----------
    dataset : benchopt.BaseDataset

    Returns
    -------
    dict
    """
    try:
        data = dataset._get_data()
        if not all(isinstance(name, str) for name in (*data, data.get("missing", ""))):
            raise ValueError
        return data
    # SystemExit too: a script's habit, which would end the run without a word.
    except (Exception, SystemExit) as error:
        dataset._data = {"missing": f"{dataset}: {_described(dataset, error)}"}
        return dataset._data


def content_digest(data):
    """Digest of what a data set returned; another one every time where there is none."""
    try:
        return joblib.hash(data)
    except Exception:  # of whatever kind, from pickling what a user's data set returns
        return uuid.uuid4().hex


def _described(dataset, error):
    """An error of a data set: its type, what it says and where in the user's file."""
    path = Path(inspect.getfile(type(dataset))).resolve()
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).resolve() == path]
    if not own and isinstance(error, ValueError):  # of what benchopt was given
        returned = type(dataset._data).__name__
        return (
            f"get_data ({path.name}) returned {returned}, not a dict of arrays with "
            "names for keys (or `missing`, a line that says why there are none)"
        )
    frame = (own or frames)[-1]
    where = f"{Path(frame.filename).name}, line {frame.lineno}"
    return f"{type(error).__name__} in get_data ({where}): {reason(error)}"
