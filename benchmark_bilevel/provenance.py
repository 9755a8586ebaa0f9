"""Where a result comes from: versions, commit, machine."""

import subprocess
from functools import cache
from importlib.metadata import version

import numpy as np
from threadpoolctl import threadpool_info

from benchmark_bilevel.fingerprint import PACKAGE, fingerprint
from benchmark_bilevel.version import __version__


@cache
def provenance():
    """Dict of strings and numbers that names the code which made a result."""
    libraries = ("benchopt", "torch", "numba", "numpy", "scipy")
    return {
        "benchmark_bilevel": __version__,
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


def changed_files(folder):
    """Files of the checkout in `folder` that its commit does not hold as they are.

    The results are left out: they say themselves which commit made them.

    Returns
    -------
    list of str or None
        None outside of git.
    """
    status = _git(folder, "status", "--porcelain", "--", ":/", ":(top,exclude)results")
    return None if status is None else [line[3:] for line in status.splitlines()]


def _git_commit():
    """Commit of the checkout, with "+" where files differ from it; "" outside git."""
    if not _git(PACKAGE, "ls-files", "__init__.py"):
        return ""  # installed somewhere, perhaps inside another project's checkout
    commit = _git(PACKAGE, "describe", "--always", "--abbrev=40") or ""
    return commit + ("+" if changed_files(PACKAGE) else "")


def _git(folder, *arguments):
    """What git answers in `folder`; None if it fails."""
    try:
        answer = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip("\n")
