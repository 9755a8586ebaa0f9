"""The caches of results and of compiled code: what they are keyed by, what they survive."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from types import FunctionType

import numba
import pytest
from benchopt.benchmark import Benchmark
from benchopt.utils import dynamic_modules
from command_line import command, run, status_lines
from conftest import ROOT, copy_of_the_benchmark

from benchmark_bilevel import fingerprint, numba_cache, plugin_files
from benchmark_bilevel.fingerprint import cached_njit
from benchmark_bilevel.notices import Fault
from benchmark_bilevel.problems import load_problem
from benchmark_bilevel.problems.quadratic.problem import random_quadratic
from benchmark_bilevel.terminal import digest_when_loaded, load_plugin, tame


def write(folder, **texts):
    """Files in `folder`, from their names without the suffix."""
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(text))


# --- what stands beside a plugin ------------------------------------------------------


def test_files_beside_a_plugin_are_found_by_its_text(tmp_path):
    package = tmp_path / "tools"
    (package / "deep").mkdir(parents=True)
    write(package, __init__="", near="from .deep import far", unused="")
    write(package / "deep", __init__="from .. import near", far="")
    write(
        tmp_path,
        plugin="""
            import numpy, helper
            import tools.near
            from data import a as b  # no such file

            class Dataset:
                data_files = ["mine.csv", "images", "absent.csv"]

                def get_data(self):
                    global helper
                    from late import later
        """,
        helper="import plugin",
        late="def later(",  # not Python
        other="",
    )
    (tmp_path / "mine.csv").touch()
    (tmp_path / "images" / "train").mkdir(parents=True)
    (tmp_path / "images" / "train" / "0.png").touch()
    found = {
        file.relative_to(tmp_path).as_posix()
        for file in plugin_files.beside(tmp_path / "plugin.py")
    }
    assert found == {
        *("helper.py", "late.py", "mine.csv", "images/train/0.png", "absent.csv"),
        *("tools/__init__.py", "tools/near.py"),
        *("tools/deep/__init__.py", "tools/deep/far.py"),
    }


def test_changes_beside_a_plugin_show_while_a_process_lives(tmp_path):
    """What was found is remembered: an edit, a new file and a lost one undo that."""
    write(tmp_path, plugin="import helper, late", helper="")
    plugin, late = tmp_path / "plugin.py", tmp_path / "late.py"
    digests = []

    def found(second):
        # The clock of a file system may stand still between two writes.
        os.utime(tmp_path, (second, second))
        digests.append(plugin_files.digest(plugin))
        return [file.stem for file in plugin_files.beside(plugin)]

    assert found(1) == ["helper"]
    write(tmp_path, late="")
    assert found(2) == ["helper", "late"]
    write(tmp_path, late="from deeper import well", deeper="")
    assert found(3) == ["deeper", "helper", "late"]
    late.unlink()
    assert found(4) == ["helper"]
    assert digests[3] == digests[0] and len(set(digests)) == 3


def test_plugin_without_files_beside_keeps_benchopts_hash(tmp_path):
    assert dynamic_modules.get_file_hash is plugin_files.digest
    write(tmp_path, plugin="import numpy")
    path = tmp_path / "plugin.py"
    assert plugin_files.digest(path) == hashlib.md5(path.read_bytes()).hexdigest()


def test_data_files_that_are_no_literal_are_named(tmp_path, capsys):
    write(tmp_path, plugin="class Dataset:\n    data_files = NAMES")
    assert plugin_files.beside(tmp_path / "plugin.py") == []
    said = capsys.readouterr().err
    assert said.startswith(
        f"{tmp_path / 'plugin.py'}: data_files has to be a literal list"
    )


SOLVER = """
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parent))

    from benchmark_bilevel.methods import descend, zeros_like
    from benchmark_bilevel.solver import BilevelSolver
    from factor_of_step import factor


    class Solver(BilevelSolver):
        name = "scaled"
        parameters = {"momentum": [0.5]}

        @staticmethod
        def init(inner, outer, z, x):
            return z, x

        @staticmethod
        def step(inner, outer, state, steps, t):
            z, x = state
            descend(z, factor() * steps.inner, inner.grad(z, x, inner.draw()))
"""
FACTOR = """
    from numba.extending import register_jitable


    @register_jitable
    def factor():
        return {}
"""
DATASET = """
    from pathlib import Path

    from benchopt import BaseDataset

    from benchmark_bilevel.problems.quadratic.problem import random_quadratic


    class Dataset(BaseDataset):
        name = "mine"
        data_files = ["seed.txt"]

        def get_data(self):
            seed = int(Path(__file__).with_name("seed.txt").read_text())
            return random_quadratic(n_samples=64, n_outer_samples=64, seed=seed)
"""


def test_results_depend_on_the_files_beside_plugins(tmp_path):
    """A solver's helper and a data set's file; compiled code follows the helper too."""
    benchmark = copy_of_the_benchmark(tmp_path)
    write(tmp_path, scaled=SOLVER, factor_of_step=FACTOR.format(0.5), mine=DATASET)
    (tmp_path / "seed.txt").write_text("1")

    def result(name, *arguments):
        lines, results = run(
            benchmark,
            name,
            *arguments,
            *("-s", f"{tmp_path / 'scaled.py'}[max_iterations=5]"),
            *("-d", str(tmp_path / "mine.py"), "-o", "Bilevel[problem=quadratic]"),
        )
        return (
            "cached" in status_lines(lines)[0],
            results["objective_value"].iloc[0],
            (results["objective_inner_loss"].iloc[-1]),
        )

    cached, value, loss = result("first", "-j", "2")  # keyed by a worker
    assert not cached
    assert result("unchanged") == (True, value, loss)
    write(tmp_path, factor_of_step=FACTOR.format(0.25))
    cached, same_value, other_loss = result("helper")
    assert not cached
    assert same_value == value
    assert other_loss != loss, "the old machine code"
    (tmp_path / "seed.txt").write_text("2")
    cached, other_value, _ = result("data")
    assert not cached
    assert other_value != value


# --- numba's cache on disk ------------------------------------------------------------


@pytest.fixture
def numba_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path / "numba"))
    return tmp_path / "numba"


def load_twice(x):
    return 2 * x


def compiled():
    """`load_twice`, compiled as in a new process."""
    own = FunctionType(load_twice.__code__, load_twice.__globals__, "load_twice")
    return cached_njit(own)


def hits(function):
    return sum(function.stats.cache_hits.values())


def test_what_is_kept_is_loaded(numba_folder):
    assert compiled()(1.5) == 3.0
    second = compiled()
    assert second(1.5) == 3.0
    assert hits(second) == 1


DAMAGES = {
    "empty": lambda content: b"",
    "half": lambda content: content[: len(content) // 2],
    "end": lambda content: content[:-40] + bytes(b ^ 0x55 for b in content[-40:]),
    "other pickle": lambda content: b"\x80\x04]q\x00.",
    "machine code": lambda content: content.replace(b"ELF", b"FLE"),
}


@pytest.mark.parametrize(
    "kind, damage",
    [*(("nbc", name) for name in DAMAGES), *(("nbi", name) for name in [*DAMAGES][:4])],
)
def test_damaged_files_are_compiled_anew_and_mended(numba_folder, kind, damage):
    compiled()(1.5)
    (path,) = numba_folder.rglob(f"*.{kind}")
    content = path.read_bytes()
    path.write_bytes(DAMAGES[damage](content))
    assert path.read_bytes() != content
    second = compiled()
    assert second(1.5) == 3.0
    assert hits(second) == 0
    third = compiled()
    assert third(1.5) == 3.0
    assert hits(third) == 1


def test_two_processes_that_save_at_once_do_not_mix_their_code(numba_folder):
    """Both read the index before the other writes it."""
    files = [numba_cache._Files(str(numba_folder), "f", "stamp") for _ in range(2)]
    numba_folder.mkdir()
    for file in files:
        file._load_index = dict
    files[0].save("float", b"code for floats")
    files[1].save("int", b"code for integers")
    for file in files:
        del file._load_index
    found = {key: files[0].load(key) for key in ("float", "int")}
    assert found == {"float": None, "int": b"code for integers"}
    names = {path.name for path in numba_folder.glob("*.nbc")}
    assert len(names) == 2


def test_a_full_disk_costs_the_next_compilation_only(numba_folder):
    program = """
        import resource, sys
        sys.path.insert(0, "tests")
        import test_caches
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        print(test_caches.compiled()(1.5))
    """
    _, lines = command(
        *(sys.executable, "-c", textwrap.dedent(program)),
        folder=ROOT,
        NUMBA_CACHE_DIR=str(numba_folder),
    )
    assert lines[0] == "3.0"
    said = [line for line in lines if line.startswith("Compiled code cannot be kept")]
    assert len(said) == 1 and "NUMBA_CACHE_DIR" in said[0], lines
    assert not list(numba_folder.rglob("*.tmp.*"))


def test_no_folder_at_all(monkeypatch, capsys):
    monkeypatch.setattr(numba_cache._Implementation, "_locator_classes", ())
    assert compiled()(1.5) == 3.0
    assert "NUMBA_CACHE_DIR names a folder" in capsys.readouterr().err


def test_the_last_resort_is_private(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    locators = (numba_cache.TemporaryLocator,)
    monkeypatch.setattr(numba_cache._Implementation, "_locator_classes", locators)
    assert compiled()(1.5) == 3.0
    (folder,) = tmp_path.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    second = compiled()
    assert second(1.5) == 3.0 and hits(second) == 1
    folder.chmod(0o770)  # others may have written machine code into it
    third = compiled()
    assert third(1.5) == 3.0 and hits(third) == 0


# --- kernels of one's own -------------------------------------------------------------

GRADIENTS = """
    import sys
    import numpy as np
    from sklearn.datasets import load_diabetes
    from benchmark_bilevel.exact.losses import AutogradLosses, full_losses
    from benchmark_bilevel.problems import load_problem

    X, y = load_diabetes(return_X_y=True)
    for path in sys.argv[1:]:
        cls = load_problem(path)
        problem = cls(cls.admit({"X_train": X, "y_train": y}))
        point = problem.initial_point()
        right = AutogradLosses(problem).grad(*point)
        print(np.mean(full_losses(problem).grad(*point) / right).round(9))
"""


def problem_with_kernels(folder, factor):
    """Its path; the gradient of its kernels is `factor` times the right one."""
    folder.mkdir(exist_ok=True)
    problems = ROOT / "benchmark_bilevel" / "problems"
    kernels = (problems / "template_kernels.py").read_text()
    problem = (problems / "template_problem.py").read_text()
    residual, name = "self.weight * (s[k] - y[k])", 'name = "ridge-selection"'
    assert residual in kernels and name in problem
    kernels = kernels.replace(residual, f"{factor} * {residual}")
    problem = problem.replace(name, f"{name}\n    kernels = my_kernels")
    write(folder, my_kernels=kernels, mine=f"import my_kernels\n{problem}")
    return folder / "mine.py"


def test_compiled_code_follows_the_kernels_of_a_problem(tmp_path):
    """Other folders' of the same name in the same process, edited ones in the next."""

    def factors(*paths):
        _, lines = command(
            *(sys.executable, "-c", textwrap.dedent(GRADIENTS), *paths),
            folder=tmp_path,
            NUMBA_CACHE_DIR=str(tmp_path / "numba"),
        )
        return [float(line) for line in lines]

    one = problem_with_kernels(tmp_path / "one", 1.0)
    three = problem_with_kernels(tmp_path / "three", 3.0)
    assert factors(one, three) == [1.0, 3.0]
    problem_with_kernels(tmp_path / "one", 2.0)
    assert factors(one, three) == [2.0, 3.0]


def test_a_file_beside_a_plugin_with_the_name_of_a_library(tmp_path):
    write(tmp_path, numpy="", mine="import numpy")
    with pytest.raises(
        Fault, match=r"numpy.py has the name of another module, .*numpy"
    ):
        load_problem(tmp_path / "mine.py")


def test_compiled_code_has_the_name_of_what_was_imported(tmp_path):
    """A file that is edited before its first cell is compiled as it was."""
    tame()
    path = shutil.copy(ROOT / "solvers" / "soba.py", tmp_path)
    load_plugin(path, tmp_path, "solvers")
    before = fingerprint._edition(path)
    with open(path, "a") as file:
        file.write("# edited")
    assert fingerprint._edition(path) == before == f"-{digest_when_loaded(path)}"
    assert plugin_files.digest(path) != digest_when_loaded(path)


# --- data -----------------------------------------------------------------------------


def test_results_depend_on_the_data(tmp_path):
    """Whatever they come from: their content is part of the key."""
    Objective = Benchmark(ROOT).get_benchmark_objective()

    def state(data):
        objective = Objective.get_instance(problem="quadratic")
        objective.set_data(**data)
        return objective._get_state()

    data = random_quadratic(n_samples=64, n_outer_samples=64)
    other = {**data, "r": data["r"] + 1e-9}
    assert state(data) == state({name: y.copy() for name, y in data.items()})
    assert state(data) != state(other)
    own = {**data, "what no pickle holds": lambda: None}
    assert state(own) != state(own)


# --- a benchmark that cannot be written -----------------------------------------------


def read_only(folder, *arguments, **environment):
    """Exit code and lines of a command that sees `folder` read-only."""
    text = " ".join(map(str, arguments))
    if os.getuid():
        os.chmod(folder, 0o555)
        return command("sh", "-c", text, check=False, **environment)
    mount = f"mount --bind {folder} {folder} && mount -o remount,ro,bind {folder}"
    probe = ["unshare", "-m", "sh", "-c", mount]
    if not shutil.which("unshare") or subprocess.run(probe).returncode:
        pytest.skip("root can write everything, and may not mount here")
    return command(
        *("unshare", "-m", "sh", "-c", f"{mount} && {text}"), check=False, **environment
    )


def test_read_only_benchmark(tmp_path):
    benchmark = copy_of_the_benchmark(tmp_path)
    arguments = (
        *(sys.executable, "-m", "benchopt", "run", benchmark, "-d", "quadratic"),
        *("-s", "SOBA[max_iterations=5]", "--no-plot"),
    )
    environment = {"TMPDIR": str(tmp_path)}
    code, lines = read_only(benchmark, *arguments, **environment)
    assert code == 2
    assert lines[-1] == (
        f"Error: {benchmark / 'outputs'} cannot be written: name the file of the "
        "results, as in --output /FOLDER/NAME.parquet --no-plot."
    )
    file = tmp_path / "mine.parquet"
    code, lines = read_only(benchmark, *arguments, "--output", file, **environment)
    assert code == 0, lines
    assert file.exists()
    said = [line for line in lines if "BENCHOPT_CACHE names another folder" in line]
    assert len(said) == 1 and str(tmp_path) in said[0]


def test_no_reference_is_searched_where_it_cannot_be_kept(tmp_path):
    """Hours later would be too late to say so."""
    benchmark = copy_of_the_benchmark(tmp_path)
    tool = (sys.executable, "-m", "benchmark_bilevel", "reference")
    code, lines = read_only(
        benchmark, *tool, "-d", "quadratic", "--benchmark", benchmark
    )
    assert code == 1
    assert lines[-1] == f"Error: {benchmark} is read-only: references are kept there."
