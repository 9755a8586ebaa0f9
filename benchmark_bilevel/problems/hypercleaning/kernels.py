"""Closed forms of data hyper-cleaning in numba; see `cross_entropy_kernels`.

The factor of sample k is φ = w σ(x_k), w the partition's weight. A block moves the
entries of x of its own samples only: ∂/∂x_k is w σ'(x_k) CE_k for the loss, with
CE = log Σ exp S − S_y of the scores S, and w σ'(x_k) (Σ p T − T_y) for v · ∇_Z.
"""

import numpy as np

from benchmark_bilevel.compiled.exponentials import log_sum_exp, sigmoid, softmax
from benchmark_bilevel.compiled.row_directions import one_slice
from benchmark_bilevel.oracles import (
    HESSIAN_VECTOR,
    INNER_GRADIENTS,
    INNER_GRADIENTS_X,
    JACOBIAN_VECTOR,
    LOSS_VALUES,
)
from benchmark_bilevel.problems.cross_entropy_kernels import (
    CrossEntropy,
    CrossEntropyOuter,
    RowsInner,
)

# Block of the exact layer: 125 images in float64 stay in the cache. It divides the sizes
# of both parts of MNIST, whose samples then need no copy.
EXACT_BLOCK = 125
HAS_HVP_AGAIN = True  # the inner oracle has `hvp_again`


class Hypercleaning(CrossEntropy, RowsInner):
    fields = {"ridge": "factor of Z in ∇_Z"}

    @classmethod
    def arrays(cls, problem, samples, partition, dtype):
        own = {"ridge": np.dtype(dtype).type(2 * problem.ridge)}
        return super().arrays(problem, samples, partition, dtype) | own

    def first(self, i):
        """Index of the first sample of block i."""
        return i * self.y.shape[1]

    def weigh(self, x, i):
        """φ ← w σ(x) for the samples of block i."""
        factor, start, size = self.factor, self.first(i), self.sizes[i]
        sigmoid(x[start : start + size], factor[:size])
        for k in range(size):
            factor[k] *= self.weight

    def slopes(self, x, i):
        """w σ'(x) (mean − T_y), with φ, mean and T as they were left."""
        factor, t, y, size = self.factor, self.t, self.y[i], self.sizes[i]
        first, values = self.first(i), np.empty(size, factor.dtype)
        for k in range(size):
            values[k] = -x[first + k]
        sigmoid(values, values)  # σ' is σ(x) σ(−x); 1 − σ(x) would cancel
        for k in range(size):
            values[k] *= factor[k] * (self.mean[k] - t[y[k], k])
        return one_slice(first, values)

    def value(self, z, x, i):
        self.count(LOSS_VALUES, i)
        self.weigh(x, i)
        square = 0.0
        for k in range(z.size):
            square += z[k] * z[k]
        return self.loss(self.a[i], z, i) + 0.5 * self.ridge * square

    def grad(self, z, x, i):
        self.count(INNER_GRADIENTS, i)
        self.weigh(x, i)
        a = self.a[i]
        return self.back(a, self.residuals(a, z, i), z, self.ridge)

    def grad_x(self, z, x, i):
        self.count(INNER_GRADIENTS_X, i)
        self.weigh(x, i)
        self.scores(self.a[i], z, self.t)
        log_sum_exp(self.t, self.mean)
        return self.slopes(x, i)

    def grads(self, z, x, i):
        gradient_x = self.grad_x(z, x, i)
        self.count(INNER_GRADIENTS, i)
        softmax(self.t, self.p)  # of the scores
        return self.back(self.a[i], self.errors(i), z, self.ridge), gradient_x

    def hvp(self, z, x, v, i):
        self.count(HESSIAN_VECTOR, i)
        self.weigh(x, i)
        self.residuals(self.a[i], z, i)
        return self.hvp_again(x, v, i)

    def hvp_again(self, x, v, i):
        """`hvp`, with p as one at the same z and x left it; not counted."""
        self.weigh(x, i)
        a = self.a[i]
        return self.back(a, self.curvatures(a, v), v, self.ridge)

    def cross(self, z, x, v, i):
        self.count(JACOBIAN_VECTOR, i)
        self.weigh(x, i)
        a = self.a[i]
        self.residuals(a, z, i)
        self.curvatures(a, v)
        return self.slopes(x, i)

    def grad_hvp_cross(self, z, x, v, i):
        self.count(INNER_GRADIENTS, i)
        self.count(HESSIAN_VECTOR, i)
        self.count(JACOBIAN_VECTOR, i)
        self.weigh(x, i)
        a = self.a[i]
        gradient = self.back(a, self.residuals(a, z, i), z, self.ridge)
        product = self.back(a, self.curvatures(a, v), v, self.ridge)
        return gradient, product, self.slopes(x, i)


make_inner, make_outer = Hypercleaning.make, CrossEntropyOuter.make
