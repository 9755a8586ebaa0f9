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


def seconds(*command, **environment):
    """Wall-clock time of a Python command, and the modules that it imported."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *command],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **ONE_THREAD, **environment},
    )
    return time.perf_counter() - started, done.stderr


@click.command(help=__doc__.split("\n\n")[0])
@click.option("--repeats", default=5)
def main(repeats):
    with tempfile.TemporaryDirectory() as folder:
        cache = {
            "NUMBA_CACHE_DIR": str(Path(folder, "numba")),
            "BENCHOPT_CACHE": str(Path(folder, "benchopt")),
        }
        run = ("-m", "benchopt", *RUN)
        rows = [
            ("first run, everything compiled", [seconds(*run, "--no-cache", **cache)])
        ]
        for name, command in (
            ("import benchopt", ("-c", "import benchopt")),
            ("one iteration, compiled code from disk", (*run, "--no-cache")),
            ("one iteration, result from the cache", run),
        ):
            seconds(*command, **cache)
            rows.append((name, [seconds(*command, **cache) for _ in range(repeats)]))
    for name, runs in rows:
        median = statistics.median(duration for duration, _ in runs)
        # Imports of imports are indented.
        torch = any(re.search(r"\| +torch$", said, re.MULTILINE) for _, said in runs)
        print(f"{name:<42}{median:>7.2f} s{'   imports torch' if torch else ''}")


if __name__ == "__main__":
    main()
