"""What the file of a solver declares, and ``check`` verifies, in words for its page."""

import dataclasses

import numpy as np

from benchmark_bilevel.methods import Calls
from benchmark_bilevel.report.groups import estimate_of
from benchmark_bilevel.runtimes.gate import option_names

SYMBOLS = {
    "outer_gradients": "∇f",
    "inner_gradients": "∇z g",
    "inner_gradients_x": "∇x g",
    "hessian_vector_products": "H v",
    "jacobian_vector_products": "J v",
    "loss_values": "values",
}
# Means are over these, after what is done once, with so many batches of each loss.
ITERATIONS = range(1, 201)
N_BATCHES = 1000


def calls_of(solver):
    """What an iteration asks of the oracles on average, in mini-batches, by `SYMBOLS`.

    Parameters
    ----------
    solver : type or None
        With the defaults of its file.

    Returns
    -------
    dict
        Without zeros; empty where nothing is declared, or it depends on the problem.
    """
    function = getattr(solver, "oracle_calls", None)
    if function is None:
        return {}
    sizes = 1, 1, N_BATCHES, N_BATCHES
    try:
        instance = solver.get_instance()
        own = [instance.option(name) for name in option_names(function, 5)]
        mean = np.mean([function(t, *sizes, *own) for t in ITERATIONS], axis=0)
    except Exception:  # whatever a plugin's declaration leads to
        return {}
    counts = zip(Calls._fields, mean, strict=True)
    return {SYMBOLS[name]: count for name, count in counts if count}


def estimate_text(solver):
    """What a solver class estimates, such as ``"Implicit(step=0.1, warm_v=True)"``.

    Without what is as usual; "" where it declares nothing.
    """
    found = estimate_of(solver)
    if not dataclasses.is_dataclass(found):
        return ""
    usual = {field.name: field.default for field in dataclasses.fields(found)}
    said = {name: getattr(found, name) for name in usual}
    own = [f"{name}={said[name]!r}" for name in said if said[name] != usual[name]]
    return f"{type(found).__name__}({', '.join(own)})"


def verified(folder):
    """From the stems of solvers' files to what was found of each, by what was looked for.

    Parameters
    ----------
    folder : Path
        The benchmark's. Its ``results/VERIFICATION.md`` has the table that
        ``benchmarks/verification.py`` prints, or is not there.
    """
    path = folder / "results" / "VERIFICATION.md"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[part.strip() for part in line.strip("| ").split(" | ")] for line in lines]
    if len(cells) < 3:
        return {}
    (_, *columns), _, *rows = cells
    return {name: dict(zip(columns, found, strict=False)) for name, *found in rows}


def properties_of(solver):
    """Sentences on what else a solver class declares."""
    shares = getattr(solver, "shares_samples", None)
    said = {
        "Constant steps and small batches reach the minimum.": getattr(
            solver, "variance_reduced", False
        ),
        "One mini-batch serves several kinds of derivative.": shares,
        "Each kind of derivative has a mini-batch of its own.": shares is False,
        "It is biased, as its paper says.": not getattr(solver, "unbiased", True),
        "It needs ∇²zz g and ∇²xz g as matrices.": getattr(
            solver, "needs_matrices", False
        ),
        "It moves x in a scaled metric.": getattr(solver, "scales_steps", False),
    }
    return [sentence for sentence, holds in said.items() if holds]
