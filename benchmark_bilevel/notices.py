"""Lines for the user that are worth saying once."""

from functools import cache

import click


@cache
def say_once(line):
    """Print `line` on standard error; in this process no second time."""
    click.echo(line, err=True)
