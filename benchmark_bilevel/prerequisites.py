"""What has to be installed: said in one line before an import fails with a traceback.

Importing this module, as ``objective.py`` does before all that needs more than benchopt,
raises click.ClickException, which ends `benchopt run` with its message.
"""

import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import click

CLONE = Path(__file__).resolve().parents[1]


def missing_distributions():
    """Names of the dependencies that a clone declares and this environment lacks.

    pip has seen to those of an installed package.
    """
    declaration = CLONE / "pyproject.toml"
    if not declaration.exists():
        return []
    project = tomllib.loads(declaration.read_text())["project"]
    names = [re.match(r"[\w.-]+", text)[0] for text in project["dependencies"]]
    return [name for name in names if not _is_installed(name)]


def _is_installed(name):
    try:
        return bool(distribution(name))
    except PackageNotFoundError:
        return False


if missing_distributions():
    raise click.ClickException(
        f"not installed in {sys.prefix}: {', '.join(missing_distributions())}; "
        f"`pip install {CLONE}` brings what the benchmark needs."
    )
