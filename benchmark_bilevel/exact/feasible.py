"""The feasible set of x, read off the problem's projection."""

import numpy as np

FAR = 1e30  # beyond any feasible set


def projected(problem, x):
    """The feasible point nearest to `x`."""
    if problem.project is None:
        return x
    import torch  # takes seconds

    return problem.project(torch.from_numpy(x)).numpy()


def box_of(problem):
    """The pair (lower, upper) of arrays if x is free or in a box, else None.

    It is read off the projection: where it takes points far away, and that between
    those it moves nothing.
    """
    free = np.full(problem.dim_x, np.inf)
    if problem.project is None:
        return -free, free
    lower, upper = (projected(problem, np.full(problem.dim_x, s)) for s in (-FAR, FAR))
    lower[lower == -FAR], upper[upper == FAR] = -np.inf, np.inf
    point = np.random.default_rng(0).standard_normal(problem.dim_x)
    is_box = np.array_equal(projected(problem, point), point.clip(lower, upper))
    return (lower, upper) if is_box else None
