"""Means over batches and the directions made of them, of oracles in plain NumPy."""

from inspect import isclass
from types import SimpleNamespace

import numpy as np
import pytest
from numba.core.registry import cpu_target

from benchmark_bilevel import methods
from benchmark_bilevel.methods import batches
from benchmark_bilevel.methods.single_loop import (
    page_directions,
    soba_directions,
    start_differences,
    system_directions,
)

N_BLOCKS, DIM_Z, DIM_X = 4, 3, 2


class Blocks:
    """Linear functions of z, x and v for each block, and an inner and an outer oracle.

    ∇z g = H z + Jᵀ x and ∇z f = K z, while ∇x f and the values depend on the block
    alone.
    """

    n_blocks = N_BLOCKS

    def __init__(self, generator):
        normal = generator.standard_normal
        self.H, self.K = normal((2, N_BLOCKS, DIM_Z, DIM_Z))
        self.J, self.fx = normal((N_BLOCKS, DIM_X, DIM_Z)), normal((N_BLOCKS, DIM_X))
        self.values = normal(N_BLOCKS)

    @staticmethod
    def draw():
        return 1

    @property
    def inner(self):
        def grad(z, x, i):
            return self.H[i] @ z + self.J[i].T @ x

        def grad_x(z, x, i):
            return self.J[i] @ z

        def hvp(z, x, v, i):
            return self.H[i] @ v

        def cross(z, x, v, i):
            return self.J[i] @ v

        return SimpleNamespace(
            n_blocks=N_BLOCKS,
            draw=self.draw,
            grad=grad,
            grad_x=grad_x,
            grads=lambda z, x, i: (grad(z, x, i), grad_x(z, x, i)),
            hvp=hvp,
            cross=cross,
            grad_hvp_cross=lambda *a: (grad(*a[:2], a[3]), hvp(*a), cross(*a)),
            value=lambda z, x, i: self.values[i],
            hessian=lambda z, x, i: self.H[i].copy(),
            cross_matrix=lambda z, x, i: self.J[i].copy(),
        )

    @property
    def outer(self):
        return SimpleNamespace(
            n_blocks=N_BLOCKS,
            draw=self.draw,
            grad=lambda z, x, i: (self.K[i] @ z, self.fx[i].copy()),
        )


@pytest.fixture
def blocks(generator):
    return Blocks(generator)


@pytest.fixture
def point(generator):
    """z, x, v"""
    return tuple(generator.standard_normal(dim) for dim in (DIM_Z, DIM_X, DIM_Z))


def parts(oracles, z, x, v, batch, outer_batch):
    """∇z g, H v, J v, ∇z f and ∇x f, of the mean matrices."""
    H, J = oracles.H[batch].mean(0), oracles.J[batch].mean(0)
    fz, fx = oracles.K[outer_batch].mean(0) @ z, oracles.fx[outer_batch].mean(0)
    return H @ z + J.T @ x, H @ v, J @ v, fz, fx


def close(found, expected):
    for part, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(part, right, rtol=1e-12)


@pytest.mark.parametrize("batch", [[2], [0, 3], [2, 0, 2, 1]])
def test_means(blocks, point, batch):
    (z, x, v), inner, batch = point, blocks.inner, np.array(batch)
    gz, hv, jv, *f = parts(blocks, z, x, v, batch, batch)
    gx = blocks.J[batch].mean(0) @ z
    for name, arguments, expected in [
        ("grad", (z, x), [gz]),
        ("grad_x", (z, x), [gx]),
        ("grads", (z, x), [gz, gx]),
        ("hvp", (z, x, v), [hv]),
        ("cross", (z, x, v), [jv]),
        ("grad_hvp_cross", (z, x, v), [gz, hv, jv]),
        ("value", (z, x), [blocks.values[batch].mean()]),
        ("hessian", (z, x), [blocks.H[batch].mean(0)]),
        ("cross_matrix", (z, x), [blocks.J[batch].mean(0)]),
    ]:
        found = getattr(batches, f"mean_{name}")(inner, *arguments, batch)
        close(found if len(expected) > 1 else [found], expected)
    close(batches.mean_outer_grad(blocks.outer, z, x, batch), f)


def directions(oracles, z, x, v, batch, outer_batch):
    """Those of SOBA."""
    gz, hv, jv, fz, fx = parts(oracles, z, x, v, batch, outer_batch)
    return gz, hv + fz, jv + fx


def test_directions_of_single_loops(blocks, point):
    batch, outer_batch = np.array([3, 0]), np.array([1, 2, 2])
    expected = directions(blocks, *point, batch, outer_batch)
    sides = blocks.inner, blocks.outer
    close(soba_directions(*sides, *point, batch, outer_batch), expected)
    close(system_directions(*sides, *point, batch, outer_batch), expected[1:])


def test_page_directions(blocks, point):
    """Of all blocks at first; then of one block, the same at both points."""
    z, x, v = point
    first, moved = (z, v, x), (z + 1, v + 1, x + 1)
    zero, estimates, old_point = start_differences(z, x)
    assert not any(y.any() for y in (zero, *estimates, old_point[1]))
    close(old_point[::2], first[::2])

    def right(point, batch):
        z, v, x = point
        return directions(blocks, z, x, v, batch, batch)

    sides = blocks.inner, blocks.outer
    page_directions(*sides, estimates, first, old_point, True)
    expected = right(first, np.arange(N_BLOCKS))
    close((*estimates, *old_point), (*expected, *first))
    page_directions(*sides, estimates, moved, old_point, False)
    change = zip(expected, right(moved, [1]), right(first, [1]), strict=True)
    close(estimates, [d + new - old for d, new, old in change])
    close(old_point, moved)


def is_compiled(function):
    try:
        return cpu_target.typing_context.resolve_value_type(function) is not None
    except ValueError:
        return False


def test_all_but_what_makes_a_state_is_compiled():
    """Each piece by itself: those of other tests need not meet all of them."""
    cpu_target.typing_context.refresh()
    in_python = {
        name
        for name in methods.__all__
        if not isclass(function := getattr(methods, name)) and not is_compiled(function)
    }
    assert in_python == {"empty_memory", "start_differences", "trajectory"}
