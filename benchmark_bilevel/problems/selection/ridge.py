"""The ridge ½ s Σ λ_jk z_jk² with shared coefficients λ: one layout, all groupings.

z is a matrix (rows, columns), flat. One coefficient may serve a row, a column, an entry
or everything: the coefficient of entry (j, k) is number j · row_step + k · column_step
of x. With λ = exp(x) or λ = x the penalties below are s λ, one for each entry of x.
"""

from typing import NamedTuple

from numba import njit

from benchmark_bilevel.compiled.exponentials import exp
from benchmark_bilevel.compiled.products import empty_like
from benchmark_bilevel.fingerprint import INLINED, PIECE
from benchmark_bilevel.methods.directions import descend, scale
from benchmark_bilevel.methods.scaling import scaled_descend
from benchmark_bilevel.oracles import INNER_GRADIENTS_X, JACOBIAN_VECTOR
from benchmark_bilevel.oracles.closed_form import Inner, Outer


class Ridge(NamedTuple):
    """Which entry of x regularises which entry of z, and how."""

    rows: int
    columns: int
    row_step: int
    column_step: int  # 0 or 1
    exponential: bool  # λ = exp(x), else λ = x
    scale: float  # s


@njit(**INLINED)
def _is_entrywise(ridge):
    """Whether coefficient k is that of entry k alone, so that plain loops do."""
    return ridge.row_step == ridge.columns and (
        ridge.column_step == 1 or ridge.columns == 1
    )


@njit(**INLINED)
def penalties(ridge, x):
    """Array s λ(x), of the shape of x."""
    result = empty_like(x)
    if ridge.exponential:
        exp(x, result)
    else:
        for k in range(x.size):
            result[k] = x[k]
    scale = x.dtype.type(ridge.scale)
    for k in range(x.size):
        result[k] *= scale
    return result


@njit(**INLINED)
def ridge_value(ridge, penalty, z):
    """½ Σ penalty z², in float64."""
    total = 0.0
    n = ridge.columns
    for j in range(ridge.rows):
        row = z[j * n : j * n + n]
        start = j * ridge.row_step
        if ridge.column_step:
            share = penalty[start : start + n]
            for k in range(n):
                total += share[k] * row[k] * row[k]
        else:
            square = 0.0
            for k in range(n):
                square += row[k] * row[k]
            total += penalty[start] * square
    return 0.5 * total


@njit(**INLINED)
def ridge_add(ridge, penalty, a, z, out):
    """out ← out + a penalty z; `out` must not be z."""
    a = z.dtype.type(a)
    if _is_entrywise(ridge):
        for k in range(z.size):
            out[k] += a * penalty[k] * z[k]
    else:
        _grouped_add(ridge, penalty, a, z, out)


@njit(**PIECE)
def _grouped_add(ridge, penalty, a, z, out):
    n = ridge.columns
    for j in range(ridge.rows):
        row, target = z[j * n : j * n + n], out[j * n : j * n + n]
        start = j * ridge.row_step
        if ridge.column_step:
            share = penalty[start : start + n]
            for k in range(n):
                target[k] += a * share[k] * row[k]
        else:
            factor = a * penalty[start]
            for k in range(n):
                target[k] += factor * row[k]


@njit(**INLINED)
def ridge_shrink(ridge, penalty, a, z):
    """z ← z − a penalty z."""
    a = z.dtype.type(a)
    if _is_entrywise(ridge):
        for k in range(z.size):
            z[k] -= a * penalty[k] * z[k]
    else:
        _grouped_shrink(ridge, penalty, a, z)


@njit(**PIECE)
def _grouped_shrink(ridge, penalty, a, z):
    n = ridge.columns
    for j in range(ridge.rows):
        row = z[j * n : j * n + n]
        start = j * ridge.row_step
        if ridge.column_step:
            share = penalty[start : start + n]
            for k in range(n):
                row[k] -= a * share[k] * row[k]
        else:
            factor = a * penalty[start]
            for k in range(n):
                row[k] -= factor * row[k]


@njit(**INLINED)
def ridge_cross(ridge, penalty, z, v):
    """(∂ ridge gradient / ∂x)ᵀ v: s λ' times the sums of z v over the entries of z."""
    out = empty_like(penalty)
    if _is_entrywise(ridge):
        for k in range(z.size):
            out[k] = z[k] * v[k]
    else:
        _grouped_products(ridge, z, v, out)
    if ridge.exponential:
        for k in range(out.size):
            out[k] *= penalty[k]
    else:
        scale = out.dtype.type(ridge.scale)
        for k in range(out.size):
            out[k] *= scale
    return out


@njit(**PIECE)
def _grouped_products(ridge, z, v, out):
    n = ridge.columns
    for k in range(out.size):
        out[k] = 0
    for j in range(ridge.rows):
        a, b = z[j * n : j * n + n], v[j * n : j * n + n]
        start = j * ridge.row_step
        if ridge.column_step:
            target = out[start : start + n]
            for k in range(n):
                target[k] += a[k] * b[k]
        else:
            product = z.dtype.type(0)
            for k in range(n):
                product += a[k] * b[k]
            out[start] += product


class RidgeInner(Inner):
    """An inner oracle with a ridge, and a data term that does not depend on x."""

    fields = {"ridge": "the `Ridge`"}

    @classmethod
    def arrays(cls, problem, samples, partition, dtype):
        own = {"ridge": problem.ridge(dtype)}
        return super().arrays(problem, samples, partition, dtype) | own

    def cross(self, z, x, v, i):
        self.count(JACOBIAN_VECTOR, i)
        return ridge_cross(self.ridge, penalties(self.ridge, x), z, v)

    def grad_x(self, z, x, i):
        """The ridge's value is half its cross product with z itself."""
        self.count(INNER_GRADIENTS_X, i)
        return scale(ridge_cross(self.ridge, penalties(self.ridge, x), z, z), 0.5)


class RidgeOuter(Outer):
    """An outer oracle that keeps x ≥ 0 where the problem does."""

    fields = {"nonnegative": "whether it does"}

    @classmethod
    def arrays(cls, problem, samples, partition, dtype):
        own = {"nonnegative": problem.project is not None}
        return super().arrays(problem, samples, partition, dtype) | own

    def descend(self, x, a, d, e=None):
        descend(x, a, d, e)
        self.project(x)

    def scaled_descend(self, x, step, d, a, floor):
        scaled_descend(x, step, d, a, floor)
        self.project(x)

    def project(self, x):
        if self.nonnegative:
            zero = x.dtype.type(0)
            for k in range(x.size):
                x[k] = max(x[k], zero)
