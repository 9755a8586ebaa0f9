"""Stochastic bilevel optimisation: problems, oracles, runtimes, exact evaluation.

Everything of the benchmark that is mathematics lives in this package; the benchopt
plugins (``objective.py``, ``solvers/``, ``datasets/``, ``plots/``) only name it.
"""

from benchmark_bilevel.version import __version__

__all__ = ["__version__"]
