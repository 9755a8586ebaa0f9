"""Closed forms of hyper-parameter selection with several classes in numba.

They are those of `cross_entropy_kernels`, with blocks stored (features, batch), the
longer side last; the ridge adds λ Z, λ V and the only cross derivative.
"""

import numpy as np

from benchmark_bilevel.compiled.called_products import product_at
from benchmark_bilevel.compiled.products import empty_like
from benchmark_bilevel.oracles import (
    HESSIAN_VECTOR,
    INNER_GRADIENTS,
    JACOBIAN_VECTOR,
    LOSS_VALUES,
    OUTER_GRADIENTS,
)
from benchmark_bilevel.problems.cross_entropy_kernels import CrossEntropy
from benchmark_bilevel.problems.selection.ridge import (
    RidgeInner,
    RidgeOuter,
    penalties,
    ridge_add,
    ridge_cross,
    ridge_value,
)

HAS_HESSIAN = True  # the inner oracle has a `hessian` of its own
HAS_HVP_AGAIN = True  # and `hvp_again`


class Softmax(CrossEntropy):
    """The same on blocks (features, batch)."""

    fields = {"a": "(n_blocks, features, batch), design"}
    samples_last = True
    inlined = True
    prefetches = True

    def weights(self, z):
        """The flat `z` as a matrix (classes, features)."""
        return z.reshape((self.p.shape[0], self.a.shape[1]))

    def scores(self, a, z, out):
        """out ← Z A."""
        product_at(self.combine, a, self.weights(z), out)

    def pull(self, a, r, out):
        """out ← R Aᵀ."""
        product_at(self.dots, a, r, out)


class SoftmaxInner(RidgeInner, Softmax):
    def value(self, z, x, i):
        self.count(LOSS_VALUES, i)
        penalty = penalties(self.ridge, x)
        return self.loss(self.a[i], z, i) + ridge_value(self.ridge, penalty, z)

    def grad(self, z, x, i):
        self.count(INNER_GRADIENTS, i)
        a, gradient = self.a[i], empty_like(z)
        self.pull(a, self.residuals(a, z, i), self.weights(gradient))
        ridge_add(self.ridge, penalties(self.ridge, x), 1.0, z, gradient)
        return gradient

    def hvp(self, z, x, v, i):
        self.count(HESSIAN_VECTOR, i)
        self.residuals(self.a[i], z, i)
        return self.hvp_again(x, v, i)

    def hvp_again(self, x, v, i):
        """`hvp`, with p as one at the same z and x left it; not counted."""
        a, product = self.a[i], empty_like(v)
        self.pull(a, self.curvatures(a, v), self.weights(product))
        ridge_add(self.ridge, penalties(self.ridge, x), 1.0, v, product)
        return product

    def grad_hvp_cross(self, z, x, v, i):
        self.count(INNER_GRADIENTS, i)
        self.count(HESSIAN_VECTOR, i)
        self.count(JACOBIAN_VECTOR, i)
        a, penalty = self.a[i], penalties(self.ridge, x)
        gradient, product = empty_like(z), empty_like(z)
        self.pull(a, self.residuals(a, z, i), self.weights(gradient))
        self.pull(a, self.curvatures(a, v), self.weights(product))
        ridge_add(self.ridge, penalty, 1.0, z, gradient)
        ridge_add(self.ridge, penalty, 1.0, v, product)
        return gradient, product, ridge_cross(self.ridge, penalty, z, v)

    def hessian(self, z, x, i):
        """∇²zz g on block i as a matrix.

        Its block of classes c and d is w A diag(p_c (δ_cd − p_d)) Aᵀ, and the ridge.
        """
        self.count(HESSIAN_VECTOR, i, z.size)
        a, p = self.a[i], self.p
        self.residuals(a, z, i)
        n_features, n_samples = a.shape
        weighted, part = np.empty_like(a), np.empty((n_features, n_features), z.dtype)
        matrix = np.empty((z.size, z.size), z.dtype)
        for c in range(p.shape[0]):
            for d in range(c + 1):
                for j in range(n_features):
                    for k in range(n_samples):
                        own = p.dtype.type(c == d)
                        weighted[j, k] = (
                            self.weight * p[c, k] * (own - p[d, k]) * a[j, k]
                        )
                self.pull(a, weighted, part)
                for j in range(n_features):
                    for k in range(n_features):
                        matrix[c * n_features + j, d * n_features + k] = part[j, k]
                        matrix[d * n_features + j, c * n_features + k] = part[j, k]
        diagonal = np.zeros_like(z)
        ridge_add(self.ridge, penalties(self.ridge, x), 1.0, np.ones_like(z), diagonal)
        for j in range(z.size):
            matrix[j, j] += diagonal[j]
        return matrix


class SoftmaxOuter(RidgeOuter, Softmax):
    def value(self, z, x, i):
        self.count(LOSS_VALUES, i)
        return self.loss(self.a[i], z, i)

    def grad(self, z, x, i):
        self.count(OUTER_GRADIENTS, i)
        a, gradient = self.a[i], empty_like(z)
        self.pull(a, self.residuals(a, z, i), self.weights(gradient))
        return gradient, None


make_inner, make_outer = SoftmaxInner.make, SoftmaxOuter.make
