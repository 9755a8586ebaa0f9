"""Closed forms of the quadratics in numba; a block of samples is (features, batch).

On a block with rows a_i, b_i the residuals are s = w (aᵀz + bᵀx − c), and t = w aᵀv,
with w the partition's weight.
"""

import numpy as np

from benchmark_bilevel.compiled.products import combine, dots, empty_like
from benchmark_bilevel.methods.variance_reduction import empty_memory
from benchmark_bilevel.oracles import (
    HESSIAN_VECTOR,
    INNER_GRADIENTS,
    INNER_GRADIENTS_X,
    JACOBIAN_VECTOR,
    LOSS_VALUES,
    OUTER_GRADIENTS,
)
from benchmark_bilevel.oracles.closed_form import Inner, Oracle, Outer


class LeastSquares(Oracle):
    """w Σ ½ (aᵀz + bᵀx − c)² = Σ ½ s² / w, what both losses are."""

    fields = {
        "a": "(n_blocks, dim_z, batch), factors of z; padding is zero",
        "b": "(n_blocks, dim_x, batch), factors of x",
        "c": "(n_blocks, batch), targets",
        "s": "(batch,), workspace",
        "t": "(batch,), workspace",
    }

    @classmethod
    def arrays(cls, problem, samples, partition, dtype):
        a, b, c = (partition.pack(array, dtype) for array in samples)
        s, t = np.zeros((2, partition.batch_size), dtype)
        return {"a": a, "b": b, "c": c, "s": s, "t": t}

    def residuals(self, z, x, i):
        """s ← w (aᵀz + bᵀx − c); zero for padding."""
        s, t, c = self.s, self.t, self.c[i]
        combine(self.a[i], z, s)
        combine(self.b[i], x, t)
        for k in range(s.size):
            s[k] = self.weight * (s[k] + t[k] - c[k])
        return s

    def value(self, z, x, i):
        """Σ ½ s² / w."""
        self.count(LOSS_VALUES, i)
        s = self.residuals(z, x, i)
        total = 0.0
        for k in range(s.size):
            total += s[k] * s[k]
        return 0.5 * total / self.weight

    def gradients(self, z, x, i):
        """A s and B s."""
        s = self.residuals(z, x, i)
        gradient_z, gradient_x = empty_like(z), empty_like(x)
        dots(self.a[i], s, gradient_z)
        dots(self.b[i], s, gradient_x)
        return gradient_z, gradient_x


class QuadraticInner(LeastSquares, Inner):
    def grad(self, z, x, i):
        """A s."""
        self.count(INNER_GRADIENTS, i)
        gradient = empty_like(z)
        dots(self.a[i], self.residuals(z, x, i), gradient)
        return gradient

    def grad_x(self, z, x, i):
        """B s."""
        self.count(INNER_GRADIENTS_X, i)
        gradient = empty_like(x)
        dots(self.b[i], self.residuals(z, x, i), gradient)
        return gradient

    def grads(self, z, x, i):
        self.count(INNER_GRADIENTS, i)
        self.count(INNER_GRADIENTS_X, i)
        return self.gradients(z, x, i)

    def curvature(self, v, i):
        """t ← w aᵀv."""
        t = self.t
        combine(self.a[i], v, t)
        for k in range(t.size):
            t[k] *= self.weight
        return t

    def hvp(self, z, x, v, i):
        """A t."""
        self.count(HESSIAN_VECTOR, i)
        product = empty_like(z)
        dots(self.a[i], self.curvature(v, i), product)
        return product

    def cross(self, z, x, v, i):
        """B t."""
        self.count(JACOBIAN_VECTOR, i)
        product = empty_like(x)
        dots(self.b[i], self.curvature(v, i), product)
        return product


class QuadraticOuter(LeastSquares, Outer):
    @classmethod
    def memory(cls, oracle, z, x):
        return empty_memory(z, oracle.n_blocks), empty_memory(x, oracle.n_blocks)

    def grad(self, z, x, i):
        """A s and B s."""
        self.count(OUTER_GRADIENTS, i)
        return self.gradients(z, x, i)

    def grad_x(self, z, x, i):
        """B s."""
        return self.grad(z, x, i)[1]


make_inner, make_outer = QuadraticInner.make, QuadraticOuter.make
