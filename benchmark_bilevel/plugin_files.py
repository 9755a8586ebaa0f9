"""Files that belong to the benchmark or to a plugin without benchopt's knowing of them.

benchopt keys a cached result by the plugin's own file, and archives little more than the
plugins. Importing this module, as ``objective.py`` does in every process, makes the files
`beside` a plugin part of the key and the package part of the archive.
"""

import ast
import hashlib
import os
import sys
import threading
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from benchopt.cli import helpers
from benchopt.utils import dynamic_modules

from benchmark_bilevel.notices import Fault, say_once

# In Python 3.11, threads that take turns in `ast.parse` confuse it; dask has several.
_parsing = threading.Lock()
# What a run needs, or `make`, beside what benchopt archives by itself.
ARCHIVED = (
    "benchmark_bilevel",
    "plots/*.py",
    "config",
    "test_config.py",
    "pyproject.toml",
    "constraints.txt",
    "Makefile",
    "LICENSE",
)


def digest(path):
    """MD5 of the file of a plugin and of the files `beside` it.

    Without any it is the hash of the file alone, as benchopt computes it.
    """
    md5 = hashlib.md5(Path(path).read_bytes())
    for file in beside(path):
        md5.update(os.path.relpath(file, Path(path).parent).encode())
        md5.update(_content_digest(file, _stamp(file)))
    return md5.hexdigest()


def beside(path):
    """Files that the plugin at `path` depends on in its own folder, sorted.

    They are the modules which it imports from there, directly or through each other, and
    what it declares: ``data_files = ["mine.csv", …]`` in a class, a literal list of
    files or folders, relative to the plugin's folder.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    list of Path
        Also of declared files that do not exist.
    """
    path = Path(path).resolve()
    files, stamps = _known.get(path, ([], {path: None}))
    # New files show in the stamps of folders.
    if any(_stamp(place) != stamp for place, stamp in stamps.items()):
        files = sorted(_found_beside(path))
        places = {place for file in (path, *files) for place in (file, file.parent)}
        _known[path] = files, {place: _stamp(place) for place in places}
    return files


# By path: the files beside it, and the stamps of all of them and of their folders. A run
# of benchopt asks for the hash of the objective, which imports the package, five times a
# cell.
_known = {}


@contextmanager
def imports_beside(path):
    """Let the plugin at `path` import what lies beside it, not what lies beside another."""
    path = Path(path).resolve()
    for file in beside(path):
        if file.suffix != ".py" or path.parent not in file.parents:
            continue  # data
        place = file.relative_to(path.parent)
        name = ".".join(place.with_suffix("").parts).removesuffix(".__init__")
        loaded = getattr(sys.modules.get(name), "__file__", None)
        if loaded is None or Path(loaded).resolve() == file:
            continue
        if not any(folder / place == Path(loaded).resolve() for folder in _folders):
            raise Fault(f"{file} has the name of another module, {loaded}: rename it")
        del sys.modules[name]
    _folders.add(path.parent)
    sys.path.insert(0, str(path.parent))
    try:
        yield
    finally:
        sys.path.remove(str(path.parent))


_folders = set()  # of the plugins that have been imported


def _found_beside(path):
    """As `beside`, from the texts."""
    found, pending, names = set(), [path], set()
    while pending:
        new = set(_names_in(pending.pop(), path.parent)) - names
        names |= new
        imported = {file for name in new for file in _modules(*name)} - found - {path}
        found |= imported
        pending += imported
    for name in _declared(path):
        file = path.parent / name
        found |= set(filter(Path.is_file, file.rglob("*"))) if file.is_dir() else {file}
    return found


def _names_in(module, folder):
    """(folder to look in, parts of the name) of each import in the file `module`."""
    for node in ast.walk(_parse(module)):
        if isinstance(node, ast.Import):
            names = [(folder, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            start = folder
            if node.level:
                start = module.parents[min(node.level, len(module.parents)) - 1]
            base = f"{node.module}." if node.module else ""
            names = [(start, base + alias.name) for alias in node.names]
        else:
            continue
        yield from ((start, tuple(name.split("."))) for start, name in names)


def _modules(folder, parts):
    """Files in `folder` that importing a name loads, if they are there."""
    for part in parts:
        yield from filter(
            Path.is_file, (folder / f"{part}.py", folder / part / "__init__.py")
        )
        folder /= part
        if not folder.is_dir():
            break


def _declared(path):
    """The literal ``data_files`` of the classes in a module."""
    for node in _parse(path).body:
        for line in node.body if isinstance(node, ast.ClassDef) else ():
            targets = line.targets if isinstance(line, ast.Assign) else ()
            if any(isinstance(t, ast.Name) and t.id == "data_files" for t in targets):
                yield from _names(line.value, path)


def _names(node, path):
    try:
        names = ast.literal_eval(node)
        if not all(isinstance(name, str) for name in names) or isinstance(names, str):
            raise ValueError
    except (TypeError, ValueError):
        say_once(
            f"{path}: data_files has to be a literal list of names, such as "
            '["mine.csv"]; as it stands, results are reused although the files change.'
        )
        return []
    return names


def _parse(path):
    """Syntax tree of a module; an empty one where importing it says what is wrong."""
    try:
        with _parsing:
            return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])


def _stamp(file):
    """Time and size of `file`, by which its content is remembered; None without it."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


@lru_cache
def _content_digest(file, stamp):
    """SHA-256 of a file's content; data files can be large, and are asked for often."""
    if stamp is None:
        return b"absent"
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").digest()


helpers.ARCHIVE_ELEMENTS += [p for p in ARCHIVED if p not in helpers.ARCHIVE_ELEMENTS]
dynamic_modules.get_file_hash = digest
