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
    """Dense derivatives of a problem's losses, and exact solutions by them.

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
        self.z0, _ = problem.initial_point()

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

    def inner_solution(self, z, x, outer_weight=0.0):
        """z*(x), or the minimiser of g + `outer_weight` f, by Newton steps from `z`."""
        p = len(z)

        def loss(zx):
            value = self._inner(zx)
            return value + outer_weight * self._outer(zx) if outer_weight else value

        for _ in range(30):
            zx = torch.tensor(np.concatenate([z, x]))
            gradient = torch.autograd.functional.jacobian(loss, zx).numpy()[:p]
            hessian = torch.autograd.functional.hessian(loss, zx).numpy()[:p, :p]
            step = np.linalg.solve(hessian, gradient)
            z = z - step
            if np.linalg.norm(step) <= 1e-13 * max(1, np.linalg.norm(z)):
                break
        return z

    def parts(self, z, x):
        """∇x f and J v with v = −H⁻¹∇z f at (z, x): their sum is the hypergradient."""
        now = self.at(z, x)
        return now.fx, -now.J @ np.linalg.solve(now.H, now.fz)

    def inner_descent(self, z, x, step, n_steps, decrease=0.0):
        """z after some steps of gradient descent on g(·, x); z*(x) for None."""
        if n_steps is None:
            return self.inner_solution(z, x)
        for i in range(n_steps):
            z = z - step / (1 + decrease * i) * self.inner_gradient(z, x)
        return z
