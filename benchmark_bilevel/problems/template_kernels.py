"""A template to copy: the closed forms of `template_problem.RidgeSelection` in numba.

A block of samples is an array (features, batch), of which `dots` and `combine` are the
products with vectors; w is the partition's weight. Name the module in the problem,
``kernels = my_kernels``, and ``python -m benchmark_bilevel check my_problem.py`` holds
every formula to autograd.
"""

import numpy as np

from benchmark_bilevel.compiled.exponentials import exp
from benchmark_bilevel.compiled.products import combine, dots, empty_like
from benchmark_bilevel.methods import descend, scaled_descend
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
    """w Σ ½ (aᵀz − y)², what both losses share."""

    # What a block needs; `arrays` makes it, and padding has to come out as zero.
    fields = {
        "a": "(n_blocks, features, batch), design",
        "y": "(n_blocks, batch), targets",
        "s": "(batch,), workspace",
    }

    @classmethod
    def arrays(cls, problem, samples, partition, dtype):
        a, y = (partition.pack(array, dtype) for array in samples)
        return {"a": a, "y": y, "s": np.zeros(partition.batch_size, dtype)}

    # Plain methods are compiled: loops, not array expressions, and constants of the
    # arrays' type, or float32 becomes float64.

    def residuals(self, z, i):
        """s ← w (aᵀz − y)."""
        s, y = self.s, self.y[i]
        combine(self.a[i], z, s)
        for k in range(s.size):
            s[k] = self.weight * (s[k] - y[k])
        return s

    def loss(self, z, i):
        """Σ ½ s² / w."""
        s = self.residuals(z, i)
        total = 0.0
        for k in range(s.size):
            total += s[k] * s[k]
        return 0.5 * total / self.weight


class RidgeInner(LeastSquares, Inner):
    def penalties(self, x):
        """λ = exp(x)."""
        result = empty_like(x)
        exp(x, result)
        return result

    def value(self, z, x, i):
        """Σ ½ s² / w + ½ Σ λ z²."""
        self.count(LOSS_VALUES, i)
        penalties, total = self.penalties(x), 0.0
        for k in range(z.size):
            total += penalties[k] * z[k] * z[k]
        return self.loss(z, i) + 0.5 * total

    def grad(self, z, x, i):
        """A s + λ z."""
        self.count(INNER_GRADIENTS, i)
        penalties, gradient = self.penalties(x), empty_like(z)
        dots(self.a[i], self.residuals(z, i), gradient)
        for k in range(z.size):
            gradient[k] += penalties[k] * z[k]
        return gradient

    def grad_x(self, z, x, i):
        """½ λ z²."""
        self.count(INNER_GRADIENTS_X, i)
        gradient, half = self.penalties(x), x.dtype.type(0.5)
        for k in range(z.size):
            gradient[k] *= half * z[k] * z[k]
        return gradient

    def hvp(self, z, x, v, i):
        """w A aᵀv + λ v."""
        self.count(HESSIAN_VECTOR, i)
        s, penalties, product = self.s, self.penalties(x), empty_like(z)
        combine(self.a[i], v, s)
        for k in range(s.size):
            s[k] *= self.weight
        dots(self.a[i], s, product)
        for k in range(z.size):
            product[k] += penalties[k] * v[k]
        return product

    def cross(self, z, x, v, i):
        """λ z v."""
        self.count(JACOBIAN_VECTOR, i)
        product = self.penalties(x)
        for k in range(z.size):
            product[k] *= z[k] * v[k]
        return product


class RidgeOuter(LeastSquares, Outer):
    def value(self, z, x, i):
        """Σ ½ s² / w."""
        self.count(LOSS_VALUES, i)
        return self.loss(z, i)

    def grad(self, z, x, i):
        """A s, and None: f does not depend on x."""
        self.count(OUTER_GRADIENTS, i)
        gradient = empty_like(z)
        dots(self.a[i], self.residuals(z, i), gradient)
        return gradient, None

    def descend(self, x, a, d, e=None):
        """x ← the nearest point of [−10, 3] to x − a (d + e)."""
        descend(x, a, d, e)
        self.project(x)

    def scaled_descend(self, x, step, d, a, floor):
        """The same for x − step d / (√a + floor), in the metric of these steps."""
        scaled_descend(x, step, d, a, floor)
        self.project(x)

    def project(self, x):
        low, high = x.dtype.type(-10), x.dtype.type(3)
        for k in range(x.size):
            if x[k] < low:  # NaN stays NaN
                x[k] = low
            elif x[k] > high:
                x[k] = high


make_inner, make_outer = RidgeInner.make, RidgeOuter.make
