"""Closed forms of hyper-parameter selection in numba; a block is (features, batch).

On a block with signed labels y and scores s = Aᵀz, p = σ(−y s), t = Aᵀv:
∇z ℓ = −w A (y p), ∇²zz ℓ v = w A (p (1 − p) t), with w the partition's weight; the
regulariser adds exp(x) z, exp(x) v and the only cross derivative, exp(x) z v.
"""

import numpy as np
from numba import njit
from numba.experimental import structref

from benchmark_bilevel.fingerprint import FAST, cached_njit
from benchmark_bilevel.kernels import combine, dots, exp
from benchmark_bilevel.oracles import (
    HESSIAN_VECTOR,
    INNER_GRADIENTS,
    JACOBIAN_VECTOR,
    OUTER_GRADIENTS,
)
from benchmark_bilevel.oracles.closed_form import (
    FIELDS,
    InnerHandle,
    InnerType,
    OracleType,
    OuterHandle,
    OuterType,
    common_fields,
    method,
)

HAS_HESSIAN = True  # the inner oracle has `hessian`

# a: (n_blocks, features, batch) design; y: (n_blocks, batch) labels ±1, 0 for padding;
# s, p, t: (batch,) workspaces for scores, residuals and curvatures.
_FIELDS = [*FIELDS, "a", "y", "s", "p", "t"]


class LogisticType(OracleType):
    """What both losses share."""


@structref.register
class LogisticInnerType(LogisticType, InnerType):
    pass


@structref.register
class LogisticOuterType(LogisticType, OuterType):
    pass


class LogisticInner(InnerHandle):
    pass


class LogisticOuter(OuterHandle):
    pass


structref.define_proxy(LogisticInner, LogisticInnerType, _FIELDS)
structref.define_proxy(LogisticOuter, LogisticOuterType, _FIELDS)


def make_inner(problem, partition, sampler, counts, dtype):
    """The compiled inner oracle of a binary `HyperparameterSelection`."""
    common = common_fields(partition, sampler, counts, dtype)
    return _build_inner(*common, *_arrays(problem.inner_samples, partition, dtype))


def make_outer(problem, partition, sampler, counts, dtype):
    """The compiled outer oracle of a binary `HyperparameterSelection`."""
    common = common_fields(partition, sampler, counts, dtype)
    return _build_outer(*common, *_arrays(problem.outer_samples, partition, dtype))


def _arrays(samples, partition, dtype):
    workspaces = np.zeros((3, partition.batch_size), dtype)
    return (*(partition.pack(array, dtype) for array in samples), *workspaces)


@cached_njit
def _build_inner(order, cursor, replace, counts, sizes, weight, a, y, s, p, t):
    return LogisticInner(order, cursor, replace, counts, sizes, weight, a, y, s, p, t)


@cached_njit
def _build_outer(order, cursor, replace, counts, sizes, weight, a, y, s, p, t):
    return LogisticOuter(order, cursor, replace, counts, sizes, weight, a, y, s, p, t)


@njit(**FAST)
def _signed_scores(a, y, z, s):
    """s ← y aᵀz."""
    combine(a, z, s)
    for k in range(s.size):
        s[k] *= y[k]


@method(LogisticType, "residuals")
def _residuals(self, z, i):
    """p ← σ(−y aᵀz) and s ← −w y p, zero for padding (y = 0)."""

    def residuals(self, z, i):
        s, p, y = self.s, self.p, self.y[i]
        one = s.dtype.type(1)
        _signed_scores(self.a[i], y, z, s)
        exp(s, p)
        for k in range(s.size):
            p[k] = one / (one + p[k])
            s[k] = -self.weight * y[k] * p[k]
        return s

    return residuals


@method(LogisticType, "loss")
def _loss(self, z, i):
    """w Σ log(1 + exp(−y aᵀz)) over the samples of block i."""

    def loss(self, z, i):
        s = self.s
        _signed_scores(self.a[i], self.y[i], z, s)
        total = 0.0
        for k in range(self.sizes[i]):
            total += np.logaddexp(0.0, -s[k])
        return self.weight * total

    return loss


@method(LogisticOuterType, "value")
def _outer_value(self, z, x, i):
    return lambda self, z, x, i: self.loss(z, i)


@method(LogisticOuterType, "grad")
def _outer_grad(self, z, x, i):
    def grad(self, z, x, i):
        self.count(OUTER_GRADIENTS, i)
        gradient = np.empty_like(z)
        dots(self.a[i], self.residuals(z, i), gradient)
        return gradient, None

    return grad


@method(LogisticInnerType, "value")
def _inner_value(self, z, x, i):
    def value(self, z, x, i):
        total = 0.0
        for j in range(z.size):
            total += np.exp(x[j]) * z[j] * z[j]
        return self.loss(z, i) + 0.5 * total

    return value


@method(LogisticInnerType, "grad")
def _inner_grad(self, z, x, i):
    def grad(self, z, x, i):
        self.count(INNER_GRADIENTS, i)
        gradient, penalty = np.empty_like(z), np.empty_like(x)
        dots(self.a[i], self.residuals(z, i), gradient)
        exp(x, penalty)
        for j in range(z.size):
            gradient[j] += penalty[j] * z[j]
        return gradient

    return grad


@method(LogisticInnerType, "curvatures")
def _curvatures(self, v, i):
    """t ← w p (1 − p) aᵀv, with p as `residuals` left it."""

    def curvatures(self, v, i):
        p, t = self.p, self.t
        one = t.dtype.type(1)
        combine(self.a[i], v, t)
        for k in range(t.size):
            t[k] *= self.weight * p[k] * (one - p[k])
        return t

    return curvatures


@method(LogisticInnerType, "hvp")
def _hvp(self, z, x, v, i):
    def hvp(self, z, x, v, i):
        self.count(HESSIAN_VECTOR, i)
        product, penalty = np.empty_like(z), np.empty_like(x)
        self.residuals(z, i)
        dots(self.a[i], self.curvatures(v, i), product)
        exp(x, penalty)
        for j in range(z.size):
            product[j] += penalty[j] * v[j]
        return product

    return hvp


@method(LogisticInnerType, "cross")
def _cross(self, z, x, v, i):
    def cross(self, z, x, v, i):
        self.count(JACOBIAN_VECTOR, i)
        product = np.empty_like(x)
        exp(x, product)
        for j in range(x.size):
            product[j] *= z[j] * v[j]
        return product

    return cross


@method(LogisticInnerType, "grad_hvp_cross")
def _grad_hvp_cross(self, z, x, v, i):
    def grad_hvp_cross(self, z, x, v, i):
        self.count(INNER_GRADIENTS, i)
        self.count(HESSIAN_VECTOR, i)
        self.count(JACOBIAN_VECTOR, i)
        gradient, product = np.empty_like(z), np.empty_like(z)
        cross = np.empty_like(x)
        dots(self.a[i], self.residuals(z, i), gradient)
        dots(self.a[i], self.curvatures(v, i), product)
        exp(x, cross)
        for j in range(z.size):
            gradient[j] += cross[j] * z[j]
            product[j] += cross[j] * v[j]
            cross[j] *= z[j] * v[j]
        return gradient, product, cross

    return grad_hvp_cross


@method(LogisticInnerType, "hessian")
def _hessian(self, z, x, i):
    """∇²zz g on block i as a matrix, for the exact layer's Newton steps."""

    def hessian(self, z, x, i):
        a, p, t = self.a[i], self.p, self.t
        self.residuals(z, i)
        one = t.dtype.type(1)
        for k in range(t.size):
            t[k] = np.sqrt(self.weight * p[k] * (one - p[k]))
        root = a * t
        matrix = root @ root.T
        for j in range(z.size):
            matrix[j, j] += np.exp(x[j])
        return matrix

    return hessian
