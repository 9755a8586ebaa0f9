"""Closed forms of hyper-cleaning whose x holds the weights themselves, in [0, 1].

The factor of sample k is φ = w x_k, and ∂/∂x_k is w CE_k for the loss and
w (Σ p T − T_y) for v · ∇_Z; all else is as in `kernels`.
"""

import numpy as np

from benchmark_bilevel.compiled.row_directions import one_slice
from benchmark_bilevel.methods import descend, scaled_descend
from benchmark_bilevel.problems.cross_entropy_kernels import CrossEntropyOuter
from benchmark_bilevel.problems.hypercleaning.kernels import (
    EXACT_BLOCK,
    HAS_HVP_AGAIN,
    Hypercleaning,
)

__all__ = ["EXACT_BLOCK", "HAS_HVP_AGAIN", "make_inner", "make_outer"]


class WeightedInner(Hypercleaning):
    def weigh(self, x, i):
        """φ ← w x for the samples of block i."""
        factor, start = self.factor, self.first(i)
        for k in range(self.sizes[i]):
            factor[k] = self.weight * x[start + k]

    def slopes(self, x, i):
        """w (mean − T_y), with mean and T as they were left."""
        t, y, size = self.t, self.y[i], self.sizes[i]
        values = np.empty(size, t.dtype)
        for k in range(size):
            values[k] = self.weight * (self.mean[k] - t[y[k], k])
        return one_slice(self.first(i), values)


class BoxedOuter(CrossEntropyOuter):
    """An outer oracle that keeps x in [0, 1]."""

    def descend(self, x, a, d, e=None):
        descend(x, a, d, e)
        self.project(x)

    def scaled_descend(self, x, step, d, a, floor):
        scaled_descend(x, step, d, a, floor)
        self.project(x)

    def project(self, x):
        low, high = x.dtype.type(0), x.dtype.type(1)
        for k in range(x.size):
            x[k] = min(max(x[k], low), high)


make_inner, make_outer = WeightedInner.make, BoxedOuter.make
