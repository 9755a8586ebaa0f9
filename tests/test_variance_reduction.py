"""SAGA, STORM and SPIDER: their formulas, their exactness, their unbiasedness."""

import numpy as np
import pytest
import torch
from numba import njit

from benchmark_bilevel.methods.variance_reduction import (
    empty_memory,
    saga,
    spider,
    storm,
    storm_momentum,
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


def verb(function, kind):
    compiled = {saga: compiled_saga, storm: compiled_storm, spider: compiled_spider}
    return compiled[function] if kind == "compiled" else function


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


def test_storm_momentum():
    """min(1, c η_{t−1}²) with η_t = (t + 1)^(−1/3)."""
    found = [storm_momentum(t, 0.9, 1 / 3) for t in (1, 2, 8, 27)]
    np.testing.assert_allclose(
        found, [0.9, 0.9 * 2 ** (-2 / 3), 0.225, 0.1], rtol=1e-12
    )
    assert storm_momentum(1, 3.0, 1 / 3) == 1.0
    assert storm_momentum(1000, 0.5, 0.0) == 0.5
