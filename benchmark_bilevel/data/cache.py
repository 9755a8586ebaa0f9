"""Keep the files of a data set: read, verify, fetch, replace, and never by halves.

Files are fetched into a folder of their own beside the final place, by the library
that knows their source, read there, compared with the known content, and only then
moved under their final names. So a cut or altered download, a crash or a full disk
never leaves anything that a later run could take for data.
"""

import hashlib
import os
import shutil
import socket
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import pickles

TIMEOUT = 30.0  # seconds without a byte after which a server counts as gone
RETRY_DELAY = 1.0  # seconds until the one further try, where a library has tries
LOCK_TIMEOUT = 3600.0  # seconds to wait for another process that is fetching
RETRY_AFTER = 600.0  # seconds for which a failure to fetch is remembered

_failures = {}


class MissingData(Exception):
    """A data set is neither there nor to be had; ``str`` of it is one line."""


@dataclass(frozen=True)
class Source:
    """A data set in files that can be fetched.

    Parameters
    ----------
    name : str
        Name of the data set.
    folder : str
        Where its files are in the data home.
    files : tuple of str
        The files, relative to `folder`.
    origin : str
        Who is asked for them and how much there is to fetch, for messages.
    read : callable
        From the folder to the arrays. It must not use the network.
    download : callable
        Make all files in the folder that it is given, which is empty but for the
        `reusable` files that are there already.
    digest : str
        What `digest` returns for the right arrays.
    reusable : tuple of str
        Those of `files` that `download` can take instead of fetching them again.
    executed : tuple of str
        Those of `files` that are pickles of which the library executes what they name.
        They are looked through before it gets them.
    """

    name: str
    folder: str
    files: tuple[str, ...]
    origin: str
    read: Callable[[Path], dict]
    download: Callable[[Path], None]
    digest: str
    reusable: tuple[str, ...] = ()
    executed: tuple[str, ...] = ()


def ensure(source, home):
    """Read the arrays of a source, fetching its files if they are absent or unusable.

    Parameters
    ----------
    source : Source
        What to read.
    home : pathlib.Path
        The data home.

    Returns
    -------
    dict
        The arrays that ``source.read`` returns, verified and read-only.

    Raises
    ------
    MissingData
        If that is not possible.
    """
    folder = home / source.folder
    data, problem = _read(source, folder)
    if data is not None:
        return data
    # The next solver of the same run need not wait for the same dead server.
    failed_at, line = _failures.get((source.name, folder), (-np.inf, ""))
    if time.monotonic() - failed_at < RETRY_AFTER:
        raise MissingData(line)
    try:
        from filelock import FileLock

        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f".{source.name}.lock", timeout=LOCK_TIMEOUT):
            # Another process may have fetched the files in the meantime.
            data, problem = _read(source, folder)
            if data is None:
                message = f"{source.name}: {problem}; fetching it from {source.origin}"
                print(message, file=sys.stderr, flush=True)
                data = _fetch(source, folder)
            return data
    # The user gets them all as one line, which names the error; other data sets run.
    except Exception as error:  # each library has its own for network, disk and file
        line = (
            f"{source.name}: {problem}; fetching it failed ({reason(error)}); connect "
            f"to the network and run `benchopt prepare . -d {source.name} --force`, or "
            "put good copies of these files there by hand (BENCHOPT_DATA_HOME names "
            "another folder)"
        )
        _failures[source.name, folder] = time.monotonic(), line
        raise MissingData(line) from None


def forget_failures():
    """Let the next `ensure` ask the network whatever happened before."""
    _failures.clear()


def digest(data):
    """SHA-256 of arrays: names, shapes, types and content.

    Values of sparse matrices count in float32, because their last digits are those of
    a norm computed by a library, whose next version may round differently.

    Parameters
    ----------
    data : dict
        Arrays, sparse CSR matrices or None by name.

    Returns
    -------
    str
        Hexadecimal digest.
    """
    sha256 = hashlib.sha256()
    for name, array in sorted(data.items()):
        if array is None:
            continue
        sha256.update(f"{name} {array.shape} {array.dtype}".encode())
        if isinstance(array, np.ndarray):
            sha256.update(np.ascontiguousarray(array))
        else:
            sha256.update(array.indptr.astype(np.int64))
            sha256.update(array.indices.astype(np.int64))
            sha256.update(array.data.astype(np.float32))
    return sha256.hexdigest()


def freeze(data):
    """Make the dense arrays of `data` read-only, since all users share them."""
    for array in data.values():
        if isinstance(array, np.ndarray):
            array.setflags(write=False)
    return data


def reason(error, length=300):
    """Say in one line of at most `length` characters why something failed.

    Libraries wrap the error of the system or the network, which says most, in their
    own. If there is one in the chain it is taken, otherwise the exception itself.
    """
    telling = error
    while error is not None:
        if isinstance(error, OSError):
            telling = error
        context = None if error.__suppress_context__ else error.__context__
        error = error.__cause__ or context
    text = " ".join(str(telling).split()) or type(telling).__name__
    return text if len(text) <= length else text[: length - 3] + "..."


def _read(source, folder):
    """Arrays and None, or None and why there are none."""
    absent = [f for f in source.files if not os.path.exists(folder / f)]
    if absent:
        return None, f"no {', '.join(absent)} in {folder}"
    try:
        for file in source.executed:
            pickles.load(folder / file)
        data = source.read(folder)
        _verify(source, data)
    except Exception as error:  # a damaged pickle raises anything: fetched again
        names = ", ".join(source.files)
        return None, f"{names} in {folder} unusable ({reason(error)})"
    return freeze(data), None


def _verify(source, data):
    found = digest(data)
    if found != source.digest:
        raise ValueError(
            "the content is not the published one: SHA-256 of the arrays "
            f"{found[:12]}... instead of {source.digest[:12]}..."
        )


def _fetch(source, folder):
    """Make the files in a folder of their own, verify them, move them in place."""
    # The lock is held: what an earlier process may have left here is dead.
    partial = folder / f".{source.name}.partial"
    reusable = [file for file in source.reusable if (folder / file).exists()]
    try:
        data = _reuse(source, folder, partial, reusable) if reusable else None
        if data is None:
            data = _make(source, folder, partial, [])
            _verify(source, data)
        for file in source.files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            os.replace(partial / file, folder / file)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return freeze(data)


def _reuse(source, folder, partial, reusable):
    """The arrays made with the help of files that are there; None if these are bad."""
    try:
        data = _make(source, folder, partial, reusable)
        _verify(source, data)
    except Exception:  # a file is wrong in any way: nothing that is there is used
        return None
    return data


def _make(source, folder, partial, reusable):
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for file in reusable:
        shutil.copy(folder / file, partial / file)
        if file in source.executed:
            pickles.load(partial / file)
    with _socket_timeout(TIMEOUT), warnings.catch_warnings():
        # Libraries announce retries by warnings; their failure is reported anyway.
        warnings.simplefilter("ignore")
        source.download(partial)
    return source.read(partial)


@contextmanager
def _socket_timeout(seconds):
    """Libraries that set no time-out of their own get this one."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
