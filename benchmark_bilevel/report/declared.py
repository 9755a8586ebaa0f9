"""What the file of a solver declares, and ``check`` verifies, in words for its page."""

import numpy as np

from benchmark_bilevel.methods import Calls
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
