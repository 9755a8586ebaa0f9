"""Cross-entropy of a linear model on images, in numba: what two problems share.

A block is (batch, features), the longer side last; the weights Z of the model are
(classes, features), flat in z, and whatever is known of a sample and a class is
(classes, batch). On a block A with scores Z Aᵀ, p = softmax over the classes, labels y
and a factor φ a sample (the partition's weight times the sample's own weight):

    ∇_Z = R A with R = φ (p − e_y),  ∇²_ZZ V = U A with U = φ p (T − Σ p T), T = V Aᵀ.
"""

import numpy as np
from numba.experimental import structref

from benchmark_bilevel.compiled.exponentials import log_sum_exp, softmax
from benchmark_bilevel.compiled.products import combine, dots, empty_like
from benchmark_bilevel.compiled.row_directions import empty_row_memory
from benchmark_bilevel.methods.variance_reduction import empty_memory
from benchmark_bilevel.oracles import LOSS_VALUES, OUTER_GRADIENTS
from benchmark_bilevel.oracles.closed_form import (
    FIELDS,
    InnerHandle,
    OracleType,
    OuterHandle,
    OuterType,
    common_fields,
    constructor,
    method,
)
from benchmark_bilevel.oracles.samplers import aligned_zeros

# a: (n_blocks, batch, features) design; y: (n_blocks, batch) labels, 0 for padding,
# whose rows in `a` are zero; factor: (batch,) φ; mean: (batch,) Σ p T; p, r, t, u:
# (classes, batch) workspaces.
CROSS_ENTROPY_FIELDS = [*FIELDS, "a", "y", "factor", "mean", "p", "r", "t", "u"]


class CrossEntropyType(OracleType):
    """Oracles with `CROSS_ENTROPY_FIELDS`."""


@structref.register
class CrossEntropyOuterType(CrossEntropyType, OuterType):
    """f = ± mean cross-entropy, the sign being that of `factor`."""


class CrossEntropyOuter(OuterHandle):
    pass


class RowsInnerHandle(InnerHandle):
    """Handle of an inner oracle of which a block moves one slice of x."""

    def memory(self, z, x):
        z_memory, v_memory = (empty_memory(z, self.n_blocks) for _ in range(2))
        return z_memory, v_memory, empty_row_memory(x, self.n_blocks)


structref.define_proxy(CrossEntropyOuter, CrossEntropyOuterType, CROSS_ENTROPY_FIELDS)
_build_outer = constructor(CrossEntropyOuter)


def cross_entropy_fields(samples, n_classes, settings, sign=1):
    """Values of `CROSS_ENTROPY_FIELDS`.

    Parameters
    ----------
    samples : pair (design, labels)
    n_classes : int
    settings : tuple (partition, sampler, counts, dtype)
    sign : {1, -1}
        Of the loss.
    """
    (design, labels), (partition, _, _, dtype) = samples, settings
    factor = np.full(partition.batch_size, sign * partition.weight, dtype)
    workspaces = aligned_zeros((4, n_classes, partition.batch_size), dtype)
    return (
        *common_fields(*settings),
        partition.pack(design, dtype, samples_last=False),
        partition.pack(labels, np.int64),
        factor,
        np.zeros_like(factor),
        *workspaces,
    )


def make_cross_entropy_outer(samples, n_classes, settings):
    """Compiled outer oracle of the mean cross-entropy; see `cross_entropy_fields`."""
    return _build_outer(*cross_entropy_fields(samples, n_classes, settings))


@method(CrossEntropyType, "weights")
def _weights(self, z):
    """The flat `z` as a matrix (classes, features)."""
    return lambda self, z: z.reshape((self.p.shape[0], self.a.shape[2]))


@method(CrossEntropyType, "scores")
def _scores(self, a, z, out):
    """out ← Z Aᵀ."""
    return lambda self, a, z, out: dots(a, self.weights(z), out)


@method(CrossEntropyType, "pull")
def _pull(self, a, r, out):
    """out ← R A."""
    return lambda self, a, r, out: combine(a, r, out)


@method(CrossEntropyType, "loss")
def _loss(self, a, z, i):
    """Σ φ CE over the samples of block i, whose design is `a`."""

    def loss(self, a, z, i):
        t, y, norm = self.t, self.y[i], self.mean
        self.scores(a, z, t)
        log_sum_exp(t, norm)
        total = 0.0
        for k in range(self.sizes[i]):
            total += self.factor[k] * (norm[k] - t[y[k], k])
        return total

    return loss


@method(CrossEntropyType, "residuals")
def _residuals(self, a, z, i):
    """p ← softmax(Z Aᵀ) and R ← φ (p − e_y)."""

    def residuals(self, a, z, i):
        self.scores(a, z, self.p)
        softmax(self.p, self.p)
        return self.errors(i)

    return residuals


@method(CrossEntropyType, "errors")
def _errors(self, i):
    """R ← φ (p − e_y)."""

    def errors(self, i):
        p, r, y, factor = self.p, self.r, self.y[i], self.factor
        for c in range(p.shape[0]):
            for k in range(p.shape[1]):
                r[c, k] = factor[k] * p[c, k]
        for k in range(p.shape[1]):
            r[y[k], k] -= factor[k]
        return r

    return errors


@method(CrossEntropyType, "curvatures")
def _curvatures(self, a, v):
    """T ← V Aᵀ, mean ← Σ p T and U ← φ p (T − mean), with p as `residuals` left it."""

    def curvatures(self, a, v):
        p, t, u, mean, factor = self.p, self.t, self.u, self.mean, self.factor
        self.scores(a, v, t)
        mean[:] = 0
        for c in range(p.shape[0]):
            for k in range(p.shape[1]):
                mean[k] += p[c, k] * t[c, k]
        for c in range(p.shape[0]):
            for k in range(p.shape[1]):
                u[c, k] = factor[k] * p[c, k] * (t[c, k] - mean[k])
        return u

    return curvatures


@method(CrossEntropyType, "back")
def _back(self, a, r, z, ridge):
    """R A + ridge Z, flat like z."""

    def back(self, a, r, z, ridge):
        gradient = empty_like(z)
        self.pull(a, r, self.weights(gradient))
        for k in range(z.size):
            gradient[k] += ridge * z[k]
        return gradient

    return back


@method(CrossEntropyOuterType, "value")
def _value(self, z, x, i):
    def value(self, z, x, i):
        self.count(LOSS_VALUES, i)
        return self.loss(self.a[i], z, i)

    return value


@method(CrossEntropyOuterType, "grad")
def _grad(self, z, x, i):
    def grad(self, z, x, i):
        self.count(OUTER_GRADIENTS, i)
        gradient = empty_like(z)
        combine(self.a[i], self.residuals(self.a[i], z, i), self.weights(gradient))
        return gradient, None

    return grad
