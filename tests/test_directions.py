"""The vector verbs on all kinds of directions, against what these mean when dense."""

import runpy

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
from benchmark_bilevel.faults import line_of
from benchmark_bilevel.methods import (
    add,
    as_variable,
    assign,
    average,
    combine,
    copy,
    descend,
    dot,
    empty_memory,
    norm,
    project_ball,
    saga,
    scale,
    scaled_descend,
    spider,
    square_average,
    storm,
    zero_sarah,
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


@ALL
def test_assign(name):
    d, y = DIRECTIONS[name](), np.full(SIZE, np.nan)
    compiled_assign(y, d)
    assert_allclose(y, dense(d), rtol=1e-14)


@ALL
def test_scale(name):
    d, expected = DIRECTIONS[name](), -2.5 * dense(DIRECTIONS[name]())
    assert_allclose(dense(compiled_scale(d, -2.5)), expected)
    if name == "mean":  # the average is a memory's own
        assert_array_equal(d.average, DIRECTIONS[name]().average)


@pytest.mark.parametrize("other", DIRECTIONS)
@ALL
def test_add(name, other):
    d, e = DIRECTIONS[name](), DIRECTIONS[other]()
    expected = dense(d) + dense(e)
    assert_allclose(dense(compiled_add(d, e)), expected, rtol=1e-14)
    for direction, key in ((d, name), (e, other)):
        if key == "mean":
            assert_array_equal(direction.average, DIRECTIONS["mean"]().average)


# --- verbs that are one text, or one overload, for all kinds ----------------------------


def of_one(d, y, a):
    """All that is made of one direction; `y` and `a` are kept."""
    averaged, moved, square, shorter = copy(y), copy(y), copy(a), as_variable(d, y)
    average(averaged, 0.3, d)
    scaled_descend(moved, 0.7, d, a, 0.1)
    square_average(square, 0.9, d)
    project_ball(shorter, 2.0)
    return averaged, moved, square, shorter, norm(d), dot(y, d), dot(d, y)


def of_two(d, e, y):
    averaged = copy(y)
    average(averaged, 0.25, d, e)
    return dot(d, e), averaged, as_variable(combine(2.0, d, -3.0, e), y)


compiled_of_one, compiled_of_two = njit(of_one), njit(of_two)
Y, A = np.cos(np.arange(SIZE)), np.linspace(0.2, 2, SIZE)


def as_tensors(*arrays):
    return [array if array is None else torch.tensor(array) for array in arrays]


def check_one(found, d):
    expected = (
        0.7 * Y + 0.3 * d,
        Y - 0.7 * d / (np.sqrt(A) + 0.1),
        0.9 * A + 0.1 * d**2,
        d * min(1, 2.0 / max(np.linalg.norm(d), 1e-9)),
        np.linalg.norm(d),
        *2 * (Y @ d,),
    )
    for value, right in zip(found, expected, strict=True):
        assert_allclose(value, right, rtol=1e-13, atol=1e-14)


@ALL
def test_verbs_of_one_direction(name):
    y, a = Y.copy(), A.copy()
    check_one(compiled_of_one(DIRECTIONS[name](), y, a), dense(DIRECTIONS[name]()))
    assert_array_equal(y, Y)


@pytest.mark.parametrize("name", ["dense", "none"])
def test_verbs_of_one_direction_in_torch(name):
    d = DIRECTIONS[name]()
    check_one(of_one(*as_tensors(d, Y, A)), dense(d))


def check_two(found, d, e):
    expected = d @ e, 0.75 * Y + 0.25 * (d + e), 2 * d - 3 * e
    for value, right in zip(found, expected, strict=True):
        assert_allclose(value, right, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("other", DIRECTIONS)
@ALL
def test_verbs_of_two_directions(name, other):
    d, e = DIRECTIONS[name](), DIRECTIONS[other]()
    means = dense(d), dense(e)
    check_two(compiled_of_two(d, e, Y), *means)


def test_verbs_of_two_directions_in_torch():
    d, e = DIRECTIONS["dense"](), np.sin(np.arange(SIZE))
    check_two(of_two(*as_tensors(d, e, Y)), d, e)
    check_two(of_two(*as_tensors(d, None, Y)), d, 0 * d)


@njit
def compiled_project_ball(y, radius):
    project_ball(y, radius)


def test_a_ball_without_bound_changes_nothing():
    y = Y.copy()
    compiled_project_ball(y, np.inf)
    assert_array_equal(y, Y)
    y[3] = np.nan
    compiled_project_ball(y, 1.0)
    assert np.isnan(y[3])


@pytest.mark.parametrize("name", ["none", "rows", "mean"])
@pytest.mark.parametrize(
    "operation",
    [
        *("y += d", "y -= 0.1 * d", "y *= d", "y[:] = y + d", "y[:] = y - d"),
        *("y[:] = -d", "y[:] = abs(d)", "y[:] = d**2", "y[:] = d / 2.0", "y[:] = d"),
        *("y[0] = d.sum()", "y[0] = np.sum(d)", "y[0] = y @ d"),
        *("y[:] = np.sign(d)", "y[0] = np.linalg.norm(d)", "y[:] = d > 0"),
    ],
)
def test_operations_of_arrays_name_the_verbs(tmp_path, name, operation):
    file = tmp_path / "operations.py"
    file.write_text(f"import numpy as np\n\n\ndef operate(y, d):\n    {operation}\n")
    operate = runpy.run_path(file)["operate"]
    with pytest.raises(Exception) as raised:
        njit(operate)(Y.copy(), DIRECTIONS[name]())
    line = line_of(raised.value)
    assert line.startswith(f"{file}, line 5: numba cannot compile this: ")
    assert "move a variable by descend(y, a, d)" in line
    assert "<numerous>" not in line


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


@njit
def compiled_zero_sarah(d, weight, new, old, memory, i):
    zero_sarah(d, weight, new, old, memory, i)


def test_zero_sarah_of_slices_equals_that_of_dense_directions(generator):
    n_blocks, block = 4, 3
    x = np.zeros(n_blocks * block)
    memory, dense_memory = empty_row_memory(x, n_blocks), empty_memory(x, n_blocks)
    d, dense_d = np.ones_like(x), np.ones_like(x)
    for _ in range(20):
        i = int(generator.integers(n_blocks))
        pair = generator.standard_normal((2, block))
        full = np.zeros((2, x.size))
        full[:, i * block : (i + 1) * block] = pair
        zero_sarah(dense_d, 0.3, *full, dense_memory, i)
        slices_of = [rows((i * block, values)) for values in pair]
        compiled_zero_sarah(d, 0.3, *slices_of, memory, i)
        assert_allclose(d, dense_d, rtol=1e-12, atol=1e-13)


def test_float32_stays_float32():
    memory = empty_row_memory(np.zeros(SIZE, "float32"), 4)
    direction = compiled_saga(rows((2, [1, 2]), dtype="float32"), memory, 0)
    assert direction.average.dtype == direction.rows.values.dtype == np.float32
    assert (
        compiled_scale(rows((2, [1, 2]), dtype="float32"), 0.5).values.dtype
        == "float32"
    )
