"""Partitions and samplers: what makes a mini-batch estimate unbiased."""

import math

import numpy as np
import pytest
from conftest import load_solver

from benchmark_bilevel.oracles.samplers import (
    Partition,
    aligned,
    aligned_zeros,
    fill_normal,
    make_sampler,
    next_block,
    random_below,
    seed_sampler,
)
from benchmark_bilevel.verification.cases import RAGGED, Subject, small_quadratic


def draws(sampler, n):
    return np.array([next_block(*sampler) for _ in range(n)])


@pytest.mark.parametrize(
    "n_samples, batch_size", [(100, 64), (64, 64), (10, 3), (5, 9)]
)
def test_partition_covers_every_sample_once(n_samples, batch_size):
    partition = Partition(n_samples, batch_size)
    samples = np.concatenate(
        [np.arange(n_samples)[partition.slice(i)] for i in range(partition.n_blocks)]
    )
    np.testing.assert_array_equal(samples, np.arange(n_samples))
    assert partition.sizes.sum() == n_samples
    # Each sample weighs 1/n in the mean over blocks.
    assert partition.weight / partition.n_blocks == pytest.approx(1 / n_samples)


def test_full_batch_is_one_block():
    partition = Partition(57, "full")
    assert (partition.n_blocks, partition.batch_size, partition.weight) == (
        1,
        57,
        1 / 57,
    )


@pytest.mark.parametrize("samples_last", [True, False])
def test_pack_pads_with_zeros(generator, samples_last):
    samples = generator.standard_normal((10, 3))
    blocks = Partition(10, 4).pack(samples, "float32", samples_last)
    assert blocks.shape == ((3, 3, 4) if samples_last else (3, 4, 3))
    if samples_last:
        blocks = blocks.transpose(0, 2, 1)
    np.testing.assert_array_equal(
        blocks.reshape(12, 3)[:10], samples.astype(np.float32)
    )
    assert not blocks.reshape(12, 3)[10:].any()


def off_by_a_number(samples):
    """The same numbers, eight bytes after a cache line."""
    copy = aligned_zeros(samples.size + 1, samples.dtype)[1:].reshape(samples.shape)
    copy[...] = samples
    return copy


def test_packed_samples_are_not_copied(generator):
    samples = aligned(generator.standard_normal((12, 3)))
    assert np.shares_memory(Partition(12, 4).pack(samples, "float64", False), samples)


@pytest.mark.parametrize(
    "n_samples, dtype, samples_last, changed",
    [
        (9, "float64", False, np.asarray),
        (12, "float64", True, np.asarray),
        (12, "float32", False, np.asarray),
        (12, "float64", False, np.asfortranarray),
        (12, "float64", False, off_by_a_number),
    ],
)
def test_other_samples_are_packed(generator, n_samples, dtype, samples_last, changed):
    samples = changed(aligned(generator.standard_normal((n_samples, 3))))
    blocks = Partition(n_samples, 4).pack(samples, dtype, samples_last)
    assert not np.shares_memory(blocks, samples) and blocks.ctypes.data % 64 == 0
    assert blocks.dtype == dtype and blocks.flags.c_contiguous
    rows = (blocks.swapaxes(1, 2) if samples_last else blocks).reshape(12, 3)
    np.testing.assert_array_equal(rows[:n_samples], samples.astype(dtype))
    assert not rows[n_samples:].any()


@pytest.mark.parametrize("dtype, expected", [(None, "float32"), ("float64", "float64")])
def test_an_aligned_copy_is_of_its_kind(dtype, expected):
    array = np.arange(3, dtype="float32")
    copy = aligned(array, dtype)
    assert copy.dtype == expected and copy.ctypes.data % 64 == 0
    np.testing.assert_array_equal(copy, array)


def test_aligned_zeros():
    for shape in [(3,), (2, 5, 7)]:
        array = aligned_zeros(shape, "float32")
        assert array.ctypes.data % 64 == 0
        assert array.shape == shape and not array.any()


def test_reshuffled_epochs_are_different_permutations():
    sampler = make_sampler(50, "reshuffled", seed=1, stream=0)
    epochs = draws(sampler, 200).reshape(4, 50)
    np.testing.assert_array_equal(np.sort(epochs), np.tile(np.arange(50), (4, 1)))
    orders = {tuple(epoch) for epoch in epochs} | {tuple(range(50))}
    assert len(orders) == 5, "every epoch, the first one too, has its own order"


def epochs_are_sound(runtime):
    """Every batch once an epoch, in random order, and each sample counted once."""
    inner, (z, x) = runtime.inner, runtime.state[:2]
    epochs = [[inner.draw() for _ in range(inner.n_blocks)] for _ in range(3)]
    assert all(sorted(epoch) == list(range(inner.n_blocks)) for epoch in epochs), (
        "epoch"
    )
    assert epochs[0] != sorted(epochs[0]) and epochs[0] != epochs[1], (
        "order of an epoch"
    )
    before = runtime.oracle_calls
    for i in epochs[0]:
        inner.grad(z, x, i)
    n_samples = runtime.problem.n_inner
    assert runtime.oracle_calls - before == n_samples, "gradients of an epoch"


def test_epochs_of_a_runtime():
    subject = Subject(load_solver("soba"))
    epochs_are_sound(subject.runtime(small_quadratic(), runtime="torch", **RAGGED))


def test_draws_with_replacement_are_uniform_and_uncorrelated():
    n_blocks, n = 10, 50_000
    blocks = draws(make_sampler(n_blocks, "with-replacement", seed=0, stream=0), n)
    counts = np.bincount(blocks, minlength=n_blocks)
    expected = n / n_blocks
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert chi2 < 27.9  # 0.999 quantile with 9 degrees of freedom
    pairs = np.bincount(blocks[:-1] * n_blocks + blocks[1:], minlength=n_blocks**2)
    expected = (n - 1) / n_blocks**2
    assert ((pairs - expected) ** 2 / expected).sum() < 148.2  # 99 degrees of freedom


def test_every_position_of_a_shuffle_is_uniform():
    sampler = make_sampler(5, "reshuffled", seed=3, stream=0)
    epochs = draws(sampler, 5 * 10_000).reshape(-1, 5)
    counts = np.array([np.bincount(column, minlength=5) for column in epochs.T])
    assert ((counts - 2000) ** 2 / 2000).sum() < 45.3  # 0.999 quantile, 20 degrees


def test_seeds_and_streams():
    sampler = make_sampler(1000, "reshuffled", seed=7, stream=0)
    first = draws(sampler, 100)
    seed_sampler(sampler, 7, 0)
    np.testing.assert_array_equal(draws(sampler, 100), first)
    for seed, stream in [(8, 0), (7, 1)]:
        seed_sampler(sampler, seed, stream)
        assert (draws(sampler, 100) != first).any()


class SplitMix64:
    """The generator in exact Python integers."""

    def __init__(self, state):
        self.state = int(state)

    def bits(self):
        mask = 2**64 - 1
        self.state = (self.state + 0x9E3779B97F4A7C15) & mask
        u = ((self.state ^ (self.state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        u = ((u ^ (u >> 27)) * 0x94D049BB133111EB) & mask
        return u ^ (u >> 31)

    def unit(self):
        return (self.bits() >> 11) * 2.0**-52 - 1


def test_generator_is_splitmix64():
    cursor, expected = np.zeros(2, np.uint64), SplitMix64(0)
    for _ in range(5):
        assert random_below(cursor, 10**9) == expected.bits() % 10**9


def test_a_shuffle_is_that_of_fisher_and_yates():
    sampler = make_sampler(7, "reshuffled", seed=2, stream=1)
    generator, order = SplitMix64(sampler.cursor[1]), list(range(7))
    for _ in range(3):
        for k in range(6, 0, -1):
            j = generator.bits() % (k + 1)
            order[k], order[j] = order[j], order[k]
        assert draws(sampler, 7).tolist() == order
        assert sampler.cursor[0] == 7


@pytest.mark.parametrize("size", [0, 1, 6, 7])
def test_normal_numbers_are_those_of_the_polar_method(size):
    cursor = np.array([5, 12345], np.uint64)
    generator, expected = SplitMix64(12345), []
    while len(expected) < size:
        a, b = generator.unit(), generator.unit()
        square = a * a + b * b
        if 0 < square < 1:
            length = math.sqrt(-2 * math.log(square) / square)
            expected += [a * length, b * length]
    out = np.full(size + 1, 9.0)
    fill_normal(cursor, out[:size])
    np.testing.assert_allclose(out[:size], expected[:size], rtol=1e-14)
    assert out[size] == 9.0 and cursor.tolist() == [5, generator.state]


@pytest.mark.parametrize("function", [random_below, next_block, fill_normal])
def test_drawing_is_compiled(function):
    """In Python a draw takes a thousand times as long."""
    assert function.targetoptions["error_model"] == "numpy"
