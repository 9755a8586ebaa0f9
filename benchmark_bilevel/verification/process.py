"""Checks in a process of their own: a faulty plugin may crash it, or never return.

Numba checks bounds there, and caches nothing that a run would find.
"""

import math
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

import click

from benchmark_bilevel.faults import line_of
from benchmark_bilevel.verification import Result
from benchmark_bilevel.verification.plugin import checks_of

# CPU time of one check; all of a right solver's together take less than a minute.
SECONDS = 60


def results_of(path, seconds=SECONDS):
    """Yield pairs (name of the subject, `Result`) of the checks of what `path` defines.

    Parameters
    ----------
    path : str
    seconds : int
        CPU time after which a check has failed; reading data may take longer.
    """
    receiver, sender = multiprocessing.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as folder:
        worker = subprocess.Popen(
            [sys.executable, "-m", __name__, path, str(sender.fileno()), str(seconds)],
            env={**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": folder},
            pass_fds=[sender.fileno()],
        )
        sender.close()
        try:
            yield from _received(receiver, worker, Path(path).name)
        finally:
            worker.kill()
            worker.wait()


def _received(receiver, worker, name):
    """What the worker sends of `name`; one more result if it dies of a check."""
    title, seconds = "The checks can be imported", math.inf
    while True:
        try:
            kind, content = receiver.recv()
        except EOFError:
            break
        if kind == "error":
            raise click.UsageError(content)
        if kind == "name":
            name = content
        elif kind == "check":
            title, seconds = content
        else:
            yield name, content
    code = worker.wait()
    if code == -signal.SIGXCPU:
        text = f"it takes more than {seconds} s of CPU"
        text += ": does an iteration never end?" if name.startswith("solver ") else ""
        yield name, Result(title, "FAIL", text)
    elif code:
        ended = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        text = f"it ends the process with {ended}"
        text += ": does step leave its arrays?" if name.startswith("solver ") else ""
        yield name, Result(title, "FAIL", text)


def _work(path, sender, seconds):
    """Run the checks and send what they find."""

    def announce(title, factor=1):
        usage = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(usage.ru_utime + usage.ru_stime) + factor * seconds
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        sender.send(("check", (title, factor * seconds)))

    try:
        for name, results in checks_of(path, announce):
            sender.send(("name", name))
            for result in results:
                sender.send(("result", result))
    # Such as one of example_data, which no check is about.
    except (Exception, SystemExit) as error:
        sender.send(("error", line_of(error)))


if __name__ == "__main__":
    _work(sys.argv[1], Connection(int(sys.argv[2]), readable=False), int(sys.argv[3]))
