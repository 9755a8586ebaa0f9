"""Small versions of configurations, for tests: every solver, but minutes in all."""

import yaml

from benchmark_bilevel.search.specification import with_option
from benchmark_bilevel.search.store import write_whole

# Where one evaluation of h, or retraining at the end, takes many seconds.
DEAR = ("20newsgroups", "data-poisoning")
SECONDS = 0.2
HEADER = "# Written from config/{} by `make small`; not edited by hand.\n"


def configurations(folder):
    """The configuration files of the benchmark in `folder` that have a small version."""
    return [p for p in sorted(folder.glob("config/*.yml")) if p.name != "quick.yml"]


def smaller(content):
    """The configuration `content` with one short run of each cell.

    The clock ends it. h is evaluated at the end alone, or not at all.

    Parameters
    ----------
    content : dict
        As ``benchopt run --config`` takes it.

    Returns
    -------
    dict
    """
    dear = any(name in str(content) for name in DEAR)
    option = "exact_evaluations", "never" if dear else 0
    return {
        **content,
        "objective": [
            with_option(pattern, *option) for pattern in content["objective"]
        ],
        "solver": [_shorter(solver) for solver in content["solver"]],
        "n-repetitions": 1,
        "output": f"small_{content['output']}",
    }


def _shorter(solver):
    """The entry of a solver, for so many seconds where it has a clock."""
    if isinstance(solver, str):
        return solver
    ((name, parameters),) = solver.items()
    if "max_seconds" not in parameters:
        return solver
    return {name: {**parameters, "max_seconds": SECONDS}}


def write_small(config):
    """Write the small version of the configuration file `config`."""
    write_whole(config.parent / "small" / config.name, text_of(config))


def text_of(config):
    """Text of the small version of the configuration file `config`."""
    content = smaller(yaml.safe_load(config.read_text()))
    return HEADER.format(config.name) + yaml.safe_dump(content, sort_keys=False)
