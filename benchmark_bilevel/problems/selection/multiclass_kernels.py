"""Closed forms of hyper-parameter selection with several classes in numba.

They are those of `cross_entropy_kernels`, with blocks stored (features, batch), the
longer side last; the ridge adds λ Z, λ V and the only cross derivative.
"""

import numpy as np
from numba.experimental import structref

from benchmark_bilevel.compiled.products import combine, dots, empty_like
from benchmark_bilevel.oracles import (
    HESSIAN_VECTOR,
    INNER_GRADIENTS,
    JACOBIAN_VECTOR,
    LOSS_VALUES,
    OUTER_GRADIENTS,
)
from benchmark_bilevel.oracles.closed_form import (
    InnerHandle,
    OuterHandle,
    common_fields,
    constructor,
    method,
)
from benchmark_bilevel.oracles.samplers import aligned_zeros
from benchmark_bilevel.problems.cross_entropy_kernels import (
    CROSS_ENTROPY_FIELDS,
    CrossEntropyType,
)
from benchmark_bilevel.problems.selection.ridge import (
    RidgeInnerType,
    RidgeOuterType,
    penalties,
    ridge_add,
    ridge_cross,
    ridge_value,
)

HAS_HESSIAN = True  # the inner oracle has `hessian`
HAS_HVP_AGAIN = True  # and `hvp_again`


class SoftmaxType(CrossEntropyType):
    """What both losses share."""

    prefetches = True


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
    def value(self, z, x, i):
        self.count(LOSS_VALUES, i)
        return self.loss(self.a[i], z, i)

    return value


@method(SoftmaxOuterType, "grad")
def _outer_grad(self, z, x, i):
    def grad(self, z, x, i):
        self.count(OUTER_GRADIENTS, i)
        a, gradient = self.a[i], empty_like(z)
        dots(a, self.residuals(a, z, i), self.weights(gradient))
        return gradient, None

    return grad


@method(SoftmaxInnerType, "value")
def _inner_value(self, z, x, i):
    def value(self, z, x, i):
        self.count(LOSS_VALUES, i)
        penalty = penalties(self.ridge, x)
        return self.loss(self.a[i], z, i) + ridge_value(self.ridge, penalty, z)

    return value


@method(SoftmaxInnerType, "grad")
def _inner_grad(self, z, x, i):
    def grad(self, z, x, i):
        self.count(INNER_GRADIENTS, i)
        a, gradient = self.a[i], empty_like(z)
        dots(a, self.residuals(a, z, i), self.weights(gradient))
        ridge_add(self.ridge, penalties(self.ridge, x), 1.0, z, gradient)
        return gradient

    return grad


@method(SoftmaxInnerType, "hvp")
def _hvp(self, z, x, v, i):
    def hvp(self, z, x, v, i):
        self.count(HESSIAN_VECTOR, i)
        self.residuals(self.a[i], z, i)
        return self.hvp_again(x, v, i)

    return hvp


@method(SoftmaxInnerType, "hvp_again")
def _hvp_again(self, x, v, i):
    """`hvp`, with p as one at the same z and x left it; not counted."""

    def hvp_again(self, x, v, i):
        a, product = self.a[i], empty_like(v)
        dots(a, self.curvatures(a, v), self.weights(product))
        ridge_add(self.ridge, penalties(self.ridge, x), 1.0, v, product)
        return product

    return hvp_again


@method(SoftmaxInnerType, "grad_hvp_cross")
def _grad_hvp_cross(self, z, x, v, i):
    def grad_hvp_cross(self, z, x, v, i):
        self.count(INNER_GRADIENTS, i)
        self.count(HESSIAN_VECTOR, i)
        self.count(JACOBIAN_VECTOR, i)
        a, penalty = self.a[i], penalties(self.ridge, x)
        gradient, product = empty_like(z), empty_like(z)
        dots(a, self.residuals(a, z, i), self.weights(gradient))
        dots(a, self.curvatures(a, v), self.weights(product))
        ridge_add(self.ridge, penalty, 1.0, z, gradient)
        ridge_add(self.ridge, penalty, 1.0, v, product)
        return gradient, product, ridge_cross(self.ridge, penalty, z, v)

    return grad_hvp_cross


@method(SoftmaxInnerType, "hessian")
def _hessian(self, z, x, i):
    """∇²zz g on block i as a matrix, for the exact layer's Newton steps.

    Its block of classes c and d is w A diag(p_c (δ_cd − p_d)) Aᵀ, and the ridge.
    """

    def hessian(self, z, x, i):
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
                dots(a, weighted, part)
                for j in range(n_features):
                    for k in range(n_features):
                        matrix[c * n_features + j, d * n_features + k] = part[j, k]
                        matrix[d * n_features + j, c * n_features + k] = part[j, k]
        diagonal = np.zeros_like(z)
        ridge_add(self.ridge, penalties(self.ridge, x), 1.0, np.ones_like(z), diagonal)
        for j in range(z.size):
            matrix[j, j] += diagonal[j]
        return matrix

    return hessian
