"""The exact layer: against closed forms, finite differences and its own references."""

import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from command_line import command, run
from conftest import (
    ROOT,
    copy_of_the_benchmark,
    dataset,
    load_plugin,
    load_solver,
    make_problem,
    real_data,
)
from scipy.optimize import minimize
from scipy.special import logit

from benchmark_bilevel.__main__ import main
from benchmark_bilevel.exact import published
from benchmark_bilevel.exact.published import (
    read_reference,
    reference_paths,
    reference_value,
)
from benchmark_bilevel.exact.reference import find_reference
from benchmark_bilevel.exact.solve import (
    AutogradLosses,
    CompiledLosses,
    Exact,
    InnerSolveError,
)
from benchmark_bilevel.fingerprint import PACKAGE
from benchmark_bilevel.notices import Fault
from benchmark_bilevel.problems import PROBLEMS
from benchmark_bilevel.problems.quadratic.problem import random_quadratic
from benchmark_bilevel.verification.cases import (
    BoxedQuadratic,
    SmallQuadratic,
    quadratic_data,
    small_quadratic,
)

PUBLISHED = reference_paths()
EMBEDDED = ("breast_cancer", "diabetes", "digits", "simulated")


@pytest.fixture(scope="module")
def quadratic():
    return PROBLEMS["quadratic"](random_quadratic())


def test_quadratic_spectra():
    data = random_quadratic(condition=100.0, outer_condition=5.0)
    problem = PROBLEMS["quadratic"](data)
    inner = np.linalg.eigvalsh(data["A"].T @ data["A"] / problem.n_inner)
    np.testing.assert_allclose(inner[[0, -1]], [0.01, 1], rtol=1e-10)
    gradients = np.array(
        [problem.hypergradient(unit) for unit in np.eye(problem.dim_x)]
    )
    hessian = gradients - problem.hypergradient(np.zeros(problem.dim_x))
    np.testing.assert_allclose(
        np.linalg.eigvalsh(hessian), np.logspace(np.log10(0.2), 0, problem.dim_x)
    )


def test_exact_layer_agrees_with_the_closed_form(quadratic, generator):
    """Value, hypergradient and inner solution to 1e-10 relative."""
    exact = Exact(quadratic)
    for x in 3 * generator.standard_normal((5, quadratic.dim_x)):
        result = exact.evaluate(x)
        np.testing.assert_allclose(
            result.value, quadratic.value_function(x), rtol=1e-10
        )
        for actual, expected in [
            (result.hypergradient, quadratic.hypergradient(x)),
            (result.z, quadratic.inner_solution(x)),
        ]:
            error = np.linalg.norm(actual - expected) / np.linalg.norm(expected)
            assert error <= 1e-10


def test_closed_form_minimiser(quadratic):
    x = quadratic.minimiser()
    assert np.linalg.norm(quadratic.hypergradient(x)) <= 1e-13
    exact = Exact(quadratic).evaluate(x)
    assert np.linalg.norm(exact.hypergradient) <= 1e-11
    np.testing.assert_allclose(exact.value, reference_value(quadratic), rtol=1e-12)


def test_hypergradient_equals_finite_differences(problem, generator):
    exact = Exact(problem)
    _, x = problem.initial_point()
    for direction in generator.standard_normal((3, problem.dim_x)):
        step = 1e-5
        values = [exact.evaluate(x + s * direction).value for s in (step, -step)]
        difference = (values[0] - values[1]) / (2 * step)
        derivative = exact.evaluate(x).hypergradient @ direction
        assert abs(difference - derivative) <= 1e-6 * max(1, abs(derivative))


def test_tolerance_of_the_inner_solve(problem):
    _, x = problem.initial_point()
    exact = Exact(problem)
    for point in (x, x - 3, x + 3):
        z = exact.evaluate(point).z
        gradient = exact.losses.grad(z, point)
        start, _ = problem.initial_point()
        scale = max(1, np.linalg.norm(exact.losses.grad(start, point)))
        assert np.linalg.norm(gradient) <= 1e-10 * scale
        decrement = (
            0.5 * gradient @ np.linalg.solve(exact.losses.hessian(z, point), gradient)
        )
        assert decrement <= 1e-14


def test_warm_starts_do_not_change_the_result(problem, generator):
    exact = Exact(problem)
    _, x = problem.initial_point()
    cold = exact.evaluate(x)
    warm = exact.evaluate(x, z=cold.z + 0.1 * generator.standard_normal(cold.z.size))
    np.testing.assert_allclose(warm.value, cold.value, rtol=1e-12)
    np.testing.assert_allclose(warm.hypergradient, cold.hypergradient, atol=1e-10)


def test_compiled_and_autograd_losses_agree(problem, generator):
    compiled, autograd = CompiledLosses(problem), AutogradLosses(problem)
    z, v = generator.standard_normal((2, problem.dim_z))
    x = generator.standard_normal(problem.dim_x)
    for name, arguments in {
        "inner_value": (z, x),
        "outer_value": (z, x),
        "grad": (z, x),
        "hvp": (z, x, v),
        "cross": (z, x, v),
        "hessian": (z, x),
    }.items():
        actual = getattr(compiled, name)(*arguments)
        np.testing.assert_allclose(
            actual, getattr(autograd, name)(*arguments), rtol=1e-10
        )
    fz, _ = compiled.outer_grad(z, x)
    np.testing.assert_allclose(fz, autograd.outer_grad(z, x)[0], rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("name", ["selection", "data-hypercleaning", "data-poisoning"])
def test_products_at_one_point(name, generator):
    """In float32, as preconditioners ask for them, and after products at another point."""
    name = "hyperparameter-selection" if name == "selection" else name
    options = {"constraint": "l2-then-box"} if name == "data-poisoning" else {}
    options = {"corruption": 0.5} if name == "data-hypercleaning" else options
    problem = PROBLEMS[name](dataset("digits"), **options)
    z, v, other = 0.1 * generator.standard_normal((3, problem.dim_z))
    x = 0.1 * generator.standard_normal(problem.dim_x)
    right = [CompiledLosses(problem).hvp(z, x, direction) for direction in (v, other)]
    z, x, v, other = (y.astype(np.float32) for y in (z, x, v, other))
    losses = CompiledLosses(problem, dtype="float32")
    losses.hvp_at(other, x + 1)(v)
    product = losses.hvp_at(z, x)
    for direction, expected in zip((v, other), right, strict=True):
        rough = product(direction)
        assert rough.dtype == np.float32
        np.testing.assert_allclose(rough, expected, atol=1e-5 * abs(expected).max())


def test_unsolvable_inner_problem_is_an_error(quadratic):
    with pytest.raises(InnerSolveError, match="inner problem not solved"):
        Exact(quadratic).evaluate(np.full(quadratic.dim_x, 1e200))


def _converge(problem, name, n_iterations, n_chunks, **parameters):
    """Suboptimality at the ends of equal chunks."""
    run = load_solver(name).get_instance(**parameters).make_runtime(problem)
    run.start(seed=0)
    h_star = reference_value(problem)
    gaps = []
    for k in range(1, n_chunks + 1):
        run.advance(k * n_iterations // n_chunks)
        gaps.append(problem.value_function(run.variables()[1]) - h_star)
    return np.array(gaps), run


@pytest.mark.parametrize(
    "name, n_iterations, parameters",
    [
        ("saba", 1500, {"step_size": 0.2, "outer_ratio": 2.0}),
        (
            "soba",
            1000,
            {
                "step_size": 0.5,
                "outer_ratio": 3.0,
                "step_exponent": 0.0,
                "outer_exponent": 0.0,
                "batch_size": "full",
                "outer_batch_size": "full",
            },
        ),
    ],
)
def test_linear_convergence_to_the_closed_form(
    quadratic, name, n_iterations, parameters
):
    """To the minimum (1e-10), along a straight line in a semi-log plot.

    The outer ratios make x the slowest variable, so that one rate shows.
    """
    gaps, run = _converge(quadratic, name, n_iterations, 50, **parameters)
    _, x = run.variables()
    assert gaps[-1] <= 1e-10
    assert np.linalg.norm(x - quadratic.minimiser()) <= 1e-5 * np.linalg.norm(x)
    line = np.log(gaps[(gaps > 1e-12) & (gaps < 1e-2 * gaps[0])])
    assert len(line) >= 8
    k = np.arange(len(line))
    slope, intercept = np.polyfit(k, line, 1)
    assert slope < -0.2
    residual = line - (slope * k + intercept)
    assert 1 - residual.var() / line.var() > 0.999  # the line explains the curve


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_published_references_are_of_todays_data(path):
    reference = read_reference(path)
    problem = _problem_of(path, reference)
    assert problem.fingerprint == reference["fingerprint"]
    assert reference_value(problem) == reference["value"]


# In cleaning a weight a sample is too much to keep. On covtype it takes a minute.
POINTS = [path for path in PUBLISHED if read_reference(path)["sigmoid_x"] is not None]
LONG = {"covtype": pytest.mark.exhaustive}


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=LONG.get(path.stem.split("-")[-2], ()))
        for path in POINTS
    ],
)
def test_published_references_are_stationary(path):
    """At the published point the same value, and no descent in the box."""
    reference = read_reference(path)
    problem = _problem_of(path, reference)
    u = np.array(reference["sigmoid_x"])
    result = Exact(problem).evaluate(logit(u))
    assert abs(result.value - reference["value"]) <= reference["accuracy"]
    assert reference["accuracy"] <= 1e-8
    gradient = result.hypergradient / (u * (1 - u))
    decrease = np.where(gradient > 0, gradient * u, -gradient * (1 - u)).max()
    assert decrease <= 1e-6  # to first order, over the whole box


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_the_accuracy_of_a_reference_is_a_bound(path):
    """Of its own error and of the way down that is left, to first order."""
    reference = read_reference(path)
    errors = reference.get("value_error", 0) + reference["local_gap"]
    assert 0 < errors <= reference["accuracy"]


def _problem_of(path, reference):
    name = path.stem.split("-")[-2]
    data = dataset(name) if name in EMBEDDED else real_data(name)
    kind = PROBLEMS[reference["problem"]]
    options = {}
    if kind.options:
        (corruption,) = reference["settings"]
        options = {"corruption": corruption, "protocol": "default"}
        options |= {"parametrisation": "default"}
    return kind(kind.admit(data), **options)


def test_reference_beats_a_grid_of_random_points(generator):
    """A small problem: nothing sampled in the box lies below the reference."""
    problem = make_problem("simulated")
    found = find_reference(problem, log=lambda line: None)
    exact = Exact(problem)
    values = [
        exact.evaluate(x).value for x in generator.uniform(-12, 6, (200, problem.dim_x))
    ]
    assert min(values) >= found["value"] - found["accuracy"]


def test_a_reference_is_searched_in_the_feasible_set():
    """The closed-form minimum where x is free, scipy's in a box; no set but a box."""
    free = small_quadratic()
    found = find_reference(free, log=lambda line: None)
    lowest = free.value_function(free.minimiser())
    assert abs(found["value"] - lowest) <= found["accuracy"] <= 1e-9

    boxed = BoxedQuadratic(quadratic_data())
    found = find_reference(boxed, log=lambda line: None)
    expected = minimize(
        boxed.value_function,
        np.zeros(boxed.dim_x),
        jac=boxed.hypergradient,
        bounds=[(-boxed.radius, boxed.radius)] * boxed.dim_x,
        options={"ftol": 0, "gtol": 1e-13},
    )
    assert abs(found["value"] - expected.fun) <= found["accuracy"] <= 1e-9
    assert found["value"] > lowest + 1e-4
    x = logit(found["sigmoid_x"])
    assert np.abs(x).max() <= boxed.radius + 1e-12
    # The closed form is no minimum of it.
    assert reference_value(free) == lowest and not published.needs_reference(free)
    assert np.isnan(reference_value(boxed)) and published.needs_reference(boxed)

    class InBall(SmallQuadratic):
        def project(self, x):
            return x / max(1.0, float(x.norm()))

    with pytest.raises(Fault, match="feasible set that is no box"):
        find_reference(InBall(quadratic_data()), log=lambda line: None)


def test_a_reference_is_refused_where_h_falls_on():
    """A minimum at x = 60 is beyond what the search takes for logarithms."""
    data, x = quadratic_data(), np.full(6, 60.0)
    data["r"] = data["D"] @ small_quadratic().inner_solution(x) + data["E"] @ x
    with pytest.raises(Fault, match=r"h still falls at \|x\| = 29\.9"):
        find_reference(SmallQuadratic(data), log=lambda line: None)


@pytest.fixture
def folder(tmp_path):
    return copy_of_the_benchmark(tmp_path)


def test_the_command_finds_the_reference_of_data(folder):
    """Near what the yardstick reaches, and above that by its accuracy at most."""
    data = "simulated[n_features=4,n_samples=120]"
    selection = ("-d", data, "-o", "*[problem=hyperparameter-selection]")
    tool = (sys.executable, "-m", "benchmark_bilevel", "reference")
    _, lines = command(*tool, *selection, folder=folder)
    assert lines[0] == "hyperparameter-selection on simulated"
    value, accuracy, path = re.fullmatch(
        r"h\* = (\S+) ± (\S+): (\S+)", lines[-1]
    ).groups()
    assert Path(path).is_relative_to(folder) and Path(path).is_file()
    # The folder has a part of the package now, and Python would look no further.
    environment = {"PYTHONPATH": str(ROOT)}
    _, rows = run(folder, "near", *selection, "-s", "L-BFGS-B", **environment)
    gaps = rows["objective_suboptimality"]
    assert -float(accuracy) <= gaps.min() < 1e-3 * gaps.iloc[0]
    assert rows["objective_value"].min() - float(value) == pytest.approx(gaps.min())
    nothing = ["reference", "-d", "quadratic", "--benchmark", str(folder)]
    done = CliRunner().invoke(main, nothing)
    assert done.exit_code == 1
    assert done.output.splitlines()[-1].startswith("Nothing here needs a reference")


def test_penalties_have_the_reference_of_their_logarithms():
    data = dataset("simulated")
    found = [
        find_reference(
            PROBLEMS["hyperparameter-selection"](data, parametrisation=name),
            log=lambda line: None,
        )
        for name in ("single-exp", "single-lin")
    ]
    assert found[0] == found[1]


OWN_PROBLEM = """
import numpy as np
from benchmark_bilevel.problems.base import Problem


class Mine(Problem):
    name = "mine"
    dim_z = dim_x = 3

    @classmethod
    def unfit(cls, data):
        return None

    inner_samples = outer_samples = property(lambda self: (self.data["X_train"],))

    def inner_loss(self, z, x, a):
        return 0.5 * (a @ z - 1) ** 2

    outer_loss = inner_loss

    def inner_regulariser(self, z, x):
        return self.data["strength"] * (x.exp() * z**2).sum()

    def initial_point(self):
        return np.zeros(3), np.zeros(3)
"""


def test_the_fingerprint_of_a_problem_of_ones_own_has_its_file_and_all_data(tmp_path):
    """Else another's reference, or first evaluation, is taken for its own."""
    X = np.arange(30.0).reshape(10, 3) % 7

    def fingerprint(text, strength, name="mine.py", beside=""):
        (tmp_path / "beside.py").write_text(beside)
        path = tmp_path / name
        path.write_text(text)
        problem = load_plugin(path).Mine({"X_train": X, "strength": strength})
        return problem.fingerprint

    edited = OWN_PROBLEM.replace("0.5 *", "0.05 *")
    helped = "import beside" + OWN_PROBLEM
    found = [
        fingerprint(OWN_PROBLEM, 1.0),
        fingerprint(OWN_PROBLEM, 2.0),
        fingerprint(edited, 1.0),
        fingerprint(helped, 1.0),
        fingerprint(helped, 1.0, beside="A = 1"),
    ]
    assert len(set(found)) == len(found)
    assert fingerprint(OWN_PROBLEM, 1.0) == found[0]
    assert fingerprint(OWN_PROBLEM, 1.0, "elsewhere.py") == found[0]


# --- the files of the references ------------------------------------------------------


@pytest.fixture
def references(tmp_path, monkeypatch):
    """A package with the reference of breast_cancer alone, in a benchmark of its own."""
    package = tmp_path / "installed" / PACKAGE.name
    shutil.copytree(PACKAGE / published.FOLDER, package / published.FOLDER)
    for path in (package / published.FOLDER).iterdir():
        if "breast_cancer" not in path.name:
            path.unlink()
    monkeypatch.setattr(published, "PACKAGE", package)
    benchmark = tmp_path / "clone"
    monkeypatch.setattr(published, "benchmark_folder", lambda: benchmark)
    return package / published.FOLDER


def test_damaged_reference_is_named_and_spoils_no_other(references):
    known, other = make_problem("breast_cancer"), make_problem("simulated")
    assert np.isfinite(reference_value(known))
    assert published.lack_of_reference(known) is None
    (path,) = references.iterdir()
    content = path.read_bytes()
    for damage in (
        b"",
        content[:40],
        b"[]",
        content.replace(b'"value": ', b'"value": "'),
    ):
        path.write_bytes(damage)
        assert np.isnan(reference_value(known))
        line = published.lack_of_reference(known)
        assert line.startswith(f"{path} is damaged (") and "\n" not in line
        # Another file, which a damaged one does not touch.
        saved = published.save_reference(
            {"value": 0.25, "accuracy": 1e-10}, other, "simulated"
        )
        assert reference_value(other) == 0.25
        saved.unlink()
    assert published.lack_of_reference(other) == (
        "none is published for these samples and settings"
    )


def test_references_are_saved_whole_in_the_benchmark(references, tmp_path, monkeypatch):
    problem = make_problem("simulated")
    content = {"value": 0.5, "accuracy": 1e-10}
    path = published.save_reference(content, problem, "my data/1")
    assert path.parent == tmp_path / "clone" / PACKAGE.name / published.FOLDER
    name = f"hyperparameter-selection-my_data_1-{problem.fingerprint}.json"
    assert [file.name for file in path.parent.iterdir()] == [name]
    assert path.stat().st_mode & 0o777 == 0o644
    assert published.read_reference(path) == content

    def fail(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr(published.os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        published.save_reference({"value": 1.0, "accuracy": 0.0}, problem, "my data/1")
    assert published.read_reference(path) == content
    assert len(list(path.parent.iterdir())) == 1, "nothing is left behind"
