"""The oracle contract: closed forms against autograd, finite differences, full means."""

import numpy as np
import pytest
from conftest import load_solver
from numba import njit

from benchmark_bilevel.oracles import COUNTS
from benchmark_bilevel.oracles.autograd import AutogradInner, AutogradOuter, to_tensor
from benchmark_bilevel.oracles.samplers import Partition, make_sampler

BATCH_SIZE = 16  # divides no sample size of the small problems


# From Python, the methods of a compiled oracle are reached through compiled functions.
COMPILED = {
    name: njit(function)
    for name, function in {
        "value": lambda oracle, z, x, i: oracle.value(z, x, i),
        "grad_x": lambda oracle, z, x, i: oracle.grad_x(z, x, i),
        "grads": lambda oracle, z, x, i: oracle.grads(z, x, i),
        "grad": lambda oracle, z, x, i: oracle.grad(z, x, i),
        "hvp": lambda oracle, z, x, v, i: oracle.hvp(z, x, v, i),
        "cross": lambda oracle, z, x, v, i: oracle.cross(z, x, v, i),
        "grad_hvp_cross": lambda oracle, z, x, v, i: oracle.grad_hvp_cross(z, x, v, i),
        "hessian": lambda oracle, z, x, i: oracle.hessian(z, x, i),
    }.items()
}


class Side:
    """One loss of a problem through both implementations, called with arrays."""

    def __init__(self, problem, inner, batch_size=BATCH_SIZE, dtype="float64"):
        n_samples = problem.n_inner if inner else problem.n_outer
        self.partition = Partition(n_samples, batch_size)
        sampler = make_sampler(self.partition.n_blocks, "reshuffled", 0, 0)
        self.counts = {
            kind: np.zeros(len(COUNTS), np.int64) for kind in ("closed", "auto")
        }
        make = problem.kernels.make_inner if inner else problem.kernels.make_outer
        self.closed_form = make(
            problem, self.partition, sampler, self.counts["closed"], dtype
        )
        common = (self.partition, sampler, self.counts["auto"], dtype, "cpu")
        if inner:
            loss, samples = problem.inner_loss, problem.inner_samples
            self.autograd = AutogradInner(
                loss, problem.inner_regulariser, samples, *common
            )
        else:
            loss, samples = problem.outer_loss, problem.outer_samples
            self.autograd = AutogradOuter(loss, None, samples, *common, project=None)
        self.dtype = dtype

    def closed(self, name, *arguments):
        return COMPILED[name](self.closed_form, *arguments)

    def auto(self, name, *arguments):
        *arrays, i = arguments
        tensors = (to_tensor(array, self.dtype, "cpu") for array in arrays)
        return _to_numpy(getattr(self.autograd, name)(*tensors, i))


def _to_numpy(result):
    if isinstance(result, tuple):
        return tuple(_to_numpy(part) for part in result)
    return result if result is None or isinstance(result, float) else result.numpy()


def assert_equal(actual, expected, rtol=1e-12):
    if isinstance(expected, tuple):
        assert len(actual) == len(expected)
        for a, e in zip(actual, expected, strict=True):
            assert_equal(a, e, rtol)
    elif expected is None:
        assert actual is None
    else:
        scale = np.abs(expected).max()
        np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol * scale)


@pytest.fixture
def point(problem, generator):
    """Random z, x, v."""
    z, v = generator.standard_normal((2, problem.dim_z))
    return z, generator.standard_normal(problem.dim_x), v


@pytest.mark.parametrize("block", [0, 1, -1])
def test_closed_forms_equal_autograd(problem, point, block):
    z, x, v = point
    inner, outer = Side(problem, inner=True), Side(problem, inner=False)
    i = block % inner.partition.n_blocks
    for name, arguments in {
        "value": (z, x, i),
        "grad": (z, x, i),
        "grad_x": (z, x, i),
        "grads": (z, x, i),
        "hvp": (z, x, v, i),
        "cross": (z, x, v, i),
        "grad_hvp_cross": (z, x, v, i),
    }.items():
        assert_equal(inner.closed(name, *arguments), inner.auto(name, *arguments))
    j = block % outer.partition.n_blocks
    for name in ("value", "grad", "grad_x"):
        assert_equal(outer.closed(name, z, x, j), outer.auto(name, z, x, j))


def test_joint_call_equals_its_parts(problem, point):
    z, x, v = point
    inner = Side(problem, inner=True)
    parts = inner.closed("grad", z, x, 0), inner.closed("hvp", z, x, v, 0)
    joint = inner.closed("grad_hvp_cross", z, x, v, 0)
    assert_equal(joint, (*parts, inner.closed("cross", z, x, v, 0)), rtol=1e-14)
    pair = parts[0], inner.closed("grad_x", z, x, 0)
    assert_equal(inner.closed("grads", z, x, 0), pair, rtol=1e-14)


def test_closed_forms_equal_finite_differences(problem, point):
    z, x, v = point
    inner, outer = Side(problem, inner=True), Side(problem, inner=False)
    step = 1e-5

    def difference(function, y):
        return np.array(
            [
                (function(y + step * unit) - function(y - step * unit)) / (2 * step)
                for unit in np.eye(y.size)
            ]
        )

    def close(actual, expected):
        scale = np.abs(expected).max() + 1
        np.testing.assert_allclose(actual, expected, atol=1e-6 * scale, rtol=1e-6)

    close(
        inner.closed("grad", z, x, 0),
        difference(lambda y: inner.closed("value", y, x, 0), z),
    )
    close(
        inner.closed("grad_x", z, x, 0),
        difference(lambda y: inner.closed("value", z, y, 0), x),
    )
    hessian = difference(lambda y: inner.closed("grad", y, x, 0), z)
    close(inner.closed("hvp", z, x, v, 0), hessian @ v)
    cross = difference(lambda y: inner.closed("grad", z, y, 0), x)  # (dim_x, dim_z)
    close(inner.closed("cross", z, x, v, 0), cross @ v)
    fz, fx = outer.closed("grad", z, x, 0)
    close(fz, difference(lambda y: outer.closed("value", y, x, 0), z))
    expected = difference(lambda y: outer.closed("value", z, y, 0), x)
    close(np.zeros_like(x) if fx is None else fx, expected)


def test_hessian_matrix_equals_its_products(problem, point):
    z, x, _ = point
    inner = Side(problem, inner=True)
    products = [inner.closed("hvp", z, x, unit, 1) for unit in np.eye(z.size)]
    assert_equal(inner.closed("hessian", z, x, 1), np.array(products))


@pytest.mark.parametrize("kind", ["closed", "auto"])
def test_mean_over_blocks_is_the_full_batch(problem, point, kind):
    """Exactly, for a batch size that does not divide the number of samples."""
    z, x, v = point
    for is_inner in (True, False):
        small = Side(problem, is_inner)
        full = Side(problem, is_inner, "full")
        assert small.partition.n_samples % BATCH_SIZE != 0
        names = ["value", "grad"] + ["grad_x", "hvp", "cross"] * is_inner
        for name in names:
            arguments = (z, x, v) if name in ("hvp", "cross") else (z, x)
            estimates = [
                getattr(small, kind)(name, *arguments, i)
                for i in range(small.partition.n_blocks)
            ]
            expected = getattr(full, kind)(name, *arguments, 0)
            if name == "grad" and not is_inner:
                estimates, expected = [e[0] for e in estimates], expected[0]
            assert_equal(np.mean(estimates, axis=0), expected)


def test_counts_are_per_sample_without_padding(problem, point):
    z, x, v = point
    inner, outer = Side(problem, inner=True), Side(problem, inner=False)
    last = inner.partition.n_blocks - 1
    size = inner.partition.n_samples - last * BATCH_SIZE
    assert 0 < size < BATCH_SIZE
    for kind in ("closed", "auto"):
        call = getattr(inner, kind)
        call("value", z, x, 0)
        call("grad", z, x, 0)
        call("grad", z, x, last)
        call("hvp", z, x, v, last)
        call("cross", z, x, v, 0)
        call("grad_hvp_cross", z, x, v, 0)
        call("grad_x", z, x, last)
        call("grads", z, x, 0)
        getattr(outer, kind)("grad", z, x, 0)
        getattr(outer, kind)("grad_x", z, x, 1)
        getattr(outer, kind)("value", z, x, 1)
        full = BATCH_SIZE
        expected = [0, 3 * full + size, full + size, full + size, 2 * full, full]
        np.testing.assert_array_equal(inner.counts[kind], expected)
        expected = [2 * full, 0, 0, 0, 0, full]
        np.testing.assert_array_equal(outer.counts[kind], expected)


def test_float32_stays_float32(problem, point):
    z, x, v = (array.astype("float32") for array in point)
    exact = Side(problem, inner=True).closed("grad_hvp_cross", *point, 0)
    single = Side(problem, inner=True, dtype="float32")
    for side in (single.closed, single.auto):
        for part, expected in zip(
            side("grad_hvp_cross", z, x, v, 0), exact, strict=True
        ):
            assert part.dtype == np.float32
            assert_equal(part, expected, rtol=2e-5)


@pytest.mark.parametrize("runtime", ["numba", "torch"])
def test_saga_mean_at_a_frozen_point_is_the_full_batch(problem, runtime):
    """After one pass at a frozen point, from zeros, SABA's averages are exact."""
    solver = load_solver("saba").get_instance(
        runtime=runtime, full_memory=False, batch_size=16, outer_batch_size=16
    )
    solver.step_size = 0.0  # which the validation of parameters refuses
    run = solver.make_runtime(problem)
    run.start(seed=5)
    run.state[2][:] = 1.0  # v starts at zero, where H v and J v would be too
    # One epoch of each: the inner and the outer samples have different numbers.
    run.advance(max(partition.n_blocks for partition in run.partitions))
    z, x, v, inner_memory, outer_memory = run.state
    arrays = [np.asarray(y) for y in (z, x, v)]
    inner, outer = Side(problem, True, "full"), Side(problem, False, "full")
    expected = (
        *inner.closed("grad_hvp_cross", *arrays, 0),
        *outer.closed("grad", *arrays[:2], 0),
    )
    for memory, value in zip((*inner_memory, *outer_memory), expected, strict=True):
        if value is not None:
            table, average = (np.asarray(array) for array in memory)
            scale = np.abs(value).max()
            np.testing.assert_allclose(average, value, rtol=1e-12, atol=1e-12 * scale)
            np.testing.assert_allclose(
                table.mean(axis=0), value, rtol=1e-12, atol=1e-12 * scale
            )
