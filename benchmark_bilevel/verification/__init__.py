"""Verification of solvers and of problems, for the tests and for the command `check`.

A check takes the thing to verify and returns a few words on what it found, or raises
`Failed` with a sentence that says what is wrong, or `NotDeclared` where it needs to be
told something that only the author knows.
"""

from typing import NamedTuple

import click

from benchmark_bilevel.faults import line_of


class Failed(AssertionError):
    """The check found a mistake; the message says which, in plain words."""


class Unusable(Failed):
    """The check found a mistake that leaves nothing else to check."""


class NotDeclared(Exception):
    """The check needs a declaration that the author did not make."""


class Result(NamedTuple):
    """Outcome of one check."""

    title: str
    status: str  # "ok", "FAIL" or "not declared"
    text: str


def run_checks(checks, subject, announce=lambda title: None):
    """Yield the `Result` of each of `checks` on `subject`; an error is told once.

    The first that finds the subject unusable ends them. `announce` gets the title of
    each check before it runs.
    """
    seen, usable = {}, True
    for check in checks:
        title, status = check.__doc__.splitlines()[0].rstrip("."), "ok"
        announce(title)
        try:
            text = check(subject) or ""
        except NotDeclared as missing:
            status, text = "not declared", str(missing)
        except Failed as failure:
            status, text = "FAIL", str(failure)
            usable = not isinstance(failure, Unusable)
        except click.UsageError as refusal:
            status, text, usable = "FAIL", line_of(refusal), False
        # Any error of the verified code is the finding, and the other checks go on.
        except (Exception, SystemExit) as error:
            status, text = "FAIL", line_of(error)
        if status == "FAIL":
            first = seen.setdefault(text, title)
            text = text if first is title else "as above"
        yield Result(title, status, text)
        if not usable:
            break
