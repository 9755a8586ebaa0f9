"""Lines for the user: those worth saying once, and those that end what they did."""

from functools import cache

import click


@cache
def say_once(line):
    """Print `line` on standard error; in this process no second time."""
    click.echo(line, err=True)


class Fault(click.UsageError):
    """A mistake of a plugin, whose message is one line for its author.

    Parameters
    ----------
    message : str
    place : str, optional
        Where it is, if that is not where it is raised; see `location`.
    """

    def __init__(self, message, place=None):
        super().__init__(f"{place}: {message}" if place else message)
        self.is_placed = place is not None
