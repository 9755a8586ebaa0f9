"""Verbs for ∇²zz g and ∇²xz g as matrices, where z is small; for both runtimes.

Products are written ``J @ v``; the verbs that move flat variables (`descend`, `assign`,
`scale`, `storm`, …) move matrices as well. None of those below raises on NaN: a run
that diverged has to show it.
"""

import math

import numpy as np
from numba.core.extending import overload

from benchmark_bilevel.fingerprint import PIECE
from benchmark_bilevel.methods.directions import as_variable, assign, copy
from benchmark_bilevel.methods.norms import norm


def zero_matrix(y, z):
    """A matrix of zeros with rows as `y` and columns as `z` has numbers."""
    shape = (len(y), len(z))
    return z.new_zeros(shape) if hasattr(z, "new_zeros") else np.zeros(shape, z.dtype)


def solve_spd(matrix, b):
    """A new variable, matrix⁻¹ b, b a direction; NaN where it is not positive definite."""
    if _is_rehearsed(matrix):
        return as_variable(b, matrix[0])
    return _torch_solve(matrix, b)


def clip_spectrum(matrix, floor):
    """matrix ← its nearest one with eigenvalues ≥ floor, in place; it is symmetric."""
    if not _is_rehearsed(matrix):
        _torch_clip_spectrum(matrix, floor)


def project_spectral_ball(matrix, radius):
    """matrix ← its nearest one with singular values ≤ radius, in place."""
    if not _is_rehearsed(matrix):
        _torch_project_spectral_ball(matrix, radius)


def _is_rehearsed(matrix):
    """Whether Python has an array: in a rehearsal for numba, where numbers mean nothing."""
    return isinstance(matrix, np.ndarray)


def _torch_solve(matrix, b):
    import torch  # takes seconds

    factor, failed = torch.linalg.cholesky_ex(matrix)
    if failed:
        return torch.full_like(b, math.nan)
    return torch.cholesky_solve(b[:, None], factor)[:, 0]


def _torch_clip_spectrum(matrix, floor):
    import torch

    if not matrix.isfinite().all():
        return
    values, vectors = torch.linalg.eigh(matrix)
    if values[0] < floor:
        matrix.copy_((vectors * values.clamp(min=floor)) @ vectors.T)


def _torch_project_spectral_ball(matrix, radius):
    import torch

    if not norm(matrix) > radius or not matrix.isfinite().all():
        return
    left, values, right = torch.linalg.svd(matrix, full_matrices=False)
    matrix.copy_((left * values.clamp(max=radius)) @ right)


# --- numba ----------------------------------------------------------------------------


@overload(zero_matrix)
def _zero_matrix(y, z):
    return lambda y, z: np.zeros((len(y), len(z)), z.dtype)


def _cholesky(matrix):
    """The lower triangular L with L Lᵀ = matrix; NaN if it is not positive definite."""


@overload(_cholesky, jit_options=PIECE)
def _cholesky_of(matrix):
    def cholesky(matrix):
        factor = np.zeros_like(matrix)
        for j in range(len(matrix)):
            for k in range(j + 1):
                total = matrix[j, k]
                a, b = factor[j], factor[k]
                for m in range(k):
                    total -= a[m] * b[m]
                if k < j:
                    a[k] = total / b[k]
                else:
                    a[k] = math.sqrt(total) if total > 0 else math.nan
        return factor

    return cholesky


@overload(solve_spd, jit_options=PIECE)
def _solve_spd(matrix, b):
    def solve(matrix, b):
        factor, y = _cholesky(matrix), as_variable(b, matrix[0])
        for j in range(y.size):
            row = factor[j]
            for k in range(j):
                y[j] -= row[k] * y[k]
            y[j] /= row[j]
        for j in range(y.size - 1, -1, -1):
            row = factor[j]
            y[j] /= row[j]
            for k in range(j):
                y[k] -= row[k] * y[j]
        return y

    return solve


@overload(clip_spectrum, jit_options=PIECE)
def _clip_spectrum(matrix, floor):
    def clip(matrix, floor):
        # Most often nothing is to be done, and a factorisation tells.
        floor, shifted = matrix.dtype.type(floor), copy(matrix)
        for k in range(len(matrix)):
            shifted[k, k] -= floor
        if not np.isfinite(norm(matrix)) or np.isfinite(norm(_cholesky(shifted))):
            return
        values, vectors = np.linalg.eigh(matrix)
        # Not `matrix[:] =`: numba compiles the text of its error for 3 s.
        assign(matrix, np.dot(vectors * np.maximum(values, floor), vectors.T))

    return clip


@overload(project_spectral_ball, jit_options=PIECE)
def _project_spectral_ball(matrix, radius):
    def project(matrix, radius):
        size = norm(matrix)
        if not size > radius or not np.isfinite(size):
            return
        left, values, right = np.linalg.svd(matrix, False)
        radius = matrix.dtype.type(radius)
        assign(matrix, np.dot(left * np.minimum(values, radius), right))

    return project
