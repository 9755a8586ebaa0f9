"""Each solver against its method written once more, in NumPy, on the same samples.

What a run of the suite draws is recorded and given to `references`, in the same order:
iterates, oracle calls and the number of draws have to be the same at every iteration.
"""

from collections import deque
from functools import partial
from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest
import references
from conftest import ROOT, load_solver

from benchmark_bilevel.oracles import COUNTS
from benchmark_bilevel.problems.hypercleaning.problem import DataHypercleaning
from benchmark_bilevel.verification.cases import (
    FULL,
    RAGGED,
    BoxedQuadratic,
    quadratic_data,
    small_instance,
    small_quadratic,
)

N_ITERATIONS = 12
# No schedule, ratio or linear step is that of another variable.
SHARED = {
    "step_size": 0.09,
    "outer_ratio": 0.7,
    "linear_step": 0.07,
    "step_exponent": 0.3,
    "outer_exponent": 0.45,
}
# The methods' own parameters, other than the defaults.
OWN = {
    "aid_cg": [{"n_inner": 3, "n_linear": 2}, {"warm_start": False, "n_linear": 4}],
    "aid_fp": [{"n_inner": 3, "n_linear": 2}, {"warm_linear": False}],
    "alset": [{"n_inner": 2, "n_terms": 4}],
    "alset_dagger": [{}],
    "alset_ls": [{"n_inner": 2, "n_linear": 3, "start": 0.5}],
    "amigo": [{"n_inner": 2, "n_linear": 3}],
    "biadam": [{"n_terms": 4, "weight": 0.7, "memory": 0.8, "floor": 0.2}],
    "bome": [{"n_inner": 3, "barrier": 0.7}],
    "bsa": [
        {"n_inner": 2, "n_terms": 3, "terms_growth": 1.3},
        {"growth_exponent": 0.25, "warm_start": True},
    ],
    "bsgm": [{"n_steps": 3, "growth": 0.5, "mean_ratio": 0.6, "decrease": 0.2}],
    "bsgm_ws": [{"n_inner": 3, "n_linear": 2, "n_means": 4}, {"warm_linear": False}],
    "f2ba": [{"n_inner": 3, "penalty": 5.0}],
    "f2sa": [{"n_inner": 3, "penalty": 2.5}, {"common_sample": True}],
    "f2sa_p": [{"order": p, "n_inner": 2, "penalty": 8.0} for p in (1, 2, 3, 5)],
    "f3sa": [{"penalty": 1.7, "weight": 0.6}],
    "fo_itd": [{"n_inner": 3}, {"warm_start": False}],
    "fsla": [{"weight": 0.6}],
    # Batches of fewer samples than z has numbers have a singular H.
    "hoag": [{"tolerance": 0.1, "reduction": 0.8, "max_solver_steps": 20, **FULL}],
    "itd": [{"n_inner": 3}, {"warm_start": False}],
    "ma_soba": [{"weight": 0.3}],
    "mrbo": [{"n_neumann": 3, "inner_momentum": 0.8, "outer_momentum": 0.6}],
    "mseba": [{"weight": 0.3, "probability": 0.25}],
    "nystrom": [{"n_inner": 2, "rank": 3, "ridge": 0.4}],
    "pzobo": [{"n_inner": 3, "n_perturbations": 3, "smoothing": 0.5}],
    "saba": [{}],
    "sffba": [{"weight": 0.3}],
    "slip": [{"n_warmup": 3, "memory": 0.7}],
    "smb": [{"n_terms": 4, "weight": 0.3}],
    "soba": [{}],
    "soba_adam": [{"memory": 0.8, "square_memory": 0.95, "floor": 0.01}],
    "spaba": [{"probability": 0.3, "radius": 0.05}],
    "srba": [{"period": 4}, {"period": 5, "radius": 0.05}],
    "stable": [{"weight": 0.3, "convexity": 0.5, "cross_bound": 0.3}],
    "stocbio": [
        {"n_inner": 2, "n_neumann": 3},
        {"hessian_blocks": 3, "convexity": 2.0},
    ],
    "sustain": [{"n_terms": 4, "inner_weight": 0.8, "outer_weight": 0.5}],
    "svrb": [{"weight": 0.8, "convexity": 0.5}],
    "t1_t2": [{"n_inner": 3}, {"linear_step": None}],
    "ttsa": [{"n_terms": 5}],
    "v_pbgd": [{"n_inner": 3, "penalty": 4.0, "ramp": 7}],
    "vr_biadam": [{"n_terms": 4, "weight": 0.7, "memory": 0.8, "floor": 0.2}],
    "vrbo": [
        {"n_inner": 3, "n_neumann": 2, "period": 4},
        {"n_inner": 2, "n_neumann": 2, "period": 3, "large_fraction": 0.4},
    ],
}
CASES = [(name, own) for name, settings in OWN.items() for own in settings]
# Not here: what is for problems made of tasks alone (its second text is in
# `test_task_runs`), and what has no step of its own.
WITHOUT = {"rsvrb", "l_bfgs_b", "random_search", "tpe", "template_solver"}


class Parameters(SimpleNamespace):
    """Those of a run, and the steps ρ, η and γ of iteration t."""

    def rho(self, t):
        return self.step_size * (t + 1) ** -self.step_exponent

    def eta(self, t):
        return self.constant_eta * (t + 1) ** -self.step_exponent

    @property
    def constant_eta(self):
        return self.step_size if self.linear_step is None else self.linear_step

    def gamma(self, t):
        return self.step_size / self.outer_ratio * (t + 1) ** -self.outer_exponent


class Losses:
    """Derivatives on blocks, counted, and the samples of a recorded run."""

    def __init__(self, problem, b, c, drawn):
        self.n, self.m = problem.n_inner, problem.n_outer
        b, c = self.n if b == "full" else b, self.m if c == "full" else c
        self.sizes = b, c
        self.n_blocks, self.m_blocks = -(-self.n // b), -(-self.m // c)
        self.counts, (self.of_g, self.of_f) = np.zeros(len(COUNTS), int), drawn

    def i(self):
        return _next(self.of_g, "draw")

    def j(self):
        return _next(self.of_f, "draw")

    def below(self, n):
        return _next(self.of_g, "uniform")

    def flip(self, probability):
        return _next(self.of_g, "uniform") < probability * 2**53

    def normal(self):
        return _next(self.of_g, "normal")

    def blocks_of_g(self, size):
        return None if size >= self.n_blocks else [self.i() for _ in range(size)]

    def blocks_of_f(self, size):
        return None if size >= self.m_blocks else [self.j() for _ in range(size)]

    def P(self, x):
        return x

    def _mean(self, kind, function, blocks, times=1):
        """Mean over blocks of a derivative of samples' sum, which weighs n_blocks / n.

        `kind` is what is counted, `times` a sample.
        """
        data = kind == "outer_gradients"
        total, size = (self.n, self.m)[data], self.sizes[data]
        n_blocks = -(-total // size)
        parts = []
        for k in range(n_blocks) if blocks is None else np.atleast_1d(blocks):
            rows = np.arange(k * size, min((k + 1) * size, total))
            self.counts[COUNTS.index(kind)] += times * len(rows)
            parts.append(n_blocks / total * function(rows))
        return sum(parts) / len(parts)

    def g(self, z, x, i):
        derivative = partial(self.inner_gradient, z, x)
        return self._mean("inner_gradients", derivative, i)

    def gx(self, z, x, i):
        derivative = partial(self.inner_gradient_x, z, x)
        return self._mean("inner_gradients_x", derivative, i)

    def hessian(self, z, x, i, times=None):
        derivative = partial(self.inner_hessian, z, x)
        return self._mean("hessian_vector_products", derivative, i, times or z.size)

    def cross_matrix(self, z, x, i, times=None):
        derivative = partial(self.inner_cross, z, x)
        return self._mean("jacobian_vector_products", derivative, i, times or z.size)

    def H(self, z, x, v, i):
        return self.hessian(z, x, i, times=1) @ v

    def J(self, z, x, v, i):
        return self.cross_matrix(z, x, i, times=1) @ v

    def f(self, z, x, j):
        def both(rows):
            return np.concatenate(self.outer_gradients(z, x, rows))

        return np.split(self._mean("outer_gradients", both, j), [z.size])


def _next(drawn, kind):
    found, value = drawn.popleft()
    assert found == kind
    return value


class QuadraticLosses(Losses):
    """½ ‖A z + B x − c‖² and ½ ‖D z + E x − r‖², summed over rows."""

    def __init__(self, problem, *arguments):
        super().__init__(problem, *arguments)
        self.data = problem.data

    def inner_gradient(self, z, x, rows):
        A, B, c = (self.data[name][rows] for name in "ABc")
        return A.T @ (A @ z + B @ x - c)

    def inner_gradient_x(self, z, x, rows):
        A, B, c = (self.data[name][rows] for name in "ABc")
        return B.T @ (A @ z + B @ x - c)

    def inner_hessian(self, z, x, rows):
        return self.data["A"][rows].T @ self.data["A"][rows]

    def inner_cross(self, z, x, rows):
        return self.data["B"][rows].T @ self.data["A"][rows]

    def outer_gradients(self, z, x, rows):
        D, E, r = (self.data[name][rows] for name in "DEr")
        residual = D @ z + E @ x - r
        return D.T @ residual, E.T @ residual


class BoxedLosses(QuadraticLosses):
    """The same with x in a box."""

    def P(self, x):
        return x.clip(-BoxedQuadratic.radius, BoxedQuadratic.radius)


class CleaningLosses(Losses):
    """Σ σ(x_i) CE(Z a_i, y_i) + 0.2 n ‖Z‖², and Σ CE(Z a'_j, y'_j)."""

    def __init__(self, problem, *arguments):
        super().__init__(problem, *arguments)
        (self.a, self.y, _), (self.a_f, self.y_f) = (
            problem.inner_samples,
            problem.outer_samples,
        )
        self.n_classes = problem.n_classes
        self.ridge = 0.2 * self.n / self.n_blocks  # times a block's weight: 0.2

    def errors(self, z, a, y):
        """Probabilities, and these less the labels."""
        scores = a @ z.reshape(self.n_classes, -1).T
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        return p, p - np.eye(self.n_classes)[y]

    def sample_gradients(self, z, rows):
        a, y = self.a[rows], self.y[rows]
        errors = self.errors(z, a, y)[1]
        return (errors[:, :, None] * a[:, None, :]).reshape(len(rows), -1)

    def inner_gradient(self, z, x, rows):
        weights = 1 / (1 + np.exp(-x[rows]))
        return weights @ self.sample_gradients(z, rows) + 2 * self.ridge * z

    def inner_gradient_x(self, z, x, rows):
        p, _ = self.errors(z, self.a[rows], self.y[rows])
        losses = -np.log(p[np.arange(len(rows)), self.y[rows]])
        weights = 1 / (1 + np.exp(-x[rows]))
        slope = np.zeros_like(x)
        slope[rows] = weights * (1 - weights) * losses
        return slope

    def inner_hessian(self, z, x, rows):
        weights = 1 / (1 + np.exp(-x[rows]))
        p, _ = self.errors(z, self.a[rows], self.y[rows])
        H = 2 * self.ridge * np.eye(z.size)
        for weight, q, a in zip(weights, p, self.a[rows], strict=True):
            H += weight * np.kron(np.diag(q) - np.outer(q, q), np.outer(a, a))
        return H

    def inner_cross(self, z, x, rows):
        weights = 1 / (1 + np.exp(-x[rows]))
        J = np.zeros((x.size, z.size))
        J[rows] = (weights * (1 - weights))[:, None] * self.sample_gradients(z, rows)
        return J

    def outer_gradients(self, z, x, rows):
        _, errors = self.errors(z, self.a_f[rows], self.y_f[rows])
        return (errors.T @ self.a_f[rows]).ravel(), np.zeros_like(x)


# The problem, its losses, and a ratio that makes x move: a weight's gradient is a
# thirtieth of its sample's.
PROBLEMS = {
    "quadratic": (small_quadratic(), QuadraticLosses, {}),
    "box": (BoxedQuadratic(quadratic_data()), BoxedLosses, {}),
    "cleaning": (
        small_instance(DataHypercleaning),
        CleaningLosses,
        {"outer_ratio": 7e-3},
    ),
}


def recorded(runtime):
    """The draws of both oracles of a runtime from now on, two queues."""
    queues = deque(), deque()
    for oracle, queue in zip((runtime.inner, runtime.outer), queues, strict=True):
        for kind in ("draw", "uniform", "normal"):
            method = getattr(oracle, kind)

            def record(*given, kind=kind, method=method, queue=queue):
                value = method(*given)
                queue.append((kind, value.numpy() if kind == "normal" else value))
                return value

            setattr(oracle, kind, record)
    return queues


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("name, own", CASES, ids=lambda value: str(value))
def test_iterates_are_those_of_the_reference(name, own, problem):
    solver, pair = load_solver(name), (name, problem)
    skipped, reason = solver.get_instance().skip(PROBLEMS[problem][0])
    if skipped:
        assert pair == ("fo_itd", "cleaning")
        pytest.skip(reason)
    check_iterates(solver, name, own, problem)


def check_iterates(solver_class, name, own, problem="quadratic"):
    """Twelve iterates and counts of a solver are those of ``references.<name>``."""
    problem, losses, ratio = PROBLEMS[problem]
    parameters = {**SHARED, **ratio, **RAGGED, **own, "runtime": "torch"}
    solver = solver_class.get_instance(**parameters)
    runtime = solver.make_runtime(problem)
    runtime.start(3)
    drawn = recorded(runtime)
    found = []
    for t in range(N_ITERATIONS):
        runtime.advance(t + 1)
        found.append((*runtime.variables(), runtime.counts.copy()))

    options = {key: solver.option(key) for key in solver.parameters}
    o = losses(problem, solver.batch_size, solver.outer_batch_size, drawn)
    z, x = (np.array(y, float) for y in problem.initial_point())
    points = getattr(references, name)(o, Parameters(**options), z, x)
    with np.errstate(all="raise"):
        for t, (z, x) in enumerate(islice(points, N_ITERATIONS)):
            z_found, x_found, counts = found[t]
            np.testing.assert_allclose(z_found, z, rtol=1e-9, atol=1e-10)
            np.testing.assert_allclose(x_found, x, rtol=1e-9, atol=1e-10)
            np.testing.assert_array_equal(counts, o.counts)
    assert not any(drawn)
    assert np.abs(x - problem.initial_point()[1]).max() > 1e-3


def test_every_solver_has_a_reference():
    stems = {path.stem for path in (ROOT / "solvers").glob("[!_]*.py")}
    assert stems == OWN.keys() | WITHOUT
