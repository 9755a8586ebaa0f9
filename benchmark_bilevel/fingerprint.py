"""What a cached result or a cached compilation depends on besides its own file.

benchopt's result cache and numba's compilation cache each look at one source file
only: an edit in a helper would be answered with stale results or stale machine
code. Both are therefore keyed by the fingerprint of the whole package.
"""

import hashlib
from functools import cache
from importlib.metadata import version
from pathlib import Path

from numba import njit

from benchmark_bilevel.numba_cache import keep
from benchmark_bilevel.numba_linking import LinkedCompiler
from benchmark_bilevel.plugin_files import digest

PACKAGE = Path(__file__).parent
LIBRARIES = ("numba", "numpy", "torch")
# No number of a result comes from these folders and files.
UNRELATED = {"report", "search", "verification", "__main__.py", "terminal.py"}

# No "nnan" and "ninf" among the flags: a diverging run has to show as NaN or inf.
FAST = {
    "fastmath": {"reassoc", "contract", "arcp", "nsz"},
    "error_model": "numpy",
    "no_cfunc_wrapper": True,  # for callbacks of C, which nothing here is
}
# For the pieces of an iteration, which compiled code alone calls.
PIECE = {**FAST, "no_cpython_wrapper": True, "pipeline_class": LinkedCompiler}
# A call takes longer than the work of a small piece, and numba counts the references of
# its arguments (atomically, 6 ns each) unless it is inlined.
INLINED = {**FAST, "forceinline": True}
INLINED_PIECE = {**PIECE, "forceinline": True}


@cache
def fingerprint():
    """Hexadecimal digest of the package's sources and of the libraries' versions."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE)
        if name.parts[0] not in UNRELATED:
            digest.update(name.as_posix().encode() + path.read_bytes())
    for library in LIBRARIES:
        digest.update(f"{library}=={version(library)}".encode())
    return digest.hexdigest()[:16]


def cached_njit(function, options=FAST):
    """``numba.njit`` with a disk cache that any edit in the package invalidates.

    So does an edit in a plugin's file, or in what it imports from its own folder. Numba
    names the cache file after the qualified name, so the fingerprints go there.
    """
    function.__qualname__ += (
        f"-{fingerprint()}{_edition(function.__code__.co_filename)}"
    )
    return keep(njit(**options)(function))


def edition_of(kernels):
    """What tells a module of kernels from others, and from itself before an edit.

    It belongs into the name of all that is compiled for them: a plugin's kernels may have
    the name of another's.
    """
    return kernels.__name__ + _edition(getattr(kernels, "__file__", None) or "")


def _edition(file):
    """Of a file outside the package, which the fingerprint does not know."""
    path = Path(file)
    return f"-{digest(path)}" if path.is_file() and PACKAGE not in path.parents else ""
