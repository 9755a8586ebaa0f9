"""The vector verbs on all kinds of directions, against what these mean when dense."""

import numpy as np
import pytest
import torch
from numba import njit
from numpy.testing import assert_allclose, assert_array_equal

from benchmark_bilevel.compiled.row_directions import (
    Mean,
    Rows,
    empty_row_memory,
    one_slice,
    slices,
)
from benchmark_bilevel.methods.directions import add, assign, descend, scale
from benchmark_bilevel.methods.variance_reduction import (
    empty_memory,
    saga,
    spider,
    storm,
)

SIZE = 12


@njit
def compiled_descend(y, a, d, e):
    descend(y, a, d, e)


@njit
def compiled_assign(y, d):
    assign(y, d)


@njit
def compiled_scale(d, a):
    return scale(d, a)


@njit
def compiled_add(d, e):
    return add(d, e)


@njit
def compiled_slices(d, size):
    return slices(d, size)


@njit
def compiled_storm(d, momentum, new, old):
    storm(d, momentum, new, old)


@njit
def compiled_spider(d, new, old):
    spider(d, new, old)


@njit
def compiled_slice(start, values):
    return one_slice(start, values)


@njit
def compiled_saga(new, memory, i):
    return saga(new, memory, i)


@njit
def sum_of_slices(values, n):
    total = one_slice(0, values.copy())
    for k in range(1, n):
        total = add(total, one_slice(k, values.copy()))
    return scale(total, 1 / n)


def rows(*parts, room=0, dtype="float64"):
    """A `Rows` of the pairs (start, values) with `room` behind the last value."""
    values = [np.array(part, dtype) for _, part in parts]
    ends = np.cumsum([part.size for part in values])
    values.append(np.full(room, np.nan, dtype))
    starts = np.array([start for start, _ in parts])
    return Rows(starts, ends, np.concatenate(values))


DIRECTIONS = {
    "none": lambda: None,
    "dense": lambda: np.linspace(-1, 1, SIZE),
    "rows": lambda: rows((3, [1.0, -2, 3])),
    "overlapping rows": lambda: rows((8, [1, 2, 3, 4]), (9, [10, 20]), room=5),
    "empty rows": lambda: rows((5, [])),
    "mean": lambda: Mean(rows((1, [7.0, 8])), np.linspace(3, 4, SIZE)),
}
ALL = pytest.mark.parametrize("name", DIRECTIONS)


def dense(d):
    """What `d` means."""
    if d is None:
        return np.zeros(SIZE)
    if isinstance(d, Mean):
        return d.average + dense(d.rows)
    if not isinstance(d, Rows):
        return d.copy()
    array, position = np.zeros(SIZE), 0
    for start, end in zip(d.starts, d.ends, strict=True):
        array[start : start + end - position] += d.values[position:end]
        position = end
    return array


@pytest.mark.parametrize("other", DIRECTIONS)
@ALL
def test_descend(name, other):
    d, e = DIRECTIONS[name](), DIRECTIONS[other]()
    y = np.arange(SIZE, dtype=float)
    compiled_descend(y, 0.3, d, e)
    assert_allclose(y, np.arange(SIZE) - 0.3 * (dense(d) + dense(e)), rtol=1e-14)


@pytest.mark.parametrize("name", ["dense", "none"])
def test_descend_in_torch(name):
    d = DIRECTIONS[name]()
    y = torch.arange(SIZE, dtype=torch.float64)
    descend(y, 0.3, None if d is None else torch.tensor(d), torch.ones(SIZE).double())
    assert_allclose(y, np.arange(SIZE) - 0.3 * (dense(d) + 1), rtol=1e-14)


@pytest.mark.parametrize("name", [name for name in DIRECTIONS if name != "none"])
def test_assign(name):
    d, y = DIRECTIONS[name](), np.full(SIZE, np.nan)
    compiled_assign(y, d)
    assert_allclose(y, dense(d), rtol=1e-14)


@pytest.mark.parametrize("name", [name for name in DIRECTIONS if name != "mean"])
def test_scale(name):
    expected = -2.5 * dense(DIRECTIONS[name]())
    assert_allclose(dense(compiled_scale(DIRECTIONS[name](), -2.5)), expected)


@pytest.mark.parametrize(
    "pair",
    [
        ("dense", "dense"),
        ("rows", "none"),
        ("none", "rows"),
        ("mean", "none"),
        ("rows", "overlapping rows"),
        ("overlapping rows", "rows"),
        ("empty rows", "rows"),
        ("rows", "empty rows"),
    ],
)
def test_add(pair):
    d, e = (DIRECTIONS[name]() for name in pair)
    expected = dense(d) + dense(e)
    assert_allclose(dense(compiled_add(d, e)), expected, rtol=1e-14)


def test_mean_of_many_slices():
    """As the mean of ∇²xz g v over the blocks of a large batch."""
    values = np.array([1.0, 2.0, 3.0])
    expected = np.zeros(SIZE)
    for k in range(9):
        expected[k : k + 3] += values / 9
    assert_allclose(dense(sum_of_slices(values, 9)), expected, rtol=1e-14)


def test_slices():
    for name, expected in {
        "none": [],
        "dense": [(0, SIZE)],
        "mean": [(0, SIZE)],
        "rows": [(3, 6)],
        "overlapping rows": [(8, 12), (9, 11)],
        "empty rows": [(5, 5)],
    }.items():
        found = list(zip(*compiled_slices(DIRECTIONS[name](), SIZE), strict=True))
        assert found == expected, name
    one = compiled_slice(4, np.ones(3))
    assert_array_equal(dense(one), dense(rows((4, [1.0, 1, 1]))))


@pytest.mark.parametrize("name", [name for name in DIRECTIONS if name != "none"])
def test_recursions(name):
    """STORM and SPIDER into a dense variable."""
    new, old = DIRECTIONS[name](), DIRECTIONS["rows"]()
    start = np.cos(np.arange(SIZE))
    d = start.copy()
    compiled_storm(d, 0.2, new, old)
    assert_allclose(d, dense(new) + 0.8 * (start - dense(old)), atol=1e-14)
    d = start.copy()
    compiled_spider(d, new, old)
    assert_allclose(d, start + dense(new) - dense(old), atol=1e-14)


@pytest.mark.parametrize("runtime", ["numba", "torch"])
def test_saga_of_slices_equals_saga_of_dense_directions(generator, runtime):
    """Five blocks, each with a slice of its own; the last block is shorter."""
    n_blocks, block = 5, 3
    x = np.zeros(n_blocks * block - 1)
    memory = empty_row_memory(x, n_blocks)
    dense_memory = empty_memory(x if runtime == "numba" else torch.tensor(x), n_blocks)
    for _ in range(30):
        i = int(generator.integers(n_blocks))
        start = i * block
        values = generator.standard_normal(min(block, x.size - start))
        full = np.zeros_like(x)
        full[start : start + values.size] = values
        if runtime == "numba":
            expected = compiled_saga(full, dense_memory, i)
        else:
            expected = saga(torch.tensor(full), dense_memory, i).numpy()
        actual = np.empty_like(x)
        compiled_assign(actual, compiled_saga(rows((start, values)), memory, i))
        assert_allclose(actual, expected, rtol=1e-12, atol=1e-14)
        assert_allclose(memory.average, dense_memory[1], rtol=1e-12, atol=1e-14)


def test_float32_stays_float32():
    memory = empty_row_memory(np.zeros(SIZE, "float32"), 4)
    direction = compiled_saga(rows((2, [1, 2]), dtype="float32"), memory, 0)
    assert direction.average.dtype == direction.rows.values.dtype == np.float32
    assert (
        compiled_scale(rows((2, [1, 2]), dtype="float32"), 0.5).values.dtype
        == "float32"
    )
