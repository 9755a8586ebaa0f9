"""Checks of derivatives that the tests of several problems share."""

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from benchmark_bilevel.exact.solve import Exact
from benchmark_bilevel.verification.probe import STEPS, probe


def check_equal(found, right, left_out=()):
    for name in found.keys() - set(left_out):
        scale = np.abs(right[name]).max(initial=0)
        assert_allclose(found[name], right[name], atol=1e-12 * scale, err_msg=name)


def check_closed_forms(problem, point, batch_size):
    """They equal autograd, counts included."""
    found, found_counts = probe(problem, "numba", [point], batch_size)
    right, counts = probe(problem, "torch", [point], batch_size)
    assert_array_equal(found_counts, counts)
    for blocks in zip(found[0], right[0], strict=True):
        check_equal(*blocks)


def check_means(problem, point, batch_size):
    """The mean over the blocks is the full batch, for a size that divides nothing."""
    assert problem.n_inner % batch_size != 0
    (blocks,), _ = probe(problem, "numba", [point], batch_size)
    ((full,),), _ = probe(problem, "numba", [point], "full")
    check_equal(
        {name: np.mean([b[name] for b in blocks], 0) for name in full}, full, STEPS
    )


def check_finite_differences(problem, point, generator):
    """Those of the full losses, along random directions; f does not depend on x."""
    z, x, v = point
    losses = Exact(problem).losses
    dz, dx = generator.standard_normal(z.size), generator.standard_normal(x.size)
    h = 1e-5

    def slope(function):
        return (function(h) - function(-h)) / (2 * h)

    def close(actual, expected):
        assert_allclose(actual, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())

    close(losses.grad(z, x) @ dz, slope(lambda t: losses.inner_value(z + t * dz, x)))
    close(losses.hvp(z, x, v), slope(lambda t: losses.grad(z + t * v, x)))
    close(losses.cross(z, x, v) @ dx, slope(lambda t: losses.grad(z, x + t * dx)) @ v)
    fz, fx = losses.outer_grad(z, x)
    close(fz @ dz, slope(lambda t: losses.outer_value(z + t * dz, x)))
    assert not fx.any()


def check_hypergradient(problem, x, direction, step):
    """Along `direction` it is the slope of h."""
    exact = Exact(problem)
    sides = [exact.evaluate(x + s * direction).value for s in (step, -step)]
    slope = exact.evaluate(x).hypergradient @ direction
    assert_allclose((sides[0] - sides[1]) / (2 * step), slope, rtol=1e-6)
