"""Mistakes of plugins: each one line, with its place, and the other cells finish."""

import itertools
import re

import numba
import pytest
from benchopt.benchmark import Benchmark
from command_line import benchopt, status_lines
from conftest import ROOT, load_plugin, make_problem

from benchmark_bilevel.exact.losses import full_losses
from benchmark_bilevel.faults import line_of
from benchmark_bilevel.notices import Fault
from benchmark_bilevel.problems import PROBLEMS, load_problem
from benchmark_bilevel.problems.base import Problem
from benchmark_bilevel.runtimes.gate import fault_of
from benchmark_bilevel.solver import BilevelSolver
from benchmark_bilevel.terminal import _cut
from benchmark_bilevel.verification.cases import small_classification, small_regression

PLUGIN = """\
import sys

import numpy as np
from benchmark_bilevel.methods import descend, zeros_like
from benchmark_bilevel.solver import BilevelSolver


class Solver(BilevelSolver):
    name = "mine"
    parameters = {"momentum": [0.5]}

    @staticmethod
    def init(inner, outer, z, x):
        return z, x, zeros_like(z)

    @staticmethod
    def step(inner, outer, state, steps, t, momentum):
        z, x, v = state
        pass
        dz, hv, jv = inner.grad_hvp_cross(z, x, v, inner.draw())
        fz, fx = outer.grad(z, x, outer.draw())
        descend(z, steps.inner, dz)
        descend(v, steps.linear, hv, fz)
        outer.descend(x, steps.outer, jv, fx)
"""
INIT, PASS = "return z, x, zeros_like(z)", "        pass"
INIT_LINE, INIT_BODY, PASS_LINE = 12, 14, 19


def plugin(folder, name, *edits):
    """Path of the plugin with `edits`, pairs of texts."""
    text = PLUGIN
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    text = text.replace('"mine"', f'"{name}"')  # two of one name are refused
    path = folder / f"{name}.py"
    path.write_text(text)
    return path


def solver_at(path):
    return load_plugin(path).Solver


def error_of(path, runtime):
    """The line of what goes wrong when the solver at `path` is run."""
    with pytest.raises(BaseException) as error:
        solver = solver_at(path).get_instance(runtime=runtime)
        solver.make_runtime(make_problem("quadratic")).advance(1)
    line = line_of(error.value)
    assert "\n" not in line and len(line) < 400
    return line


BOTH = ("numba", "torch")


@pytest.mark.parametrize(
    "name, edits, runtimes, line, words",
    [
        ("oracle", [(PASS, "        inner.hpv(z, x, v, 0)")], BOTH, PASS_LINE, "'hvp'"),
        ("verb", [(PASS, "        decsend(z, 0.1, v)")], BOTH, PASS_LINE, "'descend'"),
        ("steps", [(PASS, "        steps.iner")], BOTH, PASS_LINE, "'inner'"),
        ("numpy", [(PASS, "        np.linalg.nrom(v)")], BOTH, PASS_LINE, "'norm'"),
        ("arity", [(PASS, "        inner.grad(z, x)")], BOTH, PASS_LINE, "'i'"),
        ("exit", [(PASS, "        sys.exit(0)")], BOTH, PASS_LINE, "calls sys.exit"),
        ("init_exit", [(INIT, "sys.exit(0)")], BOTH, INIT_BODY, "calls sys.exit"),
        ("init_error", [(INIT, "return 1 / 0")], BOTH, INIT_BODY, "division by zero"),
        (
            "init_list",
            [(INIT, "return [z, x, zeros_like(z)]")],
            BOTH,
            INIT_LINE,
            "not a tuple that starts with z, x",
        ),
        (
            "short_z",
            [(INIT, "return z[:3], x, zeros_like(z)")],
            BOTH,
            INIT_LINE,
            "init returns z as float64 (3,), not float64 (6,)",
        ),
        (
            "swapped",
            [(INIT, "return x, z, zeros_like(z)")],
            BOTH,
            INIT_LINE,
            "init returns z as float64 (4,), not float64 (6,)",
        ),
        (
            "column",
            [(INIT, "return z, x[:, None], zeros_like(z)")],
            BOTH,
            INIT_LINE,
            "init returns x as float64 (4, 1), not float64 (4,)",
        ),
        # Compiled, these two would read and write foreign memory.
        (
            "short_v",
            [(INIT, "return z, x, zeros_like(z[:3])")],
            ("numba",),
            PASS_LINE + 1,
            "inner.grad_hvp_cross gets v of shape (3,)",
        ),
        (
            "v_like_x",
            [(INIT, "return z, x, zeros_like(x)")],
            ("numba",),
            PASS_LINE + 1,
            "it is a vector like z, of shape (6,)",
        ),
        (
            "foreign_direction",
            [("descend(v, steps.linear, hv, fz)", "descend(v, steps.linear, jv, fz)")],
            BOTH,
            PASS_LINE + 4,
            "",
        ),
        (
            "format",
            [(PASS, '        s = f"{momentum:.2e}"')],
            ("numba",),
            PASS_LINE,
            "numba cannot compile this: format spec in f-strings",
        ),
        (
            "helper",
            [
                ("class Solver", "def my(z):\n    z *= 1\n\n\nclass Solver"),
                (PASS, "        my(z)"),
            ],
            ("numba",),
            PASS_LINE + 4,
            "my is a function of Python; decorate it with numba.extending.register_jitable",
        ),
        (
            "print",
            [(PASS, '        print("at", t)')],
            ("numba",),
            PASS_LINE - 3,
            "print is for runtime=torch",
        ),
        (
            "alias",
            [(INIT, "return z, x, z")],
            BOTH,
            INIT_LINE,
            "init returns one variable twice",
        ),
        (
            "functional",
            [(PASS, "        return z, x, v")],
            ("numba",),
            PASS_LINE - 3,
            "step returns something, and nothing takes it",
        ),
        (
            "handler",
            [
                (
                    PASS,
                    "        try:\n            t + 1\n        except KeyError:\n"
                    "            t + 2",
                )
            ],
            ("numba",),
            PASS_LINE + 2,
            "numba cannot compile this",
        ),
    ],
)
def test_mistake_is_a_line(tmp_path, name, edits, runtimes, line, words):
    path = plugin(tmp_path, f"{name}_plugin", *edits)
    for runtime in runtimes:
        found = error_of(path, runtime)
        place, _, reason = found.partition(": ")
        assert place == f"{path}, line {line}", found
        assert words in reason


def test_numbas_types_are_left_out(tmp_path):
    """They fill a page for each oracle."""
    path = plugin(tmp_path, "types_plugin", (PASS, "        inner.order.foo()"))
    line = error_of(path, "numba")
    assert "Array" not in line
    assert "the inner oracle has no 'order'" in line


@pytest.mark.parametrize(
    "text, words",
    [
        ("outer.grad(z, x, inner.draw())", "outer.grad gets a block that inner.draw()"),
        (
            "inner.hvp(z, x, v, outer.draw())",
            "inner.hvp gets a block that outer.draw()",
        ),
        ("inner.grad_x(z, x, -1)", "inner.grad_x gets block -1, and there is none"),
        ("inner.value(z, x, t)", "inner.value gets block 100000, and there is none"),
        (
            "[outer.grad(z, x, i + 1) for i in range(outer.n_blocks)]",
            "outer.grad gets block 2, and there is none: the indices are 0 … outer.n_",
        ),
    ],
)
def test_blocks_that_an_oracle_does_not_have(tmp_path, text, words):
    """Compiled code would read foreign memory."""
    path = plugin(tmp_path, "block", (PASS, f"        {text}"))
    line = error_of(path, "numba")
    assert words in line and f"block.py, line {PASS_LINE}" in line


def test_a_right_plugin_passes_the_rehearsal(tmp_path):
    """One of values where zeros give nothing, or of a name that only numba knows."""
    path = plugin(tmp_path, "right_plugin", (PASS, "        1 / (v @ v)"))
    solver = solver_at(path)
    assert fault_of(solver) is None
    instance = solver.get_instance(runtime="numba")
    run = instance.make_runtime(make_problem("quadratic"))
    assert run.t == 0 and not run.counts.any()


@pytest.mark.parametrize(
    "name, edits, words",
    [
        ("slash", [('"mine"', '"a/b"')], "the name 'a/b' could be neither selected"),
        ("tag", [('"mine"', '"a<b>"')], "the name 'a<b>' could be"),
        ("bracket", [('"mine"', '"a[b]"')], "the name 'a[b]' could be"),
        (
            "not_static",
            [("    @staticmethod\n    def step(inner", "    def step(self, inner")],
            "line 16: step has to be a @staticmethod",
        ),
        (
            "no_step",
            [("def step(", "def steps_(")],
            "_class has no static method 'step'",
        ),
        (
            "few",
            [("state, steps, t, momentum", "state")],
            "the arguments of step are inner, outer, state, steps, t, …",
        ),
        (
            "option",
            [('{"momentum": [0.5]}', '{"momentun": [0.5]}')],
            "step asks for 'momentum', which `parameters` does not name; the nearest "
            "name is 'momentun'",
        ),
        (
            "starred",
            [("t, momentum)", "t, *, momentum)")],
            "the arguments of step are inner, outer, state, steps, t, …, all without *",
        ),
        (
            "generator",
            [(PASS, "        yield z")],
            "step has to be without yield and async",
        ),
        (
            "async",
            [("def init", "async def init")],
            "init has to be without yield and async",
        ),
        (
            "strategy",
            [('"mine"', '"mine"; sampling_strategy = "iteration"')],
            "sampling_strategy='iteration' is for solvers that derive from benchopt's",
        ),
        ("long", [('"mine"', f'"{81 * "x"}"')], "use up to 80 letters, digits, spaces"),
        (
            "attribute",
            [('{"momentum"', '{"unbiased": [1], "momentum"')],
            "the class has an attribute 'unbiased'",
        ),
        (
            "argument",
            [('{"momentum"', '{"outer": [1], "momentum"')],
            "'outer' is an argument that init or step gets anyway",
        ),
        (
            "order",
            [("steps, t, momentum", "t, steps, momentum")],
            "the arguments of step are inner, outer, state, steps, t, …",
        ),
    ],
)
def test_fault_of_a_class(tmp_path, name, edits, words):
    solver = solver_at(plugin(tmp_path, f"{name}_class", *edits))
    line = fault_of(solver)
    assert words in line and "\n" not in line
    assert solver.get_instance().skip(make_problem("quadratic")) == (True, line)
    with pytest.raises(Fault, match=re.escape(words)):
        solver.get_instance().make_runtime(make_problem("quadratic"))


def test_every_solver_of_the_benchmark_is_faultless():
    solvers = map(solver_at, sorted((ROOT / "solvers").glob("*.py")))
    faults = [fault_of(s) for s in solvers if issubclass(s, BilevelSolver)]
    assert faults == [None] * len(faults) and len(faults) > 30


@pytest.fixture(scope="module")
def a_run_of_faults(benchmark, tmp_path_factory):
    """Lines of one run of two repetitions with many plugins, of which one is right."""
    folder = tmp_path_factory.mktemp("faults")
    faults = {
        "no_name": [('    name = "mine"\n', "")],
        "slash": [('"mine"', '"a/b"')],
        "syntax": [("z, x, v = state", "z, x, v = = state")],
        "imported": [("import descend,", "import descnd, descend,")],
        "no_module": [("_bilevel.methods", "_bilevel.directions")],
        "exit_at_import": [("import sys\n", "import sys\nsys.exit(0)\n")],
        "default": [('"momentum": [0.5]', '"momentum": [0.5], "step_size": [-1]')],
        "no_list": [('"momentum": [0.5]', '"momentum": []')],
        "no_range": [('{"momentum": [0.5]}', '{}; ranges = {"momentum": (0, 1)}')],
        "range_class": [("[0.5]}", "[0.5]}; ranges = {'momentum': float}")],
        "foreign_range": [
            ("[0.5]}", "[0.5]}; ranges = {'momentun': float.is_integer}")
        ],
        "no_text": [('{"momentum"', '{1: [2], "momentum"')],
        "namesake": [('"mine"', '"SOBA"')],
        "no_base": [("(BilevelSolver):", ":")],
        "nulls": [("import sys", "\0")],
        "verb": [('"mine"', '"verb"'), (PASS, "        decsend(z, 0.1, v)")],
        "short": [('"mine"', '"short"'), (INIT, INIT.replace("(z)", "(z[:2])"))],
        "format": [('"mine"', '"format"'), (PASS, '        f"{t:3d}"')],
        "right": [('"mine"', '"right"')],
    }
    arguments = [
        "-d",
        "quadratic",
        "-o",
        "*[problem=quadratic]",
        "-r",
        "2",
        "--no-plot",
    ]
    for name, edits in faults.items():
        path = plugin(folder, name, *edits)
        budget = "[max_iterations=9]" if name == "right" else ""
        arguments += ["-s", f"{path}{budget}"]
    return folder, benchopt(benchmark, *arguments, check=False)


def test_other_cells_finish(a_run_of_faults):
    _, (code, lines) = a_run_of_faults
    assert code == 0
    assert not [line for line in lines if "Traceback" in line]
    assert [line for line in lines if re.search(r"--right\S*: done", line)]


@pytest.mark.parametrize(
    "words",
    [
        "Reason: {}/no_name.py gives its solver no name",
        "Reason: the name 'a/b' could be neither selected nor the name of a file",
        "{}/syntax.py, line 18: SyntaxError: invalid syntax",
        "{}/imported.py, line 4: ImportError: cannot import name 'descnd'",
        "'benchmark_bilevel.directions'; solvers import from benchmark_bilevel.methods",
        "{}/exit_at_import.py calls sys.exit when it is imported",
        "{}/default.py, line 8: default: step_size=-1 is not valid; expected a positive",
        "{}/no_list.py, line 8: no_list: parameters gives momentum no value",
        "{}/no_range.py, line 8: no_range: (0, 1) is no range of momentum; expected one",
        "{}/range_class.py, line 8: range_class: <class 'float'> is no range of momentum;",
        "{}/foreign_range.py, line 8: foreign_range: ranges has 'momentun', which is no",
        "{}/no_text.py, line 8: no_text: 1 is no name of a parameter; names are text",
        "{}/namesake.py: it is called SOBA, as ",
        "{}/no_base.py: Solver is no class derived from BaseSolver",
        "source code string cannot contain null bytes",
        "{}/verb.py, line 19: NameError: name 'decsend' is not defined; the nearest",
        "{}/short.py, line 20: inner.grad_hvp_cross gets v of shape (2,)",
        "{}/format.py, line 19: numba cannot compile this: format spec",
    ],
)
def test_each_fault_is_a_line(a_run_of_faults, words):
    folder, (_, lines) = a_run_of_faults
    found = [line for line in lines if words.format(folder) in line]
    # benchopt says of each repetition why it was skipped; errors are said once.
    assert len(found) == (2 if words.startswith("Reason") else 1)


def test_the_traceback_can_be_had(benchmark, tmp_path):
    path = plugin(tmp_path, "verb", (PASS, "        decsend(z, 0.1, v)"))
    arguments = ("-d", "quadratic", "-o", "*[problem=quadratic]", "-s", str(path))
    _, lines = benchopt(
        benchmark, *arguments, check=False, BENCHMARK_BILEVEL_TRACEBACK="1"
    )
    assert "Traceback (most recent call last):" in lines


@pytest.mark.parametrize(
    "selector, line",
    [
        (
            "SOBA[stepsize=1]",
            "ValueError: Unknown parameter 'stepsize' for solver SOBA.; the nearest name "
            "is 'step_size'",
        ),
        ("SOBA[step_size=", "ValueError: Invalid name (missing bracket): SOBA[step_"),
    ],
)
def test_a_wrong_selector_is_a_line(benchmark, selector, line):
    code, lines = benchopt(benchmark, "-s", selector, check=False)
    assert code == 1 and lines[-1].startswith(line)
    assert not [text for text in lines if "Traceback" in text]


def test_progress_is_cut_to_the_terminal():
    name, end = "\033[1;34m    |--SOBA[step_size=0.25]", ":\033[0m  12.5% (1 / 2 reps)"
    visible = len("    |--SOBA[step_size=0.25]:  12.5% (1 / 2 reps)")
    assert _cut(name + end, visible) == name + end
    cut = _cut(name + end, visible - 5)
    assert cut == name[:-6] + "…" + end


# --- problems by path -----------------------------------------------------------------

UNNAMED = """\
from benchmark_bilevel.problems.base import Problem
class Mine(Problem):
    pass
"""
TEMPLATE = ROOT / "benchmark_bilevel" / "problems" / "template_problem.py"


@pytest.fixture
def my_problem(tmp_path):
    """A problem whose file imports what lies beside it."""
    (tmp_path / "my_numbers.py").write_text("START = -1.5\n")
    path = tmp_path / "my_problem.py"
    text = TEMPLATE.read_text()
    for old, new in (
        ("np.full(self.dim_x, -1.0)", "np.full(self.dim_x, START)"),
        ("import numpy as np", "import numpy as np\nfrom my_numbers import START"),
    ):
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path


def test_problem_by_path(my_problem):
    problem = load_problem(str(my_problem))
    assert problem.name == "ridge-selection"
    assert load_problem(my_problem) is problem
    assert load_problem("quadratic") is PROBLEMS["quadratic"]


@pytest.mark.parametrize(
    "text, line",
    [
        (None, "There is no file"),
        ("x = 1\n", "has to define one subclass of Problem; it has none."),
        ("import nothing_here\n", "line 1: ModuleNotFoundError: No module named"),
        ("def f(:\n", "line 1: SyntaxError"),
        ("raise SystemExit\n", "calls sys.exit"),
        (UNNAMED, "the name None could be neither selected nor"),
        (
            UNNAMED + "    name = 'm'; options = ('mine',)\n",
            "options has 'mine', which",
        ),
    ],
)
def test_wrong_problem_files(tmp_path, text, line):
    path = tmp_path / "wrong_problem.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(Fault) as fault:
        load_problem(path)
    assert str(path) in fault.value.message and line in fault.value.message


def test_unknown_problem_names_the_nearest():
    with pytest.raises(Fault, match="the nearest name is 'quadratic'"):
        load_problem("quadratics")


def test_benchopt_runs_a_problem_by_path(benchmark, my_problem):
    arguments = ("-d", "breast_cancer", "-s", "SOBA[max_iterations=2]", "--no-plot")
    _, lines = benchopt(benchmark, *arguments, "-o", f"*[problem={my_problem}]")
    assert f"  |--Bilevel[problem={my_problem}]" in [line.rstrip() for line in lines]
    assert [line for line in status_lines(lines) if "done" in line]


def test_an_edited_problem_is_another_one_for_the_cache(my_problem):
    """And so is one beside which a file is edited."""
    Objective = Benchmark(ROOT).get_benchmark_objective()
    states = []
    for edited in (None, my_problem, my_problem.parent / "my_numbers.py"):
        if edited is not None:
            edited.write_text(edited.read_text() + "\n# edited\n")
        objective = Objective.get_instance(problem=str(my_problem))
        objective.set_data(**small_classification())
        states.append(objective._get_state())
    assert all(a != b for a, b in itertools.combinations(states, 2))


RAISES = """\
from benchmark_bilevel.problems.quadratic.problem import Quadratic


class Mine(Quadratic):
    name = "mine"

    {}
"""


@pytest.mark.parametrize(
    "text, words",
    [
        ("unfit = classmethod(lambda cls, data: data['nokey'])", "KeyError: 'nokey'"),
        ("unfit = classmethod(lambda cls, data: True)", "Mine.unfit returns True, not"),
        ("initial_point = lambda self: 1 / 0", "ZeroDivisionError"),
        ("initial_point = Problem.initial_point", "Mine has no method initial_point"),
    ],
)
def test_an_error_of_a_problem_ends_its_cells_only(tmp_path, text, words):
    path = tmp_path / "mine.py"
    path.write_text(f"from {Problem.__module__} import Problem\n{RAISES.format(text)}")
    objective = (
        Benchmark(ROOT).get_benchmark_objective().get_instance(problem=str(path))
    )
    skipped, reason = objective.skip(**make_problem("quadratic").data)
    assert skipped and words in reason and "\n" not in reason


@pytest.fixture
def line_of_kernels(tmp_path):
    """Function from an edit of the kernel template to what a problem with it says."""

    def said(edit):
        problem, name = TEMPLATE.read_text(), 'name = "ridge-selection"'
        problem = problem.replace(name, f"{name}; kernels = mine")
        (tmp_path / "my_problem.py").write_text(f"import mine\n{problem}")
        kernels = TEMPLATE.with_name("template_kernels.py").read_text()
        assert edit[0] in kernels
        (tmp_path / "mine.py").write_text(kernels.replace(*edit))
        with pytest.raises(Exception) as raised:
            cls = load_problem(tmp_path / "my_problem.py")
            problem = cls(cls.admit(small_regression()))
            full_losses(problem).inner_value(*problem.initial_point())
            full_losses(problem).grad(*problem.initial_point())
        line = line_of(raised.value)
        assert str(tmp_path / "mine.py") in line and "\n" not in line
        return line

    return said


@pytest.mark.parametrize(
    "edit, words",
    [
        (("self.penalties(x), empty", "self.penaltis(x), empty"), "'penaltis' of type"),
        (("total = 0.0", "total = 'a'"), "there is no iadd(Literal[str](a), float64)"),
        (("def cross(", "def cros("), "RidgeInner has no method cross"),
        (("make_inner, ", "made, "), "has no make_inner, as in make_inner ="),
    ],
)
def test_a_mistake_in_kernels_is_a_line(line_of_kernels, edit, words):
    assert words in line_of_kernels(edit)


def test_a_loop_of_kernels_that_is_too_long(line_of_kernels, monkeypatch):
    """Where bounds are checked, as they are by `check`."""
    monkeypatch.setattr(numba.config, "BOUNDSCHECK", 1)
    line = line_of_kernels(("range(z.size):", "range(z.size + 1):"))
    assert "reads or writes beyond the end of an array" in line
