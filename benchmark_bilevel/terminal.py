"""What benchopt prints: one line for an error, and progress that fits the terminal.

numba answers a misspelt name with a hundred lines and benchopt prints tracebacks; the
environment variable BENCHMARK_BILEVEL_TRACEBACK brings them back.
"""

import os
import re
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import click
from benchopt import BaseDataset, BaseSolver
from benchopt import benchmark as benchmarks
from benchopt.utils import dynamic_modules, pdb_helpers, terminal_output

from benchmark_bilevel import fingerprint
from benchmark_bilevel.faults import TRACEBACK_VARIABLE, line_of
from benchmark_bilevel.notices import Fault
from benchmark_bilevel.plugin_files import digest, imports_beside

# From benchopt's name of a folder to what each plugin in it defines.
_PLUGINS = {"solvers": ("Solver", BaseSolver), "datasets": ("Dataset", BaseDataset)}
_printed = set()
_files = {}  # of plugins, by benchmark, folder and name
_loaded = {}  # by path: a plugin's module, and the digest of what was imported
_print_normalize = terminal_output.print_normalize
_load = dynamic_modules._get_module_from_file
_describe = dynamic_modules._set_cls_attr_from_ast


def tame():
    """Put what is here in the place of what benchopt prints, in this process."""
    terminal_output.print_normalize = print_fitting
    terminal_output.TerminalOutput.__getstate__ = state_of
    fingerprint.digest = digest_when_loaded
    benchmarks._prepare_one = prepare_one
    dynamic_modules._get_module_from_file = load_plugin
    dynamic_modules._set_cls_attr_from_ast = describe
    if not os.environ.get(TRACEBACK_VARIABLE):
        # There benchopt goes on to the next cell, and here to the next plugin.
        pdb_helpers.traceback = SimpleNamespace(print_exc=print_line)
        dynamic_modules.traceback = SimpleNamespace(
            format_exc=lambda **_: line_of(sys.exception()),
            format_exception=lambda kind, error, *_, **__: [line_of(error)],
        )
        if click.get_current_context(silent=True):  # at a command line, not in a script
            sys.excepthook = print_error


def state_of(terminal):
    """The attributes of benchopt's terminal, with copies of what it counts.

    joblib pickles it in a thread of its own; were the main thread to count a cell
    meanwhile, "dictionary changed size during iteration" would end the whole run.
    """
    state = vars(terminal).copy()
    return state | {k: v.copy() for k, v in state.items() if isinstance(v, dict)}


def print_error(_, error, __):
    """As `sys.excepthook`, in a line."""
    click.echo(line_and_cause(error), err=True)


def line_and_cause(error):
    """The line of `error`, and what stands behind it where loky says it in a text."""
    line, cause = line_of(error), error.__cause__
    if type(cause).__name__ == "_RemoteTraceback":
        reason = str(cause).strip('"\n').rpartition("\n")[2]
        # Of an error in a worker it is the same.
        line += f"; {reason}" if str(error) not in reason else ""
    return line


def print_line():
    """Print the line of the current error, unless it has been printed."""
    line = line_of(sys.exception())
    if line not in _printed:
        _printed.add(line)
        click.echo(line, err=True)


def prepare_one(benchmark, dataset, force=False):
    """As benchopt's, but Ctrl-C ends it, and what was fetched once is looked for.

    benchopt's cache of preparations knows neither where data are nor whether they still
    are there; a data set's own `prepare` does.
    """
    print(f"Preparing {dataset} ...", end=" ", flush=True)
    try:
        BaseDataset._prepare(dataset, base_seed=benchmark.seed)
    except Exception as error:  # of whatever a data set raises; the others go on
        print("FAILED")
        pdb_helpers.traceback.print_exc()
        return str(dataset), error
    print("done")
    return str(dataset), None


def print_fitting(message, endline=True, verbose=True):
    """As benchopt's; a line that the next one overwrites is cut to fit the terminal.

    In a file or a pipe none is overwritten: only what takes long is told there.
    """
    if not endline and sys.stdout.isatty():
        message = _cut(message, shutil.get_terminal_size((100, 24)).columns)
    elif not endline:
        endline, verbose = True, verbose and " compiling " in message
    _print_normalize(message, endline, verbose)


def _cut(message, columns):
    """`message` with the end of its coloured name left out where it is too long."""
    excess = len(re.sub(r"\033\[[\d;]*m", "", message)) - columns
    name, end, progress = message.partition(":\033[0m")
    return f"{name[: -excess - 1]}…{end}{progress}" if excess > 0 else message


def load_plugin(file, benchmark, subpkg=None):
    """As benchopt's; a file that calls sys.exit, or has no such class, ends nothing."""
    path = Path(file).resolve()
    edition = digest(path)
    try:
        with imports_beside(file) if subpkg in _PLUGINS else nullcontext():
            module = _load(file, benchmark, subpkg)
    except SystemExit:
        raise Fault(f"{file} calls sys.exit when it is imported") from None
    if _loaded.get(path, (None, None))[0] is not module:
        _loaded[path] = module, edition
    name, base = _PLUGINS.get(subpkg, (None, object))
    found = getattr(module, name, base) if name else base
    if not (isinstance(found, type) and issubclass(found, base)):
        raise Fault(f"{file}: {name} is no class derived from {base.__name__}")
    if name:
        called = getattr(found, "name", None)
        other = _files.setdefault((benchmark, subpkg, called), path)
        if other != path and other.exists():
            raise Fault(
                f"{file}: it is called {called}, as {other} is, and results would not "
                "tell the two apart: give it another name"
            )
    return module


def digest_when_loaded(path):
    """`plugin_files.digest` of a file, that of its import if it has been loaded.

    numba compiles what was imported, whatever has become of the file since.
    """
    _, edition = _loaded.get(Path(path).resolve(), (None, None))
    return edition or digest(path)


def describe(file, base, namespace):
    """As benchopt's, of a file that cannot be imported; at least its name is known."""
    try:
        _describe(file, base, namespace)
    except Exception:  # of whatever is in the file; why it fails is told elsewhere
        namespace |= {"name": file.stem, "_base_class_name": base._base_class_name}
    parameters = namespace.get("parameters")
    if not isinstance(parameters, dict) or not all(
        isinstance(n, str) for n in parameters
    ):
        namespace["parameters"] = {}
