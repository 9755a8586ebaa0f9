"""The units of a problem, and quasi-random points in a solver's ranges."""

import hashlib
from typing import NamedTuple

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh
from scipy.stats import qmc

from benchmark_bilevel.exact.metrics import Evaluator
from benchmark_bilevel.parameters import defaults
from benchmark_bilevel.search.ranges import OUTER_STEP, ranges_of


class Space(NamedTuple):
    """What a specification's `space` says of one solver."""

    edges: list  # (name, low, high), as entries of a `search_space`
    ties: dict  # from names to the names whose values they take
    values: dict

    @classmethod
    def of(cls, entries):
        """Of ``{name: [low, high]}``, ``{name: other name}`` and ``{name: value}``."""
        edges = {name: one for name, one in entries.items() if isinstance(one, list)}
        others = {name: one for name, one in entries.items() if name not in edges}
        # A name in a text is of what is searched: other texts are values.
        ties = {k: one for k, one in others.items() if str(one) in edges}
        values = {name: one for name, one in others.items() if name not in ties}
        return cls([(name, *one) for name, one in edges.items()], ties, values)

    def completed(self, parameters):
        """`parameters` and those that take the value of one of them."""
        return parameters | {k: parameters[one] for k, one in self.ties.items()}


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

    L_g is 1 for fixed points, whose step is one of Picard's.

    Parameters
    ----------
    problem : Problem
    batch_size : int
        Samples of g in a mini-batch.
    """
    exact = Evaluator(problem).exact
    _, x = problem.initial_point()
    start = exact.evaluate(x)
    largest = 1.0
    if not problem.made_of_tasks or problem.contraction is None:
        largest = _largest_eigenvalue(exact, start.z, x)
    steepest = np.abs(start.hypergradient).max()
    return Units(
        *(_rounded(1 / largest), _rounded(1 / steepest), problem.n_inner / batch_size)
    )


def _largest_eigenvalue(exact, z, x):
    """Of ∇²zz g at (z, x), to three digits."""
    if z.size == 1:  # ARPACK wants two variables
        return exact.losses.hvp(z, x, np.ones(1))[0]
    hessian = LinearOperator(
        (z.size, z.size),
        matvec=lambda v: exact.losses.hvp(z, x, np.ascontiguousarray(v.ravel())),
        dtype=float,
    )
    # ARPACK's own start is random.
    (largest,) = eigsh(
        hessian, k=1, which="LA", tol=1e-3, v0=np.ones(z.size) / z.size,
        return_eigenvectors=False,
    )  # fmt: skip
    return largest


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
