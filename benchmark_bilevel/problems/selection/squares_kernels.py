"""Closed forms of ridge regression in numba; a block is (features, batch).

On a block with targets y, s = w (Aᵀz − y) and t = w Aᵀv, w the partition's weight:
∇z ℓ = A s, ∇²zz ℓ v = A t; the ridge adds to them as in `binary_kernels`.
"""

import numpy as np

from benchmark_bilevel.compiled.products import combine, dots
from benchmark_bilevel.oracles import HESSIAN_VECTOR
from benchmark_bilevel.problems.selection.binary_kernels import (
    HAS_HESSIAN,
    Logistic,
    LogisticInner,
    LogisticOuter,
)
from benchmark_bilevel.problems.selection.ridge import penalties, ridge_add

__all__ = ["HAS_HESSIAN", "make_inner", "make_outer"]


class Squares(Logistic):
    """w Σ ½ (aᵀz − y)², what both losses share."""

    fields = {"y": "(n_blocks, batch), targets, 0 for padding"}

    @classmethod
    def arrays(cls, problem, samples, partition, dtype):
        own = {"y": partition.pack(samples[1], dtype)}
        return super().arrays(problem, samples, partition, dtype) | own

    def residuals(self, z, i):
        """s ← w (aᵀz − y), zero for padding."""
        s, y = self.s, self.y[i]
        combine(self.a[i], z, s)
        for k in range(s.size):
            s[k] = self.weight * (s[k] - y[k])
        return s

    def loss(self, z, i):
        """Σ ½ s² / w."""
        s, total = self.residuals(z, i), 0.0
        for k in range(s.size):
            total += s[k] * s[k]
        return 0.5 * total / self.weight


class SquaresInner(Squares, LogisticInner):
    def curvatures(self, v, i):
        """t ← w aᵀv."""
        t = self.t
        combine(self.a[i], v, t)
        for k in range(t.size):
            t[k] *= self.weight
        return t

    def hessian(self, z, x, i):
        self.count(HESSIAN_VECTOR, i, z.size)
        a, matrix = self.a[i], np.empty((z.size, z.size), z.dtype)
        dots(a, a, matrix)
        diagonal = np.zeros_like(z)
        ridge_add(self.ridge, penalties(self.ridge, x), 1.0, np.ones_like(z), diagonal)
        for j in range(z.size):
            for k in range(z.size):
                matrix[j, k] *= self.weight
            matrix[j, j] += diagonal[j]
        return matrix


class SquaresOuter(Squares, LogisticOuter):
    pass


make_inner, make_outer = SquaresInner.make, SquaresOuter.make
