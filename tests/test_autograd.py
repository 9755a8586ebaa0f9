"""The oracles of the torch runtime: steps on x, and losses that do not depend on x."""

import numpy as np
import pytest
import torch

from benchmark_bilevel.oracles import COUNTS
from benchmark_bilevel.oracles.autograd import AutogradInner, AutogradOuter
from benchmark_bilevel.oracles.samplers import Partition

FLOOR = 0.5


def settings(*samples):
    """Of one block."""
    n_samples = len(samples[0]) if samples else 1
    counts = np.zeros(len(COUNTS), np.int64)
    return samples, Partition(n_samples, "full"), None, counts, "float64", "cpu"


def numbers(generator, n, dim=4):
    return torch.from_numpy(generator.standard_normal((n, dim)))


def positive(x):
    return x.clamp(min=0)


def shifted(x, scale):
    """Stands for a projection in the metric of `scale`."""
    return x + 100 * scale


@pytest.mark.parametrize("project", [None, positive])
def test_steps_on_x(generator, project):
    outer = AutogradOuter(None, None, *settings(), project=project)
    for d, e in [(True, True), (True, False), (False, True), (False, False)]:
        x, *directions = numbers(generator, 3)
        d, e = (
            y if given else None for y, given in zip(directions, (d, e), strict=True)
        )
        expected = x - 0.3 * sum(y for y in (d, e) if y is not None)
        outer.descend(x, 0.3, d, e)
        torch.testing.assert_close(x, project(expected) if project else expected)


@pytest.mark.parametrize("project", [None, positive])
def test_scaled_steps_on_x(generator, project):
    """The projection is that of their own metric."""
    x, d, a = numbers(generator, 3)
    a = a**2
    scale = a.sqrt() + FLOOR
    expected = x - 0.3 * d / scale
    outer = AutogradOuter(
        None, None, *settings(), project=project, project_scaled=shifted
    )
    outer.scaled_descend(x, 0.3, d, a, FLOOR)
    torch.testing.assert_close(x, shifted(expected, scale) if project else expected)
    if project is not None:
        outer = AutogradOuter(None, None, *settings(), project=project)
        with pytest.raises(NotImplementedError, match="`project_scaled`"):
            outer.scaled_descend(x, 0.3, d, a, FLOOR)


def test_what_does_not_depend_on_x_has_zeros(generator):
    samples, (z, v) = numbers(generator, 5), numbers(generator, 2)
    x = torch.ones(3, dtype=z.dtype)

    def loss(z, x, rows):
        return (rows @ z) ** 2

    inner = AutogradInner(loss, None, *settings(samples.numpy()))
    gradient, zero = inner.grads(z, x, 0)
    torch.testing.assert_close(gradient, 2 * samples.T @ (samples @ z) / 5)
    for found in (zero, inner.grad_x(z, x, 0), inner.cross(z, x, v, 0)):
        torch.testing.assert_close(found, torch.zeros_like(x))
    matrix = inner.cross_matrix(z, x, 0)
    assert matrix.shape == (3, 4) and not matrix.any()
    outer = AutogradOuter(loss, None, *settings(samples.numpy()), project=None)
    assert outer.grad(z, x, 0)[1] is None and outer.memory(z, x)[1] is None
