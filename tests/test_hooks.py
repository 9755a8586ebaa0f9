"""Samples used twice, trajectories differentiated, matrices, normal numbers: both runtimes.

On a quadratic, against dense linear algebra on its samples; what the oracles of every
problem return is looked at by the checks of the problems (`verification.probe`).
"""

from functools import cache
from types import ModuleType

import numpy as np
import pytest
import torch
from conftest import load_solver
from numba import njit
from numba.core.errors import TypingError
from scipy.stats import kstest

from benchmark_bilevel.methods import (
    as_variable,
    assign,
    clip_spectrum,
    copy,
    descend,
    draw_blocks,
    draw_hia,
    draw_hia_hypergradient,
    draw_large_batch,
    flip,
    hia,
    hia_hypergradient,
    mean_cross_matrix,
    mean_grad_x,
    mean_grads,
    mean_hessian,
    mean_value,
    project_ball,
    project_spectral_ball,
    reverse_sweep,
    sgd_along,
    solve_spd,
    stored_sgd,
    trajectory,
    zero_matrix,
    zeros_like,
)
from benchmark_bilevel.methods.schedules import Schedule
from benchmark_bilevel.oracles import COUNTS
from benchmark_bilevel.oracles.closed_form import Outer
from benchmark_bilevel.oracles.samplers import Partition, make_sampler
from benchmark_bilevel.problems.base import Problem
from benchmark_bilevel.problems.quadratic.kernels import QuadraticInner, QuadraticOuter
from benchmark_bilevel.runtimes import make_runtime
from benchmark_bilevel.verification import Failed
from benchmark_bilevel.verification.cases import model_of, small_quadratic
from benchmark_bilevel.verification.problems import kernels

STEP, N_STEPS, N_TERMS, BATCH = 0.3, 4, 5, 20  # the batch divides n = 60 and m = 40
RUNTIMES = {}


class Everything:
    """Writes what the hooks give at (z, x) and at (b, x) into the state."""

    name = "hooks"

    @staticmethod
    def init(inner, outer, z, x):
        b, of_z = copy(z), tuple(zeros_like(z) for _ in range(8))
        of_x = tuple(zeros_like(x) for _ in range(4))
        matrices = zero_matrix(z, z), zero_matrix(x, z)
        return z, x, b, of_z, of_x, matrices, trajectory(z, N_STEPS)

    @staticmethod
    def step(inner, outer, state, steps, t):
        z, x, b, of_z, (h, d, d_other, gx), (H, J), path = state
        v, v_other, z_end, z_again, p, gz, numbers, value = of_z
        samples = draw_hia(inner, N_TERMS)
        assign(v, hia(inner, z, x, b, STEP, samples))
        assign(v_other, hia(inner, b, x, z, STEP, samples))
        samples = draw_hia_hypergradient(inner, outer, N_TERMS)
        assign(d, hia_hypergradient(inner, outer, z, x, STEP, samples))
        assign(d_other, hia_hypergradient(inner, outer, z, x, STEP, samples))

        blocks = draw_blocks(inner, N_STEPS)
        assign(z_end, z)
        stored_sgd(inner, z_end, x, STEP, blocks, path, 0.5)
        assign(z_again, z)
        sgd_along(inner, z_again, x, STEP, blocks, 0.5)
        fz, fx = outer.grad(z_end, x, 0)
        assign(p, fz)
        assign(h, fx)
        reverse_sweep(inner, x, p, h, STEP, blocks, path, 0.5)

        batch = draw_large_batch(inner, 10**6)
        assign(H, mean_hessian(inner, z, x, batch))
        assign(J, mean_cross_matrix(inner, z, x, batch))
        gz_mean, gx_mean = mean_grads(inner, z, x, batch)
        assign(gz, gz_mean)
        assign(gx, mean_grad_x(inner, z, x, batch))
        descend(gx, 1.0, gx_mean)
        value[0] = mean_value(inner, z, x, batch)
        assign(numbers, inner.normal(z))


def run(runtime, seed=3):
    if runtime not in RUNTIMES:
        RUNTIMES[runtime] = make_runtime(
            Everything,
            small_quadratic(),
            Schedule(0.0, 0.0, 0.0, 0.0, 0.0),
            {},
            runtime=runtime,
            batch_size=BATCH,
            outer_batch_size="full",
            sampling="with-replacement",
        )
    made = RUNTIMES[runtime]
    made.start(seed)
    generator = np.random.default_rng(8)
    z, x, b = made.state[:3]
    for y in (b, x):
        y[:] = made._variable(generator.standard_normal(len(y)))
    z[:] = 2.0 * b
    made.advance(1)
    return made


def arrays(made, state=None):
    """The state as NumPy arrays."""
    if isinstance(state, tuple):
        return tuple(arrays(made, part) for part in state)
    return arrays(made, made.state) if state is None else made._to_numpy(state)


def flattened(state):
    if not isinstance(state, tuple):
        return [state]
    return [y for part in state for y in flattened(part)]


def test_runtimes_agree():
    numba, torch_run = run("numba"), run("torch")
    both = flattened(arrays(numba)), flattened(arrays(torch_run))
    for value, right in zip(*both, strict=True):
        np.testing.assert_allclose(value, right, rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(numba.counts, torch_run.counts)


@njit
def compiled_normal(oracle, y):
    return oracle.normal(y)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_normal_numbers_have_the_same_bits_in_both_runtimes(dtype):
    eager = run("torch").inner.normal(torch.zeros(7, dtype=getattr(torch, dtype)))
    compiled = compiled_normal(run("numba").inner, np.zeros(7, dtype))
    assert compiled.dtype == dtype and eager.dtype == getattr(torch, dtype)
    np.testing.assert_array_equal(compiled, eager)
    np.testing.assert_array_equal(*(arrays(run(name))[3][6] for name in RUNTIMES))


@pytest.mark.parametrize("size", [1, 100_001])
def test_normal_numbers_are_standard_normal(size):
    oracle = run("torch", seed=11).inner
    numbers = oracle.normal(torch.zeros(size, dtype=torch.float64)).numpy()
    assert len(numbers) == size and np.isfinite(numbers).all()
    if size > 1:
        assert kstest(numbers, "norm").pvalue > 1e-3
        assert abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 4 / np.sqrt(size)
        run("torch", seed=12)
        other = oracle.normal(torch.zeros(size, dtype=torch.float64)).numpy()
        assert (other != numbers).all()


@pytest.mark.parametrize("runtime", ["numba", "torch"])
def test_hia_is_replayed(runtime):
    """v is linear in b for given p and blocks, H not depending on z: v(2b) = 2 v(b)."""
    lengths = set()
    for seed in range(30):
        _, _, b, (v, v_other, *_), (_, d, d_other, _), *_ = arrays(run(runtime, seed))
        np.testing.assert_allclose(v_other, 2 * v, rtol=1e-13)
        np.testing.assert_array_equal(d, d_other)
        lengths.add(round(np.linalg.norm(v), 6))
    assert round(np.linalg.norm(STEP * N_TERMS * b), 6) in lengths  # p = 0
    assert len(lengths) > N_TERMS  # p and the blocks vary


def test_reverse_sweep_is_the_derivative_through_the_steps():
    """Against the recursion on the blocks' dense matrices, and finite differences."""
    problem = small_quadratic()
    z, x, _, (_, _, z_end, z_again, p, *_), (h, *_), _, path = arrays(run("numba"))
    np.testing.assert_array_equal(z_end, z_again)
    np.testing.assert_array_equal(path[0], z)
    np.testing.assert_array_equal(path[-1], z_end)
    A, B, c = problem.inner_samples
    D, E, r = problem.outer_samples
    # The blocks that were drawn, told by the steps.
    order = []
    for t in range(N_STEPS):
        step = STEP / (1 + 0.5 * t)
        gradients = []
        for i in range(3):
            part = slice(i * BATCH, (i + 1) * BATCH)
            residual = A[part] @ path[t] + B[part] @ x - c[part]
            gradients.append(A[part].T @ residual / BATCH)
        errors = [np.abs(path[t] - step * g - path[t + 1]).max() for g in gradients]
        order.append(int(np.argmin(errors)))
        assert min(errors) < 1e-13

    def end(z, x):
        for t, i in enumerate(order):
            part = slice(i * BATCH, (i + 1) * BATCH)
            residual = A[part] @ z + B[part] @ x - c[part]
            z = z - STEP / (1 + 0.5 * t) * A[part].T @ residual / BATCH
        return 0.5 * np.mean((D @ z + E @ x - r) ** 2)

    def slopes(function, y):  # exact for a quadratic but for rounding
        units = 1e-4 * np.eye(len(y))
        return [(function(y + u) - function(y - u)) / 2e-4 for u in units]

    expected = slopes(lambda y: end(y, x), z)
    np.testing.assert_allclose(p, expected, rtol=1e-9, atol=1e-10)
    expected = slopes(lambda y: end(z, y), x)
    np.testing.assert_allclose(h, expected, rtol=1e-9, atol=1e-10)


def test_means_are_those_of_the_full_losses():
    z, x, _, of_z, (*_, gx), (H, J), _ = arrays(run("numba"))
    now = model_of(small_quadratic()).at(z, x)
    np.testing.assert_allclose(H, now.H, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(J, now.J, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(of_z[5], now.gz, rtol=1e-12)
    np.testing.assert_allclose(of_z[7][0], now.g, rtol=1e-12)
    np.testing.assert_allclose(gx, 0, atol=1e-14)  # mean_grad_x − that of mean_grads


def test_counts():
    """By hand; n = 60, m = 40, z has 5 numbers; p products twice for each HIA."""
    n, m, dim = 60, 40, 5
    made = run("numba")
    counted = dict(zip(COUNTS, made.counts.tolist(), strict=True))
    products = counted.pop("hessian_vector_products") - dim * n - N_STEPS * BATCH
    assert products % (2 * BATCH) == 0 and 0 <= products // (2 * BATCH) <= 2 * (
        N_TERMS - 1
    )
    assert counted == {
        "outer_gradients": 3 * m,
        "inner_gradients": 2 * N_STEPS * BATCH + n,
        "inner_gradients_x": 2 * n,
        "jacobian_vector_products": (2 + N_STEPS) * BATCH + dim * n,
        "loss_values": n,
    }


# --- matrices -------------------------------------------------------------------------


@cache
def compiled(verb):
    return njit(lambda *arguments: verb(*arguments))


def in_both(verb, *matrices):
    """What `verb` returns or makes of the first argument, in both runtimes."""
    results = []
    for convert, own in ((np.array, compiled(verb)), (torch.tensor, verb)):
        arguments = [convert(m) if isinstance(m, np.ndarray) else m for m in matrices]
        result = own(*arguments)
        results.append(np.asarray(arguments[0] if result is None else result))
    return results


def random_symmetric(generator, values):
    Q, _ = np.linalg.qr(generator.standard_normal((len(values), len(values))))
    return (Q * values) @ Q.T, Q


def test_solve_spd(generator):
    H, _ = random_symmetric(generator, np.logspace(-3, 1, 9))
    b = generator.standard_normal(9)
    for found in in_both(solve_spd, H, b):
        np.testing.assert_allclose(found, np.linalg.solve(H, b), rtol=1e-11)
    indefinite, _ = random_symmetric(generator, np.array([-1.0, 2, 3]))
    for matrix in (indefinite, np.full((3, 3), np.nan)):
        for found in in_both(solve_spd, matrix, np.ones(3)):
            assert np.isnan(found).all()


def test_clip_spectrum(generator):
    values = np.array([-2.0, 0.0, 0.1, 0.5, 3.0])
    H, Q = random_symmetric(generator, values)
    for floor in (0.3, -5.0):
        expected = (Q * np.maximum(values, floor)) @ Q.T
        for found in in_both(clip_spectrum, H, floor):
            np.testing.assert_allclose(found, expected, atol=1e-14)
    for found in in_both(clip_spectrum, np.full((3, 3), np.nan), 0.1):
        assert np.isnan(found).all()


def test_balls_of_matrices(generator):
    J = generator.standard_normal((4, 6))
    U, s, V = np.linalg.svd(J, full_matrices=False)
    for radius in (1.0, 100.0):
        for found in in_both(project_spectral_ball, J, radius):
            np.testing.assert_allclose(
                found, (U * np.minimum(s, radius)) @ V, atol=1e-14
            )
        size = min(1, radius / np.linalg.norm(J))
        for found in in_both(project_ball, J, radius):
            np.testing.assert_allclose(found, J * size, rtol=1e-14)
    for found in in_both(project_spectral_ball, J * np.nan, 1.0):
        assert np.isnan(found).all()


# --- estimators -----------------------------------------------------------------------

KINDS = pytest.mark.parametrize("kind", ["compiled", "torch"])


def verb(function, kind):
    return njit(function) if kind == "compiled" else function


def variable(array, kind):
    return torch.tensor(array) if kind == "torch" else np.array(array)


def test_flip():
    oracle = run("torch").inner
    heads = [flip(oracle, 0.3) for _ in range(4000)]
    assert abs(np.mean(heads) - 0.3) < 4 * np.sqrt(0.21 / 4000)
    assert not any(flip(oracle, 0.0) for _ in range(100))
    assert all(flip(oracle, 1.0) for _ in range(100))


@KINDS
def test_a_matrix_is_moved_like_a_variable(kind, generator):
    H, d = generator.standard_normal((2, 3, 2))

    def moved(H, d):
        result = as_variable(d, H)
        descend(result, 0.5, H)
        assign(H, d)
        return result

    found = verb(moved, kind)(variable(H, kind), variable(d, kind))
    np.testing.assert_allclose(np.asarray(found), d - 0.5 * H, rtol=1e-14)


# --- what does not fit is refused by a line -------------------------------------------


class LargeBox(Problem):
    name, dim_z, project = "large", 501, abs


@pytest.mark.parametrize(
    ("needs", "reason"),
    [
        (
            {"needs_matrices": True},
            "∇²zz g as a matrix, up to dim z = 500; here it is 501",
        ),
        ({"scales_steps": True}, "large has no projection for steps that differ"),
        ({}, None),
    ],
)
def test_problems_are_skipped(needs, reason):
    solver = type("Solver", (load_solver("soba"),), needs).get_instance()
    skipped, line = solver.skip(LargeBox({}))
    assert skipped == (reason is not None)
    assert line is None or (reason in line and "\n" not in line)
    assert solver.skip(small_quadratic()) == (False, None)


class Projecting(QuadraticOuter):
    def descend(self, x, a, d, e=None):
        descend(x, a, d, e)
        for k in range(x.size):
            x[k] = max(x[k], 0.0)


class Forgetful(QuadraticOuter):
    grad_x = Outer.grad_x


class Incomplete(QuadraticOuter):
    fields = {"radius": "not in arrays"}


def make_outer(oracle):
    problem = small_quadratic()
    partition = Partition(problem.n_outer, 8)
    sampler = make_sampler(partition.n_blocks, "reshuffled", 0, 0)
    counts = np.zeros(len(COUNTS), np.int64)
    return oracle.make(problem, partition, sampler, counts, "float64")


def test_a_projection_has_to_be_written_for_scaled_steps_too():
    outer, x = make_outer(Projecting), np.ones(6)
    njit(lambda o, x: o.descend(x, 2.0, x))(outer, x)
    np.testing.assert_array_equal(x, 0)
    with pytest.raises(TypingError, match="needs its own `scaled_descend`"):
        njit(lambda o, x: o.scaled_descend(x, 2.0, x, x, 0.1))(outer, x)


def test_the_check_finds_that_f_depends_on_x():
    problem = small_quadratic()
    problem.kernels = ModuleType("forgetful")
    problem.kernels.make_inner = QuadraticInner.make
    problem.kernels.make_outer = Forgetful.make
    with pytest.raises(Failed, match=r"∇x f \(alone\) on block 0 is off"):
        kernels(problem)


def test_fields_without_arrays_are_named():
    with pytest.raises(TypeError, match="`fields` and `arrays` differ in radius"):
        make_outer(Incomplete)
