"""The units of a problem, and quasi-random points in a solver's ranges."""

import hashlib
from typing import NamedTuple

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh
from scipy.stats import qmc

from benchmark_bilevel.exact.solve import Exact
from benchmark_bilevel.parameters import defaults
from benchmark_bilevel.search.ranges import OUTER_STEP, ranges_of


class Units(NamedTuple):
    """What a problem measures steps in, at its start (z*(x0), x0)."""

    inner: float  # 1 / L_g, L_g the largest eigenvalue of ∇²zz g
    outer: float  # u = 1 / ‖∇h(x0)‖∞
    epoch: float  # inner mini-batches in one pass

    def of(self, name):
        """Length of the unit `name` of a `ranges.LogUniform`."""
        return {
            "": 1.0,
            "1/L": self.inner,
            "u": self.outer,
            "epoch": self.epoch,
            "1/epoch": 1 / self.epoch,
        }[name]


def units_of(problem, batch_size):
    """`Units` of `problem`, to three digits.

    Parameters
    ----------
    problem : Problem
    batch_size : int
        Samples of g in a mini-batch.
    """
    exact = Exact(problem)
    _, x = problem.initial_point()
    start = exact.evaluate(x)
    hessian = LinearOperator(
        (start.z.size, start.z.size),
        matvec=lambda v: exact.losses.hvp(start.z, x, np.ascontiguousarray(v.ravel())),
        dtype=float,
    )
    # ARPACK's own start is random.
    (largest,) = eigsh(
        hessian, k=1, which="LA", tol=1e-3, v0=np.ones(start.z.size) / start.z.size,
        return_eigenvectors=False,
    )  # fmt: skip
    steepest = np.abs(start.hypergradient).max()
    return Units(
        *(_rounded(1 / largest), _rounded(1 / steepest), problem.n_inner / batch_size)
    )


def trials(solver, units, n_trials):
    """Parameters of the trials of a solver: the first points of a Sobol sequence.

    Trial k is the same whatever `n_trials` is, so that a search can be extended.

    Parameters
    ----------
    solver : subclass of BilevelSolver
    units : Units
    n_trials : int
        Where nothing is searched, the only trial is that of the defaults.

    Returns
    -------
    list of dict
        As `parameters_at` gives them.
    """
    space = ranges_of(solver)
    if not space:
        return [{}]
    # Each solver has a scrambling of its own, the same on every machine.
    seed = int.from_bytes(hashlib.sha256(solver.name.encode()).digest()[:4])
    sobol = qmc.Sobol(len(space), scramble=True, rng=np.random.default_rng(seed))
    # Whole powers of two keep the sequence balanced; what is too much is cut off.
    points = sobol.random_base2(max(n_trials - 1, 0).bit_length())[:n_trials]
    return [
        parameters_at(solver, dict(zip(space, point, strict=True)), units)
        for point in points
    ]


def parameters_at(solver, shares, units):
    """Parameters by their places in the ranges; steps of x are given by their ratio.

    Parameters
    ----------
    solver : subclass of BilevelSolver
    shares : dict
        By name, 0 at the lower and 1 at the upper edge, on the logarithmic scale.
    units : Units

    Returns
    -------
    dict
        Rounded to three significant digits, as they are printed.
    """
    values = {
        name: _rounded(bounds.at(shares[name], units))
        for name, bounds in ranges_of(solver).items()
    }
    if OUTER_STEP in values:
        outer_step = values.pop(OUTER_STEP)
        step = values.get("step_size", defaults(solver.parameters)["step_size"])
        values["outer_ratio"] = _rounded(step / outer_step)
    return values


def shares_of(solver, parameters, units):
    """Where `parameters` are in their ranges: what `parameters_at` takes."""
    values, ranges = dict(parameters), ranges_of(solver)
    if OUTER_STEP in ranges:
        step = values.get("step_size", defaults(solver.parameters)["step_size"])
        values[OUTER_STEP] = step / values["outer_ratio"]
    return {
        name: round(bounds.share(values[name], units), 4)
        for name, bounds in ranges.items()
    }


def _rounded(value):
    return value if isinstance(value, int) else float(f"{value:.3g}")
