"""Folders: of the benchmark at hand, and of what is kept where it cannot be written."""

import os
import stat
import tempfile
from pathlib import Path

import click
from benchopt.benchmark import CACHE_DIR, get_running_benchmark
from benchopt.cli.main import run as benchopt_run
from benchopt.config import get_setting

from benchmark_bilevel.notices import say_once

CLONE = Path(__file__).resolve().parents[1]


def benchmark_folder():
    """The folder of the benchmark that is running, else of the one at hand.

    That is the working directory, or else the clone that holds this package, but never
    the place where it is installed.
    """
    if get_running_benchmark() is not None:
        return Path(get_running_benchmark().benchmark_dir).resolve()
    for folder in (Path.cwd(), CLONE):
        if (folder / "objective.py").exists():
            return folder
    return Path.cwd()


def temporary_folder():
    """A folder for temporary files of this user alone, since some of them are executed.

    Raises
    ------
    OSError
        If it cannot be made, or others could write it.
    """
    folder = Path(tempfile.gettempdir()) / f"benchmark_bilevel-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
    if not ours or status.st_mode & 0o077:
        raise PermissionError(f"{folder} is not private to this user")
    return folder


def is_writable(path):
    """Whether `path` can be written, or made if it does not exist."""
    while not path.exists():
        path = path.parent
    return os.access(path, os.W_OK)


def move_cache(folder):
    """Have benchopt's cache elsewhere if the benchmark's `folder` is read-only."""
    cache = folder / CACHE_DIR
    if get_setting("cache") is not None or is_writable(cache):
        return
    try:
        os.environ["BENCHOPT_CACHE"] = str(temporary_folder() / "results")
        place = f"is in {os.environ['BENCHOPT_CACHE']}"
    except OSError as error:
        place = f"has no place ({error})"
    say_once(
        f"{cache} cannot be written: benchopt's cache {place}; BENCHOPT_CACHE names "
        "another folder."
    )


def require_outputs(folder):
    """Refuse ``benchopt run`` whose results would go into a read-only `folder`."""
    context = click.get_current_context(silent=True)
    if context is None or context.command is not benchopt_run:
        return
    outputs = folder / "outputs"
    if os.sep not in context.params["output"] and not is_writable(outputs):
        raise click.UsageError(
            f"{outputs} cannot be written: name the file of the results, as in "
            "--output /FOLDER/NAME.parquet --no-plot."
        )
