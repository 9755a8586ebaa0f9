"""Every kernel against NumPy or SciPy, in float64 or wider."""

import math

import numpy as np
import pytest
from numba import errors, njit
from numba.core.codegen import JitEngine
from numba.extending import register_jitable
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special

from benchmark_bilevel.compiled import exponentials, products
from benchmark_bilevel.compiled.called_products import (
    combine_address,
    dots_address,
    product_at,
)
from benchmark_bilevel.fingerprint import PIECE
from benchmark_bilevel.oracles.samplers import aligned_zeros

DTYPES = (np.float32, np.float64)
# Rows around tiles of 4, columns around vectors of 4 to 16 and tiles of 4 vectors,
# classes around tiles of 2 and 5; then the shapes of the benchmarks, and empty ones.
SHAPES = [
    (1, 1, 1),
    (1, 70, 3),
    (3, 5, 2),
    (4, 16, 4),
    (5, 17, 11),
    (7, 130, 5),
    (33, 63, 6),
    (34, 1, 3),
    (90, 71, 2),
    (22, 64, 1),
    (54, 64, 7),
    (64, 784, 10),
    (0, 5, 2),
    (5, 0, 2),
]


def normal(shape, dtype, seed=0):
    array = aligned_zeros(shape, dtype)
    array[...] = np.random.default_rng(seed).standard_normal(shape)
    return array


def assert_product(actual, left, right):
    """Compare with left @ right, up to two roundings of the sum of absolute values."""
    left, right = left.astype(np.float64), right.astype(np.float64)
    scale = np.abs(left) @ np.abs(right)
    error = np.abs(actual - left @ right)
    assert np.all(error <= 2 * np.finfo(actual.dtype).eps * scale)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows, columns, classes", SHAPES)
def test_dots(rows, columns, classes, dtype):
    a, w = normal((rows, columns), dtype), normal((classes, columns), dtype, 1)
    out = np.full((classes, rows), np.nan, dtype)
    products.dots(a, w, out)
    assert_product(out, w, a.T)
    single = np.full(rows, np.nan, dtype)
    products.dots(a, w[0], single)
    assert_product(single, w[0], a.T)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows, columns, classes", SHAPES)
def test_combine(rows, columns, classes, dtype):
    a, r = normal((rows, columns), dtype), normal((classes, rows), dtype, 1)
    out = np.full((classes, columns), np.nan, dtype)
    products.combine(a, r, out)
    assert_product(out, r, a)
    single = np.full(columns, np.nan, dtype)
    products.combine(a, r[0], single)
    assert_product(single, r[0], a)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("columns", [64, 70])
def test_products_write_only_their_output(columns, dtype):
    a = normal((6, columns), dtype)
    memory = np.full(200, 7, dtype)
    products.dots(a, a[0], memory[3:9])
    products.combine(a, a[0, :6].copy(), memory[20 : 20 + columns])
    assert_array_equal(memory[:3], 7)
    assert_array_equal(memory[9:20], 7)
    assert_array_equal(memory[20 + columns :], 7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("row, column", [(0, 0), (5, 37), (8, 69)])
def test_products_keep_nan_and_infinity(row, column, value, dtype):
    a = np.abs(normal((9, 70), dtype))
    w, r = np.abs(normal((3, 70), dtype, 1)), np.abs(normal((3, 9), dtype, 2))
    a[row, column] = value
    scores, gradient = np.empty((3, 9), dtype), np.empty((3, 70), dtype)
    products.dots(a, w, scores)
    products.combine(a, r, gradient)
    assert_array_equal(scores[:, row], value)
    assert_array_equal(gradient[:, column], value)
    assert np.isfinite(np.delete(scores, row, axis=1)).all()
    assert np.isfinite(np.delete(gradient, column, axis=1)).all()


@pytest.mark.parametrize("kernel", [products.dots, products.combine])
def test_products_refuse_mixed_or_strided_arrays(kernel):
    a, square = normal((8, 8), np.float64), normal((8, 8), np.float64)
    out = np.empty((8, 8))
    with pytest.raises(errors.TypingError, match="float32"):
        kernel(a, square.astype(np.float32), out)
    with pytest.raises(errors.TypingError, match="contiguous"):
        kernel(a.T, square, out)


@njit
def at(address, a, factor, out):
    product_at(address, a, factor, out)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_at_an_address_are_the_products(dtype):
    a, w, r = normal((34, 70), dtype), normal((7, 70), dtype, 1), normal((7, 34), dtype)
    for address, kernel, factor, size in (
        (dots_address(dtype), products.dots, w, 34),
        (combine_address(dtype), products.combine, r, 70),
    ):
        found, expected = np.empty((2, 7, size), dtype)
        kernel(a, factor, expected)
        at(address, a, factor, found)
        assert_array_equal(found, expected)
    with pytest.raises(errors.TypingError, match="two dimensions"):
        at(address, a, r[0], found)
    with pytest.raises(errors.TypingError, match="contiguous"):
        at(address, a.T, r, found)


@register_jitable(**PIECE)
def root(x):
    if x < 0:
        raise ValueError("negative")
    return math.sqrt(x)


@njit
def sum_of_roots(x, y):
    return root(x) + root(y)


def test_pieces_are_linked_into_what_calls_them(monkeypatch):
    """They have no machine code of their own, and raise what they raise."""
    add_module, names = JitEngine.add_module, []

    def watched(self, module):
        names.append(module.name)
        return add_module(self, module)

    monkeypatch.setattr(JitEngine, "add_module", watched)
    assert sum_of_roots(4.0, 9.0) == 5.0
    with pytest.raises(ValueError, match="negative"):
        sum_of_roots(4.0, -9.0)
    (name,) = (name for name in names if "root" in name)
    assert "sum_of_roots" in name


def units(actual, exact):
    """Error in units in the last place of the exact value, denormal ones included."""
    nearest = np.abs(exact).astype(actual.dtype)
    return np.abs(actual - exact) / np.spacing(nearest).astype(exact.dtype)


@pytest.mark.parametrize(
    "dtype, least, greatest", [(np.float32, -104, 88.72), (np.float64, -745.2, 709.78)]
)
def test_exp_is_accurate_over_the_full_range(dtype, least, greatest):
    for low, high in [(least, greatest), (-1, 1), (-1e-6, 1e-6)]:
        a = np.linspace(low, high, 400_003).astype(dtype)
        out = np.empty_like(a)
        exponentials.exp(a, out)
        assert units(out, np.exp(a.astype(np.longdouble))).max() < 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_exp_of_special_values(dtype):
    limit = np.log(np.finfo(dtype).max)
    a = [np.nan, np.inf, -np.inf, np.finfo(dtype).max, np.finfo(dtype).min, 0.0, -0.0]
    a = np.array([*a, limit * 1.001, -limit * 1.2, limit * 3, -limit * 3], dtype)
    expected = [np.nan, np.inf, 0, np.inf, 0, 1, 1, np.inf, 0, np.inf, 0]
    # Alone and in a vector: the loop of whole vectors and the rest.
    for repeat in (1, 16):
        long, out = np.repeat(a, repeat), np.empty(a.size * repeat, dtype)
        exponentials.exp(long, out)
        assert_array_equal(out, np.repeat(np.array(expected, dtype), repeat))
    assert exponentials.exp_scalar(dtype(np.log(np.finfo(dtype).tiny) - 3)) > 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_exp_scalar_keeps_its_flags_in_loops_of_others(dtype):
    @njit(**products.FAST)
    def residuals(scores, labels, out):
        exponentials.wide()
        one = out.dtype.type(1)
        for i in range(out.size):
            out[i] = labels[i] / (one + exponentials.exp_scalar(scores[i]))

    scores, labels, out = (normal(1003, dtype, seed) for seed in range(3))
    residuals(scores, labels, out)
    exact = labels * special.expit(-scores.astype(np.float64))
    assert_allclose(out, exact, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", [exponentials.exp, exponentials.sigmoid])
def test_elementwise_in_place(kernel, dtype):
    a = normal(101, dtype)
    out = np.empty_like(a)
    kernel(a, out)
    kernel(a, a)
    assert_array_equal(a, out)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sigmoid(dtype):
    a = np.linspace(-80, 80, 10_001).astype(dtype)
    out = np.empty_like(a)
    exponentials.sigmoid(a, out)
    assert_allclose(
        out, special.expit(a.astype(np.float64)), rtol=4 * np.finfo(dtype).eps
    )
    a = np.array([np.nan, np.inf, -np.inf, 1e4, -1e4, 0], dtype)
    exponentials.sigmoid(a, a)
    assert_array_equal(a, np.array([np.nan, 1, 0, 1, 0, 0.5], dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (2, 64), (7, 64), (10, 90)])
def test_softmax_and_log_sum_exp(shape, dtype):
    s = 5 * normal(shape, dtype)
    s[:, 0] += 1000
    s[0, -1] -= 1000
    wide = s.astype(np.float64)
    tolerance = 16 * np.finfo(dtype).eps  # s minus its maximum is rounded
    logarithm = np.empty(shape[1], dtype)
    exponentials.log_sum_exp(s, logarithm)
    assert_allclose(logarithm, special.logsumexp(wide, axis=0), rtol=tolerance)
    out = np.empty_like(s)
    exponentials.softmax(s, out)
    tiny = np.finfo(dtype).tiny
    assert_allclose(out, special.softmax(wide, axis=0), rtol=tolerance, atol=tiny)
    exponentials.softmax(s, s)
    assert_array_equal(s, out)


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax_and_log_sum_exp_of_infinities(dtype):
    infinity = np.inf
    columns = [[0, -infinity], [-infinity, -infinity], [0, infinity], [0, np.nan]]
    s = np.array(columns, dtype).T.copy()
    logarithm, out = np.empty(4, dtype), np.empty_like(s)
    exponentials.log_sum_exp(s, logarithm)
    assert_array_equal(logarithm, np.array([0, -infinity, infinity, np.nan], dtype))
    exponentials.softmax(s, out)
    assert_array_equal(out[:, 0], [1, 0])
    assert np.isnan(out[1, 1:]).all()
