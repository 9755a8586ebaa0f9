"""The checks that every problem has to pass."""

import numpy as np

from benchmark_bilevel.exact import Exact
from benchmark_bilevel.oracles import COUNTS
from benchmark_bilevel.oracles.autograd import AutogradInner, AutogradOuter, to_tensor
from benchmark_bilevel.samplers import Partition, make_sampler
from benchmark_bilevel.verification import Failed, NotDeclared
from benchmark_bilevel.verification.model import Model

BATCH = 8  # and a shorter last block, wherever 8 does not divide the samples


def losses(problem):
    """The losses are one number a sample, and the initial point is feasible."""
    z, x = problem.initial_point()
    for name, y, dim in (("z", z, problem.dim_z), ("x", x, problem.dim_x)):
        if y.shape != (dim,) or y.dtype != np.float64 or not np.isfinite(y).all():
            raise Failed(f"initial_point: {name} is not a finite float64 vector of {dim}")
    z, x = (to_tensor(y, "float64", "cpu") for y in (z, x))
    for name in ("inner", "outer"):
        samples = getattr(problem, f"{name}_samples")
        batch = [to_tensor(array[:3], "float64", "cpu") for array in samples]
        value = getattr(problem, f"{name}_loss")(z, x, *batch)
        if tuple(value.shape) != (3,):
            raise Failed(
                f"{name}_loss has shape {tuple(value.shape)} on 3 samples, not (3,)"
            )
    if problem.project is not None:
        projected = problem.project(x)
        if not np.allclose(projected, x):
            raise Failed("initial_point: x is not feasible, project moves it")
        moved = problem.project(x + 1.0)
        if not np.allclose(problem.project(moved), moved):
            raise Failed("project moves a point that is projected already")


def inner_problem(problem):
    """The inner Hessian is positive definite around the initial point."""
    smallest = np.inf
    for z, x, _ in _points(problem):
        smallest = min(smallest, np.linalg.eigvalsh(Model(problem).at(z, x).H)[0])
    if not smallest > 0:
        raise Failed(f"∇²zz g has the eigenvalue {smallest:.1e}: z*(x) is not unique")
    return f"smallest eigenvalue {smallest:.1e}"


def hypergradient(problem):
    """The exact hypergradient is the slope of h, by finite differences."""
    exact = Exact(problem)
    _, x = problem.initial_point()
    generator = np.random.default_rng(0)
    direction = generator.standard_normal(x.size)
    direction /= np.linalg.norm(direction)
    found = exact.evaluate(x).hypergradient
    size = 1e-4
    slope = (
        exact.evaluate(x + size * direction).value
        - exact.evaluate(x - size * direction).value
    ) / (2 * size)
    if np.linalg.norm(found) < 1e-12:
        raise Failed("∇h is zero at the initial point: h does not depend on x there")
    error = abs(found @ direction - slope) / max(np.linalg.norm(found), abs(slope))
    if not error <= 1e-4:
        raise Failed(f"∇h · d = {found @ direction:.6g}, finite difference {slope:.6g}")
    return f"to {error:.0e}"


def batches(problem):
    """The mean over all mini-batches is the full loss, a short last batch included."""
    inner, outer, _ = _autograd(problem)
    z, x, v = next(_points(problem))
    now = Model(problem).at(z, x)
    arguments = [to_tensor(y, "float64", "cpu") for y in (z, x, v)]
    blocks = [inner.grad_hvp_cross(*arguments, i) for i in range(inner.n_blocks)]
    expected = (now.gz, now.H @ v, now.J @ v)
    names = ("∇z g", "H v", "J v")
    for name, right, *values in zip(names, expected, *blocks, strict=True):
        _compare(f"the mean of {name} over all batches", np.mean(values, 0), right)
    grads = [outer.grad(*arguments[:2], j) for j in range(outer.n_blocks)]
    for name, right, *values in zip(("∇z f", "∇x f"), (now.fz, now.fx), *grads, strict=True):
        if values[0] is not None:
            _compare(f"the mean of {name} over all batches", np.mean(values, 0), right)


def kernels(problem):
    """The closed forms are the derivatives that autograd gives, and count the same."""
    if problem.kernels is None:
        raise NotDeclared("kernels are optional; without them torch runs the problem")
    from benchmark_bilevel.verification.compiled import call

    for z, x, v in _points(problem):
        inner, outer, counts = _autograd(problem)
        tensors = [to_tensor(y, "float64", "cpu") for y in (z, x, v)]
        for name, oracle, arguments in (
            ("inner.grad", inner, tensors[:2]),
            ("inner.hvp", inner, tensors),
            ("inner.cross", inner, tensors),
            ("inner.grad_hvp_cross", inner, tensors),
            ("outer.grad", outer, tensors[:2]),
        ):
            for i in (0, oracle.n_blocks - 1):
                counts[:] = 0
                right = getattr(oracle, name.split(".")[1])(*arguments, i)
                found, found_counts = call(problem, BATCH, name, z, x, v, i)
                rights = right if isinstance(right, tuple) else (right,)
                for value, expected in zip(found, rights, strict=True):
                    if (value is None) != (expected is None):
                        value = np.zeros_like(x) if value is None else value
                        expected = np.zeros_like(x) if expected is None else expected
                    if expected is not None:
                        _compare(f"{name} on block {i}", value, np.asarray(expected))
                if (found_counts != counts).any():
                    raise Failed(
                        f"{name} on block {i} counts {found_counts}, autograd {counts}"
                    )


def _autograd(problem):
    counts = np.zeros(len(COUNTS), np.int64)
    oracles = []
    for build, n_samples, *losses, extra in (
        (
            AutogradInner,
            problem.n_inner,
            problem.inner_loss,
            problem.inner_regulariser,
            problem.inner_samples,
            {},
        ),
        (
            AutogradOuter,
            problem.n_outer,
            problem.outer_loss,
            None,
            problem.outer_samples,
            {"project": problem.project},
        ),
    ):
        partition = Partition(n_samples, BATCH)
        sampler = make_sampler(partition.n_blocks, "reshuffled", 0, 0)
        oracles.append(
            build(*losses, partition, sampler, counts, "float64", "cpu", **extra)
        )
    return *oracles, counts


def _points(problem, n_points=3):
    """The initial point and points around it, each with a v."""
    generator = np.random.default_rng(1)
    z, x = problem.initial_point()
    for k in range(n_points):
        shift = 0.3 * min(k, 1)
        yield (
            z + shift * generator.standard_normal(z.size),
            x + shift * generator.standard_normal(x.size),
            generator.standard_normal(z.size),
        )


def _compare(what, value, right):
    error = np.linalg.norm(np.asarray(value) - right) / max(np.linalg.norm(right), 1e-9)
    if not error <= 1e-9:
        raise Failed(f"{what} is off by {error:.1e} (relative)")


PROBLEM_CHECKS = (losses, inner_problem, hypergradient, batches, kernels)
