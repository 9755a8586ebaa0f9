"""The command line of a script of several parts."""

import click


def command(text, *parts):
    """The command that runs the functions `parts` that are named, else all of them.

    `text` is the docstring of the script.
    """
    parts = {part.__name__: part for part in parts}

    @click.command(help=text.split("\n\n")[0])
    @click.argument("names", nargs=-1, type=click.Choice(list(parts)))
    def main(names):
        for name in names or parts:
            print(name)
            parts[name]()

    return main
