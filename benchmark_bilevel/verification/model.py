"""What a method should do, by dense linear algebra on the full losses.

Gradients, Hessians and cross derivatives come from autograd on the full losses as one
function of (z, x): no oracle, no block, no estimator and no kernel of the package is
used, so that an error there cannot hide here.
"""

from typing import NamedTuple

import numpy as np
import torch


class Derivatives(NamedTuple):
    """All derivatives of both losses at one point."""

    gz: np.ndarray  # ∇z g
    H: np.ndarray  # ∇²zz g, (dim_z, dim_z)
    J: np.ndarray  # ∇²xz g, (dim_x, dim_z)
    fz: np.ndarray  # ∇z f
    fx: np.ndarray  # ∇x f
    gx: np.ndarray  # ∇x g
    g: float
    f: float


class Model:
    """Dense derivatives of a problem's losses and the iterations of exact methods.

    Parameters
    ----------
    problem : Problem
    """

    def __init__(self, problem):
        self.problem = problem
        self._samples = [
            [torch.tensor(array) for array in samples]
            for samples in (problem.inner_samples, problem.outer_samples)
        ]

    def _inner(self, zx):
        z, x = zx[: self.problem.dim_z], zx[self.problem.dim_z :]
        value = self.problem.inner_loss(z, x, *self._samples[0]).mean()
        if self.problem.inner_regulariser is not None:
            value = value + self.problem.inner_regulariser(z, x)
        return value

    def _outer(self, zx):
        z, x = zx[: self.problem.dim_z], zx[self.problem.dim_z :]
        return self.problem.outer_loss(z, x, *self._samples[1]).mean()

    def at(self, z, x):
        """`Derivatives` at (z, x)."""
        p, zx = len(z), torch.tensor(np.concatenate([z, x]))
        g = torch.autograd.functional.jacobian(self._inner, zx).numpy()
        f = torch.autograd.functional.jacobian(self._outer, zx).numpy()
        second = torch.autograd.functional.hessian(self._inner, zx).numpy()
        return Derivatives(
            gz=g[:p],
            H=second[:p, :p],
            J=second[p:, :p],
            fz=f[:p],
            fx=f[p:],
            gx=g[p:],
            g=float(self._inner(zx)),
            f=float(self._outer(zx)),
        )

    def inner_gradient(self, z, x):
        """∇z g at (z, x)."""
        zx = torch.tensor(np.concatenate([z, x]), requires_grad=True)
        (gradient,) = torch.autograd.grad(self._inner(zx), zx)
        return gradient.numpy()[: len(z)]

    def inner_solution(self, z, x):
        """z*(x) by Newton steps from `z`."""
        for _ in range(30):
            now = self.at(z, x)
            step = np.linalg.solve(now.H, now.gz)
            z = z - step
            if np.linalg.norm(step) <= 1e-13 * max(1, np.linalg.norm(z)):
                break
        return z

    def parts(self, z, x):
        """∇x f and J v with v = −H⁻¹∇z f at (z, x): their sum is the hypergradient."""
        now = self.at(z, x)
        return now.fx, -now.J @ np.linalg.solve(now.H, now.fz)

    def inner_descent(self, z, x, step, n_steps, decrease=0.0):
        """z after some steps of gradient descent on g(·, x)."""
        for i in range(n_steps):
            z = z - step / (1 + decrease * i) * self.inner_gradient(z, x)
        return z

    @staticmethod
    def linear_descent(now, v, step, n_steps, decrease=0.0):
        """v after some steps of gradient descent on ½ vᵀHv + vᵀ∇z f."""
        for i in range(n_steps):
            v = v - step / (1 + decrease * i) * (now.H @ v + now.fz)
        return v

    def iteration(self, estimate, z, v, x, step, outer_step):
        """One iteration of the method that `estimate` describes, with full batches.

        Parameters
        ----------
        estimate : Estimate
        z, v, x : arrays
            Where the iteration starts; v is used by methods that keep it.
        step, outer_step : float
            Steps of z and of x.

        Returns
        -------
        direction, z, v
            The direction of x, and z and v after the iteration.
        """
        z0, _ = self.problem.initial_point()
        start = self.at(z, x) if estimate.simultaneous_steps else None
        z = self.inner_descent(
            z if estimate.warm_z else z0,
            x,
            step,
            estimate.inner_steps,
            estimate.decrease,
        )
        now = start or self.at(z, x)
        v = self.linear_descent(
            now,
            v if estimate.warm_v else np.zeros_like(v),
            estimate.step,
            estimate.terms,
            estimate.decrease,
        )
        direction = now.fx + now.J @ v
        if estimate.simultaneous_steps:
            z = z - estimate.simultaneous_steps * step * start.gz
            v = self.linear_descent(
                start, v, estimate.step, estimate.simultaneous_steps
            )
        z = self.inner_descent(
            z, x - outer_step * direction, step, estimate.later_steps
        )
        return direction, z, v

    def settled_direction(self, estimate, x, step):
        """The direction of x after many iterations with x held where it is."""
        z0, _ = self.problem.initial_point()
        z = self.inner_solution(z0, x)
        now = self.at(z, x)
        v = -np.linalg.solve(now.H, now.fz)
        return self.iteration(estimate, z, v, x, step, 0.0)[0]

    def fixed_point(self, estimate, step):
        """The x where the method rests, for a quadratic: its direction is affine in x.

        It is the minimiser of h where the estimate has no bias.
        """
        origin = np.zeros(self.problem.dim_x)
        constant = self.settled_direction(estimate, origin, step)
        slopes = [
            self.settled_direction(estimate, unit, step) - constant
            for unit in np.eye(origin.size)
        ]
        return -np.linalg.solve(np.transpose(slopes), constant)
