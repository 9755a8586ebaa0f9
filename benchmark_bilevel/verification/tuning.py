"""The check of what a solver declares for the search of its parameters."""

import click

from benchmark_bilevel.search.ranges import ranges_of
from benchmark_bilevel.verification import Failed


def search_space(subject):
    """What the search tunes are at most five parameters, in legal ranges."""
    try:
        return ", ".join(ranges_of(subject.solver)) or "nothing"
    except click.UsageError as error:
        raise Failed(error.message) from None
