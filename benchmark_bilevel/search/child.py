"""``benchopt run`` as a child process."""

import os
import subprocess
import sys

# The package is not imported: that of the benchmark's own folder is to be.
CODE = """
import os, threading
from benchopt.cli import benchopt

def end_with_parent():
    os.read(0, 1)  # not sys.stdin, whose lock would end Python with an error
    os._exit(1)

threading.Thread(target=end_with_parent, daemon=True).start()
benchopt(prog_name="benchopt")
"""


def run_benchopt(arguments, **options):
    """Run ``benchopt run`` with `arguments`, no longer than this process lives.

    What were left of a killed search or of killed results would write into the files
    of the next one.

    Parameters
    ----------
    arguments : list of str
    **options
        Of `subprocess.run`.

    Returns
    -------
    subprocess.CompletedProcess
    """
    # Its end is read where the writing end is closed, by whatever ends this process.
    reading, writing = os.pipe()
    try:
        command = [sys.executable, "-c", CODE, "run", *arguments]
        return subprocess.run(command, stdin=reading, **options)
    finally:
        os.close(reading)
        os.close(writing)
