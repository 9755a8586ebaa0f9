"""Closed forms of hyper-parameter selection on sparse data in numba.

The weights Z are a matrix (features, classes), so that a non-zero of the CSR design A
touches consecutive numbers; scores are (batch, classes). On the rows A_i of a block with
scores S = A_i Z, p = softmax(S), labels y and T = A_i V:

    ∇_Z = w A_iᵀ (p − e_y),  ∇²_ZZ V = w A_iᵀ (p (T − Σ p T)),

w the partition's weight. Two classes have one score, that of the second: p = σ(S) and
∇²_ZZ V = w A_iᵀ (p (1 − p) T). The ridge adds λ Z and λ V. Directions are returned in
their factors, see `benchmark_bilevel.problems.selection.sparse_directions`.
"""

import math

import numpy as np
from numba import njit
from numba.experimental import structref

from benchmark_bilevel.compiled.exponentials import exp, sigmoid
from benchmark_bilevel.fingerprint import FAST, cached_njit
from benchmark_bilevel.oracles import (
    HESSIAN_VECTOR,
    INNER_GRADIENTS,
    JACOBIAN_VECTOR,
    LOSS_VALUES,
    OUTER_GRADIENTS,
)
from benchmark_bilevel.oracles.closed_form import (
    FIELDS,
    InnerHandle,
    OracleType,
    OuterHandle,
    common_fields,
    constructor,
    method,
)
from benchmark_bilevel.problems.selection.ridge import (
    RidgeInnerType,
    RidgeOuterType,
    penalties,
    ridge_cross,
    ridge_value,
)
from benchmark_bilevel.problems.selection.sparse_directions import (
    Diagonal,
    Factored,
    Sum,
    empty_factored_memory,
)
from benchmark_bilevel.problems.selection.sparse_exact import SampleSpaceSolver

# For the exact layer. Each block costs passes over z, not only over its samples.
EXACT_BLOCK = "full"
HessianSolver = SampleSpaceSolver

# indptr, indices, values: the whole CSR design; y: (n,) labels; p, t: (batch, classes)
# workspaces.
_FIELDS = [*FIELDS, "indptr", "indices", "values", "y", "p", "t"]


class SparseType(OracleType):
    """What both losses share."""


@structref.register
class SparseInnerType(RidgeInnerType, SparseType):
    pass


@structref.register
class SparseOuterType(RidgeOuterType, SparseType):
    pass


class SparseInner(InnerHandle):
    def memory(self, z, x):
        shape = (self.n_blocks, *_block_shape(self))
        # The cross derivative is the ridge's: nothing is sampled.
        return empty_factored_memory(z, shape), empty_factored_memory(z, shape), None


class SparseOuter(OuterHandle):
    def memory(self, z, x):
        return empty_factored_memory(z, (self.n_blocks, *_block_shape(self))), None


structref.define_proxy(SparseInner, SparseInnerType, [*_FIELDS, "ridge"])
structref.define_proxy(SparseOuter, SparseOuterType, [*_FIELDS, "nonnegative"])
_build_inner, _build_outer = constructor(SparseInner), constructor(SparseOuter)


def make_inner(problem, partition, sampler, counts, dtype):
    """The compiled inner oracle of a sparse `HyperparameterSelection`."""
    common = common_fields(partition, sampler, counts, dtype)
    arrays = _arrays(problem, problem.inner_samples, partition, dtype)
    return _build_inner(*common, *arrays, problem.ridge(dtype))


def make_outer(problem, partition, sampler, counts, dtype):
    """The compiled outer oracle of a sparse `HyperparameterSelection`."""
    common = common_fields(partition, sampler, counts, dtype)
    arrays = _arrays(problem, problem.outer_samples, partition, dtype)
    return _build_outer(*common, *arrays, problem.project is not None)


def _arrays(problem, samples, partition, dtype):
    design, labels = samples
    shape = (2, partition.batch_size, problem.n_scores)
    return (
        design.indptr.astype(np.int64),
        design.indices,
        design.data.astype(dtype),
        labels,
        *np.zeros(shape, dtype),
    )


@cached_njit
def _block_shape(oracle):
    return oracle.p.shape


@njit(**FAST)
def _scores(indptr, indices, values, rows, z, out):
    """out[k] ← Σ_j a_kj z[j] for the samples `rows`."""
    n_classes = out.shape[1]
    matrix = z.reshape((z.size // n_classes, n_classes))
    for k in range(rows.size):
        target = out[k]
        for c in range(n_classes):
            target[c] = 0
        for entry in range(indptr[rows[k]], indptr[rows[k] + 1]):
            source, value = matrix[indices[entry]], values[entry]
            for c in range(n_classes):
                target[c] += value * source[c]


@njit(**FAST)
def _largest(row):
    """Largest score of a sample; a single one stands beside 0."""
    top = max(row[0], row.dtype.type(0)) if row.size == 1 else row[0]
    for c in range(1, row.size):
        top = max(top, row[c])
    return top


@njit(**FAST)
def _log_sum_exp(row):
    top = _largest(row)
    total = math.exp(-top) if row.size == 1 else 0.0
    for c in range(row.size):
        total += math.exp(row[c] - top)
    return top + math.log(total)


@njit(**FAST)
def _softmax(p):
    """p ← the softmax of each of its rows, in place."""
    n_classes = p.shape[1]
    for k in range(p.shape[0]):
        row = p[k]
        top = _largest(row)
        for c in range(n_classes):
            row[c] -= top
    flat = p.reshape(p.size)
    exp(flat, flat)
    for k in range(p.shape[0]):
        row = p[k]
        total = p.dtype.type(0)
        for c in range(n_classes):
            total += row[c]
        for c in range(n_classes):
            row[c] /= total


@method(SparseType, "rows")
def _rows(self, i):
    """Indices of the samples of block i."""

    def rows(self, i):
        first = i * self.p.shape[0]
        return np.arange(first, first + self.sizes[i])

    return rows


@method(SparseType, "factored")
def _factored(self, rows, residuals):
    """Aᵀ R for the samples `rows`."""
    return lambda self, rows, residuals: Factored(
        self.indptr, self.indices, self.values, rows, residuals
    )


@method(SparseType, "loss")
def _loss(self, z, i):
    """w Σ cross-entropy over the samples of block i."""

    def loss(self, z, i):
        rows = self.rows(i)
        scores = self.t[: rows.size]
        _scores(self.indptr, self.indices, self.values, rows, z, scores)
        total = 0.0
        for k in range(rows.size):
            row, label = scores[k], self.y[rows[k]]
            total += _log_sum_exp(row)
            if row.size > 1:
                total -= row[label]
            elif label:
                total -= row[0]
        return self.weight * total

    return loss


@method(SparseType, "residuals")
def _residuals(self, z, rows):
    """p ← softmax(A Z), and w (p − e_y) as a new array (batch, classes)."""

    def residuals(self, z, rows):
        p = self.p[: rows.size]
        n_classes = p.shape[1]
        _scores(self.indptr, self.indices, self.values, rows, z, p)
        if n_classes > 1:
            _softmax(p)
        else:
            flat = p.reshape(p.size)
            sigmoid(flat, flat)
        result = np.empty_like(p)
        for k in range(rows.size):
            for c in range(n_classes):
                result[k, c] = self.weight * p[k, c]
            label = self.y[rows[k]]
            if n_classes > 1:
                result[k, label] -= self.weight
            elif label:
                result[k, 0] -= self.weight
        return result

    return residuals


@method(SparseType, "curvatures")
def _curvatures(self, v, rows):
    """w p (T − Σ p T) as a new array, with p as `residuals` left it."""

    def curvatures(self, v, rows):
        p = self.p[: rows.size]
        n_classes = p.shape[1]
        result = np.empty_like(p)
        _scores(self.indptr, self.indices, self.values, rows, v, result)
        for k in range(rows.size):
            row, share = result[k], p[k]
            if n_classes == 1:
                row[0] -= share[0] * row[0]
            else:
                mean = p.dtype.type(0)
                for c in range(n_classes):
                    mean += share[c] * row[c]
                for c in range(n_classes):
                    row[c] -= mean
            for c in range(n_classes):
                row[c] *= self.weight * share[c]
        return result

    return curvatures


@method(SparseOuterType, "value")
def _outer_value(self, z, x, i):
    def value(self, z, x, i):
        self.count(LOSS_VALUES, i)
        return self.loss(z, i)

    return value


@method(SparseOuterType, "grad")
def _outer_grad(self, z, x, i):
    def grad(self, z, x, i):
        self.count(OUTER_GRADIENTS, i)
        rows = self.rows(i)
        return self.factored(rows, self.residuals(z, rows)), None

    return grad


@method(SparseInnerType, "value")
def _inner_value(self, z, x, i):
    def value(self, z, x, i):
        self.count(LOSS_VALUES, i)
        penalty = penalties(self.ridge, x)
        return self.loss(z, i) + ridge_value(self.ridge, penalty, z)

    return value


@method(SparseInnerType, "with_ridge")
def _with_ridge(self, rows, residuals, penalty, point):
    """Aᵀ R + penalty · point."""

    def with_ridge(self, rows, residuals, penalty, point):
        ridge = Diagonal(self.ridge, penalty, point, point.dtype.type(1))
        return Sum(self.factored(rows, residuals), None, ridge)

    return with_ridge


@method(SparseInnerType, "grad")
def _inner_grad(self, z, x, i):
    def grad(self, z, x, i):
        self.count(INNER_GRADIENTS, i)
        rows = self.rows(i)
        penalty = penalties(self.ridge, x)
        return self.with_ridge(rows, self.residuals(z, rows), penalty, z)

    return grad


@method(SparseInnerType, "hvp")
def _hvp(self, z, x, v, i):
    def hvp(self, z, x, v, i):
        self.count(HESSIAN_VECTOR, i)
        rows = self.rows(i)
        self.residuals(z, rows)
        penalty = penalties(self.ridge, x)
        return self.with_ridge(rows, self.curvatures(v, rows), penalty, v)

    return hvp


@method(SparseInnerType, "grad_hvp_cross")
def _grad_hvp_cross(self, z, x, v, i):
    def grad_hvp_cross(self, z, x, v, i):
        self.count(INNER_GRADIENTS, i)
        self.count(HESSIAN_VECTOR, i)
        self.count(JACOBIAN_VECTOR, i)
        rows = self.rows(i)
        penalty = penalties(self.ridge, x)
        gradient = self.with_ridge(rows, self.residuals(z, rows), penalty, z)
        product = self.with_ridge(rows, self.curvatures(v, rows), penalty, v)
        return gradient, product, ridge_cross(self.ridge, penalty, z, v)

    return grad_hvp_cross
