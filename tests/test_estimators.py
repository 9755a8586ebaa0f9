"""The estimators of H v = −b, their batches and their counts.

That both runtimes agree on them is among the checks of the solvers which use them.
"""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from benchmark_bilevel.methods import (
    conjugate_gradient,
    copy,
    descend,
    dot,
    draw_batch,
    draw_hia,
    draw_large_batch,
    draw_page,
    draw_series,
    hia,
    linear_sgd,
    mean_cross,
    mean_grad,
    mean_hvp,
    mean_outer_grad,
    neumann,
    scale,
    sgd,
    zeros_like,
)
from benchmark_bilevel.methods.schedules import Schedule
from benchmark_bilevel.oracles import HESSIAN_VECTOR
from benchmark_bilevel.runtimes import make_runtime
from benchmark_bilevel.verification.cases import model_of, small_quadratic

STEP = 0.4


class Everything:
    """Writes each estimate of v, of z and of the means into the state."""

    name = "everything"

    @staticmethod
    def init(inner, outer, z, x):
        variables = [zeros_like(z) for _ in range(7)]
        return z, x, copy(z), tuple(variables), zeros_like(x)

    @staticmethod
    def step(inner, outer, state, steps, t, n_terms):
        z, x, b, (v_neumann, v_hia, v_sgd, v_cg, z_sgd, gz, hv), jv = state
        for v in (v_neumann, v_hia, v_sgd, v_cg, gz, hv, z_sgd):
            scale(v, 0.0)
        descend(
            v_neumann, -1.0, neumann(inner, z, x, b, 0.4, draw_series(inner, n_terms))
        )
        descend(v_hia, -1.0, hia(inner, z, x, b, 0.4, draw_hia(inner, n_terms + 1)))
        linear_sgd(inner, z, x, v_sgd, b, 0.4, n_terms + 1)
        conjugate_gradient(
            inner, z, x, v_cg, b, n_terms, draw_large_batch(inner, 10**6)
        )
        descend(z_sgd, -1.0, z)
        sgd(inner, z_sgd, x, 0.4, n_terms, 0.5)
        batch = draw_batch(inner, 3)
        descend(gz, -1.0, mean_grad(inner, z, x, batch))
        descend(hv, -1.0, mean_hvp(inner, z, x, b, batch))
        descend(jv, -1.0, mean_cross(inner, z, x, b, batch))
        fz, fx = mean_outer_grad(outer, z, x, draw_batch(outer, 2))
        descend(jv, dot(fz, fz), fx)


RUNTIMES = {}


def run(batch_size, n_terms, seed=0):
    key = batch_size, n_terms
    if key not in RUNTIMES:
        RUNTIMES[key] = make_runtime(
            Everything,
            small_quadratic(),
            Schedule(0.0, 0.0, 0.0, 0.0, 0.0),
            {"n_terms": n_terms},
            runtime="torch",
            batch_size=batch_size,
            outer_batch_size=batch_size,
            sampling="with-replacement",
        )
    RUNTIMES[key].start(seed)
    RUNTIMES[key].advance(1)
    return RUNTIMES[key]


@pytest.fixture(scope="module")
def system():
    problem = small_quadratic()
    z, x = problem.initial_point()
    return model_of(problem).at(z, x).H, z


def estimates(runtime):
    return [runtime._to_numpy(v) for v in runtime.state[3]]


def test_limits_are_the_solution(system):
    """With full batches and many terms every solver of H v = −b gives −H⁻¹ b."""
    H, b = system
    v_neumann, _, v_sgd, v_cg, *_ = estimates(run("full", 200))
    for v in (v_neumann, v_sgd, v_cg):
        np.testing.assert_allclose(v, -np.linalg.solve(H, b), rtol=1e-8)


def test_conjugate_gradients_end_after_as_many_steps_as_dimensions(system):
    H, b = system
    v_cg = estimates(run(7, 5))[3]
    np.testing.assert_allclose(v_cg, -np.linalg.solve(H, b), rtol=1e-9)


def test_truncation(system):
    """All terms and the factor: the error is H⁻¹ (I − ηH)^(Q+1) b."""
    H, b = system
    v_neumann, _, v_sgd, *_ = estimates(run("full", 4))
    contraction = np.linalg.matrix_power(np.eye(len(b)) - STEP * H, 5)
    expected = -np.linalg.solve(H, b - contraction @ b)
    np.testing.assert_allclose(v_neumann, expected, rtol=1e-12)
    np.testing.assert_allclose(v_sgd, expected, rtol=1e-12)


class Blocks:
    """Enough of an oracle to draw from."""

    def __init__(self, n_blocks):
        self.n_blocks, self.drawn = n_blocks, 0

    def draw(self):
        self.drawn += 1
        return self.drawn % self.n_blocks


def test_sizes_of_the_series():
    """B_j has ⌈size (1 − ημ)^(j−1)⌉ blocks; all blocks once where there are no more."""
    blocks, ends = draw_series(Blocks(100), 6, 12, 0.25)
    sizes = [int(np.ceil(12 * 0.75**j)) for j in range(6)]
    assert np.diff(ends).tolist() == sizes == [12, 9, 7, 6, 4, 3]
    assert len(blocks) == sum(sizes)
    assert np.diff(draw_series(Blocks(100), 3)[1]).tolist() == [1, 1, 1]
    blocks, ends = draw_series(Blocks(5), 2, 12, 0.5)
    assert np.diff(ends).tolist() == [5, 5]
    assert blocks.tolist() == [*range(5), *range(5)]


def test_batches():
    assert draw_batch(Blocks(100), 4).tolist() == [1, 2, 3, 4]
    assert len(draw_batch(Blocks(1), 4)) == 1  # the mean of equal values, computed once
    assert draw_large_batch(Blocks(5), 7).tolist() == [0, 1, 2, 3, 4]
    assert draw_large_batch(Blocks(100), 7).tolist() == [1, 2, 3, 4, 5, 6, 7]
    for afresh, sizes in ((True, [5, 3]), (False, [1, 1])):
        drawn = draw_page(Blocks(5), Blocks(3), afresh)
        assert [len(blocks) for blocks in drawn] == sizes


def test_counts():
    """A series costs Q products, HIA p of them, CG one more than its steps."""
    n = small_quadratic().n_inner
    counted = {int(run("full", 4, seed).counts[HESSIAN_VECTOR]) for seed in range(40)}
    fixed = n * (4 + 5 + (4 + 1) + 1)
    assert counted == {fixed + n * p for p in range(5)}


# --- conjugate gradients of a solver's text ---------------------------------------------


def conjugate(H, b, dtype, n_steps):
    """v after so many steps from 0, of arrays and of tensors."""

    class Inner:
        n_blocks = 1

        def __init__(self, H):
            self.H = H

        def hvp(self, z, x, v, i):
            return self.H @ v

    for array in (
        lambda y: np.array(y, dtype),
        lambda y: torch.tensor(np.array(y, dtype)),
    ):
        v, batch = array(np.zeros(len(b))), np.zeros(1, np.int64)
        arguments = (Inner(array(H)), None, None, v, array(b), n_steps, batch)
        conjugate_gradient(*arguments)
        yield np.asarray(v.tolist())


@pytest.mark.parametrize("dtype, rtol", [("float32", 1e-4), ("float64", 1e-12)])
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_conjugate_gradients_end_at_rounding(generator, dtype, rtol, size):
    """Hundreds of steps more than are of use do not lead away again."""
    H = generator.standard_normal((6, 6))
    H, b = H @ H.T + np.eye(6), size * generator.standard_normal(6)
    for v in conjugate(H, b, dtype, 1000):
        assert_allclose(v, -np.linalg.solve(H, b), rtol=rtol, atol=rtol * size)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_conjugate_gradients_stop_where_the_matrix_is_singular(generator, dtype):
    """A right side that is not in its range has no solution; v stays bounded."""
    A = generator.standard_normal((6, 3))
    for v in conjugate(A @ A.T, generator.standard_normal(6), dtype, 200):
        assert np.linalg.norm(v) < 1e4
