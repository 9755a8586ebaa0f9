"""Verification of solvers and of problems, for the tests and for the command `check`.

A check takes the thing to verify and returns a few words on what it found, or raises
`Failed` with a sentence that says what is wrong, or `NotDeclared` where it needs to be
told something that only the author knows.
"""

from typing import NamedTuple


class Failed(AssertionError):
    """The check found a mistake; the message says which, in plain words."""


class NotDeclared(Exception):
    """The check needs a declaration that the author did not make."""


class Result(NamedTuple):
    """Outcome of one check."""

    title: str
    status: str  # "ok", "FAIL" or "not declared"
    text: str


def run_checks(checks, subject):
    """Yield the `Result` of each of `checks` on `subject`."""
    for check in checks:
        title = check.__doc__.splitlines()[0].rstrip(".")
        try:
            yield Result(title, "ok", check(subject) or "")
        except NotDeclared as missing:
            yield Result(title, "not declared", str(missing))
        except Failed as failure:
            yield Result(title, "FAIL", str(failure))
        # Any error of the verified code is the finding, and the other checks go on.
        except Exception as error:
            yield Result(
                title, "FAIL", f"{type(error).__name__}: {_first_lines(error)}"
            )


def _first_lines(error, n_lines=12):
    lines = [line for line in str(error).splitlines() if line.strip()]
    return "\n".join(lines[:n_lines])
