"""benchopt as a user calls it: in a process of its own."""

import os
import re
import subprocess
import sys

import pandas as pd

HANGING = 3600  # seconds: only a process that never ends takes longer


def command(*arguments, folder=None, check=True, **environment):
    """Exit code and lines of a command, without colours."""
    result = subprocess.run(
        list(map(str, arguments)),
        capture_output=True,
        text=True,
        env={**os.environ, "BENCHOPT_RAISE_ON_ERROR": "0", **environment},
        timeout=HANGING,
        cwd=folder,
    )
    output = result.stdout.replace("\r", "\n") + result.stderr
    output = re.sub(r"\x1b\[[0-9;]*m", "", output)
    lines = output.splitlines()
    if check:
        assert result.returncode == 0, "\n".join(lines)
    return result.returncode, lines


def benchopt(benchmark, *arguments, command_name="run", check=True, **environment):
    """Exit code and lines of a benchopt command on the folder `benchmark`."""
    return command(
        *(sys.executable, "-m", "benchopt", command_name, benchmark, *arguments),
        folder=benchmark,  # "python -m" puts the working directory first in the path
        check=check,
        **environment,
    )


def run(benchmark, name, *arguments, **environment):
    """Lines and results of ``benchopt run`` with the output called `name`."""
    arguments = ("--no-plot", "--output", name, *arguments)
    _, lines = benchopt(benchmark, *arguments, **environment)
    return lines, pd.read_parquet(benchmark / "outputs" / f"{name}.parquet")


def status_lines(lines):
    """What became of each solver."""
    return [
        line for line in lines if re.search(r"--.*: (done|error|skip|diverged)", line)
    ]
