"""Closed forms of hyper-parameter selection in numba; a block is (features, batch).

On a block with signed labels y and scores s = Aᵀz, p = σ(−y s), t = Aᵀv:
∇z ℓ = −w A (y p), ∇²zz ℓ v = w A (p (1 − p) t), with w the partition's weight; the
ridge adds λ z, λ v and the only cross derivative, see `ridge`.
"""

import numpy as np
from numba import njit

from benchmark_bilevel.compiled.exponentials import exp
from benchmark_bilevel.compiled.products import combine, dots, empty_like
from benchmark_bilevel.fingerprint import PIECE
from benchmark_bilevel.oracles import (
    HESSIAN_VECTOR,
    INNER_GRADIENTS,
    JACOBIAN_VECTOR,
    LOSS_VALUES,
    OUTER_GRADIENTS,
)
from benchmark_bilevel.oracles.closed_form import Oracle
from benchmark_bilevel.problems.selection.ridge import (
    RidgeInner,
    RidgeOuter,
    penalties,
    ridge_add,
    ridge_cross,
    ridge_value,
)

HAS_HESSIAN = True  # the inner oracle has a `hessian` of its own


@njit(**PIECE)
def _signed_scores(a, y, z, s):
    """s ← y aᵀz."""
    combine(a, z, s)
    for k in range(s.size):
        s[k] *= y[k]


class Logistic(Oracle):
    """w Σ log(1 + exp(−y aᵀz)), what both losses share."""

    fields = {
        "a": "(n_blocks, features, batch), design",
        "y": "(n_blocks, batch), labels ±1, 0 for padding",
        "s": "(batch,), workspace for scores and residuals",
        "p": "(batch,), for probabilities",
        "t": "(batch,), for curvatures",
    }

    @classmethod
    def arrays(cls, problem, samples, partition, dtype):
        design, labels = samples
        s, p, t = np.zeros((3, partition.batch_size), dtype)
        signs = np.where(labels == 1, 1.0, -1.0)
        a, y = partition.pack(design, dtype), partition.pack(signs, dtype)
        return {"a": a, "y": y, "s": s, "p": p, "t": t}

    def residuals(self, z, i):
        """p ← σ(−y aᵀz) and s ← −w y p, zero for padding (y = 0)."""
        s, p, y = self.s, self.p, self.y[i]
        one = s.dtype.type(1)
        _signed_scores(self.a[i], y, z, s)
        exp(s, p)
        for k in range(s.size):
            p[k] = one / (one + p[k])
            s[k] = -self.weight * y[k] * p[k]
        return s

    def loss(self, z, i):
        """w Σ log(1 + exp(−y aᵀz)) over the samples of block i."""
        s = self.s
        _signed_scores(self.a[i], self.y[i], z, s)
        total = 0.0
        for k in range(self.sizes[i]):
            total += np.logaddexp(0.0, -s[k])
        return self.weight * total


class LogisticInner(RidgeInner, Logistic):
    def value(self, z, x, i):
        self.count(LOSS_VALUES, i)
        penalty = penalties(self.ridge, x)
        return self.loss(z, i) + ridge_value(self.ridge, penalty, z)

    def grad(self, z, x, i):
        self.count(INNER_GRADIENTS, i)
        gradient = empty_like(z)
        dots(self.a[i], self.residuals(z, i), gradient)
        ridge_add(self.ridge, penalties(self.ridge, x), 1.0, z, gradient)
        return gradient

    def curvatures(self, v, i):
        """t ← w p (1 − p) aᵀv, with p as `residuals` left it."""
        p, t = self.p, self.t
        one = t.dtype.type(1)
        combine(self.a[i], v, t)
        for k in range(t.size):
            t[k] *= self.weight * p[k] * (one - p[k])
        return t

    def hvp(self, z, x, v, i):
        self.count(HESSIAN_VECTOR, i)
        product = empty_like(z)
        self.residuals(z, i)
        dots(self.a[i], self.curvatures(v, i), product)
        ridge_add(self.ridge, penalties(self.ridge, x), 1.0, v, product)
        return product

    def grad_hvp_cross(self, z, x, v, i):
        self.count(INNER_GRADIENTS, i)
        self.count(HESSIAN_VECTOR, i)
        self.count(JACOBIAN_VECTOR, i)
        penalty = penalties(self.ridge, x)
        gradient, product = empty_like(z), empty_like(z)
        dots(self.a[i], self.residuals(z, i), gradient)
        dots(self.a[i], self.curvatures(v, i), product)
        ridge_add(self.ridge, penalty, 1.0, z, gradient)
        ridge_add(self.ridge, penalty, 1.0, v, product)
        return gradient, product, ridge_cross(self.ridge, penalty, z, v)

    def hessian(self, z, x, i):
        """∇²zz g on block i as a matrix."""
        self.count(HESSIAN_VECTOR, i, z.size)
        a, p = self.a[i], self.p
        self.residuals(z, i)
        one = p.dtype.type(1)
        weighted, matrix = np.empty_like(a), np.empty((z.size, z.size), z.dtype)
        for j in range(z.size):
            for k in range(p.size):
                weighted[j, k] = self.weight * p[k] * (one - p[k]) * a[j, k]
        dots(a, weighted, matrix)
        diagonal = np.zeros_like(z)
        ridge_add(self.ridge, penalties(self.ridge, x), 1.0, np.ones_like(z), diagonal)
        for j in range(z.size):
            matrix[j, j] += diagonal[j]
        return matrix


class LogisticOuter(RidgeOuter, Logistic):
    def value(self, z, x, i):
        self.count(LOSS_VALUES, i)
        return self.loss(z, i)

    def grad(self, z, x, i):
        self.count(OUTER_GRADIENTS, i)
        gradient = empty_like(z)
        dots(self.a[i], self.residuals(z, i), gradient)
        return gradient, None


make_inner, make_outer = LogisticInner.make, LogisticOuter.make
