"""The clone as any benchopt benchmark: with benchopt alone, from any folder, archived.

`pip install` is done by links: an environment sees those distributions of this one that
pip would install for the same names, and no others.
"""

import shutil
import sys
import tarfile
import tomllib
import venv
from importlib.metadata import distribution

import pandas as pd
import pytest
import yaml
from benchopt.benchmark import Benchmark
from benchopt.utils.conda_env_cmd import get_env_file_from_requirements
from command_line import command
from conftest import ROOT, copy_of_the_benchmark
from packaging.requirements import Requirement

CELLS = (
    *("-d", "breast_cancer", "-s", "SOBA[max_iterations=20]", "-r", "2"),
    *("-o", "Bilevel[problem=hyperparameter-selection]", "--no-display"),
)
NOT_IN_A_CLONE = ("__cache__", "build", "data", "outputs", "tests")


def distributions(*requirements):
    """Names of all distributions that pip installs for `requirements`."""
    found, pending = set(), [(Requirement(text), "") for text in requirements]
    while pending:
        requirement, extra = pending.pop()
        marker = requirement.marker
        if marker and not marker.evaluate({"extra": extra}):
            continue
        for extra in requirement.extras or [""]:
            if (requirement.name, extra) not in found:
                found.add((requirement.name, extra))
                own = distribution(requirement.name).requires or ()
                pending += [(Requirement(text), extra) for text in own]
    return {name for name, _ in found}


class Environment:
    """A virtual environment, empty at first."""

    def __init__(self, folder):
        venv.create(folder, symlinks=True)
        self.bin = folder / "bin"
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        self.packages = folder / "lib" / version / "site-packages"
        self.elsewhere = folder / "elsewhere"
        self.elsewhere.mkdir()

    def install(self, *requirements):
        for name in distributions(*requirements):
            installed = distribution(name)
            tops = {file.parts[0] for file in installed.files} - {"..", "__pycache__"}
            for top in tops:
                link = self.packages / top
                if not link.exists():
                    link.symlink_to(installed.locate_file(top))

    def python(self, *arguments, check=True, **environment):
        """Exit code and lines of this environment's Python, in no benchmark's folder."""
        return command(
            *(self.bin / "python", *arguments),
            folder=self.elsewhere,
            check=check,
            PATH=f"{self.bin}:/usr/bin:/bin",
            PYTHONPATH="",
            NUMBA_CACHE_DIR=str(self.bin.parent / "numba"),
            **environment,
        )

    def benchopt(self, *arguments, **options):
        _, lines = self.python("-m", "benchopt", *arguments, **options)
        assert not [line for line in lines if "Traceback" in line], "\n".join(lines)
        return lines

    def run(self, folder, *arguments):
        """Metrics of a small run of the benchmark in `folder`, which makes a page too."""
        self.benchopt("run", folder, *CELLS, "--output", "small", *arguments)
        file = folder / "outputs" / "small.parquet"
        pages = list(file.parent.glob("*small.html"))
        assert pages
        results = pd.read_parquet(file).sort_values(["idx_rep", "stop_val"])
        for written in (file, *pages):
            written.unlink()
        assert set(results["idx_rep"]) == {0, 1}
        metrics = results.filter(like="objective_").reset_index(drop=True)
        assert metrics["objective_suboptimality"].notna().all()
        return metrics


def copy_of_the_clone(folder):
    """The files of a fresh clone that a user needs, in `folder`."""
    folder.mkdir(parents=True)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, folder)
        elif path.name not in NOT_IN_A_CLONE and path.name[0] != ".":
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(path, folder / path.name, ignore=ignored)
    return folder


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return copy_of_the_clone(tmp_path_factory.mktemp("clones") / "benchmark_bilevel")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """With what `pip install benchopt torch` brings."""
    environment = Environment(tmp_path_factory.mktemp("environment"))
    environment.install("benchopt", "torch")
    return environment


def test_a_clone_is_a_benchopt_benchmark(clone, environment, tmp_path):
    """From nothing but benchopt to the run of the unpacked archive."""
    code, _ = environment.python("-c", "import numba", check=False)
    assert code != 0, "an environment with more than benchopt proves nothing"
    lines = environment.benchopt("info", clone)
    for names in (
        Benchmark(ROOT).get_solver_names(),
        Benchmark(ROOT).get_dataset_names(),
    ):
        assert ", ".join(names) in lines

    environment.benchopt("archive", clone)
    code, lines = environment.python("-m", "benchopt", "run", clone, check=False)
    assert code == 1
    assert "numba" in lines[-1] and f"`pip install {clone}`" in lines[-1]
    assert not [line for line in lines if "Traceback" in line]

    environment.install(*pip_requirements(), "pytest")
    metrics = environment.run(clone, "-j", "2")
    assert len(metrics) > 10
    assert environment.benchopt("prepare", clone, "-d", "breast_cancer")[-1].startswith(
        "Summary: 1/1"
    )
    lines = environment.benchopt("test", clone, "--skip-install", "-k", "Random")
    assert "passed" in lines[-1] and "failed" not in lines[-1]

    clone.rename(clone.with_name("original"))
    with tarfile.open(environment.elsewhere / "benchmark_bilevel.tar.gz") as archive:
        archive.extractall(clone.parent, filter="data")
    assert not (clone / "outputs").exists()
    pd.testing.assert_frame_equal(environment.run(clone), metrics)


def pip_requirements():
    """What benchopt hands to pip, inside conda, for the benchmark."""
    requirements = Benchmark(ROOT).get_benchmark_objective().requirements
    asked = yaml.safe_load(get_env_file_from_requirements(requirements))
    conda, pip = asked["dependencies"]
    assert conda == "pip", "all of it comes from one place"
    return pip["pip"]


def test_requirements_are_the_dependencies():
    """The literal list in objective.py is that of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {Requirement(text).name for text in project["dependencies"]}
    assert set(pip_requirements()) == names - {"benchopt"}


def test_installed_package_without_clone(environment, tmp_path):
    """`pip install DIR`, and plugins in a folder that has no package."""
    environment.install(*pip_requirements())
    arguments = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation")
    source = copy_of_the_clone(tmp_path / "source")
    command(sys.executable, *arguments, "--target", environment.packages, source)
    environment.run(copy_of_the_benchmark(tmp_path))
