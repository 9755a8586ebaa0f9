"""Where a result comes from: versions, commit, machine."""

import subprocess
from functools import cache
from importlib.metadata import version

import numpy as np
from threadpoolctl import threadpool_info

import benchmark_bilevel
from benchmark_bilevel.fingerprint import PACKAGE, fingerprint


@cache
def provenance():
    """Dict of strings and numbers that names the code which made a result."""
    libraries = ("benchopt", "torch", "numba", "numpy", "scipy")
    return {
        "benchmark_bilevel": benchmark_bilevel.__version__,
        "fingerprint": fingerprint(),
        "commit": _git_commit(),
        **{name: version(name) for name in libraries},
        "blas": [
            {key: str(pool[key]) for key in ("internal_api", "version", "num_threads")}
            for pool in threadpool_info()
        ],
        "cpu_features": [k for k, v in _cpu_features().items() if v],
    }


def _cpu_features():
    return np._core._multiarray_umath.__cpu_features__


def _git_commit():
    """Commit of the checkout, with "+" where files differ from it; "" outside git."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+"],
            cwd=PACKAGE,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return described.stdout.strip()
