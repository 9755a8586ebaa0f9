"""benchopt's own tests of a benchmark.

In a file of their own, as they run late: by then tests/test_solvers.py has compiled all
solvers for the problem that ``Objective.test_config`` names.
"""

import os
import re
import sys

from command_line import benchopt
from conftest import ROOT


def test_conformity():
    folder = os.path.dirname(sys.executable)
    code, lines = benchopt(
        ROOT,
        "--skip-install",
        command_name="test",
        check=False,
        PATH=f"{folder}{os.pathsep}{os.environ['PATH']}",
    )
    assert code == 0, "\n".join(lines[-40:])
    assert re.search(r"\d+ passed", lines[-1]) and "failed" not in lines[-1]
