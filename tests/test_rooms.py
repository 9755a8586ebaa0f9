"""The rooms of the package: no import goes upward."""

import ast
from pathlib import Path

import pytest
from conftest import ROOT

import benchmark_bilevel

PACKAGE = Path(benchmark_bilevel.__file__).parent
# From the ground up; a room imports from the rooms before it and from itself.
ROOMS = (
    "version",
    "notices",
    "folders",
    "plugin_files",
    "prerequisites",
    "numba_cache",
    "numba_linking",
    "workers",
    "fingerprint",
    "provenance",
    "parameters",
    "data",
    "methods",
    "compiled",
    "oracles",
    "faults",
    "terminal",
    "ends",
    "points",
    "runtimes",
    "needs",
    "solver",
    "exact",
    "exact_solver",
    "problems",
    "search",
    "verification",
    "report",
    "__main__",
)


def imports(path):
    """Rooms that the module at `path` imports from."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            module = [node.module] if node.module else []
            if node.level:  # relative to the folder, or to one above it
                above = path.relative_to(PACKAGE.parent).parts[: -node.level]
                module = [*above, *module]
            names = [".".join([*module, alias.name]) for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "benchmark_bilevel" and parts[1:2] and parts[1] in ROOMS:
                yield parts[1]


def test_no_import_goes_upward():
    rooms = {p.stem if p.suffix else p.name for p in PACKAGE.iterdir()}
    assert rooms - set(ROOMS) <= {"__init__", "__pycache__"}
    upward = {
        f"{path.relative_to(PACKAGE)} imports {room}"
        for path in PACKAGE.rglob("*.py")
        for room in imports(path)
        if path.name != "__init__.py" or path.parent != PACKAGE
        if ROOMS.index(room)
        > ROOMS.index(path.relative_to(PACKAGE).with_suffix("").parts[0])
    }
    assert not upward


PLUGINS = [
    *(ROOT / "solvers").glob("*.py"),
    *(ROOT / "datasets").glob("*.py"),
    ROOT / "objective.py",
]


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: path.name)
def test_plugins_are_known_where_nothing_is_installed(path):
    """benchopt reads these attributes from the text where imports fail."""
    for definition in ast.parse(path.read_text()).body:
        for line in getattr(definition, "body", ()):
            if isinstance(line, ast.Assign) and line.targets[0].id in (
                *("name", "parameters", "requirements", "test_config"),
            ):
                ast.literal_eval(line.value)
