"""A neural inner problem: two losses in PyTorch are all that the suite needs."""

import numpy as np
import pytest
import torch
from conftest import load_solver
from torch.nn import functional

from benchmark_bilevel.oracles import COUNTS
from benchmark_bilevel.oracles.autograd import AutogradInner, to_tensor
from benchmark_bilevel.oracles.samplers import Partition
from benchmark_bilevel.problems.base import Problem

SIZES = (784, 32, 10)
SHAPES = [(32, 784), (32,), (10, 32), (10,)]


class NeuralCleaning(Problem):
    """Weights σ(x_i) of the training samples of a perceptron 784-32-10."""

    name = "neural-cleaning"

    def __init__(self, n_samples=130):
        super().__init__(data={})
        generator = np.random.default_rng(0)
        X = generator.random((2, n_samples, SIZES[0]))
        y = generator.integers(SIZES[-1], size=(2, n_samples))
        self.inner_samples = X[0], y[0], np.arange(n_samples)
        self.outer_samples = X[1], y[1]
        self.dim_x = n_samples
        self.dim_z = sum(int(np.prod(shape)) for shape in SHAPES)

    def outer_loss(self, z, x, a, y):
        parts = z.split([int(np.prod(shape)) for shape in SHAPES])
        W1, b1, W2, b2 = (
            part.view(shape) for part, shape in zip(parts, SHAPES, strict=True)
        )
        hidden = torch.tanh(functional.linear(a, W1, b1))
        scores = functional.linear(hidden, W2, b2)
        return functional.cross_entropy(scores, y, reduction="none")

    def inner_loss(self, z, x, a, y, index):
        return torch.sigmoid(x[index]) * self.outer_loss(z, x, a, y)

    def inner_regulariser(self, z, x):
        return 1e-3 * (z**2).sum()

    def initial_point(self):
        generator = np.random.default_rng(1)
        return 0.05 * generator.standard_normal(self.dim_z), np.zeros(self.dim_x)


@pytest.fixture(scope="module")
def problem():
    return NeuralCleaning()


@pytest.mark.parametrize("name", ["soba", "saba", "amigo", "stocbio"])
def test_solvers_lower_the_losses(problem, name):
    solver = load_solver(name).get_instance(
        step_size=0.1,
        step_exponent=0.0,
        outer_ratio=0.1,
        batch_size=32,
        dtype="float32",
    )
    run = solver.make_runtime(problem)
    run.start(seed=0)
    z0, x0 = (torch.tensor(y) for y in run.variables())
    full = [(to_tensor(a, "float32", "cpu")) for a in problem.inner_samples]

    def inner_loss(z, x):
        return float(problem.inner_loss(z, x, *full).mean())

    run.advance(60)
    z, x = (torch.tensor(y) for y in run.variables())
    assert not run.diverged
    assert inner_loss(z, x0) < 0.99 * inner_loss(z0, x0)
    assert (x != x0).any()


def test_products_equal_finite_differences(problem, generator):
    inner = AutogradInner(
        problem.inner_loss,
        problem.inner_regulariser,
        problem.inner_samples,
        Partition(problem.n_inner, 32),
        None,
        np.zeros(len(COUNTS), np.int64),
        "float64",
        "cpu",
    )
    z, x = (torch.tensor(y) for y in problem.initial_point())
    v = torch.tensor(generator.standard_normal(problem.dim_z))
    u = torch.tensor(generator.standard_normal(problem.dim_x))
    step = 1e-5

    def difference(function):
        return (function(step) - function(-step)) / (2 * step)

    hv = difference(lambda s: inner.grad(z + s * v, x, 1))
    assert (inner.hvp(z, x, v, 1) - hv).abs().max() <= 1e-7
    uJv = difference(lambda s: inner.grad(z, x + s * u, 1) @ v)
    assert abs(inner.cross(z, x, v, 1) @ u - uJv) <= 1e-7 * abs(uJv) + 1e-9
