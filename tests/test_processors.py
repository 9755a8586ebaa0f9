"""Compiled code for other processors than this one."""

import os
import subprocess
import sys

from conftest import ROOT

# As many as take seconds; `make test-generic` has the rest.
FEW = ("test_kernels.py", "-k", "exp_is_accurate or softmax or dots and 17")


def test_without_vector_instructions():
    """Neither AVX nor FMA: `exp` stays within a unit, products within their rounding."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *FEW],
        cwd=ROOT / "tests",
        env={**os.environ, "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
