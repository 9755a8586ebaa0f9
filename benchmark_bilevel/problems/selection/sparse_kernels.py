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

from benchmark_bilevel.compiled.exponentials import exp, sigmoid
from benchmark_bilevel.fingerprint import FAST
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
    ridge_cross,
    ridge_value,
)
from benchmark_bilevel.problems.selection.sparse_directions import (
    Diagonal,
    Factored,
    Sum,
)
from benchmark_bilevel.problems.selection.sparse_exact import SampleSpaceSolver
from benchmark_bilevel.problems.selection.sparse_memory import empty_factored_memory

# For the exact layer. Each block costs passes over z, not only over its samples.
EXACT_BLOCK = "full"
HessianSolver = SampleSpaceSolver


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


class Sparse(Oracle):
    """What both losses share."""

    fields = {
        "indptr": "(n + 1,), of the whole CSR design",
        "indices": "of it",
        "values": "of it",
        "y": "(n,), labels",
        "p": "(batch, classes), workspace for probabilities",
        "t": "(batch, classes), for scores",
    }

    @classmethod
    def arrays(cls, problem, samples, partition, dtype):
        design, labels = samples
        p, t = np.zeros((2, partition.batch_size, problem.n_scores), dtype)
        return {
            "indptr": design.indptr.astype(np.int64),
            "indices": design.indices,
            "values": design.data.astype(dtype),
            "y": labels,
            "p": p,
            "t": t,
        }

    def rows(self, i):
        """Indices of the samples of block i."""
        first = i * self.p.shape[0]
        return np.arange(first, first + self.sizes[i])

    def factored(self, rows, residuals):
        """Aᵀ R for the samples `rows`."""
        return Factored(self.indptr, self.indices, self.values, rows, residuals)

    def loss(self, z, i):
        """w Σ cross-entropy over the samples of block i."""
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

    def residuals(self, z, rows):
        """p ← softmax(A Z), and w (p − e_y) as a new array (batch, classes)."""
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

    def curvatures(self, v, rows):
        """w p (T − Σ p T) as a new array, with p as `residuals` left it."""
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


class SparseInner(RidgeInner, Sparse):
    @classmethod
    def memory(cls, oracle, z, x):
        shape = (oracle.n_blocks, *oracle.arrays["p"].shape)
        # The cross derivative is the ridge's: nothing is sampled.
        return empty_factored_memory(z, shape), empty_factored_memory(z, shape), None

    def value(self, z, x, i):
        self.count(LOSS_VALUES, i)
        penalty = penalties(self.ridge, x)
        return self.loss(z, i) + ridge_value(self.ridge, penalty, z)

    def with_ridge(self, rows, residuals, penalty, point):
        """Aᵀ R + penalty · point."""
        ridge = Diagonal(self.ridge, penalty, point, point.dtype.type(1))
        return Sum(self.factored(rows, residuals), None, ridge)

    def grad(self, z, x, i):
        self.count(INNER_GRADIENTS, i)
        rows = self.rows(i)
        penalty = penalties(self.ridge, x)
        return self.with_ridge(rows, self.residuals(z, rows), penalty, z)

    def hvp(self, z, x, v, i):
        self.count(HESSIAN_VECTOR, i)
        rows = self.rows(i)
        self.residuals(z, rows)
        penalty = penalties(self.ridge, x)
        return self.with_ridge(rows, self.curvatures(v, rows), penalty, v)

    def grad_hvp_cross(self, z, x, v, i):
        self.count(INNER_GRADIENTS, i)
        self.count(HESSIAN_VECTOR, i)
        self.count(JACOBIAN_VECTOR, i)
        rows = self.rows(i)
        penalty = penalties(self.ridge, x)
        gradient = self.with_ridge(rows, self.residuals(z, rows), penalty, z)
        product = self.with_ridge(rows, self.curvatures(v, rows), penalty, v)
        return gradient, product, ridge_cross(self.ridge, penalty, z, v)


class SparseOuter(RidgeOuter, Sparse):
    @classmethod
    def memory(cls, oracle, z, x):
        shape = (oracle.n_blocks, *oracle.arrays["p"].shape)
        return empty_factored_memory(z, shape), None

    def value(self, z, x, i):
        self.count(LOSS_VALUES, i)
        return self.loss(z, i)

    def grad(self, z, x, i):
        self.count(OUTER_GRADIENTS, i)
        rows = self.rows(i)
        return self.factored(rows, self.residuals(z, rows)), None


make_inner, make_outer = SparseInner.make, SparseOuter.make
