"""Random bilevel quadratics with prescribed spectra: everything in closed form."""

from functools import cached_property

import numpy as np

from benchmark_bilevel.data import COEFFICIENTS
from benchmark_bilevel.problems.base import Problem
from benchmark_bilevel.problems.quadratic import kernels


class Quadratic(Problem):
    """Two least-squares losses, each a mean over many samples.

        g(z, x) = 1/n Σ_i ½ (a_iᵀz + b_iᵀx − c_i)²
        f(z, x) = 1/m Σ_j ½ (d_jᵀz + e_jᵀx − r_j)²

    With A, B, c, D, E, r their rows stacked, z*(x) = −(AᵀA)⁻¹Aᵀ(Bx − c) is affine and h
    a quadratic; `datasets/quadratic.py` prescribes the spectra of ∇²zz g and of ∇²h.
    """

    name = "quadratic"
    kernels = kernels

    @classmethod
    def unfit(cls, data):
        if not set(COEFFICIENTS) <= set(data):
            names = ", ".join(COEFFICIENTS)
            return f"needs the coefficients {names} of a quadratic: -d quadratic"
        return None

    @property
    def inner_samples(self):
        return self.data["A"], self.data["B"], self.data["c"]

    @property
    def outer_samples(self):
        return self.data["D"], self.data["E"], self.data["r"]

    @property
    def dim_z(self):
        return self.data["A"].shape[1]

    @property
    def dim_x(self):
        return self.data["B"].shape[1]

    def inner_loss(self, z, x, a, b, c):
        return 0.5 * (a @ z + b @ x - c) ** 2

    outer_loss = inner_loss

    def initial_point(self):
        return np.zeros(self.dim_z), np.zeros(self.dim_x)

    # --- closed form ----------------------------------------------------------------

    @cached_property
    def _affine_solution(self):
        """Matrix K and vector k with z*(x) = K x + k."""
        A, B, c = self.inner_samples
        H = A.T @ A
        return -np.linalg.solve(H, A.T @ B), np.linalg.solve(H, A.T @ c)

    def inner_solution(self, x):
        """z*(x) in closed form."""
        K, k = self._affine_solution
        return K @ x + k

    def value_function(self, x):
        """h(x) in closed form."""
        D, E, r = self.outer_samples
        residual = D @ self.inner_solution(x) + E @ x - r
        return 0.5 * np.mean(residual**2)

    def hypergradient(self, x):
        """∇h(x) in closed form."""
        D, E, r = self.outer_samples
        K, _ = self._affine_solution
        residual = D @ self.inner_solution(x) + E @ x - r
        return (D @ K + E).T @ residual / len(r)

    def minimiser(self):
        """The minimiser of h in closed form: a least-squares problem in x."""
        D, E, r = self.outer_samples
        K, k = self._affine_solution
        return np.linalg.lstsq(D @ K + E, r - D @ k)[0]


def random_quadratic(
    n_samples=1000,
    n_outer_samples=500,
    dim_inner=20,
    dim_outer=10,
    condition=10.0,
    outer_condition=10.0,
    noise=1.0,
    seed=0,
):
    """Data of a random `Quadratic` whose Hessians have prescribed spectra.

    Parameters
    ----------
    n_samples, n_outer_samples : int
        Numbers of samples of g and of f, at least the dimensions.
    dim_inner, dim_outer : int
        Dimensions of z and of x.
    condition : float
        Condition number of ∇²zz g, whose eigenvalues are log-spaced up to 1.
    outer_condition : float
        Condition number of ∇²h, likewise.
    noise : float
        Standard deviation of the targets c and r: residuals stay at the solution, so
        that stochastic gradients vary there.
    seed : int

    Returns
    -------
    dict of arrays A (n, dim_inner), B (n, dim_outer), c (n,), D (m, dim_inner),
    E (m, dim_outer), r (m,); see `Quadratic`.
    """
    generator = np.random.default_rng(seed)
    A = _with_spectrum(generator, n_samples, dim_inner, condition)
    # B depends on A: independent factors would leave the cross derivative AᵀB / n, all
    # that ties z*(x) to x, at the size of noise.
    coupling = generator.standard_normal((dim_inner, dim_outer)) / np.sqrt(dim_inner)
    B = A @ coupling + generator.standard_normal((n_samples, dim_outer)) / 2
    D = generator.standard_normal((n_outer_samples, dim_inner)) / np.sqrt(dim_inner)
    # E makes ∇²h = (DK + E)ᵀ(DK + E) / m what it should be, z* having the slope K.
    K = -np.linalg.solve(A.T @ A, A.T @ B)
    E = _with_spectrum(generator, n_outer_samples, dim_outer, outer_condition) - D @ K
    c = noise * generator.standard_normal(n_samples)
    r = noise * generator.standard_normal(n_outer_samples)
    return {"A": A, "B": B, "c": c, "D": D, "E": E, "r": r}


def _with_spectrum(generator, n, dim, condition):
    """Random M (n, dim) with the eigenvalues of MᵀM / n log-spaced in [1/condition, 1]."""
    left, _ = np.linalg.qr(generator.standard_normal((n, dim)))
    right, _ = np.linalg.qr(generator.standard_normal((dim, dim)))
    return np.sqrt(n) * left * np.logspace(0, -0.5 * np.log10(condition), dim) @ right
