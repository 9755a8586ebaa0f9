"""Which edits of the numerics no test notices, in a random sample: ``make mutants``.

The operators are cosmic-ray's: another operator, comparison or number, a condition turned
round, a loop that does not run, an argument or a decorator left out. A position in a
module is drawn first and then what is done to it, so that the many ways to replace a "+"
count once. Each mutant is put into a copy of the repository, where the tests beside its
module run until one fails; one that needs `PATIENCE` times their CPU counts as killed.

Those that survive are printed as diffs: the same program in other words, or a test to
write. Of the first kind are

- in `oracles.samplers` "<=" for the "==" of `is_full`, since blocks hold all samples, and
  "==" for the ">=" of `next_block`, since no position is beyond the end;
- in `methods.schedules` other conditions that an exponent of 0 or 1/2 does not meet: the
  power that is left gives the same number, and takes longer;
- in `exact.linear_systems` a little more or less of `DENSE_LIMIT`, `CHEAP_HESSIAN` and
  `SAMPLED_HESSIAN`: another way to the same solution, for sizes that no test has;
- in `exact.newton` "continue" for the break at a gradient that is not finite: 300 idle
  rounds later the reason is the same;
- in `oracles.autograd` "[-1]" for the "[0]" of what holds one product.
"""

import difflib
import os
import random
import resource
import shlex
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).parents[1]
PACKAGE = "benchmark_bilevel"
PATIENCE = 3  # and 20 s more
LEFT_OUT = "StringReplacer"  # words for people are no numerics

# The tests that judge a module. In the second group numba compiles nothing, so that what
# was compiled for one mutant serves for all, `frozen_code`.
COMPILED = {
    "methods/batches.py": "test_references.py test_batches.py test_estimators.py "
    "test_hooks.py test_methods.py",
    "methods/estimators.py": "test_references.py test_batches.py test_penalties.py "
    "test_hooks.py test_estimators.py test_methods.py",
    "methods/single_loop.py": "test_references.py test_batches.py test_estimators.py "
    "test_methods.py",
    "methods/schedules.py": "test_variance_reduction.py test_methods.py "
    "test_runtimes.py -k 'schedule or exponents'",
    "methods/variance_reduction.py": "test_references.py test_variance_reduction.py "
    "test_methods.py",
    "oracles/samplers.py": "test_samplers.py",
}
EXACT = "test_value_errors.py test_exact.py test_selection.py"
PLAIN = {
    "exact/linear_systems.py": "test_linear_systems.py test_conjugate_gradients.py "
    + EXACT,
    "exact/metrics.py": "test_evaluator.py test_columns.py test_ends.py",
    "exact/newton.py": f"test_newton.py test_error_bounds.py {EXACT}",
    "exact/solve.py": EXACT,
    "oracles/autograd.py": "test_autograd.py test_oracles.py test_hooks.py",
}
TESTS = COMPILED | PLAIN


@click.command(help=__doc__.split("\n\n")[0])
@click.option("--number", "-n", default=60, help="of mutants")
@click.option("--seed", default=0)
@click.argument("modules", nargs=-1, type=click.Choice(sorted(TESTS)))
def main(number, seed, modules):
    generator = random.Random(seed)
    places = [place for module in modules or TESTS for place in places_in(module)]
    sample = generator.sample(places, min(number, len(places)))
    results, limits = defaultdict(Counter), {}
    with TemporaryDirectory() as folder:
        copy = copy_of_the_repository(Path(folder))
        for module in sorted({module for module, *_ in sample}):
            before = cpu_seconds()
            if not passes(copy, module, limit=resource.RLIM_INFINITY):
                raise click.ClickException(f"the tests of {module} fail by themselves")
            limits[module] = int(PATIENCE * (cpu_seconds() - before)) + 20
        for module, position, ways in sample:
            path = copy / PACKAGE / module
            text = path.read_text()
            mutant = mutate_code(text, *generator.choice(ways))
            path.write_text(mutant)
            result = "survived" if passes(copy, module, limits[module]) else "killed"
            path.write_text(text)
            results[module][result] += 1
            click.echo(f"{result:9} {module}:{position[0]}")
            if result == "survived":
                click.echo(difference(text, mutant))
    total = sum(results.values(), Counter())
    for module, counts in [*sorted(results.items()), ("all", total)]:
        click.echo(f"{module:32} {counts['killed']:4} of {counts.total()} killed")
    click.echo(f"score {total['killed'] / total.total():.0%}, seed {seed}")


def places_in(module):
    """Triples (module, position, [(operator, occurrence), …]) of what can be mutated."""
    nodes = list(ast_nodes(get_ast((ROOT / PACKAGE / module).read_text())))
    ways = defaultdict(list)
    for name in operator_names():
        if get_operator(name).arguments() or LEFT_OUT in name:
            continue
        operator = get_operator(name)()
        positions = (
            start for node in nodes for start, _ in operator.mutation_positions(node)
        )
        for occurrence, position in enumerate(positions):
            ways[position].append((operator, occurrence))
    return [(module, position, ways[position]) for position in sorted(ways)]


def copy_of_the_repository(folder):
    """The files that git tracks, as they are now."""
    names = subprocess.check_output(["git", "ls-files", "-z"], cwd=ROOT, text=True)
    for name in filter(None, names.split("\0")):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def cpu_seconds():
    """Of all tests that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def passes(copy, module, limit):
    """Whether the tests of `module` pass in the copy, within `limit` seconds of CPU."""

    def limit_cpu():
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))

    plugin = ["-p", "frozen_code"] if module in PLAIN else []
    paths = os.pathsep.join((str(copy), str(ROOT / "benchmarks")))
    command = [sys.executable, "-m", "pytest", "-qx", "-p", "no:cacheprovider", *plugin]
    done = subprocess.run(
        [*command, *shlex.split(TESTS[module])],
        cwd=copy / "tests",
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=limit_cpu,
    )
    return done.returncode == 0


def difference(text, mutant):
    """The lines that a mutant changes, with a line around them."""
    lines = difflib.unified_diff(
        text.splitlines(), mutant.splitlines(), lineterm="", n=1
    )
    return "\n".join(f"    {line}" for line in list(lines)[3:])


if __name__ == "__main__":
    main()
