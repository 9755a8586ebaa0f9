"""The table of trials: a parquet file that grows by whole runs and survives a kill."""

import json
import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

import click
import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

TUNING, SAFETY = "tuning", "safety"
REPORT = "report"  # published runs that diverged
# What is no trial, for comparison: the parameters of the solver's file, and those that
# won another search, at the same shares of the ranges here.
NO_TRIAL = -1
DEFAULTS, TRANSFER = "defaults", "transfer from {}"

# Of the file: a run's identity, what it was asked for, and what came out.
COLUMNS = {
    "solver": "str",
    "trial": "int64",
    "stage": "str",
    "seed": "int64",  # of one stage; those of two are other random numbers
    "budget": "float64",  # oracle calls
    "parameters": "str",  # JSON
    "shares": "str",  # JSON: where they are in their ranges, from 0 to 1
    # Lower is better; NaN where the run diverged, and where nobody asked for it.
    "score": "float64",
    "suboptimality": "float64",
    "diverged": "float64",
    "oracle_calls": "float64",
    "seconds": "float64",
    "fingerprint": "str",
    "source": "str",  # hash of the solver's file and of what it imports beside it
    # JSON: what all runs of the search share; "" where a file is older than the column.
    "search": "str",
}
IDENTITY = ["solver", "trial", "stage", "seed", "budget"]


class Store:
    """Rows of finished runs in a parquet file.

    Parameters
    ----------
    path : path
        The file; it need not exist.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.rows = _read(self.path) if self.path.exists() else _table([])

    def append(self, rows):
        """Add `rows`, dicts with the keys `COLUMNS`; the file has all or none of them."""
        if not rows:
            return
        added = _table(rows)
        rows = added if self.rows.empty else pd.concat([self.rows, added])
        if rows.duplicated(IDENTITY).any():
            raise click.ClickException(
                f"{self.path} has some of the seeds of a trial only: rows were taken "
                "out. Move it away, or restore it."
            )
        self.rows = rows.reset_index(drop=True)
        self.save()

    def save(self):
        """Write the file, whole."""
        with whole(self.path) as partial:
            self.rows.to_parquet(partial, index=False)

    def keep(self, mask):
        """Forget all rows but those of `mask`; the file does so when it is written."""
        self.rows = self.rows[mask].reset_index(drop=True)

    def of(self, solver, stage=None):
        """The rows of a solver, of one stage if it is named."""
        rows = self.rows[self.rows["solver"] == solver]
        return rows if stage is None else rows[rows["stage"] == stage]

    def parameters(self, solver, trial):
        """The parameters that a trial was run with, and their shares."""
        rows = self.of(solver, TUNING)
        row = rows[rows["trial"] == trial].iloc[0]
        return json.loads(row["parameters"]), json.loads(row["shares"])


@contextmanager
def whole(path):
    """The name of a file that takes the place of `path` at the end, or else is gone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as temporary:
        try:
            yield temporary.name
            os.chmod(temporary.name, 0o644)
            os.replace(temporary.name, path)
        except BaseException:
            os.unlink(temporary.name)
            raise


def write_whole(path, text):
    """Write `text` into the file `path`, all or nothing."""
    with whole(path) as partial:
        Path(partial).write_text(text, "utf-8")


def _table(rows):
    """Rows with the columns `COLUMNS`; the search is not known of those without it."""
    rows = pd.DataFrame(rows, columns=list(COLUMNS))
    search = rows["search"].astype(object).where(rows["search"].notna(), "")
    return rows.assign(search=search).astype(COLUMNS)


def _read(path):
    """The rows in the file `path`; `click.ClickException` where they are none."""
    try:
        rows = pd.read_parquet(path)
        missing = [name for name in COLUMNS if name not in {*rows, "search"}]
        if missing:
            raise ValueError(f"it has no column {', '.join(missing)}")
        gaps = [name for name in IDENTITY if rows[name].isna().any()]
        if gaps:
            raise ValueError(f"column {gaps[0]} has gaps")
        rows = _table(rows)
        for name in ("parameters", "shares", "search"):
            texts = set(rows[name]) - ({""} if name == "search" else set())
            if not all(isinstance(json.loads(text), dict) for text in texts):
                raise ValueError(f"column {name} is not JSON of names and values")
        if rows.duplicated(IDENTITY).any():
            raise ValueError("it has a run twice")
        if not rows["diverged"].isin([0, 1]).all() or np.isinf(rows["score"]).any():
            raise ValueError("diverged is not 0 or 1, or a score is infinite")
        return rows
    except (OSError, TypeError, ValueError) as error:
        raise click.ClickException(
            f"{path} is no table of a search: {one_line(error)}. Move it away, or "
            "restore it."
        ) from error


def one_line(error):
    """What `error` says, its kind if it says nothing, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def alone(file):
    """Keep other processes from `file` as long as this one goes on."""
    lock = FileLock(file.with_name(f".{file.name}.lock"), timeout=0)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        held = lock.acquire()
    except Timeout:
        raise click.ClickException(
            f"{file}: another process is at it; wait for its end, or end it."
        ) from None
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error}.") from error
    with held:
        yield
