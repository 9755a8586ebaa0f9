"""The checks that every problem has to pass."""

from copy import copy
from numbers import Real

import numpy as np

from benchmark_bilevel.data.dataset import content_digest
from benchmark_bilevel.exact.metrics import EXACT_METRICS
from benchmark_bilevel.exact.solve import Exact
from benchmark_bilevel.oracles import COUNTS
from benchmark_bilevel.oracles.autograd import to_tensor
from benchmark_bilevel.oracles.samplers import Partition
from benchmark_bilevel.verification import Failed, NotDeclared, Unusable
from benchmark_bilevel.verification.model import Model
from benchmark_bilevel.verification.probe import MATRICES, NAMES, OF_F, feasible, probe

BATCH = 8  # and a shorter last block, wherever 8 does not divide the samples
# Of the columns that every problem has; a problem's own metrics have other names.
RESERVED = {*EXACT_METRICS, *COUNTS, "inner_loss", "outer_loss", "oracle_calls"}
RESERVED |= {"iterations", "diverged", "row_bytes", "end"}


def losses(problem):
    """The losses are one number a sample, and the initial point is feasible."""
    z, x = start(problem)
    for name in ("inner", "outer"):
        samples = getattr(problem, f"{name}_samples")
        lengths = [np.shape(array)[:1] for array in samples]
        if not isinstance(samples, tuple) or len({*lengths}) != 1 or () in lengths:
            raise Unusable(
                f"{name}_samples is no tuple of arrays with a row or entry a sample"
            )
        batch = [to_tensor(array[:3], "float64", "cpu") for array in samples]
        value = getattr(problem, f"{name}_loss")(z, x, *batch)
        if tuple(value.shape) != (3,):
            raise Failed(
                f"{name}_loss has shape {tuple(value.shape)} on 3 samples, not (3,)"
            )
    if problem.inner_regulariser is not None:
        value = problem.inner_regulariser(z, x)
        if getattr(value, "shape", None) != ():
            found = getattr(value, "shape", type(value).__name__)
            raise Failed(f"inner_regulariser returns {found}, not a tensor of shape ()")


def repeatable(problem):
    """Posed again, as each worker does, it has the same samples and the same start."""
    found, again = _posed(problem), copy(problem)
    again.forget()
    if not found == _posed(problem) == _posed(again):
        raise Failed(
            "posed again its samples or its start are others: seed what is random in them "
            "by split_seed, and leave self.data as they are"
        )


def _posed(problem):
    parts = problem.inner_samples, problem.outer_samples, problem.initial_point()
    return content_digest(parts)


def start(problem):
    """The initial point as tensors, of the right kind and feasible."""
    point = problem.initial_point()
    if not isinstance(point, tuple) or len(point) != 2:
        raise Unusable(f"initial_point returns {type(point).__name__}, not (z, x)")
    for name, y, dim in zip("zx", point, (problem.dim_z, problem.dim_x), strict=True):
        found = f"{getattr(y, 'dtype', type(y).__name__)} {np.shape(y)}"
        if not isinstance(y, np.ndarray) or found != f"float64 ({dim},)":
            raise Unusable(
                f"initial_point: {name} is {found}, not an array float64 ({dim},)"
            )
        if not np.isfinite(y).all():
            raise Unusable(f"initial_point: {name} has NaN or inf")
    z, x = point
    z, x = (to_tensor(y, "float64", "cpu") for y in (z, x))
    if problem.project is not None:
        projected = problem.project(x.clone())
        if getattr(projected, "shape", None) != x.shape:
            raise Unusable(
                f"project returns {type(projected).__name__}, not a tensor like x"
            )
        if not np.allclose(projected, x):
            raise Failed("initial_point: x is not feasible, project moves it")
        moved = problem.project(x + 1.0)
        if not np.allclose(problem.project(moved), moved):
            raise Failed("project moves a point that is projected already")
        scaled = problem.project_scaled
        if scaled and not np.allclose(scaled(x + 1.0, x.new_ones(x.shape)), moved):
            raise Failed("project_scaled with weights 1 is another point than project")
        _nearest(problem, x)
    return z, x


def _nearest(problem, x):
    """Projections p of y are the nearest points: Σ w (y − p)(q − p) ≤ 0 for feasible q."""
    generator = np.random.default_rng(0)

    def near(size):
        return x + x.new_tensor(size * generator.standard_normal(len(x)))

    feasible = [x, *(problem.project(near(size)) for size in (0.1, 0.3, 1.0, 3.0))]
    ones = x.new_ones(x.shape)
    weights = x.new_tensor(generator.uniform(0.2, 1.0, len(x)))
    methods = [("project", lambda y, w: problem.project(y), ones)]
    if problem.project_scaled:
        methods.append(("project_scaled", problem.project_scaled, weights))
    for size in (0.3, 3.0):
        y = near(size)
        for name, method, w in methods:
            p = method(y.clone(), w)
            on_the_way = (problem.project(x + t * (y - x)) for t in (0.1, 0.3, 0.6))
            for q in (*feasible, *on_the_way):
                angle = float((w * (y - p) * (q - p)).sum())
                if angle > 1e-5 * float((y - p).norm() * (q - p).norm()) + 1e-12:
                    raise Failed(
                        f"{name} does not return the nearest feasible point, in the norm "
                        "√(Σ w (·)²), w = 1 for project: from it another one is on the way"
                    )


def inner_problem(problem):
    """The inner Hessian is positive definite around the initial point."""
    _needs_h(problem)
    smallest = np.inf
    for z, x, _ in _points(problem):
        eigenvalues = np.linalg.eigvalsh(Model(problem).at(z, x).H)
        smallest = np.minimum(smallest, eigenvalues[0])  # NaN stays
    if not smallest > 0:
        raise Failed(f"∇²zz g has the eigenvalue {smallest:.1e}: z*(x) is not unique")
    return f"smallest eigenvalue {smallest:.1e}"


def hypergradient(problem):
    """The exact hypergradient is the slope of h, by finite differences."""
    _needs_h(problem)
    exact = Exact(problem)
    _, x = problem.initial_point()
    solution = exact.evaluate(x).z
    residual = np.linalg.norm(Model(problem).inner_gradient(solution, x))
    if not residual <= 1e-9:
        raise Failed(f"the inner problem is solved to ‖∇z g‖ = {residual:.1e} only")
    return compare_slope(exact, x)


def compare_slope(exact, x):
    """Hold ∇h at `x`, along a random direction, against finite differences of h."""
    direction = np.random.default_rng(0).standard_normal(x.size)
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
    for name, error in mean_errors(problem):
        _check(f"the mean of {name} over all batches", error)


def mean_errors(problem):
    """Pairs of a name and the error of its mean over all blocks, at some points.

    Under torch, against `Model`: derivatives of the full losses by autograd, as matrices.
    """
    points = list(_points(problem))
    found, _ = probe(problem, "torch", points, BATCH)
    sizes = _sizes(found)
    for (z, x, v), blocks in zip(points, found, strict=True):
        for name, expected in _full_values(problem, z, x, v).items():
            n_samples = problem.n_outer if name in OF_F else problem.n_inner
            n_blocks = Partition(n_samples, BATCH).n_blocks
            mean = np.mean([block[name] for block in blocks[:n_blocks]], 0)
            yield name, _error(mean, expected, sizes[name])


def _full_values(problem, z, x, v):
    """What the full losses give for `NAMES`, but for steps."""
    now = Model(problem).at(z, x)
    one = np.eye(z.size)[0]  # a value is the first entry of an array like z
    right = {"∇z g": now.gz, "H v": now.H @ v, "J v": now.J @ v, "∇x g": now.gx}
    right |= {f"{name} (joint)": right[name] for name in ("∇z g", "H v", "J v")}
    right |= {f"{name} (pair)": right[name] for name in ("∇z g", "∇x g")}
    right |= {"g": now.g * one, "∇z f": now.fz, "∇x f": now.fx, "f": now.f * one}
    right["∇x f (alone)"] = now.fx
    if z.size <= MATRICES:
        right |= {"the matrix H": now.H, "the matrix J": now.J}
    return right


def kernels(problem):
    """The closed forms are the derivatives that autograd gives, and count the same."""
    if problem.kernels is None:
        raise NotDeclared("kernels are optional; without them torch runs the problem")
    for name, i, error in block_errors(problem):
        _check(f"{name} on block {i}", error)


def block_errors(problem):
    """Triples of a name, a block and the error of the kernels there, against autograd."""
    points = list(_points(problem))
    found, found_counts = probe(problem, "numba", points, BATCH)
    right, counts = probe(problem, "torch", points, BATCH)
    sizes = _sizes(right)
    for at_point, at_point_right in zip(found, right, strict=True):
        for i, blocks in enumerate(zip(at_point, at_point_right, strict=True)):
            value, expected = blocks
            for name in NAMES:
                yield name, i, _error(value[name], expected[name], sizes[name])
    if (found_counts != counts).any():
        raise Failed(f"the kernels count {found_counts} calls, autograd {counts}")


def _needs_h(problem):
    if problem.h_unknown is not None:
        raise NotDeclared(f"h is not computed: {problem.h_unknown}")


def _points(problem, n_points=3):
    """The initial point and feasible points around it, each with a v."""
    generator = np.random.default_rng(1)
    z, x = problem.initial_point()
    for k in range(n_points):
        shift = 0.3 * min(k, 1)
        yield (
            z + shift * generator.standard_normal(z.size),
            feasible(problem, x + shift * generator.standard_normal(x.size)),
            generator.standard_normal(z.size),
        )


def _sizes(found):
    """The largest norm of each of `NAMES` at any point, on any block.

    A sum of terms of this size may be zero up to rounding.
    """
    values = [block for blocks in found for block in blocks]
    return {
        name: max(np.linalg.norm(block[name]) for block in values) for name in values[0]
    }


def _error(value, right, size):
    error = np.linalg.norm(np.asarray(value) - right)
    scale = np.linalg.norm(right) + 1e-3 * size
    return error / scale if scale else error


def _check(what, error):
    if not error <= 1e-9:
        raise Failed(f"{what} is off by {error:.1e} (relative)")


def metrics(problem):
    """The metrics of a point are a dict of numbers, and results a dict of arrays."""
    z, x = problem.initial_point()
    for name, point in (
        ("accuracies", (z, x)),
        ("outer_metrics", (x,)),
        ("final_metrics", (x,)),
        ("final_results", (z, x)),
    ):
        found = getattr(problem, name)(*point)
        if not isinstance(found, dict):
            raise Failed(f"{name} returns {type(found).__name__}, not a dict")
        if name == "final_results":
            continue
        for key, value in found.items():
            if not isinstance(value, Real):
                raise Failed(f"{name}: {key} is {type(value).__name__}, not a number")
            if key in RESERVED:
                raise Failed(
                    f"{name}: {key} is the name of a metric of the benchmark's"
                )
            if key.endswith("accuracy") and not (0 <= value <= 1 or np.isnan(value)):
                raise Failed(f"{name}: {key} is {value:g}, not a share of 1")


PROBLEM_CHECKS = (
    *(losses, repeatable, inner_problem, hypergradient, batches, kernels, metrics),
)
