"""SAGA, STORM and SPIDER: their formulas, their exactness, their unbiasedness."""

import numpy as np
import pytest
import torch
from numba import njit

from benchmark_bilevel.methods.schedules import Schedule, Steps, decay, steps_at
from benchmark_bilevel.methods.variance_reduction import (
    empty_memory,
    page,
    saga,
    spider,
    storm,
    storm_momentum,
    zero_sarah,
)

KINDS = ("numpy", "compiled", "torch")


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def variable(array, kind):
    return torch.tensor(array) if kind == "torch" else np.array(array)


@njit
def compiled_saga(new, memory, i):
    return saga(new, memory, i)


@njit
def compiled_storm(d, momentum, new, old):
    storm(d, momentum, new, old)


@njit
def compiled_spider(d, new, old):
    spider(d, new, old)


@njit
def compiled_page(d, afresh, new, old):
    page(d, afresh, new, old)


@njit
def compiled_zero_sarah(d, weight, new, old, memory, i):
    zero_sarah(d, weight, new, old, memory, i)


@njit
def compiled_storm_momentum(t, constant, exponent):
    return storm_momentum(t, constant, exponent)


COMPILED = {
    saga: compiled_saga,
    storm: compiled_storm,
    spider: compiled_spider,
    page: compiled_page,
    zero_sarah: compiled_zero_sarah,
    storm_momentum: compiled_storm_momentum,
}


def verb(function, kind):
    return COMPILED[function] if kind == "compiled" else function


@pytest.fixture
def values(generator):
    """Values of five blocks at a point, shape (5, 3)."""
    return generator.standard_normal((5, 3))


def test_saga_average_is_the_mean_of_the_table(kind, generator, values):
    memory = empty_memory(variable(np.zeros(3), kind), 5)
    for i in generator.integers(0, 5, 40):
        verb(saga, kind)(variable(generator.standard_normal(3), kind), memory, int(i))
    table, average = (np.asarray(part) for part in memory)
    np.testing.assert_allclose(average, table.mean(0), rtol=1e-12)


def test_saga_is_exact_at_a_frozen_point(kind, generator, values):
    memory = empty_memory(variable(np.zeros(3), kind), 5)
    for i in [*range(5), *generator.integers(0, 5, 10)]:
        direction = verb(saga, kind)(variable(values[i], kind), memory, int(i))
    np.testing.assert_allclose(np.asarray(direction), values.mean(0), rtol=1e-12)


def test_saga_is_unbiased(kind, generator, values):
    """The mean over blocks of the estimate is the mean of the new values."""
    table = generator.standard_normal((5, 3))
    directions = []
    for i in range(5):
        memory = variable(table, kind), variable(table.mean(0), kind)
        directions.append(
            np.asarray(verb(saga, kind)(variable(values[i], kind), memory, i))
        )
    np.testing.assert_allclose(np.mean(directions, 0), values.mean(0), rtol=1e-12)


def test_saga_without_dependence(kind):
    assert verb(saga, kind)(None, None, 0) is None


def test_storm_formula(kind, values):
    d = variable(values[0], kind)
    verb(storm, kind)(d, 0.3, variable(values[1], kind), variable(values[2], kind))
    expected = values[1] + 0.7 * (values[0] - values[2])
    np.testing.assert_allclose(np.asarray(d), expected, rtol=1e-14)


@pytest.mark.parametrize("momentum", [0.0, 0.4, 1.0])
def test_recursions_stay_exact(kind, generator, momentum):
    """With full batches d is the value at the newest point, for ever."""
    old = generator.standard_normal(3)
    d = variable(old, kind)
    for _ in range(200):
        new = generator.standard_normal(3)
        arguments = (variable(new, kind), variable(old, kind))
        if momentum:
            verb(storm, kind)(d, momentum, *arguments)
        else:
            verb(spider, kind)(d, *arguments)
        old = new
    np.testing.assert_allclose(np.asarray(d), old, atol=1e-13)


def test_spider_is_storm_without_momentum(kind, values):
    ends = []
    for function, arguments in ((storm, (0.0,)), (spider, ())):
        d = variable(values[0], kind)
        both = (variable(values[1], kind), variable(values[2], kind))
        verb(function, kind)(d, *arguments, *both)
        ends.append(np.asarray(d))
    np.testing.assert_array_equal(*ends)


@pytest.mark.parametrize("afresh", [True, False])
def test_page(kind, values, afresh):
    d = variable(values[0], kind)
    verb(page, kind)(d, afresh, variable(values[1], kind), variable(values[2], kind))
    expected = values[1] if afresh else values[0] + values[1] - values[2]
    np.testing.assert_allclose(np.asarray(d), expected, rtol=1e-14)


def test_zero_sarah(kind, generator, values):
    """Its formula; from any start and table it ends, z at rest, at the full value."""
    estimate, i, weight = verb(zero_sarah, kind), 2, 0.3
    table, (d, new, old) = generator.standard_normal((5, 3)), values[:3]
    expected = new - old + (1 - weight) * d
    expected += weight * (old - table[i] + table.mean(0))
    d, memory = (
        variable(d, kind),
        (variable(table, kind), variable(table.mean(0), kind)),
    )
    estimate(d, weight, variable(new, kind), variable(old, kind), memory, i)
    np.testing.assert_allclose(np.asarray(d), expected, rtol=1e-13)
    table[i] = new
    np.testing.assert_allclose(np.asarray(memory[0]), table, rtol=1e-14)
    np.testing.assert_allclose(np.asarray(memory[1]), table.mean(0), rtol=1e-13)
    for t in range(500):
        i = t % 5
        same = variable(values[i], kind), variable(values[i], kind)
        estimate(d, weight, *same, memory, i)
    np.testing.assert_allclose(np.asarray(d), values.mean(0), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_empty_memory(dtype):
    for kind in ("numpy", "torch"):
        y = variable(np.ones(3, dtype), kind)
        for part, shape in zip(empty_memory(y, 5), [(5, 3), (3,)], strict=True):
            assert part.dtype == y.dtype and part.shape == shape and not part.any()


def test_storm_momentum(kind):
    """min(1, c η_{t−1}²) with η_t = (t + 1)^(−1/3)."""
    momentum = verb(storm_momentum, kind)
    found = [momentum(t, 0.9, 1 / 3) for t in (1, 2, 8, 27)]
    np.testing.assert_allclose(
        found, [0.9, 0.9 * 2 ** (-2 / 3), 0.225, 0.1], rtol=1e-12
    )
    assert momentum(1, 3.0, 1 / 3) == 1.0
    assert momentum(1000, 0.5, 0.0) == 0.5


@pytest.mark.parametrize("compiled", [False, True])
def test_schedules(compiled):
    """Each step is its constant times (t + 1)^−exponent, the outer one with its own."""

    def from_python(schedule, t):
        return steps_at.py_func(schedule, t)

    of = steps_at if compiled else from_python
    for exponent in (0.0, 0.5, 1 / 3, 1.0):
        for t in (0, 1, 7, 1000):
            assert decay(t, exponent) == pytest.approx((t + 1) ** -exponent, rel=1e-15)
            steps = of(Schedule(2.0, 3.0, 5.0, exponent, 0.25), t)
            common = (t + 1) ** -exponent
            right = Steps(2 * common, 3 * common, 5 * (t + 1) ** -0.25)
            np.testing.assert_allclose(steps, right, rtol=1e-14)
            assert type(steps) is Steps
