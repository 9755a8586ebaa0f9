"""Which mini-batch comes next: one text, used by both runtimes.

The samples of a loss are cut once into blocks of ``batch_size`` consecutive samples;
a sampler draws indices of blocks. Both runtimes call :func:`next_block`, so that equal
seeds give equal batches whatever computes the derivatives.
"""

import math
from functools import partial
from typing import NamedTuple

import numpy as np
from numba import njit

from benchmark_bilevel.fingerprint import INLINED, cached_njit

SAMPLINGS = ("reshuffled", "with-replacement")


class Partition:
    """Fixed partition of ``n_samples`` samples into blocks of ``batch_size``.

    The estimate of block i is ``weight`` times the sum of its samples' losses, plus the
    regulariser, with ``weight = n_blocks / n_samples``. Its plain mean over the blocks is
    the full loss whether or not ``batch_size`` divides ``n_samples``, so that a uniform
    draw of a block is unbiased and a mean over a table of block estimates is exact.

    Parameters
    ----------
    n_samples : int
        Number of samples.
    batch_size : int or "full"
        Samples per block; "full", or a number above `n_samples`, gives one block.
    """

    def __init__(self, n_samples, batch_size):
        self.n_samples = n_samples
        self.batch_size = n_samples if batch_size == "full" else batch_size
        self.batch_size = min(self.batch_size, n_samples)
        self.n_blocks = -(-n_samples // self.batch_size)
        self.weight = self.n_blocks / n_samples

    def slice(self, i):
        """Samples of block `i`."""
        return slice(
            i * self.batch_size, min((i + 1) * self.batch_size, self.n_samples)
        )

    @property
    def sizes(self):
        """Number of samples of each block, shape (n_blocks,)."""
        sizes = np.full(self.n_blocks, self.batch_size)
        sizes[-1] = self.n_samples - (self.n_blocks - 1) * self.batch_size
        return sizes

    def pack(self, samples, dtype, samples_last=True):
        """Copy `samples` into equal blocks, the last one padded with zeros.

        Parameters
        ----------
        samples : array of shape (n_samples, ...)
        dtype : numpy dtype
        samples_last : bool
            Store a block as (..., batch_size) instead of (batch_size, ...).

        Returns
        -------
        array of shape (n_blocks, ..., batch_size) or (n_blocks, batch_size, ...)
            Aligned on 64 bytes, as vector instructions like it. Where `samples` are
            that already, they are not copied.
        """
        is_packed = samples.flags.c_contiguous and samples.dtype == dtype
        is_full = self.n_blocks * self.batch_size == self.n_samples
        if is_packed and is_full and not samples_last and _is_aligned(samples):
            return samples.reshape(self.n_blocks, self.batch_size, *samples.shape[1:])
        order = (*range(1, samples.ndim), 0) if samples_last else range(samples.ndim)
        shape = (self.batch_size, *samples.shape[1:])
        blocks = aligned_zeros((self.n_blocks, *(shape[k] for k in order)), dtype)
        for i, size in enumerate(self.sizes):
            block = blocks[i].transpose(np.argsort(order))
            block[:size] = samples[self.slice(i)]
        return blocks


class Sampler(NamedTuple):
    """State of a sampler, as arrays that compiled code changes in place."""

    order: np.ndarray  # int64 (n_blocks,): the current permutation of the blocks
    cursor: np.ndarray  # uint64 (2,): position in `order`, state of the generator
    replace: bool  # draw with replacement, or reshuffle at each epoch


def make_sampler(n_blocks, sampling, seed, stream):
    """A sampler of `n_blocks` blocks.

    Parameters
    ----------
    n_blocks : int
    sampling : {"reshuffled", "with-replacement"}
        Every epoch (the first one too) in a fresh random order, or independent draws.
    seed : int
        Seed of the repetition.
    stream : int
        Samplers of one seed with different `stream` are independent.
    """
    sampler = Sampler(
        np.arange(n_blocks), np.zeros(2, np.uint64), sampling == "with-replacement"
    )
    seed_sampler(sampler, seed, stream)
    return sampler


def seed_sampler(sampler, seed, stream):
    """Put `sampler` at the start of the stream that (`seed`, `stream`) name."""
    sampler.order[:] = np.arange(sampler.order.size)
    sampler.cursor[0] = sampler.order.size  # exhausted: the first draw shuffles
    state = np.random.SeedSequence([seed, stream]).generate_state(1, np.uint64)
    sampler.cursor[1] = state[0]


@partial(cached_njit, options=INLINED)
def _random_bits(cursor):
    """64 random bits; advances the generator in ``cursor[1]``."""
    cursor[1] += np.uint64(0x9E3779B97F4A7C15)
    u = cursor[1]
    u = (u ^ (u >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    u = (u ^ (u >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return u ^ (u >> np.uint64(31))


@partial(cached_njit, options=INLINED)
def random_below(cursor, n):
    """Uniform integer in {0, …, n − 1}; advances the generator in ``cursor[1]``.

    SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators",
    OOPSLA 2014): 2 ns a number. NumPy's generator takes 65 ns a draw from compiled
    code, a sixth of an iteration of the fastest solver. The modulo's bias is n / 2^64.
    """
    return np.int64(_random_bits(cursor) % np.uint64(n))


# Without the flags that let a compiler reorder: both runtimes get the same bits.
@partial(cached_njit, options={"error_model": "numpy"})
def fill_normal(cursor, out):
    """out ← independent standard normal numbers, rounded from float64; shape (n,).

    Marsaglia's polar method ("A convenient method for generating normal variables",
    SIAM Review 6, 1964).
    """
    for k in range(0, out.size, 2):
        square = 0.0
        while not 0.0 < square < 1.0:
            a, b = _signed_unit(cursor), _signed_unit(cursor)
            square = a * a + b * b
        size = math.sqrt(-2.0 * math.log(square) / square)
        out[k] = a * size
        if k + 1 < out.size:
            out[k + 1] = b * size


@njit(error_model="numpy")
def _signed_unit(cursor):
    """Uniform in [−1, 1), a multiple of 2^−52."""
    return np.float64(_random_bits(cursor) >> np.uint64(11)) * 2.0**-52 - 1.0


@partial(cached_njit, options=INLINED)
def next_block(order, cursor, replace):
    """Index of the next block; at the end of an epoch reshuffles `order` in place."""
    n_blocks = order.size
    if replace:
        return random_below(cursor, n_blocks)
    position = np.int64(cursor[0])
    if position >= n_blocks:  # Fisher-Yates
        for k in range(n_blocks - 1, 0, -1):
            j = random_below(cursor, k + 1)
            order[k], order[j] = order[j], order[k]
        position = 0
    cursor[0] = np.uint64(position + 1)
    return order[position]


def _is_aligned(array):
    return array.ctypes.data % 64 == 0


def aligned(array, dtype=None):
    """Copy of `array` that starts on a 64-byte boundary."""
    copy = aligned_zeros(array.shape, array.dtype if dtype is None else dtype)
    copy[...] = array
    return copy


def aligned_zeros(shape, dtype):
    """Array of zeros whose data start on a 64-byte boundary.

    Unaligned blocks cost 12 % (covtype) to 30 % (MNIST) of an iteration.
    """
    dtype = np.dtype(dtype)
    size = int(np.prod(shape)) * dtype.itemsize
    buffer = np.zeros(size + 64, np.uint8)
    start = -buffer.ctypes.data % 64
    return buffer[start : start + size].view(dtype).reshape(shape)
