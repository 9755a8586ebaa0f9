"""Cross-entropy of a linear model on images, in numba: what two problems share.

A block is (batch, features), the longer side last; the weights Z of the model are
(classes, features), flat in z, and whatever is known of a sample and a class is
(classes, batch). On a block A with scores Z Aᵀ, p = softmax over the classes, labels y
and a factor φ a sample (the partition's weight times the sample's own weight):

    ∇_Z = R A with R = φ (p − e_y),  ∇²_ZZ V = U A with U = φ p (T − Σ p T), T = V Aᵀ.
"""

import numpy as np

from benchmark_bilevel.compiled.called_products import (
    combine_address,
    dots_address,
    product_at,
)
from benchmark_bilevel.compiled.exponentials import log_sum_exp, softmax
from benchmark_bilevel.compiled.products import empty_like
from benchmark_bilevel.compiled.row_directions import empty_row_memory
from benchmark_bilevel.methods.variance_reduction import empty_memory
from benchmark_bilevel.oracles import LOSS_VALUES, OUTER_GRADIENTS
from benchmark_bilevel.oracles.closed_form import Inner, Oracle, Outer
from benchmark_bilevel.oracles.samplers import aligned_zeros


class CrossEntropy(Oracle):
    """Σ φ CE of a linear model; f has the sign `sign`."""

    fields = {
        "a": "(n_blocks, batch, features), design; the rows of padding are zero",
        "y": "(n_blocks, batch), labels, 0 for padding",
        "factor": "(batch,), φ",
        "mean": "(batch,), Σ p T",
        "p": "(classes, batch), workspace",
        "r": "(classes, batch), workspace",
        "t": "(classes, batch), workspace",
        "u": "(classes, batch), workspace",
        "dots": "address of `dots`",
        "combine": "address of `combine`",
    }
    inlined = False
    samples_last = False  # of `Partition.pack`
    sign = 1

    @classmethod
    def arrays(cls, problem, samples, partition, dtype):
        design, labels, *_ = samples
        factor = np.full(partition.batch_size, cls.sign * partition.weight, dtype)
        shape = (4, problem.dim_z // design.shape[1], partition.batch_size)
        p, r, t, u = aligned_zeros(shape, dtype)
        return {
            "a": partition.pack(design, dtype, cls.samples_last),
            "y": partition.pack(labels, np.int64),
            "factor": factor,
            "mean": np.zeros_like(factor),
            "p": p,
            "r": r,
            "t": t,
            "u": u,
            "dots": dots_address(dtype),
            "combine": combine_address(dtype),
        }

    def weights(self, z):
        """The flat `z` as a matrix (classes, features)."""
        return z.reshape((self.p.shape[0], self.a.shape[2]))

    def scores(self, a, z, out):
        """out ← Z Aᵀ."""
        product_at(self.dots, a, self.weights(z), out)

    def pull(self, a, r, out):
        """out ← R A."""
        product_at(self.combine, a, r, out)

    def loss(self, a, z, i):
        """Σ φ CE over the samples of block i, whose design is `a`."""
        t, y, norm = self.t, self.y[i], self.mean
        self.scores(a, z, t)
        log_sum_exp(t, norm)
        total = 0.0
        for k in range(self.sizes[i]):
            total += self.factor[k] * (norm[k] - t[y[k], k])
        return total

    def residuals(self, a, z, i):
        """p ← softmax(Z Aᵀ) and R ← φ (p − e_y)."""
        self.scores(a, z, self.p)
        softmax(self.p, self.p)
        return self.errors(i)

    def errors(self, i):
        """R ← φ (p − e_y)."""
        p, r, y, factor = self.p, self.r, self.y[i], self.factor
        for c in range(p.shape[0]):
            for k in range(p.shape[1]):
                r[c, k] = factor[k] * p[c, k]
        for k in range(p.shape[1]):
            r[y[k], k] -= factor[k]
        return r

    def curvatures(self, a, v):
        """T ← V Aᵀ, mean ← Σ p T and U ← φ p (T − mean), with p as `residuals` left it."""
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

    def back(self, a, r, z, ridge):
        """R A + ridge Z, flat like z."""
        gradient = empty_like(z)
        self.pull(a, r, self.weights(gradient))
        for k in range(z.size):
            gradient[k] += ridge * z[k]
        return gradient


class RowsInner(Inner):
    """An inner oracle of which a block moves one slice of x."""

    @classmethod
    def memory(cls, oracle, z, x):
        z_memory, v_memory = (empty_memory(z, oracle.n_blocks) for _ in range(2))
        return z_memory, v_memory, empty_row_memory(x, oracle.n_blocks)


class CrossEntropyOuter(CrossEntropy, Outer):
    def value(self, z, x, i):
        self.count(LOSS_VALUES, i)
        return self.loss(self.a[i], z, i)

    def grad(self, z, x, i):
        self.count(OUTER_GRADIENTS, i)
        gradient = empty_like(z)
        self.pull(self.a[i], self.residuals(self.a[i], z, i), self.weights(gradient))
        return gradient, None
