"""Closed forms of the quadratics in numba; a block of samples is (features, batch).

On a block with rows a_i, b_i and residuals s = aᵀz + bᵀx − c:
∇z g = w A s, ∇x g = w B s, H v = w A (Aᵀv), J v = w B (Aᵀv), with w the partition's weight.
"""

import numpy as np
from numba.experimental import structref

from benchmark_bilevel.compiled.products import combine, dots, empty_like
from benchmark_bilevel.fingerprint import cached_njit
from benchmark_bilevel.methods.variance_reduction import empty_memory
from benchmark_bilevel.oracles import (
    HESSIAN_VECTOR,
    INNER_GRADIENTS,
    INNER_GRADIENTS_X,
    JACOBIAN_VECTOR,
    LOSS_VALUES,
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

# a, b: (n_blocks, dim, batch) factors of z and of x; c: (n_blocks, batch) targets;
# s, t: (batch,) workspaces.
_FIELDS = [*FIELDS, "a", "b", "c", "s", "t"]


class QuadraticType(OracleType):
    """What both losses share."""


@structref.register
class QuadraticInnerType(QuadraticType, InnerType):
    pass


@structref.register
class QuadraticOuterType(QuadraticType, OuterType):
    pass


class QuadraticInner(InnerHandle):
    pass


class QuadraticOuter(OuterHandle):
    def memory(self, z, x):
        return empty_memory(z, self.n_blocks), empty_memory(x, self.n_blocks)


structref.define_proxy(QuadraticInner, QuadraticInnerType, _FIELDS)
structref.define_proxy(QuadraticOuter, QuadraticOuterType, _FIELDS)


def make_inner(problem, partition, sampler, counts, dtype):
    """The compiled inner oracle of a `Quadratic`."""
    common = common_fields(partition, sampler, counts, dtype)
    return _build_inner(*common, *_arrays(problem.inner_samples, partition, dtype))


def make_outer(problem, partition, sampler, counts, dtype):
    """The compiled outer oracle of a `Quadratic`."""
    common = common_fields(partition, sampler, counts, dtype)
    return _build_outer(*common, *_arrays(problem.outer_samples, partition, dtype))


def _arrays(samples, partition, dtype):
    workspaces = np.zeros((2, partition.batch_size), dtype)
    return (*(partition.pack(array, dtype) for array in samples), *workspaces)


@cached_njit
def _build_inner(order, cursor, replace, counts, sizes, weight, a, b, c, s, t):
    return QuadraticInner(order, cursor, replace, counts, sizes, weight, a, b, c, s, t)


@cached_njit
def _build_outer(order, cursor, replace, counts, sizes, weight, a, b, c, s, t):
    return QuadraticOuter(order, cursor, replace, counts, sizes, weight, a, b, c, s, t)


@method(QuadraticType, "residuals")
def _residuals(self, z, x, i):
    """s ← w (aᵀz + bᵀx − c); zero for padding, whose rows are zero."""

    def residuals(self, z, x, i):
        s, t, c = self.s, self.t, self.c[i]
        combine(self.a[i], z, s)
        combine(self.b[i], x, t)
        for k in range(s.size):
            s[k] = self.weight * (s[k] + t[k] - c[k])
        return s

    return residuals


@method(QuadraticType, "both_gradients")
def _both_gradients(self, z, x, i):
    """A s and B s."""

    def both_gradients(self, z, x, i):
        s = self.residuals(z, x, i)
        gradient_z, gradient_x = empty_like(z), empty_like(x)
        dots(self.a[i], s, gradient_z)
        dots(self.b[i], s, gradient_x)
        return gradient_z, gradient_x

    return both_gradients


@method(QuadraticType, "value")
def _value(self, z, x, i):
    def value(self, z, x, i):
        self.count(LOSS_VALUES, i)
        s = self.residuals(z, x, i)
        total = 0.0
        for k in range(s.size):
            total += s[k] * s[k]
        return 0.5 * total / self.weight

    return value


@method(QuadraticInnerType, "grad")
def _grad(self, z, x, i):
    def grad(self, z, x, i):
        self.count(INNER_GRADIENTS, i)
        gradient = empty_like(z)
        dots(self.a[i], self.residuals(z, x, i), gradient)
        return gradient

    return grad


@method(QuadraticInnerType, "grad_x")
def _grad_x(self, z, x, i):
    def grad_x(self, z, x, i):
        self.count(INNER_GRADIENTS_X, i)
        gradient = empty_like(x)
        dots(self.b[i], self.residuals(z, x, i), gradient)
        return gradient

    return grad_x


@method(QuadraticInnerType, "grads")
def _grads(self, z, x, i):
    def grads(self, z, x, i):
        self.count(INNER_GRADIENTS, i)
        self.count(INNER_GRADIENTS_X, i)
        return self.both_gradients(z, x, i)

    return grads


@method(QuadraticInnerType, "curvature")
def _curvature(self, v, i):
    """t ← w aᵀv."""

    def curvature(self, v, i):
        t = self.t
        combine(self.a[i], v, t)
        for k in range(t.size):
            t[k] *= self.weight
        return t

    return curvature


@method(QuadraticInnerType, "hvp")
def _hvp(self, z, x, v, i):
    def hvp(self, z, x, v, i):
        self.count(HESSIAN_VECTOR, i)
        product = empty_like(z)
        dots(self.a[i], self.curvature(v, i), product)
        return product

    return hvp


@method(QuadraticInnerType, "cross")
def _cross(self, z, x, v, i):
    def cross(self, z, x, v, i):
        self.count(JACOBIAN_VECTOR, i)
        product = empty_like(x)
        dots(self.b[i], self.curvature(v, i), product)
        return product

    return cross


@method(QuadraticInnerType, "grad_hvp_cross")
def _grad_hvp_cross(self, z, x, v, i):
    def grad_hvp_cross(self, z, x, v, i):
        return self.grad(z, x, i), self.hvp(z, x, v, i), self.cross(z, x, v, i)

    return grad_hvp_cross


@method(QuadraticOuterType, "grad")
def _outer_grad(self, z, x, i):
    def grad(self, z, x, i):
        self.count(OUTER_GRADIENTS, i)
        return self.both_gradients(z, x, i)

    return grad
