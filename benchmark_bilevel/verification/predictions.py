"""What a declared `Estimate` predicts: iterations, where z and x rest, directions.

By dense linear algebra and gradient descent on the full losses (`Model`).
"""

from functools import singledispatch

import numpy as np
from scipy.optimize import root

from benchmark_bilevel.methods.facts import Implicit, Penalised, Unrolled


@singledispatch
def iteration(estimate, model, z, v, x, x_next, step):
    """One iteration with full batches, x going from `x` to `x_next`.

    Parameters
    ----------
    estimate : Estimate
    model : Model
    z, v, x : arrays
        Where the iteration starts; v is used by methods that keep it.
    x_next : array
        Where x is after it.
    step : float
        ρ, the step of z.

    Returns
    -------
    direction, z, v
        The direction D of x, and z and v after the iteration.
    """
    raise TypeError(f"{type(estimate).__name__} says too little about its iterations")


@iteration.register
def _(estimate: Implicit, model, z, v, x, x_next, step):
    z = model.inner_descent(
        z if estimate.warm_z else model.z0,
        x,
        step,
        estimate.inner_steps,
        estimate.decrease,
    )
    now = model.at(z, x)
    v = _linear_solution(estimate, now, v)
    direction = now.fx + now.J @ v
    if estimate.simultaneous:
        z = z - step * now.gz
        v = v - estimate.step * (now.H @ v + now.fz)
    if estimate.tracks_x:
        z = z - np.linalg.solve(now.H, now.J.T @ (x_next - x))
    z = model.inner_descent(z, x_next, step, estimate.later_steps)
    return direction, z, v


def _linear_solution(estimate, now, v):
    """v' of an `Implicit` estimate."""
    if estimate.linear_steps is None:
        ridge = estimate.ridge * np.eye(len(now.H))
        return -np.linalg.solve(now.H + ridge, now.fz)
    if not estimate.warm_v:
        v = -estimate.start * now.fz
    if estimate.conjugate:
        return _conjugate_gradient(now.H, now.fz, v, estimate.linear_steps)
    for i in range(estimate.linear_steps):
        step = estimate.step / (1 + estimate.decrease * i)
        v = v - step * (now.H @ v + now.fz)
    return v


def _conjugate_gradient(H, b, v, n_steps):
    """`n_steps` steps of conjugate gradients for H v = −b, by their definition.

    v minimises ½ vᵀHv + vᵀb over start + span{r, Hr, …}.
    """
    r = H @ v + b
    if not r.any():
        return v
    basis = [r / np.linalg.norm(r)]
    for _ in range(n_steps - 1):
        new = H @ basis[-1]
        for _ in range(2):  # Gram-Schmidt loses digits; twice is enough
            new = new - sum(q * (q @ new) for q in basis)
        if np.linalg.norm(new) < 1e-10:
            break
        basis.append(new / np.linalg.norm(new))
    Q = np.transpose(basis)
    return v - Q @ np.linalg.solve(Q.T @ H @ Q, Q.T @ r)


@iteration.register
def _(estimate: Unrolled, model, z, v, x, x_next, step):
    steps = step / (1 + estimate.decrease * np.arange(estimate.inner_steps))
    path = [z if estimate.warm_z else model.z0]
    for rate in steps:
        path.append(model.inner_descent(path[-1], x, rate, 1))
    end = model.at(path[-1], x)
    direction, adjoint = end.fx, end.fz
    for rate, z in zip(steps[::-1], path[-2::-1], strict=True):
        now = model.at(z, x)
        direction = direction - rate * now.J @ adjoint
        adjoint = adjoint - rate * now.H @ adjoint
    return direction, path[-1], v


@singledispatch
def settled(estimate, model, x, step):
    """Where z may rest with x held fixed, and the direction D there.

    Returns
    -------
    zs : list of arrays
        One of them is z's limit.
    direction : array
    """
    z = model.inner_solution(model.z0, x)
    now = model.at(z, x)
    v = -np.linalg.solve(now.H, now.fz)
    direction, z, _ = iteration(estimate, model, z, v, x, x, step)
    return [z], direction


@settled.register
def _(estimate: Penalised, model, x, step):
    y = {
        node: model.inner_solution(model.z0, x, node / estimate.penalty)
        for node in {*estimate.nodes, estimate.outer_node}
    }
    zs = list(y.values())
    if estimate.reference_steps is not None:
        y[0] = model.inner_descent(y[1], x, step, estimate.reference_steps)
    differences = sum(c * model.at(y[j], x).gx for j, c in estimate.nodes.items())
    fx = model.at(y[estimate.outer_node], x).fx
    return zs, fx + estimate.penalty * differences


def fixed_point(estimate, model, step):
    """The x where the method rests on a quadratic; the minimum of h if it has no bias.

    D is affine in x there, but for conjugate gradients.
    """
    start = np.zeros(model.problem.dim_x)
    return root(lambda x: settled(estimate, model, x, step)[1], start, tol=1e-13).x
