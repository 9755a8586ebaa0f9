"""The small problems on which solvers are verified, and the solver to verify."""

import inspect
from functools import cache

import numpy as np
from scipy.sparse import csr_matrix

from benchmark_bilevel.data import Inadmissible
from benchmark_bilevel.faults import location
from benchmark_bilevel.methods.facts import Estimate
from benchmark_bilevel.problems import PROBLEMS
from benchmark_bilevel.problems.quadratic.problem import Quadratic, random_quadratic
from benchmark_bilevel.problems.selection.problem import HyperparameterSelection
from benchmark_bilevel.runtimes.gate import option_names
from benchmark_bilevel.verification import Failed
from benchmark_bilevel.verification.model import Model

# Batches that do not divide the numbers of samples, so that the last one is short.
RAGGED = {"batch_size": 8, "outer_batch_size": 7}
FULL = {"batch_size": "full", "outer_batch_size": "full"}
STEPS = {"step_size": 0.1, "outer_ratio": 2.0}
CONSTANT = {"step_exponent": 0.0, "outer_exponent": 0.0}
# Relative error of what has to hold up to rounding and the last digits of a long run.
EXACT = 1e-6


class SmallQuadratic(Quadratic):
    """A well-conditioned quadratic that starts away from 0, where mistakes hide."""

    def initial_point(self):
        generator = np.random.default_rng(14)
        return generator.standard_normal(self.dim_z), generator.standard_normal(
            self.dim_x
        )


class ShiftedQuadratic(SmallQuadratic):
    """The same with a start that can be moved."""

    shift = 0.0

    def initial_point(self):
        z, x = super().initial_point()
        return z + self.shift, x - self.shift


class BoxedQuadratic(SmallQuadratic):
    """The same with x in a box that does not contain the minimum."""

    kernels = None
    radius = 0.05  # the minimum has entries up to 0.097

    def initial_point(self):
        z, x = super().initial_point()
        return z, x.clip(-self.radius, self.radius)

    def project(self, x):
        return x.clamp(-self.radius, self.radius)

    def project_scaled(self, x, weights):
        return self.project(x)


class BentQuadratic(SmallQuadratic):
    """With a term Σ log cosh(z_k + x_k) in g: ∇²zz g and ∇²xz g are not constant."""

    kernels = None

    def inner_loss(self, z, x, a, b, c):
        from torch.nn.functional import softplus  # torch takes seconds to import

        u = z + x[: len(z)]
        return super().inner_loss(z, x, a, b, c) + (softplus(2 * u) - u).sum()


def quadratic_data(n_samples=60, n_outer_samples=40):
    """Data of a quadratic whose inner solution depends on x as much as f itself does.

    The rows of A and B are independent in `random_quadratic`, so that ∇²xz g is small
    there, and so is what a mistake in the implicit term changes.
    """
    data = random_quadratic(
        n_samples, n_outer_samples, 5, 6, condition=3.0, outer_condition=3.0, noise=0.3
    )
    A, B, D = data["A"], data["B"], data["D"]
    mixing = np.random.default_rng(1).standard_normal((5, 6)) / 2
    slope = -np.linalg.solve(A.T @ A, A.T @ B)
    B = 0.3 * B + A @ mixing
    new_slope = -np.linalg.solve(A.T @ A, A.T @ B)
    # ∇²h = (D slope + E)ᵀ(D slope + E) / m stays what it was.
    return {**data, "B": B, "E": data["E"] + D @ (slope - new_slope)}


@cache
def small_quadratic():
    return SmallQuadratic(quadratic_data())


@cache
def bent_quadratic():
    return BentQuadratic(quadratic_data())


def small_classification(n_classes=2):
    """A few random samples of two or three classes, as a data set returns them."""
    generator = np.random.default_rng(3)
    X = generator.standard_normal((90, 4))
    scores = X[:, :n_classes] + generator.standard_normal((90, n_classes))
    return {"X_train": X, "y_train": scores.argmax(1), "X_test": None, "y_test": None}


@cache
def small_sparse():
    """Hyper-parameter selection on a few random sparse samples of three classes."""
    generator = np.random.default_rng(5)
    X, y = generator.standard_normal((90, 7)), np.arange(90) % 3
    X[generator.random(X.shape) < 0.6] = 0
    X[np.arange(90), y] += 1
    train, test = slice(0, 72), slice(72, 90)
    parts = {"train": train, "test": test}
    data = {f"X_{name}": csr_matrix(X[part]) for name, part in parts.items()}
    data |= {f"y_{name}": y[part] for name, part in parts.items()}
    return HyperparameterSelection(HyperparameterSelection.admit(data))


def small_images():
    """A few random images in three classes, as a data set returns them."""
    generator = np.random.default_rng(4)
    X = generator.integers(0, 9, (90, 9))
    X[:3, 0] = 0
    y = np.arange(90) % 3
    return {"X_train": X, "y_train": y, "X_test": None, "y_test": None}


def small_regression():
    """A few random samples with a number each, as a data set returns them."""
    generator = np.random.default_rng(5)
    X = generator.standard_normal((90, 4))
    y = X @ [1.0, -2.0, 0.5, 0.0] + generator.standard_normal(90)
    return {"X_train": X, "y_train": y, "X_test": None, "y_test": None}


def fitting_data(problem):
    """The first small data set on which `problem` can be posed; None if none."""
    example = getattr(problem, "example_data", None)
    candidates = [] if example is None else [example()]
    candidates += [
        quadratic_data(),
        small_classification(2),
        small_classification(3),
        small_images(),
        small_regression(),
    ]
    for data in candidates:
        try:
            return problem.admit(data)
        except Inadmissible:
            continue
    return None


def small_instance(problem):
    """A small instance of the class `problem`; None where no small data set fits."""
    data = fitting_data(problem)
    if data is None:
        return None
    return problem(data, **options_of(problem))


@cache
def small_problems():
    """One small instance of each problem that a small data set fits and has an h.

    Those made of tasks, which runtimes see otherwise, are `small_task_problems`.
    """
    return small_quadratic(), *_instances(made_of_tasks=False)


@cache
def small_task_problems():
    """One small instance of each problem made of tasks."""
    return tuple(_instances(made_of_tasks=True))


def _instances(made_of_tasks):
    for problem in PROBLEMS.values():
        if problem is Quadratic or problem.made_of_tasks != made_of_tasks:
            continue
        instance = small_instance(problem)
        if instance is not None and instance.h_unknown is None:
            yield instance


# Values of the objective's parameters for the problems that use them.
_OPTIONS = {
    "corruption": 0.5,
    "protocol": "default",
    "parametrisation": "default",
    "constraint": "l2-box",  # of which `project` is the nearest point
    "normalisation": "per-task",
}


def options_of(problem):
    """Values of the parameters of the objective that the class `problem` uses."""
    return {name: _OPTIONS[name] for name in problem.options}


def relative(value, right):
    """Relative error of a vector."""
    return np.linalg.norm(value - right) / max(np.linalg.norm(right), 1e-3)


def percent(error):
    """A relative error for a sentence."""
    return f"{error:.1%}" if error >= 1e-3 else f"{error:.0e} (relative)"


@cache
def model_of(problem):
    return Model(problem)


class Subject:
    """A solver class under verification, and its runtimes.

    Parameters
    ----------
    solver : subclass of BilevelSolver
    runtime : {"auto", "torch"}
        What runs the checks that one runtime suffices for.
    """

    def __init__(self, solver, runtime="auto"):
        self.solver, self.preferred = solver, runtime
        self.name = solver.name

    def instance(self, **parameters):
        """The solver with the parameters of its test configuration, or as given."""
        config = self.solver.test_config or {}
        own = {key: config[key] for key in config if key in self.solver.parameters}
        return self.solver.get_instance(**{**own, **parameters})

    def runtime(self, problem, seed=0, **parameters):
        """A runtime on `problem`, at iteration 0 of repetition `seed`."""
        parameters.setdefault("runtime", self.preferred)
        solver = self.instance(**parameters)
        runtime = solver.make_runtime(problem)
        runtime.start(seed)
        return runtime

    @property
    def has_full_batches(self):
        """Whether the batches of the solver are full unless a user says otherwise."""
        solver = self.instance()
        return solver.batch_size == solver.outer_batch_size == "full"

    def declared(self, name, *given, **parameters):
        """What the solver's declaration `name` says; None where there is none."""
        function = getattr(self.solver, name, None)
        if function is None:
            return None
        solver = self.instance(**parameters)
        names = option_names(function, len(given))
        sizes = {"dim_z": small_quadratic().dim_z}  # which matrices' counts depend on
        unknown = [n for n in names if n not in sizes and not hasattr(solver, n)]
        if unknown or len(inspect.signature(function).parameters) < len(given):
            raise Failed(
                f"{location(function)}: {name} gets "
                + ("t, b, c, n, m" if len(given) > 1 else "t")
                + f" and parameters of the solver{', no '.join(['', *unknown])}"
            )
        values = (sizes.get(name) or solver.option(name) for name in names)
        return function(*given, *values)

    def estimate(self, t=0, **parameters):
        """The declared `Estimate` of iteration t, or None."""
        found = self.declared("estimate", t, **parameters)
        if not isinstance(found, Estimate | None):
            raise Failed(
                f"{location(self.solver.estimate)}: estimate returns "
                f"{type(found).__name__}, none of Implicit, Unrolled and Penalised"
            )
        return found
