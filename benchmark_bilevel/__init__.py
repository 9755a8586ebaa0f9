"""Stochastic bilevel optimisation: problems, oracles, runtimes, exact evaluation.

Everything of the benchmark that is mathematics lives in this package; the benchopt
plugins (``objective.py``, ``solvers/``, ``datasets/``, ``plots/``) only name it.
"""

__version__ = "0.1.0"
