"""Small versions of configurations, for tests: every solver, but minutes in all."""

import click
import yaml

from benchmark_bilevel.search.options import by_option, listed, with_option
from benchmark_bilevel.search.store import write_whole

# Where one evaluation of h, or retraining at the end, takes many seconds.
DEAR = ("20newsgroups", "data-poisoning")
SECONDS = 0.2
HEADER = "# Written from config/{} by `make small`; not edited by hand.\n"


def configurations(folder):
    """The configuration files of the benchmark in `folder` that have a small version."""
    return [p for p in sorted(folder.glob("config/*.yml")) if p.name != "quick.yml"]


def smaller(content, name):
    """The configuration `content` with one short run of each cell.

    The clock ends it. h is evaluated at the end alone, or not at all.

    Parameters
    ----------
    content : dict
        As ``benchopt run --config`` takes it.
    name : str
        Of its results, if it gives them none.

    Returns
    -------
    dict
    """
    content = by_option(content)
    dear = any(name in str(content) for name in DEAR)
    option = "exact_evaluations", "never" if dear else 0
    patterns = listed(content.get("objective", "*"))
    if not all(isinstance(pattern, str) for pattern in patterns):
        raise click.UsageError(
            f"config/{name}.yml: a small version is made of objectives that are texts, "
            "such as Bilevel[problem=quadratic]."
        )
    return {
        **content,
        "objective": [with_option(pattern, *option) for pattern in patterns],
        "solver": [_shorter(solver) for solver in listed(content.get("solver", "*"))],
        "n-repetitions": 1,
        "output": f"small_{content.get('output', name)}",
    }


def _shorter(solver):
    """The entry of a solver, for so many seconds where it has a clock."""
    if isinstance(solver, str):
        return solver
    return {
        name: {**parameters, "max_seconds": SECONDS}
        if "max_seconds" in (parameters or {})
        else parameters or {}
        for name, parameters in solver.items()
    }


def write_small(config):
    """Write the small version of the configuration file `config`."""
    write_whole(config.parent / "small" / config.name, text_of(config))


def text_of(config):
    """Text of the small version of the configuration file `config`."""
    content = smaller(yaml.safe_load(config.read_text()), config.stem)
    return HEADER.format(config.name) + yaml.safe_dump(content, sort_keys=False)
