"""The two runtimes: same text, same seed, same batches, same iterates."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest
from conftest import ROOT, load_solver, make_problem

from benchmark_bilevel.methods.schedules import Schedule, steps_at
from benchmark_bilevel.points import evaluation_points
from benchmark_bilevel.problems.quadratic.problem import Quadratic
from benchmark_bilevel.runtimes import bind_step, loop
from benchmark_bilevel.verification.cases import quadratic_data

SOLVERS = ("soba", "saba", "amigo")


def run(problem, name, n_iterations, seed=0, **parameters):
    solver = load_solver(name).get_instance(**parameters)
    runtime = solver.make_runtime(problem)
    runtime.start(seed)
    runtime.advance(n_iterations)
    return runtime


@pytest.mark.parametrize("name", SOLVERS)
def test_runtimes_give_the_same_iterates(problem, name):
    """Float64, 60 iterations, a batch size that divides nothing."""
    settings = {"step_size": 0.05, "batch_size": 16, "outer_batch_size": 24, "seed": 3}
    compiled = run(problem, name, 60, runtime="numba", **settings)
    eager = run(problem, name, 60, runtime="torch", **settings)
    np.testing.assert_array_equal(compiled.counts, eager.counts)
    for actual, expected in zip(compiled.variables(), eager.variables(), strict=True):
        assert np.abs(actual - expected).max() <= 1e-10
        assert np.isfinite(actual).all()
    start = problem.initial_point()
    assert all(
        np.abs(y - y0).max() > 1e-3
        for y, y0 in zip(compiled.variables(), start, strict=True)
    )


@pytest.mark.parametrize("runtime", ["numba", "torch"])
def test_counts_equal_the_hand_derived(runtime):
    """Full blocks (n = 96, m = 64, b = 16, c = 32), T iterations.

    SOBA: outer gradients c, inner gradients b, HVP b, JVP b an iteration; none of these
    methods needs ∇x g or values.
    SABA: the same and one pass over all samples. AmIGO: c, K b, N b, b.
    """
    problem = make_problem("quadratic")
    problem.data = {
        key: value[: 96 if key in "ABc" else 32] for key, value in problem.data.items()
    }
    b, c, n, m, T = 16, 32, 96, 32, 10
    for name, parameters, expected in [
        ("soba", {}, [T * c, T * b, T * b, T * b]),
        ("saba", {}, [T * c + m, T * b + n, T * b + n, T * b + n]),
        ("saba", {"full_memory": False}, [T * c, T * b, T * b, T * b]),
        ("amigo", {"n_inner": 3, "n_linear": 5}, [T * c, 3 * T * b, 5 * T * b, T * b]),
    ]:
        result = run(
            problem,
            name,
            T,
            step_size=0.01,
            batch_size=b,
            outer_batch_size=c,
            runtime=runtime,
            **parameters,
        )
        f, g, hv, jv = expected
        np.testing.assert_array_equal(result.counts, [f, g, 0, hv, jv, 0], err_msg=name)


@pytest.mark.parametrize("runtime", ["numba", "torch"])
def test_seeds(problem, runtime):
    runs = [
        run(problem, "soba", 50, seed=seed, runtime=runtime, batch_size=16)
        for seed in (1, 1, 2)
    ]
    z = [result.variables()[0] for result in runs]
    np.testing.assert_array_equal(z[0], z[1])
    assert (z[0] != z[2]).any()


def test_start_goes_back_to_the_beginning(problem):
    runtime = run(problem, "saba", 30, seed=1, batch_size=16)
    first = runtime.variables()
    runtime.start(seed=1)
    assert runtime.t == 0 and runtime.oracle_calls == 0
    for actual, expected in zip(
        runtime.variables(), problem.initial_point(), strict=True
    ):
        np.testing.assert_array_equal(actual, expected)
    runtime.advance(17)
    runtime.advance(30)
    for actual, expected in zip(runtime.variables(), first, strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("runtime", ["numba", "torch"])
def test_budget_overshoots_by_one_iteration_at_most(problem, runtime):
    solver = load_solver("soba").get_instance(runtime=runtime, batch_size=16)
    result = solver.make_runtime(problem)
    result.start(seed=0)
    result.advance(1000, max_oracle_calls=500)
    assert 500 <= result.oracle_calls < 500 + 64 + 3 * 16
    assert result.t < 1000


@pytest.mark.parametrize("runtime", ["numba", "torch"])
def test_float32_state(problem, runtime):
    single = run(problem, "saba", 20, dtype="float32", runtime=runtime, batch_size=16)
    double = run(problem, "saba", 20, dtype="float64", runtime=runtime, batch_size=16)
    for actual, expected in zip(single.variables(), double.variables(), strict=True):
        assert actual.dtype == np.float32
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("runtime", ["numba", "torch"])
def test_normalised_steps_stay_short_where_squares_underflow(runtime):
    """Gradients of 1e-26: a step of x is no longer than γ."""
    data = quadratic_data()
    for name in ("c", "r"):
        data[name] = 1e-26 * data[name]
    problem = Quadratic(data)
    result = run(problem, "slip", 3, dtype="float32", runtime=runtime, outer_ratio=1.0)
    assert np.abs(result.variables()[1]).max() <= 3 * 0.1


@pytest.mark.parametrize("runtime", ["numba", "torch"])
def test_huge_steps_diverge(problem, runtime):
    result = run(
        problem, "soba", 400, step_size=1e30, step_exponent=0.0, runtime=runtime
    )
    assert result.diverged


@pytest.mark.parametrize("runtime", ["numba", "torch"])
@pytest.mark.parametrize("dtype, size", [("float32", 1e21), ("float64", 1e160)])
def test_a_norm_that_overflows_is_divergence(problem, runtime, dtype, size):
    """Before entries are infinite: whatever is computed from them is."""
    solver = load_solver("soba").get_instance(runtime=runtime, dtype=dtype)
    result = solver.make_runtime(problem)
    result.start(seed=0)
    assert not result.diverged
    result.state[0][:1] = size
    assert result.diverged


def test_schedule():
    schedule = Schedule(2.0, 3.0, 4.0, 0.5, 0.0)
    assert steps_at(schedule, 3) == (1.0, 1.5, 4.0)
    schedule = Schedule(1.0, 1.0, 1.0, 1 / 3, 2 / 3)
    np.testing.assert_allclose(steps_at(schedule, 7), (0.5, 0.5, 0.25))


def test_compiled_runs_do_without_torch():
    """It takes more than a second to import; matrices are no reason either."""
    program = """
        import sys
        from conftest import load_solver, make_problem
        for name in ("nystrom", "stable"):
            load_solver(name).get_instance().make_runtime(make_problem("quadratic"))
        assert "torch" not in sys.modules
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT / "tests",
        check=True,
    )


def test_evaluation_points():
    points = list(evaluation_points(10**6))
    assert points[0] == 1 and points[-1] == 10**6
    assert (np.diff(points) > 0).all()
    per_decade = np.histogram(np.log10(points), [2.99, 3.99, 4.99, 5.99])[0]
    assert (per_decade == 8).all()
    assert list(evaluation_points(5)) == [1, 2, 3, 4, 5]
    assert list(evaluation_points(1)) == [1]


def test_bound_loop_is_named_after_its_solver():
    step = load_solver("soba").step
    bound = bind_step(step, name="SOBA-loop")
    assert bound.__qualname__ == "SOBA-loop"
    assert bound.__code__.co_filename == str(ROOT / "solvers" / "soba.py")
    assert loop.__globals__.get("step") is None
