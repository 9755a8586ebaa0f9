"""Seconds from Enter to the end of a run of one iteration, and of a cached rerun.

    python benchmarks/startup.py

Runs ``benchopt run`` on an embedded data set: with an empty compilation cache, with a
full one, and with the result in benchopt's cache, where no solver starts at all. Beside
them, what ``python -c "import benchopt"`` takes, and whether the runs imported torch.
"""

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
from throughput import ONE_THREAD, ROOT

RUN = ("run", str(ROOT), "--no-plot", "-d", "breast_cancer")
RUN += (
    "-o",
    "Bilevel[problem=hyperparameter-selection]",
    "-s",
    "SOBA[max_iterations=1]",
)


def said(*command, **environment):
    """What a Python command prints as errors."""
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **ONE_THREAD, **environment},
    ).stderr


def seconds(*command, **environment):
    """Wall-clock time of a Python command."""
    started = time.perf_counter()
    said(*command, **environment)
    return time.perf_counter() - started


def imports_torch(*command, **environment):
    # Imports of imports are indented.
    listed = said("-X", "importtime", *command, **environment)
    return re.search(r"\| +torch$", listed, re.MULTILINE) is not None


@click.command(help=__doc__.split("\n\n")[0])
@click.option("--repeats", default=5)
def main(repeats):
    with tempfile.TemporaryDirectory() as folder:
        cache = {
            "NUMBA_CACHE_DIR": str(Path(folder, "numba")),
            "BENCHOPT_CACHE": str(Path(folder, "benchopt")),
        }
        run = ("-m", "benchopt", *RUN, "--output", str(Path(folder, "run.parquet")))
        first = seconds(*run, "--no-cache", **cache)
        rows = [("first run, everything compiled", first, "")]
        for name, command in (
            ("import benchopt", ("-c", "import benchopt")),
            ("one iteration, compiled code from disk", (*run, "--no-cache")),
            ("one iteration, result from the cache", run),
        ):
            seconds(*command, **cache)
            runs = [seconds(*command, **cache) for _ in range(repeats)]
            note = "   imports torch" if imports_torch(*command, **cache) else ""
            rows.append((name, statistics.median(runs), note))
    for name, median, note in rows:
        print(f"{name:<42}{median:>7.2f} s{note}")


if __name__ == "__main__":
    main()
