"""A mistake in a plugin, said in one line: where it is, what it is, the nearest name."""

import difflib
import os
import re
import reprlib
import sys
import sysconfig
import traceback
from pathlib import Path

import click
from numba.core.ir import Loc

from benchmark_bilevel import methods, oracles
from benchmark_bilevel.methods.directions import KINDS

PACKAGE = Path(__file__).parent
TRACEBACK_VARIABLE = "BENCHMARK_BILEVEL_TRACEBACK"
_HINT = f" ({TRACEBACK_VARIABLE}=1 shows the traceback)"
# Whatever the contract names.
ORACLE_NAMES = sorted(set(re.findall(r"``\w+\.(\w+)", oracles.__doc__)))
_LIBRARIES = tuple(
    {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
)
# Lines of numba's messages that say where its own work failed, not what is wrong.
_NUMBA_WORKINGS = re.compile(
    r"Failed in|- Resolution failure|No implementation|There (is|are) \d+ cand|During:|"
    r">>>|- Of which|(Overload|Intrinsic|Generated) in|With argument|Rejected as|raised "
    r"from|None$|File|Type of variable|\^|<source elided>"
)
_NUMBA_PLACE = re.compile(r'File "([^"]+)", line (\d+)|(?:at|from) (\S+\.py) \((\d+)\)')
_VERBS = (
    "a direction may be None or of a type of its own: move a variable by descend(y, a, "
    "d), add by add(d, e), multiply by scale(d, a), make an array by as_variable(d, y)"
)
# What compiled code says where the environment has it check bounds.
_OUT_OF_BOUNDS = "index is out of bounds"
# Numba's own mistake with `y += d`, before it asks anyone else for the operator.
_NO_OPERATOR = "'NoneType' object has no attribute 'args'"
# What else there is to say than numba does, by patterns of its reasons.
_NUMBA_REASONS = {
    _NO_OPERATOR: "y += d, or the like, with a d that is no array",
    r"Overload of function '(\w+)': File: .*": r"\1 is not for such arguments",
    r"missing Environment.*": "print is for runtime=torch",
    r"Untyped global name '(\w+)': Cannot determine Numba type of <class 'function'>": (
        r"\1 is a function of Python; decorate it with numba.extending.register_jitable"
    ),
}


def line_of(error):
    """What `error` says, in one line: the author's file and line, the reason."""
    is_line = isinstance(error, click.ClickException)
    reason = error.message if is_line else _reason(error) + _HINT
    place = None if getattr(error, "is_placed", False) else _place(error)
    return f"{place}: {reason}" if place else reason


def nearest(name, names):
    """``"; the nearest name is 'x'"`` if one of `names` resembles `name`, else ``""``."""
    found = difflib.get_close_matches(name, [n for n in names if n[0] != "_"], 1)
    return f"; the nearest name is {found[0]!r}" if found else ""


def name_fault(name):
    """Why no plugin can be called `name`, in one line; None if one can."""
    if isinstance(name, str) and re.fullmatch(r"\w[\w .-]{,79}", name):
        return None
    return (
        f"the name {reprlib.repr(name)} could be neither selected nor the name of a "
        "file: use up to 80 letters, digits, spaces, '.', '-' and '_'"
    )


def location(function):
    """``"file, line n"`` of a function of a plugin."""
    return _location(function.__code__.co_filename, function.__code__.co_firstlineno)


def _place(error):
    """Where in the files of a user `error` was raised; None if in none."""
    if isinstance(error, SyntaxError) and error.filename:
        return _location(error.filename, error.lineno)
    frames = list(traceback.walk_tb(error.__traceback__))
    if _is_numba(error):
        # The innermost comes first in a text, last in a traceback.
        places = [filter(None, m.groups()) for m in _NUMBA_PLACE.finditer(str(error))]
        for frame, _ in reversed(frames):
            loc = getattr(frame.f_locals.get("self"), "loc", None)
            places += [(loc.filename, loc.line)] if isinstance(loc, Loc) else []
        for file, line in places:
            if is_users(file):
                return _location(str(Path(file).resolve()), line)
        return next(iter(getattr(error, "__notes__", [])), None)
    places = [(frame.f_code.co_filename, line) for frame, line in frames]
    users = [place for place in places if is_users(place[0])]
    if users:
        return _location(*users[-1])
    is_ours = places and Path(places[-1][0]).is_relative_to(PACKAGE)
    is_line = isinstance(error, click.ClickException)
    return _location(*places[-1]) if is_ours and not is_line else None


def is_users(file):
    """Whether `file` is a user's, neither this package's nor a library's."""
    path = Path(file).resolve()
    known = path.is_relative_to(PACKAGE) or str(path).startswith(_LIBRARIES)
    return path.suffix == ".py" and path.name != "objective.py" and not known


def _location(file, line):
    return f"{os.path.relpath(file) if _is_below(file) else file}, line {line}"


def _is_below(file):
    return Path(file).resolve().is_relative_to(Path.cwd())


def _is_numba(error):
    text = str(error)
    raised_by_code = text.startswith("missing Environment: ") or text == _OUT_OF_BOUNDS
    raised_by_type = type(error).__module__.startswith("numba.")
    return raised_by_code or raised_by_type or text == _NO_OPERATOR


def _reason(error):
    if isinstance(error, SystemExit):
        return "calls sys.exit, which would end all runs"
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    if text == _OUT_OF_BOUNDS:
        return "its compiled code reads or writes beyond the end of an array"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if _is_numba(error):
        return f"numba cannot compile this: {_numba_reason(lines)}{_suggestion(error)}"
    reason = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return reason + _suggestion(error)


def _numba_reason(lines):
    """The innermost reason among the lines of numba's message, its types shortened."""
    last = max((k for k, line in enumerate(lines) if "Failed in" in line), default=-1)
    raised = [line for line in lines if re.match(r"\w*(Error|Exception): ", line)]
    raised = [line for line in raised if "Failed in" not in line]
    others = [line for line in lines[last + 1 :] if not _NUMBA_WORKINGS.match(line)]
    calls = [line for line in lines[last + 1 :] if line.startswith(">>> ")]
    if calls and not raised:
        others = [f"there is no {calls[0].removeprefix('>>> ')}"]
    reason, before = (raised[-1:] or others[:1] or lines[:1])[0], None
    reason = re.sub(r"\.* Raised from .*", "", reason)
    reason = re.sub(r"numba\.([\w.]+)\.Type\(\(.*\)\)", r"\1", reason)
    for pattern, words in _NUMBA_REASONS.items():
        reason = re.sub(pattern, words, reason)
    while len(reason) > 200 and reason != before:  # the innermost parentheses first
        reason, before = re.sub(r"\([^()]*\)", "", reason), reason
    return reason if len(reason) <= 200 else f"{reason[:200]}…"


def _suggestion(error):
    """The nearest right name where `error` is about a wrong one, the right verbs."""
    if _is_numba(error):
        kinds = "|".join(kind.__name__ for kind in KINDS)
        pattern = rf"{_NO_OPERATOR}|\b({kinds})\(|[(\[, ]none[)\],]|of type none"
        if re.search(pattern, str(error)) and "UnsupportedError" not in str(error):
            return f"; {_VERBS}"
    if isinstance(error, AttributeError) and error.name:
        return nearest(error.name, dir(error.obj))
    if isinstance(error, NameError) and error.name:
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        return nearest(
            error.name, [*methods.__all__, *frame.f_locals, *frame.f_globals]
        )
    unknown = re.search(r"Unknown attribute '(\w+)' of type numba\.", str(error))
    if unknown and unknown[1] not in ORACLE_NAMES:
        return nearest(unknown[1], ORACLE_NAMES)
    unknown = re.match(r"Unknown parameter '(\w+)'", str(error))  # benchopt's
    if unknown:
        return nearest(unknown[1], re.findall(r"^- (.+)", str(error), re.MULTILINE))
    if isinstance(error, ModuleNotFoundError):
        is_ours = str(error.name).startswith(f"{PACKAGE.name}.")
        return f"; solvers import from {PACKAGE.name}.methods" if is_ours else ""
    missing = re.match(r"cannot import name '(\w+)'", str(error))
    if isinstance(error, ImportError) and missing and error.name in sys.modules:
        return nearest(missing[1], dir(sys.modules[error.name]))
    return ""
