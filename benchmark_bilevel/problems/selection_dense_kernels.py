"""Closed forms of hyper-parameter selection with several classes in numba.

They are those of `cross_entropy_kernels`, with blocks stored (features, batch), the
longer side last; the ridge adds λ Z, λ V and the only cross derivative.
"""

import numpy as np
from numba.experimental import structref

from benchmark_bilevel.kernels import combine, dots
from benchmark_bilevel.oracles import (
    HESSIAN_VECTOR,
    INNER_GRADIENTS,
    JACOBIAN_VECTOR,
    OUTER_GRADIENTS,
)
from benchmark_bilevel.oracles.closed_form import (
    InnerHandle,
    OuterHandle,
    common_fields,
    constructor,
    method,
)
from benchmark_bilevel.problems.cross_entropy_kernels import (
    CROSS_ENTROPY_FIELDS,
    CrossEntropyType,
)
from benchmark_bilevel.ridge import (
    RidgeInnerType,
    RidgeOuterType,
    penalties,
    ridge_add,
    ridge_cross,
    ridge_value,
)
from benchmark_bilevel.samplers import aligned_zeros

HAS_HESSIAN = True  # the inner oracle has `hessian`


class SoftmaxType(CrossEntropyType):
    """What both losses share."""


@structref.register
class SoftmaxInnerType(RidgeInnerType, SoftmaxType):
    pass


@structref.register
class SoftmaxOuterType(RidgeOuterType, SoftmaxType):
    pass


class SoftmaxInner(InnerHandle):
    pass


class SoftmaxOuter(OuterHandle):
    pass


_INNER_FIELDS = [*CROSS_ENTROPY_FIELDS, "ridge"]
structref.define_proxy(SoftmaxInner, SoftmaxInnerType, _INNER_FIELDS)
_OUTER_FIELDS = [*CROSS_ENTROPY_FIELDS, "nonnegative"]
structref.define_proxy(SoftmaxOuter, SoftmaxOuterType, _OUTER_FIELDS)
_build_inner, _build_outer = constructor(SoftmaxInner), constructor(SoftmaxOuter)


def make_inner(problem, partition, sampler, counts, dtype):
    """The compiled inner oracle of a dense multiclass `HyperparameterSelection`."""
    arrays = _arrays(problem, problem.inner_samples, partition, dtype)
    common = common_fields(partition, sampler, counts, dtype)
    return _build_inner(*common, *arrays, problem.ridge(dtype))


def make_outer(problem, partition, sampler, counts, dtype):
    """The compiled outer oracle of a dense multiclass `HyperparameterSelection`."""
    arrays = _arrays(problem, problem.outer_samples, partition, dtype)
    common = common_fields(partition, sampler, counts, dtype)
    return _build_outer(*common, *arrays, problem.project is not None)


def _arrays(problem, samples, partition, dtype):
    design, labels = samples
    factor = np.full(partition.batch_size, partition.weight, dtype)
    shape = (4, problem.n_scores, partition.batch_size)
    return (
        partition.pack(design, dtype),
        partition.pack(labels, np.int64),
        factor,
        np.zeros_like(factor),
        *aligned_zeros(shape, dtype),
    )


@method(SoftmaxType, "weights")
def _weights(self, z):
    """The flat `z` as a matrix (classes, features)."""
    return lambda self, z: z.reshape((self.p.shape[0], self.a.shape[1]))


@method(SoftmaxType, "scores")
def _scores(self, a, z, out):
    """out ← Z A."""
    return lambda self, a, z, out: combine(a, self.weights(z), out)


@method(SoftmaxOuterType, "value")
def _outer_value(self, z, x, i):
    return lambda self, z, x, i: self.loss(self.a[i], z, i)


@method(SoftmaxOuterType, "grad")
def _outer_grad(self, z, x, i):
    def grad(self, z, x, i):
        self.count(OUTER_GRADIENTS, i)
        a, gradient = self.a[i], np.empty_like(z)
        dots(a, self.residuals(a, z, i), self.weights(gradient))
        return gradient, None

    return grad


@method(SoftmaxInnerType, "value")
def _inner_value(self, z, x, i):
    def value(self, z, x, i):
        penalty = penalties(self.ridge, x)
        return self.loss(self.a[i], z, i) + ridge_value(self.ridge, penalty, z)

    return value


@method(SoftmaxInnerType, "grad")
def _inner_grad(self, z, x, i):
    def grad(self, z, x, i):
        self.count(INNER_GRADIENTS, i)
        a, gradient = self.a[i], np.empty_like(z)
        dots(a, self.residuals(a, z, i), self.weights(gradient))
        ridge_add(self.ridge, penalties(self.ridge, x), z, gradient)
        return gradient

    return grad


@method(SoftmaxInnerType, "hvp")
def _hvp(self, z, x, v, i):
    def hvp(self, z, x, v, i):
        self.count(HESSIAN_VECTOR, i)
        a, product = self.a[i], np.empty_like(z)
        self.residuals(a, z, i)
        dots(a, self.curvatures(a, v), self.weights(product))
        ridge_add(self.ridge, penalties(self.ridge, x), v, product)
        return product

    return hvp


@method(SoftmaxInnerType, "grad_hvp_cross")
def _grad_hvp_cross(self, z, x, v, i):
    def grad_hvp_cross(self, z, x, v, i):
        self.count(INNER_GRADIENTS, i)
        self.count(HESSIAN_VECTOR, i)
        self.count(JACOBIAN_VECTOR, i)
        a, penalty = self.a[i], penalties(self.ridge, x)
        gradient, product = np.empty_like(z), np.empty_like(z)
        dots(a, self.residuals(a, z, i), self.weights(gradient))
        dots(a, self.curvatures(a, v), self.weights(product))
        ridge_add(self.ridge, penalty, z, gradient)
        ridge_add(self.ridge, penalty, v, product)
        return gradient, product, ridge_cross(self.ridge, penalty, z, v)

    return grad_hvp_cross


@method(SoftmaxInnerType, "hessian")
def _hessian(self, z, x, i):
    """∇²zz g on block i as a matrix, for the exact layer's Newton steps."""

    def hessian(self, z, x, i):
        a, p, penalty = self.a[i], self.p, penalties(self.ridge, x)
        self.residuals(a, z, i)
        n_classes, n_features = p.shape[0], a.shape[0]
        matrix = np.empty((z.size, z.size), z.dtype)
        for c in range(n_classes):
            rows = slice(c * n_features, (c + 1) * n_features)
            for d in range(c + 1):
                columns = slice(d * n_features, (d + 1) * n_features)
                weights = -self.weight * p[c] * p[d]
                if c == d:
                    weights += self.weight * p[c]
                part = (a * weights) @ a.T
                matrix[rows, columns] = part
                matrix[columns, rows] = part.T
        ridge = np.zeros_like(z)
        ridge_add(self.ridge, penalty, np.ones_like(z), ridge)
        for j in range(z.size):
            matrix[j, j] += ridge[j]
        return matrix

    return hessian
